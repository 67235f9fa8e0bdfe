"""
Old Faithful: how many kinds of eruption?
=========================================

272 eruptions of the Old Faithful geyser, with the duration of each and the waiting time to
the next. Long waits follow long eruptions, and there are two clusters to the eye. The
number of components and the shape of the covariances are chosen by BIC.
"""

import matplotlib.pyplot as plt

import latentem

faithful = latentem.datasets.load_faithful()
X = faithful.data
print(faithful)

# %%
# Choosing a model
# ----------------
#
# `select` fits every candidate and keeps them all. A candidate that cannot be fitted, or
# whose likelihood is not to be trusted because a component collapsed, is marked and does
# not win.

chosen = latentem.select(
    latentem.GaussianMixture(n_init=3, random_state=0),
    X,
    n_components=range(1, 7),
    covariance_type=["full", "tied", "diag", "spherical"],
)
print(chosen)

# %%
# The best has three components with one common covariance. Two components with a covariance
# each, which is how the eye reads the data, are 8 behind: clear, but not overwhelming. Look
# at both.

ax = latentem.plot.selection(chosen)
plt.show()

# %%
# The chosen model
# ----------------
#
# Rows have the colour of their most probable component. Of the three components with the
# same covariance two share the upper cluster: it is wider than the lower one, and not
# quite Gaussian.

best = chosen.best
fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
latentem.plot.ellipses(best, X, ax=axes[0], names=faithful.labels)
two = latentem.GaussianMixture(2, random_state=0).fit(X)
latentem.plot.ellipses(two, X, ax=axes[1], names=faithful.labels)
axes[0].set_title(f"3 tied: BIC {best.bic(X):.1f}, ICL {best.icl(X):.1f}")
axes[1].set_title(f"2 full: BIC {two.bic(X):.1f}, ICL {two.icl(X):.1f}")
plt.show()

# %%
# BIC asks how well the density is described, ICL asks in addition that rows can be told
# apart: it charges for uncertain assignments. Here ICL prefers two components. If the
# question is "how many kinds of eruption", take ICL and two; if a density is wanted, for a
# forecast or a simulation, take BIC and three.

print(f"ICL: 3 tied {best.icl(X):.1f}, 2 full {two.icl(X):.1f}")
assert two.icl(X) < best.icl(X)

# %%
# Did it converge?
# ----------------
#
# The result says why the fit stopped. In the figure EM was slow at first, so SQUAREM was
# turned on. A proposal that would have lowered the log-likelihood was refused (crosses),
# those that raised it were taken (triangles), and the last maps are plain EM, which
# certifies the stop.

print(best.result_)
ax = latentem.plot.convergence(best)
plt.show()

# %%
# Using it
# --------
#
# A conditional mixture forecasts one column from another: how long to wait after an
# eruption of 2, 3 and 4.5 minutes.

for minutes in (2.0, 3.0, 4.5):
    wait = best.condition([0], [minutes])
    mean = wait.weights_ @ wait.means_[:, 0]
    print(f"after {minutes:g} minutes: weights {wait.weights_.round(3)}, mean {mean:.1f} minutes")

ax = latentem.plot.density(best.condition([0], [3.0]), name="waiting time (min)")
ax.set_title("Waiting time after an eruption of 3 minutes")
plt.show()
