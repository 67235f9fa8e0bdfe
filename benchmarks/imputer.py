"""Missing cells: whole imputations against scikit-learn's IterativeImputer, maps against numpy.

Low-rank Gaussian data with cells missing at random. Ours is `GaussianImputer` until less
than 1e-6 nats are still to come; the peer makes ten rounds, converged or not. The map is
one of plain EM, on both sides: the difference of two numbers of maps, so that starts cancel.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes it importable
from sklearn.impute import IterativeImputer

from benchmarks.report import Row
from latentem import EM, GaussianImputer, GaussianMixture
from latentem.models import MultivariateNormal

#: Rows, columns, share missing, and the floor of the ratio of times.
CASES = [
    (10_000, 10, 0.10, 5),
    (10_000, 20, 0.20, 6),
    (2_000, 50, 0.20, 4),
    (100_000, 30, 0.05, 6),
]
#: The peer's root mean square error over ours, at least.
NO_WORSE = 0.998


def data(n: int, d: int, share: float, rank: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a factor model, and the same with cells missing."""
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d))
    whole += 0.5 * rng.normal(size=(n, d))
    return whole, np.where(rng.random((n, d)) < share, np.nan, whole)


def seconds(function) -> tuple[float, object]:
    began = time.perf_counter()
    answer = function()
    return time.perf_counter() - began, answer


def plain_em(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray, maps: int):
    """EM as a textbook has it: rows grouped by pattern, numpy for each of them."""
    missing = np.isnan(x)
    patterns, which = np.unique(missing, axis=0, return_inverse=True)
    groups = [x[which.ravel() == p] for p in range(len(patterns))]
    n, d = x.shape
    for _ in range(maps):
        total, products = np.zeros(d), np.zeros((d, d))
        for absent, rows in zip(patterns, groups, strict=True):
            o, m = np.flatnonzero(~absent), np.flatnonzero(absent)
            cross = covariance[np.ix_(o, m)]
            slopes = np.linalg.solve(covariance[np.ix_(o, o)], cross)
            filled = rows.copy()
            filled[:, m] = mean[m] + (rows[:, o] - mean[o]) @ slopes
            total += filled.sum(axis=0)
            products += filled.T @ filled
            products[np.ix_(m, m)] += len(rows) * (covariance[np.ix_(m, m)] - cross.T @ slopes)
        mean = total / n
        covariance = products / n - np.outer(mean, mean)
    return mean, covariance


def run(quick: bool) -> list[Row]:
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        GaussianImputer().fit_transform(data(500, 5, 0.2)[1])
        for n, d, share, floor in CASES:
            if quick:
                n = min(n, 5_000)
            rows += whole_imputation(n, d, share, floor, 2 if quick else 3)
        rows.append(one_map(2_000 if quick else 10_000))
        rows.append(mixture_with_gaps(20_000 if quick else 100_000))
    print()
    return rows


def whole_imputation(n: int, d: int, share: float, floor: float, repeats: int) -> list[Row]:
    whole, x = data(n, d, share)
    ours, peers = [], []
    imputer = GaussianImputer(tol=1e-6)
    for _ in range(repeats if n < 50_000 else 1):  # in turn: both see the same machine
        ours.append(seconds(lambda: imputer.fit_transform(x))[0])
        took, theirs = seconds(
            lambda: IterativeImputer(max_iter=10, random_state=0).fit_transform(x)
        )
        peers.append(took)
    assert imputer.result_.converged
    lost = np.isnan(x)
    errors = [
        float(np.sqrt(np.mean((filled - whole)[lost] ** 2)))
        for filled in (imputer.transform(x), theirs)
    ]
    case = f"{n:,} x {d}, {share:.0%} missing"
    maps = f"{imputer.n_iter_} maps, {imputer.n_patterns_:,} patterns"
    print(".", end="", flush=True)
    return [
        Row(case, "s to fit and fill", float(np.median(ours)), float(np.median(peers)), floor,
            note=maps),
        Row(case, "RMSE of cells", *errors, NO_WORSE),
    ]  # fmt: skip


def mixture_with_gaps(n: int) -> Row:
    """Plain EM maps of a mixture with a tenth of the cells missing, over those without."""
    k, d, rng = 4, 8, np.random.default_rng(0)
    means, roots = 3 * rng.normal(size=(k, d)), rng.normal(size=(k, d, d))
    kind = rng.integers(k, size=n)
    whole = means[kind] + np.einsum("nij,nj->ni", roots[kind], rng.normal(size=(n, d)))
    gaps = np.where(rng.random(whole.shape) < 0.1, np.nan, whole)
    start = {
        "weights_init": np.full(k, 1 / k),
        "means_init": means,
        "precisions_init": np.stack([np.eye(d) / 4] * k),
    }

    def per_map(x: np.ndarray) -> float:
        short, long = (
            seconds(
                lambda maps=maps: GaussianMixture(
                    k, tol=0, max_iter=maps, accelerate=None, **start
                ).fit(x)
            )[0]
            for maps in (5, 15)
        )
        return (long - short) / 10

    per_map(gaps)
    pairs = [(per_map(gaps), per_map(whole)) for _ in range(5)]
    ours, complete = (float(np.median(side)) for side in zip(*pairs, strict=True))
    print(".", end="", flush=True)
    return Row(
        f"{n:,} x 8 mixture, 10% missing", "times complete", ours / complete, ceiling=4,
        note=f"{1e3 * ours:.0f} and {1e3 * complete:.0f} ms per map",
    )  # fmt: skip


def one_map(n: int) -> Row:
    _, x = data(n, 20, 0.2)
    model = MultivariateNormal().learn(x)
    blocks = model.blocks(x)
    start = model.initialize(blocks, np.random.default_rng(0))
    ours, peers = [], []
    for _ in range(3):
        short, long = (
            seconds(lambda em=em: em.run(model, blocks, start=start))[0]
            for em in (EM(tol=0, max_iter=maps, accelerate=None) for maps in (10, 30))
        )
        ours.append((long - short) / 20)
        short, _ = seconds(lambda: plain_em(x, start.mean, start.covariance, 1))
        long, plain = seconds(lambda: plain_em(x, start.mean, start.covariance, 3))
        peers.append((long - short) / 2)
    check = EM(tol=0, max_iter=3, accelerate=None).run(model, blocks, start=start).params
    assert np.allclose(check.covariance, plain[1], atol=1e-8)
    print(".", end="", flush=True)
    return Row(
        f"{n:,} x 20, 20% missing, numpy EM", "ms per map", 1e3 * float(np.median(ours)),
        1e3 * float(np.median(peers)), 15, note="same parameters after three maps",
    )  # fmt: skip
