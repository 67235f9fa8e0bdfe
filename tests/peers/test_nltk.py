"""nltk's IBM Model 1 has the same tables."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import WordAligner

translate = pytest.importorskip("nltk.translate")


def test_tables_of_ibm_model_1():
    rng = np.random.default_rng(3)
    source = [[f"f{k}" for k in rng.integers(12, size=rng.integers(1, 7))] for _ in range(40)]
    # No word twice in a target sentence: nltk then counts it once.
    target = [[f"e{k}" for k in rng.permutation(12)[: rng.integers(1, 7)]] for _ in range(40)]
    corpus = [translate.AlignedSent(e, f) for e, f in zip(target, source, strict=True)]
    peer = translate.IBMModel1(corpus, 6)
    aligner = WordAligner(max_iter=5).fit(source, target)  # the start is the first of six maps
    for word in [None, *aligner.source_words_]:
        for translation, probability in aligner.translation_table(word, n=100):
            theirs = peer.translation_table[translation][word]
            assert probability == pytest.approx(theirs, abs=1e-9)
