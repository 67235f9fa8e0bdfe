"""What an imputer makes of a table: which cells are missing, and what each column is good for."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.warnings import NotIdentifiedWarning, tell
from latentem.estimators.outside import is_outside
from latentem.estimators.validation import LARGEST, as_array, check_values
from latentem.families.covariance import RESOLUTION
from latentem.families.gaussian import Gaussian

__all__ = [
    "Columns",
    "bounds_of",
    "columns_of",
    "label_of",
    "marker_of",
    "names_in",
    "numbers_of",
    "variation_of",
]

Array = np.ndarray
#: Integers above this are not all float64 numbers.
EXACT_INTEGER = 2**53


class Columns(NamedTuple):
    """What the columns of a table are good for.

    Parameters
    ----------
    varying : (d,) bool array
        Those the model is of.
    empty : (d,) bool array
        Those without a cell that is seen.
    values : (d,) array
        The value of a column that has one only, 0 of an empty one, NaN of a varying one.
    """

    varying: Array
    empty: Array
    values: Array


def numbers_of(estimator: Any, X: Any, missing_values: Any, reset: bool) -> Array:
    """X as float64 (n, d) with NaN in missing cells; ValueError for what is no number.

    Parameters
    ----------
    estimator : estimator
        Remembers names of columns at fit (`reset`), and is checked against later.
    X : array-like or frame
        Masked arrays and nullable columns are taken as they are meant.
    missing_values : NaN, None, pandas.NA or a number
        What marks a missing cell.
    reset : bool
    """
    marker = marker_of(missing_values)
    if is_outside(X) and not isinstance(X, np.memmap):
        raise ValueError(
            f"X is a source of blocks, and {type(estimator).__name__} takes data in memory: read "
            "them, or fit the model of the engine, EM().run(model, source)"
        )
    if isinstance(X, np.ma.MaskedArray):
        X = np.where(np.ma.getmaskarray(X), marker, np.ma.getdata(X).astype(float))
    _refuse_large_integers(X)
    x = as_array(estimator, X, reset)
    if not math.isnan(marker):
        if np.isnan(x).any():
            row, column = np.argwhere(np.isnan(x))[0]
            raise ValueError(
                f"X contains NaN in row {row}, column {column}, but missing_values="
                f"{missing_values!r} marks missing cells: use one mark for both"
            )
        x = np.where(x == marker, np.nan, x)
    if np.isnan(x).all():
        if reset:
            raise ValueError("X has no observed cell: every cell is missing")
        return x
    check_values(estimator, x, False, True)
    if reset:
        largest = np.nanmax(np.abs(x))
        if largest > LARGEST:
            raise ValueError(
                f"X has values up to {largest:.3g}, whose squares overflow: rescale its columns, "
                "for example to units in which they are near 1"
            )
        Gaussian().learn(x)
    return x


def marker_of(missing_values: Any) -> float:
    """The number that marks missing cells, NaN for None and pandas.NA."""
    if missing_values is None or type(missing_values).__name__ == "NAType":
        return math.nan
    number = isinstance(missing_values, int | float | np.number)
    if not number or isinstance(missing_values, bool) or math.isinf(missing_values):
        raise ValueError(f"missing_values must be NaN or a number, got {missing_values!r}")
    return float(missing_values)


def _refuse_large_integers(X: Any) -> None:
    """ValueError for integers that float64 would round."""
    columns = [X[name] for name in X.columns] if hasattr(X, "columns") else [X]
    for column in columns:
        kind = getattr(getattr(column, "dtype", None), "kind", "")
        if kind not in ("i", "u") or not np.size(column):
            continue
        values = np.asarray(column.dropna() if hasattr(column, "dropna") else column)
        if values.size and max(int(values.max()), -int(values.min())) > EXACT_INTEGER:
            raise ValueError(
                "X has integers above 2**53, which float64 cannot hold exactly: leave out "
                "columns of identifiers, or subtract a constant"
            )


def variation_of(x: Array, weights: Array | None) -> Columns:
    """What each column is good for, and its value if it has one only.

    Rows of weight 0 are absent.
    """
    counted = x if weights is None or np.all(weights > 0) else x[weights > 0]
    low, high = np.fmin.reduce(counted), np.fmax.reduce(counted)
    empty = np.isnan(low)
    with np.errstate(invalid="ignore"):
        alone = ~empty & (high - low <= RESOLUTION * np.maximum(np.abs(low), np.abs(high)))
    if empty.all():
        raise ValueError("X has no observed cell: every cell is missing")
    values = np.where(empty, 0.0, np.where(alone, 0.5 * low + 0.5 * high, np.nan))
    return Columns(~(empty | alone), empty, values)


def columns_of(x: Array, weights: Array | None, names: Any, keep_empty: bool) -> Columns:
    """What each column is good for; warns of those without a variance.

    Rows of weight 0 are absent.
    """
    counted = x if weights is None or np.all(weights > 0) else x[weights > 0]
    columns = variation_of(x, weights)
    varying, empty, values = columns
    for j in np.flatnonzero(empty).tolist():
        fate = "its cells become 0" if keep_empty else "it is left out of the output"
        tell(
            f"column {label_of(j, names)} has no observed cell: {fate} (Guide: missing-data, "
            "missing-no-cell)",
            NotIdentifiedWarning,
        )
    for j in np.flatnonzero(~(varying | empty)).tolist():
        count = int((~np.isnan(counted[:, j])).sum())
        what = "one observed cell" if count == 1 else "one value only"
        tell(
            f"column {label_of(j, names)} has {what}, {values[j]:g}: its missing cells get it, and "
            "it takes no part in the model (Guide: missing-data, missing-one-value)",
            NotIdentifiedWarning,
        )
    return columns


def label_of(j: int, names: Any) -> str:
    """What to call a column in sentences: its number, and its name if it has one."""
    return str(j) if names is None else f"{j} ({str(names[j])!r})"


def bounds_of(low: Any, high: Any, d: int) -> tuple[Array, Array]:
    """Bounds of imputed values, (d,) each; ValueError where they cross."""
    both = []
    for name, value, missing in (("min_value", low, -np.inf), ("max_value", high, np.inf)):
        try:
            array = np.asarray(missing if value is None else value, dtype=float)
        except (TypeError, ValueError):
            raise ValueError(f"{name} must hold numbers, got {value!r}") from None
        if array.shape not in ((), (d,)):
            raise ValueError(
                f"{name} must be a number or one for each of {d} columns, got shape {array.shape}"
            )
        if np.isnan(array).any():
            raise ValueError(f"{name} contains NaN")
        both.append(np.broadcast_to(array, (d,)))
    if np.any(both[0] > both[1]):
        j = int(np.argmax(both[0] > both[1]))
        raise ValueError(f"min_value is above max_value in column {j}")
    return both[0], both[1]


def names_in(imputer: Any, given: Any) -> Array:
    """Names of the columns of the fit, or those given in their place."""
    names = getattr(imputer, "feature_names_in_", None)
    if given is None:
        if names is not None:
            return names
        return np.array([f"x{j}" for j in range(imputer.n_features_in_)], dtype=object)
    given = np.asarray(given, dtype=object)
    if len(given) != imputer.n_features_in_:
        raise ValueError(
            f"input_features should have length equal to number of features "
            f"({imputer.n_features_in_}), got {len(given)}"
        )
    if names is not None and not np.array_equal(names, given):
        raise ValueError("input_features is not equal to feature_names_in_")
    return given
