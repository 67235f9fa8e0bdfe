"""Samples at the edge: the answer is finite, or an error says why there is none."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from latentem import (
    ConvergenceWarning,
    DegenerateComponentWarning,
    GaussianMixture,
    MixtureModel,
    families,
)
from tests.estimators.samples import KINDS, blobs, full_covariances

X = blobs()
RNG = np.random.default_rng(0)

# Samples whose likelihood is bounded: a sound fit must come out.
SOUND = {
    "columns_1e6_apart": X * [1.0, 1e6],
    "columns_1e12_apart": X * [1e-6, 1e6],
    "magnitude_1e100": X * 1e100,
    "magnitude_1e150": X * 1e150,
    "magnitude_1e-140": X * 1e-140,
    "offset_1e6": X + 1e6,
    "offset_1e10": X + 1e10,
    "integers": (10 * X).astype(int),
    "duplicated_rows": np.repeat(X, 5, axis=0),
    "sorted_rows": np.sort(X, axis=0),
    "one_far_row": np.vstack([X, X[:20] + 1e7]),
}
# Samples on which some component can collapse, with the number of components.
BOUNDLESS = {
    "as_many_components_as_rows": (X[:3], 3),
    "more_columns_than_rows": (RNG.standard_normal((6, 10)), 2),
    "two_distinct_rows": (np.repeat([[0.0, 0.0], [1.0, 1.0]], 5, axis=0), 2),
    "zeros_and_ones": ((X > 5).astype(float), 2),
    "few_rows_repeated": (np.repeat(X[:6], 10, axis=0), 2),
    "many_components": (RNG.standard_normal((200, 3)), 50),
}


def finite(gm):
    values = (gm.weights_, gm.means_, gm.covariances_, gm.loglik_, gm.lower_bound_)
    return all(np.all(np.isfinite(value)) for value in values)


def sound(gm):
    """Finite, weights on the simplex, covariances that can be inverted."""
    np.testing.assert_allclose(gm.weights_.sum(), 1.0)
    assert np.all(gm.weights_ >= 0)
    full = full_covariances(gm)
    np.testing.assert_array_equal(full, np.swapaxes(full, 1, 2))
    np.linalg.cholesky(full)
    return finite(gm) and np.all(np.isfinite(gm.precisions_))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SOUND)
def test_sound_samples(name, kind):
    rows = SOUND[name]
    gm = GaussianMixture(2, covariance_type=kind, random_state=0).fit(rows)
    assert gm.converged_
    assert gm.result_.degenerate == ()
    assert sound(gm)
    np.testing.assert_allclose(gm.predict_proba(rows).sum(axis=1), 1.0)
    np.testing.assert_allclose(gm.loglik_, gm.score_samples(rows).sum(), rtol=1e-8)


def quiet_fit(gm, rows, **fit):
    """A fit that may warn of degeneracy and non-convergence, of nothing else."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gm.fit(rows, **fit)
    others = {w.category for w in caught} - {ConvergenceWarning, DegenerateComponentWarning}
    assert others <= {UserWarning}, others  # a plain sentence, say of a constant column
    return [str(w.message) for w in caught if w.category is DegenerateComponentWarning]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BOUNDLESS)
def test_samples_on_which_the_likelihood_has_no_bound(name, kind):
    rows, k = BOUNDLESS[name]
    gm = GaussianMixture(k, covariance_type=kind, random_state=0)
    told = quiet_fit(gm, rows)
    assert sound(gm)
    assert tuple(text.partition(" (Guide: ")[0] for text in told) == gm.result_.degenerate
    np.testing.assert_allclose(gm.predict_proba(rows).sum(axis=1), 1.0)
    assert not np.any(np.isnan(gm.score_samples(rows)))


@pytest.mark.parametrize("kind", KINDS)
def test_component_on_one_row_is_reported(kind):
    rows = np.vstack([X, [[1e3, 1e3]]])
    means = [X.mean(axis=0), [1e3, 1e3]]
    gm = GaussianMixture(2, covariance_type=kind, means_init=means, random_state=0)
    told = quiet_fit(gm, rows)
    if kind == "tied":  # one covariance for all rows does not collapse
        assert told == []
    else:
        assert len(told) == 1
        assert "component 1 (weight 1)" in told[0]
        assert "Use fewer components" in told[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 2])
def test_collinear_columns(kind, k):
    rows = np.column_stack([X, X[:, 0] - 2 * X[:, 1]])
    gm = GaussianMixture(k, covariance_type=kind, random_state=0)
    told = quiet_fit(gm, rows)
    assert sound(gm)
    if kind in ("full", "tied"):
        assert gm.converged_
        assert len(told) == 1
        assert "column 2 is collinear with column 0 and column 1" in told[0]
    else:
        assert told == []


def test_sound_start_beats_a_degenerate_one_of_higher_likelihood():
    rows = np.vstack([blobs(40), np.full((2, 2), 40.0), np.full((2, 2), -40.0)])
    gm = GaussianMixture(2, init_params="random_from_data", n_init=20, random_state=1)
    quiet_fit(gm, rows)
    starts = gm.result_.starts
    bad = [s.loglik for s in starts if s.degenerate]
    assert bad, "this sample is chosen so that some starts collapse"
    assert any(not s.degenerate for s in starts)
    assert max(bad) > gm.loglik_
    assert gm.result_.degenerate == ()


@pytest.mark.parametrize("kind", KINDS)
def test_component_that_starts_far_away_is_reported_empty(kind):
    gm = GaussianMixture(
        2, covariance_type=kind, random_state=0, means_init=[X.mean(axis=0), [1e6, 1e6]]
    ).fit(X)
    assert sound(gm)
    assert any("component 1 is empty" in text for text in gm.result_.notes)
    np.testing.assert_array_equal(gm.means_[1], [1e6, 1e6])
    one = GaussianMixture(1, covariance_type=kind).fit(X)
    np.testing.assert_allclose(gm.loglik_, one.loglik_, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_component_that_starts_with_weight_zero_stays_empty(kind):
    gm = GaussianMixture(2, covariance_type=kind, random_state=0, weights_init=[0.0, 1.0]).fit(X)
    assert gm.weights_.tolist() == [0.0, 1.0]
    assert any("component 0 is empty" in text for text in gm.result_.notes)
    np.testing.assert_allclose(gm.predict_proba(X)[:, 1], 1.0)


def test_equal_means_at_the_start_are_told_apart_by_covariances_only_if_given():
    gm = GaussianMixture(2, means_init=np.zeros((2, 2)), random_state=0).fit(X)
    assert sound(gm)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e-300, 1e-12, 1e12, 1e300])
def test_weights_of_any_size(kind, size):
    gm = GaussianMixture(2, covariance_type=kind, random_state=0, tol=0, max_iter=10)
    gm.set_params(accelerate=None).fit(X, sample_weight=np.full(len(X), size))
    plain = GaussianMixture(2, covariance_type=kind, random_state=0, tol=0, max_iter=10)
    plain.set_params(accelerate=None).fit(X)
    np.testing.assert_allclose(gm.means_, plain.means_, rtol=1e-6)
    np.testing.assert_allclose(gm.loglik_ / size, plain.loglik_, rtol=1e-8)
    np.testing.assert_allclose(
        gm.bic(X, sample_weight=np.full(len(X), size)),
        -2 * gm.loglik_ + gm.n_parameters() * np.log(len(X) * size),
        rtol=1e-8,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_tiny_weight_hardly_count(kind):
    rows = np.vstack([X, X + 3.0])
    weights = np.r_[np.ones(len(X)), np.full(len(X), 1e-12)]
    settings = {"covariance_type": kind, "means_init": [X[::2].mean(0), X[1::2].mean(0)]}
    gm = GaussianMixture(2, random_state=0, **settings).fit(rows, sample_weight=weights)
    plain = GaussianMixture(2, random_state=0, **settings).fit(X)
    np.testing.assert_allclose(gm.means_, plain.means_, atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e-147, 1e-160, 1e-170, 1e-300, 5e-324])
def test_a_column_too_small_to_square_is_refused(kind, size):
    rows = np.column_stack([X[:, 0], size * np.round(X[:, 1])])
    for model in (
        GaussianMixture(2, covariance_type=kind),
        MixtureModel(families.Gaussian(kind), 2),
    ):
        with pytest.raises(ValueError, match=r"only .* in column 1, .* underflows: rescale"):
            model.fit(rows)
        assert not hasattr(model, "weights_")


def test_a_column_that_varies_only_after_the_first_rows_is_refused_too():
    rows = np.column_stack([np.tile(X[:, 0], 3), np.r_[np.zeros(100), np.full(80, 1e-150)]])
    with pytest.raises(ValueError, match="in column 1"):
        GaussianMixture(2).fit(rows)


@pytest.mark.filterwarnings("ignore:column 1 is constant")
def test_tiny_numbers_that_do_not_vary_and_tiny_new_rows_are_no_trouble():
    rows = np.column_stack([X[:, 0], np.full(len(X), 1e-200)])
    gm = GaussianMixture(2, random_state=0).fit(rows)
    assert "column 1 is constant" in gm.result_.notes[0]
    one = GaussianMixture(2, random_state=0).fit(X)
    new = np.array([[0.0, 0.0], [1e-200, 0.0]])
    np.testing.assert_array_equal(*one.score_samples(new).reshape(2, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_means_init_at_the_edge_of_float64(kind):
    means = [[0.0, 0.0], [1e200, 1e6]]
    gm = GaussianMixture(2, covariance_type=kind, random_state=0, means_init=means)
    told = ""
    try:
        quiet_fit(gm, X)
    except (ValueError, ArithmeticError) as error:
        told = str(error)
    assert "another start" in told or sound(gm)


def test_poisson_of_large_and_of_zero_counts():
    rows = np.r_[np.zeros(20), np.full(20, 1e9), np.full(20, 1e9 + 5)][:, None]
    model = MixtureModel(families.Poisson(), 2, random_state=0).fit(rows)
    lambdas = np.sort(model.family_params_.lambdas.ravel())
    assert lambdas[0] < 1e-3
    np.testing.assert_allclose(lambdas[1], 1e9 + 2.5)
    assert np.isfinite(model.loglik_)
    np.testing.assert_array_equal(model.predict(rows)[:20], model.predict(rows)[0])


def test_poisson_of_zeros_only_in_a_column():
    rows = np.column_stack([np.r_[np.zeros(5), np.full(5, 9.0)], np.zeros(10)])
    model = MixtureModel(families.Poisson(), 2, random_state=0).fit(rows)
    assert np.isfinite(model.loglik_)
    assert np.all(np.isfinite(model.predict_proba(rows)))


def test_row_impossible_under_every_component_gets_equal_shares():
    rows = np.r_[np.zeros(5), np.zeros(5)][:, None]
    model = MixtureModel(families.Poisson(), 1).fit(rows)
    new = np.array([[0.0], [3.0]])
    assert model.score_samples(new)[0] == 0.0
    assert model.score_samples(new)[1] == -np.inf
    assert model.predict_proba(new).tolist() == [[1.0], [1.0]]
    assert model.score(new) == -np.inf
    assert model.score(new, sample_weight=[1.0, 0.0]) == 0.0
    assert model.bic(new, sample_weight=[1.0, 0.0]) == 0.0
