"""When to stop: the gain that is still to come, or the length of a step.

Near its limit EM gains geometrically, ``g_t ~ rate * g_(t-1)``, so after a gain
g the whole remaining gain is ``g rate / (1 - rate)`` (Aitken's projection; Boehning
et al. 1994, doi:10.1007/BF01720593). A rule on the last gain alone stops slow fits
far from the optimum.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from latentem.engine.trees import values

__all__ = ["Aitken", "growing", "rounding"]

EPS = 2.220446049250313e-16
#: A fall of the objective by this many units of its rounding is not held against EM.
SLACK = 1e3
#: The ratio of gains is settled when it rises by at most this share of its distance to 1.
RISING = 0.02
#: A gain of fewer units of rounding is none.
NOTHING = 4.0
#: A ratio of gains of fewer units of rounding is a ratio of noise.
RESOLVED = 32.0

#: Steps that grow by less than this factor a map leave no saddle in reasonable time.
GROWTH = 1.01
#: Share of the longest step of its group below which a step may grow for a while.
SEEN = 0.1
#: Numbers below this may grow by a factor without a step that is seen beside others.
SMALL = 1e-3


def rounding(objective: float, weight: float) -> float:
    """One unit of rounding of an objective summed over `weight` rows."""
    return EPS * max(abs(objective), weight)


def growing(before: Any, last: Any, new: Any) -> bool:
    """Whether some parameter is on its way out of a saddle, as the last two maps tell.

    Near a maximum steps shrink. Near a saddle they grow while gains, which go with
    their square, are still lost in rounding, or hidden behind those of modes that shrink.
    Steps within rounding are none; but a number that grows by a factor in each map, as a
    probability that was near 0, is on its way however small it is.
    """
    for a, b, c in zip(values(before), values(last), values(new), strict=True):
        step, earlier = np.abs(np.subtract(c, b)), np.abs(np.subtract(b, a))
        unit = max(SLACK * EPS * np.abs(c).max(initial=0.0), SEEN * step.max(initial=0.0))
        if np.any(step > np.maximum(GROWTH * earlier, unit)):
            return True
        small = np.abs(c) < SMALL
        if np.any(small & (np.abs(c) > GROWTH * np.abs(b)) & (np.abs(b) > GROWTH * np.abs(a))):
            return True
    return False


class Aitken:
    """Projected remaining gain of a sequence of plain EM maps.

    The rate is the larger of the last two ratios of gains. After a fresh start or an
    accelerated jump the fast modes of the map dominate and hide the slow ones; the
    ratio then still rises, and its projection is not believed until it has settled.
    With ``ascending=False`` the sizes of changes are looked at, whatever their sign.
    """

    def __init__(self, ascending: bool = True) -> None:
        self.ascending = ascending
        self.gains: deque[float] = deque(maxlen=3)
        self.maps = 0
        #: The last two maps together neither gained nor lost what float64 resolves.
        self.exhausted = False
        #: The last two ratios of successive gains, None before there are two.
        self.ratios: tuple[float, float] | None = None
        #: Estimated rate of convergence; NaN while unknown, or lost in rounding.
        self.rate = math.nan
        #: Gain still to come: infinite at a rate of 1 or more, NaN while unknown.
        self.projected_gain = math.nan

    def add(self, gain: float, unit: float) -> None:
        """Take the gain of one more plain map, and the unit of rounding of the objective."""
        self.gains.append(gain if self.ascending else abs(gain))
        self.maps += 1
        if len(self.gains) < 2:
            return
        both = self.gains[-1] + self.gains[-2]
        self.exhausted = -SLACK * unit <= both <= NOTHING * unit
        self.ratios = self._ratios(unit)
        self.rate = math.nan if self.ratios is None or self.exhausted else max(self.ratios)
        if self.exhausted:
            self.projected_gain = 0.0
        elif self.rate >= 1:
            self.projected_gain = math.inf
        else:
            self.projected_gain = max(self.gains[-1], 0.0) * self.rate / (1 - self.rate)

    def _ratios(self, unit: float) -> tuple[float, float] | None:
        if len(self.gains) < 3:
            return None
        first, second, third = self.gains
        if min(first, second) <= RESOLVED * unit or third < -SLACK * unit:
            return None
        return second / first, third / second

    @property
    def settled(self) -> bool:
        """The ratio of gains has stopped rising: slow modes are no longer hidden by fast ones."""
        if self.ratios is None:
            return False
        before, last = self.ratios
        change = last - before if self.ascending else abs(last - before)
        return change <= RISING * (1 - last)

    def within(self, tol: float) -> bool:
        """Whether the gain still to come is known to be at most `tol`."""
        return self.exhausted or (self.settled and self.projected_gain <= tol)

    def maps_to(self, tol: float) -> float:
        """Further plain maps until the projected gain is `tol`; NaN while unknown."""
        projected, rate = self.projected_gain, self.rate
        if projected <= tol:
            return 0.0
        if math.isnan(projected) or rate >= 1:
            return projected
        if tol <= 0:
            return math.inf
        return math.log(tol / projected) / math.log(rate)
