r"""Most probable paths, and paths drawn from their posterior.

The most probable path (Viterbi 1967, doi:10.1109/TIT.1967.1054010) ends in the largest of

.. math:: v_t(j) = l_{jt} + \max_i [ v_{t-1}(i) + \log P_{ij} ]

`search` leaves all v, and `trace` asks on its way back which i it was: K comparisons a
row, where pointers for every state would cost K squared. Both run in either direction (a
path has no direction), so that a long sequence can be searched from both ends.
"""

import numpy as np
from numba import njit

__all__ = ["draw", "search", "trace"]

TILE = 64  # rows at a time


@njit(cache=True, nogil=True, error_model="numpy")
def _best(matrix, v, b, ahead):
    """``ahead[j] = b[j] + max_i (v[i] + matrix[i, j])``, four rows of `matrix` at a time."""
    n = v.size
    for i in range(0, n, 4):
        v0, v1, v2, v3 = v[i], v[i + 1], v[i + 2], v[i + 3]
        row0, row1, row2, row3 = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        if i == 0:
            for j in range(n):
                x0, x1, x2, x3 = v0 + row0[j], v1 + row1[j], v2 + row2[j], v3 + row3[j]
                x0 = x1 if x1 > x0 else x0
                x2 = x3 if x3 > x2 else x2
                ahead[j] = x2 if x2 > x0 else x0
        else:
            for j in range(n):
                x0, x1, x2, x3 = v0 + row0[j], v1 + row1[j], v2 + row2[j], v3 + row3[j]
                x0 = x1 if x1 > x0 else x0
                x2 = x3 if x3 > x2 else x2
                x0 = x2 if x2 > x0 else x0
                ahead[j] = x0 if x0 > ahead[j] else ahead[j]
    for j in range(n):
        ahead[j] += b[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _rows(log_density, begin, size, tile):
    """Log densities of `size` rows, row by row; how many are NaN or +inf."""
    bad = 0
    for k in range(log_density.shape[0]):
        row = log_density[k, begin : begin + size]
        for i in range(size):
            bad += 0 if row[i] < np.inf else 1
        for i in range(size):
            tile[i, k] = row[i]
    return bad


@njit(cache=True, nogil=True, error_model="numpy")
def search(log_density, offsets, vectors, reverse, matrix, stored, scales):
    """Find v for every row of each segment.

    Parameters
    ----------
    log_density : (K, m) array, C order
        Read only.
    offsets : (S + 1,) int array
        Segment s is rows ``offsets[s]`` to ``offsets[s + 1]``, never empty.
    vectors : (S, P) array; overwritten
        Logarithms of what each segment begins with, to which the log densities of its
        first row are added. Left: v of the last row visited, the largest being 0. P is K
        padded to a multiple of 4; the padding is -inf.
    reverse : bool
        Visit the last row first.
    matrix : (P, P) array, C order
        Logarithms of the transition matrix, transposed for `reverse`, -inf in the padding.
    stored : (m, P) array; overwritten
        v of each row, on a scale of its own.
    scales : (S,) array; overwritten
        What was taken out of `vectors`: the largest log joint density of a path. -inf
        where no path is possible, NaN where a log density is NaN or +inf.
    """
    n_padded = matrix.shape[0]
    tile = np.full((TILE, n_padded), -np.inf)
    for s in range(offsets.size - 1):
        begin, end = offsets[s], offsets[s + 1]
        scale, done, bad = 0.0, 0, 0
        previous = vectors[s]
        while done < end - begin:
            size = min(TILE, end - begin - done)
            low = end - done - size if reverse else begin + done
            bad += _rows(log_density, low, size, tile)
            for r in range(size):
                row = size - 1 - r if reverse else r
                ahead = stored[low + row]
                if done + r == 0:
                    for j in range(n_padded):
                        ahead[j] = previous[j] + tile[row, j]
                else:
                    _best(matrix, previous, tile[row], ahead)
                previous = ahead
            top = -np.inf
            for j in range(n_padded):
                top = max(top, previous[j])
            if top > -np.inf:
                scale += top
                for j in range(n_padded):
                    previous[j] -= top
            else:
                scale = -np.inf
            done += size
        for j in range(n_padded):
            vectors[s, j] = previous[j]
        scales[s] = scale if bad == 0 else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def trace(offsets, states, reverse, matrix, stored, path):
    """Follow the best path of each segment back to where the search began.

    Parameters
    ----------
    offsets, reverse, stored
        As in `search`, and as it left them.
    states : (S,) int array
        State of the last row visited by the search.
    matrix : (P, P) array, C order
        As in `search`, but *transposed*.
    path : (m,) int64 array; overwritten
    """
    for s in range(offsets.size - 1):
        begin, end, state = offsets[s], offsets[s + 1], states[s]
        for r in range(end - begin):
            t = begin + r if reverse else end - 1 - r
            if r > 0:
                v, row = stored[t], matrix[state]
                state, best = 0, v[0] + row[0]
                for i in range(1, row.size):
                    x = v[i] + row[i]
                    if x > best:
                        state, best = i, x
            path[t] = state


@njit(cache=True, nogil=True, error_model="numpy")
def draw(stored, offsets, matrix, uniforms, status, path):
    """Draw a path of each segment, last row first.

    Parameters
    ----------
    stored : (m, P) array
        Forward vectors, each on a scale of its own (`latentem.kernels.chain.store`).
    offsets : (S + 1,) int array
    matrix : (P, P) array, C order
        Transition matrix, *transposed*.
    uniforms : (m,) array
        Draws from [0, 1), one for each row.
    status : (S,) int array
        Segments with a status other than 0 are passed over.
    path : (m,) int64 array; overwritten
    """
    n_padded = matrix.shape[0]
    shares = np.empty(n_padded)
    for s in range(offsets.size - 1):
        if status[s] != 0:
            continue
        state = -1
        for t in range(offsets[s + 1] - 1, offsets[s] - 1, -1):
            total = 0.0
            for j in range(n_padded):
                total += stored[t, j] if state < 0 else stored[t, j] * matrix[state, j]
                shares[j] = total
            target, state = uniforms[t] * total, 0
            while shares[state] <= target and shares[state] < total:
                state += 1
            path[t] = state
