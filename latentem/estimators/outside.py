"""What estimators do with data outside of memory: recognise them, look at some, go block by block.

Fits take `Source` objects, which the driver reads in every pass. Everything else an estimator
says of rows it says of each block as it would of a table, several blocks at a time, and the answers
are put one after the other: into an array, a memmap, or a Parquet file.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from latentem.engine.archive import atomically
from latentem.engine.backends import backend_for
from latentem.engine.blocks import Rows, Sequences
from latentem.engine.dask_backend import DaskSource, is_dask
from latentem.engine.model import LatentModel
from latentem.engine.parquet import ParquetSource, parquet
from latentem.engine.sources import ArraySource, BlockSource, Recipe, Source
from latentem.estimators.validation import check_weights, whole_labels
from latentem.models.sequences import sequences

__all__ = [
    "by_block",
    "is_outside",
    "named_columns",
    "sample_rows",
    "source_of",
    "summed",
    "without_unseen",
]

Array = np.ndarray
#: Rows that an estimator looks at before a fit.
LOOK = 16384


def source_of(
    X: Any, sample_weight: Any = None, labels: Any = None, lengths: Any = None
) -> Source | None:
    """X as a source; None for data in memory.

    A memmap, the path of a Parquet file or folder, and a function that returns an iterator over
    blocks are sources, and `Source` objects themselves.
    """
    found: Source
    if isinstance(X, np.memmap):
        if X.ndim != 2 or X.dtype.kind not in "fiub" or not len(X):
            return None  # refused as an array would be
        units = len(X) if lengths is None else len(lengths)
        unit = "row" if lengths is None else "sequence"
        weights = check_weights(sample_weight, units, unit)
        known = None if labels is None else whole_labels(labels)
        return ArraySource(X, weights, known, lengths)
    if isinstance(X, Source):
        found = X
    elif is_dask(X):
        found = DaskSource(X)
    elif _is_path(X):
        found = ParquetSource(X)
    elif callable(X) and not hasattr(X, "shape"):
        found = BlockSource(X)
    else:
        return None
    for value, name in ((sample_weight, "sample_weight"), (labels, "labels"), (lengths, "lengths")):
        if value is not None:
            raise ValueError(
                f"{name} cannot be given beside a {type(found).__name__}: put it into the source"
            )
    return found


def is_outside(X: Any, out: Any = None) -> bool:
    """Whether rows come, or answers go, block by block."""
    if out is not None or isinstance(X, Source) or _is_path(X) or is_dask(X):
        return True
    if isinstance(X, np.memmap):
        return X.ndim == 2 and X.dtype.kind in "fiub" and len(X) > 0
    return callable(X) and not hasattr(X, "shape")


def _is_path(X: Any) -> bool:
    """Whether X names a file or folder; another text is text."""
    if isinstance(X, str):
        return X.endswith(".parquet") or Path(X).is_dir()
    return isinstance(X, os.PathLike)


class _AsRows:
    """In place of a model: rows as they come."""

    def blocks(self, data: Any, size: int | None = None) -> list[Any]:
        if isinstance(data, tuple):
            return [Rows(*data)]
        return [data if isinstance(data, Rows | Sequences) else Rows(np.asarray(data))]

    def block_size(self, n_features: int) -> int:
        return 8192


def sample_rows(source: Source) -> Rows:
    """An even subsample of rows, float64, as one `Rows`; NaN in no row as a whole."""
    model: Any = _AsRows()
    found = source.sample(model, LOOK, np.random.default_rng(0))
    x = np.concatenate([np.asarray(part.x, dtype=float) for part in found])

    def joined(name: str) -> Any:
        parts: list[Any] = [getattr(part, name, None) for part in found]
        return None if any(part is None for part in parts) else np.concatenate(parts)

    if isinstance(found[0], Sequences):
        return Rows(x, None, joined("labels"))
    return Rows(x, joined("weights"), joined("labels"))


def named_columns(estimator: Any, source: Any, reset: bool) -> None:
    """Remember, at fit, or compare the columns of a source."""
    width = getattr(source, "n_features", None)
    names = getattr(source, "columns", None)
    if reset:
        estimator.n_features_in_ = width
        if names is not None:
            estimator.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
        return
    known = getattr(estimator, "feature_names_in_", None)
    if names is not None and known is not None and list(names) != list(known):
        raise ValueError(
            f"the columns are {', '.join(names)}, and those of the fit were {', '.join(known)}: "
            "pass columns= in that order"
        )


def of_sequences(source: Source) -> Source:
    """The source with partitions of whole sequences, as chains need them."""
    if isinstance(source, DaskSource):
        raise ValueError(
            "a hidden Markov model must know which rows make a sequence, which a Dask collection "
            "does not tell: pass sequences in memory, a BlockSource or a ParquetSource, with "
            "EM(backend=DaskBackend(client)) for several machines"
        )
    if isinstance(source, BlockSource):
        return BlockSource(partial(_as_sequences, source.factory))
    if isinstance(source, ArraySource) and source.lengths is None:
        return ArraySource(source.x, source.weights, source.labels, [len(source.x)])
    if isinstance(source, ParquetSource) and source.sequence is None:
        raise ValueError(
            "a hidden Markov model must know which rows make a sequence: pass "
            "ParquetSource(path, sequence=...), the column that names the sequence of each row"
        )
    return source


def _as_sequences(factory: Callable[[], Iterable[Any]]) -> Iterator[Sequences]:
    return map(sequences, factory())


# ------------------------------------------------------------------------------ rows not seen


@dataclass(frozen=True)
class _Seen(Recipe):
    """A partition without the rows of which nothing was seen."""

    inner: Recipe

    @property
    def units(self) -> int:  # type: ignore[override]
        return self.inner.units

    @property
    def place(self) -> str:  # type: ignore[override]
        return self.inner.place

    def read(self) -> Any:
        data = self.inner.read()
        rows = data if isinstance(data, Rows) else Rows(np.asarray(data))
        x = np.asarray(rows.x, dtype=float)
        if not np.isnan(np.sum(x)):
            return data
        return rows[~np.isnan(x).all(axis=1)]

    @property
    def single(self) -> bool:  # type: ignore[override]
        return self.inner.single


class _WithoutUnseen(Source):
    def __init__(self, source: Source):
        self.source = source

    def recipes(self, model: LatentModel, size: int | None) -> Iterable[Recipe]:
        return map(_Seen, self.source.recipes(model, size))

    def sample(self, model: LatentModel, limit: int, rng: np.random.Generator) -> list[Any]:
        return self.source.sample(model, limit, rng)


def without_unseen(source: Source) -> Source:
    """The source without rows in which every cell is missing: they do not count."""
    return _WithoutUnseen(source)


# ------------------------------------------------------------------------------ block by block


def by_block(
    estimator: Any, method: Callable[..., Any], X: Any, out: Any = None, **more: Any
) -> Any:
    """``method(estimator, rows)`` for each block of X, one after the other.

    Parameters
    ----------
    X : source, or data in memory
    out : array, memmap or path, optional
        Where to put the answers: an array of the right shape, or the path of a Parquet file
        to write. By default a new array.

    Returns
    -------
    array, path, or Dask array
        `out`, or a new array; of Dask data a Dask array, computed where they are.
    """
    name = method.__name__
    if is_dask(X) and out is None:
        return lazily(estimator, method, X, **more)
    with _writer(out, name) as put:
        for found in _each(estimator, method, X, **more):
            put.take(found)
    return put.result()


def lazily(estimator: Any, method: Callable[..., Any], X: Any, **more: Any) -> Any:
    """``method(estimator, part)`` of a Dask array or frame, as a Dask array."""
    if hasattr(estimator, "transmat_"):
        raise ValueError(
            "a chain cannot be cut where a Dask collection is: pass sequences, or a source"
        )
    dask: Any = import_module("dask")
    arrays: Any = import_module("dask.array")
    one = alone(estimator)
    like = method(one, np.ones((1, estimator.n_features_in_)))
    if hasattr(X, "columns"):
        names = _Named(tuple(map(str, X.columns)))
        named_columns(estimator, names, reset=False)
        X = X.to_dask_array(lengths=True)
    X = X.rechunk({1: -1})
    parts = X.to_delayed().ravel()
    answer, sent = dask.delayed(_answer, pure=True), dask.delayed(one)
    rows = [
        arrays.from_delayed(answer(sent, method.__name__, part), (n, *like.shape[1:]), like.dtype)
        for part, n in zip(parts, X.chunks[0], strict=True)
    ]
    return arrays.concatenate(rows)


def _answer(estimator: Any, method: str, rows: Any) -> Any:
    return getattr(estimator, method)(np.asarray(rows))


class _Named:
    """Columns by name."""

    def __init__(self, columns: tuple[str, ...]):
        self.columns = columns


def alone(estimator: Any) -> Any:
    """The estimator for one block among others: one thread, columns without names."""
    one = copy.copy(estimator)
    one.n_jobs = 1
    for name in ("feature_names_in_", "result_", "callbacks", "online_"):
        one.__dict__.pop(name, None)
    one.callbacks = None
    return one


def summed(estimator: Any, method: Callable[..., tuple[float, float]], X: Any) -> Any:
    """Sums over all blocks of the numbers that ``method(estimator, x, weights)`` finds."""

    def weighted(one: Any, x: Array, lengths: Any = None, weights: Any = None) -> Array:
        more = () if lengths is None else (lengths,)
        return np.array(method(one, x, *more, weights))

    return sum(_each(estimator, weighted, X, with_weights=True))


def _each(
    estimator: Any, method: Callable[..., Any], X: Any, with_weights: bool = False, **more: Any
) -> Iterator[Any]:
    source = source_of(X, **{k: v for k, v in more.items() if k == "lengths"})
    more.pop("lengths", None)
    if source is None:
        yield method(estimator, X, **more)
        return
    named_columns(estimator, source, reset=False)
    if hasattr(estimator, "transmat_"):
        source = of_sequences(source)
    one = alone(estimator)
    ready = getattr(estimator, "_ready", None)
    model: Any = _AsRows() if ready is None else ready()[0]

    def work(recipe: Recipe) -> Any:
        try:
            data = recipe.read()
            x, lengths, weights = _parts(data)
            if len(x) == 0:
                return None
            given = dict(more)
            if lengths is not None:
                given["lengths"] = lengths
            if with_weights:
                given["weights"] = weights
            return method(one, x, **given)
        except ValueError as error:
            raise ValueError(f"{recipe.place}: {error}") from None

    for found in backend_for(estimator.n_jobs).map(work, source.recipes(model, None)):
        if found is not None:
            yield found


def _parts(data: Any) -> tuple[Any, Any, Any]:
    """Rows, lengths and weights of a piece of data."""
    if isinstance(data, Sequences):
        return data.x, data.lengths, data.weights
    if isinstance(data, Rows):
        return data.x, None, data.weights
    if isinstance(data, tuple):
        return data[0], None, data[1]
    return data, None, None


class _Stacked:
    """Answers in a new array."""

    def __init__(self) -> None:
        self.parts: list[Array] = []

    def take(self, found: Array) -> None:
        self.parts.append(found)

    def result(self) -> Any:
        return np.concatenate(self.parts)


class _Filled(_Stacked):
    """Answers in an array that is there."""

    def __init__(self, out: Array):
        self.out, self.end = out, 0

    def take(self, found: Array) -> None:
        begin, self.end = self.end, self.end + len(found)
        if self.out.shape[1:] != found.shape[1:] or self.end > len(self.out):
            need = ", ".join(map(str, ("n_samples", *found.shape[1:])))
            raise ValueError(f"out has shape {self.out.shape}, and the answers have ({need})")
        if not np.can_cast(found.dtype, self.out.dtype, "same_kind"):
            raise ValueError(f"out has dtype {self.out.dtype}, which cannot hold {found.dtype}")
        self.out[begin : self.end] = found

    def result(self) -> Any:
        if self.end != len(self.out):
            raise ValueError(f"out has {len(self.out)} rows, and the data have {self.end}")
        return self.out


class _Written(_Stacked):
    """Answers in a Parquet file, a row group for each block."""

    def __init__(self, path: Any, file: Any, name: str):
        self.path, self.file, self.name = path, file, name
        self.writer: Any = None

    def take(self, found: Array) -> None:
        import pyarrow

        columns = [found] if found.ndim == 1 else list(np.ascontiguousarray(found.T))
        names = (
            [self.name] if found.ndim == 1 else [f"{self.name}_{j}" for j in range(len(columns))]
        )
        table = pyarrow.table(columns, names=names)
        if self.writer is None:
            self.writer = parquet().ParquetWriter(self.file, table.schema)
        self.writer.write_table(table)

    def result(self) -> Any:
        return self.path


@contextmanager
def _writer(out: Any, name: str) -> Iterator[_Stacked]:
    if out is None:
        yield _Stacked()
    elif isinstance(out, np.ndarray):
        yield _Filled(out)
    elif isinstance(out, str | os.PathLike):
        if Path(out).suffix != ".parquet":
            raise ValueError(f"out must be an array or the path of a .parquet file, got {out!r}")
        parquet()
        with atomically(out) as file:
            put = _Written(out, file, name)
            yield put
            if put.writer is not None:
                put.writer.close()
    else:
        raise ValueError(
            f"out must be an array, a memmap, or the path of a .parquet file, got {type(out)}"
        )
