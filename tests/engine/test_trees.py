"""Tree arithmetic adds leaf by leaf and refuses what it does not know."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from latentem.engine.moments import Moments
from latentem.engine.trees import add, allfinite, leaves, scale, values, zip_leaves


class Pair(NamedTuple):
    left: object
    right: object


class Other(NamedTuple):
    left: object
    right: object


@pytest.mark.nojit
def test_add_goes_leaf_by_leaf_and_keeps_types():
    tree = Pair((1.0, np.array([1.0, 2.0])), Pair(None, 3))
    total = add(tree, tree)
    assert type(total) is Pair
    assert type(total.left) is tuple
    assert total.left[0] == 2.0
    np.testing.assert_array_equal(total.left[1], [2.0, 4.0])
    assert total.right == Pair(None, 6)


def test_plain_tuples_are_not_concatenated():
    assert add((1.0, 2.0), (10.0, 20.0)) == (11.0, 22.0)


@pytest.mark.parametrize("bad", [[1.0], {"a": 1.0}, {1.0}, "text", object()])
def test_unknown_nodes_raise_everywhere(bad):
    tree = Pair(1.0, bad)
    for call in (
        lambda: add(tree, tree),
        lambda: scale(tree, 2.0),
        lambda: list(leaves(tree)),
        lambda: zip_leaves(lambda leaf: leaf, tree),
        lambda: allfinite(tree),
    ):
        with pytest.raises(TypeError, match=f"found {type(bad).__name__}"):
            call()


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        (Pair(1.0, 2.0), Other(1.0, 2.0), "cannot add Pair and Other"),
        ((1.0,), (1.0, 2.0), "tuples of lengths 1 and 2"),
        (np.zeros(3), np.zeros(1), r"arrays of shapes \(3,\) and \(1,\)"),
        (np.zeros(3), 0.0, r"arrays of shapes \(3,\) and \(\)"),
        (None, 1.0, "cannot add NoneType and float"),
        (1.0, (1.0,), "cannot add float and tuple"),
        (np.zeros(2), None, "cannot add ndarray and NoneType"),
    ],
)
def test_other_structures_raise_instead_of_broadcasting(a, b, sentence):
    with pytest.raises(TypeError, match=sentence):
        add(a, b)


def test_adding_leaves_the_summands_alone():
    a = Pair(np.ones(2), 1.0)
    add(a, a)
    np.testing.assert_array_equal(a.left, [1.0, 1.0])


def test_scale_knows_statistics_and_none():
    moments = Moments(np.ones(1), np.array([[5.0]]), np.array([[2.0]]), "diag")
    scaled = scale(Pair(moments, (None, np.array([3.0]))), 2.0)
    assert scaled.left.weight == 2.0
    assert scaled.left.mean == 5.0
    assert scaled.left.scatter == 4.0
    assert scaled.right[0] is None
    assert scaled.right[1] == 6.0


def test_leaves_have_dotted_names_in_order():
    tree = Pair(1.0, Pair(np.zeros(2), (None, 3.0)))
    assert [name for name, _ in leaves(tree)] == ["left", "right.left", "right.right.1"]


def test_zip_leaves_names_a_structure_that_does_not_fit():
    with pytest.raises(TypeError, match=r"expected the structure of Pair.*found float"):
        zip_leaves(lambda a, b: a, Pair(1.0, 2.0), 1.0)
    with pytest.raises(TypeError, match="expected the structure of Pair"):
        zip_leaves(lambda a, b: a, Pair(1.0, 2.0), (1.0,))


def test_allfinite():
    assert allfinite(Pair(np.zeros(2), 1.0))
    assert not allfinite(Pair(np.array([0.0, np.nan]), 1.0))
    assert not allfinite(Pair(np.zeros(2), np.inf))


def test_values_are_the_leaves_without_their_names():
    tree = ((np.ones(2), None), 3.0, (np.zeros(1),))
    assert all(a is b for a, (_, b) in zip(values(tree), leaves(tree), strict=True))
    assert values(None) == []
    with pytest.raises(TypeError, match="found list"):
        values((np.ones(2), [1.0]))
