"""Factors of small covariance matrices, where calls into LAPACK cost more than the work."""

import math

import numpy as np
from numba import njit

__all__ = ["FEW", "whiten"]

FEW = 32  # columns up to which these plain loops are faster than LAPACK


@njit(cache=True, nogil=True, error_model="numpy")
def whiten(covariances, lowered, whiteners, logdets):
    """Inverses of Cholesky factors, and log determinants.

    Zeros of the triangular matrices stay zeros, whatever the units of the columns.

    Parameters
    ----------
    covariances : (C, d, d) array, C order
        Only the lower triangles are read.
    lowered : (C, d) array
        What is taken off the variances first.
    whiteners : (C, d, d) array; overwritten
    logdets : (C,) array; overwritten

    Returns
    -------
    bool
        False where a matrix is not positive definite; what was written means nothing then.
    """
    n_matrices, d = lowered.shape
    root = np.empty((d, d))
    for k in range(n_matrices):
        logdets[k] = 0.0
        for i in range(d):
            for j in range(i + 1):
                total = covariances[k, i, j]
                for c in range(j):
                    total -= root[i, c] * root[j, c]
                if j < i:
                    root[i, j] = total / root[j, j]
            total -= lowered[k, i]
            if not total > 0.0:
                return False
            root[i, i] = math.sqrt(total)
            logdets[k] += math.log(total)
            for j in range(i):
                total = 0.0
                for c in range(j, i):
                    total += root[i, c] * whiteners[k, c, j]
                whiteners[k, i, j] = -total / root[i, i]
                whiteners[k, j, i] = 0.0
            whiteners[k, i, i] = 1.0 / root[i, i]
    return True
