"""Ordered subsets: an M-step after each part of the data, as if it were all of them.

The blocks are dealt out to b subsets, block i to subset ``i mod b``. A map is an E-step over
one subset only, its statistics scaled up to the whole, ``S <- (N / N_b) s_b``, and an M-step;
b maps make a pass over the data. Where the subsets are alike, one pass does the work of
about b maps of EM (Hudson and Larkin 1994, doi:10.1109/42.363108). Nothing is promised: the
objective may fall, and in the end the parameters circle around the maximum, the farther from
it the less alike the subsets are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from latentem.engine.backends import Backend
from latentem.engine.model import Expectation, LatentModel
from latentem.engine.result import Reason, State
from latentem.engine.trees import scale

if TYPE_CHECKING:
    from latentem.engine.em import EM

__all__ = ["SubsetClimb"]


class SubsetClimb:
    """One start under ordered subsets; iterate over it once.

    The first and the last `State` are points with an E-step over all data, as those of EM.
    Those between are passes: their log-likelihood is added up over the subsets, each at the
    parameters it met, so it lags behind.

    Parameters
    ----------
    settings : EM
    model : LatentModel
    blocks : sequence of blocks
    backend : Backend
    begin : callable
        Makes the parameters to start from; it may raise LinAlgError.
    number : int
        Which start this is, from 0.
    """

    def __init__(
        self,
        settings: EM,
        model: LatentModel,
        blocks: Sequence[Any],
        backend: Backend,
        begin: Callable[[], Any],
        number: int = 0,
    ):
        count = settings.subsets
        if not model.additive:
            raise ValueError(f"{type(model).__name__} has no statistics that add: use subsets=1")
        if not isinstance(blocks, list):
            raise ValueError("subsets need data that fit into memory: use subsets=1")
        if len(blocks) < count:
            raise ValueError(
                f"{count} subsets need as many blocks, and the data make {len(blocks)}: take fewer "
                "subsets, or a smaller block_size"
            )
        self.settings, self.model, self.backend = settings, model, backend
        self.blocks, self.begin, self.number = blocks, begin, number
        self.subsets = [blocks[k::count] for k in range(count)]
        self.n_iter = 0
        self.passes = 0.0
        self._began = time.perf_counter()

    def __iter__(self) -> Iterator[State]:
        params: Any = None
        try:
            params = self.begin()
            whole = self._expect(params, self.blocks, 1.0)
            if math.isnan(whole.loglik):
                yield self._collapse(params, "the log-likelihood is NaN at the start")
                return
            spent = self.n_iter >= self.settings.max_iter
            yield self._state(params, whole, "start", Reason.MAX_ITER if spent else None)
            before = -math.inf
            while not spent:
                params, seen = self._pass(params, whole.weight)
                if math.isnan(seen.loglik):
                    yield self._collapse(
                        params, f"after {self.n_iter} maps, the log-likelihood is NaN"
                    )
                    return
                gain, before = seen.loglik - before, seen.loglik
                spent = self.n_iter >= self.settings.max_iter
                if spent or (self.settings.tol > 0 and abs(gain) <= self.settings.tol):
                    break
                yield self._state(params, seen, "subsets")
            if self.n_iter:
                whole = self._expect(params, self.blocks, 1.0)
                yield self._state(params, whole, "subsets", Reason.SUBSETS)
        except np.linalg.LinAlgError as error:
            yield self._collapse(params, f"after {self.n_iter} maps, {error}")

    def _pass(self, params: Any, weight: float) -> tuple[Any, Expectation]:
        """One map for each subset; the parameters, and what was seen on the way."""
        loglik, last = 0.0, None
        for subset in self.subsets:
            last = self._expect(params, subset, 1 / len(self.subsets))
            loglik += last.loglik
            statistics = scale(last.statistics, weight / last.weight)
            params = self.model.m_step(statistics, params)
            self.n_iter += 1
            if self.n_iter >= self.settings.max_iter:
                break
        return params, Expectation(statistics, loglik, weight)

    def _expect(self, params: Any, blocks: Sequence[Any], share: float) -> Expectation:
        self.passes += share
        return self.backend.expect(self.model, params, blocks)

    def _collapse(self, params: Any, text: str) -> State:
        lost = Expectation(None, -math.inf, math.nan)
        return self._state(params, lost, "subsets", Reason.COLLAPSED)._replace(error=text)

    def _state(
        self, params: Any, at: Expectation, step: str, reason: Reason | None = None
    ) -> State:
        prior = 0.0 if reason is Reason.COLLAPSED else float(self.model.log_prior(params))
        return State(
            params=params,
            statistics=at.statistics,
            objective=float(at.loglik) + prior,
            loglik=float(at.loglik),
            weight=float(at.weight),
            step=step,
            accepted=True,
            tried=float(at.loglik) + prior,
            n_iter=self.n_iter,
            n_certify=0,
            n_e_steps=round(self.passes),
            rate=math.nan,
            projected_gain=math.nan,
            seconds=time.perf_counter() - self._began,
            reason=reason,
            start=self.number,
        )
