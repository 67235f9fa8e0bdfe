"""scikit-image as an oracle: the Radon transform, and Richardson-Lucy away from the borders."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import Deconvolution
from latentem.operators import ParallelBeam

pytest.importorskip("skimage")
transform = pytest.importorskip("skimage.transform")


@pytest.mark.parametrize("n", [63, 64])
@pytest.mark.parametrize("circle", [True, False])
def test_radon(n, circle):
    theta = np.arange(0, 180, 7.5)
    row, column = np.indices((n, n)) - n // 2
    image = np.exp(-((row - 6) ** 2 + (column + 9) ** 2) / 60)
    image = (image + 2.0 * (row**2 + (2 * column) ** 2 < 400)) * (row**2 + column**2 < 900)
    ours = ParallelBeam(theta, n, circle).forward(image)
    theirs = transform.radon(image, theta, circle=circle)
    assert ours.shape == theirs.shape
    assert np.linalg.norm(ours - theirs) < 0.01 * np.linalg.norm(theirs)
    # The same place to a tenth of a pixel, at every angle.
    detector = np.arange(len(ours))
    np.testing.assert_allclose(
        detector @ ours / ours.sum(axis=0), detector @ theirs / theirs.sum(axis=0), atol=0.1
    )


def test_richardson_lucy():
    from skimage.restoration import richardson_lucy

    rng = np.random.default_rng(0)
    image = np.zeros((64, 64))
    image[24:40, 28:34] = 1.0  # dark towards the borders, where scikit-image is not right
    psf = np.array([[1.0, 2, 1], [3, 6, 2], [1, 2, 1]]) / 19
    y = rng.poisson(200 * image) / 200 + 0.01
    ours = Deconvolution(psf, "zero", tol=0, max_iter=15, accelerate=None).fit(
        y, start=np.full_like(y, 0.5)
    )
    theirs = richardson_lucy(y, psf, num_iter=15, clip=False)
    inner = (slice(18, -18), slice(18, -18))
    np.testing.assert_allclose(ours.image_[inner], theirs[inner], rtol=2e-6)
