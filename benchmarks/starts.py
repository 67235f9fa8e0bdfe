"""Local maxima: how often each strategy finds the best known one, and at what cost.

Twenty seeded Gaussian mixtures of 8 to 20 components in 2 to 6 dimensions, full, diagonal and
spherical in turn, with unequal sizes and weights and some overlap. `GaussianMixture`
with ``init_strategy="split-merge"`` against scikit-learn's ``n_init=10``, in turn. The best
known maximum of a problem is the highest sound one of everything that is tried, a longer search
included. Ends are compared after EM to a tight tolerance from where they stopped (not timed, the
peer stops early); within `NEAR` of the absolute log-likelihood an end is the best known one. Sound
are ends that are not degenerate and have at least ``SMALL`` of an even share of the rows
in each component.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
from sklearn.mixture import GaussianMixture as Peer

from benchmarks.report import Row
from latentem import GaussianMixture

KINDS = ("full", "diag", "spherical")
#: Share of the absolute log-likelihood within which two ends are one.
NEAR = 1e-5
#: Share of an even share of the rows that a sound component has.
SMALL = 0.1
STRATEGIES = ("restarts", "short-runs", "annealing")


def problem(seed: int) -> tuple[np.ndarray, int, str]:
    """Rows (n, d), the number of components, and the kind of covariances."""
    rng = np.random.default_rng([2003, seed])
    k, kind, d = int(rng.integers(8, 21)), KINDS[seed % 3], int(rng.choice([2, 3, 4, 6]))
    shares = np.maximum(rng.dirichlet(np.full(k, 2.0)), 0.25 / k)
    reach = 2.2 * k ** (1 / d)
    means = rng.uniform(-reach, reach, size=(k, d))
    size = np.exp(rng.normal(0, 0.5, size=k))
    labels = rng.choice(k, size=150 * k, p=shares / shares.sum())
    X = rng.normal(size=(len(labels), d))
    for c in range(k):
        axes = np.eye(d)
        if kind == "full":
            axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
        if kind != "spherical":
            axes = axes * np.exp(rng.normal(0, 0.5, size=d))
        X[labels == c] = means[c] + size[c] * X[labels == c] @ axes.T
    return X, k, kind


def run(quick: bool) -> list[Row]:
    seeds = range(6 if quick else 20)
    names = ["split-merge", "peer", *STRATEGIES]
    found = {name: np.empty(len(seeds)) for name in names}
    wall, cpu = (dict.fromkeys(names, 0.0) for _ in range(2))
    best = np.empty(len(seeds))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        GaussianMixture(3, random_state=0).fit(problem(0)[0][:500])
        for place, seed in enumerate(seeds):
            X, k, kind = problem(seed)
            for name in names:
                began, used = time.perf_counter(), time.process_time()
                fit = _fit(name, k, kind, seed, X)
                wall[name] += time.perf_counter() - began
                cpu[name] += time.process_time() - used
                found[name][place] = _end(fit, X)
            longer = [
                _end(_fit("split-merge", k, kind, 1000 + 10 * seed + i, X), X) for i in range(4)
            ]
            best[place] = max(*longer, *(found[name][place] for name in names))
    n = len(seeds)
    hits = {name: int(np.sum(found[name] >= best - NEAR * np.abs(best))) for name in names}
    note = f"split-merge {hits['split-merge']} of {n}, peer {hits['peer']} of {n}"
    rows = [
        Row(f"{n} mixtures, best missed", "", n - hits["split-merge"], ceiling=0.2 * n, note=note),
        Row(f"{n} mixtures", "s", wall["split-merge"], wall["peer"], 1.0),
        Row(f"{n} mixtures", "s of CPU", cpu["split-merge"], cpu["peer"], 1.0),
    ]
    for name in STRATEGIES:
        note = f"{hits[name]} of {n}"
        rows.append(Row(f"init_strategy={name!r}", "s of CPU", cpu[name], cpu["peer"], note=note))
    return rows


def _fit(name: str, k: int, kind: str, seed: int, X: np.ndarray) -> Any:
    if name == "peer":
        return Peer(k, covariance_type=kind, n_init=10, random_state=seed).fit(X)
    return GaussianMixture(k, covariance_type=kind, random_state=seed, init_strategy=name).fit(X)


def _end(fit: Any, X: np.ndarray) -> float:
    """Log-likelihood of a sound end, -inf of others."""
    end = GaussianMixture(
        fit.n_components,
        covariance_type=fit.covariance_type,
        weights_init=fit.weights_,
        means_init=fit.means_,
        precisions_init=fit.precisions_,
        tol=1e-4,
    ).fit(X)
    small = end.weights_.min() < SMALL / fit.n_components
    return -np.inf if small or end.result_.degenerate else end.loglik_
