"""Posterior probabilities from log densities, in place and without overflow.

For one row with log joint densities ``l_k = log p_k + log f_k(x)``::

    loglik = m + log sum_k exp(l_k - m),   m = max_k l_k
    r_k    = w exp(l_k - loglik)

Exponential and logarithm are written out, so that the loops over rows become SIMD
code, where a call per element would not:

- ``exp(z) = 2**n exp(r)`` with ``n = round(z / ln 2)`` and ``|r| <= ln(2) / 2``, a
  Taylor polynomial of degree 13 (relative error below 3e-16);
- ``log(s) = e ln 2 + 2 atanh(t)`` with ``s = 2**e f``, ``sqrt(1/2) <= f < sqrt(2)`` and
  ``t = (f - 1) / (f + 1)``, an odd series to degree 21.
"""

import math

import numpy as np
from numba import config, njit, types
from numba.extending import intrinsic

__all__ = ["normalise"]

TILE = 256
LOG2E = 1.4426950408889634
LN2_HIGH = 6.93145751953125e-1
LN2_LOW = 1.42860682030941723212e-6
ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to the nearest integer
ROUND_BITS = 0x4338000000000000
UNDERFLOW = -708.0
# 1 / k!
C3, C4, C5, C6, C7, C8 = (1.0 / math.factorial(k) for k in range(3, 9))
C9, C10, C11, C12, C13 = (1.0 / math.factorial(k) for k in range(9, 14))
FRACTION = (1 << 52) - 1
HALF = 0x3FE0000000000000  # bits of 0.5
ROOT_HALF = 0.7071067811865476

if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def _bits(x):
        return np.float64(x).view(np.int64)

    def _number(i):
        return np.int64(i).view(np.float64)

else:

    @intrinsic
    def _bits(context, x):
        """The bits of a float64 as an int64."""

        def code(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], context.get_value_type(types.int64))

        return types.int64(types.float64), code

    @intrinsic
    def _number(context, i):
        """The float64 with the bits of an int64."""

        def code(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], context.get_value_type(types.float64))

        return types.float64(types.int64), code


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
                shifted = row[i] - peak[i]
                rounded = shifted * LOG2E + ROUND
                n = rounded - ROUND
                r = shifted - n * LN2_HIGH
                r = r - n * LN2_LOW
                r2 = r * r  # Estrin's scheme: short chains, so that the pipeline stays full
                r4 = r2 * r2
                p0 = (1.0 + r) + (0.5 + C3 * r) * r2
                p1 = (C4 + C5 * r) + (C6 + C7 * r) * r2
                p2 = (C8 + C9 * r) + (C10 + C11 * r) * r2
                p3 = C12 + C13 * r
                p = p0 + (p1 + (p2 + p3 * r4) * r4) * r4
                power = _number(_bits(p) + (_bits(rounded) << 52))
                power = 0.0 if shifted < UNDERFLOW else power
                row[i] = power
                total[i] += power
        for i in range(size):  # total is 0 or in [1, K]
            s = total[i]
            bits = _bits(s)
            exponent = (bits >> 52) + (ROUND_BITS - 1022)
            f = _number((bits & FRACTION) | HALF)  # s = 2**exponent * f, 1/2 <= f < 1
            low = f < ROOT_HALF
            f = 2.0 * f if low else f
            e = _number(exponent) - ROUND  # to float64, in SIMD
            e = e - 1.0 if low else e
            t = (f - 1.0) / (f + 1.0)
            q = t * t
            p = 2.0 / 21.0
            p = p * q + 2.0 / 19.0
            p = p * q + 2.0 / 17.0
            p = p * q + 2.0 / 15.0
            p = p * q + 2.0 / 13.0
            p = p * q + 2.0 / 11.0
            p = p * q + 2.0 / 9.0
            p = p * q + 2.0 / 7.0
            p = p * q + 2.0 / 5.0
            p = p * q + 2.0 / 3.0
            p = p * q + 2.0
            log = e * LN2_HIGH + (e * LN2_LOW + p * t)
            log = s if s != s else log
            peak[i] += -np.inf if s == 0.0 else log
        for i in range(size):
            weight = row_weights[begin + i]
            total[i] = 0.0 if total[i] == 0.0 or weight == 0.0 else weight / total[i]
        for k in range(n_components):
            row = log_density[k, begin:end]
            for i in range(size):
                row[i] *= total[i]
