"""`select`: every candidate kept, the best returned fitted, failures named."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone

from latentem import (
    FactorAnalyzer,
    GaussianMixture,
    MixtureModel,
    PoissonHMM,
    Selection,
    families,
    select,
)
from latentem.datasets import load_earthquakes, load_faithful, load_times_deaths
from latentem.engine import starts
from tests.estimators.samples import KINDS, assert_same_attributes, attributes, blobs
from tests.estimators.test_bad_input import refused

X = blobs(90, 2, 3, gap=9.0)


def test_grid_is_fitted_in_order_and_the_best_is_refitted():
    template = GaussianMixture(random_state=0)
    before = attributes(template)
    chosen = select(template, X, n_components=range(1, 5), covariance_type=["full", "diag"])
    assert isinstance(chosen, Selection)
    assert_same_attributes(template, before)
    order = [(row.params["n_components"], row.params["covariance_type"]) for row in chosen.table]
    assert order == [(k, kind) for k in range(1, 5) for kind in ("full", "diag")]
    assert chosen.best is chosen.candidates[chosen.best_index]
    assert chosen.best.n_components == 3
    for row, fitted in zip(chosen.table, chosen.candidates, strict=True):
        alone = clone(template).set_params(**row.params)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            alone.fit(X)
        assert row.value == fitted.bic(X) == alone.bic(X)
        assert row.loglik == fitted.loglik_
        assert row.n_parameters == fitted.n_parameters()
        assert row.error is None
    sound = [row.value for row in chosen.table if row.sound]
    assert chosen.table[chosen.best_index].value == min(sound)


def test_candidates_that_differ_in_covariances_share_their_clusters(monkeypatch):
    asked, clusters = [], starts._clusters

    def counted(space, weights, n_components, how, number):
        asked.append((space.tobytes(), n_components, number))
        return clusters(space, weights, n_components, how, number)

    monkeypatch.setattr(starts, "_clusters", counted)
    grid = {"n_components": [1, 2, 3], "covariance_type": ["full", "diag", "spherical"]}
    chosen = select(GaussianMixture(random_state=0, n_init=2), X, **grid)
    assert len(asked) == len(set(asked)) == 2 * 2 * 2, "K, starts and scalings"
    for row in chosen.table:
        alone = GaussianMixture(random_state=0, n_init=2, **row.params).fit(X)
        assert row.loglik == alone.loglik_
    assert len(asked) > 8, "nothing is remembered afterwards"
    asked.clear()
    select(GaussianMixture(), X, n_components=[2], covariance_type=["full", "diag"])
    assert len(asked) == 4, "seeds of their own"


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl"])
def test_criterion_decides(criterion):
    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    chosen = select(
        GaussianMixture(random_state=0), X, criterion=criterion, sample_weight=weights,
        n_components=[1, 2, 3],
    )  # fmt: skip
    assert chosen.criterion == criterion
    for row, fitted in zip(chosen.table, chosen.candidates, strict=True):
        assert row.value == getattr(fitted, criterion)(X, sample_weight=weights)


def test_labels_are_for_the_fits():
    X = load_earthquakes()[["count"]]
    labels = np.full(len(X), -1)
    labels[[5, 60]] = 0, 1
    chosen = select(PoissonHMM(random_state=0), X, labels=labels, n_components=[2, 3])
    for k, fitted in zip((2, 3), chosen.candidates, strict=True):
        alone = PoissonHMM(k, random_state=0).fit(X, labels=labels)
        assert fitted.loglik_ == alone.loglik_ != PoissonHMM(k, random_state=0).fit(X).loglik_
    with pytest.raises(ValueError, match="FactorAnalyzer takes no labels"):
        select(FactorAnalyzer(), X, labels=labels, n_components=[2])


def test_faithful():
    faithful = load_faithful().data
    chosen = select(
        GaussianMixture(random_state=0, n_init=3, tol=1e-6), faithful,
        n_components=range(1, 5), covariance_type=KINDS,
    )  # fmt: skip
    assert (chosen.best.n_components, chosen.best.covariance_type) == (3, "tied")
    np.testing.assert_allclose(chosen.best.bic(faithful), 2314.2957, atol=5e-5)
    values = {tuple(row.params.values()): row.value for row in chosen.table}
    np.testing.assert_allclose(values[2, "full"], 2322.1917, atol=5e-5)


def test_weighted_poisson():
    deaths = load_times_deaths()
    chosen = select(
        MixtureModel(families.Poisson(), random_state=0, max_iter=5000), deaths.data,
        sample_weight=deaths.weights, n_components=[1, 2],
    )  # fmt: skip
    assert chosen.best.n_components == 1 + (chosen.table[1].value < chosen.table[0].value)
    np.testing.assert_allclose(chosen.table[0].loglik, -2001.397847372, atol=1e-8)


def test_failure_is_a_named_row():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen = select(GaussianMixture(random_state=0), X[:4], n_components=[1, 9])
    assert chosen.candidates[1] is None
    assert np.isnan(chosen.table[1].value)
    assert "fewer than n_components=9" in chosen.table[1].error
    assert not chosen.table[1].sound
    assert chosen.best.n_components == 1
    assert "failed: X has n_samples = 4" in str(chosen)


def test_degenerate_candidate_does_not_win():
    rows = np.vstack([X, np.full((3, 2), 100.0)])
    chosen = select(GaussianMixture(random_state=0), rows, n_components=[1, 2, 3, 4])
    degenerate = [row for row in chosen.table if row.degenerate]
    assert degenerate
    assert min(row.value for row in degenerate) < chosen.table[chosen.best_index].value
    assert chosen.best.result_.degenerate == ()
    assert "degenerate" in str(chosen)


def test_only_degenerate_candidates():
    chosen = select(GaussianMixture(random_state=0), X[:3], n_components=[2, 3])
    assert chosen.best.result_.degenerate
    assert "degenerate <- best" in str(chosen)


def test_shown_as_text_frame_and_html():
    chosen = select(GaussianMixture(random_state=0), X, n_components=[1, 3])
    lines = str(chosen).splitlines()
    assert lines[0].split()[:2] == ["n_components", "BIC"]
    assert [line.endswith("<- best") for line in lines] == [False, False, True]
    frame = chosen.to_frame()
    assert frame["n_components"].tolist() == [1, 3]
    assert frame["value"].tolist() == [row.value for row in chosen.table]
    assert chosen._repr_html_().count("<tr>") == 3


def test_one_value_need_not_be_a_list():
    chosen = select(GaussianMixture(random_state=0), X, n_components=2, covariance_type="diag")
    assert len(chosen.table) == 1
    assert chosen.best.covariance_type == "diag"


def test_random_state_instance_is_fair_to_all():
    chosen = select(
        GaussianMixture(random_state=np.random.default_rng(0), n_init=2), X, n_components=[2, 3]
    )
    assert chosen.best.n_components == 3


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"components": [1, 2]}, ["'components'", "n_components"]),
        ({"n_components": []}, ["n_components", "no values"]),
        ({"n_components": range(5, 2)}, ["n_components", "no values"]),
        ({"criterion": "BIC", "n_components": [1]}, ["criterion", "'bic', 'aic', 'icl', 'cv'"]),
        ({"criterion": None, "n_components": [1]}, ["criterion", "'bic', 'aic', 'icl', 'cv'"]),
        ({"n_components": [100, 200]}, ["n_samples = 90", "n_components"]),
        ({"n_components": [1], "sample_weight": [1.0]}, ["sample_weight", "shape (90,)"]),
        ({"n_components": [1, 2], "covariance_type": ["foo"]}, ["covariance_type", "'foo'"]),
    ],
)
def test_wrong_requests(grid, words):
    refused(lambda: select(GaussianMixture(random_state=0), X, **grid), words)


def test_wrong_data_are_told_as_a_fit_tells_them():
    refused(lambda: select(GaussianMixture(), X * np.inf, n_components=[1, 2]), ["X", "infinity"])


@pytest.mark.parametrize("estimator", [GaussianMixture, 3, None])
def test_what_cannot_be_selected_from(estimator):
    refused(lambda: select(estimator, X, n_components=[1, 2]), ["estimator"])
