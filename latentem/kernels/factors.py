"""Rows of a factor model with missing cells, patterns side by side.

With the cells o of a row seen, loadings L (d, q), noise variances P and deviations y from
the mean,

    M      = I + L_o' inv(P_o) L_o            (q, q), shared by the rows of a pattern
    E[f]   = inv(M) L_o' inv(P_o) y_o,   Cov[f] = inv(M)
    log det S_oo         = log det P_o + log det M
    y_o' inv(S_oo) y_o   = r' inv(P_o) r + E[f]' E[f],   r = y_o - L_o E[f]

The last line has no difference in it, so nothing cancels where the noise is small.

Cells that are missing are 0, and a mask of 0 and 1 says which are seen, so that all sums
over rows and columns are matrix products. The (q, q) matrices of a tile of patterns are
factorised side by side, one pattern to a lane of the SIMD registers; their lower triangles
are packed row by row.
"""

import numpy as np
from numba import njit

__all__ = ["condition_rows", "expect_factors", "solve_columns"]

# Sums in any order, for SIMD.
compiled = njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")
#: Cells of a tile, and the most and fewest rows of one.
TILE_CELLS = 32768
MOST_ROWS = 256
FEWEST_ROWS = 16
#: A product of pivots above this is taken into a logarithm.
HUGE = 1e100


@compiled
def _factorise(a, n, logdet):
    """Cholesky factors of packed matrices side by side, in place, their diagonals inverted.

    Parameters
    ----------
    a : (n (n + 1) / 2, lanes) array; overwritten
    n : int
    logdet : (lanes,) array; overwritten
        Log determinants.
    """
    lanes = a.shape[1]
    product, root = np.ones(lanes), np.empty(lanes)
    logdet[:] = 0.0
    for k in range(n):
        row = k * (k + 1) // 2
        pivot = a[row + k]
        for j in range(k):
            left = a[row + j]
            for lane in range(lanes):
                pivot[lane] -= left[lane] * left[lane]
        extreme = False
        for lane in range(lanes):
            product[lane] *= pivot[lane]
            extreme |= product[lane] > HUGE
            root[lane] = 1.0 / np.sqrt(pivot[lane])
            pivot[lane] = root[lane]
        if extreme:
            for lane in range(lanes):
                logdet[lane] += np.log(product[lane])
                product[lane] = 1.0
        for i in range(k + 1, n):
            below = i * (i + 1) // 2
            target = a[below + k]
            for j in range(k):
                left, right = a[below + j], a[row + j]
                for lane in range(lanes):
                    target[lane] -= left[lane] * right[lane]
            for lane in range(lanes):
                target[lane] *= root[lane]
    for lane in range(lanes):
        logdet[lane] += np.log(product[lane])


@compiled
def _invert(a, n):
    """Inverses of the matrices of which `a` holds what `_factorise` left, in place."""
    lanes = a.shape[1]
    total = np.empty(lanes)
    for i in range(1, n):  # inverses of the factors
        row = i * (i + 1) // 2
        pivot = a[row + i]
        for j in range(i):
            total[:] = 0.0
            for k in range(j, i):
                left, right = a[row + k], a[k * (k + 1) // 2 + j]
                for lane in range(lanes):
                    total[lane] -= left[lane] * right[lane]
            target = a[row + j]
            for lane in range(lanes):
                target[lane] = total[lane] * pivot[lane]
    for i in range(n):  # their products; the diagonal last, it is used for the others
        for j in range(i + 1):
            total[:] = 0.0
            for k in range(i, n):
                below = k * (k + 1) // 2
                left, right = a[below + i], a[below + j]
                for lane in range(lanes):
                    total[lane] += left[lane] * right[lane]
            a[i * (i + 1) // 2 + j] = total


@compiled
def _condition(rows, roots, centred, of_rows, seen, mean, outer, scaled, z, logdet):
    """Deviations, posterior means of the factors and posterior covariances of a tile.

    Parameters
    ----------
    rows : (r, d) array
    roots : (r,) array
    centred : (r,) bool array
    of_rows : (r,) int array
        Which of the patterns each row has.
    seen : (P, d) array of 0 and 1
    mean : (d,) array
    outer : (q (q + 1) / 2, d) array
        Packed products of the loadings of each column, over its noise variance.
    scaled : (q, d) array
        Loadings over noise variances.
    z : (r, d) array; overwritten
        Deviations times the roots, 0 where missing.
    logdet : (P,) array; overwritten
        Log determinants of M.

    Returns
    -------
    factors : (q, r) array
        Posterior means, times the roots.
    inside : (q (q + 1) / 2, P) array
        Posterior covariances.
    """
    n_factors, d = scaled.shape
    for r in range(rows.shape[0]):
        x, y, mask, root = rows[r], z[r], seen[of_rows[r]], roots[r]
        far = 0.0 if centred[r] else 1.0
        for j in range(d):
            y[j] = root * mask[j] * (x[j] - far * mean[j])
    inside = np.dot(outer, seen.T)
    for a in range(n_factors):
        inside[a * (a + 1) // 2 + a] += 1.0
    _factorise(inside, n_factors, logdet)
    _invert(inside, n_factors)
    slopes = np.dot(scaled, z.T)
    factors = np.zeros((n_factors, rows.shape[0]))
    for a in range(n_factors):
        target = factors[a]
        for b in range(n_factors):
            high, low = (a, b) if a > b else (b, a)
            weight, slope = inside[high * (high + 1) // 2 + low], slopes[b]
            for r in range(rows.shape[0]):
                target[r] += weight[of_rows[r]] * slope[r]
    return factors, inside


@compiled
def _tile_end(first, begin, size):
    """The pattern after the last of a tile that begins at `begin`.

    It has at most `size` rows, or one pattern.
    """
    end = begin + 1
    while end < first.size - 1 and first[end + 1] - first[begin] <= size:
        end += 1
    return end


@compiled
def expect_factors(
    rows, roots, centred, first, weights, seen, mean, loadings, outer, scaled, inverse,
    overall, gram, cross, squares,
):  # fmt: skip
    """Expected statistics of the regression of each column on the factors and a constant.

    With g = (f, 1) and residuals e_j = x_j - L_j f - mean_j, summed over the rows in which
    column j is seen, times their weights.

    Parameters
    ----------
    rows : (r, d) array
        Sorted by pattern, 0 in missing cells.
    roots : (r,) array
        Square roots of the weights of the rows.
    centred : (r,) bool array
        Rows that are deviations from a mean, and are no row for the constant.
    first : (P + 1,) int array
        Row at which each pattern begins, and r.
    weights : (P,) array
        Sum of the weights of the rows of each pattern.
    seen : (P, d) array of 0 and 1
    mean : (d,) array
    loadings : (q, d) array
    outer, scaled
        As in `_condition`.
    inverse : (d,) array
        1 / noise variance.
    overall : ((q + 1) (q + 2) / 2,) array; overwritten
        E[g g'], packed, over all rows.
    gram : ((q + 1) (q + 2) / 2, d) array; overwritten
        E[g g'], packed.
    cross : (q + 1, d) array; overwritten
        E[e_j g].
    squares : (d,) array; overwritten
        E[e_j^2].

    Returns
    -------
    logdet, distance : float
        Sums over the rows of their weight times log det M, and of the squared Mahalanobis
        distances of what is seen.
    """
    n_factors, d = loadings.shape
    n_patterns, n_inside = seen.shape[0], outer.shape[0]
    overall[:] = 0.0
    gram[:] = 0.0
    cross[:] = 0.0
    squares[:] = 0.0
    spread = np.zeros((n_inside, d))
    total, length = 0.0, 0.0
    size = max(min(TILE_CELLS // d, MOST_ROWS), FEWEST_ROWS)
    begin = 0
    while begin < n_patterns:
        end = _tile_end(first, begin, size)
        low, high = first[begin], first[end]
        mask, count = seen[begin:end], high - low
        of_rows, logdet = np.empty(count, np.int64), np.empty(end - begin)
        for p in range(begin, end):
            of_rows[first[p] - low : first[p + 1] - low] = p - begin
        z, g = np.empty((count, d)), np.empty((n_factors + 1, count))
        factors, inside = _condition(
            rows[low:high], roots[low:high], centred[low:high], of_rows, mask, mean, outer,
            scaled, z, logdet,
        )  # fmt: skip
        for a in range(n_factors):
            for r in range(count):
                g[a, r] = factors[a, r]
                length += factors[a, r] * factors[a, r]
        for r in range(count):
            g[n_factors, r] = 0.0 if centred[low + r] else roots[low + r]
        fitted = np.dot(factors.T, loadings)
        for r in range(count):
            y, here, there = z[r], mask[of_rows[r]], fitted[r]
            for j in range(d):
                y[j] -= here[j] * there[j]
                squares[j] += y[j] * y[j]
        cross += np.dot(g, z)
        products = np.zeros((gram.shape[0], end - begin))
        for a in range(n_factors + 1):
            for b in range(a + 1):
                target, left, right = products[a * (a + 1) // 2 + b], g[a], g[b]
                for r in range(count):
                    target[of_rows[r]] += left[r] * right[r]
        gram += np.dot(products, mask)
        for k in range(gram.shape[0]):
            for p in range(end - begin):
                overall[k] += products[k, p]
        for p in range(end - begin):
            total += weights[begin + p] * logdet[p]
        for k in range(n_inside):
            for p in range(end - begin):
                inside[k, p] *= weights[begin + p]
                overall[k] += inside[k, p]
        spread += np.dot(inside, mask)
        begin = end
    for j in range(d):
        length += squares[j] * inverse[j]
    for a in range(n_factors):
        for b in range(n_factors):
            upper, lower = (a, b) if a > b else (b, a)
            part = spread[upper * (upper + 1) // 2 + lower]
            for j in range(d):
                moved = part[j] * loadings[b, j]
                cross[a, j] -= moved
                squares[j] += moved * loadings[a, j]
    gram[:n_inside] += spread
    return total, length


@compiled
def condition_rows(
    rows, first, seen, mean, loadings, outer, scaled, inverse, factors, distances, logdets
):
    """Posterior means of the factors, and what the density of each row needs.

    Parameters
    ----------
    rows, first, seen, mean, loadings, outer, scaled, inverse
        As in `expect_factors`.
    factors : (r, q) array; overwritten
    distances : (r,) array; overwritten
        Squared Mahalanobis distances of what is seen.
    logdets : (P,) array; overwritten
        Log determinants of M.
    """
    d, n_factors = mean.size, loadings.shape[0]
    size = max(min(TILE_CELLS // d, MOST_ROWS), FEWEST_ROWS)
    begin = 0
    while begin < seen.shape[0]:
        end = _tile_end(first, begin, size)
        low, high = first[begin], first[end]
        mask, count = seen[begin:end], high - low
        of_rows = np.empty(count, np.int64)
        for p in range(begin, end):
            of_rows[first[p] - low : first[p + 1] - low] = p - begin
        z = np.empty((count, d))
        found, _ = _condition(
            rows[low:high], np.ones(count), np.zeros(count, np.bool_), of_rows, mask, mean, outer,
            scaled, z, logdets[begin:end],
        )  # fmt: skip
        fitted = np.dot(found.T, loadings)
        for r in range(count):
            y, here, there = z[r], mask[of_rows[r]], fitted[r]
            total = 0.0
            for j in range(d):
                rest = y[j] - here[j] * there[j]
                total += rest * rest * inverse[j]
            for a in range(n_factors):
                total += found[a, r] * found[a, r]
                factors[low + r, a] = found[a, r]
            distances[low + r] = total
        begin = end


@compiled
def solve_columns(gram, cross, out):
    """Solutions of one symmetric system for each column.

    Parameters
    ----------
    gram : (n (n + 1) / 2, d) array
        Packed positive definite matrices.
    cross : (n, d) array
    out : (n, d) array; overwritten
    """
    n, d = cross.shape
    a, logdet = gram.copy(), np.empty(d)
    _factorise(a, n, logdet)
    for i in range(n):
        row, target = i * (i + 1) // 2, out[i]
        for j in range(d):
            target[j] = cross[i, j]
        for k in range(i):
            left, right = a[row + k], out[k]
            for j in range(d):
                target[j] -= left[j] * right[j]
        for j in range(d):
            target[j] *= a[row + i, j]
    for i in range(n - 1, -1, -1):
        target = out[i]
        for k in range(i + 1, n):
            left, right = a[k * (k + 1) // 2 + i], out[k]
            for j in range(d):
                target[j] -= left[j] * right[j]
        for j in range(d):
            target[j] *= a[i * (i + 1) // 2 + i, j]
