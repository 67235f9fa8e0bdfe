"""Rows of a family that takes no missing cells, where some of the rows were not seen at all.

The family gets the rows that were seen; those that were not have log density 0 and no
weight.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from latentem.engine.family import Family

__all__ = ["encode", "evaluate", "points", "seen_weights", "x_of"]

Array = np.ndarray


class SeenRows(NamedTuple):
    """Encoded rows that were seen, and their places among all `n`."""

    n: int
    places: Array
    x: Any


def encode(family: Family, rows: Array) -> Any:
    """``family.encode``, of the rows that were seen where the family takes no others."""
    if family.missing_cells or not np.isnan(np.sum(rows)):
        return family.encode(rows)
    places = np.flatnonzero(~np.isnan(rows).any(axis=1))
    return SeenRows(len(rows), places, family.encode(rows[places]))


def x_of(x: Any) -> Any:
    """The encoded rows as the family made them."""
    return x.x if isinstance(x, SeenRows) else x


def seen_weights(x: Any, weights: Array) -> Array:
    """Weights (K, m) of the rows that the family has."""
    return np.ascontiguousarray(weights[:, x.places]) if isinstance(x, SeenRows) else weights


def evaluate(family: Family, prepared: Any, x: Any) -> tuple[Array | None, Any]:
    """``family.evaluate`` with 0 for rows that were not seen; None for the density of nothing."""
    if not isinstance(x, SeenRows):
        return family.evaluate(prepared, x)
    if not len(x.places):
        return None, None
    found, shared = family.evaluate(prepared, x.x)
    out = np.zeros((len(found), x.n))
    out[:, x.places] = found
    return out, shared


def points(family: Family, x: Any) -> Array:
    """``family.points`` with the mean point for rows that were not seen."""
    found = family.points(x_of(x))
    if not isinstance(x, SeenRows):
        return found
    out = np.empty((x.n, found.shape[1]))
    out[:] = found.mean(axis=0) if len(found) else 0.0
    out[x.places] = found
    return out
