"""Starting values that were given: checked, and completed where only some were."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentem.engine.flat import FlatSpace
from latentem.engine.trees import leaves, rebuild
from latentem.models.mixture import Mixture

__all__ = ["family_like"]

Array = np.ndarray


def family_like(model: Mixture, X: Array, params: Any, name: str) -> Any:
    """Parameters of the family with lists made arrays; ValueError if they do not fit these data.

    Parameters of other components, columns or kind than the model has are refused, and
    values outside their set.
    """
    rows = X[:50]  # some families cannot make parameters of a single row
    ones = np.ones((model.n_components, len(rows)))
    wanted = model.family.initialize(model.family.encode(rows), ones, np.random.default_rng(0))
    shapes = [(field, np.shape(value)) for field, value in leaves(wanted)]
    needs = ", ".join(f"{field} {shape}" for field, shape in shapes)
    try:
        params = _arrays(params)
        found = [(field, np.shape(value)) for field, value in leaves(params)]
        declared = model.family.constraints()
        sound = declared is None or FlatSpace(declared, wanted).holds(params)
    except (TypeError, ValueError):
        found, sound = None, False
    if found != shapes or not sound:
        text = "is of another shape" if found != shapes else "has values outside its set"
        raise ValueError(
            f"{name} {text}: n_components={model.n_components} and these data need "
            f"{type(wanted).__name__} with {needs}, finite and valid"
        )
    return params


def _arrays(params: Any) -> Any:
    """Parameters of a family with lists made arrays."""
    if not isinstance(params, tuple):
        return params
    parts = (np.asarray(part, dtype=float) if isinstance(part, list) else part for part in params)
    return rebuild(params, [_arrays(part) for part in parts])
