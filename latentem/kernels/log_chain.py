r"""Forward and backward passes in logarithms, exact to any depth, for what scaling cannot hold.

The recurrence is that of `latentem.kernels.chain`, on logarithms, each row's largest
taken out. A prediction is first tried as :math:`\log \sum_i e^{v_i} P_{ij}`; where that
sum is too small to be trusted (every likely state has no way to j) its terms are added as
logarithms. So a row costs about 2 K exponentials, not K squared.
"""

import math

import numpy as np
from numba import njit

__all__ = ["log_draw", "log_meet", "log_store"]

TRUSTED = 2.0**-600
UNDERFLOW = -745.0


@njit(cache=True, nogil=True, error_model="numpy")
def _log_sum(values):
    top = -np.inf
    for value in values:
        top = value if not value <= top else top
    if not abs(top) < np.inf:
        return top
    total = 0.0
    for value in values:
        if not value - top <= UNDERFLOW:  # most are: exp of what counts, and of NaN
            total += math.exp(value - top)
    return top + math.log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def _predict(vector, matrix, log_matrix, terms, out):
    """``out[j] = log sum_i exp(vector[i]) matrix[i, j]``; `terms` (K,) is scratch."""
    n_states = vector.size
    top = -np.inf
    for i in range(n_states):
        top = vector[i] if not vector[i] <= top else top
    shift = 0.0 if top == -np.inf else top
    for i in range(n_states):
        z = vector[i] - shift
        terms[i] = 0.0 if z <= UNDERFLOW else math.exp(z)
    for j in range(n_states):
        out[j] = 0.0
    for i in range(n_states):
        for j in range(n_states):
            out[j] += terms[i] * matrix[i, j]
    for j in range(n_states):
        if out[j] > TRUSTED:
            out[j] = shift + math.log(out[j])
        else:
            for i in range(n_states):
                terms[i] = vector[i] + log_matrix[i, j]
            out[j] = _log_sum(terms)


@njit(cache=True, nogil=True, error_model="numpy")
def _weigh(prediction, log_density, t, out):
    """``prediction + log_density[:, t]`` less its largest, which is returned."""
    top = -np.inf
    for j in range(prediction.size):
        x, y = prediction[j], log_density[j, t]
        # An unreachable state stays so, but NaN is not hidden.
        out[j] = -np.inf if x == -np.inf and y == y else x + y
        top = out[j] if not out[j] <= top else top
    if abs(top) < np.inf:
        for j in range(prediction.size):
            out[j] -= top
    return top


@njit(cache=True, nogil=True, error_model="numpy")
def log_store(
    log_density, offsets, vectors, linked, matrix, log_matrix, stored, scales, status, impossible
):
    """Run each segment with a status other than 0 forward, and leave the vector of every row.

    Parameters
    ----------
    log_density : (K, m) array, C order
        Read only.
    offsets : (S + 1,) int array
    vectors : (S, K) array; overwritten
        Logarithms of what each segment begins with: the prediction for its first row,
        or, where `linked`, the vector of the row before. Left: that of the last row,
        of sum 1.
    linked : bool
    matrix, log_matrix : (K, K) arrays, C order
        Transition matrix and its logarithm.
    stored : (m, P) array, P >= K; overwritten
        Logarithms of the vectors, the largest of each row being 0. From a row that
        cannot be continued on: its scale, -inf or NaN.
    scales : (S,) array; overwritten
        Log-likelihood of the segment given what was before: -inf where a row is
        impossible, NaN where a density is NaN or +inf.
    status : (S,) int array
    impossible : (S,) int array; overwritten
        First row that no reachable state can have produced, or -1.
    """
    n_states = log_density.shape[0]
    prediction, terms = np.empty(n_states), np.empty(n_states)
    for s in range(offsets.size - 1):
        if status[s] == 0:
            continue
        scale = 0.0
        impossible[s] = -1
        previous = vectors[s]
        for t in range(offsets[s], offsets[s + 1]):
            if t > offsets[s] or linked:
                _predict(previous, matrix, log_matrix, terms, prediction)
            else:
                for j in range(n_states):
                    prediction[j] = previous[j]
            previous = stored[t, :n_states]
            top = _weigh(prediction, log_density, t, previous)
            scale += top
            if top == -np.inf:
                impossible[s] = t
                break
            if not abs(top) < np.inf:
                scale = np.nan
                break
        scales[s] = scale
        if abs(scale) < np.inf:
            total = _log_sum(previous)
            scales[s] += total
            for j in range(n_states):
                vectors[s, j] = previous[j] - total
            continue
        for rest in range(t, offsets[s + 1]):
            for j in range(n_states):
                stored[rest, j] = scale
        for j in range(n_states):
            vectors[s, j] = scale


@njit(cache=True, nogil=True, error_model="numpy")
def log_meet(
    log_density,
    offsets,
    vectors,
    linked,
    matrix,
    log_matrix,
    weights,
    stored,
    scales,
    status,
    pairs,
):
    """Run each segment with a status other than 0 backward against what `log_store` left.

    Parameters
    ----------
    log_density, offsets, scales, status
        As in `log_store`; `scales` as it left them.
    vectors : (S, K) array; overwritten
        Logarithms of the backward vectors: ones, or, where `linked`, that of the row
        after the segment (density times what follows). Left: that of the first row.
    linked : bool
        Also counts the transition to the row after the segment.
    matrix, log_matrix : (K, K) arrays, C order
        The transition matrix *transposed*, and its logarithm.
    weights : (S,) array
        A segment of weight 0 gets zeros.
    stored : (m, P) array; overwritten
        Posteriors times the weight. Zeros where a segment is impossible, NaN where its
        log-likelihood is.
    pairs : (K, K) array
        Expected transitions times the weight are added.
    """
    n_states = matrix.shape[0]
    prediction, terms = np.empty(n_states), np.empty(n_states)
    current = np.empty(n_states)
    for s in range(offsets.size - 1):
        if status[s] == 0:
            continue
        weight = weights[s]
        if weight == 0.0 or not abs(scales[s]) < np.inf:
            fill = 0.0 if weight == 0.0 or scales[s] == -np.inf else np.nan
            for t in range(offsets[s], offsets[s + 1]):
                for j in range(stored.shape[1]):
                    stored[t, j] = fill
            if fill != 0.0:
                for i in range(n_states):
                    for j in range(n_states):
                        pairs[i, j] = fill
            continue
        following = vectors[s]
        for t in range(offsets[s + 1] - 1, offsets[s] - 1, -1):
            link = linked or t < offsets[s + 1] - 1
            if link:
                _predict(following, matrix, log_matrix, terms, prediction)
            else:
                for j in range(n_states):
                    prediction[j] = following[j]
            for j in range(n_states):
                current[j] = stored[t, j]
                terms[j] = current[j] + prediction[j]
            total = _log_sum(terms)
            for j in range(n_states):
                stored[t, j] = weight * math.exp(terms[j] - total)
            if link:
                for i in range(n_states):
                    for j in range(n_states):
                        z = current[i] + following[j] + log_matrix[j, i] - total
                        if z > UNDERFLOW:
                            pairs[i, j] += weight * math.exp(z)
            _weigh(prediction, log_density, t, following)


@njit(cache=True, nogil=True, error_model="numpy")
def log_draw(stored, offsets, log_matrix, uniforms, scales, status, path):
    """Draw a path of each segment with a status other than 0, last row first.

    Parameters
    ----------
    stored, offsets, scales, status
        As `log_store` left them.
    log_matrix : (K, K) array, C order
        Logarithm of the transition matrix, *transposed*.
    uniforms : (m,) array
        Draws from [0, 1), one for each row.
    path : (m,) int64 array; overwritten
        -1 where a segment is impossible or its log-likelihood is NaN.
    """
    n_states = log_matrix.shape[0]
    shares, terms = np.empty(n_states), np.empty(n_states)
    for s in range(offsets.size - 1):
        if status[s] == 0:
            continue
        state, possible = -1, abs(scales[s]) < np.inf
        for t in range(offsets[s + 1] - 1, offsets[s] - 1, -1):
            if possible:
                for j in range(n_states):
                    terms[j] = stored[t, j]
                    if state >= 0:
                        terms[j] += log_matrix[state, j]
                top, total = _log_sum(terms), 0.0
                for j in range(n_states):
                    total += math.exp(terms[j] - top)
                    shares[j] = total
                target, state = uniforms[t] * total, 0
                while shares[state] <= target and shares[state] < total:
                    state += 1
            path[t] = state
