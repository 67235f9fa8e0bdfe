"""What a file has of a SemiSupervisedNB, beside the parts that every estimator's file has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.family import Family
from latentem.estimators.naive_bayes import SemiSupervisedNB
from latentem.estimators.storage_parts import (
    Saved,
    header_part,
    refuse_unknown,
    settings_in,
    tree_in,
)

__all__ = ["text_in", "text_out"]


class Probabilities(NamedTuple):
    """Probabilities as they are stored: the logarithms are taken again."""

    class_log_prior: Any
    feature_log_prob: Any
    class_count: Any
    feature_count: Any


def text_out(estimator: SemiSupervisedNB) -> Saved:
    """Log probabilities as they are, with -inf as the least float; counts; names of the classes."""
    estimator._ready()
    parts = [getattr(estimator, f"{name}_") for name in Probabilities._fields]
    finite = [np.maximum(part, np.finfo(float).min) for part in parts]
    return Saved(Probabilities(*finite), {"classes": estimator.classes_.tolist()})


def text_in(
    header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], family: Family | None
) -> SemiSupervisedNB:
    """The estimator of a file, checked."""
    if family is not None:
        raise ValueError("it holds a SemiSupervisedNB, so leave family= out")
    nothing: Any = None
    params = tree_in(header.get("parameters"), Probabilities(*4 * (nothing,)), arrays, "")
    if params is None or any(part is None for part in params):
        raise ValueError("its parameters are not described as latentem does")
    classes, settings = header_part(header, "classes", list), settings_in(header, arrays)
    refuse_unknown(settings, SemiSupervisedNB)
    k, shape = len(classes), np.shape(params.feature_log_prob)
    shapes = [np.shape(part) for part in params]
    if len(shape) != 2 or shapes != [(k,), (k, shape[1]), (k,), (k, shape[1])]:
        raise ValueError("its parameters are not as many as its classes and words")
    for logs in params[:2]:
        if not np.allclose(np.exp(logs).sum(axis=-1), 1.0, atol=1e-8):
            raise ValueError("its parameters are no logarithms of probabilities")
    estimator = SemiSupervisedNB(**settings)
    estimator.classes_, estimator.n_features_in_ = np.array(classes), shape[1]
    for name, part in zip(Probabilities._fields, params, strict=True):
        least = part <= np.finfo(float).min
        setattr(estimator, f"{name}_", np.where(least, -np.inf, part))
    return estimator
