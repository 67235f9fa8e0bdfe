"""Plain twins of the chain kernels: logarithms over all pairs, and sums over all paths."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp


class Twin(NamedTuple):
    loglik: float
    posterior: np.ndarray  # (K, m)
    start: np.ndarray
    pairs: np.ndarray
    filtered: np.ndarray  # (K, m)


def twin(startprob, transmat, log_density) -> Twin:
    """Forward-backward in the log domain, every transition of every row."""
    k, m = log_density.shape
    with np.errstate(all="ignore"):
        moves, b = np.log(transmat), log_density.T
        ahead, back = np.empty((m, k)), np.zeros((m, k))
        ahead[0] = np.log(startprob) + b[0]
        for t in range(1, m):
            ahead[t] = logsumexp(ahead[t - 1][:, None] + moves, axis=0) + b[t]
        for t in range(m - 2, -1, -1):
            back[t] = logsumexp(moves + b[t + 1] + back[t + 1], axis=1)
        loglik = logsumexp(ahead[-1])
        posterior = np.exp(ahead + back - loglik).T
        pairs = np.zeros((k, k))
        for t in range(m - 1):
            pairs += np.exp(ahead[t][:, None] + moves + b[t + 1] + back[t + 1] - loglik)
        filtered = np.exp(ahead - logsumexp(ahead, axis=1, keepdims=True)).T
    return Twin(float(loglik), posterior, posterior[:, 0], pairs, filtered)


def enumerate_paths(startprob, transmat, log_density) -> tuple[np.ndarray, np.ndarray]:
    """All paths (K**m, m) and the log joint of each."""
    k, m = log_density.shape
    paths = np.array(list(product(range(k), repeat=m)))
    with np.errstate(divide="ignore"):
        joint = np.log(startprob)[paths[:, 0]]
        joint = joint + np.log(transmat)[paths[:, :-1], paths[:, 1:]].sum(axis=1)
    return paths, joint + log_density[paths, np.arange(m)].sum(axis=1)


def random_chain(rng, k, kind="dense"):
    """Start distribution and transitions: dense, left-right, fixed (identity) or absorbing."""
    start, moves = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(k), size=k)
    if kind == "left-right":
        start = np.eye(k)[0]
        moves = np.triu(moves) * (np.arange(k) <= np.arange(k)[:, None] + 1) + 0.1 * np.eye(k)
    elif kind == "fixed":
        moves = np.eye(k)
    elif kind == "absorbing":
        moves[-1] = np.eye(k)[-1]
        moves[0, -1] += 0.01
    return start, moves / moves.sum(axis=1, keepdims=True)


KINDS = ("dense", "left-right", "fixed", "absorbing")
