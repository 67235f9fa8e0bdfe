"""Regressions with some coefficients kept, from expected second moments."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Pair", "coefficients", "residual", "symmetric"]

Array = np.ndarray


class Pair(NamedTuple):
    """Expected sums of products of targets (k) and regressors (r), and how many rows."""

    tt: Array
    tr: Array
    rr: Array
    rows: float


def symmetric(matrix: Array) -> Array:
    """The symmetric part of a matrix."""
    return 0.5 * (matrix + np.swapaxes(matrix, -1, -2))


def coefficients(tr: Array, rr: Array, free: Array, old: Array, noise: Array) -> Array:
    """Coefficients Z (k, r) that maximise the likelihood at a given covariance of the noise.

    Only those that are `free` move. They solve

        (inv(noise) Z rr)[free] = (inv(noise) tr)[free],

    which is a regression of each row on its own where the noise is diagonal. A row of noise 0 has
    no free entry.

    Parameters
    ----------
    tr : (k, r) array
    rr : (r, r) array
    free : (k, r) bool array
    old : (k, r) array
        Values of what is not free.
    noise : (k, k) array
    """
    if not free.any():
        return old
    if free.all():
        return _solve(rr, tr.T).T
    noisy = np.diag(noise) > 0
    if not np.any(noise - np.diag(np.diag(noise))):
        new = old.copy()
        for row in np.flatnonzero(free.any(axis=1)):
            at = free[row]
            rest = tr[row, at] - rr[np.ix_(at, ~at)] @ old[row, ~at]
            new[row, at] = _solve(rr[np.ix_(at, at)], rest)
        return new
    weight = np.zeros_like(noise)
    weight[np.ix_(noisy, noisy)] = np.linalg.inv(noise[np.ix_(noisy, noisy)])
    kept = np.where(free, 0.0, old)
    i, j = np.nonzero(free)
    wanted = (weight @ (tr - kept @ rr))[i, j]
    new = old.copy()
    new[i, j] = _solve(weight[np.ix_(i, i)] * rr[np.ix_(j, j)], wanted)
    return new


def _solve(square: Array, right: Array) -> Array:
    """The solution of least length where regressors depend on each other."""
    try:
        return np.linalg.solve(square, right)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(square, right, rcond=None)[0]


def residual(pair: Pair, slope: Array) -> Array:
    """Expected sum of products of what the regression leaves."""
    moved = slope @ pair.tr.T
    return symmetric(pair.tt - moved - moved.T + slope @ pair.rr @ slope.T)
