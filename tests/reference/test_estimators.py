"""Published and re-derived maxima, reached through the estimators.

Values with tight tolerance 1e-12 and many starts; asserted to the digits shown.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris

from latentem import GaussianMixture, MixtureModel, families, standard_errors
from latentem.datasets import load_faithful, load_galaxies, load_times_deaths, two_gaussians
from latentem.families.poisson import PoissonParams

TIGHT = {"tol": 1e-9, "max_iter": 20_000, "random_state": 0}
FAITHFUL = load_faithful().data
IRIS = load_iris().data
GALAXIES = load_galaxies().data
DEATHS = load_times_deaths()


def plain_kmeans(points, n_components, rng):
    """Labels of k-means on the rows as they are, not whitened."""
    return KMeans(n_components, n_init=10, random_state=0).fit(IRIS).labels_


@pytest.mark.parametrize("accelerate", [None, "auto", "squarem"])
@pytest.mark.parametrize(
    ("rows", "kind", "k", "loglik", "settings"),
    [
        pytest.param(FAITHFUL, "tied", 3, -1126.3159, {"n_init": 3}, id="faithful-tied-3"),
        pytest.param(FAITHFUL, "full", 2, -1130.2640, {}, id="faithful-full-2"),
        pytest.param(FAITHFUL[:, 1:], "tied", 2, -1034.0018, {}, id="waiting-tied-2"),
        pytest.param(IRIS, "full", 2, -214.3547, {"n_init": 5}, id="iris-full-2"),
        pytest.param(IRIS, "full", 3, -180.1855, {"init_params": plain_kmeans}, id="iris-full-3"),
        pytest.param(IRIS, "diag", 2, -386.1853, {}, id="iris-diag-2"),
        pytest.param(IRIS, "diag", 3, -306.8605, {"n_init": 5}, id="iris-diag-3"),
        pytest.param(IRIS, "spherical", 2, -478.5591, {}, id="iris-spherical-2"),
        pytest.param(IRIS, "spherical", 3, -384.3141, {}, id="iris-spherical-3"),
        pytest.param(GALAXIES, "full", 3, -203.1792, {"n_init": 3}, id="galaxies-full-3"),
        pytest.param(GALAXIES, "tied", 4, -207.7223, {"n_init": 3}, id="galaxies-tied-4"),
    ],
)
def test_tight_log_likelihood(rows, kind, k, loglik, settings, accelerate):
    gm = GaussianMixture(k, covariance_type=kind, accelerate=accelerate, **TIGHT, **settings)
    gm.fit(rows)
    assert gm.converged_
    assert gm.result_.degenerate == ()
    np.testing.assert_allclose(gm.loglik_, loglik, rtol=0, atol=5.1e-5)
    np.testing.assert_allclose(gm.score_samples(rows).sum(), loglik, rtol=0, atol=5.1e-5)


def test_faithful_tied_in_full():
    gm = GaussianMixture(3, covariance_type="tied", n_init=3, **TIGHT).fit(FAITHFUL)
    np.testing.assert_allclose(gm.bic(FAITHFUL), 2314.2957, rtol=0, atol=5.1e-5)
    np.testing.assert_allclose(np.sort(gm.weights_), [0.1686, 0.3564, 0.4750], atol=5.1e-5)


def test_faithful_full_in_full():
    gm = GaussianMixture(2, **TIGHT).fit(FAITHFUL)
    np.testing.assert_allclose(gm.bic(FAITHFUL), 2322.1917, rtol=0, atol=5.1e-5)
    np.testing.assert_allclose(np.sort(gm.weights_), [0.3559, 0.6441], atol=5.1e-5)


def test_waiting_times_with_equal_spread():
    gm = GaussianMixture(2, covariance_type="tied", **TIGHT).fit(FAITHFUL[:, 1:])
    order = np.argsort(gm.means_[:, 0])
    np.testing.assert_allclose(gm.weights_[order], [0.36085, 0.63915], atol=5.1e-6)
    np.testing.assert_allclose(gm.means_[order, 0], [54.61364, 80.09031], atol=5.1e-6)
    np.testing.assert_allclose(np.sqrt(gm.covariances_), [[5.869089]], atol=5.1e-7)


def poisson(k, **settings):
    model = MixtureModel(families.Poisson(), k, **{**TIGHT, "tol": 1e-11, **settings})
    return model.fit(DEATHS.data, sample_weight=DEATHS.weights)


def test_times_deaths_one_poisson():
    np.testing.assert_allclose(poisson(1).loglik_, -2001.397847372, rtol=0, atol=5.1e-10)


@pytest.mark.parametrize("accelerate", [None, "auto", "squarem"])
def test_times_deaths_two_poissons(accelerate):
    model = poisson(2, accelerate=accelerate)
    assert model.converged_
    np.testing.assert_allclose(model.loglik_, -1989.945859883, rtol=0, atol=1.1e-9)
    order = np.argsort(model.family_params_.lambdas[:, 0])
    # Rounding of the likelihood stops plain EM 3e-10 nats below so flat a maximum, and with a
    # standard error of .19 that leaves 5e-6 of the weight open; the next test has all digits.
    np.testing.assert_allclose(model.weights_[order[0]], 0.35988540, atol=1e-5)
    lambdas = model.family_params_.lambdas[order, 0]
    np.testing.assert_allclose(lambdas, [1.25609510, 2.66340436], atol=1e-5)


def test_times_deaths_to_all_digits():
    start = PoissonParams(np.array([[1.25], [2.66]]))
    model = poisson(2, stopping="step", tol=1e-11, weights_init=[0.36, 0.64], family_init=start)
    np.testing.assert_allclose(model.weights_[0], 0.35988540, atol=5.1e-9)
    lambdas = model.family_params_.lambdas[:, 0]
    np.testing.assert_allclose(lambdas, [1.25609510, 2.66340436], atol=5.1e-9)


def test_times_deaths_standard_errors():
    model = poisson(2)
    errors = standard_errors(model, DEATHS.data, sample_weight=DEATHS.weights)
    order = np.argsort(model.family_params_.lambdas[:, 0])
    np.testing.assert_allclose(errors["weights"], [0.194684, 0.194684], atol=2e-6)
    np.testing.assert_allclose(errors["lambdas"][order, 0], [0.350029, 0.250478], atol=2e-6)


def test_times_deaths_as_single_rows():
    """Weights are days: the same fit from 1096 rows."""
    rows = np.repeat(DEATHS.data, DEATHS.weights.astype(int), axis=0)
    model = MixtureModel(families.Poisson(), 2, **TIGHT).fit(rows)
    np.testing.assert_allclose(model.loglik_, -1989.945859883, rtol=0, atol=1e-7)


def test_the_articles_two_gaussians():
    """Means near 2 and 9, sds near 4 and 2, weights .6 and .4: a long draw recovers them."""
    x = two_gaussians(50_000, random_state=0).data
    gm = GaussianMixture(2, random_state=0).fit(x)
    order = np.argsort(gm.means_[:, 0])
    np.testing.assert_allclose(gm.means_[order, 0], [2.0, 9.0], atol=0.15)
    np.testing.assert_allclose(np.sqrt(gm.covariances_[order, 0, 0]), [4.0, 2.0], atol=0.1)
    np.testing.assert_allclose(gm.weights_[order], [0.6, 0.4], atol=0.02)


def test_defaults_reach_the_maximum_of_faithful_within_their_tolerance():
    gm = GaussianMixture(2, random_state=0).fit(FAITHFUL)
    assert -1130.2640 - 1e-3 <= gm.loglik_ <= -1130.2639
