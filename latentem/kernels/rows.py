"""Log densities of a block as rows of scaled densities, and rows of results back as a block.

Families work component by component, (K, m); chains go from row to row. The exponential
is written out as in `latentem.kernels.posterior`, so that it becomes SIMD code; both
directions go through tiles that stay in cache.
"""

import math

import numpy as np
from numba import config, njit, types
from numba.extending import intrinsic

__all__ = ["densities", "collect"]

TILE = 64  # rows at a time
LOG2E = 1.4426950408889634
LN2_HIGH = 6.93145751953125e-1
LN2_LOW = 1.42860682030941723212e-6
ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to the nearest integer
UNDERFLOW = -708.0
# 1 / k!
C3, C4, C5, C6, C7, C8 = (1.0 / math.factorial(k) for k in range(3, 9))
C9, C10, C11, C12, C13 = (1.0 / math.factorial(k) for k in range(9, 14))

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
def densities(log_density, begin, end, peaks, out):
    """Densities over the largest of each row, row by row.

    Parameters
    ----------
    log_density : (K, m) array, C order
    begin, end : int
        Rows that are wanted.
    peaks : (m,) array; these rows overwritten
        Logarithm of the largest density; 0 where all are -inf.
    out : (m, P) array, C order; these rows overwritten
        P is K padded to a multiple of 4; the padding becomes zero. A density of 0 is -0, one
        that underflows is +0.
    """
    n_states, n_padded = log_density.shape[0], out.shape[1]
    tile = np.empty((n_padded, TILE))
    for k in range(n_states, n_padded):
        for i in range(TILE):
            tile[k, i] = 0.0
    for low in range(begin, end, TILE):
        size = min(TILE, end - low)
        peak = peaks[low : low + size]
        for i in range(size):
            peak[i] = -np.inf
        for k in range(n_states):
            row = log_density[k, low : low + size]
            for i in range(size):
                value = row[i]
                peak[i] = value if not value <= peak[i] else peak[i]
        for i in range(size):  # a row of -inf keeps them: shift by 0, not by -inf
            peak[i] = 0.0 if peak[i] == -np.inf else peak[i]
        for k in range(n_states):
            row = log_density[k, low : low + size]
            target = tile[k]
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
                target[i] = -0.0 if shifted == -np.inf else power
        for k in range(0, n_padded, 4):
            row0, row1, row2, row3 = tile[k], tile[k + 1], tile[k + 2], tile[k + 3]
            for i in range(size):
                four = out[low + i, k : k + 4]
                four[0] = row0[i]
                four[1] = row1[i]
                four[2] = row2[i]
                four[3] = row3[i]


@njit(cache=True, nogil=True, error_model="numpy")
def collect(stored, offsets, status, out):
    """Write vectors row by row into component-major `out`.

    Parameters
    ----------
    stored : (m, P) array
    offsets : (S + 1,) int array
    status : (S,) int array
        Segments with a status other than 0 are left as they are.
    out : (K, m) array; overwritten
    """
    n_states = out.shape[0]
    whole = n_states - n_states % 4
    for s in range(offsets.size - 1):
        for begin in range(offsets[s], offsets[s + 1] if status[s] == 0 else 0, TILE):
            size = min(TILE, offsets[s + 1] - begin)
            for k in range(0, whole, 4):
                row0, row1 = out[k, begin : begin + size], out[k + 1, begin : begin + size]
                row2, row3 = out[k + 2, begin : begin + size], out[k + 3, begin : begin + size]
                for i in range(size):
                    four = stored[begin + i, k : k + 4]
                    row0[i] = four[0]
                    row1[i] = four[1]
                    row2[i] = four[2]
                    row3[i] = four[3]
            for k in range(whole, n_states):
                row0 = out[k, begin : begin + size]
                for i in range(size):
                    row0[i] = stored[begin + i, k]
