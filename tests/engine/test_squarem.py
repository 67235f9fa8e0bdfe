"""SQUAREM on maps whose fixed point is known."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import Accelerator, Squarem


def climb(function, x, n_maps, accept=lambda new: True):
    """Follow proposals as the driver does, without an objective."""
    squarem, path = Squarem(), [x]
    for _ in range(n_maps):
        image = function(x)
        proposal = squarem.propose(x, image)
        if proposal is None:
            x = image
        elif accept(proposal):
            squarem.observe(True)
            x = proposal
        else:
            squarem.observe(False)
            x = image
        path.append(x)
    return np.array(path)


def linear(matrix, fixed):
    return lambda x: fixed + matrix @ (x - fixed)


@pytest.mark.nojit
def test_linear_maps_are_solved_much_faster():
    matrix, fixed = np.diag([0.995, 0.9, 0.3]), np.array([1.0, -2.0, 3.0])
    function, start = linear(matrix, fixed), np.zeros(3)
    accelerated = climb(function, start, 60)
    plain = start
    for _ in range(60):
        plain = function(plain)
    assert np.abs(accelerated[-1] - fixed).max() < 1e-3
    assert np.abs(plain - fixed).max() > 0.5


def test_one_dimension_is_solved_in_one_step_once_the_bound_allows():
    """x0 - 2 a r + a^2 v lands on the fixed point when a = -1 / (1 - rate)."""
    squarem = Squarem()
    squarem._bound = 1e9
    function = linear(np.array([[0.9]]), np.array([5.0]))
    x0 = np.array([0.0])
    x1 = function(x0)
    assert squarem.propose(x0, x1) is None
    proposal = squarem.propose(x1, function(x1))
    np.testing.assert_allclose(proposal, [5.0], rtol=1e-12)


def test_the_first_steps_are_bounded():
    function = linear(np.array([[0.99]]), np.array([100.0]))
    path = climb(function, np.array([0.0]), 10)
    jumps = np.abs(np.diff(path[:, 0]))
    assert jumps[:3].max() < 10, "no leap of a hundred steps before a shorter one has held"
    assert jumps.max() > 10


def test_a_refusal_shrinks_the_bound_and_growth_needs_the_bound():
    squarem = Squarem(growth=4.0)
    squarem._bound = 16.0
    squarem.observe(False)
    assert squarem._bound == 4.0
    for _ in range(5):
        squarem.observe(False)
    assert squarem._bound == 1.0
    squarem.observe(True)
    assert squarem._bound == 1.0, "an accepted step below the bound does not move it"


def test_an_accepted_proposal_is_followed_by_one_plain_map():
    squarem = Squarem()
    squarem._bound = 100.0
    function = linear(np.diag([0.9, 0.5]), np.zeros(2))
    x = np.array([1.0, 1.0])
    assert squarem.propose(x, function(x)) is None
    x = function(x)
    assert not squarem.rests()
    assert squarem.propose(x, function(x)) is not None
    squarem.observe(True)
    assert squarem.rests()
    assert not squarem.rests(), "one plain map, no more"


def test_exact_zeros_take_the_em_value_and_do_not_stop_the_rest():
    """log 0 = -inf in one coordinate: differences there are NaN."""

    def function(x):
        return np.array([-np.inf, 2 + 0.95 * (x[1] - 2), 1 + 0.8 * (x[2] - 1)])

    path = climb(function, np.array([-np.inf, 0.0, 0.0]), 60)
    assert np.all(path[:, 0] == -np.inf)
    np.testing.assert_allclose(path[-1, 1:], [2.0, 1.0], atol=1e-6)


def test_a_coordinate_that_becomes_infinite_within_a_cycle():
    squarem = Squarem()
    squarem._bound = 50.0
    x0, x1 = np.array([1.0, -700.0]), np.array([1.9, -800.0])
    x2 = np.array([2.7, -np.inf])
    squarem.propose(x0, x1)
    proposal = squarem.propose(x1, x2)
    assert proposal[1] == -np.inf
    assert np.isfinite(proposal[0])
    assert proposal[0] > 2.7


def test_a_sequence_at_rest_or_all_infinite_proposes_nothing():
    for x in (np.array([1.0, 2.0]), np.array([-np.inf, np.inf]), np.empty(0)):
        squarem = Squarem()
        assert squarem.propose(x, x) is None
        assert squarem.propose(x, x) is None


def test_reset_forgets_the_cycle():
    squarem = Squarem()
    squarem.propose(np.zeros(1), np.ones(1))
    squarem.reset()
    assert squarem.propose(np.ones(1), np.array([1.5])) is None


def test_accelerator_is_a_contract():
    with pytest.raises(TypeError, match="abstract"):
        Accelerator()
