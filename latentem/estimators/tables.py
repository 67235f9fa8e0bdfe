"""Fitted mixtures as tables: components with their weights, means and spreads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.family import Family
from latentem.engine.trees import leaves
from latentem.estimators.base_hmm import BaseHMM
from latentem.estimators.mixture import BaseMixture
from latentem.families.categorical import Categorical
from latentem.families.gaussian import Gaussian
from latentem.families.mixture_family import MixtureFamily

__all__ = [
    "ComponentTable",
    "columns_of_family",
    "component_table",
    "ending",
    "feature_names",
    "in_blocks",
    "in_digits",
    "kind_of",
    "summary",
    "text_columns",
    "text_components",
    "text_table",
    "to_frame",
]

Array = np.ndarray
Columns = list[list[str]]
#: Most categories of a column whose probabilities are shown one by one.
CATEGORIES = 12


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
    weights = np.asarray(params.weights)
    columns, values = columns_of_family(
        model.family, params.family, len(weights), feature_names(estimator)
    )
    return ComponentTable([("weight", ""), *columns], np.column_stack([weights, *values]))


def columns_of_family(
    family: Family, params: Any, k: int, names: Sequence[str]
) -> tuple[list[tuple[str, str]], list[Array]]:
    """Columns of a table of k components, and their values, for the parameters of a family.

    Few categories are shown by their probabilities, other families by means and
    standard deviations, or by their own parameters where they have no moments.
    """
    d = len(names)
    if isinstance(family, Categorical):
        found = family.by_column(params.emissionprob)
        if max(probs.shape[1] for probs in found) <= CATEGORIES:
            labels = [(f"p({c})", names[j]) for j in range(d) for c in range(found[j].shape[1])]
            return labels, list(np.hstack(found).T)
    parts: list[tuple[str, Array]] = []
    whole = family.discrete_columns(d)
    moments = _moments(family, params)
    if moments is not None:
        parts = [("mean", moments[0]), ("sd", np.sqrt(moments[1]))]
    else:
        for name, leaf in leaves(params):
            leaf = np.asarray(leaf, dtype=float)
            if leaf.shape == (k,):
                parts.append((name, leaf[:, None]))
            elif leaf.shape == (k, d):
                parts.append((name, leaf))
    columns: list[tuple[str, str]] = []
    values: list[Array] = []
    for j in range(d):  # what belongs to a feature stands together
        for quantity, block in parts:
            if block.shape[1] == d and not (quantity == "sd" and whole[j]):
                columns.append((quantity, names[j]))
                values.append(block[:, j])
    for quantity, block in parts:
        if block.shape[1] != d:
            columns.append((quantity, ""))
            values.append(block[:, 0])
    return columns, values


def _moments(family: Family, params: Any) -> tuple[Array, Array] | None:
    """Means and variances (K, d) of the components; None where they are not known."""
    try:
        return family.moments(params)
    except NotImplementedError:
        if not isinstance(family, MixtureFamily):
            return None
    inner = _moments(family.family, params.family)
    if inner is None:
        return None
    weights = np.asarray(params.weights)
    means, variances = (part.reshape(*weights.shape, -1) for part in inner)
    mean = np.einsum("km,kmd->kd", weights, means)
    apart = variances + (means - mean[:, None]) ** 2
    return mean, np.einsum("km,kmd->kd", weights, apart)


def feature_names(estimator: BaseMixture | BaseHMM) -> list[str]:
    """Names of the columns, x0, x1, ... where there are none."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        return [str(name) for name in names]
    width = getattr(estimator, "n_features_in_", None)
    if width is None:
        model, params = estimator._ready()
        moments = _moments(model.family, params.family)
        # A user's parameters of shape (K,), without data, tell of one column at least.
        width = 1 if moments is None else np.shape(moments[0])[1]
    return [f"x{j}" for j in range(width)]


def to_frame(estimator: BaseMixture | BaseHMM) -> Any:
    """The components as a pandas DataFrame, one row each (needs pandas).

    Columns are "weight" and, for each feature, "mean NAME" and "sd NAME"; few
    categories have their probabilities there, and families without moments their own
    parameters. For a hidden Markov model "share" (of the stationary distribution) and
    "duration" (mean number of rows of a stay) are in place of "weight".

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
    if isinstance(estimator, BaseHMM):
        from latentem.estimators.chain_tables import state_table

        table, name = state_table(estimator), "state"
    else:
        table, name = component_table(estimator), "component"
    index = pandas.RangeIndex(len(table.values), name=name)
    columns = [" ".join(part for part in pair if part) for pair in table.columns]
    return pandas.DataFrame(table.values, columns=columns, index=index)


def summary(estimator: BaseMixture | BaseHMM) -> str:
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
    if isinstance(estimator, BaseHMM):
        from latentem.estimators.chain_tables import summary_of_chain

        return summary_of_chain(estimator)
    model, params = estimator._ready()
    k, d = len(params.weights), len(feature_names(estimator))
    head = (
        f"{type(estimator).__name__}: {k} component{'s' * (k > 1)}, {kind_of(model.family)}, "
        f"{d} feature{'s' * (d > 1)}"
    )
    return "\n".join([head, text_components(estimator), ending(estimator)])


def kind_of(family: Family) -> str:
    """The family in words."""
    if not isinstance(family, Gaussian):
        return f"family {family!r}"
    kind = {"tied": "one covariance for all", "full": "full covariances"}
    return kind.get(family.covariance_type, f"{family.covariance_type} covariances")


def ending(estimator: BaseMixture | BaseHMM) -> str:
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
    first = [
        ["", "component", *map(str, range(len(values)))],
        ["", "weight", *(f"{weight:.4f}" for weight in values[:, 0])],
    ]
    return text_columns(first, columns[1:], values[:, 1:], width)


def text_columns(
    first: Columns, columns: Sequence[tuple[str, str]], values: Array, width: int
) -> str:
    """A table with two lines of header: the `first` columns, and those of the features."""
    spreads = {
        feature: v for (what, feature), v in zip(columns, values.T, strict=True) if what == "sd"
    }
    units: list[list[list[str]]] = []
    for (quantity, feature), column in zip(columns, values.T, strict=True):
        if quantity.startswith("p("):
            texts = [f"{value:.4f}" for value in column]
        else:
            texts = in_digits(column, spreads.get(feature))
        # The name heads all that belongs to it; many categories may go on below.
        if units and feature and units[-1][0][0] == feature and len(units[-1]) < CATEGORIES // 2:
            units[-1].append(["", quantity, *texts])
        else:
            units.append([[feature, quantity, *texts]])
    return in_blocks(first, units, width)


def in_blocks(first: Columns, units: Sequence[Columns], width: int) -> str:
    """Columns as text; those that do not fit into `width` go below, after the `first` again."""
    return "\n\n".join(text_table(block) for block in _blocks(first, units, width))


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
