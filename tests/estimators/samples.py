"""Small samples and comparisons that several tests of the estimators share."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentem import GaussianMixture
from latentem.families import Gaussian
from latentem.families.covariance import KINDS

__all__ = [
    "KINDS",
    "WholeRows",
    "blobs",
    "attributes",
    "assert_same_attributes",
    "full_covariances",
    "start",
]


class WholeRows(Gaussian):
    """A family that takes no missing cells."""

    missing_cells = False


def blobs(n: int = 60, d: int = 2, k: int = 2, seed: int = 0, gap: float = 6.0) -> np.ndarray:
    """Rows around k centres, correlated within, in a mixed order; (n, d)."""
    rng = np.random.default_rng(seed)
    mix = np.eye(d) + 0.3 * rng.standard_normal((d, d))
    centres = gap * rng.standard_normal((k, d)) / np.sqrt(d) + gap * np.arange(k)[:, None]
    return centres[np.arange(n) % k] + rng.standard_normal((n, d)) @ mix


def start(X: np.ndarray, kind: str, k: int, seed: int = 0) -> dict[str, Any]:
    """Starting values in the shapes of a covariance type, as constructor arguments."""
    rng = np.random.default_rng(seed)
    d = X.shape[1]
    spread = X.var(axis=0) + 1e-3
    weights = rng.uniform(0.5, 1.5, size=k)
    factors = 0.3 * rng.standard_normal((k, d, d)) + np.eye(d)
    matrices = factors @ factors.transpose(0, 2, 1) / np.sqrt(np.outer(spread, spread))
    precisions = {
        "full": matrices,
        "tied": matrices[0],
        "diag": rng.uniform(0.5, 2.0, size=(k, d)) / spread,
        "spherical": rng.uniform(0.5, 2.0, size=k) / spread.mean(),
    }[kind]
    return {
        "weights_init": weights / weights.sum(),
        "means_init": X[rng.choice(len(X), size=k, replace=False)] + 0.1 * np.sqrt(spread),
        "precisions_init": precisions,
    }


def full_covariances(gm: GaussianMixture) -> np.ndarray:
    """Covariances of every component as matrices (K, d, d)."""
    k, d = gm.means_.shape
    covariances = np.asarray(gm.covariances_)
    if gm.covariance_type == "full":
        return covariances
    if gm.covariance_type == "tied":
        return np.broadcast_to(covariances, (k, d, d))
    if gm.covariance_type == "diag":
        return covariances[:, :, None] * np.eye(d)
    return covariances[:, None, None] * np.eye(d)


def attributes(estimator: Any) -> dict[str, Any]:
    """Everything an estimator holds, arrays copied, to compare with later."""
    return {
        name: value.copy() if isinstance(value, np.ndarray) else value
        for name, value in vars(estimator).items()
    }


def assert_same_attributes(estimator: Any, before: dict[str, Any]) -> None:
    """No attribute came, went or changed."""
    now = vars(estimator)
    assert now.keys() == before.keys()
    for name, value in before.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(now[name], value)
        else:
            assert now[name] is value, name
