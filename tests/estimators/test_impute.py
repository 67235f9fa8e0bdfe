"""Missing cells in mixtures and hidden Markov models, and what is expected in them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from latentem import (
    GMMHMM,
    HMM,
    CategoricalHMM,
    GaussianHMM,
    GaussianImputer,
    GaussianMixture,
    MixtureModel,
    PoissonHMM,
    families,
)
from tests.estimators.samples import KINDS, full_covariances

CHAIN = {"startprob": [0.6, 0.4], "transmat": [[0.9, 0.1], [0.2, 0.8]]}


def clusters(rng, n=150):
    """Two clusters of three correlated columns, a fifth of the cells missing."""
    root = rng.normal(size=(2, 3, 3)) + 2 * np.eye(3)
    x = np.vstack([rng.normal(size=(n, 3)) @ root[0], 8 + rng.normal(size=(n, 3)) @ root[1]])
    x[rng.random(x.shape) < 0.2] = np.nan
    x[4] = np.nan
    return x


def joint(mean, covariance, row):
    """Density of what was seen of a row, and the conditional mean of all of it."""
    o, m = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
    filled = np.where(np.isnan(row), mean, row)
    if not len(o):
        return 1.0, filled
    inner = covariance[np.ix_(o, o)]
    filled[m] += covariance[np.ix_(m, o)] @ np.linalg.solve(inner, row[o] - mean[o])
    return multivariate_normal.pdf(row[o], mean[o], inner), filled


@pytest.mark.parametrize("kind", KINDS)
def test_mixtures_fill_with_means_weighted_by_the_posterior(kind, rng):
    x = clusters(rng)
    model = GaussianMixture(2, covariance_type=kind, random_state=0).fit(x)
    matrices = full_covariances(model)
    found, shares = model.impute(x), model.predict_proba(x)
    for i in (0, 3, 4, 160, 170, 200):
        density, means = zip(
            *(joint(model.means_[k], matrices[k], x[i]) for k in (0, 1)), strict=True
        )
        weights = np.array(density) * model.weights_
        weights /= weights.sum()
        np.testing.assert_allclose(shares[i], weights, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(found[i], weights @ np.array(means), rtol=1e-8, atol=1e-10)
    seen = ~np.isnan(x)
    assert np.array_equal(found[seen], x[seen])
    assert np.array_equal(model.impute(found), found)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_one_component_fills_as_the_imputer(kind, rng):
    x = clusters(rng)
    settings = {"tol": 1e-11, "max_iter": 5000}
    imputer = GaussianImputer(**settings).fit(x)
    model = GaussianMixture(1, covariance_type=kind, **settings).fit(x)
    assert model.loglik_ == pytest.approx(imputer.loglik_, rel=1e-11)
    np.testing.assert_allclose(model.impute(x), imputer.transform(x), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_chains_fill_from_the_smoothed_states(kind, rng):
    x = clusters(rng, n=80)
    hmm = GaussianHMM(2, covariance_type=kind, random_state=0).fit(x)
    shares, found = hmm.predict_proba(x), hmm.impute(x)
    matrices = full_covariances(hmm)
    for i in (0, 4, 50, 100):
        means = np.array([joint(hmm.means_[k], matrices[k], x[i])[1] for k in (0, 1)])
        np.testing.assert_allclose(found[i], shares[i] @ means, rtol=1e-8, atol=1e-10)
    seen = ~np.isnan(x)
    assert np.array_equal(found[seen], x[seen])
    lengths = [60, 100]
    parts = [hmm.impute(x[:60]), hmm.impute(x[60:])]
    np.testing.assert_allclose(hmm.impute(x, lengths), np.vstack(parts), rtol=1e-12)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_a_chain_of_rows_that_do_not_depend_is_a_mixture(kind, rng):
    """With equal rows of transmat, missing cells and all."""
    x = clusters(rng)[:100]
    covariances = np.array([[[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 3.0]]] * 2)
    parts = {
        "means": [[0.0, 0.0, 0.0], [6.0, 7.0, 8.0]],
        "covariances": covariances if kind == "full" else covariances[0],
        "covariance_type": kind,
    }
    shares = [0.3, 0.7]
    mixture = GaussianMixture.from_parameters(weights=shares, **parts)
    hmm = GaussianHMM.from_parameters(startprob=shares, transmat=[shares, shares], **parts)
    rows = mixture.score_samples(x)
    assert rows[4] == pytest.approx(0.0, abs=1e-15)
    assert hmm.score(x) == pytest.approx(rows.sum(), rel=1e-12)
    np.testing.assert_allclose(hmm.impute(x), mixture.impute(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_mixtures_as_emissions(covariance_type, rng):
    """Means of the inner components, weighted by how well each explains what was seen."""
    hmm = GMMHMM.from_parameters(
        **CHAIN,
        weights=[[0.5, 0.5], [0.2, 0.8]],
        means=[[[0.0, 0.0], [4.0, 4.0]], [[10.0, 0.0], [14.0, 4.0]]],
        covariances=np.array([[np.eye(2)] * 2] * 2)
        if covariance_type == "full"
        else np.ones((2, 2, 2)),
        covariance_type=covariance_type,
    )
    x = np.array([[0.5, np.nan], [np.nan, 3.5], [12.0, 1.0]])
    states, found = hmm.predict_proba(x), hmm.impute(x)
    inner = np.array([0.0, 4.0])
    for state, share in ((0, [0.5, 0.5]), (1, [0.2, 0.8])):
        weights = np.array(share) * norm.pdf(0.5, 10 * state + inner)
        assert weights.sum() > 0
    expected = 0.0
    for k, share in enumerate(([0.5, 0.5], [0.2, 0.8])):
        weights = np.array(share) * norm.pdf(0.5, 10 * k + inner)
        expected += states[0, k] * (weights @ inner) / weights.sum()
    assert found[0, 1] == pytest.approx(expected, rel=1e-10)
    assert np.array_equal(found[2], x[2])


def test_counts_categories_and_answers(rng):
    poisson = PoissonHMM.from_parameters(**CHAIN, lambdas=[[2.0], [9.0]])
    x = np.array([[1.0], [np.nan], [12.0]])
    shares = poisson.predict_proba(x)
    assert poisson.impute(x)[1, 0] == pytest.approx(shares[1] @ [2.0, 9.0])

    codes = CategoricalHMM.from_parameters(**CHAIN, emissionprob=[[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    assert codes.impute([[1.0], [np.nan], [1.0]])[:, 0].tolist() == [1.0, 1.0, 1.0]
    assert codes.impute([[0.0], [np.nan], [0.0]])[:, 0].tolist() == [0.0, 0.0, 0.0]

    kind = np.repeat([0, 1], 60)
    answers = (rng.random((120, 3)) < np.array([0.1, 0.9])[kind][:, None]) * 1.0
    answers[0, 1] = answers[100, 2] = np.nan
    mixture = MixtureModel(families.Bernoulli(), 2, random_state=0).fit(answers)
    filled = mixture.impute(answers)
    assert set(np.unique(filled)) == {0.0, 1.0}
    assert (filled[0, 1], filled[100, 2]) == (0.0, 1.0)

    both = families.Independent([families.Gaussian("full"), families.Poisson()])
    table = np.column_stack([rng.normal(10 * kind, 1.0), rng.poisson(2 + 20 * kind)]).astype(float)
    table[3, 1] = table[70, 0] = np.nan
    fit = MixtureModel(both, 2, random_state=0).fit(table)
    filled = fit.impute(table)
    assert filled[3, 1] == pytest.approx(2, abs=1)
    assert filled[70, 0] == pytest.approx(10, abs=1)
    chain = HMM(both, 2, random_state=0).fit(table)
    np.testing.assert_allclose(chain.impute(table)[70, 0], 10, atol=1)


def test_closer_than_the_means_of_the_columns(rng):
    """Which cluster a row is of, and its other columns, tell of a missing cell."""
    whole = clusters(np.random.default_rng(1), n=400)
    whole = whole[~np.isnan(whole).any(axis=1)]
    x = whole.copy()
    gap = rng.random(x.shape) < 0.2
    gap[gap.all(axis=1)] = False
    x[gap] = np.nan
    errors = {}
    for k in (1, 2):
        filled = GaussianMixture(k, random_state=0, n_init=3).fit(x).impute(x)
        errors[k] = np.sqrt(np.mean((filled - whole)[gap] ** 2))
    assert errors[2] < 0.9 * errors[1] < 0.9 * np.std(whole, axis=0).mean()


def test_a_fit_with_gaps_finds_the_clusters(rng):
    x = clusters(rng, n=500)
    for kind in KINDS:
        model = GaussianMixture(2, covariance_type=kind, random_state=0).fit(x)
        assert model.converged_
        low = model.predict(x)[:500]
        assert max(np.mean(low == 0), np.mean(low == 1)) > 0.95


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_balanced_gaps_hold_no_fit_on_a_saddle(kind):
    """Murray's table: at a correlation of 0 the likelihood has a saddle."""
    x = np.array(
        [[1, 1], [1, -1], [-1, 1], [-1, -1]]
        + [[2, np.nan]] * 2 + [[-2, np.nan]] * 2 + [[np.nan, 2]] * 2 + [[np.nan, -2]] * 2
    )  # fmt: skip
    best = GaussianImputer(tol=1e-9).fit(x).loglik_
    mixture = GaussianMixture(1, covariance_type=kind, tol=1e-9).fit(x)
    chain = GaussianHMM(1, covariance_type=kind, tol=1e-9).fit(x)
    assert mixture.loglik_ == pytest.approx(best, abs=1e-6)
    assert chain.loglik_ == pytest.approx(best, abs=1e-6)
    two = GaussianMixture(2, covariance_type=kind, random_state=0).fit(np.vstack([x, x + 20]))
    assert two.loglik_ > -76.6
