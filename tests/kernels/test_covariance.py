"""Factors of small covariance matrices against LAPACK."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_triangular

from latentem.families import covariance as cov
from latentem.kernels.covariance import FEW, whiten


def matrices(rng, n, d):
    roots = rng.normal(size=(n, d, 2 * d))
    return roots @ roots.transpose(0, 2, 1)


@pytest.mark.nojit
@pytest.mark.parametrize("d", [1, 2, 5])
def test_whiteners_and_determinants_are_those_of_lapack(d, rng):
    covariances, lowered = matrices(rng, 3, d), rng.uniform(0.0, 0.1, size=(3, d))
    read = np.tril(covariances) + np.triu(np.full((d, d), np.nan), 1)  # the lower triangle only
    found, logdets = np.full((3, d, d), np.nan), np.empty(3)
    assert whiten(read, lowered, found, logdets)
    covariances -= lowered[:, :, None] * np.eye(d)
    np.testing.assert_allclose(logdets, np.linalg.slogdet(covariances)[1], rtol=1e-12, atol=1e-12)
    for covariance, whitener in zip(covariances, found, strict=True):
        root = np.linalg.cholesky(covariance)
        np.testing.assert_allclose(
            whitener, solve_triangular(root, np.eye(d), lower=True), rtol=1e-10, atol=1e-14
        )
        assert not np.triu(whitener, 1).any()


@pytest.mark.nojit
@pytest.mark.parametrize("bad", ["singular", "negative", "nan", "lowered"])
def test_a_matrix_that_is_not_positive_definite_is_refused(bad, rng):
    covariances, lowered = matrices(rng, 3, 3), np.zeros((3, 3))
    if bad == "singular":
        covariances[1] = np.ones((3, 3))
    elif bad == "negative":
        covariances[1, 2, 2] = -1.0
    elif bad == "nan":
        covariances[1, 2, 0] = np.nan
    else:
        least = np.linalg.eigvalsh(covariances[1])[0]
        lowered[1] = 0.999 * least
        assert whiten(covariances, lowered, np.empty((3, 3, 3)), np.empty(3))
        lowered[1] = 1.001 * least
    assert not whiten(covariances, lowered, np.empty((3, 3, 3)), np.empty(3))
    for kind, values in (("full", covariances), ("tied", covariances[1])):
        values = values if bad != "lowered" else values - 1.001 * least * np.eye(3)
        with pytest.raises(np.linalg.LinAlgError, match="a covariance is not positive definite"):
            cov.whiteners(values, kind, 3)


@pytest.mark.parametrize("kind", ["full", "tied"])
@pytest.mark.parametrize("d", [FEW, FEW + 1])
def test_few_columns_and_many_are_factorised_alike(d, kind, rng, monkeypatch):
    covariances = matrices(rng, 2, d)
    values = covariances if kind == "full" else covariances[0]
    whiteners, logdets = cov.whiteners(values, kind, d)
    monkeypatch.setattr(cov, "FEW", 0 if d == FEW else d)
    others, other_logdets = cov.whiteners(values, kind, d)
    np.testing.assert_allclose(whiteners, others, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(logdets, other_logdets, rtol=1e-12)
    assert np.shape(logdets) == np.shape(other_logdets)
