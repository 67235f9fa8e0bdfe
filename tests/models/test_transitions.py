"""The M-step of a chain: closed form, masks, fixed entries, stationary chains."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from latentem import left_right
from latentem.models.transitions import (
    maximize_rows,
    maximize_stationary,
    stationary_distribution,
)


def test_left_right():
    assert left_right(3).tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert left_right(3, step=2).tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]
    assert left_right(3, cyclic=True).tolist() == [[1, 1, 0], [0, 1, 1], [1, 0, 1]]
    with pytest.raises(ValueError, match="must be at least 1"):
        left_right(0)


@pytest.mark.nojit
def test_rows_are_shares_of_the_counts():
    counts, old = np.array([[3.0, 1.0], [0.0, 0.0]]), np.array([[0.5, 0.5], [0.2, 0.8]])
    assert maximize_rows(counts, old, None).tolist() == [[0.75, 0.25], [0.2, 0.8]]
    free = np.array([[True, True, False], [True, True, True]])
    old = np.array([[0.3, 0.3, 0.4], [1.0, 0.0, 0.0]])
    new = maximize_rows(np.array([[1.0, 3.0, 9.0], [1.0, 1.0, 2.0]]), old, free)
    np.testing.assert_allclose(new, [[0.15, 0.45, 0.4], [0.25, 0.25, 0.5]])
    assert new[0, 2] == 0.4


def test_stationary_distribution():
    moves = np.array([[0.9, 0.1], [0.3, 0.7]])
    np.testing.assert_allclose(stationary_distribution(moves), [0.75, 0.25])
    absorbing = np.array([[0.5, 0.5], [0.0, 1.0]])
    np.testing.assert_allclose(stationary_distribution(absorbing), [0.0, 1.0], atol=1e-14)
    with pytest.raises(ValueError, match="more than one stationary distribution"):
        stationary_distribution(np.eye(2))


@pytest.mark.parametrize("rare", [1e-20, 1e-250])
def test_a_chain_that_nearly_falls_into_parts_keeps_its_digits(rare):
    two = np.array([[1.0, rare], [3 * rare, 1.0]])
    np.testing.assert_allclose(stationary_distribution(two), [0.75, 0.25], rtol=1e-15)
    four = np.array(
        [[0.5, 0.5, 0, 0], [0.5, 0.5, 0, rare], [0, 0, 0.75, 0.25], [0, 4 * rare, 0.5, 0.5]]
    )
    # between the pairs as many go one way as the other: pi_1 rare = pi_3 4 rare
    shares = np.array([4.0, 4.0, 2.0, 1.0]) / 11
    np.testing.assert_allclose(stationary_distribution(four), shares, rtol=1e-14)


@pytest.mark.nojit
def test_states_that_are_left_for_good_have_no_share():
    moves = np.array([[0.2, 0.8, 0, 0], [0, 0.9, 0.1, 0], [0, 0.3, 0.7, 0], [0.5, 0, 0, 0.5]])
    found = stationary_distribution(moves)
    np.testing.assert_allclose(found, [0.0, 0.75, 0.25, 0.0], rtol=1e-15)
    start = np.array([0.0, 1.0, 2.0, 0.0])
    new = maximize_stationary(start, 10 * moves, moves, None)
    np.testing.assert_array_equal(new[[0, 3]], moves[[0, 3]])
    assert objective(start[1:3], 10 * moves[1:3, 1:3], new[1:3, 1:3]) > objective(
        start[1:3], 10 * moves[1:3, 1:3], moves[1:3, 1:3]
    )


def test_a_large_stationary_distribution_is_the_limit_of_many_steps():
    moves = np.random.default_rng(0).dirichlet(np.full(200, 0.1), 200)
    limit = np.linalg.matrix_power(moves, 2**10)[0]
    np.testing.assert_allclose(stationary_distribution(moves), limit, rtol=1e-10)


@pytest.mark.parametrize("rare", [1e-12, 1e-30])
def test_the_m_step_climbs_beside_a_split(rare):
    """Digits lost there would let the objective of the E-step fall."""
    counts = np.array([[50.0, 9.0, rare], [8.0, 70.0, 1e-9], [rare, 3e-9, 40.0]])
    old = np.array([[0.6, 0.4, rare], [0.4, 0.6, rare], [rare, rare, 1.0]])
    start = np.array([0.5, 0.5, 2.0])
    new = maximize_stationary(start, counts, old, None)
    assert objective(start, counts, new) > objective(start, counts, old) + 1


def objective(start, counts, moves):
    first = stationary_distribution(moves)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(counts > 0, counts * np.log(moves), 0.0).sum()
    return float(start @ np.log(first) + value)


@pytest.mark.parametrize("weight", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_stationary_m_step_against_a_general_optimiser(seed, weight):
    rng = np.random.default_rng(seed)
    k = 3
    start, counts = weight * rng.dirichlet(np.ones(k)), rng.gamma(1.0, 5.0, (k, k))
    old = rng.dirichlet(np.ones(k), k)
    new = maximize_stationary(start, counts, old, None)
    assert objective(start, counts, new) >= objective(start, counts, old)
    np.testing.assert_allclose(new.sum(axis=1), 1.0, rtol=1e-14)

    def loss(logits):
        p = np.exp(logits.reshape(k, k))
        return -objective(start, counts, p / p.sum(axis=1, keepdims=True))

    other = minimize(loss, np.log(counts).ravel(), method="BFGS", options={"gtol": 1e-9})
    assert objective(start, counts, new) == pytest.approx(-other.fun, rel=1e-10)
    rates = np.exp(other.x.reshape(k, k))
    np.testing.assert_allclose(new, rates / rates.sum(axis=1, keepdims=True), atol=1e-5)


def test_stationary_m_step_keeps_zeros_and_fixed_entries():
    rng = np.random.default_rng(0)
    old = np.array([[0.6, 0.4, 0.0], [0.0, 0.5, 0.5], [0.25, 0.0, 0.75]])
    free = old > 0
    free[1, 1] = free[1, 2] = False  # a whole row is known
    start, counts = np.array([2.0, 0.5, 0.1]), rng.gamma(1.0, 5.0, (3, 3)) * (old > 0)
    new = maximize_stationary(start, counts, old, free)
    assert np.array_equal(new[1], old[1])
    assert np.all(new[old == 0] == 0)
    assert objective(start, counts, new) > objective(start, counts, old)
    for row in (0, 2):  # no way along a free row leads higher
        a, b = np.flatnonzero(free[row])
        for move in (1e-4, -1e-4):
            other = new.copy()
            other[row, a] += move
            other[row, b] -= move
            assert objective(start, counts, other) < objective(start, counts, new)


def hard_case(seed):
    """Structural zeros, fixed entries, transitions never counted, few or many first states."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(2, 5))
    ring = np.roll(np.eye(k, dtype=bool), 1, axis=1)  # keeps every state within reach
    mask = (rng.random((k, k)) < 0.7) | ring | np.eye(k, dtype=bool)
    old = rng.dirichlet(np.ones(k), k) * mask
    old /= old.sum(axis=1, keepdims=True)
    free = mask & (rng.random((k, k)) < rng.choice([0.7, 1.0]))
    start = 10 ** rng.uniform(-1, 3) * rng.dirichlet(np.full(k, 0.5))
    counts = 10 ** rng.uniform(-1, 3) * rng.gamma(0.7, 1.0, (k, k)) * mask
    counts[rng.random((k, k)) < rng.choice([0.0, 0.3])] = 0.0
    return start, counts, old, free


@pytest.mark.parametrize("seed", range(25))
def test_hard_stationary_m_steps(seed):
    start, counts, old, free = hard_case(seed)
    new = maximize_stationary(start, counts, old, free)
    value = objective(start, counts, new)
    assert value >= objective(start, counts, old)
    np.testing.assert_array_equal(new[~free], old[~free])
    np.testing.assert_array_equal(new[old == 0], 0.0)
    np.testing.assert_allclose(new.sum(axis=1), 1.0, rtol=1e-12)
    rows = [i for i in range(len(old)) if free[i].sum() > 1]

    def at(logits):
        moves, used = old.copy(), 0
        for i in rows:
            odds = np.exp(logits[used : used + free[i].sum()])
            used += free[i].sum()
            moves[i, free[i]] = old[i, free[i]].sum() * odds / odds.sum()
        return moves

    def loss(logits):
        try:
            with np.errstate(divide="ignore"):
                found = objective(start, counts, at(logits))
        except ValueError:  # the chain fell into parts
            return 1e10
        return -found if np.isfinite(found) else 1e10

    if rows:
        begin = np.concatenate([np.log(np.maximum(old[i, free[i]], 1e-12)) for i in rows])
        bounds = [(log - 20, log + 20) for log in begin]
        other = minimize(loss, begin, method="L-BFGS-B", bounds=bounds, options={"maxfun": 20_000})
        assert value >= -other.fun - 1e-5 * (1 + abs(other.fun))


def test_sequences_of_one_row_fit_the_stationary_distribution():
    """No transition was ever counted: all there is to fit is where the chain begins."""
    start, old = np.array([30.0, 10.0, 60.0]), np.full((3, 3), 1 / 3)
    new = maximize_stationary(start, np.zeros((3, 3)), old, None)
    np.testing.assert_allclose(stationary_distribution(new), start / 100, atol=1e-6)


@pytest.mark.parametrize("least", [1e-12, 1e-25, 1e-200])
def test_transitions_that_were_hardly_counted(least):
    """Beside slopes of size 1 such a count is lost in a difference."""
    start, counts = np.array([5.0, 1.0]), np.array([[20.0, least], [3.0, 10.0]])
    old = np.array([[0.8, 0.2], [0.3, 0.7]])
    new = maximize_stationary(start, counts, old, None)
    assert objective(start, counts, new) > objective(start, counts, old)
    held = maximize_stationary(start, np.where(counts > 1, counts, 0.0), old, None)
    np.testing.assert_allclose(new, held, atol=1e-6)
