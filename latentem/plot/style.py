"""What the figures share: colours, new Axes, and legends that cover no data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

__all__ = [
    "BAD",
    "COLOURS",
    "GREY",
    "INK",
    "LINES",
    "MARKERS",
    "TOP",
    "axes",
    "legend",
    "look",
    "tidy",
]

#: Okabe and Ito's palette without black (totals are black) and yellow (too pale for lines).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "<", ">")
LINES = ("-", "--", "-.", ":")
#: Pixels around a legend that stay clear of data.
AIR = 6
INK, GREY, BAD = "#222222", "#D9D9D9", "#D55E00"


def axes(ax: Axes | None, size: tuple[float, float] = (5.0, 3.4)) -> Axes:
    """`ax`, or the Axes of a new figure of `size`; a sentence where matplotlib is missing."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'latentem[plot]'") from None
    if ax is not None:
        return ax
    return pyplot.subplots(figsize=size, layout="constrained")[1]


def look(k: int) -> dict[str, Any]:
    """Colour and line style of series `k`; the pair is unique for 24 of them."""
    rounds, place = divmod(k, len(COLOURS))
    return {"color": COLOURS[place], "linestyle": LINES[rounds % len(LINES)]}


def tidy(ax: Axes, xlabel: str, ylabel: str) -> None:
    """Labels, and no frame where nothing is read off."""
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.spines[["top", "right"]].set_visible(False)


def whole_numbers(ax: Axes) -> None:
    """Ticks of the x axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))


#: Corners and sides of the frame, as `Bbox.anchored` calls them.
ANCHORS: dict[str, Any] = {
    "upper right": "NE",
    "upper left": "NW",
    "upper center": "N",
    "lower right": "SE",
    "lower left": "SW",
}
#: Places of a legend that are tried, in this order.
TOP = ("upper right", "upper left", "upper center")


def legend(ax: Axes, *, places: tuple[str, ...] = TOP, extra: tuple[Any, ...] = ()) -> None:
    """A legend that covers no data: where there is room, or above it on a longer y axis.

    `extra` are artists with a label that are in the legend only.
    """
    handles = [*ax.get_legend_handles_labels()[0], *extra]
    handles.sort(key=lambda handle: handle.get_label() != "data")
    figure: Any = ax.figure
    layout = figure.get_layout_engine()
    if layout is not None:  # so that sizes are those of the finished figure
        layout.execute(figure)
    frame, covered = ax.get_window_extent(), _ink(ax)
    for size in ("small", "x-small"):
        widest = 1
        for ncols in range(1, len(handles) + 1):
            extent = _draw_legend(ax, handles, ncols, places[0], size)
            if extent.width > frame.width or extent.height > frame.height:
                continue
            widest = ncols
            for place in places:
                if not _touches(covered, extent.anchored(ANCHORS[place], frame)):
                    _draw_legend(ax, handles, ncols, place, size)
                    return
        extent = _draw_legend(ax, handles, widest, "upper left", size)
        if extent.height <= 0.25 * frame.height:
            break
    # Room above the data, in the coordinates in which the axis is drawn (it may be a logarithm).
    share = min(extent.height / frame.height + 0.05, 0.6)
    scale = ax.yaxis.get_transform()
    low, high = scale.transform(ax.get_ylim())
    ax.set_ylim(*scale.inverted().transform([low, low + (high - low) / (1 - share)]))


def _draw_legend(ax: Axes, handles: list[Any], ncols: int, place: Any, size: str) -> Bbox:
    order = _by_rows(len(handles), ncols)
    drawn = ax.legend(
        handles=[handles[i] for i in order],
        loc=place,
        ncols=ncols,
        fontsize=size,
        frameon=False,
        handlelength=1.6,
        columnspacing=1.2,
        borderaxespad=0.2,
    )
    return drawn.get_window_extent()


def _by_rows(n: int, ncols: int) -> list[int]:
    """Order that makes a legend, which fills column by column, read row by row."""
    nrows = -(-n // ncols)
    long = n - (nrows - 1) * ncols  # columns with an entry in the last row
    return [
        row * ncols + column
        for column in range(ncols)
        for row in range(nrows if column < long else nrows - 1)
    ]


def _ink(ax: Axes) -> np.ndarray:
    """Points of the figure, in pixels, that lines, markers and patches pass through."""
    found = [np.empty((0, 2))]
    for line in ax.lines:
        path = np.ma.filled(line.get_xydata(), np.nan)
        path = line.get_transform().transform(path[np.isfinite(path).all(axis=1)])
        if len(path) > 1 and line.get_linestyle() != "None":
            at = np.linspace(0, len(path) - 1, 20 * len(path) if len(path) < 200 else len(path))
            knots = np.arange(len(path))
            path = np.column_stack([np.interp(at, knots, path[:, j]) for j in (0, 1)])
        found.append(path)
    for patch in ax.patches:
        edge: Any = patch.get_path().interpolated(20).vertices
        found.append(patch.get_transform().transform(edge))
    for collection in ax.collections:
        offsets: Any = collection.get_offsets()
        if len(offsets) > 1:
            found.append(collection.get_offset_transform().transform(offsets))
            continue
        # Areas and bars; one in the coordinates of the frame, as a ribbon, is a background.
        place = collection.get_transform()
        if all(place.contains_branch_seperately(ax.transData)):
            for outline in collection.get_paths():
                edge = outline.interpolated(20).vertices
                found.append(place.transform(edge))
    return np.concatenate(found)


def _touches(points: np.ndarray, box: Bbox) -> bool:
    """Whether any point is within a box or hardly outside it."""
    least, most = np.array([box.min, box.max])
    near = (points >= least - AIR) & (points <= most + AIR)
    return bool(near.all(axis=1).any())
