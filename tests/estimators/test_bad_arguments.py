"""What a user gets to read when a constructor's or a method's argument is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import GaussianMixture, MixtureModel, families
from latentem.families.gaussian import GaussianParams
from latentem.families.poisson import PoissonParams
from tests.estimators.samples import KINDS, assert_same_attributes, attributes, blobs, start
from tests.estimators.test_bad_input import COUNTS, refused

X = blobs()
N = len(X)
I2 = np.eye(2)
ASYMMETRIC = np.array([[1.0, 0.5], [0.2, 1.0]])
PRECISIONS = {
    "full": np.array([I2, I2]), "tied": I2, "diag": np.ones((2, 2)), "spherical": np.ones(2),
}  # fmt: skip


def labels(value):
    return lambda points, n_components, rng: value


# argument: wrong values, each with words of the sentence; the argument's name is always one
WRONG = {
    "n_components": [
        (0, ["at least 1", "got 0"]),
        (-1, ["at least 1", "got -1"]),
        (1.5, ["integer", "1.5"]),
        (True, ["integer", "True"]),
        ("2", ["integer", "'2'"]),
        (None, ["integer", "None"]),
    ],
    "covariance_type": [(value, ["'full', 'tied'"]) for value in ("Full", None, 3, ["full"])],
    "init_params": [
        ("foo", ["'kmeans', 'k-means++'", "callable", "'foo'"]),
        (None, ["'kmeans', 'k-means++'"]),
        (labels(None), ["shape (60,)", "shape (60, 2)"]),
        (labels("abc"), ["shape (60,)", "shape (60, 2)"]),
        (labels(np.zeros(N)), ["not integers"]),
        (labels(np.full(N, 2)), ["outside 0..1"]),
        (labels(np.full(N, -1)), ["outside 0..1"]),
        (labels(np.ones((N, 2))), ["do not sum to 1"]),
        (labels(np.full((N, 2), np.nan)), ["do not sum to 1"]),
        (labels(np.ones((N, 3)) / 3), ["(60, 2)", "got (60, 3)"]),
    ],
    "accelerate": [(value, ["'auto', 'squarem', 'anderson', None"]) for value in ("foo", 1, True)],
    "stopping": [(value, ["'aitken', 'step'"]) for value in ("foo", None)],
    "tol": [(value, ["number >= 0"]) for value in (-1, None, "x", np.nan, 1j)],
    "reg_covar": [(value, [">= 0"]) for value in (-1, None, "x", np.nan, np.inf)],
    "max_iter": [(value, ["integer"]) for value in (-1, 1.5, None, "3", True)],
    "n_init": [(value, ["integer >= 1"]) for value in (0, -1, 1.5, None, True)],
    "random_state": [(value, ["integer"]) for value in ("a", 1.5, -1, True, [1])],
    "callbacks": [(value, ["functions"]) for value in (3, [3], "ab", print)],
    "n_jobs": [(value, ["non-zero integer"]) for value in (0, 1.5, "2", True)],
    "verbose": [("x", ["integer"])],
    "weights_init": [
        ([0.5, 0.3, 0.2], ["shape (2,)", "got (3,)"]),
        ([0.5, 0.4], ["sum to 1", "0.9"]),
        ([1.5, -0.5], [">= 0", "-0.5"]),
        ([np.nan, 0.5], ["NaN"]),
        (["a", "b"], ["numbers"]),
    ],
    "means_init": [
        (np.zeros((2, 3)), ["shape (2, 2)", "got (2, 3)"]),
        (np.zeros(2), ["shape (2, 2)", "got (2,)"]),
        ([[0.0, np.inf], [1.0, 1.0]], ["infinity"]),
        ([[0.0, 0.0], [0.0]], ["numbers"]),
    ],
    "responsibilities_init": [
        (np.ones((N, 3)) / 3, ["shape (60, 2)", "got (60, 3)"]),
        (np.ones((N - 1, 2)) / 2, ["shape (60, 2)", "got (59, 2)"]),
        (np.zeros(N), ["shape (60, 2)", "got (60,)"]),
        (np.ones((N, 2)), ["sum to 1", "row 0", "sums to 2"]),
        (np.tile([1.5, -0.5], (N, 1)), [">= 0"]),
        (np.full((N, 2), np.nan), ["NaN"]),
        ("x", ["numbers"]),
    ],
}


def cases():
    for name, wrong in WRONG.items():
        for number, (value, words) in enumerate(wrong):
            plain = isinstance(value, int | float | str | None)
            shown = repr(value) if plain else number
            yield pytest.param(name, value, words, id=f"{name}-{shown}")


@pytest.mark.parametrize(("name", "value", "words"), list(cases()))
@pytest.mark.parametrize("fitted", [False, True])
def test_wrong_argument(name, value, words, fitted):
    gm = GaussianMixture(2, random_state=0)
    if fitted:
        gm.fit(X)
    gm.set_params(**{name: value})
    before = attributes(gm)
    refused(lambda: gm.fit(X), [name, *words])
    assert_same_attributes(gm, before)


def test_max_iter_0_is_the_start_and_says_so():
    gm = GaussianMixture(2, random_state=0, max_iter=0, tol=0).fit(X)
    assert gm.n_iter_ == 0
    np.testing.assert_allclose(gm.loglik_, gm.score_samples(X).sum(), rtol=1e-12)
    with pytest.warns(UserWarning, match="max_iter=0"):
        gm.set_params(tol=1e-3).fit(X)
    assert not gm.converged_


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: np.ones((3, 3, 3)), ["shape", "got (3, 3, 3)"]),
        (lambda p: -p, ["positive"]),
        (lambda p: 0 * p, ["positive"]),
        (lambda p: np.nan * p, ["NaN"]),
        (lambda p: p.astype(str) if p.ndim > 3 else np.full(p.shape, "a"), ["numbers"]),
    ],
)
def test_wrong_precisions(kind, change, words):
    gm = GaussianMixture(
        2, covariance_type=kind, precisions_init=change(PRECISIONS[kind]), random_state=0
    )
    before = attributes(gm)
    refused(lambda: gm.fit(X), ["precisions_init", *words])
    assert_same_attributes(gm, before)


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
@pytest.mark.parametrize("kind", ["full", "tied"])
def test_precisions_that_are_not_symmetric(kind, scale):
    wrong = scale * (ASYMMETRIC if kind == "tied" else np.array([I2, ASYMMETRIC]))
    gm = GaussianMixture(2, covariance_type=kind, precisions_init=wrong, random_state=0)
    refused(lambda: gm.fit(X / np.sqrt(scale)), ["precisions_init", "symmetric"])


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_precisions_that_are_indefinite(kind):
    indefinite = np.array([[1.0, 2.0], [2.0, 1.0]])
    wrong = indefinite if kind == "tied" else np.array([I2, indefinite])
    gm = GaussianMixture(2, covariance_type=kind, precisions_init=wrong, random_state=0)
    refused(lambda: gm.fit(X), ["precisions_init", "positive definite"])


def test_start_weights_are_never_renormalised_silently():
    gm = GaussianMixture(2, max_iter=0, tol=0, random_state=0)
    refused(lambda: gm.set_params(weights_init=[0.5, 0.50001]).fit(X), ["sum to 1"])
    exact = gm.set_params(weights_init=[0.2, 0.8]).fit(X)
    assert exact.weights_.tolist() == [0.2, 0.8]


def test_start_weights_that_do_not_sum_to_1_are_not_taken_for_a_falling_likelihood():
    """At the maximum, 9e-7 too much weight is worth more than any gain left to EM."""
    best = GaussianMixture(2, random_state=0, tol=1e-8).fit(X)
    rows = np.tile(X, (400, 1))
    given = {"means_init": best.means_, "precisions_init": best.precisions_}
    off = GaussianMixture(2, weights_init=best.weights_ * (1 + 9e-7), **given)
    refused(lambda: off.fit(rows), ["weights_init", "sum to 1", "1.0000009", "divide them"])
    near = GaussianMixture(2, weights_init=best.weights_ * (1 + 9e-10), max_iter=0, tol=0, **given)
    assert abs(near.fit(rows).weights_.sum() - 1) < 1e-15
    assert near.set_params(max_iter=1000, tol=1e-3).fit(rows).converged_


WRONG_ASSIGNED = {
    "sum": ([0.5, 0.6], ["weights_", "sum to 1", "1.1"]),
    "negative": ([1.5, -0.5], ["weights_", ">= 0"]),
    "nan": ([np.nan, 0.5], ["weights_", "NaN"]),
    "too_many": ([0.25, 0.25, 0.5], ["means_", "3 weights_"]),
    "matrix": ([[0.5, 0.5]], ["weights_"]),
}


@pytest.mark.parametrize("name", WRONG_ASSIGNED)
def test_wrong_assigned_weights(name):
    weights, words = WRONG_ASSIGNED[name]
    gm = GaussianMixture(2, random_state=0, warm_start=True).fit(X)
    gm.weights_ = weights
    for method in (gm.predict, gm.score, gm.bic, gm.fit, lambda X: gm.sample(2)):
        refused(lambda method=method: method(X), words)


def test_wrong_assigned_weights_of_a_mixture_model():
    model = MixtureModel(families.Poisson(), 2, random_state=0).fit(COUNTS)
    model.weights_ = np.array([0.5, 0.6])
    refused(lambda: model.predict(COUNTS), ["weights_", "sum to 1", "1.1"])


def test_means_assigned_in_another_shape():
    gm = GaussianMixture(2, random_state=0).fit(X)
    gm.means_ = gm.means_[0]
    refused(lambda: gm.predict(X), ["means_", "2 weights_", "n_features"])


@pytest.mark.parametrize(
    "change",
    [{"n_components": 3}, {"covariance_type": "diag"}, {"covariance_type": "tied"}],
    ids=str,
)
def test_warm_start_from_a_fit_of_another_shape(change):
    gm = GaussianMixture(2, random_state=0, warm_start=True).fit(X)
    gm.set_params(**change)
    before = attributes(gm)
    refused(lambda: gm.fit(X), ["warm_start"])
    assert_same_attributes(gm, before)


def test_warm_start_from_a_fit_of_other_columns():
    gm = GaussianMixture(2, random_state=0, warm_start=True).fit(X)
    before = attributes(gm)
    refused(lambda: gm.fit(X[:, :1]), ["warm_start"])
    assert_same_attributes(gm, before)


@pytest.mark.parametrize("kind", ["tied", "diag", "spherical"])
def test_covariance_type_changed_after_the_fit(kind):
    gm = GaussianMixture(2, random_state=0).fit(X)
    gm.set_params(covariance_type=kind)
    refused(lambda: gm.predict(X), ["covariances_", "covariance_type"])


@pytest.mark.parametrize("family", ["gaussian", families.Poisson, None])
def test_family_that_is_none(family):
    refused(lambda: MixtureModel(family, 2).fit(X), ["family must be a Family"])


POISSON_STARTS = {
    "too_many_components": PoissonParams(np.ones((3, 1))),
    "too_many_columns": PoissonParams(np.ones((2, 2))),
    "one_dimension": PoissonParams(np.ones(2)),
    "negative": PoissonParams(np.array([[1.0], [-2.0]])),
    "nan": PoissonParams(np.full((2, 1), np.nan)),
    "another_family": GaussianParams(np.ones((2, 1)), np.ones((2, 1, 1))),
    "an_array": np.ones((2, 1)),
    "a_number": 3,
}


@pytest.mark.parametrize("name", POISSON_STARTS)
@pytest.mark.parametrize("weights", [None, [0.5, 0.5]])
def test_wrong_family_init(name, weights):
    model = MixtureModel(
        families.Poisson(), 2, weights_init=weights, family_init=POISSON_STARTS[name],
        random_state=0,
    )  # fmt: skip
    before = attributes(model)
    refused(lambda: model.fit(COUNTS), ["family_init"])
    assert_same_attributes(model, before)


def test_family_init_may_hold_lists():
    model = MixtureModel(
        families.Poisson(), 2, weights_init=[0.5, 0.5], family_init=PoissonParams([[1.0], [6.0]])
    )
    model.fit(COUNTS)
    assert model.converged_


WRONG_COLUMNS = {
    "unknown_name": (["width"], ["'width'", "0..1"]),
    "too_large": ([2], ["2", "0..1"]),
    "too_small": ([-3], ["-3", "0..1"]),
    "twice": ([0, 0], ["each once"]),
    "twice_by_sign": ([1, -1], ["each once"]),
    "none_chosen": ([], ["at least one"]),
    "float": ([0.0], ["0.0"]),
    "short_mask": ([True], ["mask", "one entry per column, 2, got 1"]),
    "long_mask": (np.array([True, False, False]), ["mask", "got 3"]),
    "empty_mask": ([False, False], ["at least one"]),
    "half_a_mask": ([True, 1], ["True"]),
    "nested": ([[0]], ["[0]"]),
    "none": (None, []),
    "number": (1.5, ["1.5"]),
    "slice": (slice(0, 1), []),
}


@pytest.mark.parametrize("name", WRONG_COLUMNS)
def test_wrong_columns(name):
    columns, words = WRONG_COLUMNS[name]
    gm = GaussianMixture(2, random_state=0).fit(X)
    before = attributes(gm)
    refused(lambda: gm.marginal(columns), ["columns", *words])
    refused(lambda: gm.condition(columns, [0.0]), ["columns", *words])
    assert_same_attributes(gm, before)


def test_unknown_name_lists_the_known_ones():
    made = GaussianMixture.from_parameters(
        weights=[1.0], means=[[0.0, 0.0]], covariances=[I2], feature_names=["a", "b"]
    )
    refused(lambda: made.marginal(["a", "q"]), ["columns", "'q'", "['a', 'b']"])


@pytest.mark.parametrize(
    ("columns", "values", "words"),
    [
        ([0, 1], [0.0, 0.0], ["columns", "nothing is left"]),
        ([0, 1], 0.0, ["values", "shape (2,)", "got (1,)"]),
        (0, None, ["values"]),
        ([0], [0.0, 1.0], ["values", "shape (1,)", "got (2,)"]),
        ([0], [[0.0]], ["values", "shape (1,)", "got (1, 1)"]),
        ([0], [np.nan], ["values", "NaN"]),
        ([0], ["a"], ["values", "numbers"]),
    ],
)
def test_wrong_condition(columns, values, words):
    gm = GaussianMixture(2, random_state=0).fit(X)
    refused(lambda: gm.condition(columns, values), words)


def test_condition_at_a_value_no_component_reaches():
    gm = GaussianMixture(2, random_state=0).fit(X)
    refused(lambda: gm.condition([0], [1e200]), ["values"])


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "3", None])
def test_wrong_number_of_samples(n):
    gm = GaussianMixture(2, random_state=0).fit(X)
    refused(lambda: gm.sample(n), ["n_samples"])


def test_wrong_random_state_of_sample():
    gm = GaussianMixture(2, random_state=0).fit(X)
    refused(lambda: gm.sample(3, random_state="x"), ["random_state", "'x'"])


WRONG_PARAMETERS = {
    "weights_sum": ({"weights": [0.5, 0.4]}, ["weights", "sum to 1", "0.9"]),
    "weights_shape": ({"weights": [1.0]}, ["weights", "shape (2,)"]),
    "weights_negative": ({"weights": [1.5, -0.5]}, ["weights", ">= 0"]),
    "means_shape": ({"means": [0.0, 1.0]}, ["means", "(n_components, n_features)"]),
    "means_text": ({"means": [["a"], ["b"]]}, ["means", "numbers"]),
    "means_nan": ({"means": np.full((2, 2), np.nan)}, ["means", "NaN"]),
    "covariances_shape": ({"covariances": I2}, ["covariances", "shape (2, 2, 2)"]),
    "covariances_negative": ({"covariances": [I2, -I2]}, ["covariances", "positive definite"]),
    "covariances_asymmetric": ({"covariances": [I2, ASYMMETRIC]}, ["covariances", "symmetric"]),
    "covariance_type": ({"covariance_type": "foo"}, ["covariance_type", "'full', 'tied'"]),
    "names": ({"feature_names": ["a"]}, ["feature_names", "2 columns", "got 1"]),
}


@pytest.mark.parametrize("name", WRONG_PARAMETERS)
def test_wrong_parameters_of_a_ready_model(name):
    change, words = WRONG_PARAMETERS[name]
    right = {"weights": [0.5, 0.5], "means": np.zeros((2, 2)), "covariances": [I2, I2]}
    refused(lambda: GaussianMixture.from_parameters(**{**right, **change}), words)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_assigned_precisions(kind):
    gm = GaussianMixture(2, covariance_type=kind)
    with pytest.raises(ValueError, match="precisions_ must be positive"):
        gm.precisions_ = -PRECISIONS[kind]
    assert not hasattr(gm, "covariances_")


def test_some_of_the_start_given_is_checked_too():
    given = start(X, "full", 2)
    given.pop("means_init")
    given["weights_init"] = [0.9, 0.9]
    refused(lambda: GaussianMixture(2, **given).fit(X), ["weights_init", "sum to 1"])
