"""Sums of expectations in one fixed order, whoever works on the blocks.

Neighbours are added in pairs, then the pairs, and so on: a binary tree whose shape depends on
nothing but the number of blocks. So sums are the same bits whether blocks are added here
as they come or, subtree by subtree, on other machines; and rounding grows with the
logarithm of their number.
"""

from __future__ import annotations

from typing import Any

from latentem.engine.model import Expectation
from latentem.engine.trees import add

__all__ = ["TreeSum", "added"]


def added(a: Expectation, b: Expectation) -> Expectation:
    """The expectation of the units of both."""
    return Expectation(*add(tuple(a), tuple(b)))


class TreeSum:
    """Adds expectations one after the other, as a binary counter adds ones.

    It holds at most one partial sum for each power of two.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[int, Expectation]] = []

    def add(self, part: Expectation, count: int = 1) -> None:
        """Take the next term; `count` is the number of terms that it is the sum of."""
        while self._parts and self._parts[-1][0] == count:
            before, earlier = self._parts.pop()
            count, part = before + count, added(earlier, part)
        self._parts.append((count, part))

    def total(self) -> Expectation | None:
        """The sum of all terms, None where there was none."""
        if not self._parts:
            return None
        result: Any = self._parts[-1][1]
        for _, earlier in reversed(self._parts[:-1]):
            result = added(earlier, result)
        return result
