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
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.backends import spread
from latentem.kernels import chain as scaled
from latentem.kernels import log_chain as logs
from latentem.kernels.rows import collect
from latentem.models.chain import (
    NO_DENSITY,
    Array,
    Chain,
    Smoothed,
    Work,
    meet,
    scratch,
    store,
    work_on,
)

__all__ = ["smooth_long"]


class _Failed(Exception):
    """Scaled passes cannot hold this sequence."""


class _Boundary(NamedTuple):
    """What a pass brings to a piece: the vector of the row before, or a prediction."""

    vector: Array  # (P,)
    linked: bool


class _Task(NamedTuple):
    """A sequence and what to do with it."""

    chain: Chain
    pieces: Sequence[tuple[int, int]]
    density: Callable[[int, int], Array]
    use: Callable[[int, int, Array], Any]
    weight: Array  # (1,)
    memory: Array | None  # for vectors of all rows, or None


def smooth_long(
    chain: Chain,
    pieces: Sequence[tuple[int, int]],
    density: Callable[[int, int], Array],
    use: Callable[[int, int, Array], Any],
    weight: float = 1.0,
    keep: bool = True,
) -> tuple[Smoothed, list[Any]]:
    """As `latentem.models.chain.smooth` for one sequence; results of `use` in order.

    Parameters
    ----------
    chain : Chain
    pieces : sequence of (int, int)
        Begin and end of each piece in the rows of the sequence, in order, none empty.
    density : callable
        ``density(begin, end)``: log densities of these rows, a new (K, end - begin)
        array. Called once or twice for each piece, from any thread.
    use : callable
        ``use(begin, end, posteriors)`` for each piece, from any thread; posteriors
        (K, end - begin) are times the weight, and may be kept. A piece may be used again
        when what was returned before has been dropped.
    weight : float
    keep : bool
        Keep densities and vectors of all rows, 2 P + 1 floats a row, between the two
        visits of a piece.
    """
    n_rows, p = pieces[-1][1], len(chain.start)
    memory = scratch(n_rows * (2 * p + 1)) if keep else None
    task = _Task(chain, pieces, density, use, np.array([float(weight)]), memory)
    try:
        return _from_both_ends(task)
    except _Failed:
        return _in_logs(task)


def _from_both_ends(task: _Task) -> tuple[Smoothed, list[Any]]:
    chain, half = task.chain, len(task.pieces) // 2
    order = range(len(task.pieces))
    first = spread(lambda side: _approach(task, order[half:][::-1], True) if side
                   else _approach(task, order[:half], False), (0, 1))  # fmt: skip
    boundaries = first[0].boundaries[:half] + first[1].boundaries[::-1][1:]
    ends = first[0].boundaries[-1], first[1].boundaries[-1]
    if ends[1].linked:  # the transition in the middle counts once
        ends = ends[0], _Boundary(ends[1].vector @ chain.backward, False)
    second = spread(
        lambda side: (
            _meet_all(task, order[:half][::-1], True, ends[1], boundaries)
            if side
            else _meet_all(task, order[half:], False, ends[0], boundaries)
        ),
        (0, 1),
    )
    loglik = first[0].scale + second[0].scale
    if chain.faint:
        bound = first[1].scale + second[1].scale + np.log(second[1].vector @ chain.start)
        slack = scaled.AGREE + scaled.AGREE_RELATIVE * (abs(loglik) + abs(bound))
        if not abs(bound - loglik) <= slack:
            raise _Failed
    results = second[1].results[::-1] + second[0].results
    start = (second[1] if half else second[0]).start
    smoothed = Smoothed(
        np.array([loglik]), start, second[0].pairs + second[1].pairs, np.array([-1])
    )
    return smoothed, results


class _Approach(NamedTuple):
    boundaries: list[_Boundary]  # before each piece, and after the last
    scale: float


def _approach(task: _Task, order: Sequence[int], reverse: bool) -> _Approach:
    """The first visit: store, or only find the vectors between pieces."""
    vector = (task.chain.last if reverse else task.chain.start)[None].copy()
    boundaries, scale, linked = [_Boundary(vector[0].copy(), False)], 0.0, False
    for i in order:
        log_density = task.density(*task.pieces[i])
        work = work_on(task.chain, log_density, _memory(task, i))
        scale += _store(task.chain, work, vector, reverse, linked)
        linked = True
        boundaries.append(_Boundary(vector[0].copy(), True))
    return _Approach(boundaries, scale)


class _Met(NamedTuple):
    results: list[Any]
    scale: float
    vector: Array  # (P,)
    start: Array  # (K,): posterior of the last first row visited, times the weight
    pairs: Array  # (K, K)


def _meet_all(
    task: _Task, order: Sequence[int], reverse: bool, end: _Boundary, boundaries: list[_Boundary]
) -> _Met:
    """The second visit, against what the other side has stored."""
    chain = task.chain
    k = len(chain.startprob)
    vector, linked = end.vector[None].copy(), end.linked
    results, scale, pairs, start = [], 0.0, np.zeros((k, k)), np.zeros(k)
    for i in order:
        begin, stop = task.pieces[i]
        found = None
        if task.memory is not None:
            work = _view(chain, task.memory, begin, stop)
            found = _meet(task, work, vector, reverse, linked)
        if found is None:  # not kept, or a row needs its log densities
            work = work_on(chain, task.density(begin, stop), np.empty(_size(task, i)))
            other = boundaries[i]
            _store(chain, work, other.vector[None].copy(), not reverse, other.linked)
            found = _meet(task, work, vector, reverse, linked)
            if found is None:
                raise _Failed
        scale, pairs, linked = scale + found[0], pairs + found[1], True
        posterior = np.empty((k, stop - begin))
        collect(work.stored, np.array([0, stop - begin]), False, np.zeros(1, np.int64), posterior)
        start = posterior[:, 0].copy()
        results.append(task.use(begin, stop, posterior))
    return _Met(results, scale, vector[0], start, pairs)


def _size(task: _Task, i: int) -> int:
    begin, end = task.pieces[i]
    return (end - begin) * (2 * len(task.chain.start) + 1)


def _memory(task: _Task, i: int) -> Array:
    if task.memory is None:
        return np.empty(_size(task, i))
    first = task.pieces[i][0] * (2 * len(task.chain.start) + 1)
    return task.memory[first : first + _size(task, i)]


def _view(chain: Chain, memory: Array, begin: int, end: int) -> Work:
    """What `work_on` has filled in the memory of a piece, without its log densities."""
    m, p = end - begin, len(chain.start)
    floats = memory[begin * (2 * p + 1) : end * (2 * p + 1)]
    likelihood, stored = floats[: 2 * m * p].reshape(2, m, p)
    return Work(NO_DENSITY, likelihood, floats[2 * m * p :], stored)


def _store(chain: Chain, work: Work, vector: Array, reverse: bool, linked: bool) -> float:
    offsets = np.array([0, len(work.peaks)])
    scales, status = store(chain, work, offsets, vector, reverse, linked)
    if status[0]:
        raise _Failed
    return float(scales[0])


def _meet(
    task: _Task, work: Work, vector: Array, reverse: bool, linked: bool
) -> tuple[float, Array] | None:
    """Scale and expected transitions, or None where that failed."""
    offsets, status = np.array([0, len(work.peaks)]), np.zeros(1, dtype=np.int64)
    scales, pairs = meet(task.chain, work, offsets, vector, reverse, linked, task.weight, status)
    return None if status[0] else (float(scales[0]), pairs)


def _in_logs(task: _Task) -> tuple[Smoothed, list[Any]]:
    """The same in logarithms, forward and then backward, keeping vectors between pieces."""
    transmat, log_transmat = task.chain.transmat, np.log(task.chain.transmat)
    k, status = len(transmat), np.ones(1, dtype=np.int64)
    loglik, impossible, failed = 0.0, np.array([-1]), np.array([-1])

    def ahead(i: int, vector: Array) -> tuple[Array, Array, Array, float]:
        log_density = task.density(*task.pieces[i])
        m = log_density.shape[1]
        offsets, stored, scales = np.array([0, m]), np.empty((m, k)), np.zeros(1)
        logs.log_store(
            log_density, offsets, vector, i > 0, transmat, log_transmat, stored, scales,
            status, impossible,
        )  # fmt: skip
        return log_density, offsets, stored, float(scales[0])

    vector = np.log(task.chain.startprob)[None]
    boundaries = []
    for i, (begin, _) in enumerate(task.pieces):
        boundaries.append(vector.copy())
        loglik += ahead(i, vector)[-1]
        if not np.isfinite(loglik):
            failed = np.where(impossible < 0, -1, impossible + begin)
            break
    results, pairs, start = [], np.zeros((k, k)), np.zeros(k)
    transposed = np.ascontiguousarray(transmat.T)
    vector, total = np.zeros((1, k)), np.array([loglik])
    for i in reversed(range(len(task.pieces))):
        begin, end = task.pieces[i]
        if np.isfinite(loglik):
            log_density, offsets, stored, _ = ahead(i, boundaries[i].copy())
        else:
            log_density, offsets = NO_DENSITY, np.array([0, end - begin])
            stored = np.empty((end - begin, k))
        logs.log_meet(
            log_density, offsets, vector, i < len(task.pieces) - 1, transposed,
            np.log(transposed), task.weight, stored, total, status, pairs,
        )  # fmt: skip
        posterior = np.ascontiguousarray(stored.T)
        start = posterior[:, 0].copy()
        results.append(task.use(begin, end, posterior))
    return Smoothed(total, start, pairs, failed), results[::-1]
