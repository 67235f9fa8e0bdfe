"""Parts that every estimator's file has: settings, parameters, and how the fit ended."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "FIT",
    "Saved",
    "columns_in",
    "fit_in",
    "fit_out",
    "header_part",
    "refuse_unknown",
    "settings_in",
    "settings_out",
    "tree_in",
    "tree_out",
    "width_in",
]

Array = np.ndarray

#: Attributes that say how the fit ended, and what they may be in a file.
FIT: dict[str, Callable[[Any], Any]] = {
    "loglik_": float,
    "lower_bound_": float,
    "converged_": bool,
    "n_iter_": int,
    "n_patterns_": int,
    "convergence_rate_": float,
    "reason_": str,
    "degenerate_": list,
    "notes_": list,
}


# ------------------------------------------------------------------------------------ settings


class Saved(NamedTuple):
    """What the file of an estimator has of its own.

    `params` are a tree of arrays; `own` goes into the header, as JSON; `arrays` are further
    members of the file.
    """

    params: Any
    own: dict[str, Any] = {}  # noqa: RUF012 - read only
    arrays: dict[str, Array] = {}  # noqa: RUF012


def settings_out(estimator: Any) -> tuple[dict[str, Any], dict[str, Array], list[str]]:
    """Constructor arguments: those for the header, those that are arrays, and the others."""
    plain: dict[str, Any] = {}
    arrays: dict[str, Array] = {}
    others: list[str] = []
    for name, value in estimator.get_params(deep=False).items():
        if name == "family":
            continue
        value = value.item() if isinstance(value, np.generic) else value
        if value is None or isinstance(value, bool | int | str):
            plain[name] = value
        elif name == "fixed" and isinstance(value, list | tuple):
            plain[name] = [str(group) for group in value]
        elif name == "fixed" and isinstance(value, Mapping):
            plain[name] = {str(group): kept is True for group, kept in value.items()}
            entries = {group: kept for group, kept in value.items() if kept is not True}
            arrays |= {f"fixed.{group}": np.asarray(kept) for group, kept in entries.items()}
        elif isinstance(value, float):
            plain[name] = value if math.isfinite(value) else str(value)
        elif (array := _numbers(value)) is not None:
            arrays[name] = array
        else:
            others.append(name)
    return plain, arrays, others


def _numbers(value: Any) -> Array | None:
    """An array of numbers, or None for anything else."""
    if not isinstance(value, np.ndarray | list | tuple) or hasattr(value, "_fields"):
        return None
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    return array if array.dtype.kind in "fiub" and array.size else None


def settings_in(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Constructor arguments, as `settings_out` took them apart."""
    settings = dict(header_part(header, "settings", dict))
    fixed = settings.pop("fixed", ())
    for name, value in {**settings, "fixed": fixed}.items():
        names = isinstance(value, list) and all(isinstance(part, str) for part in value)
        if name == "fixed" and (names or isinstance(value, dict | tuple)):
            continue
        if not (value is None or isinstance(value, bool | int | float | str)):
            raise ValueError(f"its setting {name!r} is not a single value")
    given = {
        name.removeprefix("settings."): array
        for name, array in arrays.items()
        if name.startswith("settings.") and not name.startswith("settings.fixed.")
    }
    found = {**settings, **given}
    if isinstance(found.get("tol"), str):  # "inf"
        found["tol"] = float(found["tol"])
    if isinstance(fixed, dict):
        found["fixed"] = {group: _kept(group, whole, arrays) for group, whole in fixed.items()}
    elif "fixed" in header["settings"]:
        found["fixed"] = tuple(fixed)
    return found


def _kept(group: str, whole: Any, arrays: Mapping[str, Array]) -> Any:
    """What stays of a group: True, or an array of entries."""
    if whole is True:
        return True
    name = f"settings.fixed.{group}"
    if name not in arrays:
        raise ValueError(f"its array {name!r} is missing")
    return arrays[name]


# ---------------------------------------------------------------------------------- parameters


def tree_out(tree: Any) -> Any:
    """The containers of a parameter tree, as JSON; arrays are members of the file."""
    if tree is None:
        return None
    if not isinstance(tree, tuple):
        return "array"
    fields = list(getattr(tree, "_fields", ()))
    return {"fields": fields, "parts": [tree_out(child) for child in tree]}


def tree_in(structure: Any, pattern: Any, arrays: Mapping[str, Array], name: str = "") -> Any:
    """The parameter tree; its tuple classes are those of `pattern`, or new ones where it has none.

    ``namedtuple`` refuses fields that are not plain names.
    """
    if structure is None:
        return None
    if structure == "array":
        if name not in arrays:
            raise ValueError(f"its array {name!r} is missing")
        array = arrays[name]
        if not np.all(np.isfinite(array)):
            raise ValueError(f"its array {name!r} contains NaN or infinity")
        return array if array.shape else float(array)
    if not isinstance(structure, dict):
        raise ValueError("its parameters are not described as latentem does")
    fields, parts = header_part(structure, "fields", list), header_part(structure, "parts", list)
    if pattern is None:
        nothing: list[Any] = [None] * len(parts)
        pattern = namedtuple("Params", fields)(*nothing) if fields else tuple(nothing)
    found = tuple(getattr(pattern, "_fields", ()))
    if not isinstance(pattern, tuple) or found != tuple(fields) or len(pattern) != len(parts):
        raise ValueError(
            f"its parameters {name or 'as a whole'!r} are {fields or len(parts)}, and the "
            f"model's are {list(found) or 'others'}"
        )
    keys = fields or [str(i) for i in range(len(parts))]
    children = [
        tree_in(part, like, arrays, f"{name}.{key}" if name else key)
        for key, part, like in zip(keys, parts, pattern, strict=True)
    ]
    return type(pattern)(*children) if fields else tuple(children)


# ------------------------------------------------------------------------------------- the fit


def width_in(header: Mapping[str, Any]) -> int | None:
    """Number of columns, None where the file does not tell."""
    width = header.get("n_features")
    if width is not None and (type(width) is not int or width < 1):
        raise ValueError(f"its number of columns is {width!r}")
    return width


def fit_out(estimator: Any) -> dict[str, Any]:
    """How the fit ended, as JSON; empty without a fit."""
    found = {name: getattr(estimator, name) for name in FIT if hasattr(estimator, name)}
    result = getattr(estimator, "result_", None)
    if result is not None:
        found["reason_"] = result.reason.sentence
        found["degenerate_"], found["notes_"] = result.degenerate, result.notes
    for name, value in found.items():
        found[name] = FIT[name](value)
        if isinstance(found[name], float) and not math.isfinite(found[name]):
            found[name] = str(value)
    return found


def fit_in(estimator: Any, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Set what `fit_out` wrote, and the history."""
    for name, value in header_part(header, "fit", dict).items():
        kind = FIT.get(name)
        if kind is float and (type(value) is int or value in ("inf", "-inf", "nan")):
            value = float(value)
        if type(value) is not kind:
            raise ValueError(f"its record of the fit has {name} = {value!r}")
        if isinstance(value, list):
            value = tuple(str(text) for text in value)
        setattr(estimator, name, value)
    bounds = arrays.get("lower_bounds")
    if bounds is not None:
        if bounds.ndim != 1:
            raise ValueError(f"its lower_bounds have shape {bounds.shape}, not one axis")
        estimator.lower_bounds_ = bounds.astype(float).tolist()


def refuse_unknown(settings: Mapping[str, Any], kind: type[Any]) -> None:
    """Refuse settings that a class does not have."""
    unknown = sorted(set(settings) - set(kind._get_param_names()))
    if unknown:
        raise ValueError(f"it has settings that this latentem does not know: {unknown}")


def header_part(header: Mapping[str, Any], name: str, kind: type) -> Any:
    """A part of the header, of the type that it must have."""
    value = header.get(name)
    if not isinstance(value, kind):
        raise ValueError(f"its header has no {name!r} as latentem writes it")
    return value


def columns_in(estimator: Any, header: Mapping[str, Any], width: int | None) -> None:
    """Set the names of the columns; `width` is their number by the parameters."""
    if header.get("n_features") not in (None, width):
        raise ValueError(f"it names {header['n_features']} columns for parameters of {width}")
    names = header.get("feature_names")
    if names is None:
        return
    if (
        not isinstance(names, list)
        or len(names) != width
        or not all(isinstance(name, str) for name in names)
    ):
        raise ValueError(f"its feature_names are not the names of {width} columns")
    estimator.feature_names_in_ = np.array(names, dtype=object)
