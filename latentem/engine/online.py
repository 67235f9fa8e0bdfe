r"""Online EM: parameters that follow a stream of batches, and passes of it over data that stay.

Expected statistics of a unit are averaged over batches b = 1, 2, ... with steps that shrink
(Cappé and Moulines 2009, J. R. Statist. Soc. B 71:593-613,
doi:10.1111/j.1467-9868.2009.00698.x):

.. math:: S \leftarrow (1 - \gamma_b) S + \gamma_b s_b / w_b, \qquad \gamma_b = b^{-0.6}

each followed by an M-step at the scale of all units seen, N S, so that a prior counts what
it should. What is reported are the parameters of the mean of S over the last half of the steps
or more (Polyak and Ruppert's averaging), which takes the noise of the steps out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from latentem.engine.backends import Backend
from latentem.engine.climb import Climb
from latentem.engine.model import LatentModel
from latentem.engine.result import Reason, State
from latentem.engine.trees import add, scale

__all__ = ["MiniBatches", "OnlineFit"]

#: Exponent of the steps.
EXPONENT = 0.6
#: Nats a row that a pass must gain for another one to follow.
WORTH = 1e-5


@dataclass(frozen=True)
class OnlineFit:
    """Where online EM stands: a value, which each batch makes a new one of.

    Parameters
    ----------
    params : params
        Those at which the next batch is looked at.
    statistics : tree
        S, of one unit; None before the first batch.
    steps : int
        Batches taken.
    weight : float
        Units seen.
    windows : tuple of (int, tree)
        Means of S over the steps since the last power of two, and over those between the last
        two, with their numbers.
    """

    params: Any
    statistics: Any = None
    steps: int = 0
    weight: float = 0.0
    windows: tuple[tuple[int, Any], ...] = ()

    def fed(self, model: LatentModel, blocks: Iterable[Any], backend: Backend) -> OnlineFit:
        """After one more batch."""
        found = backend.expect(model, self.params, blocks)
        if not found.weight > 0:
            return self
        if not math.isfinite(found.loglik):
            return self  # rows that the model rules out teach nothing
        steps, weight = self.steps + 1, self.weight + found.weight
        new = scale(found.statistics, 1.0 / found.weight)
        statistics = new if steps == 1 else _between(self.statistics, new, steps**-EXPONENT)
        windows = self._windows(statistics, steps)
        params = model.m_step(scale(statistics, weight), self.params)
        return OnlineFit(params, statistics, steps, weight, windows)

    def _windows(self, statistics: Any, steps: int) -> tuple[tuple[int, Any], ...]:
        if steps & (steps - 1) == 0:  # a power of two: a new window begins
            return ((1, statistics), *self.windows[:1])
        (count, mean), *earlier = self.windows
        return ((count + 1, _between(mean, statistics, 1.0 / (count + 1))), *earlier)

    def averaged(self, model: LatentModel) -> Any:
        """Parameters of the mean statistics of the last half of the steps."""
        if not self.windows:
            return self.params
        count, mean = self.windows[0]
        for more, other in self.windows[1:]:
            mean, count = _between(mean, other, more / (count + more)), count + more
        return model.m_step(scale(mean, self.weight), self.params)


def _between(old: Any, new: Any, share: float) -> Any:
    return add(scale(old, 1.0 - share), scale(new, share))


class MiniBatches(Climb):
    """A climb whose steps are passes of online EM; every block is a batch.

    After each pass a full E-step tells the objective of the averaged parameters; the climb ends
    at the best of them when a pass gains next to nothing.
    """

    online: OnlineFit

    def __iter__(self) -> Iterator[State]:
        try:
            point = self._evaluate(self._set_out())
            if math.isnan(point.objective):
                yield self._collapse("the log-likelihood is NaN at the start")
                return
            self.standing = (point.loglik, point.weight)
            if self._saved is None:
                self.online, self.passes = OnlineFit(point.params), 0
                yield self._state(point, "start", Reason.MAX_ITER if self._spent() else None)
            while not self._spent():
                self._pass()
                new = self._evaluate(self.online.averaged(self.model))
                if math.isnan(new.objective):
                    yield self._collapse("the log-likelihood is NaN after a pass")
                    return
                gain = new.objective - point.objective
                enough = gain <= max(self.settings.tol, WORTH * new.weight)
                if gain >= 0 or not math.isfinite(point.objective):
                    point, self.params, self.standing = new, new.params, (new.loglik, new.weight)
                reason = Reason.ONLINE if enough and self.settings.tol > 0 else None
                if reason is None and self._spent():
                    reason = Reason.MAX_ITER
                yield self._state(point, "online", reason, None if point is new else new.objective)
                if reason is not None:
                    return
        except np.linalg.LinAlgError as error:
            yield self._collapse(f"after {self.n_iter} maps, {error}")

    def _like(self, params: Any) -> Any:
        return params, self.backend.expect(self.model, params, list(islice(self.blocks, 1)))

    def _pass(self) -> None:
        """Online EM over all blocks; those that are in memory in an order of chance."""
        blocks: Iterable[Any] = self.blocks
        if isinstance(blocks, list):
            order = np.random.default_rng([self.number, self.passes]).permutation(len(blocks))
            blocks = [blocks[i] for i in order]
        for block in blocks:
            self.online = self.online.fed(self.model, [block], self.backend)
            self.n_iter += 1
            if self._spent():
                break
        self.passes += 1
        self.n_e_steps += 1
