"""Text cells as codes 0, 1, ..., and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Coding"]

Array = np.ndarray


@dataclass(frozen=True)
class Coding:
    """The categories of each column, in the order of their codes.

    Parameters
    ----------
    categories : list of arrays
        Sorted; of a pandas categorical in its own order. Those of a column of numbers are
        the numbers 0, 1, ..., up to the largest.
    """

    categories: list[Array]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of categories of each column."""
        return tuple(len(names) for names in self.categories)

    @classmethod
    def of(cls, X: Any) -> Coding | None:
        """Categories of a table that holds text; None where it holds numbers alone."""
        columns = _columns(X)
        if columns is None or not any(_textual(column) for column in columns):
            return None
        return cls([_categories(column, j) for j, column in enumerate(columns)])

    def codes(self, X: Any) -> Any:
        """The codes of a table, NaN where a cell is missing; ValueError for an unknown category.

        A frame stays a frame, with its names.
        """
        columns = _columns(X)
        if columns is None and isinstance(X, np.ndarray) and X.ndim == 2:
            columns = list(X.astype(object).T)
        if columns is None:
            return X  # refused where shapes are looked at
        if len(columns) != len(self.categories):
            raise ValueError(
                f"X has {len(columns)} features, but the fit was of {len(self.categories)} features"
            )
        found = [
            _codes(column, names, j)
            for j, (column, names) in enumerate(zip(columns, self.categories, strict=True))
        ]
        table = np.column_stack(found) if found[0].size else np.empty((0, len(found)))
        if hasattr(X, "columns") and hasattr(X, "assign"):  # pandas
            return type(X)(table, columns=X.columns, index=X.index)
        if hasattr(X, "columns"):  # polars
            return type(X)(table, schema=list(X.columns))
        return table

    def decoded(self, table: Array) -> Array:
        """Categories in place of codes, as an object array; None where a cell is missing."""
        out = np.full(table.shape, None, dtype=object)
        for j, names in enumerate(self.categories):
            seen = ~np.isnan(table[:, j])
            out[seen, j] = np.asarray(names, dtype=object)[table[seen, j].astype(np.intp)]
        return out


def _columns(X: Any) -> list[Any] | None:
    """The columns of a frame, an array or a list of rows; None for anything else."""
    if hasattr(X, "columns") and hasattr(X, "__getitem__"):
        return [X[name] for name in X.columns]
    if isinstance(X, list | tuple):
        if len({len(row) if isinstance(row, list | tuple) else -1 for row in X}) != 1:
            return None
        X = np.array(X, dtype=object)
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "OUST":
        return list(X.astype(object).T)
    return None


def _cells(column: Any) -> Array:
    return np.asarray(column, dtype=object)


def _missing(cell: Any) -> bool:
    return cell is None or type(cell).__name__ == "NAType" or cell != cell or cell == ""


def _textual(column: Any) -> bool:
    if getattr(getattr(column, "dtype", None), "kind", "O") in "fiub":
        return False
    return any(isinstance(cell, str) for cell in _cells(column))


def _categories(column: Any, j: int) -> Array:
    own = getattr(getattr(column, "dtype", None), "categories", None)
    if own is not None and hasattr(own, "to_numpy"):  # a pandas categorical
        return np.asarray(own.to_numpy(), dtype=object)
    seen = {cell for cell in _cells(column).tolist() if not _missing(cell)}
    if _textual(column):
        other = [cell for cell in seen if not isinstance(cell, str)]
        if other:
            raise ValueError(
                f"column {j} of X has both text and numbers ({other[0]!r}): make it all text"
            )
        return np.array(sorted(seen), dtype=object)
    highest = max((float(cell) for cell in seen), default=0.0)
    return np.arange(int(highest) + 1) if np.isfinite(highest) else np.arange(1)


def _codes(column: Any, names: Array, j: int) -> Array:
    """Codes of one column; numbers stay as they are where its categories are numbers."""
    cells = _cells(column).tolist()
    if not any(isinstance(name, str) for name in names):
        return np.array([np.nan if _missing(cell) else cell for cell in cells], dtype=float)
    places = {name: float(code) for code, name in enumerate(names)}
    try:
        return np.array([np.nan if _missing(cell) else places[cell] for cell in cells])
    except KeyError as error:
        raise ValueError(
            f"column {j} of X has the category {error.args[0]!r}, which the fit has not seen; it "
            f"knows {', '.join(map(repr, names[:10].tolist()))}{', ...' * (len(names) > 10)}"
        ) from None
