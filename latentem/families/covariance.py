"""Compact covariances of the four kinds, and what can be done to them.

Shapes for K components in d columns: full (K, d, d), tied (d, d), diag (K, d),
spherical (K,). "Whiteners" are W with ``W' W`` = precision, in the same shapes.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from latentem.engine.moments import Moments, Scatter

__all__ = ["KINDS"]

Array = np.ndarray
KINDS: tuple[Scatter, ...] = ("full", "tied", "diag", "spherical")

#: A standard deviation below this share of a column's size is rounding.
RESOLUTION = 1e3 * np.finfo(float).eps
#: Least eigenvalue of a correlation matrix: below it, columns are collinear.
CONDITION = 1e-12


@cache
def triangle(d: int) -> tuple[Array, Array]:
    """Rows and columns of the pairs a <= b, row by row: the order of the product features."""
    return np.triu_indices(d)


def whiteners(covariances: Array, kind: Scatter, d: int) -> tuple[Array, Array]:
    """Whiteners and log determinants; LinAlgError where not positive definite."""
    if kind in ("full", "tied"):
        try:
            factor = np.linalg.cholesky(covariances)
        except np.linalg.LinAlgError:
            raise np.linalg.LinAlgError("a covariance is not positive definite") from None
        logdet = 2 * np.log(factor.diagonal(0, -2, -1)).sum(axis=-1)
        return np.linalg.inv(factor), logdet
    if not (covariances > 0).all():
        raise np.linalg.LinAlgError("a variance is not positive")
    log = np.log(covariances)
    return 1 / np.sqrt(covariances), log.sum(axis=1) if kind == "diag" else d * log


def whiten(y: Array, whitener: Array, k: int, kind: Scatter) -> Array:
    """Whitened deviations (d, m) from the mean of component k."""
    if kind == "full":
        return whitener[k] @ y
    if kind == "tied":
        return whitener @ y
    return (whitener[k][:, None] if kind == "diag" else whitener[k]) * y


def trace(whitener: Array, scatter: Array, kind: Scatter, d: int) -> float:
    """Sum over the components of trace(precision @ scatter)."""
    if kind in ("full", "tied"):
        return float(np.sum((whitener @ scatter) * whitener))
    return float(np.sum(whitener**2 * scatter)) * (d if kind == "spherical" else 1)


def from_products(sums: Array, d: int, kind: Scatter) -> Array:
    """Weighted sums of the product features, (K, q), in compact shape."""
    if kind == "diag":
        return sums
    if kind == "spherical":
        return sums[:, 0] / d
    matrix = np.empty((len(sums), d, d))
    rows, columns = triangle(d)
    matrix[:, rows, columns] = sums
    matrix[:, columns, rows] = sums
    return matrix


def variances(covariances: Array, kind: Scatter) -> Array:
    """Variances per component and column: (K, d), (1, d) if tied, (K, 1) if spherical."""
    if kind in ("full", "tied"):
        diagonal = covariances.diagonal(0, -2, -1)
        return diagonal if kind == "full" else diagonal[None]
    return covariances if kind == "diag" else covariances[:, None]


def cancelled(moved: Array, scatter: Array, limit: float, kind: Scatter) -> Array:
    """Components whose scatter is a difference too small against what was subtracted."""
    kept = variances(moved, kind) <= limit * variances(scatter, kind)
    return np.logical_not(kept.all(axis=1))


def about_mean(x: Array, weights: Array, mean: Array, kind: Scatter) -> tuple[Array, Array]:
    """Exact mean and scatter of weighted rows, in two passes about a first guess."""
    weight = weights.sum()
    if not weight > 0:
        return mean, np.zeros((x.shape[1],) * 2) if kind in ("full", "tied") else 0.0 * mean
    y = x - mean
    shift = (weights @ y) / weight
    y -= shift
    if kind in ("full", "tied"):
        scatter = (y * weights[:, None]).T @ y
        scatter = 0.5 * (scatter + scatter.T)
    else:
        scatter = weights @ (y * y)
        scatter = scatter.mean() if kind == "spherical" else scatter
    return mean + shift, scatter


def divide(scatter: Array, weight: Array, kind: Scatter) -> Array:
    """Covariances from scatters; where the weight is 0, the scatter itself."""
    if kind == "tied":
        return scatter / (weight.sum() or 1.0)
    return scatter / along(np.where(weight > 0, weight, 1.0), scatter)


def along(values: Array, like: Array) -> Array:
    """Values per component, shaped to multiply an array (K, ...)."""
    return values.reshape((-1,) + (1,) * (like.ndim - 1))


def shifted(covariances: Array, reg: float, kind: Scatter) -> Array:
    """Covariances with `reg` added to the variances."""
    if reg == 0.0:
        return covariances
    if kind in ("full", "tied"):
        return covariances + reg * np.eye(covariances.shape[-1])
    return covariances + reg


def overall(moments: Moments) -> tuple[Array, Array]:
    """Mean (d,) and variance (d,) of all rows together, components merged."""
    weight = moments.weight
    total = weight.sum() or 1.0
    mean = weight @ moments.mean / total
    within = variances(moments.scatter, moments.kind).sum(axis=0)
    between = weight @ (moments.mean - mean) ** 2
    return mean, (within + between) / total


def resolution(moments: Moments) -> Array:
    """Least variance per column that float64 data of this size can tell from 0, (d,)."""
    squares = moments.weight @ moments.mean**2 + variances(moments.scatter, moments.kind).sum(
        axis=0
    )
    size = squares / (moments.weight.sum() or 1.0)
    size[size == 0] = 1.0
    return RESOLUTION**2 * size


def floored(covariances: Array, floor: Array, kind: Scatter) -> Array:
    """Covariances with variances at least `floor` and columns that are not collinear.

    The limit on collinearity is on the component's own correlation matrix, so it
    does not depend on the units of the columns.
    """
    if kind == "diag":
        return np.maximum(covariances, floor)
    if kind == "spherical":
        return np.maximum(covariances, floor.mean())
    matrices = covariances if kind == "full" else covariances[None]
    lack = floor - matrices.diagonal(0, 1, 2)
    if lack.max() > 0:
        matrices = matrices + np.maximum(lack, 0.0)[:, :, None] * np.eye(len(floor))
    singular = collinear(matrices)
    if singular.any():
        matrices = matrices.copy()
        for k in np.flatnonzero(singular):
            matrices[k] = _lifted(matrices[k])
    return matrices if kind == "full" else matrices[0]


def collinear(matrices: Array) -> Array:
    """Which covariances are singular up to rounding, whatever the units of their columns.

    A pivot of the Cholesky factor, squared and divided by the variance of its
    column, is the share of that variance the earlier columns do not explain.
    """
    spread = matrices.diagonal(0, 1, 2)
    try:
        pivots = np.linalg.cholesky(matrices).diagonal(0, 1, 2)
        return np.logical_not((pivots**2 > CONDITION * spread).all(axis=1))
    except np.linalg.LinAlgError:
        scale = np.sqrt(spread)
        correlations = matrices / (scale[:, :, None] * scale[:, None, :])
        return np.array([np.linalg.eigvalsh(c)[0] <= CONDITION for c in correlations])


def _lifted(matrix: Array) -> Array:
    """A covariance whose correlation matrix has its eigenvalues lifted to the limit."""
    scale = np.sqrt(np.diag(matrix))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    lifted = (vectors * np.maximum(values, 2 * CONDITION)) @ vectors.T
    lifted *= np.outer(scale, scale)
    return 0.5 * (lifted + lifted.T)


def on_floor(covariances: Array, floor: Array, constant: Array, kind: Scatter) -> Array:
    """Components that `floored` had to lift, not counting the constant columns.

    For tied covariances one entry; for spherical ones the columns count together.
    """
    if constant.all():
        return np.zeros(1 if kind == "tied" else len(covariances), dtype=bool)
    if kind == "spherical":
        return covariances <= floor.mean()
    keep = np.flatnonzero(~constant)
    low = np.any(variances(covariances, kind)[:, keep] <= floor[keep], axis=1)
    if kind == "diag":
        return low
    matrices = covariances if kind == "full" else covariances[None]
    sound = np.flatnonzero(~low)
    if len(sound):
        low[sound] = collinear(matrices[sound][:, keep][:, :, keep])
    return low


def colour(normal: Array, covariances: Array, components: Array, kind: Scatter) -> Array:
    """Standard normal rows given the covariance of their component, (n, d)."""
    if kind == "tied":
        return normal @ np.linalg.cholesky(covariances).T
    if kind == "full":
        factors = np.linalg.cholesky(covariances)
        out = np.empty_like(normal)
        for k in np.unique(components):
            rows = components == k
            out[rows] = normal[rows] @ factors[k].T
        return out
    scale = np.sqrt(covariances)[components]
    return normal * (scale if kind == "diag" else scale[:, None])
