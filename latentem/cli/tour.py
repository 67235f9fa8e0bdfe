"""``latentem tour``: fit real data that come with latentem, and write a report."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from latentem.cli.arguments import whole
from latentem.cli.messages import BadInput, plural, say

if TYPE_CHECKING:
    from latentem.cli.chapters import Chapter

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "NAME", "USAGE", "add_arguments", "run"]

NAME = "tour"
USAGE = "latentem tour [--out FOLDER] [--seed N]"
HELP = "fit real data that come with latentem, and write a report"
DESCRIPTION = """\
Fit models to data that come with latentem, write the figures, a report in Markdown
and the data to a folder, and end with one screen that sums up."""
EPILOG = """\
Exit codes: 0 all is well; 2 the folder cannot be written, or matplotlib is missing;
3 a fit has not converged."""

REPORT = "report.md"
#: Libraries whose versions the report states.
LIBRARIES = ("numpy", "scipy", "numba", "scikit-learn", "matplotlib")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--out", default="tour", metavar="FOLDER", help="default tour")
    parser.add_argument(
        "--seed", type=whole(0), default=0, metavar="N", help="of starts and draws (default 0)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from latentem.cli.chapters import CHAPTERS
    from latentem.cli.figure import suffixes

    suffixes()  # says how to get matplotlib, before any work
    folder = _folder(args.out)
    say("tour: a first run also compiles, which takes a few seconds")
    began = time.perf_counter()
    chapters, seconds = [], []
    try:
        for make in CHAPTERS:
            say(f"tour: {(make.__doc__ or '').splitlines()[0].rstrip('.')} ...")
            start = time.perf_counter()
            chapters.append(make(folder, args.seed))
            seconds.append(time.perf_counter() - start)
        took = time.perf_counter() - began
        text = _report(chapters, seconds, took, args.seed)
        (folder / REPORT).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot write {error.filename!r}: {error.strerror}") from None
    print(_screen(chapters, took, folder))
    return 0 if all(chapter.sound for chapter in chapters) else 3


def _folder(path: str) -> Path:
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot make the folder {path!r}: {error.strerror}") from None
    return folder


def _report(chapters: list[Chapter], seconds: list[float], took: float, seed: int) -> str:
    from importlib.metadata import version

    import latentem

    made = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    contents = [
        f"- {chapter.title} ({spent:.1f} s)"
        for chapter, spent in zip(chapters, seconds, strict=True)
    ]
    made_by = (
        f"Made by `latentem tour --seed {seed}` in {took:.1f} s with latentem "
        f"{latentem.__version__}, Python {sys.version.split()[0]}, {made}. A first run also "
        "compiles; a second is quicker. The same seed gives the same numbers."
    )
    head = ["# A tour of latentem", made_by, "\n".join(contents)]
    body = [f"## {chapter.title}\n\n{chapter.markdown.strip()}" for chapter in chapters]
    return "\n\n".join([*head, *body]) + "\n"


def _screen(chapters: list[Chapter], took: float, folder: Path) -> str:
    import latentem

    command = _command()
    figures = sum(len(chapter.figures) for chapter in chapters)
    lines = [f"latentem {latentem.__version__}: the tour took {took:.0f} s"]
    for chapter in chapters:
        lines += [chapter.title, *(f"  {line}" for line in chapter.screen)]
    lines += [
        f"Report: {folder / REPORT}, with {plural(figures, 'figure')}. Try next:",
        f"  {command} mixture {folder / 'faithful.csv'} --components 1:5 --plot fit.png",
        f"  {command} hmm {folder / 'earthquakes.csv'} --columns count --family poisson",
        f"  {command} impute {folder / 'airquality.csv'} -o filled.csv --report gaps.md",
        f"  {command} align {folder / 'messages.txt'} --plot pair.png",
    ]
    return "\n".join(lines)


def _command() -> str:
    """How to call latentem from here: by its name where the shell finds this one by it."""
    called = Path(sys.argv[0])
    if called.name != "latentem":
        return "latentem"
    found = shutil.which("latentem")
    if found is not None and called.exists() and Path(found).samefile(called):
        return "latentem"
    try:
        return str(called.relative_to(Path.cwd()))
    except ValueError:
        return str(called)
