r"""One long sequence, piece by piece and from both ends at once.

A chain cannot be cut, but it can be entered from both ends. A forward pass over the
first half and a backward pass over the second half know nothing of each other and run
side by side (`latentem.engine.backends.spread`); then each goes on through the half where
the other has left its vectors, and finds posteriors and transitions on the way. Each row
is visited twice, as by any forward-backward algorithm, and both threads do equal work.
The pieces depend on the length alone, so results do not depend on threads.

If the vectors are not kept, only those at the ends of pieces are, and the second visit of
a piece makes its vectors again: half as much work more, and memory for one piece per
thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from latentem.engine.backends import spread
from latentem.engine.blocks import bounds
from latentem.kernels import log_chain as logs
from latentem.kernels.rows import collect, densities
from latentem.models.passes import (
    NO_DENSITY,
    Array,
    Chain,
    Smoothed,
    Work,
    agree,
    meet,
    room,
    scratch,
    store,
    work_in,
    work_on,
)

__all__ = ["PIECE", "both_ends", "forward_long", "smooth_long"]

#: Rows of a piece.
PIECE = 8192


class _Failed(Exception):
    """Scaled passes cannot hold this sequence."""


Rows = tuple[Work, Array]  # arrays, and begin and end of the rows in them, (2,)


class _Source(Protocol):
    """Where the arrays of piece i come from."""

    @property
    def pieces(self) -> Sequence[tuple[int, int]]:
        """Begin and end of each in the rows of the sequence."""
        ...

    def first(self, i: int) -> Rows:
        """With densities."""
        ...

    def kept(self, i: int) -> Rows | None:
        """As the first visit left them, if it did."""
        ...

    def again(self, i: int) -> Rows | None:
        """With densities, log densities too, and without vectors."""
        ...

    def use(self, i: int, rows: Rows) -> Any:
        """What to do with posteriors, which stand in ``stored``."""
        ...


class _Whole(NamedTuple):
    """Log densities of all rows at hand."""

    work: Work
    pieces: Sequence[tuple[int, int]]

    def first(self, i: int) -> Rows:
        begin, end = self.pieces[i]
        densities(self.work.log_density, begin, end, self.work.peaks, self.work.likelihood)
        return self.work, np.array([begin, end])

    def kept(self, i: int) -> Rows | None:
        return self.work, np.array(self.pieces[i])

    def again(self, i: int) -> Rows | None:
        return None

    def use(self, i: int, rows: Rows) -> Any:
        return None


class _Pieces(NamedTuple):
    """Log densities asked for piece by piece."""

    chain: Chain
    pieces: Sequence[tuple[int, int]]
    density: Callable[[int, int], Array]
    finish: Callable[[int, int, Array], Any]
    memory: Array | None

    def _floats(self, i: int) -> Array:
        begin, end = (room(self.chain, row) for row in self.pieces[i])
        return np.empty(end - begin) if self.memory is None else self.memory[begin:end]

    def _rows(self, work: Work) -> Rows:
        return work, np.array([0, len(work.peaks)])

    def first(self, i: int) -> Rows:
        return self._rows(work_on(self.chain, self.density(*self.pieces[i]), self._floats(i)))

    def kept(self, i: int) -> Rows | None:
        if self.memory is None:
            return None
        begin, end = self.pieces[i]
        return self._rows(work_in(self.chain, NO_DENSITY, end - begin, self._floats(i)))

    def again(self, i: int) -> Rows | None:
        begin, end = self.pieces[i]
        floats = np.empty(room(self.chain, end - begin))
        return self._rows(work_on(self.chain, self.density(begin, end), floats))

    def use(self, i: int, rows: Rows) -> Any:
        begin, end = self.pieces[i]
        posterior = np.empty((len(self.chain.startprob), end - begin))
        collect(rows[0].stored, rows[1], np.zeros(1, dtype=np.int64), posterior)
        return self.finish(begin, end, posterior)


def both_ends(chain: Chain, work: Work, weights: Array) -> tuple[Array, Array, Array]:
    """Smooth the rows of one sequence, whose posteriors are left in ``work.stored``.

    Gives log-likelihood (1,), expected transitions (K, K), and status (1,): 1 where this
    failed and has to be done in logarithms.
    """
    source = _Whole(work, bounds(len(work.peaks), PIECE))
    try:
        found, _ = _from_both_ends(chain, source, weights)
    except _Failed:
        return np.zeros(1), np.zeros_like(chain.transmat), np.ones(1, dtype=np.int64)
    return found.loglik, found.pairs, np.zeros(1, dtype=np.int64)


def smooth_long(
    chain: Chain,
    pieces: Sequence[tuple[int, int]],
    density: Callable[[int, int], Array],
    finish: Callable[[int, int, Array], Any],
    weight: float = 1.0,
    keep: bool = True,
) -> tuple[Smoothed, list[Any]]:
    """As `latentem.models.chain.smooth` for one sequence; results of `finish` in order.

    Parameters
    ----------
    chain : Chain
    pieces : sequence of (int, int)
        Begin and end of each piece in the rows of the sequence, in order, none empty.
    density : callable
        ``density(begin, end)``: log densities of these rows, a new (K, end - begin)
        array. Called once or twice for each piece, from any thread.
    finish : callable
        ``finish(begin, end, posteriors)`` for each piece, from any thread; posteriors
        (K, end - begin) are times the weight, and may be kept. Where scaling fails on the
        way, results so far are dropped and all pieces are finished again.
    weight : float
    keep : bool
        Keep densities and vectors of all rows, 2 P + 1 floats a row, between the two
        visits of a piece.
    """
    weights = np.array([float(weight)])
    memory = scratch(room(chain, pieces[-1][1])) if keep else None
    source = _Pieces(chain, pieces, density, finish, memory)
    try:
        return _from_both_ends(chain, source, weights)
    except _Failed:
        return _in_logs(source, weights)


def forward_long(
    chain: Chain, pieces: Sequence[tuple[int, int]], density: Callable[[int, int], Array]
) -> tuple[Array, Array]:
    """Log-likelihood (1,) of one sequence, and its first impossible row (1,), -1 if none.

    As `latentem.models.chain.forward`, in memory for one piece per thread; arguments as in
    `smooth_long`.
    """
    source, order = _Pieces(chain, pieces, density, lambda *_: None, None), range(len(pieces))
    half = len(order) // 2
    ways = (order, order[::-1]) if chain.faint else (order[:half], order[half:][::-1])
    try:
        ahead, back = spread(lambda side: _approach(chain, source, ways[side], side == 1), range(2))
    except _Failed:
        return _forward_in_logs(source)[1:]
    before, after = ahead.boundaries[-1].vector[0], back.boundaries[-1].vector[0]
    if chain.faint:  # the backward pass is an upper bound
        bound = back.scale + float(np.log(after @ chain.start))
        if not agree(np.array(ahead.scale), np.array(bound)):
            return _forward_in_logs(source)[1:]
        return np.array([ahead.scale]), np.array([-1])
    predicted = before @ chain.forward if half else before
    loglik = ahead.scale + back.scale + np.log(predicted @ after)
    return np.array([loglik]), np.array([-1])


class _Boundary(NamedTuple):
    """What a pass brings to a piece: the vector of the row before, or a prediction."""

    vector: Array  # (1, P)
    linked: bool


class _Approach(NamedTuple):
    boundaries: list[_Boundary]  # before each piece, and after the last
    scale: float


class _Met(NamedTuple):
    results: list[Any]
    scale: float
    vector: Array  # (1, P)
    start: Array  # (K,): posterior of the first row of the last piece, times the weight
    pairs: Array  # (K, K)


def _from_both_ends(chain: Chain, source: _Source, weights: Array) -> tuple[Smoothed, list[Any]]:
    half, order = len(source.pieces) // 2, range(len(source.pieces))

    def approach(side: int) -> _Approach:
        return _approach(chain, source, order[half:][::-1] if side else order[:half], side == 1)

    first = spread(approach, (0, 1))
    boundaries = first[0].boundaries[:half] + first[1].boundaries[::-1][1:]
    ends = [side.boundaries[-1] for side in first]
    if ends[1].linked:  # the transition in the middle counts once
        ends[1] = _Boundary(ends[1].vector @ chain.backward, False)

    def go_on(side: int) -> _Met:
        there = order[:half][::-1] if side else order[half:]
        return _go_on(chain, source, weights, there, side == 1, ends[side], boundaries)

    second = spread(go_on, (0, 1))
    loglik = first[0].scale + second[0].scale
    if chain.faint:
        bound = first[1].scale + second[1].scale
        bound += float(np.log(second[1].vector[0] @ chain.start))
        if not agree(np.array(loglik), np.array(bound)):
            raise _Failed
    smoothed = Smoothed(
        np.array([loglik]),
        second[1 if half else 0].start,
        second[0].pairs + second[1].pairs,
        np.array([-1]),
    )
    return smoothed, second[1].results[::-1] + second[0].results


def _approach(chain: Chain, source: _Source, order: Sequence[int], reverse: bool) -> _Approach:
    """The first visit: leave the vectors, or only those between pieces."""
    vector = (chain.last if reverse else chain.start)[None].copy()
    boundaries, scale = [_Boundary(vector.copy(), False)], 0.0
    for i in order:
        scale += _store(chain, source.first(i), vector, reverse, boundaries[-1].linked)
        boundaries.append(_Boundary(vector.copy(), True))
    return _Approach(boundaries, scale)


def _go_on(
    chain: Chain, source: _Source, weights: Array,
    order: Sequence[int], reverse: bool, end: _Boundary, boundaries: list[_Boundary],
) -> _Met:  # fmt: skip
    """The second visit, against what the other side has left."""
    k = len(chain.startprob)
    vector, linked = end.vector.copy(), end.linked
    results, scale, pairs, start = [], 0.0, np.zeros((k, k)), np.zeros(k)
    for i in order:
        rows = source.kept(i)
        found = rows and _meet(chain, rows, vector, reverse, linked, weights)
        if not found:  # not kept, or a row needs its log densities
            rows = source.again(i)
            if rows is None:
                raise _Failed
            _store(chain, rows, boundaries[i].vector.copy(), not reverse, boundaries[i].linked)
            found = _meet(chain, rows, vector, reverse, linked, weights)
        if not found or rows is None:
            raise _Failed
        scale, pairs, linked = scale + found[0], pairs + found[1], True
        start = rows[0].stored[rows[1][0], :k].copy()
        results.append(source.use(i, rows))
    return _Met(results, scale, vector, start, pairs)


def _store(chain: Chain, rows: Rows, vector: Array, reverse: bool, linked: bool) -> float:
    scales, status = store(chain, *rows, vector, reverse, linked)
    if status[0]:
        raise _Failed
    return float(scales[0])


def _meet(
    chain: Chain, rows: Rows, vector: Array, reverse: bool, linked: bool, weights: Array
) -> tuple[float, Array] | None:
    """Scale and expected transitions, or None where that failed."""
    status = np.zeros(1, dtype=np.int64)
    scales, pairs = meet(chain, *rows, vector, reverse, linked, weights, status)
    return None if status[0] else (float(scales[0]), pairs)


def _ahead_in_logs(source: _Pieces, i: int, vector: Array) -> tuple[Array, Array, Array, Array]:
    """Piece i forward in logarithms: densities, vectors, scale (1,), impossible row (1,) or -1."""
    transmat = source.chain.transmat
    log_density = source.density(*source.pieces[i])
    m, scales, bad = log_density.shape[1], np.zeros(1), np.array([-1])
    stored = np.empty((m, len(transmat)))
    logs.log_store(
        log_density, np.array([0, m]), vector, i > 0, transmat, np.log(transmat),
        stored, scales, np.ones(1, dtype=np.int64), bad,
    )  # fmt: skip
    return log_density, stored, scales, np.where(bad < 0, -1, bad + source.pieces[i][0])


def _forward_in_logs(source: _Pieces) -> tuple[list[Array], Array, Array]:
    """Predictions before each piece, log-likelihood (1,), first impossible row (1,) or -1."""
    vector, loglik, impossible = np.log(source.chain.startprob)[None], np.zeros(1), np.array([-1])
    boundaries = []
    for i in range(len(source.pieces)):
        boundaries.append(vector.copy())
        _, _, scale, impossible = _ahead_in_logs(source, i, vector)
        loglik = loglik + scale
        if not np.isfinite(loglik[0]):
            break
    return boundaries, loglik, impossible


def _in_logs(source: _Pieces, weights: Array) -> tuple[Smoothed, list[Any]]:
    """The same in logarithms, forward and then backward, keeping vectors between pieces."""
    transposed = np.ascontiguousarray(source.chain.transmat.T)
    k, status = len(transposed), np.ones(1, dtype=np.int64)
    boundaries, loglik, impossible = _forward_in_logs(source)
    results, pairs, start = [], np.zeros((k, k)), np.zeros(k)
    vector = np.zeros((1, k))
    for i, (begin, end) in reversed(list(enumerate(source.pieces))):
        if np.isfinite(loglik[0]):
            log_density, stored, _, _ = _ahead_in_logs(source, i, boundaries[i].copy())
        else:
            log_density, stored = NO_DENSITY, np.empty((end - begin, k))
        logs.log_meet(
            log_density, np.array([0, end - begin]), vector, i < len(source.pieces) - 1,
            transposed, np.log(transposed), weights, stored, loglik, status, pairs,
        )  # fmt: skip
        posterior = np.ascontiguousarray(stored.T)
        start = posterior[:, 0].copy()
        results.append(source.finish(begin, end, posterior))
    return Smoothed(loglik, start, pairs, impossible), results[::-1]
