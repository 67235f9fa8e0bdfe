r"""Hidden chains on arrays of log densities: what the kernels of `latentem.kernels` do.

`smooth` and `forward` take a block of S sequences as stacked rows; sequence s is rows
``offsets[s]`` to ``offsets[s + 1]``. Log densities are component-major (K, m).
`smooth_long` and `forward_long` take one sequence piece by piece.

A sequence that scaled passes cannot hold (see `latentem.kernels.chain`) is done again in
logarithms, so results are those of the log domain.
"""

from __future__ import annotations

import numpy as np

from latentem.engine.backends import spread
from latentem.engine.blocks import bounds
from latentem.kernels import log_chain as logs
from latentem.kernels.rows import collect
from latentem.models.long_chain import both_ends, forward_long, smooth_long
from latentem.models.passes import (
    Array,
    Chain,
    Filtered,
    Smoothed,
    Work,
    agree,
    chain,
    meet,
    store,
    work_in,
    work_on,
)

__all__ = [
    "Chain",
    "Filtered",
    "Smoothed",
    "chain",
    "forward",
    "forward_long",
    "smooth",
    "smooth_long",
]

#: Rows from which a lone sequence is entered from both ends, and rows of its pieces.
LONG = 8192
#: Entries of a vector below which digits may have been lost; see `latentem.kernels.chain`.
FLOOR = 2.0**-700


def smooth(
    chain: Chain,
    log_density: Array,
    offsets: Array,
    weights: Array | None = None,
    out: Array | None = None,
) -> Smoothed:
    """Posteriors of every row, and the sums that an M-step of the chain needs.

    Parameters
    ----------
    chain : Chain
    log_density : (K, m) array, C order; overwritten
        Log densities of the rows.
    offsets : (S + 1,) int64 array
        Begin of each sequence and the end of the last; no sequence is empty.
    weights : (S,) array, optional
        1 each if not given.
    out : (K, m) array of any order, optional; overwritten
        Posteriors of the rows times the weight of their sequence. Zeros where a sequence is
        impossible or has no weight. By default they are left in `log_density`.
    """
    n = len(offsets) - 1
    weights = np.ones(n) if weights is None else np.ascontiguousarray(weights, dtype=float)
    if n == 1 and log_density.shape[1] >= LONG:
        work = work_in(chain, log_density, log_density.shape[1])
        loglik, pairs, status = both_ends(chain, work, weights)
    else:
        work = work_on(chain, log_density)
        vectors = np.repeat(chain.start[None], n, axis=0)
        loglik, status = store(chain, work, offsets, vectors, False)
        vectors[:] = chain.last
        pairs = meet(chain, work, offsets, vectors, True, False, weights, status, loglik)[1]
    impossible = np.full(n, -1)
    if np.count_nonzero(status):
        pairs = pairs + _smooth_in_logs(chain, work, offsets, weights, loglik, status, impossible)
    done, parts = np.zeros(n, dtype=np.int64), [offsets]
    if n == 1 and log_density.shape[1] > LONG:
        parts = [np.array(part) for part in bounds(log_density.shape[1], LONG)]
    posterior = log_density if out is None else out
    spread(lambda part: collect(work.stored, part, done, posterior), parts)
    start = posterior[:, 0].copy() if n == 1 else posterior[:, offsets[:-1]].sum(axis=1)
    return Smoothed(loglik, start, pairs, impossible)


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
    work = work_on(chain, log_density)
    vectors = np.repeat(chain.start[None], n, axis=0)
    floor = FLOOR if chain.faint and keep else 0.0
    loglik, status = store(chain, work, offsets, vectors, False, floor=floor)
    last, impossible = vectors[:, :k].copy(), np.full(n, -1)
    if chain.faint and not keep:  # the backward pass is an upper bound
        vectors[:] = chain.last
        bound, failed = store(chain, work, offsets, vectors, True)
        status |= failed | ~agree(loglik, bound + np.log(vectors @ chain.start))
    if status.any():
        found = store_in_logs(chain, work, offsets, loglik, status, impossible)
        last[status != 0] = np.exp(found[status != 0])
    if keep:
        for s in np.flatnonzero(status):
            rows = work.stored[offsets[s] : offsets[s + 1], :k]
            np.exp(rows, out=rows)
        collect(work.stored, offsets, np.zeros(n, dtype=np.int64), log_density)
        total = log_density.sum(axis=0)
        log_density /= np.where(total == 0, 1.0, total)
    return Filtered(loglik, last, impossible)


def store_in_logs(
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
    store_in_logs(chain, work, offsets, loglik, status, impossible)
    pairs, transposed = np.zeros_like(chain.transmat), np.ascontiguousarray(chain.transmat.T)
    vectors = np.zeros((len(loglik), len(pairs)))
    logs.log_meet(
        work.log_density, offsets, vectors, False, transposed, np.log(transposed),
        weights, work.stored, loglik, status, pairs,
    )  # fmt: skip
    return pairs
