r"""The rate of convergence of EM at its end, and what kind of end it is.

Near a fixed point an EM map shrinks deviations by the matrix :math:`I - I_c^{-1} I_o` of
complete and observed information (Dempster, Laird and Rubin 1977, section 3). Its largest
eigenvalue is the rate of EM, and the largest fraction of missing information about any
function of the parameters. Below 1 the point is a maximum, at 1 the likelihood is flat
along some direction, above 1 the point is a saddle.

In coordinates whitened by the complete-data information of a normal distribution,

.. math:: \mu + L u / \sqrt n, \qquad L (I + \sqrt{2/n}\, V) L', \qquad \Sigma = L L',

the matrix is symmetric, and a few maps give its largest eigenvalue by Lanczos' method.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.backends import Backend, one_blas_thread
from latentem.models.normal import MultivariateNormal, NormalParams

__all__ = ["Rate", "largest_rate"]

Array = np.ndarray
#: Steps of differences, in the whitened coordinates at n = 1: the shorter, the more exact,
#: until rounding is felt.
STEPS = (1e-6, 1e-4)
#: Rounding, as a share of a step, beyond which differences tell nothing.
NOISE = 0.01
#: Most maps.
MAPS = 40
#: Residual of the eigenvalue, as a share of its distance to 1, at which to stop.
RESIDUAL = 0.04


class Rate(NamedTuple):
    """Largest eigenvalue of the rate matrix; whether it settled; and the maps it took.

    NaN where columns are so nearly collinear that rounding hides it.
    """

    value: float
    settled: bool
    maps: int


def largest_rate(
    model: MultivariateNormal,
    params: NormalParams,
    statistics: Any,
    blocks: Sequence[Any],
    backend: Backend,
) -> Rate:
    """The rate of EM at the end of a fit.

    Parameters
    ----------
    model : MultivariateNormal
    params : NormalParams
        Where a fit ended.
    statistics
        Of the E-step there.
    blocks : sequence of PatternBlock
    backend : Backend
    """
    here = model.inside(params)
    d = len(here.mean)
    root = np.linalg.cholesky(here.covariance)
    image = model.inside(model.m_step(statistics, params))
    lower = np.tril_indices(d, -1)

    def point(vector: Array) -> NormalParams:
        half = np.zeros((d, d))
        half[lower] = vector[2 * d :]
        square = half + half.T + np.diag(np.sqrt(2.0) * vector[d : 2 * d])
        return model.outside(
            here.mean + root @ vector[:d], root @ (np.eye(d) + square) @ root.T
        )  # fmt: skip

    def times(step: float, vector: Array) -> Array:
        begin = point(step * vector)
        expected = backend.expect(model, begin, blocks)
        there = model.inside(model.m_step(expected.statistics, begin))
        mean = np.linalg.solve(root, there.mean - image.mean)
        change = np.linalg.solve(root, there.covariance - image.covariance)
        square = np.linalg.solve(root, change.T)
        parts = mean, square.diagonal() / np.sqrt(2.0), 0.5 * (square + square.T)[lower]
        return np.concatenate(parts) / step

    size = 2 * d + d * (d - 1) // 2
    probe = np.random.default_rng(1).standard_normal(size)
    probe /= np.linalg.norm(probe)
    with one_blas_thread():
        for step in STEPS:
            try:  # there and back: what is left is rounding, and the map's curvature
                rest = times(step, probe) + times(step, -probe)
            except np.linalg.LinAlgError:
                break
            if np.linalg.norm(rest) <= NOISE:
                return _lanczos(partial(times, step), size)
    return Rate(np.nan, False, 2 * len(STEPS))


def _lanczos(times: Any, size: int) -> Rate:
    """Largest eigenvalue of a symmetric matrix that is known by its products."""
    vector = np.random.default_rng(0).standard_normal(size)
    basis = [vector / np.linalg.norm(vector)]
    diagonal: list[float] = []
    beside: list[float] = []
    value, settled = np.nan, False
    for _ in range(min(MAPS, size)):
        image = times(basis[-1])
        diagonal.append(float(image @ basis[-1]))
        for _ in range(2):
            for other in basis:
                image -= (image @ other) * other
        length = float(np.linalg.norm(image))
        matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        if not np.all(np.isfinite(matrix)):
            return Rate(np.nan, False, len(diagonal))
        values, vectors = np.linalg.eigh(matrix)
        value = float(values[-1])
        residual = length * abs(vectors[-1, -1])
        if length < 1e-9 or residual <= RESIDUAL * abs(1 - value):
            settled = True
            break
        basis.append(image / length)
        beside.append(length)
    return Rate(value, settled or len(diagonal) == size, len(diagonal))
