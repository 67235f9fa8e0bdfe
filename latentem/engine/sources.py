"""Data that need not fit into memory: recipes of partitions, read again in every pass.

A source knows how to come by its partitions; a partition is a recipe (a file and a range of
rows, say), small enough to send anywhere, and is read, checked and cut into the blocks of a
model by whoever works on it. So a pass holds as many partitions as there are workers.

Checks go with the reading: a bad cell is found in the first pass, told with its place, and no
pass is made for checks alone. The start sees an even subsample over all partitions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from latentem.engine.blocks import Rows, Sequences, bounds, evenly, groups, stretches
from latentem.engine.model import SOFT, How, LatentModel
from latentem.engine.sums import TreeSum

__all__ = ["ArraySource", "BlockSource", "Empty", "Partitions", "Recipe", "Source", "expectation"]

Array = np.ndarray


class Recipe(ABC):
    """How to come by one partition.

    `units` is the number of its rows, `place` what to call it in sentences.
    """

    units: int
    place: str
    #: Whether it was cut to the size of a block already.
    single: bool = False

    @abstractmethod
    def read(self) -> Any:
        """The data of the partition, as ``model.blocks`` takes them."""

    def open(self, model: LatentModel, size: int | None = None) -> list[Any]:
        """The blocks of the model that the partition is cut into; none if it is empty."""
        size = self.units if size is None and self.single else size
        try:
            data = self.read()
            return [] if _length(data) == 0 else list(model.blocks(data, size))
        except ValueError as error:
            raise ValueError(f"{self.place}: {error}") from None


class Source(ABC):
    """Data as partitions that can be read again and again."""

    @abstractmethod
    def recipes(self, model: LatentModel, size: int | None) -> Iterable[Recipe]:
        """The partitions, in order; `size` is in units, by default the model's."""

    def sample(self, model: LatentModel, limit: int, rng: np.random.Generator) -> list[Any]:
        """An even subsample of about `limit` rows, as blocks of the model.

        Drawn once, in one pass, and the same for every start.
        """
        known: list[Any] = self.__dict__.setdefault("_sample", [])
        if not known:
            known.append(_thinned(model, partial(self.recipes, model, None), limit))
        return known[0](model)


@dataclass(frozen=True)
class Partitions:
    """A source as the blocks of a model; each iteration reads it anew."""

    model: LatentModel
    source: Source
    size: int | None = None

    def __iter__(self) -> Iterator[Recipe]:
        return iter(self.source.recipes(self.model, self.size))

    def thin(self, limit: int, rng: np.random.Generator) -> list[Any]:
        """What a start sees."""
        return self.source.sample(self.model, limit, rng)


class Empty:
    """What an E-step of a partition without rows returns."""


def expectation(model: LatentModel, prepared: Any, block: Any, how: How = SOFT) -> Any:
    """The `Expectation` of a block, or of all blocks of a partition; `Empty` if it has none."""
    variant = () if how == SOFT else (how,)
    if not isinstance(block, Recipe):
        return model.e_step(prepared, block, *variant)
    total = TreeSum()
    for part in block.open(model):
        total.add(model.e_step(prepared, part, *variant))
    found = total.total()
    return Empty() if found is None else found


# ------------------------------------------------------------------------------------- arrays


@dataclass(frozen=True)
class _Slice(Recipe):
    """Rows begin..end-1 of an array in memory or in a file."""

    source: ArraySource
    begin: int
    end: int
    sequences: tuple[int, int] | None = None
    single = True

    @property
    def units(self) -> int:  # type: ignore[override]
        return self.end - self.begin

    @property
    def place(self) -> str:  # type: ignore[override]
        return f"in rows {self.begin} to {self.end - 1} of the data, counted from {self.begin}"

    def read(self) -> Any:
        return self.source.part(slice(self.begin, self.end), self.sequences)


class ArraySource(Source):
    """An array that is read slice by slice: a numpy memmap, or what else has slices of rows.

    Fits are the same bits as those to the array in memory.

    Parameters
    ----------
    x : (n, d) array-like with ``shape`` and slices
        A `numpy.memmap`, an HDF5 or Zarr dataset. Pickled, a memmap is the name of its file.
    weights : (n,) array, optional
        Of rows, or (S,) of sequences. Rows of weight 0 are absent.
    labels : (n,) int array, optional
    lengths : (S,) int array, optional
        Rows of each sequence, for hidden Markov models.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np
    >>> from latentem import ArraySource, GaussianMixture
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "rows.npy"
    >>> np.save(path, np.random.default_rng(0).normal(size=(1000, 2)))
    >>> rows = np.load(path, mmap_mode="r")
    >>> gm = GaussianMixture(2, random_state=0).fit(ArraySource(rows))
    >>> gm.means_.shape
    (2, 2)
    >>> del rows; folder.cleanup()
    """

    def __init__(self, x: Any, weights: Any = None, labels: Any = None, lengths: Any = None):
        shape = getattr(x, "shape", ())
        if len(shape) != 2 or not hasattr(x, "__getitem__"):
            raise ValueError(
                f"x must be an array with two axes, (rows, columns), got shape {tuple(shape)}"
            )
        self.x, self.weights, self.labels = x, weights, labels
        self.lengths = None if lengths is None else np.asarray(lengths)
        if len(x) == 0:
            raise ValueError("x has no rows: there is nothing to fit")
        units = len(x) if self.lengths is None else len(self.lengths)
        for values, count, name in ((weights, units, "weights"), (labels, len(x), "labels")):
            if values is not None and np.shape(values) != (count,):
                raise ValueError(
                    f"{name} must have shape ({count},), one for each "
                    f"{'row' if count == len(x) else 'sequence'}, got {np.shape(values)}"
                )
        if self.lengths is not None and self.lengths.sum() != len(x):
            raise ValueError(f"lengths sum to {self.lengths.sum()}, but x has {len(x)} rows")

    @property
    def n_features(self) -> int:
        return int(self.x.shape[1])

    @property
    def n_units(self) -> int:
        return int(self.x.shape[0])

    def recipes(self, model: LatentModel, size: int | None) -> list[Recipe]:
        rows = model.block_size(self.n_features) if size is None else size
        if self.lengths is None:
            return [_Slice(self, a, b) for a, b in bounds(len(self.x), rows)]
        ends = np.concatenate([[0], np.cumsum(self.lengths)])
        return [
            _Slice(self, int(ends[a]), int(ends[b]), (a, b)) for a, b in groups(self.lengths, rows)
        ]

    def part(self, rows: Any, sequences: tuple[int, int] | None = None) -> Any:
        """Some of the rows, as a model takes them."""
        x = np.asarray(self.x[rows])
        labels = None if self.labels is None else np.asarray(self.labels[rows])
        if self.lengths is not None and sequences is not None:
            which = slice(*sequences)
            weights = None if self.weights is None else np.asarray(self.weights[which])
            return Sequences(x, self.lengths[which], weights, labels)
        if self.weights is None:
            return x if labels is None else Rows(x, None, labels)
        weights = np.asarray(self.weights[rows], dtype=float)
        if (weights == 0).any():
            kept = weights > 0
            x, weights = x[kept], weights[kept]
            labels = None if labels is None else labels[kept]
        return Rows(x, weights, labels)

    def sample(self, model: LatentModel, limit: int, rng: np.random.Generator) -> list[Any]:
        recipes = self.recipes(model, None)
        if self.lengths is not None or self.n_units <= limit:
            opened = (block for recipe in recipes for block in recipe.open(model))
            if self.n_units <= limit:
                return list(opened)
            return [stretches(block, limit / self.n_units, rng) for block in opened]
        return list(model.blocks(self.part(_picked(self.n_units, limit, rng)), None))

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        for name in ("x", "weights", "labels"):
            value = state[name]
            if isinstance(value, np.memmap) and value.filename is not None:
                state[name] = _Mapped.of(value)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            self.__dict__[name] = value.opened() if isinstance(value, _Mapped) else value


@dataclass(frozen=True)
class _Mapped:
    """A memmap as the place of its file."""

    filename: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    order: str

    @classmethod
    def of(cls, x: np.memmap) -> _Mapped:
        whole = x.base is None or not isinstance(x.base, np.memmap)
        order = "F" if x.flags.f_contiguous and not x.flags.c_contiguous else "C"
        if not whole or not (x.flags.c_contiguous or x.flags.f_contiguous):
            raise ValueError(
                "a part of a memmap cannot be sent to another process: map the file again, from "
                "the offset at which that part begins"
            )
        return cls(str(x.filename), x.dtype.str, int(x.offset), x.shape, order)

    def opened(self) -> Array:
        kind: Any = self.order
        return np.memmap(self.filename, self.dtype, "r", self.offset, self.shape, kind)


# ------------------------------------------------------------------------------------- blocks


@dataclass(frozen=True)
class _Given(Recipe):
    """A piece of data that an iterator gave."""

    data: Any
    number: int

    @property
    def units(self) -> int:  # type: ignore[override]
        return _length(self.data)

    @property
    def place(self) -> str:  # type: ignore[override]
        return f"block {self.number} of the data"

    def read(self) -> Any:
        return self.data


class BlockSource(Source):
    """Pieces of data from a function that returns an iterator over them, anew for each pass.

    Parameters
    ----------
    factory : callable
        Returns an iterator over arrays (m, d), `Rows`, or for hidden Markov models
        arrays of one sequence, lists of them, or `Sequences`. Every call gives the same data.
        Pieces of 10,000 to 100,000 rows are worked on best.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import BlockSource, GaussianMixture
    >>> def months():
    ...     for month in range(12):
    ...         yield np.random.default_rng(month).normal(size=(500, 2))
    >>> gm = GaussianMixture(2, random_state=0).fit(BlockSource(months))
    >>> gm.n_features_in_
    2
    """

    def __init__(self, factory: Callable[[], Iterable[Any]]):
        if not callable(factory):
            raise TypeError(
                "factory must be a function that returns an iterator over blocks: an iterator "
                f"itself can be read only once, and EM reads many times; got {factory!r}"
            )
        self.factory = factory

    def recipes(self, model: LatentModel, size: int | None) -> Iterator[Recipe]:
        width, empty = None, True
        for number, data in enumerate(self.factory()):
            found = _width(data)
            if width is not None and found is not None and found != width:
                raise ValueError(
                    f"block {number} of the data has {found} columns, and those before have "
                    f"{width}: all blocks must be as wide"
                )
            width, empty = found if width is None else width, False
            yield _Given(data, number)
        if empty:
            raise ValueError(
                "the factory gave no blocks: it must return a fresh iterator in every call, as "
                "it is called once for each pass"
            )

    @cached_property
    def n_features(self) -> int:
        """Columns of the first block."""
        for data in self.factory():
            width = _width(data)
            if width is None:
                raise ValueError("the blocks of the data have no two axes, (rows, columns)")
            return width
        raise ValueError("the factory gave no blocks: there is nothing to fit")


# ---------------------------------------------------------------------------------- subsamples


def _picked(total: int, limit: int, rng: np.random.Generator) -> Array:
    """One row of each stretch of equal length; all, if they are no more than `limit`."""
    if total <= limit:
        return np.arange(total)
    return evenly(total, limit, rng)


def _thinned(
    model: LatentModel, recipes: Callable[[], Iterable[Recipe]], limit: int
) -> Callable[[LatentModel], list[Any]]:
    """An even subsample over all partitions, as a function of the model that wants it."""
    rng = np.random.default_rng(0)
    total = sum(recipe.units for recipe in recipes())
    if total == 0:
        raise ValueError("the data have no rows: there is nothing to fit")
    picked, share = _picked(total, limit, rng), min(limit / total, 1.0)
    chains: list[Any] = []
    rows: list[Any] = []
    begin = 0
    for recipe in recipes():
        here = picked[(picked >= begin) & (picked < begin + recipe.units)] - begin
        begin += recipe.units
        if recipe.units == 0:
            continue
        if not rows and (chains or _chained(recipe.open(model))):
            opened = recipe.open(model)
            chains += opened if share == 1 else [stretches(part, share, rng) for part in opened]
        elif len(here):
            rows.append(_taken(recipe.read(), here))
    if chains:
        return lambda _: chains
    whole = _joined(rows)
    return lambda asking: list(asking.blocks(whole, None))


def _chained(blocks: list[Any]) -> bool:
    return bool(blocks) and isinstance(blocks[0], Sequences)


def _taken(data: Any, here: Array) -> Any:
    here = here[here < _length(data)]  # rows of weight 0 were left out
    return tuple(part[here] for part in data) if isinstance(data, tuple) else data[here]


def _joined(parts: list[Any]) -> Any:
    first = parts[0]
    if isinstance(first, tuple):
        return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))
    if not isinstance(first, Rows):
        return np.concatenate(parts)

    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if any(value is None for value in values) else np.concatenate(values)

    return Rows(*(joined(name) for name in ("x", "weights", "labels")))


def _length(data: Any) -> int:
    if isinstance(data, list):
        return sum(len(part) for part in data)
    return len(data[0]) if isinstance(data, tuple) else len(data)


def _width(data: Any) -> int | None:
    first: Any = data[0] if isinstance(data, list | tuple) and len(data) else data
    shape = np.shape(getattr(first, "x", first))
    return shape[1] if len(shape) == 2 else None
