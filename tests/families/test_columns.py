"""What families of independent columns share: missing cells, weights, starts, moments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from latentem import EM
from latentem.engine.trees import leaves, zip_leaves
from latentem.families import (
    Bernoulli,
    BernoulliParams,
    Categorical,
    CategoricalParams,
    Exponential,
    ExponentialParams,
)
from latentem.models import Mixture
from latentem.testing import check_family

SIZES = (3, 2)
FAMILIES = [Bernoulli(), Exponential(), Categorical(SIZES)]
NAMES = ["bernoulli", "exponential", "categorical"]
every = pytest.mark.parametrize("family", FAMILIES, ids=NAMES)


def params(family, rng, k=2):
    """Parameters of two columns."""
    if isinstance(family, Bernoulli):
        return BernoulliParams(rng.uniform(0.1, 0.9, (k, 2)))
    if isinstance(family, Exponential):
        return ExponentialParams(rng.gamma(2.0, 3.0, (k, 2)))
    return CategoricalParams(np.hstack([rng.dirichlet(np.ones(size), k) for size in SIZES]))


def rows(family, rng, n=60, missing=0.3):
    found = family.sample(params(family, rng, 3), rng.integers(3, size=n), rng)
    return np.where(rng.random(found.shape) < missing, np.nan, found)


def by_scipy(family, at, x, k, j):
    """Log density of one column under one component, as scipy has it."""
    if isinstance(family, Bernoulli):
        return stats.bernoulli.logpmf(x, at.probs[k, j])
    if isinstance(family, Exponential):
        return stats.expon.logpdf(x, scale=at.scales[k, j])
    probs = at.emissionprob[k, [slice(0, 3), slice(3, 5)][j]]
    return stats.multinomial.logpmf((x[:, None] == np.arange(len(probs))).astype(int), 1, probs)


@every
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30))
def test_log_density_is_that_of_the_cells_seen(family, seed, n):
    rng = np.random.default_rng(seed)
    at, x = params(family, rng), rows(family, rng, n)
    expected = np.zeros((2, n))
    for j in range(2):
        seen = ~np.isnan(x[:, j])
        for k in range(2):
            expected[k, seen] += by_scipy(family, at, x[seen, j], k, j)
    found = family.log_density(family.prepare(at), family.encode(x))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@every
@given(seed=st.integers(0, 2**32 - 1))
def test_integer_weights_are_repetitions(family, seed):
    rng = np.random.default_rng(seed)
    at, x = params(family, rng), rows(family, rng)
    counts, share = rng.integers(0, 4, len(x)), rng.dirichlet([1.0, 1.0], len(x)).T
    prepared = family.prepare(at)
    weighted = family.statistics(prepared, family.encode(x), np.ascontiguousarray(share * counts))
    repeated = family.statistics(
        prepared, family.encode(np.repeat(x, counts, axis=0)), np.repeat(share, counts, axis=1)
    )
    zip_leaves(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12),
               weighted, repeated)  # fmt: skip


@every
@given(seed=st.integers(0, 2**32 - 1))
def test_the_m_step_is_that_of_the_rows_that_show_the_column(family, seed):
    """Each column can be cut to the rows that show it, and fitted alone."""
    rng = np.random.default_rng(seed)
    x, share = rows(family, rng), np.ascontiguousarray(rng.dirichlet([1.0, 1.0], 60).T)
    at = params(family, rng)
    new = family.maximize(family.statistics(family.prepare(at), family.encode(x), share), at)
    means, _ = family.moments(new)
    for j in range(2):
        seen = ~np.isnan(x[:, j])
        expected = share[:, seen] @ x[seen, j] / share[:, seen].sum(axis=1)
        np.testing.assert_allclose(means[:, j], expected, rtol=1e-11, atol=1e-14)


@every
def test_q_of_hard_weights_is_the_log_likelihood(family, rng):
    at, x = params(family, rng), rows(family, rng)
    kind = rng.integers(2, size=len(x))
    prepared, encoded = family.prepare(at), family.encode(x)
    hard = (kind == np.arange(2)[:, None]).astype(float)
    q = family.expected_loglik(at, family.statistics(prepared, encoded, hard))
    each = family.log_density(prepared, encoded)[kind, np.arange(len(x))]
    assert q == pytest.approx(each.sum(), rel=1e-12)


@every
def test_the_family_with_missing_cells_keeps_the_contract(family, rng):
    report = check_family(family, rows(family, rng, 200, missing=0.2))
    assert {name for name, _ in report.skipped} == {"densities integrate to 1", "fixed values"}


@every
def test_a_row_of_missing_cells_changes_nothing(family, rng):
    at, x = params(family, rng), rows(family, rng)
    blank = np.vstack([x, np.full((2, 2), np.nan)])
    share = np.ascontiguousarray(rng.dirichlet([1.0, 1.0], 62).T)
    prepared = family.prepare(at)
    assert (family.log_density(prepared, family.encode(blank))[:, 60:] == 0).all()
    zip_leaves(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13),
        family.statistics(prepared, family.encode(blank), share),
        family.statistics(prepared, family.encode(x), np.ascontiguousarray(share[:, :60])),
    )


@every
def test_moments_are_those_of_samples(family, rng):
    at, n = params(family, rng), 200_000
    drawn = [family.sample(at, np.full(n, k), rng) for k in range(2)]
    means, variances = family.moments(at)
    assert means.shape == variances.shape == (2, 2)
    off = [part.mean(axis=0) for part in drawn] - means
    assert (np.abs(off) < 5 * np.sqrt(variances / n)).all()
    np.testing.assert_allclose([part.var(axis=0) for part in drawn], variances, rtol=0.05)


@every
def test_a_start_is_inside_its_set_with_components_that_differ(family, rng):
    """Whatever the shares: one row each, or nothing for a component."""
    x = family.encode(rows(family, rng, 50))
    shares = np.zeros((4, 50))
    shares[[0, 1], [3, 7]] = 1.0
    start = family.initialize(x, shares, rng)
    for _, value in leaves(start):
        assert (value > 0).all()
        if not isinstance(family, Exponential):
            assert (value < 1).all()
        assert len(np.unique(value.round(12), axis=0)) == 4
    assert np.isfinite(family.log_density(family.prepare(start), x)).all()


@every
def test_points_are_finite_with_missing_cells_at_the_mean_of_their_column(family, rng):
    x = rows(family, rng)
    points = family.points(family.encode(x))
    assert np.isfinite(points).all()
    lost = np.isnan(x[:, 0])
    np.testing.assert_allclose(points[lost, 0], points[~lost, 0].mean(), rtol=1e-12)
    x[:, 1] = np.nan  # a column never seen
    assert np.isfinite(family.points(family.encode(x))).all()


@every
def test_fixed_groups_stay_and_unknown_ones_are_refused(family, rng):
    kind = type(family)
    name = params(family, rng)._fields[0]
    arguments = {"n_categories": SIZES} if kind is Categorical else {}
    held = kind(fixed=(name,), **arguments)
    start = Mixture(family, 2).initialize(Mixture(family, 2).blocks(rows(family, rng)), rng)
    result = EM(n_jobs=1).run(Mixture(held, 2), rows(family, rng), start=start)
    np.testing.assert_array_equal(result.params.family[0], start.family[0])
    assert result.params.weights[0] != start.weights[0]
    with pytest.raises(ValueError, match=rf"fixed knows '{name}', got \['means'\]"):
        kind(fixed=("means",))
