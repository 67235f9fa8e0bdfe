"""Operators: adjoints, cuts, and matrices and functions of others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal, sparse
from scipy.sparse.linalg import aslinearoperator

from latentem.operators import Convolution, Matrix, ParallelBeam, as_operator
from latentem.operators.operator import Operator


def adjoint_gap(operator, seed=0):
    """<A x, y> - <x, A' y>, relative."""
    rng = np.random.default_rng(seed)
    x, y = rng.random(operator.image_shape), rng.random(operator.data_shape)
    one, two = np.vdot(operator.forward(x), y), np.vdot(x, operator.adjoint(y))
    return abs(one - two) / abs(one)


def together(operator, parts):
    """What parts see of an image, put together, and the sum of what they send back."""
    rng = np.random.default_rng(1)
    image, data = rng.random(operator.image_shape), rng.random(operator.data_shape)
    seen, back = np.full(operator.data_shape, np.nan), np.zeros(operator.image_shape)
    for part, where in parts:
        assert np.isnan(seen[where]).all(), "parts do not overlap"
        seen[where] = part.forward(image).reshape(seen[where].shape)
        back += part.adjoint(data[where].reshape(part.data_shape))
    np.testing.assert_allclose(seen, operator.forward(image), rtol=1e-13)
    np.testing.assert_allclose(back, operator.adjoint(data), rtol=1e-12)


# --------------------------------------------------------------------------------- matrices


@pytest.mark.nojit
@pytest.mark.parametrize("make", [np.array, sparse.csr_matrix, sparse.coo_array, sparse.csc_array])
def test_matrix_of_any_kind(make):
    rows = np.random.default_rng(0).random((6, 12)) * (np.arange(12) % 3 > 0)
    operator = Matrix(make(rows), image_shape=(3, 4), data_shape=(2, 3))
    image, data = np.arange(12.0).reshape(3, 4), np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(operator.forward(image).ravel(), rows @ image.ravel())
    np.testing.assert_allclose(operator.adjoint(data).ravel(), rows.T @ data.ravel())
    for n, interleaved in ((1, False), (4, False), (4, True), (6, True)):
        together(operator, operator.parts(n, interleaved))


def test_parts_of_a_sparse_matrix_share_its_memory():
    operator = Matrix(sparse.random_array((50, 20), density=0.3, rng=np.random.default_rng(0)))
    for part, _ in operator.parts(4):
        assert np.shares_memory(part.matrix.data, operator.matrix.data)


def test_interleaved_parts_take_every_nth_row():
    operator = Matrix(np.eye(5))
    (_, first), (_, second) = operator.parts(2, interleaved=True)
    np.testing.assert_array_equal(first[0], [0, 2, 4])
    np.testing.assert_array_equal(second[0], [1, 3])


@pytest.mark.parametrize(
    ("matrix", "sentence"),
    [
        ([[1.0, 2.0], [0.5, -3.0]], r"operator\[1, 1\] is -3: entries are never negative"),
        (sparse.csr_array([[0, 2.0], [0, -3.0]]), r"operator\[1, 1\] is -3"),
        ([[1.0, np.nan]], r"operator\[0, 1\] is nan: entries are never infinite or NaN"),
        ([1.0, 2.0], r"operator has shape \(2,\): it is a matrix with a row for each"),
    ],
)
def test_matrices_that_are_no_operators(matrix, sentence):
    with pytest.raises(ValueError, match=sentence):
        Matrix(matrix)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"image_shape \(2, 3\) does not hold the 4 columns"):
        Matrix(np.ones((2, 4)), image_shape=(2, 3))
    with pytest.raises(ValueError, match="2 rows of the operator cannot make 3 parts"):
        Matrix(np.ones((2, 4))).parts(3)


# ------------------------------------------------------------------------------ those of others

ROWS = np.random.default_rng(3).random((6, 4))


class Pair:
    """An object with forward and adjoint; images (2, 2)."""

    def __init__(self, forward=None, adjoint=None):
        self.forward = forward or (lambda x: ROWS @ x.ravel())
        self.adjoint = adjoint or (lambda y: (ROWS.T @ y).reshape(2, 2))


def test_linear_operator_and_objects():
    for foreign, shape in ((aslinearoperator(ROWS), (4,)), (Pair(), (2, 2))):
        operator = as_operator(foreign, (6,))
        assert operator.image_shape == shape
        assert adjoint_gap(operator) < 1e-14
        with pytest.raises(ValueError, match="cannot be cut into 2 parts: use subsets=1"):
            operator.parts(2)
    ready = Matrix(ROWS)
    assert as_operator(ready, (6,)) is ready
    assert as_operator(ROWS, (2, 3)).data_shape == (2, 3)


@pytest.mark.parametrize(
    ("operator", "sentence"),
    [
        (ROWS, r"the operator has data of shape \(6,\), the data are of shape \(5,\)"),
        (Matrix(ROWS), r"the operator has data of shape \(6,\)"),
        (aslinearoperator(ROWS), "the operator has 6 rows, the data are of shape"),
        (Pair(), r"adjoint of Pair does not take an array of shape \(5,\)"),
        (Pair(adjoint=lambda y: np.ones((2, 2))), r"forward of Pair gives shape \(6,\)"),
    ],
)
def test_data_of_another_shape(operator, sentence):
    with pytest.raises(ValueError, match=sentence):
        as_operator(operator, (5,))


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        (Pair(adjoint=lambda y: (ROWS.T @ y).reshape(2, 2).T), "adjoint of Pair is not that of"),
        (Pair(forward=lambda x: -ROWS @ x.ravel()), "forward of Pair makes -"),
        (Pair(forward=lambda x: np.full(6, np.nan)), "forward of Pair makes NaN or infinity"),
    ],
)
def test_functions_that_are_no_operator(pair, sentence):
    with pytest.raises(ValueError, match=sentence):
        as_operator(pair, (6,))


def test_something_else():
    with pytest.raises(TypeError, match="operator is a str: give a matrix"):
        as_operator("camera", (5,))


def test_negative_linear_operator():
    rows = ROWS.copy()
    rows[2] = -1.0
    negative = aslinearoperator(rows)
    with pytest.raises(ValueError, match="the LinearOperator makes -"):
        as_operator(negative, (6,))


# ------------------------------------------------------------------------------- convolution


@given(
    psf=st.tuples(st.integers(1, 6), st.integers(1, 7)),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    boundary=st.sampled_from(["unknown", "zero"]),
)
def test_convolution_is_the_direct_one(psf, shape, boundary):
    rng = np.random.default_rng(0)
    spread = rng.random(psf)
    operator = Convolution(spread, shape, boundary)
    image = rng.random(operator.image_shape)
    full = signal.convolve(image, spread, "full", method="direct")
    first = [k // 2 if boundary == "zero" else k - 1 for k in psf]
    wanted = full[first[0] : first[0] + shape[0], first[1] : first[1] + shape[1]]
    np.testing.assert_allclose(operator.forward(image), wanted, rtol=1e-10)
    assert adjoint_gap(operator) < 1e-12
    shown = operator.crop(image)
    assert shown.shape == shape
    np.testing.assert_array_equal(operator.crop(operator.extend(shown)), shown)


@pytest.mark.parametrize("shape", [(9,), (5, 4, 6)])
@pytest.mark.parametrize("boundary", ["unknown", "zero"])
def test_convolution_in_one_and_three_dimensions(shape, boundary):
    rng = np.random.default_rng(0)
    spread = rng.random((3, 2, 3)[: len(shape)])
    operator = Convolution(spread, shape, boundary)
    assert adjoint_gap(operator) < 1e-13
    image = rng.random(operator.image_shape)
    full = signal.convolve(image, spread, "full", method="direct")
    first = [k // 2 if boundary == "zero" else k - 1 for k in spread.shape]
    wanted = full[tuple(slice(a, a + n) for a, n in zip(first, shape, strict=True))]
    np.testing.assert_allclose(operator.forward(image), wanted, rtol=1e-12)


def test_point_of_light_stays_where_it_is():
    for boundary in ("unknown", "zero"):
        operator = Convolution(np.ones((3, 5)), (7, 7), boundary)
        shown = np.zeros((7, 7))
        shown[3, 4] = 1.0
        seen = operator.forward(operator.extend(shown))
        np.testing.assert_allclose(seen[2:5, 2:7], 1.0)
        assert seen.sum() == pytest.approx(15)


def test_less_of_the_light_outside_is_seen():
    operator = Convolution(np.full((3, 3), 1 / 9), (4, 4))
    share = operator.adjoint(np.ones((4, 4)))
    np.testing.assert_allclose(operator.crop(share)[1:-1, 1:-1], 1.0)
    np.testing.assert_allclose(share[0, :3] * 9, [1, 2, 3])


def test_dark_stays_dark_and_nothing_is_negative():
    image = np.zeros((40, 40))
    image[0, 0] = 1e9
    seen = Convolution(np.ones((3, 3)), (40, 40), "zero").forward(image)
    assert seen.min() >= 0
    assert seen[20:, 20:].max() <= 1e-14 * 1e9


@pytest.mark.parametrize(
    ("psf", "sentence"),
    [
        (np.ones(3), r"psf has shape \(3,\) and the data \(4, 4\): both must have as many axes"),
        (np.zeros((3, 3)), "psf must be finite and not negative, and not all of it zero"),
        (-np.ones((3, 3)), "psf must be finite and not negative"),
        ([[np.nan]], "psf must be finite"),
    ],
)
def test_psf_that_is_none(psf, sentence):
    with pytest.raises(ValueError, match=sentence):
        Convolution(psf, (4, 4))


def test_boundary_of_another_name():
    with pytest.raises(ValueError, match="boundary must be 'unknown' or 'zero', got 'wrap'"):
        Convolution(np.ones((3, 3)), (4, 4), "wrap")


# ------------------------------------------------------------------------------- parallel rays


def by_hand(theta, n, circle):
    """The matrix of `ParallelBeam`, ray by ray in plain numpy."""
    beam = ParallelBeam(theta, n, circle)
    m, centre = beam.data_shape[0], n // 2
    outside = beam.outside()
    rows = np.zeros((len(theta) * m, n, n))
    t = np.arange(n) - centre
    for v, angle in enumerate(np.deg2rad(theta)):
        c, s = np.cos(angle), np.sin(angle)
        for d in range(m):
            u, ray = d - m // 2, rows[v * m + d]
            across = centre + ((u + t * s) / c if abs(c) >= abs(s) else (t * c - u) / s)
            low = np.floor(across).astype(int)
            for share, other in ((1 - (across - low), low), (across - low, low + 1)):
                keep = (other >= 0) & (other < n)
                along, other, share = np.arange(n)[keep], other[keep], share[keep]
                at = (along, other) if abs(c) >= abs(s) else (other, along)
                np.add.at(ray, at, share / max(abs(c), abs(s)))
            if outside is not None:
                ray[outside] = 0.0
    return rows.reshape(len(rows), -1)


@pytest.mark.nojit
@pytest.mark.parametrize("circle", [True, False])
@pytest.mark.parametrize("n", [2, 5, 8])
def test_kernel_is_its_numpy_twin(n, circle):
    theta = np.array([0.0, 17.0, 45.0, 90.0, 133.0, 180.0, -30.0])
    beam = ParallelBeam(theta, n, circle)
    np.testing.assert_allclose(beam.matrix.toarray(), by_hand(theta, n, circle), atol=1e-15)


@pytest.mark.parametrize("circle", [True, False])
def test_rays_adjoint_and_parts(circle):
    beam = ParallelBeam(np.arange(0, 180, 20), 11, circle)
    assert adjoint_gap(beam) < 1e-14
    for n, interleaved in ((1, False), (4, False), (4, True), (9, True)):
        together(beam, beam.parts(n, interleaved))
    for part, _ in beam.parts(3):
        assert np.shares_memory(part.matrix.data, beam.matrix.data)


def test_mass_is_kept_at_every_angle():
    beam = ParallelBeam(np.arange(0, 180, 7), 32)
    row, column = np.indices((32, 32)) - 16
    blob = np.exp(-((row - 3) ** 2 + (column + 2) ** 2) / 18)
    np.testing.assert_allclose(beam.forward(blob).sum(axis=0), blob.sum(), rtol=2e-3)


@pytest.mark.parametrize("n", range(2, 70))
def test_size_follows_from_the_detectors(n):
    for circle in (True, False):
        beam = ParallelBeam([0.0], n, circle)
        assert ParallelBeam.like(np.empty(beam.data_shape), [0.0], circle).n == n


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ParallelBeam([], 4), "theta must be a list of finite angles in degrees"),
        (lambda: ParallelBeam([np.nan], 4), "theta must be a list of finite angles"),
        (lambda: ParallelBeam([0.0], 1), "n must be an integer >= 2, the rows of the image, got 1"),
        (lambda: ParallelBeam([0, 9], 4).parts(3), "3 subsets of 2 angles: each needs an angle"),
        (lambda: ParallelBeam.like(np.empty((4, 1)), [0], False), "no image has 4 detectors"),
    ],
)
def test_rays_that_are_none(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_own_operator_needs_two_methods_only():
    class Double(Operator):
        image_shape = data_shape = (3,)

        def forward(self, image):
            return 2 * image

        adjoint = forward

    operator = as_operator(Double(), (3,))
    assert operator.parts(1) == [(operator, ...)]
    assert operator.outside() is None
    assert operator.crop(np.ones(3)).shape == operator.extend(np.ones(3)).shape == (3,)
