"""Seconds per plain EM iteration against scikit-learn's GaussianMixture, same start.

(time of 20 maps - time of 10 maps) / 10 with kernels warm, so that start,
validation and the last E-step cancel; median over pairs run in turn.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Peer

from benchmarks.report import Row
from latentem import GaussianMixture

CASES = [
    (100_000, 2, 3, "full", 10),
    (100_000, 2, 3, "diag", 12),
    (100_000, 16, 10, "full", 8),
    (100_000, 16, 10, "diag", 6),
    (100_000, 32, 20, "full", 6),
    (100_000, 32, 20, "diag", 4),
    (20_000, 64, 20, "full", 3),
    (20_000, 64, 20, "diag", 2.5),
    (1_000_000, 8, 8, "full", 14),
    (1_000_000, 8, 8, "diag", 12),
    (1_000_000, 8, 8, "tied", 8),
    (1_000_000, 8, 8, "spherical", 8),
]


def data(n: int, d: int, k: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    means = 2 * rng.normal(size=(k, d))
    return means[rng.integers(k, size=n)] + rng.normal(size=(n, d))


def start(X: np.ndarray, k: int, kind: str) -> dict:
    rng = np.random.default_rng(1)
    d = X.shape[1]
    precisions = {
        "full": np.stack([np.eye(d)] * k),
        "tied": np.eye(d),
        "diag": np.ones((k, d)),
        "spherical": np.ones(k),
    }
    return {
        "weights_init": np.full(k, 1 / k),
        "means_init": X[rng.choice(len(X), k, replace=False)],
        "precisions_init": precisions[kind],
        "covariance_type": kind,
        "reg_covar": 0.0,
        "tol": 0.0,
    }


def timed(model, X) -> float:
    began = time.perf_counter()
    model.fit(X)
    return time.perf_counter() - began


def run(quick: bool) -> list[Row]:
    rows = []
    for n, d, k, kind, floor in CASES:
        if quick and n > 100_000:
            n = 200_000
        X = data(n, d, k)
        settings = start(X, k, kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            GaussianMixture(k, max_iter=2, accelerate=None, **settings).fit(X)
            ours, peer = [], []
            for _ in range(2 if quick else 5):
                short, long = (
                    GaussianMixture(k, max_iter=maps, accelerate=None, **settings)
                    for maps in (10, 20)
                )
                ours.append((-timed(short, X) + timed(long, X)) / 10)
                short_peer, long_peer = (Peer(k, max_iter=maps, **settings) for maps in (10, 20))
                peer.append((-timed(short_peer, X) + timed(long_peer, X)) / 10)
        total = long_peer.score(X) * n
        apart = abs(total - long.loglik_) / abs(total)
        assert apart < 1e-9, f"log-likelihoods differ by {apart:.1e}"
        rows.append(
            Row(
                f"{n:,} x {d}, K={k}, {kind}",
                "ms per iteration",
                1e3 * float(np.median(ours)),
                1e3 * float(np.median(peer)),
                floor,
                note=f"log-likelihood apart by {apart:.0e}",
            )
        )
        print(".", end="", flush=True)
    print()
    return rows
