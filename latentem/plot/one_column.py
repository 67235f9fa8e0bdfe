"""Densities of mixtures of one column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp

from latentem.plot.fitted import Drawn, drawn, label, names_of, rows
from latentem.plot.style import GREY, INK, MARKERS, axes, legend, look, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["density"]

Array = np.ndarray

#: A rule that asks for more bins than this gets this many.
MAX_BINS = 200


def density(
    fitted: Any,
    X: Any = None,
    *,
    ax: Axes | None = None,
    bins: Any = "auto",
    sample_weight: Any = None,
    name: str | None = None,
) -> Axes:
    """Density of a mixture of one column, with its components, over a histogram.

    Components are drawn times their weights, so that they add up to the total.
    Families of counts are drawn as points at the whole numbers, over the relative
    frequencies of the data.

    Parameters
    ----------
    fitted : estimator, EMResult or MixtureParams
        A mixture of one column; ``fitted.marginal([j])`` makes one of column j.
    X : array-like (n_samples, 1) or (n_samples,), optional
        Data for the histogram; NaN are left out.
    ax : matplotlib Axes, optional
    bins : int, sequence or str
        As for ``numpy.histogram``; not used for counts.
    sample_weight : (n_samples,) array-like, optional
        Weights of the rows in the histogram.
    name : str, optional
        Label of the x axis, by default the name of the column.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Where matplotlib is missing.
    ValueError
        For more than one column.

    Examples
    --------
    >>> from matplotlib import pyplot
    >>> from latentem import GaussianMixture, plot
    >>> from latentem.datasets import two_gaussians
    >>> X = two_gaussians(500, random_state=0).data
    >>> ax = plot.density(GaussianMixture(2, random_state=0).fit(X), X)
    >>> len(ax.lines)
    3
    >>> pyplot.close(ax.figure)
    """
    mixture = drawn(fitted)
    d = np.shape(mixture.params[0])[1]
    if d != 1:
        raise ValueError(
            f"density draws one column and the mixture has {d}: give fitted.marginal([j]), or "
            "use ellipses"
        )
    x, weights = _column(X, sample_weight)
    counts = _takes_only_counts(mixture)
    grid = _whole_numbers(mixture, x) if counts else _grid(mixture, x)
    ax = axes(ax)
    if x is not None and x.size:
        _histogram(ax, x, weights, bins, counts)
    log_joint = mixture.log_joint(grid[:, None])
    for k, log_density in enumerate(log_joint):
        style = look(k)
        values = np.exp(log_density)
        if counts:
            style |= {"marker": MARKERS[k % len(MARKERS)], "markersize": 4.5}
        else:
            ax.fill_between(grid, values, color=style["color"], alpha=0.15, linewidth=0)
        ax.plot(grid, values, label=label(mixture.weights, k), linewidth=1.4, zorder=3, **style)
    style = {"marker": "o", "markersize": 5} if counts else {}
    total = np.exp(logsumexp(log_joint, axis=0))
    ax.plot(grid, total, label="mixture", color=INK, linewidth=2.6, zorder=2.5, **style)
    tidy(ax, name or names_of(fitted, X, 1)[0], "probability" if counts else "density")
    ax.set_ylim(bottom=0)
    edge = 0.6 if counts else 0.0
    ax.set_xlim(grid[0] - edge, grid[-1] + edge)
    legend(ax)
    return ax


def _column(X: Any, sample_weight: Any) -> tuple[Array | None, Array | None]:
    """Observed values and their weights."""
    if X is None:
        return None, None
    x = rows(X)
    if x.shape[1] != 1:
        raise ValueError(f"density draws one column, and X has {x.shape[1]}: give X[:, [j]]")
    present = np.isfinite(x[:, 0])
    if sample_weight is None:
        return x[present, 0], None
    weights = np.asarray(sample_weight, dtype=float)
    if weights.shape != present.shape:
        raise ValueError(f"sample_weight must have {len(present)} values, got {weights.shape}")
    present &= weights > 0
    return x[present, 0], weights[present]


def _takes_only_counts(mixture: Drawn) -> bool:
    """Whether the family refuses values between the whole numbers."""
    return bool(mixture.family.discrete_columns(1)[0]) or not len(mixture.possible(np.array([0.5])))


def _whole_numbers(mixture: Drawn, x: Array | None) -> Array:
    ends = [] if x is None or not len(x) else [x.max()]
    means, sds = mixture.spread()
    if len(means):
        ends.append(np.max((means + 3.5 * sds)[mixture.weights > 0]))
    if not ends:
        raise ValueError("give X: the range to draw is not known from the parameters")
    return mixture.possible(np.arange(np.ceil(max(ends)) + 1))


def _grid(mixture: Drawn, x: Array | None) -> Array:
    """Points over the data and the components, dense where a component is narrow.

    With data, a component extends the range by at most 15 % of it on each side.
    """
    means, sds = mixture.spread()
    near = (means + np.linspace(-4, 4, 161) * sds).ravel()
    far = (means + np.array([-8, -6, -5, 5, 6, 8]) * sds).ravel()
    seen = near if x is None else np.concatenate([near, x])
    if not seen.size:
        raise ValueError("give X: the range to draw is not known from the parameters")
    least, most = seen.min(), seen.max()
    if x is not None and x.size:
        margin = 0.15 * (np.ptp(x) or 1.0)
        least, most = max(least, x.min() - margin), min(most, x.max() + margin)
    points = np.concatenate([np.linspace(least, most, 401), near, far])
    return mixture.possible(np.unique(np.clip(points, least, most)))


def _histogram(ax: Axes, x: Array, weights: Array | None, bins: Any, counts: bool) -> None:
    style: dict[str, Any] = {"color": GREY, "label": "data", "zorder": 1}
    if counts:
        values, place = np.unique(x, return_inverse=True)
        heights = np.bincount(place, weights)
        ax.bar(values, heights / heights.sum(), width=0.8, **style)
        return
    edges = bins
    if isinstance(bins, str):
        edges = np.histogram_bin_edges(_repeated(x, weights), bins)
        if len(edges) > MAX_BINS + 1:
            edges = np.linspace(edges[0], edges[-1], MAX_BINS + 1)
    ax.hist(x, bins=edges, weights=weights, density=True, edgecolor="white", linewidth=0.4, **style)


def _repeated(x: Array, weights: Array | None) -> Array:
    """Rows repeated by their weights, by quantiles, for numpy's rules of bin widths."""
    if weights is None:
        return x
    order = np.argsort(x)
    cumulative = np.cumsum(weights[order])
    n = int(np.clip(round(cumulative[-1]), len(x), 100_000))
    at = (np.arange(n) + 0.5) / n * cumulative[-1]
    return x[order][np.searchsorted(cumulative, at)]
