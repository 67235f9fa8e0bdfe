"""Feature kernels against their plain numpy twins."""

from __future__ import annotations

import numpy as np
import pytest

from latentem.kernels.gaussian import centred, products

SIZES = [(1, 1), (7, 2), (8, 3), (9, 3), (40, 5)]


def twin(x, centre, full):
    y = (x - centre).T
    d = len(centre)
    pairs = [(a, b) for a in range(d) for b in (range(a, d) if full else [a])]
    return np.vstack([np.ones(len(x)), y, *[y[a] * y[b] for a, b in pairs]])


@pytest.mark.nojit
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(("m", "d"), SIZES)
def test_features_equal_the_twin_bit_for_bit(m, d, full, rng):
    x, centre = rng.normal(1e3, 1.0, size=(m, d)), rng.normal(1e3, 1.0, size=d)
    expected = twin(x, centre, full)
    out = np.full(expected.shape, np.nan)
    centred(x, centre, out)
    products(out, d, full)
    np.testing.assert_array_equal(out, expected)
