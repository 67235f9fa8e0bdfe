"""Moments of groups of rows, and rows that have given scatters."""

import numpy as np
from numba import njit

__all__ = ["factor_scatters", "group_moments"]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")
def group_moments(rows, weights, first, total, means, scatters):
    """Weight, mean and scatter of each group of rows.

    Parameters
    ----------
    rows : (r, d) array
        0 in missing cells.
    weights : (r,) array
    first : (G + 1,) int array
        Row at which each group begins, and r.
    total : (G,) array; overwritten
    means : (G, d) array; overwritten
    scatters : (G, d, d) array; overwritten
    """
    d = rows.shape[1]
    y = np.empty(d)
    for g in range(total.size):
        mean, scatter = means[g], scatters[g]
        mean[:] = 0.0
        scatter[:] = 0.0
        weight = 0.0
        for r in range(first[g], first[g + 1]):
            weight += weights[r]
            share = weights[r] / weight
            for j in range(d):
                mean[j] += share * (rows[r, j] - mean[j])
        for r in range(first[g], first[g + 1]):
            w = weights[r]
            for j in range(d):
                y[j] = rows[r, j] - mean[j]
            for i in range(d):
                line, wy = scatter[i], w * y[i]
                for j in range(i + 1):
                    line[j] += wy * y[j]
        for i in range(d):
            for j in range(i):
                scatter[j, i] = scatter[i, j]
        total[g] = weight


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")
def factor_scatters(scatters, out):
    """Rows whose products sum to each scatter, by Cholesky factors with full pivoting.

    Pivoting keeps it exact to rounding where a scatter is singular.

    Parameters
    ----------
    scatters : (G, d, d) array
    out : (G, d, d) array; overwritten
        ``out[g].T @ out[g]`` is ``scatters[g]``.
    """
    d = scatters.shape[1]
    rest = np.empty((d, d))
    for g in range(scatters.shape[0]):
        rest[:] = scatters[g]
        out[g] = 0.0
        for k in range(d):
            best = 0
            for j in range(1, d):
                if rest[j, j] > rest[best, best]:
                    best = j
            if not rest[best, best] > 0.0:
                break
            line = out[g, k]
            scale = 1.0 / np.sqrt(rest[best, best])
            for j in range(d):
                line[j] = rest[best, j] * scale
            for i in range(d):
                for j in range(d):
                    rest[i, j] -= line[i] * line[j]
            for j in range(d):  # exactly, so that it is not chosen again
                rest[best, j] = 0.0
                rest[j, best] = 0.0
