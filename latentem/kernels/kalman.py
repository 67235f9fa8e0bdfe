"""Kalman filter and smoother over rows of independent cells, one after the other.

Rows come with uncorrelated noise (models whiten them), so each seen cell is an update by a
number, and nothing is inverted (Durbin and Koopman 2012, doi:10.1093/acprof:oso/9780199641178.001.0001,
sections 4.4 and 6.4). With gain K = P c / F of a cell of loadings c,

    r <- r + c (v / F - K' r),    N <- N - c (N K)' - (N K) c' + c c' (K' N K + 1 / F)

go back over the cells, and A' r, A' N A over a step. Smoothed values come from filtered ones,

    x + P A' r,    P - P A' N A P,    Cov[x_(t+1), x_t] = (I - P_(t+1|t) N) A P,

which never divides by a predicted covariance: states without noise of their own are allowed.
"""  # noqa: E501

import numpy as np
from numba import njit

__all__ = ["filter_rows", "smooth_rows"]

compiled = njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")
LOG_2PI = np.log(2 * np.pi)
#: Where a prediction is this much vaguer than a cell, the update is a sum of squares.
VAGUE = 1e4


@compiled
def _product(a, b, out):
    """``a @ b`` of small matrices, a (n, k), b (k, m)."""
    for i in range(a.shape[0]):
        row = out[i]
        row[:] = 0.0
        for k in range(a.shape[1]):
            value, other = a[i, k], b[k]
            for j in range(b.shape[1]):
                row[j] += value * other[j]


@compiled
def _sandwich(a, at, p, work, out):
    """``a @ p @ at`` for symmetric p, symmetric to the last bit."""
    _product(a, p, work)
    _product(work, at, out)
    for i in range(out.shape[0]):
        for j in range(i):
            out[i, j] = out[j, i] = 0.5 * (out[i, j] + out[j, i])


@compiled
def filter_rows(
    y, kinds, loadings, variances, first, a, q, push, m, p,
    ahead, spread, means, covariances, gains, surprises, scales, loglik,
):  # fmt: skip
    """Predicted and filtered states of sequences one after the other.

    Parameters
    ----------
    y : (T, d) array
        NaN where there is no cell.
    kinds : (T,) int array
        Which of the loadings each row has.
    loadings : (P, d, n) array
    variances : (P, d) array
    first : (T,) bool array
        Rows that begin a sequence.
    a, q : (n, n) array
    push : (T, n) array
        What inputs add to the state of a row; not used where a sequence begins.
    m, p : (n,) and (n, n) array
        Of the first state of each sequence.
    ahead, spread, means, covariances : (T, n) and (T, n, n) arrays; written
    gains, surprises, scales : (T, d, n), (T, d) and (T, d) arrays; written
        0 in scales where there is no cell.
    loglik : (T,) array; written
    """
    n = len(m)
    at = a.T.copy()
    work, rest, other = np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    g = np.empty(n)
    for t in range(len(y)):
        x, v = means[t], covariances[t]
        if first[t]:
            x[:] = m
            v[:] = p
        else:
            for i in range(n):
                total = push[t, i]
                for j in range(n):
                    total += a[i, j] * means[t - 1, j]
                x[i] = total
            _sandwich(a, at, covariances[t - 1], work, v)
            for i in range(n):
                for j in range(n):
                    v[i, j] += q[i, j]
        ahead[t] = x
        spread[t] = v
        total = 0.0
        for cell in range(y.shape[1]):
            scales[t, cell] = 0.0
            if np.isnan(y[t, cell]):
                continue
            c, noise = loadings[kinds[t], cell], variances[kinds[t], cell]
            scale, surprise = noise, y[t, cell]
            for i in range(n):
                value = 0.0
                for j in range(n):
                    value += v[i, j] * c[j]
                g[i] = value
                scale += value * c[i]
                surprise -= c[i] * x[i]
            k = gains[t, cell]
            for i in range(n):
                k[i] = g[i] / scale
                x[i] += k[i] * surprise
            if scale > VAGUE * noise:
                for i in range(n):
                    for j in range(n):
                        rest[i, j] = (i == j) - k[i] * c[j]
                        other[j, i] = rest[i, j]
                _sandwich(rest, other, v, work, v)
                for i in range(n):
                    for j in range(n):
                        v[i, j] += noise * k[i] * k[j]
            else:
                for i in range(n):
                    for j in range(i + 1):
                        v[i, j] -= k[i] * g[j]
                        v[j, i] = v[i, j]
            scales[t, cell], surprises[t, cell] = scale, surprise
            total -= 0.5 * (LOG_2PI + np.log(scale) + surprise * surprise / scale)
        loglik[t] = total


@compiled
def smooth_rows(
    kinds, loadings, first, a, spread, gains, surprises, scales, means, covariances, cross
):
    """Smoothed states in the place of filtered ones, and covariances with the row before.

    Parameters
    ----------
    kinds, loadings, first, a, spread, gains, surprises, scales : as in `filter_rows`
    means, covariances : (T, n) and (T, n, n) arrays; overwritten
    cross : (T, n, n) array; written
        Cov[x_t, x_(t-1)], 0 where a sequence begins.
    """
    n = a.shape[0]
    at = a.T.copy()
    r, z, nk = np.zeros(n), np.empty(n), np.empty(n)
    info, work, ap = np.zeros((n, n)), np.empty((n, n)), np.empty((n, n))
    moved = np.empty((n, n))
    for t in range(len(means) - 1, -1, -1):
        last = t + 1 == len(means) or first[t + 1]
        if last:
            r[:] = 0.0
            info[:] = 0.0
        else:
            p = covariances[t]
            _product(a, p, ap)
            _product(spread[t + 1], info, work)
            _product(work, ap, moved)  # info is still that of row t + 1
            for i in range(n):
                for j in range(n):
                    cross[t + 1, i, j] = ap[i, j] - moved[i, j]
            for i in range(n):
                total = 0.0
                for j in range(n):
                    total += at[i, j] * r[j]
                z[i] = total
            r[:] = z
            _sandwich(at, a, info, work, moved)
            info[:] = moved
            for i in range(n):
                total = 0.0
                for j in range(n):
                    total += p[i, j] * r[j]
                means[t, i] += total
            _sandwich(p, p, info, work, moved)
            for i in range(n):
                for j in range(n):
                    p[i, j] -= moved[i, j]
        if first[t]:
            cross[t] = 0.0
        for cell in range(scales.shape[1] - 1, -1, -1):
            scale = scales[t, cell]
            if scale == 0.0:
                continue
            c, k = loadings[kinds[t], cell], gains[t, cell]
            along, bend = surprises[t, cell] / scale, 1.0 / scale
            for i in range(n):
                along -= k[i] * r[i]
                total = 0.0
                for j in range(n):
                    total += info[i, j] * k[j]
                nk[i] = total
                bend += total * k[i]
            for i in range(n):
                r[i] += c[i] * along
                for j in range(n):
                    info[i, j] += c[i] * c[j] * bend - c[i] * nk[j] - nk[i] * c[j]
