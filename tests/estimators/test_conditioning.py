"""Marginals, conditionals and samples of a mixture, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from latentem import GaussianMixture
from tests.estimators.samples import KINDS, full_covariances

few = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def made(kind: str, k: int, d: int, seed: int, names=None) -> GaussianMixture:
    """A mixture with random parameters."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((k, d, d))
    matrices = factors @ factors.transpose(0, 2, 1) + 0.2 * np.eye(d)
    covariances = {
        "full": matrices,
        "tied": matrices[0],
        "diag": matrices.diagonal(0, 1, 2),
        "spherical": matrices[:, 0, 0],
    }[kind]
    weights = rng.uniform(0.2, 1.0, k)
    return GaussianMixture.from_parameters(
        weights=weights / weights.sum(),
        means=2 * rng.standard_normal((k, d)),
        covariances=covariances,
        covariance_type=kind,
        feature_names=names,
        random_state=seed,
    )


def log_density(gm, X):
    """Log density by scipy."""
    parts = [
        np.log(w) + multivariate_normal(m, c).logpdf(X).reshape(len(X))
        for w, m, c in zip(gm.weights_, gm.means_, full_covariances(gm), strict=True)
    ]
    return np.logaddexp.reduce(parts, axis=0)


splits = st.integers(2, 5).flatmap(
    lambda d: st.tuples(
        st.permutations(range(d)), st.integers(1, d - 1), st.integers(1, 3), st.integers(0, 10**6)
    )
)


@few
@given(kind=st.sampled_from(KINDS), split=splits)
def test_marginal_keeps_the_columns_in_the_order_given(kind, split):
    order, cut, k, seed = split
    gm = made(kind, k, len(order), seed)
    columns = list(order)[:cut]
    part = gm.marginal(columns)
    full = full_covariances(gm)
    np.testing.assert_array_equal(part.means_, gm.means_[:, columns])
    np.testing.assert_array_equal(full_covariances(part), full[:, columns][:, :, columns])
    np.testing.assert_array_equal(part.weights_, gm.weights_)
    assert part.covariance_type == kind
    assert part.n_features_in_ == cut


@few
@given(kind=st.sampled_from(KINDS), split=splits)
def test_joint_density_is_marginal_times_conditional(kind, split):
    order, cut, k, seed = split
    given_columns, rest = list(order)[:cut], sorted(list(order)[cut:])
    gm = made(kind, k, len(order), seed)
    x, _ = gm.sample(5, random_state=seed)
    for row in x:
        conditional = gm.condition(given_columns, row[given_columns])
        joint = gm.marginal(given_columns).score_samples(row[None, given_columns])
        joint = joint + conditional.score_samples(row[None, rest])
        np.testing.assert_allclose(joint, gm.score_samples(row[None]), rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(joint, log_density(gm, row[None]), rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(conditional.weights_.sum(), 1.0, rtol=1e-14)


@few
@given(kind=st.sampled_from(KINDS), split=splits)
def test_conditioning_one_by_one_is_conditioning_at_once(kind, split):
    order, _, k, seed = split
    d = len(order)
    gm = made(kind, k, d, seed)
    if d < 3:
        return
    values = np.random.default_rng(seed).standard_normal(d)
    at_once = gm.condition([0, 1], values[:2])
    one_by_one = gm.condition([1], values[1:2]).condition([0], values[:1])
    np.testing.assert_allclose(one_by_one.weights_, at_once.weights_, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(one_by_one.means_, at_once.means_, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(
        full_covariances(one_by_one), full_covariances(at_once), rtol=1e-7, atol=1e-8
    )


def test_conditional_of_a_grid_by_brute_force():
    gm = made("full", 3, 2, 7)
    y = np.linspace(-60, 60, 240_001)
    joint = np.exp(gm.score_samples(np.column_stack([np.full_like(y, 0.7), y])))
    joint /= np.sum(joint) * (y[1] - y[0])
    conditional = gm.condition([0], [0.7])
    np.testing.assert_allclose(np.exp(conditional.score_samples(y[:, None])), joint, atol=1e-9)


def test_names_choose_columns_and_follow_them():
    gm = made("full", 2, 3, 0, names=["a", "b", "c"])
    np.testing.assert_array_equal(gm.marginal(["c", "a"]).means_, gm.means_[:, [2, 0]])
    assert gm.marginal(["c", "a"]).feature_names_in_.tolist() == ["c", "a"]
    assert gm.condition(["b"], [0.3]).feature_names_in_.tolist() == ["a", "c"]
    np.testing.assert_array_equal(gm.marginal("b").means_, gm.means_[:, [1]])
    np.testing.assert_array_equal(gm.marginal(-1).means_, gm.means_[:, [2]])
    np.testing.assert_array_equal(gm.marginal(np.array([0, 2])).means_, gm.means_[:, [0, 2]])
    by_name = gm.condition(["c", "a"], [1.0, 2.0])
    by_place = gm.condition([0, 2], [2.0, 1.0])
    np.testing.assert_allclose(by_name.means_, by_place.means_, rtol=1e-12)


def test_one_column_and_one_value_need_no_list():
    gm = made("full", 2, 2, 3, names=["a", "b"])
    listed = gm.condition([0], [0.5])
    for column, value in ((0, 0.5), (-2, 0.5), ("a", np.float64(0.5)), (np.int64(0), [0.5])):
        np.testing.assert_array_equal(gm.condition(column, value).means_, listed.means_)
    np.testing.assert_array_equal(gm.marginal(1).means_, gm.marginal(["b"]).means_)


def test_a_mask_chooses_columns():
    gm = made("full", 2, 3, 3, names=["a", "b", "c"])
    for mask in ([True, False, True], np.array([True, False, True]), list(np.array([1, 0, 1]) > 0)):
        kept = gm.marginal(mask)
        assert list(kept.feature_names_in_) == ["a", "c"]
        np.testing.assert_array_equal(kept.means_, gm.means_[:, [0, 2]])
        rest = gm.condition(mask, [0.0, 1.0])
        np.testing.assert_array_equal(rest.means_, gm.condition([0, 2], [0.0, 1.0]).means_)


def test_conditioning_far_out_stays_finite():
    gm = made("full", 3, 2, 1)
    for value in (1e3, -1e6, 1e12):
        far = gm.condition([0], [value])
        assert np.all(np.isfinite(far.weights_))
        np.testing.assert_allclose(far.weights_.sum(), 1.0)
        assert np.all(np.isfinite(far.means_))


def test_conditioning_leaves_the_model_alone():
    gm = made("tied", 2, 3, 0)
    means, weights = gm.means_.copy(), gm.weights_.copy()
    part = gm.marginal([0, 1])
    part.means_ += 5.0
    gm.condition([0], [1.0]).weights_[:] = 0.5
    gm.marginal([0]).weights_[:] = 0.5
    np.testing.assert_array_equal(gm.means_, means)
    np.testing.assert_array_equal(gm.weights_, weights)


@pytest.mark.parametrize("kind", KINDS)
def test_sample_has_the_moments_of_the_mixture(kind):
    gm = made(kind, 3, 2, 4)
    n = 60_000
    x, components = gm.sample(n, random_state=1)
    assert x.shape == (n, 2)
    assert components.dtype == np.int64
    counts = np.bincount(components, minlength=3) / n
    np.testing.assert_allclose(counts, gm.weights_, atol=5 * 0.5 / np.sqrt(n))
    for j, covariance in enumerate(full_covariances(gm)):
        rows = x[components == j]
        errors = np.sqrt(np.diag(covariance) / len(rows))
        assert np.all(np.abs(rows.mean(axis=0) - gm.means_[j]) < 5 * errors)
        size = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        found = np.cov(rows.T, bias=True)
        assert np.all(np.abs(found - covariance) / size < 5 * np.sqrt(2 / len(rows)))


def test_sample_seeds():
    gm = made("full", 2, 2, 3)
    first, _ = gm.sample(4)
    again, _ = gm.sample(4)
    np.testing.assert_array_equal(first, again)  # the estimator's own random_state is an int
    other, _ = gm.sample(4, random_state=99)
    assert not np.array_equal(first, other)
    assert gm.sample()[0].shape == (1, 2)


def test_sample_of_weights_rounded_in_print():
    """Weights that pass the check of their sum can be drawn from."""
    gm = GaussianMixture.from_parameters(
        weights=[0.3333333333, 0.3333333333, 0.3333333333], means=[[0.0], [5.0], [9.0]],
        covariances=[[[1.0]]] * 3,
    )  # fmt: skip
    assert gm.sample(10, random_state=0)[0].shape == (10, 1)


def test_fit_of_a_sample_recovers_the_model():
    gm = GaussianMixture.from_parameters(
        weights=[0.3, 0.7], means=[[0.0, 0.0], [5.0, 2.0]],
        covariances=[[[1.0, 0.6], [0.6, 2.0]], [[2.0, -0.5], [-0.5, 1.0]]],
    )  # fmt: skip
    x, _ = gm.sample(20_000, random_state=5)
    fitted = GaussianMixture(2, random_state=0).fit(x)
    order = np.argsort(fitted.means_[:, 0])
    np.testing.assert_allclose(fitted.means_[order], gm.means_, atol=0.1)
    np.testing.assert_allclose(fitted.covariances_[order], gm.covariances_, atol=0.15)
    assert fitted.loglik_ >= gm.score(x) * len(x)
