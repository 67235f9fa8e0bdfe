"""Published numbers of slow EM and its acceleration: two Poissons on the Times deaths.

Hasselblad (1969); maps of plain EM and SQUAREM from Varadhan and Roland (2008),
doi:10.1111/j.1467-9469.2007.00585.x. Residual |F(x) - x| below 1e-8 in natural parameters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from latentem import EM, Bounded, Expectation, LatentModel, Reason, datasets
from latentem.testing import check_model
from tests.contract.sketches.two_poisson import Params, TwoPoisson

A = (0.44629444987719813, 5.3433980730263855, 0.8713512982686988)
OPTIMUM = -1989.945859883
STARTS = [(A, 2909, 72), ((0.5, 1.0, 3.0), 2643, 66), ((0.9, 1.0, 6.0), 3084, 114)]


@pytest.fixture(scope="module")
def deaths():
    table = datasets.load_times_deaths()
    return table.data[:, 0], table.weights


def settings(accelerate):
    return EM(
        space="natural", stopping="step", tol=1e-8, max_iter=5000, accelerate=accelerate, n_jobs=1
    )


@pytest.mark.parametrize(("start", "maps", "_"), STARTS)
def test_plain_em_needs_exactly_the_published_maps(start, maps, _, deaths):
    result = settings(None).run(TwoPoisson(), deaths, start=Params(*start))
    assert result.reason is Reason.STEP
    assert result.n_iter == maps
    assert result.loglik == pytest.approx(OPTIMUM, abs=6e-10)


@pytest.mark.parametrize(("start", "_", "maps"), STARTS)
def test_squarem_needs_the_published_maps(start, _, maps, deaths):
    result = settings("squarem").run(TwoPoisson(), deaths, start=Params(*start))
    assert result.reason is Reason.STEP
    assert 0.8 * maps <= result.n_iter <= 1.2 * maps
    assert result.loglik == pytest.approx(OPTIMUM, abs=6e-10)


def test_the_optimum(deaths):
    result = settings("squarem").run(TwoPoisson(), deaths, start=Params(*A))
    pi, high, low = result.params
    assert 1 - pi == pytest.approx(0.35988540, abs=1e-6)
    assert low == pytest.approx(1.25609510, abs=3e-6)
    assert high == pytest.approx(2.66340436, abs=3e-6)


def test_the_rate_at_the_optimum(deaths):
    """Steps of plain EM shrink by 0.995666 each, once the faster modes have died out."""
    em = EM(accelerate=None, tol=0, max_iter=2600, n_jobs=1)
    path = np.array([tuple(s.params) for s in em.iterate(TwoPoisson(), deaths, start=Params(*A))])
    steps = np.linalg.norm(np.diff(path[2400:], axis=0), axis=1)
    rate = (steps[-1] / steps[0]) ** (1 / (len(steps) - 1))
    assert rate == pytest.approx(0.995666, abs=2e-6)


def test_acceleration_in_unconstrained_space_certifies_the_same_optimum(deaths):
    result = EM(tol=1e-9, n_jobs=1).run(TwoPoisson(), deaths, start=Params(*A))
    assert result.converged
    assert result.n_iter < 400
    assert result.loglik == pytest.approx(OPTIMUM, abs=1e-8)


class Linkage(NamedTuple):
    theta: float


class LinkageModel(LatentModel):
    """Rao (1973): cell probabilities 1/2 + t/4, (1 - t)/4, (1 - t)/4, t/4."""

    def initialize(self, blocks, rng):
        return Linkage(0.5)

    def constraints(self):
        return Linkage(Bounded(0, 1))

    def e_step(self, params, counts):
        t = params.theta
        p = np.array([0.5 + t / 4, (1 - t) / 4, (1 - t) / 4, t / 4])
        linked = counts[0] * (t / 4) / p[0] + counts[3]
        loglik = float(counts @ np.log(p))
        return Expectation((linked, counts[1] + counts[2]), loglik, counts.sum())

    def blocks(self, data, size=None):
        return [data]

    def m_step(self, statistics, params):
        return Linkage(statistics[0] / sum(statistics))

    def expected_loglik(self, params, statistics):
        linked, crossed = statistics
        return linked * np.log(params.theta) + crossed * np.log1p(-params.theta)

    def sample(self, params, n, rng):
        t = params.theta
        cells = [0.5 + t / 4, (1 - t) / 4, (1 - t) / 4, t / 4]
        return rng.multinomial(n, cells).astype(float)


RAO = np.array([125.0, 18.0, 20.0, 34.0])


@pytest.mark.nojit
def test_rao_linkage_path_rate_and_optimum():
    em = EM(accelerate=None, tol=0, max_iter=12, n_jobs=1)
    path = [state.params.theta for state in em.iterate(LinkageModel(), RAO)]
    np.testing.assert_allclose(path[1:4], [0.608247423, 0.624321050, 0.626488879], atol=6e-10)
    result = EM(stopping="step", tol=1e-15, n_jobs=1).run(LinkageModel(), RAO)
    theta = result.params.theta
    assert theta == pytest.approx(0.6268214978709824, abs=2e-15)
    rates = np.diff(path[4:10])
    np.testing.assert_allclose(rates[1:] / rates[:-1], 0.132778734, atol=2e-5)


def test_rao_linkage_passes_every_check():
    report = check_model(LinkageModel(), RAO)
    skipped = {"parts add up to the whole", "row weights", "threads equal serial", "fixed values"}
    assert {name for name, _ in report.skipped} == skipped
