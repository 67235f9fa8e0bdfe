"""Distributions of rows that have not been seen, as mixtures over the states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import ndtri

from latentem.engine.family import Family
from latentem.estimators.validation import check_level

__all__ = ["Forecast", "pseudo_residuals"]

Array = np.ndarray
#: Probability below which tails are not told apart.
LEAST = 1e-300


class Forecast:
    """Rows that follow a sequence.

    Attributes
    ----------
    states : (h, K) array
        Probabilities of the states 1..h rows ahead.
    mean, variance : (h, n_features) array
        In the units of the data, and in squared units.
    """

    def __init__(self, states: Array, family: Family, params: Any):
        self.states = states
        self._family = family
        self._params = params
        means, variances = family.moments(params)
        self.mean = states @ means
        apart = means - self.mean[:, None]  # squares of means would cancel
        self.variance = np.einsum("hk,hkd->hd", states, variances + apart**2)

    def cdf(self, x: Any) -> Array:
        """Probability that a row is at most x, per column, (h, n_features).

        Parameters
        ----------
        x : (h, n_features) array-like, or (n_features,) for all rows alike
        """
        x = np.broadcast_to(np.asarray(x, dtype=float), self.mean.shape)
        return np.einsum("hk,khd->hd", self.states, self._family.cdf(self._params, x))

    def interval(self, level: float = 0.9) -> tuple[Array, Array]:
        """Lower and upper limits, (h, n_features) each, with equal tails.

        For discrete columns the smallest values whose probability from below reaches the tails.

        Parameters
        ----------
        level : float
            Probability between the limits, between 0 and 1.
        """
        check_level(level)
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def quantile(self, probability: float) -> Array:
        """Smallest values whose cumulative probability is at least `probability`, by bisection."""
        sd = np.sqrt(self.variance)
        spread = sd + 1.0
        low, high = self.mean - spread, self.mean + spread
        for _ in range(1100):  # doubling: beyond this, floats end
            outside = self.cdf(low) >= probability
            if not outside.any():
                break
            low = np.where(outside, self.mean - 2 * (self.mean - low), low)
            if np.all(low[outside] < -1e300):
                break
        for _ in range(1100):
            outside = self.cdf(high) < probability
            if not outside.any():
                break
            high = np.where(outside, self.mean + 2 * (high - self.mean), high)
        for _ in range(200):
            middle = 0.5 * (low + high)
            above = self.cdf(middle) >= probability
            low, high = np.where(above, low, middle), np.where(above, middle, high)
            if np.all(high - low <= np.maximum(1e-12 * sd, 2 * np.spacing(np.abs(high)))):
                break
        discrete = np.broadcast_to(self._family.discrete_columns(high.shape[1]), high.shape)
        return np.where(discrete, np.round(high), high)

    def __repr__(self) -> str:
        lower, upper = self.interval(0.9)
        lines = [f"{'ahead':>6} {'column':>6} {'mean':>12} {'sd':>12} {'5 %':>12} {'95 %':>12}"]
        for i, j in np.ndindex(*self.mean.shape):
            lines.append(
                f"{i + 1:>6} {j:>6} {self.mean[i, j]:>12.6g} {np.sqrt(self.variance[i, j]):>12.6g} "
                f"{lower[i, j]:>12.6g} {upper[i, j]:>12.6g}"
            )
        return "\n".join(lines)


def pseudo_residuals(family: Family, params: Any, x: Array, states: Array) -> Array:
    """Normal pseudo-residuals of rows (n, d) under mixtures over states (n, K).

    Rows above the middle by the upper tail, which has digits where ``1 - cdf`` has none left. For
    discrete columns at the middle of the jump of the distribution function.
    """
    seen = ~np.isnan(x)
    filled = np.where(seen, x, 0.0)
    discrete = np.broadcast_to(family.discrete_columns(x.shape[1]), x.shape)

    def under(function: Callable[[Any, Array], Array]) -> Array:
        found: Array = np.einsum("nk,knd->nd", states, function(params, filled))
        if discrete.any():
            before = np.einsum("nk,knd->nd", states, function(params, filled - 1.0))
            found = np.where(discrete, 0.5 * (found + before), found)
        return np.maximum(found, LEAST)

    below, above = under(family.cdf), under(family.survival)
    return np.where(seen, np.where(below < 0.5, ndtri(below), -ndtri(above)), np.nan)
