"""Images behind counts: published numbers, conditions of a maximum, priors, subsets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import nnls

from latentem import EM, Reason
from latentem.models import Image, IntensityPrior, PoissonLinear, SmoothnessPrior
from latentem.operators import Convolution, ParallelBeam
from latentem.testing import check_model

A = np.array(
    [[2.5, 1.2, 0.3, 0.1], [0.4, 3.1, 0.7, 0.2], [0.1, 0.3, 4.1, 2.5], [0.2, 0.5, 0.2, 0.9]]
)
BACKGROUND = np.array([0.3, 0.2, 0.1, 0.4])
Y = np.array([29.0, 35.0, 49.0, 14.0])
DATA = (A, Y, BACKGROUND)
ONES = Image(np.ones(4))
PLAIN = {"tol": 0, "accelerate": None, "n_jobs": 1}


@pytest.fixture
def tall(rng):
    a = rng.gamma(1.0, size=(60, 3))
    return a, rng.poisson(a @ [1.0, 4.0, 2.0] + 0.5).astype(float), 0.5


# ------------------------------------------------------------------------- published numbers


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("maps", "image"),
    [
        (1, [6.71363097, 7.2055467, 6.95695502, 6.80043889]),
        (10, [6.42685347, 8.3646447, 6.85815927, 7.13994535]),
    ],
)
def test_path_from_ones(maps, image):
    result = EM(**PLAIN, max_iter=maps).run(PoissonLinear(), DATA, start=ONES)
    np.testing.assert_allclose(result.params.x, image, rtol=0, atol=6e-9)


@pytest.mark.parametrize("accelerate", ["auto", "squarem", "anderson"])
def test_optimum(accelerate):
    rule = EM(tol=1e-10, stopping="gradient", accelerate=accelerate)
    result = rule.run(PoissonLinear(), DATA, start=ONES)
    expected = [6.34000159, 8.44197482, 6.54624952, 7.55751374]
    mean = A @ result.params.x + BACKGROUND
    np.testing.assert_allclose(result.params.x, expected, rtol=0, atol=2e-8)
    assert np.sum(mean - Y * np.log(mean)) == pytest.approx(-322.7347584438, abs=1e-9)


def test_intensity_prior_reaches_the_map():
    prior = IntensityPrior(0.1, centre=[5.5, 10.7, 8.2, 7.9])
    rule = EM(tol=1e-10, stopping="gradient")
    result = rule.run(PoissonLinear(prior), DATA, start=ONES)
    expected = [5.74974272, 9.11790924, 6.96743615, 7.2463731]
    np.testing.assert_allclose(result.params.x, expected, rtol=0, atol=2e-8)
    assert result.objective == result.loglik + prior.log_density(result.params.x)


def test_isoforms():
    """Reads that fit several transcripts: the row without a count balances the sensitivity."""
    fits = np.array([[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 0, 0], [1, 1, 0]], dtype=float)
    data = np.vstack([fits, 5 - fits.sum(axis=0)]), np.array([1.0, 1, 1, 1, 1, 0])
    third = Image(np.full(3, 1 / 3))
    paths = [EM(**PLAIN, max_iter=n).run(PoissonLinear(), data, start=third) for n in (1, 2)]
    np.testing.assert_allclose(paths[0].params.x, [0.46667, 0.26667, 0.26667], atol=5e-6)
    np.testing.assert_allclose(paths[1].params.x, [0.54788, 0.22606, 0.22606], atol=5e-6)
    result = EM(tol=1e-12).run(PoissonLinear(), data, start=third)
    np.testing.assert_allclose(result.params.x, [0.6403882, 0.1798059, 0.1798059], atol=6e-8)
    assert result.loglik + 5 == pytest.approx(-1.8648394055, abs=1e-10)


# ------------------------------------------------------------------------------- the contract


def names(pairs):
    return {name for name, _ in pairs}


def test_passes_every_check(tall):
    report = check_model(PoissonLinear(), tall)
    assert names(report.skipped) == {"row weights", "fixed values", "simulate and recover"}
    check_model(PoissonLinear(IntensityPrior(0.3, centre=[2.0, 2.0, 9.0])), tall)
    check_model(PoissonLinear(SmoothnessPrior(0.3)), tall, exact_m_step=False)


def test_passes_every_check_with_rays(rng):
    beam = ParallelBeam(np.arange(0, 180, 15), 6, circle=False)
    image = rng.gamma(2.0, 5.0, size=(6, 6))
    data = beam, rng.poisson(beam.forward(image)).astype(float), 1.0
    check_model(PoissonLinear(), data)
    check_model(PoissonLinear(SmoothnessPrior(0.1)), data, exact_m_step=False)


def test_kinds_of_operator_agree(tall):
    a, y, background = tall
    dense = EM(**PLAIN, max_iter=5).run(PoissonLinear(), tall).params.x
    for other in (sparse.csr_array(a), sparse.linalg.aslinearoperator(a)):
        found = EM(**PLAIN, max_iter=5).run(PoissonLinear(), (other, y, background)).params.x
        np.testing.assert_allclose(found, dense, rtol=1e-12)


def test_blocks_depend_on_the_data_alone_and_may_be_given():
    beam = ParallelBeam(np.arange(180.0), 64)
    y = beam.forward(np.ones((64, 64)))
    model = PoissonLinear()
    blocks = model.blocks((beam, y))
    assert len(blocks) == 2  # by the size of the product
    assert model.blocks(blocks) is blocks
    one, two = (
        EM(tol=0, max_iter=3, n_jobs=n).run(model, blocks).params.x.tobytes() for n in (1, 2)
    )
    assert one == two


# -------------------------------------------------------------------------- edges of the set


def test_exact_data_of_a_sparse_image_come_back(rng):
    """Where A x = y has one solution, zeros in it, it is the maximum."""
    a = rng.random((30, 10))
    image = np.where(np.arange(10) % 3 == 0, 0.0, 5.0)
    result = EM(tol=1e-9, max_iter=20_000).run(PoissonLinear(), (a, a @ image))
    np.testing.assert_allclose(result.params.x, image, atol=5e-3)
    np.testing.assert_allclose(result.params.x, nnls(a, a @ image)[0], atol=5e-3)


def test_no_counts_is_an_image_of_zeros():
    result = EM(tol=1e-9).run(PoissonLinear(), (A, np.zeros(4)))
    assert result.converged
    np.testing.assert_array_equal(result.params.x, 0)
    assert result.loglik == 0


def test_row_of_zeros_without_counts_says_nothing():
    a = np.vstack([A, np.zeros(4)])
    with_row = EM(**PLAIN, max_iter=9).run(PoissonLinear(), (a, np.append(Y, 0.0)), start=ONES)
    without = EM(**PLAIN, max_iter=9).run(PoissonLinear(), (A, Y), start=ONES)
    np.testing.assert_allclose(with_row.params.x, without.params.x, rtol=1e-14)
    assert with_row.loglik == pytest.approx(without.loglik, rel=1e-14)


def test_counts_that_nothing_can_make_are_impossible():
    a = np.vstack([A, np.zeros(4)])
    with pytest.warns(UserWarning, match="probability zero"):
        result = EM(max_iter=20).run(PoissonLinear(), (a, np.append(Y, 3.0)))
    assert result.reason is Reason.IMPOSSIBLE


def test_column_of_zeros_stays_as_it_was():
    a = A * [1, 0, 1, 1]
    result = EM(tol=1e-6).run(PoissonLinear(), (a, Y, BACKGROUND), start=ONES)
    assert result.params.x[1] == 1
    assert "1 of 4 pixels are seen by no measurement" in result.notes[0]
    prior = IntensityPrior(0.1, centre=7.0)
    found = EM(tol=1e-9).run(PoissonLinear(prior), (a, Y, BACKGROUND), start=ONES)
    assert found.params.x[1] == pytest.approx(7)
    assert found.notes == ()


# ------------------------------------------------------- the conditions of a maximum, and priors


def violation_by_hand(prior, image):
    mean = A @ image + BACKGROUND
    gradient = A.T @ (Y / mean - 1)
    if prior is not None:
        h = 1e-6 * np.eye(4)
        gradient += [
            (prior.log_density(image + e) - prior.log_density(image - e)) / 2e-6 for e in h
        ]
    return np.max(np.abs(np.minimum(image / image.max(), -gradient / A.sum(axis=0))))


@pytest.mark.parametrize("prior", [None, IntensityPrior(0.2, 3.0), SmoothnessPrior(0.2)])
def test_violation_of_the_conditions(prior, rng):
    model = PoissonLinear(prior)
    image = rng.random(4) * 9
    (block,) = model.blocks(DATA)
    statistics = model.e_step(Image(image), block).statistics
    found = model.kkt_residual(Image(image), statistics)
    assert found == pytest.approx(violation_by_hand(prior, image), rel=1e-6)
    result = EM(tol=1e-7, stopping="gradient", max_iter=5000).run(model, DATA)
    assert result.reason is Reason.GRADIENT
    assert violation_by_hand(prior, result.params.x) < 1e-6


@pytest.mark.parametrize("shape", [(5,), (4, 3), (3, 2, 4)])
@pytest.mark.parametrize("prior", [IntensityPrior(0.7, 2.0), SmoothnessPrior(0.7)])
def test_bound_touches_and_lies_below(prior, shape, rng):
    image = rng.random(shape)
    curvature, pull = prior.bound(image)

    def bound(x):
        return np.sum(-curvature / 2 * x**2 + pull * x)

    offset = prior.log_density(image) - bound(image)
    for _ in range(50):
        other = image + rng.standard_normal(shape)
        assert bound(other) + offset <= prior.log_density(other) + 1e-9
    step = 1e-6 * rng.standard_normal(shape)
    slope = np.sum(prior.gradient(image) * step)
    assert prior.log_density(image + step) - prior.log_density(image) == pytest.approx(
        slope, rel=1e-3
    )
    assert bound(image + step) - bound(image) == pytest.approx(slope, rel=1e-3)


def test_smoothness_is_of_neighbours():
    assert SmoothnessPrior(2.0).log_density(np.array([[0.0, 1.0], [3.0, 7.0]])) == -(
        1 + 16 + 9 + 36
    )


@pytest.mark.parametrize("strength", [0, -1.0, np.nan, np.inf, "much"])
def test_strength(strength):
    for kind in (IntensityPrior, SmoothnessPrior):
        with pytest.raises(ValueError, match="strength must be a positive number"):
            kind(strength)


# ----------------------------------------------------------------------------------- subsets


def phantom():
    row, column = np.indices((24, 24)) - 12
    inside = row**2 + column**2 < 100
    return 4.0 * inside + 6.0 * ((row - 3) ** 2 + (column + 2) ** 2 < 9)


@pytest.mark.parametrize("prior", [None, SmoothnessPrior(0.02)])
def test_subsets_do_the_work_of_many_maps(prior, rng):
    beam = ParallelBeam(np.arange(0, 180, 3), 24)
    data = beam, rng.poisson(beam.forward(phantom())).astype(float)
    plain = EM(**PLAIN, max_iter=30).run(PoissonLinear(prior), data)
    subsets = EM(tol=0, subsets=10, max_iter=40).run(PoissonLinear(prior, subsets=10), data)
    assert subsets.objective > plain.objective
    assert subsets.n_e_steps == 6  # four passes, the start and the end


def test_subsets_are_every_nth_angle_and_far_apart():
    theta = np.arange(0, 180, 10.0)
    beam = ParallelBeam(theta, 8)
    blocks = PoissonLinear(subsets=6).blocks((beam, np.ones(beam.data_shape)))
    assert [list(block.operator.theta[:2]) for block in blocks] == [
        [0, 60], [40, 100], [20, 80], [10, 70], [50, 110], [30, 90],
    ]  # fmt: skip
    assert all(len(block.operator.theta) == 3 for block in blocks)


@pytest.mark.parametrize("subsets", [0, 1.5, True])
def test_number_of_subsets(subsets):
    with pytest.raises(ValueError, match="subsets must be an integer >= 1"):
        PoissonLinear(subsets=subsets)


def test_wrong_prior_and_wrong_data():
    with pytest.raises(TypeError, match="prior must be an IntensityPrior, a SmoothnessPrior"):
        PoissonLinear(prior=0.1)
    with pytest.raises(TypeError, match="data of PoissonLinear are"):
        PoissonLinear().blocks(A)
    with pytest.raises(ValueError, match="Convolution cannot be cut into 2 parts: use subsets=1"):
        PoissonLinear(subsets=2).blocks((Convolution(np.ones((3, 3)), (4, 4)), np.ones((4, 4))))
