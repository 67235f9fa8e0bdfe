r"""Word alignment: each target word is the translation of a source word of its sentence.

For a source sentence :math:`f_1 \dots f_l` with an empty word :math:`f_0` (if wanted) and a
target sentence :math:`e_1 \dots e_m`, whose length is given,

.. math:: p(e, a \mid f) = p(a \mid l, m) \prod_j t(e_j \mid f_{a_j}),

with a table t over the pairs of words that meet in some pair of sentences. Of positions,
p(a | l, m), there are three models: `latentem.models.word_positions` has IBM Model 1
(Brown et al. 1993, ACL anthology J93-2003) and Model 2 with a prior near the diagonal,
`latentem.models.word_jumps` the hidden Markov model.

E-step: the posterior of each link, :math:`\gamma_{ij} = p(a_j = i \mid e, f)`. M-step:

.. math:: t(e \mid f) \propto s + \sum_{ij} \gamma_{ij} [f_i = f, e_j = e]

With s > 0 that is the maximum under a Dirichlet prior, :math:`s \sum \log t`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import xlogy

from latentem.engine.backends import Backend, SerialBackend
from latentem.engine.blocks import bounds
from latentem.engine.constraints import Simplices
from latentem.engine.model import Expectation, LatentModel
from latentem.kernels.alignment import scatter
from latentem.models.parallel_text import ParallelText, SentencePairs, WordPairs, sentence_pairs
from latentem.models.word_jumps import JumpPositions
from latentem.models.word_positions import DiagonalPositions, EvenPositions, Positions

__all__ = ["AlignmentParams", "Kind", "WordAlignment"]

Array = np.ndarray
Kind = Literal["ibm1", "ibm2", "hmm"]

#: Probability that a known source word gives to a word it has not met.
UNSEEN = 1e-9
#: Most blocks, and least work of one, in cells.
MOST_BLOCKS, LEAST_WORK = 16, 2**15

POSITIONS: dict[str, type[Positions]] = {
    "ibm1": EvenPositions,
    "ibm2": DiagonalPositions,
    "hmm": JumpPositions,
}


class AlignmentParams(NamedTuple):
    """Translation probabilities (P,), row by row of the pairs, and parameters of positions."""

    translation: Any
    positions: Any


class AlignmentStatistics(NamedTuple):
    counts: Array  # (P,): expected links of each pair of words
    positions: Any


class Prepared(NamedTuple):
    translation: Array  # (P + 2,): see `WordAlignment.prepare`
    positions: Any


class WordAlignment(LatentModel):
    """Alignment of words in pairs of sentences.

    Parameters
    ----------
    pairs : WordPairs
        The pairs of words that have a probability, and the shapes of the text.
    kind : {"ibm1", "ibm2", "hmm"}
    null : float, optional
        Probability of the empty word that is held at this value; by default it is estimated.
        Not for IBM 1, where the empty word is one among the others.
    smoothing : float
        Dirichlet prior: counts added to each pair, and to each jump width.

    Examples
    --------
    The house / das Haus, the book / das Buch, a book / ein Buch:

    >>> import numpy as np
    >>> from latentem import EM
    >>> from latentem.models import ParallelText, WordAlignment, WordPairs
    >>> two = np.full(3, 2)
    >>> text = ParallelText(np.array([0, 1, 0, 2, 3, 2]), two, np.array([0, 1, 0, 2, 3, 2]), two)
    >>> model = WordAlignment(WordPairs.make(text, null=False))
    >>> result = EM(tol=0, max_iter=5, accelerate=None).run(model, text)
    >>> round(float(result.params.translation[0]), 6)
    0.937085
    """

    def __init__(
        self,
        pairs: WordPairs,
        kind: Kind = "ibm1",
        null: float | None = None,
        smoothing: float = 0.0,
    ):
        if kind not in POSITIONS:
            raise ValueError(f"kind must be one of {tuple(POSITIONS)}, got {kind!r}")
        if null is not None:
            if kind == "ibm1":
                raise ValueError("IBM 1 has no probability of the empty word to hold")
            if not pairs.null:
                raise ValueError("the pairs were made without an empty word, so leave null out")
            if not 0 < null < 1:
                raise ValueError(f"null must be a probability between 0 and 1, got {null!r}")
        if not (0 <= smoothing < math.inf):
            raise ValueError(f"smoothing must be a number >= 0, got {smoothing!r}")
        self.pairs, self.kind = pairs, kind
        self.null, self.smoothing = null, float(smoothing)
        self.positions = POSITIONS[kind](pairs.shapes, null, self.smoothing)

    def __repr__(self) -> str:
        return f"WordAlignment({len(self.pairs)} pairs of words, {self.kind!r})"

    def at(self, text: ParallelText) -> WordAlignment:
        """The same model for the sentences of another text; its words are those of the pairs."""
        return WordAlignment(self.pairs.shaped(text), self.kind, self.null, self.smoothing)

    def blocks(self, data: ParallelText, size: int | None = None) -> list[SentencePairs]:
        """The text in blocks of `size` pairs of sentences.

        By default there are few: each makes counts of the size of the table. Long source
        sentences come first, those of one length together, as chains of one length are.
        """
        if size is None:
            work = self.positions.work(data.source_lengths, data.target_lengths)
            count = work // max(len(self.pairs), LEAST_WORK)
            size = -(-len(data) // int(np.clip(count, 1, MOST_BLOCKS)))
        order = np.argsort(-data.source_lengths, kind="stable")
        return [sentence_pairs(self.pairs, data, order[a:b]) for a, b in bounds(len(data), size)]

    def initialize(self, blocks: Sequence[SentencePairs], rng: np.random.Generator) -> Any:
        """What one map makes of a table in which all words are alike."""
        positions = self.positions.initial()
        alike = AlignmentParams(np.ones(len(self.pairs)), positions)
        prepared = self.prepare(alike)
        counts = sum(self.e_step(prepared, block).statistics.counts for block in blocks)
        return alike._replace(translation=self._translation(counts, alike.translation))

    def started(self, translation: Array) -> AlignmentParams:
        """Parameters with the table of another model of the same pairs."""
        return AlignmentParams(translation, self.positions.initial())

    def prepare(self, params: AlignmentParams) -> Prepared:
        """Probabilities, and after them those of pairs that are not in the table.

        A known source word gives `UNSEEN` to a word that it has not met; one that is not known
        gives the same to each of the target words, and to "any other".
        """
        unknown = 1.0 / (self.pairs.n_target + 1)
        return Prepared(
            np.append(params.translation, [UNSEEN, unknown]),
            self.positions.prepare(params.positions),
        )

    def e_step(self, prepared: Prepared, block: SentencePairs) -> Expectation:
        posterior, positions, loglik = self.positions.expect(
            prepared.positions, prepared.translation, block
        )
        counts = np.zeros(len(prepared.translation))
        scatter(block.cells, posterior, counts)
        statistics = AlignmentStatistics(counts[:-2], positions)
        return Expectation(statistics, loglik, float(len(block.table_rows)))

    def _translation(self, counts: Array, before: Array) -> Array:
        counts = counts + self.smoothing
        sums = np.repeat(self.pairs.row_sums(counts), self.pairs.sizes)
        return np.where(sums > 0, counts / np.where(sums > 0, sums, 1.0), before)

    def m_step(self, statistics: AlignmentStatistics, params: AlignmentParams) -> AlignmentParams:
        return AlignmentParams(
            self._translation(statistics.counts, params.translation),
            self.positions.maximize(statistics.positions, params.positions),
        )

    def log_prior(self, params: AlignmentParams) -> float:
        if self.smoothing == 0:
            return 0.0
        prior = float(xlogy(self.smoothing, params.translation).sum())
        return prior + self.positions.log_prior(params.positions)

    def expected_loglik(self, params: AlignmentParams, statistics: AlignmentStatistics) -> float:
        q = float(xlogy(statistics.counts, params.translation).sum())
        return q + self.positions.expected_loglik(params.positions, statistics.positions)

    def constraints(self) -> AlignmentParams:
        sizes = tuple(self.pairs.sizes.tolist())
        return AlignmentParams(Simplices(sizes), self.positions.constraints())

    def sample(self, params: AlignmentParams, n: int, rng: np.random.Generator) -> ParallelText:
        """Pairs of the shapes of the text, source words drawn evenly."""
        shapes, null = self.pairs.shapes, int(self.pairs.null)
        picked = rng.integers(len(shapes.source_lengths), size=n)
        lengths = shapes.source_lengths[picked], shapes.target_lengths[picked]
        n_source = len(self.pairs.sizes) - null
        source = rng.integers(n_source, size=lengths[0].sum())
        target, first = [], 0
        for l, m in zip(*lengths, strict=True):  # noqa: E741
            rows = np.concatenate([np.zeros(null, dtype=int), source[first : first + l] + null])
            for row in rows[self.positions.draw(params.positions, int(l), int(m), rng)]:
                begin, end = self.pairs.indptr[row : row + 2]
                probabilities = params.translation[begin:end]
                word = rng.choice(end - begin, p=probabilities / probabilities.sum())
                target.append(self.pairs.columns[begin + word])
            first += l
        return ParallelText(source, lengths[0], np.array(target, dtype=np.int64), lengths[1])

    def links(
        self, params: AlignmentParams, text: ParallelText, backend: Backend | None = None
    ) -> list[Array]:
        """For each pair of a text, the source position of each target word, -1 for none.

        IBM models take the most probable position of each word, the hidden Markov model the
        most probable path of the sentence.
        """

        def best(prepared: Prepared, block: SentencePairs) -> list[Array]:
            found = self.positions.best(prepared.positions, prepared.translation, block)
            found = found - int(self.pairs.null)
            return [found[a:b] for a, b in pairwise(block.rows.tolist())]

        return self._each(best, params, text, backend)

    def posteriors(
        self, params: AlignmentParams, text: ParallelText, backend: Backend | None = None
    ) -> list[Array]:
        """For each pair of a text, the probability of each link, (target words, cells).

        The first cell is the empty word's, where there is one.
        """

        def shares(prepared: Prepared, block: SentencePairs) -> list[Array]:
            found = self.positions.expect(prepared.positions, prepared.translation, block)[0]
            return [block.rectangle(found, s, s + 1) for s in range(len(block.order))]

        return self._each(shares, params, text, backend)

    def _each(
        self,
        work: Callable[[Prepared, SentencePairs], list[Array]],
        params: AlignmentParams,
        text: ParallelText,
        backend: Backend | None,
    ) -> list[Array]:
        """What `work` finds for each pair of a text, in the order of the text."""
        out: list[Any] = [None] * len(text)
        blocks = self.blocks(text)
        with np.errstate(divide="ignore"):
            prepared = self.prepare(params)
            found = (backend or SerialBackend()).map(lambda b: work(prepared, b), blocks)
            for block, parts in zip(blocks, found, strict=True):
                for place, part in zip(block.order, parts, strict=True):
                    out[place] = part
        return out
