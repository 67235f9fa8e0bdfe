"""Data that do not fit: rate and memory out of core, Dask against threads, a stream against a fit.

Each measurement runs in processes of its own; iterations are timed between states of the driver.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Row

MAKE = """
import sys
import numpy as np
path, n = sys.argv[1], int(sys.argv[2])
out = np.lib.format.open_memmap(path, "w+", float, (n, 8))
rng = np.random.default_rng(0)
centres = rng.normal(0, 3, (8, 8))
for begin in range(0, n, 250_000):
    rows = min(250_000, n - begin)
    out[begin : begin + rows] = centres[rng.integers(8, size=rows)]
    out[begin : begin + rows] += rng.normal(size=(rows, 8))
out.flush()
"""

FIT = """
import json, sys, threading, time
import numpy as np
from latentem import EM, ArraySource, families, models
path, n, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
model = models.Mixture(families.Gaussian("full"), 8)
def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024
if __name__ == "__main__":
    mapped = np.load(path, mmap_mode="r")[:n]
    few = np.array(mapped[:16_000])
    start = EM(max_iter=2, tol=0, accelerate=None).run(model, few, rng=0).params
    times, settings = [], {"max_iter": 4, "tol": 0, "accelerate": None}
    settings["callbacks"] = [lambda state: times.append((time.perf_counter(), time.process_time()))]
    if kind == "memory":
        data = np.array(mapped)
    elif kind == "file":
        data = ArraySource(mapped)
    else:
        import dask.array as da
        from distributed import Client, LocalCluster
        cluster = LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        )
        client = Client(cluster)
        size = n // 16
        def part(i):
            return np.array(np.load(path, mmap_mode="r")[i * size : (i + 1) * size])
        from dask import delayed
        data = da.concatenate(
            [da.from_delayed(delayed(part)(i), (size, 8), float) for i in range(16)]
        )
    peak, going = [0.0], [True]
    def watch():
        while going[0]:
            peak[0] = max(peak[0], anonymous())
            time.sleep(0.01)
    watcher = threading.Thread(target=watch)
    watcher.start()
    if kind == "dask":
        with client, cluster:
            EM(**settings).run(model, data, start=start)
    else:
        EM(**settings).run(model, data, start=start)
    going[0] = False
    watcher.join()
    steps = np.diff(np.array(times), axis=0)[1:]  # the first map still wakes threads and workers
    print(json.dumps({"wall": steps[:, 0].min(), "cpu": steps[:, 1].min(), "peak": peak[0]}))
"""

STREAM = """
import sys
import numpy as np
from latentem import GaussianMixture
rows = np.array(np.load(sys.argv[1], mmap_mode="r"))
stream = GaussianMixture(8, random_state=0).partial_fit(rows[:20_000])
start = {"weights_init": stream.weights_, "means_init": stream.means_,
         "precisions_init": stream.precisions_}
for begin in range(20_000, len(rows), 20_000):
    stream.partial_fit(rows[begin : begin + 20_000])
whole = GaussianMixture(8, max_iter=60, tol=10, **start).fit(rows)
print(whole.score(rows) - stream.score(rows))
"""


def _python(code: str, *arguments: object) -> str:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "measure.py"  # workers of Dask import it again
        script.write_text(code)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", script, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=True,
        )
    return done.stdout


def run(quick: bool) -> list[Row]:
    n = 1_000_000 if quick else 5_000_000
    rounds = 1 if quick else 2
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        _python(MAKE, path, n)
        best: dict[str, dict[str, float]] = {}
        for _ in range(rounds):
            for kind in ("memory", "file", "dask"):
                found = json.loads(_python(FIT, path, n, kind))
                best[kind] = min(found, best.get(kind, found), key=lambda one: one["wall"])
        small = json.loads(_python(FIT, path, n // 5, "file"))
        label = f"{n:,} x 8, K=8, full"
        rows.append(
            Row(label, "out of core / in memory, CPU", best["file"]["cpu"] / best["memory"]["cpu"],
                ceiling=1 / 0.7)
        )  # fmt: skip
        rows.append(
            Row(label, "out of core / in memory", best["file"]["wall"] / best["memory"]["wall"])
        )
        rows.append(
            Row(label, "2 Dask workers / 2 threads", best["dask"]["wall"] / best["memory"]["wall"],
                ceiling=1.3)
        )  # fmt: skip
        rows.append(
            Row(label, "MiB anonymous / those of a fifth", best["file"]["peak"] / small["peak"],
                ceiling=1.2)
        )  # fmt: skip
        rows.append(Row(label, "MiB anonymous out of core", best["file"]["peak"], ceiling=1024))
        few = Path(folder) / "few.npy"
        _python(MAKE, few, 200_000 if quick else 1_000_000)
        lost = float(_python(STREAM, few))
        rows.append(Row("one pass, K=8", "1000 nats a row lost by partial_fit", 1e3 * lost,
                        ceiling=5))  # fmt: skip
    return rows
