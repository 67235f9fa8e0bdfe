r"""Priors of a covariance that keep its M-step in closed form.

All are :math:`\log p(\Sigma) = -\tfrac12 [a \log|\Sigma| + \mathrm{tr}(\Psi \Sigma^{-1})]`
plus a constant that is left out, so that the M-step is

.. math:: \Sigma = (S + \Psi) / (n + a).

- ridge: :math:`\nu` imaginary rows with the variances of the columns and correlations 0,
  :math:`a = \nu, \Psi = \nu D` (Schafer 1997, Analysis of Incomplete Multivariate Data,
  section 5.2.3, doi:10.1201/9781439821862; as Amelia counts them);
- Jeffreys: :math:`a = d + 1, \Psi = 0`;
- inverse-Wishart with :math:`\nu` degrees of freedom: :math:`a = \nu + d + 1`.

Means have a flat prior.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

__all__ = ["NormalPrior", "PriorName", "normal_prior"]

Array = np.ndarray
PriorName = Literal["ridge", "jeffreys", "inverse-wishart"]


class NormalPrior(NamedTuple):
    """A conjugate prior of a covariance.

    Parameters
    ----------
    weight : float
        a: rows that it adds to the denominator of the M-step.
    scatter : (d, d) array
        Psi, in squared units of the data: scatter that it adds to the numerator.
    """

    weight: float
    scatter: Array

    @property
    def proper(self) -> bool:
        """Whether it alone makes covariances positive definite."""
        return bool(np.all(np.diag(self.scatter) > 0))

    def log_density(self, covariance: Array) -> float:
        """Log density at a covariance, without the constant."""
        try:
            factor = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            return -np.inf
        logdet = 2 * float(np.log(factor.diagonal()).sum())
        trace = float(np.trace(np.linalg.solve(covariance, self.scatter)))
        return -0.5 * (self.weight * logdet + trace)


def normal_prior(
    prior: PriorName | None, df: Any, scale: Any, variances: Array
) -> NormalPrior | None:
    """The prior that an estimator's arguments name.

    Parameters
    ----------
    prior : {"ridge", "jeffreys", "inverse-wishart"} or None
    df : float or None
        Imaginary rows of the ridge (default 1); degrees of freedom of the
        inverse-Wishart (default d + 2, whose mean is `scale`).
    scale : None, (d,) or (d, d) array-like
        Variances, or a covariance, that the ridge draws to, or the scatter of the
        inverse-Wishart; by default the diagonal matrix of `variances`.
    variances : (d,) array
        Variances of the columns where they are seen.

    Raises
    ------
    ValueError
        For an argument that does not belong to the prior, or a scale that is not
        symmetric and positive definite.
    """
    if prior is None or prior == "jeffreys":
        for name, value in (("prior_df", df), ("prior_scale", scale)):
            if value is not None:
                raise ValueError(f"{name} belongs to prior='ridge' or 'inverse-wishart': leave out")
        if prior is None:
            return None
        d = len(variances)
        return NormalPrior(d + 1.0, np.zeros((d, d)))
    if prior not in ("ridge", "inverse-wishart"):
        raise ValueError(
            f"prior must be None, 'ridge', 'jeffreys' or 'inverse-wishart', got {prior!r}"
        )
    d = len(variances)
    matrix = np.diag(variances) if scale is None else _scale(scale, d)
    ridge = prior == "ridge"
    df = (1.0 if ridge else d + 2.0) if df is None else df
    number = isinstance(df, int | float | np.number) and not isinstance(df, bool)
    least = 0.0 if ridge else d - 1.0
    if not (number and least < df < np.inf):
        raise ValueError(f"prior_df must be a number > {least:g} for prior={prior!r}, got {df!r}")
    if ridge:
        return NormalPrior(float(df), df * matrix)
    return NormalPrior(df + d + 1.0, matrix)


def _scale(scale: Any, d: int) -> Array:
    try:
        matrix = np.array(scale, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("prior_scale must hold numbers") from None
    if matrix.shape == (d,):
        matrix = np.diag(matrix)
    if matrix.shape != (d, d):
        raise ValueError(
            f"prior_scale must have shape ({d},) or ({d}, {d}), one entry for each column that "
            f"varies, got {np.shape(scale)}"
        )
    symmetric = np.all(np.isfinite(matrix)) and np.allclose(matrix, matrix.T)
    if not symmetric or np.linalg.eigvalsh(matrix)[0] <= 0:
        raise ValueError("prior_scale must be symmetric and positive definite")
    return 0.5 * (matrix + matrix.T)
