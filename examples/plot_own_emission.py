"""
Your own emission, in a mixture and in a hidden Markov model
============================================================

A family is written once and serves every structure. The one here is the geometric
distribution of counts, how many tries fail before one succeeds,

.. math:: \\log f_k(x) = x \\log(1 - p_k) + \\log p_k

with one chance :math:`p_k` for each component. As the rows of a mixture it says that
counts are of different kinds; as the emission of a hidden Markov model, that the kinds
follow each other.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

import latentem

# %%
# The family
# ----------
#
# K components, m rows of one column. The statistics are sums over rows, weighted by how
# much of each row belongs to each component; `maximize` turns them into chances.


class Chances(NamedTuple):
    p: np.ndarray  # (K,)


class Geometric(latentem.Family):
    discrete = True

    def log_density(self, prepared, x):  # (K, m)
        return np.log1p(-prepared.p)[:, None] * x[:, 0] + np.log(prepared.p)[:, None]

    def statistics(self, prepared, x, weights, shared=None):  # rows, and their failed tries
        return weights.sum(axis=1), weights @ x[:, 0]

    def maximize(self, statistics, params):  # a component without rows keeps its chance
        rows, failed = statistics
        return Chances(np.where(rows > 0, rows / np.maximum(rows + failed, 1e-300), params.p))

    def initialize(self, x, weights, rng):
        return self.maximize(self.statistics(None, x, weights + 1e-6), Chances(0.5))

    def constraints(self):  # for acceleration, AIC and BIC, and standard errors
        return Chances(latentem.Bounded(0.0, 1.0))


# %%
# Data
# ----
#
# 400 days of failures of a machine. It is well or worn, stays so for weeks, and fails
# about once or about six times a day.

rng = np.random.default_rng(3)
transmat = np.array([[0.97, 0.03], [0.05, 0.95]])
worn = np.zeros(400, dtype=int)
for day in range(1, 400):
    worn[day] = rng.random() < transmat[worn[day - 1], 1]
failures = rng.geometric(np.where(worn, 0.14, 0.5))[:, None] - 1.0

# %%
# In a mixture
# ------------
#
# The mixture takes each day by itself. It finds the two kinds, but a single count tells
# them apart badly.

mixture = latentem.MixtureModel(Geometric(), 2, random_state=0).fit(failures)
alone = mixture.predict(failures) == np.argmin(mixture.family_params_.p)
print("mixture: chances", mixture.family_params_.p.round(2), "weights", mixture.weights_.round(2))
print(f"days told right: {np.mean(alone == worn):.0%}")

# %%
# In a hidden Markov model
# ------------------------
#
# The same object, without a change. The days before and after now speak for each day.

hmm = latentem.HMM(Geometric(), 2, random_state=0).fit(failures)
in_order = hmm.predict(failures) == np.argmin(hmm.family_params_.p)
print("hmm: chances", hmm.family_params_.p.round(2))
print(hmm.transmat_.round(3))
print(f"days told right: {np.mean(in_order == worn):.0%}")
print(f"BIC: mixture {mixture.bic(failures):.0f}, hidden Markov model {hmm.bic(failures):.0f}")

# %%
# The check
# ---------
#
# `check_family` tries the family alone and in a mixture: shapes, sums over blocks,
# ascent of the likelihood, and more. Here it skips what was not defined (`sample`,
# `expected_loglik`).

start = latentem.models.MixtureParams(np.array([0.5, 0.5]), Chances(np.array([0.3, 0.7])))
report = latentem.testing.check_family(Geometric(), failures, start=start)
print(report)

# %%
# The figure has the filtered probability of the worn state, which uses no day that comes
# later, and the smoothed one, which uses all of them.

bad = int(np.argmin(hmm.family_params_.p))
fig, axes = plt.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
axes[0].plot(failures[:, 0], color="#222222", linewidth=0.8)
axes[0].set_ylabel("failures")
axes[1].fill_between(np.arange(400), worn, step="mid", color="0.88", label="worn in truth")
axes[1].plot(hmm.filter(failures)[:, bad], color="#E69F00", linewidth=1, label="filtered")
axes[1].plot(hmm.predict_proba(failures)[:, bad], color="#0072B2", label="smoothed")
axes[1].set(xlabel="day", ylabel="probability of worn", ylim=(0, 1.35), yticks=[0, 0.5, 1])
axes[1].legend(frameon=False, ncols=3, loc="upper left")
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
