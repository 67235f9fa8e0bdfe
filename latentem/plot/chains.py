"""Hidden Markov models: states over a series, transitions, forecasts and residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import ndtri
from scipy.stats import beta

from latentem.estimators.base_hmm import BaseHMM
from latentem.estimators.state_space import LinearGaussianSSM
from latentem.estimators.validation import check_level
from latentem.families.categorical import Categorical
from latentem.plot.fitted import names_of, rows
from latentem.plot.style import COLOURS, GREY, INK, axes, legend, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["forecast", "residuals", "states", "transitions"]

Array = np.ndarray

#: More rows than this are drawn as a line without markers.
MOST_MARKERS = 500
#: More states than this have no numbers in the cells of the heat map.
MOST_NUMBERS = 12
#: How strong the colours of the ribbon are.
RIBBON = 0.22
#: Rows of the series before a forecast.
BEFORE = 40


class Series(NamedTuple):
    """One column of the data as the figures need it."""

    values: Array  # (n,), NaN where nothing was seen
    at: Array  # (n,): places on the x axis
    ends: Array  # (S,): one past the last row of each sequence
    column: int
    name: str
    xlabel: str
    means: Array | None  # (K,): of the column in each state, where that says something


def states(
    fitted: Any,
    X: Any,
    lengths: Any = None,
    *,
    column: int | str = 0,
    index: Any = None,
    algorithm: Any = "viterbi",
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A column of the data over a ribbon of the decoded states.

    The ribbon has the colour of the state of each row; a line shows the mean of the
    column in that state, where the family has means. Sequences are parted by dotted
    lines; rows that were not seen leave a gap in the series, not in the ribbon.

    Parameters
    ----------
    fitted : hidden Markov estimator
    X, lengths
        As for ``fitted.predict``.
    column : int or str
        The column to draw, by its place or its name.
    index : (n_samples,) array-like of numbers, optional
        Places on the x axis, such as years; by default rows are counted from 0.
    algorithm : {"viterbi", "map"}
    name : str, optional
        Label of the y axis, by default the name of the column.
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
    >>> from latentem import PoissonHMM, plot
    >>> from latentem.datasets import load_earthquakes
    >>> quakes = load_earthquakes()
    >>> hmm = PoissonHMM(2, random_state=0).fit(quakes[["count"]])
    >>> ax = plot.states(hmm, quakes[["count"]], index=quakes["year"])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]  # doctest: +ELLIPSIS
    ['state 0 (... % of rows)', 'state 1 (... % of rows)']
    >>> pyplot.close(ax.figure)
    """
    series = _series(fitted, X, lengths, column, index)
    path = fitted.predict(X, lengths, algorithm)
    ax = axes(ax)
    from matplotlib.patches import Patch

    half = 0.5 * _step(series.at)
    keys = []
    for k in range(fitted.n_components):
        bars = _stays(path == k, series, half)
        if bars:
            whole_height: Any = {"transform": ax.get_xaxis_transform(), "alpha": RIBBON}
            ax.broken_barh(bars, (0, 1), color=_colour(k), linewidth=0, zorder=0, **whole_height)
            share = f"state {k} ({100 * np.mean(path == k):.0f} % of rows)"
            keys.append(Patch(facecolor=_colour(k), alpha=2 * RIBBON, label=share))
    _line(ax, series)
    _state_means(ax, series, path)
    for end in series.ends[:-1]:
        ax.axvline(0.5 * (series.at[end - 1] + series.at[end]), color=INK, lw=0.8, ls=":")
    tidy(ax, series.xlabel, name or series.name)
    ax.set_xlim(series.at[0] - half, series.at[-1] + half)
    legend(ax, extra=tuple(keys))
    return ax


def transitions(fitted: Any, *, ax: Axes | None = None) -> Axes:
    """Transition probabilities as a heat map, with the mean stay in each state.

    Transitions that are not possible have empty cells. The mean stay, in rows, stands
    beside each row.

    Parameters
    ----------
    fitted : hidden Markov estimator
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
    >>> from latentem import PoissonHMM, plot
    >>> hmm = PoissonHMM.from_parameters(
    ...     startprob=[1.0, 0.0], transmat=[[0.9, 0.1], [0.0, 1.0]], lambdas=[[9.0], [1.0]]
    ... )
    >>> ax = plot.transitions(hmm)
    >>> [text.get_text() for text in ax.texts]
    ['0.90', '0.10', '1.00']
    >>> pyplot.close(ax.figure)
    """
    _check_chain(fitted)
    matrix = np.asarray(fitted.transmat_, dtype=float)
    stays = fitted.expected_durations()
    ax = axes(ax)
    k = len(matrix)
    ax.imshow(np.where(matrix > 0, matrix, np.nan), cmap="Blues", vmin=0.0, vmax=1.15)
    if k <= MOST_NUMBERS:
        size = "medium" if k <= 6 else "x-small"
        for i, j in np.argwhere(matrix > 0):
            colour = "white" if matrix[i, j] > 0.6 else INK
            text = _probability(matrix[i, j])
            ax.text(j, i, text, ha="center", va="center", color=colour, fontsize=size)
    places = np.arange(k) if k <= 2 * MOST_NUMBERS else np.arange(0, k, -(-k // 12))
    ax.set_xticks(places)
    ax.set_yticks(places)
    ax.set_xlabel("to state")
    ax.set_ylabel("from state")
    ax.tick_params(length=0)
    ax.set_xticks(np.arange(k + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(k + 1) - 0.5, minor=True)
    ax.grid(which="minor", color=GREY, linewidth=0.6)
    ax.tick_params(which="minor", length=0)
    ax.spines[:].set_visible(False)
    if k <= 2 * MOST_NUMBERS:
        beside = ax.secondary_yaxis("right")
        beside.set_yticks(places, [_stay(stay) for stay in stays])
        beside.tick_params(length=0)
        beside.set_ylabel("mean stay (rows)")
        beside.spines[:].set_visible(False)
    return ax


def forecast(
    fitted: Any,
    X: Any,
    h: int = 12,
    *,
    column: int | str = 0,
    levels: Sequence[float] = (0.5, 0.9),
    index: Any = None,
    before: int = BEFORE,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The end of a sequence, and a fan of intervals for the rows that follow.

    Parameters
    ----------
    fitted : hidden Markov estimator, or LinearGaussianSSM without inputs
    X : array-like (n_samples, n_features)
        One sequence.
    h : int
        Rows ahead.
    column : int or str
    levels : sequence of float
        Probabilities of the intervals.
    index : (n_samples,) array-like of numbers, optional
        Places on the x axis; the forecast goes on in the last step.
    before : int
        Rows of the sequence that are drawn, at most.
    name : str, optional
        Label of the y axis, by default the name of the column.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Where matplotlib is missing.
    ValueError
        For levels that are not between 0 and 1.

    Examples
    --------
    >>> from matplotlib import pyplot
    >>> from latentem import PoissonHMM, plot
    >>> from latentem.datasets import load_earthquakes
    >>> quakes = load_earthquakes()
    >>> hmm = PoissonHMM(2, random_state=0).fit(quakes[["count"]])
    >>> ax = plot.forecast(hmm, quakes[["count"]], 10, index=quakes["year"])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['mean forecast', '50 %', '90 %']
    >>> pyplot.close(ax.figure)
    """
    series = _series(fitted, X, None, column, index)
    ahead = fitted.forecast(X, h)
    ax = axes(ax)
    seen = slice(max(len(series.values) - before, 0), None)
    shown = series._replace(
        values=series.values[seen], at=series.at[seen], ends=np.array([len(series.at[seen])])
    )
    _line(ax, shown)
    at = shown.at[-1] + (np.arange(h) + 1) * _step(series.at)
    colour = COLOURS[0]
    j = series.column
    ax.plot(at, ahead.mean[:, j], color=colour, linewidth=1.8, label="mean forecast", zorder=3,
            marker="o" if h <= 40 else "", markersize=3)  # fmt: skip
    for i, level in enumerate(sorted(levels)):  # wider ones are paler, and lie below
        lower, upper = (side[:, j] for side in ahead.interval(level))
        ax.fill_between(at, lower, upper, color=colour, alpha=0.4 / (i + 1), linewidth=0,
                        label=f"{100 * level:g} %", zorder=1 - 0.1 * i)  # fmt: skip
    ax.axvline(0.5 * (shown.at[-1] + at[0]), color=INK, linewidth=0.8, linestyle=":")
    tidy(ax, series.xlabel, name or series.name)
    legend(ax)
    return ax


def residuals(
    fitted: Any,
    X: Any,
    lengths: Any = None,
    *,
    column: int | str = 0,
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Normal quantiles of the forecast pseudo-residuals, with the band that chance allows.

    If the model is right the points follow the line. The band is for each point alone:
    at a level of 0.95 one point in twenty is outside by chance.

    Parameters
    ----------
    fitted : hidden Markov estimator
    X, lengths
        As for ``fitted.pseudo_residuals``.
    column : int or str
    level : float
        Probability of the band.
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
    >>> from latentem import PoissonHMM, plot
    >>> from latentem.datasets import load_earthquakes
    >>> X = load_earthquakes()[["count"]]
    >>> ax = plot.residuals(PoissonHMM(3, random_state=0).fit(X), X)
    >>> ax.get_xlabel()
    'standard normal quantile'
    >>> pyplot.close(ax.figure)
    """
    check_level(level)
    series = _series(fitted, X, lengths, column, None)
    found = fitted.pseudo_residuals(X, lengths)[:, series.column]
    found = np.sort(found[~np.isnan(found)])
    n = len(found)
    ranks = np.arange(1, n + 1)
    expected = ndtri((ranks - 0.5) / n)
    low, high = (ndtri(beta.ppf(p, ranks, n + 1 - ranks)) for p in _tails(level))
    ax = axes(ax)
    ax.fill_between(expected, low, high, color=GREY, linewidth=0, zorder=0,
                    label=f"{100 * level:g} % band")  # fmt: skip
    ax.plot(expected, expected, color=INK, linewidth=0.9, zorder=1)
    ax.plot(expected, found, marker="o", linestyle="none", markersize=3.5,
            color=COLOURS[0], label="rows", zorder=2)  # fmt: skip
    tidy(ax, "standard normal quantile", "pseudo-residual")
    legend(ax, places=("upper left", "lower right"))
    return ax


def _check_chain(fitted: Any) -> None:
    if not isinstance(fitted, BaseHMM):
        raise TypeError(
            f"cannot draw a {type(fitted).__name__}, which has no transitions: give a fitted "
            "hidden Markov estimator, such as GaussianHMM. The figures of a mixture are "
            "plot.density and plot.ellipses"
        )


def _series(fitted: Any, X: Any, lengths: Any, column: int | str, index: Any) -> Series:
    """A column of the data, with places and names."""
    linear = isinstance(fitted, LinearGaussianSSM)
    if linear:
        x, means = rows(X), None
        sizes = np.array([len(x)])
    else:
        _check_chain(fitted)
        model, params, data = fitted.em_problem(X, lengths=lengths)
        x, sizes = data.x, data.lengths
    n, d = x.shape
    first = X[0] if isinstance(X, list | tuple) else X
    names = names_of(fitted, first, d)
    place = names.index(column) if column in names else column
    if isinstance(place, bool) or not isinstance(place, int | np.integer) or not -d <= place < d:
        raise ValueError(f"column must be a place in 0..{d - 1} or one of {names}, got {column!r}")
    at = np.arange(n) if index is None else np.asarray(index, dtype=float)
    if at.shape != (n,) or not np.all(np.diff(at) > 0):
        raise ValueError(f"index must be {n} numbers that rise, one for each row")
    label = getattr(index, "name", None) or ("row" if index is None else "")
    ends = np.cumsum(sizes)
    if not linear:
        means = _means(model.family, params.family, int(place))
    return Series(x[:, place], at, ends, int(place) % d, names[place], str(label), means)


def _means(family: Any, params: Any, column: int) -> Array | None:
    """Mean of a column in each state; None where there is none, or where its cells are codes."""
    if isinstance(family, Categorical):
        return None
    try:
        return np.asarray(family.moments(params)[0][:, column])
    except NotImplementedError:
        return None


def _colour(k: int) -> Any:
    """Colour of state k: the palette, then the same colours darker."""
    from matplotlib.colors import to_rgb

    rounds, place = divmod(k, len(COLOURS))
    return tuple(part * 0.55**rounds for part in to_rgb(COLOURS[place]))


def _step(at: Array) -> float:
    """The usual distance between rows on the x axis."""
    return float(np.median(np.diff(at))) if len(at) > 1 else 1.0


def _stays(here: Array, series: Series, half: float) -> list[tuple[float, float]]:
    """Begin and width on the x axis of the stays in a state, also across missing rows."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], here, [False]]).astype(int)))
    middles = 0.5 * (series.at[1:] + series.at[:-1])
    borders = np.concatenate([[series.at[0] - half], middles, [series.at[-1] + half]])
    begins, ends = borders[edges[::2]], borders[edges[1::2]]
    return list(zip(begins.tolist(), (ends - begins).tolist(), strict=True))


def _line(ax: Axes, series: Series) -> None:
    """The series; a gap between sequences and where nothing was seen."""
    marker = "o" if len(series.values) <= MOST_MARKERS else ""
    begin = 0
    for end in series.ends:
        part = slice(begin, end)
        ax.plot(series.at[part], series.values[part], color=INK, linewidth=0.9, marker=marker,
                markersize=2.5, zorder=2)  # fmt: skip
        begin = end


def _state_means(ax: Axes, series: Series, path: Array) -> None:
    """A line at the mean of the state of each row."""
    if series.means is None:
        return
    half = 0.5 * _step(series.at)
    for k in np.unique(path):
        stays = _stays(path == k, series, half)
        begins, widths = np.array(stays).T
        ax.hlines(np.full(len(stays), series.means[k]), begins, begins + widths,
                  color=_colour(k), linewidth=2.2, zorder=1.5)  # fmt: skip


def _tails(level: float) -> tuple[float, float]:
    return (1 - level) / 2, (1 + level) / 2


def _probability(value: float) -> str:
    return f"{value:.2f}" if value >= 0.005 else "<0.01"


def _stay(rows: float) -> str:
    """A mean stay in three digits."""
    return "for good" if np.isinf(rows) else f"{rows:.3g}" if rows < 1000 else f"{rows:,.0f}"
