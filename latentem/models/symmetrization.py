"""Two alignments of one pair of sentences, one in each direction, made one.

Links are pairs (source position, target position).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

__all__ = ["METHODS", "Link", "Method", "symmetrize"]

Link = tuple[int, int]
Method = Literal["intersection", "union", "grow-diag-final-and"]
METHODS = ("intersection", "union", "grow-diag-final-and")

#: The sides first, then the corners.
NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def symmetrize(
    forward: Iterable[Link], backward: Iterable[Link], method: Method = "grow-diag-final-and"
) -> list[Link]:
    """Links of two alignments of one pair of sentences, made one alignment.

    Parameters
    ----------
    forward, backward : iterable of (source position, target position)
        Of the two directions; in both the source position comes first.
    method : {"intersection", "union", "grow-diag-final-and"}
        The last begins with the links that both have, adds neighbours of its links (also
        diagonal ones) out of the union while one of the two words has no link yet, and ends
        with links of either direction between two words that have none (Koehn, Och and Marcu
        2003, ACL anthology N03-1017; Koehn et al. 2005, IWSLT).

    Returns
    -------
    list of (source position, target position), sorted

    Examples
    --------
    >>> from latentem import symmetrize
    >>> symmetrize([(0, 0), (1, 1), (1, 2)], [(0, 0), (1, 1)], "intersection")
    [(0, 0), (1, 1)]
    >>> symmetrize([(0, 0), (1, 1), (1, 2)], [(0, 0), (1, 1)])
    [(0, 0), (1, 1), (1, 2)]
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    first, second = set(forward), set(backward)
    if method == "intersection":
        return sorted(first & second)
    if method == "union":
        return sorted(first | second)
    links = first & second
    sources, targets = {i for i, _ in links}, {j for _, j in links}
    added = True
    while added:
        added = False
        for i, j in sorted(links):
            for di, dj in NEIGHBOURS:
                new = (i + di, j + dj)
                if new in links or not (new in first or new in second):
                    continue
                if new[0] not in sources or new[1] not in targets:
                    links.add(new)
                    sources.add(new[0])
                    targets.add(new[1])
                    added = True
    for side in (first, second):
        for i, j in sorted(side - links):
            if i not in sources and j not in targets:
                links.add((i, j))
                sources.add(i)
                targets.add(j)
    return sorted(links)
