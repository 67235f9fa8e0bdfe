"""Aitken's projection of the remaining gain."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentem.engine.stopping import EPS, NOTHING, Aitken, rounding


def fed(gains, unit=0.0):
    tail = Aitken()
    for gain in gains:
        tail.add(gain, unit)
    return tail


@pytest.mark.nojit
@given(st.floats(0.05, 0.995), st.floats(1e-3, 1e3))
def test_exact_on_geometric_gains(rate, first):
    gains = [first * rate**i for i in range(5)]
    tail = fed(gains)
    assert tail.rate == pytest.approx(rate)
    remaining = gains[-1] * rate / (1 - rate)
    assert tail.projected_gain == pytest.approx(remaining, rel=1e-6)
    tol = 1e-3 * remaining
    assert tail.maps_to(tol) == pytest.approx(math.log(1e-3) / math.log(rate), rel=1e-6)
    assert tail.maps_to(2 * remaining) == 0


@given(st.lists(st.floats(1e-3, 1.0), min_size=3, max_size=8), st.floats(1.0, 2.0))
def test_growing_gains_never_stop(gains, growth):
    tail = fed([*gains, gains[-1] * growth])
    assert tail.rate >= 1
    assert tail.projected_gain == math.inf
    assert tail.maps_to(1e-3) == math.inf


def test_unknown_until_two_ratios():
    for count in range(3):
        tail = fed([1.0] * count)
        assert math.isnan(tail.rate)
        assert math.isnan(tail.projected_gain)
        assert not tail.projected_gain <= 1e9, "NaN must not stop"
        assert math.isnan(tail.maps_to(1e-3))
    assert fed([1.0, 0.5, 0.25]).rate == 0.5


def test_the_slower_of_two_ratios_counts():
    """The fast phase is over: the last ratio alone would be 0.1 and then 0.9."""
    assert fed([1.0, 0.1, 0.09]).rate == pytest.approx(0.9)
    assert fed([1.0, 0.9, 0.09]).rate == pytest.approx(0.9)


def test_a_fall_is_never_taken_for_convergence():
    """Two maps that lost more than rounding gained nothing, but that is no stop."""
    for gains in ([1.0, -0.5, 0.2], [-1.0, 0.5, 0.2], [0.3, -0.5, -0.4]):
        tail = fed(gains, unit=EPS)
        assert not tail.exhausted
        assert not tail.projected_gain <= 1e-3
        assert not tail.maps_to(1e-3) <= 0


def test_two_cycle_at_rounding_is_exhausted():
    unit = rounding(-1000.0, 100.0)
    step = 2 * unit
    assert fed([step, -step, step, -step], unit).exhausted
    assert fed([step, -step], unit).projected_gain == 0.0
    assert not fed([NOTHING * unit], unit).exhausted, "one map is not enough"
    assert not fed([3 * NOTHING * unit] * 3, unit).exhausted


def test_rounding_unit():
    assert rounding(-50.0, 3.0) == 50 * EPS
    assert rounding(0.0, 100.0) == 100 * EPS
    assert rounding(-5e-20, 3e-20) == 5e-20 * EPS  # weights may be of any size
