"""What the commands say to people: errors, messages and counts in words."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["BadInput", "listed", "named", "plural", "say", "watched", "wrapped", "writable"]


class BadInput(Exception):
    """What was asked for cannot be done; the message is a sentence with the fix."""


def say(text: str) -> None:
    """A message, on standard error."""
    print(text, file=sys.stderr)


def plural(count: int, noun: str) -> str:
    """A count and its noun: 1 row, 2 rows."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def named(name: str) -> str:
    """The name of a column, quoted where it would not stand out in a list."""
    return repr(name) if "," in name or name != name.strip() or not name else name


def listed(items: Iterable[object], most: int = 10) -> str:
    """Items with commas; of a long list the first, and how many more there are."""
    texts = [str(item) for item in items]
    shown = ", ".join(texts[:most])
    return shown if len(texts) <= most else f"{shown} and {len(texts) - most:,} more"


def writable(path: str, suffixes: Sequence[str] = ()) -> Path:
    """The path of a file to be written; BadInput where that is bound to fail."""
    target = Path(path)
    if target.is_dir():
        raise BadInput(f"{path!r} is a folder: name a file")
    if not target.parent.is_dir():
        raise BadInput(f"the folder {str(target.parent)!r} of {path!r} does not exist: make it")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise BadInput(f"{path!r} cannot be written: permission denied")
    if suffixes and target.suffix.lower().lstrip(".") not in suffixes:
        raise BadInput(f"{path!r} must end in one of .{', .'.join(suffixes)}")
    return target


def watched() -> bool:
    """Whether someone is watching, and tqdm is there."""
    if not sys.stderr.isatty():
        return False
    try:
        import tqdm  # noqa: F401
    except ImportError:
        return False
    return True


def wrapped(text: str, indent: str = "") -> str:
    """Lines of at most 80 characters."""
    return textwrap.fill(
        text, 80, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
