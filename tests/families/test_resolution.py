"""Covariances at the edge of float64: the floor of variances, and collinear columns."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_triangular

from latentem import EM, DegenerateComponentWarning
from latentem.engine.moments import Moments
from latentem.engine.result import Reason
from latentem.families import Gaussian, GaussianParams
from latentem.families import covariance as cov
from latentem.families.covariance import CONDITION, LIFTED, RESOLUTION
from latentem.models import Mixture, MixtureParams

KINDS = ("full", "tied", "diag", "spherical")
OWN = ("full", "diag", "spherical")  # each component has a covariance of its own
degenerate = pytest.mark.filterwarnings("ignore::latentem.DegenerateComponentWarning")


def fit(x, kind="full", k=2, rng=0, **settings):
    return EM(n_jobs=1, **settings).run(Mixture(Gaussian(kind), k), x, rng=rng)


def spreads(result, kind):
    """Standard deviations (K, d) in the order of the first mean."""
    order = np.argsort(result.params.family.means[:, 0])
    return np.sqrt(cov.variances(result.params.family.covariances, kind)[order])


@pytest.mark.parametrize("kind", OWN)
def test_a_tight_cluster_beside_one_at_one_hundred_million(kind, rng):
    tight, far = 1e-6 * rng.normal(size=(200, 2)), 1e8 + rng.normal(size=(200, 2))
    result = fit(np.vstack([tight, far]), kind)
    assert result.degenerate == ()
    expected = np.sqrt(np.mean(tight.var(axis=0))) if kind == "spherical" else tight.std(axis=0)
    np.testing.assert_allclose(spreads(result, kind)[0].max(), np.max(expected), rtol=1e-6)


@pytest.mark.parametrize("kind", OWN)
def test_an_outlier_blurs_only_its_own_component(kind, rng):
    x = np.vstack([rng.normal(size=(200, 2)), [[1e16, 0.0]]])
    with pytest.warns(DegenerateComponentWarning, match=r"component \d \(weight 1\)"):
        result = fit(x, kind)
    assert len(result.degenerate) == 1
    expected = x[:-1].std(axis=0)
    if kind == "spherical":
        expected = np.sqrt(np.mean(expected**2))
    np.testing.assert_allclose(spreads(result, kind)[0], expected, rtol=1e-6)


@degenerate
@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("place", [1e8, 1.0, 1e-8])
def test_a_component_that_collapses_is_held_and_reported_wherever_it_is(kind, place, rng):
    x = np.vstack([np.full((20, 2), place), -3 * place + place * rng.normal(size=(40, 2))])
    result = fit(x, kind)
    assert len(result.degenerate) == 1
    np.testing.assert_allclose(spreads(result, kind)[1], RESOLUTION * place, rtol=1e-6)


@degenerate
@pytest.mark.parametrize("kind", OWN)
def test_a_component_on_zeros_is_held_at_a_share_of_the_whole_column(kind, rng):
    x = np.vstack([np.zeros((30, 2)), rng.normal(size=(60, 2)) + 5])
    for unit in (1.0, 1e-50, 1e50):
        result = fit(unit * x, kind)
        assert result.converged
        assert len(result.degenerate) == 1
        size = np.mean(x**2) ** 0.5 if kind == "spherical" else np.sqrt(np.mean(x**2, axis=0))
        np.testing.assert_allclose(spreads(result, kind)[0], unit * RESOLUTION**2 * size, rtol=1e-6)


def test_the_floor_is_of_the_size_of_the_rows_of_each_component():
    weight, mean = np.array([1.0, 3.0]), np.array([[0.0, 2.0], [4.0, 0.0]])
    moments = Moments(weight, mean, np.array([[1.0, 0.0], [3.0, 0.0]]), "diag")
    whole = np.array([(1 * 1 + 3 * 17) / 4, (1 * 4 + 3 * 0) / 4])
    expected = RESOLUTION**2 * np.array([[1.0, 4.0], [17.0, RESOLUTION**2 * whole[1]]])
    np.testing.assert_allclose(cov.resolution(moments), expected, rtol=1e-14)
    tied = Moments(weight, mean, np.diag([4.0, 0.0]), "tied")
    np.testing.assert_allclose(cov.resolution(tied), RESOLUTION**2 * whole[None], rtol=1e-14)


def test_the_quick_look_never_passes_what_the_floor_would_lift(rng):
    """Random moments near the floor, in columns of any units."""
    passed = 0
    for _ in range(300):
        size = 10.0 ** rng.integers(-30, 30, size=2)
        mean = size * rng.choice([0.0, 1.0], size=(3, 2)) * rng.normal(size=(3, 2))
        variance = (size * 10.0 ** rng.integers(-16, 1, size=(3, 2))) ** 2
        weight = rng.exponential(size=3)
        moments = Moments(weight, mean, weight[:, None] * variance, "diag")
        if cov._sound(variance, moments):
            passed += 1
            assert (variance > cov.resolution(moments)).all()
    assert passed > 30


def test_the_quick_look_never_passes_a_singular_matrix(rng):
    passed = 0
    for _ in range(300):
        root = rng.normal(size=(2, 3, 3)) * 10.0 ** rng.integers(-7, 1, size=(2, 1, 3))
        units = 10.0 ** rng.integers(-9, 9, size=3)
        matrices = root @ root.transpose(0, 2, 1) * np.outer(units, units)
        mean = units * 10.0 ** rng.integers(-3, 9, size=(2, 3))
        moments = Moments(np.ones(2), mean, matrices, "full")
        if cov._sound(matrices, moments):
            passed += 1
            assert not cov.singular(matrices, cov.resolution(moments)).any()
    assert passed > 30


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_of_zeros_has_no_rounding_of_the_guess_at_it(kind):
    weights, guess = np.random.default_rng(3).random(40), np.array([1.1e-16, 3.3e-5])
    mean, scatter = cov.about_mean(np.zeros((40, 2)), weights, guess, kind)
    assert (np.abs(mean) <= 1e-28 * guess).all()
    assert np.max(scatter) <= 1e-60


def collinear_data(rng, n=300):
    x = rng.normal(size=(n, 2))
    x[: n // 2] += 5
    return x


@degenerate
@pytest.mark.parametrize("kind", ["full", "tied"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_collinear_columns_are_fitted_and_named(kind, k, rng):
    x = collinear_data(rng)
    twice = np.column_stack([x[:, 0], 2 * x[:, 0]])
    result = fit(twice, kind, k)
    assert result.reason in (Reason.CONVERGED, Reason.ROUNDING)
    assert "column 1 is collinear with column 0 in all rows together" in result.degenerate[0]
    if k < 3:
        one = fit(x[:, :1], kind, k)
        np.testing.assert_allclose(
            np.sort(result.params.family.means[:, 0]),
            np.sort(one.params.family.means[:, 0]),
            atol=0.01,
        )


@degenerate
@pytest.mark.parametrize("kind", ["full", "tied"])
def test_every_set_of_collinear_columns_is_named(kind, rng):
    a, b, c = collinear_data(rng).T[0], *rng.normal(size=(2, 300))
    x = np.column_stack([a, b, 1e6 * a, c, a - b + 1e4 * c, np.full(300, 7.0)])
    result = fit(x, kind, 2)
    assert [text.split(" in all")[0] for text in result.degenerate] == [
        "column 2 is collinear with column 0",
        "column 4 is collinear with column 0, column 1 and column 3",
    ]
    assert any("column 5 is constant" in note for note in result.notes)


@degenerate
def test_collinear_within_one_component_is_no_fault_of_the_columns(rng):
    x, line = rng.normal(size=(100, 2)), rng.normal(size=100)
    x = np.vstack([x, 30 + np.column_stack([line, 2 * line])])
    result = fit(x)
    assert len(result.degenerate) == 1
    assert "component" in result.degenerate[0]
    assert "weight 100" in result.degenerate[0]


@degenerate
@pytest.mark.parametrize("far", [0.0, 1e10])
def test_collinear_up_to_the_rounding_of_the_numbers_themselves(far, rng):
    x = collinear_data(rng) + far
    result = fit(np.column_stack([x, x.sum(axis=1)]), k=1)
    assert "column 2 is collinear with column 0 and column 1" in result.degenerate[0]


@degenerate
@pytest.mark.filterwarnings("ignore:EM stopped at max_iter")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_the_objective_does_not_fall_where_components_collapse(kind, seed):
    rng = np.random.default_rng(seed)
    rounded = np.round(collinear_data(rng, 150))
    samples = {
        "fifty components": (rng.normal(size=(300, 3)), 50),
        "zeros": (collinear_data(rng) * (rng.random((300, 2)) < 0.5), 4),
        "rounded": (rounded, 12),
        "sum": (np.column_stack([rounded, rounded.sum(axis=1)]) * [1.0, 1e3, 1e-5], 4),
        "repeated": (np.repeat(rng.normal(size=(12, 3)), 8, axis=0), 4),
    }
    for name, (x, k) in samples.items():
        result = fit(x, kind, k, rng=seed, max_iter=300, tol=1e-2)
        assert result.reason is not Reason.DECREASED, name


def test_a_lifted_covariance_is_the_likeliest_within_its_bounds(rng):
    """Eigenvalues below the limit are lifted to it, in units of the columns."""
    root = rng.normal(size=(3, 2)) * np.array([[1.0], [1e5], [1e-7]])
    scatter = root @ root.T
    lifted = cov._lifted(scatter, None)
    scale = np.sqrt(np.diag(scatter))
    values = np.linalg.eigvalsh(lifted / np.outer(scale, scale))
    assert values[0] == pytest.approx(LIFTED, rel=1e-6)

    def q(matrix):
        precision = np.linalg.inv(matrix / np.outer(scale, scale))
        inside = np.linalg.slogdet(matrix / np.outer(scale, scale))[1]
        return -inside - np.sum(precision * scatter / np.outer(scale, scale))

    for _ in range(20):
        other = rng.normal(size=(3, 3)) * 0.1
        other = scatter / np.outer(scale, scale) + other @ other.T
        values, vectors = np.linalg.eigh(other)
        other = (vectors * np.maximum(values, LIFTED)) @ vectors.T
        assert q(other * np.outer(scale, scale)) < q(lifted) + 1e-6


def test_a_component_that_grows_keeps_the_old_limit_of_its_lift(rng):
    line = rng.normal(size=50)
    small = cov._lifted(np.cov(np.column_stack([line, line]).T), None)
    large = cov._lifted(100 * np.cov(np.column_stack([line, line]).T), small)
    assert np.linalg.eigvalsh(large)[0] == pytest.approx(np.linalg.eigvalsh(small)[0], rel=1e-4)
    huge = cov._lifted(1e10 * np.cov(np.column_stack([line, line]).T), small)
    values = np.linalg.eigvalsh(huge)
    assert values[0] / values[1] == pytest.approx(CONDITION / 2, rel=0.01)


def test_a_covariance_that_had_to_be_lifted_replaces_the_old_one_only_if_it_is_likelier(rng):
    line = rng.normal(size=40)
    rows = np.column_stack([line, line])
    family, ones = Gaussian(), np.ones((1, 40))
    old = GaussianParams(
        rows.mean(axis=0)[None], np.cov(rows.T, bias=True)[None] + 1e-11 * np.eye(2)
    )
    statistics = family.statistics(family.prepare(old), rows, ones)
    np.testing.assert_array_equal(family.maximize(statistics, old).covariances, old.covariances)
    wide = GaussianParams(old.means, 4 * np.eye(2)[None])
    new = family.maximize(statistics, wide)
    assert family.expected_loglik(new, statistics) > family.expected_loglik(wide, statistics)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_inverses_of_triangular_factors_in_any_units(d, rng):
    """A general inverse fills the zeros with rounding of the largest number."""
    units = 10.0 ** rng.permutation(np.linspace(-24, 24, d))
    root = rng.normal(size=(3, d, d + 3))
    factors = np.linalg.cholesky(root @ root.transpose(0, 2, 1)) * units[:, None]
    before = factors.copy()
    found = cov.inverted(factors)
    np.testing.assert_array_equal(factors, before)
    for factor, inverse in zip(factors, found, strict=True):
        plain = solve_triangular(factor / units[:, None], np.eye(d), lower=True) / units
        np.testing.assert_allclose(inverse, plain, rtol=1e-10)
        assert not np.triu(inverse, 1).any()


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_log_density_in_units_far_apart(kind, rng):
    units = np.array([1e-24, 1.0, 1e20])
    x, root = rng.normal(size=(50, 3)), rng.normal(size=(3, 5))
    matrix = root @ root.T
    shape = (1, 3, 3) if kind == "full" else (3, 3)
    means = np.zeros((1, 3))
    family = Gaussian(kind)
    plain = family.prepare(GaussianParams(means, matrix.reshape(shape)))
    scaled = family.prepare(GaussianParams(means, (matrix * np.outer(units, units)).reshape(shape)))
    np.testing.assert_allclose(
        family.log_density(scaled, x * units) + np.log(units).sum(),
        family.log_density(plain, x),
        rtol=1e-10,
        atol=1e-10,
    )


def test_nearly_collinear_columns_are_scored_by_whitening(rng):
    """Products of columns cancel; their rounding must not pass for a falling likelihood."""
    line = rng.normal(size=400)
    x = np.column_stack([line, line + 1e-5 * rng.normal(size=400)])
    family = Gaussian()
    params = GaussianParams(x.mean(axis=0)[None], np.cov(x.T)[None])
    prepared = family.prepare(params)
    assert prepared.apart.tolist() == [0]
    found = family.log_density(prepared, x)[0]
    factor = np.linalg.cholesky(params.covariances[0])
    white = solve_triangular(factor, (x - params.means[0]).T, lower=True)
    exact = -0.5 * np.sum(white**2, axis=0) - np.log(np.diag(factor)).sum() - np.log(2 * np.pi)
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-8)


def test_fixed_covariances_are_not_held():
    start = MixtureParams(np.ones(1), GaussianParams(np.zeros((1, 1)), np.full((1, 1, 1), 1e-40)))
    model = Mixture(Gaussian(fixed=("covariances",)), 1)
    result = EM(n_jobs=1).run(model, np.ones((5, 1)), start=start)
    assert result.params.family.covariances.tolist() == [[[1e-40]]]
