"""Gaussian log densities and moments as matrix products over blocks of features.

For centred rows ``y = x - c`` a Gaussian log density is linear in the features

- full: ``1, y, y_a y_b`` for a <= b, row by row,
- diag: ``1, y, y_a^2``,
- spherical, and tied where the rows are whitened before: ``1, y, |y|^2``,

so one matrix product gives all components at once, and the transposed product
their moments. Rows are taken in tiles whose features stay in cache; one call
covers a whole block, so that threads meet at the interpreter's lock only a few
times per block.
"""

import numpy as np
from numba import njit

__all__ = [
    "DIAG",
    "FULL",
    "NORM",
    "log_densities",
    "moment_sums",
]

FULL, DIAG, NORM = 0, 1, 2
#: Floats of the features of a tile (2 MB).
TILE = 2**18


@njit(cache=True, nogil=True)
def _multiply(left, right, out):
    np.dot(left, right, out)


@njit(cache=True, nogil=True)
def _add_product(left, right, out):
    """Add ``left @ right.T`` to `out`."""
    part = np.empty(out.shape)
    np.dot(left, right.T, part)  # given where to, it compiles in a third of the time
    for i in range(part.shape[0]):
        for j in range(part.shape[1]):
            out[i, j] += part[i, j]


@njit(cache=True, nogil=True)
def _features(x, centre, kind, out):
    """Features of the rows of `x` (m, d), one in each row of `out` (p, m)."""
    n_rows, d = x.shape
    for i in range(n_rows):
        out[0, i] = 1.0
    whole = n_rows - n_rows % 8
    for i in range(0, whole, 8):
        for j in range(d):
            for ii in range(i, i + 8):  # eight rows at a time: whole cache lines both ways
                out[1 + j, ii] = x[ii, j] - centre[j]
    for i in range(whole, n_rows):
        for j in range(d):
            out[1 + j, i] = x[i, j] - centre[j]
    p = 1 + d
    if kind == FULL or kind == DIAG:  # noqa: SIM109 - compiled
        for a in range(d):
            left = out[1 + a]
            for b in range(a, d if kind == FULL else a + 1):
                right = out[1 + b]
                target = out[p]
                for i in range(n_rows):
                    target[i] = left[i] * right[i]
                p += 1
        return
    target = out[p]
    for i in range(n_rows):
        target[i] = 0.0
    for a in range(d):
        left = out[1 + a]
        for i in range(n_rows):
            target[i] += left[i] * left[i]


@njit(cache=True, nogil=True)
def log_densities(x, centre, coefficients, kind, features, out):
    """Log densities as ``coefficients @ features``.

    Parameters
    ----------
    x : (m, d) array, C order
    centre : (d,) array
    coefficients : (K, p) array
    kind : int
        FULL, DIAG or NORM.
    features : (p, m) array, or (0, 0)
        Where the features are left for `moment_sums`; (0, 0) works in tiles and
        leaves nothing.
    out : (K, m) array, C order
    """
    n_rows = x.shape[0]
    p = coefficients.shape[1]
    if features.size > 0:
        _features(x, centre, kind, features)
        _multiply(coefficients, features, out)
        return
    count = max(1, -(-n_rows * p // TILE))
    size = -(-n_rows // count)
    for begin in range(0, n_rows, size):
        end = min(n_rows, begin + size)
        tile = np.empty((p, end - begin))
        _features(x[begin:end], centre, kind, tile)
        part = np.empty((coefficients.shape[0], end - begin))
        _multiply(coefficients, tile, part)
        for k in range(part.shape[0]):
            for i in range(part.shape[1]):
                out[k, begin + i] = part[k, i]


@njit(cache=True, nogil=True)
def moment_sums(x, centre, weights, kind, features, sums):
    """Add ``weights @ features.T`` to `sums`.

    Parameters
    ----------
    x, centre, kind
        As in `log_densities`.
    weights : (K, m) array, C order
    features : (p, m) array, or (0, 0)
        The features where `log_densities` left them.
    sums : (K, p) array
    """
    n_rows = x.shape[0]
    kept = features.size > 0
    count = 1 if kept else max(1, -(-n_rows * sums.shape[1] // TILE))
    size = max(1, -(-n_rows // count))
    for begin in range(0, n_rows, size):
        end = min(n_rows, begin + size)
        tile, share = features, weights
        if not kept:
            tile = np.empty((sums.shape[1], end - begin))
            _features(x[begin:end], centre, kind, tile)
            share = np.empty((weights.shape[0], end - begin))
            for k in range(share.shape[0]):
                for i in range(share.shape[1]):
                    share[k, i] = weights[k, begin + i]
        _add_product(share, tile, sums)
