"""Acceleration of EM as a fixed-point map on a flat vector.

An accelerator sees every map ``x -> F(x)`` and may propose another point than
``F(x)`` to go on from. The driver evaluates the proposal, and the E-step's own
log-likelihood is the guard: a proposal below the current objective is dropped
and ``F(x)`` taken instead, so the objective never falls.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import NamedTuple

import numpy as np

__all__ = ["Accelerator", "Anderson", "Squarem"]

#: Share of the largest singular value below which a direction of steps is noise.
RESOLUTION = 1e-7
#: The same for its square, where that is computed.
RESOLVED = 1e-12
#: Coordinates from which on the squares are good enough.
MANY = 10_000


class Accelerator(ABC):
    """One accelerated climb; the driver makes a fresh one for each start."""

    #: Name of an accepted proposal in the history.
    name: str = "accelerated"
    #: Whether `propose_by` is asked in place of `propose`.
    measures: bool = False

    def rests(self) -> bool:
        """Whether the next map is to be taken plain; asked before its points are packed."""
        return False

    @abstractmethod
    def propose(self, current: np.ndarray, image: np.ndarray) -> np.ndarray | None:
        """A point to try in place of ``image = F(current)``, or None to take it."""

    def propose_by(
        self, current: np.ndarray, image: np.ndarray, measured: tuple[np.ndarray, np.ndarray]
    ) -> np.ndarray | None:
        """`propose`, told both points in the coordinates of `Constraint.measure` too."""
        return self.propose(current, image)

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


class Anderson(Accelerator):
    """Anderson acceleration: the combination of the last maps whose steps cancel best.

    From points x_i and their steps ``f_i = F(x_i) - x_i`` it proposes the combination of the
    images whose combined step is shortest, ``F(x) - sum_i g_i (F(x_i+1) - F(x_i))`` with g the
    least-squares solution of ``f = sum_i g_i (f_i+1 - f_i)`` (Anderson 1965,
    doi:10.1145/321296.321305; for EM, Henderson and Varadhan 2019,
    doi:10.1080/10618600.2019.1594835). Each proposal costs one E-step, and every map
    teaches, plain ones too. Steps are also short near a saddle: a proposal that leads back
    is turned round.

    Parameters
    ----------
    memory : int
        Steps that are looked back.
    growth : float
        Factor by which the bound on the length of a move grows when it is reached, and
        shrinks when a proposal is refused.
    """

    name = "anderson"
    measures = True

    def __init__(self, memory: int = 5, growth: float = 4.0):
        if not memory >= 1:
            raise ValueError(f"memory must be at least 1, got {memory!r}")
        self.memory = memory
        self.growth = growth
        self._bound = growth
        self._at_bound = False
        self._maps: deque[_Map] = deque(maxlen=memory + 1)

    def propose(self, current: np.ndarray, image: np.ndarray) -> np.ndarray | None:
        return self.propose_by(current, image, (current, image))

    def propose_by(
        self, current: np.ndarray, image: np.ndarray, measured: tuple[np.ndarray, np.ndarray]
    ) -> np.ndarray | None:
        before, after = measured
        with np.errstate(invalid="ignore"):
            self._maps.append(_Map(image, image - current, after - before))
        if len(self._maps) < 2:
            return None
        shares = self._shares()
        if shares is None:
            return None
        with np.errstate(invalid="ignore", over="ignore"):  # minus shares @ diff(images)
            parts = np.diff(shares, prepend=0.0, append=0.0)
            move = np.zeros(image.shape)
            for part, one in zip(parts, self._maps, strict=True):
                move += part * one.image
        usable = np.isfinite(move) & np.isfinite(self._maps[-1].step)
        move, step = np.where(usable, move, 0.0), np.where(usable, self._maps[-1].step, 0.0)
        stride = float(np.linalg.norm(step))
        if (step + move) @ step <= 0:
            change = step - np.where(usable, self._maps[-2].step, 0.0)
            move = step * (stride / max(float(np.linalg.norm(change)), 1e-300))
        length, reach = float(np.linalg.norm(move)), self._bound * stride
        if length == 0.0:
            return None
        self._at_bound = length >= reach
        if self._at_bound:
            move *= reach / length
        return np.where(usable, image + move, image)

    def _shares(self) -> np.ndarray | None:
        """The least-squares solution g, in coordinates that measure; None where there is none."""
        steps = np.array([one.measured for one in self._maps])
        finite = np.isfinite(steps).all(axis=0)
        steps = steps if finite.all() else steps[:, finite]
        if not steps.size:
            return None
        changes = np.diff(steps, axis=0)
        if changes.shape[1] > MANY:  # images: the decomposition would take longer than the E-step
            squares, turned = np.linalg.eigh(changes @ changes.T)
            keep = squares > RESOLVED * squares[-1]
            if not keep.any():
                return None
            return turned[:, keep] @ (turned[:, keep].T @ (changes @ steps[-1]) / squares[keep])
        left, sizes, right = np.linalg.svd(changes.T, full_matrices=False)
        keep = sizes > RESOLUTION * sizes[0]
        if not keep.any():
            return None
        return right[keep].T @ ((left[:, keep].T @ steps[-1]) / sizes[keep])

    def observe(self, accepted: bool) -> None:
        if accepted:
            self._bound *= self.growth if self._at_bound else 1.0
        else:
            self._bound = max(1.0, self._bound / self.growth)
            self._maps = deque([self._maps[-1]], maxlen=self.memory + 1)

    def reset(self) -> None:
        """Nothing is forgotten: the maps that were taken without asking were near."""


class _Map(NamedTuple):
    """A map that was made: where it led, its step, and that in coordinates that measure."""

    image: np.ndarray
    step: np.ndarray
    measured: np.ndarray
