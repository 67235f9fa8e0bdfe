"""Alignments as text in the Pharaoh format, and how far two alignments differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from latentem.models.symmetrization import Link

__all__ = ["alignment_error_rate", "from_pharaoh", "to_pharaoh"]


def to_pharaoh(links: Iterable[Link]) -> str:
    """The links of a pair of sentences as ``i-j i-j ...``.

    Parameters
    ----------
    links : iterable of (source position, target position)
        Positions count from 0.

    Examples
    --------
    >>> from latentem import to_pharaoh
    >>> to_pharaoh([(0, 0), (1, 2)])
    '0-0 1-2'
    """
    return " ".join(f"{i}-{j}" for i, j in links)


def from_pharaoh(line: str) -> list[Link]:
    """The links of a line of ``i-j`` pairs; an empty line has none.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> from latentem import from_pharaoh
    >>> from_pharaoh("0-0 1-2")
    [(0, 0), (1, 2)]
    """
    links = []
    for part in line.split():
        match = re.fullmatch(r"(\d+)-(\d+)", part, re.ASCII)
        if match is None:
            raise ValueError(
                f"{part!r} is not a link like 0-2, a source and a target position from 0 on"
            )
        links.append((int(match[1]), int(match[2])))
    return links


def alignment_error_rate(
    found: Sequence[Iterable[Link]],
    sure: Sequence[Iterable[Link]],
    possible: Sequence[Iterable[Link]] | None = None,
) -> float:
    """Share of links that are wrong or lacking, over all pairs of sentences.

    With A the links found, S the sure and P the possible ones of a reference (S is part of
    P), ``1 - (|A & S| + |A & P|) / (|A| + |S|)`` (Och and Ney 2003,
    doi:10.1162/089120103321337421).

    Parameters
    ----------
    found, sure, possible : sequence of iterables of (source position, target position)
        One for each pair of sentences; without `possible` all links of the reference are sure.

    Examples
    --------
    >>> from latentem import alignment_error_rate
    >>> alignment_error_rate([[(0, 0), (1, 1)]], [[(0, 0), (1, 2)]])
    0.5
    """
    maybe = sure if possible is None else possible
    if not len(found) == len(sure) == len(maybe):
        raise ValueError(
            f"found has {len(found)} pairs of sentences, sure {len(sure)} and possible "
            f"{len(maybe)}: there must be as many in each"
        )
    hits = total = 0
    for a, s, p in zip(found, sure, maybe, strict=True):
        here, certain = set(a), set(s)
        hits += len(here & certain) + len(here & (certain | set(p)))
        total += len(here) + len(certain)
    if total == 0:
        raise ValueError("neither alignment has a link: there is nothing to compare")
    return 1.0 - hits / total
