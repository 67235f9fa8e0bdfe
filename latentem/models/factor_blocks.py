"""Rows with missing cells as blocks for a factor model: patterns, masks and pseudo-rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentem.models.patterns import BLOCK_COST, PatternBlock, pattern_blocks

__all__ = ["FactorBlock", "factor_blocks"]

Array = np.ndarray
#: Rows of a block, at least about: adding the statistics of a block costs as much as a few rows.
FEW_ROWS = 100


@dataclass(frozen=True)
class FactorBlock:
    """Some patterns with their rows, in the units of a model.

    A pattern with more rows than there are columns is held as its mean and as many
    deviations as there are columns, which is all that a factor model asks of it.

    Parameters
    ----------
    given : PatternBlock
    rows : (r, d) array
        Sorted by pattern, 0 in missing cells.
    centred : (r,) bool array
        Rows that are deviations from a mean.
    roots : (r,) array
        Square roots of the weights of the rows.
    first : (P + 1,) int array
        Row at which each pattern begins, and r.
    weights : (P,) array
    seen : (P, d) array of 0 and 1
    cells : (d,) array
        Weight of the rows in which each column is seen.
    """

    given: PatternBlock
    rows: Array
    centred: Array
    roots: Array
    first: Array
    weights: Array
    seen: Array
    cells: Array

    @property
    def paired(self) -> bool:
        """Whether it is known in how many rows two columns are both seen."""
        return self.given.together.size > 0

    @property
    def shares(self) -> Array:
        """Roots of the weights with which rows count in a mean, (r,)."""
        return self.roots * ~self.centred

    def row_seen(self) -> Array:
        """The mask of each row, (r, d)."""
        return np.repeat(self.seen, np.diff(self.first), axis=0)


def factor_blocks(
    x: Array,
    missing: Array,
    weights: Array,
    centre: Array,
    scale: Array,
    n_factors: int,
    size: int | None = None,
) -> list[FactorBlock]:
    """The rows of a table as blocks of whole patterns, of about equal work.

    Parameters
    ----------
    x : (n, d) array
        Anything in missing cells. Every row has a cell that is seen.
    missing : (n, d) bool array
    weights : (n,) array, all positive
    centre, scale : (d,) array
        Blocks hold ``(x - centre) / scale``.
    n_factors : int
    size : int, optional
        Rows of a block, about; a pattern is never cut. By default as the work asks.
    """

    def cost(counts: Array, n_missing: Array, d: int) -> Array:
        each = d * (4.0 * n_factors + 1.5 * (n_factors + 1) ** 2)
        return np.minimum(counts, d + 1) * min(each, BLOCK_COST / FEW_ROWS)

    # pairs of columns are for the start, where rows suffice to tell them
    pairs = x.shape[1] <= len(x) and bool(missing.any())
    blocks = pattern_blocks(x, missing, weights, centre, scale, size, cost, pairs)
    return [_block(block) for block in blocks]


def _block(given: PatternBlock) -> FactorBlock:
    rows = given.spelled_out
    seen = (~rows.missing).astype(float)
    return FactorBlock(
        given=given,
        rows=rows.rows,
        centred=rows.centred,
        roots=rows.roots,
        first=rows.first,
        weights=rows.weights,
        seen=seen,
        cells=rows.weights @ seen,
    )
