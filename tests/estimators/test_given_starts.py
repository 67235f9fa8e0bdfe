"""Starting values that are given: all of them, some of them, and those that stay fixed."""

from __future__ import annotations

import tracemalloc
from itertools import combinations

import numpy as np
import pytest

from latentem import GaussianMixture, ImpossibleRowWarning, MixtureModel, families, load
from latentem.engine.backends import SerialBackend
from latentem.engine.flat import FlatSpace
from latentem.families.gaussian import Gaussian, GaussianParams
from latentem.families.poisson import Poisson, PoissonParams
from tests.estimators.samples import (
    KINDS,
    assert_same_attributes,
    attributes,
    blobs,
    full_covariances,
    start,
)
from tests.estimators.test_bad_input import COUNTS, refused

X = blobs(120, gap=2.5)
ARGUMENTS = {"weights": "weights_init", "means": "means_init", "covariances": "precisions_init"}
GROUPS = tuple(ARGUMENTS)
SOME = [names for size in (1, 2, 3) for names in combinations(GROUPS, size)]
COUNT = {"full": 6, "tied": 3, "diag": 4, "spherical": 2}  # covariances of 2 components, 2 columns


def slope(model, X):
    """Gradient of the log-likelihood in the free coordinates, by differences."""
    params = model._current()
    mixture = model.model_
    space = FlatSpace(mixture.constraints(), params)
    at, blocks = space.pack(params), mixture.blocks(X)

    def loglik(where):
        return SerialBackend().expect(mixture, space.unpack(where), blocks).loglik

    h = 1e-4
    moves = h * np.eye(len(at))
    return np.array([(loglik(at + move) - loglik(at - move)) / (2 * h) for move in moves])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fixed", SOME, ids="-".join)
@pytest.mark.parametrize("accelerate", [None, "squarem"])
def test_fixed_groups_do_not_move_and_the_rest_is_the_maximum(kind, fixed, accelerate):
    given = start(X, kind, 2)
    gm = GaussianMixture(
        2, covariance_type=kind, fixed=fixed, accelerate=accelerate, tol=1e-10, max_iter=5000,
        **given,
    )  # fmt: skip
    begin = GaussianMixture(2, covariance_type=kind, max_iter=0, tol=0, **given).fit(X)
    gm.fit(X)
    for group in fixed:
        np.testing.assert_array_equal(getattr(gm, group + "_"), getattr(begin, group + "_"))
    for group in set(GROUPS) - set(fixed):
        assert not np.array_equal(getattr(gm, group + "_"), getattr(begin, group + "_"))
    free = {"weights": 1, "means": 4, "covariances": COUNT[kind]}
    assert gm.n_parameters() == sum(free[group] for group in free if group not in fixed)
    assert gm.loglik_ >= begin.loglik_
    gradient = slope(gm, X)
    assert len(gradient) == gm.n_parameters()
    np.testing.assert_allclose(gradient, 0.0, atol=2e-3)  # of values of about 500


def test_the_gradient_of_a_fit_that_is_no_maximum_is_seen():
    """What the test above asks for can fail."""
    given = start(X, "full", 2)
    gm = GaussianMixture(2, fixed=("means",), max_iter=2, tol=0, **given).fit(X)
    assert np.abs(slope(gm, X)).max() > 0.1


@pytest.mark.parametrize("group", GROUPS)
def test_fixed_without_a_starting_value_is_refused(group):
    others = {name: value for name, value in start(X, "full", 2).items()
              if name != ARGUMENTS[group]}  # fmt: skip
    for given in ({}, others, {"responsibilities_init": np.eye(2)[np.arange(120) % 2]}):
        gm = GaussianMixture(2, fixed=(group,), random_state=0, **given)
        before = attributes(gm)
        refused(lambda gm=gm: gm.fit(X), ["fixed", group, f"pass {ARGUMENTS[group]}"])
        assert_same_attributes(gm, before)


@pytest.mark.parametrize("wrong", ["means", ("mean",), (1,), None, {"mean": True}, 3])
def test_wrong_fixed(wrong):
    gm = GaussianMixture(2, fixed=wrong, **start(X, "full", 2))
    refused(lambda: gm.fit(X), ["fixed must be a tuple", "'weights', 'means', 'covariances'"])
    model = MixtureModel(Poisson(), 2, fixed=("lambdas",))
    refused(lambda: model.fit(COUNTS), ["fixed must be a tuple", "('weights',)"])


def test_fixed_groups_of_a_mixture_model():
    lambdas = PoissonParams(np.array([[1.0], [6.0]]))
    family = Poisson(fixed=("lambdas",))
    refused(lambda: MixtureModel(family, 2).fit(COUNTS), ["lambdas", "pass family_init"])
    refused(
        lambda: MixtureModel(Poisson(), 2, fixed=("weights",)).fit(COUNTS),
        ["weights", "pass weights_init"],
    )
    both = MixtureModel(family, 2, fixed=["weights"], random_state=0)
    refused(lambda: both.fit(COUNTS), ["weights, lambdas", "pass weights_init, family_init"])
    model = MixtureModel(family, 2, family_init=lambdas, tol=1e-12).fit(COUNTS)
    np.testing.assert_array_equal(model.family_params_.lambdas, lambdas.lambdas)
    np.testing.assert_allclose(slope(model, COUNTS), 0.0, atol=1e-4)
    model = MixtureModel(Poisson(), 2, fixed=("weights",), weights_init=[0.3, 0.7], random_state=0)
    model.set_params(tol=1e-10).fit(COUNTS)
    assert model.weights_.tolist() == [0.3, 0.7]
    assert model.n_parameters() == 2
    np.testing.assert_allclose(slope(model, COUNTS), 0.0, atol=1e-4)


def test_a_part_of_a_family_that_is_fixed_needs_a_starting_value():
    rows = np.c_[np.tile(COUNTS, (20, 1)), X]
    gaussian = families.Gaussian("full")
    family = families.Independent([(Poisson(fixed=("lambdas",)), 0), (gaussian, [1, 2])])
    model = MixtureModel(family, 2, random_state=0)
    refused(lambda: model.fit(rows), ["lambdas", "pass family_init"])
    begin = GaussianMixture(2, random_state=0).fit(X)
    parts = PoissonParams(np.array([[4.0], [5.0]])), GaussianParams(*begin._params().family)
    model.set_params(family_init=parts).fit(rows)
    assert model.family_params_[0].lambdas.tolist() == [[4.0], [5.0]]


def test_a_ready_model_can_go_on_with_fixed_groups():
    made = GaussianMixture.from_parameters(
        weights=[0.5, 0.5], means=[[0.0, 0.0], [4.0, 4.0]], covariances=[np.eye(2)] * 2,
        fixed=("means",), warm_start=True,
    )  # fmt: skip
    assert made.fit(X).means_.tolist() == [[0.0, 0.0], [4.0, 4.0]]
    assert made.n_parameters() == 7


def test_fixed_groups_come_back_from_a_file(tmp_path):
    gm = GaussianMixture(2, fixed=("means", "weights"), **start(X, "full", 2)).fit(X)
    gm.save(tmp_path / "m.npz")
    again = load(tmp_path / "m.npz")
    assert again.fixed == ("means", "weights")
    assert again.n_parameters() == gm.n_parameters() == 6
    np.testing.assert_array_equal(again.fit(X).covariances_, gm.covariances_)


# ------------------------------------------------------------------------- some values given


def begin(kind="full", rows=X, weights=None, **given):
    """The parameters that the given values start from."""
    k = len(given["means_init"])
    gm = GaussianMixture(k, covariance_type=kind, max_iter=0, tol=0, random_state=0, **given)
    return gm.fit(rows, sample_weight=weights)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_means_alone_bring_weights_and_covariances_of_the_nearest_rows(kind, scale):
    rows = X * [1.0, scale]  # in other units the same rows are nearest
    means = np.array([[5.0, 6.0], [0.0, -1.0]]) * [1.0, scale]
    gm = begin(kind, rows, means_init=means)
    spread = rows.std(axis=0)
    distances = np.sum(((rows[:, None] - means) / spread) ** 2, axis=2)
    nearest = np.argmin(distances, axis=1)
    assert 20 < np.sum(nearest == 0) < 100
    np.testing.assert_array_equal(gm.means_, means)
    np.testing.assert_allclose(gm.weights_, np.bincount(nearest) / 120, rtol=1e-12)
    apart = rows - means[nearest]
    products = np.array(
        [apart[nearest == k].T @ apart[nearest == k] / np.sum(nearest == k) for k in (0, 1)]
    )
    variances = products.diagonal(0, 1, 2)
    exact = {
        "full": products, "tied": apart.T @ apart / 120, "diag": variances,
        "spherical": variances.mean(axis=1),
    }[kind]  # fmt: skip
    np.testing.assert_allclose(gm.covariances_, exact, rtol=1e-9)


def test_means_alone_keep_their_order_and_beat_the_labels_of_a_stranger():
    """Components come in the order of the means, whatever k-means would call first."""
    rows = np.r_[blobs(150, gap=9.0, k=1), blobs(30, gap=9.0, k=1, seed=3) + 25.0]
    low, high = rows[:150].mean(axis=0), rows[150:].mean(axis=0)
    for order in ([0, 1], [1, 0]):
        gm = begin(rows=rows, means_init=np.array([low, high])[order])
        np.testing.assert_allclose(gm.weights_, np.array([150, 30])[order] / 180)
        gm.set_params(max_iter=100, tol=1e-8).fit(rows)
        assert gm.lower_bounds_[0] * 180 > gm.loglik_ - 1.0
        np.testing.assert_allclose(gm.means_, np.array([low, high])[order], atol=1e-3)


def test_a_start_around_means_holds_no_array_of_all_rows_and_components():
    rows = np.random.default_rng(0).standard_normal((200_000, 2))
    given = {"means_init": rows[:20], "max_iter": 0, "tol": 0, "n_jobs": 1}
    begin(rows=rows[:2000], means_init=rows[:20])  # compiles
    tracemalloc.start()
    GaussianMixture(20, **given).fit(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000 * 20 * 8 / 2


def test_given_weights_or_precisions_are_kept_beside_given_means():
    given = start(X, "full", 2)
    gm = begin(means_init=given["means_init"], weights_init=given["weights_init"])
    np.testing.assert_array_equal(gm.weights_, given["weights_init"])
    gm = begin(means_init=given["means_init"], precisions_init=given["precisions_init"])
    equal = GaussianMixture.from_parameters(
        weights=[0.5, 0.5], means=gm.means_, covariances=gm.covariances_
    )
    np.testing.assert_allclose(gm.weights_, equal.predict_proba(X).mean(axis=0), rtol=1e-12)


@pytest.mark.filterwarnings("ignore::latentem.DegenerateComponentWarning")  # of that one row
def test_means_with_few_rows_or_none_lean_on_the_spread_of_all():
    rows = np.r_[X, [[40.0, 40.0]]]
    means = [[0.0, 0.0], [4.0, 4.0], [40.0, 40.0], [-90.0, 90.0]]
    for kind in KINDS:
        gm = begin(kind, rows, means_init=means)
        assert np.all(gm.weights_ > 0)
        np.testing.assert_allclose(gm.weights_[3], gm.weights_[2], rtol=1e-12)  # as one row
        if kind != "tied":
            np.testing.assert_allclose(
                full_covariances(gm)[3].trace(), rows.var(axis=0).sum(), rtol=1e-9
            )
            assert np.linalg.eigvalsh(full_covariances(gm)[2]).min() > 1.0


def test_values_that_place_the_components_are_one_start():
    given = start(X, "full", 2)
    for names in (["means_init"], ["means_init", "precisions_init"], list(given)):
        gm = GaussianMixture(2, n_init=4, **{name: given[name] for name in names}).fit(X)
        assert len(gm.result_.starts) == 1
    for names in (["weights_init"], ["precisions_init"]):
        gm = GaussianMixture(2, n_init=4, random_state=0, **{name: given[name] for name in names})
        assert len(gm.fit(X).result_.starts) == 4


def test_weights_are_repetition_from_means_alone():
    counts = np.random.default_rng(0).integers(0, 4, len(X))
    settings = {"means_init": [[0.0, 0.0], [4.0, 4.0]], "tol": 0, "max_iter": 10}
    gm = GaussianMixture(2, accelerate=None, **settings).fit(X, sample_weight=counts)
    again = GaussianMixture(2, accelerate=None, **settings).fit(np.repeat(X, counts, axis=0))
    np.testing.assert_allclose(gm.loglik_, again.loglik_, rtol=1e-10)
    np.testing.assert_allclose(gm.covariances_, again.covariances_, rtol=1e-9)


def test_family_alone_brings_the_weights_of_its_posteriors():
    rates = np.array([[8.0], [1.0]])
    model = MixtureModel(
        Poisson(), 2, family_init=PoissonParams(rates), max_iter=0, tol=0, n_init=3
    ).fit(COUNTS)
    density = np.exp(-rates[:, 0]) * rates[:, 0] ** COUNTS
    posterior = density / density.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.weights_, posterior.mean(axis=0), rtol=1e-12)
    assert len(model.result_.starts) == 1
    weights = np.arange(len(COUNTS)) + 0.5
    model.fit(COUNTS, sample_weight=weights)
    np.testing.assert_allclose(
        model.weights_, np.average(posterior, axis=0, weights=weights), rtol=1e-12
    )


def test_family_under_which_no_row_is_possible_starts_with_equal_weights():
    impossible = PoissonParams(np.zeros((2, 1)))
    model = MixtureModel(Poisson(fixed=("lambdas",)), 2, family_init=impossible, max_iter=0, tol=0)
    with pytest.warns(ImpossibleRowWarning, match="row 0 .* under every component"):
        model.fit(COUNTS + 1.0)
    assert model.weights_.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_fit_goes_before_given_values_under_warm_start(kind):
    given = start(X, kind, 2)
    gm = GaussianMixture(2, covariance_type=kind, warm_start=True, tol=1e-8, **given).fit(X)
    first = gm.lower_bounds_[0]
    last = gm.lower_bound_
    gm.fit(X)
    assert gm.lower_bounds_[0] == last != first
    gm.set_params(warm_start=False).fit(X)
    assert gm.lower_bounds_[0] == first


def test_a_gaussian_in_a_mixture_model_takes_its_fixed_means():
    means = np.array([[0.0, 0.0], [4.0, 4.0]])
    family = families.Gaussian("diag", fixed=("means",))
    begin = GaussianParams(means, np.ones((2, 2)))
    model = MixtureModel(family, 2, family_init=begin, tol=1e-10).fit(X)
    same = GaussianMixture(
        2, covariance_type="diag", fixed=("means",), means_init=means, tol=1e-10
    ).fit(X)
    np.testing.assert_allclose(model.loglik_, same.loglik_, rtol=1e-9)
    assert isinstance(model.model_.family, Gaussian)
