"""Reconstruction, tomography and deconvolution: results, types, and sentences."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import latentem
from latentem import Deconvolution, NotIdentifiedWarning, PoissonReconstruction, Tomography
from latentem.models import IntensityPrior, SmoothnessPrior
from latentem.operators import Convolution, Matrix, ParallelBeam

A = np.array([[2.5, 1.2, 0.3], [0.4, 3.1, 0.7], [0.1, 0.3, 4.1], [0.2, 0.5, 0.2]])
Y = np.array([29.0, 35.0, 49.0, 14.0])
PLAIN = {"tol": 0, "accelerate": None}


def disc(n=24):
    row, column = np.indices((n, n)) - n // 2
    return 4.0 * (row**2 + column**2 < (0.4 * n) ** 2) + 9.0 * ((row - 3) ** 2 + column**2 < 8)


# ----------------------------------------------------------------------------------- results


def test_attributes_belong_together():
    found = PoissonReconstruction(A, background=0.5, tol=1e-9).fit(Y)
    np.testing.assert_array_equal(found.image_, found.result_.params.x)
    np.testing.assert_allclose(found.predict(), A @ found.image_ + 0.5)
    np.testing.assert_allclose(found.sensitivity_, A.sum(axis=0))
    assert found.loglik_ == pytest.approx(stats.poisson.logpmf(Y, found.predict()).sum())
    assert found.score(Y) == pytest.approx(found.loglik_ / 4)
    assert found.converged_
    assert found.n_iter_ == found.result_.n_iter


def test_fit_again_goes_on_from_a_start():
    whole = PoissonReconstruction(A, **PLAIN, max_iter=10).fit(Y)
    half = PoissonReconstruction(A, **PLAIN, max_iter=5).fit(Y)
    again = half.fit(Y, start=half.image_)
    np.testing.assert_allclose(again.image_, whole.image_, rtol=1e-14)


def test_gradient_stop_and_standard_errors():
    found = PoissonReconstruction(A, stopping="gradient", tol=1e-8).fit(Y)
    errors = latentem.standard_errors(found, Y)["x"]
    mean = found.predict()
    information = A.T @ ((Y / mean**2)[:, None] * A)
    np.testing.assert_allclose(errors, np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-4)


def test_clone_and_parameters():
    for made in (PoissonReconstruction(A), Tomography([0, 90]), Deconvolution(np.ones((3, 3)))):
        again = clone(made.set_params(max_iter=7))
        assert again.max_iter == 7
        assert not hasattr(again, "image_")
        with pytest.raises(NotFittedError):
            again.predict()


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8, np.int64])
def test_images_keep_shape_and_float_type(kind):
    y = np.arange(20).reshape(4, 5).astype(kind)
    before = y.copy()
    found = Deconvolution(np.full((3, 3), 1 / 9), **PLAIN, max_iter=4).fit(y)
    assert found.image_.shape == (4, 5)
    assert found.image_.dtype == (kind if kind == np.float32 else np.float64)
    np.testing.assert_array_equal(y, before)


def test_scale_of_the_data_is_the_scale_of_the_image():
    y = np.random.default_rng(0).poisson(20.0, size=(9, 8)).astype(float)
    one, other = (
        Deconvolution(np.full((3, 3), 1 / 9), **PLAIN, max_iter=9).fit(c * y).image_
        for c in (1.0, 1000.0)
    )
    np.testing.assert_allclose(other, 1000 * one, rtol=1e-10)
    assert one.max() > y.max()  # sharper, and not clipped


def test_rings_of_a_matrix_with_shapes():
    rng = np.random.default_rng(0)
    rows = rng.random((12, 6))
    operator = Matrix(sparse.csr_array(rows), image_shape=(2, 3), data_shape=(4, 3))
    y = rng.poisson(50, size=(4, 3))
    found = PoissonReconstruction(operator, prior=SmoothnessPrior(0.1)).fit(y)
    assert found.image_.shape == (2, 3)
    assert found.predict().shape == (4, 3)


# -------------------------------------------------------------------------------- tomography


@pytest.mark.parametrize("circle", [True, False])
def test_disc_comes_back(circle):
    theta = np.arange(0, 180, 4.0)
    sinogram = ParallelBeam(theta, 24, circle).forward(disc())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pixels outside the circle are no surprise
        found = Tomography(theta, circle, **PLAIN, max_iter=100).fit(sinogram)
        smooth = Tomography(theta, circle, prior=SmoothnessPrior(1e-3), **PLAIN, max_iter=99)
        smooth.fit(sinogram)
    assert found.image_.shape == (24, 24)
    assert np.linalg.norm(found.image_ - disc()) < 0.12 * np.linalg.norm(disc())
    if circle:
        outside = found.operator_.outside()
        assert not found.image_[outside].any()
        assert not smooth.image_[outside].any()  # a prior does not grow over the edge


def test_default_angles_are_even():
    sinogram = ParallelBeam(np.arange(0, 180, 9.0), 16).forward(disc(16))
    given, default = (
        Tomography(theta, **PLAIN, max_iter=3).fit(sinogram).image_
        for theta in (np.arange(0, 180, 9.0), None)
    )
    np.testing.assert_array_equal(given, default)


def test_subsets_say_what_they_are():
    theta = np.arange(0, 180, 4.0)
    sinogram = ParallelBeam(theta, 24).forward(disc())
    found = Tomography(theta, subsets=9, tol=0, max_iter=45).fit(sinogram)
    plain = Tomography(theta, **PLAIN, max_iter=40).fit(sinogram)
    assert found.result_.reason is latentem.Reason.SUBSETS
    assert not found.converged_
    assert found.loglik_ > plain.loglik_


# ------------------------------------------------------------------------------ deconvolution


def test_borders_are_right():
    """A scene that goes on outside the frame: no rim, as padding would leave one."""
    rng = np.random.default_rng(0)
    scene = np.full((46, 46), 100.0)
    scene[10:, :9] = 400.0
    psf = np.full((7, 7), 1 / 49)
    y = rng.poisson(Convolution(psf, (40, 40)).forward(scene)).astype(float)
    truth = scene[3:43, 3:43]
    right, dark = (
        Deconvolution(psf, boundary, **PLAIN, max_iter=20).fit(y).image_
        for boundary in ("unknown", "zero")
    )
    rim = np.ones((40, 40), bool)
    rim[4:-4, 4:-4] = False

    def error(image):
        return np.abs(image - truth)[rim].mean()

    assert error(right) < 0.5 * error(dark)


def test_start_may_be_the_image_itself():
    y = np.random.default_rng(0).poisson(20.0, size=(9, 8)).astype(float)
    found = Deconvolution(np.full((3, 3), 1 / 9), tol=0, max_iter=0).fit(y, start=y)
    np.testing.assert_array_equal(found.image_, y)


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "y", "sentence"),
    [
        ({}, [29.0, -1.0, 49.0, 14.0], r"y\[1\] is -1: counts are not negative. Where a"),
        ({}, [29.0, np.nan, 49.0, 14.0], r"y\[1\] is nan, and 1 of 4 values are not finite"),
        ({}, [29.0, np.inf, 49.0, 14.0], r"y\[1\] is inf, and 1 of 4"),
        ({}, ["a", "b", "c", "d"], "y must hold numbers, got an array of <U1"),
        ({}, np.ones(4) * 1j, "y must hold numbers, got an array of complex128"),
        ({}, [], r"y has shape \(0,\): it holds no measurements"),
        ({}, Y[:3], "operator and data do not match: the operator has data of shape"),
        ({"operator": -A}, Y, r"operator\[0, 0\] is -2.5: entries are never negative"),
        ({"operator": 0 * A}, Y, "the sensitivity is 0 everywhere"),
        ({"operator": A * [[1], [0], [1], [1]]}, Y, r"y\[1\] counts 35, but its row of the"),
        ({"background": -1.0}, Y, "background is -1: expected counts are not negative"),
        ({"background": np.ones(3)}, Y, r"background has shape \(3,\) and the data \(4,\)"),
        ({"background": [0, np.nan, 0, 0]}, Y, r"background\[1\] is nan"),
        ({"subsets": 0}, Y, "subsets must be an integer >= 1, got 0"),
        ({"subsets": 5}, Y, "4 rows of the operator cannot make 5 parts"),
        ({"tol": -1}, Y, "tol must be a number >= 0"),
        ({"subsets": 2, "stopping": "gradient"}, Y, "ordered subsets stop where passes no longer"),
        ({"subsets": 2, "checkpoint": "a"}, Y, "ordered subsets keep no checkpoints"),
        ({"stopping": "kkt"}, Y, "stopping must be one of"),
        ({"prior": IntensityPrior(1, np.ones(2))}, Y, r"centre of the prior has shape \(2,\), and"),
    ],
)  # fmt: skip
def test_wrong_data_and_arguments(arguments, y, sentence):
    with pytest.raises(ValueError, match=sentence):
        PoissonReconstruction(**{"operator": A, **arguments}).fit(y)


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        (np.ones(2), r"start has shape \(2,\), and the image has \(3,\)"),
        ([1.0, -1.0, 1.0], r"start\[1\] is -1: pixels are not negative"),
        (np.zeros(3), "start is 0 everywhere, and pixels of 0 stay 0"),
    ],
)
def test_wrong_starts(start, sentence):
    with pytest.raises(ValueError, match=sentence):
        PoissonReconstruction(A).fit(Y, start=start)


@pytest.mark.parametrize(
    ("made", "y", "sentence"),
    [
        (Tomography(), np.ones(4), r"a sinogram is \(detector, angle\), got 1 dimensions"),
        (Tomography("all"), np.ones((8, 3)), "theta must be an array of numbers, got 'all'"),
        (Deconvolution([[1, 2], [3]]), np.ones((8, 3)), "psf must be an array of numbers"),
        (Tomography([0, 90]), np.ones((8, 3)), "theta has 2 angles and the sinogram 3 columns"),
        (Tomography(circle=False), np.ones((4, 3)), "no image has 4 detectors without a circle"),
        (Tomography(subsets=9), np.ones((8, 3)), "9 subsets of 3 angles"),
        (Deconvolution(np.ones((3, 3))), np.ones((5, 5, 3)), "both must have as many axes"),
        (Deconvolution(np.ones((3, 3)), subsets=2), np.ones((5, 5)), "cannot be cut into 2 parts"),
        (Deconvolution(-np.ones((3, 3))), np.ones((5, 5)), "psf must be finite and not negative"),
        (Deconvolution(np.ones((3, 3))), np.full((5, 5), np.nan), r"y\[0, 0\] is nan, and 25"),
    ],
)  # fmt: skip
def test_wrong_data_of_tomography_and_deconvolution(made, y, sentence):
    with pytest.raises(ValueError, match=sentence):
        made.fit(y)
    assert not hasattr(made, "image_")


def test_column_of_zeros_is_told():
    blind = A * [1, 0, 1]
    with pytest.warns(
        NotIdentifiedWarning, match=r"1 of 3 pixels have sensitivity 0, the first at"
    ):
        found = PoissonReconstruction(blind).fit(Y)
    assert found.image_[1] == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        known = PoissonReconstruction(blind, prior=IntensityPrior(0.1, 7.0)).fit(Y)
    assert known.image_[1] == pytest.approx(7.0)


def test_score_of_other_data():
    found = PoissonReconstruction(A).fit(Y)
    with pytest.raises(ValueError, match=r"y has shape \(2,\), and the fit was to \(4,\)"):
        found.score([1.0, 2.0])
    with pytest.raises(ValueError, match="a reconstruction has no sample_weight: leave it out"):
        found.em_problem(Y, sample_weight=Y)


def test_failed_fit_changes_nothing():
    found = PoissonReconstruction(A).fit(Y)
    image = found.image_
    with pytest.raises(ValueError, match="counts are not negative"):
        found.fit(-Y)
    assert found.image_ is image
