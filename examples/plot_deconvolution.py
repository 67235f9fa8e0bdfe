"""
Deconvolution: a photograph out of focus
========================================

Each pixel of a blurred picture collects light from many. Richardson-Lucy is EM for that model;
here it is right at the borders, and faster.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage.data import camera
from skimage.restoration import richardson_lucy

from latentem import EM, Deconvolution, models
from latentem.operators import Convolution

# %%
# A lens out of focus spreads a point to a disc. The frame below is a part of a photograph, so
# light from outside the frame falls into it; the camera counts photons.

row, column = np.indices((15, 15)) - 7
psf = (row**2 + column**2 <= 36).astype(float)
psf /= psf.sum()
scene = camera()[60:274, 130:344].astype(float)
blur = Convolution(psf, (200, 200))
truth = blur.crop(scene)
rng = np.random.default_rng(0)
y = rng.poisson(5 * blur.forward(scene)) / 5  # 5 photons for a unit of brightness

# %%
# What is outside the frame is estimated with the rest. scikit-image pads with zeros, which
# leaves a rim; so does ``boundary="zero"`` where the scene is not dark.

sharp = Deconvolution(psf, tol=0, max_iter=60, accelerate=None).fit(y).image_
padded = richardson_lucy(y, psf, num_iter=60, clip=False)
fig, axes = plt.subplots(1, 4, figsize=(11, 3.1), layout="constrained")
images = {"scene": truth, "blurred": y, "latentem": sharp, "padded with zeros": padded}
for ax, (name, image) in zip(axes, images.items(), strict=True):
    ax.imshow(image, cmap="gray", vmin=0, vmax=255)
    ax.set_title(name, fontsize="small")
    ax.set_axis_off()
plt.show()

rim = np.ones(y.shape, dtype=bool)
rim[8:-8, 8:-8] = False
for name, image in images.items():
    off = (image - truth) ** 2
    inside, outside = off[~rim].mean() ** 0.5, off[rim].mean() ** 0.5
    print(f"{name:20} error inside {inside:6.1f}, at the rim {outside:6.1f}")

# %%
# Fewer iterations to the same likelihood
# ---------------------------------------
#
# An accelerator proposes a longer step on the logarithms of the pixels, and the likelihood of the
# E step says whether it stands. Pixels stay positive.

fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
data, most = (blur, y), None
for name, accelerate in (("EM", None), ("SQUAREM", "squarem"), ("Anderson", "anderson")):
    em = EM(tol=0, max_iter=100, accelerate=accelerate)
    states = [s for s in em.iterate(models.PoissonLinear(), data) if s.accepted]
    axes[0].plot([s.n_e_steps for s in states], [s.objective for s in states], label=name)
    if accelerate is None:
        most = states[-1].objective
        axes[0].set_ylim(states[6].objective, most + 0.6 * (most - states[20].objective))
    reached = next(s.n_e_steps for s in states if s.objective >= most)
    print(f"{name:8} {reached:3d} E-steps to the likelihood of 100 iterations")
axes[0].axhline(most, color="0.6", linewidth=0.8)
axes[0].set_xlabel("E-steps")
axes[0].set_ylabel("log-likelihood")
axes[0].legend(frameon=False)

# %%
# Likelihood is not the aim: noise is explained as well, and the error to the scene rises again.

em = EM(tol=0, max_iter=200, accelerate=None)
states = em.iterate(models.PoissonLinear(), data)
errors = [np.sqrt(np.mean((blur.crop(state.params.x) - truth) ** 2)) for state in states]
axes[1].plot(errors)
axes[1].set_xlabel("iterations of Richardson-Lucy")
axes[1].set_ylabel("error to the scene")
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
print(f"the best is after {int(np.argmin(errors))} iterations")
