"""Records of a state-space model: outputs with missing cells, inputs, lengths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latentem.engine.blocks import Sequences, groups
from latentem.models.sequences import BLOCK_ROWS, sequences

__all__ = ["Records", "record_blocks", "records"]

Array = np.ndarray


@dataclass(frozen=True)
class Records:
    """Records of rows in equal steps of time, independent of each other, stacked.

    Parameters
    ----------
    y : (T, d) array
        NaN in missing cells.
    lengths : (S,) int array
        Rows of each record; they sum to T.
    u : (T, m) array
        Inputs of each row; m may be 0.
    weights : (S,) array, optional
        How often each record counts.

    Attributes
    ----------
    first : (T,) bool array
        Which rows begin a record.
    seen : (T, d) bool array
        Which cells are seen.
    patterns : (P, d) bool array, and (T,) int array
        The different rows of `seen`, and which of them each row has.
    """

    y: Array
    lengths: Array
    u: Array
    weights: Array | None = None
    first: Array = field(init=False, repr=False)
    seen: Array = field(init=False, repr=False)
    patterns: tuple[Array, Array] = field(init=False, repr=False)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def ends(self) -> Array:
        """Row after the last of each record, (S,)."""
        return np.cumsum(self.lengths)

    def __post_init__(self) -> None:
        first = np.zeros(len(self.y), dtype=bool)
        first[self.ends - self.lengths] = True
        seen = ~np.isnan(self.y)
        packed = np.packbits(seen, axis=1)
        _, at, kinds = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        patterns = seen[at], kinds.ravel().astype(np.int64)
        for name, value in (("first", first), ("seen", seen), ("patterns", patterns)):
            object.__setattr__(self, name, value)

    @property
    def row_weights(self) -> Array:
        """How often each row counts, (T,)."""
        if self.weights is None:
            return np.ones(len(self.y))
        return np.repeat(np.asarray(self.weights, dtype=float), self.lengths)


def records(data: Any) -> Records:
    """Data as `Records`: an array (one record), a list of arrays, or ``(y, lengths)``.

    Raises
    ------
    ValueError
        For records of different width, or lengths that do not sum to the rows.
    """
    if isinstance(data, Records):
        return data
    found: Sequences = sequences(data)
    y = np.ascontiguousarray(found.x, dtype=float)
    return Records(y, found.lengths, np.empty((len(y), 0)), found.weights)


def record_blocks(data: Records, size: int | None = None) -> list[Records]:
    """Whole records as blocks of about `size` rows."""
    starts = data.ends - data.lengths
    blocks = []
    for begin, end in groups(data.lengths, BLOCK_ROWS if size is None else size):
        rows = slice(starts[begin], data.ends[end - 1])
        weights = None if data.weights is None else data.weights[begin:end]
        blocks.append(Records(data.y[rows], data.lengths[begin:end], data.u[rows], weights))
    return blocks
