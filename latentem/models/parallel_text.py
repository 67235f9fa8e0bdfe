"""Pairs of sentences as numbers: the text, the pairs of words that meet in it, and blocks.

A pair of l source and m target words has m x l cells, one for each link there can be, and one
more for each target word where there is an empty word. All memory is linear in the cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from latentem.kernels.alignment import look_up

__all__ = ["ParallelText", "SentencePairs", "Shapes", "WordPairs", "sentence_pairs"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class ParallelText:
    """Pairs of sentences, each word a number from 0.

    Parameters
    ----------
    source, target : (N,) and (M,) int arrays
        Words of all sentences, one after the other; -1 is a word that is not known.
    source_lengths, target_lengths : (S,) int arrays
        Words of each sentence, at least 1.
    """

    source: Array
    source_lengths: Array
    target: Array
    target_lengths: Array

    def __post_init__(self) -> None:
        lengths = self.source_lengths, self.target_lengths
        if len(lengths[0]) != len(lengths[1]):
            raise ValueError(
                f"there are {len(lengths[0])} source and {len(lengths[1])} target sentences: "
                "they belong together in pairs"
            )
        for side, words, sizes in zip(
            ("source", "target"), (self.source, self.target), lengths, strict=True
        ):
            if np.sum(sizes) != len(words) or not np.all(np.greater(sizes, 0)):
                raise ValueError(
                    f"{side}_lengths must be numbers of words from 1 on that sum to the "
                    f"{len(words)} words of {side}: leave pairs with an empty sentence out"
                )

    def __len__(self) -> int:
        return len(self.source_lengths)

    @property
    def n_cells(self) -> int:
        """Links that there can be, without those to the empty word."""
        return int(self.source_lengths.astype(np.int64) @ self.target_lengths)

    def between(self, first: int, last: int) -> ParallelText:
        """Pairs first..last-1."""
        a, b = self.source_lengths[:first].sum(), self.source_lengths[:last].sum()
        c, d = self.target_lengths[:first].sum(), self.target_lengths[:last].sum()
        return ParallelText(
            self.source[a:b],
            self.source_lengths[first:last],
            self.target[c:d],
            self.target_lengths[first:last],
        )

    def take(self, which: Array) -> ParallelText:
        """The pairs `which`, in that order."""
        source = _rows(self.source_lengths, which)
        target = _rows(self.target_lengths, which)
        return ParallelText(
            self.source[source],
            self.source_lengths[which],
            self.target[target],
            self.target_lengths[which],
        )


def starts_of(lengths: Array) -> Array:
    """Where each piece begins, and the end of the last, int64."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _rows(lengths: Array, which: Array) -> Array:
    """Words of the sentences `which`, by their places."""
    begins, sizes = starts_of(lengths)[which], lengths[which]
    return np.arange(sizes.sum()) + np.repeat(begins - starts_of(sizes)[:-1], sizes)


@dataclass(frozen=True, eq=False)
class Shapes:
    """The different shapes of pairs (l source words, m target words), in order.

    What depends on positions alone is a table with a row for each target position of each
    shape, and in the row a cell for each source position, the empty word's first.
    """

    source_lengths: Array
    target_lengths: Array
    null: bool

    @classmethod
    def of(cls, text: ParallelText, null: bool) -> Shapes:
        pairs = np.stack([text.source_lengths, text.target_lengths], axis=1)
        source, target = np.unique(pairs, axis=0).T
        return cls(source, target, null)

    def find(self, text: ParallelText) -> Array:
        """Shape of each pair of a text; ValueError for one that is not there."""
        base = int(max(self.target_lengths.max(), text.target_lengths.max())) + 1
        keys = self.source_lengths.astype(np.int64) * base + self.target_lengths
        wanted = text.source_lengths.astype(np.int64) * base + text.target_lengths
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        if not np.array_equal(keys[places], wanted):
            raise ValueError(
                "the text has sentence lengths that the model was not made with: use the model "
                "that pairs.shaped(text) makes"
            )
        return places

    @property
    def first_rows(self) -> Array:
        """First row of each shape, and the number of rows."""
        return starts_of(self.target_lengths)

    @property
    def starts(self) -> Array:
        """First cell of each row, and the number of cells."""
        return starts_of(np.repeat(self.source_lengths + self.null, self.target_lengths))

    @property
    def lengths(self) -> Array:
        """The different numbers of source words."""
        return np.unique(self.source_lengths)


@dataclass(frozen=True, eq=False)
class WordPairs:
    """Pairs of words that meet in some pair of sentences, as a sparse table (CSR).

    Source word f is row f, or row f + 1 where there is an empty word, which is row 0 and
    meets every target word. `make` builds it from a text.

    Parameters
    ----------
    indptr : (number of rows + 1,) int array
    columns : (P,) int32 array
        Target words, rising within a row.
    n_target : int
        Number of target words.
    null : bool
        Whether there is an empty word.
    shapes : Shapes
        Of the text that a model is for.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem.models import ParallelText, WordPairs
    >>> text = ParallelText(np.array([0, 1]), np.array([1, 1]), np.array([0, 1, 0]),
    ...                     np.array([2, 1]))
    >>> WordPairs.make(text, null=False).indptr.tolist()
    [0, 2, 3]
    """

    indptr: Array
    columns: Array
    n_target: int
    null: bool
    shapes: Shapes

    @classmethod
    def make(cls, text: ParallelText, null: bool = True) -> WordPairs:
        """The pairs of a text, whose words are all known."""
        if len(text) == 0:
            raise ValueError("the text has no pair of sentences: there is nothing to fit")
        sides = [_incidence(text.source, text.source_lengths, "source"),
                 _incidence(text.target, text.target_lengths, "target")]  # fmt: skip
        met = (sides[0].T @ sides[1]).tocsr()
        met.sort_indices()
        n_target = met.shape[1]
        indptr, columns = met.indptr.astype(np.int64), met.indices.astype(np.int32)
        if null:
            indptr = np.concatenate([[0], indptr + n_target])
            columns = np.concatenate([np.arange(n_target, dtype=np.int32), columns])
        return cls(indptr, columns, n_target, null, Shapes.of(text, null))

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def sizes(self) -> Array:
        """Target words that each row meets."""
        return np.diff(self.indptr)

    def shaped(self, text: ParallelText) -> WordPairs:
        """The same pairs, for the sentences of another text."""
        return replace(self, shapes=Shapes.of(text, self.null))

    def row_sums(self, values: Array) -> Array:
        """Sums of values over the rows."""
        return np.asarray(np.add.reduceat(values, self.indptr[:-1]))


def _incidence(words: Array, lengths: Array, side: str) -> sparse.csr_array:
    """Sentences by words, how often each occurs."""
    used = np.bincount(words + 1) if len(words) and words.min() >= -1 else np.ones(1)
    if used[0] or not used[1:].all():
        raise ValueError(
            f"the words of {side} must be numbered 0, 1, 2 ... without a gap, and all be known"
        )
    ones = np.ones(len(words), dtype=np.int32)
    shape = (len(lengths), len(used) - 1)
    return sparse.csr_array((ones, words, starts_of(lengths)), shape=shape)


@dataclass(frozen=True, eq=False)
class SentencePairs:
    """A block: pairs of sentences in the order of their source lengths.

    Parameters
    ----------
    cells : int32 array
        Place of each pair of words in the table of `WordPairs`: P for one that is not there,
        P + 1 where the source word is not known.
    starts : (R + 1,) int array
        First cell of each target word.
    rows : (S + 1,) int array
        First target word of each sentence.
    source_lengths : (S,) int array
    order : (S,) int array
        Place in the text of each pair.
    table_rows : (R,) int array
        Row of each target word in a table of `Shapes`.
    """

    cells: Array
    starts: Array
    rows: Array
    source_lengths: Array
    order: Array
    table_rows: Array

    def groups(self, most: int | None = None) -> Iterator[tuple[int, int, int]]:
        """First and last sentence (exclusive) with as many source words, and their number.

        `most` is the largest number of floats, of the size of source words times target
        words; a group with more comes in parts.
        """
        edges = np.flatnonzero(np.diff(self.source_lengths)) + 1
        begins = np.concatenate([[0], edges, [len(self.source_lengths)]])
        for first, last in zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True):
            length = int(self.source_lengths[first])
            while most is not None and (self.rows[last] - self.rows[first]) * length > most:
                stop = self.rows[first] + most // length
                middle = int(np.searchsorted(self.rows, stop, side="right")) - 1
                middle = max(middle, first + 1)
                if middle >= last:
                    break
                yield first, middle, length
                first = middle
            yield first, last, length

    def rectangle(self, values: Array, first: int, last: int) -> Array:
        """Values of the cells of a group, (target words, cells of each), a view."""
        a, b = self.rows[first], self.rows[last]
        return values[self.starts[a] : self.starts[b]].reshape(b - a, -1)


def sentence_pairs(pairs: WordPairs, text: ParallelText, order: Array) -> SentencePairs:
    """The pairs `order` of a text as a block."""
    order = order[np.argsort(text.source_lengths[order], kind="stable")]
    text = text.take(order)
    shape = pairs.shapes.find(text)
    rows = starts_of(text.target_lengths)
    starts = starts_of(np.repeat(text.source_lengths + pairs.null, text.target_lengths))
    cells = np.empty(starts[-1], dtype=np.int32)
    target = text.target.astype(np.int64)
    look_up(
        pairs.indptr, pairs.columns, np.argsort(text.source, kind="stable"),
        text.source.astype(np.int64), starts_of(text.source_lengths),
        np.repeat(np.arange(len(text)), text.source_lengths), target, rows, starts,
        int(pairs.null), np.zeros(pairs.n_target, dtype=np.int64), cells,
    )  # fmt: skip
    if pairs.null:
        cells[starts[:-1]] = np.where(target >= 0, target, len(pairs))
    within = np.arange(len(target)) - np.repeat(rows[:-1], text.target_lengths)
    table_rows = np.repeat(pairs.shapes.first_rows[shape], text.target_lengths) + within
    return SentencePairs(cells, starts, rows, text.source_lengths, order, table_rows)
