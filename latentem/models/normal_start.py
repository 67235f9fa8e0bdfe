"""Where EM begins with missing cells: the cases that are there, column by column and in pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latentem.families.incomplete import PUSH
from latentem.models.patterns import PatternBlock

__all__ = ["available_cases"]

Array = np.ndarray
#: Rows of no correlation that are added to those of each pair of columns.
SHRINK = 2.0
#: Least eigenvalue of the correlations to start from.
LEAST = 0.05


def available_cases(
    blocks: Sequence[PatternBlock], rng: np.random.Generator | None = None
) -> tuple[Array, Array]:
    """Means and variances of what is seen, correlations of the rows that have both columns.

    Correlations are shrunk, and pulled towards 0 until the matrix is positive definite.
    Data may be so balanced that the correlation seen is exactly 0 where the likelihood
    has a saddle (Murray 1977, in the discussion of Dempster, Laird and Rubin,
    doi:10.1111/j.2517-6161.1977.tb01600.x); EM would stay there, so correlations of pairs
    that are not always both seen are pushed a little, each by another amount: drawn from
    `rng`, or the same ones always.
    """
    d = blocks[0].rows.shape[1]
    together = np.sum([block.together for block in blocks], axis=0)
    count = np.maximum(together.diagonal(), np.finfo(float).tiny)
    sums = np.zeros(d)
    for block in blocks:
        n_rows = len(block.rows)
        sums += (block.roots[:n_rows] ** 2) @ block.rows
        sums += block.group_weights @ block.group_means  # 0 in missing cells
    mean = sums / count
    products, first, second = np.zeros((d, d)), np.zeros((d, d)), np.zeros((d, d))
    for block in blocks:
        missing = np.concatenate(
            [np.repeat(block.missing, np.diff(block.first), axis=0), block.group_missing]
        )
        points = np.concatenate([block.rows, block.group_means])
        y = np.where(missing, 0.0, points - mean) * block.roots[:, None]
        seen = np.where(missing, 0.0, block.roots[:, None])
        products += y.T @ y + block.group_scatters.sum(axis=0)
        first += y.T @ seen  # of the first column of a pair, in rows that have the second
        second += (y * y).T @ (~missing).astype(float)
        second += np.einsum("gjj,gk->jk", block.group_scatters, (~block.group_missing) * 1.0)
    variance = products.diagonal() / count
    pairs = np.maximum(together, np.finfo(float).tiny)
    covariance = products - first * first.T / pairs
    spread = np.maximum(second - first**2 / pairs, 0.0)  # of the first column, in those rows
    scale = np.sqrt(spread * spread.T)
    correlation = np.divide(covariance, scale, out=np.zeros((d, d)), where=scale > 0)
    correlation = np.clip(correlation, -1.0, 1.0) * together / (together + SHRINK)
    correlation += _push(together, rng)
    np.fill_diagonal(correlation, 1.0)
    correlation = 0.5 * (correlation + correlation.T)
    least = np.linalg.eigvalsh(correlation)[0]
    if least < LEAST:
        correlation *= (1 - LEAST) / (1 - least)
        np.fill_diagonal(correlation, 1.0)
    deviation = np.sqrt(np.where(variance > 0, variance, 1.0))
    return mean, correlation * np.outer(deviation, deviation)


def _push(together: Array, rng: np.random.Generator | None) -> Array:
    """Small numbers of both signs, no two alike, where a pair is not always both seen."""
    d = len(together)
    count = together.diagonal()
    partly = together < np.minimum(count[:, None], count)
    partly |= (together < count.max()) & ~np.eye(d, dtype=bool)
    if rng is None:
        place = np.arange(d * d).reshape(d, d) + 1.0
        number = 2 * np.modf(place * 0.6180339887498949)[0] - 1  # spreads evenly in (-1, 1)
    else:
        number = rng.uniform(-1.0, 1.0, size=(d, d))
    number = np.triu(number, 1)
    return np.where(partly, PUSH * (number + number.T) / np.sqrt(together + SHRINK), 0.0)
