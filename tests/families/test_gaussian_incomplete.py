"""Gaussian rows with single cells missing under full and tied covariances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from latentem import EM, GaussianMixture, models, standard_errors
from latentem.families import Gaussian, GaussianParams
from latentem.families.incomplete import Incomplete
from latentem.models import Mixture
from latentem.testing import check_family

CORRELATED = ("full", "tied")


def with_gaps(rng, n=60, d=3, share=0.25, unit=1.0, centre=0.0):
    """Two clusters of correlated columns, some cells missing, row 5 not seen at all."""
    slope = rng.normal(size=(2, d, d)) + np.eye(d)
    x = np.vstack([rng.normal(size=(n, d)) @ slope[0], 4 + rng.normal(size=(n, d)) @ slope[1]])
    x[rng.random(x.shape) < share] = np.nan
    x[5] = np.nan
    return centre + unit * x


def some_params(kind, rng, k=2, d=3):
    root = rng.normal(size=(k, d, d))
    covariances = root @ root.transpose(0, 2, 1) + 0.3 * np.eye(d)
    return GaussianParams(
        rng.normal(scale=2.0, size=(k, d)), covariances if kind == "full" else covariances[0]
    )


def by_hand(params, x):
    """Log densities (K, n), completed rows (K, n, d) and conditional covariances (K, n, d, d)."""
    (k, d), n = params.means.shape, len(x)
    density, filled, spread = np.zeros((k, n)), np.empty((k, n, d)), np.zeros((k, n, d, d))
    covariances = np.broadcast_to(params.covariances, (k, d, d))
    for c, (mean, covariance) in enumerate(zip(params.means, covariances, strict=True)):
        for i, row in enumerate(x):
            o, m = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
            filled[c, i] = row
            if len(o):
                inner = covariance[np.ix_(o, o)]
                density[c, i] = multivariate_normal.logpdf(row[o], mean[o], inner)
                slopes = np.linalg.solve(inner, covariance[np.ix_(o, m)]).T
                filled[c, i, m] = mean[m] + slopes @ (row[o] - mean[o])
                spread[c, i][np.ix_(m, m)] = (
                    covariance[np.ix_(m, m)] - slopes @ covariance[np.ix_(o, m)]
                )
    return density, filled, spread


@pytest.mark.parametrize("kind", CORRELATED)
@pytest.mark.parametrize("fixed", [(), ("means",), ("covariances",)])
def test_check_family(kind, fixed, rng):
    """Additive over blocks, Fisher's identity, M-step, weight 0: with cells missing too."""
    check_family(Gaussian(kind, fixed=fixed), with_gaps(rng), n_simulated=0)


@pytest.mark.parametrize("kind", CORRELATED)
def test_check_family_where_only_some_blocks_have_gaps(kind, rng):
    x = with_gaps(rng, share=0.0)
    x[5] = 0.5
    x[3, 1] = x[4, 0] = np.nan
    check_family(Gaussian(kind), x * [1e-4, 1.0, 1e3] + [5.0, -4e4, 0.0], n_simulated=0)


@pytest.mark.nojit
@pytest.mark.parametrize("kind", CORRELATED)
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_densities_and_moments_by_hand(kind, share, rng):
    """Pattern by pattern from whichever side is smaller; a row not seen counts for nothing."""
    x, params, family = with_gaps(rng, share=share), some_params(kind, rng), Gaussian(kind)
    prepared, encoded = family.prepare(params), family.encode(x)
    assert isinstance(encoded, Incomplete)
    density, filled, spread = by_hand(params, x)
    found, shared = family.evaluate(prepared, encoded)
    np.testing.assert_allclose(found, density, rtol=1e-10, atol=1e-10)
    blank = np.isnan(x).all(axis=1)
    assert blank[5]
    assert not found[:, blank].any()

    weights = rng.dirichlet(np.ones(2), size=len(x)).T.copy()
    given = weights.copy()
    counted = np.where(blank, 0.0, weights)
    moments = family.statistics(prepared, encoded, weights, shared)
    assert np.array_equal(weights, given)
    np.testing.assert_allclose(moments.weight, counted.sum(axis=1), rtol=1e-13)
    scatters = []
    for k in range(2):
        w = counted[k]
        rows = np.where(blank[:, None], 0.0, filled[k])
        mean = w @ rows / w.sum()
        y = (rows - mean) * (w > 0)[:, None]
        np.testing.assert_allclose(moments.mean[k], mean, rtol=1e-11)
        scatters.append((w[:, None] * y).T @ y + np.einsum("n,nab->ab", w, spread[k]))
    expected = scatters if kind == "full" else np.sum(scatters, axis=0)
    np.testing.assert_allclose(moments.scatter, expected, rtol=1e-9, atol=1e-10)
    again = family.statistics(prepared, encoded, weights)
    np.testing.assert_allclose(again.scatter, moments.scatter, rtol=1e-13)


@pytest.mark.parametrize("kind", CORRELATED)
def test_complete_rows_are_as_they_were(kind, rng):
    """A block with one gap, in a row of weight 0, gives the moments of the complete rows."""
    x, params, family = rng.normal(3, 2, size=(60, 3)), some_params(kind, rng), Gaussian(kind)
    gap = np.vstack([x, [[1.0, np.nan, 2.0]]])
    weights = rng.dirichlet(np.ones(2), size=61).T
    weights[:, -1] = 0.0
    prepared = family.prepare(params)
    plain = family.statistics(prepared, x, weights[:, :-1].copy())
    other = family.statistics(prepared, family.encode(gap), weights)
    np.testing.assert_allclose(other.mean, plain.mean, rtol=1e-12)
    np.testing.assert_allclose(other.scatter, plain.scatter, rtol=1e-11)
    density = family.log_density(prepared, family.encode(gap))
    assert np.array_equal(density[:, :-1], family.log_density(prepared, x))


@pytest.mark.parametrize("kind", CORRELATED)
@pytest.mark.parametrize("place", [1e3, 1e7])
def test_means_far_from_the_rows(kind, place, rng):
    """The shift of a mean is not subtracted where that would lose the scatter."""
    x, params, family = with_gaps(rng), some_params(kind, rng), Gaussian(kind)
    far = GaussianParams(params.means + place, params.covariances)
    weights = np.ascontiguousarray(rng.dirichlet(np.ones(2), size=len(x)).T)
    encoded = family.encode(x + place)
    moments = family.statistics(family.prepare(far), encoded, weights)
    plain = family.statistics(family.prepare(params), family.encode(x), weights)
    np.testing.assert_allclose(moments.mean - place, plain.mean, atol=3e-8)
    np.testing.assert_allclose(moments.scatter, plain.scatter, rtol=1e-7, atol=1e-6)
    family.statistics(family.prepare(params), encoded, weights)


@pytest.mark.parametrize("kind", CORRELATED)
def test_nearly_collinear_columns(kind, rng):
    """Products with the precision would lose the digits that the whitener keeps."""
    root = rng.normal(size=(4, 4))
    root[3] = root[0] + root[1] + 1e-4 * root[3]
    covariance = root @ root.T
    params = GaussianParams(np.zeros((1, 4)), covariance[None] if kind == "full" else covariance)
    x = rng.normal(size=(40, 4)) @ root.T
    x[rng.random(x.shape) < 0.3] = np.nan
    family = Gaussian(kind)
    prepared = family.prepare(params)
    assert family._components(prepared)[0].exact
    density, filled, _ = by_hand(params, x)
    encoded = family.encode(x)
    np.testing.assert_allclose(family.log_density(prepared, encoded), density, rtol=1e-5)
    moments = family.statistics(prepared, encoded, np.ones((1, 40)))
    seen = ~np.isnan(x).all(axis=1)
    np.testing.assert_allclose(moments.mean[0], filled[0][seen].mean(axis=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", CORRELATED)
def test_one_component_is_the_multivariate_normal(kind, rng):
    x = with_gaps(rng)
    model = models.MultivariateNormal().learn(x)
    whole = EM(tol=1e-12, max_iter=5000).run(model, x)
    fit = GaussianMixture(1, covariance_type=kind, tol=1e-12, max_iter=5000).fit(x)
    assert fit.loglik_ == pytest.approx(whole.loglik, rel=1e-12)
    np.testing.assert_allclose(fit.means_[0], whole.params.mean, rtol=0, atol=1e-8)
    covariance = fit.covariances_ if kind == "tied" else fit.covariances_[0]
    np.testing.assert_allclose(covariance, whole.params.covariance, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", CORRELATED)
def test_a_fit_climbs_to_the_maximum_of_what_was_seen(kind, rng):
    """Its log-likelihood is that of the density by hand, and no score is left."""
    x = with_gaps(rng, n=100)
    fit = GaussianMixture(2, covariance_type=kind, tol=1e-9, max_iter=3000, random_state=0).fit(x)
    assert fit.converged_
    kept = x[~np.isnan(x).all(axis=1)]
    density, _, _ = by_hand(GaussianParams(fit.means_, fit.covariances_), kept)
    loglik = np.logaddexp.reduce(density + np.log(fit.weights_)[:, None], axis=0).sum()
    assert fit.loglik_ == pytest.approx(loglik, rel=1e-12)
    assert fit.score(x) * len(kept) == pytest.approx(loglik, rel=1e-12)
    errors = standard_errors(fit, x)
    for moved in (1e-3, -1e-3):
        params = GaussianParams(fit.means_ + moved * errors["means"], fit.covariances_)
        lower, _, _ = by_hand(params, kept)
        assert np.logaddexp.reduce(lower + np.log(fit.weights_)[:, None], axis=0).sum() < loglik


@pytest.mark.parametrize("kind", CORRELATED)
def test_rows_whose_squares_overflow(kind, rng):
    """Minus infinity, and never NaN."""
    x = with_gaps(rng)[:8]
    x[0] = [1e200, np.nan, -1e200]
    x[1] = [1e200, 1e200, -1e200]
    family = Gaussian(kind)
    with np.errstate(all="ignore"):
        found = family.log_density(family.prepare(some_params(kind, rng)), family.encode(x))
    assert np.isneginf(found[:, :2]).all()
    assert np.isfinite(found[:, 2:]).all()


@pytest.mark.parametrize("kind", CORRELATED)
def test_threads_change_no_bit(kind, rng):
    x = with_gaps(rng, n=6000)
    fits = [
        GaussianMixture(2, covariance_type=kind, n_jobs=jobs, random_state=0).fit(x)
        for jobs in (1, 2)
    ]
    assert fits[0].loglik_ == fits[1].loglik_
    assert np.array_equal(fits[0].covariances_, fits[1].covariances_)


def test_a_start_is_not_a_saddle(rng):
    """Columns that were never 0 in common start with a correlation."""
    x = with_gaps(rng)
    model = Mixture(Gaussian("full"), 2)
    params = model.initialize(model.blocks(x), np.random.default_rng(0))
    matrices = params.family.covariances
    assert (np.abs(matrices[:, *np.triu_indices(3, 1)]) > 0).all()
    assert (np.linalg.eigvalsh(matrices) > 0).all()
