"""
When the data outgrow you
=========================

A Gaussian mixture fitted to an array, to the same rows in a memmap and in a Parquet file,
and to a stream of chunks. The guide page of this name says when to use which.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import latentem

rng = np.random.default_rng(0)
centres = np.array([[0.0, 0.0], [4.0, 1.0], [1.0, 5.0]])
X = centres[rng.integers(3, size=60_000)] + rng.normal(size=(60_000, 2))

folder = tempfile.TemporaryDirectory()
npy, parquet = Path(folder.name) / "rows.npy", Path(folder.name) / "rows.parquet"
np.save(npy, X)
pd.DataFrame(X, columns=["a", "b"]).to_parquet(parquet, row_group_size=10_000)

# %%
# A memmap and the path of a Parquet file stand where an array would.

array = latentem.GaussianMixture(3, random_state=0).fit(X)
memmap = latentem.GaussianMixture(3, random_state=0).fit(np.load(npy, mmap_mode="r"))
file = latentem.GaussianMixture(3, random_state=0).fit(parquet)
print("memmap, the same bits:", memmap.loglik_ == array.loglik_)
print(f"Parquet, log-likelihood less that of the array: {file.loglik_ - array.loglik_:.2g}")

# %%
# Answers go to a file as they come.

labels = array.predict(parquet, out=parquet.with_name("labels.parquet"))
print(pd.read_parquet(labels)["predict"].value_counts().sort_index().tolist())

# %%
# A stream: every chunk is seen once and forgotten.

stream = latentem.GaussianMixture(3, random_state=0)
seen, gaps = [], []
for begin in range(0, len(X), 2_000):
    stream.partial_fit(X[begin : begin + 2_000])
    seen.append(begin + 2_000)
    gaps.append(array.score(X) - stream.score(X))

# %%
# Left: what the stream still lacks, in nats a row. Right: seconds and memory of fits to a memmap
# of 8 columns with 8 components, measured on two cores (``python -m benchmarks scale``): time is
# linear in rows, and memory does not grow.

measured = np.array(  # rows, CPU seconds an iteration, MiB
    [[1e6, 0.18, 170], [5e6, 0.82, 168], [2e7, 3.64, 172], [5e7, 8.49, 170]]
)
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.semilogy(seen, gaps, "o-", ms=3)
left.set(xlabel="rows seen", ylabel="nats a row below the batch fit", title="partial_fit")
right.loglog(measured[:, 0], measured[:, 1], "o", label="CPU seconds an iteration")
right.loglog(measured[:, 0], measured[0, 1] * measured[:, 0] / 1e6, ":", label="linear in rows")
right.set(xlabel="rows in the file", ylabel="CPU seconds", title="out of core")
right.legend(loc="upper left")
memory = right.twinx()
memory.semilogx(measured[:, 0], measured[:, 2], "s--", color="tab:gray")
memory.set(ylabel="anonymous memory in MiB", ylim=(0, 512))
plt.show()
folder.cleanup()
