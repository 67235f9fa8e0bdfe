"""First responsibilities: where EM begins when nobody says.

Points are whitened first, so that columns on different scales, or correlated
ones, do not decide the partition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus

from latentem.engine.backends import one_blas_thread

__all__ = ["InitParams", "responsibilities", "whitened"]

Array = np.ndarray
InitParams = (
    Literal["kmeans", "k-means++", "random", "random_from_data"]
    | Callable[[Array, int, np.random.Generator], Array]
)
NAMES = ("kmeans", "k-means++", "random", "random_from_data")


def whitened(points: Array, weights: Array) -> Array:
    """Points with weighted mean 0 and unit covariance; constant columns become 0."""
    mean = np.average(points, axis=0, weights=weights)
    centred = points - mean
    size = np.sqrt(np.average(centred**2, axis=0, weights=weights))
    tiny = size <= 1e3 * np.finfo(float).eps * np.maximum(np.abs(mean), 1e-300)
    centred = np.where(tiny, 0.0, centred / np.where(tiny, 1.0, size))
    covariance = (centred * weights[:, None]).T @ centred / weights.sum()
    values, vectors = np.linalg.eigh(covariance)
    keep = values > 1e-8
    return centred @ (vectors[:, keep] / np.sqrt(values[keep]))


def responsibilities(
    points: Array,
    weights: Array,
    n_components: int,
    how: InitParams,
    rng: np.random.Generator,
) -> Array:
    """Starting responsibilities (K, n), columns summing to 1.

    Parameters
    ----------
    points : (n, d) array
    weights : (n,) array
    n_components : int
    how : str or callable
        As scikit-learn's `init_params`. A callable takes (points, n_components,
        rng) and returns labels (n,) or responsibilities (n, K).
    rng : Generator
    """
    if callable(how):
        return _checked(np.asarray(how(points, n_components, rng)), len(points), n_components)
    if how not in NAMES:
        raise ValueError(f"init_params must be one of {NAMES} or a callable, got {how!r}")
    if n_components == 1:
        return np.ones((1, len(points)))
    if how == "random":
        shares = rng.random((n_components, len(points)))
        return shares / shares.sum(axis=0)
    seed = np.random.RandomState(rng.integers(2**32 - 1))
    if how == "random_from_data":
        present = np.flatnonzero(weights > 0)
        size = min(n_components, len(present))
        share = weights[present] / weights.sum()
        rows = rng.choice(present, size=size, replace=False, p=share)
        shares = np.zeros((n_components, len(points)))
        shares[np.arange(size), rows] = 1.0
        return shares
    space = whitened(points, weights)
    if space.shape[1] == 0:
        return _one_hot(rng.integers(n_components, size=len(points)), n_components)
    with one_blas_thread():
        if how == "k-means++":
            _, rows = kmeans_plusplus(space, n_components, sample_weight=weights, random_state=seed)
            shares = np.zeros((n_components, len(points)))
            shares[np.arange(n_components), rows] = 1.0
            return shares
        clusters = KMeans(n_components, n_init=1, random_state=seed)
        labels = clusters.fit(space, sample_weight=weights).labels_
    return _one_hot(labels, n_components)


def _one_hot(labels: Array, n_components: int) -> Array:
    return (labels == np.arange(n_components)[:, None]).astype(float)


def _checked(answer: Array, n: int, n_components: int) -> Array:
    """Labels or responsibilities from a user's function, as (K, n)."""
    if answer.shape == (n,):
        if not np.issubdtype(answer.dtype, np.integer):
            raise ValueError("init_params returned labels that are not integers")
        if answer.min() < 0 or answer.max() >= n_components:
            raise ValueError(f"init_params returned labels outside 0..{n_components - 1}")
        return _one_hot(answer, n_components)
    if answer.shape == (n, n_components):
        if np.any(answer < 0) or not np.allclose(answer.sum(axis=1), 1.0, atol=1e-6):
            raise ValueError("init_params returned responsibilities whose rows do not sum to 1")
        return answer.T.astype(float).copy()
    raise ValueError(
        f"init_params must return labels of shape ({n},) or responsibilities of shape "
        f"({n}, {n_components}), got {answer.shape}"
    )
