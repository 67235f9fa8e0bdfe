"""Blocks: the pieces of data an E-step sees, and even subsamples of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

__all__ = ["Rows", "bounds", "slices", "thin"]

DEFAULT_SIZE = 8192


@dataclass(frozen=True)
class Rows:
    """Independent rows.

    Parameters
    ----------
    x : (n, d) array
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
        return len(self.x)

    def __getitem__(self, index: Any) -> Rows:
        def take(a: Any) -> Any:
            return None if a is None else a[index]

        return Rows(take(self.x), take(self.weights), take(self.labels))


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
    data are covered. Blocks of other kinds than arrays, tuples and `Rows` are
    passed whole.
    """
    sizes = [_length(block) for block in blocks]
    if any(size is None for size in sizes):
        return list(blocks)
    total = sum(size for size in sizes if size is not None)
    if total <= limit:
        return list(blocks)
    edges = np.linspace(0, total, limit + 1)
    picked = np.floor(edges[:-1] + rng.random(limit) * np.diff(edges)).astype(np.intp)
    out, begin = [], 0
    for block, size in zip(blocks, sizes, strict=True):
        here = picked[(picked >= begin) & (picked < begin + (size or 0))] - begin
        begin += size or 0
        if len(here):
            out.append(
                tuple(part[here] for part in block) if isinstance(block, tuple) else block[here]
            )
    return out


def _length(block: Any) -> int | None:
    if isinstance(block, tuple):
        arrays = all(isinstance(part, np.ndarray) and part.ndim for part in block)
        lengths = {len(part) for part in block} if arrays else set()
        return lengths.pop() if len(lengths) == 1 else None
    return len(block) if isinstance(block, np.ndarray | Rows) else None
