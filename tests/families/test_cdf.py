"""Distribution functions against scipy, in every family that has one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from latentem import families

X = np.array([[-1.0, 0.0], [0.0, 1.0], [1.0, 2.0], [2.5, 7.0]])
TWO = np.array([[1.0, 4.0], [0.5, 2.0]])


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_gaussian(kind):
    covariances = {
        "full": np.array([[[1.0, 0.5], [0.5, 4.0]], [[2.0, 0.1], [0.1, 1.0]]]),
        "tied": np.array([[1.0, 0.5], [0.5, 4.0]]),
        "diag": np.array([[1.0, 4.0], [2.0, 1.0]]),
        "spherical": np.array([1.0, 2.0]),
    }[kind]
    family = families.Gaussian(kind)
    params = families.GaussianParams(TWO, covariances)
    variances = {
        "full": [[1.0, 4.0], [2.0, 1.0]],
        "tied": [[1.0, 4.0], [1.0, 4.0]],
        "diag": covariances,
        "spherical": [[1.0, 1.0], [2.0, 2.0]],
    }[kind]
    expected = stats.norm.cdf(X, TWO[:, None], np.sqrt(variances)[:, None])
    np.testing.assert_allclose(family.cdf(params, X), expected, rtol=1e-13)


def test_poisson():
    found = families.Poisson().cdf(families.PoissonParams(TWO), X)
    np.testing.assert_allclose(found, stats.poisson.cdf(X, TWO[:, None]), rtol=1e-12)
    assert families.Poisson().discrete_columns(3).all()


def test_exponential():
    found = families.Exponential().cdf(families.ExponentialParams(TWO), X)
    np.testing.assert_allclose(found, stats.expon.cdf(X, scale=TWO[:, None]), rtol=1e-13)


def test_bernoulli():
    probs = np.array([[0.2, 0.7], [0.5, 1.0]])
    found = families.Bernoulli().cdf(families.BernoulliParams(probs), X)
    np.testing.assert_allclose(found, stats.bernoulli.cdf(X, probs[:, None]), rtol=1e-13)


def test_categorical():
    probs = np.array([[0.2, 0.8, 0.1, 0.3, 0.6], [0.5, 0.5, 0.7, 0.3, 0.0]])
    found = families.Categorical((2, 3)).cdf(families.CategoricalParams(probs), X)
    assert found[0].tolist() == pytest.approx(np.array([[0, 0.1], [0.2, 0.4], [1, 1], [1, 1]]))
    assert found[1].tolist() == pytest.approx(np.array([[0, 0.7], [0.5, 1], [1, 1], [1, 1]]))


def test_independent_puts_columns_in_their_place():
    family = families.Independent([(families.Poisson(), [1]), (families.Gaussian("diag"), [0])])
    own = families.GaussianParams(TWO[:, :1], np.ones((2, 1)))
    params = (families.PoissonParams(TWO[:, 1:]), own)
    found = family.cdf(params, X)
    np.testing.assert_allclose(found[:, :, 0], stats.norm.cdf(X[:, 0], TWO[:, :1]), rtol=1e-13)
    np.testing.assert_allclose(found[:, :, 1], stats.poisson.cdf(X[:, 1], TWO[:, 1:]), rtol=1e-12)
    assert family.discrete_columns(2).tolist() == [False, True]


EXPONENTIAL = families.ExponentialParams(TWO)
UPPER = {
    "gaussian": (
        families.Gaussian("diag"), families.GaussianParams(TWO, TWO),
        lambda x: stats.norm.sf(x, TWO[:, None], np.sqrt(TWO)[:, None]),
    ),
    "poisson": (
        families.Poisson(), families.PoissonParams(TWO),
        lambda x: stats.poisson.sf(x, TWO[:, None]),
    ),
    "exponential": (
        families.Exponential(), EXPONENTIAL, lambda x: stats.expon.sf(x, scale=TWO[:, None])
    ),
    "independent": (
        families.Independent([families.Exponential(), families.Poisson()]),
        (families.ExponentialParams(TWO[:, :1]), families.PoissonParams(TWO[:, 1:])),
        lambda x: np.stack(
            [
                stats.expon.sf(x[:, 0], scale=TWO[:, :1]),
                stats.poisson.sf(x[:, 1], TWO[:, 1:]),
            ],
            axis=-1,
        ),
    ),
    "mixture": (
        families.MixtureFamily(families.Exponential(), 2),
        families.MixtureFamilyParams(np.array([[0.25, 0.75]]), EXPONENTIAL),
        lambda x: np.einsum(
            "j,jnd->nd", [0.25, 0.75], stats.expon.sf(x, scale=TWO[:, None])
        )[None],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UPPER)
def test_upper_tails_keep_their_digits(name):
    family, params, expected = UPPER[name]
    x = np.vstack([X, [[70.0, 120.0]]])
    np.testing.assert_allclose(family.survival(params, x), expected(x), rtol=1e-11)


def test_an_upper_tail_is_what_the_distribution_function_leaves_over():
    probs = families.BernoulliParams(np.array([[0.2, 0.7]]))
    found = families.Bernoulli().survival(probs, X[:2])
    np.testing.assert_allclose(found[0], [[1.0, 0.7], [0.2, 0.0]], atol=1e-16)
