"""Published tables with missing cells: estimates, standard errors, rates, tests and maps.

Values to the digits that several programs share; "tight" values were derived again with a
relative tolerance of 1e-12.
"""

from __future__ import annotations

import numpy as np
import pytest

from latentem import EM, GaussianImputer, little_mcar_test, pool, standard_errors
from latentem.datasets import (
    load_airquality,
    load_apple,
    load_cement_missing,
    load_cholesterol,
)
from latentem.engine.backends import SerialBackend
from latentem.engine.flat import FlatSpace
from latentem.models import MultivariateNormal, NormalParams
from latentem.models.monotone import monotone_fit

APPLE = load_apple().data
CEMENT = load_cement_missing().data
CHOLESTEROL = load_cholesterol().data
AIR = load_airquality().data


def lower(rows):
    d = len(rows)
    matrix = np.zeros((d, d))
    for i, row in enumerate(rows):
        matrix[i, : i + 1] = row
    return matrix + np.tril(matrix, -1).T


FITS = {
    "apple": (APPLE, [14.722222, 49.333333], [[89.533951], [-90.696729, 114.694955]], -101.785632),
    "cement": (
        CEMENT,
        [6.655166, 49.965259, 11.769231, 27.047089, 95.423077],
        [
            [21.825568],
            [20.864334, 238.012439],
            [-24.900388, -15.817377, 37.869822],
            [-11.473441, -252.072312, -9.599211, 294.183044],
            [46.953031, 195.603627, -47.556213, -190.598491, 208.904852],
        ],
        -132.925250,
    ),
    "cholesterol": (
        CHOLESTEROL,
        [253.928571, 230.642857, 222.237170],
        [[2194.994898], [1454.617347, 2127.158163], [835.397937, 1515.467237, 1952.232578]],
        -376.915465,
    ),
}


@pytest.mark.parametrize("method", ["auto", "em"])
@pytest.mark.parametrize("name", FITS)
def test_published_fits(name, method):
    X, mean, covariance, loglik = FITS[name]
    imputer = GaussianImputer(method=method, tol=1e-13, max_iter=5000).fit(X)
    np.testing.assert_allclose(imputer.mean_, mean, atol=1e-5)
    np.testing.assert_allclose(imputer.covariance_, lower(covariance), atol=2e-4)
    assert imputer.loglik_ == pytest.approx(loglik, abs=6e-7)
    if method == "auto":  # the closed form
        assert imputer.n_iter_ <= 3
        np.testing.assert_allclose(imputer.mean_, mean, atol=6e-7)
        np.testing.assert_allclose(imputer.covariance_, lower(covariance), atol=6e-7)


def test_airquality():
    imputer = GaussianImputer(tol=1e-12).fit(AIR)
    mean = [42.522163, 185.534490, 9.957516, 77.882353, 6.993464, 15.803922]
    np.testing.assert_allclose(imputer.mean_, mean, atol=2e-6)
    assert imputer.loglik_ == pytest.approx(-3123.979285, abs=6e-7)
    assert imputer.n_patterns_ == 4


def rates(X):
    """All eigenvalues of the rate matrix at the maximum, by differences of the map."""
    model = MultivariateNormal().learn(X)
    params = monotone_fit(model, X)
    blocks = model.blocks(X)
    space = FlatSpace(model.constraints(), params)
    at = space.pack(params)

    def mapped(vector):
        there = space.unpack(vector)
        statistics = SerialBackend().expect(model, there, blocks).statistics
        return space.pack(model.m_step(statistics, there))

    columns = []
    for j in range(space.size):
        move = np.zeros(space.size)
        move[j] = 1e-5
        columns.append((mapped(at + move) - mapped(at - move)) / 2e-5)
    return np.sort(np.linalg.eigvals(np.column_stack(columns)).real)[::-1]


def test_rates_of_convergence():
    np.testing.assert_allclose(rates(APPLE)[:3], [0.614025, 0.333333, 0.009712], atol=2e-6)
    wanted = [0.465752, 0.392838, 0.321429, 0.212624]
    np.testing.assert_allclose(rates(CHOLESTEROL)[:4], wanted, atol=2e-6)
    for X in (APPLE, CEMENT, CHOLESTEROL):
        rate = GaussianImputer().fit(X).convergence_rate_
        assert rate == pytest.approx(rates(X)[0], abs=0.02 * (1 - rates(X)[0]))


def test_standard_errors_of_means():
    apple = GaussianImputer().fit(APPLE)
    found = standard_errors(apple, APPLE)["mean"]
    np.testing.assert_allclose(found, [2.230271, 2.730895], atol=2e-6)
    errors = standard_errors(GaussianImputer().fit(CHOLESTEROL), CHOLESTEROL)
    np.testing.assert_allclose(errors["mean"], [8.853964, 8.716073, 9.221639], atol=1e-5)


def test_the_change_of_cholesterol_with_its_standard_error():
    errors = standard_errors(GaussianImputer().fit(CHOLESTEROL), CHOLESTEROL)
    contrast = np.array([-1.0, 0.0, 1.0])
    change = contrast @ errors.estimates["mean"]
    assert change == pytest.approx(-31.691401, abs=2e-6)
    error = np.sqrt(contrast @ errors.covariance[:3, :3] @ contrast)
    assert error == pytest.approx(10.186267, abs=2e-5)


@pytest.mark.parametrize(
    ("X", "statistic", "df", "pvalue", "tol"),
    [
        (APPLE, 7.357854, 1, 0.006677, 1e-6),
        (CEMENT, 11.160689, 6, 0.083535, 1e-6),
        (AIR, 35.106175, 14, 0.001417759, 1e-8),
    ],
)
def test_little(X, statistic, df, pvalue, tol):
    found = little_mcar_test(X)
    assert found.statistic == pytest.approx(statistic, abs=6e-7)
    assert found.df == df
    assert found.pvalue == pytest.approx(pvalue, abs=tol)


def test_rubins_rules():
    q, u = [10, 12, 11, 9, 13], [4, 4.2, 3.9, 4.1, 4.0]
    found = pool(q, u)
    assert (found.estimate, found.between) == (11.0, 2.5)
    assert found.within == pytest.approx(4.04, rel=1e-14)
    assert found.total == pytest.approx(7.04, rel=1e-14)
    assert found.df == pytest.approx(22.02737778, abs=6e-9)
    assert found.fmi == pytest.approx(0.471995234, abs=6e-10)
    small = pool(q, u, dfcom=49)
    assert small.df == pytest.approx(12.13838247, abs=6e-9)
    assert small.fmi == pytest.approx(0.5019520775, abs=6e-11)


class Counted(MultivariateNormal):
    """Counts maps until one moves no coordinate by more than 1e-8."""

    def __init__(self):
        super().__init__()
        self.maps, self.done = 0, False

    def m_step(self, statistics, params):
        image = super().m_step(statistics, params)
        space = FlatSpace(self.constraints(), params)
        self.maps += 1
        self.done |= bool(np.abs(space.pack(image) - space.pack(params)).max() <= 1e-8)
        return image


@pytest.mark.parametrize(("accelerate", "least", "most"), [(None, 368, 368), ("squarem", 1, 100)])
def test_maps_on_cement(accelerate, least, most):
    """EM's 368 maps from a diagonal start are published; SQUAREM needs at most 100."""
    z = (CEMENT - np.nanmean(CEMENT, axis=0)) / np.nanstd(CEMENT, axis=0)
    model = Counted()
    em = EM(accelerate=accelerate, tol=0, max_iter=1000, callbacks=[lambda state: model.done])
    result = em.run(model, z, start=NormalParams(np.zeros(5), np.eye(5)), rng=0)
    assert least <= model.maps <= most
    best = monotone_fit(MultivariateNormal(), z)
    np.testing.assert_allclose(result.params.covariance, best.covariance, atol=1e-5)
