"""Priors from the arguments of estimators; sentences name the arguments."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from latentem.families.gaussian import Gaussian
from latentem.families.gaussian_prior import GaussianPrior, prior_from
from latentem.families.mixture_family import MixtureFamily
from latentem.families.priors import DirichletPrior, GammaPrior

__all__ = ["dirichlet_prior", "gamma_prior", "gaussian_prior", "made_prior", "with_prior"]

Array = np.ndarray


def gaussian_prior(
    estimator: Any, n_gaussians: int
) -> Callable[[Array], GaussianPrior] | GaussianPrior | None:
    """The function that makes the prior from the data; None where there is none."""
    if estimator.covariance_prior is None:
        for name in ("covariance_df", "means_prior", "means_weight"):
            if getattr(estimator, name) is not None:
                raise ValueError(
                    f"{name} is part of a prior of means and covariances together: give "
                    "covariance_prior too, 'data' for example"
                )
        return None
    return partial(
        prior_from,
        kind=estimator.covariance_type,
        k=n_gaussians,
        mean=estimator.means_prior,
        mean_weight=estimator.means_weight,
        scale=estimator.covariance_prior,
        df=estimator.covariance_df,
    )


def made_prior(family: Any) -> GaussianPrior | None:
    """The prior of a Gaussian family, or of Gaussians within one; None where it is not made."""
    inner = family.family if isinstance(family, MixtureFamily) else family
    prior = getattr(inner, "prior", None)
    return prior if isinstance(prior, GaussianPrior) else None


def with_prior(family: Any, prior: GaussianPrior | None) -> Any:
    """A Gaussian family, or one of mixtures of Gaussians, with its prior made."""
    if prior is None:
        return family
    other = copy.copy(family)
    if isinstance(family, MixtureFamily):
        other.family = with_prior(family.family, prior)
    elif isinstance(other, Gaussian):
        other.prior = prior
    return other


def gamma_prior(shape: Any, rate: Any) -> GammaPrior | None:
    """`lambdas_prior` and `lambdas_weight` as a prior."""
    if shape is None and rate is None:
        return None
    if shape is None or rate is None:
        raise ValueError(
            "lambdas_prior and lambdas_weight are the shape and the rate of one gamma prior: give "
            "both"
        )
    try:
        return GammaPrior(shape, rate)
    except ValueError as error:
        text = str(error).replace("GammaPrior: shape", "lambdas_prior")
        raise ValueError(text.replace("GammaPrior: rate", "lambdas_weight")) from None


def dirichlet_prior(concentration: Any, name: str) -> DirichletPrior | None:
    """Concentrations as a prior; None where they are not given."""
    if concentration is None:
        return None
    try:
        return DirichletPrior(concentration)
    except ValueError as error:
        text = str(error).replace("DirichletPrior: concentration", name)
        raise ValueError(text) from None
