r"""Factor analysis of rows with missing cells.

.. math:: x = \mu + L f + e, \qquad f \sim N(0, I_q), \qquad e \sim N(0, \Psi)

with :math:`\Psi` diagonal (factor analysis) or :math:`\sigma^2 I` (probabilistic principal
components). With the cells o of a row seen, the E-step needs only (q, q) matrices:

.. math:: M = I + L_o' \Psi_o^{-1} L_o, \qquad E[f] = M^{-1} L_o' \Psi_o^{-1} (x_o - \mu_o),
          \qquad E[f f'] = M^{-1} + E[f] E[f]'.

The M-step regresses each column on the factors and a constant, :math:`g = (f, 1)`, over the
rows in which it is seen:

.. math:: (L_j, \mu_j) = \Big( \sum x_j E[g]' \Big) \Big( \sum E[g g'] \Big)^{-1}, \qquad
          \psi_j = \frac1{n_j} \sum E[(x_j - L_j f - \mu_j)^2],

and :math:`\sigma^2` is the mean of the last over all cells that are seen (Rubin and Thayer
1982, doi:10.1007/BF02293851; Tipping and Bishop 1999, doi:10.1111/1467-9868.00196). Missing
cells are never completed, so they slow EM down only by what they hide of the factors.

The factors are given a mean and a covariance to be fitted, :math:`f \sim N(\alpha, \Phi)`,
which the M-step takes from :math:`E[f]` and :math:`E[f f']` over all rows. They add nothing
to the model: :math:`(L \Phi^{1/2}, \mu + L \alpha)` with factors :math:`N(0, I)` is the same
distribution, and `FactorAnalyzer.identified` goes over to it. But EM would otherwise find
the size of loadings at a rate of 1 less the share of the noise; this is parameter-expanded
EM (Liu, Rubin and Wu 1998, doi:10.1093/biomet/85.4.755). What is left is a rotation of the
factors, of which the likelihood knows nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.linalg import qr

from latentem.engine.constraints import Fixed, Positive, PositiveDefinite, Real
from latentem.engine.model import Diagnosis, Expectation, LatentModel
from latentem.families.covariance import RESOLUTION
from latentem.kernels.factors import expect_factors, solve_columns
from latentem.models.factor_blocks import FactorBlock, factor_blocks
from latentem.models.factor_diagnosis import NoiseFound, diagnosed
from latentem.models.factor_start import principal_start, random_start
from latentem.models.factor_statistics import FactorStatistics, lower_triangle, unpack
from latentem.models.normal import (
    LOG_2PI,
    Location,
    MultivariateNormal,
    NormalParams,
    Units,
    counted,
)
from latentem.models.rotation import canonical

__all__ = ["FactorAnalyzer", "FactorParams", "Noise", "Prepared"]

Array = np.ndarray
Noise = Literal["diagonal", "isotropic"]


class FactorParams(NamedTuple):
    """Mean (d,), loadings (d, q), noise variances (d,) or one of them, in units of the data.

    `factors` are the mean (q,) and covariance (q, q) of the factors, see
    `FactorAnalyzer.identified`.
    """

    mean: Any
    loadings: Any
    noise: Any
    factors: NormalParams


class Prepared(NamedTuple):
    """What an E-step reads, in the units of the model.

    The factors are standardised, and turned so that ``L' inv(P) L`` is diagonal: sums of
    numbers of very different sizes, where some noise is small, then keep the small ones.
    """

    mean: Array  # (d,)
    loadings: Array  # (q, d)
    outer: Array  # (q (q + 1) / 2, d): packed products of loadings over the noise
    scaled: Array  # (q, d): loadings over the noise
    inverse: Array  # (d,)
    constant: Array  # (d,): what a cell adds to minus twice its log density
    frame: Array  # (q + 1, q + 1), see FactorStatistics


class FactorAnalyzer(LatentModel):
    """Rows explained by a few factors and independent noise, any cells missing (NaN).

    Data are an (n, d) array, or a tuple of it and row weights. Rows without a cell that is
    seen do not count. There may be more columns than rows: no (d, d) matrix is made.

    Parameters
    ----------
    n_factors : int
        q, less than the number of columns.
    noise : {"diagonal", "isotropic"}
        A noise variance for each column (factor analysis), or one for all (probabilistic
        principal components).
    noise_floor : float
        Least noise variance, as a share of the variance of its column.
    units : Units, optional
        Made by `learn`. Parameters are in the units of the data whatever they are;
        acceleration works on standardised columns.
    labels : sequence, optional
        What to call the columns in sentences; their numbers by default.
    mask : (d, q) bool array, optional
        Loadings that may differ from 0; the start must have 0 for the others. The factors
        then stay as they are in the start.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import EM, models
    >>> from latentem.datasets import load_airquality
    >>> X = load_airquality().data[:, :4]
    >>> result = EM(tol=1e-9).run(models.FactorAnalyzer(1).learn(X), X)
    >>> round(result.loglik, 3), bool(np.isnan(X).any())
    (-2329.795, True)
    """

    def __init__(
        self,
        n_factors: int,
        noise: Noise = "diagonal",
        noise_floor: float = 1e-6,
        units: Units | None = None,
        labels: Sequence[Any] | None = None,
        mask: Array | None = None,
    ):
        whole = isinstance(n_factors, int | np.integer) and not isinstance(n_factors, bool)
        if not whole or n_factors < 1:
            raise ValueError(f"n_factors must be an integer >= 1, got {n_factors!r}")
        if noise not in ("diagonal", "isotropic"):
            raise ValueError(f"noise must be 'diagonal' or 'isotropic', got {noise!r}")
        number = isinstance(noise_floor, int | float | np.number)
        if not number or isinstance(noise_floor, bool) or not 0 < noise_floor < 1:
            raise ValueError(f"noise_floor must be a number in (0, 1), got {noise_floor!r}")
        self.n_factors = int(n_factors)
        self.noise = noise
        self.noise_floor = float(noise_floor)
        self.units = units
        self.labels = labels
        self.mask = mask

    def __repr__(self) -> str:
        return f"FactorAnalyzer({self.n_factors}, {self.noise!r})"

    @property
    def isotropic(self) -> bool:
        """Whether all columns share one noise variance."""
        return self.noise == "isotropic"

    def _with(self, units: Units | None, mask: Array | None) -> FactorAnalyzer:
        return FactorAnalyzer(
            self.n_factors, self.noise, self.noise_floor, units, self.labels, mask
        )

    def learn(self, data: Any) -> FactorAnalyzer:
        """The model in units of these data: means and deviations of the columns.

        For isotropic noise the columns share one deviation.
        """
        units = MultivariateNormal().learn(data).units
        assert units is not None
        if self.isotropic:
            shared = np.sqrt(np.mean(units.scale**2))
            units = Units(units.centre, np.full(len(units.scale), shared))
        return self._with(units, self.mask)

    def blocks(self, data: Any, size: int | None = None) -> list[FactorBlock]:
        if isinstance(data, list) and all(isinstance(part, FactorBlock) for part in data):
            return data  # made before
        x, missing, weights = counted(data)
        d = x.shape[1]
        if self.n_factors >= d:
            raise ValueError(
                f"n_factors={self.n_factors} must be less than the number of columns, {d}"
            )
        centre, scale = self._units(d)
        return factor_blocks(x, missing, weights, centre, scale, self.n_factors, size)

    def initialize(self, blocks: Sequence[FactorBlock], rng: np.random.Generator) -> FactorParams:
        return self._outside(
            *principal_start(blocks, self.n_factors, self.isotropic, self.noise_floor)
        )

    def scatter(self, blocks: Sequence[FactorBlock], rng: np.random.Generator) -> FactorParams:
        """Another start, with loadings in random directions."""
        return self._outside(*random_start(blocks, self.n_factors, self.isotropic, rng))

    def constraints(self) -> FactorParams:
        free = self.mask is None
        loadings = Real() if free and self.units is None else _Loadings(self.units, self.mask)
        return FactorParams(
            Real() if self.units is None else Location(self.units),
            loadings,
            Positive() if self.units is None else _Noise(self.units, self),
            NormalParams(Real(), PositiveDefinite()) if free else NormalParams(Fixed(), Fixed()),
        )

    def n_parameters(self, d: int) -> int:
        """Number of free parameters for d columns, without the rotation of the factors."""
        noise = 1 if self.isotropic else d
        if self.mask is not None:
            return d + int(np.sum(self.mask)) + noise
        q = self.n_factors
        return d + d * q - q * (q - 1) // 2 + noise

    def identified(self, params: FactorParams) -> FactorParams:
        """The same distribution with factors of mean 0 and unit covariance."""
        loadings, q = np.asarray(params.loadings), self.n_factors
        mean = params.mean + loadings @ params.factors.mean
        loadings = loadings @ np.linalg.cholesky(params.factors.covariance)
        return FactorParams(mean, loadings, params.noise, NormalParams(np.zeros(q), np.eye(q)))

    def prepare(self, params: FactorParams) -> Prepared:
        mean, loadings, noise = self._inside(params)
        if not np.all(noise > 0):
            raise np.linalg.LinAlgError("a noise variance is not positive")
        frame = np.eye(self.n_factors + 1)
        frame[:-1, -1] = params.factors.mean
        frame[:-1, :-1] = np.linalg.cholesky(params.factors.covariance)
        standard = loadings @ frame[:-1, :-1]
        turn = canonical(standard, noise)
        frame[:-1, :-1] = frame[:-1, :-1] @ turn
        mean = mean + loadings @ params.factors.mean
        loadings = np.ascontiguousarray((standard @ turn).T)
        rows, columns = lower_triangle(self.n_factors)
        scaled = loadings / noise
        constant = LOG_2PI + np.log(noise) + 2 * np.log(self._units(len(mean)).scale)
        outer = loadings[rows] * scaled[columns]
        return Prepared(mean, loadings, outer, scaled, 1 / noise, constant, frame)

    def e_step(self, prepared: Prepared, block: FactorBlock) -> Expectation:
        mean, loadings, outer, scaled, inverse, constant, frame = prepared
        q, d = loadings.shape
        packed = (q + 1) * (q + 2) // 2
        overall, gram = np.empty(packed), np.empty((packed, d))
        cross, squares = np.empty((q + 1, d)), np.empty(d)
        logdet, distance = expect_factors(
            block.rows, block.roots, block.centred, block.first, block.weights, block.seen, mean,
            loadings, outer, scaled, inverse, overall, gram, cross, squares,
        )  # fmt: skip
        gram[-1], overall[-1] = block.cells, block.weights.sum()
        statistics = FactorStatistics(
            overall, gram, cross, squares, np.vstack([loadings, mean]), frame
        )
        loglik = -0.5 * (block.cells @ constant + logdet + distance)
        return Expectation(statistics, float(loglik), float(overall[-1]))

    def m_step(self, statistics: FactorStatistics, params: FactorParams) -> FactorParams:
        found = statistics if self.mask is None else self._masked(statistics)
        change = np.empty_like(found.cross)
        solve_columns(found.gram, found.cross, change)
        squares = np.maximum(found.squares - np.sum(found.cross * change, axis=0), 0.0)
        cells, floor = statistics.cells, self._floor(statistics)
        if self.isotropic:
            squares = np.full_like(squares, squares.sum() / cells.sum())
        else:
            squares = squares / cells
        regression = np.linalg.solve(found.frame.T, found.centre + change)
        factors = params.factors
        if self.mask is None:
            overall = unpack(statistics.overall, self.n_factors + 1)
            overall = statistics.frame @ (overall / overall[-1, -1]) @ statistics.frame.T
            mean = overall[-1, :-1]
            covariance = overall[:-1, :-1] - np.outer(mean, mean)
            factors = NormalParams(mean, 0.5 * (covariance + covariance.T))
        return self._outside(regression[-1], regression[:-1].T, np.maximum(squares, floor), factors)

    def _masked(self, statistics: FactorStatistics) -> FactorStatistics:
        """The statistics of regressions in which masked loadings are 0 and cannot move."""
        assert self.mask is not None
        allowed = np.vstack([self.mask.T, np.ones(len(self.mask), dtype=bool)])
        here = statistics.framed(np.eye(len(allowed)))
        here = here.about(np.where(allowed, here.centre, 0.0))
        rows, columns = lower_triangle(len(allowed))
        kept = allowed[rows] & allowed[columns]
        gram = np.where(kept, here.gram, (rows == columns)[:, None])
        return replace(here, gram=gram, cross=np.where(allowed, here.cross, 0.0))

    def _floor(self, statistics: FactorStatistics) -> Array:
        """Least noise variances, (d,), in the units of the model."""
        cells = statistics.cells
        if self.units is not None:
            return np.full(len(cells), self.noise_floor)
        mean, scatter = statistics.scatter()
        variance = scatter / cells
        if self.isotropic:
            variance = np.full_like(variance, scatter.sum() / cells.sum())
        rounding = RESOLUTION**2 * (mean**2 + variance)
        floor = np.maximum(self.noise_floor * variance, rounding)
        return np.maximum(floor, np.sqrt(np.finfo(float).tiny))

    def expected_loglik(self, params: FactorParams, statistics: FactorStatistics) -> float:
        mean, loadings, noise = self._inside(params)
        squares = statistics.about(statistics.frame.T @ np.vstack([loadings.T, mean])).squares
        constant = LOG_2PI + np.log(noise) + 2 * np.log(self._units(len(mean)).scale)
        of_columns = statistics.cells @ constant + np.sum(squares / noise)
        centre, covariance = params.factors
        overall = unpack(statistics.overall, self.n_factors + 1)
        overall = statistics.frame @ overall @ statistics.frame.T
        weight, total = overall[-1, -1], overall[-1, :-1]
        scatter = overall[:-1, :-1] - np.outer(total, centre) - np.outer(centre, total)
        scatter += weight * np.outer(centre, centre)
        logdet = 2 * np.log(np.linalg.cholesky(covariance).diagonal()).sum()
        of_factors = weight * (self.n_factors * LOG_2PI + logdet)
        of_factors += np.trace(np.linalg.solve(covariance, scatter))
        return float(-0.5 * (of_columns + of_factors))

    def sample(self, params: FactorParams, n: int, rng: np.random.Generator) -> Array:
        """Complete rows (n, d)."""
        mean, loadings, noise, _ = self.identified(params)
        factors, rest = (
            rng.standard_normal((n, self.n_factors)),
            rng.standard_normal((n, len(mean))),
        )
        return mean + factors @ loadings.T + rest * np.sqrt(noise)

    def diagnose(self, params: FactorParams, statistics: FactorStatistics) -> Diagnosis:
        _, loadings, noise = self._inside(self.identified(params))
        mean, scatter = statistics.scatter()
        found = NoiseFound(
            loadings, noise, self._floor(statistics), mean, scatter / statistics.cells
        )
        labels = range(len(noise)) if self.labels is None else self.labels
        return diagnosed(found, labels, self.noise_floor, self.isotropic)

    def triangular(self, params: FactorParams) -> tuple[FactorAnalyzer, FactorParams]:
        """The model with the rotation held, and the parameters in that rotation.

        q columns are chosen so that the first loads on the first factor alone, the second
        on the first two, and so on: then no rotation is free, and the information is not
        singular. Each loads positively on its own factor.
        """
        if self.mask is not None:
            return self, params
        params = self.identified(params)
        loadings = self._inside(params)[1]
        turned, triangle, pivots = qr(loadings.T, mode="economic", pivoting=True)
        signs = np.where(triangle.diagonal() < 0, -1.0, 1.0)
        mask = np.ones(loadings.shape, dtype=bool)
        for k, j in enumerate(pivots[: self.n_factors].tolist()):
            mask[j, k + 1 :] = False
        rotated = np.where(mask, np.asarray(params.loadings) @ (turned * signs), 0.0)
        return self._with(self.units, mask), params._replace(loadings=rotated)

    def _units(self, d: int) -> Units:
        return Units(np.zeros(d), np.ones(d)) if self.units is None else self.units

    def _inside(self, params: FactorParams) -> tuple[Array, Array, Array]:
        """Mean (d,), loadings (d, q) and noise variances (d,) in the units of the model."""
        mean, loadings = np.asarray(params.mean), np.asarray(params.loadings)
        centre, scale = self._units(len(mean))
        noise = np.broadcast_to(np.asarray(params.noise, dtype=float), mean.shape) / scale**2
        return (mean - centre) / scale, loadings / scale[:, None], noise

    def _outside(
        self, mean: Array, loadings: Array, noise: Array, factors: NormalParams | None = None
    ) -> FactorParams:
        """Parameters in the units of the data; standard factors by default."""
        centre, scale = self._units(len(mean))
        noise, q = noise * scale**2, self.n_factors
        return FactorParams(
            centre + scale * mean,
            scale[:, None] * loadings,
            noise[0] if self.isotropic else noise,
            NormalParams(np.zeros(q), np.eye(q)) if factors is None else factors,
        )


class _Noise(Positive):
    """Noise variances, none below its floor: an M-step would raise it, and the objective fall."""

    def __init__(self, units: Units, model: FactorAnalyzer):
        floor = model.noise_floor * units.scale**2
        self.floor = floor[0] if model.isotropic else floor

    def unpack(self, flat: Array, like: Array) -> Array:
        return np.maximum(super().unpack(flat, like), self.floor)


class _Loadings(Real):
    """Loadings in units of the columns, of which some are held at 0."""

    def __init__(self, units: Units | None, mask: Array | None):
        self.scale = 1.0 if units is None else units.scale[:, None]
        self.mask = mask

    def size(self, like: Array) -> int:
        return int(np.size(like) if self.mask is None else np.sum(self.mask))

    def pack(self, value: Array) -> Array:
        inside = np.asarray(value) / self.scale
        return inside.ravel() if self.mask is None else inside[self.mask]

    def unpack(self, flat: Array, like: Array) -> Array:
        if self.mask is None:
            return np.reshape(flat, np.shape(like)) * self.scale
        out = np.zeros(np.shape(like))
        out[self.mask] = flat
        return np.where(self.mask, out * self.scale, like)
