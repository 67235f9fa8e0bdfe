"""First moments of Gaussian components from guessed responsibilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from latentem.engine.blocks import bounds
from latentem.engine.moments import Moments
from latentem.families import incomplete
from latentem.families.incomplete import Incomplete

if TYPE_CHECKING:
    from latentem.families.gaussian import Gaussian, Rows

__all__ = ["first_moments"]

Array = np.ndarray


def first_moments(
    family: Gaussian, x: Rows, weights: Array, centre: Array, rng: np.random.Generator
) -> Moments:
    """Moments for a start, summed over blocks.

    Rows with missing cells are completed under columns that are hardly correlated, which
    gives correlations that are too small, but not 0: a place that EM can leave.
    """
    prepared = None
    if isinstance(x, Incomplete):
        apart = type(family)("diag").initialize(x.cells, weights, rng)
        spread = incomplete.pushed(apart.covariances, len(x), rng)
        if family.covariance_type == "tied":
            spread = np.average(spread, axis=0, weights=weights.sum(axis=1))
        prepared = family.prepare(apart._replace(covariances=spread))
    total = None
    for begin, end in bounds(len(x)):
        share = np.ascontiguousarray(weights[:, begin:end])
        rows = x[begin:end] if isinstance(x, np.ndarray) else x.part(begin, end)
        if prepared is not None:
            part = family.statistics(prepared, rows, share)
        else:
            assert not isinstance(rows, Incomplete)
            part = family.weighted_moments(rows, share, centre)
        total = part if total is None else total.merge(part)
    assert total is not None
    return total
