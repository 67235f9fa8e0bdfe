"""What a user gets to read when the data cannot be used, and that nothing is half done then.

Every case is tried on a fresh estimator and on a fitted one: the sentence must name the
argument and what is right, and no attribute may come, go or change.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from latentem import CollapsedError, GaussianHMM, GaussianMixture, MixtureModel, families
from tests.estimators.samples import KINDS, WholeRows, assert_same_attributes, attributes, blobs

X = blobs()
N = len(X)
COUNTS = np.array([[0.0], [1.0], [2.0], [7.0], [9.0], [8.0]])
METHODS = (
    "predict", "predict_proba", "score_samples", "score", "component_log_density",
    "aic", "bic", "icl",
)  # fmt: skip


def cell(value, dtype=float):
    out = X.astype(dtype)
    out[3, 1] = value
    return out


# name: data, words of the sentence
BAD_X = {
    "one_dimension": (X[:, 0], ["X must be (n_samples, n_features)", "X[:, None]"]),
    "three_dimensions": (X[None], ["X", "(n_samples, n_features)"]),
    "scalar": (3.0, ["2D array", "X must be (n_samples, n_features)"]),
    "none": (None, ["X"]),
    "no_rows": (X[:0], ["X", "0 sample(s)"]),
    "no_columns": (X[:, :0], ["X", "0 feature(s)"]),
    "empty_list": ([], ["X must be (n_samples, n_features)"]),
    "nothing_seen": (X * np.nan, ["X has no observed cell", "every cell is missing"]),
    "column_not_seen": (
        np.where([True, False], X, np.nan),
        ["X has no observed cell in column 1", "leave"],
    ),
    "infinity": (cell(-np.inf), ["X", "infinity in row 3, column 1", "finite numbers"]),
    "text": (np.array([["1", "a"], ["2", "b"]]), ["X[0, 1]", "'a'", "drop or encode"]),
    "text_in_objects": (cell("tall", object), ["X[3, 1]", "'tall'", "drop or encode"]),
    "things_in_objects": (cell({}, object), ["X", "numbers"]),
    "complex": (X + 1j, ["X", "Complex data not supported"]),
    "sparse": (scipy.sparse.csr_array(X), ["X", "dense", "toarray()"]),
    "ragged": ([[1.0, 2.0], [3.0]], ["X", "inhomogeneous"]),
    "string": ("abc", ["X"]),
    "dictionary": ({"a": [1.0, 2.0]}, ["X"]),
    "masked": (np.ma.array(X, mask=X > 8), ["X", "mask"]),
    "squares_overflow": (X * 1e160, ["X", "scale"]),
    "sums_overflow": (X * 1e307, ["X", "scale"]),
}


#: Of columns and sizes that no fit could learn from; scores of such rows are no error.
AT_FIT_ONLY = {"squares_overflow", "sums_overflow", "nothing_seen", "column_not_seen"}


def refused(act, words, errors=(ValueError, TypeError)):
    """`act` raises an error whose sentence has all the words."""
    with pytest.raises(errors) as caught:
        act()
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message
    assert message.count("\n") < 4, "a sentence, not a dump"
    return message


@pytest.mark.parametrize("name", BAD_X)
@pytest.mark.parametrize("fitted", [False, True])
def test_data_that_cannot_be_fitted(name, fitted):
    data, words = BAD_X[name]
    gm = GaussianMixture(2, random_state=0)
    if fitted:
        gm.fit(X)
    before = attributes(gm)
    refused(lambda: gm.fit(data), words)
    assert_same_attributes(gm, before)


@pytest.mark.parametrize("name", sorted(set(BAD_X) - AT_FIT_ONLY))
def test_data_that_cannot_be_scored(name):
    data, words = BAD_X[name]
    gm = GaussianMixture(2, random_state=0).fit(X)
    before = attributes(gm)
    for method in METHODS:
        if name == "no_columns":
            words = ["0 feature(s)"]
        refused(lambda method=method: getattr(gm, method)(data), words)
    assert_same_attributes(gm, before)


@pytest.mark.parametrize("method", METHODS)
def test_wrong_number_of_columns(method):
    gm = GaussianMixture(2, random_state=0).fit(X)
    refused(lambda: getattr(gm, method)(X[:, :1]), ["X has 1 features", "expecting 2 features"])
    made = GaussianMixture(2)
    made.weights_, made.means_, made.covariances_ = gm.weights_, gm.means_, gm.covariances_
    refused(lambda: getattr(made, method)(X[:, :1]), ["X has 1 features", "2 features"])
    assert not hasattr(made, "n_features_in_")


@pytest.mark.parametrize("method", METHODS)
def test_before_a_fit(method):
    with pytest.raises(NotFittedError, match="GaussianMixture instance is not fitted yet"):
        getattr(GaussianMixture(2), method)(X)


def test_other_methods_before_a_fit():
    gm = GaussianMixture(2)
    acts = [gm.sample, gm.n_parameters, lambda: gm.marginal([0]), lambda: gm.condition([0], [1.0])]
    for act in acts:
        with pytest.raises(NotFittedError, match="not fitted yet"):
            act()


def test_some_attributes_assigned_and_not_all():
    gm = GaussianMixture(2)
    gm.weights_ = np.array([0.5, 0.5])
    gm.means_ = np.zeros((2, 2))
    with pytest.raises(NotFittedError, match=r"not all of its parameters: .*covariances_"):
        gm.predict(X)


def frame():
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(X, columns=["width", "height"])


def test_frame_with_text_names_the_column():
    table = frame().assign(name="maple")
    refused(lambda: GaussianMixture(2).fit(table), ["'name'", "'maple'", "drop or encode"])


def test_frame_with_a_category_names_the_column():
    import pandas

    table = frame().assign(species=pandas.Categorical(["oak"] * N))
    refused(lambda: GaussianMixture(2).fit(table), ["'species'", "drop or encode"])


def test_frame_with_dates_names_the_column():
    import pandas

    table = frame().assign(day=pandas.Timestamp("2020-01-01"))
    refused(lambda: GaussianMixture(2).fit(table), ["'day'", "drop or encode"])


@pytest.mark.parametrize("value", [np.nan, None])
@pytest.mark.parametrize("fitted", [False, True])
def test_missing_cells_where_the_family_takes_none(value, fitted):
    model = MixtureModel(WholeRows(), 2, random_state=0)
    if fitted:
        model.fit(X)
    before = attributes(model)
    data = cell(value, float if value is not None else object)
    words = ["X", "NaN in row 3, column 1", "drop those rows, or impute"]
    refused(lambda: model.fit(data), words)
    for method in (*METHODS, "impute") if fitted else ():
        refused(lambda method=method: getattr(model, method)(data), words)
    assert_same_attributes(model, before)


def test_frame_with_missing_cells_names_the_column():
    table = frame()
    table.loc[4, "height"] = None
    words = ["NaN", "row 4", "'height'", "impute"]
    refused(lambda: MixtureModel(WholeRows(), 2).fit(table), words)


@pytest.mark.parametrize("model", [GaussianMixture, GaussianHMM])
def test_every_kind_of_missing_cell_is_the_same(model):
    x = blobs()[:80].copy()
    x[3, 1] = x[40, 0] = np.nan
    cells = x.astype(object)
    cells[3, 1], cells[40, 0] = pd.NA, None
    named = pd.DataFrame(cells, columns=[f"x{j}" for j in range(x.shape[1])])
    kinds = {
        "objects": cells,
        "lists": cells.tolist(),
        "frame": named,
        "frame with numbers for names": pd.DataFrame(cells),
        "nullable": named.astype("Float64"),
    }
    wanted = model(2, random_state=0).fit(x)
    for name, X in kinds.items():
        found = model(2, random_state=0).fit(X)
        assert found.loglik_ == wanted.loglik_, name
        np.testing.assert_array_equal(found.predict(X), wanted.predict(x), err_msg=name)
    assert cells[3, 1] is pd.NA
    assert named.iloc[3, 1] is pd.NA


def test_failed_fit_of_a_frame_leaves_no_names():
    gm = GaussianMixture(2)
    table = frame()
    table.loc[4, "height"] = np.inf
    refused(lambda: gm.fit(table), ["infinity"])
    assert not hasattr(gm, "feature_names_in_")
    assert not hasattr(gm, "n_features_in_")


@pytest.mark.parametrize("fitted", [False, True])
def test_fewer_rows_than_components(fitted):
    gm = GaussianMixture(7)
    if fitted:
        gm.set_params(n_components=2, random_state=0).fit(X).set_params(n_components=7)
    before = attributes(gm)
    words = ["X has n_samples = 6", "n_components=7", "ask for fewer components"]
    refused(lambda: gm.fit(X[:6]), words)
    assert_same_attributes(gm, before)


def test_fewer_rows_of_positive_weight_than_components():
    weights = np.r_[1.0, np.zeros(N - 1)]
    refused(
        lambda: GaussianMixture(2).fit(X, sample_weight=weights),
        ["n_samples = 1", "n_components=2"],
    )


@pytest.mark.parametrize("rows", [np.repeat(X[:2], 30, axis=0), [[0.0], [-0.0], [0.0], [1.0]]])
def test_fewer_distinct_rows_than_components(rows):
    words = ["X has 2 distinct rows", "n_components=3", "ask for fewer components"]
    refused(lambda: GaussianMixture(3).fit(rows), words)


def test_fewer_distinct_rows_of_positive_weight_than_components():
    rows, weights = np.vstack([X[:1], X[:1], X[1:5]]), np.r_[1.0, 1.0, np.zeros(4)]
    refused(
        lambda: GaussianMixture(2).fit(rows, sample_weight=weights),
        ["1 distinct row, ", "n_components=2"],
    )


BAD_WEIGHTS = {
    "short": (np.ones(N - 1), ["shape (60,)", "got (59,)"]),
    "two_dimensions": (np.ones((N, 1)), ["shape (60,)", "got (60, 1)"]),
    "nan": (np.r_[np.nan, np.ones(N - 1)], ["NaN"]),
    "infinity": (np.full(N, np.inf), ["infinity"]),
    "negative": (np.r_[1.0, -2.0, np.ones(N - 2)], [">= 0", "sample_weight[1] is -2"]),
    "negative_scalar": (-1, [">= 0"]),
    "zero": (np.zeros(N), ["zero for every row"]),
    "text": (["a"] * N, ["numbers"]),
    "complex": (np.ones(N) + 0j, ["numbers"]),
    "objects": (np.array([{}] * N), ["numbers"]),
}


@pytest.mark.parametrize("name", BAD_WEIGHTS)
@pytest.mark.parametrize("fitted", [False, True])
def test_weights_that_cannot_be_used(name, fitted):
    weights, words = BAD_WEIGHTS[name]
    gm = GaussianMixture(2, random_state=0)
    if fitted:
        gm.fit(X)
    before = attributes(gm)
    refused(lambda: gm.fit(X, sample_weight=weights), ["sample_weight", *words])
    assert_same_attributes(gm, before)
    gm.fit(X)
    for method in ("score", "aic", "bic", "icl"):
        act = getattr(gm, method)
        refused(lambda act=act: act(X, sample_weight=weights), ["sample_weight", *words])


@pytest.mark.parametrize(("value", "shown"), [(-1.0, "-1"), (0.5, "0.5")])
def test_counts_of_poisson(value, shown):
    model = MixtureModel(families.Poisson(), 2, random_state=0)
    bad = COUNTS.copy()
    bad[4, 0] = value
    words = ["Poisson", "whole numbers >= 0", f"X[4, 0] is {shown}"]
    before = attributes(model)
    refused(lambda: model.fit(bad), words)
    assert_same_attributes(model, before)
    model.fit(COUNTS)
    for method in METHODS:
        refused(lambda method=method: getattr(model, method)(bad), words)


@pytest.mark.parametrize("kind", ["full", "tied", "diag"])
@pytest.mark.parametrize("constant", [0.0, 3.0, -1e8, 1e-8])
def test_constant_column_is_fitted_at_the_floor_with_a_warning(kind, constant):
    rows = np.insert(X, 1, constant, axis=1)
    gm = GaussianMixture(2, covariance_type=kind, random_state=0)
    with pytest.warns(UserWarning, match="column 1 is constant"):
        gm.fit(rows)
    assert np.isfinite(gm.loglik_)
    assert gm.result_.degenerate == ()
    assert any("column 1" in text for text in gm.result_.notes)
    np.testing.assert_array_equal(gm.means_[:, 1], constant)
    plain = GaussianMixture(2, covariance_type=kind, random_state=0).fit(X)
    np.testing.assert_array_equal(gm.predict(rows), plain.predict(X))


def test_warning_names_an_anchor_of_the_guide():
    with pytest.warns(UserWarning, match="constant") as told:
        GaussianMixture(1).fit(np.insert(X, 1, 3.0, axis=1))
    page, anchor = re.search(r"\(Guide: ([\w-]+), ([\w-]+)\)", str(told[0].message)).groups()
    text = (Path(__file__).parents[2] / "docs" / "guide" / f"{page}.rst").read_text()
    assert f".. _{page}:" in text
    assert f".. _{anchor}:" in text


def test_constant_column_is_warned_of_by_name():
    with pytest.warns(UserWarning, match="'depth'.*constant|constant.*'depth'"):
        GaussianMixture(2, random_state=0).fit(frame().assign(depth=7.0))


def test_single_row():
    gm = GaussianMixture(1)
    with pytest.warns(UserWarning, match="constant|singular"):
        gm.fit(X[:1])
    np.testing.assert_array_equal(gm.means_, X[:1])
    assert np.isfinite(gm.loglik_)


def interrupted(error):
    def callback(state):
        if state.n_iter == 2:
            raise error

    return callback


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("error", [SystemExit(), ZeroDivisionError("division by zero")])
def test_interrupted_fit_changes_nothing(fitted, error):
    gm = GaussianMixture(2, random_state=0)
    if fitted:
        gm.fit(X)
    gm.set_params(callbacks=[interrupted(error)])
    before = attributes(gm)
    with pytest.raises(type(error)):
        gm.fit(X + 5.0)
    assert_same_attributes(gm, before)


@pytest.mark.parametrize("fitted", [False, True])
def test_fit_whose_warning_is_an_error_changes_nothing(fitted):
    gm = GaussianMixture(2, random_state=0)
    if fitted:
        gm.fit(X)
    gm.set_params(max_iter=1, init_params="random")
    before = attributes(gm)
    with pytest.raises(ConvergenceWarning, match="raise max_iter, or loosen tol"):
        gm.fit(X)
    assert_same_attributes(gm, before)


def test_collapsed_fit_changes_nothing():
    class Broken(families.Gaussian):
        def log_density(self, prepared, x):
            return np.full((len(prepared.means), len(x)), np.nan)

        def evaluate(self, prepared, x):
            return self.log_density(prepared, x), None

    model = MixtureModel(Broken("diag"), 2, n_init=3, random_state=0)
    before = attributes(model)
    with pytest.raises(CollapsedError, match=r"each of the 3 starts collapsed: .*NaN"):
        model.fit(X)
    assert_same_attributes(model, before)


def test_max_iter_reached_warns_and_says_how_much_is_to_come():
    X = blobs(gap=1.0)
    gm = GaussianMixture(2, random_state=0, init_params="random", max_iter=6, accelerate=None)
    with pytest.warns(ConvergenceWarning, match=r"max_iter=6 with (about .* nats|an unknown gain)"):
        gm.fit(X)
    assert not gm.converged_
    assert gm.n_iter_ == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gm.set_params(tol=0).fit(X)  # tol=0 asks for exactly max_iter maps
    assert gm.n_iter_ == 6


@pytest.mark.parametrize("kind", KINDS)
def test_rows_far_from_every_component_have_answers(kind):
    gm = GaussianMixture(2, covariance_type=kind, random_state=0).fit(X)
    far = np.array([[1e6, -1e6], [1e150, 0.0], [-1e200, 1e200]])
    shares = gm.predict_proba(far)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert np.all(np.isfinite(shares))
    scores = gm.score_samples(far)
    assert np.all(scores < -1e10)
    assert not np.any(np.isnan(scores))
    assert not np.any(np.isnan(gm.component_log_density(far)))
    assert set(gm.predict(far)) <= {0, 1}
