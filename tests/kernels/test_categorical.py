"""Look-ups and counts against their plain numpy twins."""

from __future__ import annotations

import numpy as np
import pytest

from latentem.kernels.categorical import add_counts, look_up


def case(rng, d, m, dtype, width=7, n_components=3):
    cells = rng.integers(width, size=(d, m)).astype(dtype)
    return cells, rng.normal(size=(n_components, width)), rng.random((n_components, m))


@pytest.mark.nojit
@pytest.mark.parametrize(("d", "m"), [(1, 1), (1, 9), (3, 4), (4, 23)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_kernels_equal_their_twins(d, m, dtype, rng):
    cells, table, weights = case(rng, d, m, dtype)
    out = np.full((3, m), np.nan)
    look_up(cells, table, out)
    np.testing.assert_allclose(out, table[:, cells.astype(int)].sum(axis=1), rtol=1e-13)
    counts = np.ones(table.shape)
    add_counts(cells, weights, counts)
    one_hot = (cells[:, :, None] == np.arange(7)).sum(axis=0)
    np.testing.assert_allclose(counts, 1 + weights @ one_hot, rtol=1e-13)


@pytest.mark.nojit
def test_an_impossible_cell_is_minus_infinity_and_never_nan():
    table = np.array([[-np.inf, -1.0, 0.0]])
    out = np.empty((1, 4))
    look_up(np.array([[0, 0, 1, 2], [0, 1, 1, 2]], dtype=np.uint8), table, out)
    assert out[0].tolist() == [-np.inf, -np.inf, -2.0, 0.0]
