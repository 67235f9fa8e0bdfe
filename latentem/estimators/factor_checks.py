"""Tables and arguments that a factor model cannot be fitted to, a sentence each."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentem.estimators.imputer_columns import label_of, variation_of
from latentem.models.factor_analyzer import FactorAnalyzer
from latentem.models.rotation import ROTATIONS

__all__ = ["check_rotation", "check_size", "most_factors", "refuse_columns"]

Array = np.ndarray


def check_rotation(rotation: Any) -> None:
    """ValueError for a rotation that there is not."""
    if rotation is not None and rotation not in ROTATIONS:
        raise ValueError(f"rotation must be None, 'varimax' or 'quartimax', got {rotation!r}")


def most_factors(model: FactorAnalyzer, d: int) -> int:
    """The most factors whose parameters d columns can tell: no more than a covariance has."""
    entries, most = d * (d + 1) // 2, 0
    for q in range(1, d):
        noise = 1 if model.isotropic else d
        if d * q - q * (q - 1) // 2 + noise > entries:
            break
        most = q
    return most


def check_size(model: FactorAnalyzer, n: int, d: int) -> None:
    """ValueError for more factors than the columns or the rows can tell.

    Parameters
    ----------
    model : FactorAnalyzer
    n : int
        Rows with an observed cell and a weight.
    d : int
    """
    q, most = model.n_factors, most_factors(model, d)
    if q > most:
        free = model.n_parameters(d) - d
        can = f"at most {most} can be told" if most else "not one factor can be told"
        other = (
            "" if model.isotropic or d < 2 else " with diagonal noise, or take noise='isotropic'"
        )
        raise ValueError(
            f"n_factors={q} is too large: the model has {free} loadings and noise variances, "
            f"and the covariance of n_features = {d} columns has {d * (d + 1) // 2} entries, so "
            f"that {can}{other}"
        )
    if n < q + 2:
        raise ValueError(
            f"n_samples = {n} rows with an observed cell are too few for n_factors={q}: they lie "
            f"in a plane of {max(n - 1, 0)} dimensions, and the likelihood has no maximum. Give "
            f"at least {q + 2} rows"
        )


def refuse_columns(x: Array, weights: Array | None, names: Any) -> None:
    """ValueError for a column without an observed cell, or without a variance."""
    columns = variation_of(x, weights)
    if columns.empty.any():
        j = int(np.argmax(columns.empty))
        raise ValueError(
            f"X has no observed cell in column {label_of(j, names)}: leave that column out"
        )
    if not columns.varying.all():
        j = int(np.argmin(columns.varying))
        raise ValueError(
            f"column {label_of(j, names)} has one value only, {columns.values[j]:g}: it has no "
            "variance for factors or noise, leave it out"
        )
