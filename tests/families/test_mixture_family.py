"""Mixtures as the emissions of a component."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from latentem import EM
from latentem.families import (
    Bernoulli,
    Exponential,
    Gaussian,
    GaussianParams,
    Independent,
    MixtureFamily,
    Poisson,
    PoissonParams,
)
from latentem.families.mixture_family import MixtureFamilyParams
from latentem.models import Mixture, MixtureParams
from latentem.testing import check_family
from tests.estimators.samples import WholeRows

WEIGHTS = np.array([[0.3, 0.7], [0.6, 0.4]])
MEANS = np.array([[0.0, 0.0], [2.0, 1.0], [7.0, 7.0], [9.0, 5.0]])
COVARIANCES = {
    "diag": np.array([[1.0, 2.0], [0.5, 1.0], [1.0, 1.0], [2.0, 0.5]]),
    "full": np.array([[[1.0, 0.3], [0.3, 2.0]]] * 4),
    "spherical": np.array([1.0, 0.5, 2.0, 1.0]),
}


def params(kind):
    return MixtureFamilyParams(WEIGHTS, GaussianParams(MEANS, COVARIANCES[kind]))


def matrices(kind):
    found = COVARIANCES[kind]
    return found if kind == "full" else np.array([np.diag(np.broadcast_to(c, 2)) for c in found])


@pytest.mark.parametrize("kind", COVARIANCES)
def test_density_statistics_and_m_step_against_their_formulas(kind, rng):
    family, given = MixtureFamily(Gaussian(kind), 2), params(kind)
    x = np.vstack([rng.normal(1, 1.5, (40, 2)), rng.normal(7, 1.5, (40, 2))])
    inner = np.array(
        [
            stats.multivariate_normal(m, c).logpdf(x)
            for m, c in zip(MEANS, matrices(kind), strict=True)
        ]
    ).reshape(2, 2, -1)
    joint = inner + np.log(WEIGHTS)[:, :, None]
    prepared, rows = family.prepare(given), family.encode(x)
    np.testing.assert_allclose(
        family.log_density(prepared, rows), logsumexp(joint, axis=1), rtol=1e-11, atol=1e-11
    )
    outer = rng.dirichlet([1.0, 1.0], size=len(x)).T * rng.random(len(x))
    shares = np.exp(joint - logsumexp(joint, axis=1)[:, None]) * outer[:, None]
    statistics = family.statistics(prepared, rows, np.ascontiguousarray(outer))
    np.testing.assert_allclose(statistics.counts, shares.sum(axis=2), rtol=1e-9)
    new = family.maximize(statistics, given)
    counts = shares.sum(axis=2)
    np.testing.assert_allclose(new.weights, counts / counts.sum(axis=1, keepdims=True), rtol=1e-9)
    flat = shares.reshape(4, -1)
    np.testing.assert_allclose(
        new.family.means, flat @ x / flat.sum(axis=1, keepdims=True), rtol=1e-9
    )


@pytest.mark.parametrize(
    ("inner", "kind"),
    [(Gaussian("diag"), "real"), (Gaussian("full"), "real"), (Gaussian("spherical"), "real"),
     (Poisson(), "counts"), (Exponential(), "positive"),
     (Independent([Gaussian("diag"), Poisson()]), "both")],
)  # fmt: skip
def test_check_family(inner, kind, rng):
    states = rng.integers(2, size=400)
    real = rng.normal(np.array([0.0, 8.0])[states], np.where(rng.random(400) < 0.4, 1.0, 2.5))
    counts = rng.poisson(np.where(rng.random(400) < 0.5, 3.0, 12.0) + 20 * states) * 1.0
    x = {
        "real": np.column_stack([real, real[::-1]]), "counts": counts[:, None],
        "positive": rng.exponential(np.where(states, 9.0, 1.0))[:, None],
        "both": np.column_stack([real, counts]),
    }[kind]  # fmt: skip
    check_family(MixtureFamily(inner, 2), x)


def test_missing_cells_are_left_out(rng):
    family, given = MixtureFamily(Gaussian("diag"), 2), params("diag")
    assert family.missing_cells
    x = rng.normal(3, 3, (30, 2))
    x[rng.random(30) < 0.4, 1] = np.nan
    x[4] = np.nan
    found = family.log_density(family.prepare(given), family.encode(x))
    scale = np.sqrt(COVARIANCES["diag"])
    cells = stats.norm.logpdf(x[None], MEANS[:, None], scale[:, None])
    inner = np.where(np.isnan(x), 0.0, cells).sum(axis=2).reshape(2, 2, -1)
    expected = logsumexp(inner + np.log(WEIGHTS)[:, :, None], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found[:, 4], 0.0, atol=1e-14)
    assert not MixtureFamily(WholeRows(), 2).missing_cells


def test_moments_cdf_and_draws_agree(rng):
    family, given = MixtureFamily(Gaussian("diag"), 2), params("diag")
    for k in (0, 1):
        x = family.sample(given, np.full(100_000, k), rng)
        means, variances = (part[k] for part in family.moments(given))
        np.testing.assert_allclose(x.mean(axis=0), means, atol=0.03)
        np.testing.assert_allclose(x.var(axis=0), variances, rtol=0.03)
        at = np.array([[0.5, 1.0], [6.0, 5.0]])
        below = [(x <= row).mean(axis=0) for row in at]
        np.testing.assert_allclose(family.cdf(given, at)[k], below, atol=0.006)
    counts = MixtureFamily(Poisson(), 2)
    assert counts.discrete_columns(3).all()
    assert not family.discrete_columns(2).any()


def test_one_gaussian_each_is_the_gaussian(rng):
    x = np.vstack([rng.normal(0, 1, (50, 2)), rng.normal(6, 1, (50, 2))])
    inner = GaussianParams(MEANS[[0, 2]], np.stack([np.eye(2)] * 2))
    start = MixtureParams(np.array([0.5, 0.5]), MixtureFamilyParams(np.ones((2, 1)), inner))
    settings = EM(tol=0, max_iter=5, accelerate=None)
    nested = settings.run(Mixture(MixtureFamily(Gaussian("full"), 1), 2), x, start=start)
    plain = settings.run(Mixture(Gaussian("full"), 2), x, start=MixtureParams(start.weights, inner))
    np.testing.assert_allclose(nested.history.objectives, plain.history.objectives, rtol=1e-12)


def test_one_component_is_a_plain_mixture(rng):
    """f = sum_j c_j g_j, whichever level the weights stand on."""
    x = rng.poisson(np.where(rng.random(300) < 0.4, 2.0, 9.0))[:, None].astype(float)
    rates = PoissonParams(np.array([[1.0], [10.0]]))
    settings = EM(tol=0, max_iter=8, accelerate=None)
    plain = settings.run(Mixture(Poisson(), 2), x, start=MixtureParams(np.array([0.5, 0.5]), rates))
    start = MixtureParams(np.array([1.0]), MixtureFamilyParams(np.array([[0.5, 0.5]]), rates))
    nested = settings.run(Mixture(MixtureFamily(Poisson(), 2), 1), x, start=start)
    np.testing.assert_allclose(nested.history.objectives, plain.history.objectives, rtol=1e-12)
    np.testing.assert_allclose(nested.params.family.weights[0], plain.params.weights, rtol=1e-9)


def test_what_is_fixed_stays(rng):
    family = MixtureFamily(Gaussian("diag", fixed=("means",)), 2, fixed=("weights",))
    assert set(family.fixed) == {"weights", "means"}
    x, given = rng.normal(3, 3, (50, 2)), params("diag")
    statistics = family.statistics(family.prepare(given), family.encode(x), np.full((2, 50), 0.5))
    new = family.maximize(statistics, given)
    np.testing.assert_array_equal(new.weights, WEIGHTS)
    np.testing.assert_array_equal(new.family.means, MEANS)
    assert not np.array_equal(new.family.covariances, given.family.covariances)


def test_a_component_without_weight_keeps_its_parameters(rng):
    family, given = MixtureFamily(Gaussian("diag"), 2), params("diag")
    x = rng.normal(1, 1, (20, 2))
    weights = np.zeros((2, 20))
    weights[0] = 1.0
    new = family.maximize(
        family.statistics(family.prepare(given), family.encode(x), weights), given
    )
    np.testing.assert_array_equal(new.weights[1], WEIGHTS[1])
    np.testing.assert_array_equal(new.family.means[2:], MEANS[2:])
    assert not np.array_equal(new.family.means[:2], MEANS[:2])


def test_relabel_moves_whole_mixtures():
    family = MixtureFamily(Gaussian("diag"), 2)
    other = family.relabel(params("diag"), np.array([1, 0]))
    np.testing.assert_array_equal(other.weights, WEIGHTS[::-1])
    np.testing.assert_array_equal(other.family.means, MEANS[[2, 3, 0, 1]])


def test_a_start_of_few_rows_does_not_fail(rng):
    family = MixtureFamily(Gaussian("diag"), 3)
    x, weights = rng.normal(0, 1, (6, 2)), np.zeros((2, 6))
    weights[0, :2] = 1.0  # fewer rows than Gaussians
    weights[1, 2:] = 1.0
    start = family.initialize(family.encode(x), weights, rng)
    assert np.isfinite(start.family.means).all()
    assert np.all(start.family.covariances > 0)
    np.testing.assert_allclose(start.weights.sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: MixtureFamily("gaussian", 2), TypeError, "family must be a Family, got str"),
        (lambda: MixtureFamily(Gaussian(), 0), ValueError, "n_mix must be an integer of at"),
        (lambda: MixtureFamily(Gaussian(), 2.0), ValueError, "n_mix must be an integer"),
        (lambda: MixtureFamily(Gaussian("tied"), 2), ValueError, "cannot have covariance_type"),
        (lambda: MixtureFamily(Bernoulli(), 2, ("probs",)), ValueError, "fixed knows 'weights'"),
    ],
)  # fmt: skip
def test_wrong_mixtures(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()
