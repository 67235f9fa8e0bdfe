r"""Rows that need more care than a matrix product: single cells missing, or squares that overflow.

A cell that was not seen contributes nothing: with columns independent within a
component, and :math:`o_{ij}` 1 where column j of row i was seen,

.. math:: \log f_k(x_i) = \sum_j o_{ij} \log N(x_{ij}; \mu_{kj}, \sigma^2_{kj})

and the moments of each column are those of the rows that show it. Log densities
are linear in the features :math:`o, o y, o y^2` of y = x - c, as they are for complete
rows in 1, y, y^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentem.engine.moments import Moments, Scatter
from latentem.families import covariance as cov
from latentem.families.cells import filled

__all__ = ["Partial", "encoded"]

Array = np.ndarray
LOG_2PI = float(np.log(2 * np.pi))
#: Size of numbers up to which no product of two of them and a precision overflows.
SAFE = 1e100


@dataclass(frozen=True)
class Partial:
    """Rows (m, d), 0 in cells not seen, with 1 for each cell seen; `far` if beyond `SAFE`."""

    x: Array
    seen: Array | None  # None where every cell was
    far: bool

    def __len__(self) -> int:
        return len(self.x)

    @property
    def filled(self) -> Array:
        """The rows with column means in the cells not seen."""
        return self.x if self.seen is None else filled(self.x, self.seen)

    @property
    def gaps(self) -> bool:
        """Whether a cell was not seen."""
        return self.seen is not None

    def part(self, begin: int, end: int) -> Partial:
        """Some of the rows."""
        seen = None if self.seen is None else self.seen[begin:end]
        return Partial(self.x[begin:end], seen, self.far)


def encoded(rows: Array) -> Array | Partial:
    """The rows themselves where they are complete and of ordinary size."""
    x = np.ascontiguousarray(rows, dtype=float)
    if not x.size or max(x.max(), -x.min()) <= SAFE:  # False for NaN too
        return x
    unseen = np.isnan(x)
    if not unseen.any():
        return Partial(x, None, True)
    x = np.where(unseen, 0.0, x)
    return Partial(x, 1.0 - unseen, bool(np.abs(x).max() > SAFE))


def log_densities(
    rows: Partial, means: Array, whiteners: Array, centre: Array, apart: Array
) -> Array:
    """Log densities (K, m) of rows with missing cells under diagonal or spherical covariances.

    Components `apart` are computed about their own mean.
    """
    assert rows.seen is not None
    scale = np.broadcast_to(whiteners.reshape(len(means), -1), means.shape)
    level = np.log(scale) - 0.5 * LOG_2PI
    y = (rows.x - centre) * rows.seen
    offset = scale * (means - centre)
    out = (level - 0.5 * offset**2) @ rows.seen.T
    out += (scale * offset) @ y.T
    out -= 0.5 * scale**2 @ (y * y).T
    for k in range(len(means)) if rows.far else apart:
        white = (rows.x - means[k]) * rows.seen * scale[k]
        out[k] = rows.seen @ level[k] - 0.5 * np.einsum("md,md->m", white, white)
    return out


def moments(
    rows: Partial, weights: Array, centre: Array, apart: Array, limit: float, kind: Scatter
) -> Moments:
    """Moments of the cells seen, with weights of their own for every column, (K, d).

    Components `apart`, and those whose scatter would be too small a difference of
    large sums, are taken about their own mean.
    """
    assert rows.seen is not None
    y = (rows.x - centre) * rows.seen
    weight = weights @ rows.seen
    safe = np.where(weight > 0, weight, 1.0)
    offset = (weights @ y) / safe
    moved = weight * offset**2
    scatter = weights @ (y * y) - moved
    mean = centre + offset
    for k in np.union1d(cov.cancelled(moved, scatter, limit, "diag"), apart):
        share = weights[k][:, None] * rows.seen
        y = rows.x - mean[k]
        for _ in range(2):
            shift = (share * y).sum(axis=0) / safe[k]
            y -= shift
            mean[k] += shift
        scatter[k] = (share * y * y).sum(axis=0)
    return Moments(weight, mean, scatter if kind == "diag" else scatter.mean(axis=1), kind)
