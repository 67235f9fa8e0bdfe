"""IBM Model 1 on the house / das Haus, the book / das Buch, a book / ein Buch, to the digits.

English given German, no empty word, uniform start; perplexity in base 2. The corpus is that of
the lectures of P. Koehn (Statistical Machine Translation, 2009, chapter 4).
"""

from __future__ import annotations

import numpy as np
import pytest

from latentem import EM, WordAligner
from latentem.models import AlignmentParams, ParallelText, WordAlignment, WordPairs

THE_DAS = (0.5, 0.636364, 0.747897, 0.834440, 0.896083, 0.937085)
HOUSE_HAUS = (0.5, 0.571429, 0.653386, 0.724479)
PERPLEXITY = (12.0, 7.6601, 7.2151, 6.8452, 6.5631)


def test_table_and_perplexity():
    two, words = np.full(3, 2), np.array([0, 1, 0, 2, 3, 2])  # the house book a
    text = ParallelText(words, two, words, two)
    model = WordAlignment(WordPairs.make(text, null=False))
    assert model.pairs.columns.tolist()[3:5] == [0, 1]  # Haus has met "the" and "house"
    uniform = AlignmentParams(np.full(len(model.pairs), 0.25), None)
    em = EM(tol=0, max_iter=6, accelerate=None, n_jobs=1)
    states = list(em.iterate(model, text, start=uniform))
    for n, wanted in enumerate(THE_DAS, start=1):
        assert states[n].params.translation[0] == pytest.approx(wanted, abs=5e-7)
    for n, wanted in enumerate(HOUSE_HAUS, start=1):
        assert states[n].params.translation[4] == pytest.approx(wanted, abs=5e-7)
    for n, wanted in enumerate(PERPLEXITY):
        assert -states[n].loglik / np.log(2) == pytest.approx(wanted, abs=5e-5)


def test_the_estimator_has_the_same_numbers():
    english, german = ["the house", "the book", "a book"], ["das Haus", "das Buch", "ein Buch"]
    # It begins with what the first map makes of a uniform table.
    for n, wanted in enumerate(PERPLEXITY[1:]):
        aligner = WordAligner(null=False, max_iter=n).fit(german, english)
        table = dict(aligner.translation_table("das"))
        assert table["the"] == pytest.approx(THE_DAS[n], abs=5e-7)
        assert 6 * np.log2(aligner.perplexity(german, english)) == pytest.approx(wanted, abs=5e-5)
