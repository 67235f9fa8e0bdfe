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

The likelihood does not know one rotation of the factors from another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.linalg import qr

from latentem.engine.constraints import Positive, Real
from latentem.engine.model import Diagnosis, Expectation, LatentModel
from latentem.families.covariance import RESOLUTION
from latentem.kernels.factors import expect_factors, solve_columns
from latentem.models.factor_blocks import FactorBlock, factor_blocks
from latentem.models.factor_start import principal_start, random_start
from latentem.models.factor_statistics import FactorStatistics, unpack
from latentem.models.normal import LOG_2PI, NAMED, Location, MultivariateNormal, Units, counted

__all__ = ["FactorAnalyzer", "FactorParams", "Noise", "Prepared"]

Array = np.ndarray
Noise = Literal["diagonal", "isotropic"]


class FactorParams(NamedTuple):
    """Mean (d,), loadings (d, q), and noise variances (d,) or one of them, in units of the data."""

    mean: Any
    loadings: Any
    noise: Any


class Prepared(NamedTuple):
    """What an E-step reads, in the units of the model.

    The factors are turned so that ``L' inv(P) L`` is diagonal: sums of numbers of very
    different sizes, where some noise is small, then keep the small ones.
    """

    mean: Array  # (d,)
    loadings: Array  # (q, d)
    outer: Array  # (q (q + 1) / 2, d): packed products of loadings over the noise
    scaled: Array  # (q, d): loadings over the noise
    inverse: Array  # (d,)
    constant: Array  # (d,): what a cell adds to minus twice its log density
    rotation: Array  # (q, q)


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
        Loadings that may differ from 0; the start must have 0 for the others.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import EM, models
    >>> from latentem.datasets import load_airquality
    >>> X = load_airquality().data[:, :4]
    >>> result = EM(tol=1e-9).run(models.FactorAnalyzer(1).learn(X), X)
    >>> round(result.loglik, 3), bool(np.isnan(X).any())
    (-1888.606, True)
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
        return self._outside(*principal_start(blocks, self.n_factors, self.isotropic))

    def scatter(self, blocks: Sequence[FactorBlock], rng: np.random.Generator) -> FactorParams:
        """Another start, with loadings in random directions."""
        return self._outside(*random_start(blocks, self.n_factors, self.isotropic, rng))

    def constraints(self) -> FactorParams:
        noise = Positive()
        if self.units is None and self.mask is None:
            return FactorParams(Real(), Real(), noise)
        if self.units is None:
            return FactorParams(Real(), _Loadings(None, self.mask), noise)
        return FactorParams(Location(self.units), _Loadings(self.units.scale, self.mask), noise)

    def n_parameters(self, d: int) -> int:
        """Number of free parameters for d columns, without the rotation of the factors."""
        noise = 1 if self.isotropic else d
        if self.mask is not None:
            return d + int(np.sum(self.mask)) + noise
        q = self.n_factors
        return d + d * q - q * (q - 1) // 2 + noise

    def prepare(self, params: FactorParams) -> Prepared:
        mean, loadings, noise = self._inside(params)
        if not np.all(noise > 0):
            raise np.linalg.LinAlgError("a noise variance is not positive")
        rotation = np.eye(self.n_factors)
        if self.mask is None:
            rotation = np.linalg.svd(loadings / np.sqrt(noise)[:, None], full_matrices=False)[2].T
        turned = np.ascontiguousarray((loadings @ rotation).T)
        rows, columns = np.tril_indices(self.n_factors)
        scaled = turned / noise
        constant = LOG_2PI + np.log(noise) + 2 * np.log(self._units(len(mean)).scale)
        outer = turned[rows] * scaled[columns]
        return Prepared(mean, turned, outer, scaled, 1 / noise, constant, rotation)

    def e_step(self, prepared: Prepared, block: FactorBlock) -> Expectation:
        mean, loadings, outer, scaled, inverse, constant, rotation = prepared
        q, d = loadings.shape
        gram, cross = np.empty(((q + 1) * (q + 2) // 2, d)), np.empty((q + 1, d))
        squares = np.empty(d)
        logdet, distance = expect_factors(
            block.rows, block.roots, block.centred, block.first, block.weights, block.seen, mean,
            loadings, outer, scaled, inverse, gram, cross, squares,
        )  # fmt: skip
        gram[-1] = block.cells
        statistics = FactorStatistics(gram, cross, squares, np.vstack([loadings, mean]), rotation)
        loglik = -0.5 * (block.cells @ constant + logdet + distance)
        return Expectation(statistics, float(loglik), float(block.weights.sum()))

    def m_step(self, statistics: FactorStatistics, params: FactorParams) -> FactorParams:
        found = statistics
        if self.mask is not None:
            found = self._masked(statistics)
        change = np.empty_like(found.cross)
        solve_columns(found.gram, found.cross, change)
        squares = np.maximum(found.squares - np.sum(found.cross * change, axis=0), 0.0)
        cells, floor = statistics.cells, self._floor(statistics)
        if self.isotropic:
            noise = np.maximum(np.full_like(squares, squares.sum() / cells.sum()), floor)
        else:
            noise = np.maximum(squares / cells, floor)
        regression = found.centre + change
        return self._outside(regression[-1], (statistics.rotation @ regression[:-1]).T, noise)

    def _masked(self, statistics: FactorStatistics) -> FactorStatistics:
        """The statistics of regressions in which masked loadings are 0 and cannot move."""
        assert self.mask is not None
        allowed = np.vstack([self.mask.T, np.ones(len(self.mask), dtype=bool)])
        here = statistics.turned(np.eye(self.n_factors))
        here = here.about(np.where(allowed, here.centre, 0.0))
        rows, columns = np.tril_indices(len(allowed))
        kept = allowed[rows] & allowed[columns]
        gram = np.where(kept, here.gram, (rows == columns)[:, None])
        cross = np.where(allowed, here.cross, 0.0)
        return FactorStatistics(gram, cross, here.squares, here.centre, here.rotation)

    def _floor(self, statistics: FactorStatistics) -> Array:
        """Least noise variances, (d,), in the units of the model."""
        mean, scatter = statistics.scatter()
        cells = statistics.cells
        variance = scatter / cells
        if self.isotropic:
            variance = np.full_like(variance, scatter.sum() / cells.sum())
        rounding = RESOLUTION**2 * (mean**2 + variance)
        return np.maximum(
            np.maximum(self.noise_floor * variance, rounding), np.finfo(float).tiny ** 0.5
        )

    def expected_loglik(self, params: FactorParams, statistics: FactorStatistics) -> float:
        """Q without the density of the factors, which has no parameters."""
        mean, loadings, noise = self._inside(params)
        centre = np.vstack([statistics.rotation.T @ loadings.T, mean])
        squares = statistics.about(centre).squares
        constant = LOG_2PI + np.log(noise) + 2 * np.log(self._units(len(mean)).scale)
        return float(-0.5 * (statistics.cells @ constant + np.sum(squares / noise)))

    def sample(self, params: FactorParams, n: int, rng: np.random.Generator) -> Array:
        """Complete rows (n, d)."""
        d, q = np.shape(params.loadings)
        factors, noise = rng.standard_normal((n, q)), rng.standard_normal((n, d))
        return params.mean + factors @ np.transpose(params.loadings) + noise * np.sqrt(params.noise)

    def diagnose(self, params: FactorParams, statistics: FactorStatistics) -> Diagnosis:
        _, loadings, noise = self._inside(params)
        labels = range(len(noise)) if self.labels is None else self.labels
        mean, scatter = statistics.scatter()
        variance = scatter / statistics.cells
        constant = variance <= RESOLUTION**2 * (mean**2 + variance)
        notes = tuple(
            f"column {labels[j]} is constant: its noise is set to the floor of rounding"
            for j in np.flatnonzero(constant).tolist()
        )
        low = (noise <= 1.001 * self._floor(statistics)) & ~constant
        if not low.any():
            return Diagnosis((), notes)
        if self.isotropic:
            text = (
                f"the noise is at its floor, {self.noise_floor:g} of the variance: the rows lie "
                f"in a plane of {self.n_factors} dimensions, and the likelihood has no maximum. "
                "Use fewer factors"
            )
            return Diagnosis((text,), notes)
        places = np.flatnonzero(low)
        names = _names([labels[j] for j in places])
        share = f"at {'their floors' if len(places) > 1 else 'its floor'}, {self.noise_floor:g} of "
        size = np.sqrt(variance[places])[:, None]
        values = np.linalg.svd(loadings[places] / size, compute_uv=False)
        if len(places) > self.n_factors or values[-1] < 10 * np.sqrt(self.noise_floor):
            text = (
                f"the noise of {names} is {share}the variance: given the factors these columns are "
                "collinear, and the likelihood has no maximum. Leave one out, or use fewer factors"
            )
            return Diagnosis((text,), notes)
        text = (
            f"the noise of {names} is {share}the variance (a Heywood case): a factor follows that "
            "alone. Use fewer factors, or look at whether the data settle so many"
        )
        return Diagnosis((), notes, (text,))

    def triangular(self, params: FactorParams) -> tuple[FactorAnalyzer, FactorParams]:
        """The model with the rotation held, and the parameters in that rotation.

        q columns are chosen so that the first loads on the first factor alone, the second
        on the first two, and so on: then no rotation is free, and the information is not
        singular. Each loads positively on its own factor.
        """
        loadings = self._inside(params)[1]
        if self.mask is not None:
            return self, params
        turned, triangle, pivots = qr(loadings.T, mode="economic", pivoting=True)
        signs = np.where(triangle.diagonal() < 0, -1.0, 1.0)
        mask = np.ones(loadings.shape, dtype=bool)
        for k, j in enumerate(pivots[: self.n_factors]):
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

    def _outside(self, mean: Array, loadings: Array, noise: Array) -> FactorParams:
        """Parameters in the units of the data."""
        centre, scale = self._units(len(mean))
        noise = noise * scale**2
        return FactorParams(
            centre + scale * mean, scale[:, None] * loadings, noise[0] if self.isotropic else noise
        )


class _Loadings(Real):
    """Loadings in units of the columns, of which some are held at 0."""

    def __init__(self, scale: Array | None, mask: Array | None):
        self.scale = 1.0 if scale is None else scale[:, None]
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


def _names(labels: Sequence[Any]) -> str:
    """Columns in words, a few of them."""
    if len(labels) == 1:
        return f"column {labels[0]}"
    shown = [str(label) for label in labels[:NAMED]]
    if len(labels) > NAMED:
        return f"columns {', '.join(shown)} and {len(labels) - NAMED} more"
    return f"columns {', '.join(shown[:-1])} and {shown[-1]}"
