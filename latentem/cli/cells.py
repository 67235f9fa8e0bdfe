"""A file of text as it is written, cell by cell, so that single cells can be replaced.

All that is not replaced keeps every character: quotes, blanks, ends of lines, the byte
order mark. Cells are told apart as `tables.read_frame` tells them.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentem.cli.messages import BadInput
from latentem.cli.tables import MISSING, Format, layout

__all__ = ["WrittenTable", "written_table"]

Span = tuple[int, int]
#: Encodings that swallow a byte order mark, and what they are without that.
PLAIN = {"utf-8-sig": "utf-8", "utf_8_sig": "utf-8"}


@dataclass(frozen=True)
class WrittenTable:
    """The text of a file, and where its cells are.

    Attributes
    ----------
    text : str
    encoding : str
    delimiter : str
    decimal : str
    rows : list of list of (begin, end)
        Cells of each row below the header, quotes included, leading blanks not. A row
        may have fewer cells than the table has columns.
    """

    text: str
    encoding: str
    delimiter: str
    decimal: str
    rows: list[list[Span]]

    def cell(self, row: int, column: int) -> str | None:
        """What stands in a cell, without its quotes; None where the row is too short."""
        if column >= len(self.rows[row]):
            return None
        begin, end = self.rows[row][column]
        text = self.text[begin:end]
        return text[1:-1] if _quoted(text) else text

    def replaced(self, values: Mapping[tuple[int, int], str], width: int) -> bytes:
        """The file with new text in the cells (row, column); `width` is the number of columns."""
        edits: list[tuple[Span, str]] = []
        short: dict[int, dict[int, str]] = {}
        for (row, column), value in values.items():
            if column >= len(self.rows[row]):
                short.setdefault(row, {})[column] = self._written(value, False)
                continue
            begin, end = self.rows[row][column]
            edits.append(((begin, end), self._written(value, self.text[begin:end][:1] == '"')))
        for row, cells in short.items():
            end = self.rows[row][-1][1]
            missing = range(len(self.rows[row]), width)
            more = "".join(self.delimiter + cells.get(column, "") for column in missing)
            edits.append(((end, end), more))
        parts, done = [], 0
        for (begin, end), value in sorted(edits, key=lambda edit: edit[0]):
            parts += [self.text[done:begin], value]
            done = end
        return "".join([*parts, self.text[done:]]).encode(self.encoding)

    def _written(self, value: str, quoted: bool) -> str:
        value = value.replace(".", self.decimal)
        return f'"{value}"' if quoted or self.delimiter in value else value


def written_table(path: str, form: Format, frame: Any) -> WrittenTable:
    """The cells of a file that was read as `frame`.

    Raises
    ------
    BadInput
        Where they cannot be told apart as they were read.
    """
    separator, encoding = layout(path, form)
    data = Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    encoding = PLAIN.get(encoding, encoding)
    if encoding.replace("_", "-") == "utf-16":  # the mark is kept as a character
        encoding = "utf-16-be" if data[:2] == b"\xfe\xff" else "utf-16-le"
    text = data.decode(encoding)
    rows = _cells(text, separator)[1 if form.header else 0 :]
    delimiter = " " if separator == r"\s+" else separator
    table = WrittenTable(text, encoding, delimiter, form.decimal, rows)
    if len(rows) != len(frame):
        raise BadInput(
            f"the lines of {path!r} cannot be told apart: {len(frame):,} rows were read, and "
            f"{len(rows):,} are seen. Write it again with a plain delimiter and quotes"
        )
    _check(table, path, form, frame)
    return table


def _check(table: WrittenTable, path: str, form: Format, frame: Any) -> None:
    """Refuse a table whose missing cells do not lie where they were read."""
    marks = {*MISSING, *form.missing, None}
    numbers = {float(mark) for mark in form.missing if _number(mark) is not None}
    lost = frame.isna().to_numpy()
    for column, name in enumerate(frame.columns):
        whole = numbers if frame[name].dtype.kind in "fiu" else set()
        for row in range(len(frame)):
            text = table.cell(row, column)
            marked = text in marks or (bool(whole) and _number(text) in whole)
            if bool(lost[row, column]) != marked:
                raise BadInput(
                    f"the cells of {path!r} cannot be told apart in row {row + 1}, column "
                    f"{name!r}: write it again with a plain delimiter and quotes"
                )


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _cells(text: str, separator: str) -> list[list[Span]]:
    """Where the cells of each line are; blank lines are none."""
    return _between_blanks(text) if separator == r"\s+" else _between(text, separator)


def _between(text: str, delimiter: str) -> list[list[Span]]:
    mark = re.escape(delimiter)
    blank = " " if delimiter == "\t" else r" \t"
    pattern = re.compile(
        rf'[{blank}]*(?P<cell>"(?:[^"]|"")*"?[^{mark}\r\n]*|[^{mark}\r\n]*)'
        rf"(?P<end>{mark}|\r\n|\r|\n|\Z)"
    )
    rows: list[list[Span]] = []
    row: list[Span] = []
    at = 1 if text[:1] == "\ufeff" else 0
    while at <= len(text):
        match = pattern.match(text, at)
        assert match is not None  # the pattern takes anything
        row.append(match.span("cell"))
        at = match.end()
        if match["end"] != delimiter:
            begin, end = row[0]
            if len(row) > 1 or end > begin:
                rows.append(row)
            row = []
            if not match["end"]:
                break
    return rows


def _between_blanks(text: str) -> list[list[Span]]:
    rows, begin = [], 1 if text[:1] == "\ufeff" else 0
    for line in re.split(r"(\r\n|\r|\n)", text[begin:]):
        cells = [
            (begin + match.start(), begin + match.end())
            for match in re.finditer(r'"(?:[^"]|"")*"\S*|\S+', line)
        ]
        rows += [cells] if cells else []
        begin += len(line)
    return rows


def _quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] == '"'
