"""Votes as they come: tables of items, raters and labels, of numbers or text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Triples", "codes_of", "triples_of"]

Array = np.ndarray


class Triples(NamedTuple):
    """Item, rater and label of each vote, (n,) arrays."""

    items: Array
    raters: Array
    labels: Array


def triples_of(X: Any) -> Triples:
    """The three columns of a frame or an array.

    Raises
    ------
    ValueError
        For another number of columns, no votes, or an empty cell.
    """
    if hasattr(X, "columns") and hasattr(X, "__getitem__"):
        columns = [np.asarray(X[name]) for name in X.columns]
        names = [repr(name) for name in X.columns]
    else:
        table = X if isinstance(X, np.ndarray) else np.array(list(X), dtype=object)
        if table.ndim != 2:
            raise ValueError(f"X must be (n_votes, 3): item, rater, label; got {table.ndim}-D")
        columns, names = list(table.T), [str(j) for j in range(table.shape[1])]
    if len(columns) != 3:
        raise ValueError(
            f"X must have 3 columns, item, rater and label of each vote, got {len(columns)}"
        )
    if not len(columns[0]):
        raise ValueError("X holds no votes")
    for column, name in zip(columns, names, strict=True):
        empty = _empty(column)
        if empty.any():
            raise ValueError(
                f"X[{np.argmax(empty)}] has an empty cell in column {name}: leave out votes that "
                "were not given"
            )
    return Triples(*columns)


def _empty(column: Array) -> Array:
    if column.dtype.kind == "f":
        return np.isnan(column)
    if column.dtype.kind != "O":
        return np.zeros(len(column), dtype=bool)
    return np.array([cell is None or cell != cell for cell in column.tolist()], dtype=bool)


def codes_of(values: Array, what: str, more: Sequence[Any] = ()) -> tuple[Array, Array]:
    """Codes 0, 1, ... of values, and the values themselves, sorted; `more` may add to these."""
    try:
        names, codes = np.unique(_plain(values), return_inverse=True)
        if more:
            wider = np.union1d(names, _plain(np.array(more, dtype=values.dtype)))
            codes, names = np.searchsorted(wider, names)[codes], wider
    except (TypeError, ValueError):
        kinds = sorted({type(value).__name__ for value in [*values.tolist(), *more]})
        raise ValueError(
            f"the {what}s are of kinds that have no order ({', '.join(kinds)}): make them all "
            "numbers or all text"
        ) from None
    return codes.reshape(-1), names


def _plain(values: Array) -> Array:
    """Object cells as numbers or text, which sort faster, where they are all of one kind."""
    if values.dtype != object:
        return values
    kinds = {type(value) for value in values.tolist()}
    if len(kinds) > 1:
        if not all(issubclass(kind, int | float | np.number) for kind in kinds):
            raise TypeError
        return values.astype(float)
    return np.array(values.tolist())
