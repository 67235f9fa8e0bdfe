"""What a file has of a DawidSkene, beside the parts that every estimator's file has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from latentem.engine.family import Family
from latentem.estimators.dawid_skene import DawidSkene
from latentem.estimators.storage_parts import (
    Saved,
    header_part,
    refuse_unknown,
    settings_in,
    tree_in,
)
from latentem.models.dawid_skene import DawidSkeneParams

__all__ = ["votes_in", "votes_out"]

NAMES = ("items_", "raters_", "classes_")


def votes_out(estimator: DawidSkene) -> Saved:
    """The parameters, and the names of items, raters and classes."""
    params = estimator._ready()[1]
    return Saved(params, {"names": {name: getattr(estimator, name).tolist() for name in NAMES}})


def votes_in(
    header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], family: Family | None
) -> DawidSkene:
    """The estimator of a file, checked."""
    if family is not None:
        raise ValueError("it holds a DawidSkene, so leave family= out")
    nothing: Any = None
    pattern = DawidSkeneParams(nothing, nothing)
    params = tree_in(header.get("parameters"), pattern, arrays, "")
    if params is None or any(part is None for part in params):
        raise ValueError("its parameters are not described as latentem does")
    settings, lists = settings_in(header, arrays), header_part(header, "names", dict)
    refuse_unknown(settings, DawidSkene)
    estimator = DawidSkene(**settings)
    for name in NAMES:
        if not isinstance(lists.get(name), list) or not lists[name]:
            raise ValueError(f"its {name} are no list of names")
        setattr(estimator, name, np.array(lists[name]))
    model = estimator._model()
    shape = (model.n_raters, model.n_classes, model.n_classes)
    if np.shape(params.weights) != shape[1:2] or np.shape(params.raters) not in (shape[:1], shape):
        raise ValueError("its parameters are not as many as its raters and classes")
    if not all(part.holds(value) for part, value in zip(model.constraints(), params, strict=True)):
        raise ValueError("its parameters are no probabilities")
    estimator._take(model, params)
    return estimator
