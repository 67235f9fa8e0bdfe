"""Mixtures of every family: latent classes of published data, and what was simulated comes back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import xlogy

from latentem import EM, Rows, datasets
from latentem.engine.trees import leaves
from latentem.families import (
    Bernoulli,
    BernoulliParams,
    Categorical,
    CategoricalParams,
    Exponential,
    ExponentialParams,
    Gaussian,
    GaussianParams,
    Independent,
    Poisson,
    PoissonParams,
)
from latentem.models import Mixture, MixtureParams
from latentem.testing import check_model

WEIGHTS = np.array([0.35, 0.65])
PROBS = np.array([[0.9, 0.2, 0.7, 0.6], [0.3, 0.6, 0.1, 0.5]])
SHARES = np.array([[0.7, 0.2, 0.1, 0.8, 0.2, 0.5, 0.5], [0.1, 0.3, 0.6, 0.3, 0.7, 0.2, 0.8]])
SCALES = np.array([[1.0, 300.0], [20.0, 40.0]])
MEANS, VARIANCES = np.array([[0.0], [2.0]]), np.array([[1.0], [4.0]])

CASES = {
    "bernoulli": (Bernoulli(), BernoulliParams(PROBS)),
    "categorical": (Categorical((3, 2, 2)), CategoricalParams(SHARES)),
    "exponential": (Exponential(), ExponentialParams(SCALES)),
    "independent": (
        Independent([Gaussian("diag"), Categorical(3), Poisson(), Bernoulli(), Exponential()]),
        (
            GaussianParams(MEANS, VARIANCES),
            CategoricalParams(SHARES[:, :3]),
            PoissonParams(np.array([[2.0], [5.0]])),
            BernoulliParams(PROBS[:, :1]),
            ExponentialParams(SCALES[:, :1]),
        ),
    ),
}
#: About four standard errors of 20,000 rows.
NEAR = {
    "probs": {"atol": 0.03},
    "emissionprob": {"atol": 0.03},
    "scales": {"rtol": 0.06},
    "means": {"atol": 0.1},
    "covariances": {"rtol": 0.1},
    "lambdas": {"rtol": 0.04},
}
every = pytest.mark.parametrize("name", CASES)


def simulated(name, rng, n=20_000):
    family, truth = CASES[name]
    model, params = Mixture(family, 2), MixtureParams(WEIGHTS, truth)
    return model, params, model.sample(params, n, rng)


@pytest.mark.parametrize("family", [Bernoulli(), Categorical(2)], ids=repr)
def test_latent_classes_of_lsat6(family):
    """Two classes of five answers; the maximum re-derived with relative tolerance 1e-12."""
    lsat = datasets.load_lsat6()
    model = Mixture(family, 2)
    result = EM(n_jobs=1, tol=1e-9).run(model, (lsat.data, lsat.weights), rng=0)
    assert result.converged
    assert result.loglik == pytest.approx(-2467.405524, abs=5e-7)
    # at the maximum by Newton's method too; the weight has a standard error of 0.15
    np.testing.assert_allclose(np.sort(result.params.weights), [0.3395229, 0.6604771], atol=3e-6)
    persons = np.repeat(lsat.data, lsat.weights.astype(int), axis=0)
    again = EM(n_jobs=1, tol=1e-9).run(model, persons, start=result.params)
    assert again.loglik == pytest.approx(result.loglik, rel=1e-12)


def test_as_many_categories_as_patterns_is_the_saturated_model():
    lsat = datasets.load_lsat6()
    pattern = (lsat.data @ 2 ** np.arange(5))[:, None]
    family = Categorical().learn(pattern)
    result = EM(n_jobs=1).run(Mixture(family, 1), (pattern, lsat.weights), rng=0)
    assert result.loglik == pytest.approx(-2456.038561, abs=5e-7)
    assert result.loglik == pytest.approx(xlogy(lsat.weights, lsat.weights / 1000).sum(), rel=1e-13)


@every
def test_what_was_simulated_comes_back(name, rng):
    model, truth, x = simulated(name, rng)
    result = EM(n_jobs=1, tol=1e-6).run(model, x, start=truth)
    assert result.converged
    np.testing.assert_allclose(result.params.weights, WEIGHTS, atol=0.02)
    for (leaf, found), (_, value) in zip(
        leaves(result.params.family), leaves(truth.family), strict=True
    ):
        np.testing.assert_allclose(found, value, **NEAR[leaf.split(".")[-1]])


@every
def test_its_own_start_leads_to_the_same_maximum(name, rng):
    model, truth, x = simulated(name, rng, n=3000)
    near = EM(n_jobs=1, tol=1e-6).run(model, x, start=truth)
    own = EM(n_jobs=1, tol=1e-6, n_init=3).run(model, x, rng=0)
    assert own.loglik == pytest.approx(near.loglik, abs=1e-4)


@every
def test_a_third_of_the_cells_missing_leaves_the_fit_near_the_truth(name, rng):
    model, truth, x = simulated(name, rng)
    x[rng.random(x.shape) < 1 / 3] = np.nan
    result = EM(n_jobs=1, tol=1e-4).run(model, x, start=truth)
    np.testing.assert_allclose(result.params.weights, WEIGHTS, atol=0.06)


@every
def test_the_contract_holds_with_weights_and_labels(name, rng):
    model, truth, x = simulated(name, rng, n=250)
    labels = np.where(rng.random(250) < 0.2, rng.integers(2, size=250), -1)
    report = check_model(model, Rows(x, rng.exponential(size=250), labels), start=truth)
    assert {reason for reason, _ in report.skipped} == {"fixed values"}


@every
def test_integer_weights_are_repeated_rows_in_a_whole_fit(name, rng):
    model, truth, x = simulated(name, rng, n=300)
    counts = rng.integers(0, 4, size=300)
    em = EM(n_jobs=1, max_iter=15, tol=0.0)
    weighted = em.run(model, (x, counts.astype(float)), start=truth)
    repeated = em.run(model, np.repeat(x, counts, axis=0), start=truth)
    assert weighted.loglik == pytest.approx(repeated.loglik, rel=1e-10)
    for (_, a), (_, b) in zip(leaves(weighted.params), leaves(repeated.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8)
