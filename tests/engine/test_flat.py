"""The flat vector of free coordinates of a whole parameter tree."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from latentem import Fixed, Positive, PositiveDefinite, Real, Simplex
from latentem.engine.flat import FlatSpace


class Inner(NamedTuple):
    mean: object
    covariance: object


class Params(NamedTuple):
    weights: object
    rate: object
    inner: object


def example():
    params = Params(
        np.array([0.2, 0.3, 0.5]),
        2.0,
        Inner(np.array([1.0, -1.0]), np.array([[2.0, 0.3], [0.3, 1]])),
    )
    return params, Params(Simplex(), Positive(), Inner(Real(), PositiveDefinite()))


def same(a, b):
    assert type(a) is type(b)
    np.testing.assert_allclose(a.weights, b.weights)
    assert a.rate == pytest.approx(b.rate)
    np.testing.assert_allclose(a.inner.mean, b.inner.mean)
    np.testing.assert_allclose(a.inner.covariance, b.inner.covariance)


@pytest.mark.nojit
def test_round_trip_of_nested_parameters():
    params, constraints = example()
    space = FlatSpace(constraints, params)
    assert space.size == 2 + 1 + 2 + 3
    assert space.names == ("weights", "rate", "inner.mean", "inner.covariance")
    assert space.coordinate_names() == (
        ["weights"] * 2 + ["rate"] + ["inner.mean"] * 2 + ["inner.covariance"] * 3
    )
    back = space.unpack(space.pack(params))
    same(back, params)
    assert isinstance(back.rate, float)
    vector = np.linspace(-1, 1, space.size)
    np.testing.assert_allclose(space.pack(space.unpack(vector)), vector)


def test_fixed_leaves_are_left_out_and_come_from_like():
    params, constraints = example()
    space = FlatSpace(constraints._replace(rate=Fixed()), params)
    assert space.size == 7
    moved = space.unpack(space.pack(params) + 0.1)
    assert moved.rate == params.rate
    assert space.unpack(space.pack(params), params._replace(rate=9.0)).rate == 9.0


def test_natural_space_is_the_parameters_themselves():
    params, constraints = example()
    space = FlatSpace(constraints._replace(rate=Fixed()), params, natural=True)
    np.testing.assert_array_equal(
        space.pack(params), [0.2, 0.3, 0.5, 1.0, -1.0, 2.0, 0.3, 0.3, 1.0]
    )
    same(space.unpack(space.pack(params)), params)


def test_without_constraints_every_leaf_is_real():
    params, _ = example()
    space = FlatSpace(None, params)
    assert space.size == 3 + 1 + 2 + 4
    assert space.holds(params._replace(rate=-1.0))


def test_coordinates_that_are_not_finite_come_from_like():
    params, constraints = example()
    zero = params._replace(weights=np.array([0.0, 0.4, 0.6]))
    space = FlatSpace(constraints, zero)
    same(space.unpack(space.pack(zero)), zero)


def test_holds_needs_constraints_and_finite_numbers():
    params, constraints = example()
    space = FlatSpace(constraints, params)
    assert space.holds(params)
    assert not space.holds(params._replace(rate=-1.0))
    assert not space.holds(params._replace(weights=np.array([0.5, 0.6, 0.1])))
    fixed = FlatSpace(constraints._replace(rate=Fixed()), params)
    assert not fixed.holds(params._replace(rate=np.nan))
    natural = FlatSpace(constraints, params, natural=True)
    assert not natural.holds(params._replace(rate=-1.0)), "declared constraints hold there too"


def test_a_leaf_without_a_constraint_is_named():
    params, constraints = example()
    with pytest.raises(TypeError, match=r"a Constraint at every leaf .* found str"):
        FlatSpace(constraints._replace(rate="positive"), params)
    with pytest.raises(TypeError, match="expected the structure of Inner"):
        FlatSpace(constraints._replace(inner=Real()), params)


def test_no_parameters_at_all():
    space = FlatSpace((), ())
    assert space.size == 0
    assert space.pack(()).shape == (0,)
    assert space.unpack(np.empty(0)) == ()
