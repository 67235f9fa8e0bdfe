"""
A left-right model: phases that follow each other
=================================================

A battery goes through phases in a fixed order: fresh, plateau, fading, flat. From each
there is one way forward and none back. `transmat_mask` says so: what it excludes has
probability 0 for good, is kept through EM, and is not counted as a parameter.
"""

import matplotlib.pyplot as plt
import numpy as np

import latentem

# %%
# Data
# ----
#
# 25 discharges of different length, sampled every minute: voltage and temperature.
# Where one phase ends and the next begins was not recorded.

rng = np.random.default_rng(5)
centres = np.array([[4.0, 25.0], [3.7, 29.0], [3.4, 32.0], [3.1, 34.0]])  # volts, degrees
runs, truth = [], []
for _ in range(25):
    states = np.repeat(
        range(4), [rng.integers(3, 10), rng.integers(20, 40), rng.integers(6, 15), 8]
    )
    runs.append(centres[states] + rng.normal(size=(len(states), 2)) * [0.15, 2.5])
    truth.append(states)
runs[7][10:18] = np.nan  # the logger stood still
print(f"{len(runs)} runs of {min(map(len, runs))} to {max(map(len, runs))} minutes")

# %%
# The mask
# --------
#
# The order of the states is the order of the phases: the start knows that and guesses
# them from stretches of each run. Each run begins in the first phase, so the start
# distribution is given and fixed.

mask = latentem.left_right(4)
print(mask.astype(int))

hmm = latentem.GaussianHMM(
    4,
    transmat_mask=mask,
    startprob_init=[1, 0, 0, 0],
    fixed=("startprob",),
    random_state=0,
).fit(runs)
print(hmm.summary())

# %%
# The zeros are exact, and 19 parameters are left of the 34 that a free chain has: three
# transitions, eight means and eight variances.

assert np.all(hmm.transmat_[~mask] == 0)
print(hmm.n_parameters(), "parameters")

# %%
# Phases of each run
# ------------------
#
# `predict` takes the list as it is, and gives the states of all runs in one array. A
# Viterbi path obeys the mask, so it never goes back. Minutes that were not seen get the
# states that the chain allows between their neighbours.

path = hmm.predict(runs)
print(f"minutes told right: {np.mean(path == np.concatenate(truth)):.1%}")
ends = np.cumsum([len(run) for run in runs])
assert all(np.all(np.diff(states) >= 0) for states in np.split(path, ends[:-1]))

fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=[2, 1], layout="constrained")
latentem.plot.states(hmm, runs[6:9], name="voltage (V)", ax=axes[0])
axes[0].set_xlabel("minutes of three runs, one after the other")
latentem.plot.transitions(hmm, ax=axes[1])
plt.show()

# %%
# How long the phases last
# ------------------------
#
# A chain leaves each phase with the same probability every minute, so stays are
# geometric: their mean is right, but the model thinks short plateaus as likely as any.
# If the lengths matter, split a phase into several states that share the way forward.
# The last state is absorbing, as a flat battery is: its mean stay is infinite.

print("mean minutes:", hmm.expected_durations().round(1))

# %%
# A new run, minute by minute
# ---------------------------
#
# `update` takes one row after the other and never looks ahead. The state is a value,
# so that many batteries can be followed at once.

state = hmm.start_state()
for minute, row in enumerate(runs[0]):
    state, probabilities, _ = hmm.update(state, row)
    if probabilities[2:].sum() > 0.95:
        print(f"minute {minute}: fading with probability {probabilities[2:].sum():.3f}")
        break
print("the phase before was left in minute", int(np.argmax(truth[0] == 2)))
