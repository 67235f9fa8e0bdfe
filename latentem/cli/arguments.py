"""Values of options: inclusive ranges, lists of names, numbers."""

from __future__ import annotations

import argparse
import codecs
import math
import re
from collections.abc import Callable
from typing import Any

__all__ = [
    "add_format",
    "add_stop",
    "choices",
    "counts",
    "delimiter",
    "encoding",
    "positive",
    "whole",
]

#: More candidates than this are a mistake, not a question.
MOST = 1000
DELIMITERS = {"tab": "\t", r"\t": "\t", "space": r"\s+", " ": r"\s+", "comma": ","}


def add_format(group: Any) -> None:
    """The options of how a file is written."""
    add = group.add_argument
    add(
        "--na",
        action="append",
        default=[],
        metavar="TEXT",
        help="what else means missing, besides empty, NA and NaN: --na=-99,none",
    )
    add(
        "--delimiter",
        type=delimiter,
        metavar="CHARACTER",
        help="between cells; also tab or space (default: found out)",
    )
    add("--decimal", choices=(".", ","), default=".", help="decimal mark (default a point)")
    add("--encoding", type=encoding, help="of the text (default UTF-8)")
    add("--no-header", action="store_true", help="the first line is data, not names")


def add_stop(group: Any) -> None:
    """The options of when a fit ends."""
    group.add_argument(
        "--max-iter",
        type=whole(1),
        default=1000,
        metavar="N",
        help="most EM maps of a fit (default 1000)",
    )
    group.add_argument(
        "--tol",
        type=positive,
        default=1e-3,
        metavar="NATS",
        help="stop when no more log-likelihood than this is to be gained (default 0.001)",
    )


def counts(text: str) -> list[int]:
    """Numbers of components: ``3``, ``1:9`` (both ends are in it), ``1,2,4:6``."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?::\s*(\d{1,9})\s*)?", part)
        if match is None:
            raise _wrong(f"{text!r} is not a number like 3, a range like 1:9, or a list like 1,2,4")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if first < 1:
            raise _wrong(f"{text!r} begins at {first}, and there is at least 1")
        if last < first:
            raise _wrong(f"the range {part.strip()!r} ends before it begins")
        if last - first >= MOST or len(found) >= MOST:
            raise _wrong(f"{text!r} asks for more than {MOST} numbers of components")
        found.update(range(first, last + 1))
    return sorted(found)


def choices(*known: str) -> Callable[[str], list[str]]:
    """A reader of lists such as ``full,tied``, each of them one of `known`."""

    def read(text: str) -> list[str]:
        chosen = list(dict.fromkeys(part.strip() for part in text.split(",")))
        for name in chosen:
            if name not in known:
                raise _wrong(f"{name!r} is not one of {', '.join(known)}")
        return chosen

    return read


def whole(least: int) -> Callable[[str], int]:
    """A reader of whole numbers from `least` on."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise _wrong(f"{text!r} is not a whole number") from None
        if value < least:
            raise _wrong(f"{value} is less than {least}")
        return value

    return read


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        raise _wrong(f"{text!r} is not a number") from None
    if not (value > 0 and math.isfinite(value)):
        raise _wrong(f"{text} is not a number above 0")
    return value


def delimiter(text: str) -> str:
    """A single character, or one of the names tab, space and comma."""
    found = DELIMITERS.get(text, text)
    if len(found) != 1 and found != r"\s+":
        raise _wrong(f"{text!r} is not one character; there are the names tab and space")
    return found


def encoding(text: str) -> str:
    """A text encoding that Python knows."""
    try:
        return codecs.lookup(text).name
    except LookupError:
        raise _wrong(f"{text!r} is not an encoding; try utf-8, latin-1, cp1252 or utf-16") from None


def _wrong(sentence: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(sentence)
