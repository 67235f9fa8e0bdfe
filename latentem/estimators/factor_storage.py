"""What a file has of a factor model, beside the parts that every estimator's file has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from latentem.engine.family import Family
from latentem.estimators.factor_analyzer import FactorAnalyzer
from latentem.estimators.storage_parts import Saved, refuse_unknown, settings_in, tree_in
from latentem.models.factor_analyzer import FactorParams
from latentem.models.normal import NormalParams

__all__ = ["factors_in", "factors_out"]


def factors_out(estimator: FactorAnalyzer) -> Saved:
    """Its parameters are all there is."""
    return Saved(estimator._ready()[1])


def factors_in(
    header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], family: Family | None
) -> FactorAnalyzer:
    """The estimator of a file; its factors are standard, whatever the file says of them."""
    if family is not None:
        raise ValueError("it holds a FactorAnalyzer, so leave family= out")
    nothing: Any = None
    pattern = FactorParams(nothing, nothing, nothing, NormalParams(nothing, nothing))
    params = tree_in(header.get("parameters"), pattern, arrays, "")
    if params is None or any(part is None for part in params):
        raise ValueError("its parameters are not described as latentem does")
    settings = settings_in(header, arrays)
    refuse_unknown(settings, FactorAnalyzer)
    return FactorAnalyzer.from_parameters(
        params.mean, np.transpose(params.loadings), params.noise, **settings
    )
