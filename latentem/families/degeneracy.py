"""Gaussian covariances that are singular up to rounding: which, and why, in sentences."""

from __future__ import annotations

import numpy as np

from latentem.engine.moments import Moments
from latentem.families import covariance as cov

__all__ = ["degenerate"]

Array = np.ndarray


def degenerate(
    moments: Moments,
    scatter: Array,
    reg_covar: float,
    columns: Array,
    free: Array | None = None,
) -> list[str]:
    """A sentence for each component, or set of columns, with a singular covariance.

    Parameters
    ----------
    moments : Moments
    scatter : array
        About the means of the components, in the shape of the moments' own.
    reg_covar : float
        What is added to the variances.
    columns : (c,) int array
        The columns that vary.
    free : (K,) bool array, optional
        Components whose covariance is not fixed.
    """
    kind = moments.kind
    raw = cov.shifted(cov.divide(scatter, moments.weight, kind), reg_covar, kind)
    floor, weight = cov.resolution(moments), cov.per_column(moments.weight).max(axis=1)
    alive = np.ones(1, dtype=bool) if kind == "tied" else weight > 0
    alive = alive if free is None else alive & free
    if kind == "diag":  # where a component sees no cell, nothing is known
        raw = np.where(cov.per_column(moments.weight) > 0, raw, np.inf)
    low, found = cov.on_floor(raw, floor, columns, kind), []
    for collinear in cov.collinear(moments, columns) if alive.any() and low[alive].all() else ():
        *others, last = (f"column {j}" for j in collinear)
        names = " and ".join(part for part in (", ".join(others[:-1]), others[-1]) if part)
        found.append(
            f"{last} is collinear with {names} in all rows together, so that every covariance "
            f"is singular up to rounding: leave out {last}, or use another covariance_type"
        )
        columns = columns[columns != collinear[-1]]
    if found:
        low = cov.on_floor(raw, floor, columns, kind)
    if kind == "tied" and low.any():
        found.append(
            "the tied covariance is singular up to rounding: some columns are collinear "
            "within the components. Use fewer components, or another covariance_type"
        )
    elif kind != "tied":
        found += [
            f"component {k} (weight {weight[k]:.3g}) has a covariance that is "
            "singular up to rounding: it sits on too few distinct rows, or its columns are "
            "collinear. Use fewer components, another covariance_type, a prior, or reg_covar"
            for k in np.flatnonzero(low & alive)
        ]
    return found
