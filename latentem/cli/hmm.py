"""``latentem hmm DATA``: choose and fit a hidden Markov model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from latentem.cli.arguments import add_format, add_stop, choices, counts, whole
from latentem.cli.messages import BadInput, say, watched, writable

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "NAME", "USAGE", "add_arguments", "run"]

NAME = "hmm"
USAGE = "latentem hmm DATA [OPTION ...]"
HELP = "choose and fit a hidden Markov model to rows in their order"
DESCRIPTION = """\
Fit hidden Markov models to the columns of numbers of a CSV or Parquet file, whose
rows follow each other in time, choose the number of states, and print the table of
candidates, the chosen model's states and transitions, and whether it converged. An
empty cell is an observation that was not made; its row keeps its place."""
EPILOG = """\
Exit codes: 0 all is well; 2 wrong arguments or data; 3 the chosen model has not
converged or is degenerate. Results go to standard output, messages and progress to
standard error.

Examples:
  latentem hmm counts.csv --family poisson --states 1:4 --forecast 12
  latentem hmm data.csv --columns speed,angle --sequence-column animal
  latentem hmm data.csv --json --decode states.csv --save model.npz"""

FAMILIES = ("gaussian", "poisson", "categorical", "bernoulli", "exponential")
COVARIANCES = ("full", "tied", "diag", "spherical")
SETTINGS = (
    "family", "criterion", "stationary", "left_right", "seed", "starts", "max_iter", "tol",
)  # fmt: skip
WRITTEN = ("save", "decode", "plot")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("data", metavar="DATA", help="a CSV file (gzip too) or a Parquet file")
    model = parser.add_argument_group("the model")
    add = model.add_argument
    add("--family", choices=FAMILIES, default="gaussian", help="of the rows (default gaussian)")
    add(
        "--states",
        type=counts,
        default="1:4",
        metavar="1:4",
        help="numbers of states, both ends included; lists too: 1,2,4 (default 1:4)",
    )
    add(
        "--covariance-type",
        type=choices(*COVARIANCES),
        metavar="diag,full,...",
        help="kinds to try for gaussian, of full, tied, diag, spherical (default diag)",
    )
    add(
        "--criterion",
        choices=("bic", "aic"),
        default="bic",
        help="what to choose by, smaller is better (default bic)",
    )
    add("--stationary", action="store_true", help="start in the stationary distribution")
    add("--left-right", action="store_true", help="states only go forward, from the first on")
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
    add(
        "--sequence-column",
        metavar="COLUMN",
        help="rows with the same value there are a sequence, in their order",
    )
    add_format(data)
    out = parser.add_argument_group("what to write")
    add = out.add_argument
    add("--forecast", type=whole(1), metavar="H", help="print what follows, 1 to H rows ahead")
    add("--decode", metavar="states.csv", help="state and its probability for each row")
    add("--save", metavar="model.npz", help="the model, for latentem.load")
    add("--plot", metavar="figure.png", help="the states, the selection and the residuals")
    add("--json", action="store_true", help="print JSON in place of text")


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    if args.stationary and args.left_right:
        raise BadInput(
            "--stationary and --left-right do not go together: in the long run a left-right chain "
            "is in its last state. Leave one out"
        )
    if args.covariance_type is not None and args.family != "gaussian":
        raise BadInput(
            f"--covariance-type is for --family gaussian, not {args.family}: leave it out"
        )
    files = _files(args)
    series = _series(args)
    for text in series.messages():
        say(text)
    if args.forecast and len(series.lengths) > 1:
        raise BadInput(
            f"--forecast goes on from the end of one sequence, and {args.data!r} has "
            f"{len(series.lengths)}: leave it out"
        )
    selection = _selection(args, series)
    ahead = selection.best.forecast(series.X, args.forecast) if args.forecast else None
    _write(files, selection, series, args.forecast)
    from latentem.cli.hmm_printing import as_json, as_text

    if args.json:
        settings = {name: getattr(args, name) for name in SETTINGS}
        found = as_json(series, selection, settings, ahead, files)
        print(json.dumps(found, indent=2, allow_nan=False))
    else:
        print(as_text(series, selection, args.family, ahead, files))
    best = selection.table[selection.best_index]
    return 0 if best.converged and best.sound else 3


def _files(args: argparse.Namespace) -> dict[str, Any]:
    """The files to write, checked before any work is done."""
    files: dict[str, Any] = {}
    if args.plot is not None:
        from latentem.cli.figure import suffixes

        files["plot"] = writable(args.plot, suffixes())
    for name in ("save", "decode"):
        if getattr(args, name) is not None:
            files[name] = writable(getattr(args, name))
    places = [path.resolve() for path in files.values()]
    if len(set(places)) < len(places):
        raise BadInput("--save, --decode and --plot must be different files")
    if Path(args.data).resolve() in places:
        raise BadInput(f"{args.data!r} is the data: it is not overwritten")
    return files


def _series(args: argparse.Namespace) -> Any:
    from latentem.cli.series import series
    from latentem.cli.tables import Format, read_frame

    frame = read_frame(args.data, Format.of(args))
    return series(frame, args.data, args.columns, args.sequence_column)


def _template(args: argparse.Namespace) -> Any:
    from latentem import HMM, CategoricalHMM, GaussianHMM, PoissonHMM, families

    settings = {
        "n_init": args.starts,
        "max_iter": args.max_iter,
        "tol": args.tol,
        "random_state": args.seed,
        "stationary": args.stationary,
    }
    if args.family == "gaussian":
        return GaussianHMM(**settings)
    if args.family == "poisson":
        return PoissonHMM(**settings)
    if args.family == "categorical":
        return CategoricalHMM(**settings)
    family = families.Bernoulli() if args.family == "bernoulli" else families.Exponential()
    return HMM(family, **settings)


def _selection(args: argparse.Namespace, series: Any) -> Any:
    from latentem import CollapsedError, select

    template = _template(args)
    grid: dict[str, Any] = {"n_components": args.states}
    if args.family == "gaussian":
        grid["covariance_type"] = args.covariance_type or ["diag"]
    more = {"criterion": args.criterion, "lengths": series.lengths}
    try:
        if args.left_right:
            return _left_right(template, series.X, grid, more)
        return select(template, series.X, progress=watched(), **more, **grid)
    except (ValueError, CollapsedError) as error:
        raise BadInput(f"no hidden Markov model can be fitted to {args.data!r}: {error}") from None


def _left_right(template: Any, X: Any, grid: dict[str, Any], more: dict[str, Any]) -> Any:
    """The candidates of each number of states, whose mask and start are their own."""
    import math

    import numpy as np

    from latentem import CollapsedError, Selection, left_right, select
    from latentem.engine.selection import Candidate

    table: list[Any] = []
    candidates: list[Any] = []
    for k in grid["n_components"]:
        mask, start = left_right(k), np.eye(k)[0]
        template.set_params(transmat_mask=mask, startprob_init=start)
        try:
            found = select(template, X, **more, **{**grid, "n_components": [k]})
        except (ValueError, CollapsedError) as error:
            if len(grid["n_components"]) == 1:
                raise
            for kind in grid.get("covariance_type", [None]):
                params = {"n_components": k} | ({} if kind is None else {"covariance_type": kind})
                failed = (math.nan, math.nan, 0, False, (), 0, str(error))
                table.append(Candidate(params, *failed))
                candidates.append(None)
        else:
            table += found.table
            candidates += found.candidates
    return Selection(table, candidates, more["criterion"])


def _write(files: dict[str, Any], selection: Any, series: Any, h: int | None) -> None:
    try:
        if "save" in files:
            selection.best.save(files["save"])
        if "decode" in files:
            _decode(files["decode"], selection.best, series)
        if "plot" in files:
            from latentem.cli.hmm_figure import draw

            draw(selection, series, h, files["plot"])
    except OSError as error:
        raise BadInput(f"cannot write {error.filename!r}: {error.strerror}") from None


def _decode(path: Any, model: Any, series: Any) -> None:
    """One line for each row of the data, in their order."""
    import numpy as np
    import pandas

    from latentem.engine.archive import atomically

    states = model.predict(series.X, series.lengths)
    shares = model.predict_proba(series.X, series.lengths)
    probability = shares[np.arange(len(states)), states]
    back = np.argsort(series.order)
    columns: dict[str, Any] = {"row": range(1, len(states) + 1)}
    if series.sequence_name is not None:
        columns[series.sequence_name] = np.repeat(series.ids, series.lengths)[back]
    columns |= {"state": states[back], "probability": probability[back]}
    with atomically(path) as file:
        pandas.DataFrame(columns).to_csv(file, index=False, lineterminator="\n")
