"""Factor models with missing cells: one map of EM against numpy, row by row, and whole fits.

The peer does the same arithmetic (Woodbury's identity for each row, a regression for each
column, the factors' own mean and covariance), so both must have the same parameters after three
maps. A map is a difference of two numbers of maps, so that starts cancel.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks.report import Row
from latentem import EM
from latentem.models import FactorAnalyzer, FactorParams, NormalParams
from latentem.models.factor_fit import fit_factors

#: Rows, columns, factors, share missing, and the maps that are timed.
CASES = [(10_000, 50, 5, 0.10, 40), (200, 1_000, 10, 0.20, 40)]


def data(n: int, d: int, q: int, share: float) -> np.ndarray:
    """Rows of a factor model with cells missing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, q)) @ rng.normal(size=(q, d)) + 0.5 * rng.normal(size=(n, d))
    return np.where(rng.random((n, d)) < share, np.nan, x)


def seconds(function) -> tuple[float, object]:
    began = time.perf_counter()
    answer = function()
    return time.perf_counter() - began, answer


def plain_em(x: np.ndarray, params: FactorParams, maps: int) -> FactorParams:
    """EM as a textbook has it, each row on its own."""
    n, d = x.shape
    q = params.loadings.shape[1]
    mean, loadings, noise, factors = params
    seen = [np.flatnonzero(~np.isnan(row)) for row in x]
    for _ in range(maps):
        gram, cross = np.zeros((d, q + 1, q + 1)), np.zeros((d, q + 1))
        squares, overall = np.zeros(d), np.zeros((q + 1, q + 1))
        precision = np.linalg.inv(factors.covariance)
        for row, o in zip(x, seen, strict=True):
            scaled = loadings[o].T / noise[o]
            inside = np.linalg.inv(precision + scaled @ loadings[o])
            rest = scaled @ (row[o] - mean[o]) + precision @ factors.mean
            g = np.append(inside @ rest, 1.0)
            square = np.outer(g, g)
            square[:q, :q] += inside
            gram[o] += square
            cross[o] += np.outer(row[o], g)
            squares[o] += row[o] ** 2
            overall += square
        beta = np.linalg.solve(gram, cross[:, :, None])[:, :, 0]
        mean, loadings = beta[:, q], beta[:, :q]
        noise = (squares - np.sum(beta * cross, axis=1)) / gram[:, q, q]
        centre = overall[q, :q] / n
        factors = NormalParams(centre, overall[:q, :q] / n - np.outer(centre, centre))
    return FactorParams(mean, loadings, noise, factors)


def run(quick: bool) -> list[Row]:
    rows = []
    warm = data(100, 6, 2, 0.1)
    EM(tol=0, max_iter=2).run(FactorAnalyzer(2).learn(warm), warm)
    for n, d, q, share, maps in CASES:
        rows += one_case(min(n, 2_000) if quick else n, d, q, share, maps)
    print()
    return rows


def one_case(n: int, d: int, q: int, share: float, maps: int) -> list[Row]:
    x = data(n, d, q, share)
    model = FactorAnalyzer(q).learn(x)
    blocks = model.blocks(x)
    start = model.initialize(blocks, np.random.default_rng(0))
    ours, peers = [], []
    for _ in range(3):  # in turn: both see the same machine
        short, long = (
            seconds(lambda em=em: em.run(model, blocks, start=start))[0]
            for em in (EM(tol=0, max_iter=k, accelerate=None) for k in (10, 10 + maps))
        )
        ours.append((long - short) / maps)
        short, _ = seconds(lambda: plain_em(x, start, 1))
        long, plain = seconds(lambda: plain_em(x, start, 3))
        peers.append((long - short) / 2)
    check = EM(tol=0, max_iter=3, accelerate=None).run(model, blocks, start=start).params
    assert np.allclose(check.loadings, plain.loadings, atol=1e-8)
    assert np.allclose(check.noise, plain.noise, atol=1e-8)
    settings = EM(tol=1e-3)
    whole, result = seconds(lambda: fit_factors(model, x, settings, np.random.default_rng(0)))
    assert result.converged
    case = f"{n:,} x {d:,}, q={q}, {share:.0%} missing"
    print(".", end="", flush=True)
    return [
        Row(case, "ms per map", 1e3 * float(np.median(ours)), 1e3 * float(np.median(peers)),
            note="same parameters after three maps"),
        Row(case, "s for a fit", whole, note=f"{result.n_iter} maps"),
    ]  # fmt: skip
