"""Standard errors of fitted estimators, and why there may be none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from latentem import (
    EM,
    GaussianMixture,
    MixtureModel,
    NotIdentifiedWarning,
    families,
    models,
    standard_errors,
)
from latentem.datasets import load_times_deaths
from tests.estimators.samples import KINDS, blobs
from tests.estimators.test_bad_input import refused

X = blobs(400, 2, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_one_gaussian_by_the_textbook(kind):
    n, d = X.shape
    gm = GaussianMixture(1, covariance_type=kind).fit(X)
    errors = standard_errors(gm, X)
    assert errors["means"].shape == gm.means_.shape
    assert errors["covariances"].shape == gm.covariances_.shape
    spread = gm.covariances_.reshape(-1)
    if kind in ("full", "tied"):
        matrix = gm.covariances_.reshape(d, d)
        products = np.outer(np.diag(matrix), np.diag(matrix)) + matrix**2
        expected, variances = np.sqrt(products / n), np.diag(matrix)
    elif kind == "diag":
        expected, variances = spread * np.sqrt(2 / n), spread
    else:
        expected, variances = spread * np.sqrt(2 / (n * d)), np.repeat(spread, d)
    np.testing.assert_allclose(errors["means"][0], np.sqrt(variances / n), rtol=1e-4)
    np.testing.assert_allclose(np.ravel(errors["covariances"]), np.ravel(expected), rtol=1e-4)
    np.testing.assert_allclose(errors["weights"], [0.0], atol=1e-12)


def test_two_well_separated_gaussians():
    far = blobs(400, 1, 2, gap=60.0)
    gm = GaussianMixture(2, covariance_type="diag", random_state=0, tol=1e-8).fit(far)
    errors = standard_errors(gm, far)
    counts = 400 * gm.weights_
    np.testing.assert_allclose(
        errors["means"][:, 0], np.sqrt(gm.covariances_[:, 0] / counts), rtol=1e-3
    )
    np.testing.assert_allclose(
        errors["covariances"][:, 0], gm.covariances_[:, 0] * np.sqrt(2 / counts), rtol=1e-3
    )
    np.testing.assert_allclose(errors["weights"], np.sqrt(0.25 / 400), rtol=1e-3)


def test_weights_are_repetition():
    counts = np.random.default_rng(0).integers(1, 4, len(X))
    rows = np.repeat(X, counts, axis=0)
    gm = GaussianMixture(2, random_state=0, tol=1e-8).fit(X, sample_weight=counts)
    weighted, repeated = standard_errors(gm, X, sample_weight=counts), standard_errors(gm, rows)
    for name in weighted:
        np.testing.assert_allclose(weighted[name], repeated[name], rtol=1e-5)


def test_units_follow_the_columns():
    scale = np.array([1e-4, 1e6])
    gm = GaussianMixture(2, random_state=0, tol=1e-9).fit(X)
    scaled = GaussianMixture(2, random_state=0, tol=1e-9).fit(X * scale)
    errors, moved = standard_errors(gm, X), standard_errors(scaled, X * scale)
    np.testing.assert_allclose(moved["means"] / scale, errors["means"], rtol=1e-3)
    np.testing.assert_allclose(moved["weights"], errors["weights"], rtol=1e-3)


def test_far_from_zero():
    """Means of 1e8 with deviations of 1 keep their digits."""
    gm = GaussianMixture(1, covariance_type="diag").fit(X + 1e8)
    errors = standard_errors(gm, X + 1e8)
    expected = np.sqrt(gm.covariances_ / len(X))
    np.testing.assert_allclose(errors["means"], expected, rtol=1e-4)


def test_row_of_weight_zero_is_absent():
    rows = np.vstack([X, [[1e3, 1e3]]])
    gm = GaussianMixture(2, random_state=0, tol=1e-8).fit(X)
    errors = standard_errors(gm, X)
    with_absent = standard_errors(gm, rows, sample_weight=np.r_[np.ones(len(X)), 0.0])
    np.testing.assert_allclose(with_absent["means"], errors["means"], rtol=1e-6)


def test_estimator_and_result_of_the_engine_agree():
    deaths = load_times_deaths()
    model = MixtureModel(families.Poisson(), 2, tol=1e-10, random_state=0, max_iter=5000)
    model.fit(deaths.data, sample_weight=deaths.weights)
    result = EM(tol=1e-10, max_iter=5000).run(
        models.Mixture(families.Poisson(), 2), (deaths.data, deaths.weights), rng=0
    )
    one = standard_errors(model, deaths.data, deaths.weights)
    two = standard_errors(result, deaths.data, deaths.weights)
    np.testing.assert_allclose(np.sort(one["lambdas"], 0), np.sort(two["lambdas"], 0), rtol=1e-4)


def test_shown_as_a_table():
    gm = GaussianMixture(2, covariance_type="diag", random_state=0).fit(X)
    errors = standard_errors(gm, X)
    assert list(errors) == ["weights", "means", "covariances"]
    lines = str(errors).splitlines()
    assert len(lines) == 1 + 2 + 4 + 4
    assert "means[1, 0]" in str(errors)
    assert errors.covariance.shape == (10, 10)


def test_before_a_fit():
    with pytest.raises(NotFittedError, match="not fitted yet"):
        standard_errors(GaussianMixture(2), X)


def test_wrong_arguments():
    gm = GaussianMixture(2, random_state=0).fit(X)
    refused(lambda: standard_errors(gm, X, method="louis"), ["method", "'observed'", "'louis'"])
    refused(lambda: standard_errors(gm, X, lengths=[3]), ["lengths"])
    refused(lambda: standard_errors(3, X), ["fitted", "int"])
    refused(lambda: standard_errors(gm, X[:, :1]), ["X has 1 features"])
    refused(lambda: standard_errors(gm, X * np.nan), ["X", "every cell is missing"])
    refused(lambda: standard_errors(gm, X, sample_weight=[1.0]), ["sample_weight", "shape (400,)"])


def test_on_the_boundary():
    counts = np.repeat([[0.0], [5.0], [6.0]], 4, axis=0)
    model = MixtureModel(families.Poisson(), 2, random_state=0, tol=1e-8)
    start = families.poisson.PoissonParams(np.array([[0.0], [5.0]]))
    model.set_params(weights_init=[0.4, 0.6], family_init=start).fit(counts)
    errors = standard_errors(model, counts)
    assert errors["lambdas"][0, 0] == 0.0
    assert errors.notes == ("on the boundary, so taken as known with error 0: lambdas[0, 0]",)
    # The other rate and the weight as where the rate of zeros is declared known.
    assert errors["lambdas"][1, 0] == pytest.approx(np.sqrt(5.5 / 8), rel=0.05)
    assert errors["weights"][0] == pytest.approx(np.sqrt(1 / 3 * 2 / 3 / 12), rel=0.05)
    assert "on its boundary, held" in str(errors)


def test_of_an_empty_component():
    gm = GaussianMixture(2, random_state=0, weights_init=[0.0, 1.0]).fit(X)
    with pytest.warns(NotIdentifiedWarning, match=r"do not settle means\[0, 0\]"):
        errors = standard_errors(gm, X)
    assert np.all(np.isinf(errors["means"][0]))
    assert np.all(np.isinf(errors["covariances"][0]))
    alone = standard_errors(GaussianMixture(1).fit(X), X)
    np.testing.assert_allclose(errors["means"][1], alone["means"][0], rtol=1e-4)
    np.testing.assert_array_equal(errors["weights"], 0.0)
    lower, upper = errors.confidence_interval()["covariances"]
    assert lower[0, 0, 0] == 0.0
    assert upper[0, 0, 0] == np.inf


def test_of_components_that_coincide():
    counts = np.repeat([0.0, 1.0, 2.0, 3.0], [30, 40, 20, 10])[:, None]
    model = MixtureModel(families.Poisson(), 3, random_state=0, tol=1e-10, max_iter=20_000)
    with pytest.warns(NotIdentifiedWarning, match="components .* coincide"):
        model.fit(counts)
    refused(
        lambda: standard_errors(model, counts),
        ["not positive definite", "do not identify", "fewer components"],
    )


@pytest.mark.filterwarnings("ignore::latentem.DegenerateComponentWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["full", "tied"])
def test_of_a_degenerate_fit(kind):
    rows = np.column_stack([X, X.sum(axis=1)])
    gm = GaussianMixture(2, covariance_type=kind, random_state=0).fit(rows)
    assert gm.result_.degenerate
    refused(
        lambda: standard_errors(gm, rows),
        ["degenerate fit has no standard errors", "column 2 is collinear with column 0"],
    )


@pytest.mark.filterwarnings("ignore:column 1 is constant")
@pytest.mark.parametrize("kind", ["full", "tied", "diag"])
@pytest.mark.parametrize("k", [1, 2])
def test_of_a_constant_column(kind, k):
    rows = np.column_stack([X[:, 0], np.full(len(X), 7.0)])
    gm = GaussianMixture(k, covariance_type=kind, random_state=0, tol=1e-8).fit(rows)
    refused(lambda: standard_errors(gm, rows), ["no standard errors", "column 1 is constant"])


def test_the_weight_of_one_component_is_known():
    assert standard_errors(GaussianMixture(1).fit(X), X)["weights"].tolist() == [0.0]


def test_far_from_the_maximum():
    gm = GaussianMixture(2, random_state=0).fit(X)
    refused(lambda: standard_errors(gm, X + 100.0), ["maximum"])


def test_near_but_not_at_the_maximum():
    """The score at parameters of other rows is not zero: no standard errors of theirs."""
    gm = GaussianMixture(1).fit(X[:200])
    gm.means_ = gm.means_ + 1.0
    refused(lambda: standard_errors(gm, X), ["maximum"])
