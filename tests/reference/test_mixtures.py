"""Tight maxima of mixtures on real data; log-likelihoods with all constants, to the digits.

faithful: Azzalini and Bowman (1990). galaxies: the MASS copy, in 1000 km/s. iris: Fisher (1936).
times_deaths: Hasselblad (1969).
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris

from latentem import EM, datasets
from latentem.families import Gaussian, Poisson
from latentem.models import Mixture


def data(name):
    if name == "iris":
        return load_iris().data
    if name == "waiting":
        return datasets.load_faithful()[["waiting"]]
    return getattr(datasets, f"load_{name}")().data


def best(name, kind, k, n_init=10, how="k-means++", **settings):
    model = Mixture(Gaussian(kind), k, init_params=how)
    em = EM(tol=1e-9, max_iter=5000, n_init=n_init, n_jobs=1, **settings)
    return em.run(model, data(name), rng=0)


TABLE = [
    ("faithful", "tied", 3, -1126.3159),
    ("faithful", "full", 2, -1130.2640),
    ("waiting", "tied", 2, -1034.0018),
    ("iris", "full", 2, -214.3547),
    ("iris", "full", 3, -180.1855),
    ("iris", "diag", 2, -386.1853),
    ("iris", "diag", 3, -306.8605),
    ("iris", "spherical", 2, -478.5591),
    ("iris", "spherical", 3, -384.3141),
    ("galaxies", "full", 3, -203.1792),
    ("galaxies", "tied", 4, -207.7223),
]


@pytest.mark.parametrize(("name", "kind", "k", "loglik"), TABLE)
def test_log_likelihood(name, kind, k, loglik):
    result = best(name, kind, k)
    assert result.converged
    assert result.degenerate == ()
    assert result.loglik == pytest.approx(loglik, abs=6e-5)


def test_faithful_tied_weights_and_bic():
    result = best("faithful", "tied", 3)
    np.testing.assert_allclose(np.sort(result.params.weights), [0.1686, 0.3564, 0.4750], atol=6e-5)
    parameters = 2 + 3 * 2 + 3
    bic = 2 * result.loglik - parameters * np.log(272)
    assert bic == pytest.approx(-2314.2957, abs=6e-5)


def test_faithful_full_weights_and_bic():
    result = best("faithful", "full", 2)
    np.testing.assert_allclose(np.sort(result.params.weights), [0.3559, 0.6441], atol=6e-5)
    bic = 2 * result.loglik - (1 + 4 + 6) * np.log(272)
    assert bic == pytest.approx(-2322.1917, abs=6e-5)


def test_waiting_times():
    result = best("waiting", "tied", 2)
    order = np.argsort(result.params.weights)
    np.testing.assert_allclose(result.params.weights[order], [0.36085, 0.63915], atol=6e-6)
    means = result.params.family.means[order, 0]
    np.testing.assert_allclose(means, [54.61364, 80.09031], atol=2e-5)
    assert np.sqrt(result.params.family.covariances[0, 0]) == pytest.approx(5.869089, abs=2e-6)


@pytest.fixture(scope="module")
def deaths():
    table = datasets.load_times_deaths()
    return table.data, table.weights


def test_two_poissons_on_times_deaths(deaths):
    result = EM(tol=1e-11, n_jobs=1).run(Mixture(Poisson(), 2), deaths, rng=0)
    assert result.loglik == pytest.approx(-1989.945859883, abs=6e-10)
    low = int(np.argmin(result.params.family.lambdas))
    assert result.params.weights[low] == pytest.approx(0.35988540, abs=2e-5)
    assert result.params.family.lambdas[low, 0] == pytest.approx(1.25609510, abs=4e-5)
    assert result.params.family.lambdas[1 - low, 0] == pytest.approx(2.66340436, abs=3e-5)


def test_one_poisson_on_times_deaths(deaths):
    result = EM(n_jobs=1).run(Mixture(Poisson(), 1), deaths)
    assert result.loglik == pytest.approx(-2001.397847372, abs=6e-10)
