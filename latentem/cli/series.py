"""Rows that follow each other, from a table: sequences with missing observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentem.cli.messages import BadInput, listed, named, plural
from latentem.cli.tables import chosen_columns, columns_of_numbers

__all__ = ["Series", "series"]

Array = np.ndarray


@dataclass(frozen=True)
class Series:
    """The sequences of a file, one after the other.

    Attributes
    ----------
    X : DataFrame (rows, columns), float64
        NaN where nothing was observed.
    lengths : (sequences,) int array
    order : (rows,) int array
        Where in the file each row of X stands.
    ids : list
        What names each sequence.
    """

    file: str
    X: Any
    lengths: Array
    order: Array
    ids: list[Any]
    sequence_name: str | None
    dropped: list[tuple[str, str]]

    @property
    def names(self) -> list[str]:
        """Names of the columns that are used."""
        return list(self.X.columns)

    @property
    def gaps(self) -> dict[str, int]:
        """Missing cells of each column that has some."""
        counts = {name: int(self.X[name].isna().sum()) for name in self.names}
        return {name: count for name, count in counts.items() if count}

    def messages(self) -> list[str]:
        """What was left out or is missing, a sentence each."""
        texts = [f"column {name!r} is left out: {reason}" for name, reason in self.dropped]
        if self.gaps:
            where = listed(f"{named(name)} {count:,}" for name, count in self.gaps.items())
            texts.append(
                f"{plural(sum(self.gaps.values()), 'empty cell')} ({where}): observations that "
                "were not made; their rows keep their places"
            )
        return texts


def series(
    frame: Any, file: str, columns: Sequence[str] = (), sequence_column: str | None = None
) -> Series:
    """The columns of numbers, or those of them that are asked for, as sequences.

    Parameters
    ----------
    frame : DataFrame
    file : str
        Its name in messages.
    columns : sequence of str
        Names, or names with commas between them; empty for all columns of numbers.
    sequence_column : str, optional
        Rows with the same value there are a sequence.
    """
    if sequence_column is not None and sequence_column not in frame.columns:
        raise BadInput(
            f"{file!r} has no column {sequence_column!r}: it has "
            f"{listed(map(repr, frame.columns), 20)}"
        )
    chosen = chosen_columns(frame, file, columns, None)
    if sequence_column in chosen:
        raise BadInput(f"column {sequence_column!r} cannot be both data and name of a sequence")
    kept, dropped = columns_of_numbers(frame, file, chosen, sequence_column)
    order, lengths, ids = _sequences(frame, file, sequence_column)
    X = type(frame)({name: values[order] for name, values in kept.items()})
    return Series(file, X, lengths, order, ids, sequence_column, dropped)


def _sequences(frame: Any, file: str, column: str | None) -> tuple[Array, Array, list[Any]]:
    """The rows in the order of their sequences, the lengths of these, and their names."""
    n = len(frame)
    if column is None:
        return np.arange(n), np.array([n]), [None]
    values = frame[column]
    if values.isna().any():
        row = int(np.argmax(values.isna().to_numpy())) + 1
        raise BadInput(
            f"column {column!r} of {file!r} is empty in row {row}: name the sequence of every row"
        )
    codes, ids = values.factorize()
    return np.argsort(codes, kind="stable"), np.bincount(codes), list(ids)
