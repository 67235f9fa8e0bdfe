"""Checks of sequences and of the probabilities of a chain, each with a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentem.engine.blocks import Sequences
from latentem.estimators.validation import (
    as_array,
    check_shape,
    check_values,
    check_weights,
    whole_labels,
)
from latentem.models.sequences import sequences

__all__ = [
    "check_probabilities",
    "check_sequences",
    "check_states",
    "check_transitions",
]

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
    knows which its family takes. The rows of a sequence of weight 0 are absent, whatever
    they hold: they become missing.
    """
    parts = _listed(X)
    if parts is None:
        x = as_array(estimator, X, reset)
        rows = np.array([len(x)]) if lengths is None else np.atleast_1d(np.asarray(lengths))
    elif lengths is not None:
        raise ValueError("a list of sequences has its own lengths: leave `lengths` out")
    else:
        x, rows = _stacked(estimator, parts, reset)
        labels = _stacked_labels(labels, rows)
    if width is not None and x.shape[1] != width:
        raise ValueError(
            f"X has {x.shape[1]} features, but {type(estimator).__name__} has parameters for "
            f"{width} features"
        )
    found = sequences(Sequences(x, rows))
    weights = check_weights(weights, len(found.lengths), "sequence")
    if weights is not None and not np.all(weights > 0):
        absent = np.repeat(weights == 0, found.lengths)
        x = np.where(absent[:, None], np.nan, x)
    check_values(estimator, x, reset, missing=True)
    return Sequences(
        x, found.lengths, weights, None if labels is None else whole_labels(labels, "state")
    )


def _listed(X: Any) -> list[Any] | None:
    """The sequences of a list of them; None for one table, which may be a list of rows."""
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
        X = list(X)
    if not isinstance(X, list | tuple):
        return None
    if len(X) == 0:
        raise ValueError("X is an empty list: there is no sequence")
    first = getattr(X[0], "shape", None)
    if first is None and isinstance(X[0], list | tuple) and len(X[0]) > 0:
        nested = isinstance(X[0][0], list | tuple | np.ndarray)
        return list(X) if nested else None
    if first is not None and len(first) == 1:  # sequences, or rows of one: it does not tell
        raise ValueError(
            "X is a list of 1-D arrays: each sequence must be (n_samples, n_features). If it has a "
            "single feature, pass x[:, None]; if the arrays are the rows of one sequence, pass "
            "np.stack(X)"
        )
    return list(X) if first is not None and len(first) == 2 else None


def _stacked(estimator: Any, parts: list[Any], reset: bool) -> tuple[Array, Array]:
    """Sequences on top of each other, and their lengths; a sentence names a wrong one."""
    found: list[Array] = []
    for i, part in enumerate(parts):
        try:
            if np.shape(part)[:1] == (0,):
                raise ValueError("it has no rows")
            if found and np.ndim(part) == 2 and np.shape(part)[1] != found[0].shape[1]:
                raise ValueError(
                    f"it has {np.shape(part)[1]} column{'s' * (np.shape(part)[1] != 1)}, but "
                    f"sequence 0 has {found[0].shape[1]}"
                )
            found.append(as_array(estimator, part, reset and i == 0))
        except ValueError as error:
            raise ValueError(f"sequence {i} of X: {error}") from None
    return np.concatenate(found), np.array([len(part) for part in found])


def _stacked_labels(labels: Any, lengths: Array) -> Any:
    """Labels of a list of sequences, which may be a list too, in one array."""
    listed = isinstance(labels, list | tuple) and len(labels) > 0
    if not listed or np.ndim(labels[0]) != 1:
        return labels
    if len(labels) != len(lengths):
        raise ValueError(f"labels has {len(labels)} lists for {len(lengths)} sequences")
    for i, (part, length) in enumerate(zip(labels, lengths, strict=True)):
        if len(part) != length:
            raise ValueError(f"sequence {i} has {length} rows, but {len(part)} labels")
    return np.concatenate([np.asarray(part) for part in labels])


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


def check_states(
    value: Any, k: int, name: str, width: int | None, within: tuple[int, ...] = ()
) -> Array:
    """Finite numbers (K, ..., d) of an attribute, with `within` between; any d without `width`."""
    try:
        found = np.shape(value)
    except ValueError:  # ragged
        found = ()
    lead = (k, *within)
    if width is None and len(found) != len(lead) + 1:
        needs = ", ".join(map(str, lead))
        raise ValueError(f"{name} must have shape ({needs}, n_features), got {found}")
    return check_shape(value, (*lead, found[-1] if width is None else width), name)
