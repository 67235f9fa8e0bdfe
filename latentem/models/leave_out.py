r"""Each cell of a row given the others, at given parameters.

With the precision :math:`P = \Sigma_{oo}^{-1}` of the cells o that are seen,

.. math:: E[x_j | x_{o \setminus j}] = x_j - \frac{(P (x_o - \mu_o))_j}{P_{jj}}, \qquad
          \mathrm{Var}[x_j | x_{o \setminus j}] = \frac{1}{P_{jj}}

so that one matrix for each pattern of missing cells answers for all its cells at once.
"""

from __future__ import annotations

import numpy as np

from latentem.models.normal import NormalParams
from latentem.models.patterns import patterns_of

__all__ = ["leave_one_out"]

Array = np.ndarray
#: Numbers in the matrices that are worked on together.
TOGETHER = 2_000_000


def leave_one_out(params: NormalParams, x: Array) -> tuple[Array, Array]:
    """Conditional means and standard deviations (n, d) of the cells seen; NaN where none is.

    Parameters
    ----------
    params : NormalParams
    x : (n, d) array
        NaN in missing cells.

    Raises
    ------
    LinAlgError
        For a covariance that is not positive definite.
    """
    scale = np.sqrt(params.covariance.diagonal())
    correlation = params.covariance / np.outer(scale, scale)
    y = (x - params.mean) / scale
    order, first, missing = patterns_of(np.isnan(x))
    n_seen = (~missing).sum(axis=1)
    away, spread = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    for k in np.unique(n_seen[n_seen > 0]).tolist():
        alike = np.flatnonzero(n_seen == k)
        size = max(TOGETHER // k**2, 1)
        for begin in range(0, len(alike), size):
            patterns = alike[begin : begin + size]
            seen = np.nonzero(~missing[patterns])[1].reshape(-1, k)
            factor = np.linalg.cholesky(correlation[seen[:, :, None], seen[:, None, :]])
            whitener = np.linalg.inv(factor)  # P is its product with itself
            diagonal = (whitener**2).sum(axis=1)
            for p, columns, root, own in zip(patterns, seen, whitener, diagonal, strict=True):
                places = np.ix_(order[first[p] : first[p + 1]], columns)
                away[places] = (y[places] @ root.T @ root) / own
                spread[places] = 1 / np.sqrt(own)
    return x - scale * away, scale * spread
