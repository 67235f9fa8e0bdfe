"""Posterior means of the factors of rows with missing cells, and the log density of each row."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from latentem.engine.backends import Backend
from latentem.kernels.factors import condition_rows
from latentem.models.factor_analyzer import FactorAnalyzer, FactorParams
from latentem.models.normal import Units
from latentem.models.patterns import patterns_of

__all__ = ["FactorScores", "factor_scores"]

Array = np.ndarray
#: Rows worth a piece of work of their own.
PIECE = 2048


class FactorScores(NamedTuple):
    """What rows say of their factors.

    Parameters
    ----------
    factors : (n, q) array
        Posterior means, of the factors of `FactorAnalyzer.identified`.
    loglik : (n,) array
        Log density of what is seen of each row; 0 where nothing is.
    """

    factors: Array
    loglik: Array


def factor_scores(
    model: FactorAnalyzer, params: FactorParams, x: Array, backend: Backend
) -> FactorScores:
    """Posterior means and log densities of rows (n, d) with NaN in missing cells."""
    params = model.identified(params)
    noise = np.broadcast_to(params.noise, np.shape(params.mean))
    scale = np.sqrt(np.sum(params.loadings**2, axis=1) + noise)
    inside = FactorAnalyzer(model.n_factors, model.noise, units=Units(params.mean, scale))
    prepared = inside.prepare(params)
    missing = np.isnan(x)
    order, first, absent = patterns_of(missing)
    seen = (~absent).astype(float)
    rows = np.where(missing, 0.0, (x - params.mean) / scale)[order]
    factors, distances = np.empty((len(x), model.n_factors)), np.empty(len(x))
    logdets = np.empty(len(absent))
    cuts = np.searchsorted(first, np.arange(PIECE, len(x), PIECE))
    edges = np.unique(np.concatenate([[0], cuts, [len(absent)]])).tolist()

    def work(piece: tuple[int, int]) -> None:
        begin, end = piece
        here = slice(first[begin], first[end])
        condition_rows(
            rows[here], first[begin : end + 1] - first[begin], seen[begin:end], prepared.mean,
            prepared.loadings, prepared.outer, prepared.scaled, prepared.inverse, factors[here],
            distances[here], logdets[begin:end],
        )  # fmt: skip

    for _ in backend.map(work, list(pairwise(edges))):
        pass
    of_rows = np.repeat(np.arange(len(absent)), np.diff(first))
    out, loglik = np.empty_like(factors), np.empty(len(x))
    out[order] = factors @ prepared.frame[:-1, :-1].T
    loglik[order] = -0.5 * (distances + (logdets + seen @ prepared.constant)[of_rows])
    loglik[missing.all(axis=1)] = 0.0  # not minus 0
    return FactorScores(out, loglik)
