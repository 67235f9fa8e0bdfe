r"""Gaussian components with full, tied, diagonal or spherical covariances.

Density of row x under component k, in d columns:

.. math:: \log f_k(x) = -\tfrac12 [ d \log 2\pi + \log|\Sigma_k|
          + (x - \mu_k)' \Sigma_k^{-1} (x - \mu_k) ]

Statistics, for weights :math:`r_{ik}`: weight :math:`N_k = \sum_i r_{ik}`, mean
:math:`m_k` and scatter :math:`S_k = \sum_i r_{ik} (x_i - m_k)(x_i - m_k)'`.

M-step: :math:`\mu_k = m_k`; :math:`\Sigma_k = S_k / N_k` (full), its diagonal
(diag), the mean of that (spherical), or :math:`\sum_k S_k / \sum_k N_k` (tied).
With fixed means :math:`S_k` is taken about them.

How it is computed: with a centre c near the means, the log density is linear in
the features 1, y, y y' of y = x - c, so that a block costs one matrix product for
all components, and its transpose gives the moments. Expanding the square loses
digits when a mean lies many standard deviations from c; components for which
that would be more than four digits are computed about their own mean instead.

Rows with missing cells: `latentem.families.partial` for diagonal and spherical covariances,
`latentem.families.incomplete` for full and tied ones.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from latentem.engine.constraints import Positive, PositiveDefinite, Real
from latentem.engine.model import Diagnosis
from latentem.engine.moments import Moments, Scatter
from latentem.families import covariance as cov
from latentem.families import expansion, incomplete, partial
from latentem.families.degeneracy import degenerate
from latentem.families.gaussian_prior import GaussianPrior
from latentem.families.gaussian_start import first_moments
from latentem.families.held import HeldFamily, stay
from latentem.families.incomplete import Component, Incomplete
from latentem.families.partial import LOG_2PI, SAFE, Partial
from latentem.kernels.gaussian import (
    DIAG,
    FULL,
    NORM,
    log_densities,
    moment_sums,
)

__all__ = ["Gaussian", "GaussianParams"]

Array = np.ndarray

#: Squared distance of a mean from the centre, in standard deviations, up to which
#: expanding the square is exact enough.
EXPANSION = 1e4
#: Sum of the variance inflation factors of a component's columns, up to which products of
#: columns are exact enough: they cancel to that degree.
INFLATION = 1e4
#: Least range of a column that varies: the squares of what is smaller underflow.
SMALLEST = 1e-145
FEATURES = {"full": FULL, "diag": DIAG, "spherical": NORM, "tied": NORM}
#: Floats of the features of a block up to which they are kept from log densities to moments.
SHARED_FLOATS = 2**19
NOTHING = np.empty((0, 0))
NOBODY = cov.NOBODY
#: Encoded rows: complete ones of ordinary size, and those that need more care.
Rows = np.ndarray | Partial | Incomplete


class GaussianParams(NamedTuple):
    """Means (K, d) in the units of the data, and covariances in squared units.

    Covariances are compact, as in scikit-learn: full (K, d, d), tied (d, d), diag
    (K, d), spherical (K,).
    """

    means: Any
    covariances: Any


class Prepared(NamedTuple):
    """What a Gaussian E-step reads; see the module docstring."""

    means: Array
    covariances: Array
    centre: Array  # (d,)
    coefficients: Array  # (K, p): log density as a linear function of the features
    constants: Array  # (K,): log density at the mean
    whiteners: Array  # W with W' W = precision: (K, d, d), (d, d), (K, d) or (K,)
    apart: Array  # components computed about their own mean


class Gaussian(HeldFamily):
    """Gaussian family.

    NaN marks a missing cell, which tells nothing: rows count with the density of what was
    seen of them, exactly.

    Parameters
    ----------
    covariance_type : {"full", "tied", "diag", "spherical"}
    reg_covar : float
        Added to the variances in each M-step, in squared units of the data. 0 is
        exact maximum likelihood; otherwise maps need not raise the likelihood.
    fixed : tuple of {"means", "covariances"}, or dict
        Groups that keep their starting values. In a dict the values are True, or a bool array
        (K,) of the components that keep theirs.
    prior : GaussianPrior, or function of rows (n, d) that makes one, optional
        The fit then is MAP: no covariance can collapse.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem.families import Gaussian
    >>> family = Gaussian("diag")
    >>> x = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> params = family.initialize(x, np.ones((1, 2)), np.random.default_rng(0))
    >>> params.means.tolist(), params.covariances.tolist()
    ([[1.0, 2.0]], [[1.0, 1.0]])
    """

    missing_cells = True
    groups = ("means", "covariances")

    def __init__(
        self,
        covariance_type: Scatter = "full",
        reg_covar: float = 0.0,
        fixed: Sequence[str] | Mapping[str, Any] = (),
        prior: GaussianPrior | Callable[[Array], GaussianPrior] | None = None,
    ):
        if covariance_type not in cov.KINDS:
            raise ValueError(f"covariance_type must be one of {cov.KINDS}, got {covariance_type!r}")
        number = isinstance(reg_covar, int | float | np.number)
        if not (number and 0 <= reg_covar < np.inf):
            raise ValueError(f"reg_covar must be a finite number >= 0, got {reg_covar!r}")
        if prior is not None and reg_covar > 0:
            raise ValueError("reg_covar and a prior both widen covariances: use one of them")
        self.covariance_type: Scatter = covariance_type
        self.reg_covar = float(reg_covar)
        self.monotone = self.reg_covar == 0
        self._hold(fixed, prior)
        for group, kept in self.kept.items():
            if kept is not True and np.ndim(kept) != 1:
                raise ValueError(
                    f"fixed[{group!r}] must have True or False for each component, got shape "
                    f"{np.shape(kept)}: entries of means and covariances are not fixed one by one"
                )
        if covariance_type == "tied" and self.kept.get("covariances", True) is not True:
            raise ValueError(
                "tied covariances are shared by all components: fixed['covariances'] must be True"
            )

    def __repr__(self) -> str:
        ridge = [f"reg_covar={self.reg_covar!r}"] if self.reg_covar else []
        held = ["prior=..." if one.startswith("prior") else one for one in self._arguments()]
        return f"Gaussian({', '.join([repr(self.covariance_type), *ridge, *held])})"

    def learn(self, X: Array) -> Gaussian:
        """The family, its prior made; ValueError for a variance that float64 cannot hold."""
        if not np.all(np.ptp(X[:64], axis=0) >= SMALLEST):  # mostly the first rows tell
            ranges = np.fmax.reduce(X, axis=0) - np.fmin.reduce(X, axis=0)
            for j in np.flatnonzero((ranges > 0) & (ranges < SMALLEST)):
                raise ValueError(
                    f"X varies by only {ranges[j]:.3g} in column {j}, and the square of that "
                    "underflows: rescale the column, for example to units in which it is near 1"
                )
        if callable(self.prior):
            made = copy.copy(self)
            made.prior = self.prior(X)
            return made
        return self

    def _made_prior(self) -> GaussianPrior | None:
        if callable(self.prior):
            raise ValueError("the prior is made from the data of a fit: fit, or family.learn(X)")
        return self.prior

    def encode(self, rows: Array) -> Rows:
        x = partial.encoded(rows)
        if self.covariance_type in ("full", "tied") and isinstance(x, Partial) and x.gaps:
            return incomplete.incomplete(x)
        return x

    def points(self, x: Rows) -> Array:
        return x if isinstance(x, np.ndarray) else x.filled

    def scratch(self, n_features: int) -> int:
        return expansion.size(n_features, self.covariance_type)

    def constraints(self) -> GaussianParams:
        matrix = self.covariance_type in ("full", "tied")
        return GaussianParams(
            self._constraint("means", Real()),
            self._constraint("covariances", PositiveDefinite() if matrix else Positive()),
        )

    def prepare(self, params: GaussianParams) -> Prepared:
        means, covariances = params
        kind, (k, d) = self.covariance_type, means.shape
        whiteners, logdets = cov.whiteners(covariances, kind, d)
        centre = np.sort(means, axis=0)[k // 2]  # a median: one far mean does not move it
        precisions, inflation = whiteners, None
        if kind == "full":
            precisions = whiteners.transpose(0, 2, 1) @ whiteners
            inflation = np.einsum("kdd,kdd->k", precisions, covariances)
        elif kind != "tied":  # its features are whitened rows
            precisions = whiteners * whiteners
        coefficients, reach = expansion.coefficients(means, centre, precisions, kind)
        least = coefficients.min()
        constants = np.full(k, -0.5 * (d * LOG_2PI + logdets))
        coefficients[:, 0] = constants - 0.5 * reach
        apart = NOBODY
        close = all(far <= EXPANSION for far in reach.tolist())  # few: faster than an array's max
        if inflation is not None and not all(more <= INFLATION for more in inflation.tolist()):
            apart = np.flatnonzero(~((reach <= EXPANSION) & (inflation <= INFLATION)))
        elif not close:
            apart = np.flatnonzero(~(reach <= EXPANSION))
        if least < -SAFE:  # products of that and a square can overflow both ways
            apart = np.arange(k)
        return Prepared(means, covariances, centre, coefficients, constants, whiteners, apart)

    def evaluate(self, prepared: Prepared, x: Rows) -> tuple[Array, Any]:
        if isinstance(x, Incomplete):
            return self._incomplete(prepared, x)
        if isinstance(x, Partial):
            return self._with_care(prepared, x), NOTHING
        kind, (k, p) = self.covariance_type, prepared.coefficients.shape
        log_density = np.empty((k, len(x)))
        features = np.empty((p, len(x)) if p * len(x) <= SHARED_FLOATS else (0, 0))
        log_densities(
            *self._placed(x, prepared.centre, prepared.whiteners),
            prepared.coefficients,
            FEATURES[kind],
            features,
            log_density,
        )
        for k in prepared.apart:
            log_density[k] = prepared.constants[k] - 0.5 * self.distances(prepared, x, k)
        return log_density, features

    def _placed(self, x: Array, centre: Array, whiteners: Array) -> tuple[Array, Array]:
        """Rows and the centre of their features: where the covariance is shared, whitened."""
        if self.covariance_type != "tied":
            return x, centre
        return (x - centre) @ whiteners.T, np.zeros(len(centre))

    def _components(self, prepared: Prepared) -> list[Component]:
        """What rows with missing cells need of each component, full and tied."""
        means, covariances, constants = prepared.means, prepared.covariances, prepared.constants
        logdets = -2 * constants - means.shape[1] * LOG_2PI
        if self.covariance_type == "tied":
            one = incomplete.component(means[0], covariances, prepared.whiteners, logdets[0])
            return [one._replace(mean=mean) for mean in means]
        return list(map(incomplete.component, means, covariances, prepared.whiteners, logdets))

    def _incomplete(self, prepared: Prepared, x: Incomplete) -> tuple[Array, Any]:
        components, features = self._components(prepared), NOTHING
        log_density = np.empty((len(components), len(x)))
        if len(x.whole):
            log_density[:, x.whole], features = self.evaluate(prepared, x.complete)
        kept: list[Array] | None = [] if len(components) * x.rows.size <= SHARED_FLOATS else None
        for row, one in zip(log_density, components, strict=True):
            filled, row[x.order] = one.complete(x)
            if kept is not None:
                kept.append(filled)
        return self._reached(prepared, x, log_density), (features, components, kept)

    def _with_care(self, prepared: Prepared, x: Partial) -> Array:
        """Log densities where cells are missing or squares overflow: -inf, but never NaN."""
        means, whiteners = prepared.means, prepared.whiteners
        if x.seen is None:
            log_density = np.empty((len(means), len(x)))
            for k in range(len(means)):
                distances = self.distances(prepared, x.x, k)
                log_density[k] = prepared.constants[k] - 0.5 * distances
        else:
            log_density = partial.log_densities(
                x, means, whiteners, prepared.centre, prepared.apart
            )
        return self._reached(prepared, x, log_density)

    def _reached(self, prepared: Prepared, x: Partial | Incomplete, log_density: Array) -> Array:
        """Log densities with -inf where squares overflow in both directions."""
        if x.far:
            known = np.isfinite(prepared.means).all(axis=1) & np.isfinite(prepared.constants)
            log_density[np.isnan(log_density) & known[:, None]] = -np.inf
        return log_density

    def distances(self, prepared: Prepared, x: Array, k: int) -> Array:
        """Squared Mahalanobis distances to the mean of component k, (m,)."""
        y = x.T - prepared.means[k][:, None]
        z = cov.whiten(y, prepared.whiteners, k, self.covariance_type)
        return np.einsum("dm,dm->m", z, z)

    def log_density(self, prepared: Prepared, x: Rows) -> Array:
        return self.evaluate(prepared, x)[0]

    def statistics(
        self,
        prepared: Prepared,
        x: Rows,
        weights: Array,
        shared: Any = None,
    ) -> Moments:
        if isinstance(x, Incomplete):
            features, components, filled = shared or (None, self._components(prepared), None)
            filled = filled or (one.complete(x)[0] for one in components)
            found = incomplete.moments(x, weights, components, filled, self.covariance_type)
            if not len(x.whole):
                return found
            own = np.ascontiguousarray(weights.take(x.whole, axis=1))
            return self.statistics(prepared, x.complete, own, features).merge(found)
        whitener = prepared.whiteners if self.covariance_type == "tied" else None
        return self.weighted_moments(x, weights, prepared.centre, whitener, prepared.apart, shared)

    def weighted_moments(
        self,
        x: Array | Partial,
        weights: Array,
        centre: Array,
        whitener: Array | None = None,
        apart: Array = NOBODY,
        features: Array | None = None,
    ) -> Moments:
        """Moments of weighted rows, computed about a centre.

        Components `apart`, and those whose scatter would be a small difference of
        large sums, are taken about their own mean. Tied covariances are summed in the
        coordinates of `whitener`.
        """
        if isinstance(x, Partial) and x.seen is not None:
            kind = self.covariance_type
            return partial.moments(x, weights, centre, apart, EXPANSION, kind)
        x = x.x if isinstance(x, Partial) else x
        kind, d = self.covariance_type, x.shape[1]
        whitener = np.eye(d) if whitener is None else whitener
        sums, cross = np.zeros((len(weights), expansion.size(d, kind))), NOTHING
        if features is None or not features.size:
            features = NOTHING
            rows, origin = self._placed(x, centre, whitener)
        else:
            rows, origin = x, centre  # not read, but for their number
        moment_sums(rows, origin, weights, FEATURES[kind], features, sums)
        if kind == "tied":
            rows = features[1 : 1 + d] if features.size else rows.T
            cross = (rows * weights.sum(axis=0)) @ rows.T
        weight = sums[:, 0].copy()
        offset, moved, scatter = expansion.moments(sums, d, kind, cross)
        doubt = cov.cancelled(moved, scatter, EXPANSION, kind)
        if kind == "tied":
            unwhiten = cov.inverted(whitener)
            offset = offset @ unwhiten.T
            scatter = unwhiten @ scatter @ unwhiten.T
        mean = centre + offset
        if kind == "tied":
            if len(doubt) or len(apart):
                parts = [cov.about_mean(x, weights[k], mean[k], "tied") for k in range(len(mean))]
                mean = np.array([part[0] for part in parts])
                scatter = np.sum([part[1] for part in parts], axis=0)
            scatter = 0.5 * (scatter + scatter.T)
        else:
            for k in np.union1d(doubt, apart) if len(doubt) or len(apart) else ():
                if weight[k] > 0:
                    mean[k], scatter[k] = cov.about_mean(x, weights[k], mean[k], kind)
        return Moments(weight, mean, scatter, kind)

    def maximize(self, statistics: Moments, params: GaussianParams) -> GaussianParams:
        means, covariances = params
        held, kept = self.kept.get("means"), self.kept.get("covariances")
        prior = self._made_prior()
        if prior is not None:
            means, new = prior.maximize(statistics, means, held)
            return GaussianParams(means, stay(kept, new, covariances))
        kind, alive = self.covariance_type, statistics.weight > 0
        everywhere = bool(alive.all())
        if held is not True:
            means = statistics.mean
            if not everywhere:
                means = np.where(cov.per_column(alive), means, params.means)
            means = stay(held, means, params.means)
        if kept is True:
            return GaussianParams(means, covariances)
        scatter = statistics.scatter if held is None else statistics.about(means)
        new = cov.shifted(cov.divide(scatter, statistics.weight, kind), self.reg_covar, kind)
        new = cov.held(new, statistics, covariances if self.monotone else None)
        if kind == "tied":
            return GaussianParams(means, new if alive.any() else covariances)
        if not everywhere:
            known = cov.along(cov.per_covariance(statistics.weight, kind) > 0, new)
            new = np.where(known, new, covariances)
        return GaussianParams(means, stay(kept, new, covariances))

    def initialize(self, x: Rows, weights: Array, rng: np.random.Generator) -> GaussianParams:
        kind, points = self.covariance_type, self.points(x)
        total = first_moments(self, x, weights, points.mean(axis=0), rng)
        empty = cov.per_column(total.weight <= 0)
        means = np.where(empty, points[rng.integers(len(x), size=len(weights))], total.mean)
        prior = self._made_prior()
        if prior is not None:
            return GaussianParams(*prior.maximize(total, means))
        covariances = cov.divide(total.scatter, total.weight, kind)
        covariances = cov.leaning(covariances, total)
        return GaussianParams(
            means, cov.held(cov.shifted(covariances, self.reg_covar, kind), total)
        )

    def log_prior(self, params: GaussianParams) -> float:
        prior = self._made_prior()
        if prior is None:
            return 0.0
        return prior.log_density(params.means, params.covariances, self.covariance_type)

    def expected_loglik(self, params: GaussianParams, statistics: Moments) -> float:
        kind, d = self.covariance_type, params.means.shape[1]
        whiteners, logdets = cov.whiteners(params.covariances, kind, d)
        distance = cov.trace(whiteners, statistics.about(params.means), kind, d)
        if statistics.weight.ndim == 2:  # by column
            logs = LOG_2PI + np.log(cov.variances(params.covariances, kind))
            return float(-0.5 * (np.sum(statistics.weight * logs) + distance))
        return float(-0.5 * (np.sum(statistics.weight * (d * LOG_2PI + logdets)) + distance))

    def diagnose(self, params: GaussianParams, statistics: Moments) -> Diagnosis:
        constant = cov.constant(statistics)
        notes = tuple(
            f"column {j} is constant: its variance is set to the floor of rounding"
            for j in np.flatnonzero(constant)
        )
        kept = self.kept.get("covariances")
        if kept is True or self.prior is not None:
            return Diagnosis((), notes)
        scatter = statistics.about(params.means)
        columns = np.flatnonzero(~constant)
        free = None if kept is None else ~np.asarray(kept)
        found = degenerate(statistics, scatter, self.reg_covar, columns, free)
        return Diagnosis(tuple(found), notes)

    def moments(self, params: GaussianParams) -> tuple[Array, Array]:
        """Means and variances of each component, (K, d) each."""
        variances = cov.variances(params.covariances, self.covariance_type)
        return params.means, np.broadcast_to(variances, np.shape(params.means))

    def impute(self, params: GaussianParams, rows: Array, shares: Array) -> Array:
        x = self.encode(rows)
        if not isinstance(x, Incomplete):
            return super().impute(params, rows, shares)
        expected = np.zeros_like(x.rows)
        for share, one in zip(shares, self._components(self.prepare(params)), strict=True):
            expected += share[x.order, None] * (one.mean + one.complete(x)[0])
        out = np.array(rows, dtype=float)
        gap = np.repeat(x.missing, x.counts, axis=0)
        out[x.order] = np.where(gap, expected, out[x.order])
        return out

    def cdf(self, params: GaussianParams, x: Array) -> Array:
        means, variances = (part[:, None, :] for part in self.moments(params))
        return ndtr((x - means) / np.sqrt(variances))

    def survival(self, params: GaussianParams, x: Array) -> Array:
        return self.cdf(params._replace(means=-params.means), -x)

    def relabel(self, params: GaussianParams, order: Array) -> GaussianParams:
        own = slice(None) if self.covariance_type == "tied" else order
        return GaussianParams(params.means[order], params.covariances[own])

    def sample(self, params: GaussianParams, components: Array, rng: np.random.Generator) -> Array:
        means = params.means[components]
        normal = rng.standard_normal(means.shape)
        return means + cov.colour(normal, params.covariances, components, self.covariance_type)
