"""Gaussian mixtures in the plane of two columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from latentem.families.conditioning import marginal
from latentem.families.gaussian import Gaussian
from latentem.plot.fitted import Drawn, drawn, label, names_of, rows
from latentem.plot.style import COLOURS, INK, MARKERS, TOP, axes, legend, look, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ellipses"]

Array = np.ndarray

#: Of more rows than this, as many are drawn.
MAX_POINTS = 5000


def ellipses(
    fitted: Any,
    X: Any = None,
    *,
    columns: tuple[int, int] = (0, 1),
    levels: Sequence[float] = (0.5, 0.9),
    ax: Axes | None = None,
    names: Sequence[str] | None = None,
) -> Axes:
    """Two columns of a Gaussian mixture: rows by component, and ellipses of the components.

    A row has the colour and marker of its most probable component, by all columns.
    An ellipse holds the given share of its component.

    Parameters
    ----------
    fitted : estimator, EMResult or MixtureParams
        A Gaussian mixture of at least two columns, of any covariance type.
    X : array-like (n_samples, n_features), optional
        Rows to show; of more than 5,000 as many are drawn at random.
    columns : pair of int
        The columns on the x and y axis.
    levels : sequence of float
        Shares between 0 and 1, one ellipse per component for each.
    ax : matplotlib Axes, optional
    names : sequence of str, optional
        Names of all columns, by default those of the fit or of the frame.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Where matplotlib is missing.
    TypeError
        For a mixture that is not Gaussian.
    ValueError
        For columns, levels or rows that do not fit the mixture.

    Examples
    --------
    >>> from matplotlib import pyplot
    >>> from latentem import GaussianMixture, plot
    >>> from latentem.datasets import load_faithful
    >>> faithful = load_faithful()
    >>> gm = GaussianMixture(2, random_state=0).fit(faithful.data)
    >>> ax = plot.ellipses(gm, faithful.data, names=faithful.labels)
    >>> ax.get_xlabel(), len(ax.patches)
    ('eruptions (min)', 4)
    >>> pyplot.close(ax.figure)
    """
    mixture = drawn(fitted)
    if not isinstance(mixture.family, Gaussian):
        raise TypeError(f"ellipses draws Gaussian mixtures, and this is one of {mixture.family!r}")
    k, d = mixture.params.means.shape
    chosen = _two_columns(columns, d)
    wrong = [level for level in levels if not 0 < level < 1]
    if wrong:
        raise ValueError(f"levels are shares between 0 and 1, got {wrong[0]}")
    x = None if X is None else rows(X)
    if x is not None and x.shape[1] != d:
        raise ValueError(f"X has {x.shape[1]} columns and the mixture has {d}")
    names = names_of(fitted, X, d) if names is None else names
    if len(names) != d:
        raise ValueError(f"names must name all {d} columns, got {len(names)}")
    ax = axes(ax)
    if x is not None:
        _scatter(ax, mixture, x, chosen)
    centres, spreads = marginal(mixture.params, mixture.family.covariance_type, chosen)
    matrices = _matrices(spreads, mixture.family.covariance_type, k)
    for j in range(k):
        _draw_ellipses(ax, j, centres[j], matrices[j], levels, label(mixture.weights, j))
    tidy(ax, names[chosen[0]], names[chosen[1]])
    ax.autoscale_view()
    shares = ", ".join(f"{100 * level:g} %" for level in sorted(levels))
    extra = (_key(f"ellipses hold {shares}"),) if levels else ()
    legend(ax, places=(*TOP, "lower right", "lower left"), extra=extra)
    return ax


def _two_columns(columns: Sequence[int], d: int) -> Array:
    chosen = np.array(columns)
    if chosen.shape != (2,) or chosen.dtype.kind != "i" or not np.all((chosen >= 0) & (chosen < d)):
        raise ValueError(f"columns must be two of 0..{d - 1}, got {columns!r}")
    return chosen


def _matrices(covariances: Array, kind: str, k: int) -> Array:
    """Covariances of two columns as (K, 2, 2)."""
    if kind == "tied":
        return np.broadcast_to(covariances, (k, 2, 2))
    if kind == "full":
        return covariances
    widths = covariances if kind == "diag" else covariances[:, None]
    return np.eye(2) * widths[:, None, :]


def _scatter(ax: Axes, mixture: Drawn, x: Array, chosen: Array) -> None:
    if len(x) > MAX_POINTS:  # drawn, not strided: rows may come in a periodic order
        x = x[np.random.default_rng(0).choice(len(x), MAX_POINTS, replace=False)]
    owner = mixture.log_joint(x).argmax(axis=0)
    crowded = len(x) > 2000
    for k in range(len(mixture.weights)):
        own = x[owner == k]
        ax.scatter(
            own[:, chosen[0]],
            own[:, chosen[1]],
            s=3 if crowded else 11,
            marker=MARKERS[k % len(MARKERS)],
            color=COLOURS[k % len(COLOURS)],
            alpha=0.4 if crowded else 0.5,
            linewidths=0,
            rasterized=crowded,
            zorder=1,
        )


def _draw_ellipses(
    ax: Axes, k: int, centre: Array, matrix: Array, levels: Sequence[float], label: str
) -> None:
    """Ellipses of component k; a share p of a 2-D Gaussian lies within -2 log(1 - p)."""
    from matplotlib.patches import Ellipse
    from matplotlib.patheffects import Normal, Stroke

    values, vectors = np.linalg.eigh(matrix)
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    for i, level in enumerate(sorted(levels)):
        minor, major = 2 * np.sqrt(np.maximum(values, 0) * -2 * np.log1p(-level))
        ellipse = Ellipse(
            tuple(centre),
            major,
            minor,
            angle=angle,
            fill=False,
            linewidth=1.6 - 0.5 * (i > 0),
            zorder=3,
        )
        # A white rim keeps the line visible on a cloud of its own colour.
        rim = Stroke(linewidth=ellipse.get_linewidth() + 1.6, foreground="white", alpha=0.8)
        ellipse.set(**look(k), path_effects=[rim, Normal()])
        ax.add_patch(ellipse)
    ax.plot(
        *centre,
        marker=MARKERS[k % len(MARKERS)],
        markersize=8,
        markeredgecolor="white",
        markeredgewidth=1.2,
        label=label,
        zorder=4,
        color=COLOURS[k % len(COLOURS)],
        linestyle="none",
    )


def _key(label: str) -> Any:
    """An entry of the legend for the ellipses of all components."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=INK, linewidth=1.1, label=label)
