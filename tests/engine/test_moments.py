"""Merged moments are those of all rows together, wherever the data lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentem.engine.moments import Moments

KINDS = ("full", "tied", "diag", "spherical")


def compact(matrices, kind):
    """Scatter matrices (K, d, d) in the compact shape of a kind."""
    if kind == "full":
        return matrices
    if kind == "tied":
        return matrices.sum(axis=0)
    diagonal = np.einsum("kdd->kd", matrices)
    return diagonal if kind == "diag" else diagonal.mean(axis=1)


def brute(x, weights, kind):
    """Two-pass moments in extended precision."""
    wide, w = x.astype(np.longdouble), weights.astype(np.longdouble)
    total = w.sum(axis=1)
    safe = np.where(total > 0, total, 1)
    mean = (w @ wide) / safe[:, None]
    y = wide[None] - mean[:, None]
    matrices = np.einsum("kn,kna,knb->kab", w, y, y)
    return Moments(
        total.astype(float), mean.astype(float), compact(matrices, kind).astype(float), kind
    )


@st.composite
def parts(draw, count):
    """Some sets of weighted rows around a centre, for two components."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    d = draw(st.integers(1, 3))
    centre = draw(st.sampled_from([0.0, -3.0, 1e4, 1e8]))
    out = []
    for _ in range(count):
        n = draw(st.integers(1, 6))
        weights = rng.exponential(size=(2, n))
        if draw(st.booleans()):
            weights[0] = 0.0
        out.append((centre + rng.normal(size=(n, d)), weights))
    return centre, out


def close(a, b, centre):
    """Equal up to the rounding of numbers of the size of the centre."""
    unit = 64 * np.finfo(float).eps * max(abs(centre), 1.0)
    np.testing.assert_allclose(a.weight, b.weight, rtol=1e-13)
    alive = a.weight > 0
    np.testing.assert_allclose(a.mean[alive], b.mean[alive], rtol=0, atol=unit)
    size = max(a.weight.sum(), 1.0)
    np.testing.assert_allclose(a.scatter, b.scatter, rtol=1e-10, atol=unit * size)


@pytest.mark.nojit
@given(st.data(), st.sampled_from(KINDS))
def test_merge_equals_brute_force(data, kind):
    centre, pieces = data.draw(parts(3))
    total = brute(*pieces[0], kind)
    for x, weights in pieces[1:]:
        total = total.merge(brute(x, weights, kind))
    x = np.vstack([x for x, _ in pieces])
    close(total, brute(x, np.hstack([w for _, w in pieces]), kind), centre)


@given(st.data(), st.sampled_from(KINDS))
def test_merge_is_commutative_and_associative(data, kind):
    centre, pieces = data.draw(parts(3))
    a, b, c = (brute(*piece, kind) for piece in pieces)
    close(a.merge(b), b.merge(a), centre)
    close(a.merge(b).merge(c), a.merge(b.merge(c)), centre)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("centre", [0.0, 1e8])
def test_variance_one_at_any_centre(kind, centre, rng):
    x = rng.normal(centre, 1.0, size=(4000, 2))
    weights = np.ones((1, 4000))
    total = None
    for begin in range(0, 4000, 100):
        part = brute(x[begin : begin + 100], weights[:, begin : begin + 100], kind)
        total = part if total is None else total.merge(part)
    expected = brute(x, weights, kind)
    np.testing.assert_allclose(total.scatter, expected.scatter, rtol=1e-9, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_side_changes_nothing_whatever_its_mean(kind):
    x, weights = np.array([[1.0, 5.0], [2.0, 3.0]]), np.array([[1.0, 2.0]])
    full = brute(x, weights, kind)
    empty = Moments(np.zeros(1), np.full((1, 2), 1e6), 0 * full.scatter, kind)
    for merged in (full.merge(empty), empty.merge(full)):
        np.testing.assert_array_equal(merged.weight, full.weight)
        np.testing.assert_array_equal(merged.mean, full.mean)
        np.testing.assert_array_equal(merged.scatter, full.scatter)


@pytest.mark.parametrize("kind", KINDS)
def test_two_empty_sides_stay_finite(kind):
    shape = {"full": (1, 2, 2), "tied": (2, 2), "diag": (1, 2), "spherical": (1,)}[kind]
    empty = Moments(np.zeros(1), np.array([[1.0, 2.0]]), np.zeros(shape), kind)
    merged = empty.merge(empty)
    assert np.isfinite(merged.mean).all()
    np.testing.assert_array_equal(merged.scatter, np.zeros(shape))


@pytest.mark.parametrize("kind", KINDS)
def test_about_another_centre(kind, rng):
    x, weights = rng.normal(size=(8, 2)), rng.random((2, 8))
    centre = np.array([[0.5, -1.0], [3.0, 2.0]])
    y = x[None] - centre[:, None]
    expected = compact(np.einsum("kn,kna,knb->kab", weights, y, y), kind)
    np.testing.assert_allclose(brute(x, weights, kind).about(centre), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_scaled_is_every_row_counted_more(kind, rng):
    x, weights = rng.normal(size=(5, 2)), rng.random((2, 5))
    scaled, expected = brute(x, weights, kind).scaled(3.0), brute(x, 3.0 * weights, kind)
    np.testing.assert_allclose(scaled.scatter, expected.scatter, rtol=1e-13)
    np.testing.assert_allclose(scaled.weight, expected.weight, rtol=1e-13)
    np.testing.assert_allclose(scaled.mean, expected.mean, rtol=1e-13)


def test_kinds_do_not_mix():
    x, weights = np.zeros((1, 1)), np.ones((1, 1))
    with pytest.raises(TypeError, match="cannot merge diag and full moments"):
        brute(x, weights, "diag").merge(brute(x, weights, "full"))
