"""Hidden Markov models against hmmlearn, same start, diag Gaussian rows.

Baum-Welch: seconds per plain iteration, from the peer's difference between two numbers of
iterations and from our history of E-steps, so that starts and checks cancel; the fastest of
several. Priors of the peer are switched off, and both must have the same log-likelihood.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from hmmlearn.hmm import GaussianHMM as Peer
from hmmlearn.hmm import PoissonHMM as PoissonPeer

from benchmarks.report import Row
from latentem import GaussianHMM, PoissonHMM
from latentem.datasets import load_earthquakes

#: Sequences, length, K, D, and floors against the peer's "log" and "scaling".
CASES = [
    (1, 100_000, 3, 1, 6, 1.2),
    (1, 100_000, 10, 4, 18, 3.5),
    (100, 1000, 5, 2, 14, 3.3),
    (20, 5000, 32, 4, 50, 9),
    (1000, 100, 4, 1, 20, 6),
    (1, 50_000, 64, 4, 50, 7),
]


def simulate(sequences: int, length: int, k: int, d: int) -> tuple[np.ndarray, list[int], dict]:
    """Rows, lengths and a start beside the truth."""
    rng = np.random.default_rng(0)
    moves = 0.7 * np.eye(k) + 0.3 * rng.dirichlet(np.full(k, 0.5), k)
    means = rng.normal(0, 3, (k, d))
    truth = GaussianHMM.from_parameters(
        startprob=np.full(k, 1 / k),
        transmat=moves / moves.sum(axis=1, keepdims=True),
        means=means,
        covariances=np.ones((k, d)),
    )
    X = np.concatenate([truth.sample(length, s)[0] for s in range(sequences)])
    start = {
        "startprob": np.full(k, 1 / k),
        "transmat": np.full((k, k), 0.3 / k) + 0.7 * np.eye(k),
        "means": means + 0.3,
        "covariances": np.full((k, d), 2.0),
    }
    return X, [length] * sequences, start


def ours(start: dict, **settings: Any) -> GaussianHMM:
    init = {f"{name}_init": value for name, value in start.items()}
    return GaussianHMM(len(start["means"]), accelerate=None, **init, **settings)


def peer(start: dict, implementation: str, n_iter: int, tol: float = -np.inf) -> Peer:
    model = Peer(
        len(start["means"]),
        covariance_type="diag",
        n_iter=n_iter,
        tol=tol,
        implementation=implementation,
        init_params="",
        covars_prior=0,
        covars_weight=0,
        min_covar=0,
    )
    model.startprob_, model.transmat_ = start["startprob"], start["transmat"]
    model.means_, model.covars_ = start["means"], start["covariances"]
    return model


def seconds(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def per_iteration(X: np.ndarray, lengths: list[int], start: dict, n_jobs: int | None) -> float:
    found = []
    for _ in range(3):
        fit = ours(start, tol=0, max_iter=8, n_jobs=n_jobs).fit(X, lengths=lengths)
        found.append(float(np.median(np.diff(fit.result_.history["seconds"]))))
    return min(found)


def peer_per_iteration(
    X: np.ndarray, lengths: list[int], start: dict, how: str, times: int
) -> float:
    long = 3 if how == "log" else 5
    found = []
    for _ in range(times):
        spent = [seconds(lambda n=n: peer(start, how, n).fit(X, lengths)) for n in (1, long)]
        found.append((spent[1] - spent[0]) / (long - 1))
    return min(found)


def run(quick: bool) -> list[Row]:
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for sequences, length, k, d, log_floor, floor in CASES:
            if quick and length > 1000:
                length //= 5
            X, lengths, start = simulate(sequences, length, k, d)
            case = f"{sequences:,} x {length:,}, K={k}, D={d}"
            ours(start, tol=0, max_iter=2).fit(X, lengths=lengths)
            mine = per_iteration(X, lengths, start, None)
            alone = per_iteration(X, lengths, start, 1)
            for how, least, times in (("scaling", floor, 3), ("log", log_floor, 1)):
                other = peer_per_iteration(X, lengths, start, how, times)
                rows.append(
                    Row(f"{case}, {how}", "ms per iteration", 1e3 * mine, 1e3 * other, least)
                )
            apart = likelihoods_apart(X, lengths, start)
            rows[-2] = rows[-2]._replace(note=f"log-likelihood apart by {apart:.0e}")
            rows.append(Row(f"{case}, one thread", "ms per iteration", 1e3 * mine, 1e3 * alone))
            rows += decoding(case, X, lengths, start)
            print(".", end="", flush=True)
        rows += whole_fits()
    print()
    return rows


def likelihoods_apart(X: np.ndarray, lengths: list[int], start: dict) -> float:
    """Largest relative difference of the log-likelihoods of the first iterations."""
    fit = ours(start, tol=0, max_iter=4).fit(X, lengths=lengths)
    reference = np.array(peer(start, "scaling", 5).fit(X, lengths).monitor_.history)
    found = fit.result_.history.objectives[: len(reference)]
    apart = float(np.max(np.abs(found - reference[: len(found)]) / np.abs(found)))
    assert apart < 1e-9, f"log-likelihoods differ by {apart:.1e}"
    return apart


def decoding(case: str, X: np.ndarray, lengths: list[int], start: dict) -> list[Row]:
    mine, other = GaussianHMM.from_parameters(**start), peer(start, "scaling", 1)
    rows = []
    for name in ("predict", "predict_proba"):
        a = min(seconds(lambda n=name: getattr(mine, n)(X, lengths=lengths)) for _ in range(4))
        b = min(seconds(lambda n=name: getattr(other, n)(X, lengths)) for _ in range(2))
        rows.append(Row(f"{case}, {name}", "ms", 1e3 * a, 1e3 * b, 3))
    return rows


def whole_fits() -> list[Row]:
    """To a tight optimum, against what the peer needs for its loose default (tol 0.01)."""
    X, lengths, start = simulate(100, 1000, 5, 2)
    init = {f"{name}_init": value for name, value in start.items()}

    def loose() -> None:
        peer(start, "log", 100, tol=0.01).fit(X, lengths)

    rows = [
        Row(
            "100 x 1,000, K=5, D=2, whole fit",
            "s",
            min(
                seconds(lambda: GaussianHMM(5, tol=1e-6, **init).fit(X, lengths=lengths))
                for _ in range(3)
            ),
            min(seconds(loose) for _ in range(2)),
            1,
            note="to 1e-6 nats; peer to its default tol",
        )
    ]
    counts = load_earthquakes()[["count"]]
    lambdas, moves = np.array([[10.0], [20.0], [30.0]]), 0.1 + 0.7 * np.eye(3)

    def quakes() -> None:
        PoissonHMM(
            3, startprob_init=np.full(3, 1 / 3), transmat_init=moves, lambdas_init=lambdas, tol=1e-6
        ).fit(counts)

    def loose_quakes() -> None:
        model = PoissonPeer(3, n_iter=100, init_params="", lambdas_prior=0, lambdas_weight=0)
        model.startprob_, model.transmat_ = np.full(3, 1 / 3), moves
        model.lambdas_ = lambdas
        model.fit(counts.astype(int))

    quakes()
    mine = min(seconds(quakes) for _ in range(10))
    rows.append(
        Row(
            "earthquakes, K=3, whole fit",
            "s",
            mine,
            min(seconds(loose_quakes) for _ in range(10)),
            1,
            note="to 1e-6 nats; peer to its default tol",
        )
    )
    return rows
