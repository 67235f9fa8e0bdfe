"""Checks of sequences and of the probabilities of a chain, each with a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentem.engine.blocks import Sequences
from latentem.estimators.validation import as_array, check_shape, check_values
from latentem.models.sequences import sequences

__all__ = ["check_probabilities", "check_sequences", "check_transitions"]

Array = np.ndarray
#: How far probabilities may be from summing to 1.
NEAR = 1e-9


def check_sequences(
    estimator: Any,
    X: Any,
    lengths: Any,
    weights: Any,
    labels: Any,
    *,
    reset: bool,
    width: int | None = None,
) -> Sequences:
    """X, which may be a list of sequences, with what belongs to it.

    `reset`, as at fit, remembers the columns. Missing rows and cells pass; the model
    knows which its family takes.
    """
    if _is_list(X):
        if lengths is not None:
            raise ValueError("a list of sequences has its own lengths: leave `lengths` out")
        parts = [as_array(estimator, part, reset and i == 0) for i, part in enumerate(X)]
        for i, part in enumerate(parts):
            if part.shape[1] != parts[0].shape[1]:
                raise ValueError(
                    f"sequence 0 has {parts[0].shape[1]} columns and sequence {i} has "
                    f"{part.shape[1]}: all need the same"
                )
        x, rows = np.concatenate(parts), np.array([len(part) for part in parts])
        if labels is not None and len(labels) == len(parts) and np.ndim(labels[0]) == 1:
            labels = np.concatenate([np.asarray(part) for part in labels])
    else:
        x = as_array(estimator, X, reset)
        rows = np.array([len(x)]) if lengths is None else np.atleast_1d(np.asarray(lengths))
    if width is not None and x.shape[1] != width:
        raise ValueError(
            f"X has {x.shape[1]} features, but {type(estimator).__name__} has parameters for "
            f"{width} features"
        )
    check_values(estimator, x, reset, missing=True)
    if weights is not None:
        weights = np.atleast_1d(np.asarray(weights, dtype=float))
        if weights.shape != rows.shape:
            raise ValueError(
                f"sample_weight must have one weight per sequence, shape {rows.shape}, got "
                f"{weights.shape}"
            )
        if not np.any(weights > 0):
            raise ValueError("sample_weight is zero for every sequence: there is nothing to fit")
    if labels is not None:
        labels = np.asarray(labels)
    return sequences(Sequences(x, rows, weights, labels))


def _is_list(X: Any) -> bool:
    """Whether X is a list of tables, not one table written as a list of rows."""
    if not isinstance(X, list | tuple) or len(X) == 0:
        return False
    return len(getattr(X[0], "shape", ())) == 2 or (
        isinstance(X[0], list | tuple) and len(X[0]) > 0 and np.ndim(X[0][0]) == 1
    )


def check_probabilities(value: Any, shape: tuple[int, ...], name: str) -> Array:
    """Probabilities whose last axis sums to 1."""
    value = check_shape(value, shape, name)
    if np.any(value < 0):
        raise ValueError(f"{name} must be >= 0, got {value.min():g}")
    sums = value.sum(axis=-1, keepdims=True)
    if np.any(np.abs(sums - 1.0) > NEAR):
        if value.ndim == 1:
            raise ValueError(f"{name} must sum to 1, but sums to {sums[0]:.10g}")
        row = int(np.argmax(np.abs(sums[:, 0] - 1.0)))
        raise ValueError(
            f"each row of {name} must sum to 1, but row {row} sums to {sums[row, 0]:.10g}"
        )
    return value / sums


def check_transitions(value: Any, k: int, name: str, mask: Array | None) -> Array:
    """Transition probabilities (K, K) that respect a mask."""
    value = check_probabilities(value, (k, k), name)
    if mask is not None and np.any(value[~mask] > 0):
        i, j = np.argwhere((value > 0) & ~mask)[0]
        raise ValueError(
            f"{name}[{i}, {j}] is {value[i, j]:g}, but transmat_mask allows no such transition"
        )
    return value
