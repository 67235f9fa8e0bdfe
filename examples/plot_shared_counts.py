"""
Transcripts and intervals: counts that fit several places
=========================================================

What holds for images behind counts holds wherever a count fits several sources and nobody saw
which: reads of a gene that match several of its transcripts, and events of which only an interval
of time is known. Both are the same model, with transcripts, or times, for pixels.
"""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

from latentem import EM, PoissonReconstruction, models


def shares(fits, counts):
    """Operator and data whose image is the share of each column.

    Rows of `fits` say which columns a count fits. The likelihood of shares x is
    ``sum(counts * log(fits @ x))`` under ``sum(x) == 1``. A last row that counts nothing gives all
    columns one sensitivity, the number of counts; then the image sums to 1 at the maximum, where
    the log-likelihood is that of the shares less the number of counts.
    """
    total = counts.sum()
    return np.vstack([fits, total - fits.sum(axis=0)]), np.append(counts, 0.0)


# %%
# Transcript quantification
# -------------------------
#
# Five reads, three transcripts. The E step shares each read out among the transcripts that it
# fits, the M step adds up:

fits = np.array([[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 0, 0], [1, 1, 0]], dtype=float)
A, y = shares(fits, np.ones(5))
em = EM(tol=0, max_iter=2, accelerate=None)
start = models.Image(np.full(3, 1 / 3))
for state in em.iterate(models.PoissonLinear(), (A, y), start=start):
    print(state.n_iter, state.params.x.round(5))
five = PoissonReconstruction(A, stopping="gradient", tol=1e-10).fit(y)
print(five.image_.round(7), "log-likelihood", round(five.loglik_ + 5, 10))

# %%
# A simulated gene: six transcripts of different exons and lengths. A read fits all transcripts
# that hold its exon, and is likelier to come from a given place of a short transcript, so an entry
# is 1 over the length. Reads of one kind are counted.

exons = np.array([300, 150, 500, 120, 700, 250])
holds = np.array(
    [
        [1, 1, 1, 1, 1, 1],
        [1, 0, 1, 1, 1, 1],
        [1, 1, 1, 0, 1, 1],
        [1, 0, 1, 0, 1, 1],
        [0, 0, 1, 1, 1, 1],
        [1, 1, 1, 0, 0, 1],
    ]
)
lengths = holds @ exons
truth = np.array([0.4, 0.05, 0.2, 0.1, 0.25, 0.0])  # shares of the reads
chances = (holds * exons).T / lengths  # of an exon, given the transcript
counts = np.random.default_rng(0).multinomial(20_000, chances @ truth)
A, y = shares(chances, counts.astype(float))
found = PoissonReconstruction(A, stopping="gradient", tol=1e-8, max_iter=100_000).fit(y)
print(found.result_.reason.sentence, found.n_iter_, "maps")

fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
place = np.arange(len(truth))
ax.bar(place - 0.2, truth, 0.4, color="#D9D9D9", label="truth")
ax.bar(place + 0.2, found.image_, 0.4, color="#0072B2", label="estimate")
ax.set_xticks(place, [f"transcript {j + 1}" for j in place], rotation=30)
ax.set_ylabel("share of the reads")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()
print("largest error", np.abs(found.image_ - truth).max().round(3))

# %%
# Interval-censored survival
# --------------------------
#
# 46 women with early breast cancer had radiotherapy. At visits, months apart, it was noted whether
# the breast had retracted: the time is known to lie between two visits, or after the last one
# (Finkelstein and Wolfe 1985, doi:10.2307/2530965).

INTERVALS = """
45- 25-37 37- 6-10 46- 0-5 0-7 26-40 18- 46- 46- 24- 46- 27-34 36- 7-16 36-44 5-11 17- 46- 19-35
7-14 36-48 17-25 37-44 37- 24- 0-8 40- 32- 4-11 17-25 33- 15- 46- 19-26 11-15 11-18 37- 22- 38-
34- 46- 5-12 36- 46-
"""
ends = [text.split("-") for text in INTERVALS.split()]
left = np.array([float(a) for a, _ in ends])
right = np.array([float(b) if b else np.inf for _, b in ends])
print(len(left), "women,", int(np.isinf(right).sum()), "without retraction at their last visit")

# %%
# Probability can only go to stretches of time from a left end to the next end, if that is a right
# one (Turnbull 1976, doi:10.1111/j.2517-6161.1976.tb01597.x). They are the columns; a row says in
# which of them a woman's interval has room.

edges = sorted({(a, 1) for a in left} | {(b, 0) for b in right})
stretches = [(a, b) for (a, opens), (b, next_opens) in pairwise(edges) if opens and not next_opens]
begin, end = np.array(stretches).T
room = ((left[:, None] <= begin) & (end <= right[:, None])).astype(float)
A, y = shares(room, np.ones(len(left)))
survival = PoissonReconstruction(A, stopping="gradient", tol=1e-9, max_iter=100_000).fit(y)
for a, b, p in zip(begin, end, survival.image_, strict=True):
    if p > 1e-6:
        print(f"({a:2.0f}, {b:2.0f}]  {p:.4f}")

# %%
# The curve falls within the stretches; how it does there, the data do not say (shaded).

kept = survival.image_ > 1e-6
after = 1 - np.cumsum(survival.image_[kept])
before = np.append(1.0, after[:-1])
latest = 60.0
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
at, level = 0.0, 1.0
for a, b, high, low in zip(begin[kept], end[kept], before, after, strict=True):
    ax.plot([at, a], [high, high], color="#0072B2")
    stop = min(b, latest)
    ax.fill_between([a, stop], [low, low], [high, high], color="#0072B2", alpha=0.25, linewidth=0)
    at, level = stop, low
if at < latest:
    ax.plot([at, latest], [level, level], color="#0072B2")
ax.set_xlabel("months")
ax.set_ylabel("without retraction")
ax.set_xlim(0, latest)
ax.set_ylim(0, 1.02)
ax.spines[["top", "right"]].set_visible(False)
plt.show()
