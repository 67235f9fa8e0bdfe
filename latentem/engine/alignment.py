"""Components of one fit in the order that is nearest to those of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from latentem.engine.trees import leaves

__all__ = ["aligned"]

Array = np.ndarray


def aligned(model: Any, params: Any, others: Sequence[Any]) -> list[Any]:
    """Each of `others` with its components in the order that is nearest to those of `params`.

    Distances are between the parameters of the components, each in units of its median distance
    over all of them, and the order is the linear assignment of least sum of squares. A model
    whose components are not exchangeable is left as it is.
    """
    if not model.exchangeable or len(others) == 0:
        return list(others)
    own = _features(model, params)
    theirs = np.array([_features(model, other) for other in others])
    scale = np.median(np.abs(theirs - own), axis=0)
    scale = np.where(scale > 0, scale, np.where(np.max(scale) > 0, np.max(scale), 1.0))
    found = []
    for other, features in zip(others, theirs, strict=True):
        apart = (features[None, :, :] - own[:, None, :]) / scale[:, None, :]
        order = linear_sum_assignment(np.sum(np.clip(apart, -1e9, 1e9) ** 2, axis=2))[1]
        found.append(model.relabel(other, order))
    return found


def _features(model: Any, params: Any) -> Array:
    """What tells components apart, (K, c): parameters of their own, and their weights."""
    own, k = params.family, model.n_components
    moved = dict(leaves(model.family.relabel(own, np.arange(k))))
    parts = [
        np.reshape(leaf, (k, -1))
        for name, leaf in leaves(own)
        if not np.shares_memory(moved[name], leaf)  # then it is shared by all components
    ]
    weights = getattr(params, "weights", None)
    return np.hstack(parts if weights is None else [*parts, np.reshape(weights, (k, 1))])
