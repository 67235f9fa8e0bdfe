"""Cells that were not seen: told from bad ones, filled for starts, rows grouped by them.

Rows that miss the same cells share every matrix of an E-step: they make a pattern.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Patterns", "filled", "patterns_of", "refuse"]

Array = np.ndarray


def refuse(X: Array, sound: Array, what: str) -> None:
    """ValueError that names the first cell of X that is neither sound nor missing."""
    bad = ~(sound | np.isnan(X))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(f"{what}, but X[{row}, {column}] is {X[row, column]:.15g}")


def filled(values: Array, seen: Array) -> Array:
    """Values with the mean of their column in the cells not seen, 0 in columns never seen."""
    seen = seen > 0
    if seen.all():
        return values
    count = seen.sum(axis=0)
    mean = np.where(seen, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.where(seen, values, mean)


class Patterns(NamedTuple):
    """The patterns of missing cells of a table, and where their rows are.

    Patterns are sorted by the number of cells they miss.

    Parameters
    ----------
    order : (n,) int array
        Rows sorted by pattern; within one in the order they came.
    first : (P + 1,) int array
        Place in `order` at which each pattern begins, and n.
    missing : (P, d) bool array
    """

    order: Array
    first: Array
    missing: Array

    @property
    def counts(self) -> Array:
        """Rows of each pattern, (P,)."""
        return np.diff(self.first)

    def of_rows(self) -> Array:
        """Pattern of each row, in the order the rows came, (n,)."""
        out = np.empty(len(self.order), dtype=np.intp)
        out[self.order] = np.repeat(np.arange(len(self.missing)), self.counts)
        return out


def patterns_of(missing: Array) -> Patterns:
    """Group the rows of a mask (n, d) by what they miss; for any number of columns.

    The key of a row is its mask as bits, so that different patterns are never mixed up.
    """
    n = len(missing)
    packed = np.packbits(missing, axis=1)
    width = -(-packed.shape[1] // 8) * 8
    keys = np.zeros((n, width), dtype=np.uint8)
    keys[:, : packed.shape[1]] = packed
    words = keys.view(np.uint64)
    few = missing.sum(axis=1)  # patterns that miss equally many columns side by side
    order = np.lexsort([*words.T, few])
    sorted_words = words[order]
    new = np.ones(n, dtype=bool)
    new[1:] = (sorted_words[1:] != sorted_words[:-1]).any(axis=1)
    first = np.append(np.flatnonzero(new), n)
    return Patterns(order, first, missing[order[first[:-1]]])
