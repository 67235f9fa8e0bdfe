"""Probabilities in proportion to counts, some of them kept: the M-step of a simplex."""

from __future__ import annotations

import numpy as np

__all__ = ["maximize_rows"]

Array = np.ndarray


def maximize_rows(counts: Array, values: Array, free: Array | None) -> Array:
    """Probabilities in proportion to counts, along the last axis.

    Parameters
    ----------
    counts : (..., K) array
    values : (..., K) array
        Probabilities so far: kept where not free, and where a row has no counts.
    free : (..., K) bool array, optional
    """
    counts = counts if free is None else np.where(free, counts, 0.0)
    total = np.add.reduce(counts, axis=-1, keepdims=True)
    if free is None and np.count_nonzero(total > 0) == total.size:
        return counts / total
    new = counts / np.where(total > 0, total, 1.0)
    if free is not None:
        kept = np.where(free, 0.0, values)
        mass = 1.0 - kept.sum(axis=-1, keepdims=True)
        new = np.where(free, new * mass, values)
    return np.where(total > 0, new, values)
