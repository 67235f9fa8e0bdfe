"""Cells of families whose columns are independent: bad ones refused, missing ones filled."""

from __future__ import annotations

import numpy as np

__all__ = ["filled", "refuse"]

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
