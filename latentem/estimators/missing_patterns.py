"""Which cells of a table are missing: patterns with their frequencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentem.estimators.imputer_columns import marker_of
from latentem.estimators.tables import text_table
from latentem.models.patterns import patterns_of

__all__ = ["MissingPatterns", "columns_of_pattern", "missing_patterns"]

Array = np.ndarray
#: Characters that the names of a pattern's columns may take on a line.
ROOM = 50


@dataclass(frozen=True, eq=False)
class MissingPatterns:
    """Patterns of missing cells, the most frequent first.

    Attributes
    ----------
    counts : (P,) int array
        Rows of each pattern.
    missing : (P, d) bool array
        The columns that it misses.
    names : tuple of str
        Names of the columns, x0, x1, ... where they have none.
    """

    counts: Array
    missing: Array
    names: tuple[str, ...]

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return int(self.counts.sum())

    @property
    def n_complete(self) -> int:
        """Rows without a missing cell."""
        return int(self.counts[~self.missing.any(axis=1)].sum())

    @property
    def shares(self) -> Array:
        """Share of the rows that each pattern has, (P,)."""
        return self.counts / self.n_rows

    @property
    def column_counts(self) -> Array:
        """Missing cells of each column, (d,)."""
        return self.counts @ self.missing

    @property
    def column_shares(self) -> Array:
        """Share of the cells of each column that is missing, (d,)."""
        return self.column_counts / self.n_rows

    def __len__(self) -> int:
        return len(self.counts)

    def to_frame(self) -> Any:
        """The patterns as a pandas DataFrame (needs pandas).

        Columns "rows" and "share" come first, then one for each column of the table, True
        where the pattern misses it.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("to_frame needs pandas: pip install 'latentem[pandas]'") from None
        frame = pandas.DataFrame(self.missing, columns=list(self.names))
        frame.insert(0, "rows", self.counts, allow_duplicates=True)
        frame.insert(1, "share", self.shares, allow_duplicates=True)
        return frame

    def summary(self, most: int = 10) -> str:
        """Missing cells of each column, and the `most` frequent patterns, as tables."""
        n, d = self.n_rows, len(self.names)
        lost, complete = int(self.column_counts.sum()), self.n_complete
        head = (
            f"{_count(n, 'row')}, {_count(d, 'column')}: {_count(lost, 'cell')} missing "
            f"({_percent(lost / (n * d))}), {_count(complete, 'row')} complete "
            f"({_percent(complete / n)})"
        )
        order = np.argsort(-self.column_counts, kind="stable")
        some = [j for j in order.tolist() if self.column_counts[j]]
        if not some:
            return head
        width = max(len("column"), *(len(self.names[j]) for j in some))
        lines = [head, "", self._of_columns(some[:most], width)]
        if len(some) > most:
            lines.append(f"and {_count(len(some) - most, 'more column')} with missing cells")
        lines += ["", _count(len(self), "pattern"), self._of_patterns(most)]
        if len(self) > most:
            rest = int(self.counts[most:].sum())
            lines.append(
                f"and {_count(len(self) - most, 'more pattern')}, with {_count(rest, 'row')}"
            )
        return "\n".join(lines)

    def _of_columns(self, columns: Sequence[int], width: int) -> str:
        names = ["column".ljust(width), *(self.names[j].ljust(width) for j in columns)]
        counts = ["missing", *(f"{self.column_counts[j]:,}" for j in columns)]
        shares = ["share", *(_percent(self.column_shares[j]) for j in columns)]
        return text_table([names, counts, shares])

    def _of_patterns(self, most: int) -> str:
        texts = [columns_of_pattern(self, p) for p in range(min(most, len(self)))]
        width = max(len("missing"), *map(len, texts))
        counts = ["rows", *(f"{count:,}" for count in self.counts[:most])]
        shares = ["share", *(_percent(share) for share in self.shares[:most])]
        return text_table(
            [counts, shares, ["missing".ljust(width), *(text.ljust(width) for text in texts)]]
        )

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__


def missing_patterns(X: Any, missing_values: Any = np.nan) -> MissingPatterns:
    """Which cells of a table are missing together.

    Parameters
    ----------
    X : array-like or frame (n_samples, n_features)
        Columns may hold text, dates or anything else.
    missing_values : NaN or number
        What marks a missing cell, besides NaN, None, pandas.NA, NaT and the mask of a
        masked array.

    Returns
    -------
    MissingPatterns
        Print it for the tables; `latentem.plot.patterns` draws it.

    Raises
    ------
    ValueError
        For anything but a table with rows and columns.

    Examples
    --------
    >>> from latentem import missing_patterns
    >>> from latentem.datasets import load_airquality
    >>> print(missing_patterns(load_airquality().to_frame()))
    153 rows, 6 columns: 44 cells missing (4.8 %), 111 rows complete (72.5 %)
    <BLANKLINE>
    column   missing   share
    Ozone         37  24.2 %
    Solar.R        7   4.6 %
    <BLANKLINE>
    4 patterns
    rows   share  missing
     111  72.5 %  none
      35  22.9 %  Ozone
       5   3.3 %  Solar.R
       2   1.3 %  Ozone, Solar.R
    """
    missing, names = _mask(X, marker_of(missing_values))
    found = patterns_of(missing)
    # Most rows first; of equals those that miss fewer cells, which is how they come.
    order = np.argsort(-found.counts, kind="stable")
    return MissingPatterns(found.counts[order], found.missing[order], names)


def columns_of_pattern(found: MissingPatterns, p: int) -> str:
    """Names of the columns that pattern p misses; of many the first, and how many more."""
    names = [found.names[j] for j in np.flatnonzero(found.missing[p]).tolist()]
    if not names:
        return "none"
    shown = 1
    while shown < len(names) and len(", ".join(names[: shown + 1])) <= ROOM:
        shown += 1
    text = ", ".join(names[:shown])
    return text if shown == len(names) else f"{text} and {len(names) - shown} more"


def _mask(X: Any, marker: float) -> tuple[Array, tuple[str, ...]]:
    """Which cells are missing, (n, d), and the names of the columns."""
    if hasattr(X, "to_frame") and getattr(X, "ndim", 1) == 1:  # a pandas or polars Series
        X = X.to_frame()
    if hasattr(X, "columns"):
        names = tuple(str(name) for name in X.columns)
        columns = [
            X.iloc[:, j] if hasattr(X, "iloc") else X[name] for j, name in enumerate(X.columns)
        ]
        cells = [_missing(np.asarray(column), marker) for column in columns]
        mask = np.column_stack(cells) if cells else np.empty((0, 0), dtype=bool)
    else:
        covered = np.ma.getmaskarray(X) if isinstance(X, np.ma.MaskedArray) else False
        try:
            values = np.asarray(X)
        except ValueError:
            raise ValueError("the rows of X differ in length") from None
        if values.ndim != 2:
            raise ValueError(f"X must be (n_samples, n_features), got {values.ndim} dimensions")
        mask = _missing(values, marker) | covered
        names = tuple(f"x{j}" for j in range(values.shape[1]))
    if not mask.size:
        raise ValueError(f"X has {len(mask)} rows and {len(names)} columns: there are no cells")
    return mask, names


def _missing(cells: Array, marker: float) -> Array:
    if cells.dtype.kind in "fc":
        lost = np.isnan(cells)
    elif cells.dtype.kind in "mM":
        lost = np.isnat(cells)
    elif cells.dtype.kind == "O":
        lost = np.frompyfunc(_is_missing, 1, 1)(cells).astype(bool)
    else:
        lost = np.zeros(cells.shape, dtype=bool)
    if math.isnan(marker) or cells.dtype.kind not in "fiubO":
        return lost
    return lost | np.equal(cells, marker, where=~lost, out=np.zeros(cells.shape, dtype=bool))


def _is_missing(cell: Any) -> bool:
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, float | np.floating) and math.isnan(cell)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
