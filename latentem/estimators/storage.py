"""Fitted estimators in files: ``.npz`` with a JSON header, no pickle, no imports by name.

Members of the file: "header" (JSON text), the parameters by their names ("weights",
"family.means", ...), "lower_bounds" if there was a fit, and starting values that were
given as arrays ("settings.means_init"). The header has

=================  ================================================================
format, version    "latentem estimator", 1
latentem           version of the package that wrote the file
class              one of `WAYS`: "GaussianMixture", ...
settings           constructor arguments that JSON can hold
not_saved          names of those that it cannot (functions, generators); they come
                   back as their defaults
family             for a MixtureModel: its name, whether it is latentem's own, and its
                   own settings or parts (see `family_storage`)
prior              of Gaussian estimators, where there is one: as it was made from the data
parameters         the nested structure whose arrays are the members
feature_names      names of the columns, or null
n_features         their number
...                what else a class needs: see the modules ``*_storage`` beside this one
fit                how the fit ended: scalars and sentences; empty without a fit
=================  ================================================================
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import latentem
from latentem.engine.archive import read_archive, write_archive
from latentem.engine.family import Family
from latentem.engine.trees import allfinite, leaves
from latentem.estimators.aligner_storage import aligner_in, aligner_out
from latentem.estimators.chain_storage import CHAINS, chain_in, chain_out
from latentem.estimators.dawid_skene import DawidSkene
from latentem.estimators.factor_analyzer import FactorAnalyzer
from latentem.estimators.factor_storage import factors_in, factors_out
from latentem.estimators.gaussian_mixture import GaussianMixture
from latentem.estimators.imputer import GaussianImputer
from latentem.estimators.imputer_storage import imputer_in, imputer_out
from latentem.estimators.latent_class import LatentClass
from latentem.estimators.mixture import MixtureModel
from latentem.estimators.mixture_storage import (
    gaussian_in,
    gaussian_out,
    latent_class_in,
    latent_class_out,
    mixture_in,
    mixture_out,
)
from latentem.estimators.naive_bayes import SemiSupervisedNB
from latentem.estimators.state_space import LinearGaussianSSM
from latentem.estimators.state_space_storage import states_in, states_out
from latentem.estimators.storage_parts import (
    Saved,
    columns_in,
    fit_in,
    fit_out,
    settings_out,
    tree_out,
)
from latentem.estimators.text_storage import text_in, text_out
from latentem.estimators.votes_storage import votes_in, votes_out
from latentem.estimators.word_aligner import WordAligner

__all__ = ["load", "save"]

Array = np.ndarray

FORMAT, VERSION = "latentem estimator", 1


class Way(NamedTuple):
    """How estimators of a class go into a file, and come out of one."""

    kind: type
    out: Callable[[Any], Saved]
    into: Callable[[Mapping[str, Any], Mapping[str, Array], Family | None], Any]


WAYS: dict[str, Way] = {
    way.kind.__name__: way
    for way in (
        Way(GaussianMixture, gaussian_out, gaussian_in),
        Way(MixtureModel, mixture_out, mixture_in),
        Way(LatentClass, latent_class_out, latent_class_in),
        Way(GaussianImputer, imputer_out, imputer_in),
        Way(FactorAnalyzer, factors_out, factors_in),
        Way(LinearGaussianSSM, states_out, states_in),
        Way(DawidSkene, votes_out, votes_in),
        Way(SemiSupervisedNB, text_out, text_in),
        Way(WordAligner, aligner_out, aligner_in),
        *(Way(chain, chain_out, chain_in) for chain in CHAINS.values()),
    )
}


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a file that `latentem.load` reads.

    The file holds the parameters, bit for bit, the constructor's arguments, the names
    of the columns and how the fit ended; not the data, nor `result_`. An old file of
    that name stays until the new one is complete.

    Parameters
    ----------
    estimator : of a class in `WAYS`
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
    if kind not in [way.kind for way in WAYS.values()]:
        *others, last = WAYS
        raise TypeError(
            f"save knows {', '.join(others)} and {last}, and this is a {kind.__name__}: save its "
            "parameters as one of those"
        )
    params, own, given = WAYS[kind.__name__].out(estimator)
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
    estimator
        Of the class that the file names, one of `WAYS`.

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
        if not isinstance(name, str) or name not in WAYS:
            raise ValueError(f"it holds a {name!r}, which this latentem does not know")
        estimator = WAYS[name].into(header, arrays, family)
        width = getattr(estimator, "n_features_in_", None)
        columns_in(estimator, header, width)
        fit_in(estimator, header, arrays)
    except (ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError, RecursionError) as error:
        raise ValueError(f"cannot load {os.fspath(path)!r}: {error}") from None
    return estimator
