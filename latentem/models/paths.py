"""Paths and filtered probabilities of hidden chains, over blocks of log densities.

A block holds S sequences as stacked rows; sequence s is rows ``offsets[s]`` to
``offsets[s + 1]``. Log densities are component-major (K, m).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from latentem.models.chain import Chain

__all__ = ["draw_paths", "filtered", "viterbi"]

Array = np.ndarray


def _forward(chain: Chain, log_density: Array) -> tuple[Array, float, int]:
    """Filtered probabilities (m, K) of one sequence, its log-likelihood, an impossible row."""
    k, m = log_density.shape
    out, loglik, current = np.zeros((m, k)), 0.0, chain.startprob
    for t in range(m):
        predicted = current if t == 0 else current @ chain.transmat
        reachable = predicted > 0
        peak = log_density[reachable, t].max()
        if peak == -np.inf:
            return np.zeros((m, k)), -np.inf, t
        joint = np.where(reachable, predicted * np.exp(log_density[:, t] - peak), 0.0)
        total = joint.sum()
        current = out[t] = joint / total
        loglik += float(np.log(total) + peak)
    return out, loglik, -1


def filtered(chain: Chain, log_density: Array, offsets: Array) -> tuple[Array, Array]:
    """Log-likelihoods (S,) and the first impossible row of each sequence, -1 if none.

    `log_density` is overwritten with probabilities of the states given the rows so far.
    """
    logliks, impossible = [], []
    for begin, end in pairwise(offsets):
        rows, loglik, bad = _forward(chain, log_density[:, begin:end])
        log_density[:, begin:end] = rows.T
        logliks.append(loglik)
        impossible.append(bad + begin if bad >= 0 else -1)
    return np.array(logliks), np.array(impossible)


def viterbi(chain: Chain, log_density: Array, offsets: Array) -> tuple[Array, Array, Array]:
    """Most probable paths (m,), their joint log densities (S,), and impossible rows (S,)."""
    path, logliks, impossible = np.empty(log_density.shape[1], dtype=np.int64), [], []
    with np.errstate(divide="ignore"):
        start, moves = np.log(chain.startprob), np.log(chain.transmat)
    for begin, end in pairwise(offsets):
        best = start + log_density[:, begin]
        back = np.zeros((end - begin, len(start)), dtype=np.int64)
        bad = begin if best.max() == -np.inf else -1
        for t in range(begin + 1, end):
            joint = best[:, None] + moves
            back[t - begin] = joint.argmax(axis=0)
            best = joint.max(axis=0) + log_density[:, t]
            if best.max() == -np.inf and bad < 0:
                bad = t
        path[end - 1] = best.argmax()
        for t in range(end - 1, begin, -1):
            path[t - 1] = back[t - begin, path[t]]
        logliks.append(best.max())
        impossible.append(bad)
    return path, np.array(logliks), np.array(impossible)


def draw_paths(
    chain: Chain, log_density: Array, offsets: Array, uniforms: Array
) -> tuple[Array, Array, Array]:
    """Paths (m,) drawn from their posterior, log-likelihoods (S,), impossible rows (S,).

    `uniforms` (m,) are draws from [0, 1); `log_density` is overwritten.
    """
    logliks, impossible = filtered(chain, log_density, offsets)
    path = np.zeros(log_density.shape[1], dtype=np.int64)
    for begin, end in pairwise(offsets):
        for t in range(end - 1, begin - 1, -1):
            shares = log_density[:, t]
            if t < end - 1:
                shares = shares * chain.transmat[:, path[t + 1]]
            edges = shares.cumsum()
            path[t] = min(
                np.searchsorted(edges, uniforms[t] * edges[-1], side="right"), len(edges) - 1
            )
    return path, logliks, impossible
