"""Fitted estimators in files: ``.npz`` with a JSON header, no pickle, no imports by name.

Members of the file: "header" (JSON text), the parameters by their names ("weights",
"family.means", ...), "lower_bounds" if there was a fit, and starting values that were
given as arrays ("settings.means_init"). The header has

=================  ================================================================
format, version    "latentem estimator", 1
latentem           version of the package that wrote the file
class              "GaussianMixture" or "MixtureModel"
settings           constructor arguments that JSON can hold
not_saved          names of those that it cannot (functions, generators); they come
                   back as their defaults
family             for a MixtureModel: its name, whether it is latentem's own, and its
                   own settings or parts (see `family_storage`)
parameters         the nested structure whose arrays are the members
feature_names      names of the columns, or null
n_features         their number
fit                how the fit ended: scalars and sentences; empty without a fit
=================  ================================================================
"""

from __future__ import annotations

import math
import os
from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import latentem
from latentem.engine.archive import read_archive, write_archive
from latentem.engine.family import Family
from latentem.engine.trees import allfinite, leaves
from latentem.estimators.family_storage import check_family, family_in, family_out, pattern
from latentem.estimators.gaussian_mixture import GaussianMixture
from latentem.estimators.mixture import BaseMixture, MixtureModel
from latentem.estimators.validation import check_start_weights
from latentem.families.gaussian import GaussianParams
from latentem.models.mixture import MixtureParams

__all__ = ["load", "save"]

Array = np.ndarray

FORMAT, VERSION = "latentem estimator", 1
#: Attributes that say how the fit ended, and what they may be in a file.
FIT: dict[str, Callable[[Any], Any]] = {
    "loglik_": float,
    "lower_bound_": float,
    "converged_": bool,
    "n_iter_": int,
    "reason_": str,
    "degenerate_": list,
    "notes_": list,
}


def save(estimator: BaseMixture, path: str | os.PathLike[str]) -> None:
    """Write a fitted mixture to a file that `latentem.load` reads.

    The file holds the parameters, bit for bit, the constructor's arguments, the names
    of the columns and how the fit ended; not the data, nor `result_`. An old file of
    that name stays until the new one is complete.

    Parameters
    ----------
    estimator : GaussianMixture or MixtureModel
        Fitted, or made from parameters.
    path : str or path
        Used as it is; ``.npz`` is the usual suffix.

    Raises
    ------
    TypeError
        For another class, a subclass too: `load` would not know it.
    ValueError
        For weights that do not sum to 1, or parameters that are not finite.
    sklearn.exceptions.NotFittedError
        Without parameters.
    OSError
        Where the file cannot be written.

    Examples
    --------
    >>> import tempfile, pathlib, latentem
    >>> from latentem.estimators.storage import save
    >>> gm = latentem.GaussianMixture.from_parameters(
    ...     weights=[0.6, 0.4], means=[[2.0], [9.0]], covariances=[[[16.0]], [[4.0]]]
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(gm, pathlib.Path(folder) / "model.npz")
    ...     again = latentem.load(pathlib.Path(folder) / "model.npz")
    >>> again.predict([[0.0], [10.0]]).tolist()
    [0, 1]
    """
    kind = type(estimator)
    if kind not in (GaussianMixture, MixtureModel):
        raise TypeError(
            f"save knows GaussianMixture and MixtureModel, and this is a {kind.__name__}: save "
            "its parameters as one of those"
        )
    _, params = estimator._ready()
    check_start_weights(params.weights, len(params.weights), "weights_")
    if not allfinite(params):
        raise ValueError(f"{kind.__name__} has parameters that are NaN or infinite: fit it again")
    arrays = {name: np.asarray(leaf) for name, leaf in leaves(params)}
    settings, given, not_saved = _settings_out(estimator)
    arrays |= {f"settings.{name}": array for name, array in given.items()}
    if hasattr(estimator, "lower_bounds_"):
        arrays["lower_bounds"] = np.asarray(estimator.lower_bounds_, dtype=float)
    names = getattr(estimator, "feature_names_in_", None)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "latentem": latentem.__version__,
        "class": kind.__name__,
        "settings": settings,
        "not_saved": not_saved,
        "family": family_out(estimator._fitted_family()) if kind is MixtureModel else None,
        "parameters": _structure(params),
        "feature_names": None if names is None else [str(name) for name in names],
        "n_features": getattr(estimator, "n_features_in_", None),
        "fit": _fit_out(estimator),
    }
    write_archive(path, header, arrays)


def load(path: str | os.PathLike[str], family: Family | None = None) -> Any:
    """Read an estimator written by its ``save``.

    Predictions are the same bits. How the fit ended is there as `loglik_`,
    `lower_bound_`, `lower_bounds_`, `converged_`, `n_iter_`, `reason_` (a sentence),
    `degenerate_` and `notes_` (sentences); `result_` is not. Constructor arguments
    that are functions or generators come back as their defaults.

    A file can come from anywhere: nothing in it is run or imported.

    Parameters
    ----------
    path : str or path
    family : Family, optional
        For a mixture of a family that is not latentem's own: an instance of it, made
        as for the fit.

    Returns
    -------
    GaussianMixture or MixtureModel

    Raises
    ------
    ValueError
        For a file that is not latentem's, is damaged or of a newer version, or whose
        parameters do not belong together; and where `family` is missing or another.
    OSError
        Where the file cannot be opened.

    Examples
    --------
    >>> import tempfile, pathlib, latentem
    >>> from latentem.estimators.storage import save
    >>> X = latentem.datasets.load_faithful().data
    >>> gm = latentem.GaussianMixture(2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(gm, pathlib.Path(folder) / "model.npz")
    ...     again = latentem.load(pathlib.Path(folder) / "model.npz")
    >>> bool((again.predict_proba(X) == gm.predict_proba(X)).all()), again.loglik_ == gm.loglik_
    (True, True)
    """
    header, arrays = read_archive(path, FORMAT, VERSION)
    try:
        name = header.get("class")
        if name not in ("GaussianMixture", "MixtureModel"):
            raise ValueError(f"it holds a {name!r}, which this latentem does not know")
        settings = _settings_in(header, arrays)
        if name == "GaussianMixture":
            if family is not None:
                raise ValueError("it holds a GaussianMixture, so leave family= out")
            estimator = _gaussian(header, arrays, settings)
        else:
            estimator = _mixture(header, arrays, settings, family)
        _columns_in(estimator, header)
        _fit_in(estimator, header, arrays)
    except (ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError, RecursionError) as error:
        raise ValueError(f"cannot load {os.fspath(path)!r}: {error}") from None
    return estimator


# ------------------------------------------------------------------------------------ settings


def _settings_out(estimator: BaseMixture) -> tuple[dict[str, Any], dict[str, Array], list[str]]:
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


def _settings_in(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> dict[str, Any]:
    settings = _part(header, "settings", dict)
    for name, value in settings.items():
        names = isinstance(value, list) and all(isinstance(part, str) for part in value)
        if name == "fixed" and names:
            continue
        if not (value is None or isinstance(value, bool | int | float | str)):
            raise ValueError(f"its setting {name!r} is not a single value")
    given = {
        name.removeprefix("settings."): array
        for name, array in arrays.items()
        if name.startswith("settings.")
    }
    found = {**settings, **given}
    if isinstance(found.get("tol"), str):  # "inf"
        found["tol"] = float(found["tol"])
    if isinstance(found.get("fixed"), list):
        found["fixed"] = tuple(found["fixed"])
    return found


# ---------------------------------------------------------------------------------- parameters


def _structure(tree: Any) -> Any:
    """The containers of a parameter tree, as JSON; arrays are members of the file."""
    if tree is None:
        return None
    if not isinstance(tree, tuple):
        return "array"
    fields = list(getattr(tree, "_fields", ()))
    return {"fields": fields, "parts": [_structure(child) for child in tree]}


def _tree(structure: Any, pattern: Any, arrays: Mapping[str, Array], name: str) -> Any:
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
    fields, parts = _part(structure, "fields", list), _part(structure, "parts", list)
    if pattern is None:
        nothing: list[Any] = [None] * len(parts)
        pattern = namedtuple("Params", fields)(*nothing) if fields else tuple(nothing)
    found = tuple(getattr(pattern, "_fields", ()))
    if not isinstance(pattern, tuple) or found != tuple(fields) or len(pattern) != len(parts):
        raise ValueError(
            f"its parameters {name or 'of the mixture'!r} are {fields or len(parts)}, and the "
            f"model's are {list(found) or 'others'}"
        )
    keys = fields or [str(i) for i in range(len(parts))]
    children = [
        _tree(part, like, arrays, f"{name}.{key}" if name else key)
        for key, part, like in zip(keys, parts, pattern, strict=True)
    ]
    return type(pattern)(*children) if fields else tuple(children)


def _parameters(header: Mapping[str, Any], family: Any, arrays: Mapping[str, Array]) -> Any:
    nothing: Any = None
    params = _tree(header.get("parameters"), MixtureParams(nothing, family), arrays, "")
    if params is None or params.weights is None or not isinstance(params.family, tuple):
        raise ValueError("its parameters are not described as latentem does")
    return params


def _gaussian(
    header: Mapping[str, Any], arrays: Mapping[str, Array], settings: dict[str, Any]
) -> GaussianMixture:
    nothing: Any = None
    params = _parameters(header, GaussianParams(nothing, nothing), arrays)
    _known(settings, GaussianMixture)
    covariance_type = settings.pop("covariance_type", "full")
    n_components = settings.pop("n_components", len(params.weights))
    estimator = GaussianMixture.from_parameters(
        weights=params.weights,
        means=params.family.means,
        covariances=params.family.covariances,
        covariance_type=covariance_type,
        **settings,
    )
    estimator.n_components = n_components
    return estimator


def _mixture(
    header: Mapping[str, Any],
    arrays: Mapping[str, Array],
    settings: dict[str, Any],
    family: Family | None,
) -> MixtureModel:
    family = family_in(_part(header, "family", dict), family)
    params = _parameters(header, pattern(family), arrays)
    weights = check_start_weights(params.weights, np.size(params.weights), "weights")
    _known(settings, MixtureModel)
    estimator = MixtureModel(family, settings.pop("n_components", len(weights)), **settings)
    estimator._take(MixtureParams(weights, params.family))
    width = _width_in(header)
    check_family(family, params.family, width, len(weights))
    width = estimator._width(estimator._params()) if width is None else width
    if width is not None:
        estimator.n_features_in_ = width
    return estimator


def _width_in(header: Mapping[str, Any]) -> int | None:
    width = header.get("n_features")
    if width is not None and (type(width) is not int or width < 1):
        raise ValueError(f"its number of columns is {width!r}")
    return width


# ------------------------------------------------------------------------------- columns and fit


def _columns_in(estimator: BaseMixture, header: Mapping[str, Any]) -> None:
    width = estimator._width(estimator._params())
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


def _fit_out(estimator: BaseMixture) -> dict[str, Any]:
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


def _fit_in(estimator: BaseMixture, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    for name, value in _part(header, "fit", dict).items():
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


def _known(settings: Mapping[str, Any], kind: type[BaseMixture]) -> None:
    unknown = sorted(set(settings) - set(kind._get_param_names()))
    if unknown:
        raise ValueError(f"it has settings that this latentem does not know: {unknown}")


def _part(header: Mapping[str, Any], name: str, kind: type) -> Any:
    value = header.get(name)
    if not isinstance(value, kind):
        raise ValueError(f"its header has no {name!r} as latentem writes it")
    return value
