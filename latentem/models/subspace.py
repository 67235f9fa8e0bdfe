"""A start from the correlations of a record: stochastic subspace identification.

Sums over the rows in which both cells are seen give the covariances L_k = Cov[y_(t+k), y_t]. The
block Hankel matrix of L_1, L_2, ... is the product of the observability matrix (C; C A; ...) and of
another, so its leading singular vectors hold C, and the shift between their blocks A (van Overschee
and De Moor 1996, doi:10.1007/978-1-4613-0465-4).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solve_discrete_lyapunov

from latentem.models.records import Records
from latentem.models.regression import symmetric

__all__ = ["autocovariances", "subspace", "subspace_params", "subspace_start"]

Array = np.ndarray
#: Eigenvalues of a start are no larger than this.
LARGEST = 0.999


def autocovariances(blocks: Sequence[Records], lags: int) -> Array:
    """Covariances of rows 0 to `lags` apart from what is seen, (lags + 1, d, d)."""
    d = blocks[0].y.shape[1]
    sums, counts = np.zeros((lags + 1, d, d)), np.zeros((lags + 1, d, d))
    for block in blocks:
        ends = block.ends
        for begin, end in zip(ends - block.lengths, ends, strict=True):
            seen = block.seen[begin:end].astype(float)
            y = np.where(block.seen[begin:end], block.y[begin:end], 0.0)
            for k in range(min(lags + 1, end - begin)):
                sums[k] += y[k:].T @ y[: len(y) - k]
                counts[k] += seen[k:].T @ seen[: len(y) - k]
    return sums / np.maximum(counts, 1.0)


def subspace(covariances: Array, n_states: int) -> tuple[Array, Array]:
    """A (n, n) and C (d, n) from the covariances of a stationary record."""
    d = covariances.shape[1]
    half = len(covariances) // 2
    hankel = np.block([[covariances[i + j + 1] for j in range(half)] for i in range(half)])
    left, values, _ = np.linalg.svd(hankel)
    wide = left[:, :n_states] * np.sqrt(np.maximum(values[:n_states], 1e-12 * values[0]))
    transition = np.linalg.lstsq(wide[:-d], wide[d:], rcond=None)[0]
    radius = float(np.abs(np.linalg.eigvals(transition)).max())
    return transition * min(1.0, LARGEST / max(radius, 1e-300)), wide[:d]


def subspace_params(blocks: Sequence[Records], n_states: int, lags: int | None = None) -> tuple:
    """A, C, the covariance of the states, Q and R to begin with."""
    d = blocks[0].y.shape[1]
    longest = max(int(block.lengths.max()) for block in blocks)
    if lags is None:
        lags = min(2 * (-(-2 * n_states // d) + 3) + 1, longest - 1)
    lags = max(lags, 2 * -(-(n_states + d) // d))
    covariances = autocovariances(blocks, lags)
    variances = np.diag(covariances[0]).copy()
    variances[~(variances > 0)] = 1.0
    root = np.sqrt(variances)
    transition, observation = subspace(covariances / np.outer(root, root), n_states)
    observation = observation * root[:, None]
    unit = symmetric(solve_discrete_lyapunov(transition, np.eye(n_states)))
    explained = np.sum((observation @ unit * observation).sum(axis=1) / variances) / d
    scale = 0.7 / max(explained, 1e-12)
    return transition, observation, scale * unit, scale * np.eye(n_states), np.diag(0.3 * variances)


def subspace_start(blocks: Sequence[Records], n_states: int):  # type: ignore[no-untyped-def]
    """Parameters to begin EM at, without a look at inputs."""
    from latentem.models.state_space import LinearGaussianParams

    transition, observation, spread, state_noise, noise = subspace_params(blocks, n_states)
    m = blocks[0].u.shape[1]
    d = len(observation)
    return LinearGaussianParams(
        np.zeros(n_states), spread, transition, np.zeros((n_states, m)), observation,
        np.zeros((d, m)), state_noise, noise,
    )  # fmt: skip
