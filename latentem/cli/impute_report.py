"""The report of ``latentem impute --report``, in Markdown."""

from __future__ import annotations

import os
from pathlib import Path

import latentem
from latentem.cli.chapters.chapter import markdown_table
from latentem.cli.gaps import Gaps
from latentem.cli.impute_printing import (
    candidates,
    column_rows,
    ending,
    little_sentence,
    rounding,
    written,
)
from latentem.cli.imputing import SIZES, Imputed
from latentem.cli.messages import listed, named, plural
from latentem.estimators.missing_patterns import columns_of_pattern
from latentem.estimators.overimputation import Overimputation
from latentem.estimators.pooling import Pooled

__all__ = ["pattern_rows", "report"]

#: Patterns in the table.
MOST = 25
LEVEL = 0.95


def report(table: Gaps, found: Imputed, files: dict[str, Path], rounded: bool) -> str:
    """The report; figures are named by their place beside it."""
    patterns = found.patterns
    head, *_ = patterns.summary().split("\n\n")
    parts = [
        f"# Missing cells of {Path(table.file).name}",
        f"Made by `latentem impute` with latentem {latentem.__version__}.",
        "## The data",
        f"{table.file}: {head}. Columns: {listed(map(named, table.names), 100)}.",
        *(f"{text[0].upper()}{text[1:]}." for text in table.messages()),
        "## Patterns",
        markdown_table(pattern_rows(found)),
    ]
    if len(patterns) > MOST:
        rest = int(patterns.counts[MOST:].sum())
        more = plural(len(patterns) - MOST, "more pattern")
        parts.append(f"And {more}, with {plural(rest, 'row')}.")
    if "plot" in files:
        place = Path(os.path.relpath(files["plot"], files["report"].parent)).as_posix()
        parts.append(f"![Patterns of missing cells, the most frequent above]({place})")
    rows = column_rows(table, found)
    parts += ["## The model", _model(found), ending(found)]
    if found.selection is not None:
        parts.append(f"```\n{candidates(found)}\n```")
    if len(rows) > 1:
        parts.append(markdown_table(rows))
    if found.information is not None:
        parts.append(
            "Information lost is the share of the information about the mean of a column that went "
            "with the missing cells: less than their share, where other columns tell of them."
        )
    parts += ["## Missing completely at random?", little_sentence(found.little)]
    if found.again is not None and found.again.cells.any():
        parts += ["## Does the model hold?", *_again(found.again)]
    if found.pooled is not None:
        parts += ["## Means, with what is missing", *_pooled(found.pooled)]
    parts += [
        "## The files",
        *(text for text in (rounding(table, rounded), written(files)) if text),
    ]
    return "\n\n".join(parts) + "\n"


def pattern_rows(found: Imputed) -> list[list[str]]:
    """Patterns as rows of text, header first."""
    patterns = found.patterns
    shown = range(min(MOST, len(patterns)))
    return [["rows", "share", "missing"]] + [
        [
            f"{patterns.counts[p]:,}",
            f"{100 * patterns.shares[p]:.1f} %",
            columns_of_pattern(patterns, p),
        ]
        for p in shown
    ]


def _model(found: Imputed) -> str:
    name, noun = SIZES.get(found.kind, ("", ""))
    size = getattr(found.model, name, 0)
    what = {
        "normal": "A multivariate normal distribution of the rows",
        "mixture": f"A mixture of {size} normal distributions, each with a covariance of its own",
        "factor": f"A normal distribution with a covariance of {size} {noun} and noise",
    }[found.kind if found.selection is not None else "normal"]
    return (
        f"{what}, fitted by maximum likelihood to all cells that are there. A missing cell gets "
        "its mean given the rest of its row. That is right where cells are missing at random: "
        "whether one is missing may depend on what was seen, not on what it would have held."
    )


def _again(again: Overimputation) -> list[str]:
    """Over-imputation: a table, and how to read it."""
    rows = [["column", "cells", "covered", "error", "std. dev."]]
    for j in range(len(again.names)):
        if again.cells[j]:
            seen = again.observed[:, j]
            rows.append(
                [
                    again.names[j],
                    f"{again.cells[j]:,}",
                    f"{100 * again.covered[j]:.1f} %",
                    f"{again.rmse[j]:.4g}",
                    f"{seen[seen == seen].std():.4g}",
                ]
            )
    reading = (
        "Each observed cell was imputed from the rest of its row, as if it had been missing. "
        f"Covered is the share that lies between limits of {100 * again.level:g} %, which is about "
        f"{100 * again.level:g} % if the model is right. The error is the root of the mean square "
        "of what the imputed cells are off; where it is hardly below the standard deviation, the "
        "other columns tell little of this one."
    )
    return [markdown_table(rows), reading]


def _pooled(pooled: Pooled) -> list[str]:
    """Means over the draws by Rubin's rules."""
    names = pooled.names or [str(j) for j in range(len(pooled.estimate))]
    rows = [["column", "mean", "std. error", f"{100 * LEVEL:g} % from", "to", "due to gaps"]]
    limits = pooled.confint(LEVEL)
    for j, name in enumerate(names):
        rows.append(
            [
                name,
                f"{pooled.estimate[j]:.5g}",
                f"{pooled.std_error[j]:.3g}",
                f"{limits[j, 0]:.5g}",
                f"{limits[j, 1]:.5g}",
                f"{100 * pooled.lambda_[j]:.1f} %",
            ]
        )
    reading = (
        f"Means over {pooled.m} completed tables by Rubin's rules. The standard errors count what "
        "the missing cells cost, which those of a table filled once do not; due to gaps is their "
        "share of the squared error. Other analyses are pooled alike, by `latentem.pool`."
    )
    return [markdown_table(rows), reading]
