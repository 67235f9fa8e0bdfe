r"""Where the source word of each target word stands: all places alike, or near the diagonal.

The target word at j of m comes from the source word at i of l, or from the empty word,
i = 0, which has no place. Positions of different target words are independent here.

- IBM Model 1: each of the l + 1 words with the same probability.
- IBM Model 2, with the prior of Dyer, Chahuneau and Smith (2013, ACL anthology N13-1073):

  .. math:: p(0) = p_0, \qquad
            p(i \mid j, l, m) = (1 - p_0) \frac{e^{-\lambda |i/l - j/m|}}{Z_\lambda(j, l, m)}

With expected links :math:`\gamma`, the M-step has :math:`p_0` as the share of links to the
empty word, and :math:`\lambda` where the expected distance under the prior is that of the links:

.. math:: \sum \gamma_{ij} |i/l - j/m| = \sum_j \gamma_{j,\neq 0} E_\lambda[|i/l - j/m|],

found by Newton's method, as Q is concave in :math:`\lambda`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from scipy.special import xlogy

from latentem.engine.constraints import Bounded, Fixed
from latentem.kernels.alignment import share
from latentem.models.parallel_text import SentencePairs, Shapes

__all__ = ["DiagonalPositions", "EvenPositions", "Positions"]

Array = np.ndarray

#: The strongest tension: at ten words a step to the side is then 20,000 times less probable.
STRONGEST = 100.0
NULL_START, TENSION_START = 0.08, 4.0


class Positions(ABC):
    """What a word alignment knows of positions.

    Parameters
    ----------
    shapes : Shapes
    null : float or None
        Probability of the empty word that is held; None estimates it.
    smoothing : float
        Counts that a prior adds.
    """

    def __init__(self, shapes: Shapes, null: float | None, smoothing: float):
        self.shapes, self.null, self.smoothing = shapes, null, smoothing

    @abstractmethod
    def initial(self) -> Any:
        """Parameters to start from."""

    @abstractmethod
    def prepare(self, params: Any) -> Any:
        """What `expect` reads."""

    @abstractmethod
    def expect(
        self, prepared: Any, translation: Array, block: SentencePairs
    ) -> tuple[Array, Any, float]:
        """Posterior of every cell, statistics and log-likelihood of a block."""

    @abstractmethod
    def best(self, prepared: Any, translation: Array, block: SentencePairs) -> Array:
        """Cell of the row that each target word is linked to."""

    @abstractmethod
    def maximize(self, statistics: Any, params: Any) -> Any:
        """New parameters."""

    @abstractmethod
    def expected_loglik(self, params: Any, statistics: Any) -> float:
        """Q of the positions."""

    @abstractmethod
    def constraints(self) -> Any:
        """As those of a model."""

    @abstractmethod
    def draw(self, params: Any, source: int, target: int, rng: np.random.Generator) -> Array:
        """A cell for each target word."""

    def log_prior(self, params: Any) -> float:
        """Log prior of the positions' own parameters."""
        return 0.0

    def work(self, source_lengths: Array, target_lengths: Array) -> float:
        """How much an E-step has to do, in cells of a table."""
        return float(source_lengths.astype(float) @ target_lengths)

    def null_constraint(self) -> Any:
        """Of the probability of the empty word; None where there is none."""
        if not self.shapes.null:
            return None
        return Bounded(0.0, 1.0) if self.null is None else Fixed()

    def null_start(self) -> float | None:
        """Its probability at the start."""
        if not self.shapes.null:
            return None
        return NULL_START if self.null is None else self.null

    def null_share(self, nulls: float, words: float, before: float | None) -> float | None:
        """Its probability by expected counts."""
        return before if before is None or self.null is not None else float(nulls / words)


class _Independent(Positions):
    """Positions with a table of priors for each shape."""

    def __init__(self, shapes: Shapes, null: float | None, smoothing: float):
        super().__init__(shapes, null, smoothing)
        self.starts = shapes.starts
        self.widths = np.diff(self.starts)
        self.distances = np.zeros(self.starts[-1])

    @abstractmethod
    def prepare(self, params: Any) -> Array:
        """Prior of each cell of the table."""

    def _shared(
        self, prior: Array, translation: Array, block: SentencePairs
    ) -> tuple[Array, float, float]:
        """Posteriors, log-likelihood, and expected distance."""
        posterior = np.empty(len(block.cells))
        loglik, distance = share(
            translation, block.cells, block.starts, prior, self.starts[block.table_rows],
            self.distances, posterior,
        )  # fmt: skip
        return posterior, loglik, distance

    def best(self, prepared: Array, translation: Array, block: SentencePairs) -> Array:
        """The most probable; of equal ones the first, which is the empty word where it is one."""
        posterior, _, _ = self._shared(prepared, translation, block)
        groups = block.groups()
        return np.concatenate([block.rectangle(posterior, *g[:2]).argmax(axis=1) for g in groups])

    def draw(self, params: Any, source: int, target: int, rng: np.random.Generator) -> Array:
        prior, shapes = self.prepare(params), self.shapes
        same = (shapes.source_lengths == source) & (shapes.target_lengths == target)
        row = shapes.first_rows[np.flatnonzero(same)[0]]
        rows = prior[self.starts[row] : self.starts[row + target]].reshape(target, -1)
        edges = rows.cumsum(axis=1)
        picked = (rng.random((target, 1)) * edges[:, -1:] >= edges).sum(axis=1)
        return np.minimum(picked, edges.shape[1] - 1)


class EvenPositions(_Independent):
    """IBM Model 1; it has no parameters, and its statistic is Q itself."""

    def initial(self) -> None:
        return None

    def prepare(self, params: None) -> Array:
        return np.repeat(1.0 / self.widths, self.widths)

    def expect(
        self, prepared: Array, translation: Array, block: SentencePairs
    ) -> tuple[Array, float, float]:
        posterior, loglik, _ = self._shared(prepared, translation, block)
        return posterior, -float(np.log(self.widths[block.table_rows]).sum()), loglik

    def maximize(self, statistics: float, params: None) -> None:
        return None

    def expected_loglik(self, params: None, statistics: float) -> float:
        return statistics

    def constraints(self) -> None:
        return None


class DiagonalParams(NamedTuple):
    """Probability of the empty word, None where there is none, and tension to the diagonal."""

    null: Any
    tension: Any


class DiagonalStatistics(NamedTuple):
    distance: float  # expected sum over the links
    linked: Array  # (rows of the table,): expected links to words
    nulls: float  # expected links to the empty word


class DiagonalPositions(_Independent):
    """IBM Model 2 with a prior that falls with the distance to the diagonal."""

    def __init__(self, shapes: Shapes, null: float | None, smoothing: float):
        super().__init__(shapes, null, smoothing)
        n_rows = len(self.widths)
        first = self.starts[:-1]
        words = np.repeat(shapes.source_lengths, shapes.target_lengths)
        of_row = np.repeat(shapes.target_lengths, shapes.target_lengths)
        j = np.arange(n_rows) - np.repeat(shapes.first_rows[:-1], shapes.target_lengths) + 1
        i = np.arange(self.starts[-1]) - np.repeat(first, self.widths) + (not shapes.null)
        self.empty = i == 0
        along = np.repeat(j / of_row, self.widths)
        self.distances = np.where(
            self.empty, 0.0, np.abs(i / np.repeat(words, self.widths) - along)
        )

    def initial(self) -> DiagonalParams:
        return DiagonalParams(self.null_start(), TENSION_START)

    def _weights(self, tension: float) -> tuple[Array, Array]:
        """exp(-tension x distance) of the words, and its sums over the rows."""
        weights = np.where(self.empty, 0.0, np.exp(-tension * self.distances))
        return weights, np.add.reduceat(weights, self.starts[:-1])

    def prepare(self, params: DiagonalParams) -> Array:
        weights, sums = self._weights(params.tension)
        null = 0.0 if params.null is None else params.null
        return np.where(self.empty, null, weights * np.repeat((1 - null) / sums, self.widths))

    def expect(
        self, prepared: Array, translation: Array, block: SentencePairs
    ) -> tuple[Array, DiagonalStatistics, float]:
        posterior, loglik, distance = self._shared(prepared, translation, block)
        firsts = posterior[block.starts[:-1]]
        empty = firsts if self.shapes.null else np.zeros_like(firsts)
        rows = np.bincount(block.table_rows, 1.0 - empty, minlength=len(self.widths))
        return posterior, DiagonalStatistics(distance, rows, float(empty.sum())), loglik

    def maximize(self, statistics: DiagonalStatistics, params: DiagonalParams) -> DiagonalParams:
        nulls, linked = statistics.nulls, float(statistics.linked.sum())
        null = self.null_share(nulls, nulls + linked, params.null)
        return DiagonalParams(null, self._tension(statistics, float(params.tension)))

    def _tension(self, statistics: DiagonalStatistics, tension: float) -> float:
        """Where the slope of Q, which falls, is 0: Newton's method, kept within a bracket."""
        tried: set[float] = set()
        low, high = 0.0, STRONGEST
        size = float(statistics.linked.sum())
        while len(tried) < 100:
            slope, bend = self._slope(statistics, tension)
            tried.add(tension)
            if slope >= 0:
                low = tension
            if slope <= 0:
                high = tension
            if abs(slope) <= 1e-13 * size or high - low <= 1e-13 * high:
                break
            step = tension + slope / bend if bend > 0 else np.copysign(np.inf, slope)
            if not low < step < high:
                end = low if step <= low else high
                step = 0.5 * (low + high) if end in tried else end
            tension = float(step)
        return tension

    def _slope(self, statistics: DiagonalStatistics, tension: float) -> tuple[float, float]:
        """Slope of Q and how fast it falls."""
        weights, sums = self._weights(tension)
        first, rows = weights * self.distances, self.starts[:-1]
        means = np.add.reduceat(first, rows) / sums
        squares = np.add.reduceat(first * self.distances, rows) / sums
        slope = statistics.linked @ means - statistics.distance
        return float(slope), float(statistics.linked @ (squares - means**2))

    def expected_loglik(self, params: DiagonalParams, statistics: DiagonalStatistics) -> float:
        _, sums = self._weights(params.tension)
        linked = float(statistics.linked.sum())
        q = -params.tension * statistics.distance - float(statistics.linked @ np.log(sums))
        if params.null is not None:
            q += xlogy(statistics.nulls, params.null) + xlogy(linked, 1 - params.null)
        return float(q)

    def constraints(self) -> DiagonalParams:
        return DiagonalParams(self.null_constraint(), Bounded(0.0, STRONGEST))
