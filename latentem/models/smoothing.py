"""Smoothed and filtered states of records: the kernels with their arrays, and whitened rows."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from latentem.kernels.kalman import filter_rows, smooth_rows
from latentem.models.records import Records

__all__ = ["Filtered", "Prepared", "Smoothed", "filter_records", "prepared_for", "smooth"]

Array = np.ndarray


class Prepared:
    """Parameters with what an E-step derives from them; factors of patterns fill as they come."""

    def __init__(self, params: Any, diagonal: bool):
        self.params, self.diagonal = params, diagonal
        self._factors: dict[bytes, Array] = {}
        self._completions: dict[bytes, tuple[Array, Array]] = {}

    @cached_property
    def flat(self) -> float:
        """What turns the density of the first state at its mean into 1, in logarithms."""
        covariance = self.params.initial_covariance
        return float(0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1])

    def factor(self, known: Array) -> Array:
        """Cholesky factor of the noise of the cells seen in a pattern."""
        key = known.tobytes()
        if key not in self._factors:
            noise = self.params.observation_covariance[np.ix_(known, known)]
            self._factors[key] = np.linalg.cholesky(noise)
        return self._factors[key]

    def completion(self, known: Array) -> tuple[Array, Array]:
        """G (d, o) and D (d, d) of y = G y_o + (M - G M_o) w + N(0, D)."""
        key = known.tobytes()
        if key not in self._completions:
            noise = self.params.observation_covariance
            gain = np.zeros((len(known), int(known.sum())))
            gain[known] = np.eye(gain.shape[1])
            left = np.zeros_like(noise)
            lost = ~known
            across = np.linalg.solve(noise[np.ix_(known, known)], noise[np.ix_(known, lost)])
            gain[lost] = across.T
            left[np.ix_(lost, lost)] = (
                noise[np.ix_(lost, lost)] - across.T @ noise[np.ix_(known, lost)]
            )
            self._completions[key] = gain, left
        return self._completions[key]

    def rows(self, block: Records) -> tuple[Array, Array, Array, Array, Array]:
        """Rows with independent noise: y, kinds, loadings, variances, and log determinants."""
        params = self.params
        y = block.y
        if block.u.shape[1]:
            y = y - block.u @ params.feedthrough.T
        if self.diagonal:
            variances = np.diag(params.observation_covariance)[None].copy()
            kinds = np.zeros(len(y), dtype=np.int64)
            return y, kinds, params.observation[None].copy(), variances, np.zeros(1)
        seen, kinds = block.patterns
        d, n = params.observation.shape
        white, loadings = np.full_like(y, np.nan), np.zeros((len(seen), d, n))
        logdet = np.zeros(len(seen))
        for kind, known in enumerate(seen):
            count = int(known.sum())
            if not count:
                continue
            rows = np.flatnonzero(kinds == kind)
            inverse = np.linalg.inv(self.factor(known))
            white[rows, :count] = y[np.ix_(rows, known)] @ inverse.T
            loadings[kind, :count] = inverse @ params.observation[known]
            logdet[kind] = np.log(np.diag(inverse)).sum()
        return white, kinds, loadings, np.ones((len(seen), d)), logdet


class Filtered(NamedTuple):
    """States given the rows up to each: predicted, then with its own cells.

    Parameters
    ----------
    ahead, spread : (T, n) and (T, n, n) array
        Means and covariances given the rows before.
    means, covariances : (T, n) and (T, n, n) array
        Given the row too.
    loglik : (T,) array
        Log density of each row given those before it in its record.
    """

    ahead: Array
    spread: Array
    means: Array
    covariances: Array
    loglik: Array


class Smoothed(NamedTuple):
    """States given all rows of their record.

    Parameters
    ----------
    means, covariances : (T, n) and (T, n, n) array
    cross : (T, n, n) array
        Covariance of the states of a row and of the row before; 0 where a record begins.
    loglik : (T,) array
    """

    means: Array
    covariances: Array
    cross: Array
    loglik: Array


def prepared_for(params: Any, diagonal: bool) -> Prepared:
    """What an E-step reads; `diagonal` says that the noise of the observations is."""
    return Prepared(params, diagonal)


def filter_records(prepared: Prepared, block: Records) -> Filtered:
    """The Kalman filter over each record."""
    return _filtered(prepared, block)[0]


def _filtered(prepared: Prepared, block: Records) -> tuple[Filtered, tuple[Array, ...]]:
    params = prepared.params
    y, kinds, loadings, variances, logdet = prepared.rows(block)
    t, d, n = len(y), y.shape[1], len(params.initial_mean)
    means, spread = np.empty((2, t, n)), np.empty((2, t, n, n))
    made = Filtered(means[0], spread[0], means[1], spread[1], np.empty(t))
    gains, surprises, scales = np.empty((t, d, n)), np.empty((t, d)), np.empty((t, d))
    start = params.initial_mean, params.initial_covariance
    moves = params.transition, params.transition_covariance
    push = block.u @ params.input.T if block.u.shape[1] else np.zeros((t, n))
    given = (y, kinds, loadings, variances, block.first, *moves, push, *start)
    written = (*made[:4], gains, surprises, scales, made.loglik)
    run: Any = filter_rows
    run(*map(np.ascontiguousarray, given), *written)
    np.add(made.loglik, logdet[kinds], out=made.loglik)
    return made, (kinds, loadings, gains, surprises, scales)


def smooth(prepared: Prepared, block: Records) -> Smoothed:
    """The smoother over each record."""
    found, (kinds, loadings, gains, surprises, scales) = _filtered(prepared, block)
    cross = np.empty_like(found.spread)
    transition = np.ascontiguousarray(prepared.params.transition)
    smooth_rows(
        kinds, loadings, block.first, transition, found.spread, gains, surprises, scales,
        found.means, found.covariances, cross,
    )  # fmt: skip
    return Smoothed(found.means, found.covariances, cross, found.loglik)
