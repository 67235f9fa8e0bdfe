r"""Hidden chains on arrays of log densities: what the kernels of `latentem.kernels` do.

`smooth`, `forward`, `decode` and `draw` take a block of S sequences as stacked rows;
sequence s is rows ``offsets[s]`` to ``offsets[s + 1]``. Log densities are component-major
(K, m). `smooth_long` takes one sequence piece by piece.

A sequence that scaled passes cannot hold (see `latentem.kernels.chain`) is done again in
logarithms, so results are those of the log domain.
"""

from __future__ import annotations

from threading import local
from typing import NamedTuple

import numpy as np

from latentem.kernels import chain as scaled
from latentem.kernels import log_chain as logs
from latentem.kernels.rows import collect, densities

__all__ = ["Chain", "Filtered", "Smoothed", "chain", "forward", "smooth"]

Array = np.ndarray

#: Floats of scratch that a thread keeps for the next E-step (128 MB).
KEPT = 2**24
NOTHING, NO_DENSITY = np.empty(0), np.empty((0, 0))
#: Transition probabilities below which what underflowed may matter later.
TINY = 2.0**-600
#: Entries of a vector below which digits may have been lost; see `latentem.kernels.chain`.
FLOOR = 2.0**-700


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
    """Arrays that the kernels share over some rows; `work_on` fills the densities."""

    log_density: Array  # (K, m), or (0, 0) where it is not kept
    likelihood: Array  # (m, P)
    peaks: Array  # (m,)
    stored: Array  # (m, P)


def chain(startprob: Array, transmat: Array) -> Chain:
    """Start distribution (K,) and transition matrix (K, K), rows summing to 1, for the kernels."""
    k = len(startprob)
    p = -(-k // 4) * 4
    start, last, ahead = np.zeros(p), np.zeros(p), np.zeros((p, p))
    start[:k], last[:k], ahead[:k, :k] = startprob, 1.0, transmat
    return Chain(
        np.array(startprob, dtype=float),
        np.array(transmat, dtype=float, order="C"),
        start,
        last,
        ahead,
        np.ascontiguousarray(ahead.T),
        0.0 if np.min(transmat) >= TINY else scaled.FAINT,
    )


def smooth(
    chain: Chain, log_density: Array, offsets: Array, weights: Array | None = None
) -> Smoothed:
    """Posteriors of every row, and the sums that an M-step of the chain needs.

    Parameters
    ----------
    chain : Chain
    log_density : (K, m) array, C order; overwritten
        Log densities of the rows; left: posteriors of the rows times the weight of
        their sequence. Zeros where a sequence is impossible or has no weight.
    offsets : (S + 1,) int64 array
        Begin of each sequence and the end of the last; no sequence is empty.
    weights : (S,) array, optional
        1 each if not given.
    """
    n, k = len(offsets) - 1, len(chain.startprob)
    weights = np.ones(n) if weights is None else np.ascontiguousarray(weights, dtype=float)
    m, p = log_density.shape[1], len(chain.start)
    work = work_on(chain, log_density, scratch(m * (2 * p + 1)))
    vectors = np.tile(chain.start, (n, 1))
    loglik, status = store(chain, work, offsets, vectors, False)
    vectors[:] = chain.last
    pairs = meet(chain, work, offsets, vectors, True, False, weights, status, loglik)[1]
    impossible = np.full(n, -1)
    if status.any():
        pairs += _smooth_in_logs(chain, work, offsets, weights, loglik, status, impossible)
    collect(work.stored, offsets, False, np.zeros(n, dtype=np.int64), log_density)
    start = log_density[:, offsets[:-1]].sum(axis=1)
    return Smoothed(loglik, start[:k], pairs, impossible)


def forward(chain: Chain, log_density: Array, offsets: Array, keep: bool) -> Filtered:
    """Log-likelihoods and filtered probabilities: no row knows what comes after it.

    Parameters
    ----------
    chain : Chain
    log_density : (K, m) array, C order; overwritten if `keep`
        Log densities of the rows; left: filtered probabilities of the rows, zeros from
        an impossible row on.
    offsets : (S + 1,) int64 array
        As in `smooth`.
    keep : bool
        Whether filtered probabilities are wanted.
    """
    n, k = len(offsets) - 1, len(chain.startprob)
    m, p = log_density.shape[1], len(chain.start)
    work = work_on(chain, log_density, scratch(m * (2 * p + 1)))
    vectors = np.tile(chain.start, (n, 1))
    floor = FLOOR if chain.faint else 0.0
    loglik, status = store(chain, work, offsets, vectors, False, floor=floor)
    last, impossible = vectors[:, :k].copy(), np.full(n, -1)
    if status.any():
        found = _store_in_logs(chain, work, offsets, loglik, status, impossible)
        last[status != 0] = np.exp(found[status != 0])
    if keep:
        collect(work.stored, offsets, True, status, log_density)
        for s in np.flatnonzero(status):
            rows = slice(offsets[s], offsets[s + 1])
            share = np.exp(work.stored[rows, :k].T)
            total = share.sum(axis=0)
            log_density[:, rows] = share / np.where(total == 0, 1.0, total)
    return Filtered(loglik, last, impossible)


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


def work_on(chain: Chain, log_density: Array, floats: Array) -> Work:
    """Densities of the rows, in the memory given: m (2 P + 1) numbers."""
    m, p = log_density.shape[1], len(chain.start)
    likelihood, stored = floats[: 2 * m * p].reshape(2, m, p)
    peaks = floats[2 * m * p :]
    densities(log_density, peaks, likelihood)
    return Work(log_density, likelihood, peaks, stored)


def store(
    chain: Chain, work: Work, offsets: Array, vectors: Array, reverse: bool,
    linked: bool = False, floor: float = 0.0,
) -> tuple[Array, Array]:  # fmt: skip
    """Log scales and status of each segment; see the kernel."""
    scales, status = np.zeros(len(vectors)), np.zeros(len(vectors), dtype=np.int64)
    matrix, faint = (chain.backward, chain.faint) if reverse else (chain.forward, 0.0)
    scaled.store(
        work.log_density, offsets, vectors, linked, reverse, matrix, faint, floor,
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


def _store_in_logs(
    chain: Chain, work: Work, offsets: Array, loglik: Array, status: Array, impossible: Array
) -> Array:
    """Sequences that failed, forward in logarithms; those of their last vectors, (S, K)."""
    vectors = np.tile(np.log(chain.startprob), (len(loglik), 1))
    logs.log_store(
        work.log_density, offsets, vectors, False, chain.transmat, np.log(chain.transmat),
        work.stored, loglik, status, impossible,
    )  # fmt: skip
    return vectors


def _smooth_in_logs(
    chain: Chain, work: Work, offsets: Array, weights: Array,
    loglik: Array, status: Array, impossible: Array,
) -> Array:  # fmt: skip
    """Sequences that failed, anew in logarithms; their expected transitions."""
    _store_in_logs(chain, work, offsets, loglik, status, impossible)
    pairs, transposed = np.zeros_like(chain.transmat), np.ascontiguousarray(chain.transmat.T)
    vectors = np.zeros((len(loglik), len(pairs)))
    logs.log_meet(
        work.log_density, offsets, vectors, False, transposed, np.log(transposed),
        weights, work.stored, loglik, status, pairs,
    )  # fmt: skip
    return pairs
