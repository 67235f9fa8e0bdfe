"""Fitted estimators in files: ``.npz`` with a JSON header, no pickle, no imports by name.

Members of the file: "header" (JSON text), the parameters by their names ("weights",
"family.means", ...), "lower_bounds" if there was a fit, and starting values that were
given as arrays ("settings.means_init"). The header has

=================  ================================================================
format, version    "latentem estimator", 1
latentem           version of the package that wrote the file
class              "GaussianMixture", "MixtureModel", "GaussianImputer", "FactorAnalyzer",
                   "WordAligner", "LinearGaussianSSM", or one of `CHAINS`
settings           constructor arguments that JSON can hold
not_saved          names of those that it cannot (functions, generators); they come
                   back as their defaults
family             for a MixtureModel: its name, whether it is latentem's own, and its
                   own settings or parts (see `family_storage`)
prior              of Gaussian estimators, where there is one: as it was made from the data
parameters         the nested structure whose arrays are the members
feature_names      names of the columns, or null
n_features         their number
words              for a WordAligner: the words of both sides, {"source": [], "target": []}
fit                how the fit ended: scalars and sentences; empty without a fit
=================  ================================================================
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

import latentem
from latentem.engine.archive import read_archive, write_archive
from latentem.engine.family import Family
from latentem.engine.trees import allfinite, leaves
from latentem.estimators.aligner_storage import aligner_in, aligner_out, aligner_params
from latentem.estimators.base_hmm import BaseHMM
from latentem.estimators.chain_storage import CHAINS, chain_in, chain_out, chain_params
from latentem.estimators.factor_analyzer import FactorAnalyzer
from latentem.estimators.factor_storage import factors_in
from latentem.estimators.family_storage import (
    check_family,
    family_in,
    family_out,
    pattern,
    prior_in,
    prior_out,
)
from latentem.estimators.gaussian_mixture import GaussianMixture
from latentem.estimators.imputer import GaussianImputer
from latentem.estimators.imputer_storage import imputer_arrays, imputer_in, imputer_params
from latentem.estimators.mixture import BaseMixture, MixtureModel
from latentem.estimators.prior_arguments import made_prior, with_prior
from latentem.estimators.state_space import LinearGaussianSSM
from latentem.estimators.state_space_storage import states_in
from latentem.estimators.storage_parts import (
    columns_in,
    fit_in,
    fit_out,
    header_part,
    refuse_unknown,
    settings_in,
    settings_out,
    tree_in,
    tree_out,
    width_in,
)
from latentem.estimators.validation import check_start_weights
from latentem.estimators.word_aligner import WordAligner
from latentem.families.gaussian import GaussianParams
from latentem.models.mixture import MixtureParams

__all__ = ["load", "save"]

Array = np.ndarray

FORMAT, VERSION = "latentem estimator", 1


def save(
    estimator: BaseMixture
    | BaseHMM
    | GaussianImputer
    | FactorAnalyzer
    | WordAligner
    | LinearGaussianSSM,
    path: str | os.PathLike[str],
) -> None:
    """Write a fitted estimator to a file that `latentem.load` reads.

    The file holds the parameters, bit for bit, the constructor's arguments, the names
    of the columns and how the fit ended; not the data, nor `result_`. An old file of
    that name stays until the new one is complete.

    Parameters
    ----------
    estimator : mixture, hidden Markov model, GaussianImputer, FactorAnalyzer or WordAligner
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
    kind: Any = type(estimator)
    known = (GaussianMixture, MixtureModel, GaussianImputer, FactorAnalyzer, WordAligner,
             LinearGaussianSSM, *CHAINS.values())  # fmt: skip
    if kind not in known:
        *others, last = (one.__name__ for one in known)
        raise TypeError(
            f"save knows {', '.join(others)} and {last}, and this is a {kind.__name__}: save its "
            "parameters as one of those"
        )
    params: Any
    own: dict[str, Any] = {"family": None}
    given: dict[str, Array] = {}
    if isinstance(estimator, BaseHMM):
        params = chain_params(estimator)
        own, given = chain_out(estimator)
    elif isinstance(estimator, GaussianImputer):
        params, given = imputer_params(estimator), imputer_arrays(estimator)
    elif isinstance(estimator, FactorAnalyzer):
        params = estimator._ready()[1]
    elif isinstance(estimator, LinearGaussianSSM):
        params, given = estimator._ready()[1], {"offset": estimator.offset_}
    elif isinstance(estimator, WordAligner):
        check_is_fitted(estimator)
        params = aligner_params(estimator)
        own, given = aligner_out(estimator)
    else:
        params = estimator._ready()[1]
        check_start_weights(params.weights, len(params.weights), "weights_")
        prior = made_prior(estimator._fitted_family())
        if prior is not None:
            own = {"family": None, "prior": prior_out(prior)}
        if kind is MixtureModel:
            own = {"family": family_out(estimator._fitted_family())}
            if estimator.family_init is not None:
                own["given"] = tree_out(estimator.family_init)
                own_arrays = leaves(estimator.family_init)
                given = {f"given.{name}": np.asarray(leaf) for name, leaf in own_arrays}
    if not allfinite(params):
        raise ValueError(f"{kind.__name__} has parameters that are NaN or infinite: fit it again")
    arrays = {name: np.asarray(leaf) for name, leaf in leaves(params)}
    settings, set_arrays, not_saved = settings_out(estimator)
    not_saved = [name for name in not_saved if name != "family_init" or "given" not in own]
    arrays |= {f"settings.{name}": array for name, array in set_arrays.items()} | given
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
        **own,
        "parameters": tree_out(params),
        "feature_names": None if names is None else [str(name) for name in names],
        "n_features": getattr(estimator, "n_features_in_", None),
        "fit": fit_out(estimator),
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
        For a model of a family that is not latentem's own: an instance of it, made
        as for the fit.

    Returns
    -------
    GaussianMixture, MixtureModel, GaussianImputer, FactorAnalyzer, WordAligner, or a hidden
    Markov model

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
        estimator: Any
        if isinstance(name, str) and name in CHAINS:
            estimator = chain_in(header, arrays, family)
        elif name == "GaussianImputer":
            estimator = imputer_in(header, arrays, family)
        elif name == "FactorAnalyzer":
            estimator = factors_in(header, arrays, family)
        elif name == "LinearGaussianSSM":
            estimator = states_in(header, arrays, family)
        elif name == "WordAligner":
            estimator = aligner_in(header, arrays, family)
        elif name not in ("GaussianMixture", "MixtureModel"):
            raise ValueError(f"it holds a {name!r}, which this latentem does not know")
        elif name == "GaussianMixture":
            if family is not None:
                raise ValueError("it holds a GaussianMixture, so leave family= out")
            estimator = _gaussian(header, arrays, settings_in(header, arrays))
        else:
            estimator = _mixture(header, arrays, settings_in(header, arrays), family)
        width = getattr(estimator, "n_features_in_", None)
        columns_in(estimator, header, width)
        fit_in(estimator, header, arrays)
    except (ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError, RecursionError) as error:
        raise ValueError(f"cannot load {os.fspath(path)!r}: {error}") from None
    return estimator


# ------------------------------------------------------------------------------------ mixtures


def _parameters(header: Mapping[str, Any], family: Any, arrays: Mapping[str, Array]) -> Any:
    nothing: Any = None
    params = tree_in(header.get("parameters"), MixtureParams(nothing, family), arrays, "")
    if params is None or params.weights is None or not isinstance(params.family, tuple):
        raise ValueError("its parameters are not described as latentem does")
    return params


def _gaussian(
    header: Mapping[str, Any], arrays: Mapping[str, Array], settings: dict[str, Any]
) -> GaussianMixture:
    nothing: Any = None
    params = _parameters(header, GaussianParams(nothing, nothing), arrays)
    refuse_unknown(settings, GaussianMixture)
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
    if "prior" in header:
        family = with_prior(estimator._family(), prior_in(header["prior"]))
        estimator.model_ = estimator._model(family, len(params.weights))
    return estimator


def _mixture(
    header: Mapping[str, Any],
    arrays: Mapping[str, Array],
    settings: dict[str, Any],
    family: Family | None,
) -> MixtureModel:
    family = family_in(header_part(header, "family", dict), family)
    params = _parameters(header, pattern(family), arrays)
    weights = check_start_weights(params.weights, np.size(params.weights), "weights")
    refuse_unknown(settings, MixtureModel)
    estimator = MixtureModel(family, settings.pop("n_components", len(weights)), **settings)
    if "given" in header:
        given = {key[6:]: array for key, array in arrays.items() if key.startswith("given.")}
        estimator.family_init = tree_in(header["given"], pattern(family), given)
    estimator._take(MixtureParams(weights, params.family))
    width = width_in(header)
    check_family(family, params.family, width, len(weights))
    width = estimator._width(estimator._params()) if width is None else width
    if width is not None:
        estimator.n_features_in_ = width
    return estimator
