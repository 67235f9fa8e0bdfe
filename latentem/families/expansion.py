"""Between Gaussian parameters and the features of their E-step.

The kernels make, of rows about a centre, the features ``1, y, products of y``: see
`latentem.kernels.gaussian`. Here are the coefficients that turn features into log
densities, and the moments that their weighted sums hold. Both are a few calls on arrays
of K components, so they are not compiled.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from latentem.engine.moments import Scatter, outer

__all__ = ["coefficients", "moments", "size"]

Array = np.ndarray


def size(d: int, kind: Scatter) -> int:
    """Features of a row of d columns."""
    return 1 + d + {"full": d * (d + 1) // 2, "diag": d}.get(kind, 1)


@cache
def _pairs(d: int) -> tuple[Array, Array, Array]:
    """Products a <= b: their places in a flat (d, d) matrix, what each counts in -x' P x / 2.

    And for every cell of that matrix which of the products it is.
    """
    rows, columns = np.triu_indices(d)
    cells = np.empty((d, d), dtype=np.intp)
    cells[rows, columns] = cells[columns, rows] = np.arange(len(rows))
    return rows * d + columns, np.where(rows == columns, -0.5, -1.0), cells.ravel()


def coefficients(
    means: Array, centre: Array, precisions: Array, kind: Scatter
) -> tuple[Array, Array]:
    """Coefficients of the features, the first still 0, and how far the means are.

    Parameters
    ----------
    means : (K, d) array
    centre : (d,) array
    precisions : array
        (K, d, d) for full, (K, d) for diag, (K,) for spherical. For tied the whitener (d, d):
        its features are whitened rows.
    kind : str

    Returns
    -------
    coefficients : (K, p) array
    reach : (K,) array
        Squared distance of the mean from the centre, in standard deviations.
    """
    k, d = means.shape
    found = np.zeros((k, size(d, kind)))
    offset, linear, squares = means - centre, found[:, 1 : 1 + d], found[:, 1 + d :]
    if kind == "tied":
        np.matmul(offset, precisions.T, out=linear)
        squares[:] = -0.5
        return found, np.einsum("kd,kd->k", linear, linear)
    if kind == "full":
        places, counts, _ = _pairs(d)
        np.matmul(precisions, offset[:, :, None], out=linear[:, :, None])
        np.multiply(precisions.reshape(k, d * d)[:, places], counts, out=squares)
    else:
        own = precisions if kind == "diag" else precisions[:, None]
        np.multiply(own, offset, out=linear)
        np.multiply(own, -0.5, out=squares)
    return found, np.einsum("kd,kd->k", linear, offset)


def moments(sums: Array, d: int, kind: Scatter, cross: Array) -> tuple[Array, Array, Array]:
    """Moments of rows about a centre from sums of their features.

    Parameters
    ----------
    sums : (K, p) array
    d : int
    kind : str
    cross : (d, d) array
        Sum over rows and components of weight times y y'; read for tied only.

    Returns
    -------
    offset : (K, d) array
        Means less the centre.
    moved : array
        What the scatters about the centre have more than those about the means.
    scatter : array
        Scatters about the means, compact; for tied of all components together.
    """
    weight = sums[:, 0]
    offset = sums[:, 1 : 1 + d] / (weight + (weight == 0))[:, None]
    moved, about = outer(offset, weight, kind), sums[:, 1 + d :]
    if kind == "tied":
        about = 0.5 * (cross + cross.T)
    elif kind == "full":
        about = about.take(_pairs(d)[2], axis=1).reshape(moved.shape)
    elif kind == "spherical":
        about = about[:, 0] / d
    return offset, moved, about - moved
