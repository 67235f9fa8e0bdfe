"""Priors and fixed values in every estimator: fits, files, clones, order, standard errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from latentem import (
    GMMHMM,
    HMM,
    CategoricalHMM,
    GaussianHMM,
    GaussianMixture,
    MixtureModel,
    PoissonHMM,
    families,
    load,
    select,
    standard_errors,
)
from latentem.engine.trees import leaves

RNG = np.random.default_rng(0)
STATES = np.repeat([0, 1, 0, 1], 40)
POINTS = np.where(STATES, 5.0, 0.0)[:, None] + RNG.normal(size=(160, 2))
COUNTS = RNG.poisson(np.where(STATES, 9, 2))[:, None].astype(float)
CODES = np.where(STATES, RNG.integers(0, 3, 160), RNG.integers(1, 3, 160))[:, None]
FIRST = np.array([True, False])
MEANS = [[0.5, 0.0], [4.0, 4.0]]
MOVES = [[0.8, 0.2], [0.3, 0.7]]
RATES = families.PoissonParams(np.array([[2.5], [8.0]]))
EASY = {"tol": 1e-7, "random_state": 0}

#: Estimator, data, number of free parameters, and what stays: attribute, where, value.
CASES = {
    "GaussianMixture": (
        GaussianMixture(
            2,
            covariance_prior="data",
            weights_prior=2,
            fixed={"means": FIRST},
            means_init=MEANS,
            **EASY,
        ),
        POINTS,
        1 + 2 + 6,
        [("means_", 0, [0.5, 0.0])],
    ),
    "MixtureModel": (
        MixtureModel(
            families.Poisson({"lambdas": FIRST}, families.GammaPrior([[2.0], [3.0]], 1.0)),
            2,
            weights_prior=2,
            fixed={"weights": [True, False]},
            weights_init=[0.4, 0.6],
            family_init=RATES,
            **EASY,
        ),
        COUNTS,
        0 + 1,
        [("weights_", 0, 0.4)],
    ),
    "GaussianHMM": (
        GaussianHMM(
            2,
            covariance_prior="data",
            transmat_prior=[2, 3],
            startprob_prior=[2, 2.5],
            fixed={"means": FIRST, "transmat": [[True, False], [False, False]]},
            transmat_init=MOVES,
            means_init=MEANS,
            **EASY,
        ),
        POINTS,
        1 + 1 + 2 + 4,
        [("means_", 0, [0.5, 0.0]), ("transmat_", (0, 0), 0.8)],
    ),
    "PoissonHMM": (
        PoissonHMM(
            2,
            lambdas_prior=[[2.0], [5.0]],
            lambdas_weight=0.5,
            transmat_prior=[[2, 3], [4, 5]],
            startprob_prior=[2, 2.5],
            fixed={"lambdas": FIRST},
            lambdas_init=[[2.0], [8.0]],
            **EASY,
        ),
        COUNTS,
        1 + 2 + 1,
        [("lambdas_", 0, [2.0])],
    ),
    "CategoricalHMM": (
        CategoricalHMM(
            2,
            emissionprob_prior=2,
            startprob_prior=2,
            fixed={"emissionprob": [[1, 0, 0], [0, 0, 0]]},
            emissionprob_init=[[0, 0.5, 0.5], [0.3, 0.3, 0.4]],
            **EASY,
        ),
        CODES,
        1 + 2 + 3,
        [("emissionprob_", (0, 0), 0.0)],
    ),
    "GMMHMM": (
        GMMHMM(
            2,
            2,
            covariance_prior="data",
            weights_prior=[[2, 3], [4, 5]],
            startprob_prior=2,
            fixed={"means": [[True, False], [False, False]], "weights": FIRST},
            weights_init=[[0.4, 0.6], [0.5, 0.5]],
            means_init=[[[0.0, 0.0], [1.0, 1.0]], [[4.0, 4.0], [5.0, 6.0]]],
            covariances_init=np.ones((2, 2, 2)),
            **EASY,
        ),
        POINTS,
        1 + 2 + 1 + 6 + 8,
        [("means_", (0, 0), [0.0, 0.0]), ("weights_", 0, [0.4, 0.6])],
    ),
    "HMM": (
        HMM(
            families.Poisson({"lambdas": FIRST}, families.GammaPrior([[2.0], [3.0]], 1.0)),
            2,
            startprob_prior=2,
            family_init=RATES,
            **EASY,
        ),
        COUNTS,
        1 + 2 + 1,
        [],
    ),
}


@pytest.fixture(scope="module")
def fits():
    return {name: clone(case[0]).fit(case[1]) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_the_fit(name, fits):
    """MAP, with what is kept at its bits, and no more parameters than are free."""
    fit, (_, data, size, kept) = fits[name], CASES[name]
    model, params, _ = fit.em_problem(data)
    assert fit.converged_
    assert fit.n_parameters() == size
    assert fit.result_.objective == fit.loglik_ + model.log_prior(params)
    assert fit.result_.objective != fit.loglik_
    for attribute, place, value in kept:
        assert np.array_equal(getattr(fit, attribute)[place], value)


@pytest.mark.parametrize("name", CASES)
def test_files_and_clones(name, fits, tmp_path):
    fit, data = fits[name], CASES[name][1]
    fit.save(tmp_path / "fit.npz")
    again = load(tmp_path / "fit.npz")
    (model, params, _), (other, same, _) = fit.em_problem(data), again.em_problem(data)
    assert other.log_prior(same) == model.log_prior(params)
    assert again.n_parameters() == fit.n_parameters()
    assert again.score(data) == fit.score(data)
    assert clone(again).fit(data).loglik_ == pytest.approx(fit.loglik_, rel=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if "HMM" in name])
def test_in_another_order(name, fits):
    fit, data = fits[name], CASES[name][1]
    other = fit.relabel([1, 0])
    (model, params, _), (turned, same, _) = fit.em_problem(data), other.em_problem(data)
    assert turned.log_prior(same) == pytest.approx(model.log_prior(params), rel=1e-12)
    assert other.n_parameters() == fit.n_parameters()
    if name != "HMM":
        again = clone(other).fit(data)
        assert again.result_.objective == pytest.approx(fit.result_.objective, abs=1e-3)


@pytest.mark.parametrize("name", ["GaussianMixture", "PoissonHMM"])
def test_standard_errors_of_what_is_kept_are_zero(name, fits):
    fit, data = fits[name], CASES[name][1]
    errors = standard_errors(fit, data)
    group = "means" if name == "GaussianMixture" else "lambdas"
    assert np.all(errors[group][0] == 0)
    assert np.all(errors[group][1] > 0)


def test_candidates_have_the_prior():
    found = select(
        GaussianHMM(covariance_prior="data", random_state=0), POINTS, n_components=[1, 2]
    )
    assert found.best.n_components == 2
    assert found.best.result_.objective != found.best.loglik_


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**20), st.sampled_from(["squarem", "anderson", None]))
def test_entries_of_a_chain_stay(seed, accelerate):
    """Any entries of start, transitions and emissions, accelerated or not."""
    rng = np.random.default_rng(seed)
    kept = {
        "startprob": rng.random(2) < 0.5,
        "transmat": rng.random((2, 2)) < 0.5,
        "emissionprob": rng.random((2, 3)) < 0.4,
    }
    given_values = {
        "startprob": rng.dirichlet(np.ones(2)),
        "transmat": rng.dirichlet(np.ones(2), 2),
        "emissionprob": rng.dirichlet(np.ones(3), 2),
    }
    starts = {f"{name}_init": value for name, value in given_values.items()}
    hmm = CategoricalHMM(2, fixed=kept, accelerate=accelerate, max_iter=30, tol=0.0, **starts)
    hmm.fit(CODES)
    for name, mask in kept.items():
        first = given_values[name] / given_values[name].sum(axis=-1, keepdims=True)
        assert np.array_equal(getattr(hmm, f"{name}_")[mask], first[mask])
        assert getattr(hmm, f"{name}_").sum(axis=-1) == pytest.approx(1.0, abs=1e-12)
    assert np.all(np.diff(hmm.lower_bounds_) > -1e-9)


def test_the_rest_is_the_maximum_given_what_is_kept():
    """With the first mean held, full covariances are about it: an overwrite would lose."""
    kept = GaussianMixture(2, fixed={"means": FIRST}, means_init=MEANS, tol=1e-9).fit(POINTS)
    free = GaussianMixture(2, means_init=MEANS, tol=1e-9).fit(POINTS)
    overwritten = GaussianMixture.from_parameters(
        weights=free.weights_,
        means=[MEANS[0], free.means_[1]],
        covariances=free.covariances_,
    )
    assert overwritten.score(POINTS) + 1e-3 < kept.score(POINTS) < free.score(POINTS)


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (GaussianHMM(2, means_init=[[0.0, 0.0], [60.0, 60.0]]), POINTS),
        (GaussianHMM(2, covariance_type="full", means_init=[[0.0, 0.0], [60.0, 60.0]]), POINTS),
    ],
)
def test_states_that_would_collapse_do_not(estimator, data):
    """One row far away is a state of variance 0 without a prior."""
    far = np.vstack([data, [[60.0, 60.0]]])
    with pytest.warns(UserWarning, match="singular"):
        assert clone(estimator).fit(far).result_.degenerate
    fit = clone(estimator).set_params(covariance_prior="data").fit(far)
    assert fit.result_.degenerate == ()
    assert fit.converged_


@pytest.mark.parametrize(
    ("estimator", "data", "sentence"),
    [
        (PoissonHMM(2, lambdas_prior=2.0), COUNTS, "one gamma prior: give both"),
        (
            PoissonHMM(2, lambdas_prior=0.5, lambdas_weight=1.0),
            COUNTS,
            "lambdas_prior must be >= 1",
        ),
        (
            PoissonHMM(2, lambdas_prior=2.0, lambdas_weight=0.0),
            COUNTS,
            "lambdas_weight must be > 0",
        ),
        (PoissonHMM(2, lambdas_prior=[2.0, 2], lambdas_weight=1.0), COUNTS, "has 2 columns, but"),
        (
            PoissonHMM(3, lambdas_prior=[[2.0], [2]], lambdas_weight=1),
            COUNTS,
            "is for 2 components",
        ),
        (CategoricalHMM(2, emissionprob_prior=0.1), CODES, "emissionprob_prior must be >= 1"),
        (CategoricalHMM(2, emissionprob_prior=[2.0, 2]), CODES, "has 2 columns, but .* have 3"),
        (GaussianHMM(2, means_prior=[0.0, 0.0]), POINTS, "give covariance_prior too"),
        (GaussianHMM(2, covariance_prior=-1.0), POINTS, "covariance_prior must be positive"),
        (GaussianHMM(2, covariance_prior="data", reg_covar=1e-3), POINTS, "use one of them"),
        (
            GaussianHMM(2, startprob_prior=[2.0, 2.0, 2.0]),
            POINTS,
            r"startprob_prior must be a numb",
        ),
        (GaussianHMM(2, transmat_prior=0.5), POINTS, "transmat_prior must be >= 1, got 0.5"),
        (GaussianHMM(2, startprob_prior=2, stationary=True), POINTS, "leave startprob_prior out"),
        (GMMHMM(2, 2, weights_prior=[1.0, 2.0, 3.0]), POINTS, "weights_prior must be a number"),
        (GMMHMM(2, 2, fixed={"means": [1, 0, 0]}), POINTS, r"must be True or have shape \(2,\) or"),
        (GaussianHMM(2, fixed={"means": [1, 0, 0]}), POINTS, "has 3 entries, one for each comp"),
        (
            GaussianHMM(2, fixed={"means": FIRST}),
            POINTS,
            "given for means: pass means_init",
        ),
        (GaussianMixture(2, fixed={"means": FIRST}), POINTS, "none are given for means: pass"),
        (GaussianMixture(2, fixed={"means": 0.5}), POINTS, r"fixed\['means'\] must be True, or an"),
        (
            GaussianMixture(2, fixed={"weights": [0, 1, 1]}),
            POINTS,
            r"have shape \(2,\), got \(3,\)",
        ),
        (
            PoissonHMM(2, fixed={"lambdas": FIRST}, lambdas_init=[[-1.0], [1.0]]),
            COUNTS,
            "lambdas_init must be >= 0, got -1",
        ),
        (
            CategoricalHMM(
                2, fixed=("emissionprob",), emissionprob_init=[[0.5, 0.5, 0.5], [1.0, 0.0, 0.0]]
            ),
            CODES,
            "each row of emissionprob_init must sum to 1, but row 0 sums to 1.5",
        ),
        (
            GaussianMixture(2, fixed={"weights": FIRST}, weights_init=[1.4, -0.4]),
            POINTS,
            "weights_init",
        ),
    ],
)
def test_arguments_that_cannot_be(estimator, data, sentence):
    with pytest.raises(ValueError, match=sentence):
        estimator.fit(data)
    assert not hasattr(estimator, "result_")


def test_what_is_kept_of_one_component_is_in_no_other(fits):
    """Nothing is kept by mistake: all that may move has moved from the start."""
    for name, (estimator, _, _, _) in CASES.items():
        given_values = estimator.get_params().get("means_init")
        if given_values is not None:
            moved = np.asarray(given_values) != fits[name].means_
            assert np.all(moved.reshape(len(moved), -1)[1])


def test_trees_of_a_fit_are_finite(fits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, fit in fits.items():
            params = fit.em_problem(CASES[name][1])[1]
            assert all(np.all(np.isfinite(leaf)) for _, leaf in leaves(params))
