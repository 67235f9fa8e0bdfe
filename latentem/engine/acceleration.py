"""Acceleration of EM as a fixed-point map on a flat vector.

An accelerator sees every map ``x -> F(x)`` and may propose another point than
``F(x)`` to go on from. The driver evaluates the proposal, and the E-step's own
log-likelihood is the guard: a proposal below the current objective is dropped
and ``F(x)`` taken instead, so the objective never falls.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

__all__ = ["Accelerator", "Squarem"]


class Accelerator(ABC):
    """One accelerated climb; the driver makes a fresh one for each start."""

    #: Name of an accepted proposal in the history.
    name: str = "accelerated"

    def rests(self) -> bool:
        """Whether the next map is to be taken plain; asked before its points are packed."""
        return False

    @abstractmethod
    def propose(self, current: np.ndarray, image: np.ndarray) -> np.ndarray | None:
        """A point to try in place of ``image = F(current)``, or None to take it."""

    @abstractmethod
    def observe(self, accepted: bool) -> None:
        """Told what became of the last proposal."""

    @abstractmethod
    def reset(self) -> None:
        """Forget the sequence: the driver went on without asking."""


class Squarem(Accelerator):
    """SQUAREM, scheme S3, with a growing bound on the step length.

    From ``r = x1 - x0`` and ``v = (x2 - x1) - r`` of two maps it proposes
    ``x0 - 2 a r + a^2 v`` with ``a = -|r| / |v|``, followed by one plain map
    (Varadhan and Roland 2008, Scand. J. Statist. 35:335-353,
    doi:10.1111/j.1467-9469.2007.00585.x). Coordinates that are not finite in all
    three points (a probability that reached 0) take the value of the EM map.

    Parameters
    ----------
    growth : float
        Factor by which the bound on the step grows when it is reached, and
        shrinks when a proposal is refused.
    """

    name = "squarem"

    def __init__(self, growth: float = 4.0):
        self.growth = growth
        self._bound = 1.0
        self._at_bound = False
        self._first: tuple[np.ndarray, np.ndarray] | None = None
        self._stabilise = False

    def rests(self) -> bool:
        resting, self._stabilise = self._stabilise, False
        return resting

    def propose(self, current: np.ndarray, image: np.ndarray) -> np.ndarray | None:
        if self._first is None:
            self._first = (current, image)
            return None
        (start, middle), self._first = self._first, None
        with np.errstate(invalid="ignore", over="ignore"):
            r = middle - start
            v = (image - current) - r
        usable = np.isfinite(r) & np.isfinite(v)  # so are the points, or these were not
        known = slice(None) if usable.all() else usable
        length = float(np.linalg.norm(v[known]))
        if length == 0.0:
            return None
        step = float(np.linalg.norm(r[known])) / length
        step = min(max(step, 1.0), self._bound)
        self._at_bound = step == self._bound
        if step == 1.0:  # the extrapolation is the EM point itself
            self._grow(True)
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            proposal = start + 2 * step * r + step**2 * v
        return np.where(usable & np.isfinite(proposal), proposal, image)

    def observe(self, accepted: bool) -> None:
        self._grow(accepted)
        self._stabilise = accepted

    def _grow(self, accepted: bool) -> None:
        if not accepted:
            self._bound = max(1.0, self._bound / self.growth)
        elif self._at_bound:
            self._bound *= self.growth

    def reset(self) -> None:
        self._first = None
        self._stabilise = False
