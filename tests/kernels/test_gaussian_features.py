"""Log-density and moment kernels against their plain numpy twins."""

from __future__ import annotations

import numpy as np
import pytest

from latentem.kernels import gaussian as kernels
from latentem.kernels.gaussian import (
    DIAG,
    FULL,
    NORM,
    TIED,
    expand,
    log_densities,
    moment_sums,
    moments_of_sums,
)

SIZES = [(1, 1), (7, 2), (8, 3), (9, 3), (40, 5)]
KINDS = [FULL, DIAG, NORM, TIED]
EMPTY = np.empty((0, 0))


def twin(x, centre, whitener, kind):
    y = (x - centre).T
    d = len(centre)
    if kind == TIED:
        y = whitener @ y
    if kind in (NORM, TIED):
        return np.vstack([np.ones(len(x)), y, (y * y).sum(axis=0)])
    pairs = [(a, b) for a in range(d) for b in (range(a, d) if kind == FULL else [a])]
    return np.vstack([np.ones(len(x)), y, *[y[a] * y[b] for a, b in pairs]])


def case(rng, m, d, kind, n_components=3):
    x, centre = rng.normal(1e3, 1.0, size=(m, d)), rng.normal(1e3, 1.0, size=d)
    whitener = np.tril(rng.normal(size=(d, d)))
    features = twin(x, centre, whitener, kind)
    coefficients = rng.normal(size=(n_components, len(features)))
    return x, centre, whitener, features, coefficients, rng.random((n_components, m))


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("m", "d"), SIZES)
@pytest.mark.parametrize("kept", [True, False])
def test_log_densities_and_moments_equal_the_twin(m, d, kind, kept, rng):
    x, centre, whitener, features, coefficients, weights = case(rng, m, d, kind)
    left = np.full(features.shape, np.nan) if kept else EMPTY
    out = np.full((3, m), np.nan)
    log_densities(x, centre, whitener, coefficients, kind, left, out)
    np.testing.assert_allclose(out, coefficients @ features, rtol=1e-12, atol=1e-12)
    if kept:
        np.testing.assert_allclose(left, features, rtol=1e-13, atol=1e-13)
    sums, cross = np.ones((3, len(features))), np.ones((d, d))
    moment_sums(x, centre, whitener, weights, kind, left, sums, cross)
    np.testing.assert_allclose(sums, 1 + weights @ features.T, rtol=1e-12)
    y = features[1 : 1 + d]
    expected = (y * weights.sum(axis=0)) @ y.T if kind == TIED else np.zeros((d, d))
    np.testing.assert_allclose(cross, 1 + expected, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_add_up_to_the_whole(kind, rng):
    d = 3
    p = len(twin(np.zeros((1, d)), np.zeros(d), np.eye(d), kind))
    m = 2 * kernels.TILE // p + 17  # three tiles, of a size that is no multiple of eight
    x, centre, whitener, features, coefficients, weights = case(rng, m, d, kind)
    tiled, whole = np.empty((3, m)), np.empty((3, m))
    left = np.empty(features.shape)
    log_densities(x, centre, whitener, coefficients, kind, EMPTY, tiled)
    log_densities(x, centre, whitener, coefficients, kind, left, whole)
    np.testing.assert_allclose(tiled, whole, rtol=1e-12, atol=1e-12)
    sums, cross = np.zeros((2, 3, p)), np.zeros((2, d, d))
    moment_sums(x, centre, whitener, weights, kind, EMPTY, sums[0], cross[0])
    moment_sums(x, centre, whitener, weights, kind, left, sums[1], cross[1])
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-11)
    np.testing.assert_allclose(cross[0], cross[1], rtol=1e-11)


def covariances_of(rng, kind, n_components, d):
    """As the kernels take them, and as (K, d, d)."""
    roots = rng.normal(size=(n_components, d, d + 2))
    matrices = roots @ roots.transpose(0, 2, 1)
    variances = rng.uniform(0.5, 2.0, size=(n_components, 1, d))
    if kind == FULL:
        return matrices, matrices
    if kind == TIED:
        return matrices[:1], np.repeat(matrices[:1], n_components, axis=0)
    variances = variances if kind == DIAG else variances[:, :, :1]
    return variances, variances.transpose(0, 2, 1) * np.eye(d)


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("k", "d"), [(1, 1), (3, 2), (2, 4)])
def test_coefficients_are_those_of_the_log_density(k, d, kind, rng):
    compact, matrices = covariances_of(rng, kind, k, d)
    means, centre = rng.normal(5.0, 1.0, size=(k, d)), rng.normal(5.0, 1.0, size=d)
    whitener = np.linalg.inv(np.linalg.cholesky(matrices[0]))
    precisions = {FULL: np.linalg.inv(matrices), TIED: whitener[None]}.get(kind, 1 / compact)
    x = rng.normal(5.0, 2.0, size=(20, d))
    features = twin(x, centre, whitener, kind)
    coefficients, reach = np.full((k, len(features)), np.nan), np.empty(k)
    least = expand(means, centre, precisions, kind, coefficients, reach)
    assert least == min(0.0, coefficients[:, 1 + d :].min())
    assert np.isnan(coefficients[:, 0]).all()
    for j in range(k):
        precision = np.linalg.inv(matrices[j])
        apart = centre - means[j]
        assert reach[j] == pytest.approx(apart @ precision @ apart, rel=1e-10)
        away = x - means[j]
        distances = np.einsum("ma,ab,mb->m", away, precision, away)
        np.testing.assert_allclose(
            coefficients[j, 1:] @ features[1:], -0.5 * (distances - reach[j]), rtol=1e-9, atol=1e-9
        )


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 3])
def test_moments_of_sums_are_those_of_the_rows(d, kind, rng):
    m, k = 30, 3
    x, centre = rng.normal(2.0, 1.0, size=(m, d)), rng.normal(2.0, 0.5, size=d)
    weights = rng.random((k, m))
    whitener = np.tril(rng.normal(size=(d, d))) + 2 * np.eye(d)
    features = twin(x, centre, whitener, kind)
    y = features[1 : 1 + d]
    sums, cross = weights @ features.T, (y * weights.sum(axis=0)) @ y.T
    shape = {FULL: (k, d, d), TIED: (1, d, d), DIAG: (k, 1, d), NORM: (k, 1, 1)}[kind]
    offset, scatter = np.full((k, d), np.nan), np.full(shape, np.nan)
    assert not moments_of_sums(sums, cross, kind, 1e-9, offset, scatter)
    weights[2], sums[2] = 0.0, 0.0
    cross = (y * weights.sum(axis=0)) @ y.T
    exact = moments_of_sums(sums, cross, kind, 1e4, offset, scatter)
    assert exact
    if kind == TIED:
        offset = offset @ np.linalg.inv(whitener).T
        scatter = np.linalg.inv(whitener) @ scatter @ np.linalg.inv(whitener).T
    mean = centre + offset
    np.testing.assert_array_equal(mean[2], centre)
    expected = np.zeros((k, d, d))
    for j in (0, 1):
        own = np.average(x, axis=0, weights=weights[j])
        np.testing.assert_allclose(mean[j], own, rtol=1e-10)
        expected[j] = (weights[j] * (x - own).T) @ (x - own)
    if kind == TIED:
        expected = expected.sum(axis=0)[None]
    elif kind != FULL:
        expected = np.diagonal(expected, 0, 1, 2)[:, None]
        expected = expected if kind == DIAG else expected.mean(axis=2, keepdims=True)
    np.testing.assert_allclose(scatter, expected, rtol=1e-9, atol=1e-10)
