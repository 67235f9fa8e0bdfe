"""Log-density and moment kernels against their plain numpy twins."""

from __future__ import annotations

import numpy as np
import pytest

from latentem.kernels import gaussian as kernels
from latentem.kernels.gaussian import DIAG, FULL, NORM, log_densities, moment_sums

SIZES = [(1, 1), (7, 2), (8, 3), (9, 3), (40, 5)]
KINDS = [FULL, DIAG, NORM]
EMPTY = np.empty((0, 0))


def twin(x, centre, kind):
    y = (x - centre).T
    d = len(centre)
    if kind == NORM:
        return np.vstack([np.ones(len(x)), y, (y * y).sum(axis=0)])
    pairs = [(a, b) for a in range(d) for b in (range(a, d) if kind == FULL else [a])]
    return np.vstack([np.ones(len(x)), y, *[y[a] * y[b] for a, b in pairs]])


def case(rng, m, d, kind, n_components=3):
    x, centre = rng.normal(1e3, 1.0, size=(m, d)), rng.normal(1e3, 1.0, size=d)
    features = twin(x, centre, kind)
    coefficients = rng.normal(size=(n_components, len(features)))
    return x, centre, features, coefficients, rng.random((n_components, m))


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("m", "d"), SIZES)
@pytest.mark.parametrize("kept", [True, False])
def test_log_densities_and_moments_equal_the_twin(m, d, kind, kept, rng):
    x, centre, features, coefficients, weights = case(rng, m, d, kind)
    left = np.full(features.shape, np.nan) if kept else EMPTY
    out = np.full((3, m), np.nan)
    log_densities(x, centre, coefficients, kind, left, out)
    np.testing.assert_allclose(out, coefficients @ features, rtol=1e-12, atol=1e-12)
    if kept:
        np.testing.assert_allclose(left, features, rtol=1e-13, atol=1e-13)
    sums = np.ones((3, len(features)))
    moment_sums(x, centre, weights, kind, left, sums)
    np.testing.assert_allclose(sums, 1 + weights @ features.T, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_add_up_to_the_whole(kind, rng):
    d = 3
    p = len(twin(np.zeros((1, d)), np.zeros(d), kind))
    m = 2 * kernels.TILE // p + 17  # three tiles, of a size that is no multiple of eight
    x, centre, features, coefficients, weights = case(rng, m, d, kind)
    tiled, whole = np.empty((3, m)), np.empty((3, m))
    left = np.empty(features.shape)
    log_densities(x, centre, coefficients, kind, EMPTY, tiled)
    log_densities(x, centre, coefficients, kind, left, whole)
    np.testing.assert_allclose(tiled, whole, rtol=1e-12, atol=1e-12)
    sums = np.zeros((2, 3, p))
    moment_sums(x, centre, weights, kind, EMPTY, sums[0])
    moment_sums(x, centre, weights, kind, left, sums[1])
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-11)
