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
c_{ij})`; the way there raises the objective, and is repeated until it ends.
"""

from __future__ import annotations

import numpy as np

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
    total = counts.sum(axis=-1, keepdims=True)
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
    free : (K, K) bool array, optional
    """
    open_ = np.ones(counts.shape, dtype=bool) if free is None else free
    value = _objective(start, counts, transmat)
    for _ in range(MAPS):
        target = _linearised(start, counts, transmat, open_)
        step = 1.0
        while step > 1e-4:
            tried = transmat + step * (target - transmat)
            new = _objective(start, counts, tried)
            if new > value:
                break
            step *= 0.5
        else:
            return transmat
        moved = np.abs(tried - transmat).max()
        transmat, value = tried, new
        if moved < 1e-14:
            break
    return transmat


#: Most steps of one M-step of a stationary chain.
MAPS = 200


def _objective(start: Array, counts: Array, transmat: Array) -> float:
    try:
        first = stationary_distribution(transmat)
    except ValueError:
        return -np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(start > 0, start * np.log(first), 0.0).sum()
        return float(terms + np.where(counts > 0, counts * np.log(transmat), 0.0).sum())


def _linearised(start: Array, counts: Array, transmat: Array, free: Array) -> Array:
    """The maximum with the dependence of the first states on P made linear."""
    k = len(start)
    first = stationary_distribution(transmat)
    fundamental = np.linalg.inv(np.eye(k) - transmat + first)
    gain = np.where(start > 0, start / np.where(first > 0, first, 1.0), 0.0)
    slopes = first[:, None] * (fundamental @ gain)
    new = transmat.copy()
    for i in range(k):
        mine = free[i] & (counts[i] > 0)
        mass = 1.0 - transmat[i, ~free[i]].sum()
        if not mine.any() or mass <= 0:
            continue
        row = np.where(free[i], 0.0, transmat[i])
        row[mine] = _share(counts[i, mine], slopes[i, mine], mass)
        new[i] = row
    return new


def _share(counts: Array, slopes: Array, mass: float) -> Array:
    """Shares ``counts / (level - slopes)`` with sum `mass`, by Newton's method from the right side.

    The sum falls and is convex in the level: from a level below the root, where the sum
    is too large, each step stays below it.
    """
    level = np.max(slopes + counts / mass)  # one term alone is the mass: the sum is at least that
    for _ in range(100):
        shares = counts / (level - slopes)
        excess = shares.sum() - mass
        step = excess / (shares**2 / counts).sum()
        level += step
        if abs(step) <= 1e-15 * abs(level):
            break
    shares = counts / (level - slopes)
    return shares * (mass / shares.sum())
