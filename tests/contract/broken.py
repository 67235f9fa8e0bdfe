"""Models and families with one thing wrong each, to show that the checker sees it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

from latentem import Bounded, Expectation, LatentModel, Positive
from latentem.engine.trees import Statistic
from latentem.families import Gaussian, GaussianParams, Poisson, PoissonParams
from tests.contract.sketches.two_poisson import Params, TwoPoisson


class DensityWithoutRate(TwoPoisson):
    """The factor exp(-mu1) of the density is forgotten in the log-likelihood."""

    def e_step(self, params, block):
        statistics, loglik, weight = super().e_step(params, block)
        return Expectation(statistics, loglik + statistics.n1 * params.mu1, weight)


class WrongQ(TwoPoisson):
    def expected_loglik(self, params, s):
        return super().expected_loglik(params, s) + 0.01 * s.s2 * np.log(params.mu2)


class QWithConstant(TwoPoisson):
    def expected_loglik(self, params, s):
        return super().expected_loglik(params, s) + 3.0


class NoConstant(TwoPoisson):
    """log x! is left out of the log-likelihood: no check of a model can see that."""

    def e_step(self, params, block):
        statistics, loglik, weight = super().e_step(params, block)
        return Expectation(statistics, loglik + statistics.log_factorials, weight)


class ListStatistics(TwoPoisson):
    def e_step(self, params, block):
        statistics, loglik, weight = super().e_step(params, block)
        return Expectation(list(statistics), loglik, weight)

    def m_step(self, s, params):
        return Params(s[0] / (s[0] + s[1]), s[2] / s[0], s[3] / s[1])


@dataclass(frozen=True)
class FirstOnly(Statistic):
    """Its merge keeps the first block: what adding plain tuples by `+` comes to."""

    values: tuple

    def merge(self, other):
        return self

    def scaled(self, factor):
        return FirstOnly(tuple(factor * v for v in self.values))


class FirstBlockOnly(TwoPoisson):
    expected_loglik = LatentModel.expected_loglik

    def e_step(self, params, block):
        statistics, loglik, weight = super().e_step(params, block)
        return Expectation(FirstOnly(tuple(statistics)), loglik, weight)

    def m_step(self, s, params):
        return Params(
            s.values[0] / (s.values[0] + s.values[1]),
            s.values[2] / s.values[0],
            s.values[3] / s.values[1],
        )


class MeanOfBlock(TwoPoisson):
    """One statistic is an average over the block, not a sum."""

    def e_step(self, params, block):
        statistics, loglik, weight = super().e_step(params, block)
        return Expectation(statistics._replace(s1=statistics.s1 / len(block[0])), loglik, weight)


class WeightOfOne(TwoPoisson):
    def e_step(self, params, block):
        return super().e_step(params, block)._replace(weight=1.0)


class IgnoresWeights(TwoPoisson):
    """The sum of x under component 2 counts each row once."""

    def e_step(self, params, block):
        x, w = block
        statistics, loglik, weight = super().e_step(params, block)
        lost = super().e_step(params, (x, np.ones_like(w))).statistics.s2
        return Expectation(statistics._replace(s2=lost), loglik, weight)


class RemembersLast(TwoPoisson):
    """Reports the log-likelihood of the E-step before: one step off."""

    def __init__(self):
        self.last = 0.0

    def e_step(self, params, block):
        expectation = super().e_step(params, block)
        self.last, loglik = expectation.loglik, self.last
        return expectation._replace(loglik=loglik)


class SharedBuffer(TwoPoisson):
    """Blocks write their data to one buffer of the model before they read it."""

    def __init__(self):
        self.buffer = [np.zeros(1), np.zeros(1)]

    def e_step(self, params, block):
        self.buffer[:] = block
        time.sleep(0.002)
        return super().e_step(params, tuple(self.buffer))


class HoldsLambda(TwoPoisson):
    def __init__(self):
        self.function = lambda x: x


class WrongConstraint(TwoPoisson):
    def constraints(self):
        return Params(Bounded(0, 1), Bounded(0, 1), Positive())


class PriorNotInMStep(TwoPoisson):
    def log_prior(self, params):
        return -0.5 * (params.mu1 - 1.0) ** 2


class WrongMStep(TwoPoisson):
    """Divides by the wrong count."""

    def m_step(self, s, params):
        return super().m_step(s, params)._replace(mu2=s.s2 / (s.n1 + s.n2))


class HalfStep(TwoPoisson):
    """A generalised M-step: halfway in mu1, so that Q rises but is not maximal."""

    def m_step(self, s, params):
        new = super().m_step(s, params)
        return new._replace(mu1=0.5 * (new.mu1 + params.mu1))


class WrongSample(TwoPoisson):
    def sample(self, params, n, rng):
        x, w = super().sample(params, n, rng)
        return x + (rng.random(n) < 0.5), w


class NaNStatistic(TwoPoisson):
    def e_step(self, params, block):
        expectation = super().e_step(params, block)
        return expectation._replace(statistics=expectation.statistics._replace(n2=np.nan))


class Rates(NamedTuple):
    weights: np.ndarray
    rates: np.ndarray


class ArrayPoisson(TwoPoisson):
    """The same model with arrays as parameters, for what can go wrong with arrays."""

    def initialize(self, blocks, rng):
        return Rates(np.array([0.5, 0.5]), np.array([1.0, 3.0]))

    constraints = LatentModel.constraints
    expected_loglik = LatentModel.expected_loglik
    sample = LatentModel.sample

    def e_step(self, params, block):
        return super().e_step(Params(params.weights[0], *params.rates), block)

    def m_step(self, s, params):
        pi, mu1, mu2 = super().m_step(s, None)
        return Rates(np.array([pi, 1 - pi]), np.array([mu1, mu2]))


class WritesParams(ArrayPoisson):
    def m_step(self, s, params):
        new = super().m_step(s, params)
        params.rates[:] = new.rates
        return Rates(new.weights, params.rates)


class WritesData(ArrayPoisson):
    def e_step(self, params, block):
        block[0][:] += 1
        return super().e_step(params, block)


class IntegerParams(ArrayPoisson):
    def initialize(self, blocks, rng):
        return Rates(np.array([0.5, 0.5]), np.array([1, 3]))


# ------------------------------------------------------------------------------- families


class OverwritesMeans(Gaussian):
    """Puts fixed means back after a free maximisation: monotone, and wrong."""

    def maximize(self, statistics, params):
        free = Gaussian(self.covariance_type).maximize(statistics, params)
        return GaussianParams(params.means, free.covariances)


class MovesMeans(Gaussian):
    def maximize(self, statistics, params):
        return Gaussian(self.covariance_type).maximize(statistics, params)


class Transposed(Poisson):
    def log_density(self, prepared, x):
        return super().log_density(prepared, x).T.copy()


class Single(Poisson):
    def log_density(self, prepared, x):
        return super().log_density(prepared, x).astype(np.float32)


class FortranOrder(Poisson):
    def log_density(self, prepared, x):
        return np.asfortranarray(super().log_density(prepared, x))


class KeepsDensity(Poisson):
    def log_density(self, prepared, x):
        new = super().log_density(prepared, x)
        if getattr(self, "last", None) is None or self.last.shape != new.shape:
            self.last = new
        self.last[:] = new
        return self.last


class SharesDensity(Poisson):
    """Hands the array to `statistics` that the mixture will have overwritten by then."""

    def evaluate(self, prepared, x):
        density = self.log_density(prepared, x)
        return density, density[:1]


class SharesWrong(Poisson):
    def evaluate(self, prepared, x):
        return self.log_density(prepared, x), 2.0

    def statistics(self, prepared, x, weights, shared=1.0):
        counts = super().statistics(prepared, x, weights)
        return replace(counts, total=counts.total * (shared or 1.0))


class CountsAbsentRows(Poisson):
    def statistics(self, prepared, x, weights, shared=None):
        counts = super().statistics(prepared, x, weights)
        return replace(counts, weight=counts.weight + 1e-3 * weights.shape[1])


class ReadsAbsentRows(Poisson):
    def statistics(self, prepared, x, weights, shared=None):
        counts = super().statistics(prepared, x, weights)
        return replace(counts, total=counts.total + 1e-9 * x.counts.sum(axis=0))


class ResetsEmpty(Poisson):
    def maximize(self, statistics, params):
        safe = np.maximum(statistics.weight, 1e-300)
        return PoissonParams(np.maximum(statistics.total / safe, 1e-3))


class SortsComponents(Poisson):
    def maximize(self, statistics, params):
        return PoissonParams(np.sort(super().maximize(statistics, params).lambdas, axis=0))


class NotNormalised(Poisson):
    """Without the 1 / x! of the density, in Q as well: EM runs as ever."""

    def log_density(self, prepared, x):
        return super().log_density(prepared, x) + x.constants

    def expected_loglik(self, params, statistics):
        factorials = statistics.loss.sum() - statistics.total.sum()
        factorials += xlogy(statistics.total, statistics.mean).sum()
        return super().expected_loglik(params, statistics) + factorials


class SamplesFractions(Poisson):
    def sample(self, params, components, rng):
        return super().sample(params, components, rng) + 0.5


class DropsRows(Poisson):
    def encode(self, rows):
        return super().encode(rows[1:])


class SparsePoints(Poisson):
    def points(self, x):
        return super().points(x)[:, 0]


class WantsIntegers(Poisson):
    """Refuses the float64 rows that an estimator makes of every table."""

    def check(self, X):
        if X.dtype.kind != "i":
            raise ValueError("counts must be integers")

    def sample(self, params, components, rng):
        return super().sample(params, components, rng).astype(int)


class RatesWithLogs(NamedTuple):
    lambdas: np.ndarray

    @property
    def logs(self):
        return np.log(self.lambdas)


class UndeclaredLogs(Poisson):
    """Reads a property of its parameters, whose class a file cannot know without constraints."""

    def constraints(self):
        return None

    def initialize(self, x, weights, rng):
        return RatesWithLogs(*super().initialize(x, weights, rng))

    def maximize(self, statistics, params):
        return RatesWithLogs(*super().maximize(statistics, params))

    def prepare(self, params):
        return PoissonParams(np.exp(params.logs))
