"""Checks of data, weights and starting values, each with a sentence that says the fix."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import validate_data

from latentem.engine.family import Family
from latentem.families.held import entries_kept

__all__ = [
    "Table",
    "as_array",
    "check_fixed",
    "check_level",
    "check_labels",
    "check_responsibilities",
    "check_shape",
    "check_start_weights",
    "check_table",
    "check_values",
    "check_weights",
    "distinct_rows",
    "whole_labels",
]

Array = np.ndarray
#: Largest size of a value: its square must not overflow, nor sums of squares.
LARGEST = 1e152


class Table(NamedTuple):
    """The rows that count, of data that were checked."""

    x: Array  # (n, d)
    weights: Array | None  # (n,), all positive
    kept: Array | None  # mask of these rows among those given; None where all are kept
    family: Family  # with what it learned from the data at fit


def check_table(
    estimator: Any,
    X: Any,
    sample_weight: Any = None,
    *,
    reset: bool = False,
    width: int | None = None,
    family: Family,
    drop_unseen: bool = True,
) -> Table:
    """The rows of X that count, as a float64 C-ordered array, with their weights.

    A row of weight 0 is absent: it may hold anything. Where the family takes missing
    cells, rows without an observed cell are absent too, unless not `drop_unseen`.
    `reset`, as at fit, remembers the columns, and asks for values that can be squared.

    Raises
    ------
    ValueError
        A sentence that names the first wrong row as it was given.
    """
    coded = getattr(estimator, "_coded", None)  # of an estimator that takes text
    x = as_array(estimator, X if coded is None else coded(X, reset), reset)
    if width is not None and x.shape[1] != width:
        raise ValueError(
            f"X has {x.shape[1]} features, but {type(estimator).__name__} has parameters for "
            f"{width} features"
        )
    weights = check_weights(sample_weight, len(x))
    kept = None if weights is None or np.all(weights > 0) else weights > 0
    missing = getattr(family, "missing_cells", False)
    given = x if kept is None else np.where(kept[:, None], x, x[np.argmax(kept)])
    check_values(estimator, given, reset, missing)
    if reset:
        family = family.learn(given)
    family.check(given)
    if missing and drop_unseen and np.isnan(np.sum(given)):
        seen = ~np.isnan(given).all(axis=1)
        if not seen.all():
            kept = seen if kept is None else kept & seen
        if not seen.any():
            raise ValueError("X has no observed cell: every cell is missing")
    if kept is not None:
        x, weights = x[kept], None if weights is None else weights[kept]
    return Table(x, weights, kept, family)


def check_values(estimator: Any, X: Array, reset: bool, missing: bool) -> None:
    """Refuse infinities, missing cells where the family takes none, and what overflows."""
    peak = max(X.max(), -X.min())
    gaps = bool(missing and np.isnan(peak))
    if gaps:
        peak = max(np.fmax.reduce(X, axis=None), -np.fmin.reduce(X, axis=None))
    if np.isinf(peak) or (np.isnan(peak) and not missing):
        _refuse_missing(estimator, X, missing)
    if reset and peak > LARGEST:
        raise ValueError(
            f"X has values up to {peak:.3g}, whose squares overflow: rescale its columns, for "
            "example to units in which they are near 1"
        )
    if reset and gaps:
        unseen = np.isnan(X).all(axis=0)
        if unseen.any() and not unseen.all():
            names = getattr(estimator, "feature_names_in_", None)
            column = int(np.argmax(unseen))
            name = f" ({names[column]!r})" if names is not None else ""
            raise ValueError(
                f"X has no observed cell in column {column}{name}: leave that column out"
            )


def as_array(estimator: Any, X: Any, reset: bool) -> Array:
    """X as a float64 C-ordered array (n_samples, n_features), of any values.

    A Series is one column; names of columns are remembered at fit and checked later. None
    and pandas.NA are NaN.
    """
    if isinstance(X, np.ma.MaskedArray):
        raise ValueError(
            "X is a masked array, whose mask would be ignored: drop the masked rows, or fill "
            "them and pass X.data"
        )
    if hasattr(X, "to_frame") and getattr(X, "ndim", 1) == 1:  # a pandas or polars Series
        X = X.to_frame()
    X = _without_na(X)
    ndim = getattr(X, "ndim", None)
    if ndim is None and isinstance(X, list | tuple):
        ndim = _ndim(X)
    if ndim == 1:
        raise ValueError(
            "Expected 2D array, got 1D array instead: X must be (n_samples, n_features). "
            "Reshape your data with X[:, None] if it has a single feature, or X[None, :] if it "
            "is a single sample."
        )
    _refuse_text(X)
    try:
        X = validate_data(
            estimator, X, reset=reset, dtype=np.float64, order="C", ensure_all_finite=False
        )
    except (TypeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        text = first if first.startswith(("X ", "Input X", "The feature names")) else f"X: {first}"
        if text == first:
            raise
        raise type(error)(f"{text} (X must be (n_samples, n_features), of numbers)") from None
    return X


def _without_na(X: Any) -> Any:
    """Cells of object arrays and columns that are pandas.NA or None as NaN."""
    if isinstance(X, np.ndarray) and X.dtype == object:
        return _objects(X)
    if isinstance(X, list | tuple):
        cells = [cell for row in X if isinstance(row, list | tuple) for cell in row]
        if any(cell is None or type(cell).__name__ == "NAType" for cell in cells):
            return _objects(np.array(X, dtype=object))
        return X
    if hasattr(X, "dtypes") and hasattr(X, "assign") and getattr(X, "ndim", 1) == 2:  # pandas
        places = [j for j, kind in enumerate(X.dtypes) if kind == np.dtype(object)]
        X = X.copy() if places else X
        for j in places:
            X.isetitem(j, _objects(X.iloc[:, j].to_numpy()))
    return X


def _objects(cells: Array) -> Array:
    empty = np.frompyfunc(lambda c: c is None or type(c).__name__ == "NAType", 1, 1)(cells)
    out = np.where(empty.astype(bool), math.nan, cells)
    try:
        return out.astype(float)
    except (TypeError, ValueError):
        return out  # text: refused later, by its place


def _ndim(X: Any) -> int | None:
    try:
        return np.ndim(X)
    except ValueError:  # ragged
        return None


def _refuse_text(X: Any) -> None:
    """ValueError that names the place of text, dates or categories in X."""
    if hasattr(X, "columns") and hasattr(X, "__getitem__"):
        for name in X.columns:
            column = X[name]
            if getattr(getattr(column, "dtype", None), "kind", "O") in "fiub":
                continue
            cells = np.asarray(column)
            value = cells[0] if cells.dtype.kind in "mM" and len(cells) else _text(cells)
            if value is not None:
                raise ValueError(
                    f"X must hold numbers, but column {str(name)!r} has {str(value)!r}: drop or "
                    "encode that column"
                )
        return
    if hasattr(X, "toarray") or not isinstance(X, np.ndarray | list | tuple):
        return
    if isinstance(X, list | tuple) and _ndim(X) is None:
        return
    cells = np.asarray(X)
    value = _text(cells)
    if value is not None:
        place = next(i for i, cell in np.ndenumerate(cells) if cell is value or cell == value)
        raise ValueError(
            f"X must hold numbers, but X[{', '.join(map(str, place))}] is the text "
            f"{str(value)!r}: drop or encode that column"
        )


def _text(cells: Array) -> Any:
    """The first cell that is text but no number, or None."""
    if cells.dtype.kind not in "OUST":
        return None
    for value in cells.ravel():
        if isinstance(value, str | bytes):
            try:
                float(value)
            except ValueError:
                return value
    return None


def _refuse_missing(estimator: Any, X: Array, missing: bool) -> None:
    row, column = np.argwhere(np.isinf(X) if missing else ~np.isfinite(X))[0]
    what = "NaN" if np.isnan(X[row, column]) else "infinity"
    names = getattr(estimator, "feature_names_in_", None)
    name = f" ({names[column]!r})" if names is not None else ""
    needs = "finite numbers, or NaN for a missing cell" if missing else "finite numbers"
    fix = "correct or drop those rows" if missing else "drop those rows, or impute them first"
    raise ValueError(
        f"Input X contains {what} in row {row}, column {column}{name}: {type(estimator).__name__} "
        f"needs {needs}; {fix}."
    )


def check_weights(sample_weight: Any, n: int, unit: str = "row") -> Array | None:
    """Weights of rows or other units as (n,) float64, or None; never negative, not all zero."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, int | float | np.number):
        sample_weight = np.full(n, sample_weight)
    weights = np.asarray(sample_weight)
    if weights.dtype.kind not in "fiub":
        raise ValueError(f"sample_weight must hold numbers, got dtype {weights.dtype}")
    weights = weights.astype(float)
    if weights.shape != (n,):
        raise ValueError(
            f"sample_weight must have one weight per {unit}, shape ({n},), got {weights.shape}"
        )
    if not np.all(np.isfinite(weights)):
        raise ValueError("sample_weight contains NaN or infinity")
    if np.any(weights < 0):
        raise ValueError(
            f"sample_weight must be >= 0, but sample_weight[{np.argmax(weights < 0)}] is "
            f"{weights[np.argmax(weights < 0)]:g}"
        )
    if not np.any(weights > 0):
        raise ValueError(f"sample_weight is zero for every {unit}: there is nothing to fit")
    return weights


def check_level(level: Any) -> None:
    """ValueError for a probability of an interval that is not between 0 and 1."""
    number = isinstance(level, int | float | np.number)
    if not number or not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")


def check_start_weights(weights: Any, n_components: int, name: str = "weights_init") -> Array:
    """Mixing weights (K,), non-negative, that sum to 1; a sum within 1e-9 of it is divided out.

    Within 1e-6 for float32 numbers, as from a fit in single precision.

    The first M-step normalises the weights. If it took away more than rounding, the
    log-likelihood of a long table would seem to fall.
    """
    single = getattr(weights, "dtype", None) == np.float32
    weights = check_shape(weights, (n_components,), name)
    if np.any(weights < 0):
        raise ValueError(f"{name} must be >= 0, got {weights.min():g}")
    total = weights.sum()
    if abs(total - 1.0) > (1e-6 if single else 1e-9):
        raise ValueError(
            f"{name} must sum to 1, but they sum to {total:.10g}: divide them by their sum"
        )
    exact = abs(total - 1.0) <= n_components * np.finfo(float).eps  # as an M-step leaves them
    return weights if exact else weights / total


def whole_labels(labels: Any, of: str = "component") -> Array:
    """Labels as an array; whole numbers that came as floats, say from a table, as integers."""
    labels = np.asarray(labels)
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        place = ", ".join(map(str, np.argwhere(np.isnan(labels))[0]))
        raise ValueError(f"labels[{place}] is NaN: write -1 where a {of} is not known")
    if labels.dtype.kind == "f" and np.all(np.floor(labels) == labels):
        return labels.astype(np.int64)
    return labels


def check_labels(labels: Any, n: int, n_components: int) -> Array:
    """Known components (n,) int64, -1 where unknown."""
    found = whole_labels(labels)
    if found.shape != (n,):
        raise ValueError(f"labels must have one value per row, shape ({n},), got {found.shape}")
    whole = found.dtype.kind in "iu"
    if not whole or (n and (found.min() < -1 or found.max() >= n_components)):
        wrong = "" if not whole else f", but labels hold {found.min()} to {found.max()}"
        raise ValueError(
            f"labels must be integers: a component, 0..{n_components - 1}, or -1 where it is not "
            f"known{wrong}"
        )
    return found.astype(np.int64)


def check_shape(value: Any, shape: tuple[int, ...], name: str) -> Array:
    """A finite float64 array of the given shape."""
    try:
        array = np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers") from None
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} contains NaN or infinity")
    return array


def check_responsibilities(value: Any, n: int, n_components: int) -> Array:
    """Starting responsibilities (n, K), non-negative with rows that sum to 1."""
    shares = check_shape(value, (n, n_components), "responsibilities_init")
    if np.any(shares < 0):
        raise ValueError("responsibilities_init must be >= 0")
    worst = np.argmax(np.abs(shares.sum(axis=1) - 1.0))
    if abs(shares[worst].sum() - 1.0) > 1e-6:
        raise ValueError(
            f"each row of responsibilities_init must sum to 1, but row {worst} sums to "
            f"{shares[worst].sum():.10g}"
        )
    return shares


def distinct_rows(X: Array, enough: int) -> int:
    """Number of distinct rows, counted no further than `enough`; a missing cell is a value."""
    seen: Array = X[:0]
    for begin in range(0, len(X), 4096):
        rows = X[begin : begin + 4096]
        rows = np.where(np.isnan(rows), np.inf, rows)  # NaN would differ from itself
        seen = np.unique(np.concatenate([seen, rows]), axis=0)
        if len(seen) >= enough:
            return enough
    return len(seen)


def check_fixed(fixed: Any, groups: tuple[str, ...]) -> dict[str, Any]:
    """The argument `fixed` as a dict of what is kept: True, or a bool array."""
    named = isinstance(fixed, list | tuple | Mapping)
    if not named or any(not isinstance(name, str) or name not in groups for name in fixed):
        raise ValueError(
            f"fixed must be a tuple of names from {groups}, or a dict of them, got {fixed!r}"
        )
    return dict(entries_kept(fixed, groups))
