"""From Gaussian parameters to coefficients of features, and from sums of features to moments."""

from __future__ import annotations

import numpy as np
import pytest

from latentem.families import covariance as cov
from latentem.families import expansion
from latentem.families.covariance import KINDS
from latentem.kernels.gaussian import DIAG, FULL, NORM
from tests.kernels.test_gaussian_features import twin

FEATURES = {"full": FULL, "diag": DIAG, "spherical": NORM, "tied": NORM}


def covariances_of(rng, kind, k, d):
    """Compact covariances, and the same as (K, d, d)."""
    roots = rng.normal(size=(k, d, d + 2))
    matrices = roots @ roots.transpose(0, 2, 1)
    if kind == "full":
        return matrices, matrices
    if kind == "tied":
        return matrices[0], np.repeat(matrices[:1], k, axis=0)
    variances = rng.uniform(0.5, 2.0, size=(k, d) if kind == "diag" else k)
    return variances, (variances if kind == "diag" else variances[:, None])[:, None] * np.eye(d)


def placed(x, centre, whitener, kind):
    return ((x - centre) @ whitener.T, np.zeros(len(centre))) if kind == "tied" else (x, centre)


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("k", "d"), [(1, 1), (3, 2), (2, 4)])
def test_coefficients_are_those_of_the_log_density(k, d, kind, rng):
    compact, matrices = covariances_of(rng, kind, k, d)
    means, centre = rng.normal(5.0, 1.0, size=(k, d)), rng.normal(5.0, 1.0, size=d)
    whitener = np.linalg.inv(np.linalg.cholesky(matrices[0]))
    precisions = {"full": np.linalg.inv(matrices), "tied": whitener}.get(kind)
    precisions = 1 / compact if precisions is None else precisions
    x = rng.normal(5.0, 2.0, size=(20, d))
    features = twin(*placed(x, centre, whitener, kind), FEATURES[kind])
    found, reach = expansion.coefficients(means, centre, precisions, kind)
    assert found.shape == (k, expansion.size(d, kind)) == (k, len(features))
    assert not found[:, 0].any()
    for j in range(k):
        precision = np.linalg.inv(matrices[j])
        apart, away = centre - means[j], x - means[j]
        assert reach[j] == pytest.approx(apart @ precision @ apart, rel=1e-10)
        distances = np.einsum("ma,ab,mb->m", away, precision, away)
        np.testing.assert_allclose(
            found[j] @ features, -0.5 * (distances - reach[j]), rtol=1e-9, atol=1e-9
        )


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 3])
def test_moments_of_sums_are_those_of_the_rows(d, kind, rng):
    m, k = 30, 3
    x, centre = rng.normal(2.0, 1.0, size=(m, d)), rng.normal(2.0, 0.5, size=d)
    weights = rng.random((k, m))
    weights[2] = 0.0
    features = twin(x, centre, FEATURES[kind])
    y = features[1 : 1 + d]
    cross = (y * weights.sum(axis=0)) @ y.T
    offset, moved, scatter = expansion.moments(weights @ features.T, d, kind, cross)
    mean = centre + offset
    np.testing.assert_array_equal(mean[2], centre)
    expected = np.zeros((k, d, d))
    for j in (0, 1):
        own = np.average(x, axis=0, weights=weights[j])
        np.testing.assert_allclose(mean[j], own, rtol=1e-10)
        expected[j] = (weights[j] * (x - own).T) @ (x - own)
    about = expected + np.einsum("k,ka,kb->kab", weights.sum(axis=1), offset, offset)
    if kind == "tied":
        expected, about = expected.sum(axis=0), about.sum(axis=0)
    elif kind != "full":
        expected, about = (np.diagonal(part, 0, 1, 2) for part in (expected, about))
    if kind == "spherical":
        expected, about = expected.mean(axis=1), about.mean(axis=1)
    assert scatter.shape == cov.shape(kind, k, d)
    np.testing.assert_allclose(scatter, expected, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(scatter + moved, about, rtol=1e-9, atol=1e-10)
