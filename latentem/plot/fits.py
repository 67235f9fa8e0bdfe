"""How a fit went, and how a model was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from latentem.estimators.base_hmm import BaseHMM
from latentem.plot.style import BAD, COLOURS, INK, MARKERS, axes, legend, look, tidy, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from latentem.engine.selection import Candidate, Selection

__all__ = ["convergence", "selection"]

Array = np.ndarray


def selection(selection: Selection, *, ax: Axes | None = None) -> Axes:
    """Criterion of every candidate over the number of components, states or factors.

    One curve for each combination of the other parameters, such as the covariance
    type; the best candidate is marked. The y axis is the distance to the best, linear up
    to 10 and logarithmic above, so that close candidates can be told apart next to
    hopeless ones. Hollow markers are degenerate or have not converged; crosses at the top
    edge could not be fitted.

    Parameters
    ----------
    selection : Selection
        From `latentem.select`.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Where matplotlib is missing.
    ValueError
        Where neither ``n_components`` nor ``n_factors`` was among the parameters tried.

    Examples
    --------
    >>> from matplotlib import pyplot
    >>> from latentem import GaussianMixture, plot, select
    >>> from latentem.datasets import load_faithful
    >>> X = load_faithful().data
    >>> chosen = select(
    ...     GaussianMixture(random_state=0), X,
    ...     n_components=[1, 2, 3], covariance_type=["full", "tied"],
    ... )
    >>> ax = plot.selection(chosen)
    >>> ax.get_xlabel()
    'components'
    >>> pyplot.close(ax.figure)
    """
    best = selection.table[selection.best_index]
    if _counted(best.params) is None:
        raise ValueError(
            f"selection draws over n_components or n_factors, and only {', '.join(best.params)} "
            "was tried"
        )
    ax = axes(ax)
    curves: dict[str, list[Candidate]] = {}
    for row in selection.table:
        curves.setdefault(_rest(row.params), []).append(row)
    for k, (label, candidates) in enumerate(curves.items()):
        _curve(ax, k, label, sorted(candidates, key=_size), best.value)
    what = "factors" if _counted(best.params) == "n_factors" else "components"
    if isinstance(selection.candidates[selection.best_index], BaseHMM):
        what = "states"
    count = f"{_size(best)} {what if _size(best) != 1 else what[:-1]}"
    text = ", ".join(part for part in (_rest(best.params), count) if part)
    ax.plot(_size(best), 0.0, "o", markersize=12, fillstyle="none", color=INK)
    criterion = selection.criterion.upper()
    sign = "\N{MINUS SIGN}" if best.value >= 0 else "+"
    tidy(ax, what, f"{criterion} {sign} {abs(best.value):.1f}")
    ax.set_title(f"best: {text}", fontsize="medium")
    ax.set_yscale("symlog", linthresh=10, linscale=0.8)
    ax.axhline(0, color=INK, linewidth=0.6, zorder=0)
    values = [row.value - best.value for row in selection.table if np.isfinite(row.value)]
    ax.set_ylim(min(-2.0, 1.3 * min(values)), max(12.0, 1.5 * max(values)))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "\N{MINUS SIGN}"))
    whole_numbers(ax)
    if len(curves) > 1 or any(_marker(row) for row in selection.table):
        legend(ax, extra=_keys(selection.table))
    return ax


def convergence(result: Any, *, ax: Axes | None = None) -> Axes:
    """What was still to gain at each step of a fit, as it was and as it was projected.

    The gap is to the final objective plus the gain that was still projected there. On
    the logarithmic axis plain EM ends in a straight line, whose slope is its rate of
    convergence. Where the projection lies on the gap, the stopping rule can be
    believed.

    Parameters
    ----------
    result : EMResult, or a fitted estimator
    ax : matplotlib Axes, optional

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
    >>> from latentem import GaussianMixture, plot
    >>> from latentem.datasets import load_faithful
    >>> gm = GaussianMixture(3, random_state=0).fit(load_faithful().data)
    >>> ax = plot.convergence(gm)
    >>> ax.get_yscale()
    'log'
    >>> pyplot.close(ax.figure)
    """
    result = getattr(result, "result_", result)
    history = result.history
    ax = axes(ax)
    step, accepted = history["step"], history["accepted"].astype(bool)
    certify = step == "certify"
    maps = history["n_iter"] + np.cumsum(certify)
    final = result.objective + (result.projected_gain if result.projected_gain > 0 else 0.0)
    gap = _positive(final - history["objective"])
    tried = final - history["tried"]
    tried = np.where(np.isfinite(tried), _positive(tried), gap)
    plain = "o" if len(step) <= 60 else ""
    ax.plot(
        maps[accepted],
        gap[accepted],
        color=COLOURS[0],
        marker=plain,
        markersize=3,
        linewidth=1.4,
        label="gap",
    )
    jumps = ~np.isin(step, ["start", "em", "certify"])
    ax.plot(
        maps,
        _positive(history["projected_gain"]),
        color=COLOURS[4],
        linestyle="--",
        linewidth=1.4,
        label="projected",
    )
    marks = [
        (accepted & jumps, gap, "accelerated", "^", COLOURS[2]),
        (~accepted, tried, "refused", "x", BAD),
        (certify & accepted, gap, "certifying", "s", COLOURS[3]),
    ]
    for chosen, values, label, marker, colour in marks:
        if chosen.any():
            ax.plot(
                maps[chosen],
                values[chosen],
                linestyle="none",
                marker=marker,
                markersize=4,
                color=colour,
                label=label,
                zorder=3,
            )
    tidy(ax, "EM maps", "still to gain (nats)")
    ax.set_yscale("log")
    whole_numbers(ax)
    legend(ax)
    return ax


def _counted(params: dict[str, Any]) -> str | None:
    """The parameter that counts components, states or factors; None where none was tried."""
    return next((name for name in ("n_components", "n_factors") if name in params), None)


def _size(row: Candidate) -> int:
    return int(row.params[str(_counted(row.params))])


def _marker(row: Candidate) -> str:
    """What is wrong with a candidate: "", "doubtful" or "failed"."""
    if row.error is not None:
        return "failed"
    return "" if row.sound and row.converged else "doubtful"


def _keys(table: list[Candidate]) -> tuple[Any, ...]:
    """Entries of the legend for the markers that are in use."""
    from matplotlib.lines import Line2D

    shapes = [
        ("doubtful", "o", "degenerate or not converged"),
        ("failed", "x", "failed"),
    ]
    used = {_marker(row) for row in table}
    plain: dict[str, Any] = {
        "linestyle": "none",
        "color": INK,
        "markersize": 5,
        "markerfacecolor": "white",
    }
    return tuple(
        Line2D([], [], marker=marker, label=label, **plain)
        for kind, marker, label in shapes
        if kind in used
    )


def _rest(params: dict[str, Any]) -> str:
    """What sets a curve apart: the parameters other than the number of components."""
    others = {name: value for name, value in params.items() if name != _counted(params)}
    if list(others) == ["covariance_type"]:
        return str(others["covariance_type"])
    return ", ".join(f"{name}={value}" for name, value in others.items())


def _curve(ax: Axes, k: int, label: str, candidates: list[Candidate], least: float) -> None:
    sizes = np.array([_size(row) for row in candidates])
    values = np.array([row.value for row in candidates]) - least
    marks = np.array([_marker(row) for row in candidates])
    style = look(k)
    ax.plot(
        sizes,
        values,
        marker=MARKERS[k % len(MARKERS)],
        markersize=5,
        linewidth=1.3,
        label=label or "candidates",
        markevery=list(np.flatnonzero(marks == "")),
        **style,
    )
    points: dict[str, Any] = {"linestyle": "none", "color": style["color"], "markersize": 5}
    doubtful, failed = marks == "doubtful", marks == "failed"
    if doubtful.any():
        shape: dict[str, Any] = {"marker": MARKERS[k % len(MARKERS)], "markerfacecolor": "white"}
        ax.plot(sizes[doubtful], values[doubtful], **points, **shape)
    if failed.any():
        at_top: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False}
        ax.plot(sizes[failed], np.ones(failed.sum()), marker="x", **points, **at_top)


def _positive(values: Array) -> Array:
    """Values that a logarithmic axis can show; NaN for the others."""
    return np.where(values > 0, values, np.nan)
