"""One row after the other: the filter of a hidden Markov model as a value that is handed on."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from latentem.models.hidden_markov import HiddenMarkov, HiddenMarkovParams

__all__ = ["StreamState", "start", "step"]

Array = np.ndarray


class StreamState(NamedTuple):
    """What a stream remembers: the probabilities of the next state, before its row is seen.

    `predicted` (K,) sums to 1; the rest is what the next step needs of the model.
    `width` is the number of columns of a row, None where the parameters do not tell.
    """

    predicted: Array
    transmat: Array
    model: HiddenMarkov
    prepared: Any
    width: int | None = None

    def __repr__(self) -> str:
        return f"StreamState(predicted={self.predicted.round(4).tolist()})"


def start(model: HiddenMarkov, params: HiddenMarkovParams, width: int | None) -> StreamState:
    """Before the first row."""
    prepared = model.family.prepare(params.family)
    return StreamState(np.array(model.startprob(params)), params.transmat, model, prepared, width)


def step(state: StreamState, x: Any) -> tuple[StreamState, Array, float]:
    """The state after one more row, probabilities (K,) at that row, and its log density.

    A row that no state can have produced has log density -inf and teaches nothing.
    """
    if not isinstance(state, StreamState):
        raise TypeError(f"state must come from start_state() or update(), got {state!r}")
    row = _row(x, state.width)
    predicted, family = state.predicted, state.model.family
    increment, current = 0.0, predicted
    if not np.isnan(row).all():
        if np.isnan(row).any() and not family.missing_cells:
            raise ValueError(
                f"x has a missing cell, and {family!r} needs whole rows: make every "
                "cell NaN, or fill it"
            )
        family.check(row)
        with np.errstate(all="ignore"):
            log_density = family.log_density(state.prepared, family.encode(row))[:, 0]
        reachable = predicted > 0
        peak = float(log_density[reachable].max())
        if peak == -math.inf:
            increment = -math.inf
        else:
            joint = np.where(reachable, predicted * np.exp(log_density - peak), 0.0)
            total = float(joint.sum())
            increment, current = math.log(total) + peak, joint / total
    return state._replace(predicted=current @ state.transmat), current, increment


def _row(x: Any, width: int | None) -> Array:
    """One row as (1, d)."""
    try:
        row = np.asarray(x, dtype=float).reshape(1, -1)
    except (TypeError, ValueError):
        raise ValueError(f"x must be one row of numbers, got {x!r}") from None
    if width is not None and row.shape[1] != width:
        raise ValueError(
            f"x has {row.shape[1]} cell{'s' * (row.shape[1] != 1)}, but the model is for {width} "
            f"column{'s' * (width != 1)}"
        )
    if np.isinf(row).any():
        raise ValueError("x contains infinity: make a cell that was not seen NaN")
    return row
