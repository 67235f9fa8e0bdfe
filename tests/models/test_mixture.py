"""The mixture as a model: blocks, weights, labels, empty components, fixed groups."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from latentem import EM, NotIdentifiedWarning, Rows, SerialBackend
from latentem.families import Categorical, Gaussian, Poisson, PoissonParams
from latentem.models import Mixture, MixtureParams
from latentem.testing import check_model
from tests.estimators.samples import WholeRows


@pytest.fixture
def x(rng):
    return np.concatenate([rng.poisson(1.0, 100), rng.poisson(8.0, 60)])[:, None].astype(float)


START = MixtureParams(np.array([0.3, 0.7]), PoissonParams(np.array([[2.0], [6.0]])))


def expect(model, data, params=START, size=None):
    return SerialBackend().expect(model, params, model.blocks(data, size))


@pytest.mark.nojit
def test_e_step_equals_the_formula(x):
    found = expect(Mixture(Poisson(), 2), x)
    joint = START.weights[:, None] * poisson.pmf(x[:, 0], START.family.lambdas)
    shares = joint / joint.sum(axis=0)
    assert found.loglik == pytest.approx(np.log(joint.sum(axis=0)).sum(), rel=1e-13)
    np.testing.assert_allclose(found.statistics.counts, shares.sum(axis=1), rtol=1e-13)
    np.testing.assert_allclose(found.statistics.family.total, shares @ x, rtol=1e-13)
    assert found.weight == len(x)


def test_check_model_with_weights_labels_and_fixed_weights(x, rng):
    weights = rng.exponential(size=len(x))
    labels = np.where(rng.random(len(x)) < 0.2, x[:, 0] > 4, -1)
    report = check_model(Mixture(Poisson(), 2), Rows(x, weights, labels), start=START)
    assert {name for name, _ in report.skipped} == {"fixed values"}
    report = check_model(Mixture(Poisson(), 2, fixed=("weights",)), (x, weights), start=START)
    assert dict(report.passed)["fixed values"] == "weights"


def test_labels_are_obeyed(x):
    labels = np.full(len(x), -1)
    labels[:10] = 1
    statistics = expect(Mixture(Poisson(), 2), Rows(x[:10], None, labels[:10])).statistics
    np.testing.assert_array_equal(statistics.counts, [0.0, 10.0])
    joint = START.weights[1] * poisson.pmf(x[:10, 0], 6.0)
    loglik = expect(Mixture(Poisson(), 2), Rows(x[:10], None, labels[:10])).loglik
    assert loglik == pytest.approx(np.log(joint).sum())


def test_a_label_that_contradicts_the_model_is_minus_infinity():
    params = MixtureParams(np.array([0.5, 0.5]), PoissonParams(np.array([[0.0], [3.0]])))
    data = Rows(np.array([[2.0]]), None, np.array([0]))
    assert expect(Mixture(Poisson(), 2), data, params).loglik == -np.inf


def test_an_impossible_row_of_weight_zero_does_no_harm():
    params = MixtureParams(np.array([0.5, 0.5]), PoissonParams(np.zeros((2, 1))))
    data = (np.array([[0.0], [5.0]]), np.array([1.0, 0.0]))
    found = expect(Mixture(Poisson(), 2), data, params)
    assert found.loglik == 0.0
    assert found.weight == 1.0
    np.testing.assert_array_equal(found.statistics.counts, [0.5, 0.5])


def test_an_empty_component_keeps_its_parameters_and_is_reported(x):
    params = MixtureParams(np.array([0.0, 1.0]), START.family)
    result = EM(n_jobs=1).run(Mixture(Poisson(), 2), x, start=params)
    assert result.params.weights.tolist() == [0.0, 1.0]
    assert result.params.family.lambdas[0] == 2.0
    assert any("component 0 is empty" in note for note in result.notes)


def test_one_component_is_the_closed_form(x):
    result = EM(n_jobs=1).run(Mixture(Poisson(), 1), x)
    assert result.params.family.lambdas[0, 0] == pytest.approx(x.mean(), rel=1e-14)
    assert result.loglik == pytest.approx(poisson.logpmf(x, x.mean()).sum(), rel=1e-13)


def test_zero_weight_is_absent_and_integer_weight_repeats(x, rng):
    weights = rng.integers(0, 4, size=len(x)).astype(float)
    em = EM(n_jobs=1, tol=1e-10)
    model = Mixture(Gaussian("diag"), 2)
    start = model.initialize(model.blocks(x), rng)
    weighted = em.run(model, (x, weights), start=start)
    repeated = em.run(model, np.repeat(x, weights.astype(int), axis=0), start=start)
    assert weighted.loglik == pytest.approx(repeated.loglik, rel=1e-10)
    assert weighted.weight == repeated.weight
    np.testing.assert_allclose(
        weighted.params.family.means, repeated.params.family.means, rtol=1e-7
    )


@pytest.mark.parametrize("how", ["kmeans", "k-means++", "random", "random_from_data"])
def test_starts_are_sound_with_every_init_params(how, x, rng):
    model = Mixture(Gaussian(), 2, init_params=how)
    start = model.initialize(model.blocks(x), rng)
    assert start.weights.sum() == pytest.approx(1)
    assert np.isfinite(start.family.means).all()
    assert np.isfinite(expect(model, x, start).loglik)


def test_kmeans_starts_do_not_hinge_on_units(rng):
    """A column in large units that says nothing must not decide the partition."""
    x = np.column_stack([np.repeat([0.0, 8.0], 100) + rng.normal(size=200), rng.normal(size=200)])
    model = Mixture(Gaussian("diag"), 2)
    start = model.initialize(model.blocks(x * [1.0, 1e6]), np.random.default_rng(0))
    assert abs(np.diff(start.family.means[:, 0])[0]) > 6


def test_a_callable_start(x, rng):
    model = Mixture(Poisson(), 2, init_params=lambda points, k, rng: (points[:, 0] > 4).astype(int))
    start = model.initialize(model.blocks(x), rng)
    assert start.weights[1] == pytest.approx((x > 4).mean())
    for answer, sentence in (
        (np.full(len(x), 2), "labels outside 0..1"),
        (np.zeros(len(x)), "labels that are not integers"),
        (np.zeros((len(x), 2)), "do not sum to 1"),
        (np.zeros(3), r"must return labels of shape \(160,\)"),
    ):
        bad = Mixture(Poisson(), 2, init_params=lambda p, k, r, answer=answer: answer)
        with pytest.raises(ValueError, match=sentence):
            bad.initialize(bad.blocks(x), rng)


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        (("gaussian", 2), TypeError, "family must be a Family, got str"),
        ((Poisson(), 2.0), TypeError, "n_components must be an integer, got 2.0"),
        ((Poisson(), True), TypeError, "n_components must be an integer, got True"),
        ((Poisson(), 0), ValueError, "n_components must be at least 1, got 0"),
        ((Poisson(), 2, "kmeans", ("means",)), ValueError, r"fixed knows 'weights', got \['means'"),
    ],
)
def test_arguments_are_checked(arguments, kind, sentence):
    with pytest.raises(kind, match=sentence):
        Mixture(*arguments)


def test_one_dimensional_rows_are_refused_with_the_fix(x):
    with pytest.raises(ValueError, match=r"2-D array, found 1-D: use x\[:, None\]"):
        Mixture(Poisson(), 2).blocks(x[:, 0])
    bad = Mixture(Poisson(), 2, init_params="best")
    with pytest.raises(ValueError, match=r"init_params must be one of .* got 'best'"):
        bad.initialize(bad.blocks(x), np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_components_that_coincide_are_named(kind, rng):
    x = rng.standard_normal((400, 2))
    x[:200] += 4.0
    shares = np.full((3, 400), 0.25)
    shares[2, :200], shares[:2, :200], shares[2, 200:], shares[:2, 200:] = 0.0, 0.5, 1.0, 0.0
    model = Mixture(Gaussian(kind), 3)
    start = model.from_responsibilities(x, shares, rng)
    with pytest.warns(NotIdentifiedWarning, match="^components 0 and 1 coincide: EM may"):
        result = EM().run(model, x, start=start)
    assert any("components 0 and 1 coincide" in note for note in result.notes)


def test_components_with_one_mean_and_other_shapes_do_not_coincide(rng):
    x = rng.standard_normal((1000, 2)) * [3.0, 0.5]
    x[:500] = x[:500, ::-1]
    result = EM().run(Mixture(Gaussian("full"), 2), x, rng=0)
    assert abs(result.params.family.means[0] - result.params.family.means[1]).max() < 0.5
    assert result.notes == ()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ((np.array([[1.0], [-2.0]]),), r"counts.*X\[1, 0\] is -2"),
        ((np.array([[1.0], [np.inf]]),), r"x\[1, 0\] is inf: Poisson needs finite"),
        ((np.ones((2, 1)), np.array([1.0, -1.0])), "weights must be finite numbers >= 0"),
        ((np.ones((2, 1)), np.array([1.0, np.nan])), "weights must be finite numbers >= 0"),
        ((np.ones((2, 1)), np.ones(3)), r"weights must have one value per row, shape \(2,\)"),
        ((np.ones((2, 1)), None, np.array([0, 2])), r"labels must be integers.*0\.\.1, or -1"),
        ((np.ones((2, 1)), None, np.array([0.0, 1.0])), "labels must be integers"),
    ],
)
def test_data_that_cannot_be_are_refused_with_a_sentence(data, sentence):
    with pytest.raises(ValueError, match=sentence):
        EM().run(Mixture(Poisson(), 2), data, start=START)


def test_missing_cells_are_refused_where_the_family_takes_none():
    data = np.array([[1.0, 2.0], [3.0, np.nan], [4.0, 0.0]])
    with pytest.raises(ValueError, match=r"x\[1, 1\] is nan: .* needs finite numbers"):
        EM().run(Mixture(WholeRows(), 1), data)
    data[1, 1] = np.inf
    with pytest.raises(ValueError, match=r"x\[1, 1\] is inf: .* or NaN for a missing cell"):
        EM().run(Mixture(Gaussian(), 1), data)


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (Mixture(Poisson(), 2, fixed=("weights",)), "weights are fixed"),
        (Mixture(Gaussian(fixed=("means",)), 2), "means are fixed"),
    ],
)
def test_fixed_groups_need_a_start(model, what, x):
    with pytest.raises(ValueError, match=f"{what} .* must be given: pass parameters as start"):
        EM().run(model, x)


class Pairs(Poisson):
    """Counts whose encoding is no array."""

    def encode(self, rows):
        return {"head": rows[:, :1], "tail": rows[:, 1:]}

    def points(self, x):
        return np.hstack([x["head"], x["tail"]])

    def log_density(self, prepared, x):
        return super().log_density(prepared, self.points(x))

    def statistics(self, prepared, x, weights, shared=None):
        return super().statistics(prepared, self.points(x), weights)

    def initialize(self, x, weights, rng):
        return super().initialize(self.points(x), weights, rng)


def test_an_encoding_may_be_of_any_type(rng):
    data = rng.poisson(np.where(rng.random((40_000, 1)) < 0.5, 2.0, 9.0), (40_000, 2)) * 1.0
    plain = EM().run(Mixture(Poisson(), 2), data, rng=1)
    other = EM().run(Mixture(Pairs(), 2), data, rng=1)
    assert other.objective == plain.objective


def test_more_components_than_distinct_points_start_apart(rng):
    x = rng.integers(2, size=(200, 1)).astype(float)
    params = EM(max_iter=0, tol=0).run(Mixture(Categorical((2,)), 3), x, rng=0).params
    probs = params.family.emissionprob
    assert np.all(params.weights > 0.05)
    assert min(np.abs(probs[i] - probs[j]).max() for i, j in ((0, 1), (0, 2), (1, 2))) > 1e-3
