"""Images behind counts: deconvolution against scikit-image, tomography against scipy's products.

Deconvolution: a map is a difference of two numbers of iterations, both libraries in turn. The
likelihood to reach is that of 100 exact iterations (the peer's own, which is not right at the
borders, is lower and reached in a few maps). Tomography: a map against the two products with the
system matrix that it needs, both on one thread.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks.report import Row
from latentem import EM, datasets
from latentem.models import PoissonLinear
from latentem.operators import Convolution, ParallelBeam

PLAIN = {"tol": 0, "accelerate": None}


def seconds(function) -> tuple[float, float]:
    """Wall and processor seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def per_map(run, few: int, more: int) -> np.ndarray:
    """Wall and processor seconds of one of its iterations."""
    return (np.array(seconds(lambda: run(more))) - seconds(lambda: run(few))) / (more - few)


def until(em: EM, model: PoissonLinear, data, target: float) -> tuple[float, int]:
    """Seconds and E-steps to a log-likelihood."""
    for state in em.iterate(model, data):
        if state.objective >= target:
            return state.seconds, state.n_e_steps
    raise AssertionError("the likelihood was not reached")


def run(quick: bool) -> list[Row]:
    return deconvolution(256 if quick else 1024, 2 if quick else 4) + tomography(3 if quick else 6)


def deconvolution(n: int, rounds: int) -> list[Row]:
    row, column = np.indices((15, 15)) - 7
    psf = np.exp(-(row**2 + column**2) / 12.5)
    psf /= psf.sum()
    rng = np.random.default_rng(0)
    scene = 2.0 + 70 * datasets.concrete_section(n)[0] + 20 * rng.random((n, n))
    operator = Convolution(psf, (n, n), "zero")
    y = rng.poisson(operator.forward(scene)).astype(float)
    model, data, case = PoissonLinear(), (operator, y), f"deconvolution {n} x {n}"

    def ours(maps: int) -> None:
        EM(**PLAIN, max_iter=maps).run(model, data)

    try:
        from skimage.restoration import richardson_lucy
    except ImportError:
        return [Row(case, "ms per map", 1e3 * per_map(ours, 2, 12)[0], note="no scikit-image")]

    def peer(maps: int) -> None:
        richardson_lucy(y, psf, num_iter=maps, clip=False)

    times = np.array([(per_map(ours, 2, 12), per_map(peer, 2, 12)) for _ in range(rounds)])
    (wall, cpu), (peer_wall, peer_cpu) = 1e3 * np.median(times, axis=0)
    target = EM(**PLAIN, max_iter=100).run(model, data).loglik
    hundred, _ = seconds(lambda: peer(100))
    rows = [
        Row(case, "ms per map", wall, peer_wall, floor=1.5, note="scikit-image"),
        Row(case, "ms of processor per map", cpu, peer_cpu),
    ]
    for name in ("squarem", "anderson"):
        took, steps = until(EM(tol=0, max_iter=100, accelerate=name), model, data, target)
        note = f"{name}, {steps} E-steps to the likelihood of 100 exact iterations"
        floor = 5 if name == "anderson" else None
        rows.append(Row(case, "s", took, hundred, floor=floor, note=note))
    x = richardson_lucy(y, psf, num_iter=100, clip=False)
    mean = np.maximum(operator.forward(x), 1e-300)
    (block,) = model.blocks(data)
    reached = float(np.vdot(y, np.log(mean)) - mean.sum() - block.constant)
    took, steps = until(EM(tol=0, max_iter=100, accelerate="squarem"), model, data, reached)
    rows.append(Row(case, "s", took, hundred, floor=5, note=f"{steps} E-steps to the peer's own"))
    return rows


def tomography(rounds: int) -> list[Row]:
    n, views = 256, 180
    rays = ParallelBeam(np.arange(views, dtype=float), n)
    truth = datasets.concrete_section(n)[0]
    y = np.random.default_rng(0).poisson(4 * rays.forward(truth)).astype(float)
    model, case = PoissonLinear(), f"tomography {n} x {n}, {views} views"
    blocks = model.blocks((rays, y))
    matrix, back = rays.matrix, rays.matrix.T
    image, data = np.ones(n * n), np.ones(y.size)

    def products(count: int) -> None:
        for _ in range(count):
            matrix @ image
            back @ data

    def ours(maps: int) -> None:
        EM(**PLAIN, max_iter=maps, n_jobs=1).run(model, blocks)

    times = np.array([(per_map(ours, 1, 11), per_map(products, 1, 11)) for _ in range(rounds)])
    (wall, _), (peer, _) = 1e3 * np.median(times, axis=0)
    whole = EM(**PLAIN, max_iter=100).run(model, blocks)
    rows = [Row(case, "ms per map", wall, peer, floor=1 / 1.2, note="two products of scipy.sparse")]
    for subsets in (10, 20):
        dealt = PoissonLinear(subsets=subsets).blocks((rays, y))
        for passes in range(1, 16):
            em = EM(tol=0, subsets=subsets, max_iter=subsets * passes)
            found = em.run(PoissonLinear(subsets=subsets), dealt)
            if found.loglik >= whole.loglik:
                break
        note = f"{subsets} subsets, with the pass at the start and at the end"
        rows.append(Row(case, "passes", found.n_e_steps, 100, ceiling=15, note=note))
    print()
    return rows
