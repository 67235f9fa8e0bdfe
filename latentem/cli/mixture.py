"""``latentem mixture DATA``: choose and fit a Gaussian mixture."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from latentem.cli.arguments import add_format, add_stop, choices, counts, whole
from latentem.cli.messages import BadInput, say, watched, writable

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "NAME", "USAGE", "add_arguments", "run"]

NAME = "mixture"
USAGE = "latentem mixture DATA [OPTION ...]"
HELP = "choose and fit a Gaussian mixture to a table"
DESCRIPTION = """\
Fit Gaussian mixtures to the columns of numbers of a CSV or Parquet file, choose the
number of components and the kind of covariance, and print the table of candidates,
the chosen model, and whether it converged."""
EPILOG = """\
Exit codes: 0 all is well; 2 wrong arguments or data; 3 the chosen model has not
converged or is degenerate. Results go to standard output, messages and progress to
standard error.

Examples:
  latentem mixture data.csv
  latentem mixture data.csv --columns height,weight --components 1:5 --plot fit.png
  latentem mixture data.csv --json --assign labels.csv --out model.npz"""

SETTINGS = ("criterion", "seed", "starts", "max_iter", "tol")
COVARIANCES = ("full", "tied", "diag", "spherical")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("data", metavar="DATA", help="a CSV file (gzip too) or a Parquet file")
    model = parser.add_argument_group("the model")
    add = model.add_argument
    add(
        "--components",
        type=counts,
        default="1:9",
        metavar="1:9",
        help="numbers of components, both ends included; lists too: 1,2,4 (default 1:9)",
    )
    add(
        "--covariance",
        type=choices(*COVARIANCES),
        metavar="full,tied,...",
        help="kinds to try, of full, tied, diag, spherical (default all)",
    )
    add(
        "--criterion",
        choices=("bic", "aic", "icl"),
        default="bic",
        help="what to choose by, smaller is better (default bic)",
    )
    add(
        "--seed",
        type=whole(0),
        default=0,
        metavar="N",
        help="of the random starts; the same seed gives the same result (default 0)",
    )
    add(
        "--starts",
        type=whole(1),
        default=3,
        metavar="N",
        help="fits of each candidate from different starts (default 3)",
    )
    add_stop(model)
    data = parser.add_argument_group("the data")
    add = data.add_argument
    add(
        "--columns",
        action="append",
        default=[],
        metavar="a,b",
        help="columns to use (default all that hold numbers)",
    )
    add("--weights", metavar="COLUMN", help="column with the weight of each row")
    add_format(data)
    out = parser.add_argument_group("what to write")
    add = out.add_argument
    add("--out", metavar="model.npz", help="the model, for latentem.load")
    add("--assign", metavar="labels.csv", help="component and its probability for each row")
    add("--plot", metavar="figure.png", help="the model, the selection and the convergence")
    add("--json", action="store_true", help="print JSON in place of text")


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    files = _files(args)
    table = _table(args)
    for text in table.messages():
        say(text)
    covariances = args.covariance or list(COVARIANCES)
    if args.covariance is None and len(table.names) == 1:
        say("with one column diag and spherical are the same as full: they are not fitted again")
        covariances = ["full", "tied"]
    selection = _selection(args, table, covariances)
    _write(files, selection, table)
    from latentem.cli.printing import as_json, as_text

    if args.json:
        settings = {name: getattr(args, name) for name in SETTINGS}
        print(json.dumps(as_json(table, selection, settings, files), indent=2, allow_nan=False))
    else:
        print(as_text(table, selection, files))
    best = selection.table[selection.best_index]
    return 0 if best.converged and best.sound else 3


def _files(args: argparse.Namespace) -> dict[str, Any]:
    """The files to write, checked before any work is done."""
    files: dict[str, Any] = {}
    if args.plot is not None:
        from latentem.cli.figure import suffixes

        files["plot"] = writable(args.plot, suffixes())
    for name in ("out", "assign"):
        if getattr(args, name) is not None:
            files[name] = writable(getattr(args, name))
    places = [path.resolve() for path in files.values()]
    if len(set(places)) < len(places):
        raise BadInput("--out, --assign and --plot must be different files")
    if Path(args.data).resolve() in places:
        raise BadInput(f"{args.data!r} is the data: it is not overwritten")
    return files


def _table(args: argparse.Namespace) -> Any:
    from latentem.cli.tables import Format, numbers, read_frame

    form = Format.of(args)
    return numbers(read_frame(args.data, form), args.data, args.columns, args.weights)


def _selection(args: argparse.Namespace, table: Any, covariances: list[str]) -> Any:
    from latentem import CollapsedError, GaussianMixture, select

    template = GaussianMixture(
        n_init=args.starts, max_iter=args.max_iter, tol=args.tol, random_state=args.seed
    )
    try:
        return select(
            template,
            table.X,
            criterion=args.criterion,
            sample_weight=table.weights,
            progress=watched(),
            n_components=args.components,
            covariance_type=covariances,
        )
    except (ValueError, CollapsedError) as error:
        raise BadInput(f"no mixture can be fitted to {args.data!r}: {error}") from None


def _write(files: dict[str, Any], selection: Any, table: Any) -> None:
    try:
        if "out" in files:
            from latentem.estimators.storage import save

            save(selection.best, files["out"])
        if "assign" in files:
            _assign(files["assign"], selection.best, table)
        if "plot" in files:
            from latentem.cli.figure import draw

            draw(selection, table.X, table.weights, files["plot"])
    except OSError as error:
        raise BadInput(f"cannot write {error.filename!r}: {error.strerror}") from None


def _assign(path: Any, model: Any, table: Any) -> None:
    """One line for each row of the data; rows that were left out have empty cells."""
    import pandas

    from latentem.engine.archive import atomically

    shares = model.predict_proba(table.X)
    n = len(table.used)
    component = pandas.array([pandas.NA] * n, dtype="Int64")
    component[table.used] = shares.argmax(axis=1)
    probability = pandas.Series(float("nan"), index=range(n))
    probability[table.used] = shares.max(axis=1)
    frame = pandas.DataFrame(
        {"row": range(1, n + 1), "component": component, "probability": probability}
    )
    with atomically(path) as file:
        frame.to_csv(file, index=False, lineterminator="\n")
