"""Rows of one normal distribution with missing cells, pattern by pattern.

A pattern says which cells of a row are missing (m) and which are seen (o). With the
covariance S, its inverse K = W' W and deviations y from the mean,

    E[y_m | y_o]   = -inv(K_mm) K_mo y_o  = S_mo inv(S_oo) y_o
    Cov[y_m | y_o] =  inv(K_mm)           = S_mm - S_mo inv(S_oo) S_om
    log det S_oo   =  log det S + log det K_mm

so a pattern costs a factor of the block of K that is missing, or of the block of S that
is seen, whichever is cheaper. Blocks are small and many: their factors are written out
here, because a call of LAPACK would cost more than its arithmetic.

Where columns are nearly collinear, blocks of K lose as many digits as K has lost, and
once more when they are factored. The exact way factors the columns W_m by orthogonal
vectors, K_mm = W_m' W_m = R' R, and never forms K: with one W for all patterns, errors
of the log-likelihood go with the root of the condition number of S.

Deviations are 0 in missing cells, so that products of whole rows of K with them need
no gathering.
"""

import numpy as np
from numba import njit

__all__ = ["complete_groups", "complete_rows", "condition_rows", "mean_information"]

# Sums in any order, for SIMD.
compiled = njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")
#: Share of missing cells above which the block that is seen is cheaper to factor.
MOSTLY_MISSING = 0.6


@compiled
def _factor(a, n):
    """Lower Cholesky factor in place; the log determinant, NaN where there is no factor."""
    logdet = 0.0
    for i in range(n):
        for j in range(i):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            a[i, j] = total / a[j, j]
        total = a[i, i]
        for k in range(i):
            total -= a[i, k] * a[i, k]
        if not total > 0.0:
            return np.nan
        a[i, i] = np.sqrt(total)
        logdet += np.log(total)
    return logdet


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
def _sort_places(missing, places):
    """Missing columns, then those seen, into `places`; the number of missing ones."""
    d = missing.size
    m = 0
    for j in range(d):
        if missing[j]:
            places[m] = j
            m += 1
    o = m
    for j in range(d):
        if not missing[j]:
            places[o] = j
            o += 1
    return m


@compiled
def _solve_pattern(missing, covariance, precision, logdet, places, factor, slopes, inside, line):
    """Everything about one pattern that does not depend on its rows.

    Parameters
    ----------
    missing : (d,) bool array
    covariance, precision : (d, d) array
    logdet : float
        Log determinant of `covariance`.
    places : (d,) int array; overwritten
        Missing columns, then those seen.
    factor : (d, d) array; overwritten
        Where few cells are missing the inverse L of the lower factor of K_mm, so that
        ``L' L`` is the conditional covariance; else the inverse of the factor of S_oo.
    slopes : (d, d) array; overwritten
        Where most cells are missing, row i holds the slopes of the i-th missing column
        on those seen, in the order of `places`.
    inside : (d, d) array; overwritten
        Conditional covariance, in the order of `places`.
    line : (d,) array; overwritten

    Returns
    -------
    m : int
        Number of missing columns.
    few : bool
        Whether it was done from the precision.
    seen : float
        Log determinant of S_oo.
    """
    d = missing.size
    m = _sort_places(missing, places)
    o = d - m
    if m <= MOSTLY_MISSING * d:
        for i in range(m):
            for j in range(i + 1):
                factor[i, j] = precision[places[i], places[j]]
        seen = logdet + _factor(factor, m)
        _invert(factor, m, line)
        _square(factor, m, inside)
        return m, True, seen
    for i in range(o):
        for j in range(i + 1):
            factor[i, j] = covariance[places[m + i], places[m + j]]
    seen = _factor(factor, o)
    _invert(factor, o, line)
    for i in range(m):
        row = covariance[places[i]]
        for k in range(o):  # line = inv(L) S_om of this column
            total = 0.0
            for j in range(k + 1):
                total += factor[k, j] * row[places[m + j]]
            line[k] = total
        for j in range(i + 1):
            inside[i, j] = row[places[j]]
        for k in range(o):
            slopes[i, k] = line[k]
        for j in range(i + 1):
            total = inside[i, j]
            for k in range(o):
                total -= line[k] * slopes[j, k]
            inside[i, j] = total
            inside[j, i] = total
    for i in range(m):  # from inv(L) S_om to inv(S_oo) S_om
        for j in range(o):
            line[j] = 0.0
        for k in range(o):
            weight = slopes[i, k]
            for j in range(k + 1):
                line[j] += weight * factor[k, j]
        for j in range(o):
            slopes[i, j] = line[j]
    return m, False, seen


@compiled
def _complete(y, m, few, places, precision, slopes, inside, line):
    """Write the conditional mean into the missing cells of a row of deviations."""
    d = y.size
    if few:
        for i in range(m):
            row = precision[places[i]]
            total = 0.0
            for j in range(d):  # missing cells are 0
                total += row[j] * y[j]
            line[i] = total
        for i in range(m):
            total = 0.0
            for j in range(m):
                total -= inside[i, j] * line[j]
            y[places[i]] = total
        return
    for i in range(m):
        total = 0.0
        for j in range(d - m):
            total += slopes[i, j] * y[places[m + j]]
        y[places[i]] = total


@compiled
def _solve_exactly(missing, whitener, logdet, places, factor, basis, inside, line):
    """As `_solve_pattern`, from the columns of the whitener.

    Parameters
    ----------
    whitener : (d, d) array, lower triangular
    factor : (d, d) array; overwritten
        The inverse L of R', so that ``L' L`` is the conditional covariance.
    basis : (d, d) array; overwritten
        Row i holds the i-th of m orthonormal vectors that span the missing columns.
    """
    d = missing.size
    m = _sort_places(missing, places)
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
def complete_rows(
    rows, roots, centred, weights, first, missing, mean, covariance, precision, whitener, logdet,
    exact, filled, spread,
):  # fmt: skip
    """Deviations of rows from the mean, missing cells at their conditional means.

    Parameters
    ----------
    rows : (r, d) array
        Sorted by pattern; anything finite in missing cells.
    roots : (r,) array
        Square roots of the weights of the rows.
    centred : (r,) bool array
        Rows that are deviations already.
    weights : (P,) array
        Sum of the weights of the rows of each pattern.
    first : (P + 1,) int array
        Row at which each pattern begins, and r.
    missing : (P, d) bool array
    mean : (d,) array
    covariance, precision : (d, d) array
    whitener : (d, d) array, lower triangular
    logdet : float
        Log determinant of the covariance.
    exact : bool
        Go by the whitener instead of covariance and precision.
    filled : (r, d) array; overwritten
        The deviations times the roots.
    spread : (d, d) array
        The conditional covariances, times the weights, are added to it.

    Returns
    -------
    logdets : float
        Sum over the rows of their weight times log det S_oo.
    distance : float
        Sum of their weighted squared distances, where `exact`; else 0.
    """
    d = mean.size
    places = np.empty(d, np.int64)
    factor, slopes, inside = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    line = np.empty(d)
    logdets, distance, few = 0.0, 0.0, True
    for p in range(missing.shape[0]):
        absent = missing[p]
        if exact:
            m, seen = _solve_exactly(absent, whitener, logdet, places, factor, slopes, inside, line)
        else:
            m, few, seen = _solve_pattern(
                absent, covariance, precision, logdet, places, factor, slopes, inside, line
            )
        logdets += weights[p] * seen
        for r in range(first[p], first[p + 1]):
            y, x, root = filled[r], rows[r], roots[r]
            share = 0.0 if centred[r] else 1.0
            for j in range(d):
                y[j] = 0.0 if absent[j] else (x[j] - share * mean[j]) * root
            if exact:
                _complete_exactly(y, m, places, whitener, factor, slopes, line)
                for j in range(d):
                    distance += line[j] * line[j]
            else:
                _complete(y, m, few, places, precision, slopes, inside, line)
        for i in range(m):
            row = spread[places[i]]
            for j in range(m):
                row[places[j]] += weights[p] * inside[i, j]
    return logdets, distance


@compiled
def complete_groups(
    means, scatters, weights, missing, mean, covariance, precision, logdet, filled,
    products, spread,
):  # fmt: skip
    """As `complete_rows` for patterns that are held as moments of what is seen.

    Parameters
    ----------
    means : (G, d) array
    scatters : (G, d, d) array
        About the means; 0 in missing columns.
    weights : (G,) array
    missing : (G, d) bool array
    mean, covariance, precision, logdet, spread
        As in `complete_rows`.
    filled : (G, d) array; overwritten
        Deviations of the means, completed, times the roots of the weights.
    products : (d, d) array
        The completed scatters are added to it.
    """
    d = mean.size
    places = np.empty(d, np.int64)
    factor, slopes, inside = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    cross, whole = np.empty((d, d)), np.empty((d, d))
    line, y = np.empty(d), np.empty(d)
    total = 0.0
    for g in range(missing.shape[0]):
        absent, scatter = missing[g], scatters[g]
        m, few, seen = _solve_pattern(
            absent, covariance, precision, logdet, places, factor, slopes, inside, line
        )
        total += weights[g] * seen
        z, x, root = filled[g], means[g], np.sqrt(weights[g])
        for j in range(d):
            z[j] = 0.0 if absent[j] else (x[j] - mean[j]) * root
        _complete(z, m, few, places, precision, slopes, inside, line)
        for i in range(d):
            for j in range(d):
                products[i, j] += scatter[i, j]
        for k in range(m, d):  # the slopes on a column seen complete its unit vector
            y[:] = 0.0
            y[places[k]] = 1.0
            _complete(y, m, few, places, precision, slopes, inside, line)
            for i in range(m):
                whole[i, places[k]] = y[places[i]]
        for i in range(m):
            for k in range(m):
                whole[i, places[k]] = 0.0
        for i in range(m):  # cross = whole scatter
            for j in range(d):
                cross[i, j] = 0.0
            for k in range(d):
                row, weight = scatter[k], whole[i, k]
                for j in range(d):
                    cross[i, j] += weight * row[j]
            a = places[i]
            for j in range(d):
                products[a, j] += cross[i, j]
                products[j, a] += cross[i, j]
            for j in range(i + 1):
                value = 0.0
                for k in range(d):
                    value += cross[i, k] * whole[j, k]
                b = places[j]
                products[a, b] += value
                if a != b:
                    products[b, a] += value
                inner = weights[g] * inside[i, j]
                spread[a, b] += inner
                if a != b:
                    spread[b, a] += inner
    return total


@compiled
def condition_rows(
    rows, first, missing, mean, whitener, logdet, noise, filled, deviations, distances, logdets
):
    """Conditional means, or draws, of missing cells, and how likely what is seen is.

    Parameters
    ----------
    rows, first, missing, mean, whitener, logdet
        As in `complete_rows`.
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


@compiled
def mean_information(weights, missing, whitener, out):
    """Add to `out` (d, d) the information about the mean: inv(S_oo) of each pattern.

    Parameters
    ----------
    weights : (P,) array
    missing : (P, d) bool array
    whitener : (d, d) array, lower triangular
    """
    d = missing.shape[1]
    places = np.empty(d, np.int64)
    factor, basis, inside = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    line = np.empty(d)
    for p in range(missing.shape[0]):
        absent, weight = missing[p], weights[p]
        m, _ = _solve_exactly(absent, whitener, 0.0, places, factor, basis, inside, line)
        for i in range(m, d):  # inside = columns seen, out of the span of those missing
            for j in range(d):
                line[j] = whitener[j, places[i]]
            for k in range(m):
                total = 0.0
                for j in range(d):
                    total += basis[k, j] * line[j]
                for j in range(d):
                    line[j] -= total * basis[k, j]
            for j in range(d):
                inside[i, j] = line[j]
        for i in range(m, d):
            for k in range(m, i + 1):
                total = 0.0
                for j in range(d):
                    total += inside[i, j] * inside[k, j]
                out[places[i], places[k]] += weight * total
                if i != k:
                    out[places[k], places[i]] += weight * total
