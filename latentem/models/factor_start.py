r"""Where EM for a factor model begins: principal axes of what is seen.

With eigenvalues :math:`\lambda` and vectors U of the covariance, for a common noise variance
(Tipping and Bishop 1999, doi:10.1111/1467-9868.00196)

.. math:: \sigma^2 = \frac{1}{d - q} \sum_{k > q} \lambda_k, \qquad
          L = U_q (\Lambda_q - \sigma^2 I)^{1/2},

which is the maximum of the likelihood where all cells are seen. Otherwise it is a start: the
noise of a column is then what these loadings leave of its variance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import eigh

from latentem.models.factor_blocks import FactorBlock
from latentem.models.normal_start import available_cases

__all__ = ["principal_start", "random_start"]

Array = np.ndarray
#: Least noise variance to start from, and least eigenvalue above the noise, as shares of the
#: variance of a column: loadings of 0 would stay there.
LEAST = 0.05


def principal_start(
    blocks: Sequence[FactorBlock], n_factors: int, isotropic: bool, floor: float
) -> tuple[Array, Array, Array]:
    """Mean (d,), loadings (d, q) and noise variances (d,) from the principal axes.

    Exact for isotropic noise where all cells are seen, if that is not below `floor`, a share
    of the variance.
    """
    mean, variances = _columns(blocks)
    complete = all(block.seen.all() for block in blocks)
    d = len(mean)
    if not blocks[0].paired:
        values, vectors = _axes_of_rows(blocks, mean, n_factors)
    else:
        covariance = available_cases([block.given for block in blocks])[1]
        values, vectors = eigh(covariance, subset_by_index=[d - n_factors, d - 1])
    noise = (variances.sum() - values.sum()) / (d - n_factors)
    exact = complete and isotropic
    noise = max(noise, (floor if exact else LEAST) * variances.mean())
    least = 0.0 if exact else LEAST * variances.mean()
    loadings = vectors * np.sqrt(np.maximum(values - noise, least))
    if isotropic:
        return mean, loadings, np.full(d, noise)
    left = variances - np.sum(loadings**2, axis=1)
    return mean, loadings, np.maximum(left, LEAST * variances)


def random_start(
    blocks: Sequence[FactorBlock], n_factors: int, isotropic: bool, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Mean (d,), loadings (d, q) in random directions and noise variances (d,)."""
    mean, variances = _columns(blocks)
    noise = np.full(len(mean), 0.5 * variances.mean()) if isotropic else 0.5 * variances
    loadings = rng.standard_normal((len(mean), n_factors))
    return mean, loadings * np.sqrt(noise / n_factors)[:, None], noise


def _columns(blocks: Sequence[FactorBlock]) -> tuple[Array, Array]:
    """Mean (d,) and variance (d,) of what is seen; 1 where there is no variance."""
    cells = np.sum([block.cells for block in blocks], axis=0)
    cells = np.where(cells > 0, cells, 1.0)
    # rows are 0 in missing cells
    mean = np.sum([(block.roots * block.shares) @ block.rows for block in blocks], axis=0) / cells
    squares = np.sum([np.sum(_deviations(block, mean) ** 2, axis=0) for block in blocks], axis=0)
    return mean, np.where(squares > 0, squares / cells, 1.0)


def _deviations(block: FactorBlock, mean: Array) -> Array:
    """Rows less the mean, times the roots of their weights, 0 where missing."""
    far = np.where(block.centred[:, None], 0.0, mean)
    return (block.rows - far) * block.roots[:, None] * block.row_seen()


def _axes_of_rows(
    blocks: Sequence[FactorBlock], mean: Array, n_factors: int
) -> tuple[Array, Array]:
    """Largest eigenvalues (q,) and vectors (d, q) of the covariance, from its smaller side.

    Missing cells are 0, and each column is over its share of cells that are seen, so that
    products of different columns are right on average where cells are missing at random.
    """
    weight = sum(block.weights.sum() for block in blocks)
    cells = np.sum([block.cells for block in blocks], axis=0)
    rows = np.concatenate([_deviations(block, mean) for block in blocks])
    rows *= np.where(cells > 0, np.sqrt(weight) / np.maximum(cells, 1e-300), 0.0)
    n, d = rows.shape
    small = rows @ rows.T if n < d else rows.T @ rows
    size = len(small)
    if n_factors >= size:
        raise np.linalg.LinAlgError(
            f"{n} rows have fewer than {n_factors + 1} directions: take fewer factors"
        )
    values, vectors = eigh(small, subset_by_index=[size - n_factors, size - 1])
    values = np.maximum(values, 0.0)
    if n >= d:
        return values, vectors
    axes = rows.T @ vectors
    length = np.sqrt(np.sum(axes**2, axis=0))
    return values, axes / np.where(length > 0, length, 1.0)
