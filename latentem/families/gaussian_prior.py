r"""Conjugate priors of Gaussian components, and the M-step under them (MAP).

For each component, with mean weight :math:`\kappa` and degrees of freedom :math:`\nu`,

.. math:: \mu_k \mid \Sigma_k \sim N(m, \Sigma_k / \kappa), \qquad
          \Sigma_k \sim \text{inverse Wishart}(\nu, \Lambda)

and for independent columns an inverse gamma with :math:`\nu / 2` and half the scale of
the column. From statistics with weight n, mean :math:`\bar x` and scatter S, the maximum of
Q plus the log density of the prior is

.. math:: \mu = \frac{n \bar x + \kappa m}{n + \kappa}, \qquad
          \Sigma = \frac{\Lambda + S + \frac{\kappa n}{n + \kappa} (\bar x - m)(\bar x - m)'}
                        {n + a}

with :math:`a = \nu + d + 2` (full; :math:`\nu + d + 1 + K` for tied, where n and S are
sums), :math:`\nu + 3` for a column (diag) and :math:`\nu + d + 2` beside n d (spherical); one
less for each mean where :math:`\kappa = 0`, which is a flat prior of the means. Source: Fraley and
Raftery (2007), Bayesian regularization for normal mixture estimation and model-based
clustering, doi:10.1007/s00357-007-0004-5. Log densities leave out their constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latentem.engine.moments import Moments, Scatter, outer
from latentem.families import covariance as cov
from latentem.families.held import stay

__all__ = ["GaussianPrior", "prior_from"]

Array = np.ndarray


@dataclass(frozen=True)
class GaussianPrior:
    """A prior that every component has.

    Parameters
    ----------
    mean : (d,) array
        In the units of the data.
    mean_weight : float
        Rows that it counts for; 0 is a flat prior of the means.
    df : float
        Degrees of freedom of the covariances.
    scale : (d, d) array, or (d,) for diagonal and spherical covariances
        In squared units of the data.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import families
    >>> prior = families.GaussianPrior(np.zeros(1), 0.0, 3.0, np.ones((1, 1)))
    >>> family = families.Gaussian("full", prior=prior)
    >>> params = family.initialize(np.array([[5.0]]), np.ones((1, 1)), np.random.default_rng(0))
    >>> params.means.tolist(), params.covariances.round(3).tolist()
    ([[5.0]], [[[0.167]]])
    """

    mean: Array
    mean_weight: float
    df: float
    scale: Array

    def excess(self, kind: Scatter, d: int, k: int) -> float:
        """What is added to the weights in the denominators of the M-step."""
        means = 1 if self.mean_weight > 0 else 0
        if kind == "full":
            return self.df + d + 1 + means
        if kind == "tied":
            return self.df + d + 1 + k * means
        return self.df + 2 + (means if kind == "diag" else d * means)

    def __post_init__(self) -> None:
        d = len(self.mean) if np.ndim(self.mean) == 1 else 0
        if not d or np.shape(self.scale) not in ((d,), (d, d)):
            raise ValueError(
                "GaussianPrior: mean must be (d,), and scale (d, d), or (d,) for diagonal and "
                f"spherical covariances; got {np.shape(self.mean)} and {np.shape(self.scale)}"
            )
        _number(self.mean_weight, "GaussianPrior: mean_weight", 0.0, inclusive=True)
        _number(self.df, "GaussianPrior: df", d - 1.0 if np.ndim(self.scale) == 2 else 0.0)
        if not (np.all(np.isfinite(self.mean)) and np.all(np.isfinite(self.scale))):
            raise ValueError("GaussianPrior: mean and scale must be finite")
        scale = np.asarray(self.scale)
        least = scale.min() if scale.ndim == 1 else np.linalg.eigvalsh(scale)[0]
        if least <= 0 or not np.allclose(scale, scale.T):
            raise ValueError(
                "GaussianPrior: scale must be positive, as a matrix symmetric and positive "
                "definite: the prior would be improper"
            )

    def check(self, k: int | None = None, width: int | None = None) -> None:
        """ValueError for another number of columns than it is for."""
        if width is not None and len(self.mean) != width:
            raise ValueError(
                f"the prior of the Gaussian family is for {len(self.mean)} columns, and X has "
                f"{width}"
            )

    def maximize(
        self, moments: Moments, old: Array, fixed: bool | Array | None = None
    ) -> tuple[Array, Array]:
        """Means and covariances at the maximum.

        Means that nothing tells of keep their `old` values (K, d), and so do those of components
        that are `fixed`.
        """
        kind, (k, d) = moments.kind, moments.mean.shape
        weight, means = cov.per_column(moments.weight), old
        if fixed is not True:
            total = weight + self.mean_weight
            means = weight * moments.mean + self.mean_weight * self.mean
            means = np.where(total > 0, means / np.where(total > 0, total, 1.0), old)
            means = stay(fixed, means, old)
        scatter = moments.about(means)
        if self.mean_weight > 0:
            scatter = scatter + outer(means - self.mean, np.full(k, self.mean_weight), kind)
        excess = self.excess(kind, d, k)
        if kind == "tied":
            return means, (self.scale + scatter) / (moments.weight.sum() + excess)
        if kind == "spherical":
            cells = np.broadcast_to(weight, (k, d)).sum(axis=1)
            return means, (self.scale.mean() + d * scatter) / (cells + excess)
        if kind == "diag":
            return means, (self.scale + scatter) / (weight + excess)
        return means, (self.scale + scatter) / (moments.weight + excess)[:, None, None]

    def log_density(self, means: Array, covariances: Array, kind: Scatter) -> float:
        """Log density at parameters of all components, without its constant."""
        k, d = means.shape
        excess = self.excess(kind, d, k)
        whiteners, logdets = cov.whiteners(covariances, kind, d)
        about = self.mean_weight * (means - self.mean)[:, :, None] * (means - self.mean)[:, None]
        if kind in ("full", "tied"):
            spread = about + self.scale if kind == "full" else about.sum(axis=0) + self.scale
            return float(-0.5 * (excess * np.sum(logdets) + cov.trace(whiteners, spread, kind, d)))
        squares = np.diagonal(about, axis1=1, axis2=2)
        if kind == "diag":
            losses = excess * np.log(covariances) + (self.scale + squares) / covariances
            return float(-0.5 * losses.sum())
        losses = excess * np.log(covariances)
        losses = losses + (self.scale.mean() + squares.sum(axis=1)) / covariances
        return float(-0.5 * losses.sum())


def prior_from(
    X: Array,
    kind: Scatter,
    k: int,
    mean: Any = None,
    mean_weight: float | None = None,
    scale: Any = None,
    df: float | None = None,
) -> GaussianPrior:
    """The prior that an estimator's arguments name, completed from the data.

    Parameters
    ----------
    X : (n, d) array
        Cells may be NaN.
    kind : {"full", "tied", "diag", "spherical"}
    k : int
        Number of components.
    mean : (d,) array-like, optional
        By default the means of the columns.
    mean_weight : float, optional
        By default 0.01 with scale "data", 1 where a mean is given, else 0.
    scale : "data", float, (d,) or (d, d) array-like
        "data" is the covariance of the columns over K^(2/d), as in Fraley and Raftery.
    df : float, optional
        By default d + 2.

    Raises
    ------
    ValueError
        For a scale that is not positive definite, a weight below 0 and other shapes.
    """
    d = X.shape[1]
    centre = np.nanmean(X, axis=0)
    if mean_weight is None:
        from_data = isinstance(scale, str)
        mean_weight = 0.01 if from_data else float(mean is not None)
    mean_weight = _number(mean_weight, "means_weight", 0.0, inclusive=True)
    mean = centre if mean is None else _array(mean, "means_prior", [(d,)])
    least = d - 1.0 if kind in ("full", "tied") else 0.0
    df = d + 2.0 if df is None else _number(df, "covariance_df", least)
    return GaussianPrior(mean, mean_weight, df, _scale(X, centre, kind, k, scale))


def _scale(X: Array, centre: Array, kind: Scatter, k: int, scale: Any) -> Array:
    d, matrix = X.shape[1], kind in ("full", "tied")
    if isinstance(scale, str):
        if scale != "data":
            raise ValueError(f"covariance_prior must be 'data' or numbers, got {scale!r}")
        variances = np.nanvar(X, axis=0)
        if not (variances > 0).all():
            j = int(np.argmin(variances))
            raise ValueError(
                f"covariance_prior='data' needs columns that vary, and column {j} is constant: "
                "leave it out, or give covariance_prior as numbers"
            )
        if not matrix:
            return variances / k ** (2 / d)
        whole = X[~np.isnan(X).any(axis=1)]
        y = (whole if len(whole) > d else np.where(np.isnan(X), centre, X)) - centre
        spread = y.T @ y / len(y)
        if cov.singular(spread[None], np.zeros((1, d)))[0]:
            spread = np.diag(variances)
        return spread / k ** (2 / d)
    found = _array(scale, "covariance_prior", [(), (d,), (d, d)] if matrix else [(), (d,)])
    if found.ndim < 2:
        found = np.broadcast_to(found, (d,))
        if not (found > 0).all():
            raise ValueError("covariance_prior must be positive")
        return np.diag(found) if matrix else np.array(found)
    if not np.allclose(found, found.T) or np.linalg.eigvalsh(found)[0] <= 0:
        raise ValueError("covariance_prior must be symmetric and positive definite")
    return 0.5 * (found + found.T)


def _number(value: Any, name: str, least: float, inclusive: bool = False) -> float:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and np.isfinite(value) and (value > least or (inclusive and value == least))):
        raise ValueError(
            f"{name} must be a number {'>=' if inclusive else '>'} {least:g}, got {value!r}"
        )
    return float(value)


def _array(value: Any, name: str, shapes: list[tuple[int, ...]]) -> Array:
    try:
        found = np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers") from None
    if found.shape not in shapes:
        wanted = " or ".join(map(str, shapes)).replace("()", "a number")
        raise ValueError(f"{name} must have shape {wanted}, got {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} contains NaN or infinity")
    return found
