"""The Poisson family against scipy, at zero rates, and through the checker."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from latentem import EM
from latentem.families import Poisson, PoissonParams
from latentem.models import Mixture, MixtureParams
from latentem.testing import check_family


def counts(rng, n=120, d=2):
    return np.vstack([rng.poisson(1.5, (n, d)), rng.poisson(7.0, (n, d))]).astype(float)


@pytest.mark.nojit
def test_check_family(rng):
    report = check_family(Poisson(), counts(rng, d=1), grid=(np.arange(200.0)[:, None], 1.0))
    assert {name for name, _ in report.skipped} == {"fixed values"}


def test_check_family_with_fixed_rates_and_more_columns(rng):
    check_family(Poisson(), counts(rng), n_components=3)
    report = check_family(Poisson(fixed=("lambdas",)), counts(rng))
    assert dict(report.passed)["fixed values"] == "family.lambdas"


@pytest.mark.nojit
def test_log_density_equals_scipy(rng):
    rates = rng.gamma(2.0, size=(3, 2))
    x = counts(rng)
    found = Poisson().log_density(PoissonParams(rates), x)
    expected = poisson.logpmf(x[None], rates[:, None]).sum(axis=2)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_rate_of_zero_can_only_give_zeros():
    x = np.array([[0.0], [3.0]])
    found = Poisson().log_density(PoissonParams(np.array([[0.0], [2.0]])), x)
    assert found[0].tolist() == [0.0, -np.inf]
    np.testing.assert_allclose(found[1], poisson.logpmf(x[:, 0], 2.0))


def test_a_component_of_zeros_alone_is_fitted_to_rate_zero():
    x = np.repeat([0.0, 30.0, 34.0], [50, 10, 10])[:, None]
    start = MixtureParams(np.array([0.5, 0.5]), PoissonParams(np.array([[0.01], [30.0]])))
    result = EM(n_jobs=1, tol=1e-9).run(Mixture(Poisson(), 2), x, start=start)
    assert result.converged
    np.testing.assert_allclose(result.params.weights, [50 / 70, 20 / 70], atol=1e-9)
    np.testing.assert_allclose(result.params.family.lambdas[:, 0], [0.0, 32.0], atol=1e-9)


@pytest.mark.parametrize(
    ("value", "sentence"), [(-1.0, r"X\[1, 0\] is -1"), (2.5, r"X\[1, 0\] is 2.5")]
)
def test_check_names_the_cell(value, sentence):
    with pytest.raises(ValueError, match=f"counts, whole numbers >= 0, but {sentence}"):
        Poisson().check(np.array([[1.0], [value]]))


def test_unknown_groups_are_refused():
    with pytest.raises(ValueError, match=r"fixed knows 'lambdas', got \['rates'\]"):
        Poisson(fixed=("rates",))
