r"""The stationary distribution of a chain without a subtraction, and the M-step of such a chain.

State reduction of Grassmann, Taksar and Heyman (1985, doi:10.1287/opre.33.5.1107) takes the
states away one by one, from the last to the second. What is left is the chain watched only
while it is in the states that remain: of state n goes ``s_n = sum_j<n A_nj`` to those before
it, and ``A_ij += A_in A_nj / s_n``. No number is ever subtracted from another, so each entry
of the distribution keeps its digits, however rarely the chain goes from one group of states
to another. The same elimination solves ``(I - P) y = h``, which the gradient needs:
with :math:`h = s / \pi - \sum_k s_k`, the sum :math:`\sum_k s_k \log \pi_k` has the gradient
:math:`\pi_i y_j` over P, but for a number that is the same along a row.
"""

import math

import numpy as np
from numba import njit

__all__ = ["climb", "distribution", "slopes"]

#: Most rounds of Newton's method, and its last step beside the level.
ROUNDS, CLOSE = 100, 1e-15
#: A step along the way to the linearised maximum below which the way there is too bent.
LEAST = 1e-4
#: A step of a transition probability after which nothing is left to gain.
LAST = 1e-14


@njit(cache=True, nogil=True, error_model="numpy")
def _reduced(left, pi):
    """Take states away from `left` (K, K), which has the transitions, and find `pi` (K,).

    Left are ``A_nj`` below the diagonal, ``s_n`` on it, and ``A_in / s_n`` above it. False
    where a state does not reach those before it.
    """
    k = len(pi)
    for n in range(k - 1, 0, -1):
        out = 0.0
        for j in range(n):
            out += left[n, j]
        if not 0.0 < out < np.inf:
            return False
        left[n, n] = out
        for i in range(n):
            share = left[i, n] / out
            left[i, n] = share
            if share > 0.0:
                for j in range(n):
                    left[i, j] += share * left[n, j]
    pi[0] = 1.0
    for n in range(1, k):
        visits = 0.0
        for i in range(n):
            visits += pi[i] * left[i, n]
        total = 1.0 + visits  # those so far sum to 1
        if not total < np.inf:
            return False
        for i in range(n):
            pi[i] /= total
        pi[n] = visits / total
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def distribution(transmat, pi):
    """The stationary distribution of a chain each of whose states reaches every other.

    Parameters
    ----------
    transmat : (K, K) array
    pi : (K,) array; overwritten

    Returns
    -------
    bool
        Whether there is one, in numbers that a float holds.
    """
    return _reduced(transmat.copy(), pi)


@njit(cache=True, nogil=True, error_model="numpy")
def slopes(start, counts, transmat, out):
    """The objective ``start @ log pi + sum counts log P``, and the slopes of its first part.

    Parameters
    ----------
    start : (K,) array
    counts, transmat : (K, K) array
    out : (K, K) array; overwritten
        Gradient over P of ``start @ log pi``, but for a number for each row.

    Returns
    -------
    float
        -inf where there is no stationary distribution, or where it has no place for `start`.
    """
    k = len(start)
    left, pi, y = transmat.copy(), np.empty(k), np.empty(k)
    if not _reduced(left, pi):
        return -np.inf
    value, total = 0.0, 0.0
    for i in range(k):
        total += start[i]
        if start[i] > 0.0:
            value += start[i] * math.log(pi[i])
        for j in range(k):
            if counts[i, j] > 0.0:
                value += counts[i, j] * math.log(transmat[i, j])
    if not value > -np.inf:
        return -np.inf
    for i in range(k):
        y[i] = (start[i] / pi[i] if start[i] > 0.0 else 0.0) - total
    for n in range(k - 1, 0, -1):
        for i in range(n):
            y[i] += left[i, n] * y[n]
    y[0] = 0.0
    for n in range(1, k):
        for j in range(n):
            y[n] += left[n, j] * y[j]
        y[n] /= left[n, n]
    for i in range(k):
        for j in range(k):
            out[i, j] = pi[i] * y[j]
            if not abs(out[i, j]) < np.inf:
                return -np.inf
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _share(counts, rises, shares, mass, n):
    """Shares ``counts / (level - rises)`` with sum `mass`, by Newton's method from the left side.

    The first `n` entries count. The sum falls and is convex in the level: from a level below the
    root, where the sum is too large, each step stays below it. The level is counted from the
    largest slope, as the distance may be far smaller than both.
    """
    top = -np.inf
    for j in range(n):
        top = max(top, rises[j])
    above = -np.inf
    for j in range(n):  # one term alone is the mass: the sum is at least that
        above = max(above, counts[j] / mass - (top - rises[j]))
    for _ in range(ROUNDS):
        total, fall = 0.0, 0.0
        for j in range(n):
            share = counts[j] / (above + (top - rises[j]))
            total += share
            fall += share * share / counts[j]
        step = (total - mass) / fall
        above += step
        if not abs(step) > CLOSE * abs(above):
            break
    total = 0.0
    for j in range(n):
        shares[j] = counts[j] / (above + (top - rises[j]))
        total += shares[j]
    for j in range(n):
        shares[j] *= mass / total


@njit(cache=True, nogil=True, error_model="numpy")
def climb(start, counts, transmat, moving, steps):
    """Go to the maximum of the linearised objective, as long as that raises the objective.

    Parameters
    ----------
    start : (K,) array
    counts : (K, K) array
        Above 0 where `moving`.
    transmat : (K, K) array; overwritten
    moving : (K, K) bool array
        Entries that may change; two at least, or none, of each row.
    steps : int
        How many at most.

    Returns
    -------
    float
        The way still to go, in the largest change of a probability, when the steps ended.
    """
    k = len(start)
    rise, there = np.empty((k, k)), np.empty((k, k))
    target, tried = transmat.copy(), np.empty((k, k))
    row, some, mine = np.empty(k), np.empty(k), np.empty(k)
    value, moved = slopes(start, counts, transmat, rise), np.inf
    if value == -np.inf:
        return moved
    for _ in range(steps):
        for i in range(k):
            n, mass = 0, 0.0
            for j in range(k):
                if moving[i, j]:
                    row[n], some[n] = counts[i, j], rise[i, j]
                    mass += transmat[i, j]
                    n += 1
            if n > 0:
                _share(row, some, mine, mass, n)
            n = 0
            for j in range(k):
                if moving[i, j]:
                    target[i, j] = mine[n]
                    n += 1
        length, found = 1.0, -np.inf
        while length > LEAST:
            moved = 0.0
            for i in range(k):
                for j in range(k):
                    change = length * (target[i, j] - transmat[i, j])
                    tried[i, j] = transmat[i, j] + change
                    moved = max(moved, abs(change))
            found = slopes(start, counts, tried, there)
            if found > value:
                break
            length *= 0.5
        if not found > value:  # no digit is left to gain, or the way there is too bent
            return np.abs(target - transmat).max()
        transmat[:], rise[:] = tried, there
        value = found
        if moved < LAST:
            break
    return moved
