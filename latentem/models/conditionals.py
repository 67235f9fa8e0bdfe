r"""Missing cells given what is seen of their row, at given parameters.

.. math:: E[x_m | x_o] = \mu_m + \Sigma_{mo} \Sigma_{oo}^{-1} (x_o - \mu_o), \qquad
          \mathrm{Cov}[x_m | x_o] = \Sigma_{mm} - \Sigma_{mo} \Sigma_{oo}^{-1} \Sigma_{om}
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from latentem.engine.backends import Backend, SerialBackend
from latentem.families import covariance as cov
from latentem.families.cells import patterns_of
from latentem.kernels.missing import mean_information
from latentem.kernels.missing_exact import condition_rows
from latentem.models.normal import LOG_2PI, NormalParams

__all__ = [
    "CellsOf",
    "Conditioned",
    "conditional_covariance",
    "conditionals",
    "missing_information",
]

Array = np.ndarray
#: Rows worth a piece of work of their own.
PIECE = 2048


class Conditioned(NamedTuple):
    """Rows with their missing cells filled, and how sure that is.

    Parameters
    ----------
    filled : (n, d) array
        The rows; cells that are seen hold the same bits.
    deviations : (P, d) array
        Conditional standard deviations for each pattern, 0 where seen.
    of_rows : (n,) int array
        Pattern of each row.
    loglik : (n,) array
        Log density of what is seen of each row; 0 where nothing is.
    distances : (n,) array
        Squared Mahalanobis distance of what is seen.
    """

    filled: Array
    deviations: Array
    of_rows: Array
    loglik: Array
    distances: Array


class CellsOf:
    """The missing cells of some rows, ready to be filled at one set of parameters after another.

    Parameters
    ----------
    x : (n, d) array
        NaN in missing cells.
    """

    def __init__(self, x: Array):
        self.x = x
        self.missing = np.isnan(x)
        self.patterns = patterns_of(self.missing)
        self.of_rows = self.patterns.of_rows()
        first, n = self.patterns.first, len(x)
        cuts = np.searchsorted(first, np.arange(PIECE, n, PIECE))
        edges = np.unique(np.concatenate([[0], cuts, [len(first) - 1]])).tolist()
        self._pieces = list(pairwise(edges))

    def at(
        self, params: NormalParams, noise: Array | None = None, backend: Backend | None = None
    ) -> Conditioned:
        """Conditional means, or draws where there is `noise`; see `conditionals`."""
        mean, covariance = params
        order, first, absent = self.patterns
        n, d = self.x.shape
        scale = np.sqrt(covariance.diagonal())
        units = np.outer(scale, scale)
        correlation = (covariance / units)[None]
        try:
            whiteners, logdets = cov.whiteners(correlation, "full", d)
        except np.linalg.LinAlgError:  # a degenerate fit: singular but for rounding
            correlation = correlation + cov.LIFTED * np.eye(d)
            whiteners, logdets = cov.whiteners(correlation, "full", d)
        inside = ((self.x - mean) / scale)[order]
        noise = np.empty((0, 0)) if noise is None else noise[order]
        filled, deviations = np.empty((n, d)), np.empty((len(absent), d))
        distances, seen = np.empty(n), np.empty(len(absent))

        def work(piece: tuple[int, int]) -> None:
            begin, end = piece
            rows = slice(first[begin], first[end])
            condition_rows(
                inside[rows], first[begin : end + 1] - first[begin], absent[begin:end],
                np.zeros(d), whiteners[0], float(logdets[0]), noise[rows], filled[rows],
                deviations[begin:end], distances[rows], seen[begin:end],
            )  # fmt: skip

        for _ in (SerialBackend() if backend is None else backend).map(work, self._pieces):
            pass
        out, back, row_distances = self.x.copy(), np.empty((n, d)), np.empty(n)
        back[order] = filled
        np.copyto(out, mean + scale * back, where=self.missing)
        row_distances[order] = distances
        constant = (~absent) @ (LOG_2PI + 2 * np.log(scale)) + seen
        constant[absent.all(axis=1)] = 0.0  # not what rounding leaves of it
        loglik = -0.5 * (row_distances + constant[self.of_rows])
        return Conditioned(out, deviations * scale, self.of_rows, loglik, row_distances)


def conditionals(
    params: NormalParams,
    x: Array,
    noise: Array | None = None,
    backend: Backend | None = None,
) -> Conditioned:
    """Conditional means of missing cells, or draws of them.

    Parameters
    ----------
    params : NormalParams
    x : (n, d) array
        NaN in missing cells.
    noise : (n, d) array, optional
        Standard normal numbers; those in missing cells make draws of them.
    backend : Backend, optional
        Where pieces of the rows are worked on; here by default.

    Raises
    ------
    LinAlgError
        For a covariance that is not positive definite.
    """
    return CellsOf(x).at(params, noise, backend)


def conditional_covariance(covariance: Array, missing: Array) -> Array:
    """Covariance (d, d) of the missing cells of a row given the others, 0 where seen."""
    out = np.zeros_like(covariance)
    m, o = np.flatnonzero(missing), np.flatnonzero(~missing)
    cross = covariance[np.ix_(o, m)]
    inner = covariance[np.ix_(m, m)]
    if len(o):
        inner = inner - cross.T @ np.linalg.solve(covariance[np.ix_(o, o)], cross)
    out[np.ix_(m, m)] = 0.5 * (inner + inner.T)
    return out


def missing_information(params: NormalParams, missing: Array, weights: Array) -> Array:
    """Share of the information about each mean that the missing cells would have held, (d,).

    ``1 - (variance of the mean with complete rows) / (variance with these)``, the
    covariance taken as known.

    Parameters
    ----------
    params : NormalParams
    missing : (P, d) bool array
        Patterns; every column is seen in one of them.
    weights : (P,) array
    """
    d = missing.shape[1]
    scale = np.sqrt(params.covariance.diagonal())
    correlation = params.covariance / np.outer(scale, scale)
    whiteners, _ = cov.whiteners(correlation[None], "full", d)
    information = np.zeros((d, d))
    precision = whiteners[0].T @ whiteners[0]
    mean_information(weights, missing, correlation, precision, information)
    now = np.linalg.inv(information).diagonal()
    return np.clip(1 - 1 / (weights.sum() * now), 0.0, 1.0)
