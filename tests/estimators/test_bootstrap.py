"""Standard errors by the bootstrap: how replicates are made, aligned, counted and told."""

from __future__ import annotations

import joblib
import numpy as np
import pytest

from latentem import (
    GaussianImputer,
    GaussianMixture,
    PoissonHMM,
    Rows,
    Sequences,
    StandardErrors,
    families,
    models,
    standard_errors,
)
from latentem.datasets import load_apple, load_earthquakes
from latentem.engine.alignment import aligned
from latentem.engine.bootstrap import lifted
from latentem.engine.resampling import reweighted
from latentem.models.hidden_markov import HiddenMarkovParams
from latentem.models.mixture import MixtureParams
from tests.estimators.samples import blobs
from tests.estimators.test_bad_input import refused

X = blobs(200, 2, 2, gap=4.0)


def fitted(**settings):
    return GaussianMixture(2, covariance_type="diag", random_state=0, tol=1e-8, **settings).fit(X)


@pytest.mark.parametrize("resampling", ["multinomial", "bayesian", "parametric"])
def test_agrees_with_the_observed_information(resampling):
    gm = fitted()
    observed = standard_errors(gm, X)
    errors = standard_errors(
        gm, X, method="bootstrap", resampling=resampling, n_replicates=150, random_state=0
    )
    assert errors.method == f"bootstrap ({resampling})"
    for name in observed:
        ratio = errors[name] / observed[name]
        assert np.all((ratio > 0.7) & (ratio < 1.4)), (name, ratio)
    assert errors.replicates["means"].shape == (150, 2, 2)
    lower, upper = errors.confidence_interval()["means"]
    assert np.all((lower < gm.means_) & (gm.means_ < upper))
    assert errors.notes == ()


def test_the_same_for_any_number_of_jobs():
    gm = fitted()
    some = {"method": "bootstrap", "n_replicates": 12, "random_state": 3}
    one = standard_errors(gm, X, **some, n_jobs=1)
    two = standard_errors(gm, X, **some, n_jobs=2)
    assert np.array_equal(one.covariance, two.covariance)
    again = standard_errors(gm, X, **{**some, "random_state": 4})
    assert not np.array_equal(one.covariance, again.covariance)
    with joblib.parallel_config("sequential"):
        three = standard_errors(gm, X, **some, n_jobs=2)
    assert np.array_equal(one.covariance, three.covariance)


def test_frequencies_are_repetition_for_parametric_replicates():
    counts = np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
    gm = GaussianMixture(2, random_state=0, tol=1e-8).fit(X, sample_weight=counts)
    some = {"method": "bootstrap", "resampling": "parametric", "n_replicates": 10,
            "random_state": 0}  # fmt: skip
    weighted = standard_errors(gm, X, sample_weight=counts, **some)
    repeated = standard_errors(gm, np.repeat(X, counts.astype(int), axis=0), **some)
    assert np.array_equal(weighted.covariance, repeated.covariance)
    refused(
        lambda: standard_errors(gm, X, sample_weight=counts * 0.5, **some),
        ["weight 1.5", "whole numbers", "'bayesian'"],
    )


def test_missing_cells_stay_missing():
    data = load_apple().data
    imputer = GaussianImputer(tol=1e-10).fit(data)
    like = imputer.em_problem(data)
    drawn = like[0].sample_like(like[1], like[2], len(data), np.random.default_rng(0))
    np.testing.assert_array_equal(np.isnan(drawn.x), np.isnan(data))
    errors = standard_errors(
        imputer, data, method="bootstrap", resampling="parametric", n_replicates=300,
        random_state=0,
    )  # fmt: skip
    np.testing.assert_allclose(errors["mean"], [2.230271, 2.730895], rtol=0.2)


def test_columns_that_take_no_part_are_named():
    data = np.column_stack([load_apple().data, np.full(18, 7.0)])
    with pytest.warns(UserWarning, match="column 2 has one value"):
        imputer = GaussianImputer(tol=1e-10).fit(data)
    errors = standard_errors(imputer, data)
    assert np.isnan(errors["mean"][2])
    assert "take no part: mean[2], covariance[0, 2]" in errors.notes[0]
    assert "takes no part" in errors.summary()
    replicated = standard_errors(imputer, data, method="bootstrap", n_replicates=20, random_state=0)
    assert np.isnan(replicated["mean"][2])
    assert np.all(replicated["mean"][:2] > 0)


def test_sequences_are_drawn_whole_and_a_lone_one_by_the_model():
    counts = load_earthquakes()[["count"]]
    hmm = PoissonHMM(2, tol=1e-8, random_state=0).fit(counts)
    refused(
        lambda: standard_errors(hmm, counts, method="bootstrap"),
        ["a single sequence", "resampling='parametric'"],
    )
    errors = standard_errors(
        hmm, counts, method="bootstrap", resampling="parametric", n_replicates=60, random_state=0
    )
    assert np.all(errors["lambdas"] > 0.3)
    assert np.all(errors["transmat"] < 0.2)
    # A start probability of 0 is free in a replicate.
    assert errors["startprob"].max() > 0.0
    several = [counts[:40], counts[40:80], counts[80:]]
    hmm.fit(several)
    errors = standard_errors(
        hmm, several, method="bootstrap", resampling="bayesian", n_replicates=10, random_state=0
    )
    assert np.all(errors["lambdas"] > 0)


def test_labels_of_the_fit_are_needed_and_obeyed():
    labels = np.where(np.arange(len(X)) % 2, -1, fitted().predict(X))
    gm = GaussianMixture(2, random_state=0, tol=1e-8).fit(X, labels=labels)
    errors = standard_errors(gm, X, labels=labels)
    free = standard_errors(gm.fit(X), X)
    assert np.all(errors["weights"] <= free["weights"] * 1.001)
    gm.fit(X, labels=labels)
    replicated = standard_errors(
        gm, X, labels=labels, method="bootstrap", resampling="parametric", n_replicates=100,
        random_state=0,
    )  # fmt: skip
    np.testing.assert_allclose(replicated["means"], errors["means"], rtol=0.35)
    refused(lambda: standard_errors(gm, X, labels=labels[:3]), ["labels", "(200,)"])
    imputer = GaussianImputer().fit(X)
    refused(lambda: standard_errors(imputer, X, labels=labels), ["takes no labels"])


def test_components_are_put_in_the_original_order():
    family = families.Gaussian("tied")
    model = models.Mixture(family, 3)
    params = MixtureParams(
        np.array([0.2, 0.3, 0.5]),
        families.gaussian.GaussianParams(np.array([[0.0, 0], [4, 0], [0, 4]]), np.eye(2)),
    )
    rng = np.random.default_rng(0)
    others, orders = [], []
    for _ in range(20):
        near = params._replace(
            family=params.family._replace(means=params.family.means + rng.normal(size=(3, 2)) / 3)
        )
        orders.append(rng.permutation(3) if len(orders) > 12 else np.arange(3))
        others.append(model.relabel(near, orders[-1]))
    for found, other, order in zip(aligned(model, params, others), others, orders, strict=True):
        np.testing.assert_array_equal(found.family.means, other.family.means[np.argsort(order)])
        np.testing.assert_array_equal(found.weights, params.weights)
        np.testing.assert_array_equal(found.family.covariances, np.eye(2))


@pytest.mark.nojit
def test_relabelling_a_chain():
    model = models.HiddenMarkov(families.Poisson(), 2)
    params = HiddenMarkovParams(
        np.array([1.0, 0.0]),
        np.array([[0.9, 0.1], [0.3, 0.7]]),
        families.poisson.PoissonParams(np.array([[1.0], [5.0]])),
    )
    other = model.relabel(params, np.array([1, 0]))
    np.testing.assert_array_equal(other.transmat, [[0.7, 0.3], [0.1, 0.9]])
    np.testing.assert_array_equal(other.startprob, [0.0, 1.0])
    np.testing.assert_array_equal(other.family.lambdas, [[5.0], [1.0]])
    assert model.exchangeable
    masked = models.HiddenMarkov(families.Poisson(), 2, transmat_mask=[[1, 1], [0, 1]])
    assert not masked.exchangeable
    assert aligned(masked, params, [other]) == [other]
    raised = lifted(model, params)
    assert 0 < raised.startprob[1] < 0.01
    np.testing.assert_array_equal(raised.transmat, params.transmat)


@pytest.mark.nojit
@pytest.mark.parametrize("bayesian", [False, True])
def test_random_weights(bayesian):
    own = np.array([3.0, 0.0, 1.5, 2.5])
    total = np.zeros(4)
    for seed in range(400):
        drawn = reweighted((np.arange(4), own), bayesian, np.random.default_rng(seed))[1]
        assert drawn.sum() == pytest.approx(7.0)
        assert drawn[1] == 0.0
        total += drawn
    np.testing.assert_allclose(total / 400, own, atol=0.3)
    rows = reweighted(Rows(np.arange(8.0).reshape(4, 2), own), bayesian, np.random.default_rng(0))
    assert np.all(rows.weights > 0)
    assert len(rows.x) == len(rows.weights)
    chains = Sequences(np.arange(5.0)[:, None], np.array([2, 1, 2]))
    drawn = reweighted(chains, bayesian, np.random.default_rng(1))
    assert drawn.weights.sum() == pytest.approx(3.0)
    assert drawn.lengths.sum() == len(drawn.x)


@pytest.mark.filterwarnings("ignore::latentem.DegenerateComponentWarning")
def test_replicates_that_fail_are_counted_and_told():
    rows = np.concatenate([X[:30], [[50.0, 50.0], [50.1, 50.3], [50.2, 49.9]]])
    gm = GaussianMixture(2, covariance_type="diag", random_state=0, tol=1e-8).fit(rows)
    assert not gm.result_.degenerate
    errors = standard_errors(gm, rows, method="bootstrap", n_replicates=60, random_state=0)
    lost = 60 - len(errors.replicates["means"])
    assert lost > 0
    assert errors.notes[0].startswith(f"{lost} of 60 replicates do not count: a fit failed or was")
    assert "component" in errors.notes[0]


def test_too_few_replicates_are_left():
    rows = np.concatenate([X[:30], [[50.0, 50.0], [50.1, 50.3], [50.2, 49.9]]])
    gm = GaussianMixture(2, random_state=0, tol=1e-8).fit(rows)
    refused(
        lambda: standard_errors(gm, rows, method="bootstrap", n_replicates=30, random_state=0),
        ["of 30 replicates could not be fitted", "component"],
    )


def test_intervals_keep_to_the_set_and_print():
    gm = fitted()
    errors = standard_errors(gm, X, method="oakes")
    wide = errors.confidence_interval(0.999999)
    assert np.all(wide["weights"].lower > 0)
    assert np.all(wide["weights"].upper < 1)
    assert np.all(wide["covariances"].lower > 0)
    middle = errors.confidence_interval(0.95)["means"]
    np.testing.assert_allclose(
        (middle.upper - middle.lower) / 2, 1.959964 * errors["means"], rtol=1e-6
    )
    logs = np.log(errors.confidence_interval(0.95)["covariances"])
    np.testing.assert_allclose(logs.mean(axis=0), np.log(gm.covariances_), rtol=1e-9, atol=1e-12)
    refused(lambda: errors.confidence_interval(95), ["level", "between 0 and 1", "95"])
    assert errors.labels[0] == "weights[0]"
    assert len(errors.labels) == len(errors.covariance)
    frame = errors.to_frame(0.9)
    assert frame.loc["means[1, 0]", "std_error"] == errors["means"][1, 0]
    assert frame.loc["means[1, 0]", "lower"] == errors.confidence_interval(0.9)["means"].lower[1, 0]
    assert "90 % from" in errors.summary(0.9)
    assert errors._repr_html_().count("<tr>") == 1 + len(errors.covariance)


@pytest.mark.nojit
def test_reflected_quantiles_of_a_variance_cover():
    """On the logarithm they are the exact interval, where percentiles cover 91.6 % (60 rows)."""
    rng = np.random.default_rng(0)
    hits, plain = [], []
    for variance in rng.chisquare(59, size=2000) / 60:
        replicates = variance * rng.chisquare(59, size=199) / 60
        errors = StandardErrors(
            {"v": np.array(variance)}, np.array([[replicates.var()]]), "bootstrap",
            limits=(np.zeros(1), np.full(1, np.inf)), replicates=replicates[:, None],
        )  # fmt: skip
        lower, upper = errors.confidence_interval()["v"]
        hits.append(lower <= 1.0 <= upper)
        lower, upper = np.quantile(replicates, [0.025, 0.975])
        plain.append(lower <= 1.0 <= upper)
    assert np.mean(plain) < 0.93
    assert 0.94 <= np.mean(hits) <= 0.965


@pytest.mark.nojit
def test_quantiles_stay_within_limits_and_at_an_edge():
    value, rng = np.array([0.0, 0.3, 1.0, 2.0]), np.random.default_rng(1)
    replicates = np.column_stack(
        [np.zeros(99), np.clip(rng.normal(0.3, 0.3, 99), 0, 1), np.ones(99), np.full(99, 2.0)]
    )
    errors = StandardErrors(
        {"p": value}, np.diag(replicates.var(axis=0)), "bootstrap",
        limits=(np.zeros(4), np.array([1.0, 1.0, 1.0, np.inf])), replicates=replicates,
    )  # fmt: skip
    lower, upper = errors.confidence_interval(0.9)["p"]
    np.testing.assert_allclose(lower[[0, 2, 3]], value[[0, 2, 3]])
    np.testing.assert_allclose(upper[[0, 2, 3]], value[[0, 2, 3]])
    assert 0.0 <= lower[1] < 0.3 < upper[1] <= 1.0


def test_wrong_requests():
    gm = fitted()
    some = {"method": "bootstrap"}
    refused(lambda: standard_errors(gm, X, **some, n_replicates=0), ["n_replicates", ">= 10"])
    refused(lambda: standard_errors(gm, X, **some, resampling="jackknife"), ["resampling"])
    refused(lambda: standard_errors(gm, X, **some, n_jobs=0), ["n_jobs", "0"])
    refused(lambda: standard_errors(gm, X, **some, random_state="x"), ["random_state", "'x'"])
    refused(lambda: standard_errors(gm, X, method="jackknife"), ["method", "'oakes'"])


# ------------------------------------------------------------------------ coverage, by simulation

REPEATS = 400


def covered(method, truth, draw, fit, **more):
    """Shares of 95 % intervals that hold the truth, by parameter, over simulated data sets."""
    hits, count = {}, 0
    for seed in range(REPEATS):
        rows = draw(np.random.default_rng(seed))
        errors = standard_errors(fit(rows), rows, method=method, random_state=seed, **more)
        count += 1
        for name, (lower, upper) in errors.confidence_interval(0.95).items():
            inside = (lower <= truth[name]) & (truth[name] <= upper)
            hits[name] = hits.get(name, 0) + inside
    return {name: np.ravel(value) / count for name, value in hits.items()}


def assert_nominal(shares):
    for name, share in shares.items():
        assert np.all((share >= 0.92) & (share <= 0.98)), (name, share)


MIXED = GaussianMixture.from_parameters(
    weights=[0.4, 0.6], means=[[0.0], [4.0]], covariances=[[1.0], [1.5]], covariance_type="diag"
)
TRUE_MIXED = {"weights": MIXED.weights_, "means": MIXED.means_, "covariances": MIXED.covariances_}


def fit_mixed(rows):
    start = {"weights_init": MIXED.weights_, "means_init": MIXED.means_,
             "precisions_init": 1 / MIXED.covariances_}  # fmt: skip
    return GaussianMixture(2, covariance_type="diag", tol=1e-7, n_jobs=1, **start).fit(rows)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["observed", "oakes"])
def test_intervals_of_a_mixture_cover(method):
    shares = covered(
        method, TRUE_MIXED, lambda rng: MIXED.sample(300, random_state=rng)[0], fit_mixed
    )
    assert_nominal(shares)


@pytest.mark.slow
def test_intervals_of_a_chain_cover():
    true = PoissonHMM.from_parameters(
        startprob=[0.5, 0.5], transmat=[[0.9, 0.1], [0.15, 0.85]], lambdas=[[2.0], [8.0]]
    )
    truth = {"transmat": true.transmat_, "lambdas": true.lambdas_}

    def fit(rows):
        return PoissonHMM(
            2, startprob_init=[0.5, 0.5], transmat_init=true.transmat_,
            lambdas_init=true.lambdas_, fixed=("startprob",), tol=1e-7, n_jobs=1,
        ).fit(rows)  # fmt: skip

    def draw(rng):
        return true.sample(400, random_state=rng)[0]

    truth["startprob"] = true.startprob_
    shares = covered("observed", truth, draw, fit)
    assert np.all(shares.pop("startprob") == 1.0), "known"
    assert_nominal(shares)


@pytest.mark.slow
def test_intervals_of_missing_data_cover():
    mean, spread = np.array([1.0, -2.0]), np.array([[2.0, 1.2], [1.2, 3.0]])

    def draw(rng):
        rows = rng.multivariate_normal(mean, spread, size=200)
        rows[rng.random(200) < 0.4, 1] = np.nan
        return rows

    truth = {"mean": mean, "covariance": spread}
    assert_nominal(covered("oakes", truth, draw, lambda x: GaussianImputer(tol=1e-8).fit(x)))


@pytest.mark.slow
@pytest.mark.parametrize("resampling", ["multinomial", "parametric"])
def test_intervals_of_the_bootstrap_cover(resampling, monkeypatch):
    """Of two components that lie apart, so that fits are short; within 3 deviations of 120."""
    monkeypatch.setitem(globals(), "REPEATS", 120)
    true = GaussianMixture.from_parameters(
        weights=[0.4, 0.6], means=[[0.0], [7.0]], covariances=[[1.0], [1.5]],
        covariance_type="diag",
    )  # fmt: skip
    truth = {"weights": true.weights_, "means": true.means_, "covariances": true.covariances_}
    start = {"weights_init": true.weights_, "means_init": true.means_,
             "precisions_init": 1 / true.covariances_}  # fmt: skip
    shares = covered(
        "bootstrap", truth, lambda rng: true.sample(200, random_state=rng)[0],
        lambda x: GaussianMixture(2, covariance_type="diag", n_jobs=1, **start).fit(x),
        resampling=resampling, n_replicates=149,
    )  # fmt: skip
    for name, share in shares.items():
        assert np.all((share >= 0.89) & (share <= 0.99)), (name, share)
