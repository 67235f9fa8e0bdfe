r"""Marginals and conditionals of Gaussian components.

For columns split into a (kept) and b (given),

.. math:: \mu_{a|b} = \mu_a + \Sigma_{ab} \Sigma_{bb}^{-1} (x_b - \mu_b), \qquad
          \Sigma_{a|b} = \Sigma_{aa} - \Sigma_{ab} \Sigma_{bb}^{-1} \Sigma_{ba}
"""

from __future__ import annotations

import numpy as np

from latentem.engine.moments import Scatter
from latentem.families.gaussian import Gaussian, GaussianParams

__all__ = ["condition", "marginal"]

Array = np.ndarray


def marginal(params: GaussianParams, kind: Scatter, columns: Array) -> GaussianParams:
    """Parameters of the chosen columns, in the given order; the kind stays the same."""
    means, covariances = params
    if kind == "full":
        covariances = covariances[:, columns[:, None], columns]
    elif kind == "tied":
        covariances = covariances[columns[:, None], columns]
    elif kind == "diag":
        covariances = covariances[:, columns]
    return GaussianParams(means[:, columns], covariances)


def condition(
    params: GaussianParams, kind: Scatter, given: Array, values: Array
) -> tuple[Array, GaussianParams]:
    """Log density (K,) of the given values, and the parameters of the other columns.

    `values` is one point (b,); the kind of the covariances stays the same.
    """
    given_params = marginal(params, kind, given)
    family = Gaussian(kind)
    log_density = family.log_density(family.prepare(given_params), values[None, :])[:, 0]
    rest = np.setdiff1d(np.arange(params.means.shape[1]), given)
    kept = marginal(params, kind, rest)
    if kind in ("diag", "spherical"):
        return log_density, kept
    covariances = params.covariances if kind == "full" else params.covariances[None]
    cross = covariances[:, given[:, None], rest]
    slopes = np.linalg.solve(covariances[:, given[:, None], given], cross)
    shift = np.einsum("...br,...b->...r", slopes, values - given_params.means)
    inside = covariances[:, rest[:, None], rest] - cross.transpose(0, 2, 1) @ slopes
    inside = 0.5 * (inside + inside.transpose(0, 2, 1))
    return log_density, GaussianParams(kept.means + shift, inside if kind == "full" else inside[0])
