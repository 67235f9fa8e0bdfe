"""A Poisson hidden Markov model: latent chains, blocks of whole sequences."""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, xlogy

from latentem import Expectation, LatentModel, Positive, Simplex
from latentem.engine.trees import add
from tests.contract.sketches.sequences import sequence_blocks


class Params(NamedTuple):
    start: np.ndarray
    transitions: np.ndarray
    rates: np.ndarray


class Statistics(NamedTuple):
    start: np.ndarray
    transitions: np.ndarray
    weight: np.ndarray
    total: np.ndarray
    log_factorials: float


class PoissonHMM(LatentModel):
    def __init__(self, n_states):
        self.n_states = n_states

    def blocks(self, data, size=None):
        return sequence_blocks(data, size)

    def initialize(self, blocks, rng):
        k, x = self.n_states, np.concatenate([s for block in blocks for s in block])
        stay = np.eye(k) * 0.8 + 0.2 / k
        return Params(np.full(k, 1 / k), stay, np.quantile(x, (np.arange(k) + 0.5) / k) + 0.1)

    def constraints(self):
        return Params(Simplex(), Simplex(), Positive())

    def e_step(self, params, block):
        return reduce(add, [self._one(params, x) for x in block])

    def _one(self, params, x):
        start, moves, rates = params
        log_density = x[:, None] * np.log(rates) - rates - gammaln(x + 1)[:, None]
        shift = log_density.max(axis=1)
        b = np.exp(log_density - shift[:, None])
        forward, scale, backward = np.empty_like(b), np.empty(len(x)), np.ones_like(b)
        for t in range(len(x)):
            joint = (start if t == 0 else forward[t - 1] @ moves) * b[t]
            scale[t] = joint.sum()
            forward[t] = joint / scale[t]
        pairs = np.zeros_like(moves)
        for t in range(len(x) - 1, 0, -1):
            ahead = b[t] * backward[t] / scale[t]
            pairs += forward[t - 1][:, None] * moves * ahead
            backward[t - 1] = moves @ ahead
        posterior = forward * backward
        statistics = Statistics(
            posterior[0], pairs, posterior.sum(0), x @ posterior, float(gammaln(x + 1).sum())
        )
        return Expectation(statistics, float(np.log(scale).sum() + shift.sum()), float(len(x)))

    def m_step(self, statistics, params):
        start, pairs, weight, total, _ = statistics
        return Params(start / start.sum(), pairs / pairs.sum(1, keepdims=True), total / weight)

    def expected_loglik(self, params, statistics):
        start, pairs, weight, total, factorials = statistics
        return float(
            xlogy(start, params.start).sum()
            + xlogy(pairs, params.transitions).sum()
            + xlogy(total, params.rates).sum()
            - weight @ params.rates
            - factorials
        )

    def sample(self, params, n, rng):
        out = []
        for _ in range(max(n // 50, 1)):
            state, states = rng.choice(self.n_states, p=params.start), []
            for _ in range(50):
                states.append(state)
                state = rng.choice(self.n_states, p=params.transitions[state])
            out.append(rng.poisson(params.rates[states]).astype(float))
        return out
