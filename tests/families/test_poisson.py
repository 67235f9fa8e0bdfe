"""The Poisson family against scipy, at zero rates, and through the checker."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import poisson

from latentem import EM, MixtureModel, standard_errors
from latentem.families import Poisson, PoissonParams
from latentem.families.poisson import PLAIN, Counts, divergence, stirling
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
    found = Poisson().log_density(PoissonParams(rates), Poisson().encode(x))
    expected = poisson.logpmf(x[None], rates[:, None]).sum(axis=2)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_rate_of_zero_can_only_give_zeros():
    x = np.array([[0.0], [3.0]])
    found = Poisson().log_density(PoissonParams(np.array([[0.0], [2.0]])), Poisson().encode(x))
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


def exact(x, rate):
    """Log probability of a count in 60 digits; Stirling's series for log x! from 64 up."""
    with localcontext() as context:
        context.prec = 60
        count, mean = Decimal(int(x)), Decimal(float(rate))
        base = max(int(x), 64)
        n, total = Decimal(base), Decimal(0)
        for i in range(int(x) + 1, base + 1):
            total -= Decimal(i).ln()
        for power, number in enumerate(BERNOULLI):
            share = Decimal(number.numerator) / Decimal(number.denominator)
            total += share / ((2 * power + 1) * (2 * power + 2) * n ** (2 * power + 1))
        total += n * n.ln() - n + (2 * PI * n).ln() / 2
        return float(count * mean.ln() - mean - total)


PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
BERNOULLI = [Fraction(1, 6), Fraction(-1, 30), Fraction(1, 42), Fraction(-1, 30), Fraction(5, 66)]
BERNOULLI += [Fraction(-691, 2730), Fraction(7, 6), Fraction(-3617, 510), Fraction(43867, 798)]


def test_the_reference_itself():
    assert exact(3, 2.0) == pytest.approx(np.log(8 / 6) - 2, rel=1e-15)
    assert exact(100, 100.0) == pytest.approx(poisson.logpmf(100, 100.0), rel=1e-12)


@pytest.mark.parametrize("size", [1.0, 20.0, 9e3, 1.1e4, 1e6, 1e9, 1e12, 1e15])
def test_log_density_keeps_its_digits_at_any_size(size, rng):
    rates = size * np.array([[1.0], [1.0 + 2 / np.sqrt(size)], [1.5]])
    x = np.append(rng.poisson(size, 20), [0, 1])[:, None].astype(float)
    found = Poisson().log_density(PoissonParams(rates), Poisson().encode(x))
    expected = np.array([[exact(count, rate) for count in x[:, 0]] for rate in rates[:, 0]])
    # The rates themselves are known to EPS only, which moves a density by EPS |x - rate|.
    known = np.finfo(float).eps * np.abs(x.T - rates)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=(2e-10 + known).max())


def test_the_two_formulas_agree_where_they_meet(rng):
    rates = rng.gamma(5.0, PLAIN / 5, size=(3, 2))
    x = np.minimum(rng.poisson(PLAIN, size=(50, 2)), PLAIN)
    above = np.vstack([x, [[PLAIN + 1, 3.0]]])  # one larger count changes the formula of all
    family, params = Poisson(), PoissonParams(rates)
    a, b = family.encode(x), family.encode(above)
    assert (a.plain, b.plain) == (True, False)
    np.testing.assert_allclose(
        family.log_density(params, b)[:, :-1], family.log_density(params, a), rtol=0, atol=1e-9
    )
    weights = rng.dirichlet(np.ones(3), size=51).T
    weights[:, -1] = 0.0
    plain = family.statistics(params, a, weights[:, :-1].copy())
    other = family.statistics(params, b, weights)
    for name in ("weight", "total", "loss"):
        np.testing.assert_allclose(getattr(other, name), getattr(plain, name), rtol=1e-10)


@pytest.mark.parametrize("size", [3.0, 1e9, 1e13])
def test_fit_of_large_counts(size, rng):
    """The log-likelihood is that of Decimal arithmetic, and so is that of its Q."""
    x = rng.poisson(size, 400).astype(float)[:, None]
    result = EM(n_jobs=1, block_size=64).run(Mixture(Poisson(), 1), x)
    rate = result.params.family.lambdas[0, 0]
    total = sum(exact(count, rate) for count in x[:, 0])
    assert result.loglik == pytest.approx(total, rel=1e-12)
    q = result.model.expected_loglik(result.params, result.statistics)
    # A block's mean is a float64: rounded by eps * size, and some sqrt(size / 64) from the mean
    # of all, it changes the loss of the block's 64 rows by 64 * eps * sqrt(size / 64).
    rounding = 400 * np.finfo(float).eps * np.sqrt(size / 64)
    assert q == pytest.approx(total, rel=1e-12, abs=rounding)
    errors = standard_errors(result, x)
    assert errors["lambdas"][0, 0] == pytest.approx(np.sqrt(rate / 400), rel=1e-4)


@pytest.mark.parametrize("size", [4.0, 1e9])
def test_the_loss_of_parts_is_that_of_the_whole(size, rng):
    x = rng.poisson(size * np.array([1.0, 2.0]), size=(90, 2)).astype(float)
    x[rng.random(x.shape) < 0.2] = np.nan
    family, weights = Poisson(), rng.dirichlet(np.ones(2), size=90).T
    weights[0, :40] = 0.0  # an empty side
    params = PoissonParams(np.full((2, 2), size))
    cuts = [slice(0, 40), slice(40, 41), slice(41, 90)]
    parts = [family.statistics(params, family.encode(x[c]), weights[:, c]) for c in cuts]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    whole = family.statistics(params, family.encode(x), weights)
    rates = PoissonParams(size * rng.uniform(0.9, 1.1, size=(2, 2)))
    for a, b in ((merged, whole), (parts[0].merge(parts[1].merge(parts[2])), whole)):
        np.testing.assert_allclose(a.weight, b.weight, rtol=1e-13)
        np.testing.assert_allclose(a.total, b.total, rtol=1e-13)
        np.testing.assert_allclose(a.loss, b.loss, rtol=1e-11)
        q = family.expected_loglik(rates, b)
        assert family.expected_loglik(rates, a) == pytest.approx(q, rel=1e-11)
    twice = whole.scaled(2.0)
    assert family.expected_loglik(rates, twice) == pytest.approx(2 * q, rel=1e-13)
    assert isinstance(twice, Counts)


def test_divergence_and_stirling_at_the_edges():
    assert divergence(np.array([0.0, 2.0, 0.0]), np.array([0.0, 0.0, 3.0])).tolist() == [
        0.0,
        np.inf,
        3.0,
    ]
    x = np.array([0.0, 1.0, 15.0, 16.0, 17.0, 1e3, 1e300])
    assert np.isfinite(stirling(x)).all()
    assert stirling(x)[0] == 0.0
    assert abs(stirling(np.array([16.0, 16.0 + 1e-9]))[1] - stirling(x)[3]) < 1e-9


# Cells that were not seen


def with_gaps(rng, n=60, d=3):
    x = counts(rng, n, d)
    x[rng.random(x.shape) < 0.25] = np.nan
    x[4] = np.nan
    return x


def test_check_family_with_missing_cells(rng):
    check_family(Poisson(), with_gaps(rng), n_components=2)
    check_family(Poisson(), with_gaps(rng) * 1e7, n_components=2, n_simulated=0)


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_cells_that_were_not_seen_contribute_nothing(size, rng):
    x = size * with_gaps(rng)
    family, params = Poisson(), PoissonParams(size * rng.gamma(2.0, size=(2, 3)))
    encoded, weights = family.encode(x), rng.dirichlet(np.ones(2), size=len(x)).T
    seen = ~np.isnan(x)
    density = np.zeros((2, len(x)))
    for j in range(3):
        column = PoissonParams(params.lambdas[:, [j]])
        alone = family.encode(x[seen[:, j]][:, [j]])
        density[:, seen[:, j]] += family.log_density(column, alone)
    found = family.log_density(params, encoded)
    np.testing.assert_allclose(found, density, rtol=1e-12, atol=1e-12)
    assert not found[:, 4].any()
    new = family.maximize(family.statistics(params, encoded, weights), params).lambdas
    for k in range(2):
        for j in range(3):
            rows = seen[:, j]
            mean = np.average(x[rows, j], weights=weights[k, rows])
            assert new[k, j] == pytest.approx(mean, rel=1e-12)
    statistics = family.statistics(params, encoded, weights)
    q = family.expected_loglik(params, statistics)
    assert q == pytest.approx((weights * density).sum(), rel=1e-11)


def test_a_column_that_a_component_does_not_see_keeps_its_rate():
    x = np.array([[1.0, np.nan], [3.0, np.nan], [9.0, 4.0]])
    params = PoissonParams(np.array([[1.0, 7.0], [9.0, 5.0]]))
    weights = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    family = Poisson()
    new = family.maximize(family.statistics(params, family.encode(x), weights), params)
    assert new.lambdas.tolist() == [[2.0, 7.0], [9.0, 4.0]]


def test_mixture_with_missing_cells(rng):
    x = with_gaps(rng, 300)
    model = MixtureModel(Poisson(), 2, random_state=0).fit(x)
    assert np.all(np.isfinite(model.predict_proba(x)))
    np.testing.assert_allclose(np.sort(model.family_params_.lambdas, axis=0).mean(axis=1),
                               [1.5, 7.0], rtol=0.1)  # fmt: skip


def test_moments_are_the_rates():
    params = PoissonParams(np.array([[1.0, 2.0]]))
    means, variances = Poisson().moments(params)
    assert means.tolist() == variances.tolist() == [[1.0, 2.0]]


def test_what_is_fixed_is_shown():
    assert repr(Poisson()) == "Poisson()"
    assert repr(Poisson(fixed=("lambdas",))) == "Poisson(fixed=('lambdas',))"
