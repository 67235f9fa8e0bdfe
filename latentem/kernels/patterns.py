"""Moments of columns and of groups of rows with missing cells, and rows of given scatter."""

import numpy as np
from numba import njit

__all__ = ["column_moments", "factor_scatters", "gather_rows", "group_moments"]

#: Rows whose products are taken at once.
TILE = 256


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")
def column_moments(x, weights, total, mean, scatter):
    """Weight, mean and scatter of each column over the cells that are seen.

    Parameters
    ----------
    x : (n, d) array
        NaN in missing cells.
    weights : (n,) array
    total, mean, scatter : (d,) array; overwritten
        0 where no cell is seen.
    """
    n, d = x.shape
    total[:] = 0.0
    mean[:] = 0.0
    scatter[:] = 0.0
    origin = np.zeros(d)
    for j in range(d):  # a value of the column, so that its sum has no large number in it
        for i in range(n):
            if x[i, j] == x[i, j]:
                origin[j] = x[i, j]
                break
    for i in range(n):
        for j in range(d):
            w = weights[i] if x[i, j] == x[i, j] else 0.0
            total[j] += w
            mean[j] += w * (x[i, j] - origin[j]) if w > 0.0 else 0.0
    for j in range(d):
        mean[j] = origin[j] + mean[j] / total[j] if total[j] > 0.0 else 0.0
    for i in range(n):
        for j in range(d):
            y = x[i, j] - mean[j]
            scatter[j] += weights[i] * y * y if y == y else 0.0


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")
def gather_rows(x, weights, order, missing, first, centre, scale, rows, row_weights):
    """Rows of some patterns, one after the other: ``(x - centre) / scale``, 0 where missing.

    Parameters
    ----------
    x : (n, d) array
    weights : (n,) array
    order : (r,) int array
        Which rows, sorted by pattern.
    missing : (P, d) bool array
    first : (P + 1,) int array
        Place in `order` at which each pattern begins, and r.
    centre, scale : (d,) array
    rows : (r, d) array; overwritten
    row_weights : (r,) array; overwritten
    """
    d = x.shape[1]
    for p in range(missing.shape[0]):
        absent = missing[p]
        for r in range(first[p], first[p + 1]):
            source, target = x[order[r]], rows[r]
            row_weights[r] = weights[order[r]]
            for j in range(d):
                target[j] = 0.0 if absent[j] else (source[j] - centre[j]) / scale[j]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")
def group_moments(x, weights, order, missing, first, last, centre, scale, total, means, scatters):
    """Weight, mean and scatter of the rows of some patterns.

    Parameters
    ----------
    x, weights, missing, centre, scale
        As in `gather_rows`.
    order : (r,) int array
    first, last : (G,) int array
        Places in `order` between which the rows of each pattern are.
    total : (G,) array; overwritten
    means : (G, d) array; overwritten
    scatters : (G, d, d) array; overwritten
    """
    d = x.shape[1]
    tile, part = np.empty((TILE, d)), np.empty((d, d))
    for g in range(total.size):
        absent, mean, scatter = missing[g], means[g], scatters[g]
        mean[:] = 0.0
        weight = 0.0
        for r in range(first[g], last[g]):
            row, w = x[order[r]], weights[order[r]]
            weight += w
            for j in range(d):
                mean[j] += 0.0 if absent[j] else w * (row[j] - centre[j])
        for j in range(d):
            mean[j] /= weight * scale[j]
        total[g] = weight
        scatter[:] = 0.0
        for begin in range(first[g], last[g], TILE):
            size = min(TILE, last[g] - begin)
            for i in range(size):
                row, line = x[order[begin + i]], tile[i]
                root = np.sqrt(weights[order[begin + i]])
                for j in range(d):
                    z = 0.0 if absent[j] else (row[j] - centre[j]) / scale[j]
                    line[j] = root * (z - mean[j])
            np.dot(tile[:size].T, tile[:size], part)
            for i in range(d):
                for j in range(d):
                    scatter[i, j] += 0.5 * (part[i, j] + part[j, i])


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
