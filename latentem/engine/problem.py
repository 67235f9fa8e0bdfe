"""What a fit is to the engine: a model, its parameters and the data."""

from __future__ import annotations

from inspect import signature
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.boundary import label, short_names
from latentem.engine.model import LatentModel
from latentem.engine.result import EMResult
from latentem.engine.trees import values

__all__ = ["Problem", "problem_of"]

Array = np.ndarray


class Problem(NamedTuple):
    """A fit, seen from the engine.

    `estimates` are the parameters as the user knows them, by name; those of the model stand at
    `places` among them, raveled one after the other, and all others take no part in it.
    """

    model: LatentModel
    params: Any
    data: Any
    estimates: dict[str, Array]
    places: Array

    def labels(self) -> list[str]:
        """Names of all estimates with their places, such as ``means[1, 0]``."""
        return [
            label(name, place)
            for name, value in self.estimates.items()
            for place in np.ndindex(value.shape)
        ]


def problem_of(fitted: Any, X: Any, sample_weight: Any, lengths: Any, labels: Any) -> Problem:
    """The problem behind a fitted estimator, or an `EMResult` and its data."""
    if getattr(fitted, "posterior", "soft") == "hard":
        raise ValueError(
            "a fit with posterior='hard' is no maximum of the log-likelihood, so its curvature "
            "there says nothing of the uncertainty of the parameters: fit with posterior='soft', "
            "from these parameters if you like"
        )
    if isinstance(fitted, EMResult):
        for value, name in ((lengths, "lengths"), (labels, "labels")):
            if value is not None:
                raise ValueError(f"{name} belong in the data of an EMResult: pass them within X")
        data = X if sample_weight is None else (X, np.asarray(sample_weight, dtype=float))
        return _named(fitted.model, fitted.params, data)
    if not hasattr(fitted, "em_problem"):
        raise TypeError(
            f"fitted must be a fitted estimator or an EMResult, got {type(fitted).__name__}"
        )
    more = {}
    if labels is not None:
        if "labels" not in signature(fitted.em_problem).parameters:
            raise ValueError(f"{type(fitted).__name__} takes no labels: leave them out")
        more["labels"] = labels
    problem = _named(*fitted.em_problem(X, sample_weight, lengths, **more))
    if not hasattr(fitted, "em_places"):
        return problem
    estimates, places = fitted.em_places()
    return problem._replace(estimates=estimates, places=places)


def _named(model: LatentModel, params: Any, data: Any) -> Problem:
    arrays = [np.asarray(value, dtype=float) for value in values(params)]
    estimates = dict(zip(short_names(params), arrays, strict=True))
    return Problem(model, params, data, estimates, np.arange(sum(a.size for a in arrays)))
