"""Every constraint leads to free coordinates and back, and names what it leaves out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from latentem import (
    Bounded,
    Equal,
    Fixed,
    Partly,
    Positive,
    PositiveDefinite,
    Real,
    Simplex,
    Simplices,
)
from latentem.engine import log_contrasts
from latentem.engine.log_contrasts import _contrasts

numbers = st.floats(-20, 20)
shapes = st.sampled_from([(), (1,), (3,), (2, 3)])


def there_and_back(constraint, value, rtol=1e-9):
    flat = constraint.pack(value)
    assert flat.shape == (constraint.size(value),)
    back = constraint.unpack(flat, value)
    assert np.shape(back) == np.shape(value)
    np.testing.assert_allclose(back, value, rtol=rtol, atol=1e-12)
    assert constraint.holds(value)
    assert constraint.holds(back)


def back_and_there(constraint, flat, like):
    value = constraint.unpack(flat, like)
    assert constraint.holds(value)
    np.testing.assert_allclose(constraint.pack(value), flat, rtol=1e-6, atol=1e-6)


@pytest.mark.nojit
@given(shapes.flatmap(lambda shape: arrays(float, shape, elements=numbers)))
def test_real_and_positive_and_bounded(value):
    there_and_back(Real(), value)
    there_and_back(Positive(), np.exp(value))
    there_and_back(Bounded(-3.0, 5.0), -3.0 + 8.0 / (1 + np.exp(-0.5 * value)))
    back_and_there(Positive(), value.ravel(), np.ones(value.shape))
    back_and_there(Bounded(-3.0, 5.0), 0.5 * value.ravel(), np.ones(value.shape))


@given(arrays(float, (2, 4), elements=st.floats(0.01, 1.0)))
def test_simplex_rows(value):
    rows = value / value.sum(axis=1, keepdims=True)
    there_and_back(Simplex(), rows)
    there_and_back(Simplex(), rows[0])
    assert Simplex().size(rows) == 6


@given(arrays(float, 6, elements=st.floats(-5, 5)))
def test_simplex_from_any_coordinates(flat):
    back_and_there(Simplex(), flat, np.full((2, 4), 0.25))


def test_many_categories_have_the_same_coordinates_without_a_matrix(rng, monkeypatch):
    rows = rng.dirichlet(np.ones(40), size=3)
    flat = Simplex().pack(rows)
    monkeypatch.setattr(log_contrasts, "DENSE", 8)
    np.testing.assert_allclose(Simplex().pack(rows), flat, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(Simplex().unpack(flat, rows), rows, rtol=1e-11)
    back_and_there(Simplex(), 0.1 * flat, rows)
    free = np.arange(40) < 30
    there_and_back(Simplex(free), rows)
    zero = np.where(np.arange(40) == 5, 0.0, rows[0])[None]
    zero /= zero.sum()
    flat = Simplex().pack(zero)
    assert not np.isfinite(flat).all()
    np.testing.assert_array_equal(Simplex().unpack(flat, zero), zero)


@given(arrays(float, (2, 6), elements=st.floats(0.01, 1.0)))
def test_simplices_side_by_side(value):
    for sizes in ((2, 3, 1), 3, (3, 3), (6,)):
        ends = np.cumsum(sizes if isinstance(sizes, tuple) else (sizes,) * (6 // sizes))
        pieces = np.split(value, ends[:-1], axis=1)
        rows = np.hstack([piece / piece.sum(axis=1, keepdims=True) for piece in pieces])
        there_and_back(Simplices(sizes), rows)
        assert Simplices(sizes).size(rows) == 2 * (6 - len(ends))
        assert not Simplices(sizes).holds(rows * [1.0, 1.1, 1.0, 1.0, 1.0, 1.0])
    one = value / value.sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(Simplices((6,)).pack(one), Simplex().pack(one))


@given(arrays(float, 6, elements=st.floats(-5, 5)))
def test_simplices_from_any_coordinates(flat):
    back_and_there(Simplices((2, 3)), flat, np.tile([0.5, 0.5, 0.3, 0.3, 0.4], (2, 1)))
    back_and_there(Simplices(3), flat[:4], np.full(6, 1 / 3))


def test_a_piece_on_the_boundary_keeps_its_value_and_the_others_move():
    rows = np.array([[0.0, 1.0, 0.25, 0.25, 0.5]])
    flat = Simplices((2, 3)).pack(rows)
    assert not np.isfinite(flat[0])
    flat[1:] = 0.0
    back = Simplices((2, 3)).unpack(flat, rows)
    np.testing.assert_allclose(back, [[0.0, 1.0, 1 / 3, 1 / 3, 1 / 3]], rtol=1e-14)


def test_simplices_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match=r"sizes \(2, 3\) make 5 numbers, not 4"):
        Simplices((2, 3)).size(np.full(4, 0.25))


def test_simplex_coordinates_are_orthonormal_contrasts():
    contrasts = _contrasts(5)
    np.testing.assert_allclose(contrasts @ contrasts.T, np.eye(4), atol=1e-15)
    np.testing.assert_allclose(contrasts.sum(axis=1), 0, atol=1e-15)


@given(st.integers(0, 2**32 - 1))
def test_simplex_with_a_mask_keeps_the_rest_bit_for_bit(seed):
    rng = np.random.default_rng(seed)
    free = rng.random((3, 5)) < 0.6
    value = rng.dirichlet(np.ones(5), size=3)
    constraint = Simplex(free)
    flat = constraint.pack(value)
    assert len(flat) == np.maximum(free.sum(axis=1) - 1, 0).sum()
    np.testing.assert_allclose(constraint.unpack(flat, value), value, rtol=1e-9)
    moved = constraint.unpack(flat + rng.normal(size=len(flat)), value)
    np.testing.assert_array_equal(moved[~free], value[~free])
    np.testing.assert_allclose(moved.sum(axis=1), 1, rtol=1e-12)
    assert constraint.holds(moved)


def test_simplex_structural_zeros_are_not_coordinates():
    value = np.array([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]])
    constraint = Simplex(value > 0)
    assert constraint.size(value) == 1
    assert np.isfinite(constraint.pack(value)).all()
    np.testing.assert_allclose(constraint.unpack(np.array([0.3]), value)[1], [0, 1, 0])


def test_simplex_with_nothing_free():
    value = np.array([0.25, 0.75])
    constraint = Simplex(np.zeros(2, dtype=bool))
    assert constraint.pack(value).shape == (0,)
    np.testing.assert_array_equal(constraint.unpack(np.empty(0), value), value)


def test_simplex_of_one_entry_has_no_coordinates():
    assert Simplex().size(np.ones(1)) == 0
    np.testing.assert_array_equal(Simplex().unpack(np.empty(0), np.ones(1)), [1.0])


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from([(), (2,)]))
def test_positive_definite(seed, d, lead):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(*lead, d, d + 3))
    value = root @ np.swapaxes(root, -1, -2)
    there_and_back(PositiveDefinite(), value, rtol=1e-8)
    size = PositiveDefinite().size(value)
    assert size == int(np.prod(lead)) * d * (d + 1) // 2
    new = PositiveDefinite().unpack(rng.normal(size=size), value)
    np.testing.assert_array_equal(new, np.swapaxes(new, -1, -2))
    assert PositiveDefinite().holds(new)


def test_fixed_is_not_in_the_vector():
    value = np.array([1.0, np.pi])
    assert Fixed().size(value) == 0
    assert Fixed().pack(value).shape == (0,)
    assert Fixed().unpack(np.empty(0), value) is value


def test_boundary_coordinates_are_infinite_and_come_back_from_like():
    value = np.array([0.0, 2.0])
    flat = Positive().pack(value)
    assert flat[0] == -np.inf
    np.testing.assert_allclose(Positive().unpack(flat, value), value)
    assert Bounded(0, 1).pack(np.array([0.0, 1.0])).tolist() == [-np.inf, np.inf]
    np.testing.assert_array_equal(Bounded(0, 1).unpack(np.array([-np.inf, np.inf]), value), [0, 1])
    row = np.array([0.0, 0.4, 0.6])
    assert not np.isfinite(Simplex().pack(row)).any()
    np.testing.assert_array_equal(Simplex().unpack(Simplex().pack(row), row), row)
    singular = np.ones((2, 2))
    assert np.isnan(PositiveDefinite().pack(singular)).all()
    np.testing.assert_array_equal(PositiveDefinite().unpack(np.full(3, np.nan), singular), singular)


def test_zero_is_on_the_boundary_of_the_positive_numbers():
    value = np.array([0.0, 2.0])
    assert Positive().holds(value)
    flat = Positive().pack(value)
    assert flat[0] == -np.inf
    np.testing.assert_array_equal(Positive().unpack(flat, np.array([5.0, 5.0])), value)


def test_a_singular_matrix_spoils_no_coordinates_but_its_own():
    value = np.array([[[4.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.5], [0.5, 1.0]]])
    flat = PositiveDefinite().pack(value)
    assert np.isnan(flat).tolist() == [False] * 3 + [True] * 3 + [False] * 3
    np.testing.assert_array_equal(flat[:3], PositiveDefinite().pack(value[0]))
    np.testing.assert_array_equal(flat[6:], PositiveDefinite().pack(value[2]))
    moved = PositiveDefinite().unpack(np.where(np.isnan(flat), flat, flat + 0.1), value)
    np.testing.assert_array_equal(moved[1], value[1])
    assert not np.allclose(moved[0], value[0])


def test_positive_takes_like_where_the_exponential_overflows():
    like = np.array([3.0, 4.0])
    np.testing.assert_allclose(Positive().unpack(np.array([1e4, 0.0]), like), [3.0, 1.0])


@pytest.mark.parametrize(
    ("constraint", "outside"),
    [
        (Real(), np.array([np.nan])),
        (Positive(), np.array([-1e-300])),
        (Positive(), np.array([np.inf])),
        (Bounded(0, 1), np.array([1.5])),
        (Simplex(), np.array([0.5, 0.6])),
        (Simplex(), np.array([-0.5, 1.5])),
        (PositiveDefinite(), np.array([[1.0, 2.0], [2.0, 1.0]])),
        (PositiveDefinite(), np.array([[1.0, 0.5], [0.2, 1.0]])),
    ],
)
def test_holds_says_no(constraint, outside):
    assert not constraint.holds(outside)


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0), (0.0, np.inf), (np.nan, 1.0)])
def test_bounded_refuses_ends(ends):
    with pytest.raises(ValueError, match="finite bounds with low < high"):
        Bounded(*ends)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**20), st.sampled_from(["rows", "entries", "matrices", "simplices"]))
def test_what_is_kept_is_not_in_the_vector(seed, kind):
    rng = np.random.default_rng(seed)
    free = rng.random(4) < 0.5
    free[rng.integers(4)] = True
    value = rng.gamma(2.0, size=(4, 3))
    if kind == "rows":
        constraint, size = Partly(Positive(), free), 3 * free.sum()
    elif kind == "entries":
        mask = rng.random((4, 3)) < 0.5
        constraint, size = Partly(Positive(), mask), mask.sum()
    elif kind == "matrices":
        root = rng.normal(size=(4, 2, 3))
        value = root @ root.transpose(0, 2, 1)
        constraint, size = Partly(PositiveDefinite(), free), 3 * free.sum()
    else:
        value = rng.dirichlet(np.ones(3), (4, 2)).reshape(4, 6)
        mask = rng.random((4, 6)) < 0.6
        constraint = Simplices((3, 3), mask)
        size = np.maximum(mask.reshape(4, 2, 3).sum(axis=2) - 1, 0).sum()
    assert constraint.size(value) == size
    assert constraint.holds(value)
    kept = constraint.kept(value)
    moved = constraint.unpack(constraint.pack(value) + rng.normal(size=int(size)), value)
    assert np.array_equal(moved[kept], value[kept])
    assert constraint.holds(moved)
    back = constraint.unpack(constraint.pack(moved), value)
    np.testing.assert_allclose(back, moved, rtol=1e-9)
    assert constraint.measure(value).ndim == 1


def test_equal_values_are_one_coordinate():
    rates = np.array([[2.0], [5.0], [2.0]])
    constraint = Equal(Positive(), np.array([0, 1, 0]))
    assert constraint.holds(rates)
    assert not constraint.holds(np.array([[2.0], [5.0], [3.0]]))
    assert not constraint.holds(-rates)
    assert constraint.pack(rates) == pytest.approx(np.log([2.0, 5.0]))
    moved = constraint.unpack(np.log([3.0, 4.0]), rates)
    np.testing.assert_allclose(moved, [[3.0], [4.0], [3.0]])
    assert constraint.measure(rates).shape == (2,)
    assert not constraint.kept(rates).any()
    held = Equal(Partly(Positive(), np.array([True, False])), np.array([0, 1, 0]))
    assert held.kept(rates).tolist() == [[False], [True], [False]]
    assert Equal(Fixed(), np.array([0, 1, 0])).kept(rates).all()
