r"""The multivariate normal distribution of rows with missing cells.

With the cells o of a row seen and m missing, the E-step needs

.. math:: E[x_m | x_o] = \mu_m + \Sigma_{mo} \Sigma_{oo}^{-1} (x_o - \mu_o), \qquad
          \mathrm{Cov}[x_m | x_o] = \Sigma_{mm} - \Sigma_{mo} \Sigma_{oo}^{-1} \Sigma_{om}

and the M-step is that of complete rows: :math:`\mu` the mean of the completed rows,
:math:`\Sigma` their scatter, with the conditional covariances added, over n (Little and
Rubin 2002, Statistical Analysis with Missing Data, chapter 11,
doi:10.1002/9781119013563). Nothing is approximated: the fixed point is the maximum of
the likelihood of the cells that were seen, which is the right one where cells are
missing at random (whether they are missing may depend on what was seen).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.blocks import Rows
from latentem.engine.constraints import PositiveDefinite, Real
from latentem.engine.model import Diagnosis, Expectation, LatentModel
from latentem.engine.moments import Moments
from latentem.families import covariance as cov
from latentem.families.incomplete import EXPANSION, INFLATION
from latentem.kernels.missing import complete_groups, complete_rows
from latentem.kernels.missing_exact import complete_exactly
from latentem.kernels.patterns import column_moments
from latentem.models.normal_prior import NormalPrior
from latentem.models.normal_start import available_cases
from latentem.models.patterns import PatternBlock, pattern_blocks

__all__ = [
    "Location",
    "MultivariateNormal",
    "NormalParams",
    "NormalStatistics",
    "Units",
    "counted",
]

Array = np.ndarray
LOG_2PI = float(np.log(2 * np.pi))
#: Columns, or pairs of them, that are named in one breath.
NAMED = 3


class NormalParams(NamedTuple):
    """Mean (d,) in the units of the data, covariance (d, d) in squared units."""

    mean: Any
    covariance: Any


class NormalStatistics(NamedTuple):
    """What an E-step gives.

    `moments` are those of the completed rows, in the units of the model
    (`MultivariateNormal.learn`); `together` (d, d) is the weight of the rows in which
    two columns are both seen.
    """

    moments: Moments
    together: Array


class Units(NamedTuple):
    """Centre (d,) and scale (d,) of the columns, for arithmetic inside a model."""

    centre: Array
    scale: Array


class Prepared(NamedTuple):
    """What an E-step reads, in the units of the model."""

    mean: Array
    covariance: Array
    precision: Array
    whitener: Array
    logdet: float
    exact: bool  # whether to go by the whitener alone


class MultivariateNormal(LatentModel):
    """Rows of one normal distribution, of which any cells may be missing (NaN).

    Data are an (n, d) array, or a tuple of it and row weights. Rows without a cell that
    is seen do not count.

    Parameters
    ----------
    prior : NormalPrior, optional
        None is exact maximum likelihood.
    units : Units, optional
        Made by `learn`. Parameters are in the units of the data whatever they are;
        acceleration works on standardised columns.
    labels : sequence, optional
        What to call the columns in sentences; their numbers by default.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import EM, models
    >>> from latentem.datasets import load_apple
    >>> X = load_apple().data
    >>> result = EM(tol=1e-9).run(models.MultivariateNormal().learn(X), X)
    >>> result.params.mean.round(4).tolist(), round(result.loglik, 4)
    ([14.7222, 49.3333], -101.7856)
    """

    def __init__(
        self,
        prior: NormalPrior | None = None,
        units: Units | None = None,
        labels: Sequence[Any] | None = None,
    ):
        self.prior = prior
        self.units = units
        self.labels = labels

    def __repr__(self) -> str:
        return f"MultivariateNormal({'' if self.prior is None else 'prior'})"

    def learn(self, data: Any) -> MultivariateNormal:
        """The model in units of the columns of these data: their means and deviations."""
        x, _, weights = counted(data)
        d = x.shape[1]
        total, centre, scatter = np.empty(d), np.empty(d), np.empty(d)
        column_moments(x, weights, total, centre, scatter)
        scale = np.sqrt(scatter / np.where(total > 0, total, 1.0))
        sound = (scale > cov.RESOLUTION * np.abs(centre)) & (scale > 0)
        units = Units(centre, np.where(sound, scale, 1.0))
        return MultivariateNormal(self.prior, units, self.labels)

    def blocks(self, data: Any, size: int | None = None) -> list[PatternBlock]:
        if isinstance(data, list) and all(isinstance(part, PatternBlock) for part in data):
            return data  # made before
        x, missing, weights = counted(data)
        d = x.shape[1]
        centre, scale = self.units or Units(np.zeros(d), np.ones(d))
        return pattern_blocks(x, missing, weights, centre, scale, size)

    def standardised(self, x: Array) -> Array:
        """Rows (n, d) in the units of the model."""
        return x if self.units is None else (x - self.units.centre) / self.units.scale

    def initialize(self, blocks: Sequence[PatternBlock], rng: np.random.Generator) -> NormalParams:
        mean, covariance = available_cases(blocks)
        return NormalParams(*self.outside(mean, covariance))

    def constraints(self) -> NormalParams:
        if self.units is None:
            return NormalParams(Real(), PositiveDefinite())
        return NormalParams(Location(self.units), _Spread(self.units))

    def prepare(self, params: NormalParams) -> Prepared:
        mean, covariance = self.inside(params)
        whiteners, logdets = cov.whiteners(covariance[None], "full", len(mean))
        whitener = whiteners[0]
        precision = whitener.T @ whitener
        inflation = float(precision.diagonal() @ covariance.diagonal())
        return Prepared(
            mean,
            covariance,
            precision,
            whitener,
            float(logdets[0]),
            inflation > INFLATION * len(mean),
        )

    def e_step(self, prepared: Prepared, block: PatternBlock) -> Expectation:
        mean, covariance, precision, whitener, logdet, exact = prepared
        block = block.spelled_out if exact else block
        d, n_rows = len(mean), len(block.rows)
        filled = np.empty((len(block.roots), d))
        groups, spread = np.zeros((d, d)), np.zeros((d, d))
        if exact:
            logdets, distance = complete_exactly(
                block.rows, block.roots, block.centred, block.weights, block.first,
                block.missing, mean, whitener, logdet, filled, spread,
            )  # fmt: skip
        else:
            of_patterns = np.empty(len(block.weights))
            complete_rows(
                block.rows, block.roots, block.weights, block.first, block.missing,
                mean, covariance, precision, logdet, filled[:n_rows], spread, of_patterns,
            )  # fmt: skip
            logdets = float(block.weights @ of_patterns)
            logdets += complete_groups(
                block.group_means, block.group_scatters, block.group_weights,
                block.group_missing, mean, covariance, precision, logdet, filled[n_rows:],
                groups, spread,
            )  # fmt: skip
        weight = block.weight
        about = filled.T @ filled + groups
        if not exact:
            distance = np.vdot(precision, about)
        shift = block.shares @ filled / weight
        moved = weight * shift[:, None] * shift
        scatter = about - moved
        if np.any(moved.diagonal() > EXPANSION * scatter.diagonal()):
            filled -= block.shares[:, None] * shift
            scatter = filled.T @ filled + groups
        scatter += spread
        cells = block.together.diagonal()
        constant = cells.sum() * LOG_2PI
        if self.units is not None:
            constant += 2 * cells @ np.log(self.units.scale)
        moments = Moments(
            np.array([weight]), (mean + shift)[None], 0.5 * (scatter + scatter.T)[None], "full"
        )
        return Expectation(
            NormalStatistics(moments, block.together),
            float(-0.5 * (logdets + distance + constant)),
            weight,
        )

    def m_step(self, statistics: NormalStatistics, params: NormalParams) -> NormalParams:
        moments = self._moments_outside(statistics.moments)
        scatter, weight = moments.scatter, moments.weight[0]
        if self.prior is not None:
            scatter, weight = scatter + self.prior.scatter, weight + self.prior.weight
        covariance = cov.held(scatter / weight, moments, np.asarray(params.covariance)[None])
        return NormalParams(moments.mean[0], covariance[0])

    def log_prior(self, params: NormalParams) -> float:
        return 0.0 if self.prior is None else self.prior.log_density(params.covariance)

    def expected_loglik(self, params: NormalParams, statistics: NormalStatistics) -> float:
        mean, covariance = self.inside(params)
        moments, d = statistics.moments, len(mean)
        whiteners, logdets = cov.whiteners(covariance[None], "full", d)
        distance = cov.trace(whiteners, moments.about(mean[None]), "full", d)
        constant = d * LOG_2PI + logdets[0]
        if self.units is not None:
            constant += 2 * np.log(self.units.scale).sum()
        return float(-0.5 * (moments.weight[0] * constant + distance))

    def sample(self, params: NormalParams, n: int, rng: np.random.Generator) -> Array:
        """Complete rows (n, d)."""
        factor = np.linalg.cholesky(params.covariance)
        return params.mean + rng.standard_normal((n, len(params.mean))) @ factor.T

    def diagnose(self, params: NormalParams, statistics: NormalStatistics) -> Diagnosis:
        moments = self._moments_outside(statistics.moments)
        constant = cov.constant(moments)
        labels = range(len(constant)) if self.labels is None else self.labels
        notes = tuple(
            f"column {labels[j]} is constant: its variance is set to the floor of rounding"
            for j in np.flatnonzero(constant).tolist()
        )
        if self.prior is not None and self.prior.proper:
            return Diagnosis((), notes)
        return Diagnosis(
            tuple(_singular(moments, statistics.together, np.flatnonzero(~constant), labels)),
            notes,
            tuple(_never_together(statistics.together, np.flatnonzero(~constant), labels)),
        )

    def inside(self, params: NormalParams) -> NormalParams:
        """Parameters in the units of the model."""
        mean, covariance = np.asarray(params.mean), np.asarray(params.covariance)
        if self.units is None:
            return NormalParams(mean, covariance)
        centre, scale = self.units
        return NormalParams((mean - centre) / scale, covariance / np.outer(scale, scale))

    def outside(self, mean: Array, covariance: Array) -> NormalParams:
        """Parameters in the units of the data."""
        if self.units is None:
            return NormalParams(mean, covariance)
        centre, scale = self.units
        return NormalParams(centre + scale * mean, covariance * np.outer(scale, scale))

    def _moments_outside(self, moments: Moments) -> Moments:
        mean, scatter = self.outside(moments.mean[0], moments.scatter[0])
        return Moments(moments.weight, mean[None], scatter[None], "full")


class Location(Real):
    """Real numbers, in units."""

    def __init__(self, units: Units):
        self.units = units

    def pack(self, value: Array) -> Array:
        return super().pack((value - self.units.centre) / self.units.scale)

    def unpack(self, flat: Array, like: Array) -> Array:
        return self.units.centre + self.units.scale * super().unpack(flat, like)


class _Spread(PositiveDefinite):
    """Positive definite matrices, in units."""

    def __init__(self, units: Units):
        self.squares = np.outer(units.scale, units.scale)

    def pack(self, value: Array) -> Array:
        return super().pack(value / self.squares)

    def unpack(self, flat: Array, like: Array) -> Array:
        return super().unpack(flat, like / self.squares) * self.squares


def counted(data: Any) -> tuple[Array, Array, Array]:
    """Rows with a cell that is seen and a weight: x (n, d), mask (n, d) and weights (n,)."""
    weights = None
    if isinstance(data, Rows):
        data, weights = data.x, data.weights
    elif isinstance(data, tuple):
        data, weights = data
    x = np.ascontiguousarray(data, dtype=float)
    if x.ndim != 2:
        raise ValueError(f"data must be (n, d), got shape {x.shape}")
    missing = np.isnan(x)
    kept = ~missing.all(axis=1)
    if weights is not None:
        weights = np.asarray(weights, dtype=float)
        if weights.shape != (len(x),):
            raise ValueError(f"there must be one weight per row, ({len(x)},), got {weights.shape}")
        kept &= weights > 0
    if not kept.any():
        raise ValueError("no row has a cell that is seen and a weight")
    if not kept.all():
        x, missing = x[kept], missing[kept]
        weights = None if weights is None else weights[kept]
    return x, missing, np.ones(len(x)) if weights is None else weights


def _singular(
    moments: Moments, together: Array, columns: Array, labels: Sequence[Any]
) -> list[str]:
    """Why a covariance is singular up to rounding, in a sentence; none where it is not."""
    raw, floor = moments.scatter / moments.weight[0], cov.resolution(moments)
    if not cov.on_floor(raw, floor, columns, "full")[0]:
        return []
    weight, d = moments.weight[0], len(columns)
    why = "so that the likelihood has no maximum: use a prior, or leave out"
    if weight <= d:
        return [f"rows of weight {weight:g} cannot tell the covariance of {d} columns, {why} some"]
    inner = raw[0][np.ix_(columns, columns)]
    scale = np.sqrt(inner.diagonal())
    size = np.abs(np.linalg.eigh(inner / np.outer(scale, scale))[1][:, 0])
    involved = columns[size > 1e-2 * size.max()]
    if len(involved) > NAMED + 1:
        return [f"{len(involved)} columns are collinear, or too few rows have them all, {why} some"]
    seen = together.diagonal()[involved]
    *others, last = (labels[j] for j in involved)
    names = ", ".join(map(str, others))
    rarest = labels[involved[len(seen) - 1 - int(np.argmin(seen[::-1]))]]  # of equals the last
    rare = ", or too few rows have them all" if seen.min() < weight else ""
    return [f"columns {names} and {last} are collinear{rare}, {why} column {rarest}"]


def _never_together(together: Array, columns: Array, labels: Sequence[Any]) -> list[str]:
    """Pairs of columns that no row has both of, in sentences."""
    seen = together[np.ix_(columns, columns)]
    pairs = np.argwhere(np.triu(seen == 0, 1))
    told = [
        f"columns {labels[columns[a]]} and {labels[columns[b]]} are never seen together: the data "
        "do not settle their covariance beyond what the other columns tell of both"
        for a, b in pairs[:NAMED]
    ]
    if len(pairs) > NAMED:
        told.append(f"{len(pairs) - NAMED} more pairs of columns are never seen together")
    return told
