r"""Orthogonal rotations that make loadings simple.

The orthomax criterion :math:`\sum_k [\sum_j b_{jk}^4 - \frac\gamma d (\sum_j b_{jk}^2)^2]` of
rotated loadings :math:`B = L R`, with :math:`\gamma = 1` for varimax and 0 for quartimax
(Kaiser 1958, doi:10.1007/BF02289233), climbed by singular value decompositions.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

__all__ = ["ROTATIONS", "Rotation", "canonical", "orthomax", "simple_loadings"]

Array = np.ndarray
Rotation = Literal["varimax", "quartimax"]
ROTATIONS = ("varimax", "quartimax")
MOST = 1000
#: Relative gain of the criterion's bound at which to stop.
GAIN = 1e-12


def orthomax(loadings: Array, rotation: Rotation) -> Array:
    """The rotation (q, q) that makes loadings (d, q) simple.

    Raises
    ------
    ValueError
        For a rotation of another name.
    """
    if rotation not in ROTATIONS:
        raise ValueError(f"rotation must be None, 'varimax' or 'quartimax', got {rotation!r}")
    gamma = 1.0 if rotation == "varimax" else 0.0
    d, q = loadings.shape
    turn, last = np.eye(q), 0.0
    for _ in range(MOST):
        now = loadings @ turn
        slope = loadings.T @ (now**3 - now * (gamma / d * np.sum(now**2, axis=0)))
        left, values, right = np.linalg.svd(slope)
        turn = left @ right
        if values.sum() <= last * (1 + GAIN):
            break
        last = values.sum()
    return turn


def canonical(loadings: Array, noise: Array) -> Array:
    """The rotation (q, q) with which ``L' inv(P) L`` is diagonal, the largest entry first."""
    return np.linalg.svd(loadings / np.sqrt(noise)[:, None], full_matrices=False)[2].T


def simple_loadings(
    loadings: Array, noise: Array, rotation: Rotation | None, isotropic: bool
) -> Array:
    """Loadings (d, q) rotated, in falling order, the largest of each factor positive.

    Parameters
    ----------
    loadings : (d, q) array
    noise : (d,) array or float
    rotation : {"varimax", "quartimax"} or None
        None is `canonical`.
    isotropic : bool
        Whether columns are in one unit; otherwise the rotation and the order look at the
        loadings in standard deviations of the columns.
    """
    noise = np.broadcast_to(noise, len(loadings))
    scale = 1.0 if isotropic else np.sqrt(np.sum(loadings**2, axis=1) + noise)[:, None]
    loadings = loadings @ canonical(loadings, noise)
    if rotation is not None:
        loadings = loadings @ orthomax(loadings / scale, rotation)
        size = np.sum((loadings / scale) ** 2, axis=0)
        loadings = loadings[:, np.argsort(-size, kind="stable")]
    largest = np.argmax(np.abs(loadings / scale), axis=0)
    signs = np.where(loadings[largest, np.arange(loadings.shape[1])] < 0, -1.0, 1.0)
    return loadings * signs
