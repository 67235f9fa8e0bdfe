"""Matrices that a state-space model cannot begin with, a sentence each."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentem.estimators.validation import check_shape
from latentem.models.state_space import LinearGaussianParams

__all__ = ["MATRICES", "check_covariance", "check_matrices"]

Array = np.ndarray
MATRICES = LinearGaussianParams._fields
#: Modulus of an eigenvalue up to which a transition is no mistake (a random walk has 1).
STABLE = 1.05


def check_matrices(estimator: Any, n: int, d: int, m: int) -> dict[str, Array]:
    """The matrices that are given, of their shapes."""
    shapes = {
        "initial_mean": (n,), "initial_covariance": (n, n), "transition": (n, n), "input": (n, m),
        "observation": (d, n), "feedthrough": (d, m), "transition_covariance": (n, n),
        "observation_covariance": (d, d),
    }  # fmt: skip
    found = {
        name: check_shape(getattr(estimator, name), shape, name)
        for name, shape in shapes.items()
        if getattr(estimator, name) is not None
    }
    if "transition" in found:
        radius = float(np.abs(np.linalg.eigvals(found["transition"])).max())
        if radius > STABLE:
            raise ValueError(
                f"transition is unstable: its largest eigenvalue has modulus {radius:.4g}, and "
                f"states would grow without bound. Scale it to at most 1"
            )
    if "initial_covariance" in found:
        check_covariance(found["initial_covariance"], "initial_covariance", "full", None)
    return found


def check_covariance(value: Array, name: str, kind: str, kept: Any) -> None:
    """ValueError for a matrix that is no covariance of its kind."""
    if not np.allclose(value, value.T, rtol=1e-8, atol=1e-12 * float(np.abs(value).max())):
        raise ValueError(f"{name} is not symmetric: a covariance is")
    if kind == "diag" and np.any(value - np.diag(np.diag(value))):
        raise ValueError(f"{name} has entries off its diagonal, and it is to be diagonal")
    least = float(np.linalg.eigvalsh(value)[0])
    if kept is True and not name.startswith("observation"):
        if least < -1e-12 * float(np.abs(value).max()):
            raise ValueError(f"{name} has a negative eigenvalue, {least:.4g}: it is no covariance")
        return
    zero = np.diag(value) == 0
    held = (
        np.diag(kept).astype(bool) if isinstance(kept, np.ndarray) else np.zeros(len(value), bool)
    )
    if kind == "diag" and name.startswith("transition") and np.all(held[zero]):
        least = float(np.min(np.diag(value)[~zero], initial=np.inf))
    if not least > 0:
        raise ValueError(f"{name} is not positive definite: its least eigenvalue is {least:.4g}")
