"""Chapters of ``latentem tour``, in their order.

A chapter is a function ``(folder, seed) -> Chapter``, whose docstring's first line
names it. It fits its data, writes its figures into the folder, and returns words. A
new one is added to `CHAPTERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from latentem.cli.chapters.airquality import air_quality
from latentem.cli.chapters.chapter import Chapter
from latentem.cli.chapters.concrete import concrete
from latentem.cli.chapters.earthquakes import earthquakes
from latentem.cli.chapters.faithful import old_faithful
from latentem.cli.chapters.messages import translated_messages
from latentem.cli.chapters.two_gaussians import two_gaussians

__all__ = ["CHAPTERS", "Chapter"]

CHAPTERS: list[Callable[[Path, int], Chapter]] = [
    old_faithful,
    two_gaussians,
    earthquakes,
    air_quality,
    translated_messages,
    concrete,
]
