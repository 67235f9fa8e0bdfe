"""
Earthquakes: how many states, and does the model hold?
======================================================

Major earthquakes (magnitude 7 or more) in the world, one count for each year from 1900
to 2006. Counts of one Poisson distribution would have variance equal to their mean; these
have more than twice that, and they come in spells. A hidden Markov model says that the
rate changes between a few levels. The analysis follows Zucchini and MacDonald, *Hidden
Markov Models for Time Series*, chapters 1 to 6.
"""

import matplotlib.pyplot as plt
import numpy as np

import latentem

quakes = latentem.datasets.load_earthquakes()
counts, years = quakes[["count"]], quakes["year"]
print(f"mean {counts.mean():.2f}, variance {counts.var(ddof=1):.2f}")

# %%
# How many states
# ---------------
#
# `select` fits one to four states and compares them. Hidden Markov models have many
# local maxima: ten starts of each. 1900 is not the beginning of anything, so the chain is
# taken to be `stationary`: it starts in the distribution that it keeps. A free start
# distribution would put all its weight on one state, because it is seen only once, and
# cost K - 1 parameters for that.

template = latentem.PoissonHMM(stationary=True, n_init=10, random_state=0)
chosen = latentem.select(template, counts, n_components=[1, 2, 3, 4])
print(chosen)

# %%
# Three states are chosen, with 2.4 less than two: that is not much, and two states with a
# free start distribution come out ahead of three (707.1 and 708.5). AIC is clear about
# three. Put in order of their rates, they are quiet, usual and busy years.

hmm = chosen.best
hmm = hmm.relabel(np.argsort(hmm.lambdas_[:, 0]))
print(hmm.summary())
assert hmm.n_components == 3

fig, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
latentem.plot.selection(chosen, ax=axes[0])
latentem.plot.transitions(hmm, ax=axes[1])
plt.show()

# %%
# Which years
# -----------
#
# The Viterbi path is the most probable sequence of states as a whole. `predict_proba`
# gives the probabilities of each year, in which doubt shows: 1957 had 34 earthquakes, but
# stands alone among usual years.

log_joint, path = hmm.decode(counts)
print(f"log joint density of data and path: {log_joint:.3f}")
print("1957:", hmm.predict_proba(counts)[years == 1957].round(3))

ax = latentem.plot.states(hmm, counts, index=years, name="earthquakes")
ax.set_xlabel("year")
plt.show()

# %%
# Does the model hold?
# --------------------
#
# The pseudo-residual of a year is where its count lies in the forecast from the years
# before, as a normal quantile. If the model is right they are standard normal and
# independent. One Poisson distribution fails: its tails are far too short. Three states
# pass.

one = chosen.candidates[0]
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
latentem.plot.residuals(one, counts, ax=axes[0])
latentem.plot.residuals(hmm, counts, ax=axes[1])
axes[0].set_title("one Poisson distribution", fontsize="medium")
axes[1].set_title("three states", fontsize="medium")
plt.show()

found = hmm.pseudo_residuals(counts)[:, 0]
lagged = np.corrcoef(found[:-1], found[1:])[0, 1]
print(
    f"mean {found.mean():.2f}, sd {found.std():.2f}, correlation with the year before {lagged:.2f}"
)

# %%
# What comes next
# ---------------
#
# The forecast is a mixture over the states, and its interval comes from the distribution
# itself, not from a normal approximation. The last years were quiet; far ahead the
# forecast forgets that and becomes the long-run distribution.

ahead = hmm.forecast(counts, 20)
lower, upper = ahead.interval(0.9)
print(f"2007: mean {ahead.mean[0, 0]:.2f}, 90 % interval {lower[0, 0]:.0f} to {upper[0, 0]:.0f}")
long_run = hmm.stationary_distribution()
print("states in 2026:", ahead.states[-1].round(3), "in the long run:", long_run.round(3))

ax = latentem.plot.forecast(hmm, counts, 20, index=years, name="earthquakes")
ax.set_xlabel("year")
plt.show()

# %%
# Years that were not seen
# ------------------------
#
# Blank the forties. The fit needs no change; the states of the gap follow from what
# stands on both sides.

blanked = counts.copy()
blanked[(years >= 1940) & (years < 1950)] = np.nan
print(f"log-likelihood without the forties: {hmm.score(blanked):.3f}")
gap = (years >= 1938) & (years < 1952)
for year, shares in zip(years[gap], hmm.predict_proba(blanked)[gap].round(2), strict=True):
    print(f"{year:.0f}", shares)
