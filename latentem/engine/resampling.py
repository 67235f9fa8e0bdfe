"""Data drawn anew: other weights for the same units, or new units of the same shape."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from latentem.engine.blocks import Rows, Sequences

if TYPE_CHECKING:
    from latentem.engine.model import LatentModel

__all__ = ["repetitions", "reweighted", "rows_like"]

Array = np.ndarray


def reweighted(data: Any, bayesian: bool, rng: np.random.Generator) -> Any:
    """The same rows or sequences with random weights, whose sum is that of their own.

    Counts of draws with replacement, or, `bayesian`, gamma variables of shape w for a unit
    of weight w, scaled: the sum of w exponential ones for w repetitions.

    Raises
    ------
    ValueError
        Where the data have no weights, or a single unit.
    """
    own = _weights(data)
    total = own.sum()
    if np.sum(own > 0) < 2:
        raise ValueError(
            f"there is a single {'sequence' if isinstance(data, Sequences) else 'row'}, which no "
            "weights can vary: use resampling='parametric'"
        )
    if bayesian:
        weights = rng.standard_gamma(own)
    else:
        weights = rng.multinomial(max(round(total), 1), own / total).astype(float)
    weights *= total / weights.sum()
    if isinstance(data, Sequences):
        return replace(data.take(np.flatnonzero(weights)), weights=weights[weights > 0])
    if isinstance(data, Rows):
        return replace(data[weights > 0], weights=weights[weights > 0])
    return (data[0], weights)


def _weights(data: Any) -> Array:
    """Weights of the units of the data."""
    if isinstance(data, Rows | Sequences):
        count = len(data.x if isinstance(data, Rows) else data.lengths)
        return np.ones(count) if data.weights is None else np.asarray(data.weights, dtype=float)
    if isinstance(data, tuple) and len(data) == 2 and np.shape(data[1]) == (len(data[0]),):
        return np.asarray(data[1], dtype=float)
    raise ValueError(
        "these data have no weights that could vary: pass sample_weight (ones, if the model "
        "takes weights), or Rows or Sequences, or use resampling='parametric'"
    )


def repetitions(weights: Array | None, n_units: int, unit: str) -> Array:
    """Units (n,) in which each stands as often as its weight says.

    Raises
    ------
    ValueError
        For weights that are not whole numbers.
    """
    if weights is None:
        return np.arange(n_units)
    whole = np.rint(weights)
    if not np.allclose(weights, whole, atol=1e-9):
        raise ValueError(
            f"a {unit} of weight {weights[np.argmax(np.abs(weights - whole))]:g} cannot be drawn "
            "anew: weights must be whole numbers for resampling='parametric'; 'bayesian' takes "
            "any"
        )
    return np.repeat(np.arange(n_units), whole.astype(np.int64))


def rows_like(model: LatentModel, params: Any, data: Any, n: int, rng: np.random.Generator) -> Any:
    """Rows drawn from the model that miss the cells which `data` miss.

    Of `Rows` each as often as its weight says, with labels where they have some; of anything
    else, n units as ``model.sample`` makes them.
    """
    if not isinstance(data, Rows):
        drawn = model.sample(params, n, rng)
        if isinstance(data, np.ndarray) and data.dtype.kind == "f":
            gaps = np.isnan(data)
            if gaps.any() and np.shape(drawn) == data.shape:
                drawn = np.where(gaps, np.nan, drawn)
        return drawn
    which = repetitions(data.weights, len(data), "row")
    labels = None
    if data.labels is None:
        x = model.sample(params, len(which), rng)
    elif hasattr(model, "sample_labelled"):
        x, components = model.sample_labelled(params, len(which), rng)
        labels = np.where(data.labels[which] >= 0, components, -1)
    else:
        raise ValueError(f"{type(model).__name__} draws no labels: use resampling='bayesian'")
    gaps = np.isnan(data.x[which]) if data.x.dtype.kind == "f" else np.zeros(1, dtype=bool)
    return Rows(np.where(gaps, np.nan, x) if gaps.any() else x, None, labels)
