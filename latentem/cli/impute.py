"""``latentem impute DATA``: fill the missing cells of a table, and say how sure that is."""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

from latentem.cli.arguments import add_format, add_stop, counts, whole
from latentem.cli.messages import BadInput, say, watched, writable

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "NAME", "USAGE", "add_arguments", "run"]

NAME = "impute"
USAGE = "latentem impute DATA [-o FILLED] [OPTION ...]"
HELP = "fill the missing cells of a table, and say how sure that is"
DESCRIPTION = """\
Fit a distribution to the columns of numbers of a CSV or Parquet file, from all cells
that are there, and fill each missing cell with its mean given the rest of its row.
Cells that are there are written as they stand in the file; so are columns of text.
With --draws the table is filled several times, for standard errors that count what
is missing."""
EPILOG = """\
Exit codes: 0 all is well; 2 wrong arguments or data; 3 the fit has not converged or
is degenerate. Results go to standard output, messages and progress to standard error.

Examples:
  latentem impute data.csv -o filled.csv
  latentem impute data.csv -o filled.csv --draws 20 --report report.md
  latentem impute data.csv --na=-99 --columns height,weight --json"""

SETTINGS = (
    "model", "components", "starts", "prior", "draws", "round", "seed", "max_iter", "tol",
)  # fmt: skip
MODELS = ("normal", "mixture", "factor")
PRIORS = ("ridge", "jeffreys", "inverse-wishart")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("data", metavar="DATA", help="a CSV file (gzip too) or a Parquet file")
    model = parser.add_argument_group("the model")
    add = model.add_argument
    add("--model", choices=MODELS, default="normal", help="of the rows (default normal)")
    add(
        "--components",
        type=counts,
        metavar="1:5",
        help="of the mixture, or factors; BIC chooses among them (default 1:5)",
    )
    add(
        "--starts",
        type=whole(1),
        default=3,
        metavar="N",
        help="fits of each mixture or factor model from different starts (default 3)",
    )
    add("--prior", choices=PRIORS, help="of the covariance, for few rows: ridge (default none)")
    add(
        "--draws",
        type=whole(2),
        metavar="M",
        help="fill the table M times with draws, into files beside that of -o",
    )
    add(
        "--seed",
        type=whole(0),
        default=0,
        metavar="N",
        help="of starts and draws; the same seed gives the same result (default 0)",
    )
    add_stop(model)
    data = parser.add_argument_group("the data")
    add = data.add_argument
    add(
        "--columns",
        action="append",
        default=[],
        metavar="a,b",
        help="columns to use and to fill (default all that hold numbers)",
    )
    add_format(data)
    out = parser.add_argument_group("what to write")
    add = out.add_argument
    add("-o", "--out", metavar="filled.csv", help="the table with its missing cells filled")
    add("--round", action="store_true", help="whole numbers in columns of whole numbers")
    add("--report", metavar="report.md", help="all that is printed and more, in Markdown")
    add("--plot", metavar="patterns.png", help="which cells are missing together")
    add("--save", metavar="model.npz", help="the model, for latentem.load")
    add("--json", action="store_true", help="print JSON in place of text")


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    _check(args)
    files = _files(args)
    table = _table(args)
    if "out" in files:
        table.check_suffix(files["out"])
    for text in table.messages():
        say(text)
    from latentem.cli.impute_printing import as_json, as_text
    from latentem.cli.imputing import imputed

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = imputed(table, args, watched())
    for text in _told(caught, found):
        say(text)
    _write(args, files, table, found)
    if args.json:
        settings = {name: getattr(args, name) for name in SETTINGS}
        print(json.dumps(as_json(table, found, settings, files), indent=2, allow_nan=False))
    else:
        print(as_text(table, found, files, args.round))
    return 0 if found.sound else 3


def _check(args: argparse.Namespace) -> None:
    """Refuse options of another model."""
    if args.model == "normal" and args.components is not None:
        raise BadInput("--components is for --model mixture and factor: leave it out")
    for name in ("prior", "draws"):
        if args.model != "normal" and getattr(args, name) is not None:
            raise BadInput(f"--{name} is for --model normal, not {args.model}: leave it out")


def _files(args: argparse.Namespace) -> dict[str, Path]:
    """The files to write, checked before any work is done."""
    files: dict[str, Path] = {}
    for name in ("out", "report", "save"):
        if getattr(args, name) is not None:
            files[name] = writable(getattr(args, name))
    if args.plot is not None:
        from latentem.cli.figure import suffixes

        files["plot"] = writable(args.plot, suffixes())
    if args.draws is not None:
        if "out" not in files:
            raise BadInput("--draws writes files beside that of -o: give -o filled.csv")
        files |= {f"draw_{i + 1}": path for i, path in enumerate(_beside(files["out"], args.draws))}
    places = [path.resolve() for path in files.values()]
    if len(set(places)) < len(places):
        raise BadInput("-o, --report, --plot and --save must be different files")
    if Path(args.data).resolve() in places:
        raise BadInput(f"{args.data!r} is the data: it is not overwritten")
    return files


def _beside(out: Path, m: int) -> list[Path]:
    """filled.csv -> filled_01.csv, filled_02.csv, ..."""
    suffix = out.suffix
    if suffix == ".gz":
        suffix = out.with_suffix("").suffix + suffix
    stem, width = out.name.removesuffix(suffix), max(2, len(str(m)))
    return [writable(str(out.with_name(f"{stem}_{i + 1:0{width}}{suffix}"))) for i in range(m)]


def _table(args: argparse.Namespace) -> Any:
    from latentem.cli.gaps import gaps
    from latentem.cli.tables import Format

    return gaps(args.data, Format.of(args), args.columns)


def _told(caught: list[warnings.WarningMessage], found: Any) -> list[str]:
    """Sentences of warnings that the results do not repeat."""
    notes = () if found.result is None else found.result.degenerate
    known = (*found.degenerate, *notes, "EM stopped at", "EM did not converge")
    texts = dict.fromkeys(str(warning.message) for warning in caught)
    return [text for text in texts if not text.startswith(known)]


def _write(args: argparse.Namespace, files: dict[str, Path], table: Any, found: Any) -> None:
    from latentem.engine.archive import atomically

    try:
        if "out" in files:
            with atomically(files["out"]) as file:
                file.write(table.filled(found.values, files["out"], args.round))
        for i, values in enumerate(found.draws):
            path = files[f"draw_{i + 1}"]
            with atomically(path) as file:
                file.write(table.filled(values, path, args.round))
        if "save" in files:
            found.model.save(files["save"])
        if "plot" in files:
            from latentem.cli.figure import draw_patterns

            draw_patterns(found.patterns, files["plot"])
        if "report" in files:
            from latentem.cli.impute_report import report

            text = report(table, found, files, args.round)
            with atomically(files["report"]) as file:
                file.write(text.encode())
    except OSError as error:
        raise BadInput(f"cannot write {error.filename!r}: {error.strerror}") from None
