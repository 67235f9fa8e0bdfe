"""What files of a `GaussianImputer` hold besides what every estimator's file has.

Parameters are "mean" and "covariance" of the columns that vary, to the last bit. More
arrays: "columns.values" (the value of a column that has one only, NaN where it varies),
"columns.empty", "information" after a fit, and "indicator" with ``add_indicator``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.impute import MissingIndicator
from sklearn.utils.validation import check_is_fitted

from latentem.engine.family import Family
from latentem.estimators.imputer import GaussianImputer
from latentem.estimators.imputer_columns import Columns
from latentem.estimators.storage_parts import Saved, refuse_unknown, settings_in, tree_in
from latentem.models.normal import NormalParams

__all__ = ["imputer_in", "imputer_out"]

Array = np.ndarray
#: Settings that may be NaN or infinite, which the header has as text.
NUMBERS = ("missing_values", "min_value", "max_value", "prior_df")


def imputer_out(imputer: GaussianImputer) -> Saved:
    """The parameters of the columns that vary, and what is known of all columns."""
    check_is_fitted(imputer)
    columns = imputer._columns
    arrays = {"columns.values": columns.values, "columns.empty": columns.empty}
    if hasattr(imputer, "fraction_missing_information_"):
        arrays["information"] = imputer.fraction_missing_information_
    if hasattr(imputer, "indicator_"):
        lost = np.zeros(len(columns.values), dtype=bool)
        lost[imputer.indicator_.features_] = True
        arrays["indicator"] = lost
    return Saved(imputer._params(), {"family": None}, arrays)


def imputer_in(
    header: Mapping[str, Any], arrays: Mapping[str, Array], family: Family | None
) -> GaussianImputer:
    """The imputer of a file, its parameters checked."""
    if family is not None:
        raise ValueError("it holds a GaussianImputer, so leave family= out")
    settings = settings_in(header, arrays)
    refuse_unknown(settings, GaussianImputer)
    for name in NUMBERS:
        if isinstance(settings.get(name), str):
            settings[name] = float(settings[name])
    columns = _columns(arrays)
    d, varying = len(columns.values), columns.varying
    nothing: Any = None
    params = tree_in(header.get("parameters"), NormalParams(nothing, nothing), arrays)
    inner = int(varying.sum())
    if params is None or np.shape(params.mean) != (inner,):
        raise ValueError(f"its mean is not of the {inner} columns that vary")
    if np.shape(params.covariance) != (inner, inner):
        raise ValueError(f"its covariance is not of the {inner} columns that vary")
    if inner and np.linalg.eigvalsh(params.covariance)[0] <= 0:
        raise ValueError("its covariance is not positive definite")
    imputer = GaussianImputer(**settings)
    imputer._place(columns, params)
    imputer.result_, imputer.n_features_in_ = None, d
    if "information" in arrays:
        imputer.fraction_missing_information_ = _row(arrays, "information", "f", d)
    if "indicator" in arrays:
        lost = _row(arrays, "indicator", "b", d)
        imputer.indicator_ = MissingIndicator(error_on_new=False).fit(
            np.where([lost, np.zeros(d, dtype=bool)], np.nan, 0.0)
        )
    return imputer


def _columns(arrays: Mapping[str, Array]) -> Columns:
    d = np.size(arrays.get("columns.values", ()))
    values = _row(arrays, "columns.values", "f", d)
    empty = _row(arrays, "columns.empty", "b", d)
    if not d or np.any(np.isinf(values)) or np.any(empty & (values != 0)):
        raise ValueError("its columns are not described as latentem does")
    return Columns(np.isnan(values), empty, values)


def _row(arrays: Mapping[str, Array], name: str, kind: str, d: int) -> Array:
    """An array with an entry for each column."""
    if name not in arrays:
        raise ValueError(f"its array {name!r} is missing")
    array = arrays[name]
    if array.shape != (d,) or array.dtype.kind != kind:
        raise ValueError(f"its array {name!r} does not have one entry for each of {d} columns")
    return array
