"""IBM Model 1: each target word is a translation of some source word of its sentence.

``p(e | f) = prod_j (1 / len(f)) sum_i t(e_j | f_i)``. Pairs of sentences are units;
a block is a list of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

from latentem import Expectation, LatentModel, Simplex


class Params(NamedTuple):
    t: np.ndarray  # (source words, target words), rows sum to 1


class Statistics(NamedTuple):
    counts: np.ndarray
    choices: float  # sum of log(1 / len(f)) over the target words


class WordAlignment(LatentModel):
    """`seen`: pairs of words that meet in some sentence; the others are structural zeros."""

    def __init__(self, seen):
        self.seen = seen

    def blocks(self, data, size=None):
        size = len(data) if size is None else size
        return [list(data[i : i + size]) for i in range(0, len(data), size)]

    def initialize(self, blocks, rng):
        return Params(self.seen / self.seen.sum(axis=1, keepdims=True))

    def constraints(self):
        return Params(Simplex(free=self.seen))

    def e_step(self, params, block):
        counts, loglik, choices = np.zeros_like(params.t), 0.0, 0.0
        for target, source in block:
            t = params.t[np.ix_(source, target)]
            total = t.sum(axis=0)
            np.add.at(counts, np.ix_(source, target), t / total)
            choices -= len(target) * np.log(len(source))
            loglik += float(np.log(total).sum())
        return Expectation(Statistics(counts, choices), loglik + choices, float(len(block)))

    def m_step(self, statistics, params):
        counts = statistics.counts
        total = counts.sum(axis=1, keepdims=True)
        return Params(np.where(total > 0, counts / np.where(total > 0, total, 1.0), params.t))

    def expected_loglik(self, params, statistics):
        return float(xlogy(statistics.counts, params.t).sum() + statistics.choices)

    def sample(self, params, n, rng):
        n_source, n_target = params.t.shape
        out = []
        for _ in range(n):
            source = rng.integers(n_source, size=3)
            chosen = source[rng.integers(3, size=4)]
            out.append((np.array([rng.choice(n_target, p=params.t[f]) for f in chosen]), source))
        return out


def seen_pairs(data, n_source, n_target):
    seen = np.zeros((n_source, n_target), dtype=bool)
    for target, source in data:
        seen[np.ix_(source, target)] = True
    return seen
