"""Priors and fixed values of every family: the M-step is the constrained maximum of Q + prior."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, dirichlet, gamma, invgamma

from latentem import EM, families
from latentem.engine.blocks import Rows
from latentem.families import (
    BetaPrior,
    DirichletPrior,
    GammaPrior,
    GaussianPrior,
    InverseGammaPrior,
)
from latentem.models import Mixture
from latentem.models.mixture import MixtureParams
from latentem.testing import check_family, check_model

RNG = np.random.default_rng(0)
COUNTS = np.vstack([RNG.poisson([1, 5], (40, 2)), RNG.poisson([9, 2], (40, 2))]).astype(float)
WAITS = RNG.exponential(np.repeat([1.0, 9.0], 40)[:, None] * [1.0, 2.0])
ANSWERS = (RNG.random((80, 2)) < np.repeat([0.2, 0.8], 40)[:, None]).astype(float)
CODES = np.column_stack([RNG.integers(0, 3, 80), RNG.integers(0, 2, 80)]).astype(float)
POINTS = np.vstack([RNG.normal(0, 1, (40, 2)), RNG.normal(4, 1, (40, 2))])
FIRST = np.array([True, False])
#: Family, its data, its group, a prior, and entries of two components that are kept.
CASES = {
    "Poisson": (families.Poisson, COUNTS, "lambdas", GammaPrior([3.0, 1.0], 0.5)),
    "Exponential": (families.Exponential, WAITS, "scales", InverseGammaPrior(2.0, [1.0, 3.0])),
    "Bernoulli": (families.Bernoulli, ANSWERS, "probs", BetaPrior(2.0, [1.5, 3.0])),
}
ENTRIES = [[True, False], [False, False]]


def categorical(fixed=(), prior=None):
    return families.Categorical((3, 2), fixed, prior)


def gaussian_prior(kind, d=2):
    return GaussianPrior(np.ones(d), 0.5, d + 4.0, np.eye(d) if kind == "full" else np.ones(d))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("with_prior", [False, True])
@pytest.mark.parametrize("kept", [None, FIRST, ENTRIES])
def test_check_family(name, with_prior, kept):
    family, data, group, prior = CASES[name]
    fixed = () if kept is None else {group: kept}
    check_family(family(fixed, prior if with_prior else None), data, n_simulated=0)


@pytest.mark.parametrize("prior", [None, DirichletPrior([1.0, 2.0, 3.0, 1.5, 2.0])])
@pytest.mark.parametrize("kept", [None, FIRST, [[1, 0, 0, 1, 0], [0, 0, 1, 0, 0]]])
def test_check_family_of_categories(prior, kept):
    fixed = () if kept is None else {"emissionprob": kept}
    check_family(categorical(fixed, prior), CODES, n_simulated=0)


@pytest.mark.parametrize("kind", ["full", "diag"])
@pytest.mark.parametrize("with_prior", [False, True])
@pytest.mark.parametrize("fixed", [{"means": FIRST}, {"covariances": FIRST, "means": ~FIRST}])
def test_check_family_of_gaussians(kind, with_prior, fixed):
    prior = gaussian_prior(kind) if with_prior else None
    check_family(families.Gaussian(kind, fixed=fixed, prior=prior), POINTS, n_simulated=0)


def test_tied_covariances_are_about_the_means_that_are_kept():
    check_family(families.Gaussian("tied", fixed={"means": FIRST}), POINTS, n_simulated=0)


def test_parts_keep_their_own():
    parts = [
        (families.Poisson({"lambdas": FIRST}, GammaPrior(2.0, 1.0)), [0, 1]),
        (families.Gaussian("full", prior=gaussian_prior("full"), fixed={"means": ~FIRST}), [2, 3]),
    ]
    family = families.Independent(parts)
    assert family.fixed == ("0.lambdas", "1.means")
    check_family(family, np.column_stack([COUNTS, POINTS]), n_simulated=0)


def test_a_prior_for_each_component_follows_its_component():
    check_family(families.Poisson(prior=GammaPrior([[2.5], [4.0]], 0.7)), COUNTS, n_simulated=0)


@pytest.mark.parametrize("kept", [FIRST, [[True, False], [False, False]]])
def test_mixtures_within_a_component(kept):
    inner = families.Gaussian(
        "diag", prior=gaussian_prior("diag"), fixed={"means": [True, False, False, False]}
    )
    family = families.MixtureFamily(inner, 2, {"weights": kept}, [[1.0, 3.0], [2.0, 2.0]])
    check_family(family, POINTS, n_simulated=0)


@pytest.mark.parametrize("prior", [None, [1.0, 2.0, 3.0]])
def test_weights_of_a_mixture(prior):
    model = Mixture(families.Poisson(), 3, fixed={"weights": [*FIRST.tolist(), False]},
                    weights_prior=prior)  # fmt: skip
    start = model.guess(list(model.blocks(COUNTS)), np.random.default_rng(1))
    report = check_model(model, COUNTS, start=start, n_simulated=0)
    assert dict(report.passed)["fixed values"] == "weights"
    assert model.constraints().weights.size(start.weights) == 1


def test_the_log_densities_are_those_of_the_textbook():
    """Up to a constant: differences agree."""
    draws = np.random.default_rng(0).uniform(0.1, 0.9, (5, 1, 1))
    for prior, by_hand in (
        (GammaPrior(3.0, 2.0), lambda x: gamma.logpdf(x, 3.0, scale=0.5)),
        (InverseGammaPrior(3.0, 2.0), lambda x: invgamma.logpdf(x, 3.0, scale=2.0)),
        (BetaPrior(3.0, 2.0), lambda x: beta.logpdf(x, 3.0, 2.0)),
    ):
        found = [prior.log_density(x) for x in draws]
        np.testing.assert_allclose(np.diff(found), np.diff(by_hand(draws.ravel())), rtol=1e-10)
    rows = np.random.default_rng(0).dirichlet(np.ones(3), 5)
    found = [DirichletPrior([2.0, 1.0, 4.0]).log_density(row[None]) for row in rows]
    by_hand = [dirichlet.logpdf(row, [2.0, 1.0, 4.0]) for row in rows]
    np.testing.assert_allclose(np.diff(found), np.diff(by_hand), rtol=1e-10)


@settings(max_examples=30, deadline=None)
@given(st.floats(1.0, 50.0), st.floats(0.01, 50.0), st.lists(st.integers(0, 30), min_size=1))
def test_the_mode_of_one_component_is_the_formula(shape, rate, counts):
    """One component without a mixture: the posterior is gamma, and its mode known."""
    x = np.array(counts, dtype=float)[:, None]
    model = Mixture(families.Poisson(prior=GammaPrior(shape, rate)), 1)
    found = EM(tol=1e-9).run(model, x, rng=0).params.family.lambdas
    np.testing.assert_allclose(found, (x.sum() + shape - 1) / (len(x) + rate), rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**20), st.integers(1, 6))
def test_what_is_kept_does_not_move_by_a_bit(seed, which):
    """Accelerated, with any entries kept."""
    rng = np.random.default_rng(seed)
    kept = {"emissionprob": rng.random((2, 5)) < 0.3, "weights": np.array([which > 3, False])}
    model = Mixture(
        categorical({"emissionprob": kept["emissionprob"]}), 2, fixed={"weights": kept["weights"]}
    )
    probs = np.hstack([rng.dirichlet(np.ones(3), 2), rng.dirichlet(np.ones(2), 2)])
    start = MixtureParams(rng.dirichlet(np.ones(2)), families.CategoricalParams(probs))
    result = EM(tol=0, max_iter=40, accelerate="squarem").run(model, Rows(CODES), start=start)
    new = result.params
    mask = kept["emissionprob"]
    assert np.array_equal(new.family.emissionprob[mask], probs[mask])
    assert np.array_equal(new.weights[kept["weights"]], start.weights[kept["weights"]])
    assert new.family.emissionprob[:, :3].sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert result.objective >= result.history.objectives[0]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_waiting_times_that_would_collapse_on_zeros_do_not():
    """A component on zeros has no bound without a prior."""
    x = np.concatenate([np.zeros(5), RNG.exponential(5.0, 60)])[:, None]
    start = MixtureParams(np.array([0.1, 0.9]), families.ExponentialParams(np.array([[1e-3], [5]])))
    free = EM().run(Mixture(families.Exponential(), 2), x, start=start)
    assert "no bound" in free.degenerate[0]
    prior = InverseGammaPrior(1.0, 0.1)
    held = EM(tol=1e-8).run(Mixture(families.Exponential(prior=prior), 2), x, start=start)
    assert held.degenerate == ()
    assert held.converged
    assert held.params.family.scales.min() > 0.01


@pytest.mark.parametrize(
    ("likeliest", "held"),
    [
        (families.Bernoulli(), families.Bernoulli(prior=BetaPrior(2.0, 2.0))),
        (families.Categorical(2), families.Categorical(2, prior=DirichletPrior(2.0))),
    ],
)
def test_answers_and_categories_stay_off_the_boundary(likeliest, held):
    data = np.array([[1.0, 0.0]] * 6 + [[0.0, 1.0]] * 6)
    for family, inside in ((likeliest, False), (held, True)):
        (probs,) = EM().run(Mixture(family, 2), data, rng=0).params.family
        assert np.all((probs > 0.01) & (probs < 0.99)) == inside


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GammaPrior(0.5, 1.0), "shape must be >= 1, got 0.5: below 1 the most probable"),
        (lambda: GammaPrior(2.0, 0.0), "rate must be > 0, got 0: the prior would be improper"),
        (lambda: GammaPrior(2.0, np.inf), "rate contains NaN or infinity"),
        (lambda: GammaPrior("x", 1.0), "shape must hold numbers"),
        (lambda: GammaPrior([1.0, 2.0], [1.0, 2.0, 3.0]), "shapes that do not go together"),
        (lambda: InverseGammaPrior(0.0, 1.0), "shape must be > 0, got 0: the prior would"),
        (lambda: BetaPrior(0.5, 1.0), "ones must be >= 1, got 0.5: below 1 .* on the boundary"),
        (lambda: DirichletPrior([1.0, 0.5]), "concentration must be >= 1, got 0.5"),
        (lambda: DirichletPrior(np.ones((1, 1, 1))), r"must be a number, \(d,\) or \(K, d\)"),
        (lambda: GaussianPrior(np.zeros(2), 0.0, 4.0, -np.eye(2)), "positive definite"),
        (lambda: GaussianPrior(np.zeros(2), 0.0, 0.5, np.eye(2)), "df must be a number > 1"),
        (lambda: GaussianPrior(np.zeros(2), -1.0, 4.0, np.eye(2)), "mean_weight must be a number"),
        (lambda: GaussianPrior(np.zeros(2), 0.0, 4.0, np.eye(3)), r"scale \(d, d\)"),
        (lambda: families.Poisson({"rates": True}), r"fixed knows 'lambdas', got \['rates'\]"),
        (lambda: families.Poisson({"lambdas": [2, 0]}), "must be True, or an array with True"),
        (lambda: families.Poisson({"lambdas": [[1, 0], [1]]}), "has rows of different lengths"),
        (lambda: families.Gaussian(fixed={"means": ENTRIES}), "are not fixed one by one"),
        (lambda: families.Gaussian("tied", fixed={"covariances": FIRST}), "shared by all"),
        (lambda: Mixture(families.Poisson({"lambdas": FIRST}), 3), "has 2 entries, .* there are 3"),
        (
            lambda: Mixture(families.Poisson(prior=GammaPrior([[1.0], [2.0]], 1.0)), 3),
            "shape is for 2 components, and there are 3",
        ),
        (
            lambda: Mixture(families.Poisson(), 2, fixed={"weights": [1, 0, 0]}),
            r"fixed\['weights'\] must be True or have shape \(2,\), got \(3,\)",
        ),
        (
            lambda: Mixture(families.Independent([families.Poisson({"lambdas": FIRST})]), 3),
            "column 0: fixed",
        ),
        (
            lambda: Mixture(families.MixtureFamily(families.Poisson(), 2, {"weights": FIRST}), 3),
            "give True or False for each of 3 components",
        ),
        (
            lambda: families.Poisson(prior=GammaPrior([2.0, 3.0, 4.0], 1.0)).check(COUNTS),
            "shape has 3 columns, but the parameters have 2",
        ),
        (
            lambda: categorical((), DirichletPrior([1.0, 2.0])).check(CODES),
            "concentration has 2 columns, but the parameters have 5",
        ),
        (
            lambda: families.Gaussian(prior=gaussian_prior("full", 3)).check(POINTS),
            "for 3 columns, and X has 2",
        ),
        (
            lambda: families.Poisson({"lambdas": [[1, 0, 0], [0, 0, 0]]}).check(COUNTS),
            "or for each of its 2 entries",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_prior_of_another_family():
    with pytest.raises(TypeError, match="the prior of Poisson is a GammaPrior, got BetaPrior"):
        families.Poisson(prior=BetaPrior(2.0, 2.0))
