"""
Your own model: two Poissons, and genetic linkage
=================================================

Three methods make a model: a start, an E-step and an M-step. Write them when your
latent structure is not one that latentem has, or to see EM at work in a page of code.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import poisson

import latentem
from latentem import Bounded, Expectation, LatentModel, Positive

# %%
# Two Poissons
# ------------
#
# On 1096 days *The Times* carried 0 to 9 death notices of women over 80. The data are a
# table: each number of deaths, and on how many days it was seen. Days are of two kinds,
# with rates `low` and `high`; the kind of a day is not recorded. The E-step shares the
# days of each row out between the two kinds, the M-step takes the means.


class TwoRates(NamedTuple):
    share: float  # of the days with the low rate
    low: float  # deaths per day
    high: float


class TwoPoissons(LatentModel):
    def initialize(self, blocks, rng):
        return TwoRates(0.5, 1.0, 3.0)

    def e_step(self, params, block):
        deaths, days = block
        low = params.share * poisson.pmf(deaths, params.low)
        high = (1 - params.share) * poisson.pmf(deaths, params.high)
        expected = days * np.array([low, high]) / (low + high)  # (2, rows): days of each kind
        statistics = expected.sum(axis=1), expected @ deaths
        return Expectation(statistics, float(days @ np.log(low + high)), days.sum())

    def m_step(self, statistics, params):
        days, deaths = statistics
        return TwoRates(days[0] / days.sum(), *(deaths / days))

    def constraints(self):
        return TwoRates(Bounded(0.0, 1.0), Positive(), Positive())

    def expected_loglik(self, params, statistics):  # Q, up to a constant
        days, deaths = statistics
        shares = np.array([params.share, 1 - params.share])
        rates = np.array([params.low, params.high])
        return float(days @ (np.log(shares) - rates) + deaths @ np.log(rates))


# %%
# `constraints` and `expected_loglik` are optional. The first says where each parameter may
# live, and brings acceleration and standard errors; the second makes these cheaper and more
# exact. The likelihood is so flat that the fit is stopped by the length of its steps.

times = latentem.datasets.load_times_deaths()
data = times["deaths"], times.weights
result = latentem.EM(stopping="step", tol=1e-10).run(TwoPoissons(), data)
print(result)
print(latentem.standard_errors(result, data))

# %%
# The errors are those of the observed information: what the hidden kinds of days cost is
# in them. How flat the likelihood is shows in plain EM, which needs thousands of steps:

steps = {"plain EM": None, "squarem": "squarem"}
gaps = {}
for name, accelerate in steps.items():
    em = latentem.EM(
        accelerate=accelerate, stopping="step", space="natural", tol=1e-8, max_iter=5000
    )
    run = em.run(TwoPoissons(), data)
    gaps[name] = run.history["n_iter"], result.loglik - run.history["objective"]
    print(f"{name}: {run.n_iter} maps, {run.reason.sentence}, log-likelihood {run.loglik:.6f}")

fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for (name, (maps, gap)), colour in zip(gaps.items(), ("#0072B2", "#D55E00"), strict=True):
    ax.loglog(maps[1:], np.maximum(gap[1:], 1e-12), color=colour, label=name)
ax.set(xlabel="EM maps", ylabel="log-likelihood still to gain", ylim=(1e-9, None))
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()

# %%
# `check_model` holds a model to the contract, and names what it cannot check. The first
# line to look at when something is wrong is Fisher's identity: it compares the slope of the
# log-likelihood with that of Q.

print(latentem.testing.check_model(TwoPoissons(), data, weights=1))

# %%
# Genetic linkage
# ---------------
#
# 197 animals fall into four cells with probabilities
# :math:`\tfrac12 + \tfrac\theta4,\ \tfrac{1-\theta}4,\ \tfrac{1-\theta}4,\ \tfrac\theta4`
# (Rao 1973, the example of Dempster, Laird and Rubin 1977). The first cell is two in one,
# and how its 125 animals divide is not seen. The four counts are one unit of data, which
# must not be cut, so the model makes its own blocks.


class Theta(NamedTuple):
    theta: float


class Linkage(LatentModel):
    def blocks(self, data, size=None):
        return [data]

    def initialize(self, blocks, rng):
        return Theta(0.5)

    def e_step(self, params, counts):
        t = params.theta
        cells = np.array([0.5 + t / 4, (1 - t) / 4, (1 - t) / 4, t / 4])
        linked = counts[0] * (t / 4) / cells[0] + counts[3]
        statistics = linked, counts[1] + counts[2]
        return Expectation(statistics, float(counts @ np.log(cells)), counts.sum())

    def m_step(self, statistics, params):
        linked, crossed = statistics
        return Theta(linked / (linked + crossed))

    def constraints(self):
        return Theta(Bounded(0.0, 1.0))


counts = np.array([125.0, 18.0, 20.0, 34.0])
linkage = latentem.EM(stopping="step", tol=1e-12).run(Linkage(), counts)
errors = latentem.standard_errors(linkage, counts)
print(f"theta {linkage.params.theta:.10f}, standard error {float(errors['theta']):.10f}")
