r"""Expected statistics of a factor model: one regression on the factors for each column.

With :math:`g = (f, 1)` and :math:`\beta_j = (L_j, \mu_j)`, summed over the rows in which
column j is seen,

.. math:: A_j = \sum w\, E[g g'], \qquad c_j = \sum w\, E[(x_j - \beta_j' g)\, g], \qquad
          s_j = \sum w\, E[(x_j - \beta_j' g)^2]

about the :math:`\beta` of the E-step. Residuals do not cancel where the noise is small, as
sums of squares and products of x itself would.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from latentem.engine.trees import Statistic

__all__ = ["FactorStatistics", "lower_triangle", "unpack"]

Array = np.ndarray


@cache
def lower_triangle(size: int) -> tuple[Array, Array]:
    """Rows and columns of the lower triangle, row by row: the order of packed matrices."""
    return np.tril_indices(size)


def unpack(packed: Array, size: int) -> Array:
    """Symmetric matrices (..., size, size) from packed lower triangles (p, ...)."""
    rows, columns = lower_triangle(size)
    out = np.empty((*packed.shape[1:], size, size))
    out[..., rows, columns] = packed.T
    out[..., columns, rows] = packed.T
    return out


def _pack(matrices: Array) -> Array:
    rows, columns = lower_triangle(matrices.shape[-1])
    return np.ascontiguousarray(matrices[..., rows, columns].T)


@dataclass(frozen=True)
class FactorStatistics(Statistic):
    """Sums over rows for the regression of each column on the factors and a constant.

    Parameters
    ----------
    overall : ((q + 1) (q + 2) / 2,) array
        E[g g'] over all rows, as a packed lower triangle.
    gram : ((q + 1) (q + 2) / 2, d) array
        A.
    cross : (q + 1, d) array
        c, about `centre`.
    squares : (d,) array
        s, about `centre`.
    centre : (q + 1, d) array
        Loadings, then the mean, of the E-step.
    frame : (q + 1, q + 1) array
        The factors here are others than those of the parameters: theirs, with the 1, are
        ``frame @ g``.
    """

    overall: Array
    gram: Array
    cross: Array
    squares: Array
    centre: Array
    frame: Array

    @property
    def cells(self) -> Array:
        """Weight of the rows in which each column is seen, (d,)."""
        return self.gram[-1]

    def merge(self, other: FactorStatistics) -> FactorStatistics:
        other = other if np.array_equal(other.frame, self.frame) else other.framed(self.frame)
        if not np.array_equal(other.centre, self.centre):
            other = other.about(self.centre)
        return replace(
            self,
            overall=self.overall + other.overall,
            gram=self.gram + other.gram,
            cross=self.cross + other.cross,
            squares=self.squares + other.squares,
        )

    def scaled(self, factor: float) -> FactorStatistics:
        return replace(
            self,
            overall=self.overall * factor,
            gram=self.gram * factor,
            cross=self.cross * factor,
            squares=self.squares * factor,
        )

    def about(self, centre: Array) -> FactorStatistics:
        """The same sums about other regressions."""
        change = centre - self.centre
        moved = self._gram_times(change)
        return replace(
            self,
            cross=self.cross - moved,
            squares=self.squares + np.sum(change * (moved - 2 * self.cross), axis=0),
            centre=centre,
        )

    def framed(self, frame: Array) -> FactorStatistics:
        """The same sums of other factors."""
        size = len(frame)
        turn = np.linalg.solve(frame, self.frame)
        turn[-1] = np.arange(size) == size - 1  # exactly
        return FactorStatistics(
            _pack(turn @ unpack(self.overall, size) @ turn.T),
            _pack(turn @ unpack(self.gram, size) @ turn.T),
            turn @ self.cross,
            self.squares,
            np.linalg.solve(turn.T, self.centre),
            frame,
        )

    def scatter(self) -> tuple[Array, Array]:
        """Mean (d,) and sum of squares about it (d,) of what is seen of each column."""
        total = self.cross[-1] + self._gram_times(self.centre)[-1]
        mean = total / self.cells
        alone = np.zeros_like(self.centre)
        alone[-1] = mean
        return mean, np.maximum(self.about(alone).squares, 0.0)

    def _gram_times(self, vectors: Array) -> Array:
        size = len(vectors)
        rows, columns = lower_triangle(size)
        out = np.zeros_like(vectors)
        for k, (a, b) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
            out[a] += self.gram[k] * vectors[b]
            if a != b:
                out[b] += self.gram[k] * vectors[a]
        return out
