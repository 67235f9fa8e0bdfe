"""Missing data: patterns of missing cells, and imputed values beside observed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from latentem.estimators.missing_patterns import MissingPatterns, missing_patterns
from latentem.estimators.overimputation import Overimputation
from latentem.plot.style import BAD, COLOURS, GREY, INK, axes, legend, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["overimpute", "patterns", "size_of_patterns"]

Array = np.ndarray

#: More columns than this have small names.
MANY = 15
#: More rows of the matrix than this have small numbers.
TALL = 12
#: Cells that are drawn of a long column.
MAX_CELLS = 1000


def patterns(
    X: Any, *, most: int = 20, missing_values: Any = np.nan, ax: Axes | None = None
) -> Axes:
    """Patterns of missing cells, the most frequent above, with bars of how many there are.

    A dark cell is missing. Bars to the right are the rows of each pattern, with their
    number, complete rows in another colour; bars above are the share of each column that
    is missing, in per cent.

    Parameters
    ----------
    X : MissingPatterns, array-like or frame (n_samples, n_features)
    most : int
        Patterns that are shown; what is left out is told below.
    missing_values : NaN or number
        As for `latentem.missing_patterns`.
    ax : matplotlib Axes, optional
        By default of a new figure whose size suits the table.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Where matplotlib is missing.

    Examples
    --------
    >>> from matplotlib import pyplot
    >>> from latentem import plot
    >>> from latentem.datasets import load_airquality
    >>> ax = plot.patterns(load_airquality().to_frame())
    >>> [text.get_text() for text in ax.texts][:4]
    ['111', '35', '5', '2']
    >>> pyplot.close(ax.figure)
    """
    if isinstance(most, bool) or not isinstance(most, int | np.integer) or most < 1:
        raise ValueError(f"most must be an integer >= 1, got {most!r}")
    found = X if isinstance(X, MissingPatterns) else missing_patterns(X, missing_values)
    shown, d = min(most, len(found)), len(found.names)
    ax = axes(ax, size_of_patterns(found, most))
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(["#F4F4F4", COLOURS[0]])
    edges: Any = {"edgecolors": "white", "linewidth": 1.0, "vmin": 0, "vmax": 1}
    ax.pcolormesh(
        np.arange(d + 1) - 0.5, np.arange(shown + 1) - 0.5, found.missing[:shown].astype(float),
        cmap=colours, **edges,
    )  # fmt: skip
    right = _bars_of_patterns(ax, found, shown)
    top = _bars_of_columns(ax, found, shown)
    ax.set_xlim(-0.5, right)
    ax.set_ylim(shown - 0.5, top)
    longest = max(map(len, found.names)) * d > 45
    ax.set_xticks(
        np.arange(d),
        list(found.names),
        rotation=90 if longest else 0,
        fontsize="x-small" if d > MANY else "small",
    )
    ax.set_yticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if shown < len(found):
        rows = found.counts[shown:].sum()
        ax.set_xlabel(
            f"and {len(found) - shown:,} more patterns, with {rows:,} of {found.n_rows:,} rows",
            fontsize="small",
        )
    return ax


def size_of_patterns(found: MissingPatterns, most: int = 20) -> tuple[float, float]:
    """Width and height in inches of a figure in which the names and numbers have room."""
    d, shown = len(found.names), min(most, len(found))
    return max(4.6, 2.4 + 0.26 * d), max(2.4, 1.8 + 0.22 * shown)


def _bars_of_patterns(ax: Axes, found: MissingPatterns, shown: int) -> float:
    """Rows of each pattern, right of the matrix; where they end on the x axis."""
    left = len(found.names) - 0.35
    room = max(0.35 * len(found.names), 2.0) if len(found.names) < MANY else 5.0
    counts = found.counts[:shown]
    widths = 0.6 * room * counts / counts.max()  # the rest is for the numbers
    complete = ~found.missing[:shown].any(axis=1)
    ax.barh(np.arange(shown), widths, left=left, height=0.7,
            color=np.where(complete, COLOURS[2], COLOURS[0]).tolist())  # fmt: skip
    size = "x-small" if shown > TALL else "small"
    for place, (count, width) in enumerate(zip(counts.tolist(), widths.tolist(), strict=True)):
        ax.annotate(f"{count:,}", (left + width, place), (3, 0), textcoords="offset points",
                    va="center", fontsize=size)  # fmt: skip
    ax.vlines(left, -0.5, shown - 0.5, color=GREY, linewidth=0.8)
    ax.annotate("rows", (left, -0.5), (0, 3), textcoords="offset points", fontsize="small")
    return left + room


def _bars_of_columns(ax: Axes, found: MissingPatterns, shown: int) -> float:
    """Share of each column that is missing, above the matrix; where they end on the y axis."""
    d, shares = len(found.names), 100 * found.column_shares
    bottom, room = -0.65, max(0.25 * shown, 1.2)
    heights = 0.7 * room * shares / max(shares.max(), 1e-9)
    ax.bar(np.arange(d), -heights, bottom=bottom, width=0.7, color=COLOURS[0])
    size = "xx-small" if d > MANY else "x-small"
    for place, (share, height) in enumerate(zip(shares.tolist(), heights.tolist(), strict=True)):
        if share:
            ax.annotate(f"{share:.0f}" if share >= 0.5 else "<1", (place, bottom - height), (0, 2),
                        textcoords="offset points", ha="center", fontsize=size)  # fmt: skip
    ax.hlines(bottom, -0.5, d - 0.5, color=GREY, linewidth=0.8)
    ax.annotate("% missing", (-0.5, bottom), (-4, 4), textcoords="offset points", ha="right",
                fontsize="small")  # fmt: skip
    return bottom - room


def overimpute(found: Overimputation, *, column: int | str = 0, ax: Axes | None = None) -> Axes:
    """Observed cells of a column against what the rest of their rows says of them.

    A point is the mean, a line reaches to the limits; those that miss the observed value
    have another colour. On the diagonal both are equal. Of a long column 1,000 cells are
    drawn, at random.

    Parameters
    ----------
    found : Overimputation
        From ``GaussianImputer.overimpute``.
    column : int or str
        The column, by its place or its name.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Where matplotlib is missing.
    ValueError
        For a column without a cell that is judged.

    Examples
    --------
    >>> from matplotlib import pyplot
    >>> from latentem import GaussianImputer, plot
    >>> from latentem.datasets import load_airquality
    >>> air = load_airquality().to_frame()
    >>> ax = plot.overimpute(GaussianImputer().fit(air).overimpute(air), column="Ozone")
    >>> ax.get_xlabel()
    'Ozone, observed'
    >>> pyplot.close(ax.figure)
    """
    names, d = list(found.names), len(found.names)
    j = names.index(column) if column in names else column
    if isinstance(j, bool) or not isinstance(j, int | np.integer) or not -d <= j < d:
        raise ValueError(f"column must be a place in 0..{d - 1} or one of {names}, got {column!r}")
    rows = np.flatnonzero(~np.isnan(found.observed[:, j]))
    if not len(rows):
        raise ValueError(f"column {names[j]!r} has no cell to judge: it takes no part in the model")
    share = found.covered[j]
    if len(rows) > MAX_CELLS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MAX_CELLS, replace=False))
    seen, mean = found.observed[rows, j], found.mean[rows, j]
    lower, upper, inside = found.lower[rows, j], found.upper[rows, j], found.inside[rows, j]
    ax = axes(ax, (4.6, 3.8))
    crowded = len(rows) > 200
    for chosen, colour, label in (
        (inside, COLOURS[0], f"within the limits ({100 * share:.0f} %)"),
        (~inside, BAD, f"outside ({100 * (1 - share):.0f} %)"),
    ):
        if chosen.any():
            ax.vlines(seen[chosen], lower[chosen], upper[chosen], color=colour,
                      alpha=0.15 if crowded else 0.35, linewidth=0.8, zorder=1)  # fmt: skip
            ax.plot(seen[chosen], mean[chosen], linestyle="none", color=colour, label=label,
                    marker="o" if colour != BAD else "s", zorder=3,
                    markersize=2.0 if crowded else 3.5)  # fmt: skip
    ends = np.array([seen.min(), seen.max()])
    ax.plot(ends, ends, color=INK, linewidth=0.9, zorder=2)
    tidy(ax, f"{names[j]}, observed", f"imputed, limits of {100 * found.level:g} %")
    legend(ax, places=("upper left", "lower right", "upper center"))
    return ax
