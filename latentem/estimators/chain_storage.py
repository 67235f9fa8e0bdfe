"""What files of hidden Markov models hold besides what every estimator's file has.

Parameters are "startprob", "transmat" and those of the family, as the attributes hold
them, to the last bit. The header has "family", for an `HMM` that of the constructor,
and "fitted_family", with what it learned from the data; "given" describes `family_init`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from latentem.engine.family import Family
from latentem.engine.trees import leaves
from latentem.estimators.base_hmm import BaseHMM
from latentem.estimators.count_hmm import CategoricalHMM, PoissonHMM
from latentem.estimators.family_storage import (
    check_family,
    family_in,
    family_out,
    pattern,
    prior_in,
    prior_out,
)
from latentem.estimators.gaussian_hmm import GaussianHMM
from latentem.estimators.gmm_hmm import GMMHMM
from latentem.estimators.hmm import HMM
from latentem.estimators.prior_arguments import made_prior, with_prior
from latentem.estimators.storage_parts import (
    Saved,
    header_part,
    refuse_unknown,
    settings_in,
    tree_in,
    tree_out,
    width_in,
)
from latentem.families.categorical import Categorical
from latentem.families.gaussian import Gaussian, GaussianParams
from latentem.families.mixture_family import MixtureFamily, MixtureFamilyParams
from latentem.models.hidden_markov import HiddenMarkovParams

__all__ = ["CHAINS", "chain_in", "chain_out"]

Array = np.ndarray

CHAINS: dict[str, type[BaseHMM]] = {
    "CategoricalHMM": CategoricalHMM,
    "GMMHMM": GMMHMM,
    "GaussianHMM": GaussianHMM,
    "HMM": HMM,
    "PoissonHMM": PoissonHMM,
}


def _params(estimator: BaseHMM) -> HiddenMarkovParams:
    """The parameters as the attributes hold them; checked, but not scaled to sum to 1 again."""
    model, params = estimator._ready()
    start = getattr(estimator, "startprob_", None)
    start = model.startprob(params) if start is None else start
    return HiddenMarkovParams(np.asarray(start), np.asarray(estimator.transmat_), params.family)


def chain_out(estimator: BaseHMM) -> Saved:
    """The parameters, the family as it was given and as it was fitted, and its starting values."""
    params = _params(estimator)
    fitted = family_out(estimator._fitted_family())
    if isinstance(estimator, CategoricalHMM):
        return Saved(params, {"family": None, "fitted_family": fitted})
    if not isinstance(estimator, HMM):
        prior = made_prior(estimator._fitted_family())
        return Saved(
            params, {"family": None} | ({} if prior is None else {"prior": prior_out(prior)})
        )
    header: dict[str, Any] = {"family": family_out(estimator.family), "fitted_family": fitted}
    given = estimator.family_init
    if given is None:
        return Saved(params, header)
    header["given"] = tree_out(given)
    arrays = {f"given.{name}": np.asarray(leaf) for name, leaf in leaves(given)}
    return Saved(params, header, arrays)


def chain_in(
    header: Mapping[str, Any], arrays: Mapping[str, Array], family: Family | None
) -> BaseHMM:
    """The estimator of a file, its parameters checked."""
    name = str(header["class"])
    kind: Any = CHAINS[name]
    settings = settings_in(header, arrays)
    refuse_unknown(settings, kind)
    sizes = settings.get("n_categories")
    if isinstance(sizes, np.ndarray):
        settings["n_categories"] = tuple(sizes.tolist())
    fitted = family
    if kind is HMM:
        constructed = family_in(header_part(header, "family", dict), family, "a Markov model")
        if family is None:
            fitted = family_in(header.get("fitted_family"), None, "a Markov model")
        estimator = HMM(constructed, **settings)
        if "given" in header:
            shape = pattern(constructed)
            given = {key[6:]: array for key, array in arrays.items() if key.startswith("given.")}
            estimator.family_init = tree_in(header["given"], shape, given)
    else:
        if family is not None:
            raise ValueError(f"it holds a {name}, so leave family= out")
        estimator = kind(**settings)
        prior = prior_in(header["prior"]) if "prior" in header else None
        fitted = with_prior(estimator._family(), prior)
        if kind is CategoricalHMM:
            fitted = family_in(header.get("fitted_family"), None, "a Markov model")
    assert fitted is not None
    like: Any = pattern(fitted)
    nothing: Any = None
    if isinstance(fitted, MixtureFamily) and isinstance(fitted.family, Gaussian):
        like = MixtureFamilyParams(nothing, GaussianParams(nothing, nothing))
    wanted = HiddenMarkovParams(nothing, nothing, like)
    params = tree_in(header.get("parameters"), wanted, arrays)
    if params is None or not isinstance(params.family, tuple):
        raise ValueError("its parameters are not described as latentem does")
    estimator._startprob, estimator.transmat_ = params.startprob, params.transmat
    estimator._take_family(params.family)
    estimator.model_ = estimator._model(fitted)
    _check(estimator, fitted, params.family, width_in(header))
    return estimator


def _check(estimator: BaseHMM, fitted: Family, params: Any, width: int | None) -> None:
    """Refuse parameters that do not belong together; set the number of columns."""
    estimator._ready()
    k = estimator.n_components
    found = estimator._width(params)
    if isinstance(fitted, Categorical):
        found = len(fitted._of_params(params.emissionprob))
    if found is not None and width not in (None, found):
        raise ValueError(f"it names {width} column{'s' * (width != 1)} for parameters of {found}")
    if isinstance(fitted, MixtureFamily):
        check_family(fitted.family, params.family, width, k * fitted.n_mix)
    check_family(fitted, params, width, k)
    width = found if width is None else width
    if width is not None:
        estimator.n_features_in_ = width
