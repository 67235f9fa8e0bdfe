"""
Two overlapping Gaussians in one column
=======================================

1000 draws from 0.6 N(2, sd 4) + 0.4 N(9, sd 2). The components overlap so much that the
histogram has barely two humps, and the mixture is still recovered, with standard errors
that say how well.
"""

import matplotlib.pyplot as plt
import numpy as np

import latentem

x = latentem.datasets.two_gaussians(1000, random_state=0).data
gm = latentem.GaussianMixture(n_components=2, tol=1e-6, random_state=0).fit(x)
print(gm.result_)

# %%
# The parameters, each with its standard error. A small `tol` is worth while here: the
# standard errors are those of a maximum.

errors = latentem.standard_errors(gm, x)
print(errors)

# %%
# The covariances are variances in one column; their root is the standard deviation, and
# the error of a root is the error of the variance over twice the root.

order = np.argsort(gm.means_[:, 0])
true = {"weight": [0.6, 0.4], "mean": [2.0, 9.0], "sd": [4.0, 2.0]}
sd = np.sqrt(gm.covariances_[:, 0, 0])
fitted = {
    "weight": (gm.weights_, errors["weights"]),
    "mean": (gm.means_[:, 0], errors["means"][:, 0]),
    "sd": (sd, errors["covariances"][:, 0, 0] / (2 * sd)),
}
for name, (value, error) in fitted.items():
    for k, truth in zip(order, true[name], strict=True):
        print(f"{name:<6}  true {truth:>4}  fitted {value[k]:.3f} +- {error[k]:.3f}")

# %%
# The density with its components over the histogram.

ax = latentem.plot.density(gm, x, name="x")
plt.show()

# %%
# How the fit went. Overlap makes EM slow: much of what complete data would tell is hidden.
# latentem saw that from the rate of the first steps and accelerated (the triangles); the
# last steps are plain EM maps, which certify the stop.

ax = latentem.plot.convergence(gm)
plt.show()

plain = latentem.GaussianMixture(2, tol=1e-6, accelerate=None, random_state=0).fit(x)
print(f"accelerated: {gm.n_iter_} maps and {gm.result_.n_certify} to certify")
print(f"plain EM:    {plain.n_iter_} maps, rate of convergence {plain.result_.rate:.3f}")
assert np.isclose(gm.loglik_, plain.loglik_, rtol=0, atol=1e-5)
