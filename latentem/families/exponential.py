r"""Exponential components: waiting times and other positive sizes, columns independent.

.. math:: \log f_k(x) = - \sum_j [ \log s_{kj} + x_j / s_{kj} ]

over the columns seen in the row, with scales (means) s in the units of the data.
Statistics: :math:`t_{kj} = \sum_i r_{ik} x_{ij}` and :math:`n_{kj} = \sum_i r_{ik}` over
the rows that show column j; M-step: :math:`s_{kj} = t_{kj} / n_{kj}`, with an
inverse gamma prior (a, b) :math:`(t_{kj} + b) / (n_{kj} + a + 1)`.

Without a prior the likelihood has no bound where a component sits on zeros alone. Its
scale then stops at the floor of rounding, 1e3 eps times the mean of the whole column, and
is reported.

How it is computed: a row is encoded as its values and, for each, whether it was seen,
so that log densities and statistics are one matrix product each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.constraints import Positive
from latentem.engine.model import Diagnosis
from latentem.families.cells import filled, refuse
from latentem.families.covariance import RESOLUTION
from latentem.families.held import HeldFamily, stay
from latentem.families.priors import InverseGammaPrior

__all__ = ["Exponential", "ExponentialParams"]

Array = np.ndarray


class ExponentialParams(NamedTuple):
    """Scales (K, d): the means, in the units of the data."""

    scales: Any


class Totals(NamedTuple):
    """Expected totals, and weights of the cells they are of, (K, 2 d)."""

    sums: Array


class Exponential(HeldFamily):
    """Exponential family for numbers >= 0, columns independent within a component.

    Its parameter is the scale, as in `scipy.stats.expon`: the mean, and the standard
    deviation, in the units of the data; the rate is its inverse. NaN marks a missing
    cell, which tells nothing.

    Parameters
    ----------
    fixed : tuple of {"scales"}, or dict
        ``("scales",)`` keeps all starting values; ``{"scales": kept}`` those of the components
        of a bool array (K,), or its entries (K, d).
    prior : InverseGammaPrior, optional
        Of the scales; the fit then is MAP, and no component can collapse.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import EM, families, models
    >>> rng = np.random.default_rng(0)
    >>> X = rng.exponential(np.repeat([1.0, 50.0], [700, 300]))[:, None]
    >>> result = EM(tol=1e-6).run(models.Mixture(families.Exponential(), 2), X, rng=0)
    >>> np.sort(result.params.family.scales[:, 0]).round(1).tolist()
    [1.0, 46.4]
    """

    missing_cells = True

    groups = ("scales",)
    prior_type = InverseGammaPrior

    def __init__(
        self, fixed: Sequence[str] | Mapping[str, Any] = (), prior: InverseGammaPrior | None = None
    ):
        self._hold(fixed, prior)

    def check(self, X: Array) -> None:
        super().check(X)
        X = np.asarray(X, dtype=float)
        refuse(X, (X >= 0) & (np.inf > X), "Exponential data are finite numbers >= 0")

    def encode(self, rows: Array) -> Array:
        """Values, 0 where missing, and whether they were seen, (m, 2 d)."""
        rows = np.asarray(rows, dtype=float)
        seen = ~np.isnan(rows)
        return np.hstack([np.where(seen, rows, 0.0), seen])

    def points(self, x: Array) -> Array:
        """Cube roots, which are nearly normal.

        Wilson and Hilferty (1931), doi:10.1073/pnas.17.12.684.
        """
        values, seen = np.hsplit(x, 2)
        return filled(np.cbrt(values), seen)

    def scratch(self, n_features: int) -> int:
        return 2 * n_features

    def constraints(self) -> ExponentialParams:
        return ExponentialParams(self._constraint("scales", Positive()))

    def prepare(self, params: ExponentialParams) -> Array:
        return -np.hstack([1.0 / params.scales, np.log(params.scales)])

    def log_density(self, prepared: Array, x: Array) -> Array:
        return prepared @ x.T

    def statistics(self, prepared: Array, x: Array, weights: Array, shared: None = None) -> Totals:
        return Totals(weights @ x)

    def maximize(self, statistics: Totals, params: ExponentialParams) -> ExponentialParams:
        if self.prior is not None:
            totals, seen = np.hsplit(statistics.sums, 2)
            scales = (totals + self.prior.scale) / (seen + self.prior.shape + 1.0)
        else:
            scales, seen = _means(statistics)
            scales = np.where(seen > 0, np.maximum(scales, _floor(statistics)), params.scales)
        return ExponentialParams(stay(self.kept.get("scales"), scales, params.scales))

    def initialize(self, x: Array, weights: Array, rng: np.random.Generator) -> ExponentialParams:
        """Means, those of few rows with one more row like the whole."""
        statistics = Totals(weights @ x)
        totals, seen = np.hsplit(statistics.sums, 2)
        row = weights.sum() / len(x) or 1.0
        overall = np.maximum(totals.sum(axis=0) / np.maximum(seen.sum(axis=0), row), 0.0)
        extra = row * np.where(seen < 3 * row, 1.0, 1e-6)
        scales = (totals + extra * overall) / (seen + extra)
        if not seen.all():  # where nothing was seen, no two components the same
            scales = np.where(seen > 0, scales, scales * np.exp(rng.normal(size=seen.shape)))
        return ExponentialParams(np.maximum(scales, _floor(statistics)))

    def expected_loglik(self, params: ExponentialParams, statistics: Totals) -> float:
        return float((self.prepare(params) * statistics.sums).sum())

    def diagnose(self, params: ExponentialParams, statistics: Totals) -> Diagnosis:
        if self.prior is not None:
            return Diagnosis()
        raw, seen = _means(statistics)
        zero = (raw == 0).all(axis=0) & (seen > 0).any(axis=0)
        notes = tuple(
            f"column {j} has zeros alone: its scale is set to the floor of rounding"
            for j in np.flatnonzero(zero)
        )
        low = (raw <= _floor(statistics)) & (seen > 0) & ~zero
        low = stay(self.kept.get("scales"), low, np.zeros_like(low))
        degenerate = tuple(
            f"component {k} (weight {seen[k, j]:.3g}) sits on zeros in column {j}, where its "
            "density has no bound: use fewer components, or treat zeros apart"
            for k, j in np.argwhere(low)
        )
        return Diagnosis(degenerate, notes)

    def moments(self, params: ExponentialParams) -> tuple[Array, Array]:
        """Means and variances of each component, (K, d) each."""
        return params.scales, params.scales**2

    def cdf(self, params: ExponentialParams, x: Array) -> Array:
        return -np.expm1(-np.maximum(x, 0.0) / params.scales[:, None, :])

    def survival(self, params: ExponentialParams, x: Array) -> Array:
        return np.exp(-np.maximum(x, 0.0) / params.scales[:, None, :])

    def sample(
        self, params: ExponentialParams, components: Array, rng: np.random.Generator
    ) -> Array:
        scales = params.scales[components]
        return rng.standard_exponential(scales.shape) * scales


def _means(statistics: Totals) -> tuple[Array, Array]:
    """Mean of each component and column, 0 where nothing was seen, and the weight seen."""
    totals, seen = np.hsplit(statistics.sums, 2)
    return np.where(seen > 0, totals / np.where(seen > 0, seen, 1.0), 0.0), seen


def _floor(statistics: Totals) -> Array:
    """Least scale per column that float64 data of this size can tell from 0, (d,)."""
    totals, seen = (part.sum(axis=0) for part in np.hsplit(statistics.sums, 2))
    size = totals / np.where(seen > 0, seen, 1.0)
    return RESOLUTION * np.where(size > 0, size, 1.0)
