"""Compact covariances of the four kinds, and what can be done to them.

Shapes for K components in d columns: full (K, d, d), tied (d, d), diag (K, d),
spherical (K,). "Whiteners" are W with ``W' W`` = precision, in the same shapes.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dtrtri

from latentem.engine.moments import Moments, Scatter
from latentem.kernels.covariance import FEW
from latentem.kernels.covariance import whiten as whiten_few

__all__ = ["KINDS"]

Array = np.ndarray
KINDS: tuple[Scatter, ...] = ("full", "tied", "diag", "spherical")

EPS = np.finfo(float).eps
#: A standard deviation below this share of the size of the rows is rounding.
RESOLUTION = 1e3 * EPS
NOBODY = np.empty(0, dtype=np.intp)
#: Least eigenvalue of a correlation matrix: below it, columns are collinear.
CONDITION = 1e-12
#: Least eigenvalue of the correlation matrix that a singular covariance is lifted to. Well
#: above CONDITION: rounding moves a log-likelihood by EPS / LIFTED a row, and the driver
#: must not see it fall for that.
LIFTED = 1e-8


def whiteners(covariances: Array, kind: Scatter, d: int) -> tuple[Array, Array]:
    """Whiteners and log determinants; LinAlgError where not positive definite."""
    if kind in ("full", "tied"):
        if d <= FEW:
            return _few_whiteners(covariances, d)
        try:
            factor = np.linalg.cholesky(covariances)
        except np.linalg.LinAlgError:
            raise np.linalg.LinAlgError("a covariance is not positive definite") from None
        logdet = 2 * np.add.reduce(np.log(factor.diagonal(0, -2, -1)), axis=-1)
        return inverted(factor), logdet
    if not (covariances > 0).all():
        raise np.linalg.LinAlgError("a variance is not positive")
    log = np.log(covariances)
    return 1 / np.sqrt(covariances), log.sum(axis=1) if kind == "diag" else d * log


def shape(kind: Scatter, k: int, d: int) -> tuple[int, ...]:
    """Shape of the covariances of k components in d columns."""
    return {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}[kind]


def stacked(values: Array, kind: Scatter, d: int) -> Array:
    """A compact array with three axes, as the kernels take all kinds: the same memory."""
    rows = d if kind in ("full", "tied") else 1
    columns = 1 if kind == "spherical" else d
    return np.ascontiguousarray(values, dtype=float).reshape(-1, rows, columns)


def _few_whiteners(covariances: Array, d: int) -> tuple[Array, Array]:
    """Whiteners and log determinants of matrices of few columns."""
    matrices = stacked(covariances, "full", d)
    found, logdets = np.empty_like(matrices), np.empty(len(matrices))
    if not whiten_few(matrices, np.zeros((len(matrices), d)), found, logdets):
        raise np.linalg.LinAlgError("a covariance is not positive definite")
    if covariances.ndim == 2:
        return found[0], logdets[0]
    return found, logdets


def inverted(factors: Array) -> Array:
    """Inverses of lower triangular matrices (..., d, d), exact whatever the units of the columns.

    A general inverse would exchange rows, and mix numbers of any size with the zeros.
    """
    out = factors.copy()
    for factor in out.reshape(-1, *out.shape[-2:]):
        dtrtri(factor.T, overwrite_c=1)  # in place: the transpose is upper, in Fortran order
    return out


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


def variances(covariances: Array, kind: Scatter) -> Array:
    """Variances per component and column: (K, d), (1, d) if tied, (K, 1) if spherical."""
    if kind in ("full", "tied"):
        diagonal = covariances.diagonal(0, -2, -1)
        return diagonal if kind == "full" else diagonal[None]
    return covariances if kind == "diag" else covariances[:, None]


def cancelled(moved: Array, scatter: Array, limit: float, kind: Scatter) -> Array:
    """Components whose scatter is a difference too small against what was subtracted."""
    kept = variances(moved, kind) <= limit * variances(scatter, kind)
    return NOBODY if kept.all() else np.flatnonzero(~kept.all(axis=1))


def about_mean(x: Array, weights: Array, mean: Array, kind: Scatter) -> tuple[Array, Array]:
    """Exact mean and scatter of weighted rows, from a first guess at the mean.

    Corrected twice, so that the error is of the rounding of the mean, not of the guess.
    """
    weight = weights.sum()
    if not weight > 0:
        return mean, np.zeros((x.shape[1],) * 2) if kind in ("full", "tied") else 0.0 * mean
    y = x - mean
    for _ in range(2):
        shift = (weights @ y) / weight
        y -= shift
        mean = mean + shift
    if kind in ("full", "tied"):
        scatter = (y * weights[:, None]).T @ y
        scatter = 0.5 * (scatter + scatter.T)
    else:
        scatter = weights @ (y * y)
        scatter = scatter.mean() if kind == "spherical" else scatter
    return mean, scatter


def divide(scatter: Array, weight: Array, kind: Scatter) -> Array:
    """Covariances from scatters; where the weight is 0, the scatter itself."""
    if kind == "tied":
        return scatter / (weight.sum() or 1.0)
    weight = per_covariance(weight, kind)
    return scatter / along(np.where(weight > 0, weight, 1.0), scatter)


def along(values: Array, like: Array) -> Array:
    """Values per component, shaped to multiply an array (K, ...)."""
    if values.ndim == like.ndim:
        return values
    return values.reshape((-1,) + (1,) * (like.ndim - 1))


def per_column(weight: Array) -> Array:
    """Weights (K,), or (K, d) where cells are missing, to multiply an array (K, d)."""
    return weight if weight.ndim == 2 else weight[:, None]


def per_covariance(weight: Array, kind: Scatter) -> Array:
    """Weights (K,) or (K, d) of what a covariance is a mean over: (K,), for diag (K, d) too."""
    return weight if weight.ndim == 1 or kind == "diag" else weight.mean(axis=1)


def shifted(covariances: Array, reg: float, kind: Scatter) -> Array:
    """Covariances with `reg` added to the variances."""
    if reg == 0.0:
        return covariances
    if kind in ("full", "tied"):
        return covariances + reg * np.eye(covariances.shape[-1])
    return covariances + reg


def overall(moments: Moments) -> tuple[Array, Array]:
    """Mean (d,) of all rows together, components merged, and their covariance.

    The covariance is (d, d) for full and tied, the variances (d,) otherwise; for
    spherical the columns share what is within the components.
    """
    weight = per_column(moments.weight)
    total = np.where(weight.sum(axis=0) > 0, weight.sum(axis=0), 1.0)
    mean = (weight * moments.mean).sum(axis=0) / total
    delta = moments.mean - mean
    if moments.kind in ("full", "tied"):
        within = moments.scatter.sum(axis=0) if moments.kind == "full" else moments.scatter
        return mean, (within + (delta * weight).T @ delta) / total
    within = variances(moments.scatter, moments.kind).sum(axis=0)
    return mean, (within + (weight * delta**2).sum(axis=0)) / total


def resolution(moments: Moments) -> Array:
    """Least variances that rows of this size can tell from 0: (K, d), for tied (1, d).

    The size is that of a component's own rows (the mean square, of all rows where they
    share the covariance): a far component or outlier blurs no other. Where a component
    sits on zeros it has no size, and a far smaller share of all rows' size counts.
    """
    within = divide(moments.scatter, moments.weight, moments.kind)
    size = moments.mean**2 + variances(within, moments.kind)
    weight = per_column(moments.weight)
    total = weight.sum(axis=0)
    whole = (weight * size).sum(axis=0) / np.where(total > 0, total, 1.0)
    if moments.kind == "tied":
        size = whole[None]
    floor = RESOLUTION**2 * np.maximum(size, RESOLUTION**2 * whole)
    floor[:, whole == 0] = RESOLUTION**2
    return np.maximum(floor, np.finfo(float).tiny)


def constant(moments: Moments) -> Array:
    """Columns (d,) that do not vary beyond rounding in all rows together."""
    mean, spread = overall(moments)
    variance = spread.diagonal() if spread.ndim == 2 else spread
    return variance <= RESOLUTION**2 * (mean**2 + variance)


def held(covariances: Array, moments: Moments, old: Array | None = None) -> Array:
    """Covariances of an M-step, held where float64 can tell them from singular ones.

    Variances are at least `resolution`; a full matrix that is singular up to rounding is
    lifted. With the `old` covariances of that step, one that had to be changed so
    replaces its old one only if that raises Q beyond rounding: no map falls.
    """
    kind = moments.kind
    if _sound(covariances, moments):
        return covariances
    floor = resolution(moments)
    if kind == "diag":
        return np.maximum(covariances, floor)
    if kind == "spherical":
        return np.maximum(covariances, floor.mean(axis=1))
    raw = covariances if kind == "full" else covariances[None]
    before = old if kind == "full" or old is None else old[None]
    variance = raw.diagonal(0, 1, 2)
    spread = np.maximum(variance, floor)
    new = raw + (spread - variance)[:, :, None] * np.eye(raw.shape[-1])
    changed = (spread > variance).any(axis=1)
    for k in np.flatnonzero(singular(new, 0.5 * floor)):  # not those that are on the floor now
        new[k] = _lifted(new[k], None if before is None else before[k])
        changed[k] = True
    if before is None:
        return new if kind == "full" else new[0]
    for k in np.flatnonzero(changed):
        allowed = before[k].diagonal() >= 0.999 * floor[k]
        if allowed.all() and not _raises(new[k], before[k], raw[k]):
            new[k] = before[k]
    return new if kind == "full" else new[0]


def _sound(covariances: Array, moments: Moments) -> bool:
    """Whether all covariances are clearly regular: a quick look that spares the long one."""
    variance = variances(covariances, moments.kind)
    limit = moments.mean**2
    whole = limit.max() + variance.max()
    limit *= 2 * RESOLUTION**2
    limit += RESOLUTION**4 * whole  # of all columns: too high in some units, never too low
    if moments.kind in ("diag", "spherical"):
        return bool((variance > limit).all())
    limit += CONDITION * variance
    d = covariances.shape[-1]
    if d <= FEW:
        matrices = stacked(covariances, moments.kind, d)
        lowered = limit if moments.kind == "full" else limit.max(axis=0)[None]
        return bool(whiten_few(matrices, lowered, np.empty_like(matrices), np.empty(len(matrices))))
    try:
        np.linalg.cholesky(_lowered(covariances, limit, moments.kind))
    except np.linalg.LinAlgError:
        return False
    return True


def _lowered(covariances: Array, limit: Array, kind: Scatter) -> Array:
    """Covariances less the limits of their variances; for tied the highest of the limits."""
    d = covariances.shape[-1]
    lower = covariances.copy()
    diagonal = lower.reshape(-1, d * d)[:, :: d + 1]
    diagonal -= limit if kind == "full" else limit.max(axis=0)
    return lower


def singular(matrices: Array, floor: Array) -> Array:
    """Which covariances are singular up to rounding, whatever the units of their columns.

    Those that are not above the diagonal matrix of the least variances: `floor`, and a
    share CONDITION of their own. (Pivots of a factor would be cheaper to look at, but are
    rounding themselves once an earlier one is small.)
    """
    limit = np.maximum(CONDITION * matrices.diagonal(0, 1, 2), floor)
    try:
        np.linalg.cholesky(_lowered(matrices, limit, "full"))
    except np.linalg.LinAlgError:
        if len(matrices) == 1:
            return np.ones(1, dtype=bool)
        parts = zip(matrices, np.broadcast_to(floor, limit.shape), strict=True)
        return np.concatenate([singular(one[None], low[None]) for one, low in parts])
    return np.zeros(len(matrices), dtype=bool)


def _lifted(matrix: Array, old: Array | None) -> Array:
    """A covariance whose correlation matrix has its eigenvalues lifted to the limit.

    The limit is relative to the component's own variances. Where these have grown since
    the `old` covariance it is that one's least eigenvalue, so that the old covariance
    stays within the bounds and the new one can only be likelier.
    """
    scale = np.sqrt(matrix.diagonal())
    units = np.outer(scale, scale)
    least = LIFTED
    if old is not None:
        least = np.clip(np.linalg.eigvalsh(old / units)[0], CONDITION, LIFTED)
    values, vectors = np.linalg.eigh(matrix / units)
    lifted = (vectors * np.maximum(values, least)) @ vectors.T * units
    return 0.5 * (lifted + lifted.T)


def _raises(new: Array, old: Array, scatter: Array) -> bool:
    """Whether Q of rows with covariance `scatter` is higher at `new` than at `old`.

    By more than the rounding of the three matrices can move it.
    """
    both = np.stack([new, old])
    try:
        factors, logdets = whiteners(both, "full", len(scatter))
    except np.linalg.LinAlgError:
        return False
    precisions = factors.transpose(0, 2, 1) @ factors
    loss = logdets + (precisions * scatter).sum(axis=(1, 2))
    scale = np.sqrt(np.maximum(both.diagonal(0, 1, 2), scatter.diagonal()))
    rounding = np.einsum("kab,ka,kb->k", np.abs(precisions), scale, scale).max()
    return bool(loss[1] - loss[0] > 4 * EPS * rounding)


def leaning(covariances: Array, moments: Moments) -> Array:
    """Covariances of a start: those of few rows lean on the spread of all, uncorrelated."""
    kind, d = moments.kind, moments.mean.shape[1]
    if kind == "tied":
        return covariances
    spread = overall(moments)[1]
    target = np.diag(spread.diagonal()) if kind == "full" else spread
    if kind == "spherical":
        target = spread.mean()
    weight = per_covariance(moments.weight, kind)
    extra = np.where(weight < 2 * d + 1, d + 1.0, 0.0)
    share = along(extra / np.where(extra + weight > 0, extra + weight, 1.0), covariances)
    return (1 - share) * covariances + share * target


def on_floor(covariances: Array, floor: Array, columns: Array, kind: Scatter) -> Array:
    """Components whose covariances are singular up to rounding in the chosen columns.

    For tied covariances one entry; for spherical ones the columns count together.
    """
    if not len(columns):
        return np.zeros(1 if kind == "tied" else len(covariances), dtype=bool)
    if kind == "spherical":
        return covariances <= floor.mean(axis=1)
    if kind == "diag":
        return np.any(covariances[:, columns] <= floor[:, columns], axis=1)
    matrices = covariances if kind == "full" else covariances[None]
    return singular(matrices[:, columns[:, None], columns], floor[:, columns])


def collinear(moments: Moments, columns: Array) -> list[list[int]]:
    """Sets of the chosen columns that are collinear in all rows together.

    Each is a column with the earlier ones that determine it. None for diagonal kinds.
    """
    if moments.kind not in ("full", "tied") or len(columns) < 2:
        return []
    mean, spread = overall(moments)
    floor = RESOLUTION**2 * (mean**2 + spread.diagonal())
    if not singular(spread[None, columns[:, None], columns], floor[columns])[0]:
        return []
    scale = np.sqrt(spread.diagonal())
    found: list[list[int]] = []
    free: list[int] = []
    for j in columns.tolist():
        inner = spread[np.ix_(free, free)] / np.outer(scale[free], scale[free])
        cross = spread[free, j] / (scale[free] * scale[j])
        slopes = np.linalg.solve(inner, cross)
        if 1 - cross @ slopes > max(CONDITION, floor[j] / spread[j, j]):
            free.append(j)
        else:
            found.append([i for i, slope in zip(free, slopes, strict=True) if abs(slope) > 1e-6])
            found[-1].append(j)
    return found


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
