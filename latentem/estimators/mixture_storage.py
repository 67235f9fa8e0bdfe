"""What a file has of a mixture, beside the parts that every estimator's file has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from latentem.engine.family import Family
from latentem.engine.trees import leaves
from latentem.estimators.coding import Coding
from latentem.estimators.family_storage import (
    check_family,
    family_in,
    family_out,
    pattern,
    prior_in,
    prior_out,
)
from latentem.estimators.gaussian_mixture import GaussianMixture
from latentem.estimators.latent_class import LatentClass
from latentem.estimators.mixture import BaseMixture, MixtureModel
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
from latentem.estimators.validation import check_start_weights
from latentem.families.categorical import CategoricalParams
from latentem.families.gaussian import GaussianParams
from latentem.models.mixture import MixtureParams

__all__ = ["gaussian_in", "gaussian_out", "latent_class_in", "latent_class_out", "mixture_in",
           "mixture_out"]  # fmt: skip

Array = np.ndarray


def _sound(estimator: BaseMixture) -> MixtureParams:
    params = estimator._ready()[1]
    check_start_weights(params.weights, len(params.weights), "weights_")
    return params


def gaussian_out(estimator: GaussianMixture) -> Saved:
    """A GaussianMixture, with the prior that was made from its data."""
    prior = made_prior(estimator._fitted_family())
    own = {} if prior is None else {"prior": prior_out(prior)}
    return Saved(_sound(estimator), {"family": None, **own})


def mixture_out(estimator: MixtureModel) -> Saved:
    """A MixtureModel, with its family and the starting values of that."""
    own: dict[str, Any] = {"family": family_out(estimator._fitted_family())}
    given: dict[str, Array] = {}
    if estimator.family_init is not None:
        own["given"] = tree_out(estimator.family_init)
        pairs = leaves(estimator.family_init)
        given = {f"given.{name}": np.asarray(leaf) for name, leaf in pairs}
    return Saved(_sound(estimator), own, given)


def latent_class_out(estimator: LatentClass) -> Saved:
    """A LatentClass, with the numbers of categories, and these where they are text."""
    family: Any = estimator._ready()[0].family
    text = estimator._coding
    names = None if text is None else [column.tolist() for column in text.categories]
    sizes = [int(size) for size in family.n_categories]
    return Saved(_sound(estimator), {"family": None, "sizes": sizes, "categories": names})


def _parameters(header: Mapping[str, Any], family: Any, arrays: Mapping[str, Array]) -> Any:
    nothing: Any = None
    params = tree_in(header.get("parameters"), MixtureParams(nothing, family), arrays, "")
    if params is None or params.weights is None or not isinstance(params.family, tuple):
        raise ValueError("its parameters are not described as latentem does")
    return params


def gaussian_in(
    header: Mapping[str, Any], arrays: Mapping[str, Array], family: Family | None
) -> GaussianMixture:
    """The GaussianMixture of a file."""
    if family is not None:
        raise ValueError("it holds a GaussianMixture, so leave family= out")
    settings = settings_in(header, arrays)
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
        made = with_prior(estimator._family(), prior_in(header["prior"]))
        estimator.model_ = estimator._model(made, len(params.weights))
    return estimator


def mixture_in(
    header: Mapping[str, Any], arrays: Mapping[str, Array], family: Family | None
) -> MixtureModel:
    """The MixtureModel of a file."""
    settings = settings_in(header, arrays)
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


def latent_class_in(
    header: Mapping[str, Any], arrays: Mapping[str, Array], family: Family | None
) -> LatentClass:
    """The LatentClass of a file."""
    if family is not None:
        raise ValueError("it holds a LatentClass, so leave family= out")
    nothing: Any = None
    params = _parameters(header, CategoricalParams(nothing), arrays)
    weights = check_start_weights(params.weights, np.size(params.weights), "weights")
    settings = settings_in(header, arrays)
    refuse_unknown(settings, LatentClass)
    sizes, names = header_part(header, "sizes", list), header.get("categories")
    if not all(isinstance(size, int) and size >= 1 for size in sizes):
        raise ValueError("its numbers of categories are none")
    if names is not None and [len(column) for column in names] != sizes:
        raise ValueError("its categories are not as many as it says")
    estimator = LatentClass(settings.pop("n_components", len(weights)), **settings)
    estimator._sizes = tuple(sizes)
    if names is not None:
        estimator._coding = Coding([np.array(column, dtype=object) for column in names])
    estimator._take(MixtureParams(weights, params.family))
    check_family(estimator._family(), params.family, len(sizes), len(weights))
    estimator.n_features_in_ = len(sizes)
    return estimator
