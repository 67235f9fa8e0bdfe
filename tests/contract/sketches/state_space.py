"""Linear-Gaussian state space with single cells missing, by EM.

``x_1 ~ N(m, P)``, ``x_t = A x_(t-1) + N(0, Q)``, ``y_t = C x_t + N(0, R)``; NaN cells of y
are missing. Given x_t and the observed cells o, the missing cells l are
``C_l x + R_lo R_oo^-1 (y_o - C_o x) + N(0, R_ll - R_lo R_oo^-1 R_ol)``, so with

    y = G y_o + B x + N(0, D),   observed rows: G = 1, B = 0, D = 0

the complete-data moments E[y y'], E[y x'], E[x x'] given all observed cells follow
from the smoothed x alone. They are sums over t and over sequences.
"""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import numpy as np

from latentem import Expectation, Fixed, LatentModel, PositiveDefinite, Real
from latentem.engine.trees import add
from tests.contract.sketches.sequences import sequence_blocks


class Params(NamedTuple):
    first_mean: np.ndarray
    first_covariance: np.ndarray
    moves: np.ndarray  # A
    loadings: np.ndarray  # C
    state_noise: np.ndarray  # Q
    noise: np.ndarray  # R


class Pair(NamedTuple):
    """Sums of outer products of a target and its regressor, and how many."""

    tt: np.ndarray
    tr: np.ndarray
    rr: np.ndarray
    count: float


class Statistics(NamedTuple):
    first: Pair  # x_1 on the constant 1
    moves: Pair  # x_t on x_(t-1)
    observed: Pair  # y_t on x_t


class StateSpace(LatentModel):
    """With `free_first` the first mean and covariance are estimated too."""

    def __init__(self, start, free_first=False):
        self.start, self.free_first = start, free_first

    def blocks(self, data, size=None):
        return sequence_blocks(data, size)

    def initialize(self, blocks, rng):
        return self.start

    def constraints(self):
        first = (Real(), PositiveDefinite()) if self.free_first else (Fixed(), Fixed())
        return Params(*first, Real(), Real(), PositiveDefinite(), PositiveDefinite())

    def prepare(self, params):
        """With a memo per pattern of missing cells, which fills while blocks are worked on."""
        return params, {}

    def e_step(self, prepared, block):
        return reduce(add, [self._one(*prepared, y) for y in block])

    def _one(self, params, memo, y):
        moves, state_noise = params.moves, params.state_noise
        mean, covariance = params.first_mean, params.first_covariance
        predicted, filtered, rows, loglik = [], [], [], 0.0
        for t, row in enumerate(y):
            if t > 0:
                mean = moves @ mean
                covariance = moves @ covariance @ moves.T + state_noise
            predicted.append((mean, covariance))
            known = ~np.isnan(row)
            if known.tobytes() not in memo:
                memo[known.tobytes()] = _pattern(known, params.loadings, params.noise)
            seen, gain, b, left = memo[known.tobytes()]
            if len(seen):
                c = params.loadings[seen]
                inner = c @ covariance @ c.T + params.noise[np.ix_(seen, seen)]
                surprise = row[seen] - c @ mean
                inverse = np.linalg.inv(inner)
                loglik -= 0.5 * (len(seen) * np.log(2 * np.pi) + np.linalg.slogdet(inner)[1])
                loglik -= 0.5 * surprise @ inverse @ surprise
                kalman = covariance @ c.T @ inverse
                mean = mean + kalman @ surprise
                covariance = _symmetric(covariance - kalman @ c @ covariance)
            filtered.append((mean, covariance))
            rows.append((gain @ row[seen], b, left))
        later, smooth = filtered[-1], [filtered[-1]]
        pairs = []
        for t in range(len(y) - 2, -1, -1):
            (mean, covariance), (ahead, spread) = filtered[t], predicted[t + 1]
            back = np.linalg.solve(spread, moves @ covariance).T
            pairs.append((later, back))
            later = (
                mean + back @ (later[0] - ahead),
                _symmetric(covariance + back @ (later[1] - spread) @ back.T),
            )
            smooth.append(later)
        smooth.reverse()
        second = [v + np.outer(x, x) for x, v in smooth]
        observed = reduce(
            add, [_observed(*r, x, v) for r, (x, v) in zip(rows, smooth, strict=True)]
        )
        cross = [
            np.outer(new[0], smooth[-2 - i][0]) + new[1] @ back.T
            for i, (new, back) in enumerate(pairs)
        ]
        zero = np.zeros_like(moves)
        moved = Pair(
            sum(second[1:], zero), sum(cross, zero), sum(second[:-1], zero), float(len(y) - 1)
        )
        first = Pair(second[0], smooth[0][0][:, None], np.ones((1, 1)), 1.0)
        return Expectation(Statistics(first, moved, observed), float(loglik), float(len(y)))

    def m_step(self, statistics, params):
        first, moved, observed = statistics
        moves, state_noise = _regression(moved)
        loadings, noise = _regression(observed)
        mean, covariance = params.first_mean, params.first_covariance
        if self.free_first:
            column, covariance = _regression(first)
            mean = column[:, 0]
        return Params(mean, covariance, moves, loadings, state_noise, noise)

    def expected_loglik(self, params, statistics):
        first, moved, observed = statistics
        return (
            _normal(first, params.first_mean[:, None], params.first_covariance)
            + _normal(moved, params.moves, params.state_noise)
            + _normal(observed, params.loadings, params.noise)
        )

    def sample(self, params, n, rng):
        return [draw(params, 20, rng, lost=0.2) for _ in range(max(n // 20, 1))]


def draw(params, length, rng, lost):
    """One sequence of observations, a share `lost` of its cells missing."""
    x = rng.multivariate_normal(params.first_mean, params.first_covariance)
    out = []
    for _ in range(length):
        out.append(rng.multivariate_normal(params.loadings @ x, params.noise))
        x = rng.multivariate_normal(params.moves @ x, params.state_noise)
    y = np.array(out)
    y[rng.random(y.shape) < lost] = np.nan
    return y


def joint_normal(params, length):
    """Mean and covariance of the stacked y_1 .. y_length, without any recursion on data."""
    k, d = len(params.first_mean), len(params.loadings)
    mean, means = params.first_mean, []
    covariance = np.zeros((length * k, length * k))
    spread = params.first_covariance
    for t in range(length):
        means.append(mean)
        block = spread
        for s in range(t, length):
            covariance[s * k : (s + 1) * k, t * k : (t + 1) * k] = block
            covariance[t * k : (t + 1) * k, s * k : (s + 1) * k] = block.T
            block = params.moves @ block
        mean = params.moves @ mean
        spread = params.moves @ spread @ params.moves.T + params.state_noise
    load = np.kron(np.eye(length), params.loadings)
    total = load @ covariance @ load.T + np.kron(np.eye(length), params.noise)
    return load @ np.concatenate(means), total, (length, d)


def _pattern(known, loadings, noise):
    """Observed cells, G, B and D of y = G y_o + B x + N(0, D) for one pattern of cells."""
    d, k = loadings.shape
    seen, lost = np.flatnonzero(known), np.flatnonzero(~known)
    gain, b, left = np.zeros((d, len(seen))), np.zeros((d, k)), np.zeros((d, d))
    inner = noise[np.ix_(seen, seen)]
    regression = np.linalg.solve(inner, noise[np.ix_(seen, lost)]).T
    gain[seen, np.arange(len(seen))] = 1.0
    gain[lost] = regression
    b[lost] = loadings[lost] - regression @ loadings[seen]
    left[np.ix_(lost, lost)] = noise[np.ix_(lost, lost)] - regression @ noise[np.ix_(seen, lost)]
    return seen, gain, b, left


def _observed(a, b, left, x, v):
    """Expected moments of y on x in one row, x having mean x and covariance v."""
    mean = a + b @ x
    return Pair(
        np.outer(mean, mean) + b @ v @ b.T + left,
        np.outer(mean, x) + b @ v,
        np.outer(x, x) + v,
        1.0,
    )


def _regression(pair):
    slope = np.linalg.solve(pair.rr, pair.tr.T).T
    return slope, _symmetric(pair.tt - slope @ pair.tr.T) / pair.count


def _residual(pair, slope):
    moved = slope @ pair.tr.T
    return pair.tt - moved - moved.T + slope @ pair.rr @ slope.T


def _normal(pair, slope, covariance):
    """Expected log density of targets given regressors."""
    constant = len(covariance) * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1]
    trace = np.trace(np.linalg.solve(covariance, _residual(pair, slope)))
    return float(-0.5 * (pair.count * constant + trace))


def _symmetric(matrix):
    return 0.5 * (matrix + matrix.T)
