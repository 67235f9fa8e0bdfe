"""Rows of one normal distribution with missing cells, pattern by pattern.

A pattern says which cells of a row are missing (m) and which are seen (o). With the
covariance S, its inverse K and deviations y from the mean,

    E[y_m | y_o]   = -inv(K_mm) K_mo y_o  = S_mo inv(S_oo) y_o
    Cov[y_m | y_o] =  inv(K_mm)           = S_mm - S_mo inv(S_oo) S_om
    log det S_oo   =  log det S + log det K_mm

so a pattern costs the inverse of the block of K that is missing, or of the block of S that
is seen, whichever is smaller. Blocks are small and many: a call of LAPACK would cost more
than its arithmetic. Small ones are inverted eight at a time, patterns side by side in the
lanes of SIMD registers.

Deviations are 0 in missing cells, so that products of whole rows of K with them need no
gathering. `latentem.kernels.missing_exact` is for covariances whose inverse is not exact
enough for this.
"""

import numpy as np
from numba import njit

__all__ = ["complete_groups", "complete_rows", "mean_information"]

# Sums in any order, for SIMD.
compiled = njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")
#: Share of missing cells above which the block that is seen is cheaper to invert.
MOSTLY_MISSING = 0.6
#: Patterns that are inverted side by side, and the most missing cells for which they are.
LANES = 8
SMALL = 24
#: A product of pivots outside of these is taken into a logarithm.
TINY, HUGE = 1e-100, 1e100


@compiled
def _invert(a, n, line):
    """Inverse of a positive definite matrix in place, by sweeps; its log determinant.

    NaN where a pivot is not positive.
    """
    logdet, product = 0.0, 1.0
    for k in range(n):
        pivot = a[k, k]
        if not pivot > 0.0:
            return np.nan
        product *= pivot
        if product < TINY or product > HUGE:
            logdet += np.log(product)
            product = 1.0
        scale = 1.0 / pivot
        for j in range(n):
            line[j] = a[k, j] * scale
        line[k] = scale
        for i in range(n):
            row = a[i]
            weight = row[k] if i != k else 0.0
            row[k] = row[k] if i == k else 0.0
            for j in range(n):
                row[j] -= weight * line[j]
        for j in range(n):
            a[k, j] = line[j]
    return logdet + np.log(product)


@compiled
def _invert_lanes(a, n, line, product, logdets):
    """As `_invert` for `LANES` matrices at once, of which the lower triangle is used.

    Sweeps that keep the matrix symmetric end at minus its inverse.

    Parameters
    ----------
    a : (n or more, n or more, LANES) array; overwritten
    n : int
    line : (n or more, LANES) array; overwritten
    product : (LANES,) array; overwritten
    logdets : (LANES,) array; overwritten
    """
    scale, weight = np.empty(LANES), np.empty(LANES)
    for lane in range(LANES):
        product[lane] = 1.0
        logdets[lane] = 0.0
    for k in range(n):
        extreme = False
        for lane in range(LANES):
            pivot = a[k, k, lane]
            product[lane] *= pivot if pivot > 0.0 else np.nan
            extreme |= not (product[lane] > TINY and product[lane] < HUGE)
        if extreme:
            for lane in range(LANES):
                logdets[lane] += np.log(product[lane])
                product[lane] = 1.0
        for lane in range(LANES):
            scale[lane] = 1.0 / a[k, k, lane]
            a[k, k, lane] = -scale[lane]
        for j in range(n):
            if j != k:
                for lane in range(LANES):
                    value = a[k, j, lane] if j < k else a[j, k, lane]
                    line[j, lane] = value
                    if j < k:
                        a[k, j, lane] = value * scale[lane]
                    else:
                        a[j, k, lane] = value * scale[lane]
        for i in range(n):
            if i == k:
                continue
            for lane in range(LANES):
                weight[lane] = line[i, lane] * scale[lane]
            for j in range(i + 1):
                if j != k:
                    for lane in range(LANES):
                        a[i, j, lane] -= weight[lane] * line[j, lane]
    for lane in range(LANES):
        logdets[lane] += np.log(product[lane])
    for i in range(n):
        for j in range(i + 1):
            for lane in range(LANES):
                a[i, j, lane] = -a[i, j, lane]


@compiled
def _solve_lanes(missing, begin, precision, stack, places, line, product, logdets):
    """Conditional covariances of up to `LANES` patterns that miss equally many columns.

    Parameters
    ----------
    missing : (P, d) bool array
    begin : int
        The first of them.
    precision : (d, d) array
    stack : (SMALL, SMALL, LANES) array; overwritten
        Lower triangles of their conditional covariances.
    places : (LANES, d) int array; overwritten
        Their missing columns.
    line, product : array; overwritten
    logdets : (LANES,) array; overwritten
        Log determinants of K_mm.

    Returns
    -------
    m : int
        Number of missing columns.
    count : int
        Number of patterns, 0 where they miss too many columns.
    """
    m, count = 0, 0
    for p in range(begin, min(begin + LANES, missing.shape[0])):
        absent, place = missing[p], places[count]
        found = 0
        for j in range(absent.size):
            if absent[j]:
                place[found] = j
                found += 1
        if count == 0:
            m = found
        if found != m or m > SMALL or m > MOSTLY_MISSING * absent.size:
            break
        for i in range(m):
            row = precision[place[i]]
            for j in range(i + 1):
                stack[i, j, count] = row[place[j]]
        count += 1
    if count > 0:
        for lane in range(count, LANES):
            for i in range(m):
                for j in range(i + 1):
                    stack[i, j, lane] = 1.0 if i == j else 0.0
        _invert_lanes(stack, m, line, product, logdets)
    return m, count


@compiled
def _solve_pattern(missing, covariance, precision, logdet, places, slopes, inside, line, block):
    """Everything about one pattern that does not depend on its rows.

    Parameters
    ----------
    missing : (d,) bool array
    covariance, precision : (d, d) array
    logdet : float
        Log determinant of `covariance`.
    places : (d,) int array; overwritten
        Missing columns, then those seen.
    slopes : (d, d) array; overwritten
        Where most cells are missing, row i holds the slopes of the i-th missing column
        on those seen, in the order of `places`.
    inside : (d, d) array; overwritten
        Conditional covariance, in the order of `places`.
    line : (d,) array; overwritten
    block : (d, d) array; overwritten

    Returns
    -------
    m : int
        Number of missing columns.
    few : bool
        Whether it was done from the precision.
    seen : float
        Log determinant of S_oo, NaN where it has none.
    """
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
    o = d - m
    if m <= MOSTLY_MISSING * d:
        for i in range(m):
            for j in range(m):
                inside[i, j] = precision[places[i], places[j]]
        return m, True, logdet + _invert(inside, m, line)
    for i in range(o):
        for j in range(o):
            block[i, j] = covariance[places[m + i], places[m + j]]
    seen = _invert(block, o, line)
    for i in range(m):
        row, slope = covariance[places[i]], slopes[i]
        for j in range(o):
            slope[j] = 0.0
        for k in range(o):
            weight = row[places[m + k]]
            for j in range(o):
                slope[j] += weight * block[k, j]
        for j in range(i + 1):
            other = covariance[places[j]]
            total = row[places[j]]
            for k in range(o):
                total -= slope[k] * other[places[m + k]]
            inside[i, j] = total
            inside[j, i] = total
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
def complete_rows(
    rows, roots, weights, first, missing, mean, covariance, precision, logdet, filled, spread,
    logdets,
):  # fmt: skip
    """Deviations of rows from the mean, missing cells at their conditional means.

    Parameters
    ----------
    rows : (r, d) array
        Sorted by pattern, 0 in missing cells.
    roots : (r,) array
        Square roots of the weights of the rows.
    weights : (P,) array
        Sum of the weights of the rows of each pattern.
    first : (P + 1,) int array
        Row at which each pattern begins, and r.
    missing : (P, d) bool array
        Sorted by the number of missing cells, for speed.
    mean : (d,) array
    covariance, precision : (d, d) array
    logdet : float
        Log determinant of the covariance.
    filled : (r, d) array; overwritten
        The deviations times the roots.
    spread : (d, d) array
        The conditional covariances, times the weights, are added to it.
    logdets : (P,) array; overwritten
        log det S_oo of each pattern, NaN where it has none.
    """
    d, n_patterns = mean.size, missing.shape[0]
    slopes, inside, block = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    line, base = np.empty(d), np.empty(d)
    stack, lines = np.empty((SMALL, SMALL, LANES)), np.empty((SMALL, LANES))
    places = np.empty((LANES, d), np.int64)
    product, of_lanes = np.empty(LANES), np.empty(LANES)
    p = 0
    while p < n_patterns:
        m, count = _solve_lanes(missing, p, precision, stack, places, lines, product, of_lanes)
        alone = count == 0
        for lane in range(max(count, 1)):
            absent, place, few = missing[p], places[lane], True
            if alone:
                m, few, seen = _solve_pattern(
                    absent, covariance, precision, logdet, place, slopes, inside, line, block
                )
            else:
                seen = logdet + of_lanes[lane]
                for i in range(m):
                    for j in range(i + 1):
                        inside[i, j] = stack[i, j, lane]
                        inside[j, i] = stack[i, j, lane]
            logdets[p] = seen
            for j in range(d):
                base[j] = 0.0 if absent[j] else mean[j]
            for r in range(first[p], first[p + 1]):
                y, x, root = filled[r], rows[r], roots[r]
                for j in range(d):
                    y[j] = (x[j] - base[j]) * root
                _complete(y, m, few, place, precision, slopes, inside, line)
            for i in range(m):
                row = spread[place[i]]
                for j in range(m):
                    row[place[j]] += weights[p] * inside[i, j]
            p += 1


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

    Returns
    -------
    float
        Sum over the patterns of their weight times log det S_oo.
    """
    d = mean.size
    places = np.empty(d, np.int64)
    slopes, inside, block = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    cross, whole = np.empty((d, d)), np.empty((d, d))
    line, y = np.empty(d), np.empty(d)
    total = 0.0
    for g in range(missing.shape[0]):
        absent, scatter = missing[g], scatters[g]
        m, few, seen = _solve_pattern(
            absent, covariance, precision, logdet, places, slopes, inside, line, block
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
def mean_information(weights, missing, covariance, precision, out):
    """Add to `out` (d, d) the information about the mean: inv(S_oo) of each pattern.

    Parameters
    ----------
    weights : (P,) array
    missing : (P, d) bool array
    covariance, precision : (d, d) array
    """
    d = missing.shape[1]
    places = np.empty(d, np.int64)
    slopes, inside, block = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    line, share = np.empty(d), np.empty(d)
    for p in range(missing.shape[0]):
        absent, weight = missing[p], weights[p]
        m, few, _ = _solve_pattern(
            absent, covariance, precision, 0.0, places, slopes, inside, line, block
        )
        if not few:
            for i in range(d - m):
                for j in range(d - m):
                    out[places[m + i], places[m + j]] += weight * block[i, j]
            continue
        for j in range(d):
            share[j] = 0.0 if absent[j] else weight
        for i in range(m):  # slopes = inv(K_mm) K_m
            slope = slopes[i]
            slope[:] = 0.0
            for k in range(m):
                row = precision[places[k]]
                for j in range(d):
                    slope[j] += inside[i, k] * row[j]
        for i in range(m, d):  # K_oo - K_om inv(K_mm) K_mo
            a = places[i]
            for j in range(d):
                line[j] = precision[a, j]
            for k in range(m):
                part = precision[a, places[k]]
                for j in range(d):
                    line[j] -= part * slopes[k, j]
            for j in range(d):
                out[a, j] += share[j] * line[j]
