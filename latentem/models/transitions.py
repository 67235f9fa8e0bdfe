r"""Start and transition probabilities of a Markov chain: their M-step, and what follows from them.

With expected counts of first states :math:`s_k` and of transitions
:math:`\xi_{ij}` the M-step maximises :math:`\sum_k s_k \log \pi_k + \sum_{ij} \xi_{ij}
\log P_{ij}` over the free entries; the others keep their values, and the free
entries of a row share in proportion to their counts what those leave over.

A stationary chain starts in its own stationary distribution, :math:`\pi P = \pi`. A
small change of P changes it by :math:`d\pi = \pi\, dP\, Z` with the fundamental matrix
:math:`Z = (I - P + 1 \pi)^{-1}` (Kemeny and Snell 1976, Finite Markov Chains,
chapter 4), so that the first sum has gradient :math:`c_{ij} = \pi_i (Z (s / \pi))_j`. With
that sum linearised, the maximum of a row is :math:`P_{ij} = \xi_{ij} / (\lambda_i -
c_{ij})`; the way there raises the objective, and is repeated until it ends. Where first
states weigh much, as with short sequences, or a transition was never counted, it does not:
then the climb is by a quasi-Newton method with that gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import xlogy

__all__ = ["left_right", "maximize_rows", "maximize_stationary", "stationary_distribution"]

Array = np.ndarray


def left_right(n_components: int, step: int = 1, cyclic: bool = False) -> Array:
    """Mask of a left-right chain: which transitions it may make.

    Parameters
    ----------
    n_components : int
    step : int
        How many states it may go forward at most, in one transition.
    cyclic : bool
        Whether the first states follow the last.

    Returns
    -------
    (n_components, n_components) bool array
        For ``transmat_mask``.

    Examples
    --------
    >>> from latentem import left_right
    >>> left_right(3).astype(int).tolist()
    [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    """
    if n_components < 1 or step < 1:
        raise ValueError(f"n_components and step must be at least 1, got {n_components} and {step}")
    ahead = np.arange(n_components) - np.arange(n_components)[:, None]
    if cyclic:
        ahead = ahead % n_components
    return (ahead >= 0) & (ahead <= step)


def maximize_rows(counts: Array, values: Array, free: Array | None) -> Array:
    """Probabilities in proportion to counts, along the last axis.

    Parameters
    ----------
    counts : (..., K) array
    values : (..., K) array
        Probabilities so far: kept where not free, and where a row has no counts.
    free : (..., K) bool array, optional
    """
    counts = counts if free is None else np.where(free, counts, 0.0)
    total = np.add.reduce(counts, axis=-1, keepdims=True)
    if free is None and np.count_nonzero(total > 0) == total.size:
        return counts / total
    new = counts / np.where(total > 0, total, 1.0)
    if free is not None:
        kept = np.where(free, 0.0, values)
        mass = 1.0 - kept.sum(axis=-1, keepdims=True)
        new = np.where(free, new * mass, values)
    return np.where(total > 0, new, values)


def stationary_distribution(transmat: Array) -> Array:
    """The distribution that the chain keeps, (K,).

    Raises
    ------
    ValueError
        When there is more than one: the chain falls into parts that never meet.
    """
    k = len(transmat)
    matrix = np.vstack([transmat.T - np.eye(k), np.ones(k)])
    found, _, rank, _ = np.linalg.lstsq(matrix, np.append(np.zeros(k), 1.0), rcond=None)
    if rank < k:
        raise ValueError(
            "the chain has more than one stationary distribution: its states fall into "
            "groups that never reach each other"
        )
    found = np.where(found > 1e-15, found, 0.0)
    return found / found.sum()


def maximize_stationary(start: Array, counts: Array, transmat: Array, free: Array | None) -> Array:
    """Transition probabilities of a stationary chain, from `transmat` upwards.

    Parameters
    ----------
    start : (K,) array
        Expected counts of first states.
    counts : (K, K) array
        Expected counts of transitions.
    transmat : (K, K) array
        Zeros stay.
    free : (K, K) bool array, optional
    """
    moving = transmat > 0 if free is None else free & (transmat > 0)
    moving &= moving.sum(axis=1, keepdims=True) > 1
    if not moving.any():
        return transmat
    best, settled = transmat, False
    if np.all(counts[moving] > 0):
        best, settled = _linearised_steps(start, counts, best, moving)
    if not settled:
        best = _climbed(start, counts, best, moving)
        if np.all(counts[moving] > 0):  # to the last digits
            best, _ = _linearised_steps(start, counts, best, moving)
    return best


#: Most linearised steps of one M-step.
STEPS = 60
#: Most rounds of the climb, and the farthest that a log-odd goes in one of them.
ROUNDS, FAR = 8, 8.0


class _Point(NamedTuple):
    """The objective at a point; -inf where no start distribution belongs to it."""

    value: float
    slopes: Array  # (K, K): gradient of the first states' part


def _point(start: Array, counts: Array, transmat: Array) -> _Point:
    nothing = _Point(-np.inf, np.zeros_like(transmat))
    try:
        # Its product with a row differs from that of the fundamental matrix by the same
        # number for each entry.
        inverse = np.linalg.inv(1.0 - transmat + np.eye(len(start)))
    except np.linalg.LinAlgError:
        return nothing
    first = inverse.sum(axis=0)
    if not np.abs(first @ transmat - first).max() < 1e-9:
        return nothing
    with np.errstate(all="ignore"):
        chosen = xlogy(start, np.maximum(first, 0.0)).sum() + xlogy(counts, transmat).sum()
        gain = np.where(start > 0, start / first, 0.0)
        slopes = first[:, None] * (inverse @ gain)
    return _Point(float(chosen), slopes) if np.isfinite(slopes).all() else nothing


def _linearised_steps(
    start: Array, counts: Array, transmat: Array, moving: Array
) -> tuple[Array, bool]:
    """Steps to the maximum of the linearised objective, and whether they came to an end."""
    here, moved = _point(start, counts, transmat), np.inf
    for _ in range(STEPS):
        target = _linearised(counts, here.slopes, transmat, moving)
        step = 1.0
        while step > 1e-4:
            tried = transmat + step * (target - transmat)
            there = _point(start, counts, tried)
            if there.value > here.value:
                break
            step *= 0.5
        else:  # no digit is left to gain, or the way there is too bent
            return transmat, bool(np.abs(target - transmat).max() < SMALL)
        moved = np.abs(tried - transmat).max()
        transmat, here = tried, there
        if moved < 1e-14:
            break
    return transmat, bool(moved < SMALL)


#: A step after which no further is worth its price.
SMALL = 1e-7


def _linearised(counts: Array, slopes: Array, transmat: Array, moving: Array) -> Array:
    """The maximum with the dependence of the first states on P made linear."""
    new = transmat.copy()
    for i in np.flatnonzero(moving.any(axis=1)):
        mine = moving[i]
        new[i, mine] = _share(counts[i, mine], slopes[i, mine], transmat[i, mine].sum())
    return new


def _climbed(start: Array, counts: Array, transmat: Array, moving: Array) -> Array:
    """A maximum by a quasi-Newton climb in the log-odds of the entries that may move."""
    mass = np.where(moving, transmat, 0.0).sum(axis=1, keepdims=True)
    begin = np.log(transmat[moving])

    def at(logits: Array) -> Array:
        full = np.full(transmat.shape, -np.inf)
        full[moving] = logits
        top = full.max(axis=1, keepdims=True)
        odds = np.exp(full - np.where(np.isfinite(top), top, 0.0))
        total = odds.sum(axis=1, keepdims=True)
        return np.where(moving, mass * odds / np.where(total > 0, total, 1.0), transmat)

    scale = 1.0 / (start.sum() + counts.sum())

    def loss(logits: Array) -> tuple[float, Array]:
        tried = at(logits)
        value, slopes = _point(start, counts, tried)
        pull = np.where(moving, counts + tried * slopes, 0.0)
        share = np.where(moving, tried, 0.0) / np.where(mass > 0, mass, 1.0)
        rise = (pull - share * pull.sum(axis=1, keepdims=True))[moving]
        return -scale * max(value, -1e300), -scale * rise

    options = {"maxiter": 200, "ftol": 1e-15, "gtol": 1e-10}
    logits, last = begin, loss(begin)[0]
    for _ in range(ROUNDS):  # anew, as a search that met the edge remembers nonsense
        bounds = [(value - FAR, value + FAR) for value in logits]
        found = minimize(loss, logits, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        if not found.fun < last - 1e-13 * abs(last):
            break
        logits, last = found.x, found.fun
    return transmat if logits is begin else at(logits)


def _share(counts: Array, slopes: Array, mass: float) -> Array:
    """Shares ``counts / (level - slopes)`` with sum `mass`, by Newton's method from the left side.

    The sum falls and is convex in the level: from a level below the root, where the sum
    is too large, each step stays below it. The level is counted from the largest slope, as the
    distance may be far smaller than both.
    """
    gaps = slopes.max() - slopes
    above = np.max(counts / mass - gaps)  # one term alone is the mass: the sum is at least that
    for _ in range(100):
        shares = counts / (above + gaps)
        step = (shares.sum() - mass) / (shares**2 / counts).sum()
        above += step
        if abs(step) <= 1e-15 * abs(above):
            break
    shares = counts / (above + gaps)
    return shares * (mass / shares.sum())
