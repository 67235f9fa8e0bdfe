"""`select` over four covariance types and 1..9 components on Old Faithful, warm."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.report import Row
from latentem import GaussianMixture, select
from latentem.datasets import load_faithful


def run(quick: bool) -> list[Row]:
    X = load_faithful().data
    seconds = []
    for _ in range(3 if quick else 7):
        began = time.perf_counter()
        chosen = select(
            GaussianMixture(random_state=0),
            X,
            n_components=range(1, 10),
            covariance_type=["full", "tied", "diag", "spherical"],
        )
        seconds.append(time.perf_counter() - began)
    best = f"{chosen.best.covariance_type}, K={chosen.best.n_components}"
    return [Row("36 candidates", "s", float(np.median(seconds[1:])), ceiling=1.0, note=best)]
