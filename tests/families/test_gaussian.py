"""The Gaussian family against scipy, far from the origin, and on its floor."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from latentem import EM, DegenerateComponentWarning
from latentem.engine.stopping import EPS
from latentem.families import Gaussian, GaussianParams
from latentem.families.covariance import RESOLUTION
from latentem.models import Mixture, MixtureParams
from latentem.testing import check_family

KINDS = ("full", "tied", "diag", "spherical")


def matrices(covariances, kind, k, d):
    """Compact covariances as (K, d, d)."""
    if kind == "full":
        return covariances
    if kind == "tied":
        return np.broadcast_to(covariances, (k, d, d))
    if kind == "diag":
        return np.array([np.diag(c) for c in covariances])
    return np.array([c * np.eye(d) for c in covariances])


def random_params(kind, k, d, rng, spread=3.0):
    root = rng.normal(size=(k, d, d + 2))
    full = root @ root.transpose(0, 2, 1) / d
    diagonal = np.einsum("kdd->kd", full).copy()
    covariances = {"full": full, "tied": full[0], "diag": diagonal, "spherical": diagonal[:, 0]}
    return GaussianParams(spread * rng.normal(size=(k, d)), covariances[kind])


def two_clusters(rng, n=150, d=2):
    first = rng.normal(size=(n, d))
    second = rng.normal(size=(n, d)) * np.arange(1, d + 1) + 3.0
    return np.vstack([first, second])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fixed", [(), ("means",), ("covariances",), ("means", "covariances")])
def test_check_family(kind, fixed, rng):
    report = check_family(Gaussian(kind, fixed=fixed), two_clusters(rng), n_simulated=500)
    skipped = {name for name, _ in report.skipped}
    assert skipped == {"densities integrate to 1"} | (set() if fixed else {"fixed values"})


@pytest.mark.nojit
def test_check_family_small(rng):
    check_family(Gaussian("full"), two_clusters(rng, 25), n_simulated=100, n_maps=3)


@pytest.mark.parametrize("kind", KINDS)
def test_check_family_with_more_components_and_columns(kind, rng):
    data = np.vstack([two_clusters(rng, 60, 3), rng.normal([0, 8, -4], 0.7, size=(60, 3))])
    check_family(Gaussian(kind), data, n_components=3, n_simulated=0)


@pytest.mark.parametrize("kind", KINDS)
def test_check_family_far_from_the_origin(kind, rng):
    """Columns in units and at places as they come: nothing may hinge on either."""
    data = two_clusters(rng) * [1e-4, 1e3] + [5.0, -4e4]
    check_family(Gaussian(kind), data, n_simulated=0)


@pytest.mark.parametrize("kind", KINDS)
def test_densities_integrate_to_one(kind, rng):
    points = np.linspace(-60, 60, 24_001)[:, None]
    report = check_family(
        Gaussian(kind), two_clusters(rng, 40, 1), grid=(points, 0.005), n_simulated=0
    )
    assert "densities integrate to 1" in dict(report.passed)


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_log_density_equals_scipy(kind, d, rng):
    params = random_params(kind, 3, d, rng)
    x = 4 * rng.normal(size=(50, d))
    family = Gaussian(kind)
    found = family.log_density(family.prepare(params), x)
    covariances = matrices(params.covariances, kind, 3, d)
    for k in range(3):
        expected = multivariate_normal(params.means[k], covariances[k]).logpdf(x)
        np.testing.assert_allclose(found[k], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("far", [30.0, 1e3, 1e6, 1e8])
def test_log_density_of_clusters_far_apart(kind, far, rng):
    """Means at 0, 1 and `far` standard deviations: the far one is computed on its own."""
    d, k = 2, 3
    params = random_params(kind, k, d, rng, spread=1.0)
    params.means[2] += far
    x = np.vstack([rng.normal(size=(20, d)), far + rng.normal(size=(20, d))])
    family = Gaussian(kind)
    prepared = family.prepare(params)
    assert (2 in prepared.apart) is (far > 300)
    found = family.log_density(prepared, x)
    covariances = matrices(params.covariances, kind, k, d)
    for j in range(k):
        expected = multivariate_normal(params.means[j], covariances[j]).logpdf(x)
        near = np.abs(expected) < 1e3
        assert near.sum() >= 20
        np.testing.assert_allclose(
            found[j][near], expected[near], rtol=0, atol=2e-8 + 1e-7 * (far > 1e7)
        )
        np.testing.assert_allclose(found[j], expected, rtol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_variance_one_at_one_hundred_million(kind, d, rng):
    x = rng.normal(size=(3000, d))
    exact = x + 1e8  # what float64 keeps of it
    y = exact - 1e8
    result = EM(n_jobs=1).run(Mixture(Gaussian(kind), 1), exact)
    found = matrices(result.params.family.covariances, kind, 1, d)[0]
    covariance = (y - y.mean(0)).T @ (y - y.mean(0)) / len(y)
    if kind in ("diag", "spherical"):
        covariance = np.diag(np.diag(covariance))
    if kind == "spherical":
        covariance = np.trace(covariance) / d * np.eye(d)
    np.testing.assert_allclose(found, covariance, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_clusters_at_zero_and_one_hundred_million(kind, rng):
    x = np.vstack([rng.normal(size=(1500, 2)), 1e8 + rng.normal(size=(1500, 2))])
    result = EM(n_jobs=1).run(Mixture(Gaussian(kind), 2), x)
    assert result.converged
    covariances = matrices(result.params.family.covariances, kind, 2, 2)
    order = np.argsort(result.params.family.means[:, 0])
    exact = [np.cov(x[:1500].T, bias=True), np.cov((x[1500:] - 1e8).T, bias=True)]
    if kind == "tied":
        exact = [np.mean(exact, axis=0)] * 2
    for k, expected in zip(order, exact, strict=True):
        if kind == "spherical":
            expected = np.trace(expected) / 2 * np.eye(2)
        np.testing.assert_allclose(np.diag(covariances[k]), np.diag(expected), atol=1e-6, rtol=0)
        if kind in ("full", "tied"):
            np.testing.assert_allclose(covariances[k], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_far_start_costs_no_digits(kind, rng):
    """One map from means a million standard deviations off gives the moments of the data."""
    x = 1e8 + rng.normal(size=(500, 2))
    params = random_params(kind, 1, 2, rng)
    start = MixtureParams(np.ones(1), params._replace(means=np.array([[1e8 + 1e6, -1e3]])))
    with np.errstate(all="ignore"):
        em = EM(n_jobs=1, tol=0, max_iter=1)
        result = em.run(Mixture(Gaussian(kind), 1), x, start=start)
    y = x - 1e8
    found = matrices(result.params.family.covariances, kind, 1, 2)[0]
    spread = y.var(axis=0)
    expected = np.full(2, spread.mean()) if kind == "spherical" else spread
    np.testing.assert_allclose(np.diag(found), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_equal_plain_sums(kind, rng):
    x, weights = rng.normal(2.0, 1.5, size=(60, 3)), rng.random((2, 60))
    family, params = Gaussian(kind), random_params(kind, 2, 3, rng)
    found = family.statistics(family.prepare(params), x, weights)
    total = weights.sum(axis=1)
    means = weights @ x / total[:, None]
    y = x[None] - means[:, None]
    full = np.einsum("kn,kna,knb->kab", weights, y, y)
    diagonal = np.einsum("kdd->kd", full)
    expected = {
        "full": full,
        "tied": full.sum(axis=0),
        "diag": diagonal,
        "spherical": diagonal.mean(axis=1),
    }[kind]
    np.testing.assert_allclose(found.weight, total, rtol=1e-13)
    np.testing.assert_allclose(found.mean, means, rtol=1e-12)
    np.testing.assert_allclose(found.scatter, expected, rtol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_covariance_types_agree_on_one_column_and_component(kind, rng):
    x = rng.normal(3.0, 2.0, size=(100, 1))
    result = EM(n_jobs=1).run(Mixture(Gaussian(kind), 1), x)
    variance = x.var()
    assert result.loglik == pytest.approx(-50 * (np.log(2 * np.pi * variance) + 1), rel=1e-13)
    assert np.ravel(result.params.family.covariances)[0] == pytest.approx(variance, rel=1e-13)


@pytest.mark.parametrize("kind", ["full", "tied", "diag"])
def test_a_constant_column_is_noted_and_is_no_degeneracy(kind, rng):
    x = np.column_stack([two_clusters(rng), np.full(300, 7.0)])
    result = EM(n_jobs=1).run(Mixture(Gaussian(kind), 2), x, rng=0)
    assert result.degenerate == ()
    assert any("column 2 is constant" in note for note in result.notes)
    assert np.isfinite(result.loglik)
    floor = (RESOLUTION * 7.0) ** 2
    variance = matrices(result.params.family.covariances, kind, 2, 3)[:, 2, 2]
    np.testing.assert_allclose(variance, floor, rtol=1e-6)


def test_rows_that_are_all_the_same(rng):
    result = EM(n_jobs=1).run(Mixture(Gaussian(), 1), np.full((20, 2), 3.0))
    assert result.degenerate == ()
    assert len(result.notes) == 2
    assert np.isfinite(result.loglik)


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_a_component_on_one_row_is_degenerate(kind, rng):
    x = np.vstack([rng.normal(size=(60, 2)), [[500.0, 500.0]]])
    with pytest.warns(DegenerateComponentWarning, match=r"component \d \(weight 1\) has a covari"):
        result = EM(n_jobs=1).run(Mixture(Gaussian(kind), 2), x, rng=0)
    assert len(result.degenerate) == 1
    assert "use fewer components" in result.degenerate[0].lower()


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_collinear_columns_are_degenerate_in_any_units(kind, rng):
    for unit in (1.0, 1e-6, 1e6):
        x = rng.normal(size=(80, 2))
        x = np.column_stack([x, unit * x.sum(axis=1)])
        with pytest.warns(DegenerateComponentWarning, match="collinear"):
            result = EM(n_jobs=1).run(Mixture(Gaussian(kind), 1), x)
        assert result.converged
        assert np.isfinite(result.loglik)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_units_of_columns_do_not_matter(kind, rng):
    """Nothing is floored, and the log-likelihood changes by the Jacobian alone."""
    x = two_clusters(rng)
    scale = np.array([1e-7, 1e6])
    model, em = Mixture(Gaussian(kind), 2), EM(n_jobs=1, tol=1e-8)
    start = model.initialize(model.blocks(x), np.random.default_rng(0))
    other = start._replace(
        family=GaussianParams(
            start.family.means * scale, start.family.covariances * np.outer(scale, scale)
        )
    )
    a, b = em.run(model, x, start=start), em.run(model, x * scale, start=other)
    assert b.degenerate == ()
    assert b.loglik == pytest.approx(a.loglik - len(x) * np.log(scale).sum(), rel=1e-10)


def test_reg_covar_is_added_to_the_variances(rng):
    x = rng.normal(size=(50, 2))
    for kind in KINDS:
        em = EM(n_jobs=1)
        plain = em.run(Mixture(Gaussian(kind), 1), x).params.family.covariances
        more = em.run(Mixture(Gaussian(kind, reg_covar=0.5), 1), x).params.family.covariances
        added = matrices(more, kind, 1, 2) - matrices(plain, kind, 1, 2)
        np.testing.assert_allclose(added[0], 0.5 * np.eye(2), atol=1e-12)


@pytest.mark.parametrize("kind", ["diag", "spherical"])
def test_a_variance_that_is_not_positive_is_an_error(kind):
    shape = {"diag": (1, 2), "spherical": (1,)}[kind]
    with pytest.raises(np.linalg.LinAlgError, match="a variance is not positive"):
        Gaussian(kind).prepare(GaussianParams(np.zeros((1, 2)), np.zeros(shape)))


def test_a_covariance_that_is_not_definite_is_an_error():
    for kind, value in (("full", np.ones((1, 2, 2))), ("tied", np.ones((2, 2)))):
        with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
            Gaussian(kind).prepare(GaussianParams(np.zeros((1, 2)), value))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"covariance_type": "round"}, "covariance_type must be one of .* got 'round'"),
        ({"reg_covar": -1.0}, "reg_covar must be a finite number >= 0, got -1.0"),
        ({"reg_covar": np.nan}, "reg_covar must be a finite number >= 0, got nan"),
        ({"fixed": ("mean",)}, r"fixed knows 'means' and 'covariances', got \['mean'\]"),
    ],
)
def test_arguments_are_checked(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Gaussian(**arguments)


def test_rounding_of_the_objective_is_what_the_driver_takes_it_for(rng):
    """Summed over 1e5 rows, blocks in another order differ by less than the slack of 1e3 units."""
    x = two_clusters(rng, 10_000)
    model, em = Mixture(Gaussian(), 2), EM(n_jobs=1, tol=0, max_iter=0)
    start = model.initialize(model.blocks(x), np.random.default_rng(0))
    a = em.run(model, x, start=start).loglik
    b = em.run(model, x[::-1].copy(), start=start).loglik
    assert abs(a - b) <= 1e3 * EPS * max(abs(a), len(x))


@pytest.mark.parametrize("kind", KINDS)
def test_moments_of_the_columns(kind, rng):
    params = random_params(kind, 3, 2, rng)
    means, variances = Gaussian(kind).moments(params)
    np.testing.assert_array_equal(means, params.means)
    expected = np.einsum("kdd->kd", matrices(params.covariances, kind, 3, 2))
    np.testing.assert_array_equal(variances, expected)


def test_settings_are_shown_where_they_are_not_the_default():
    assert repr(Gaussian()) == "Gaussian('full')"
    family = Gaussian("diag", reg_covar=0.5, fixed=("means",))
    assert repr(family) == "Gaussian('diag', reg_covar=0.5, fixed=('means',))"
