"""Aitken's projection of the remaining gain."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentem import PoissonHMM
from latentem.engine.stopping import EPS, NOTHING, Aitken, growing, rounding


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


@pytest.mark.parametrize(
    ("before", "last", "new"),
    [
        ([1e-17, 1.0], [1.5e-17, 1.0], [2.25e-17, 1.0]),  # a probability that comes back from 0
        ([0.0, 0.0], [0.1, 0.01], [0.15, 0.03]),  # a step that grows beside one that shrinks
    ],
)
def test_a_climb_that_leaves_a_saddle_is_seen(before, last, new):
    assert growing(*map(np.array, (before, last, new)))


@pytest.mark.parametrize(
    ("before", "last", "new"),
    [
        ([1e-17, 1.0], [0.5e-17, 1.0], [0.25e-17, 1.0]),  # a probability on its way to 0
        ([5e-4, 0.0], [5.1e-4, 0.1], [5.12e-4, 0.15]),  # a small number that settles
        ([1.0, 1.0], [1.0 + 1e-15, 1.0], [1.0 + 4e-15, 1.0]),  # rounding
        ([2.0, 2.0], [2.0, 2.0], [2.0, 2.0]),
    ],
)
def test_a_climb_that_nears_its_end_is_no_saddle(before, last, new):
    assert not growing(*map(np.array, (before, last, new)))


def test_a_chain_whose_start_probability_came_near_0_goes_on():
    """Counts of a chain with four rates; a leap put a start probability near 0 wrongly."""
    counts = """
        9 8 5 5 6 3 2 4 4 3 1 8 2 2 4 5 4 0 4 3 4 8 3 2 3 4 4 10 5 8 11 9 11 8 10 9 6 4 3 1 4 3 1
        5 5 5 6 2 2 2 4 4 2 6 0 5 5 4 3 9 7 4 5 7 6 6 1 5 4 3 4 10 14 13 8 7 10 8 8 11 9 13 9 14 2
        11 4 4 4 2 6 5 2 4 2 6 0 6 4 4 3 2 4 8 7 7 7 4 12 10 12 2 3 2 7 6 2 2 3 3 8 3 0 3 3 4 8 6
        4 2 3 5 3 7 11 4 2 3 4 2 4 6 9 9 5 2 1 4 3 2 9 2 10 10 5 5 4 5 4 2 3 7 6 4 10 10 10 8 14 8
        4 10 5 7 5 7 2 6 7 2 5 4 1 4 3 2 3 6 5 3 8 9 7 1 8 11 3 2 2 3"""
    X = np.array(counts.split(), dtype=float)[:, None]
    fits = [PoissonHMM(4, random_state=0, accelerate=how).fit(X) for how in (None, "auto")]
    for fit in fits:
        assert fit.converged_
        assert fit.loglik_ == pytest.approx(-468.875, abs=2e-3)
