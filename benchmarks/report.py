"""Rows of a benchmark, their table and their plot."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import matplotlib

import latentem

matplotlib.use("Agg")
import matplotlib.pyplot as plt


class Row(NamedTuple):
    """One figure: what was measured, latentem's, the peer's, and the floor.

    Where there is a peer the figure judged is peer / ours, to be at least `floor`;
    elsewhere it is ours, to be at most `ceiling`.
    """

    case: str
    unit: str
    ours: float
    peer: float | None = None
    floor: float | None = None
    ceiling: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.peer is None else self.peer / self.ours

    @property
    def met(self) -> bool:
        if self.ceiling is not None:
            return self.ours <= self.ceiling
        return self.floor is None or self.ratio is None or self.ratio >= self.floor


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text."""
    header = ["case", "latentem", "peer", "unit", "ratio", "floor", "", "note"]
    lines = [header]
    for row in rows:
        goal = ""
        if row.floor is not None:
            goal = f">= {row.floor:g}x"
        elif row.ceiling is not None:
            goal = f"<= {row.ceiling:g}"
        lines.append(
            [
                row.case,
                f"{row.ours:.4g}",
                "" if row.peer is None else f"{row.peer:.4g}",
                row.unit,
                "" if row.ratio is None else f"{row.ratio:.1f}x",
                goal,
                "" if not goal else "ok" if row.met else "MISSED",
                row.note,
            ]
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def plot(rows: Sequence[Row], path: Path) -> None:
    """Ratios as bars with their floors as marks; nothing where there is no peer."""
    rows = [row for row in rows if row.ratio is not None]
    if not rows:
        return
    figure, ax = plt.subplots(figsize=(7, 0.6 + 0.32 * len(rows)), layout="constrained")
    places = range(len(rows), 0, -1)
    ax.barh(places, [row.ratio or 0 for row in rows], color="#0072B2", height=0.6)
    for place, row in zip(places, rows, strict=True):
        if row.floor is not None:
            ax.plot([row.floor] * 2, [place - 0.4, place + 0.4], color="#D55E00", lw=2)
    ax.set_yticks(list(places), [row.case for row in rows])
    ax.axvline(1, color="0.6", lw=0.8)
    ax.set_xlabel("peer's time / latentem's time (mark: floor)")
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    names = ("numpy", "scipy", "numba", "scikit-learn")
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": f"Python {platform.python_version()}, latentem {latentem.__version__}, "
        + ", ".join(f"{name} {version(name)}" for name in names),
    }
