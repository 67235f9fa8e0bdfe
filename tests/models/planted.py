"""Parallel text with known links: a planted dictionary, phrases that change places."""

from __future__ import annotations

import numpy as np

from latentem.models import ParallelText

__all__ = ["error_rate", "planted"]


def planted(n, seed=1, n_words=300):
    """Pairs of sentences, and the source position of each target word, -1 for none.

    Each source word has a common and a rare translation, one in ten is not translated, and
    one target word in ten comes from nothing. In half of the sentences two neighbouring
    phrases change places. Word k is about 1 / k times as frequent as the first.
    """
    rng = np.random.default_rng(seed)
    frequency = 1 / np.arange(1, n_words + 1)
    frequency /= frequency.sum()
    source, target, lengths, links = [], [], ([], []), []
    for _ in range(n):
        length = int(rng.integers(4, 16))
        words = rng.choice(n_words, size=length, p=frequency)
        cuts = np.sort(rng.choice(np.arange(1, length), size=2, replace=False))
        phrases = np.split(np.arange(length), cuts)
        if rng.random() < 0.5:
            i = rng.integers(len(phrases) - 1)
            phrases[i], phrases[i + 1] = phrases[i + 1], phrases[i]
        here, places = [], []
        for i in np.concatenate(phrases):
            if rng.random() < 0.1:
                continue
            here.append(2 * words[i] + (rng.random() < 0.3))
            places.append(i)
            if rng.random() < 0.1:
                here.append(2 * n_words + int(rng.integers(5)))
                places.append(-1)
        if not here:
            here, places = [2 * words[0]], [0]
        source += words.tolist()
        target += here
        lengths[0].append(length)
        lengths[1].append(len(here))
        links.append(np.array(places))
    numbers = [np.unique(side, return_inverse=True)[1] for side in (source, target)]
    sizes = [np.array(side) for side in lengths]
    return ParallelText(numbers[0], sizes[0], numbers[1], sizes[1]), links


def error_rate(found, planted_links):
    """The alignment error rate of positions against those planted."""
    hits = sum(((a == b) & (b >= 0)).sum() for a, b in zip(found, planted_links, strict=True))
    total = sum((a >= 0).sum() + (b >= 0).sum() for a, b in zip(found, planted_links, strict=True))
    return 1 - 2 * hits / total
