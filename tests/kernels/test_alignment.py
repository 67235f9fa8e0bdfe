"""Kernels of word alignment against plain twins."""

from __future__ import annotations

import numpy as np
import pytest

from latentem.kernels.alignment import scatter, share
from latentem.models.parallel_text import ParallelText, WordPairs, sentence_pairs


def a_text(rng, n=12, n_source=6, n_target=7):
    source_lengths, target_lengths = rng.integers(1, 5, n), rng.integers(1, 5, n)
    source = np.concatenate([np.arange(n_source), rng.integers(n_source, size=100)])
    target = np.concatenate([np.arange(n_target), rng.integers(n_target, size=100)])
    return ParallelText(
        source[: source_lengths.sum()], source_lengths, target[: target_lengths.sum()],
        target_lengths,
    )  # fmt: skip


@pytest.mark.nojit
@pytest.mark.parametrize("null", [True, False])
def test_places_of_pairs(null, rng):
    text = a_text(rng)
    pairs = WordPairs.make(text, null)
    rows = np.repeat(np.arange(len(pairs.sizes)), pairs.sizes)
    place = {key: k for k, key in enumerate(zip(rows, pairs.columns, strict=True))}
    assert len(place) == len(pairs)
    strange = ParallelText(
        np.where(rng.random(len(text.source)) < 0.3, -1, text.source), text.source_lengths,
        np.where(rng.random(len(text.target)) < 0.3, -1, text.target), text.target_lengths,
    )  # fmt: skip
    for words in (text, strange):
        block = sentence_pairs(pairs, words, np.arange(len(words)))
        assert (np.diff(block.source_lengths) >= 0).all()
        for s, at in enumerate(block.order):
            one = words.between(at, at + 1)
            source = one.source + null
            unknown = one.source < 0
            if null:
                source, unknown = np.append(0, source), np.append(False, unknown)
            wanted = [
                [
                    len(pairs) + 1 if hidden else place.get((f, e), len(pairs))
                    for f, hidden in zip(source, unknown, strict=True)
                ]
                for e in one.target
            ]
            found = block.rectangle(block.cells, s, s + 1)
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.nojit
def test_shares_and_sums(rng):
    translation = rng.random(9)
    translation[3] = 0.0
    starts = np.array([0, 2, 5, 6, 8])
    cells = np.array([0, 1, 2, 3, 4, 3, 8, 0], dtype=np.int32)
    prior, distances = rng.random(10), rng.random(10)
    places = np.array([0, 4, 7, 0])
    posterior = np.empty(8)
    loglik, distance = share(translation, cells[:5], starts[:3], prior, places[:2], distances,
                             posterior[:5])  # fmt: skip
    total = 0.0
    for r in range(2):
        part = slice(starts[r], starts[r + 1])
        here = slice(places[r], places[r] + starts[r + 1] - starts[r])
        joint = translation[cells[part]] * prior[here]
        np.testing.assert_allclose(posterior[part], joint / joint.sum(), rtol=1e-14)
        loglik -= np.log(joint.sum())
        total += posterior[part] @ distances[here]
    assert loglik == pytest.approx(0.0, abs=1e-13)
    assert distance == pytest.approx(total, rel=1e-13)
    with np.errstate(divide="ignore"):  # an impossible word: no NaN
        loglik, _ = share(translation, cells, starts, prior, places, distances, posterior)
    assert loglik == -np.inf
    assert posterior[5] == 0.0
    sums = np.ones(9)
    scatter(cells, np.arange(8.0), sums)
    np.testing.assert_array_equal(sums, 1 + np.bincount(cells, np.arange(8.0), minlength=9))
