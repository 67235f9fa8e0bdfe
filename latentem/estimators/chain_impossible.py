"""The row that no reachable state can have produced: named, and what may have ruled it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from latentem.engine.warnings import ImpossibleRowWarning, tell

__all__ = ["ruled_out", "tell_impossible"]

Array = np.ndarray


def tell_impossible(impossible: Array, offsets: Array, why: str = "") -> tuple[str, ...]:
    """Warn of the first impossible row of any sequence, and return the sentence.

    Parameters
    ----------
    impossible : (S,) int array
        Of each sequence, counted over all rows; -1 if there is none.
    offsets : (S + 1,) int array
        Rows at which sequences begin.
    why : str
        More to say.
    """
    if not np.any(impossible >= 0):
        return ()
    s = int(np.argmax(impossible >= 0))
    row = int(impossible[s])
    text = (
        f"row {row} (row {row - offsets[s]} of sequence {s}) has probability zero in "
        f"every state that can be reached there: its sequence has log-likelihood -inf{why}"
    )
    tell(text, ImpossibleRowWarning)
    return (text,)


def ruled_out(estimator: Any, labels: Array | None) -> str:
    """What the user has said that may rule a row out, as the end of a sentence."""
    causes: Sequence[str] = [
        name
        for name, there in (
            ("labels", labels is not None and np.any(labels >= 0)),
            ("transmat_mask", estimator.transmat_mask is not None),
            *(
                (f"zeros of {name}", value is not None and np.any(np.asarray(value) == 0))
                for name, value in estimator.get_params(deep=False).items()
                if name in ("startprob_init", "transmat_init", "emissionprob_init", "lambdas_init")
            ),
        )
        if there
    ]
    if not causes:
        return ""
    listed = causes[0] if len(causes) == 1 else f"{', '.join(causes[:-1])} and {causes[-1]}"
    return f". Likely cause: {listed}, which rule out states or what they may produce"
