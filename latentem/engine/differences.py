"""Derivatives by differences whose steps do not depend on units."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

__all__ = ["STEP", "gradient", "hessian", "jacobian", "steps"]

Array = np.ndarray

#: Steps of differences, in complete-data standard errors of a coordinate.
STEP = 0.02


def steps(function: Callable[[Array], float], at: Array) -> Array:
    """Steps of STEP complete-data standard errors for each coordinate.

    Found from the curvature, in two rounds: they do not depend on units.
    """
    found = 1e-4 * np.maximum(np.abs(at), 1.0)
    middle = function(at)
    for _ in range(2):
        for j in range(len(at)):
            move = np.zeros_like(at)
            move[j] = found[j]
            curvature = 2 * middle - function(at + move) - function(at - move)
            curvature /= found[j] ** 2
            if math.isfinite(curvature) and curvature > 0:
                found[j] = STEP / math.sqrt(curvature)
    return found


def gradient(function: Callable[[Array], float], at: Array, steps: Array) -> Array:
    """Derivatives of a function, (p,)."""
    return jacobian(lambda where: np.array([function(where)]), at, steps)[0]


def jacobian(function: Callable[[Array], Array], at: Array, steps: Array) -> Array:
    """Derivatives of a vector function by five-point differences, (m, p)."""
    columns = []
    for j in range(len(at)):
        move = np.zeros_like(at)
        move[j] = steps[j]
        near = function(at + move) - function(at - move)  # exactly 0 where nothing moves
        far = function(at + 2 * move) - function(at - 2 * move)
        columns.append((8 * near - far) / (12 * steps[j]))
    return np.column_stack(columns) if columns else np.empty((len(function(at)), 0))


def hessian(function: Callable[[Array], float], at: Array, steps: Array) -> Array:
    """Second derivatives, extrapolated from two step lengths, (p, p)."""

    def crude(scale: float) -> Array:
        p = len(at)
        moves = np.diag(steps * scale)
        out = np.empty((p, p))
        for i in range(p):
            for j in range(i, p):
                a, b = moves[i], moves[j]
                total = function(at + a + b) - function(at + a - b)
                total -= function(at - a + b) - function(at - a - b)
                out[i, j] = out[j, i] = total / (4 * steps[i] * steps[j] * scale**2)
        return out

    return (4 * crude(1.0) - crude(2.0)) / 3
