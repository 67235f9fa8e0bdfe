"""Covariances as arguments and attributes: their shapes, checks and inverses."""

from __future__ import annotations

import numpy as np

from latentem.engine.moments import Scatter
from latentem.families.covariance import KINDS

__all__ = ["check_positive", "covariance_shape", "full_covariances", "inverse"]

Array = np.ndarray


def covariance_shape(kind: Scatter, k: int, d: int) -> tuple[int, ...]:
    """Shape of compact covariances of K components in d columns."""
    shapes = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}
    if kind not in shapes:
        raise ValueError(f"covariance_type must be one of {KINDS}, got {kind!r}")
    return shapes[kind]


def inverse(matrices: Array, kind: Scatter, name: str) -> Array:
    """Inverses of positive definite matrices or positive numbers; ValueError names others."""
    check_positive(matrices, kind, name)
    if kind not in ("full", "tied"):
        return 1.0 / matrices
    inverted = np.linalg.inv(matrices)
    return 0.5 * (inverted + np.swapaxes(inverted, -1, -2))


def check_positive(matrices: Array, kind: Scatter, name: str) -> None:
    """ValueError unless matrices are positive definite, or numbers positive."""
    if kind not in ("full", "tied"):
        if not np.all(matrices > 0):
            raise ValueError(f"{name} must be positive for covariance_type={kind!r}")
        return
    apart = np.abs(matrices - np.swapaxes(matrices, -1, -2)).max()
    if apart > 1e-8 * np.abs(matrices).max():
        raise ValueError(f"{name} must be symmetric")
    try:
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        raise ValueError(f"{name} must be positive definite") from None


def full_covariances(covariances: Array, kind: Scatter, shape: tuple[int, ...]) -> Array:
    """Compact covariances as matrices (..., d, d), for means of `shape` (..., d)."""
    d = shape[-1]
    if kind in ("full", "tied"):
        return np.broadcast_to(covariances, (*shape[:-1], d, d)).copy()
    variances = covariances if kind == "diag" else covariances[..., None]
    return np.broadcast_to(variances, shape)[..., None] * np.eye(d)
