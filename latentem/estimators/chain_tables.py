"""Fitted hidden Markov models as tables: states, how long they last, transitions."""

from __future__ import annotations

import numpy as np

from latentem.engine.family import Family
from latentem.estimators.base_hmm import BaseHMM
from latentem.estimators.tables import (
    ComponentTable,
    columns_of_family,
    ending,
    feature_names,
    in_blocks,
    in_digits,
    kind_of,
    text_columns,
)

__all__ = ["state_table", "text_states", "text_transitions", "summary_of_chain"]

Array = np.ndarray


def state_table(hmm: BaseHMM) -> ComponentTable:
    """States in rows: share, expected duration, and the parameters in the units of the data.

    "share" is the stationary distribution, NaN where the chain has more than one;
    "duration" is the mean number of rows of a stay.
    """
    model, params = hmm._ready()
    try:
        share = hmm.stationary_distribution()
    except ValueError:
        share = np.full(model.n_components, np.nan)
    columns, values = columns_of_family(
        model.family, params.family, model.n_components, feature_names(hmm)
    )
    chain: list[tuple[str, str]] = [("share", ""), ("duration", "")]
    return ComponentTable(
        chain + columns, np.column_stack([share, hmm.expected_durations(), *values])
    )


def text_states(hmm: BaseHMM, width: int = 80) -> str:
    """The table of states as lines of at most `width`."""
    columns, values = state_table(hmm)
    first = [
        ["", "state", *map(str, range(len(values)))],
        ["", "share", *(f"{share:.4f}" for share in values[:, 0])],
        ["", "duration", *in_digits(values[:, 1])],
    ]
    return text_columns(first, columns[2:], values[:, 2:], width)


def text_transitions(hmm: BaseHMM, width: int = 80) -> str:
    """The transition matrix as lines of at most `width`, rows of it in rows."""
    moves = hmm._ready()[1].transmat
    first = [["from", *map(str, range(len(moves)))]]
    units = [[[f"to {j}", *(f"{p:.4f}" for p in moves[:, j])]] for j in range(len(moves))]
    return in_blocks(first, units, width)


def summary_of_chain(hmm: BaseHMM) -> str:
    """The model in words, its states, its transitions, and how the fit ended."""
    model, _ = hmm._ready()
    family: Family = model.family
    k, d = model.n_components, len(feature_names(hmm))
    head = (
        f"{type(hmm).__name__}: {k} state{'s' * (k > 1)}, {kind_of(family)}, "
        f"{d} feature{'s' * (d > 1)}"
    )
    start = ", ".join(f"{p:.4f}" for p in model.startprob(hmm._ready()[1]))
    return "\n".join(
        [head, text_states(hmm), text_transitions(hmm), f"starts in them: {start}", ending(hmm)]
    )
