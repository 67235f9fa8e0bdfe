"""Fitted mixtures as tables: components with their weights, means and spreads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.trees import leaves
from latentem.estimators.mixture import BaseMixture
from latentem.families.gaussian import Gaussian

__all__ = [
    "ComponentTable",
    "component_table",
    "ending",
    "in_digits",
    "summary",
    "text_components",
    "text_table",
    "to_frame",
]

Array = np.ndarray
Columns = list[list[str]]


class ComponentTable(NamedTuple):
    """Components in rows; `columns` are pairs (quantity, feature), feature "" for weights."""

    columns: list[tuple[str, str]]
    values: Array  # (K, number of columns)


def component_table(estimator: BaseMixture) -> ComponentTable:
    """Weight, mean and standard deviation of every feature; other parameters by their names.

    In the order of the components, in the units of the data. Whole numbers have no
    standard deviation here: with their mean it is known.
    """
    model, params = estimator._ready()
    names = feature_names(estimator)
    k, d = len(params.weights), len(names)
    parts: list[tuple[str, Array]] = []
    whole = model.family.discrete_columns(d)
    try:
        means, variances = model.family.moments(params.family)
        parts = [("mean", means), ("sd", np.sqrt(variances))]
    except NotImplementedError:
        for name, leaf in leaves(params.family):
            leaf = np.asarray(leaf, dtype=float)
            if leaf.shape == (k,):
                parts.append((name, leaf[:, None]))
            elif leaf.shape == (k, d):
                parts.append((name, leaf))
    columns, values = [("weight", "")], [np.asarray(params.weights)]
    for j in range(d):  # what belongs to a feature stands together
        for quantity, block in parts:
            if block.shape[1] == d and not (quantity == "sd" and whole[j]):
                columns.append((quantity, names[j]))
                values.append(block[:, j])
    for quantity, block in parts:
        if block.shape[1] != d:
            columns.append((quantity, ""))
            values.append(block[:, 0])
    return ComponentTable(columns, np.column_stack(values))


def feature_names(estimator: BaseMixture) -> list[str]:
    """Names of the columns, x0, x1, ... where there are none."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        return [str(name) for name in names]
    _, params = estimator._ready()
    return [f"x{j}" for j in range(np.shape(params.family[0])[1])]


def to_frame(estimator: BaseMixture) -> Any:
    """The components as a pandas DataFrame, one row each (needs pandas).

    Columns are "weight" and, for each feature, "mean NAME" and "sd NAME"; families
    without such moments have their own parameters there.

    Examples
    --------
    >>> from latentem import GaussianMixture
    >>> from latentem.estimators.tables import to_frame
    >>> gm = GaussianMixture.from_parameters(
    ...     weights=[0.6, 0.4], means=[[2.0], [9.0]], covariances=[[[16.0]], [[4.0]]],
    ...     feature_names=["x"],
    ... )
    >>> to_frame(gm).loc[1].to_dict()
    {'weight': 0.4, 'mean x': 9.0, 'sd x': 2.0}
    """
    try:
        import pandas
    except ImportError:
        raise ImportError("to_frame needs pandas: pip install 'latentem[pandas]'") from None
    table = component_table(estimator)
    index = pandas.RangeIndex(len(table.values), name="component")
    columns = [" ".join(part for part in pair if part) for pair in table.columns]
    return pandas.DataFrame(table.values, columns=columns, index=index)


def summary(estimator: BaseMixture) -> str:
    """The model in words and a table of its components, for printing.

    Examples
    --------
    >>> from latentem import GaussianMixture
    >>> from latentem.estimators.tables import summary
    >>> gm = GaussianMixture.from_parameters(
    ...     weights=[0.6, 0.4], means=[[2.0], [9.0]], covariances=[[[16.0]], [[4.0]]]
    ... )
    >>> print(summary(gm))
    GaussianMixture: 2 components, full covariances, 1 feature
                         x0
    component  weight  mean    sd
            0  0.6000  2.00  4.00
            1  0.4000  9.00  2.00
    made from parameters, without a fit
    """
    model, params = estimator._ready()
    k, d = len(params.weights), len(feature_names(estimator))
    kind = {"tied": "one covariance for all", "full": "full covariances"}
    if isinstance(model.family, Gaussian):
        c = model.family.covariance_type
        what = kind.get(c, f"{c} covariances")
    else:
        what = f"family {model.family!r}"
    head = (
        f"{type(estimator).__name__}: {k} component{'s' * (k > 1)}, {what}, "
        f"{d} feature{'s' * (d > 1)}"
    )
    return "\n".join([head, text_components(estimator), ending(estimator)])


def ending(estimator: BaseMixture) -> str:
    """How the fit ended, in words; a line each for what is wrong with it."""
    result = getattr(estimator, "result_", None)
    if result is None and not hasattr(estimator, "reason_"):
        return "made from parameters, without a fit"
    reason = estimator.reason_ if result is None else result.reason.sentence
    found = estimator if result is None else result
    degenerate = getattr(found, "degenerate_", ()) if result is None else result.degenerate
    notes = getattr(found, "notes_", ()) if result is None else result.notes
    verdict = "converged" if estimator.converged_ else "not converged"
    maps = f"{estimator.n_iter_} EM map{'s' * (estimator.n_iter_ != 1)}"
    lines = [f"{verdict} after {maps}, log-likelihood {estimator.loglik_:.4f}: {reason}"]
    lines += [f"degenerate: {text}" for text in degenerate]
    return "\n".join(lines + [f"note: {text}" for text in notes])


def text_components(estimator: BaseMixture, width: int = 80) -> str:
    """The table of components as lines of at most `width`; features that do not fit go below."""
    columns, values = component_table(estimator)
    spreads = {
        feature: v for (what, feature), v in zip(columns, values.T, strict=True) if what == "sd"
    }
    fixed = [["", "component", *map(str, range(len(values)))]]
    units: list[list[list[str]]] = []
    for (quantity, feature), column in zip(columns, values.T, strict=True):
        if quantity == "weight":
            fixed.append(["", quantity, *(f"{weight:.4f}" for weight in column)])
            continue
        texts = in_digits(column, spreads.get(feature))
        if units and feature and units[-1][0][0] == feature:
            units[-1].append(["", quantity, *texts])  # the name heads all that belongs to it
        else:
            units.append([[feature, quantity, *texts]])
    return "\n\n".join(text_table(block) for block in _blocks(fixed, units, width))


def _blocks(fixed: Columns, units: Sequence[Columns], width: int) -> list[Columns]:
    """Columns in blocks that fit `width`, each beginning with the fixed ones."""
    blocks = [list(fixed)]
    for unit in units:
        if len(blocks[-1]) > len(fixed) and _width([*blocks[-1], *unit]) > width:
            blocks.append(list(fixed))
        blocks[-1] += unit
    return blocks


def _width(columns: Columns) -> int:
    return sum(max(map(len, column)) + 2 for column in columns) - 2


def text_table(columns: Columns) -> str:
    """Columns of text, right-aligned, two spaces apart."""
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def in_digits(values: Array, spreads: Array | None = None) -> list[str]:
    """Numbers with as many decimals as three digits of the smallest spread need.

    Without spreads, four digits of the largest number. Never more than nine digits in
    all; very large and very small numbers have exponents.
    """
    largest = _magnitude(np.max(np.abs(values), initial=0.0))
    if largest > 6 or largest < -4:
        return [f"{value:.3e}" for value in values]
    finest = largest - 1 if spreads is None else _magnitude(np.min(spreads))
    decimals = min(max(2 - finest, 0), 8 - largest)
    return [f"{value:.{decimals}f}" for value in values]


def _magnitude(value: float) -> int:
    """The power of ten of the first digit, 0 for zero."""
    return int(np.floor(np.log10(value))) if np.isfinite(value) and value > 0 else 0
