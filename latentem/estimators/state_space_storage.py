"""What a file has of a state-space model, beside the parts that every estimator's file has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from latentem.engine.family import Family
from latentem.estimators.state_space import LinearGaussianSSM
from latentem.estimators.state_space_checks import MATRICES
from latentem.estimators.storage_parts import Saved, refuse_unknown, settings_in, tree_in
from latentem.models.state_space import LinearGaussianParams

__all__ = ["states_in", "states_out"]


def states_out(estimator: LinearGaussianSSM) -> Saved:
    """The matrices, and what was taken off the data."""
    return Saved(estimator._ready()[1], {}, {"offset": estimator.offset_})


def states_in(
    header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], family: Family | None
) -> LinearGaussianSSM:
    """The estimator of a file."""
    if family is not None:
        raise ValueError("it holds a LinearGaussianSSM, so leave family= out")
    nothing: Any = None
    pattern = LinearGaussianParams(*(nothing for _ in MATRICES))
    params = tree_in(header.get("parameters"), pattern, arrays, "")
    if params is None or any(part is None for part in params) or "offset" not in arrays:
        raise ValueError("its parameters are not described as latentem does")
    settings = settings_in(header, arrays)
    refuse_unknown(settings, LinearGaussianSSM)
    given = dict(zip(MATRICES, params, strict=True))
    ready = LinearGaussianSSM.from_parameters(**given, offset=arrays["offset"])
    return ready.set_params(**settings)
