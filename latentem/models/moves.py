r"""Moves out of a local maximum: two components become one, another becomes two.

EM ends where two components share one cluster while another covers two, and cannot leave:
every way out goes downhill (Ueda, Nakano, Ghahramani and Hinton 2000,
doi:10.1162/089976600300015088). A move puts it right at once. Moves are ranked by what they
are worth before EM goes on, in nats, from the posteriors r of the standing parameters:

- *the split of component k* gains :math:`\sum_i w_i r_{ik} \log(\sum_c a_c f_c(x_i) / f_k(x_i))`,
  where the two children are fitted to the rows weighted by :math:`w r_k`, by a few EM maps of
  their own that begin at the two halves along the longest axis of these rows;
- *the union of i and j* loses :math:`\sum_i w_i \log(1 - r_i - r_j + \pi_{ij} f_{ij} / p)`,
  negated, with :math:`f_{ij}` fitted to the rows weighted by :math:`w (r_i + r_j)`.

All of it asks a family for what it does in any E- and M-step, so every family has moves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from latentem.engine.family import Family

__all__ = ["moved"]

Array = np.ndarray

#: EM maps that part the children of a component.
MAPS = 5
#: Pairs that are tried for a union, for each component.
PAIRS = 2
#: Moves yielded that split the same component, or unite the same pair.
ALIKE = 2
#: Share of the loss by a union that a split must gain for a move to be worth a trial.
HOPE = 0.1
#: Rows in a component that are worth a split, for each half.
LEAST = 2.0


def moved(
    family: Family,
    x: Any,
    weights: Array,
    log_joint: Array,
    least: float,
    rng: np.random.Generator,
) -> Iterator[tuple[float, Array]]:
    """Worth of a move in nats, and responsibilities (K, n) after it; the best move first.

    Parameters
    ----------
    family : Family
    x : encoded rows
    weights : (n,) array
    log_joint : (K, n) array
        Log of each component's share times its density.
    least : float
        Rows that each half of a split must have: with as many as there are parameters of a
        component, or fewer, high densities mean nothing.
    rng : Generator
    """
    k = len(log_joint)
    if k < 3:
        return
    top = log_joint.max(axis=0)
    top = np.where(np.isfinite(top), top, 0.0)
    loglik = top + np.log(np.exp(log_joint - top).sum(axis=0))
    shares = np.exp(log_joint - np.where(np.isfinite(loglik), loglik, 0.0))
    gains, first = _splits(family, x, weights, shares, log_joint, max(least, LEAST), rng)
    pairs = _near(shares * weights, log_joint)
    losses = _unions(family, x, weights, shares, loglik, pairs, rng)
    worth = gains[None, :] - losses[:, None]
    for row, (i, j) in enumerate(pairs):
        worth[row, [i, j]] = -np.inf
    worth[~(gains[None, :] > HOPE * losses[:, None])] = -np.inf
    seen: Counter[tuple] = Counter()
    for place in np.argsort(-worth, axis=None, kind="stable"):
        row, split = (int(part) for part in np.unravel_index(place, worth.shape))
        value, (i, j) = float(worth[row, split]), pairs[row]
        if not value > -np.inf:
            return
        if max(seen["split", split], seen["pair", row]) >= ALIKE:
            continue
        seen.update([("split", split), ("pair", row)])
        new = shares.copy()
        new[i] = shares[i] + shares[j]
        new[split], new[j] = shares[split] * first[split], shares[split] * (1 - first[split])
        yield value, new


def _splits(
    family: Family,
    x: Any,
    weights: Array,
    shares: Array,
    log_joint: Array,
    least: float,
    rng: Any,
) -> tuple[Array, Array]:
    """What the split of each component gains (K,), and the first child's share of its rows."""
    k, n = shares.shape
    points = family.points(x)
    first = np.empty((k, n))
    for c in range(k):
        own = shares[c] * weights
        total = own.sum()
        if not total > 2 * least:
            first[c] = 0.5
            continue
        centred = points - own @ points / total
        axis = np.linalg.eigh((centred * own[:, None]).T @ centred / total)[1][:, -1]
        first[c] = (centred @ axis > 0) * 0.98 + 0.01
    parent = shares * weights
    parent = shares * weights
    log_parent = np.log(parent.sum(axis=1) / weights.sum())
    params = family.initialize(x, np.concatenate([parent * first, parent * (1 - first)]), rng)
    for turn in range(MAPS):
        prepared = family.prepare(params)
        density, shared = family.evaluate(prepared, x)
        both = np.concatenate([parent * first, parent * (1 - first)])
        counts = both.sum(axis=1)
        of_both = np.tile(np.maximum(counts[:k] + counts[k:], np.finfo(float).tiny), 2)
        joint = density + np.log(counts / of_both)[:, None]
        value = np.logaddexp(joint[:k], joint[k:])
        known = np.isfinite(value)  # elsewhere both children have density zero
        first = np.where(known, np.exp(joint[:k] - np.where(known, value, 0.0)), 0.5)
        if turn < MAPS - 1:
            both = np.concatenate([parent * first, parent * (1 - first)])
            params = family.maximize(family.statistics(prepared, x, both, shared), params)
    before = log_joint - log_parent[:, None]
    gains = np.where(parent > 0, parent * (value - before), 0.0).sum(axis=1)
    counts = np.minimum((parent * first).sum(axis=1), (parent * (1 - first)).sum(axis=1))
    sound = np.isfinite(gains) & (counts > least)
    return np.where(sound, gains, -np.inf), first


def _near(weighted: Array, log_joint: Array) -> list[tuple[int, int]]:
    """Pairs of components of which one explains the rows of the other best."""
    k = len(weighted)
    counts = weighted.sum(axis=1)
    logs = np.where(np.isfinite(log_joint), log_joint, -1e6)
    counts = np.where(counts > 0, counts, 1.0)
    cost = (weighted * logs).sum(axis=1)[:, None] - weighted @ logs.T
    cost += (weighted.sum(axis=1) * np.log(counts[None, :] / counts[:, None]).T).T
    cost[np.eye(k, dtype=bool)] = np.inf
    found = set()
    for i in range(k):
        for j in np.argsort(cost[i])[:PAIRS]:
            found.add((min(i, int(j)), max(i, int(j))))
    return sorted(found)


def _unions(
    family: Family, x: Any, weights: Array, shares: Array, loglik: Array, pairs: Any, rng: Any
) -> Array:
    """What the union of each pair loses (P,)."""
    both = np.array([shares[i] + shares[j] for i, j in pairs])
    weighted = both * weights
    density = family.log_density(family.prepare(family.initialize(x, weighted, rng)), x)
    share = weighted.sum(axis=1) / weights.sum()
    with np.errstate(all="ignore"):
        ratio = np.exp(np.minimum(density + np.log(share)[:, None] - loglik, 700.0))
        now = np.log(np.maximum(1 - both, 0.0) + ratio)
    now = np.where(weights > 0, now * weights, 0.0)
    return -now.sum(axis=1)
