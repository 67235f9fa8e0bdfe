"""Word alignment: the links of one pair of sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from latentem.estimators.sentences import read_pairs
from latentem.estimators.word_aligner import WordAligner
from latentem.plot.style import COLOURS, GREY, axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["alignment", "size"]

#: Inches of a word, along the axes.
INCH = 0.32
#: Words of a sentence that are drawn at most.
MOST_WORDS = 60


def size(source: int, target: int) -> tuple[float, float]:
    """Inches of a figure for so many words."""
    return 1.9 + INCH * source, 1.6 + INCH * target


def alignment(fitted: Any, source: Any, target: Any, *, ax: Axes | None = None) -> Axes:
    """The links of one pair of sentences, and how probable each is.

    Source words are columns and target words rows. The darker a cell, the more probable the
    link (with two directions, the mean of both); a dot is a link of ``fitted.align``.

    Parameters
    ----------
    fitted : WordAligner
    source, target : str or list of str
        One sentence and its translation.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Where matplotlib is missing.
    ValueError
        For an empty sentence, or one of more than 60 words.

    Examples
    --------
    >>> from matplotlib import pyplot
    >>> from latentem import WordAligner, plot
    >>> aligner = WordAligner().fit(["das Haus", "das Buch"], ["the house", "the book"])
    >>> ax = plot.alignment(aligner, "das Haus", "the house")
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['das', 'Haus']
    >>> pyplot.close(ax.figure)
    """
    if not isinstance(fitted, WordAligner):
        raise TypeError(
            f"cannot draw the links of a {type(fitted).__name__}: give a fitted WordAligner"
        )
    links = fitted.align([source], [target])[0]
    shares = fitted.predict_proba([source], [target])[0]
    if fitted.reverse_ is not None:
        shares = 0.5 * (shares + fitted.reverse_.predict_proba([target], [source])[0].T)
    m, l = shares.shape  # noqa: E741
    if min(m, l) == 0 or max(m, l) > MOST_WORDS:
        raise ValueError(
            f"the sentences have {l} and {m} words: a figure needs one on each side, and has room "
            f"for {MOST_WORDS}"
        )
    pairs = read_pairs([source], [target], lowercase=False)  # words as they were given
    ax = axes(ax, size(l, m))
    ax.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.15, aspect="equal")
    at = np.array(links).reshape(-1, 2)
    ax.plot(at[:, 0], at[:, 1], "o", color=COLOURS[1], markersize=7, markeredgecolor="white")
    ax.set_xticks(range(l), pairs.source[0], rotation=60, ha="left", rotation_mode="anchor")
    ax.set_yticks(range(m), pairs.target[0])
    ax.xaxis.tick_top()
    ax.set_xticks(np.arange(l + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(m + 1) - 0.5, minor=True)
    ax.grid(which="minor", color=GREY, linewidth=0.6)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    return ax
