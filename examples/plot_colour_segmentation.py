r"""
Colour segmentation of a photograph
===================================

The colours of a photograph gather in clouds: one for the table, one for the saucer, one for the
coffee. A Gaussian mixture of the colours :math:`x_i` of its pixels finds them,

.. math::
   f(x_i) = \sum_k \pi_k \, N(x_i; \mu_k, \Sigma_k), \qquad
   r_{ik} = \frac{\pi_k N(x_i; \mu_k, \Sigma_k)}{\sum_l \pi_l N(x_i; \mu_l, \Sigma_l)} .

The posterior :math:`r_{ik}` says how surely pixel i belongs to segment k. The E step computes
it; the M step takes shares, means and covariances of the pixels, weighted by it.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage import color, data

import latentem

# %%
# From pixels to rows
# -------------------
#
# In the colour space CIELAB equal distances look about equally large: L is lightness, a runs from
# green to red, b from blue to yellow. A pixel is a row of three numbers. The mixture knows nothing
# of neighbours, so every fourth pixel of every fourth row is enough to fit it.

photograph = data.coffee()
lab = color.rgb2lab(photograph)
sample = lab[::4, ::4].reshape(-1, 3)
mixture = latentem.GaussianMixture(6, n_init=3, random_state=0).fit(sample)
print(f"{len(sample)} pixels, {mixture.result_.reason.sentence}, {mixture.n_iter_} maps")
for k in np.argsort(-mixture.weights_):
    print(f"share {mixture.weights_[k]:.3f}, L a b {mixture.means_[k].round().astype(int)}")

# %%
# The segments
# ------------
#
# Then every pixel goes to the likeliest segment, here drawn in its mean colour. On the right, the
# doubt, 1 less the posterior of that segment: dark pixels could as well belong to another one. They
# lie where a shadow fades and where one colour is mixed with the next.

posterior = mixture.predict_proba(lab.reshape(-1, 3))
segment = posterior.argmax(axis=1).reshape(lab.shape[:2])
certainty = posterior.max(axis=1).reshape(lab.shape[:2])
print(f"posterior below 0.9: {(certainty < 0.9).mean():.1%} of the pixels")
colours = color.lab2rgb(mixture.means_[None])[0]

fig, (left, middle, right) = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
left.imshow(photograph)
middle.imshow(colours[segment])
shown = right.imshow(1 - certainty, cmap="gray_r", vmin=0, vmax=0.6)
fig.colorbar(shown, ax=right, shrink=0.8)
for ax, title in zip((left, middle, right), ("photograph", "six segments", "doubt"), strict=True):
    ax.set_title(title, fontsize=10)
    ax.set_axis_off()
plt.show()

# %%
# The clouds
# ----------
#
# They are long: a thing keeps its hue and changes its lightness with the light that falls on it.
# Full covariances follow that; k-means, which looks for the nearest mean, cannot.

fig, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
some = sample[::3]
for ax, column in zip(axes, (1, 2), strict=True):
    ax.scatter(some[:, column], some[:, 0], s=2, c=color.lab2rgb(some[None])[0])
    latentem.plot.ellipses(mixture, columns=(column, 0), levels=(0.9,), names=list("Lab"), ax=ax)
plt.show()

# %%
# Six is a choice of the eye. The clouds are not Gaussian, and with thousands of pixels BIC takes
# more components as long as each describes them a little better.

print(latentem.select(latentem.GaussianMixture(random_state=0), sample, n_components=[2, 4, 6, 8]))
