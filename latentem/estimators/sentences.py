"""Sentences as people have them, in checked lists of words, and words as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from latentem.models.parallel_text import ParallelText

__all__ = ["Sentences", "encoded", "read_pairs", "vocabulary"]

Array = np.ndarray

#: Cells of one pair of sentences, source words times target words.
MOST_CELLS = 1_000_000
#: Source words of a sentence for the hidden Markov model, whose work grows with their square.
MOST_STATES = 500


class Sentences(NamedTuple):
    """Pairs of sentences in lists of words, without those of which one is empty."""

    source: list[list[str]]
    target: list[list[str]]
    kept: list[int]  # places of these pairs among those given
    sizes: list[tuple[int, int]]  # words of each pair given, source and target


def read_pairs(source: Any, target: Any, lowercase: bool) -> Sentences:
    """Both sides, read and paired.

    Raises
    ------
    TypeError, ValueError
        For what is no list of sentences, and for lists of different lengths.
    """
    sides = _sentences(source, "source", lowercase), _sentences(target, "target", lowercase)
    n = len(sides[0])
    if n != len(sides[1]):
        raise ValueError(
            f"source has {n:,} sentences and target {len(sides[1]):,}: they are translations of "
            "each other, one by one, so there must be as many. A file with a blank or a broken "
            "line is the usual cause"
        )
    kept = [k for k in range(n) if sides[0][k] and sides[1][k]]
    sizes = [(len(one), len(other)) for one, other in zip(*sides, strict=True)]
    return Sentences([sides[0][k] for k in kept], [sides[1][k] for k in kept], kept, sizes)


def _sentences(given: Any, side: str, lowercase: bool) -> list[list[str]]:
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise TypeError(
            f"{side} must be a list of sentences, got {type(given).__name__}: one sentence is a "
            "list with one string in it"
        )
    return [_words(sentence, k, side, lowercase) for k, sentence in enumerate(given)]


def _words(sentence: Any, k: int, side: str, lowercase: bool) -> list[str]:
    if isinstance(sentence, str):
        return (sentence.lower() if lowercase else sentence).split()
    if isinstance(sentence, bytes):
        raise TypeError(
            f"{side}[{k}] is bytes, not text: decode it, as in sentence.decode('utf-8')"
        )
    if not isinstance(sentence, Sequence | np.ndarray):
        raise TypeError(
            f"{side}[{k}] is of type {type(sentence).__name__}: a sentence is a string or a list "
            "of words"
        )
    words = list(sentence)
    for word in words:
        if not isinstance(word, str):
            what = "bytes: decode it" if isinstance(word, bytes) else type(word).__name__
            raise TypeError(f"a word of {side}[{k}] is {what}; words are strings")
    return [word.lower() for word in words] if lowercase else words


def vocabulary(sentences: list[list[str]]) -> list[str]:
    """The different words, in the order in which they come."""
    return list(dict.fromkeys(word for sentence in sentences for word in sentence))


def encoded(
    pairs: Sentences, source_words: Iterable[str], target_words: Iterable[str], chains: bool
) -> ParallelText:
    """The pairs as numbers, -1 for words that are not in the vocabularies.

    Raises
    ------
    ValueError
        For sentences that are too long to be aligned; `chains` is for the hidden Markov model.
    """
    sides = []
    for sentences, words in ((pairs.source, source_words), (pairs.target, target_words)):
        place = {word: k for k, word in enumerate(words)}
        lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
        numbers = np.fromiter(
            (place.get(word, -1) for sentence in sentences for word in sentence),
            dtype=np.int64,
            count=int(lengths.sum()),
        )
        sides.append((numbers, lengths))
    text = ParallelText(*sides[0], *sides[1])
    _check_lengths(text, pairs, chains)
    return text


def _check_lengths(text: ParallelText, pairs: Sentences, chains: bool) -> None:
    cells = text.source_lengths * text.target_lengths
    for wrong, why in (
        (cells > MOST_CELLS, f"at most {MOST_CELLS:,} links between their words"),
        (text.source_lengths > MOST_STATES if chains else cells < 0,
         f"at most {MOST_STATES} source words with model='hmm'"),
    ):  # fmt: skip
        if wrong.any():
            k = int(np.argmax(wrong))
            raise ValueError(
                f"pair {pairs.kept[k]} (counted from 0) has {text.source_lengths[k]:,} source and "
                f"{text.target_lengths[k]:,} target words: a pair may have {why}. Split it into "
                "sentences, or leave it out"
            )
