r"""Counts whose means are sums over the pixels of an image: y ~ Poisson(A x + s), x >= 0.

The latent variables are the counts :math:`z_{ij} \sim \text{Poisson}(A_{ij} x_j)` that pixel
j sends to measurement i, and those of the background; the data are their sums. The E-step
shares each datum out,

.. math:: c_j = x_j \sum_i A_{ij} \frac{y_i}{\bar y_i}, \qquad \bar y = A x + s,

a product with A and one with its adjoint. Without a prior the M-step divides by the
sensitivity :math:`s_j = \sum_i A_{ij}`,

.. math:: x_j \leftarrow c_j / s_j,

which together is MLEM in emission tomography (Shepp and Vardi 1982,
doi:10.1109/TMI.1982.4307558) and Richardson-Lucy in deconvolution (Richardson 1972,
doi:10.1364/JOSA.62.000055). With a quadratic prior each pixel is the positive root of
:math:`a x^2 + (s_j - b) x - c_j = 0` (De Pierro 1995, doi:10.1109/42.370409).

The data need not be whole numbers: then the log-likelihood, with :math:`\log\Gamma(y + 1)` for
the factorial, is minus the Kullback-Leibler divergence up to a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaln, xlogy

from latentem.engine.constraints import Positive
from latentem.engine.model import Diagnosis, Expectation, LatentModel
from latentem.models.image_prior import ImagePrior
from latentem.operators.operator import Operator, as_operator

__all__ = ["Image", "Measurements", "PoissonLinear", "ReconstructionStatistics"]

Array = np.ndarray
#: Multiplications of one block of a product, by which the data are cut.
BLOCK = 500_000
#: Multiplications for each pixel in a block: it also makes and adds images.
PER_PIXEL = 64


class Image(NamedTuple):
    """Parameters: the image, in the shape that the operator takes."""

    x: Array


class ReconstructionStatistics(NamedTuple):
    """Expected counts from each pixel, and its sensitivity: what of its light is measured."""

    counts: Array
    sensitivity: Array


@dataclass(frozen=True)
class Measurements:
    """A block: some measurements with the operator that makes them.

    The sensitivity belongs to the statistics, and depends on no parameter: it is computed
    when the block is made.
    """

    operator: Operator
    y: Array
    background: Any
    sensitivity: Array
    #: Sum of log Gamma(y + 1).
    constant: float


class PoissonLinear(LatentModel):
    """Poisson counts of a linear operator on a non-negative image.

    Data are a tuple (operator, y) or (operator, y, background): what `as_operator` takes,
    counts of its data shape, and their expected background (a number or an array; default 0);
    or the list of blocks made of them.

    Parameters
    ----------
    prior : ImagePrior, optional
        `IntensityPrior` or `SmoothnessPrior`; None is maximum likelihood.
    subsets : int
        For ``EM(subsets=...)``: blocks are then interleaved, so that each subset is a small
        copy of the whole (every n-th angle).

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import EM, models
    >>> A = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    >>> result = EM(tol=1e-9).run(models.PoissonLinear(), (A, np.array([3.0, 4.0, 2.0])))
    >>> result.params.x.round(4)
    array([3., 1.])
    """

    def __init__(self, prior: ImagePrior | None = None, subsets: int = 1):
        if prior is not None and not isinstance(prior, ImagePrior):
            raise TypeError(
                f"prior must be an IntensityPrior, a SmoothnessPrior or None, got {prior!r}"
            )
        if isinstance(subsets, bool) or not isinstance(subsets, int | np.integer) or subsets < 1:
            raise ValueError(f"subsets must be an integer >= 1, got {subsets!r}")
        self.prior, self.subsets = prior, int(subsets)

    def __repr__(self) -> str:
        return f"PoissonLinear(prior={self.prior!r}, subsets={self.subsets})"

    def blocks(self, data: Any, size: int | None = None) -> list[Measurements]:
        if isinstance(data, list) and all(isinstance(part, Measurements) for part in data):
            return data  # they are made
        if not isinstance(data, tuple) or len(data) not in (2, 3):
            raise TypeError("data of PoissonLinear are (operator, y) or (operator, y, background)")
        y = np.asarray(data[1], dtype=float)
        operator = as_operator(data[0], y.shape)
        background = np.asarray(data[2] if len(data) == 3 else 0.0, dtype=float)
        if background.ndim:
            background = np.broadcast_to(background, y.shape)
        cuts = self._cuts(operator, y.size, size)
        parts = operator.parts(self.subsets, interleaved=True) if self.subsets > 1 else None
        if parts is None:
            pieces = operator.parts(cuts)
        else:  # each after one that looks from far away: 0, 4, 2, 6, 1, 5, 3, 7
            pieces = [parts[k] for k in _spread_out(self.subsets)]
        return [self._block(part, y[where], _at(background, where)) for part, where in pieces]

    def _cuts(self, operator: Operator, measurements: int, size: int | None) -> int:
        """Into how many pieces, which depends on the data alone."""
        if operator.size == 0:
            return 1
        if size is None:
            pixels = int(np.prod(operator.image_shape))
            wanted = operator.size // max(BLOCK, PER_PIXEL * pixels)
            wanted -= wanted % 2
        else:
            wanted = -(-measurements // max(int(size), 1))
        return max(min(wanted, operator.data_shape[-1]), 1)

    def _block(self, operator: Operator, y: Array, background: Any) -> Measurements:
        y = np.ascontiguousarray(y).reshape(operator.data_shape)
        if np.ndim(background):
            background = np.ascontiguousarray(background).reshape(y.shape)
        sensitivity = operator.adjoint(np.ones(y.shape))
        return Measurements(operator, y, background, sensitivity, float(gammaln(y + 1).sum()))

    def initialize(self, blocks: Sequence[Measurements], rng: np.random.Generator) -> Image:
        """One value for all pixels that can be known, with which the sum of the data agrees."""
        sensitivity = sum(block.sensitivity for block in blocks)
        counts = sum(float(block.y.sum()) for block in blocks)
        background = sum(
            float(np.broadcast_to(block.background, block.y.shape).sum()) for block in blocks
        )
        seen = float(np.sum(sensitivity))
        level = max(counts - background, 0.01 * counts) / seen if seen > 0 else 0.0
        outside = blocks[0].operator.outside()
        known = (
            np.asarray(sensitivity) > 0 if self.prior is None else np.ones_like(sensitivity, bool)
        )
        if outside is not None:
            known = known & ~outside
        return Image(np.where(known, level, 0.0))

    def constraints(self) -> Image:
        declared: Any = Positive()
        return Image(declared)

    def e_step(self, prepared: Image, block: Measurements) -> Expectation:
        x, y = prepared.x, block.y
        mean = block.operator.forward(x)
        if np.ndim(block.background) or block.background:
            mean = mean + block.background
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = y / mean
            if mean.min(initial=1.0) > 0:
                fit = float(np.vdot(y, np.log(mean)))
            else:  # means of zero are fine where nothing was counted
                ratio[mean == 0] = 0.0
                fit = float(np.sum(xlogy(y, mean)))
        loglik = fit - float(mean.sum()) - block.constant
        counts = x * block.operator.adjoint(ratio)
        return Expectation(
            ReconstructionStatistics(counts, block.sensitivity), loglik, float(y.size)
        )

    def m_step(self, statistics: ReconstructionStatistics, params: Image) -> Image:
        """Pixels that no measurement sees, and no prior knows, keep their value; 0 stays 0."""
        counts, sensitivity = statistics
        if self.prior is None:
            seen = sensitivity > 0
            if seen.all():
                return Image(counts / sensitivity)
            return Image(np.divide(counts, sensitivity, out=params.x.copy(), where=seen))
        curvature, pull = self.prior.bound(params.x)
        slope = sensitivity - pull
        root = np.sqrt(slope**2 + 4 * curvature * counts)
        with np.errstate(divide="ignore", invalid="ignore"):
            up = 2 * counts / (slope + root)  # each form where nothing cancels
            x = np.where(slope > 0, up, (root - slope) / (2 * curvature))
        return Image(np.where(np.isfinite(x) & (params.x > 0), x, params.x))

    def log_prior(self, params: Image) -> float:
        return 0.0 if self.prior is None else self.prior.log_density(params.x)

    def expected_loglik(self, params: Image, statistics: ReconstructionStatistics) -> float:
        return float(np.sum(xlogy(statistics.counts, params.x) - statistics.sensitivity * params.x))

    def kkt_residual(self, params: Image, statistics: ReconstructionStatistics) -> float:
        r"""The largest violation of the conditions of a maximum, without a unit.

        With g the gradient of the objective over the sensitivity, a pixel violates them by
        :math:`|\min(x_j / \max x, -g_j)|`: a positive gradient, or a negative one while there
        is something left to take away. Pixels at 0 stay there under EM and do not count.
        """
        counts, sensitivity = statistics
        x = params.x
        free = (x > 0) & (sensitivity > 0)
        if not free.any():
            return 0.0
        gradient = counts[free] / x[free] - sensitivity[free]
        if self.prior is not None:
            gradient += self.prior.gradient(x)[free]
        downhill = -gradient / sensitivity[free]
        return float(np.max(np.abs(np.minimum(x[free] / x.max(), downhill))))

    def diagnose(self, params: Image, statistics: ReconstructionStatistics) -> Diagnosis:
        unseen = int(np.sum(statistics.sensitivity <= 0))
        if not unseen or self.prior is not None:
            return Diagnosis()
        text = (
            f"{unseen:,} of {params.x.size:,} pixels are seen by no measurement: they stay as at "
            "the start"
        )
        return Diagnosis(notes=(text,))


def _at(background: Array, where: Any) -> Any:
    return background[where] if background.ndim else float(background)


def _spread_out(n: int) -> list[int]:
    """0 .. n - 1 so that neighbours are far apart: by their bits read backwards."""
    bits = (n - 1).bit_length()
    return sorted(range(n), key=lambda k: int(f"{k:0{bits}b}"[::-1], 2))
