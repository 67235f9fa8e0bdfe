"""When to stop: the gain that is still to come, or the length of a step.

Near its limit EM gains geometrically, ``g_t ~ rate * g_(t-1)``, so after a gain
g the whole remaining gain is ``g rate / (1 - rate)`` (Aitken's projection; Boehning
et al. 1994, doi:10.1007/BF01720593). A rule on the last gain alone stops slow fits
far from the optimum.
"""

from __future__ import annotations

import math
from collections import deque

__all__ = ["Aitken", "rounding"]

EPS = 2.220446049250313e-16
#: A fall of the objective by this many units of its rounding is not held against EM.
SLACK = 1e3
#: A gain of fewer units of rounding is none.
NOTHING = 4.0


def rounding(objective: float, weight: float) -> float:
    """One unit of rounding of an objective summed over `weight` rows."""
    return EPS * max(abs(objective), weight, 1.0)


class Aitken:
    """Projected remaining gain of a sequence of plain EM maps.

    The rate is the larger of the last two ratios of gains: a sequence that has
    only just finished its fast phase is not taken for converged.
    """

    def __init__(self) -> None:
        self.gains: deque[float] = deque(maxlen=3)
        self.maps = 0
        self._nothing = 0.0

    def add(self, gain: float, unit: float) -> None:
        """Take the gain of one more plain map, and the unit of rounding of the objective."""
        self.gains.append(gain)
        self.maps += 1
        self._nothing = NOTHING * unit

    @property
    def exhausted(self) -> bool:
        """The last two maps together gained nothing that float64 resolves."""
        return len(self.gains) > 1 and self.gains[-1] + self.gains[-2] <= self._nothing

    @property
    def rate(self) -> float:
        """Estimated rate of convergence; NaN before two ratios are known."""
        if len(self.gains) < 3:
            return math.nan
        first, second, third = self.gains
        if first <= 0 or second <= 0:
            return math.nan
        return max(second / first, third / second)

    @property
    def projected_gain(self) -> float:
        """Gain still to come: infinite at a rate of 1 or more, NaN while unknown."""
        if self.exhausted:
            return 0.0
        rate = self.rate
        if math.isnan(rate):
            return math.nan
        return math.inf if rate >= 1 else max(self.gains[-1], 0.0) * rate / (1 - rate)

    def maps_to(self, tol: float) -> float:
        """Further plain maps until the projected gain is `tol`; NaN while unknown."""
        projected, rate = self.projected_gain, self.rate
        if projected <= tol:
            return 0.0
        if math.isnan(projected) or rate >= 1:
            return projected
        return math.log(tol / projected) / math.log(rate)
