"""Arrays and calls around the kernels of hidden chains; `latentem.models.chain` is the door.

Everything here is about rows of one block. Vectors of P numbers are K states padded with
zeros to a multiple of four.
"""

from __future__ import annotations

from threading import local
from typing import NamedTuple

import numpy as np

from latentem.kernels import chain as scaled
from latentem.kernels.rows import densities

__all__ = [
    "Chain",
    "Filtered",
    "Smoothed",
    "Work",
    "chain",
    "meet",
    "room",
    "scratch",
    "store",
    "work_in",
    "work_on",
]

Array = np.ndarray

#: Floats of scratch that a thread keeps for the next E-step (128 MB).
KEPT = 2**24
NOTHING, NO_DENSITY = np.empty(0), np.empty((0, 0))
#: Transition probabilities below which what underflowed may matter later.
TINY = 2.0**-600


class Chain(NamedTuple):
    """Start distribution and transitions as the kernels want them; made by `chain`."""

    startprob: Array  # (K,)
    transmat: Array  # (K, K)
    start: Array  # (P,): padded with zeros to a multiple of 4 states
    last: Array  # (P,): 1 for each state
    forward: Array  # (P, P)
    backward: Array  # (P, P), transposed
    faint: float  # 0 if no transition is so rare that an underflow could matter


class Smoothed(NamedTuple):
    """What `smooth` finds, beside the posteriors.

    `loglik` (S,) has the log-likelihood of each sequence without its weight: -inf where
    it is impossible, NaN where a density is NaN. `start` (K,) is the weighted sum of the
    posteriors of first rows and `pairs` (K, K) that of expected transitions.
    `impossible` (S,) is the first row of each sequence that no reachable state can have
    produced, -1 if there is none.
    """

    loglik: Array
    start: Array
    pairs: Array
    impossible: Array


class Filtered(NamedTuple):
    """What `forward` finds.

    `loglik` and `impossible` are as in `Smoothed`; `last` (S, K) holds the filtered
    probabilities of the last row of each sequence.
    """

    loglik: Array
    last: Array
    impossible: Array


class Work(NamedTuple):
    """Arrays that the kernels share over some rows."""

    log_density: Array  # (K, m), or (0, 0) where it is not kept
    likelihood: Array  # (m, P)
    peaks: Array  # (m,)
    stored: Array  # (m, P)


def chain(startprob: Array, transmat: Array) -> Chain:
    """Start distribution (K,) and transition matrix (K, K), rows summing to 1, for the kernels."""
    k = len(startprob)
    p = -(-k // 4) * 4
    padded = np.zeros((2 + p, p))
    start, last, ahead = padded[0], padded[1], padded[2:]
    start[:k], last[:k], ahead[:k, :k] = startprob, 1.0, transmat
    return Chain(
        np.array(startprob, dtype=float),
        np.array(transmat, dtype=float, order="C"),
        start,
        last,
        ahead,
        np.ascontiguousarray(ahead.T),
        0.0 if transmat.min() >= TINY else scaled.FAINT,
    )


_kept = local()


def scratch(n: int) -> Array:
    """Memory for `n` numbers, the same for each E-step of a thread.

    Fresh pages cost as much as the chain does: the system clears them one by one.
    """
    found = getattr(_kept, "floats", NOTHING)
    if len(found) < n:
        found = np.empty(n)
        _kept.floats = found if n <= KEPT else NOTHING
    return found[:n]


def agree(loglik: Array, bound: Array) -> Array:
    """Whether nothing that matters was lost between the two bounds of a log-likelihood."""
    slack = scaled.AGREE + scaled.AGREE_RELATIVE * (np.abs(loglik) + np.abs(bound))
    close: Array = np.abs(bound - loglik) <= slack
    return close


def room(chain: Chain, m: int) -> int:
    """Numbers that `m` rows need."""
    return m * (2 * len(chain.start) + 1)


def work_in(chain: Chain, log_density: Array, m: int, floats: Array | None = None) -> Work:
    """Arrays for `m` rows, in the memory given or in the thread's own."""
    p = len(chain.start)
    floats = scratch(room(chain, m)) if floats is None else floats
    likelihood, stored = floats[: 2 * m * p].reshape(2, m, p)
    return Work(log_density, likelihood, floats[2 * m * p :], stored)


def work_on(chain: Chain, log_density: Array, floats: Array | None = None) -> Work:
    """The same with the densities of the rows filled in."""
    m = log_density.shape[1]
    work = work_in(chain, log_density, m, floats)
    densities(log_density, 0, m, work.peaks, work.likelihood)
    return work


def store(
    chain: Chain, work: Work, offsets: Array, vectors: Array, reverse: bool,
    linked: bool = False, floor: float = 0.0,
) -> tuple[Array, Array]:  # fmt: skip
    """Log scales and status of each segment; see the kernel.

    `vectors` are predictions for first rows or, where `linked`, vectors of the rows before.
    """
    scales, status = np.zeros(len(vectors)), np.zeros(len(vectors), dtype=np.int64)
    matrix, faint = (chain.backward, chain.faint) if reverse else (chain.forward, 0.0)
    if linked:
        vectors[:] = vectors @ matrix
    scaled.store(
        work.log_density, offsets, vectors, reverse, matrix, faint, floor,
        work.likelihood, work.peaks, work.stored, scales, status,
    )  # fmt: skip
    return scales, status


def meet(
    chain: Chain, work: Work, offsets: Array, vectors: Array, reverse: bool, linked: bool,
    weights: Array, status: Array, loglik: Array | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """Log scales of each segment, and expected transitions (K, K); see the kernel.

    Where `loglik` of whole sequences is given, the backward pass must agree with it.
    """
    k, p = len(chain.startprob), len(chain.start)
    scales, start, pairs = np.zeros(len(vectors)), NOTHING, np.zeros((p, p))
    if loglik is not None and chain.faint:
        scales, start = loglik.copy(), chain.start
    matrix, faint = (chain.backward, chain.faint) if reverse else (chain.forward, 0.0)
    scaled.meet(
        work.log_density, offsets, vectors, linked, reverse, matrix, faint, weights,
        work.likelihood, work.peaks, work.stored, scales, status, start, pairs,
    )  # fmt: skip
    return scales, (pairs.T if reverse else pairs)[:k, :k]
