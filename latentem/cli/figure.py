"""The figures of ``latentem mixture --plot`` and ``latentem impute --plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from latentem.cli.messages import BadInput
from latentem.engine.selection import Selection
from latentem.estimators.missing_patterns import MissingPatterns
from latentem.families.covariance import variances

__all__ = ["draw", "draw_patterns", "panels", "suffixes", "telling"]

Array = np.ndarray


def suffixes() -> list[str]:
    """Formats that matplotlib writes; BadInput where it is missing."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError:
        raise BadInput("figures are drawn with matplotlib: pip install 'latentem[cli]'") from None
    return sorted(FigureCanvasBase.get_supported_filetypes())


def panels(count: int, height: float = 3.6) -> tuple[Any, list[Any]]:
    """A figure of `count` panels, up to three side by side; no window is opened."""
    from matplotlib.figure import Figure

    rows = 1 if count <= 3 else 2
    across = -(-count // rows)
    figure = Figure(figsize=(1.35 * height * across, rows * height), layout="constrained")
    return figure, list(figure.subplots(rows, across, squeeze=False).ravel()[:count])


def draw_patterns(found: MissingPatterns, path: Path) -> None:
    """Write the figure of patterns of missing cells; its format is that of the suffix."""
    from matplotlib.figure import Figure

    from latentem import plot
    from latentem.plot.missing import size_of_patterns

    figure = Figure(figsize=size_of_patterns(found), layout="constrained")
    plot.patterns(found, ax=figure.subplots())
    figure.savefig(path, dpi=150)


def telling(model: Any) -> tuple[int, int]:
    """The two columns in which the components differ most, by their own spread."""
    d = model.means_.shape[1]
    spread = np.broadcast_to(
        variances(model.covariances_, model.covariance_type), (model.n_components, d)
    )
    weights = model.weights_[:, None]
    centre = (weights * model.means_).sum(axis=0)
    between = (weights * (model.means_ - centre) ** 2).sum(axis=0)
    first, second = np.sort(
        np.argsort(-between / (weights * spread).sum(axis=0), kind="stable")[:2]
    )
    return int(first), int(second)


def draw(selection: Selection, X: Any, weights: Array | None, path: Path) -> None:
    """Write the figure; its format is that of the suffix."""
    from latentem import plot

    model = selection.best
    many = len({row.params["n_components"] for row in selection.table}) > 1
    figure, axes = panels(2 + many)
    if X.shape[1] == 1:
        plot.density(model, X, sample_weight=weights, ax=axes[0])
    else:
        plot.ellipses(model, X, columns=telling(model), ax=axes[0])
    if many:
        plot.selection(selection, ax=axes[1])
    plot.convergence(model, ax=axes[-1])
    figure.savefig(path, dpi=150)
