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
then the climb is by a quasi-Newton method with that gradient. How both are found without
losing digits, `latentem.kernels.stationary` says.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.sparse.csgraph import connected_components

from latentem.families.proportions import maximize_rows
from latentem.kernels import stationary as kernel

__all__ = [
    "lasting_states",
    "left_right",
    "maximize_rows",
    "maximize_stationary",
    "stationary_distribution",
]

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


def stationary_distribution(transmat: Array) -> Array:
    """The distribution that the chain keeps, (K,); exact zeros where it leaves for good.

    By the state reduction of Grassmann, Taksar and Heyman (1985, doi:10.1287/opre.33.5.1107),
    which keeps all digits of chains that nearly fall into parts.

    Raises
    ------
    LinAlgError
        (a ValueError) When there is more than one: the chain falls into parts that never meet.
    """
    lasting, found = lasting_states(transmat), np.zeros(len(transmat))
    part = np.empty(len(lasting))
    if not kernel.distribution(_among(transmat, lasting), part):
        raise np.linalg.LinAlgError(
            "the stationary distribution of the chain cannot be told: groups of its states reach "
            "each other with probabilities too small for a float"
        )
    found[lasting] = part
    return found


def lasting_states(transmat: Array) -> Array:
    """States that a chain does not leave for good; probabilities, or a mask of what is allowed.

    Raises
    ------
    LinAlgError
        (a ValueError) When they fall into groups that never reach each other.
    """
    links = np.asarray(transmat) > 0
    if links.all():
        return np.arange(len(links))
    count, group = connected_components(links, connection="strong")
    left = np.zeros(count, dtype=bool)
    left[group[np.nonzero(links & (group[:, None] != group))[0]]] = True
    if np.count_nonzero(~left) > 1:
        raise np.linalg.LinAlgError(
            "the chain has more than one stationary distribution: its states fall into "
            "groups that never reach each other"
        )
    return np.flatnonzero(~left[group])


def maximize_stationary(start: Array, counts: Array, transmat: Array, free: Array | None) -> Array:
    """Transition probabilities of a stationary chain, from `transmat` upwards.

    Parameters
    ----------
    start : (K,) array
        Expected counts of first states.
    counts : (K, K) array
        Expected counts of transitions.
    transmat : (K, K) array
        Zeros stay, and so do the rows of states that the chain leaves for good.
    free : (K, K) bool array, optional

    Raises
    ------
    LinAlgError
        When the chain falls into parts.
    """
    moving = transmat > 0 if free is None else free & (transmat > 0)
    moving &= moving.sum(axis=1, keepdims=True) > 1
    lasting = lasting_states(transmat)
    if len(lasting) < len(transmat):
        best = transmat.copy()
        best[np.ix_(lasting, lasting)] = _maximized(
            start[lasting], *(_among(a, lasting) for a in (counts, transmat, moving))
        )
        return best
    return _maximized(start, counts, transmat, moving)


def _among(matrix: Array, states: Array) -> Array:
    return np.ascontiguousarray(matrix[np.ix_(states, states)])


#: Most linearised steps at a time, and the one after which no further is worth its price.
STEPS, SMALL = 60, 1e-7
#: Most rounds of the climb, and the farthest that a log-odd goes in one of them.
ROUNDS, FAR = 8, 8.0


def _maximized(start: Array, counts: Array, transmat: Array, moving: Array) -> Array:
    if not moving.any():
        return transmat
    counts, best = np.ascontiguousarray(counts, dtype=float), np.array(transmat, order="C")
    counted = bool(np.all(counts[moving] > 0))
    if not (counted and kernel.climb(start, counts, best, moving, STEPS) < SMALL):
        best = _climbed(start, counts, best, moving)
        if counted:  # to the last digits
            kernel.climb(start, counts, best, moving, STEPS)
    return best


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
        slopes = np.zeros(tried.shape)
        value = kernel.slopes(start, counts, tried, slopes)
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
