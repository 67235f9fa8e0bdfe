r"""Monotone patterns: columns in an order in which a row that misses one misses all after it.

The likelihood then factors into regressions of each column on those before it, each over
the rows that have it, so the maximum is a closed form (Anderson 1957, JASA 52:200-203,
doi:10.1080/01621459.1957.10501379; Little and Rubin 2002, section 7.4)::

    x_c = a + B x_p + e,   S_cp = B S_pp,   S_cc = R + B S_pp B'

with R the residual covariance over those rows. Columns that are seen in the same rows are
taken together.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from latentem.families.cells import patterns_of
from latentem.models.normal import MultivariateNormal, NormalParams, counted

__all__ = ["monotone_fit", "monotone_order", "out_of_order"]

Array = np.ndarray


def monotone_order(missing: Array) -> Array | None:
    """Columns (d,) from the one seen most to the one seen least, None where no order is monotone.

    Parameters
    ----------
    missing : (P, d) bool array
        Patterns, or rows.
    """
    return None if out_of_order(missing) else _by_patterns(missing)


def out_of_order(missing: Array) -> tuple[int, int] | None:
    """Two columns each of which is missing where the other is seen; None where there are none."""
    order = _by_patterns(missing)
    sorted_missing = missing[:, order]
    wrong = sorted_missing[:, :-1] & ~sorted_missing[:, 1:]
    if not wrong.any():
        return None
    place = int(np.argwhere(wrong)[0, 1])
    return int(order[place]), int(order[place + 1])


def _by_patterns(missing: Array) -> Array:
    return np.argsort(missing.sum(axis=0), kind="stable")


def monotone_fit(model: MultivariateNormal, data: Any) -> NormalParams | None:
    """The maximum of the likelihood in closed form.

    Parameters
    ----------
    model : MultivariateNormal
        Without a prior.
    data : (n, d) array, or a tuple of it and row weights

    Returns
    -------
    NormalParams or None
        In the units of the data. None where the patterns are not monotone, or a
        regression has too few rows or collinear columns, so that there is no maximum.
    """
    x, missing, weights = counted(data)
    patterns = patterns_of(missing)
    order = monotone_order(patterns.missing)
    if order is None:
        return None
    x = model.standardised(x)
    d = len(order)
    seen_in = np.array([~missing[:, j] for j in order])
    new = np.append(True, (seen_in[1:] != seen_in[:-1]).any(axis=1))
    edges = [*np.flatnonzero(new).tolist(), d]
    mean, covariance = np.zeros(d), np.zeros((d, d))  # in the monotone order
    for begin, end in pairwise(edges):
        rows = seen_in[begin]
        y = x[rows][:, order[:end]]
        weight = weights[rows]
        centre = weight @ y / weight.sum()
        y = (y - centre) * np.sqrt(weight / weight.sum())[:, None]
        try:
            slopes, residual = _regression(y, begin)
        except np.linalg.LinAlgError:
            return None
        before, here = slice(0, begin), slice(begin, end)
        mean[here] = centre[here] + slopes @ (mean[before] - centre[before])
        cross = slopes @ covariance[before, before]
        covariance[here, before] = cross
        covariance[before, here] = cross.T
        covariance[here, here] = residual + cross @ slopes.T
    back = np.argsort(order)
    covariance = covariance[np.ix_(back, back)]
    return model.outside(mean[back], 0.5 * (covariance + covariance.T))


def _regression(y: Array, p: int) -> tuple[Array, Array]:
    """Slopes (c, p) and residual covariance (c, c) of the last columns on the first p.

    From the triangular factor of all of them; LinAlgError where it is singular up to
    rounding.
    """
    if len(y) <= y.shape[1]:
        raise np.linalg.LinAlgError("too few rows")
    factor = np.asarray(np.linalg.qr(y, mode="r"))
    pivots, sizes = np.abs(factor.diagonal()), np.sqrt(np.einsum("nd,nd->d", y, y))
    if np.any(pivots <= 1e-6 * sizes):
        raise np.linalg.LinAlgError("collinear columns")
    slopes = np.linalg.solve(factor[:p, :p], factor[:p, p:]).T
    inner = factor[p:, p:]
    return slopes, inner.T @ inner
