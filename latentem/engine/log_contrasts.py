"""Orthonormal log-contrasts of compositions (isometric log-ratios), and back.

Egozcue et al. 2003, doi:10.1023/A:1023818214614.
"""

from __future__ import annotations

from functools import cache

import numpy as np

__all__ = ["composition", "log_contrasts"]

Array = np.ndarray
#: Categories up to which the contrasts of a simplex are a stored matrix.
DENSE = 128


@cache
def _contrasts(size: int) -> Array:
    """Orthonormal rows that sum to zero, (size - 1, size)."""
    rows = np.zeros((max(size - 1, 0), size))
    for i in range(size - 1):
        rows[i, : i + 1] = 1.0 / (i + 1)
        rows[i, i + 1] = -1.0
        rows[i] *= np.sqrt((i + 1) / (i + 2))
    return rows


def log_contrasts(logs: Array) -> Array:
    """Products of rows with the contrasts; for many categories without the matrix."""
    size = logs.shape[-1]
    if size <= DENSE:
        return logs @ _contrasts(size).T
    i = np.arange(1, size)
    means = np.cumsum(logs, axis=-1)[..., :-1] / i
    return np.sqrt(i / (i + 1)) * (means - logs[..., 1:])


def _logits(flat: Array, size: int) -> Array:
    """Rows of mean 0 that have these contrasts."""
    if size <= DENSE:
        return flat @ _contrasts(size)
    i = np.arange(1, size)
    scaled = flat * np.sqrt(i / (i + 1))
    out = np.zeros((*flat.shape[:-1], size))
    out[..., :-1] = np.cumsum((scaled / i)[..., ::-1], axis=-1)[..., ::-1]
    out[..., 1:] -= scaled
    return out


def composition(flat: Array, size: int) -> Array:
    """Rows on the simplex from their log-contrasts; NaN where these are not finite."""
    with np.errstate(invalid="ignore"):
        logits = _logits(flat, size)
        powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)
