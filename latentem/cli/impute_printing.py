"""What ``latentem impute`` prints: text for people, JSON for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import latentem
from latentem.cli import words
from latentem.cli.gaps import Gaps
from latentem.cli.hmm_printing import text_candidates
from latentem.cli.imputing import SIZES, Imputed
from latentem.cli.messages import listed, named, plural, wrapped
from latentem.estimators.imputer import GaussianImputer
from latentem.estimators.little import LittleTest
from latentem.estimators.tables import text_table

__all__ = [
    "as_json",
    "as_text",
    "candidates",
    "column_rows",
    "ending",
    "little_sentence",
    "rounding",
    "written",
]

#: Patterns and columns on the screen.
MOST_PATTERNS, MOST_COLUMNS = 5, 10


def as_text(table: Gaps, found: Imputed, files: dict[str, Path], rounded: bool) -> str:
    """The results for people."""
    head, *rest = found.patterns.summary(MOST_PATTERNS).split("\n\n")
    parts = [wrapped(f"{table.file} ({listed(map(named, table.names))}): {head}")]
    parts += rest[1:]
    rows = column_rows(table, found)
    if len(rows) > 1:
        more = len(rows) - 1 - MOST_COLUMNS
        lines = text_table([list(column) for column in zip(*rows[: MOST_COLUMNS + 1], strict=True)])
        if more > 0:
            lines += f"\nand {plural(more, 'more column')} with missing cells (--report has all)"
        parts.append(lines)
    if found.selection is not None:
        parts.append(candidates(found))
    parts.append(wrapped(ending(found)))
    parts.append(wrapped(little_sentence(found.little)))
    parts += [wrapped(text) for text in (rounding(table, rounded), written(files)) if text]
    steps = [wrapped(f"- {text}", "  ") for text in _advice(table, found, files)]
    return "\n\n".join([*parts, "Next:\n" + "\n".join(steps)] if steps else parts)


def candidates(found: Imputed) -> str:
    """The numbers of components or factors that were tried, and what their marks mean."""
    assert found.selection is not None
    legend = [wrapped(line, "  ") for line in words.legend(found.selection)]
    return "\n".join([text_candidates(found.selection, *SIZES[found.kind]), *legend])


def column_rows(table: Gaps, found: Imputed) -> list[list[str]]:
    """Columns with missing cells, most first: how many, mean, deviation, information; header first.

    Means and deviations are those of the model.
    """
    patterns = found.patterns
    header = ["column", "missing", "share", "mean", "std. dev."]
    information = found.information
    rows = [header + ([] if information is None else ["information lost"])]
    for j in np.argsort(-patterns.column_counts, kind="stable").tolist():
        if not patterns.column_counts[j]:
            break
        rows.append(
            [
                table.names[j],
                f"{patterns.column_counts[j]:,}",
                f"{100 * patterns.column_shares[j]:.1f} %",
                f"{found.mean[j]:.5g}",
                f"{found.deviation[j]:.4g}",
                *([] if information is None else [f"{100 * information[j]:.1f} %"]),
            ]
        )
    return rows


def ending(found: Imputed) -> str:
    """How the fit ended, in sentences."""
    if found.result is None:
        return "No column varies: there is nothing to fit, and missing cells get the one value."
    text = f"{words.convergence(found.result)} Log-likelihood {found.result.loglik:.4f}."
    return " ".join([text, *(f"Degenerate: {reason}." for reason in found.degenerate)])


def little_sentence(little: LittleTest | str) -> str:
    """Little's test, and what it says."""
    if isinstance(little, str):
        return f"Little's test of cells missing completely at random is not made: {little}."
    text = (
        f"Little's test: chi2 = {little.statistic:.2f}, df = {little.df}, p = {little.pvalue:.3g}: "
    )
    if little.pvalue < 0.05:
        return text + (
            "rows that miss different cells differ in what they show, so leaving incomplete rows "
            "out would be wrong."
        )
    return text + "no sign that rows which miss different cells differ in what they show."


def rounding(table: Gaps, rounded: bool) -> str:
    """What becomes of columns of whole numbers."""
    if not table.whole:
        return ""
    names = listed(map(named, table.whole))
    if rounded:
        return f"Rounded to whole numbers, as the observed cells are: {names}."
    return (
        f"Imputed cells have decimals also where the observed ones are whole numbers ({names}): "
        "--round rounds them."
    )


def written(files: dict[str, Path]) -> str:
    """The files that were written; of the draws the first and the last."""
    names = [str(path) for name, path in files.items() if not name.startswith("draw_")]
    draws = [path for name, path in files.items() if name.startswith("draw_")]
    if draws:
        names.append(f"{draws[0]} to {draws[-1].name}")
    return f"Written: {', '.join(names)}" if names else ""


def _advice(table: Gaps, found: Imputed, files: dict[str, Path]) -> list[str]:
    """What to do next, the most pressing first."""
    if not table.missing:
        return ["No cell is missing in these columns: there is nothing to fill."]
    texts = []
    if found.degenerate:
        fewer = f"--components 1:2 tries fewer {SIZES[found.kind][1]}." if found.selection else ""
        texts.append(fewer or "Few rows or columns that repeat others: --prior ridge keeps the "
                     "fit regular.")  # fmt: skip
    elif not found.sound:
        texts.append("Give it more steps: --max-iter 10000.")
    if found.selection is not None:
        name, noun = SIZES[found.kind]
        sizes = [row.params[name] for row in found.selection.table]
        size = found.selection.table[found.selection.best_index].params[name]
        if size == max(sizes) and len(sizes) > 1:
            texts.append(f"The most {noun} that were tried are the best: --components 1:{2 * size} "
                         "looks further.")  # fmt: skip
    texts += _beyond(table, found)
    if "out" not in files:
        texts.append("Write the filled table: -o filled.csv.")
    if found.kind != "normal":
        texts.append("Draws for standard errors, limits and over-imputation: --model normal.")
    elif not found.draws:
        texts.append(
            "Filled cells are not data: for standard errors that count what is missing, "
            "--draws 20 fills the table 20 times."
        )
    else:
        texts.append(
            "Analyse each of the drawn tables, and combine the results by latentem.pool in Python."
        )
    offers = {
        "--report report.md": "all of this and more",
        "--plot patterns.png": "the patterns as a figure",
    }
    missing = [f"{option} ({what})" for option, what in offers.items()
               if option.split()[0][2:] not in files]  # fmt: skip
    if missing:
        texts.append(f"Write {', '.join(missing)}.")
    return texts


def _beyond(table: Gaps, found: Imputed) -> list[str]:
    """Columns whose imputed cells lie outside of all that was observed."""
    X = table.X.to_numpy()
    outside: dict[str, int] = {}
    for j, name in enumerate(table.names):
        lost = np.isnan(X[:, j])
        if lost.any():
            filled, low, high = found.values[lost, j], np.nanmin(X[:, j]), np.nanmax(X[:, j])
            count = int(((filled < low) | (filled > high)).sum())
            outside |= {name: count} if count else {}
    if not outside:
        return []
    where = listed((f"{named(name)} {count:,}" for name, count in outside.items()), 5)
    text = (
        f"Imputed cells outside of all that was observed ({where}): normal distributions have no "
        "bounds. Take logarithms of positive columns, or give GaussianImputer min_value= in Python."
    )
    return [text]


def as_json(
    table: Gaps, found: Imputed, settings: dict[str, Any], files: dict[str, Path]
) -> dict[str, Any]:
    """The results for programs; the guide to the command line describes every key."""
    patterns, result, little = found.patterns, found.result, found.little
    return {
        "command": "impute",
        "schema": 1,
        "latentem": latentem.__version__,
        "data": {
            "file": table.file,
            "rows": len(table.X),
            "columns": table.names,
            "columns_left": [{"column": name, "reason": reason} for name, reason in table.dropped],
            "missing_cells": table.missing,
            "missing_cells_left": table.left,
            "complete_rows": patterns.n_complete,
            "whole_columns": table.whole,
        },
        "settings": settings,
        "candidates": _candidates(found),
        "best": None if found.selection is None else found.selection.best_index,
        "patterns": [
            {
                "rows": int(count),
                "missing": [table.names[j] for j in np.flatnonzero(row).tolist()],
            }
            for count, row in zip(patterns.counts, patterns.missing, strict=True)
        ],
        "model": {
            "mean": found.mean.tolist(),
            "std": found.deviation.tolist(),
            **_model(found),
            "loglik": 0.0 if result is None else result.loglik,
        },
        "little": None
        if isinstance(little, str)
        else {
            "statistic": little.statistic,
            "df": little.df,
            "pvalue": little.pvalue,
            "effect_size": little.effect_size,
        },
        "pooled": _pooled(found),
        "convergence": {
            "converged": found.result is None or found.result.converged,
            "reason": None if result is None else result.reason.name.lower(),
            "sentence": ending(found) if result is None else result.reason.sentence,
            "n_iter": 0 if result is None else result.n_iter,
            "n_e_steps": 0 if result is None else result.n_e_steps,
            "projected_gain": None if result is None else words.finite(result.projected_gain),
            "degenerate": list(found.degenerate),
            "notes": [] if result is None else list(result.notes),
        },
        "files": {name: str(path) for name, path in files.items()},
    }


def _candidates(found: Imputed) -> list[dict[str, Any]] | None:
    if found.selection is None:
        return None
    return [
        {
            **row.params,
            "value": words.finite(row.value),
            "loglik": words.finite(row.loglik),
            "n_parameters": row.n_parameters,
            "converged": row.converged,
            "degenerate": list(row.degenerate),
            "error": row.error,
        }
        for row in found.selection.table
    ]


def _model(found: Imputed) -> dict[str, Any]:
    """What only some models have."""
    model, information = found.model, found.information
    if isinstance(model, GaussianImputer):
        return {
            "covariance": model.covariance_.tolist(),
            "fraction_missing_information": None if information is None else information.tolist(),
            "convergence_rate": words.finite(model.convergence_rate_),
        }
    names = ("weights_", "means_", "covariances_", "components_", "noise_variance_")
    return {name[:-1]: getattr(model, name).tolist() for name in names if hasattr(model, name)}


def _pooled(found: Imputed) -> dict[str, Any] | None:
    if found.pooled is None:
        return None
    pooled = found.pooled
    return {
        "m": pooled.m,
        "mean": pooled.estimate.tolist(),
        "std_error": pooled.std_error.tolist(),
        "df": [words.finite(df) for df in pooled.df],
        "fmi": pooled.fmi.tolist(),
    }
