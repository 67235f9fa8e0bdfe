"""Paths and filtered probabilities of hidden chains, over blocks of log densities.

A block holds S sequences as stacked rows; sequence s is rows ``offsets[s]`` to
``offsets[s + 1]``. Log densities are component-major (K, m).
"""

from __future__ import annotations

import numpy as np

from latentem.engine.backends import spread
from latentem.kernels import log_chain as logs
from latentem.kernels import paths as kernels
from latentem.models.chain import FLOOR, LONG, forward, store_in_logs
from latentem.models.passes import Array, Chain, scratch, store, work_on

__all__ = ["draw_paths", "filtered", "viterbi"]


def filtered(chain: Chain, log_density: Array, offsets: Array) -> tuple[Array, Array]:
    """Log-likelihoods (S,) and the first impossible row of each sequence, -1 if none.

    `log_density` is overwritten with probabilities of the states given the rows so far,
    zeros from an impossible row on.
    """
    found = forward(chain, log_density, offsets, keep=True)
    return found.loglik, found.impossible


def viterbi(chain: Chain, log_density: Array, offsets: Array) -> tuple[Array, Array, Array]:
    """Most probable paths (m,), their joint log densities (S,), and impossible rows (S,).

    `log_density` is only read. The joint is -inf where no path is possible and NaN where
    a log density is NaN or +inf; the path means nothing then.
    """
    n, m = len(offsets) - 1, log_density.shape[1]
    p = len(chain.start)
    with np.errstate(divide="ignore"):
        start, last = np.log(chain.start), np.log(chain.last)
        moves = np.log(chain.forward), np.log(chain.backward)
    pointed = p <= kernels.FOUR
    stored, path = scratch(0 if pointed else m * p).reshape(-1, p), np.empty(m, dtype=np.int64)
    origins = np.empty((m if pointed else 0, kernels.FOUR), dtype=np.uint8)

    def search(part: Array, begin: Array, reverse: bool) -> tuple[Array, Array]:
        vectors, scales = np.tile(begin, (len(part) - 1, 1)), np.empty(len(part) - 1)
        kernels.search(log_density, part, vectors, reverse, moves[reverse], stored, origins, scales)
        return vectors, scales

    def trace(part: Array, states: Array, reverse: bool) -> None:
        kernels.trace(part, states, reverse, moves[not reverse], stored, origins, path)

    if n == 1 and m >= LONG:
        halves = np.array([0, m // 2]), np.array([m // 2, m])
        ahead, back = spread(
            lambda side: search(halves[side], (start, last)[side], side == 1), (0, 1)
        )
        with np.errstate(invalid="ignore"):  # infinite densities
            joint = ahead[0].T + moves[0] + back[0]  # over the transition in the middle
        ends = np.unravel_index(np.argmax(joint), joint.shape)
        states = np.array(ends)[:, None]
        if pointed:  # over before another thread would have woken up
            for side in (0, 1):
                trace(halves[side], states[side], side == 1)
        else:
            spread(lambda side: trace(halves[side], states[side], side == 1), (0, 1))
        loglik = np.array([ahead[1][0] + back[1][0] + joint[ends]])
    else:
        vectors, loglik = search(offsets, start, False)
        trace(offsets, vectors.argmax(axis=1), False)
    impossible = np.full(n, -1)
    if (loglik == -np.inf).any():
        impossible = forward(chain, log_density, offsets, keep=False).impossible
    return path, loglik, impossible


def draw_paths(
    chain: Chain, log_density: Array, offsets: Array, uniforms: Array
) -> tuple[Array, Array, Array]:
    """Paths (m,) drawn from their posterior, log-likelihoods (S,), impossible rows (S,).

    `uniforms` (m,) are draws from [0, 1); `log_density` is only read. States are -1 in
    sequences that are impossible or have a NaN.
    """
    n = len(offsets) - 1
    work = work_on(chain, log_density)
    vectors, impossible = np.repeat(chain.start[None], n, axis=0), np.full(n, -1)
    floor = FLOOR if chain.faint else 0.0
    loglik, status = store(chain, work, offsets, vectors, False, floor=floor)
    path = np.empty(log_density.shape[1], dtype=np.int64)
    kernels.draw(work.stored, offsets, chain.backward, uniforms, status, path)
    if status.any():
        store_in_logs(chain, work, offsets, loglik, status, impossible)
        with np.errstate(divide="ignore"):
            moves = np.log(np.ascontiguousarray(chain.transmat.T))
        logs.log_draw(work.stored, offsets, moves, uniforms, loglik, status, path)
    return path, loglik, impossible
