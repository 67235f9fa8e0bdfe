"""Anderson acceleration on maps whose fixed point is known, and on models."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import EM, Anderson, GaussianMixture, Positive, Simplex
from latentem.engine.constraints import Bounded, Simplices
from latentem.engine.flat import FlatSpace
from latentem.families import Gaussian
from latentem.models import HiddenMarkov, Mixture


def climb(function, x, n_maps, **settings):
    """Follow proposals as the driver does, without an objective."""
    anderson, path = Anderson(**settings), [x]
    for _ in range(n_maps):
        image = function(x)
        proposal = anderson.propose(x, image)
        if proposal is not None:
            anderson.observe(True)
        x = image if proposal is None else proposal
        path.append(x)
    return np.array(path)


def linear(rates, fixed):
    return lambda x: fixed + np.asarray(rates) * (x - fixed)


@pytest.mark.nojit
def test_a_linear_map_is_solved_in_as_many_maps_as_it_has_rates():
    fixed = np.array([1.0, -2.0, 3.0])
    path = climb(linear([0.995, 0.9, 0.3], fixed), np.zeros(3), 12)
    assert np.abs(path[12] - fixed).max() < 1e-6
    plain = (1 - np.array([0.995, 0.9, 0.3]) ** 12) * fixed
    assert np.abs(plain - fixed).max() > 0.9


def test_the_first_moves_are_bounded():
    path = climb(linear([0.999], np.array([1000.0])), np.zeros(1), 3)
    steps = np.diff(path[:, 0])
    assert steps[1] == pytest.approx(5 * 0.999 * steps[0], rel=1e-9)


def test_it_leaves_a_saddle():
    """A map that moves away from its fixed point is not followed back there."""
    path = climb(linear([1.05], np.zeros(1)), np.array([1e-3]), 8)
    assert (np.diff(path[:, 0]) > 0).all()
    assert path[-1, 0] > 3 * 1e-3 * 1.05**8


def test_a_refused_proposal_is_forgotten_and_shortens_the_next():
    function = linear([0.9, 0.5], np.ones(2))
    anderson = Anderson()
    x = np.zeros(2)
    assert anderson.propose(x, function(x)) is None
    x = function(x)
    assert anderson.propose(x, function(x)) is not None
    anderson.observe(False)
    x = function(x)
    proposal = anderson.propose(x, function(x))
    step = function(x) - x
    assert np.linalg.norm(proposal - function(x)) <= np.linalg.norm(step) * (1 + 1e-12)


def test_maps_that_stand_still_propose_nothing():
    anderson = Anderson()
    for _ in range(3):
        assert anderson.propose(np.ones(2), np.ones(2)) is None


def test_coordinates_without_a_number_take_the_map():
    """A probability that reached 0 has a logarithm of minus infinity."""
    anderson = Anderson()
    anderson.propose(np.array([0.0, -np.inf]), np.array([0.5, -np.inf]))
    proposal = anderson.propose(np.array([0.5, -np.inf]), np.array([0.75, -np.inf]))
    assert proposal[0] == pytest.approx(1.0)
    assert proposal[1] == -np.inf


def test_lengths_are_measured_where_a_vanishing_probability_vanishes():
    values = np.array([[1e-30, 1.0 - 1e-30], [0.25, 0.75]])
    np.testing.assert_allclose(Simplex().measure(values), 2 * np.sqrt(values.ravel()))
    free = np.array([[True, True], [True, False]])
    np.testing.assert_allclose(Simplex(free).measure(values), 2 * np.sqrt([1e-30, 1.0, 0.25]))
    np.testing.assert_allclose(Simplices(2).measure(values[1]), [1.0, np.sqrt(3)])
    np.testing.assert_allclose(Bounded(1.0, 3.0).measure(np.array([1.0, 2.0, 3.0])),
                               [0.0, np.pi / 2, np.pi])  # fmt: skip
    np.testing.assert_allclose(Positive().measure(np.array([1.0, np.e])), [0.0, 1.0])
    space = FlatSpace((Simplex(), Positive()), (values[1], np.array([1.0])))
    np.testing.assert_allclose(space.measure(space.like), [1.0, np.sqrt(3), 0.0])


def test_a_probability_on_its_way_to_0_holds_nothing_up():
    """The start probabilities of one sequence end at 0 and 1: plain EM needs 31 maps."""
    rng = np.random.default_rng(0)
    states = np.cumsum(rng.random(1000) < 0.1) % 2
    x = (states + rng.normal(size=1000))[:, None]
    model = HiddenMarkov(Gaussian("diag"), 2)
    start = model.initialize(model.blocks(x), np.random.default_rng(0))
    plain = EM(tol=1e-7, accelerate=None, max_iter=5000).run(model, x, start=start)
    fast = EM(tol=1e-7, accelerate="anderson", max_iter=5000).run(model, x, start=start)
    assert plain.params.startprob.min() < 1e-6
    assert fast.loglik >= plain.loglik - 1e-6
    assert fast.n_e_steps < plain.n_e_steps


@pytest.mark.parametrize("seed", range(4))
def test_overlapping_components_in_a_tenth_of_the_e_steps(seed):
    rng = np.random.default_rng(seed)
    x = (2.0 * rng.integers(2, size=1000) + rng.normal(size=1000))[:, None]
    model = Mixture(Gaussian("full"), 2)
    start = model.initialize(model.blocks(x), np.random.default_rng(0))
    settings = {"tol": 1e-7, "max_iter": 20000}
    plain = EM(accelerate=None, **settings).run(model, x, start=start)
    fast = EM(accelerate="anderson", **settings).run(model, x, start=start)
    assert fast.converged
    assert fast.loglik >= plain.loglik - 1e-6
    assert fast.n_e_steps < 0.1 * plain.n_e_steps
    assert "anderson" in fast.history["step"].tolist()


def test_estimators_take_it_by_name(rng):
    x = np.concatenate([rng.normal(size=200), rng.normal(2, 1, size=200)])[:, None]
    fits = [
        GaussianMixture(2, accelerate=how, tol=1e-6, max_iter=9999).fit(x)
        for how in ("anderson", None)
    ]
    assert fits[0].loglik_ == pytest.approx(fits[1].loglik_, abs=1e-5)


def test_wrong_memory():
    with pytest.raises(ValueError, match="memory must be at least 1, got 0"):
        Anderson(memory=0)
