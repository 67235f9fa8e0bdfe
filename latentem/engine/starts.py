"""First responsibilities: where EM begins when nobody says.

Points are scaled first, so that the units of the columns do not decide the partition.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn import config_context
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning

from latentem.engine.backends import one_blas_thread

__all__ = ["InitParams", "obeying", "remembered", "responsibilities", "spaces"]

Array = np.ndarray
InitParams = (
    Literal["kmeans", "k-means++", "random", "random_from_data"]
    | Callable[[Array, int, np.random.Generator], Array]
)
NAMES = ("kmeans", "k-means++", "random", "random_from_data")


def spaces(points: Array, weights: Array) -> list[Array]:
    """Points in the coordinates in which to look for clusters, most general first.

    Whitened points, with unit covariance, and standardised ones, with unit variances:
    whitening finds clusters along correlated columns, but shrinks the very direction
    in which well-separated clusters lie apart. Constant columns are left out.
    """
    mean = np.average(points, axis=0, weights=weights)
    centred = points - mean
    size = np.sqrt(np.average(centred**2, axis=0, weights=weights))
    vary = size > 1e3 * np.finfo(float).eps * np.maximum(np.abs(mean), 1e-300)
    standard = centred[:, vary] / size[vary]
    if standard.shape[1] < 2:
        return [standard]
    values, vectors = np.linalg.eigh((standard * weights[:, None]).T @ standard / weights.sum())
    keep = values > 1e-8
    return [standard @ (vectors[:, keep] / np.sqrt(values[keep])), standard]


def responsibilities(
    points: Array,
    weights: Array,
    n_components: int,
    how: InitParams,
    rng: np.random.Generator,
) -> Iterator[Array]:
    """Starting responsibilities (K, n), columns summing to 1, one or more to choose from.

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
        yield _checked(np.asarray(how(points, n_components, rng)), len(points), n_components)
    elif how not in NAMES:
        raise ValueError(f"init_params must be one of {NAMES} or a callable, got {how!r}")
    elif n_components == 1:
        yield np.ones((1, len(points)))
    elif how == "random":
        shares = rng.random((n_components, len(points)))
        yield shares / shares.sum(axis=0)
    elif how == "random_from_data":
        present = np.flatnonzero(weights > 0)
        size = min(n_components, len(present))
        yield _at_rows(
            rng.choice(present, size=size, replace=False, p=weights[present] / weights.sum()),
            n_components,
            len(points),
        )
    else:
        for space in spaces(points, weights):
            seed = int(rng.integers(2**32 - 1))
            known = _known.get()
            if known is None:
                yield _clusters(space, weights, n_components, how, seed)
                continue
            question = (_digest(space), _digest(weights), n_components, how, seed)
            if question not in known:
                known[question] = _clusters(space, weights, n_components, how, seed)
            yield known[question].copy()


#: Clusters found so far where they are `remembered`.
_known: ContextVar[dict[tuple, Array] | None] = ContextVar("latentem_clusters", default=None)


@contextmanager
def remembered() -> Iterator[None]:
    """Within this context the same points are put into as many clusters by the same seed once.

    For fits to the same data that differ in something else, such as the shape of covariances.
    """
    before = _known.set({})
    try:
        yield
    finally:
        _known.reset(before)


def _digest(array: Array) -> bytes:
    return blake2b(array.tobytes(), digest_size=16).digest() + str(array.shape).encode()


def _clusters(space: Array, weights: Array, n_components: int, how: str, number: int) -> Array:
    seed = np.random.RandomState(number)
    if space.shape[1] == 0:  # every column is constant
        return _one_hot(seed.randint(n_components, size=len(space)), n_components)
    with one_blas_thread():
        if how == "k-means++":
            _, rows = kmeans_plusplus(space, n_components, sample_weight=weights, random_state=seed)
            return _at_rows(rows, n_components, len(space))
        with (
            config_context(assume_finite=True, skip_parameter_validation=True),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer points than components
            clusters = KMeans(n_components, n_init=1, random_state=seed)
            labels = clusters.fit(space, sample_weight=weights).labels_
    shares = _one_hot(labels, n_components)
    if not shares.any(axis=1).all():  # too few distinct points to part: all get some of each
        mixed = seed.dirichlet(np.ones(n_components), size=len(labels)).T
        shares = 0.5 * (shares + mixed)
    return shares


def _at_rows(rows: Array, n_components: int, n: int) -> Array:
    """Each component sits on one row; the other rows belong to none."""
    shares = np.zeros((n_components, n))
    shares[np.arange(len(rows)), rows] = 1.0
    return shares


def obeying(shares: Array, labels: Array, fit: Array | None) -> Array:
    """Responsibilities (K, n) in which rows of a known component are of it alone.

    Parameters
    ----------
    shares : (K, n) array
        As guessed.
    labels : (n,) int array
        -1 where unknown.
    fit : (K, n) array or None
        How well each guessed component fits each row: the components are put in the order
        in which those with labels fit best. None where whoever guessed has named them.
    """
    known = labels >= 0
    told = (labels[known] == np.arange(len(shares))[:, None]) * 1.0
    if fit is not None:
        shares = shares[linear_sum_assignment(told @ fit[:, known].T, maximize=True)[1]]
    shares[:, known] = told
    return shares


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
