"""Over-imputation: cells that were seen, imputed as if they had not been."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentem.estimators.tables import text_table

__all__ = ["Overimputation"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Overimputation:
    """Each observed cell beside what the rest of its row says of it.

    Cells that were missing, and columns that take no part in the model, are NaN.

    Attributes
    ----------
    observed : (n, d) array
    mean : (n, d) array
        Conditional means given the other cells of the row.
    std : (n, d) array
        Conditional standard deviations.
    lower, upper : (n, d) array
        Limits that hold the cell with probability `level`.
    level : float
    names : tuple of str
        Names of the columns.
    """

    observed: Array
    mean: Array
    std: Array
    lower: Array
    upper: Array
    level: float
    names: tuple[str, ...]

    @property
    def inside(self) -> Array:
        """Whether each cell lies between its limits, (n, d); False where it is not judged."""
        return (self.lower <= self.observed) & (self.observed <= self.upper)

    @property
    def cells(self) -> Array:
        """Number of cells that are judged in each column, (d,)."""
        return (~np.isnan(self.observed)).sum(axis=0)

    @property
    def covered(self) -> Array:
        """Share of the cells of each column between their limits, (d,); NaN without a cell."""
        with np.errstate(invalid="ignore"):
            return self.inside.sum(axis=0) / self.cells

    @property
    def rmse(self) -> Array:
        """Root mean square distance of the cells from their means, (d,)."""
        square = np.nansum((self.observed - self.mean) ** 2, axis=0)
        with np.errstate(invalid="ignore"):
            return np.sqrt(square / self.cells)

    def summary(self) -> str:
        """A line for each column; `sd` is the error that its mean alone would make."""
        judged = np.flatnonzero(self.cells > 0).tolist()
        if not judged:
            return "over-imputation: no column varies, so there is no cell to judge"
        width = max(len("column"), *(len(self.names[j]) for j in judged))
        deviations = [float(np.nanstd(self.observed[:, j])) for j in judged]
        cells = int(self.cells.sum())
        share = self.inside.sum() / cells
        table = text_table(
            [
                [text.ljust(width) for text in ("column", *(self.names[j] for j in judged), "all")],
                ["cells", *(f"{self.cells[j]:,}" for j in judged), f"{cells:,}"],
                ["covered", *(f"{100 * self.covered[j]:.1f} %" for j in judged),
                 f"{100 * share:.1f} %"],
                ["rmse", *(f"{self.rmse[j]:.4g}" for j in judged), ""],
                ["sd", *(f"{deviation:.4g}" for deviation in deviations), ""],
            ]
        )  # fmt: skip
        return (
            "over-imputation: each observed cell given the rest of its row, limits of "
            f"{100 * self.level:g} %\n{table}"
        )

    __str__ = summary
    __repr__ = summary
