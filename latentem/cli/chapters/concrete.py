"""Concrete: a section of a column, seen from the counts of rays through it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from latentem.cli.chapters.chapter import Chapter, markdown_table
from latentem.cli.figure import panels
from latentem.datasets import concrete_section
from latentem.estimators.reconstruction import Tomography
from latentem.models.image_prior import SmoothnessPrior
from latentem.operators.parallel_beam import ParallelBeam

__all__ = ["concrete"]

FIGURE = "concrete.png"
PIXELS, ANGLES, BRIGHTNESS = 80, 90, 4.0
#: Differences of neighbours that the prior expects, in units of concrete.
STEP = 0.5


def concrete(folder: Path, seed: int) -> Chapter:
    """Concrete, a section of a column seen by rays."""
    truth, places = concrete_section(PIXELS)
    rays = ParallelBeam(np.linspace(0, 180, ANGLES, endpoint=False), PIXELS)
    means = BRIGHTNESS * rays.forward(truth)
    counts = np.random.default_rng(seed).poisson(means).astype(float)
    settings = {"theta": rays.theta, "max_iter": 60}
    noisy = Tomography(**settings, tol=0, accelerate=None).fit(counts)
    quick = Tomography(**settings, tol=0, subsets=15).fit(counts)
    prior = SmoothnessPrior((BRIGHTNESS * STEP) ** -2)
    smooth = Tomography(rays.theta, prior=prior, tol=1.0, accelerate="anderson").fit(counts)
    fits = {
        "60 iterations of MLEM": noisy,
        "4 passes in 15 subsets": quick,
        "smoothness prior": smooth,
    }
    images = {"truth": truth} | {name: fit.image_ / BRIGHTNESS for name, fit in fits.items()}
    _figure(folder, images)
    values = _values(images, places)
    result = smooth.result_
    ending = f"{'converged' if result.converged else 'NOT CONVERGED'} in {result.n_iter} EM maps"
    void = float(values[-1][3])
    return Chapter(
        title=f"Concrete seen from {ANGLES} sides: void {void:.2f}, around it 1; {ending}",
        markdown=_markdown(values, counts, noisy, quick, ending),
        screen=[],
        figures=[FIGURE],
        sound=result.converged,
    )


def _values(images: dict[str, np.ndarray], places: dict[str, np.ndarray]) -> list[list[str]]:
    """Mean value in each place, and the error of the whole, of each image."""
    rows = [["", *places, "error of all pixels"]]
    truth = images["truth"]
    for name, image in images.items():
        error = float(np.sqrt(np.mean((image - truth) ** 2)))
        means = [f"{image[place].mean():.2f}" for place in places.values()]
        rows.append([name, *means, f"{error:.3f}"])
    return rows


def _figure(folder: Path, images: dict[str, np.ndarray]) -> None:
    figure, axes = panels(4, 3.4)
    for ax, (name, image) in zip(axes, images.items(), strict=True):
        drawn = ax.imshow(image, cmap="gray", vmin=0, vmax=3)
        ax.set_title(name, fontsize="medium")
        ax.set_axis_off()
    figure.colorbar(drawn, ax=axes, shrink=0.6, label="concrete is 1")
    figure.savefig(folder / FIGURE, dpi=130)


def _markdown(
    values: list[list[str]], counts: np.ndarray, noisy: Tomography, quick: Tomography, ending: str
) -> str:
    return f"""
A simulated section of a concrete column: concrete is 1, stones a little more, six bars of steel 3,
and there is a void and a crack. Rays in {counts.shape[1]} directions count {counts.mean():.0f} each
on average. What is behind the counts, pixel by pixel?

Each count is a sum over the pixels that its ray meets, so which pixel a count belongs to is what
EM does not see. Its iteration shares each count out among the pixels of the ray (E-step), and
divides what a pixel got by how well it is seen (M-step).

{markdown_table(values)}

![The section, and three reconstructions of it]({FIGURE})

How to read it: the more iterations, the more of the noise is explained too. Ordered subsets make an
M-step after each part of the views: four passes over the data reached a log-likelihood of
{quick.loglik_:.0f}, sixty iterations {noisy.loglik_:.0f}. They promise no convergence. With a
prior that expects neighbours to be alike the image can be fitted to its end ({ending}),
with less noise. The crack, a pixel wide, comes out fainter than it is.

```python
import numpy as np
from latentem import Tomography, datasets, models, operators

truth, places = datasets.concrete_section({PIXELS})
rays = operators.ParallelBeam(np.linspace(0, 180, {ANGLES}, endpoint=False), {PIXELS})
counts = np.random.default_rng(0).poisson({BRIGHTNESS:g} * rays.forward(truth))
prior = models.SmoothnessPrior({(BRIGHTNESS * STEP) ** -2:g})
image = Tomography(rays.theta, prior=prior, tol=1.0, accelerate="anderson").fit(counts).image_
```
"""
