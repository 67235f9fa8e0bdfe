"""One fit of a factor model: its starts, and noise that goes to 0.

EM goes to a maximum at noise 0 (a Heywood case) slower than any geometric sequence: the
smaller a noise, the shorter its steps, and no extrapolation of steps helps. So the
accelerator tries now and then what the likelihood is with the smallest noise at its floor,
or, where it rises from there, well above it; the driver takes that up only if it is no lower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, repeat
from typing import Any

import numpy as np

from latentem.engine.acceleration import Squarem
from latentem.engine.em import EM
from latentem.engine.result import EMResult
from latentem.models.factor_analyzer import FactorAnalyzer, FactorParams

__all__ = ["FloorSquarem", "fit_factors"]

Array = np.ndarray
#: Share of the variance of a column below which its noise may be on its way to 0.
SMALL = 0.02
#: Maps before the first try; refused tries double the wait for the next.
WAIT = 25
#: Maps before anything is accelerated with ``accelerate="auto"``.
PATIENCE = 12
#: A noise below this many floors that rises is lifted by the factor LIFT: from its floor EM takes
#: as many maps as to it.
NEAR = 100.0
LIFT = 30.0


def fit_factors(
    model: FactorAnalyzer,
    data: Any,
    settings: EM,
    rng: np.random.Generator,
    resume: Any = None,
) -> EMResult:
    """Fit from principal axes, and from random loadings where there is more than one start.

    Parameters
    ----------
    model : FactorAnalyzer
        In the units of the data (`FactorAnalyzer.learn`).
    data : Rows
        NaN in missing cells.
    settings : EM
    rng : Generator
    resume : path, optional
        A checkpoint to go on from.
    """
    starts = chain([model.initialize], repeat(model.scatter))
    if settings.accelerate in ("auto", "squarem") and not model.isotropic:
        plain = PATIENCE if settings.accelerate == "auto" else 0
        settings = replace(settings, accelerate=partial(FloorSquarem, model, plain))
    return settings.run(model, data, start=_next_of(starts), rng=rng, resume=resume)


def _next_of(starts: Iterator[Callable[..., FactorParams]]) -> Callable[..., FactorParams]:
    return lambda blocks, rng: next(starts)(blocks, rng)


class FloorSquarem(Squarem):
    """SQUAREM that also tries noise variances at their floors, and lifts them from there.

    Parameters
    ----------
    model : FactorAnalyzer
        Of diagonal noise, in the units of the data.
    plain : int
        Maps that are taken plain at first.
    """

    def __init__(self, model: FactorAnalyzer, plain: int = 0):
        super().__init__()
        assert model.units is not None
        self._variances = model.units.scale**2
        self._n_factors, self._floor = model.n_factors, model.noise_floor
        self._plain = plain
        self._maps, self._next, self._wait = 0, max(WAIT, plain), WAIT
        self._tried: tuple[int, tuple[float, float]] | None = None
        self._refused: dict[int, tuple[float, float]] = {}  # shares around those that were

    def rests(self) -> bool:
        self._maps += 1
        return super().rests() or self._maps <= self._plain

    def propose(self, current: Array, image: Array) -> Array | None:
        self._tried = None
        if self._maps >= self._next:
            proposal = self._beyond(current, image)
            self._next = self._maps + self._wait
            if proposal is not None:
                self._first = None
                return proposal
        return super().propose(current, image)

    def _beyond(self, current: Array, image: Array) -> Array | None:
        """The image with one noise where it is going: to its floor, or well above it.

        Loadings of that column become larger or smaller, so that its variance stays.
        """
        d, q = len(self._variances), self._n_factors
        noise = slice(d + d * q, d + d * q + d)  # after the mean and the loadings
        rises = image[noise] - current[noise]
        share = np.exp(image[noise]) / self._variances
        falling = (share < SMALL) & (share > 2 * self._floor) & (rises < 0)
        rising = (share < NEAR * self._floor) & (rises > 0)
        for j, (low, high) in self._refused.items():
            falling[j] &= not low < share[j] < high
            rising[j] &= not low < share[j] < high
        if not (falling | rising).any():
            return None
        j = int(np.argmin(np.where(falling | rising, share, np.inf)))
        there = self._floor if falling[j] else min(LIFT * share[j], SMALL)
        self._tried = j, (0.5 * share[j], 2 * share[j])
        out = image.copy()
        out[noise.start + j] = np.log(there * self._variances[j])
        out[d + j * q : d + (j + 1) * q] *= np.sqrt((1 - there) / (1 - share[j]))
        return out

    def observe(self, accepted: bool) -> None:
        if self._tried is None:
            super().observe(accepted)
            return
        (j, near), self._tried = self._tried, None
        self._wait = WAIT if accepted else 2 * self._wait
        if not accepted:
            self._refused[j] = near
