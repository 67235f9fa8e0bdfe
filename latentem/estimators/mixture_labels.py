"""Known components that contradict what else was given: refused, or named where the data tell."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentem.engine.backends import one_blas_thread
from latentem.engine.blocks import Rows
from latentem.engine.warnings import ImpossibleRowWarning, tell
from latentem.models.mixture import Mixture

__all__ = ["refuse_contradictions", "tell_impossible"]

Array = np.ndarray


def refuse_contradictions(data: Any, weights: Array | None, shares: Array | None) -> None:
    """ValueError for labels of components that starting values rule out for good.

    Parameters
    ----------
    data : Rows
    weights : (K,) array, optional
        First mixing weights.
    shares : (n, K) array, optional
        First responsibilities.
    """
    labels = data.labels
    known = np.zeros(0, dtype=np.intp) if labels is None else np.flatnonzero(labels >= 0)
    if not len(known):
        return
    if weights is not None and np.any(weights[labels[known]] == 0):
        k = labels[known][np.argmax(weights[labels[known]] == 0)]
        raise ValueError(
            f"labels name component {k}, whose weight in weights_init is 0 and stays 0: give it a "
            "weight above 0, or leave these labels out"
        )
    if shares is not None:
        none = ~np.any(shares[:, np.unique(labels[known])] > 0, axis=0)
        if none.any():
            k = np.unique(labels[known])[np.argmax(none)]
            raise ValueError(
                f"labels name component {k}, of which responsibilities_init gives no row a share: "
                "give the rows that are labelled so their component there"
            )


def tell_impossible(model: Mixture, params: Any, data: Any) -> tuple[str, ...]:
    """Warn of the first row that has probability zero, and return the sentence."""
    if not isinstance(data, Rows):  # a source: its rows are not at hand
        return ()
    first = 0
    with one_blas_thread(), np.errstate(all="ignore"):
        prepared = model.prepare(params)
        for block in model.blocks(data):
            lost = np.flatnonzero(model.posterior(prepared, block)[1] == -np.inf)
            if len(lost):
                row, label = first + int(lost[0]), -1
                if block.labels is not None:
                    label = int(block.labels[lost[0]])
                where = "under every component" if label < 0 else f"under component {label}"
                why = "" if label < 0 else ", which labels say it is of"
                text = f"row {row} of those that count has probability zero {where}{why}"
                tell(text, ImpossibleRowWarning)
                return (text,)
            first += len(block)
    return ()
