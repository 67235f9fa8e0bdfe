"""What ``latentem hmm`` prints: text for people, JSON for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import latentem
from latentem.cli import words
from latentem.cli.messages import listed, named, plural, wrapped
from latentem.cli.series import Series
from latentem.engine.selection import Selection
from latentem.engine.trees import leaves
from latentem.estimators.chain_tables import text_states, text_transitions
from latentem.estimators.tables import in_digits, text_table

__all__ = ["as_json", "as_text", "text_candidates", "text_forecast"]

LEVEL = 0.9


def as_text(
    series: Series, selection: Selection, family: str, ahead: Any, files: dict[str, Path]
) -> str:
    """The results for people."""
    model, result = selection.best, selection.best.result_
    best = selection.table[selection.best_index]
    criterion = selection.criterion.upper()
    kind = f"{family}{', ' + model.covariance_type if family == 'gaussian' else ''}"
    parted = f" in {plural(len(series.lengths), 'sequence')}" if series.sequence_name else ""
    parts = [
        wrapped(
            f"{series.file}: {plural(len(series.X), 'row')}{parted}, "
            f"{plural(len(series.names), 'column')} ({listed(map(named, series.names))})"
        ),
        f"{criterion} of each candidate, smaller is better\n"
        + text_candidates(selection)
        + "\n"
        + "\n".join(wrapped(line, "  ") for line in words.legend(selection)),
        wrapped(f"Chosen: {plural(model.n_components, 'state')}, {kind}; "
                f"{criterion} {best.value:.2f}")
        + f"\n{text_states(model)}\n\nTransition probabilities\n{text_transitions(model)}"
        + "".join(f"\n{wrapped(f'degenerate: {text}', '  ')}" for text in best.degenerate)
        + "".join(f"\n{wrapped(f'note: {text}', '  ')}" for text in result.notes),
    ]  # fmt: skip
    if ahead is not None:
        parts.append(
            f"Forecast, with limits that hold {100 * LEVEL:.0f} %\n"
            + text_forecast(ahead, series.names)
        )
    parts.append(
        wrapped(
            f"{words.convergence(result, bool(best.degenerate))} "
            f"Log-likelihood {result.loglik:.4f}."
        )
    )
    if files:
        parts.append("Written: " + ", ".join(str(path) for path in files.values()))
    steps = [wrapped(f"- {text}", "  ") for text in _advice(selection, files, ahead, series)]
    parts += ["Next:\n" + "\n".join(steps)] if steps else []
    return "\n\n".join(parts)


def text_candidates(selection: Selection, size: str = "n_components", noun: str = "states") -> str:
    """A line for each candidate, marked as `words.legend` explains.

    `size` is the parameter that was tried, and `noun` what it counts.
    """
    kinds = "covariance_type" in selection.table[0].params
    head = [noun, *(["covariance"] if kinds else []), selection.criterion.upper(), " "]
    rows = [[*head, "log-likelihood", "parameters", "maps"]]
    for i, row in enumerate(selection.table):
        numbers = ["-", "-", "-"]
        if row.error is None:
            numbers = [f"{row.loglik:.3f}", str(row.n_parameters), str(row.n_iter)]
        value = f"{row.value:.2f}" if np.isfinite(row.value) else "-"
        cells = [str(row.params[size])]
        cells += [row.params["covariance_type"]] if kinds else []
        rows.append([*cells, value, words.mark(selection, i), *numbers])
    return text_table([list(column) for column in zip(*rows, strict=True)])


def text_forecast(ahead: Any, names: list[str]) -> str:
    """The distributions of the rows that follow: mean, and limits with equal tails."""
    lower, upper = ahead.interval(LEVEL)
    h = len(ahead.mean)
    columns = [["", "ahead", *(str(i + 1) for i in range(h))]]
    for j, name in enumerate(names):
        spread = np.sqrt(ahead.variance[:, j])
        for label, values in (("mean", ahead.mean), ("from", lower), ("to", upper)):
            whole = label != "mean" and np.all(values[:, j] == np.round(values[:, j]))
            texts = [f"{v:.0f}" for v in values[:, j]] if whole else in_digits(values[:, j], spread)
            columns.append([name if label == "mean" else "", label, *texts])
    return text_table(columns)


def _advice(selection: Selection, files: dict[str, Path], ahead: Any, series: Series) -> list[str]:
    """What to do next, the most pressing first."""
    best = selection.table[selection.best_index]
    sizes = {row.params["n_components"] for row in selection.table}
    size = best.params["n_components"]
    texts = []
    if not best.converged:
        texts.append("Give it more steps: --max-iter 10000.")
    if best.degenerate:
        texts.append("Every candidate is degenerate: try fewer states.")
    if size == max(sizes) and len(sizes) > 1:
        texts.append(
            f"The most states that were tried are the best: --states 1:{2 * size} looks further."
        )
    offers = {
        "decode": "--decode states.csv (the state of each row)",
        "plot": "--plot figure.png (the figures)",
        "save": "--save model.npz (the model, for latentem.load in Python)",
    }
    missing = [text for name, text in offers.items() if name not in files]
    if missing:
        texts.append(f"Write {', '.join(missing)}.")
    if ahead is None and len(series.lengths) == 1:
        texts.append("What comes next: --forecast 12.")
    return texts


def as_json(
    series: Series,
    selection: Selection,
    settings: dict[str, Any],
    ahead: Any,
    files: dict[str, Path],
) -> dict[str, Any]:
    """The results for programs."""
    model, result = selection.best, selection.best.result_
    best = selection.table[selection.best_index]
    _, params = model._ready()
    return {
        "command": "hmm",
        "schema": 1,
        "latentem": latentem.__version__,
        "data": {
            "file": series.file,
            "rows": len(series.X),
            "columns": series.names,
            "columns_left_out": [
                {"column": name, "reason": reason} for name, reason in series.dropped
            ],
            "missing_cells": series.gaps,
            "sequence_column": series.sequence_name,
            "lengths": series.lengths.tolist(),
        },
        "settings": settings,
        "candidates": [
            {
                **row.params,
                "value": words.finite(row.value),
                "loglik": words.finite(row.loglik),
                "n_parameters": row.n_parameters,
                "n_iter": row.n_iter,
                "converged": row.converged,
                "degenerate": list(row.degenerate),
                "error": row.error,
            }
            for row in selection.table
        ],
        "best": selection.best_index,
        "model": {
            **best.params,
            "startprob": model.startprob_.tolist(),
            "transmat": model.transmat_.tolist(),
            "family": {name: np.asarray(leaf).tolist() for name, leaf in leaves(params.family)},
            "expected_durations": [words.finite(d) for d in model.expected_durations()],
            "n_parameters": best.n_parameters,
            "loglik": result.loglik,
            "bic": model.bic(series.X, series.lengths),
            "aic": model.aic(series.X, series.lengths),
        },
        "forecast": None if ahead is None else _forecast_json(ahead),
        "convergence": {
            "converged": result.converged,
            "reason": result.reason.name.lower(),
            "sentence": result.reason.sentence,
            "n_iter": result.n_iter,
            "n_e_steps": result.n_e_steps,
            "projected_gain": words.finite(result.projected_gain),
            "degenerate": list(best.degenerate),
            "notes": list(result.notes),
        },
        "files": {name: str(path) for name, path in files.items()},
    }


def _forecast_json(ahead: Any) -> dict[str, Any]:
    lower, upper = ahead.interval(LEVEL)
    return {
        "level": LEVEL,
        "states": ahead.states.tolist(),
        "mean": ahead.mean.tolist(),
        "lower": lower.tolist(),
        "upper": upper.tolist(),
    }
