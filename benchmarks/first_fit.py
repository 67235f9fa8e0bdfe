"""The first fit of a fresh process, with an empty and a warm kernel cache; imports."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import numpy as np

from benchmarks.report import Row

FIT = """
import time
import latentem, latentem.estimators
from latentem.datasets import load_faithful
X = load_faithful().data
began = time.perf_counter()
latentem.GaussianMixture(2, random_state=0).fit(X)
print(time.perf_counter() - began)
"""
IMPORT = "import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"


def seconds(code: str, **environment: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def run(quick: bool) -> list[Row]:
    times = 2 if quick else 5
    with tempfile.TemporaryDirectory() as cache:
        cold = [seconds(FIT, NUMBA_CACHE_DIR=f"{cache}/{i}") for i in range(times)]
        warm = [seconds(FIT, NUMBA_CACHE_DIR=f"{cache}/0") for _ in range(times)]
    ours = [seconds(IMPORT.format(name="latentem")) for _ in range(times)]
    peer = [seconds(IMPORT.format(name="sklearn.mixture")) for _ in range(times)]
    return [
        Row("first fit, empty kernel cache", "s", float(np.median(cold)), ceiling=6.0),
        Row("first fit, warm kernel cache", "s", float(np.median(warm)), ceiling=0.5),
        Row(
            "import latentem / sklearn.mixture",
            "s",
            float(np.median(ours)),
            float(np.median(peer)),
            floor=1.0,
        ),
    ]
