"""The kernels of missing cells and patterns against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from latentem.engine.backends import SerialBackend
from latentem.kernels.missing import complete_rows
from latentem.kernels.patterns import (
    column_moments,
    factor_scatters,
    gather_rows,
    group_moments,
)
from latentem.models import MultivariateNormal, NormalParams
from latentem.models.conditionals import missing_information

NAN = np.nan


def covariance_of(d, seed=0):
    root = np.random.default_rng(seed).normal(size=(d, d + 3))
    return root @ root.T / d


@pytest.mark.nojit
@pytest.mark.parametrize(("d", "share"), [(1, 0.0), (4, 0.3), (9, 0.8), (60, 0.5)])
def test_information_about_means(d, share):
    rng = np.random.default_rng(d)
    missing = rng.random((12, d)) < share
    missing[0] = False
    weights = rng.uniform(1, 5, len(missing))
    covariance, information = covariance_of(d), np.zeros((d, d))
    for absent, weight in zip(missing, weights, strict=True):
        o = np.flatnonzero(~absent)
        information[np.ix_(o, o)] += weight * np.linalg.inv(covariance[np.ix_(o, o)])
    complete = covariance.diagonal() / weights.sum()
    wanted = 1 - complete / np.linalg.inv(information).diagonal()
    found = missing_information(NormalParams(np.zeros(d), covariance), missing, weights)
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.nojit
def test_moments_of_columns_and_groups():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)) + np.array([1e8, 0.0, -5.0])
    missing = np.zeros((2, 3), dtype=bool)
    missing[1, 1] = True
    x[25:, 1] = NAN
    weights = rng.uniform(0.5, 2.0, 40)
    total, mean, scatter = np.empty(3), np.empty(3), np.empty(3)
    column_moments(x, weights, total, mean, scatter)
    for j in range(3):
        seen = ~np.isnan(x[:, j])
        w, c = weights[seen], x[seen, j]
        assert total[j] == pytest.approx(w.sum(), rel=1e-14)
        assert mean[j] == pytest.approx(np.average(c, weights=w), rel=1e-14, abs=1e-14)
        assert scatter[j] == pytest.approx(w @ (c - np.average(c, weights=w)) ** 2, rel=1e-6)
    centre, scale = np.array([1e8, 0.5, -5.0]), np.array([2.0, 3.0, 0.5])
    z = (x - centre) / scale
    order = np.concatenate([rng.permutation(25), 25 + rng.permutation(15)])
    first = np.array([0, 25, 40])
    weight, means, scatters = np.empty(2), np.empty((2, 3)), np.empty((2, 3, 3))
    group_moments(
        x, weights, order, missing, first[:-1], first[1:], centre, scale, weight, means, scatters
    )
    for g, part in enumerate((slice(0, 25), slice(25, 40))):
        rows, w = np.where(missing[g], 0.0, z[part]), weights[part]
        middle = w @ rows / w.sum()
        y = rows - middle
        assert weight[g] == pytest.approx(w.sum(), rel=1e-14)
        np.testing.assert_allclose(means[g], middle, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(scatters[g], (y * w[:, None]).T @ y, rtol=1e-6, atol=1e-12)
    rows, kept = np.empty((40, 3)), np.empty(40)
    gather_rows(x, weights, order, missing, first, centre, scale, rows, kept)
    np.testing.assert_array_equal(kept, weights[order])
    np.testing.assert_allclose(rows, np.where(np.isnan(x), 0.0, z)[order], rtol=1e-14)


@pytest.mark.nojit
@pytest.mark.parametrize("rank", [0, 1, 3, 5])
def test_rows_that_have_a_scatter(rank):
    root = np.random.default_rng(rank).normal(size=(5, rank)) * [[1e-4], [1.0], [3.0], [1.0], [0]]
    scatters = (root @ root.T)[None]
    out = np.empty((1, 5, 5))
    factor_scatters(scatters, out)
    np.testing.assert_allclose(out[0].T @ out[0], scatters[0], atol=1e-14 * (1 + scatters.max()))


def test_determinants_that_overflow_as_products():
    """Logarithms are taken before a product of pivots leaves float64."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 12))
    x[rng.random(x.shape) < 0.4] = NAN
    cells = (~np.isnan(x)).sum()
    covariance, backend = covariance_of(12), SerialBackend()
    model = MultivariateNormal()
    plain = backend.expect(model, NormalParams(np.zeros(12), covariance), model.blocks(x))
    for unit in (1e-60, 1e60):
        params = NormalParams(np.zeros(12), covariance * unit**2)
        found = backend.expect(model, params, model.blocks(x * unit))
        assert found.loglik + cells * np.log(unit) == pytest.approx(plain.loglik, rel=1e-12)


def test_a_block_that_is_not_positive_definite_gives_nan():
    """So that a proposal there is refused."""
    precision = np.eye(4)
    precision[2, 3] = precision[3, 2] = 2.0
    missing = np.array([[False, False, True, True]])
    filled, spread = np.empty((1, 4)), np.zeros((4, 4))
    logdets = np.zeros(1)
    complete_rows(
        np.zeros((1, 4)), np.ones(1), np.ones(1), np.array([0, 1]), missing, np.zeros(4),
        np.eye(4), precision, 0.0, filled, spread, logdets,
    )  # fmt: skip
    assert np.isnan(logdets[0])
