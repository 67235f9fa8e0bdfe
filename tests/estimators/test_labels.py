"""Mixtures of which some rows' components are known."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import (
    ConvergenceWarning,
    GaussianMixture,
    ImpossibleRowWarning,
    MixtureModel,
    families,
    select,
)
from tests.estimators.samples import assert_same_attributes, attributes


def sample(rng, n=300, apart=2.0):
    kind = rng.integers(2, size=n)
    return rng.normal(size=(n, 2)) + apart * kind[:, None] * [1.0, 0.3], kind


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_all_labels_known_is_a_fit_of_each_group(kind, rng):
    x, known = sample(rng)
    fit = GaussianMixture(2, covariance_type=kind).fit(x, labels=known)
    for k in (0, 1):
        np.testing.assert_allclose(fit.means_[k], x[known == k].mean(axis=0), rtol=1e-12)
        assert fit.weights_[k] == pytest.approx(np.mean(known == k))
    joint = fit.component_log_density(x)[np.arange(300), known] + np.log(fit.weights_)[known]
    assert fit.loglik_ == pytest.approx(joint.sum(), rel=1e-12)
    assert fit.n_iter_ <= 6


def test_labels_name_the_components(rng):
    """Whatever number the start gave to the cluster that a label is of."""
    x, known = sample(rng, apart=6.0)
    for swap in (False, True):
        labels = np.full(300, -1)
        labels[:10] = known[:10] ^ swap
        fit = GaussianMixture(2, random_state=0).fit(x, labels=labels)
        assert (fit.means_[1, 0] > fit.means_[0, 0]) != swap
        assert np.mean(fit.predict(x) == (known ^ swap)) > 0.98


def test_some_labels_sharpen_the_estimate(rng):
    errors = {"none": [], "half": []}
    for seed in range(8):
        x, known = sample(np.random.default_rng(seed), n=200, apart=1.5)
        labels = np.where(np.arange(200) < 100, known, -1)
        for name, given in (("none", None), ("half", labels)):
            fit = GaussianMixture(2, covariance_type="tied", random_state=0).fit(x, labels=given)
            gaps = np.abs(np.sort(fit.means_[:, 0]) - [0.0, 1.5])
            errors[name].append(gaps.mean())
    assert np.mean(errors["half"]) < 0.7 * np.mean(errors["none"])


def test_labels_go_with_weights_missing_cells_and_starts(rng):
    x, known = sample(rng)
    labels = np.where(rng.random(300) < 0.3, known, -1)
    x[rng.random(x.shape) < 0.1] = np.nan
    weights = rng.integers(0, 3, size=300).astype(float)
    repeated = np.repeat(np.arange(300), weights.astype(int))
    start = {"means_init": [[0.0, 0.0], [2.0, 0.5]], "tol": 1e-9, "max_iter": 5000}
    one = GaussianMixture(2, **start).fit(x, sample_weight=weights, labels=labels)
    other = GaussianMixture(2, **start).fit(x[repeated], labels=labels[repeated].astype(float))
    assert one.loglik_ == pytest.approx(other.loglik_, rel=1e-9)
    np.testing.assert_allclose(one.means_, other.means_, rtol=1e-6)


def test_any_family_and_select(rng):
    counts = rng.poisson([[1.0], [9.0]] * 60).astype(float)
    labels = np.full(120, -1)
    labels[:2] = [1, 0]
    fit = MixtureModel(families.Poisson(), 2, random_state=0).fit(counts, labels=labels)
    assert fit.family_params_.lambdas[1, 0] < fit.family_params_.lambdas[0, 0]
    best = select(GaussianMixture(), counts, n_components=[2, 3]).best
    assert best.n_components in (2, 3)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 1], r"labels must have one value per row, shape \(20,\), got \(2,\)"),
        ([2] * 20, "a component, 0..1, or -1 where it is not known, but labels hold 2 to 2"),
        ([-2] * 20, "labels hold -2 to -2"),
        ([0.5] * 20, "labels must be integers"),
        ([np.nan] * 20, r"labels\[0\] is NaN: write -1 where a component is not known"),
        (["a"] * 20, "labels must be integers"),
    ],
)
def test_labels_that_cannot_be(labels, sentence, rng):
    gm = GaussianMixture(2)
    before = attributes(gm)
    with pytest.raises(ValueError, match=sentence):
        gm.fit(rng.normal(size=(20, 2)), labels=labels)
    assert_same_attributes(gm, before)


def test_labels_that_contradict_the_starting_values(rng):
    x, known = sample(rng)
    labels = np.where(np.arange(300) < 20, known, -1)
    for given, sentence in (
        (
            {"weights_init": [1.0, 0.0]},
            "weight in weights_init is 0 and stays 0",
        ),
        (
            {"weights_init": [1.0, 0.0], "fixed": {"weights": [True, True]}},
            "component 1, whose weight in weights_init is 0",
        ),
        (
            {"responsibilities_init": np.tile([1.0, 0.0], (300, 1))},
            "component 1, of which responsibilities_init gives no row a share",
        ),
    ):
        fit = GaussianMixture(2, **given)
        before = attributes(fit)
        with pytest.raises(ValueError, match=sentence):
            fit.fit(x, labels=labels)
        assert_same_attributes(fit, before)


def test_a_row_that_its_component_cannot_have_produced_is_named():
    """A count above 0 cannot come from a rate that is fixed at 0."""
    rates = families.PoissonParams(np.array([[0.0], [3.0]]))
    model = MixtureModel(families.Poisson({"lambdas": [True, False]}), 2, family_init=rates)
    counts, labels = np.array([[0.0], [2.0], [4.0], [3.0]]), np.array([0, -1, 0, -1])
    with (
        pytest.warns(ConvergenceWarning, match="probability zero"),
        pytest.warns(ImpossibleRowWarning, match="row 2 .* under component 0, which labels say"),
    ):
        fit = model.fit(counts, labels=labels)
    assert fit.loglik_ == -np.inf
    assert "row 2 of those that count" in fit.result_.warnings[-1]
