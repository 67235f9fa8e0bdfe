"""Posterior probabilities from log densities, in place and without overflow.

For one row with log joint densities ``l_k = log p_k + log f_k(x)``::

    loglik   = max_k l_k + log sum_k exp(l_k - max l)
    r_k      = w exp(l_k - loglik)

The exponential is evaluated as ``2**n * P(r)`` with ``n = round(z / ln 2)``,
``|r| <= ln(2) / 2`` and a Taylor polynomial of degree 13 (relative error below
3e-16); written out as loops over a tile it becomes SIMD code, where a call of
``exp`` per element would not.
"""

import numpy as np
from numba import njit

__all__ = ["normalise"]

TILE = 256
LOG2E = 1.4426950408889634
LN2_HIGH = 6.93145751953125e-1
LN2_LOW = 1.42860682030941723212e-6
ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to the nearest integer
UNDERFLOW = -708.0


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def normalise(log_density, log_weights, row_weights, row_loglik):
    """Turn log densities into weighted posteriors, in place.

    Parameters
    ----------
    log_density : (K, m) array, C order; overwritten by ``r``
        Log density of each row under each component.
    log_weights : (K,) array
        Log mixing weights, added to each row of `log_density`.
    row_weights : (m,) array
        Weight of each row; the posteriors of a row sum to it.
    row_loglik : (m,) array; overwritten
        Log-likelihood of each row, without its weight. A row that no component
        can have produced gets ``-inf`` and posteriors 0.
    """
    n_components, n_rows = log_density.shape
    shifted = np.empty(TILE)
    exponent = np.empty(TILE)
    exponent_bits = exponent.view(np.int64)
    polynomial = np.empty(TILE)
    polynomial_bits = polynomial.view(np.int64)
    total = np.empty(TILE)
    for begin in range(0, n_rows, TILE):
        end = min(n_rows, begin + TILE)
        size = end - begin
        peak = row_loglik[begin:end]
        row = log_density[0, begin:end]
        offset = log_weights[0]
        for i in range(size):
            row[i] += offset
            peak[i] = row[i]
            total[i] = 0.0
        for k in range(1, n_components):
            row = log_density[k, begin:end]
            offset = log_weights[k]
            for i in range(size):
                value = row[i] + offset
                row[i] = value
                peak[i] = value if not value <= peak[i] else peak[i]
        for i in range(size):  # a row of -inf keeps them: shift by 0, not by -inf
            peak[i] = 0.0 if peak[i] == -np.inf else peak[i]
        for k in range(n_components):
            row = log_density[k, begin:end]
            for i in range(size):
                z = row[i] - peak[i]
                shifted[i] = z
                z = UNDERFLOW if z < UNDERFLOW else z
                rounded = z * LOG2E + ROUND
                exponent[i] = rounded
                n = rounded - ROUND
                r = z - n * LN2_HIGH
                r = r - n * LN2_LOW
                p = 1.0 / 6227020800.0
                p = p * r + 1.0 / 479001600.0
                p = p * r + 1.0 / 39916800.0
                p = p * r + 1.0 / 3628800.0
                p = p * r + 1.0 / 362880.0
                p = p * r + 1.0 / 40320.0
                p = p * r + 1.0 / 5040.0
                p = p * r + 1.0 / 720.0
                p = p * r + 1.0 / 120.0
                p = p * r + 1.0 / 24.0
                p = p * r + 1.0 / 6.0
                p = p * r + 0.5
                p = p * r + 1.0
                polynomial[i] = p * r + 1.0
            for i in range(size):
                polynomial_bits[i] += exponent_bits[i] << 52
            for i in range(size):
                value = 0.0 if shifted[i] < UNDERFLOW else polynomial[i]
                row[i] = value
                total[i] += value
        for i in range(size):
            peak[i] += np.log(total[i])
        for i in range(size):
            weight = row_weights[begin + i]
            total[i] = 0.0 if total[i] == 0.0 or weight == 0.0 else weight / total[i]
        for k in range(n_components):
            row = log_density[k, begin:end]
            for i in range(size):
                row[i] *= total[i]
