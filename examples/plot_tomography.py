"""
Tomography: a scanner and a column of concrete
==============================================

A scanner counts what arrives along many rays. Each count is a sum over the pixels of a ray;
which pixel a count came from is what nobody saw, and what EM works out. Two bodies: a slice of
a patient, and a section of a concrete column with flaws.
"""

import matplotlib.pyplot as plt
import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from skimage.data import shepp_logan_phantom
from skimage.transform import iradon, resize

import latentem
from latentem import EM, Tomography, models
from latentem.operators import ParallelBeam


def show(images, vmax=None, columns=4):
    """Images side by side, in one grey scale."""
    rows = -(-len(images) // columns)
    _, axes = plt.subplots(
        rows, columns, figsize=(2.6 * columns, 2.8 * rows), layout="constrained", squeeze=False
    )
    for ax in axes.ravel():
        ax.set_axis_off()
    for ax, (name, image) in zip(axes.ravel(), images.items(), strict=False):
        ax.imshow(image, cmap="gray", vmin=0, vmax=vmax)
        ax.set_title(name, fontsize="small")
    plt.show()


def error(image, truth):
    """Root mean square, as a share of that of the truth."""
    return np.linalg.norm(image - truth) / np.linalg.norm(truth)


# %%
# A phantom
# ---------
#
# Shepp and Logan's head. The rays follow the conventions of scikit-image's ``radon``, which is
# a check on the system matrix; the counts are Poisson.

theta = np.arange(0, 180, 3.0)
phantom = 10 * resize(shepp_logan_phantom(), (128, 128), anti_aliasing=True)
rays = ParallelBeam(theta, 128)
rng = np.random.default_rng(0)
counts = rng.poisson(rays.forward(phantom))
print(f"{counts.size:,} counts, {counts.mean():.0f} on average, of {phantom.size:,} pixels")

# %%
# The E step shares each count out among the pixels of its ray, and the M step divides what a
# pixel got by how well it is seen:
#
# .. math:: x_j \leftarrow \frac{x_j}{\sum_i A_{ij}} \sum_i A_{ij} \frac{y_i}{(Ax)_i}.
#
# Filtered back-projection, which knows nothing of counts, is the usual comparison.

fits = {
    "10 iterations": Tomography(theta, tol=0, max_iter=10, accelerate=None).fit(counts),
    "100 iterations": Tomography(theta, tol=0, max_iter=100, accelerate=None).fit(counts),
    "8 passes, 10 subsets": Tomography(theta, subsets=10, tol=0, max_iter=80).fit(counts),
    "smoothness prior": Tomography(
        theta, prior=models.SmoothnessPrior(0.2), tol=0, max_iter=100, accelerate="anderson"
    ).fit(counts),
}
images = {"truth": phantom, "filtered back-projection": iradon(counts, theta)}
images |= {name: fit.image_ for name, fit in fits.items()}
show(images, vmax=6, columns=3)
for name, image in images.items():
    print(f"{name:25} error {error(image, phantom):.3f}")

# %%
# More iterations explain more of the noise. Ordered subsets (an M step after each tenth of the
# views) reach in eight passes what takes EM about a hundred, and promise nothing:

em = EM(tol=0, max_iter=100, accelerate=None)
path = [state.loglik for state in em.iterate(models.PoissonLinear(), (rays, counts))]
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.plot(path, label="EM")
for subsets in (5, 10, 15):
    model = models.PoissonLinear(subsets=subsets)
    found = [
        EM(tol=0, subsets=subsets, max_iter=subsets * passes).run(model, (rays, counts)).loglik
        for passes in (1, 2, 4, 8, 16)
    ]
    ax.plot((1, 2, 4, 8, 16), found, "o--", markersize=4, label=f"{subsets} subsets")
ax.set_xscale("log")
ax.set_ylim(path[4], max(path) + 0.3 * (max(path) - path[10]))
ax.set_xlabel("passes over the data")
ax.set_ylabel("log-likelihood")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()
print(fits["8 passes, 10 subsets"].result_.reason.sentence)

# %%
# A slice of a patient
# --------------------
#
# A computed tomography that comes with pydicom, in Hounsfield units: -1000 is air, 0 water. Its
# attenuation relative to water is taken for the activity that a scanner would count.

file = get_testdata_file("CT_small.dcm", download=False)
slice_ = pydicom.dcmread(file)
hounsfield = slice_.pixel_array * float(slice_.RescaleSlope) + float(slice_.RescaleIntercept)
body = np.clip(1 + hounsfield / 1000, 0, None)
body[rays.outside()] = 0
counts = rng.poisson(20 * rays.forward(body))
fits = {
    "30 iterations": Tomography(theta, tol=0, max_iter=30, accelerate=None).fit(counts),
    "smoothness prior": Tomography(
        theta, prior=models.SmoothnessPrior(0.03), tol=0, max_iter=100, accelerate="anderson"
    ).fit(counts),
}
images = {"the slice": body, "filtered back-projection": iradon(counts, theta) / 20}
images |= {name: fit.image_ / 20 for name, fit in fits.items()}
show(images, vmax=2)
for name, image in images.items():
    print(f"{name:25} error {error(image, body):.3f}")

# %%
# A column of concrete
# --------------------
#
# Steel is 3, concrete 1, a void and a crack 0. Half the views are missing here: the column
# stands against a wall. What the data do not say, the prior fills in smoothly, and edges along
# the missing rays are lost.

column, places = latentem.datasets.concrete_section(128)
rows = {"truth": column}
for name, angles in (("all sides", theta), ("half of them", theta[: len(theta) // 2])):
    scan = ParallelBeam(angles, 128)
    counts = rng.poisson(4 * scan.forward(column))
    prior = models.SmoothnessPrior(0.2)
    fit = Tomography(angles, prior=prior, tol=0, max_iter=100, accelerate="anderson").fit(counts)
    rows[name] = fit.image_ / 4
show(rows, vmax=3, columns=3)
print("mean value in   " + "  ".join(f"{place:>9}" for place in places))
for name, image in rows.items():
    values = "  ".join(f"{image[place].mean():9.2f}" for place in places.values())
    print(f"{name:15} {values}")
assert rows["all sides"][places["void"]].mean() < 0.2
