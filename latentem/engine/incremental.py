r"""Incremental EM: an M-step after every few blocks, with the last statistics of the others.

After block b is looked at anew, S is the sum of the last statistics of all blocks, and

.. math:: F = Q(\theta, S) + \log p(\theta) + \sum_b [\ell_b - Q(\theta_b, s_b)]

cannot have fallen, where :math:`\theta_b` are the parameters at which block b was seen last, and
:math:`\ell_b` its log-likelihood there: F is the free energy of Neal and Hinton (1998,
doi:10.1007/978-94-011-5014-9_12), a lower bound of the objective. The sum is a tree of partial
sums, so nothing is ever subtracted and rounding does not build up. The climb ends with a full
E-step: what is reported is the log-likelihood of the parameters that are returned.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from latentem.engine.climb import WARM_UP, Climb, Point
from latentem.engine.model import Expectation
from latentem.engine.result import Reason, State
from latentem.engine.stopping import SLACK, rounding
from latentem.engine.sums import added

__all__ = ["Incremental", "SumTree"]

#: M-steps in a pass, at most, where the number of blocks is known.
GROUPS = 16


class SumTree:
    """Terms that may be replaced, and their sum, by as many additions as the tree has levels."""

    def __init__(self, terms: Sequence[Expectation]):
        self._size = 1 << max(len(terms) - 1, 0).bit_length()
        self._nodes: list[Any] = [None] * self._size + list(terms)
        self._nodes += [None] * (2 * self._size - len(self._nodes))
        for place in range(self._size - 1, 0, -1):
            self._join(place)

    def _join(self, place: int) -> None:
        left, right = self._nodes[2 * place : 2 * place + 2]
        self._nodes[place] = left if right is None else added(left, right)

    def replace(self, number: int, term: Expectation) -> None:
        place = self._size + number
        self._nodes[place] = term
        while place > 1:
            place //= 2
            self._join(place)

    @property
    def total(self) -> Expectation:
        return self._nodes[1]


class Incremental(Climb):
    """A climb with an M-step after each group of blocks; one state for each pass."""

    #: Of each group: statistics, log-likelihood less Q there, both at its own parameters.
    terms: list[Expectation]
    offsets: list[float]

    def __iter__(self) -> Iterator[State]:
        try:
            yield from self._climb()
        except np.linalg.LinAlgError as error:
            yield self._collapse(f"after {self.n_iter} maps, {error}")

    def _climb(self) -> Iterator[State]:
        params = self._set_out()
        if self._saved is None:
            found = [self._expect(params, group) for group in self._groups()]
            self.terms, self.offsets = [], []
            for term in found:
                self.terms.append(term)
                self.offsets.append(self._offset(params, term))
            self.n_e_steps += 1
            self.seen = params
            total = SumTree(self.terms).total
            self.standing = (self.terms[0].loglik, self.terms[0].weight)
            self.energy = total.loglik + self.model.log_prior(params)
            if math.isnan(self.energy):
                yield self._collapse("the log-likelihood is NaN at the start")
                return
            yield self._at(params, total, "start", Reason.MAX_ITER if self._spent() else None)
        else:
            first = self._expect(self.seen, next(iter(self._groups())))
            self._saved.compare(*self.standing, first.loglik, first.weight)
        tree = SumTree(self.terms)
        while not self._spent():
            before = self.energy
            fallen = False
            for number, group in enumerate(self._groups()):
                params = self.model.m_step(tree.total.statistics, self.params)
                self._count(self.params, params)
                energy = self._energy(params, tree.total)
                unit = rounding(energy, tree.total.weight)
                if energy < self.energy - SLACK * unit and self.model.monotone:
                    fallen = True
                    break
                self.energy, self.params = energy, params
                term = self._expect(params, group)
                self.terms[number], self.offsets[number] = term, self._offset(params, term)
                tree.replace(number, term)
                if number == 0:
                    self.seen, self.standing = params, (term.loglik, term.weight)
                if self._spent():
                    break
            self.n_e_steps += 1
            unit = rounding(self.energy, tree.total.weight)
            self.tail.add(self.energy - before, unit)
            reason = Reason.DECREASED if fallen else self._ended()
            if reason is None:
                yield self._at(self.params, tree.total, "incremental")
                continue
            last = self._evaluate_all()
            yield self._state(last, "incremental", reason)
            return
        if self._saved is not None and self._saved.fresh is False and self._spent():
            yield self._state(self._evaluate_all(), "incremental", Reason.MAX_ITER)

    def _like(self, params: Any) -> Any:
        return params, self.backend.expect(self.model, params, list(islice(self.blocks, 1)))

    def _ended(self) -> Reason | None:
        tol, tail = self.settings.tol, self.tail
        if tol > 0 and tail.maps >= WARM_UP and tail.within(tol):
            return Reason.ROUNDING if tail.exhausted else Reason.CONVERGED
        return Reason.MAX_ITER if self._spent() else None

    def _evaluate_all(self) -> Point:
        """The full E-step at the end."""
        saved, self._saved = self._saved, None
        point = self._evaluate(self.params)
        self._saved = saved
        return point

    def _groups(self) -> Iterable[Any]:
        """Blocks together between two M-steps, in order."""
        blocks = self.blocks if isinstance(self.blocks, list) else iter(self.blocks)
        if isinstance(blocks, list):
            each = -(-len(blocks) // GROUPS)
            return [blocks[i : i + each] for i in range(0, len(blocks), each)]
        return iter(lambda: list(islice(blocks, 1)), [])

    def _expect(self, params: Any, group: Any) -> Expectation:
        return self.backend.expect(self.model, params, group)

    def _offset(self, params: Any, term: Expectation) -> float:
        try:
            return term.loglik - self.model.expected_loglik(params, term.statistics)
        except NotImplementedError:
            return math.nan

    def _energy(self, params: Any, total: Expectation) -> float:
        """F; of a model without Q the last log-likelihoods of the blocks, which guard nothing."""
        prior = float(self.model.log_prior(params))
        if math.isnan(self.offsets[0]):
            return total.loglik + prior
        return self.model.expected_loglik(params, total.statistics) + prior + sum(self.offsets)

    def _at(
        self, params: Any, total: Expectation, step: str, reason: Reason | None = None
    ) -> State:
        point = Point(params, total.statistics, self.energy, total.loglik, total.weight)
        return self._state(point, step, reason)
