"""The figure of ``latentem hmm --plot``: the states, what follows, the selection, residuals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latentem.cli.figure import panels
from latentem.cli.series import Series
from latentem.engine.selection import Selection

__all__ = ["draw"]


def draw(selection: Selection, series: Series, h: int | None, path: Path) -> None:
    """Write the figure; its format is that of the suffix."""
    from latentem import plot

    model: Any = selection.best
    many = len({row.params["n_components"] for row in selection.table}) > 1
    figure, axes = panels(2 + many + (h is not None))
    plot.states(model, series.X, lengths=series.lengths, ax=axes[0])
    if h is not None:
        plot.forecast(model, series.X, h, ax=axes[1])
    if many:
        plot.selection(selection, ax=axes[-2])
    plot.residuals(model, series.X, lengths=series.lengths, ax=axes[-1])
    figure.savefig(path, dpi=150)
