"""A small data set as a value, and the reader of the files that come with the package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

__all__ = ["Dataset", "read"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Dataset:
    """Real or simulated data with names, units and provenance.

    Attributes
    ----------
    data : ndarray of shape (n, d)
        The rows, float64; NaN marks a missing cell.
    columns : tuple of str
        A name for each column.
    description : str
        What was measured, in a sentence or two.
    source : str
        Where the data come from.
    weights : ndarray of shape (n,), or None
        How often each row was seen, where the data are a table of frequencies:
        pass it as ``sample_weight``.
    units : tuple of str
        The unit of each column, "" where there is none.

    Examples
    --------
    >>> from latentem.datasets import load_faithful
    >>> faithful = load_faithful()
    >>> faithful.data.shape, faithful.columns
    ((272, 2), ('eruptions', 'waiting'))
    >>> float(faithful["waiting"].max())
    96.0
    >>> faithful[["waiting"]].shape
    (272, 1)
    """

    data: Array
    columns: tuple[str, ...]
    description: str
    source: str
    weights: Array | None = None
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if np.ndim(self.data) != 2 or len(self.columns) != self.data.shape[1]:
            raise ValueError(
                f"data must be 2-D with a name for each column: its shape is "
                f"{np.shape(self.data)} and there are {len(self.columns)} names"
            )
        if self.weights is not None and len(self.weights) != len(self.data):
            raise ValueError(f"{len(self.weights)} weights for {len(self.data)} rows")
        if self.units and len(self.units) != len(self.columns):
            raise ValueError(f"{len(self.units)} units for {len(self.columns)} columns")

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, names: str | list[str]) -> Array:
        """One column by name, (n,); or several by a list of names, (n, number of names)."""
        if isinstance(names, str):
            return self.data[:, self._index(names)]
        return self.data[:, [self._index(name) for name in names]]

    def _index(self, name: str) -> int:
        if name not in self.columns:
            raise KeyError(f"no column {name!r}: the columns are {', '.join(self.columns)}")
        return self.columns.index(name)

    @property
    def labels(self) -> tuple[str, ...]:
        """Column names with their units, as the axes of a figure show them."""
        units = self.units or ("",) * len(self.columns)
        return tuple(f"{c} ({u})" if u else c for c, u in zip(self.columns, units, strict=True))

    def to_frame(self) -> Any:
        """The data as a pandas DataFrame; weights, if any, as a last column "weight"."""
        try:
            import pandas
        except ImportError:
            raise ImportError("to_frame needs pandas: pip install 'latentem[pandas]'") from None
        frame = pandas.DataFrame(self.data, columns=list(self.columns))
        return frame if self.weights is None else frame.assign(weight=self.weights)

    def __repr__(self) -> str:
        n, d = self.data.shape
        missing = int(np.isnan(self.data).sum())
        parts = [f"{n} rows", f"{d} column{'s' * (d > 1)}: {', '.join(self.columns)}"]
        parts += [f"{missing} cells missing"] if missing else []
        parts += [f"weights sum to {self.weights.sum():g}"] if self.weights is not None else []
        return f"Dataset({'; '.join(parts)})"


def read(
    name: str,
    description: str,
    source: str,
    units: tuple[str, ...] = (),
    weights: str | None = None,
) -> Dataset:
    """A bundled CSV file as a new `Dataset`; an empty cell is NaN.

    Parameters
    ----------
    name : str
        File name without ``.csv``.
    description, source, units
        See `Dataset`; `units` without the weights' column.
    weights : str, optional
        The column that holds the weights: it leaves the data.
    """
    text = files("latentem.datasets").joinpath("data", f"{name}.csv").read_text("utf-8")
    header, *lines = text.split()
    columns = tuple(header.split(","))
    rows = [[float(cell) if cell else np.nan for cell in line.split(",")] for line in lines]
    data = np.array(rows)
    counts = None
    if weights is not None:
        at = columns.index(weights)
        counts = data[:, at].copy()
        data = np.delete(data, at, axis=1)
        columns = columns[:at] + columns[at + 1 :]
    return Dataset(np.ascontiguousarray(data), columns, description, source, counts, units)
