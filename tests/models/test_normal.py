"""The multivariate normal with missing cells: every row by hand, hard data, and where EM ends."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentem import EM, DegenerateComponentWarning, NotIdentifiedWarning, standard_errors
from latentem.datasets import load_airquality
from latentem.engine.backends import SerialBackend
from latentem.families.cells import patterns_of
from latentem.models import MultivariateNormal, NormalParams, NormalPrior, normal
from latentem.models.monotone import monotone_fit, monotone_order, out_of_order
from latentem.models.normal_prior import normal_prior
from latentem.models.patterns import pattern_blocks
from latentem.testing import check_model

NAN = np.nan
AIR = load_airquality().data
MURRAY = np.array(
    [[1, 1], [1, -1], [-1, 1], [-1, -1]]
    + [[2, NAN]] * 2 + [[-2, NAN]] * 2 + [[NAN, 2]] * 2 + [[NAN, -2]] * 2
)  # fmt: skip


def table(n, d, share, seed=0, noise=0.5):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + noise * rng.normal(size=(n, d))
    x[rng.random(x.shape) < share] = NAN
    return x + 3 * rng.normal(size=d)


def some_params(d, seed=1):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d + 2))
    return NormalParams(rng.normal(size=d), root @ root.T / d)


def by_hand(params, x, weights):
    """Log-likelihood, mean and scatter of the completed rows, row by row."""
    mean, covariance = params
    d, loglik, filled, spread, kept = len(mean), 0.0, [], np.zeros((len(mean),) * 2), []
    for row, weight in zip(x, weights, strict=True):
        o, m = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
        if not len(o) or weight == 0:
            continue
        inner = covariance[np.ix_(o, o)]
        gain = np.linalg.solve(inner, covariance[np.ix_(o, m)]).T
        y = row[o] - mean[o]
        logdet = np.linalg.slogdet(inner)[1]
        distance = y @ np.linalg.solve(inner, y)
        loglik -= 0.5 * weight * (len(o) * np.log(2 * np.pi) + logdet + distance)
        full = np.empty(d)
        full[o], full[m] = row[o], mean[m] + gain @ y
        inside = covariance[np.ix_(m, m)] - gain @ covariance[np.ix_(o, m)]
        spread[np.ix_(m, m)] += weight * inside
        filled.append(full)
        kept.append(weight)
    filled, kept = np.array(filled), np.array(kept)
    centre = kept @ filled / kept.sum()
    y = filled - centre
    return loglik, kept.sum(), centre, (y * kept[:, None]).T @ y + spread


def expect(model, params, data, size=None):
    return SerialBackend().expect(model, params, model.blocks(data, size))


@pytest.mark.nojit
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("n", "d", "share"),
    [(7, 1, 0.4), (40, 3, 0.3), (30, 8, 0.2), (30, 8, 0.8), (20, 12, 0.6), (20, 60, 0.5)],
)
def test_e_step_is_that_of_every_row_by_hand(n, d, share, exact, monkeypatch):
    monkeypatch.setattr(normal, "INFLATION", 0.0 if exact else 1e9)
    rng = np.random.default_rng(5)
    x, weights, params = table(n, d, share), rng.integers(0, 3, n) * 0.7, some_params(d)
    loglik, weight, mean, scatter = by_hand(params, x, weights)
    model = MultivariateNormal()
    for size in (None, 4):
        found = expect(model, params, (x, weights), size)
        moments = found.statistics.moments
        assert found.weight == pytest.approx(weight, rel=1e-13)
        assert found.loglik == pytest.approx(loglik, rel=1e-12)
        np.testing.assert_allclose(moments.mean[0], mean, rtol=1e-11, atol=1e-11)
        size_of = np.abs(scatter).max()
        np.testing.assert_allclose(moments.scatter[0], scatter, atol=1e-12 * size_of)
        np.testing.assert_array_equal(moments.scatter[0], moments.scatter[0].T)


@pytest.mark.parametrize("exact", [False, True])
def test_patterns_kept_as_moments_are_their_rows(exact, monkeypatch):
    """Few columns and many rows: every pattern is held as moments."""
    monkeypatch.setattr(normal, "INFLATION", 0.0 if exact else 1e9)
    x, params = table(400, 4, 0.3), some_params(4)
    blocks = MultivariateNormal().blocks(x)
    assert sum(len(block.group_means) for block in blocks) > 8
    loglik, _, mean, scatter = by_hand(params, x, np.ones(len(x)))
    found = expect(MultivariateNormal(), params, x)
    assert found.loglik == pytest.approx(loglik, rel=1e-12)
    np.testing.assert_allclose(found.statistics.moments.mean[0], mean, rtol=1e-11)
    np.testing.assert_allclose(found.statistics.moments.scatter[0], scatter, rtol=1e-10)


def test_units_change_no_answer():
    x, params = table(60, 5, 0.3) * [1.0, 1e6, 1e-6, 3.0, 1.0], some_params(5)
    scale = np.array([1.0, 1e6, 1e-6, 3.0, 1.0])
    params = NormalParams(params.mean * scale, params.covariance * np.outer(scale, scale))
    plain, learned = MultivariateNormal(), MultivariateNormal().learn(x)
    a, b = expect(plain, params, x), expect(learned, params, x)
    assert a.loglik == pytest.approx(b.loglik, rel=1e-12)
    for one, other in zip(
        plain.m_step(a.statistics, params), learned.m_step(b.statistics, params), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    space = learned.constraints()
    np.testing.assert_allclose(
        space.mean.unpack(space.mean.pack(params.mean), params.mean), params.mean, rtol=1e-13
    )
    flat = space.covariance.pack(params.covariance)
    back = space.covariance.unpack(flat, params.covariance)
    np.testing.assert_allclose(back, params.covariance, rtol=1e-12)


def test_a_start_far_from_the_data_loses_no_digit():
    x = table(200, 3, 0.3)
    far = NormalParams(np.full(3, 1e7), np.eye(3))
    scatter = by_hand(far, x, np.ones(len(x)))[3]
    found = expect(MultivariateNormal(), far, x).statistics.moments.scatter[0]
    near = expect(MultivariateNormal(), some_params(3), x[~np.isnan(x).any(axis=1)])
    np.testing.assert_allclose(found, scatter, rtol=1e-6)  # by hand the mean itself rounds at 1e7
    assert np.all(np.isfinite(near.statistics.moments.scatter))


def test_variance_1_around_1e8():
    x = table(300, 4, 0.3)
    a = EM(tol=1e-8).run(MultivariateNormal().learn(x), x)
    b = EM(tol=1e-8).run(MultivariateNormal().learn(x + 1e8), x + 1e8)
    np.testing.assert_allclose(b.params.covariance, a.params.covariance, rtol=1e-5, atol=1e-6)
    assert b.loglik == pytest.approx(a.loglik, abs=1e-5)


@pytest.mark.parametrize("learn", [False, True])
def test_it_keeps_the_contract(learn):
    model = MultivariateNormal()
    weights = np.ones(len(AIR))
    data = (AIR, weights)
    report = check_model(model.learn(data) if learn else model, data, weights=1)
    assert {name for name, _ in report.skipped} == {"fixed values"}


@pytest.mark.parametrize("name", ["ridge", "jeffreys", "inverse-wishart"])
def test_it_keeps_the_contract_with_a_prior(name):
    prior = normal_prior(name, None, None, np.nanvar(AIR, axis=0))
    model = MultivariateNormal(prior).learn(AIR)
    report = check_model(model, AIR)
    assert "Fisher's identity" in dict(report.passed)
    assert "objective does not fall" in dict(report.passed)


def test_priors_have_their_closed_forms():
    x = table(50, 3, 0.0)
    n, d = x.shape
    scatter = (x - x.mean(axis=0)).T @ (x - x.mean(axis=0))
    variances = x.var(axis=0)
    wanted = {
        ("ridge", 4.0, None): (scatter + 4 * np.diag(variances)) / (n + 4),
        ("jeffreys", None, None): scatter / (n + d + 1),
        ("inverse-wishart", 9.0, (1.0, 2.0, 3.0)): (scatter + np.diag([1.0, 2.0, 3.0]))
        / (n + 9 + d + 1),
    }
    for (name, df, scale), covariance in wanted.items():
        model = MultivariateNormal(normal_prior(name, df, scale, variances)).learn(x)
        found = EM(tol=1e-10).run(model, x).params
        np.testing.assert_allclose(found.covariance, covariance, rtol=1e-9)


def test_wrong_priors_are_refused():
    ones = np.ones(2)
    with pytest.raises(ValueError, match="prior must be None, 'ridge'"):
        normal_prior("wishart", None, None, ones)
    with pytest.raises(ValueError, match="prior_df belongs to prior='ridge'"):
        normal_prior(None, 3.0, None, ones)
    with pytest.raises(ValueError, match="prior_scale belongs to"):
        normal_prior("jeffreys", None, ones, ones)
    with pytest.raises(ValueError, match="prior_df must be a number > 0"):
        normal_prior("ridge", 0.0, None, ones)
    with pytest.raises(ValueError, match="prior_df must be a number > 1 "):
        normal_prior("inverse-wishart", 0.5, None, ones)
    with pytest.raises(ValueError, match=r"prior_scale must have shape \(2,\) or \(2, 2\)"):
        normal_prior("ridge", None, np.ones(3), ones)
    for bad in ([[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.0, 1.0]], [1.0, NAN]):
        with pytest.raises(ValueError, match="symmetric and positive definite"):
            normal_prior("ridge", None, bad, ones)
    with pytest.raises(ValueError, match="prior_scale must hold numbers"):
        normal_prior("ridge", None, "ab", ones)


def test_murray_leaves_the_saddle_at_which_the_data_are_symmetric():
    """Maxima at correlation +-0.5 (Murray 1977); the diagonal point between them is a saddle."""
    model = MultivariateNormal().learn(MURRAY)
    result = EM(tol=1e-10).run(model, MURRAY)
    a, b = result.params.covariance[0]
    assert a == pytest.approx(8 / 3, abs=1e-4)
    assert abs(b) / a == pytest.approx(0.5, abs=1e-4)
    begun = NormalParams(np.zeros(2), 2.5 * np.eye(2))
    saddle = EM(tol=0, max_iter=30, accelerate=None).run(model, MURRAY, start=begun)
    assert abs(saddle.params.covariance[0, 1]) < 1e-6
    assert result.loglik > saddle.loglik + 0.05
    left = EM(tol=1e-10).run(model, MURRAY, start=begun)  # a covariance of rounding grows
    on_saddle = left.params.covariance[0, 1] == pytest.approx(0.0, abs=1e-12)  # if it was exactly 0
    assert on_saddle or left.loglik == pytest.approx(result.loglik, abs=1e-8)


def test_columns_never_seen_together_are_named():
    x = table(200, 4, 0.0)
    x[:100, 1], x[100:, 3] = NAN, NAN
    with pytest.warns(NotIdentifiedWarning, match="columns 1 and 3 are never seen together"):
        EM().run(MultivariateNormal().learn(x), x)
    prior = normal_prior("ridge", None, None, np.nanvar(x, axis=0))
    result = EM().run(MultivariateNormal(prior).learn(x), x)  # settled by the prior
    assert result.notes == ()
    x = table(200, 6, 0.0)
    x[:100, :3], x[100:, 3:] = NAN, NAN
    with pytest.warns(NotIdentifiedWarning) as told:
        EM().run(MultivariateNormal().learn(x), x)
    assert len(told) == 4
    assert "6 more pairs of columns are never seen together" in str(told[-1].message)


def test_collinear_columns_are_named():
    x = table(200, 4, 0.0)
    x = np.column_stack([x, x[:, 0] + 2 * x[:, 2]])
    x[np.random.default_rng(1).random(x.shape) < 0.2] = NAN
    words = "columns 0, 2 and 4 are collinear"
    with pytest.warns(DegenerateComponentWarning, match=words):
        result = EM(tol=1e-6).run(MultivariateNormal().learn(x), x)
    assert result.converged
    assert result.degenerate


def test_fewer_rows_than_columns():
    x = table(10, 20, 0.1)
    words = "rows of weight 10 cannot tell the covariance of 20 columns"
    with pytest.warns(DegenerateComponentWarning, match=words):
        EM().run(MultivariateNormal().learn(x), x)
    prior = normal_prior("ridge", None, None, np.nanvar(x, axis=0))
    result = EM().run(MultivariateNormal(prior).learn(x), x)
    assert result.converged
    assert not result.degenerate


@pytest.mark.parametrize("near", [1e-1, 1e-2, 1e-3, 1e-4])
def test_nearly_collinear_columns_converge_without_a_fall(near):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(500, 5)) @ rng.normal(size=(5, 5))
        x = np.column_stack([x, x[:, 0] + near * rng.normal(size=500)])
        x[rng.random(x.shape) < 0.2] = NAN
        result = EM(tol=1e-6, on_decrease="raise").run(MultivariateNormal().learn(x), x)
        assert result.converged


def test_the_two_ways_of_an_e_step_agree_where_both_are_exact(monkeypatch):
    x, params = table(300, 10, 0.25), some_params(10)
    monkeypatch.setattr(normal, "INFLATION", 1e9)
    fast = expect(MultivariateNormal(), params, x)
    monkeypatch.setattr(normal, "INFLATION", 0.0)
    exact = expect(MultivariateNormal(), params, x)
    assert fast.loglik == pytest.approx(exact.loglik, rel=1e-12)
    np.testing.assert_allclose(
        fast.statistics.moments.scatter, exact.statistics.moments.scatter, rtol=1e-9, atol=1e-8
    )


def test_the_starting_correlations_are_positive_definite_and_sensible():
    x = table(40, 6, 0.5, seed=3)
    model = MultivariateNormal().learn(x)
    mean, covariance = model.initialize(model.blocks(x), np.random.default_rng(0))
    np.testing.assert_allclose(mean, np.nanmean(x, axis=0), rtol=1e-12)
    np.testing.assert_allclose(covariance.diagonal(), np.nanvar(x, axis=0), rtol=1e-12)
    deviations = np.sqrt(covariance.diagonal())
    assert np.linalg.eigvalsh(covariance / np.outer(deviations, deviations))[0] > 0.04
    x = table(5000, 3, 0.1)
    model = MultivariateNormal().learn(x)
    _, covariance = model.initialize(model.blocks(x), np.random.default_rng(0))
    fitted = EM(tol=1e-8).run(model, x).params.covariance
    np.testing.assert_allclose(covariance, fitted, atol=0.02 * np.abs(fitted).max())


def test_rows_without_a_cell_and_weight_0_do_not_count():
    x = table(50, 3, 0.3)
    more = np.vstack([x, np.full((4, 3), NAN), [[1e9, 2.0, 3.0]]])
    weights = np.append(np.ones(54), 0.0)
    model = MultivariateNormal()
    a, b = expect(model, some_params(3), x), expect(model, some_params(3), (more, weights))
    assert a.weight == b.weight == (~np.isnan(x).all(axis=1)).sum()
    assert a.loglik == b.loglik
    with pytest.raises(ValueError, match="no row has a cell that is seen and a weight"):
        model.blocks(np.full((3, 2), NAN))


def test_standard_errors_from_the_result_of_a_run():
    result = EM(tol=1e-8).run(MultivariateNormal().learn(AIR), AIR)
    errors = standard_errors(result, AIR)
    complete = np.sqrt(result.params.covariance.diagonal() / len(AIR))
    assert np.all(errors["mean"] >= complete * (1 - 1e-6))
    np.testing.assert_allclose(errors["mean"][2:], complete[2:], rtol=1e-6)  # fully seen columns


@given(st.integers(1, 130), st.integers(1, 60), st.integers(0, 1000))
def test_patterns_are_exact_whatever_the_number_of_columns(d, n, seed):
    rng = np.random.default_rng(seed)
    base = rng.random((3, d)) < 0.5
    mask = base[rng.integers(3, size=n)]
    mask[rng.random(n) < 0.5, -1] ^= True  # patterns that differ in the last column alone
    found = patterns_of(mask)
    wanted, counts = np.unique(mask, axis=0, return_counts=True)
    assert len(found.missing) == len(wanted)
    assert sorted(map(tuple, found.missing)) == sorted(map(tuple, wanted))
    assert sorted(found.counts) == sorted(counts)
    np.testing.assert_array_equal(found.missing[found.of_rows()], mask)
    for begin, end in zip(found.first[:-1], found.first[1:], strict=True):
        assert np.all(np.diff(found.order[begin:end]) > 0)


def test_no_pattern_is_cut_and_every_row_is_in_one_block():
    x = table(3000, 8, 0.3)
    missing = np.isnan(x)
    for size in (None, 100, 10**6):
        blocks = pattern_blocks(x, missing, np.ones(len(x)), np.zeros(8), np.ones(8), size)
        keys = [tuple(row) for b in blocks for row in [*b.missing, *b.group_missing]]
        assert len(keys) == len(set(keys)) == len(patterns_of(missing).missing)
        assert sum(block.weight for block in blocks) == len(x)
        if size == 100:
            assert len(blocks) > 10


def monotone_table(n, d, seed):
    x = table(n, d, 0.0, seed)
    rng = np.random.default_rng(seed)
    seen = np.sort(rng.integers(d + 2, n + 1, size=d))[::-1]
    for j in range(d):
        x[seen[j] :, j] = NAN
    return x[rng.permutation(n)][:, rng.permutation(d)]


@given(st.integers(1, 6), st.integers(0, 1000))
def test_the_closed_form_of_a_monotone_table_is_a_fixed_point_of_em(d, seed):
    x = monotone_table(30, d, seed)
    x = x[~np.isnan(x).all(axis=1)]
    weights = np.random.default_rng(seed).integers(1, 4, len(x)).astype(float)
    model = MultivariateNormal().learn((x, weights))
    params = monotone_fit(model, (x, weights))
    assert params is not None
    found = expect(model, params, (x, weights))
    image = model.m_step(found.statistics, params)
    scale = np.sqrt(params.covariance.diagonal())
    np.testing.assert_allclose((image.mean - params.mean) / scale, 0.0, atol=1e-10)
    units = np.outer(scale, scale)
    np.testing.assert_allclose((image.covariance - params.covariance) / units, 0.0, atol=1e-10)


def test_monotone_patterns_are_recognised():
    stairs = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
    assert monotone_order(stairs).tolist() == [1, 0, 2]
    assert out_of_order(stairs) is None
    crossed = np.vstack([stairs, [[1, 0, 0]]]).astype(bool)
    assert monotone_order(crossed) is None
    assert set(out_of_order(crossed)) == {0, 2}


def test_no_closed_form_where_there_is_no_maximum():
    x = table(30, 3, 0.0)
    x[:, 2] = x[:, 0]
    assert monotone_fit(MultivariateNormal().learn(x), x) is None
    x = table(30, 3, 0.0)
    x[2:, 2] = NAN
    assert monotone_fit(MultivariateNormal().learn(x), x) is None


def test_fits_do_not_depend_on_threads():
    x = table(4000, 12, 0.3)
    model = MultivariateNormal().learn(x)
    assert len(model.blocks(x, 400)) > 2
    fits = [EM(n_jobs=n, block_size=400).run(model, x) for n in (1, 2, 3)]
    for fit in fits[1:]:
        assert fit.loglik == fits[0].loglik
        np.testing.assert_array_equal(fit.params.covariance, fits[0].params.covariance)


def test_a_prior_of_weight_0_is_none():
    x = table(60, 3, 0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a = EM().run(MultivariateNormal().learn(x), x)
        b = EM().run(MultivariateNormal(NormalPrior(0.0, np.zeros((3, 3)))).learn(x), x)
    assert a.objective == b.objective


def test_the_column_that_is_hardly_seen_is_named():
    """Three cells of it: nothing is collinear, and to leave out another would not help."""
    x = table(200, 4, 0.2)
    x[3:, 2] = NAN
    x[:3, 2] = 3.0, 4.0, 7.0
    with pytest.warns(DegenerateComponentWarning, match="too few rows .* leave out column 2"):
        EM(max_iter=3000).run(MultivariateNormal().learn(x), x)
