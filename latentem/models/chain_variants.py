r"""Variants of the E-step of a hidden chain: tempered, and hard.

With the joint density of a sequence x and a path z

.. math:: p(x, z) = \pi_{z_1} \prod_t P_{z_t z_{t+1}} \prod_t f_{z_t}(x_t)

the tempered E-step takes paths in proportion to :math:`p(x, z)^\beta`. That is a chain again,
of factors :math:`\pi^\beta`, :math:`P^\beta` and :math:`f^\beta`, whose passes give
:math:`\gamma`, :math:`\xi` and :math:`\sum_z p(x, z)^\beta`; the objective is its logarithm
divided by :math:`\beta`. Hard EM is Viterbi training: all weight lies on the most probable path,
and the objective is its :math:`\log p(x, z)` (Juang and Rabiner 1990, doi:10.1109/29.60082).
"""

from __future__ import annotations

import numpy as np

from latentem.engine.model import How
from latentem.models.chain import Chain, Smoothed, chain, smooth
from latentem.models.paths import viterbi

__all__ = ["smooth_as"]

Array = np.ndarray


def smooth_as(
    how: How, given: Chain, log_density: Array, offsets: Array, weights: Array | None = None
) -> Smoothed:
    """What `latentem.models.chain.smooth` finds, under a variant of the E-step."""
    if how.kind == "hard":
        return _best_paths(given, log_density, offsets, weights)
    if how.beta == 1.0:
        return smooth(given, log_density, offsets, weights)
    # Entries of P ** beta are up to K times as large as those of P: divided by their largest
    # row sum they are as the passes expect them.
    moves = given.transmat**how.beta
    start = given.startprob**how.beta
    scale, first = float(moves.sum(axis=1).max()), float(start.sum())
    log_density *= how.beta
    found = smooth(chain(start / first, moves / scale), log_density, offsets, weights)
    taken_out = np.log(first) + (np.diff(offsets) - 1) * np.log(scale)
    return found._replace(loglik=(found.loglik + taken_out) / how.beta)


def _best_paths(
    given: Chain, log_density: Array, offsets: Array, weights: Array | None
) -> Smoothed:
    """All weight of each sequence on its most probable path; overwrites `log_density`."""
    k, m = log_density.shape
    path, loglik, impossible = viterbi(given, log_density, offsets)
    own = np.where(loglik > -np.inf, 1.0 if weights is None else weights, 0.0)
    rows = np.repeat(own, np.diff(offsets))
    log_density[:] = 0.0
    log_density[path, np.arange(m)] = rows
    start = log_density[:, offsets[:-1]].sum(axis=1)
    follows = np.ones(m, dtype=bool)
    follows[offsets[:-1]] = False
    here = np.flatnonzero(follows)
    pairs = np.bincount(path[here - 1] * k + path[here], rows[here], k * k).reshape(k, k)
    return Smoothed(loglik, start, pairs, impossible)
