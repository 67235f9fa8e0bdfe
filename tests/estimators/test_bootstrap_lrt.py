"""The bootstrap likelihood-ratio test for the number of components or states."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import (
    BootstrapLRT,
    FactorAnalyzer,
    GaussianMixture,
    MixtureModel,
    PoissonHMM,
    bootstrap_lrt,
    families,
    models,
)
from latentem.datasets import load_earthquakes, load_times_deaths
from latentem.engine.likelihood_ratio import _split
from tests.estimators.samples import assert_same_attributes, attributes, blobs
from tests.estimators.test_bad_input import refused

X = blobs(80, 2, 2, gap=7.0)


def test_tests_in_turn_until_one_is_not_rejected():
    template = GaussianMixture(covariance_type="tied", random_state=0)
    before = attributes(template)
    test = bootstrap_lrt(template, X, range(1, 6), n_replicates=19, random_state=1)
    assert_same_attributes(template, before)
    assert isinstance(test, BootstrapLRT)
    assert [one.n_components for one in test.tests] == [1, 2]
    assert test.tests[0].p_value == 1 / 20
    assert test.p_value == test.tests[1].p_value > 0.05
    assert test.n_components == 2
    assert test.best.n_components == 2
    fits = [GaussianMixture(k, covariance_type="tied", random_state=0).fit(X) for k in (1, 2)]
    assert test.tests[0].statistic == 2 * (fits[1].loglik_ - fits[0].loglik_)
    larger = np.sum(test.tests[1].replicates >= test.statistic)
    assert test.p_value == (1 + larger) / 20
    assert len(test.tests[1].replicates) == 19
    assert np.all(test.tests[1].replicates >= 0)


def test_the_number_of_the_estimator_and_the_same_for_any_jobs():
    template = MixtureModel(families.Poisson(), 1, random_state=0)
    rows = np.random.default_rng(0).poisson(3.0, size=(60, 1)).astype(float)
    one, two = (
        bootstrap_lrt(template, rows, n_replicates=19, random_state=0, n_jobs=n) for n in (1, 2)
    )
    assert one.tests[0].n_components == 1
    assert np.array_equal(one.tests[0].replicates, two.tests[0].replicates)
    assert one.n_components == 1
    assert one.p_value > 0.05


def test_weights_are_repetitions():
    deaths = load_times_deaths()
    template = MixtureModel(families.Poisson(), 1, random_state=0)
    test = bootstrap_lrt(
        template, deaths.data, sample_weight=deaths.weights, n_replicates=19, random_state=0
    )
    np.testing.assert_allclose(test.statistic, 2 * (2001.397847372 - 1989.945859883), atol=2e-3)
    assert test.p_value == 0.05


def test_states_of_a_chain():
    counts = load_earthquakes()[["count"]]
    test = bootstrap_lrt(PoissonHMM(random_state=0), counts, 1, n_replicates=19, random_state=0)
    assert test.n_components == 2
    np.testing.assert_allclose(test.statistic, 2 * (391.91892817 - 341.87870101), atol=5e-3)


def test_shown_as_text_frame_and_html():
    test = bootstrap_lrt(
        GaussianMixture(random_state=0, covariance_type="tied"), X, [1, 2], n_replicates=19,
        random_state=0,
    )  # fmt: skip
    lines = str(test).splitlines()
    assert lines[0].split()[:2] == ["components", "against"]
    assert lines[1].split()[:2] == ["1", "2"]
    assert lines[1].endswith("rejected")
    assert lines[3].startswith("19 replicates")
    assert test.to_frame()["n_components"].tolist() == [1, 2]
    assert test._repr_html_().count("<tr>") == 3


@pytest.mark.nojit
def test_a_split_component_lies_around_the_old_one():
    rng = np.random.default_rng(0)
    fewer, more = (models.Mixture(families.Gaussian(), k) for k in (1, 2))
    params = fewer.initialize(fewer.blocks(X), rng)
    split = _split(fewer, more, params, X, rng)
    np.testing.assert_allclose(split.weights.sum(), 1.0)
    assert split.family.means.shape == (2, 2)
    apart = np.abs(split.family.means - params.family.means) / X.std(axis=0)
    assert np.all(apart > 1e-3)
    assert np.all(apart < 4.0)
    chain, longer = (models.HiddenMarkov(families.Poisson(), k) for k in (2, 3))
    counts = load_earthquakes()[["count"]]
    split = _split(chain, longer, chain.initialize(chain.blocks(counts), rng), counts, rng)
    np.testing.assert_allclose(split.transmat.sum(axis=1), 1.0)
    assert split.family.lambdas.shape == (3, 1)


@pytest.mark.filterwarnings("ignore::latentem.DegenerateComponentWarning")
def test_a_degenerate_fit_tests_nothing():
    rows = np.vstack([X[:20], np.full((3, 2), 100.0)])
    refused(
        lambda: bootstrap_lrt(GaussianMixture(random_state=0), rows, 2),
        ["fit of 3 components is degenerate", "prior"],
    )


@pytest.mark.parametrize(
    ("estimator", "arguments", "words"),
    [
        (FactorAnalyzer(), {}, ["FactorAnalyzer has no n_components"]),
        (GaussianMixture, {}, ["estimator must be an estimator"]),
        (GaussianMixture(), {"n_components": 0}, ["n_components", ">= 1"]),
        (GaussianMixture(), {"n_components": [3, 2]}, ["n_components", "increasing"]),
        (GaussianMixture(), {"n_components": []}, ["n_components"]),
        (GaussianMixture(), {"n_replicates": 5}, ["n_replicates", ">= 19"]),
        (GaussianMixture(), {"level": 5}, ["level", "between 0 and 1"]),
        (GaussianMixture(), {"lengths": [80]}, ["lengths"]),
        (GaussianMixture(random_state=0), {"sample_weight": np.full(80, 0.5)}, ["whole numbers"]),
        (GaussianMixture(), {"n_components": 81}, ["n_samples = 80", "n_components=81"]),
    ],
)
@pytest.mark.filterwarnings("ignore::latentem.DegenerateComponentWarning")
def test_wrong_requests(estimator, arguments, words):
    refused(lambda: bootstrap_lrt(estimator, X, **arguments), words)


@pytest.mark.slow
def test_the_level_holds_under_the_null():
    """A true number is rejected at 5 % in about one of twenty tests: 100 of two components."""
    true = GaussianMixture.from_parameters(
        weights=[0.5, 0.5], means=[[0.0], [4.0]], covariances=[[1.0]], covariance_type="tied"
    )
    template = GaussianMixture(2, covariance_type="tied", random_state=0, n_jobs=1)
    p_values = np.array(
        [
            bootstrap_lrt(
                template, true.sample(100, random_state=seed)[0], n_replicates=19,
                random_state=seed, n_jobs=1,
            ).p_value
            for seed in range(100)
        ]
    )  # fmt: skip
    assert 0.005 <= np.mean(p_values <= 0.05) <= 0.12
    assert 0.36 <= np.mean(p_values <= 0.5) <= 0.64


@pytest.mark.slow
def test_the_level_holds_for_states():
    """60 tests of one state of counts that have one rate."""
    rng = np.random.default_rng(0)
    p_values = np.array(
        [
            bootstrap_lrt(
                PoissonHMM(1, random_state=0, n_jobs=1), rng.poisson(5.0, size=(60, 1)),
                n_replicates=19, random_state=seed, n_jobs=1,
            ).p_value
            for seed in range(60)
        ]
    )  # fmt: skip
    assert np.mean(p_values <= 0.05) <= 0.15
    assert 0.32 <= np.mean(p_values <= 0.5) <= 0.68
