"""A table with missing cells, and the file that it becomes when they are filled."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentem.cli.cells import WrittenTable, written_table
from latentem.cli.messages import BadInput, listed, named, plural
from latentem.cli.tables import Format, chosen_columns, columns_of_numbers, read_frame

__all__ = ["Gaps", "gaps"]

Array = np.ndarray
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class Gaps:
    """The numbers of a file, and the file itself.

    Attributes
    ----------
    frame : DataFrame
        All columns, as they were read.
    X : DataFrame (rows, columns), float64
        The columns that are imputed, NaN in missing cells.
    dropped : list of (column, reason)
        Columns that are left as they are.
    whole : list of str
        Columns of X with missing cells whose observed cells are whole numbers.
    written : WrittenTable or None
        The text of the file; None for Parquet.
    """

    file: str
    frame: Any
    X: Any
    dropped: list[tuple[str, str]]
    whole: list[str]
    written: WrittenTable | None

    @property
    def names(self) -> list[str]:
        """Names of the columns that are imputed."""
        return list(self.X.columns)

    @property
    def missing(self) -> dict[str, int]:
        """Missing cells of each column that is imputed and has some."""
        counts = {name: int(self.X[name].isna().sum()) for name in self.names}
        return {name: count for name, count in counts.items() if count}

    @property
    def left(self) -> dict[str, int]:
        """Missing cells of the columns that are left as they are."""
        counts = {name: int(self.frame[name].isna().sum()) for name, _ in self.dropped}
        return {name: count for name, count in counts.items() if count}

    def messages(self) -> list[str]:
        """What is left as it is, a sentence each."""
        texts = [f"column {name!r} is left as it is: {reason}" for name, reason in self.dropped]
        if self.left:
            where = listed(f"{named(name)} {count:,}" for name, count in self.left.items())
            texts.append(
                f"{plural(sum(self.left.values()), 'missing cell')} of those columns cannot be "
                f"filled ({where}): they keep the mark they have"
            )
        return texts

    def check_suffix(self, path: Path) -> None:
        """BadInput for a file of another kind than the data."""
        if (path.suffix.lower() in PARQUET) == (self.written is None):
            return
        kind, fix = (
            ("Parquet", "end its name in .parquet")
            if self.written is None
            else ("text", "end its name in .csv")
        )
        raise BadInput(f"the data are {kind}, and so is the filled table: {fix}, not {path.name!r}")

    def filled(self, values: Array, path: Path, rounded: bool) -> bytes:
        """The file with its missing cells filled; observed cells are as they were.

        Parameters
        ----------
        values : (n, d) array
            The cells of X, of which the missing ones are used.
        path : Path
            What the file will be called: ``.gz`` is compressed.
        rounded : bool
            Whether columns of whole numbers get whole numbers.
        """
        if self.written is None:
            return self._parquet(values, rounded)
        lost = self.X.isna().to_numpy()
        places = {name: place for place, name in enumerate(self.frame.columns)}
        cells = {}
        for j, name in enumerate(self.names):
            whole = rounded and name in self.whole
            for i in np.flatnonzero(lost[:, j]).tolist():
                value = float(values[i, j])
                cells[i, places[name]] = str(round(value)) if whole else repr(value)
        data = self.written.replaced(cells, len(places))
        return gzip.compress(data, mtime=0) if path.suffix.lower() == ".gz" else data

    def _parquet(self, values: Array, rounded: bool) -> bytes:
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(self.file)
        lost = self.X.isna().to_numpy()
        changed = []
        for j, name in enumerate(self.names):
            if not lost[:, j].any():
                continue
            place = [str(other) for other in table.column_names].index(name)
            column = table.column(place).combine_chunks()
            whole = rounded and name in self.whole
            new = values[:, j].round() if whole else values[:, j]
            kind = column.type
            if not (pyarrow.types.is_floating(kind) or whole):
                kind = pyarrow.float64()
                changed.append(table.column_names[place])
            fill = pyarrow.array(np.where(lost[:, j], new, 0.0)).cast(kind)
            mask = pyarrow.array(lost[:, j])
            kept = pyarrow.compute.if_else(mask, fill, column.cast(kind))
            table = table.set_column(place, table.column_names[place], kept)
        table = table.replace_schema_metadata(_of_floats(table.schema.metadata, changed))
        stream = io.BytesIO()
        pyarrow.parquet.write_table(table, stream)
        return stream.getvalue()


def _of_floats(metadata: dict[bytes, bytes] | None, changed: Sequence[str]) -> Any:
    """Metadata of a schema in which what pandas wrote tells that these columns are float64 now.

    Else pandas would make the types of the columns before they were filled, and fail.
    """
    if not metadata or b"pandas" not in metadata:
        return metadata
    told = json.loads(metadata[b"pandas"])
    for column in told.get("columns", []):
        if column.get("field_name", column.get("name")) in changed:
            column.update(pandas_type="float64", numpy_type="float64", metadata=None)
    return {**metadata, b"pandas": json.dumps(told).encode()}


def gaps(path: str, form: Format, columns: Sequence[str] = ()) -> Gaps:
    """A file with missing cells; by default all its columns of numbers are imputed.

    Parameters
    ----------
    path : str
    form : Format
    columns : sequence of str
        Names, or names with commas between them.
    """
    frame = read_frame(path, form)
    chosen = chosen_columns(frame, path, columns, None)
    kept, dropped = columns_of_numbers(frame, path, chosen)
    if chosen:
        dropped = [(name, "it is not named by --columns") for name in frame if name not in kept]
    with Path(path).open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    written = None if parquet else written_table(path, form, frame)
    X = type(frame)(kept)
    places = {name: place for place, name in enumerate(frame.columns)}
    whole = [name for name in X if X[name].isna().any() and _whole(X[name], written, places[name])]
    return Gaps(path, frame, X, dropped, whole, written)


def _whole(column: Any, written: WrittenTable | None, place: int) -> bool:
    """Whether the observed cells are whole numbers, and written so."""
    seen = np.flatnonzero(column.notna())
    if not np.all(column.to_numpy()[seen] % 1 == 0):
        return False
    if written is None:
        return True
    texts = (written.cell(row, place) or "" for row in seen.tolist())
    return all(re.fullmatch(r"\s*[-+]?\d+\s*", text) for text in texts)
