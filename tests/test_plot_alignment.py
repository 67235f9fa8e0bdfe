"""The figure of one aligned pair."""

from __future__ import annotations

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

from matplotlib import pyplot  # noqa: E402

from latentem import GaussianMixture, WordAligner, plot  # noqa: E402

ENGLISH = ["the house", "the book", "a book"]
GERMAN = ["das Haus", "das Buch", "ein Buch"]


@pytest.fixture(autouse=True)
def _close():
    yield
    for number in pyplot.get_fignums():
        pyplot.figure(number).canvas.draw()
    pyplot.close("all")


@pytest.mark.parametrize("method", [None, "union"])
def test_cells_are_probabilities_and_dots_links(method):
    aligner = WordAligner(lowercase=True, symmetrization=method).fit(GERMAN, ENGLISH)
    ax = plot.alignment(aligner, "ein Haus dort", ["A", "house"])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["ein", "Haus", "dort"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["A", "house"]
    shares = aligner.predict_proba(["ein Haus dort"], ["a house"])[0]
    if method is not None:
        back = aligner.reverse_.predict_proba(["a house"], ["ein Haus dort"])[0]
        shares = (shares + back.T) / 2
    np.testing.assert_allclose(ax.images[0].get_array(), shares)
    dots = sorted(zip(*ax.lines[0].get_data(), strict=True))
    assert dots == aligner.align(["ein Haus dort"], ["a house"])[0]


def test_what_is_refused():
    aligner = WordAligner().fit(GERMAN, ENGLISH)
    with pytest.raises(TypeError, match="cannot draw the links of a GaussianMixture"):
        plot.alignment(GaussianMixture(), "a", "b")
    with pytest.raises(ValueError, match="have 0 and 1 words"):
        plot.alignment(aligner, "", "house")
    with pytest.raises(ValueError, match="have 61 and 1 words"):
        plot.alignment(aligner, "Haus " * 61, "house")
    ax = plot.alignment(WordAligner().fit(["x y"], ["z"]), "q", "r")  # no links at all
    assert len(ax.get_xticklabels()) == 1
