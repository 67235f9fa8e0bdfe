"""
Your own family: exponential waiting times
==========================================

A family is one distribution, written for all components at once. With it come
mixtures, sample weights, restarts, acceleration, AIC, BIC, ICL and standard errors.
The rows here are exponential, one rate for each component and column:

.. math:: \\log f_k(x) = \\sum_j [ \\log \\lambda_{kj} - \\lambda_{kj} x_j ]

Every method says in its shapes what the contract asks: K components, m rows, d columns.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

import latentem

# %%
# The family
# ----------
#
# Four methods are required: density, statistics, maximisation and a start. `constraints`
# unlocks acceleration, AIC and BIC, and standard errors; `expected_loglik` makes those
# cheap; `sample` is for simulation.


class Rates(NamedTuple):
    rates: np.ndarray  # (K, d), events per unit of time


class Sums(NamedTuple):
    weight: np.ndarray  # (K,)
    total: np.ndarray  # (K, d)


class Exponential(latentem.Family):
    def log_density(self, prepared, x):  # (K, m)
        return np.log(prepared.rates).sum(axis=1)[:, None] - prepared.rates @ x.T

    def statistics(self, prepared, x, weights, shared=None):  # additive over rows
        return Sums(weights.sum(axis=1), weights @ x)

    def maximize(self, statistics, params):  # an empty component keeps its rates
        some = statistics.weight[:, None] > 0
        total = np.where(some, statistics.total, 1.0)
        return Rates(np.where(some, statistics.weight[:, None] / total, params.rates))

    def initialize(self, x, weights, rng):
        weights = weights + 1e-6  # no component starts empty
        return Rates(weights.sum(axis=1)[:, None] / (weights @ x))

    def constraints(self):
        return Rates(latentem.Positive())

    def expected_loglik(self, params, statistics):
        logs = np.log(params.rates).sum(axis=1)
        return float(statistics.weight @ logs - np.sum(params.rates * statistics.total))

    def sample(self, params, components, rng):
        return rng.exponential(1 / params.rates[components])


# %%
# The check
# ---------
#
# `check_family` runs the family alone and in a mixture. Its sharpest line is Fisher's
# identity, which compares the gradient of the log-likelihood with that of Q: a wrong
# density, statistic or Q shows there. With a grid that covers the line it also sees a
# missing constant.

rng = np.random.default_rng(1)
short = rng.random(600) < 0.7
waits = rng.exponential(np.where(short, 1.0, 12.0))[:, None]  # minutes

middle = (np.arange(200_000) + 0.5) * 0.001
grid = middle[:, None], 0.001
start = latentem.models.MixtureParams(np.array([0.5, 0.5]), Rates(np.array([[2.0], [0.2]])))
report = latentem.testing.check_family(Exponential(), waits, start=start, grid=grid)
print(report)

# %%
# The fit
# -------
#
# `MixtureModel` takes the family as it is. The waits were drawn with mean 1 minute
# (70 %) and 12 minutes (30 %).

chosen = latentem.select(
    latentem.MixtureModel(Exponential(), n_init=3, random_state=0), waits, n_components=[1, 2, 3]
)
print(chosen)

# %%
# The result and the standard errors are those of any other model. The rates are per
# minute; a fit for standard errors wants a small `tol`.

model = latentem.MixtureModel(Exponential(), 2, tol=1e-8, random_state=0).fit(waits)
print(model.result_)
print(latentem.standard_errors(model, waits))

# %%
# A figure of the fit: the share of waits longer than t on a logarithmic scale, where one
# exponential is a straight line.

order = np.sort(waits[:, 0])
longer = 1 - np.arange(1, len(order) + 1) / (len(order) + 1)
weights, rates = model.weights_, model.family_params_.rates[:, 0]
one = chosen.candidates[0].family_params_.rates[0, 0]

fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.semilogy(order, longer, ".", color="0.6", markersize=4, label="data")
ax.semilogy(order, np.exp(-one * order), "--", color="#D55E00", label="one exponential")
ax.semilogy(order, np.exp(-np.outer(order, rates)) @ weights, color="#0072B2", label="two")
ax.set(xlabel="wait t (minutes)", ylabel="share of waits longer than t", ylim=(1e-3, 1.2))
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()
