"""A hidden Markov estimator with its states in another order."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from latentem.engine.family import Family
from latentem.engine.trees import rebuild

if TYPE_CHECKING:
    from latentem.estimators.base_hmm import BaseHMM

__all__ = ["in_this_order"]

Array = np.ndarray
#: Priors that all states share.
SHARED = ("covariance_prior", "means_prior")


def in_this_order(estimator: BaseHMM, order: Any) -> BaseHMM:
    """A copy with state ``order[k]`` in place k, arguments about states included."""
    model, params = estimator._ready()
    places = np.asarray(order)
    whole = places.shape == (model.n_components,) and places.dtype.kind in "iu"
    if not whole or sorted(places.tolist()) != list(range(model.n_components)):
        raise ValueError(f"order must hold each of 0..{model.n_components - 1} once, got {order!r}")
    other = copy.copy(estimator)
    for name, value in estimator.get_params(deep=False).items():
        shared = name == "covariances_init" and getattr(estimator, "covariance_type", "") == "tied"
        starts = name.endswith("_init") and name != "n_init" and not shared
        if name.endswith("_prior") or name == "lambdas_weight":
            if name not in SHARED:
                setattr(other, name, _prior_reordered(name, value, places))
        elif starts or name.startswith("transmat"):
            setattr(other, name, _reordered(name, value, places))
    family = getattr(estimator, "family", None)
    if isinstance(family, Family):  # of an `HMM`
        setattr(other, "family", family.reordered(places))  # noqa: B010
    if isinstance(estimator.fixed, Mapping):
        other.fixed = {
            group: _reordered(group, value, places) for group, value in estimator.fixed.items()
        }
    if hasattr(estimator, "model_"):
        other.model_ = other._model(model.family.reordered(places))
    other._startprob = model.startprob(params)[places]
    other.transmat_ = params.transmat[places][:, places]
    other._take_family(model.family.relabel(params.family, places))
    return other


def _prior_reordered(name: str, value: Any, places: Array) -> Any:
    """Numbers of a prior, which may be for all states, or for all columns, together."""
    shape = np.shape(value)
    if name == "transmat_prior" and len(shape) == 1:  # of where a transition goes
        return np.asarray(value)[places]
    own = len(shape) == (1 if name == "startprob_prior" else 2) and shape[0] > 1
    return _reordered(name, value, places) if own else value


def _reordered(name: str, value: Any, places: Array) -> Any:
    """An argument about states, with the states in another order."""
    if value is None or isinstance(value, bool):
        return value
    if hasattr(value, "_fields"):  # parameters of a family
        return rebuild(value, [_reordered(name, part, places) for part in value])
    array = np.asarray(value)
    return array[places][:, places] if name.startswith("transmat") else array[places]
