r"""Where the source word of each target word stands: a chain that jumps from word to word.

The hidden Markov alignment of Vogel, Ney and Tillmann (1996, doi:10.3115/993268.993313), with
the empty word of Och and Ney (2003, doi:10.1162/089120103321337421). The state of target word j
is the source position i, or "empty word, last position i"; with a jump width d that has weight
:math:`c_d`,

.. math:: p(i \mid i', l) = (1 - p_0) \frac{c_{i - i'}}{\sum_{k=1}^l c_{k - i'}}, \qquad
          p(\text{empty}_i \mid i') = p_0 [i = i'],

and the first word jumps from 0. Widths beyond the largest share the weight of the largest. From
the expected jumps :math:`C_d` and the expected jumps :math:`n_w` out of each "window"
w = (l, i'), which has :math:`M_{wd}` positions at width d, the M-step maximises

.. math:: Q(c) = \sum_d C_d \log c_d - \sum_w n_w \log \sum_d M_{wd} c_d,

concave in :math:`\log c`, by Newton's method. The weights c are on a simplex.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import xlogy

from latentem.engine.constraints import Simplex
from latentem.models.chain import chain, smooth
from latentem.models.parallel_text import SentencePairs, Shapes, starts_of
from latentem.models.passes import Chain
from latentem.models.paths import viterbi
from latentem.models.word_positions import Positions

__all__ = ["JumpPositions"]

Array = np.ndarray

#: Largest jump that has a weight of its own.
LARGEST_JUMP = 10
#: Longest step of Newton's method in a log weight: where Q is nearly flat its own is too long.
LONGEST_STEP = 3.0
#: Floats of log densities worked on at once (1 MB).
GROUP_FLOATS = 2**17


class JumpParams(NamedTuple):
    """Probability of the empty word, None where there is none, and weights of jump widths."""

    null: Any
    jumps: Any


class JumpStatistics(NamedTuple):
    jumps: Array  # expected jumps of each width
    windows: Array  # expected jumps out of each position of each source length, 0 first
    nulls: float  # expected words that come from the empty word
    words: float


class JumpPositions(Positions):
    """Jump widths of a hidden Markov alignment."""

    def __init__(self, shapes: Shapes, null: float | None, smoothing: float):
        super().__init__(shapes, null, smoothing)
        self.lengths = shapes.lengths
        self.first_window = starts_of(self.lengths + 1)
        self.n_jumps = 2 * LARGEST_JUMP + 1
        self.multiplicity = np.zeros((self.first_window[-1], self.n_jumps))
        for length, first in zip(self.lengths, self.first_window, strict=False):
            bins = _bins(int(length))
            rows = np.broadcast_to(first + np.arange(length + 1)[:, None], bins.shape)
            np.add.at(self.multiplicity, (rows, bins), 1.0)

    def initial(self) -> JumpParams:
        widths = np.abs(np.arange(self.n_jumps) - LARGEST_JUMP - 1)
        jumps = 1.0 / (1.0 + widths)
        return JumpParams(self.null_start(), jumps / jumps.sum())

    def prepare(self, params: JumpParams) -> JumpParams:
        return params

    def work(self, source_lengths: Array, target_lengths: Array) -> float:
        return float(source_lengths.astype(float) ** 2 @ target_lengths)

    def chain(self, params: JumpParams, length: int) -> Chain:
        """The chain over the positions of a sentence, and the empty word at each of them."""
        weights = params.jumps[_bins(length)]
        moves = weights / weights.sum(axis=1, keepdims=True)
        if params.null is None:
            return chain(moves[0], moves[1:])
        start = np.concatenate([(1 - params.null) * moves[0], params.null * moves[0]])
        half = np.hstack([(1 - params.null) * moves[1:], params.null * np.eye(length)])
        return chain(start, np.vstack([half, half]))

    def _densities(self, log_translation: Array, cells: Array, length: int) -> Array:
        """Log densities (states, target words)."""
        words = log_translation.take(cells.T)  # in C order, as kernels want it
        if not self.shapes.null:
            return words
        out = np.empty((2 * length, words.shape[1]))
        out[:length], out[length:] = words[1:], words[0]
        return out

    def expect(
        self, prepared: JumpParams, translation: Array, block: SentencePairs
    ) -> tuple[Array, JumpStatistics, float]:
        posterior = np.empty(len(block.cells))
        jumps, windows = np.zeros(self.n_jumps), np.zeros(self.first_window[-1])
        loglik, nulls = 0.0, 0.0
        log_translation = np.log(translation)
        last, found = 1, self.chain(prepared, 1)
        for begin, end, length in block.groups(GROUP_FLOATS):
            if length != last:
                last, found = length, self.chain(prepared, length)
            cells = block.rectangle(block.cells, begin, end)
            density = self._densities(log_translation, cells, length)
            offsets = block.rows[begin : end + 1] - block.rows[begin]
            passed = smooth(found, density, offsets)
            loglik += float(passed.loglik.sum())
            out = block.rectangle(posterior, begin, end)
            moves, start = passed.pairs, passed.start
            if self.shapes.null:
                out[:, 1:] = density[:length].T
                density[length:].sum(axis=0, out=out[:, 0])
                nulls += float(out[:, 0].sum())
                start = start[:length] + start[length:]
                moves = moves[:length, :length] + moves[length:, :length]
            else:
                out[:] = density.T
            moves = np.vstack([start, moves])
            jumps += np.bincount(_bins(length).ravel(), moves.ravel(), minlength=self.n_jumps)
            first = self.first_window[np.searchsorted(self.lengths, length)]
            windows[first : first + length + 1] += moves.sum(axis=1)
        words = float(len(block.table_rows))
        return posterior, JumpStatistics(jumps, windows, nulls, words), loglik

    def best(self, prepared: JumpParams, translation: Array, block: SentencePairs) -> Array:
        """The most probable path of the whole sentence (Viterbi)."""
        log_translation, paths = np.log(translation), []
        for begin, end, length in block.groups(GROUP_FLOATS):
            cells = block.rectangle(block.cells, begin, end)
            density = self._densities(log_translation, cells, length)
            offsets = block.rows[begin : end + 1] - block.rows[begin]
            path, _, _ = viterbi(self.chain(prepared, length), density, offsets)
            paths.append(np.where(path < length, path + 1, 0) if self.shapes.null else path)
        return np.concatenate(paths)

    def maximize(self, statistics: JumpStatistics, params: JumpParams) -> JumpParams:
        null = self.null_share(statistics.nulls, statistics.words, params.null)
        counts, windows, multiplicity = statistics.jumps, statistics.windows, self.multiplicity
        if self.smoothing:  # a Dirichlet prior is a window of its own, over all widths
            counts = counts + self.smoothing
            multiplicity = np.vstack([multiplicity, np.ones(self.n_jumps)])
            windows = np.append(windows, self.smoothing * self.n_jumps)
        return JumpParams(null, maximize_weights(counts, windows, multiplicity, params.jumps))

    def expected_loglik(self, params: JumpParams, statistics: JumpStatistics) -> float:
        q = xlogy(statistics.jumps, params.jumps).sum()
        q -= xlogy(statistics.windows, self.multiplicity @ params.jumps).sum()
        if params.null is not None:
            q += xlogy(statistics.nulls, params.null)
            q += xlogy(statistics.words - statistics.nulls, 1 - params.null)
        return float(q)

    def log_prior(self, params: JumpParams) -> float:
        return float(xlogy(self.smoothing, params.jumps).sum())

    def constraints(self) -> JumpParams:
        return JumpParams(self.null_constraint(), Simplex())

    def draw(self, params: JumpParams, source: int, target: int, rng: Any) -> Array:
        """A path of the chain."""
        found = self.chain(params, source)
        state = rng.choice(len(found.startprob), p=found.startprob)
        path = [state]
        for _ in range(target - 1):
            state = rng.choice(len(found.startprob), p=found.transmat[state])
            path.append(state)
        states = np.array(path)
        return np.where(states < source, states + 1, 0) if self.shapes.null else states


def _bins(length: int) -> Array:
    """Place of the jump width from positions 0..length (rows) to 1..length (columns)."""
    jumps = np.arange(1, length + 1) - np.arange(length + 1)[:, None]
    return np.clip(jumps, -LARGEST_JUMP, LARGEST_JUMP) + LARGEST_JUMP


def maximize_weights(counts: Array, windows: Array, multiplicity: Array, before: Array) -> Array:
    """Weights that maximise ``counts @ log c - windows @ log(multiplicity @ c)``, of sum 1.

    Widths that no window has keep their weights; those that are possible and never jumped
    get 0.
    """
    used = windows > 0
    windows, multiplicity = windows[used], multiplicity[used]
    reached = multiplicity.any(axis=0)
    active = reached & (counts > 0)
    out = np.where(reached, 0.0, before)
    if not active.any():
        return before
    table, total = multiplicity[:, active], counts.sum()

    def q(logs: Array) -> float:
        return float(counts[active] @ logs - windows @ np.log(table @ np.exp(logs)))

    logs = np.log(before[active])
    value = q(logs)
    for _ in range(200):
        shares = table * np.exp(logs)
        shares /= shares.sum(axis=1, keepdims=True)
        expected = windows @ shares
        slope = counts[active] - expected
        if np.abs(slope).max() <= 1e-12 * total:
            break
        bend = np.diag(expected) - shares.T @ (windows[:, None] * shares)
        step = np.linalg.lstsq(bend, slope, rcond=1e-12)[0]  # flat along a common factor
        factor = min(1.0, LONGEST_STEP / max(float(np.abs(step).max()), 1e-300))
        while factor > 1e-9 and not q(logs + factor * step) >= value:
            factor *= 0.5
        if factor <= 1e-9:
            break
        logs = logs + factor * step
        logs -= logs.max()
        value = q(logs)
    out[active] = np.exp(logs) * ((1.0 - out.sum()) / np.exp(logs).sum())
    return out
