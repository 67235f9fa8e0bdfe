"""What ``latentem mixture`` prints: text for people, JSON for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import latentem
from latentem.cli import words
from latentem.cli.messages import listed, named, plural, wrapped
from latentem.cli.tables import Table
from latentem.engine.selection import Selection
from latentem.estimators.tables import text_components

__all__ = ["as_json", "as_text"]


def as_text(table: Table, selection: Selection, files: dict[str, Path]) -> str:
    """The results for people."""
    model, result = selection.best, selection.best.result_
    best = selection.table[selection.best_index]
    uncertain = float((model.predict_proba(table.X).max(axis=1) < 0.8).mean())
    weighed = ""
    if table.weights is not None:
        weighed = f", weights from {table.weights_name!r} with the sum {table.weights.sum():g}"
    parts = [
        wrapped(
            f"{table.file}: {plural(len(table.X), 'row')}, "
            f"{plural(len(table.names), 'column')} ({listed(map(named, table.names))}){weighed}"
        ),
        f"{selection.criterion.upper()} of each candidate, smaller is better\n"
        + words.grid(selection)
        + "\n"
        + "\n".join(wrapped(line, "  ") for line in words.legend(selection)),
        wrapped(f"Chosen: {words.chosen(selection)}")
        + f"\n{text_components(model)}"
        + "".join(f"\n{wrapped(f'degenerate: {text}', '  ')}" for text in best.degenerate)
        + "".join(f"\n{wrapped(f'note: {text}', '  ')}" for text in result.notes),
        wrapped(
            f"{words.convergence(result, bool(best.degenerate))} "
            f"Log-likelihood {result.loglik:.4f}."
        ),
    ]
    if files:
        parts.append("Written: " + ", ".join(str(path) for path in files.values()))
    given = [f"--{name}"[:5] for name in files]
    steps = [wrapped(f"- {text}", "  ") for text in words.advice(selection, uncertain, given)]
    parts += ["Next:\n" + "\n".join(steps)] if steps else []
    return "\n\n".join(parts)


def as_json(
    table: Table, selection: Selection, settings: dict[str, Any], files: dict[str, Path]
) -> dict[str, Any]:
    """The results for programs; the guide to the command line describes every key."""
    model, result = selection.best, selection.best.result_
    weights = table.weights
    return {
        "command": "mixture",
        "schema": 1,
        "latentem": latentem.__version__,
        "data": {
            "file": table.file,
            "rows": len(table.used),
            "rows_used": len(table.X),
            "rows_left_out": table.rows_left_out.tolist(),
            "missing_cells": table.gaps,
            "columns": table.names,
            "columns_left_out": [
                {"column": name, "reason": reason} for name, reason in table.dropped
            ],
            "weights": table.weights_name,
            "total_weight": float(len(table.X) if weights is None else weights.sum()),
        },
        "settings": settings,
        "candidates": words.candidates(selection),
        "best": selection.best_index,
        "model": {
            "n_components": model.n_components,
            "covariance_type": model.covariance_type,
            "weights": model.weights_.tolist(),
            "means": model.means_.tolist(),
            "covariances": model.covariances_.tolist(),
            "n_parameters": model.n_parameters(),
            "loglik": result.loglik,
            "bic": model.bic(table.X, weights),
            "aic": model.aic(table.X, weights),
            "icl": model.icl(table.X, weights),
        },
        "convergence": {
            "converged": result.converged,
            "reason": result.reason.name.lower(),
            "sentence": result.reason.sentence,
            "n_iter": result.n_iter,
            "n_certify": result.n_certify,
            "n_e_steps": result.n_e_steps,
            "projected_gain": words.finite(result.projected_gain),
            "rate": words.finite(result.rate),
            "degenerate": list(selection.table[selection.best_index].degenerate),
            "notes": list(result.notes),
        },
        "files": {name: str(path) for name, path in files.items()},
    }
