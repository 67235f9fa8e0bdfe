"""Peak memory of a fit beyond X, in a process of its own: mixtures and one long chain."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.report import Row

CODE = """
import resource, sys, threading, time
import numpy as np
import latentem.estimators
from latentem import GaussianMixture
n, kind = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
small = rng.normal(size=(20_000, 8))
GaussianMixture(8, covariance_type=kind, max_iter=2, tol=0, random_state=0).fit(small)
X = np.empty((n, 8))
rng.standard_normal(out=X)
X += 3 * rng.integers(4, size=(n, 1))
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
base, peak, going = resident(), [0], [True]
def watch():
    while going[0]:
        peak[0] = max(peak[0], resident())
        time.sleep(0.001)
watcher = threading.Thread(target=watch)
watcher.start()
GaussianMixture(8, covariance_type=kind, max_iter=5, tol=0, random_state=0).fit(X)
going[0] = False
watcher.join()
print((peak[0] - base) / 2**20)
"""

CHAIN = """
import resource, sys
import numpy as np
from latentem import GaussianHMM
n, memory = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
X = np.repeat(3.0 * rng.integers(8, size=n // 50), 50)[:, None]
X += rng.standard_normal(X.shape)
GaussianHMM(8, memory=memory, max_iter=2, tol=0, random_state=0).fit(X[:20_000])
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
GaussianHMM(8, memory=memory, max_iter=2, tol=0, random_state=0).fit(X)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 2**10)
"""


def run(quick: bool) -> list[Row]:
    n = 200_000 if quick else 1_000_000
    rows = []
    for kind in ("full", "diag"):
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(n), kind], capture_output=True, text=True, check=True
        )
        rows.append(Row(f"{n:,} x 8, K=8, {kind}", "MiB beyond X", float(done.stdout), ceiling=64))
    n = 1_000_000 if quick else 10_000_000
    for memory, most in (("checkpoint", 2048 - n * 8 / 2**20), ("full", None)):
        done = subprocess.run(
            [sys.executable, "-c", CHAIN, str(n), memory],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        case = f"chain of {n:,} rows, K=8, {memory}"
        rows.append(Row(case, "MiB beyond X", float(done.stdout), ceiling=most))
    return rows
