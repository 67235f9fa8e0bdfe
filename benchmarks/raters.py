"""Dawid and Skene against crowd-kit, per iteration; memory beside the votes.

crowd-kit is not among the extras (it brings large language models along):
``pip install crowd-kit`` before. Without it, our times alone.
"""

from __future__ import annotations

import time
import tracemalloc

import numpy as np

from benchmarks.report import Row
from latentem import DawidSkene

ITEMS, RATERS, CLASSES = 100_000, 5_000, 4
FLOOR, CEILING_MIB = 15.0, 1024.0


def votes(n: int) -> np.ndarray:
    """Item, rater, label of n votes, 70 % of them right whatever the rater."""
    rng = np.random.default_rng(0)
    items, raters = rng.integers(ITEMS, size=n), rng.integers(RATERS, size=n)
    truth = rng.integers(CLASSES, size=ITEMS)
    right = rng.random(n) < 0.7
    labels = np.where(right, truth[items], rng.integers(CLASSES, size=n))
    return np.column_stack([items, raters, labels])


def ours(triples: np.ndarray, maps: int) -> float:
    began = time.perf_counter()
    DawidSkene(tol=0, max_iter=maps, accelerate=None).fit(triples)
    return time.perf_counter() - began


def memory(triples: np.ndarray) -> float:
    """Most MiB that the arrays of a fit take at once, beside the votes."""
    tracemalloc.start()
    DawidSkene(tol=0, max_iter=5).fit(triples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def peer(triples: np.ndarray, maps: int) -> float | None:
    try:
        import pandas as pd
        from crowdkit.aggregation import DawidSkene as Peer
    except ImportError:
        return None
    frame = pd.DataFrame(triples, columns=["task", "worker", "label"])
    began = time.perf_counter()
    Peer(n_iter=maps, tol=0).fit(frame)
    return time.perf_counter() - began


def run(quick: bool) -> list[Row]:
    n = 200_000 if quick else 1_000_000
    triples = votes(n)
    ours(triples[:1000], 1)
    mine = [(ours(triples, 25) - ours(triples, 5)) / 20 for _ in range(3)]
    first, second = peer(triples, 1), peer(triples, 3)
    theirs = None if first is None or second is None else (second - first) / 2
    return [
        Row(
            f"Dawid-Skene, {n:,} votes, {RATERS:,} raters, per iteration",
            "ms",
            1e3 * float(np.median(mine)),
            None if theirs is None else 1e3 * theirs,
            floor=None if theirs is None else FLOOR,
            note="peer: crowd-kit" if theirs is not None else "crowd-kit is not installed",
        ),
        Row("memory of the fit beside the votes", "MiB", memory(triples), ceiling=CEILING_MIB),
    ]
