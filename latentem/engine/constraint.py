"""What a `Constraint` is: a set that a parameter must stay in, with coordinates."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

__all__ = ["Constraint"]

Array = np.ndarray


class Constraint(ABC):
    """The set a parameter must stay in, with its unconstrained coordinates."""

    @abstractmethod
    def size(self, like: Array) -> int:
        """Number of free coordinates of a value shaped as `like`."""

    @abstractmethod
    def pack(self, value: Array) -> Array:
        """Unconstrained coordinates of `value`, 1-D; on the boundary they are infinite."""

    def measure(self, value: Array) -> Array:
        """Coordinates in which lengths of steps mean something, 1-D; by default `pack`.

        A probability on its way to 0 runs for ever in logarithms, and ever less here.
        """
        return self.pack(value)

    @abstractmethod
    def unpack(self, flat: Array, like: Array) -> Array:
        """The value at the coordinates `flat`.

        What is not free, or has coordinates that are no numbers, is taken from `like`.
        """

    @abstractmethod
    def holds(self, value: Array) -> bool:
        """Whether `value` lies in the set."""

    def kept(self, like: Array) -> Array:
        """Which entries of a value shaped as `like` must never move, bool."""
        return np.zeros(np.shape(like), dtype=bool)

    def limits(self, value: Array) -> tuple[Array, Array]:
        """Least and largest that each entry can be, for intervals; by default none."""
        shape = np.shape(value)
        return np.full(shape, -np.inf), np.full(shape, np.inf)

    def at_edge(self, value: Array) -> Array:
        """Which free entries lie on the boundary, bool; by default none."""
        return np.zeros(np.shape(value), dtype=bool)

    def holding(self, held: Array) -> Constraint:
        """The set with the entries `held` (bool) at their values.

        A set whose entries have coordinates of their own may return itself.
        """
        return self
