"""``latentem statespace DATA``: fit a linear-Gaussian state-space model, and forecast."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from latentem.cli.arguments import add_format, add_stop, whole
from latentem.cli.messages import BadInput, listed, named, plural, say, wrapped, writable

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "NAME", "USAGE", "add_arguments", "run"]

NAME = "statespace"
USAGE = "latentem statespace DATA [OPTION ...]"
HELP = "fit a state-space model to rows in equal steps, and forecast"
DESCRIPTION = """\
Fit a linear-Gaussian state-space model to the columns of numbers of a CSV or Parquet
file, whose rows follow each other in equal steps of time, by the Kalman smoother and
EM. Empty cells are observations that were not made; any cells may be missing."""
EPILOG = """\
Exit codes: 0 all is well; 2 wrong arguments or data; 3 the fit has not converged.
Results go to standard output, messages to standard error.

Examples:
  latentem statespace data.csv --states 2 --forecast 12 --plot figure.png
  latentem statespace data.csv --states 4 --json --save model.npz"""

LEVEL = 0.9
SETTINGS = ("states", "noise", "max_iter", "tol")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("data", metavar="DATA", help="a CSV file (gzip too) or a Parquet file")
    model = parser.add_argument_group("the model")
    add = model.add_argument
    add("--states", type=whole(1), default=2, metavar="N", help="of the model (default 2)")
    add("--noise", choices=("diag", "full"), default="diag", help="of the columns (default diag)")
    add_stop(model)
    data = parser.add_argument_group("the data")
    add = data.add_argument
    add("--columns", action="append", default=[], metavar="a,b",
        help="columns to use (default all that hold numbers)")  # fmt: skip
    add("--sequence-column", metavar="COLUMN",
        help="rows with the same value there are a record, in their order")  # fmt: skip
    add_format(data)
    out = parser.add_argument_group("what to write")
    add = out.add_argument
    add("--forecast", type=whole(1), metavar="H", help="print what follows, 1 to H rows ahead")
    add("--save", metavar="model.npz", help="the model, for latentem.load")
    add("--plot", metavar="figure.png", help="each column with its forecast (12 rows by default)")
    add("--json", action="store_true", help="print JSON in place of text")


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    files = _files(args)
    from latentem import CollapsedError, LinearGaussianSSM
    from latentem.cli.series import series
    from latentem.cli.tables import Format, read_frame

    found = series(
        read_frame(args.data, Format.of(args)), args.data, args.columns, args.sequence_column
    )
    for text in found.messages():
        say(text)
    if len(found.lengths) > 1 and (args.forecast or args.plot):
        raise BadInput(
            f"--forecast and --plot go on from the end of one record, and {args.data!r} has "
            f"{len(found.lengths)}: leave them out"
        )
    model = LinearGaussianSSM(
        args.states, observation_noise=args.noise, max_iter=args.max_iter, tol=args.tol
    )
    try:
        model.fit(found.X, lengths=found.lengths)
    except (ValueError, CollapsedError) as error:
        raise BadInput(f"no state-space model can be fitted to {args.data!r}: {error}") from None
    ahead = model.forecast(found.X, args.forecast) if args.forecast else None
    try:
        if "save" in files:
            model.save(files["save"])
        if "plot" in files:
            _draw(model, found.X, args.forecast or 12, files["plot"])
    except OSError as error:
        raise BadInput(f"cannot write: {error}") from None
    if args.json:
        settings = {name: getattr(args, name) for name in SETTINGS}
        print(json.dumps(_as_json(found, model, settings, ahead, files), indent=2, allow_nan=False))
    else:
        print(_as_text(found, model, ahead, files))
    return 0 if model.converged_ else 3


def _files(args: argparse.Namespace) -> dict[str, Path]:
    files: dict[str, Path] = {}
    if args.plot is not None:
        from latentem.cli.figure import suffixes

        files["plot"] = writable(args.plot, suffixes())
    if args.save is not None:
        files["save"] = writable(args.save)
    if Path(args.data).resolve() in [path.resolve() for path in files.values()]:
        raise BadInput(f"{args.data!r} is the data: it is not overwritten")
    if len({path.resolve() for path in files.values()}) < len(files):
        raise BadInput("--save and --plot must be different files")
    return files


def _draw(model: Any, X: Any, h: int, path: Path) -> None:
    from latentem import plot
    from latentem.cli.figure import panels

    shown = min(X.shape[1], 6)
    figure, axes = panels(shown)
    for j in range(shown):
        plot.forecast(model, X, h, column=j, ax=axes[j])
    figure.savefig(path, dpi=150)


def _modes(model: Any) -> list[dict[str, float]]:
    """Eigenvalues of the transition: how fast each fades, and its period in rows."""
    import numpy as np

    found = []
    for value in sorted(np.linalg.eigvals(model.transition_), key=lambda v: -abs(v)):
        if value.imag < 0:
            continue
        angle = float(np.angle(value))
        found.append({"modulus": float(abs(value)), "angle": angle})
    return found


def _as_json(found: Any, model: Any, settings: Any, ahead: Any, files: Any) -> dict[str, Any]:
    import latentem
    from latentem.estimators.state_space_checks import MATRICES

    result = model.result_
    answer: dict[str, Any] = {
        "latentem": latentem.__version__,
        "data": {"file": found.file, "rows": len(found.X), "columns": found.names,
                 "lengths": [int(n) for n in found.lengths]},
        "settings": settings,
        "model": {name: getattr(model, f"{name}_").tolist() for name in MATRICES}
        | {"offset": model.offset_.tolist(), "modes": _modes(model)},
        "convergence": {"converged": bool(result.converged), "reason": result.reason.sentence,
                        "n_iter": int(result.n_iter), "loglik": float(result.loglik)},
        "files": {name: str(path) for name, path in files.items()},
    }  # fmt: skip
    if ahead is not None:
        lower, upper = ahead.interval(LEVEL)
        answer["forecast"] = {"level": LEVEL, "mean": ahead.mean.tolist(),
                              "lower": lower.tolist(), "upper": upper.tolist()}  # fmt: skip
    return answer


def _as_text(found: Any, model: Any, ahead: Any, files: dict[str, Path]) -> str:
    import numpy as np

    from latentem.cli import words
    from latentem.cli.hmm_printing import text_forecast

    parts = [
        wrapped(
            f"{found.file}: {plural(len(found.X), 'row')}, {plural(len(found.names), 'column')} "
            f"({listed(map(named, found.names))})"
        )
    ]
    lines = [f"State space of {plural(model.n_states, 'state')}; eigenvalues of the transition"]
    for mode in _modes(model):
        period = "" if mode["angle"] == 0 else f"   period {2 * np.pi / mode['angle']:.4g} rows"
        lines.append(f"  modulus {mode['modulus']:.4f}{period}")
    parts.append("\n".join(lines))
    parts += [wrapped(f"note: {text}") for text in model.result_.notes]
    if ahead is not None:
        parts.append(
            f"Forecast, with limits that hold {100 * LEVEL:.0f} %\n"
            + text_forecast(ahead, found.names)
        )
    parts.append(
        wrapped(
            f"{words.convergence(model.result_, False)} Log-likelihood {model.result_.loglik:.4f}."
        )
    )
    if files:
        parts.append("Written: " + ", ".join(str(path) for path in files.values()))
    return "\n\n".join(parts)
