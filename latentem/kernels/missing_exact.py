"""Rows of one normal distribution with missing cells, where columns may be nearly collinear.

As `latentem.kernels.missing`, but never forming the precision: blocks of it lose as many
digits as it has lost, and once more when they are factored. With the whitener W of the
covariance (``W' W`` is the precision) the columns of a pattern's missing cells are
factored by orthogonal vectors, ``W_m = Q R``, so that

    E[y_m | y_o]   = -inv(R) Q' W_o y_o
    Cov[y_m | y_o] =  inv(R' R)
    log det S_oo   =  log det S + log det R' R

With one W for all patterns, errors of the log-likelihood go with the root of the condition
number of the covariance.
"""

import numpy as np
from numba import njit

__all__ = ["complete_exactly", "condition_rows"]

# Sums in any order, for SIMD.
compiled = njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")


@compiled
def _invert(factor, n, line):
    """Inverse of a lower triangular matrix, in place."""
    for i in range(n):
        for j in range(i):
            line[j] = 0.0
        for k in range(i):
            weight = factor[i, k]
            for j in range(k + 1):
                line[j] += weight * factor[k, j]
        scale = 1.0 / factor[i, i]
        for j in range(i):
            factor[i, j] = -line[j] * scale
        factor[i, i] = scale


@compiled
def _square(lower, n, out):
    """``lower' lower`` of a lower triangular matrix."""
    for i in range(n):
        for j in range(i + 1):
            out[i, j] = 0.0
    for k in range(n):
        for i in range(k + 1):
            weight = lower[k, i]
            for j in range(i + 1):
                out[i, j] += weight * lower[k, j]
    for i in range(n):
        for j in range(i):
            out[j, i] = out[i, j]


@compiled
def _solve_exactly(missing, whitener, logdet, places, factor, basis, inside, line):
    """Everything about one pattern that does not depend on its rows.

    Parameters
    ----------
    missing : (d,) bool array
    whitener : (d, d) array, lower triangular
    logdet : float
        Log determinant of the covariance.
    places : (d,) int array; overwritten
        Missing columns, in order.
    factor : (d, d) array; overwritten
        The inverse L of R', so that ``L' L`` is the conditional covariance.
    basis : (d, d) array; overwritten
        Row i holds the i-th of m orthonormal vectors that span the missing columns.
    inside : (d, d) array; overwritten
        Conditional covariance, in the order of `places`.
    line : (d,) array; overwritten

    Returns
    -------
    m : int
        Number of missing columns.
    seen : float
        Log determinant of S_oo, NaN where it has none.
    """
    d = missing.size
    m = 0
    for j in range(d):
        if missing[j]:
            places[m] = j
            m += 1
    seen = logdet
    for i in range(m):
        for j in range(d):
            basis[i, j] = whitener[j, places[i]]
    for i in range(m):  # modified Gram-Schmidt: its R is as good as Householder's
        total = 0.0
        for j in range(d):
            total += basis[i, j] * basis[i, j]
        if not total > 0.0:
            return m, np.nan
        size = np.sqrt(total)
        factor[i, i] = size
        seen += 2.0 * np.log(size)
        for j in range(d):
            basis[i, j] /= size
        for k in range(i + 1, m):
            total = 0.0
            for j in range(d):
                total += basis[i, j] * basis[k, j]
            factor[k, i] = total
            for j in range(d):
                basis[k, j] -= total * basis[i, j]
    _invert(factor, m, line)
    _square(factor, m, inside)
    return m, seen


@compiled
def _complete_exactly(y, m, places, whitener, factor, basis, line):
    """Write the conditional mean into the missing cells of a row of deviations.

    It is ``-inv(R) Q' W y`` where ``W_m = Q R``. `line` is left with the whitened row
    ``W y`` of the completed deviations.
    """
    d = y.size
    for i in range(d):
        total = 0.0
        for j in range(i + 1):
            total += whitener[i, j] * y[j]
        line[i] = total
    for i in range(m):  # take what lies in the span of the missing columns out of W y
        total = 0.0
        for j in range(d):
            total += basis[i, j] * line[j]
        for j in range(d):
            line[j] -= total * basis[i, j]
        for k in range(i + 1):  # inv(R) = factor'
            y[places[k]] -= factor[i, k] * total


@compiled
def complete_exactly(
    rows, roots, centred, weights, first, missing, mean, whitener, logdet, filled, spread
):
    """Deviations of rows from the mean, missing cells at their conditional means.

    Parameters
    ----------
    rows, roots, weights, first, missing, mean, logdet, filled, spread
        As in `latentem.kernels.missing.complete_rows`.
    centred : (r,) bool array
        Rows that are deviations already.
    whitener : (d, d) array, lower triangular

    Returns
    -------
    logdets : float
        Sum over the rows of their weight times log det S_oo.
    distance : float
        Sum of their weighted squared distances.
    """
    d = mean.size
    places = np.empty(d, np.int64)
    factor, basis, inside = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    line = np.empty(d)
    logdets, distance = 0.0, 0.0
    for p in range(missing.shape[0]):
        absent = missing[p]
        m, seen = _solve_exactly(absent, whitener, logdet, places, factor, basis, inside, line)
        logdets += weights[p] * seen
        for r in range(first[p], first[p + 1]):
            y, x, root = filled[r], rows[r], roots[r]
            share = 0.0 if centred[r] else 1.0
            for j in range(d):
                y[j] = 0.0 if absent[j] else (x[j] - share * mean[j]) * root
            _complete_exactly(y, m, places, whitener, factor, basis, line)
            for j in range(d):
                distance += line[j] * line[j]
        for i in range(m):
            row = spread[places[i]]
            for j in range(m):
                row[places[j]] += weights[p] * inside[i, j]
    return logdets, distance


@compiled
def condition_rows(
    rows, first, missing, mean, whitener, logdet, noise, filled, deviations, distances, logdets
):
    """Conditional means, or draws, of missing cells, and how likely what is seen is.

    Parameters
    ----------
    rows, first, missing, mean, whitener, logdet
        As in `complete_exactly`.
    noise : (r, d) array, or (0, 0)
        Standard normal numbers, of which those in missing cells are used for draws;
        (0, 0) gives the conditional means.
    filled : (r, d) array; overwritten
        The rows with missing cells filled.
    deviations : (P, d) array; overwritten
        Conditional standard deviations, 0 where seen.
    distances : (r,) array; overwritten
        Squared Mahalanobis distances of what is seen.
    logdets : (P,) array; overwritten
        Log determinants of the covariances of what is seen.
    """
    d = mean.size
    places = np.empty(d, np.int64)
    factor, basis, inside = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    line, y = np.empty(d), np.empty(d)
    for p in range(missing.shape[0]):
        absent = missing[p]
        m, seen = _solve_exactly(absent, whitener, logdet, places, factor, basis, inside, line)
        logdets[p] = seen
        for j in range(d):
            deviations[p, j] = 0.0
        for i in range(m):
            deviations[p, places[i]] = np.sqrt(inside[i, i])
        for r in range(first[p], first[p + 1]):
            x = rows[r]
            for j in range(d):
                y[j] = 0.0 if absent[j] else x[j] - mean[j]
            _complete_exactly(y, m, places, whitener, factor, basis, line)
            distance = 0.0
            for j in range(d):
                distance += line[j] * line[j]
                filled[r, j] = mean[j] + y[j] if absent[j] else x[j]
            distances[r] = distance
            if noise.size > 0:
                for i in range(m):  # L' z has covariance L' L
                    total = 0.0
                    for k in range(i, m):
                        total += factor[k, i] * noise[r, places[k]]
                    filled[r, places[i]] += total
