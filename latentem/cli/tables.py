"""Tables of numbers from CSV and Parquet files, with a sentence for all that is left out."""

from __future__ import annotations

import gzip
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from latentem.cli.messages import BadInput, listed, named, plural

__all__ = [
    "MISSING",
    "Format",
    "Table",
    "chosen_columns",
    "columns_of_numbers",
    "layout",
    "numbers",
    "read_frame",
]

Array = np.ndarray

MISSING = ("", "NA", "NaN", "nan")
#: How much of a file is looked at to find its delimiter.
HEAD = 2**16


@dataclass(frozen=True)
class Format:
    """How a file is written; None is found out."""

    delimiter: str | None = None
    decimal: str = "."
    encoding: str | None = None
    header: bool = True
    missing: tuple[str, ...] = ()

    @classmethod
    def of(cls, args: Any) -> Format:
        """What the options of a command say."""
        missing = tuple(part.strip() for text in args.na for part in text.split(","))
        return cls(args.delimiter, args.decimal, args.encoding, not args.no_header, missing)


@dataclass(frozen=True)
class Table:
    """The numbers of a file that a model is fitted to.

    Attributes
    ----------
    X : DataFrame (rows used, columns), float64
    used : (rows in the file,) bool array
        The rows that were used: some cell of them was seen, and their weight.
    weights : (rows used,) array or None
    dropped : list of (column, reason)
        Columns left out.
    gaps : dict
        Missing cells of each column used that has some, in the rows used.
    """

    file: str
    X: Any
    used: Array
    weights: Array | None = None
    weights_name: str | None = None
    dropped: list[tuple[str, str]] = field(default_factory=list)
    gaps: dict[str, int] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of the columns that are used."""
        return list(self.X.columns)

    @property
    def rows_left_out(self) -> Array:
        """Their numbers; row 1 is the first below the header."""
        return np.flatnonzero(~self.used) + 1

    def messages(self) -> list[str]:
        """What was left out, a sentence each."""
        texts = [f"column {name!r} is left out: {reason}" for name, reason in self.dropped]
        rows = self.rows_left_out
        if len(rows):
            which = f"row{'' if len(rows) == 1 else 's'} {listed(rows)}"
            weight = "" if self.weights_name is None else ", or their weight is missing"
            texts.append(
                f"{len(rows):,} of {plural(len(self.used), 'row')} left out, because all their "
                f"cells are missing{weight}: {which}, counted below the header"
            )
        if self.gaps:
            where = listed(f"{named(name)} {count:,}" for name, count in self.gaps.items())
            texts.append(
                f"{plural(sum(self.gaps.values()), 'empty cell')} ({where}): rows count with what "
                "was seen of them"
            )
        return texts


def read_frame(path: str, form: Format) -> Any:
    """The file as a pandas DataFrame, with names that are text."""
    try:
        import pandas
    except ImportError:
        raise BadInput("tables are read with pandas: pip install 'latentem[cli]'") from None
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise BadInput(f"cannot read {path!r}: {(error.strerror or str(error)).lower()}") from None
    if head[:4] == b"PAR1":
        frame = _parquet(pandas, path, form)
    elif Path(path).suffix.lower() in (".parquet", ".pq"):
        raise BadInput(f"{path!r} is not a Parquet file, though its name says so")
    else:
        frame = _csv(pandas, path, head, form)
    frame.columns = [str(name) for name in frame.columns]
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise BadInput(f"{path!r} has two columns named {twice!r}: rename one")
    if not len(frame):
        raise BadInput(f"{path!r} has no rows below its header")
    return frame.reset_index(drop=True)


def _parquet(pandas: Any, path: str, form: Format) -> Any:
    try:
        frame = pandas.read_parquet(path)
    except ImportError:
        raise BadInput("Parquet is read with pyarrow: pip install 'latentem[cli]'") from None
    except Exception as error:  # pyarrow has many classes of errors
        raise BadInput(f"{path!r} is not a sound Parquet file: {_first_line(error)}") from None
    values = [float(text) for text in form.missing if _is_number(text)]
    for name in frame.columns if values else ():
        if pandas.api.types.is_numeric_dtype(frame[name]):
            frame[name] = frame[name].mask(frame[name].isin(values))
    return frame


def _csv(pandas: Any, path: str, head: bytes, form: Format) -> Any:
    separator, encoding, lines = _layout(path, head, form)
    if (
        form.header
        and len(lines) > 1
        and all(_is_number(cell) for cell in _split(lines[0], separator))
    ):
        raise BadInput(
            f"the first line of {path!r} holds only numbers, so it seems to have no names of "
            "columns: give --no-header, or put names there"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            frame = pandas.read_csv(
                path,
                sep=separator,
                decimal=form.decimal,
                encoding=encoding,
                header=0 if form.header else None,
                na_values=[*MISSING, *form.missing],
                keep_default_na=False,
                skipinitialspace=True,
                index_col=False,
                low_memory=False,
                compression="gzip" if head[:2] == b"\x1f\x8b" else None,
                **_exactly(pandas),
            )
    except pandas.errors.EmptyDataError:
        raise BadInput(f"{path!r} is empty") from None
    except pandas.errors.ParserWarning:
        raise BadInput(f"lines of {path!r} have more cells than its header has names") from None
    except UnicodeError:
        raise _not_text(path, encoding) from None
    except (ValueError, OSError, EOFError) as error:  # pandas' ParserError is a ValueError
        raise BadInput(f"cannot read {path!r} as a table: {_cells(error)}") from None
    if not form.header:
        frame.columns = [f"column{i + 1}" for i in range(frame.shape[1])]
    return frame


def layout(path: str, form: Format) -> tuple[str, str]:
    """The delimiter and the encoding of a file of text."""
    with Path(path).open("rb") as file:
        return _layout(path, file.read(HEAD), form)[:2]


def _layout(path: str, head: bytes, form: Format) -> tuple[str, str, list[str]]:
    """The delimiter, the encoding, and the first lines that are not blank."""
    lines, encoding = _first_lines(path, head, form)
    return form.delimiter or _delimiter(lines), encoding, lines


def _exactly(pandas: Any) -> dict[str, str]:
    """The option that reads numbers to the last bit, which pandas does by itself from 3.1 on."""
    version = tuple(int(part) for part in re.findall(r"\d+", pandas.__version__)[:2])
    return {"float_precision": "round_trip"} if version < (3, 1) else {}


def _first_lines(path: str, head: bytes, form: Format) -> tuple[list[str], str]:
    """The first lines that are not blank, and the encoding of the file."""
    if head[:2] == b"\x1f\x8b":
        try:
            with gzip.open(path) as file:
                head = file.read(HEAD)
        except (OSError, EOFError):
            raise BadInput(f"{path!r} is a damaged gzip file") from None
    if head[:2] == b"PK":
        raise BadInput(f"{path!r} is a zip or Excel file: save the sheet as CSV")
    wide = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    encoding = form.encoding or ("utf-16" if wide else "utf-8-sig")
    if b"\0" in head and not encoding.startswith(("utf-16", "utf-32")):
        raise BadInput(f"{path!r} is not a text file")
    try:
        # The last character may be cut in two.
        text = head.decode(encoding, "strict" if len(head) < HEAD else "ignore")
    except UnicodeError:
        raise _not_text(path, encoding) from None
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    if not lines:
        raise BadInput(f"{path!r} is empty")
    return lines[:-1] if len(head) == HEAD and len(lines) > 1 else lines, encoding


def _not_text(path: str, encoding: str) -> BadInput:
    name = "UTF-8" if encoding == "utf-8-sig" else encoding
    return BadInput(f"{path!r} is not {name} text: give its --encoding, such as latin-1 or cp1252")


def _delimiter(lines: Sequence[str]) -> str:
    """The delimiter that the first line has most of; blanks if the lines agree on them."""
    bare = re.sub(r'"[^"]*"', "", lines[0])
    best = max(",;\t|", key=bare.count)
    if bare.count(best):
        return best
    widths = {len(line.split()) for line in lines[:20]}
    return r"\s+" if len(widths) == 1 and widths != {1} else ","


def _split(line: str, separator: str) -> list[str]:
    return line.split() if separator == r"\s+" else line.split(separator)


def _is_number(text: str) -> bool:
    try:
        float(text.strip().strip('"'))
    except ValueError:
        return False
    return True


def _cells(error: BaseException) -> str:
    match = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
    if match is None:
        return _first_line(error)
    return f"line {match[2]} has {match[3]} cells, and the lines before it have {match[1]}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


# ------------------------------------------------------------------------- what a model can use


def numbers(
    frame: Any, file: str, columns: Sequence[str] = (), weights: str | None = None
) -> Table:
    """The columns of numbers, or those of them that are asked for, in rows with a cell seen.

    Parameters
    ----------
    frame : DataFrame
    file : str
        Its name in messages.
    columns : sequence of str
        Names, or names with commas between them; empty for all columns of numbers.
    weights : str, optional
        The column of the rows' weights.
    """
    chosen = chosen_columns(frame, file, columns, weights)
    kept, dropped = columns_of_numbers(frame, file, chosen, weights)
    cells = dict(kept)
    if weights is not None:
        cells[weights] = _weights(frame, weights, file)
    seen = np.any([~np.isnan(values) for values in kept.values()], axis=0)
    present = seen if weights is None else seen & (cells[weights] > 0)
    if not present.any():
        raise BadInput(f"no row of {file!r} has both a weight and a cell that is seen")
    kept, constant = _varying(kept, present, file)
    dropped += constant
    used = np.any([~np.isnan(values) for values in kept.values()], axis=0)
    used &= True if weights is None else ~np.isnan(cells[weights])
    X = type(frame)({name: values[used] for name, values in kept.items()})
    gaps = {name: int(np.isnan(values[used]).sum()) for name, values in kept.items()}
    return Table(
        file=file,
        X=X,
        used=used,
        weights=None if weights is None else cells[weights][used],
        weights_name=weights,
        dropped=dropped,
        gaps={name: count for name, count in gaps.items() if count},
    )


def columns_of_numbers(
    frame: Any, file: str, chosen: Sequence[str], other: str | None = None
) -> tuple[dict[str, Array], list[tuple[str, str]]]:
    """The columns of numbers by their names, and those left out with the reason.

    Parameters
    ----------
    frame : DataFrame
    file : str
    chosen : sequence of str
        Columns that must be numbers; empty for all that are.
    other : str, optional
        A column that is not data.
    """
    dropped: list[tuple[str, str]] = []
    kept: dict[str, Array] = {}
    for name in chosen or [name for name in frame.columns if name != other]:
        reason = unfit(frame, name, named=bool(chosen))
        if reason is None:
            kept[name] = floats(frame, name)
        elif chosen:
            raise BadInput(f"column {name!r} of {file!r} cannot be used: {reason}")
        else:
            dropped.append((name, reason))
    if not kept:
        raise BadInput(
            f"{file!r} has no column of numbers; "
            + "; ".join(f"{name!r}: {reason}" for name, reason in dropped[:5])
        )
    return kept, dropped


def _varying(
    kept: dict[str, Array], present: Array, file: str
) -> tuple[dict[str, Array], list[tuple[str, str]]]:
    """The columns that vary over the rows used, and the others with the reason."""
    rows = int(present.sum())
    seen = {name: values[present & ~np.isnan(values)] for name, values in kept.items()}
    constant = {name: values[:1] for name, values in seen.items() if len(np.unique(values)) < 2}
    if len(constant) == len(kept):
        many = f"no column of {file!r} varies over the {rows:,} rows that can be used"
        raise BadInput(
            (f"only 1 row of {file!r} can be used" if rows == 1 else many)
            + ": a mixture needs rows that differ"
        )
    varying = {name: values for name, values in kept.items() if name not in constant}
    return varying, [
        (
            name,
            f"it is constant, {value[0]:.15g} in each of the {len(seen[name]):,} rows that show it"
            if len(value)
            else "no row that is used shows it",
        )
        for name, value in constant.items()
    ]


def chosen_columns(frame: Any, file: str, columns: Sequence[str], weights: str | None) -> list[str]:
    """The names that are asked for, all of them in the file; empty where none are."""
    names: list[str] = []
    for text in columns:
        names += [text] if text in frame.columns else [part.strip() for part in text.split(",")]
    for name in [*names, *([] if weights is None else [weights])]:
        if name not in frame.columns:
            raise BadInput(
                f"{file!r} has no column {name!r}: it has {listed(map(repr, frame.columns), 20)}"
            )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise BadInput(f"--columns names {twice[0]!r} twice")
    if weights in names:
        raise BadInput(f"column {weights!r} cannot be both data and weights")
    return names


def unfit(frame: Any, name: str, named: bool) -> str | None:
    """Why a column cannot be used as numbers, or None."""
    from pandas.api import types

    column = frame[name]
    if column.isna().all():
        return "all its cells are missing"
    if types.is_bool_dtype(column):
        return "it holds true and false, not numbers"
    if types.is_datetime64_any_dtype(column):
        return "it holds dates, not numbers"
    if types.is_complex_dtype(column):
        return "it holds complex numbers"
    if not types.is_numeric_dtype(column):
        return _not_numbers(column)
    if not named and name.startswith("Unnamed: ") and _counts_rows(column):
        return "it has no name and counts the rows"
    return None


def _not_numbers(column: Any) -> str:
    texts = column.dropna().astype(str).str.strip()
    wrong = [i for i, text in zip(texts.index, texts, strict=True) if not _is_number(text)]
    if not wrong:
        return f"it holds values of type {type(column.dropna().iloc[0]).__name__}, not numbers"
    if all(re.fullmatch(r"[-+]?\d*,\d+", texts[i]) for i in wrong):
        return f"it has numbers with a comma, such as {texts[wrong[0]]!r}: give --decimal ,"
    reason = f"row {wrong[0] + 1} holds {texts[wrong[0]][:40]!r}, not a number"
    same = set(texts[wrong])
    if len(same) == 1 and len(wrong) < len(texts):
        reason += f" (if that means missing, give --na {same.pop()!r})"
    return reason


def _counts_rows(column: Any) -> bool:
    values = column.to_numpy()
    return values.dtype.kind in "iu" and bool(np.all(np.diff(values) == 1)) and values[0] in (0, 1)


def floats(frame: Any, name: str) -> Array:
    """A column of numbers, NaN where a cell is missing."""
    values = frame[name].to_numpy(dtype=float, na_value=np.nan)
    if np.any(np.isinf(values)):
        raise BadInput(
            f"column {name!r} holds infinity in row {np.argmax(np.isinf(values)) + 1}: correct it, "
            "or leave the column out with --columns"
        )
    return values


def _weights(frame: Any, name: str, file: str) -> Array:
    reason = unfit(frame, name, named=True)
    if reason is not None:
        raise BadInput(f"column {name!r} of {file!r} cannot be weights: {reason}")
    values = floats(frame, name)
    if np.any(values < 0):
        row = int(np.argmax(values < 0))
        raise BadInput(
            f"column {name!r} cannot be weights: row {row + 1} has {values[row]:g}, and weights "
            "are 0 or more"
        )
    if not np.nansum(values) > 0:
        raise BadInput(f"column {name!r} cannot be weights: it is zero in every row")
    return values
