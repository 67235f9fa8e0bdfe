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
