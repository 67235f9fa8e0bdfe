"""What a chapter of the tour hands back."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Chapter", "markdown_table"]


class Chapter(NamedTuple):
    """A part of the report and its lines on the closing screen.

    Attributes
    ----------
    title : str
        At most 80 characters.
    markdown : str
        The chapter without its title, figures embedded by their file names.
    screen : list of str
        At most 78 characters each; all chapters share a screen of 24 lines.
    figures : list of str
        Their file names.
    sound : bool
        Whether every fit has converged, or made the number of maps that it was to make.
    """

    title: str
    markdown: str
    screen: list[str]
    figures: list[str]
    sound: bool


def markdown_table(rows: list[list[str]]) -> str:
    """Rows of cells as a Markdown table, the first row its header, numbers to the right."""
    safe = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    header, *body = [f"| {' | '.join(row)} |" for row in safe]
    return "\n".join([header, "|" + "---:|" * len(rows[0]), *body])
