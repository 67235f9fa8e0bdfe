"""``latentem align SOURCE TARGET``: which word translates which."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from latentem.cli.arguments import encoding, whole
from latentem.cli.messages import BadInput, plural, say, writable

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "NAME", "USAGE", "add_arguments", "run"]

NAME = "align"
USAGE = "latentem align SOURCE [TARGET] [OPTION ...]"
HELP = "learn from text and its translation which word translates which"
DESCRIPTION = """\
Fit a model of translation to two files with one sentence a line, or to one file with
lines "a ||| b", and print the links of each pair of sentences as "i-j" (the Pharaoh
format): word i of the source, counted from 0, belongs to word j of the target. Words
are what white space parts. An empty sentence has no links, and its line stays."""
EPILOG = """\
Exit codes: 0 all is well; 2 wrong arguments or data. Links go to standard output or to
--out, messages to standard error.

Examples:
  latentem align text.en text.de --lowercase > links.txt
  latentem align text.txt --model ibm2 --save model.npz --out links.txt
  latentem align new.txt --load model.npz --plot pair.png --pair 3"""

SEPARATOR = "|||"
METHODS = ("grow-diag-final-and", "intersection", "union", "none")
#: Options of a fit with their defaults: those of a loaded model are its own.
FIT: dict[str, Any] = {
    "model": "hmm",
    "symmetrize": "grow-diag-final-and",
    "lowercase": False,
    "no_null": False,
    "smoothing": 0.01,
    "max_iter": 10,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "source", metavar="SOURCE", help='a text file (gzip too), or lines "a ||| b"'
    )
    parser.add_argument("target", metavar="TARGET", nargs="?", help="its translation, line by line")
    fit = parser.add_argument_group("the model")
    add = fit.add_argument
    add("--model", choices=("ibm1", "ibm2", "hmm"), help="of the positions (default hmm)")
    add(
        "--symmetrize",
        choices=METHODS,
        help="how both directions are joined (default grow-diag-final-and); none: one direction",
    )
    add("--lowercase", action="store_true", default=None, help='"The" is "the"')
    add("--no-null", action="store_true", default=None, help="every target word has a source word")
    add(
        "--smoothing",
        type=_smoothing,
        metavar="COUNT",
        help="added to each pair of words that meet (default 0.01)",
    )
    add("--max-iter", type=whole(1), metavar="N", help="EM maps of each direction (default 10)")
    add("--load", metavar="model.npz", help="align with a saved model: nothing is fitted")
    data = parser.add_argument_group("the data")
    data.add_argument(
        "--encoding", type=encoding, default="utf-8", help="of the text (default UTF-8)"
    )
    data.add_argument("--gold", metavar="links.txt", help="right links, to count errors against")
    out = parser.add_argument_group("what to write")
    add = out.add_argument
    add("--out", "-o", metavar="links.txt", help="the links (default: standard output)")
    add("--save", metavar="model.npz", help="the model, for --load and latentem.load")
    add("--plot", metavar="figure.png", help="the links of one pair of sentences")
    add("--pair", type=whole(1), metavar="N", help="which pair, by its line (default 1)")


def _smoothing(text: str) -> float:
    """A finite number from 0 on."""
    import math

    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return value


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    files = _files(args)
    source, target = _pairs(args)
    gold = None if args.gold is None else _gold(args.gold, len(source))
    n = 1 if args.pair is None else args.pair
    if "plot" in files and n > len(source):
        raise BadInput(f"--pair {n}: there are {plural(len(source), 'line')}")
    from latentem.estimators.pharaoh import alignment_error_rate, to_pharaoh

    try:
        aligner = _loaded(args) if args.load is not None else _fitted(args, source, target)
        links = aligner.align(source, target)
        empty = sum(not a.split() or not b.split() for a, b in zip(source, target, strict=True))
        if empty:
            say(f"{plural(empty, 'pair')} with an empty side: without links")
        if gold is not None:
            say(f"alignment error rate: {alignment_error_rate(links, gold):.4f}")
        if "plot" in files:
            _draw(aligner, source[n - 1], target[n - 1], files["plot"])
    except ValueError as error:
        raise BadInput(str(error)) from None
    lines = "".join(f"{to_pharaoh(pair)}\n" for pair in links)
    try:
        if "save" in files:
            aligner.save(files["save"])
        if "out" in files:
            files["out"].write_text(lines, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot write {error.filename!r}: {error.strerror}") from None
    if "out" not in files:
        print(lines, end="")
    return 0


def _files(args: argparse.Namespace) -> dict[str, Path]:
    """The files to write, checked before any work is done."""
    files: dict[str, Path] = {}
    if args.plot is not None:
        from latentem.cli.figure import suffixes

        files["plot"] = writable(args.plot, suffixes())
    elif args.pair is not None:
        raise BadInput("--pair says which pair --plot draws: give --plot too")
    for name in ("out", "save"):
        if getattr(args, name) is not None:
            files[name] = writable(getattr(args, name))
    places = [path.resolve() for path in files.values()]
    if len(set(places)) < len(places):
        raise BadInput("--out, --save and --plot must be different files")
    for given in (args.source, args.target, args.gold, args.load):
        if given is not None and Path(given).resolve() in places:
            raise BadInput(f"{given!r} is read: it is not overwritten")
    return files


def _pairs(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Both sides, line by line."""
    first = _lines(args.source, args.encoding)
    if args.target is not None:
        second = _lines(args.target, args.encoding)
        if len(first) != len(second):
            raise BadInput(
                f"{args.source!r} has {plural(len(first), 'line')} and {args.target!r} "
                f"{len(second):,}: line n of one must translate line n of the other"
            )
        return first, second
    pairs = [line.split(SEPARATOR) for line in first]
    for n, parts in enumerate(pairs, start=1):
        if len(parts) != 2:
            raise BadInput(
                f"line {n} of {args.source!r} is not 'a {SEPARATOR} b', a sentence and its "
                "translation: give the translation as a second file, or write such lines"
            )
    return [a for a, _ in pairs], [b for _, b in pairs]


def _lines(path: str, encoding: str) -> list[str]:
    """The lines of a text file."""
    import gzip

    try:
        raw = Path(path).read_bytes()
        data = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (gzip.BadGzipFile, EOFError):
        raise BadInput(f"{path!r} is a damaged gzip file") from None
    except OSError as error:
        raise BadInput(f"cannot read {path!r}: {(error.strerror or str(error)).lower()}") from None
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeError:
        raise BadInput(
            f"{path!r} is not text in {encoding}: name its encoding, such as --encoding latin-1"
        ) from None
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise BadInput(f"{path!r} is empty")
    return lines


def _gold(path: str, n: int) -> list[list[tuple[int, int]]]:
    """Links of a reference, one line for each pair."""
    from latentem.estimators.pharaoh import from_pharaoh

    lines, links = _lines(path, "utf-8"), []
    if len(lines) != n:
        raise BadInput(f"{path!r} has {plural(len(lines), 'line')}, and there are {n:,} pairs")
    for number, line in enumerate(lines, start=1):
        try:
            links.append(from_pharaoh(line))
        except ValueError as error:
            raise BadInput(f"line {number} of {path!r}: {error}") from None
    return links


def _loaded(args: argparse.Namespace) -> Any:
    """The model of a file."""
    from latentem import WordAligner, load

    for name in FIT:
        if getattr(args, name) is not None:
            option = name.replace("_", "-")
            raise BadInput(f"--{option} is for a fit, and --load does none: leave one out")
    try:
        aligner = load(args.load)
    except OSError as error:
        raise BadInput(f"cannot read {args.load!r}: {(error.strerror or '').lower()}") from None
    if not isinstance(aligner, WordAligner):
        raise BadInput(f"{args.load!r} holds a {type(aligner).__name__}, not a word aligner")
    return aligner


def _fitted(args: argparse.Namespace, source: list[str], target: list[str]) -> Any:
    """A model fitted to the text, and words about it."""
    from latentem import WordAligner

    given = {name: getattr(args, name) for name in FIT}
    chosen = {name: FIT[name] if value is None else value for name, value in given.items()}
    how = chosen["symmetrize"]
    aligner = WordAligner(
        chosen["model"],
        null=not chosen["no_null"],
        smoothing=chosen["smoothing"],
        lowercase=chosen["lowercase"],
        symmetrization=None if how == "none" else how,
        max_iter=chosen["max_iter"],
    ).fit(source, target)
    words = f"{len(aligner.source_words_):,} and {len(aligner.target_words_):,} different words"
    perplexity = aligner.perplexity(source, target)
    say(f"{plural(len(source), 'pair')}, {words}; perplexity {perplexity:.2f}")
    return aligner


def _draw(aligner: Any, source: str, target: str, path: Path) -> None:
    """Write the figure of one pair."""
    from matplotlib.figure import Figure

    from latentem import plot
    from latentem.plot.links import size

    figure = Figure(figsize=size(len(source.split()), len(target.split())), layout="constrained")
    plot.alignment(aligner, source, target, ax=figure.subplots())
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise BadInput(f"cannot write {error.filename!r}: {error.strerror}") from None
