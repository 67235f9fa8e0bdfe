"""Messages in English and German: which word translates which."""

from __future__ import annotations

from pathlib import Path

from latentem import plot
from latentem.cli.chapters.chapter import Chapter, markdown_table
from latentem.cli.messages import plural
from latentem.datasets import ParallelSentences, load_django_messages
from latentem.engine.result import Reason
from latentem.estimators.word_aligner import WordAligner
from latentem.plot.links import size

__all__ = ["translated_messages"]

FIGURE = "messages.png"
#: The pair that is drawn, and words whose translations are listed.
PAIR = "“ %(value)s ” value must be either True , False , or None ."
WORDS = ("password", "Select", "must", "and")
#: A sentence that is not among the messages.
NEW = "Please enter a valid password .", "Bitte ein gültiges Passwort eingeben ."


def translated_messages(folder: Path, seed: int) -> Chapter:
    """Messages of a program, in English and German."""
    text = load_django_messages()
    lines = [f"{a} ||| {b}" for a, b in zip(text.source, text.target, strict=True)]
    (folder / "messages.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    aligner = WordAligner("hmm", smoothing=0.01, symmetrization="grow-diag-final-and")
    aligner.fit(text.source, text.target)
    _figure(aligner, text, folder / FIGURE)
    assert aligner.result_ is not None
    ended = aligner.result_.converged or aligner.result_.reason is Reason.MAX_ITER
    word, p = aligner.translation_table("password", 1)[0]
    found = f"{plural(len(text), 'pair')}, perplexity {_perplexity(aligner, text):.1f}"
    return Chapter(
        title=f"Messages: {len(text)} of a program and their translations, links between words",
        markdown=_markdown(aligner, text),
        screen=[f"{found}; password: {word}, {100 * p:.0f} %; {aligner.n_iter_} EM maps"],
        figures=[FIGURE],
        sound=ended,
    )


def _perplexity(aligner: WordAligner, text: ParallelSentences) -> float:
    return aligner.perplexity(text.source, text.target)


def _figure(aligner: WordAligner, text: ParallelSentences, path: Path) -> None:
    from matplotlib.figure import Figure

    source, target = PAIR, text.target[text.source.index(PAIR)]
    figure = Figure(figsize=size(len(source.split()), len(target.split())), layout="constrained")
    plot.alignment(aligner, source, target, ax=figure.subplots())
    figure.savefig(path, dpi=110)


def _markdown(aligner: WordAligner, text: ParallelSentences) -> str:
    table = [["word", "translations"]]
    for word in WORDS:
        best = [f"{other} {p:.2f}" for other, p in aligner.translation_table(word, 4)]
        table.append([word, ", ".join(best)])
    source, target = NEW[0].split(), NEW[1].split()
    links = aligner.align([NEW[0]], [NEW[1]])[0]
    pairs = ", ".join(f"{source[i]} - {target[j]}" for i, j in links)
    return f"""
{text.description} Source: {text.origin}. The pairs are in [messages.txt](messages.txt) beside this
report.

**The question.** Nobody said which word translates which. Can that be learned from {len(text)}
pairs of sentences, most of them of a few words?

A hidden Markov alignment (`latentem.WordAligner("hmm")`) was fitted in both directions and the
links joined. It has a table of translations, and probabilities for how far one goes on in the
English sentence from one German word to the next. {aligner.n_iter_} EM maps of each direction, as
is the custom in word alignment, and not to convergence: links stop improving long before the
likelihood does. A German word is, given the English sentence, as uncertain as one of
{_perplexity(aligner, text):.1f} that are equally probable (the perplexity).

### What a word becomes

{markdown_table(table)}

### The links of one pair

![Links between the words of a message and of its translation]({FIGURE})

How to read it: a dot is a link, and the darker a cell, the more probable the link. Off the diagonal
the order of the words is another one.

### A sentence that was not among them

"{NEW[0]}", "{NEW[1]}": {pairs}.

### The same in Python

```python
import latentem

text = latentem.datasets.load_django_messages()
aligner = latentem.WordAligner("hmm", smoothing=0.01, symmetrization="grow-diag-final-and")
aligner.fit(text.source, text.target)
print(aligner.translation_table("password"))
print(aligner.align(["{NEW[0]}"], ["{NEW[1]}"]))
```
"""
