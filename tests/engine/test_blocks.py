"""Blocks depend on the data and their size alone; a subsample is even."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentem import Rows
from latentem.engine.blocks import DEFAULT_SIZE, bounds, slices, thin


@pytest.mark.nojit
@given(st.integers(1, 100_000), st.integers(1, 20_000))
def test_bounds_cover_once_with_near_equal_blocks(n, size):
    found = bounds(n, size)
    assert found[0][0] == 0
    assert found[-1][1] == n
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    lengths = [b - a for a, b in found]
    assert max(lengths) <= size
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1
    assert found == bounds(n, size)


def test_bounds_small_cases():
    assert bounds(0, 5) == [(0, 0)]
    assert bounds(5, 5) == [(0, 5)]
    assert bounds(6, 5) == [(0, 3), (3, 6)]
    assert len(bounds(11, 5)) == 4, "an even number of blocks keeps two threads busy"
    assert bounds(3, 0) == bounds(3, 1)
    assert bounds(DEFAULT_SIZE, None) == [(0, DEFAULT_SIZE)]


def test_slices_of_arrays_tuples_and_rows():
    x, w = np.arange(10.0)[:, None], np.arange(10.0)
    np.testing.assert_array_equal(np.vstack(slices(x, 4)), x)
    parts = slices((x, w), 4)
    assert all(isinstance(part, tuple) and len(part[0]) == len(part[1]) for part in parts)
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), w)
    rows = slices(Rows(x, None, w.astype(int)), 4)
    assert all(part.weights is None for part in rows)
    np.testing.assert_array_equal(np.concatenate([part.labels for part in rows]), w)


def test_slices_refuse_what_they_cannot_cut():
    with pytest.raises(ValueError, match=r"must have one length, found \[2, 3\]"):
        slices((np.zeros(2), np.zeros(3)))
    with pytest.raises(TypeError, match=r"data of type list have no default blocks.*define blocks"):
        slices([1.0, 2.0])


def test_thin_keeps_small_data_as_they_are(rng):
    blocks = slices(np.arange(100.0), 30)
    assert thin(blocks, 100, rng) == blocks


@given(st.integers(200, 5000), st.integers(10, 150), st.integers(1, 700), st.integers(0, 99))
def test_thin_takes_one_row_from_each_stretch(n, limit, size, seed):
    blocks = slices((np.arange(float(n)), np.ones(n)), size)
    picked = np.concatenate([x for x, _ in thin(blocks, limit, np.random.default_rng(seed))])
    assert len(picked) == limit
    stretch = np.floor(picked * limit / n + 1e-9).astype(int)
    # The end of a stretch may round down into the one before it, never further.
    assert np.abs(stretch - np.arange(limit)).max() <= 1
    assert np.all(np.diff(picked) >= 0)


def test_thin_does_not_depend_on_the_blocks():
    x = np.arange(10_000.0)
    samples = [
        np.concatenate(thin(slices(x, size), 500, np.random.default_rng(3)))
        for size in (10_000, 999, 64)
    ]
    np.testing.assert_array_equal(samples[0], samples[1])
    np.testing.assert_array_equal(samples[0], samples[2])


def test_thin_covers_sorted_data(rng):
    x = np.sort(rng.normal(size=20_000))
    small = np.concatenate(thin(slices(x, 1000), 1000, rng))
    np.testing.assert_allclose(np.quantile(small, [0.1, 0.5, 0.9]), np.quantile(x, [0.1, 0.5, 0.9]),
                               atol=0.01)  # fmt: skip


def test_thin_keeps_rows_together(rng):
    x = np.arange(5000.0)[:, None]
    parts = thin(slices(Rows(x, x[:, 0], x[:, 0].astype(int)), 700), 300, rng)
    for part in parts:
        np.testing.assert_array_equal(part.x[:, 0], part.weights)
        np.testing.assert_array_equal(part.x[:, 0], part.labels)


def test_thin_passes_blocks_of_other_kinds_whole(rng):
    blocks = [[np.zeros(100)], [np.zeros(100)]]
    assert thin(blocks, 10, rng) == blocks
