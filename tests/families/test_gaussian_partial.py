"""Gaussian rows with single cells missing, and rows whose squares overflow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from latentem import EM, GaussianMixture, MixtureModel, standard_errors
from latentem.engine.moments import Moments
from latentem.families import Gaussian, GaussianParams
from latentem.families import covariance as cov
from latentem.families.partial import Partial
from latentem.models import Mixture
from latentem.testing import check_family
from tests.estimators.samples import KINDS, blobs

CELLWISE = ("diag", "spherical")


def with_gaps(rng, n=80, d=3, share=0.25):
    x = np.vstack([rng.normal(size=(n, d)), 4 + rng.normal(size=(n, d)) * np.arange(1, d + 1)])
    x[rng.random(x.shape) < share] = np.nan
    x[5] = np.nan
    return x


def some_params(kind, rng, k=2, d=3):
    variances = rng.gamma(3.0, size=(k, d))
    means = rng.normal(scale=3.0, size=(k, d))
    return GaussianParams(means, variances if kind == "diag" else variances[:, 0])


def by_column(params, x):
    """Log densities of single cells (K, n, d), 0 where missing."""
    variances = np.broadcast_to(params.covariances.reshape(len(params.means), -1),
                                params.means.shape)  # fmt: skip
    each = norm.logpdf(x, params.means[:, None], np.sqrt(variances)[:, None])
    return np.where(np.isnan(x), 0.0, each)


@pytest.mark.parametrize("kind", CELLWISE)
@pytest.mark.parametrize("fixed", [(), ("means",), ("covariances",)])
def test_check_family(kind, fixed, rng):
    """Additive over blocks, Fisher's identity, M-step, weight 0: with cells missing too."""
    check_family(Gaussian(kind, fixed=fixed), with_gaps(rng), n_simulated=0)


@pytest.mark.parametrize("kind", CELLWISE)
def test_check_family_where_only_some_blocks_have_gaps(kind, rng):
    x = with_gaps(rng, share=0.0)
    x[5] = 0.5
    x[3, 1] = x[4, 0] = np.nan
    check_family(Gaussian(kind), x * [1e-4, 1.0, 1e3] + [5.0, -4e4, 0.0], n_simulated=0)


@pytest.mark.nojit
@pytest.mark.parametrize("kind", CELLWISE)
def test_density_statistics_and_q_by_column(kind, rng):
    x, params, family = with_gaps(rng), some_params(kind, rng), Gaussian(kind)
    prepared, encoded = family.prepare(params), family.encode(x)
    cells = by_column(params, x)
    density = family.log_density(prepared, encoded)
    np.testing.assert_allclose(density, cells.sum(axis=2), rtol=1e-11, atol=1e-11)
    assert density[:, 5].tolist() == [0.0, 0.0]

    weights = rng.dirichlet(np.ones(2), size=len(x)).T
    found = family.statistics(prepared, encoded, weights)
    for k in range(2):
        scatters = []
        for j in range(3):
            seen = ~np.isnan(x[:, j])
            w, column = weights[k, seen], x[seen, j]
            mean = np.average(column, weights=w)
            scatters.append(w @ (column - mean) ** 2)
            assert found.weight[k, j] == pytest.approx(w.sum(), rel=1e-13)
            assert found.mean[k, j] == pytest.approx(mean, rel=1e-12)
        expected = scatters if kind == "diag" else np.mean(scatters)
        np.testing.assert_allclose(found.scatter[k], expected, rtol=1e-11)

    q = family.expected_loglik(params, found)
    assert q == pytest.approx((weights[:, :, None] * cells).sum(), rel=1e-11)
    new = family.maximize(found, params)
    per_cell = found.weight if kind == "diag" else found.weight.sum(axis=1) / 3
    np.testing.assert_allclose(new.means, found.mean, rtol=1e-13)
    np.testing.assert_allclose(new.covariances, found.scatter / per_cell, rtol=1e-13)


@pytest.mark.parametrize("kind", CELLWISE)
def test_complete_rows_are_as_they_were(kind, rng):
    """A block with one gap, in a row of weight 0, gives the moments of the complete rows."""
    x, params, family = rng.normal(3, 2, size=(60, 3)), some_params(kind, rng), Gaussian(kind)
    gap = np.vstack([x, [[1.0, np.nan, 2.0]]])
    weights = rng.dirichlet(np.ones(2), size=61).T
    weights[:, -1] = 0.0
    prepared = family.prepare(params)
    assert family.encode(x) is x
    plain = family.statistics(prepared, x, weights[:, :-1].copy())
    other = family.statistics(prepared, family.encode(gap), weights)
    np.testing.assert_allclose(other.mean, plain.mean, rtol=1e-12)
    np.testing.assert_allclose(other.scatter, plain.scatter, rtol=1e-11)
    np.testing.assert_allclose(
        family.log_density(prepared, family.encode(gap))[:, :-1],
        family.log_density(prepared, x),
        rtol=1e-11,
        atol=1e-11,
    )


@pytest.mark.parametrize("kind", CELLWISE)
def test_moments_of_blocks_with_and_without_gaps_merge(kind, rng):
    x, params, family = rng.normal(3, 2, size=(90, 3)), some_params(kind, rng), Gaussian(kind)
    x[30:60][rng.random((30, 3)) < 0.5] = np.nan
    x[40:50, 1] = np.nan
    weights, prepared = rng.dirichlet(np.ones(2), size=90).T, family.prepare(params)
    cuts = [slice(0, 30), slice(30, 40), slice(40, 50), slice(50, 60), slice(60, 90)]
    parts = [family.statistics(prepared, family.encode(x[c]), weights[:, c].copy()) for c in cuts]
    assert [part.weight.ndim for part in parts] == [1, 2, 2, 2, 1]
    whole = family.statistics(prepared, family.encode(x), weights)
    forward, backward = parts[0], parts[-1]
    for part in parts[1:]:
        forward = forward.merge(part)
    for part in parts[-2::-1]:
        backward = part.merge(backward)
    for merged in (forward, backward):
        np.testing.assert_allclose(merged.weight, whole.weight, rtol=1e-13)
        np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12)
        np.testing.assert_allclose(merged.scatter, whole.scatter, rtol=1e-11)


@pytest.mark.parametrize("kind", CELLWISE)
def test_variances_with_gaps_far_from_the_origin(kind, rng):
    x = np.vstack([rng.normal(size=(400, 2)), 1e8 + rng.normal(size=(400, 2))])
    x[rng.random(x.shape) < 0.3] = np.nan
    x = x[~np.isnan(x).all(axis=1)]
    near = np.nanmean(x, axis=1) < 1e7
    result = EM(n_jobs=1, block_size=100).run(Mixture(Gaussian(kind), 2), x, rng=0)
    order = np.argsort(result.params.family.means[:, 0])
    for k, rows in zip(order, (x[near], x[~near] - 1e8), strict=True):
        exact = np.nanvar(rows, axis=0)
        if kind == "spherical":
            counts = (~np.isnan(rows)).sum(axis=0)
            exact = np.average(exact, weights=counts)
        np.testing.assert_allclose(result.params.family.covariances[k], exact, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", CELLWISE)
def test_one_component_is_the_estimate_of_each_column(kind, rng):
    x = with_gaps(rng)
    x = np.delete(x, 5, axis=0)
    model = MixtureModel(Gaussian(kind), 1).fit(x)
    means, covariances = model.family_params_
    np.testing.assert_allclose(means[0], np.nanmean(x, axis=0), rtol=1e-12)
    counts = (~np.isnan(x)).sum(axis=0)
    variances = np.nanvar(x, axis=0)
    if kind == "spherical":
        variances = np.average(variances, weights=counts)
    np.testing.assert_allclose(covariances[0], variances, rtol=1e-11)
    errors = standard_errors(model, x)["means"][0]
    np.testing.assert_allclose(errors, np.sqrt(variances / counts), rtol=1e-4)


@pytest.mark.parametrize("kind", CELLWISE)
def test_a_mixture_finds_its_clusters_through_the_gaps(kind, rng):
    x = np.vstack([rng.normal(size=(300, 4)), 3 + rng.normal(size=(200, 4))])
    truth = np.repeat([0, 1], [300, 200])
    x[rng.random(x.shape) < 0.4] = np.nan
    seen = ~np.isnan(x).all(axis=1)
    model = MixtureModel(Gaussian(kind), 2, random_state=0).fit(x[seen])
    found = model.predict(x[seen])
    assert max(np.mean(found == truth[seen]), np.mean(found != truth[seen])) > 0.95
    assert model.result_.degenerate == ()
    np.testing.assert_allclose(model.score_samples(x[seen]).sum(), model.loglik_, rtol=1e-10)


def test_a_column_that_a_component_does_not_see_keeps_its_values():
    x = np.array([[1.0, np.nan], [3.0, np.nan], [9.0, 4.0], [9.5, 6.0]])
    params = GaussianParams(np.array([[1.0, 7.0], [9.0, 5.0]]), np.array([[1.0, 0.3], [1.0, 1.0]]))
    weights = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    family = Gaussian("diag")
    statistics = family.statistics(family.prepare(params), family.encode(x), weights)
    new = family.maximize(statistics, params)
    assert new.means.tolist() == [[2.0, 7.0], [9.25, 5.0]]
    assert new.covariances.tolist() == [[1.0, 0.3], [0.0625, 1.0]]
    assert family.diagnose(new, statistics).degenerate == ()


def test_a_component_that_sees_a_single_cell_of_a_column_is_degenerate(rng):
    x = with_gaps(rng, share=0.0)
    x[:79, 2] = np.nan
    x[5] = [0.1, 0.2, np.nan]
    weights = np.repeat(np.eye(2), 80, axis=1)
    family = Gaussian("diag")
    start = family.initialize(family.encode(x), weights, rng)
    statistics = family.statistics(family.prepare(start), family.encode(x), weights)
    new = family.maximize(statistics, start)
    assert np.isfinite(new.covariances).all()
    assert new.covariances[0, 2] == pytest.approx(cov.resolution(statistics)[0, 2])
    assert "component 0 (weight 80)" in family.diagnose(new, statistics).degenerate[0]


def test_points_are_finite_and_rows_without_a_cell_have_the_means(rng):
    x = with_gaps(rng)
    points = Gaussian("diag").points(Gaussian("diag").encode(x))
    np.testing.assert_array_equal(points[~np.isnan(x)], x[~np.isnan(x)])
    np.testing.assert_allclose(points[5], np.nanmean(x, axis=0), rtol=1e-13)


def test_moments_of_unlike_weights_are_scaled_and_moved():
    weight = np.array([[1.0, 3.0]])
    moments = Moments(weight, np.array([[1.0, 2.0]]), np.array([[4.0, 6.0]]), "diag")
    assert moments.scaled(2.0).weight.tolist() == [[2.0, 6.0]]
    assert moments.about(np.zeros((1, 2))).tolist() == [[5.0, 18.0]]
    sphere = Moments(weight, np.array([[1.0, 2.0]]), np.array([5.0]), "spherical")
    assert sphere.about(np.zeros((1, 2))).tolist() == [11.5]


# Rows whose squares overflow


FAR = np.array(
    [[1e160, 0.0], [1e300, 1e300], [-1e308, 1e308], [1.7e308, 0.0], [1e300, -1e300], [0.5, 0.5]]
)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_too_far_to_square_have_density_zero_and_are_not_nan(kind):
    gm = GaussianMixture(2, covariance_type=kind, random_state=0).fit(blobs(200))
    scores = gm.score_samples(FAR)
    assert np.isneginf(scores[:5]).all()
    np.testing.assert_allclose(scores[5], gm.score_samples(FAR[5:])[0], rtol=1e-10)
    assert np.isneginf(gm.component_log_density(FAR)[:5]).all()
    np.testing.assert_array_equal(gm.predict_proba(FAR)[:5], 0.5)


@pytest.mark.parametrize("kind", CELLWISE)
def test_missing_cells_beside_far_ones(kind):
    model = MixtureModel(Gaussian(kind), 2, random_state=0).fit(blobs(200))
    rows = np.array([[1e300, np.nan], [np.nan, 0.5], [np.nan, np.nan], [-1.7e308, np.nan]])
    scores = model.score_samples(rows)
    assert np.isneginf(scores[[0, 3]]).all()
    assert np.isfinite(scores[[1, 2]]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_far_but_finite_densities_keep_their_digits(kind):
    gm = GaussianMixture(2, covariance_type=kind, random_state=0).fit(blobs(200) * 1e120)
    rows = blobs(20, seed=3) * 1e120
    plain = GaussianMixture.from_parameters(
        weights=gm.weights_,
        means=gm.means_ / 1e120,
        covariances=gm.covariances_ / 1e240,
        covariance_type=kind,
    )
    assert isinstance(Gaussian(kind).encode(rows), Partial)
    np.testing.assert_allclose(
        gm.score_samples(rows) + 2 * 120 * np.log(10),
        plain.score_samples(rows / 1e120),
        rtol=1e-9,
        atol=1e-9,
    )


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_precisions_that_overflow_with_a_square_give_no_nan(kind):
    one = {"full": 1e-300 * np.eye(2), "diag": np.full(2, 1e-300), "spherical": 1e-300}[kind]
    params = GaussianParams(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([one, one]))
    family = Gaussian(kind)
    with np.errstate(over="ignore"):
        found = family.log_density(family.prepare(params), np.array([[0.0, 0.0], [1e10, -1e10]]))
    assert not np.isnan(found).any()
    assert found[0, 0] > 600
    assert np.isneginf(found[:, 1]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_mean_that_is_nan_is_not_taken_for_a_far_row(kind):
    one = {"full": np.eye(2)[None], "tied": np.eye(2), "diag": np.ones((1, 2)),
           "spherical": np.ones(1)}[kind]  # fmt: skip
    family = Gaussian(kind)
    with np.errstate(all="ignore"):
        prepared = family.prepare(GaussianParams(np.array([[np.nan, 0.0]]), one))
        assert np.isnan(family.log_density(prepared, family.encode(FAR))).any()
