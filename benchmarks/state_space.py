"""State-space models: one map of EM against pykalman's, from the same parameters."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.report import Row
from latentem import EM, LinearGaussianSSM
from latentem.models import LinearGaussian, LinearGaussianParams

CASES = [(2_000, 5, 2)]


def one_map(function, times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        function()
    return (time.process_time() - began) / times


def run(quick: bool) -> list[Row]:
    rows = [one_case(*case, quick) for case in CASES]
    print()
    return rows


def one_case(t: int, n: int, d: int, quick: bool) -> Row:
    from pykalman import KalmanFilter

    rng = np.random.default_rng(0)
    a = 0.95 * np.linalg.qr(rng.normal(size=(n, n)))[0]
    c = rng.normal(size=(d, n))
    y, _ = LinearGaussianSSM.from_parameters(a, c, 0.1 * np.eye(n), 0.2 * np.eye(d)).sample(
        t, random_state=0
    )
    start = LinearGaussianParams(
        np.zeros(n), np.eye(n), 0.9 * a, np.zeros((n, 0)), c, np.zeros((d, 0)),
        0.3 * np.eye(n), 0.3 * np.eye(d),
    )  # fmt: skip
    model = LinearGaussian(n, noise="full", start=start)
    (block,) = model.blocks(y)

    def ours() -> None:
        expectation = model.e_step(model.prepare(start), block)
        model.m_step(expectation.statistics, start)

    peer = KalmanFilter(
        start.transition, c, start.transition_covariance, start.observation_covariance,
        initial_state_mean=start.initial_mean, initial_state_covariance=np.eye(n),
        em_vars=["transition_matrices", "observation_matrices", "transition_covariance",
                 "observation_covariance", "initial_state_mean", "initial_state_covariance"],
    )  # fmt: skip
    EM(max_iter=1, tol=0, accelerate=None).run(model, y[:50], start)  # compiles
    own, others = [], []
    for _ in range(2 if quick else 4):  # in turn: both see the same machine
        own.append(one_map(ours, 20))
        others.append(one_map(lambda: peer.em(y, n_iter=1), 1))
        print(".", end="", flush=True)
    return Row(
        f"{t:,} steps, {n} states, {d} outputs", "CPU ms per map",
        1e3 * float(np.median(own)), 1e3 * float(np.median(others)), floor=20.0,
        note="pykalman; everything estimated",
    )  # fmt: skip
