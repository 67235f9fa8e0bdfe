"""Rows with missing cells, sorted by which cells are missing, as blocks of an E-step.

A pattern with more rows than there are columns is kept as weight, mean and scatter of
what is seen, which is all that a normal distribution asks of it: the complete rows are
summed once for all iterations. The other patterns keep their rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from latentem.families.cells import Patterns, patterns_of
from latentem.kernels.patterns import factor_scatters, gather_rows, group_moments

__all__ = ["PatternBlock", "Patterns", "normal_cost", "pattern_blocks", "patterns_of"]

Array = np.ndarray
#: Multiplications worth a block of their own.
BLOCK_COST = 8e5
MOST_BLOCKS = 64


@dataclass(frozen=True)
class PatternBlock:
    """Some patterns with their rows, in the units of a model.

    Parameters
    ----------
    rows : (r, d) array
        Rows of patterns with few of them, sorted by pattern, 0 in missing cells.
    centred : (r,) bool array
        Rows that are deviations from a mean, not rows of the data: see `spelled_out`.
    roots : (r + G,) array
        Square roots of the weights of the rows, then of the groups.
    weights : (P,) array
        Weight of each pattern that keeps its rows.
    first : (P + 1,) int array
        Row at which each of these begins.
    missing : (P, d) bool array
    group_weights : (G,) array
        Weight of each pattern that is kept as moments.
    group_means : (G, d) array
    group_scatters : (G, d, d) array
        About the means, 0 in missing columns.
    group_factors : (G, d, d) array
        Deviations whose products sum to the scatters.
    group_missing : (G, d) bool array
    together : (d, d) array
        Weight of the rows in which two columns are both seen; (0, 0) where not asked for.
    """

    rows: Array
    centred: Array
    roots: Array
    weights: Array
    first: Array
    missing: Array
    group_weights: Array
    group_means: Array
    group_scatters: Array
    group_factors: Array
    group_missing: Array
    together: Array

    @property
    def weight(self) -> float:
        """Sum of the weights of all rows."""
        return float(self.weights.sum() + self.group_weights.sum())

    @property
    def shares(self) -> Array:
        """Roots of the weights with which rows and groups count in a mean, (r + G,)."""
        n_rows = len(self.rows)
        return np.concatenate([self.roots[:n_rows] * ~self.centred, self.roots[n_rows:]])

    @property
    def spelled_out(self) -> PatternBlock:
        """The block with each group as its mean and d deviations that make up its scatter.

        For arithmetic that must not form products of rows with the precision.
        """
        n_groups, d = self.group_means.shape
        if not n_groups:
            return self
        points = np.concatenate([self.group_means[:, None], self.group_factors], axis=1)
        centred = np.tile(np.arange(d + 1) > 0, n_groups)
        roots = np.ones((n_groups, d + 1))
        roots[:, 0] = self.roots[len(self.rows) :]
        return replace(
            self,
            rows=np.concatenate([self.rows, points.reshape(-1, d)]),
            centred=np.concatenate([self.centred, centred]),
            roots=np.concatenate([self.roots[: len(self.rows)], roots.ravel()]),
            weights=np.concatenate([self.weights, self.group_weights]),
            first=np.concatenate(
                [self.first, len(self.rows) + (d + 1) * np.arange(1, n_groups + 1)]
            ),
            missing=np.concatenate([self.missing, self.group_missing]),
            group_weights=np.empty(0),
            group_means=np.empty((0, d)),
            group_scatters=np.empty((0, d, d)),
            group_factors=np.empty((0, d, d)),
            group_missing=np.empty((0, d), dtype=bool),
        )


def normal_cost(counts: Array, n_missing: Array, d: int) -> Array:
    """Multiplications that each pattern costs in an E-step of a normal distribution.

    Parameters
    ----------
    counts : (P,) array
        Rows of each pattern; those with more than d are kept as moments.
    n_missing : (P,) array
        Cells that a row of each pattern misses.
    d : int
        Number of columns.
    """
    grouped = counts > d
    cost = 4.0 * d + np.minimum(n_missing, d - n_missing).astype(float) ** 3
    of_rows = np.where(grouped, 0, counts) * d * (n_missing + d / 4)
    return cost + np.where(grouped, d * d * (1.0 + n_missing), of_rows)


def pattern_blocks(
    x: Array,
    missing: Array,
    weights: Array,
    centre: Array,
    scale: Array,
    size: int | None = None,
    cost_of: Callable[[Array, Array, int], Array] = normal_cost,
    pairs: bool = True,
) -> list[PatternBlock]:
    """The rows of a table as blocks of whole patterns, of about equal work.

    Parameters
    ----------
    x : (n, d) array
        Anything in missing cells. Every row has a cell that is seen.
    missing : (n, d) bool array
    weights : (n,) array, all positive
    centre, scale : (d,) array
        Blocks hold ``(x - centre) / scale``.
    size : int, optional
        Rows of a block, about; a pattern is never cut. By default as the work asks.
    cost_of : callable
        Work of each pattern, see `normal_cost`.
    pairs : bool
        Whether to count in how many rows two columns are both seen.
    """
    n, d = x.shape
    order, first, missing = patterns_of(missing)
    counts = np.diff(first)
    grouped = counts > d
    cost = cost_of(counts, missing.sum(axis=1), d)
    if size is None:
        wanted = min(int(cost.sum() / BLOCK_COST), MOST_BLOCKS)
    else:
        cost, wanted = counts.astype(float), -(-n // max(int(size), 1))
    wanted = wanted + wanted % 2 if wanted > 1 else 1
    done = np.cumsum(cost)
    cuts = np.searchsorted(done, done[-1] * np.arange(1, wanted) / wanted)
    edges = np.unique(np.concatenate([[0], cuts, [len(counts)]]))
    blocks = []
    for begin, end in pairwise(edges):
        groups = begin + np.flatnonzero(grouped[begin:end])
        others = begin + np.flatnonzero(~grouped[begin:end])
        block = _block(x, weights, Patterns(order, first, missing), groups, others, centre, scale)
        blocks.append(_paired(block) if pairs else block)
    return blocks


def _paired(block: PatternBlock) -> PatternBlock:
    """The block with its pairs of columns counted."""
    seen = ~np.concatenate([block.missing, block.group_missing])
    weights = np.concatenate([block.weights, block.group_weights])
    return replace(block, together=(seen * weights[:, None]).T @ seen.astype(float))


def _block(
    x: Array,
    weights: Array,
    patterns: Patterns,
    groups: Array,
    others: Array,
    centre: Array,
    scale: Array,
) -> PatternBlock:
    """The block of the patterns `groups`, as moments, and `others`, as rows."""
    order, first, missing = patterns
    d, n_groups = x.shape[1], len(groups)
    total, means = np.empty(n_groups), np.empty((n_groups, d))
    scatters, factors = np.empty((n_groups, d, d)), np.empty((n_groups, d, d))
    group_moments(
        x, weights, order, missing[groups], first[groups], first[groups + 1], centre, scale,
        total, means, scatters,
    )  # fmt: skip
    factor_scatters(scatters, factors)
    kept = np.concatenate([[0], np.cumsum(patterns.counts[others])])
    places = np.repeat(first[others] - kept[:-1], np.diff(kept)) + np.arange(kept[-1])
    rows, row_weights = np.empty((kept[-1], d)), np.empty(kept[-1])
    gather_rows(
        x, weights, order[places], missing[others], kept, centre, scale, rows, row_weights
    )  # fmt: skip
    of_pattern = np.add.reduceat(row_weights, kept[:-1]) if len(others) else np.empty(0)
    return PatternBlock(
        rows=rows,
        centred=np.zeros(len(rows), dtype=bool),
        roots=np.sqrt(np.concatenate([row_weights, total])),
        weights=of_pattern,
        first=kept,
        missing=missing[others],
        group_weights=total,
        group_means=means,
        group_scatters=scatters,
        group_factors=factors,
        group_missing=missing[groups],
        together=np.empty((0, 0)),
    )
