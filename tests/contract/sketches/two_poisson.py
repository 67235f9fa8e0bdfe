"""A mixture of two Poissons, written as a user would: (counts, weights) with scalars to fit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, xlogy

from latentem import Bounded, Expectation, LatentModel, Positive


class Params(NamedTuple):
    pi: float
    mu1: float
    mu2: float


class Statistics(NamedTuple):
    n1: float
    n2: float
    s1: float
    s2: float
    log_factorials: float


class TwoPoisson(LatentModel):
    def initialize(self, blocks, rng):
        return Params(0.5, 1.0, 3.0)

    def constraints(self):
        return Params(Bounded(0, 1), Positive(), Positive())

    def e_step(self, params, block):
        x, w = block
        pi, mu1, mu2 = params
        log1 = np.log(pi) + x * np.log(mu1) - mu1 - gammaln(x + 1)
        log2 = np.log1p(-pi) + x * np.log(mu2) - mu2 - gammaln(x + 1)
        total = np.logaddexp(log1, log2)
        r = np.exp(log1 - total)
        w1, w2 = w * r, w * (1 - r)
        statistics = Statistics(w1.sum(), w2.sum(), w1 @ x, w2 @ x, w @ gammaln(x + 1))
        return Expectation(statistics, float(w @ total), float(w.sum()))

    def m_step(self, s, params):
        return Params(s.n1 / (s.n1 + s.n2), s.s1 / s.n1, s.s2 / s.n2)

    def expected_loglik(self, params, s):
        pi, mu1, mu2 = params
        weights = xlogy(s.n1, pi) + xlogy(s.n2, 1 - pi)
        rates = xlogy(s.s1, mu1) - s.n1 * mu1 + xlogy(s.s2, mu2) - s.n2 * mu2
        return float(weights + rates - s.log_factorials)

    def sample(self, params, n, rng):
        first = rng.random(n) < params.pi
        x = rng.poisson(np.where(first, params.mu1, params.mu2)).astype(float)
        return x, np.ones(n)
