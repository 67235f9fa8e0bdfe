"""Parquet files and folders as a source, read by row groups (needs pyarrow)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentem.engine.blocks import Rows, Sequences
from latentem.engine.model import LatentModel
from latentem.engine.sources import Recipe, Source

__all__ = ["ParquetSource", "parquet"]

Array = np.ndarray


def parquet() -> Any:
    """The module `pyarrow.parquet`."""
    try:
        import pyarrow.parquet as module
    except ImportError as error:
        raise ImportError("Parquet needs pyarrow: pip install 'latentem[pandas]'") from error
    return module


@dataclass(frozen=True)
class _RowGroups(Recipe):
    """Row groups of one file that follow each other."""

    path: str
    groups: tuple[int, ...]
    units: int
    columns: tuple[str, ...]
    weights: str | None
    sequence: str | None

    @property
    def place(self) -> str:  # type: ignore[override]
        which = "-".join(map(str, sorted({self.groups[0], self.groups[-1]})))
        return f"row group {which} of {self.path!r}, its rows counted from 0"

    def read(self) -> Any:
        others = [name for name in (self.weights, self.sequence) if name is not None]
        with _file(self.path) as file:
            try:
                table = file.read_row_groups(
                    list(self.groups), columns=[*self.columns, *others], use_threads=False
                )
            except OSError as error:
                raise ValueError(f"it cannot be read, the file may be damaged ({error})") from None
        x = np.empty((table.num_rows, len(self.columns)))
        for j, name in enumerate(self.columns):
            x[:, j] = table.column(name).to_numpy()
        weights = None
        if self.weights is not None:
            weights = table.column(self.weights).to_numpy().astype(float)
        if self.sequence is not None:
            return Sequences(x, _runs(table.column(self.sequence).to_numpy()))
        if weights is None:
            return x
        kept = weights > 0
        return Rows(x, weights) if kept.all() else Rows(x[kept], weights[kept])


def _runs(names: Array) -> Array:
    """Lengths of the runs of equal values."""
    new = np.flatnonzero(names[1:] != names[:-1]) + 1
    return np.diff(np.concatenate([[0], new, [len(names)]]))


class ParquetSource(Source):
    """The rows of a Parquet file, or of all in a folder, row group by row group.

    Parameters
    ----------
    path : path
        A file, or a folder whose ``.parquet`` files are taken in the order of their names.
    columns : sequence of str, optional
        By default all, of numbers; a null is a missing cell.
    weights : str, optional
        Column of row weights; rows of weight 0 are absent.
    sequence : str, optional
        For hidden Markov models: the column that names the sequence of a row. The rows of
        one sequence follow each other.

    Examples
    --------
    >>> import tempfile, pathlib, pandas as pd
    >>> from latentem import GaussianMixture, ParquetSource
    >>> from latentem.datasets import load_faithful
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "faithful.parquet"
    >>> load_faithful().to_frame().to_parquet(path, row_group_size=100)
    >>> gm = GaussianMixture(2, random_state=0).fit(ParquetSource(path))
    >>> gm.feature_names_in_.tolist()
    ['eruptions', 'waiting']
    >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: Sequence[str] | None = None,
        weights: str | None = None,
        sequence: str | None = None,
    ):
        self.path, self.weights, self.sequence = os.fspath(path), weights, sequence
        where = Path(path)
        paths = sorted(where.glob("*.parquet")) if where.is_dir() else [where]
        if not paths:
            raise ValueError(f"the folder {self.path!r} has no .parquet file")
        self._sizes: list[tuple[str, list[int]]] = []
        schema: Any = None
        for one in paths:
            with _file(one) as file:
                found = file.schema_arrow
                if schema is not None and not found.equals(schema):
                    raise ValueError(
                        f"{os.fspath(one)!r} has other columns than {os.fspath(paths[0])!r}: all "
                        "files of a folder must have the same, of the same types"
                    )
                schema, meta = found, file.metadata
                sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
                self._sizes.append((os.fspath(one), sizes))
        self.columns = _columns(schema, columns, (weights, sequence), self.path)
        if self.n_units == 0:
            raise ValueError(f"{self.path!r} has no rows: there is nothing to fit")

    @property
    def n_features(self) -> int:
        return len(self.columns)

    @property
    def n_units(self) -> int:
        return sum(sum(sizes) for _, sizes in self._sizes)

    def recipes(self, model: LatentModel, size: int | None) -> list[Recipe]:
        return [
            _RowGroups(
                path, groups, sum(sizes[i] for i in groups), self.columns, self.weights,
                self.sequence,
            )
            for path, sizes in self._sizes
            for groups in self._whole(path, sizes)
        ]  # fmt: skip

    def _whole(self, path: str, sizes: list[int]) -> list[tuple[int, ...]]:
        """Row groups, or those together that a sequence runs through."""
        single = [(i,) for i, size in enumerate(sizes) if size > 0]
        if self.sequence is None:
            return single  # type: ignore[return-value]
        joined: list[tuple[int, ...]] = []
        last: Any = None
        with _file(path) as file:
            for groups in single:
                names = file.read_row_groups(list(groups), columns=[self.sequence]).column(0)
                if joined and names[0].as_py() == last:
                    joined[-1] += groups
                else:
                    joined.append(groups)
                last = names[-1].as_py()
        return joined


def _file(path: Any) -> Any:
    module = parquet()
    try:
        return module.ParquetFile(path)
    except FileNotFoundError:
        raise ValueError(f"there is no file {os.fspath(path)!r}") from None
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{os.fspath(path)!r} cannot be read as a Parquet file, it may be cut off: {error}"
        ) from None


def _columns(
    schema: Any, wanted: Sequence[str] | None, others: tuple[str | None, ...], path: str
) -> tuple[str, ...]:
    """Names of the columns of the rows, which must be numbers."""
    from pyarrow import types

    missing = [n for n in (*(wanted or ()), *others) if n is not None and n not in schema.names]
    if missing:
        raise ValueError(
            f"{path!r} has no column {missing[0]!r}: its columns are {', '.join(schema.names)}"
        )
    names = tuple(wanted) if wanted is not None else None
    if names is None:
        names = tuple(name for name in schema.names if name not in others)
    for name in names:
        kind = schema.field(name).type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
            raise ValueError(
                f"column {name!r} of {path!r} holds {kind}, not numbers: pass columns= without it, "
                "or encode it"
            )
    if not names:
        raise ValueError(f"{path!r} has no columns left to fit")
    return names
