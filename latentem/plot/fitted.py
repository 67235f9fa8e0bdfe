"""Weights, family and family parameters of whatever a user has fitted."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from latentem.engine.family import Family
from latentem.engine.moments import Scatter
from latentem.families.gaussian import Gaussian, GaussianParams
from latentem.families.poisson import Poisson, PoissonParams

__all__ = ["Drawn", "drawn", "label", "names_of", "rows"]

Array = np.ndarray


class Drawn(NamedTuple):
    """A mixture as the figures need it."""

    weights: Array
    family: Family
    params: Any

    def log_joint(self, x: Array) -> Array:
        """Log of weight times density, (K, m), of the rows (m, d)."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        prepared = self.family.prepare(self.params)
        return log_weights[:, None] + self.family.log_density(prepared, self.family.encode(x))

    def spread(self) -> tuple[Array, Array]:
        """Means and standard deviations (K, d); (0, d) where the family does not tell them."""
        try:
            means, variances = self.family.moments(self.params)
        except NotImplementedError:
            return np.empty((0, 1)), np.empty((0, 1))
        return means, np.sqrt(variances)

    def possible(self, points: Array) -> Array:
        """The points that the family, of one column, does not refuse."""
        if self._takes(points):
            return points
        return points[[self._takes(points[i : i + 1]) for i in range(len(points))]]

    def _takes(self, points: Array) -> bool:
        try:
            self.family.check(points[:, None])
        except ValueError:
            return False
        return True


def drawn(fitted: Any) -> Drawn:
    """The mixture in a fitted estimator, an `EMResult`, or `MixtureParams`."""
    if hasattr(fitted, "covariances_"):  # ours or scikit-learn's GaussianMixture
        params = GaussianParams(np.asarray(fitted.means_), np.asarray(fitted.covariances_))
        return Drawn(np.asarray(fitted.weights_), Gaussian(fitted.covariance_type), params)
    if hasattr(fitted, "family_params_"):
        return Drawn(np.asarray(fitted.weights_), fitted.family, fitted.family_params_)
    if hasattr(fitted, "params") and hasattr(fitted.params, "weights"):
        return Drawn(fitted.params.weights, fitted.model.family, fitted.params.family)
    if hasattr(fitted, "weights") and hasattr(fitted, "family"):
        return Drawn(np.asarray(fitted.weights), _family(fitted.family), fitted.family)
    raise TypeError(
        f"cannot draw a {type(fitted).__name__}: give a fitted mixture estimator, the EMResult "
        "of a mixture, or MixtureParams"
    )


def label(weights: Array, k: int) -> str:
    """Name of component k in a legend, numbered as `predict` does."""
    return f"component {k} ({100 * weights[k]:.0f} %)"


def _family(params: Any) -> Family:
    if isinstance(params, PoissonParams):
        return Poisson()
    if isinstance(params, GaussianParams):
        return Gaussian(_kind(params))
    raise TypeError(
        f"MixtureParams of {type(params).__name__} do not tell their family: give the fitted "
        "estimator or the EMResult"
    )


def _kind(params: GaussianParams) -> Scatter:
    """Covariance type from the shapes."""
    (k, d), ndim = np.shape(params.means), np.ndim(params.covariances)
    if ndim == 2 and k == d > 1:
        raise ValueError(
            f"covariances of shape {(k, d)} may be tied or diag: give the fitted estimator or "
            "the EMResult, which know"
        )
    if ndim == 2:
        return "diag" if np.shape(params.covariances) == (k, d) else "tied"
    return "full" if ndim == 3 else "spherical"


def rows(X: Any) -> Array:
    """X as (n, d) float64; one-dimensional X is one column."""
    x = np.asarray(X, dtype=float)
    if x.ndim not in (1, 2):
        raise ValueError(f"X must be (n_samples, n_features), got {x.ndim} dimensions")
    return x[:, None] if x.ndim == 1 else x


def names_of(fitted: Any, X: Any, d: int) -> list[str]:
    """Names of the columns: those of the fit, those of a frame or series, or x0, x1, ..."""
    found = getattr(fitted, "feature_names_in_", None)
    if found is None:
        found = getattr(X, "columns", None)
    if found is None and getattr(X, "name", None) is not None:
        found = [X.name]
    if found is None:
        found = ["x"] if d == 1 else [f"x{j}" for j in range(d)]
    return [str(name) for name in found]
