"""Naive Bayes with few labels: a map against the two sparse products it needs, memory, accuracy.

10,000 documents of about 100 words out of 20,000, in 20 classes, all but 300 without a label. The
products are those of the counts with the log probabilities, and of the posteriors with the counts,
on one thread, as the maps. A dense table of the counts would take 1,600 MB.
"""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
from sklearn.naive_bayes import MultinomialNB

from benchmarks.report import Row
from latentem import SemiSupervisedNB
from tests.estimators.texts import hidden, text

LABELS = 300
PLAIN = {"tol": 0.0, "accelerate": None, "n_jobs": 1}


def run(quick: bool) -> list[Row]:
    n, fresh = (2_000 if quick else 10_000), 2_000
    X, y = text(np.random.default_rng(0), n + fresh, 20_000, n_classes=20, length=100, like=1.0)
    new, truth = X[n:], y[n:]
    X, y = X[:n].copy(), hidden(y[:n], LABELS)
    case = f"{n:,} documents x 20,000 words, 20 classes"
    return [
        a_map(case, X, y, 2 if quick else 4),
        memory(case, X, y),
        Row(
            f"{case}: error of new documents",
            "share",
            1 - SemiSupervisedNB().fit(X, y).score(new, truth),
            1 - MultinomialNB().fit(X[:LABELS], y[:LABELS]).score(new, truth),
            note="peer: the 300 labels alone",
        ),
    ]


def a_map(case: str, X, y, rounds: int) -> Row:
    """Seconds of a map, a difference of fits of 12 and 2, and of the products, in turn."""
    logs = np.random.default_rng(1).random((X.shape[1], 20))
    shares = np.random.default_rng(2).random((X.shape[0], 20))

    def products() -> None:
        for _ in range(10):
            X @ logs
            X.T @ shares

    ours, peer, cpu = [], [], []
    for _ in range(rounds):
        few, more = (
            seconds(lambda m=m: SemiSupervisedNB(**PLAIN, max_iter=m).fit(X, y)) for m in (2, 12)
        )
        ours.append((more[0] - few[0]) / 10)
        cpu.append((more[1] - few[1]) / 10)
        peer.append(seconds(products)[0] / 10)
    note = f"peer: the two products; {1e3 * np.median(cpu):.0f} ms of processor time"
    return Row(f"{case}: a map", "ms", 1e3 * np.median(ours), 1e3 * np.median(peer), note=note)


def seconds(function) -> tuple[float, float]:
    """Wall and processor seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def memory(case: str, X, y) -> Row:
    tracemalloc.start()
    try:
        SemiSupervisedNB(**PLAIN, max_iter=3).fit(X, y).predict_proba(X)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    dense = 8 * X.shape[0] * X.shape[1] / 2**20
    return Row(
        f"{case}: memory", "MiB", peak, ceiling=dense / 8, note=f"a dense table: {dense:.0f}"
    )
