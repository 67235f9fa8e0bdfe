"""A selection and its best model in words and tables, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from latentem.cli.messages import plural
from latentem.engine.result import EMResult
from latentem.engine.selection import Selection
from latentem.estimators.tables import text_table

__all__ = [
    "KINDS",
    "advice",
    "candidates",
    "chosen",
    "convergence",
    "finite",
    "grid",
    "grid_rows",
    "legend",
    "mark",
]

KINDS = {
    "full": "each component has a covariance of its own",
    "tied": "one covariance for all components",
    "diag": "each component has variances of its own, columns independent within it",
    "spherical": "each component has one variance for all columns",
}
MARKS = {
    "*": "the best",
    "!": "degenerate: its likelihood is not to be trusted",
    "~": "not converged",
    "x": "could not be fitted",
}


def mark(selection: Selection, index: int) -> str:
    """What is to be said of a candidate, in one or two characters."""
    row = selection.table[index]
    text = "*" if index == selection.best_index else ""
    if row.error is not None:
        return "x"
    if row.degenerate:
        return text + "!"
    return text if row.converged else text + "~"


def grid_rows(selection: Selection) -> list[list[str]]:
    """The criterion by number of components (rows) and covariance (columns), header first."""
    sizes = list(dict.fromkeys(row.params["n_components"] for row in selection.table))
    kinds = list(dict.fromkeys(row.params["covariance_type"] for row in selection.table))
    cells = {}
    for i, row in enumerate(selection.table):
        value = f"{row.value:.2f}" if math.isfinite(row.value) else "-"
        cells[row.params["n_components"], row.params["covariance_type"]] = (
            f"{value} {mark(selection, i):<2}".rstrip() if mark(selection, i) else value
        )
    return [
        ["components", *kinds],
        *([str(size), *(cells[size, kind] for kind in kinds)] for size in sizes),
    ]


def grid(selection: Selection) -> str:
    """The table as text, with marks in a column of their own."""
    header, *rows = grid_rows(selection)
    columns = [[header[0], *(row[0] for row in rows)]]
    for c, name in enumerate(header[1:], start=1):
        pairs = [(*row[c].split(" "), "")[:2] for row in rows]
        value, marks = zip(*pairs, strict=True)
        width = max(map(len, marks), default=0)
        gap = f" {'':<{width}}" if width else ""
        columns.append(
            [name + gap]
            + [v + (f" {m:<{width}}" if width else "") for v, m in zip(value, marks, strict=True)]
        )
    return text_table(columns)


def legend(selection: Selection) -> list[str]:
    """The marks that occur, and the reasons of candidates that failed or are degenerate."""
    found = "".join(mark(selection, i) for i in range(len(selection.table)))
    lines = ["   ".join(f"{key} {text}" for key, text in MARKS.items() if key in found)]
    reasons = dict.fromkeys(row.error for row in selection.table if row.error)
    return lines + [f"x {reason}" for reason in reasons]


def chosen(selection: Selection) -> str:
    """The best candidate in a sentence."""
    row = selection.table[selection.best_index]
    k, kind = row.params["n_components"], row.params["covariance_type"]
    meaning = KINDS[kind]
    if selection.best.means_.shape[1] == 1:
        meaning = "one variance for all components" if kind == "tied" else "each has its variance"
    meaning = f" ({meaning})" if k > 1 else ""
    return (
        f"{plural(k, 'component')}, {kind}{meaning}; {selection.criterion.upper()} {row.value:.2f}"
    )


def convergence(result: EMResult, degenerate: bool = False) -> str:
    """How a fit ended, in a sentence or two; a degenerate one has not converged to anything."""
    verdict = "Converged" if result.converged else "NOT CONVERGED"
    if degenerate or result.degenerate:
        verdict = "DEGENERATE, its likelihood is not to be trusted; ended"
    text = f"{verdict} after {plural(result.n_iter, 'EM map')}: {result.reason.sentence}"
    gain = result.projected_gain
    if math.isfinite(gain):
        text += f"; {'less than 1e-9' if gain < 1e-9 else f'about {gain:.0e}'} nats more projected"
    if len(result.starts) > 1:
        text += f". Best of {_starts(result)}"
    return text + "."


def _starts(result: EMResult) -> str:
    """How many starts there were and where they ended."""
    text = f"{len(result.starts)} starts"
    different = len({(start.loglik, start.n_iter, start.error) for start in result.starts})
    if different == 1:
        return f"{text}, all the same"
    text += f" ({different} of them different)" if different < len(result.starts) else ""
    failed = sum(start.error is not None for start in result.starts)
    flat = sum(bool(start.degenerate) and start.error is None for start in result.starts)
    text += f", {failed} failed" if failed else ""
    text += f", {flat} degenerate" if flat and not result.degenerate else ""
    values = [start.loglik for start in result.starts if not (start.error or start.degenerate)]
    if len(values) > 1:
        low, high = min(values), max(values)
        ends = "all reach it" if high - low < 0.01 else f"log-likelihoods {low:.2f} to {high:.2f}"
        text += f", {ends}"
    return text


def advice(selection: Selection, uncertain: float, files: Sequence[str]) -> list[str]:
    """What to do next, the most pressing first.

    Parameters
    ----------
    selection : Selection
    uncertain : float
        Share of the rows whose most probable component has less than 80 %.
    files : sequence of str
        Options of output files that were given.
    """
    best = selection.table[selection.best_index]
    result = selection.best.result_
    size, criterion = best.params["n_components"], selection.criterion.upper()
    sizes = [row.params["n_components"] for row in selection.table]
    texts = []
    if not best.converged:
        texts.append("Give it more steps, --max-iter 10000, and look at the trace with --plot.")
    if best.degenerate:
        texts.append(
            "Every candidate is degenerate: try fewer components, --covariance tied,diag, or "
            "leave out columns that repeat others or hold few distinct values."
        )
    if size == max(sizes) and size > 1 and len(set(sizes)) > 1:
        texts.append(
            f"The most components that were tried are the best: --components 1:{2 * size} looks "
            "further."
        )
    fallen = _fallen(selection)
    if fallen:
        texts.append(
            f"{fallen}, which a better start would avoid: --starts {4 * len(result.starts)}."
        )
    rival = _rival(selection)
    if rival:
        texts.append(f"{rival}: the data hardly tell them apart. By {criterion} alone, do not lean "
                     "on the difference.")  # fmt: skip
    if uncertain > 0.2:
        texts.append(
            f"{100 * uncertain:.0f} % of the rows belong to their component with less than 80 % "
            "probability: use the probabilities of --assign, not only the components."
        )
    offers = {
        "--assign labels.csv": "the component of each row",
        "--plot figure.png": "the figures",
        "--out model.npz": "the model, for latentem.load in Python",
    }
    missing = [f"{option} ({what})" for option, what in offers.items() if option[:5] not in files]
    if missing:
        texts.append(f"Write {', '.join(missing)}.")
    return texts


def _fallen(selection: Selection) -> str:
    """Where one more component lowered a log-likelihood that it cannot lower.

    Told where the candidate, had it not fallen, would be within 10 of the best.
    """
    table, best = selection.table, selection.table[selection.best_index].value
    for kind in dict.fromkeys(row.params["covariance_type"] for row in table):
        rows = [row for row in table if row.params["covariance_type"] == kind and row.sound]
        rows.sort(key=lambda row: row.params["n_components"])
        for less, more in pairwise(rows):
            lost = less.loglik - more.loglik
            if lost > 0.1 and more.value - 2 * lost < best + 10:
                return (
                    f"The log-likelihood falls from {less.params['n_components']} to "
                    f"{plural(more.params['n_components'], f'{kind} component')}"
                )
    return ""


def _rival(selection: Selection) -> str:
    """The next candidate, where the criterion differs by less than 2."""
    best = selection.table[selection.best_index]
    others = [row for row in selection.table if row is not best and row.sound]
    if not others or not best.sound:
        return ""
    rival = min(others, key=lambda row: row.value)
    difference = rival.value - best.value
    if not difference < 2 or np.isclose(difference, 0, atol=1e-6):  # the same model twice
        return ""
    k, kind = rival.params["n_components"], rival.params["covariance_type"]
    return f"{plural(k, f'{kind} component')} are only {difference:.2f} behind"


def candidates(selection: Selection) -> list[dict[str, Any]]:
    """Every candidate as JSON values."""
    return [
        {
            "n_components": row.params["n_components"],
            "covariance_type": row.params["covariance_type"],
            "value": finite(row.value),
            "loglik": finite(row.loglik),
            "n_parameters": row.n_parameters,
            "n_iter": row.n_iter,
            "converged": row.converged,
            "degenerate": list(row.degenerate),
            "error": row.error,
        }
        for row in selection.table
    ]


def finite(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None
