"""Blocks: the pieces of data an E-step sees, and even subsamples of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

__all__ = ["Rows", "Sequences", "bounds", "evenly", "groups", "slices", "stretches", "thin"]

DEFAULT_SIZE = 8192


@dataclass(frozen=True)
class Rows:
    """Independent rows.

    Parameters
    ----------
    x : (n, d) array or sparse matrix
        The rows as they came.
    weights : (n,) array, optional
        Frequency-type row weights; None is 1 each.
    labels : (n,) int array, optional
        Known components, -1 where unknown.
    encoded : optional
        The rows as the family wants them (`Family.encode`), of whatever type. A part
        of the rows has to be encoded anew.
    """

    x: np.ndarray
    weights: np.ndarray | None = None
    labels: np.ndarray | None = None
    encoded: Any = None

    def __len__(self) -> int:
        return int(np.shape(self.x)[0])

    def __getitem__(self, index: Any) -> Rows:
        def take(a: Any) -> Any:
            return None if a is None else a[index]

        return Rows(take(self.x), take(self.weights), take(self.labels))


@dataclass(frozen=True)
class Sequences:
    """Sequences of rows, independent of each other, stacked.

    Parameters
    ----------
    x : (n, d) array
        The rows of all sequences, one after the other, as they came.
    lengths : (S,) int array
        Rows of each sequence; they sum to n.
    weights : (S,) array, optional
        Frequency-type weight of each sequence; None is 1 each.
    labels : (n,) int array, optional
        Known states, -1 where unknown.
    missing : (n,) bool array, optional
        Rows of which nothing was seen.
    encoded : tuple, optional
        Pieces of the rows as the family wants them, see `pieces`.
    """

    x: np.ndarray
    lengths: np.ndarray
    weights: np.ndarray | None = None
    labels: np.ndarray | None = None
    missing: np.ndarray | None = None
    encoded: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.x)

    @property
    def offsets(self) -> np.ndarray:
        """Row at which each sequence begins, and the number of rows, (S + 1,)."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    def between(self, first: int, last: int) -> Sequences:
        """Sequences first..last-1."""
        begin, end = self.offsets[[first, last]]
        return self._cut(begin, end, self.lengths[first:last], first, last)

    def stretch(self, sequence: int, begin: int, end: int) -> Sequences:
        """Rows begin..end-1 of one sequence, as a sequence of its own."""
        offset = self.offsets[sequence]
        return self._cut(
            offset + begin, offset + end, np.array([end - begin]), sequence, sequence + 1
        )

    def take(self, which: np.ndarray) -> Sequences:
        """The sequences `which`, in that order; the rows have to be encoded anew."""
        ends = np.cumsum(self.lengths)
        rows = np.concatenate([np.arange(ends[s] - self.lengths[s], ends[s]) for s in which])

        def part(a: Any, index: np.ndarray) -> Any:
            return None if a is None else a[index]

        return Sequences(
            self.x[rows],
            self.lengths[which],
            part(self.weights, which),
            part(self.labels, rows),
            part(self.missing, rows),
        )

    def _cut(self, begin: int, end: int, lengths: np.ndarray, first: int, last: int) -> Sequences:
        def rows(a: Any) -> Any:
            return None if a is None else a[begin:end]

        weights = None if self.weights is None else self.weights[first:last]
        return Sequences(self.x[begin:end], lengths, weights, rows(self.labels), rows(self.missing))


def bounds(n: int, size: int | None = None) -> list[tuple[int, int]]:
    """Begin and end of the blocks of n units: near-equal, at most `size`, an even number.

    They depend on nothing but n and size, so that results do not depend on the
    number of threads.
    """
    size = DEFAULT_SIZE if size is None else max(int(size), 1)
    count = max(-(-n // size), 1)
    if count > 1:
        count += count % 2
    edges = [n * i // count for i in range(count + 1)]
    return [(a, b) for a, b in pairwise(edges) if b > a or n == 0]


def groups(lengths: np.ndarray, rows: int) -> list[tuple[int, int]]:
    """First and last of the sequences of each block: about equal in rows, at most `rows`.

    A sequence with more rows is a block of its own.
    """
    ends = np.cumsum(lengths)
    if ends[-1] <= rows:
        return [(0, len(lengths))]
    count = -(-int(ends[-1]) // rows)
    count += count % 2
    edges = np.searchsorted(ends, np.linspace(0, ends[-1], count + 1)[1:-1], side="left") + 1
    alone = np.flatnonzero(lengths > rows)
    edges = np.unique(np.concatenate([[0], edges, alone, alone + 1, [len(lengths)]]))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def slices(data: Any, size: int | None = None) -> list[Any]:
    """An array (or Rows) as slices of rows, or a tuple of arrays as tuples of slices."""
    if isinstance(data, tuple):
        lengths = {len(part) for part in data}
        if len(lengths) != 1:
            raise ValueError(f"a tuple of arrays must have one length, found {sorted(lengths)}")
        return [tuple(part[a:b] for part in data) for a, b in bounds(lengths.pop(), size)]
    if isinstance(data, np.ndarray | Rows):
        return [data[a:b] for a, b in bounds(len(data), size)]
    raise TypeError(
        f"data of type {type(data).__name__} have no default blocks: pass an array or a tuple "
        "of arrays of one length, or define blocks(data, size) on the model"
    )


def thin(blocks: Sequence[Any], limit: int, rng: np.random.Generator) -> list[Any]:
    """An even subsample of at most about `limit` rows over all blocks.

    One row is drawn from each stretch of equal length, so sorted or periodic
    data are covered; of sequences, stretches of rows that follow each other. Blocks of
    other kinds than arrays, tuples, `Rows` and `Sequences` are passed whole.
    """
    sizes = [_length(block) for block in blocks]
    if any(size is None for size in sizes):
        return list(blocks)
    total = sum(size for size in sizes if size is not None)
    if total <= limit:
        return list(blocks)
    if any(isinstance(block, Sequences) for block in blocks):
        return [stretches(block, limit / total, rng) for block in blocks]
    picked = evenly(total, limit, rng)
    out, begin = [], 0
    for block, size in zip(blocks, sizes, strict=True):
        here = picked[(picked >= begin) & (picked < begin + (size or 0))] - begin
        begin += size or 0
        if len(here):
            out.append(
                tuple(part[here] for part in block) if isinstance(block, tuple) else block[here]
            )
    return out


def evenly(total: int, limit: int, rng: np.random.Generator) -> np.ndarray:
    """One index drawn from each of `limit` stretches of equal length, in order."""
    edges = np.linspace(0, total, limit + 1)
    return np.floor(edges[:-1] + rng.random(limit) * np.diff(edges)).astype(np.intp)


#: Rows that follow each other in the subsample of a long sequence.
STRETCH = 256


def stretches(block: Sequences, share: float, rng: np.random.Generator) -> Sequences:
    """Stretches of the sequences of a block that make about `share` of its rows."""
    parts = []
    for s, length in enumerate(block.lengths):
        if length <= STRETCH:
            if rng.random() < share:
                parts.append(block.stretch(s, 0, length))
            continue
        count = share * length / STRETCH
        count = int(count) + (rng.random() < count - int(count))
        room = length / max(count, 1)
        for i in range(count):
            begin = int(room * i + rng.random() * max(room - STRETCH, 0.0))
            parts.append(block.stretch(s, begin, min(begin + STRETCH, length)))
    if not parts:
        parts = [block.stretch(0, 0, min(STRETCH, block.lengths[0]))]

    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else np.concatenate(values)

    names = ("x", "lengths", "weights", "labels", "missing")
    return Sequences(*(joined(name) for name in names))


def _length(block: Any) -> int | None:
    if isinstance(block, tuple):
        arrays = all(isinstance(part, np.ndarray) and part.ndim for part in block)
        lengths = {len(part) for part in block} if arrays else set()
        return lengths.pop() if len(lengths) == 1 else None
    return len(block) if isinstance(block, np.ndarray | Rows | Sequences) else None
