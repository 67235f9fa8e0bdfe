"""Parallel text that comes with the package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

__all__ = ["ParallelSentences", "load_django_messages"]


@dataclass(frozen=True)
class ParallelSentences:
    """Sentences and their translations, words apart by blanks.

    Attributes
    ----------
    source, target : list of str
        Translations of each other, one by one.
    description : str
        What the text is, in a sentence or two.
    origin : str
        Where it comes from, and its licence.
    """

    source: list[str]
    target: list[str]
    description: str
    origin: str

    def __len__(self) -> int:
        return len(self.source)

    def __repr__(self) -> str:
        return f"ParallelSentences({len(self)} pairs)"


def load_django_messages() -> ParallelSentences:
    """Messages of a web framework in English and in German, 678 pairs.

    From "Delete multiple objects" to sentences of 40 words; placeholders such as
    ``%(name)s`` and punctuation are words of their own.

    Source: the gettext catalogues in Django 5.2.19 (Django Software Foundation and individual
    contributors, BSD 3-clause licence, which lies beside the file), split into words.

    Examples
    --------
    >>> from latentem.datasets import load_django_messages
    >>> text = load_django_messages()
    >>> text.source[120], text.target[120]
    ('Delete multiple objects', 'Mehrere Objekte löschen')
    """
    lines = files("latentem.datasets").joinpath("data", "django_messages.txt")
    pairs = [line.split(" ||| ") for line in lines.read_text("utf-8").split("\n") if line]
    return ParallelSentences(
        [source for source, _ in pairs],
        [target for _, target in pairs],
        "Messages of the web framework Django, in English and in German.",
        "gettext catalogues of Django 5.2.19, Django Software Foundation and individual "
        "contributors, BSD 3-clause licence",
    )
