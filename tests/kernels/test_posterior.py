"""The posterior kernel against its plain numpy twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from latentem.kernels.posterior import TILE, normalise


def twin(log_density, log_weights, row_weights):
    joint = log_density + log_weights[:, None]
    with np.errstate(divide="ignore"):
        loglik = logsumexp(joint, axis=0)
    shift = np.where(np.isneginf(loglik), 0.0, loglik)
    return np.exp(joint - shift) * row_weights, loglik


def run(log_density, log_weights=None, row_weights=None):
    out = np.array(log_density, dtype=float, order="C")
    k, m = out.shape
    log_weights = np.full(k, -np.log(k)) if log_weights is None else np.asarray(log_weights, float)
    row_weights = np.ones(m) if row_weights is None else np.asarray(row_weights, float)
    loglik = np.full(m, 7.0)
    with np.errstate(all="ignore"):  # as in a backend; it matters where the kernel is not compiled
        normalise(out, log_weights, row_weights, loglik)
        return out, loglik, twin(np.array(log_density, float), log_weights, row_weights)


@pytest.mark.nojit
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([1.0, 30.0, 600.0, 1e5]))
def test_equals_the_twin(seed, k, spread):
    rng = np.random.default_rng(seed)
    m = int(rng.choice([1, 3, TILE - 1, TILE, TILE + 1]))
    log_weights = np.log(rng.dirichlet(np.ones(k)))
    row_weights = rng.exponential(size=m)
    out, loglik, (expected, total) = run(
        rng.normal(scale=spread, size=(k, m)), log_weights, row_weights
    )
    np.testing.assert_allclose(loglik, total, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-300)
    np.testing.assert_allclose(out.sum(axis=0), row_weights, rtol=1e-14)


@pytest.mark.nojit
def test_the_exponential_has_all_its_digits():
    z = -np.linspace(0, 700, 5001)
    out, loglik, _ = run(np.vstack([np.zeros(5001), z]), [0.0, 0.0])
    np.testing.assert_allclose(out[1], np.exp(z - np.log1p(np.exp(z))), rtol=1e-14, atol=0)
    np.testing.assert_allclose(loglik, np.log1p(np.exp(z)), rtol=0, atol=3e-16)


@pytest.mark.nojit
def test_a_row_nobody_can_have_produced():
    density = np.array([[-np.inf, -1.0, -np.inf], [-np.inf, -2.0, -3.0]])
    out, loglik, (expected, total) = run(density)
    assert loglik[0] == -np.inf
    np.testing.assert_array_equal(out[:, 0], 0.0)
    np.testing.assert_allclose(out, expected, rtol=1e-14)
    np.testing.assert_allclose(loglik, total)
    assert out[0, 2] == 0.0


@pytest.mark.nojit
@pytest.mark.parametrize("place", [0, 1, 2])
def test_nan_propagates_wherever_it_stands(place):
    density = np.array([[-1.0, -1.0], [-2.0, -2.0], [-3.0, -3.0]])
    density[place, 0] = np.nan
    _, loglik, _ = run(density)
    assert np.isnan(loglik[0])
    assert np.isfinite(loglik[1])


@pytest.mark.nojit
def test_plus_infinity_is_not_hidden():
    _, loglik, _ = run([[np.inf], [0.0]])
    assert not np.isfinite(loglik[0])


@pytest.mark.nojit
def test_zero_weights_contribute_exactly_nothing():
    density = np.array([[-1.0, -np.inf, 5.0], [-2.0, -np.inf, -1e4]])
    out, loglik, _ = run(density, row_weights=[1.0, 0.0, 0.0])
    np.testing.assert_array_equal(out[:, 1:], 0.0)
    assert loglik[2] == pytest.approx(5.0 - np.log(2)), "log-likelihoods are without weights"


@pytest.mark.nojit
@pytest.mark.parametrize("level", [-1e300, -1e8, 0.0, 1e8, 1e300])
def test_extreme_levels_do_not_overflow(level):
    density = np.array([[level, level], [level, level - 1e9]])
    out, loglik, _ = run(density, [0.0, 0.0])
    assert np.isfinite(loglik).all()
    np.testing.assert_allclose(out.sum(axis=0), 1.0)
    np.testing.assert_allclose(out[:, 0], 0.5)


@pytest.mark.nojit
def test_a_component_of_weight_zero_gets_nothing():
    out, loglik, _ = run([[0.0], [0.0]], [0.0, -np.inf])
    assert out[:, 0].tolist() == [1.0, 0.0]
    assert loglik[0] == 0.0


@pytest.mark.nojit
def test_one_component_takes_all():
    out, loglik, _ = run([[-3.0, -4.0]], [0.0], [2.0, 0.5])
    assert out.tolist() == [[2.0, 0.5]]
    assert loglik.tolist() == [-3.0, -4.0]
