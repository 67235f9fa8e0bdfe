"""Factor analysis with missing cells: every row by hand, closed forms, and noise that goes to 0."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA, FactorAnalysis

from latentem import EM, DegenerateComponentWarning, NotIdentifiedWarning, standard_errors
from latentem.engine.backends import SerialBackend
from latentem.engine.trees import leaves
from latentem.models import FactorAnalyzer, FactorParams, MultivariateNormal, NormalParams
from latentem.models.factor_fit import WAIT, FloorSquarem, fit_factors
from latentem.models.factor_scores import factor_scores
from latentem.models.factor_statistics import unpack
from latentem.testing import check_model

NAN = np.nan
KINDS = ("diagonal", "isotropic")


def table(n, d, q, share, seed=0, noise=0.7):
    """Factors that load strongly on every q-th column each, and a little on the others."""
    rng = np.random.default_rng(seed)
    loadings = 0.2 * rng.normal(size=(q, d))
    loadings[np.arange(d) % q, np.arange(d)] += rng.uniform(0.7, 1.5, d)
    x = rng.normal(size=(n, q)) @ loadings
    x += noise * rng.uniform(0.5, 1.5, d) * rng.normal(size=(n, d)) + 3 * rng.normal(size=d)
    x[rng.random(x.shape) < share] = NAN
    return x


def some_params(d, q, kind, seed=1):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(q, q + 2))
    noise = rng.uniform(0.2, 2.0, d)
    return FactorParams(
        rng.normal(size=d),
        rng.normal(size=(d, q)),
        noise[0] if kind == "isotropic" else noise,
        NormalParams(rng.normal(size=q), root @ root.T / q),
    )


def covariance(model, params):
    _, loadings, noise, _ = params = model.identified(params)
    return params.mean, loadings @ loadings.T + np.diag(np.broadcast_to(noise, len(loadings)))


def by_hand(model, params, x, weights):
    """Log-likelihood by the whole covariance, and E[f], E[f f'] of each row."""
    mean, sigma = covariance(model, params)
    alpha, phi = params.factors
    loglik, found = 0.0, []
    for row, weight in zip(x, weights, strict=True):
        o = ~np.isnan(row)
        if not o.any() or weight == 0:
            continue
        inner = sigma[np.ix_(o, o)]
        loglik += weight * multivariate_normal(mean[o], inner).logpdf(row[o])
        gain = np.linalg.solve(inner, params.loadings[o] @ phi).T
        f = alpha + gain @ (row - mean)[o]
        inside = phi - gain @ params.loadings[o] @ phi
        found.append((row, weight, f, inside + np.outer(f, f)))
    return loglik, found


def expect(model, params, data, size=None):
    return SerialBackend().expect(model, params, model.blocks(data, size))


def fit(x, q, kind="diagonal", weights=None, **settings):
    data = x if weights is None else (x, weights)
    em = EM(**{"tol": 1e-9, "max_iter": 5000, **settings})
    model = FactorAnalyzer(q, kind).learn(data)
    return fit_factors(model, data, em, np.random.default_rng(0))


# -------------------------------------------------------------------------------------- E-step


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(
    ("n", "d", "q", "share"),
    [(7, 2, 1, 0.4), (40, 3, 2, 0.3), (60, 2, 1, 0.2), (20, 40, 3, 0.5), (30, 6, 4, 0.0)],
)
def test_e_step_is_that_of_every_row_by_hand(n, d, q, share, kind, learned):
    rng = np.random.default_rng(5)
    x, weights, params = table(n, d, q, share), rng.integers(0, 3, n) * 0.7, some_params(d, q, kind)
    model = FactorAnalyzer(q, kind)
    model = model.learn((x, weights)) if learned else model
    loglik, rows = by_hand(model, params, x, weights)
    for size in (None, 5):
        found = expect(model, params, (x, weights), size)
        assert found.loglik == pytest.approx(loglik, rel=1e-12)
        assert found.weight == pytest.approx(sum(row[1] for row in rows), rel=1e-13)
        statistics = found.statistics.framed(np.eye(q + 1))
        overall, gram = np.zeros((q + 1, q + 1)), np.zeros((d, q + 1, q + 1))
        for row, weight, f, square in rows:
            one = np.block([[square, f[:, None]], [f[None], np.ones((1, 1))]])
            overall += weight * one
            gram[~np.isnan(row)] += weight * one
        np.testing.assert_allclose(unpack(statistics.overall, q + 1), overall, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(unpack(statistics.gram, q + 1), gram, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_m_step_is_the_regression_of_each_column(kind):
    x, q = table(50, 6, 2, 0.3), 2
    params, model = some_params(6, 2, kind), FactorAnalyzer(2, kind).learn(x)
    new = model.m_step(expect(model, params, x).statistics, params)
    _, rows = by_hand(model, params, x, np.ones(50))
    squares, cells = np.zeros(6), np.zeros(6)
    for j in range(6):
        gram, cross, total = np.zeros((q + 1, q + 1)), np.zeros(q + 1), 0.0
        for row, _, f, square in rows:
            if not np.isnan(row[j]):
                gram += np.block([[square, f[:, None]], [f[None], np.ones((1, 1))]])
                cross += row[j] * np.append(f, 1.0)
                total += row[j] ** 2
        beta = np.linalg.solve(gram, cross)
        np.testing.assert_allclose(new.loadings[j], beta[:q], rtol=1e-9)
        assert new.mean[j] == pytest.approx(beta[q], rel=1e-9)
        squares[j], cells[j] = total - beta @ cross, gram[q, q]
    wanted = squares.sum() / cells.sum() if kind == "isotropic" else squares / cells
    np.testing.assert_allclose(new.noise, wanted, rtol=1e-9)
    mean = np.mean([row[2] for row in rows], axis=0)
    second = np.mean([row[3] for row in rows], axis=0)
    np.testing.assert_allclose(new.factors.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(new.factors.covariance, second - np.outer(mean, mean), rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learn", [False, True])
def test_it_keeps_the_contract(learn, kind):
    x, weights = table(90, 6, 2, 0.25, seed=3), np.ones(90)
    model, data = FactorAnalyzer(2, kind), (x, weights)
    report = check_model(model.learn(data) if learn else model, data, weights=1)
    assert {name for name, _ in report.skipped} == {"fixed values"}


def test_it_keeps_the_contract_with_loadings_held_at_0():
    x = table(90, 6, 2, 0.25, seed=3)
    model = FactorAnalyzer(2).learn(x)
    model, start = model.triangular(model.initialize(model.blocks(x), np.random.default_rng(0)))
    report = check_model(model, (x, np.ones(90)), start=start, weights=1)
    assert report.skipped == ()
    held = ~model.mask
    assert held.sum() == 1
    result = EM(tol=1e-9, max_iter=5000).run(model, x, start=start)
    assert np.all(result.params.loadings[held] == 0)
    assert result.loglik == pytest.approx(fit(x, 2).loglik, abs=1e-5)  # the same model


def test_statistics_of_different_parameters_add():
    x, params = table(60, 5, 2, 0.3), [some_params(5, 2, "diagonal", seed) for seed in (1, 2, 3)]
    model = FactorAnalyzer(2).learn(x)
    a, b = (expect(model, at, x).statistics for at in params[:2])
    both = a.merge(b.scaled(0.5))
    wanted = model.expected_loglik(params[2], a) + 0.5 * model.expected_loglik(params[2], b)
    assert model.expected_loglik(params[2], both) == pytest.approx(wanted, rel=1e-11)


def test_mean_and_scatter_of_columns_come_from_the_statistics():
    x, params = table(60, 5, 2, 0.3), some_params(5, 2, "diagonal")
    mean, scatter = expect(FactorAnalyzer(2), params, x).statistics.scatter()
    np.testing.assert_allclose(mean, np.nanmean(x, axis=0), rtol=1e-10)
    seen = (~np.isnan(x)).sum(axis=0)
    np.testing.assert_allclose(scatter / seen, np.nanvar(x, axis=0), rtol=1e-9)


def test_patterns_with_many_rows_are_their_moments():
    x, params = table(300, 3, 1, 0.3), some_params(3, 1, "diagonal")
    model = FactorAnalyzer(1)
    assert sum(len(block.rows) for block in model.blocks(x)) < 60
    loglik, _ = by_hand(model, params, x, np.ones(300))
    assert expect(model, params, x).loglik == pytest.approx(loglik, rel=1e-12)


# --------------------------------------------------------------------------------- closed forms


def test_complete_rows_reach_the_maximum_that_scikit_learn_finds():
    x = table(300, 8, 2, 0.0)
    peer = FactorAnalysis(2, tol=1e-14, max_iter=100_000, svd_method="lapack").fit(x)
    result = fit(x, 2)
    assert result.loglik == pytest.approx(300 * peer.score(x), abs=1e-6)
    _, sigma = covariance(result.model, result.params)
    np.testing.assert_allclose(sigma, peer.get_covariance(), rtol=1e-4, atol=1e-4)


def test_isotropic_noise_of_complete_rows_has_its_closed_form():
    """Tipping and Bishop (1999), and scikit-learn's PCA, which divides by n - 1."""
    x = table(200, 6, 2, 0.0)
    result = fit(x, 2, "isotropic")
    values = np.sort(np.linalg.eigvalsh(np.cov(x.T, bias=True)))[::-1]
    noise = values[2:].mean()
    assert result.params.noise == pytest.approx(noise, rel=1e-8)
    logdet = np.log(values[:2]).sum() + 4 * np.log(noise)
    assert result.loglik == pytest.approx(-100 * (6 * np.log(2 * np.pi) + logdet + 6), abs=1e-8)
    assert result.n_iter <= 6  # it begins there
    pca = PCA(2).fit(x)
    _, sigma = covariance(result.model, result.params)
    np.testing.assert_allclose(sigma * 200 / 199, pca.get_covariance(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_is_that_of_the_cells_that_are_seen(kind):
    x = table(150, 7, 2, 0.3)
    x[4] = NAN
    weights = np.random.default_rng(1).integers(0, 3, 150) * 1.0
    result = fit(x, 2, kind, weights)
    loglik, rows = by_hand(result.model, result.params, x, weights)
    assert result.loglik == pytest.approx(loglik, rel=1e-12)
    assert result.weight == sum(row[1] for row in rows)
    scores = factor_scores(result.model, result.params, x, SerialBackend())
    assert weights @ scores.loglik == pytest.approx(loglik, rel=1e-12)
    assert scores.loglik[4] == 0.0
    mean, sigma = covariance(result.model, result.params)
    loadings = result.model.identified(result.params).loadings
    for row, f in zip(x[:9], scores.factors[:9], strict=True):
        o = ~np.isnan(row)
        wanted = loadings[o].T @ np.linalg.solve(sigma[np.ix_(o, o)], (row - mean)[o])
        np.testing.assert_allclose(f, wanted, atol=1e-10)


def test_a_saturated_model_is_the_multivariate_normal():
    x = table(200, 3, 1, 0.25)
    result = fit(x, 1, tol=1e-11)
    normal = EM(tol=1e-11).run(MultivariateNormal().learn(x), x)
    assert result.loglik == pytest.approx(normal.loglik, abs=1e-6)
    mean, sigma = covariance(result.model, result.params)
    np.testing.assert_allclose(mean, normal.params.mean, atol=1e-5)
    np.testing.assert_allclose(sigma, normal.params.covariance, atol=1e-4)


def test_each_map_is_parameter_expanded_em():
    """The plain M-step (factors held) climbs far slower where the noise is small."""
    x = table(200, 10, 2, 0.2, noise=0.05)
    settings = EM(tol=1e-6, max_iter=2000, accelerate=None)
    model = FactorAnalyzer(2).learn(x)
    result = settings.run(model, x)
    assert result.n_iter < 400
    start = model.initialize(model.blocks(x), np.random.default_rng(0))
    held, start = model.triangular(start)
    slow = EM(tol=0, max_iter=result.n_iter, accelerate=None).run(held, x, start=start)
    assert slow.loglik < result.loglik - 0.1


# --------------------------------------------------------------------------------- invariances


def same_fit(a, b, rtol=1e-5):
    (mean, sigma), (others, other) = (covariance(r.model, r.params) for r in (a, b))
    scale = np.sqrt(sigma.diagonal())
    np.testing.assert_allclose((others - mean) / scale, 0.0, atol=rtol)
    np.testing.assert_allclose((other - sigma) / np.outer(scale, scale), 0.0, atol=rtol)


@given(st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(seed):
    x = table(80, 6, 1, 0.2, seed)
    order = np.random.default_rng(seed).permutation(80)
    a, b = fit(x, 1, tol=1e-11), fit(x[order], 1, tol=1e-11)
    assert b.loglik == pytest.approx(a.loglik, abs=1e-7)
    same_fit(a, b)


@given(st.integers(0, 1000))
def test_units_do_not_matter_for_diagonal_noise(seed):
    rng = np.random.default_rng(seed)
    x = table(80, 6, 1, 0.2, seed)
    scale, shift = 10.0 ** rng.integers(-9, 9, 6), 10 * rng.normal(size=6)
    a, b = fit(x, 1, tol=1e-11), fit((x + shift) * scale, 1, tol=1e-11)
    cells = (~np.isnan(x)).sum(axis=0)
    assert b.loglik + cells @ np.log(scale) == pytest.approx(a.loglik, abs=1e-6)
    (mean, sigma), (others, other) = (covariance(r.model, r.params) for r in (a, b))
    size = np.sqrt(sigma.diagonal())
    np.testing.assert_allclose((others / scale - shift - mean) / size, 0.0, atol=1e-5)
    back = other / np.outer(scale, scale)
    np.testing.assert_allclose((back - sigma) / np.outer(size, size), 0.0, atol=1e-5)


def test_a_common_unit_does_not_matter_for_isotropic_noise():
    x = table(80, 6, 2, 0.2)
    a, b = fit(x, 2, "isotropic"), fit(1e6 * x, 2, "isotropic")
    assert b.params.noise == pytest.approx(1e12 * a.params.noise, rel=1e-6)


def test_weights_are_frequencies():
    x, weights = table(60, 5, 1, 0.2), np.random.default_rng(1).integers(0, 4, 60)
    a, b = fit(x, 1, weights=weights * 1.0), fit(np.repeat(x, weights, axis=0), 1)
    assert a.loglik == pytest.approx(b.loglik, abs=1e-8)
    same_fit(a, b)


def test_fits_do_not_depend_on_threads():
    x = table(1500, 12, 3, 0.2)
    assert len(FactorAnalyzer(3).learn(x).blocks(x, 300)) > 3
    fits = [fit(x, 3, tol=1e-3, n_jobs=n, block_size=300) for n in (1, 2, 3)]
    for other in fits[1:]:
        assert other.loglik == fits[0].loglik
        for (_, a), (_, b) in zip(leaves(other.params), leaves(fits[0].params), strict=True):
            np.testing.assert_array_equal(a, b)


# -------------------------------------------------------------------------------- shapes, starts


@pytest.mark.parametrize("kind", KINDS)
def test_more_columns_than_rows(kind):
    whole = table(60, 500, 3, 0.0)
    x = np.where(np.random.default_rng(1).random(whole.shape) < 0.2, NAN, whole)
    result = fit(x, 3, kind, tol=1e-3, on_decrease="raise")
    assert result.converged
    assert not result.degenerate
    assert not any(block.paired for block in result.model.blocks(x))
    params = result.model.identified(result.params)
    scores = factor_scores(result.model, params, x, SerialBackend())
    filled = params.mean + scores.factors @ params.loadings.T
    lost = np.isnan(x)
    error = np.sqrt(np.mean((filled - whole)[lost] ** 2))
    assert error < 0.85  # the noise has deviations of 0.35 to 1.05, the cells of about 1.9


def test_objectives_rise_and_other_starts_are_tried():
    x = table(100, 6, 2, 0.3)
    result = fit(x, 2, n_init=4, accelerate=None, tol=1e-4, on_decrease="raise")
    assert np.all(np.diff(result.history.objectives) > -1e-9)
    assert len(result.starts) == 4
    firsts = [start.params.loadings for start in result.starts]
    assert not any(np.allclose(firsts[0], other) for other in firsts[1:])
    again = fit(x, 2, n_init=4, accelerate=None, tol=1e-4)
    assert again.loglik == result.loglik


def test_variance_1_around_1e8():
    x = table(200, 5, 1, 0.2)
    a, b = fit(x, 1, tol=1e-6), fit(x + 1e8, 1, tol=1e-6)
    assert b.loglik == pytest.approx(a.loglik, abs=1e-4)
    np.testing.assert_allclose(b.params.noise, a.params.noise, rtol=1e-4)


def test_sampled_rows_have_the_covariance():
    model, params = FactorAnalyzer(2), some_params(4, 2, "diagonal")
    rows = model.sample(params, 200_000, np.random.default_rng(0))
    mean, sigma = covariance(model, params)
    np.testing.assert_allclose(rows.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(rows.T), sigma, rtol=0.05, atol=0.1)


def test_wrong_arguments():
    for bad in (0, 1.5, True):
        with pytest.raises(ValueError, match="n_factors must be an integer >= 1"):
            FactorAnalyzer(bad)
    with pytest.raises(ValueError, match="noise must be 'diagonal' or 'isotropic'"):
        FactorAnalyzer(1, "full")
    for bad in (0.0, 1.0, NAN, "low"):
        with pytest.raises(ValueError, match=r"noise_floor must be a number in \(0, 1\)"):
            FactorAnalyzer(1, noise_floor=bad)
    with pytest.raises(ValueError, match="n_factors=3 must be less than the number of columns, 3"):
        FactorAnalyzer(3).blocks(np.zeros((9, 3)))


# ---------------------------------------------------------------------------------- noise near 0


def heywood(n=200, seed=0, share=0.2):
    """Column 0 is a factor of its own, without noise, that column 1 has too."""
    rng = np.random.default_rng(seed)
    f = rng.normal(size=(n, 2))
    x = np.column_stack([f[:, 0], f[:, 0] + 0.8 * rng.normal(size=n)])
    rest = f @ rng.normal(size=(2, 5)) + 0.6 * rng.normal(size=(n, 5))
    x = np.hstack([x, rest])
    x[rng.random(x.shape) < share] = NAN
    return x


def test_a_heywood_case_is_reached_and_told():
    x = heywood()
    words = r"the noise of column 0 is at its floor, 1e-06 of the variance \(a Heywood case\)"
    with pytest.warns(NotIdentifiedWarning, match=words):
        result = fit(x, 2, tol=1e-4, max_iter=500)
    assert result.converged
    assert not result.degenerate
    plain = EM(tol=0, max_iter=500, accelerate=None).run(result.model, x)
    assert plain.loglik < result.loglik


def test_the_accelerator_goes_to_the_floor_and_up_from_it():
    """The smallest noise that moves is taken where it goes; a refused one not again nearby."""
    model = FactorAnalyzer(1).learn(table(60, 3, 1, 0.1))
    variances = model.units.scale**2
    accelerator = FloorSquarem(model)
    noise = slice(6, 9)

    def point(*shares):
        out = np.arange(12.0)
        out[noise] = np.log(variances * shares)
        return out

    def proposed(before, after):
        for _ in range(4 * WAIT):
            accelerator.rests()
        return accelerator.propose(point(*before), point(*after))

    low = proposed((0.4, 0.011, 0.015), (0.3, 0.010, 0.014))  # the first is not small
    np.testing.assert_allclose(np.exp(low[noise]) / variances, [0.3, 1e-6, 0.014], rtol=1e-9)
    np.testing.assert_allclose(low[3:6] / [3, 4, 5], [1, np.sqrt((1 - 1e-6) / 0.99), 1], rtol=1e-9)
    np.testing.assert_array_equal(low[[0, 1, 2, 9, 10, 11]], [0, 1, 2, 9, 10, 11])
    accelerator.observe(False)
    other = proposed((0.4, 0.011, 0.015), (0.3, 0.010, 0.014))
    np.testing.assert_allclose(np.exp(other[noise]) / variances, [0.3, 0.010, 1e-6], rtol=1e-9)
    accelerator.observe(True)
    high = proposed((0.4, 0.3, 2e-6), (0.3, 0.3, 3e-6))
    np.testing.assert_allclose(np.exp(high[noise]) / variances, [0.3, 0.3, 9e-5], rtol=1e-9)


def test_two_columns_that_are_one_have_no_maximum():
    x = heywood(share=0.0)
    x[:, 1] = x[:, 0]
    with pytest.warns(DegenerateComponentWarning, match="columns 0 and 1 is at their floors"):
        result = fit(x, 2, tol=1e-4, max_iter=500)
    assert "collinear" in result.degenerate[0]


def test_rows_in_a_plane_have_no_isotropic_noise():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 6))
    with pytest.warns(DegenerateComponentWarning, match="the rows lie in a plane of 2 dimensions"):
        fit(x, 2, "isotropic", tol=1e-3)


@pytest.mark.parametrize("noise", [1e-1, 1e-2, 3e-3])
@pytest.mark.parametrize("kind", KINDS)
def test_small_noise_is_fitted_without_a_fall(noise, kind):
    x = table(300, 8, 2, 0.2, noise=noise)
    result = fit(x, 2, kind, tol=1e-4, on_decrease="raise")
    assert result.converged
    loglik, _ = by_hand(result.model, result.params, x, np.ones(300))
    assert result.loglik == pytest.approx(loglik, abs=1e-5)


def test_constant_columns_are_noted():
    x = table(60, 5, 1, 0.0)
    x[:, 2] = 4.0
    result = fit(x, 1, tol=1e-4)
    assert any("column 2 is constant" in note for note in result.notes)
    assert np.isfinite(result.loglik)


# ------------------------------------------------------------------------------ standard errors


def test_standard_errors_need_the_rotation_held():
    x = table(300, 6, 2, 0.1)
    result = fit(x, 2, tol=1e-9)
    with pytest.warns(NotIdentifiedWarning, match=r"the data do not settle mean\[0\]"):
        loose = standard_errors(result, x)  # mean and scale of the factors are parameters too
    assert np.all(np.isinf(loose["loadings"]))
    assert np.all(loose["noise"] < 0.2)
    model, params = result.model.triangular(result.params)
    held = EM(tol=0, max_iter=0).run(model, x, start=params)
    assert held.loglik == pytest.approx(result.loglik, rel=1e-12)
    errors = standard_errors(held, x)
    np.testing.assert_allclose(errors["noise"], loose["noise"], rtol=1e-3)
    assert np.all(errors["loadings"][~model.mask] == 0)
    assert np.all(errors["loadings"][model.mask] > 0)
    seen = (~np.isnan(x)).sum(axis=0)
    _, sigma = covariance(result.model, result.params)
    assert np.all(errors["mean"] < np.sqrt(sigma.diagonal() / seen) * 1.0001)
    assert np.all(errors["mean"] > np.sqrt(sigma.diagonal() / 300) * 0.9999)
