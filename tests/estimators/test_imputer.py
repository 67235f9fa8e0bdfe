"""GaussianImputer: what it fills, what it says of it, and scikit-learn's rules."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from latentem import GaussianImputer, NotIdentifiedWarning, standard_errors
from latentem.datasets import load_airquality
from latentem.models import NormalParams
from latentem.models.conditionals import conditionals

NAN = np.nan
AIR = load_airquality().data


def table(n=200, d=5, share=0.25, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 5 * rng.normal(size=d)
    x[rng.random(x.shape) < share] = NAN
    return x


@pytest.mark.filterwarnings("ignore::latentem.DegenerateComponentWarning")
@pytest.mark.filterwarnings("ignore::latentem.NotIdentifiedWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [GaussianImputer(), GaussianImputer(prior="ridge", method="em", add_indicator=True)]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def by_hand(mean, covariance, row):
    o, m = ~np.isnan(row), np.isnan(row)
    gain = covariance[np.ix_(m, o)] @ np.linalg.inv(covariance[np.ix_(o, o)])
    inside = covariance[np.ix_(m, m)] - gain @ covariance[np.ix_(o, m)]
    return mean[m] + gain @ (row[o] - mean[o]), inside


def test_missing_cells_get_their_conditional_means():
    x = table()
    imputer = GaussianImputer().fit(x)
    filled, given_ = imputer.transform(x), imputer.conditional(x)
    lower, upper = imputer.interval(x, level=0.9)
    np.testing.assert_array_equal(given_.mean, filled)
    for i, row in enumerate(x):
        missing = np.isnan(row)
        mean, inside = by_hand(imputer.mean_, imputer.covariance_, row)
        np.testing.assert_allclose(filled[i, missing], mean, rtol=1e-8)
        np.testing.assert_allclose(given_.std[i, missing] ** 2, inside.diagonal(), rtol=1e-8)
        whole = given_.covariance(i)
        np.testing.assert_allclose(whole[np.ix_(missing, missing)], inside, rtol=1e-7, atol=1e-9)
        assert np.all(whole[~missing] == 0)
    assert np.all(given_.std[~np.isnan(x)] == 0)
    reach = 1.6448536269514722 * given_.std
    np.testing.assert_allclose(upper - filled, reach, atol=1e-12)
    np.testing.assert_allclose(filled - lower, reach, atol=1e-12)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        imputer.interval(x, level=95)


@pytest.mark.nojit
def test_cells_that_are_seen_keep_every_bit():
    x = table(60) * [1e-300, 1e100, 1.0, 1e8, 1.0]
    x[3, 2] = -0.0
    filled = GaussianImputer(max_value=0.5).fit_transform(x[:, 2:])
    seen = ~np.isnan(x[:, 2:])
    assert np.array_equal(filled[seen].view(np.int64), x[:, 2:][seen].view(np.int64))
    assert filled[~seen].max() <= 0.5


@given(st.integers(0, 10_000))
def test_seen_cells_and_all_rows_whatever_the_table(seed):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(8, 60)), int(rng.integers(1, 6))
    x = table(n, d, rng.uniform(0, 0.5), seed)
    x[:, 0] = rng.normal(size=n)
    imputer = GaussianImputer(prior="ridge").fit(x)
    filled = imputer.transform(x)
    seen = ~np.isnan(x)
    np.testing.assert_array_equal(filled[seen], x[seen])
    assert np.all(np.isfinite(filled))
    assert imputer.score_samples(x).sum() == pytest.approx(imputer.loglik_, rel=1e-9)


def test_fit_transform_is_fit_and_transform_and_rows_do_not_know_each_other():
    x = table()
    imputer = GaussianImputer()
    filled = imputer.fit_transform(x)
    np.testing.assert_array_equal(filled, GaussianImputer().fit(x).transform(x))
    for i in (0, 7, 19):
        np.testing.assert_allclose(imputer.transform(x[i : i + 1])[0], filled[i], rtol=1e-13)
    new = np.array([[NAN] * 5, [1.0, NAN, NAN, NAN, NAN]])
    np.testing.assert_allclose(imputer.transform(new)[0], imputer.mean_, rtol=1e-12)


def assert_same_fit(a, b, order=slice(None), scale=1.0, rtol=1e-6):
    size = np.sqrt(a.covariance_.diagonal())
    np.testing.assert_allclose(
        (b.mean_ / scale - a.mean_[order]) / size[order], 0.0, atol=rtol
    )  # fmt: skip
    back = b.covariance_ / np.multiply.outer(scale * np.ones(len(size)), scale)
    units = np.outer(size, size)[order][:, order]
    np.testing.assert_allclose((back - a.covariance_[order][:, order]) / units, 0.0, atol=rtol)


TIGHT = {"tol": 1e-12, "max_iter": 5000}


@given(st.integers(0, 1000))
def test_the_order_of_rows_and_columns_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    x = table(80, 4, 0.25, seed)
    a = GaussianImputer(**TIGHT).fit(x)
    assert_same_fit(a, GaussianImputer(**TIGHT).fit(x[rng.permutation(len(x))]))
    order = rng.permutation(4)
    assert_same_fit(a, GaussianImputer(**TIGHT).fit(x[:, order]), order)


@given(st.integers(0, 1000))
def test_units_and_empty_rows_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    x = table(80, 4, 0.25, seed)
    a = GaussianImputer(**TIGHT).fit(x)
    scale = 10.0 ** rng.integers(-12, 12, 4)
    b = GaussianImputer(**TIGHT).fit(x * scale)
    assert_same_fit(a, b, scale=scale)
    cells = (~np.isnan(x)).sum(axis=0)
    assert b.loglik_ + cells @ np.log(scale) == pytest.approx(a.loglik_, abs=1e-6)
    c = GaussianImputer(**TIGHT).fit(np.vstack([np.full((3, 4), NAN), x, np.full((9, 4), NAN)]))
    assert_same_fit(a, c, rtol=1e-12)
    assert c.loglik_ == a.loglik_
    assert c.result_.weight == a.result_.weight


def test_weights_are_frequencies():
    x, rng = table(60), np.random.default_rng(1)
    weights = rng.integers(0, 4, len(x))
    x[weights == 0] = np.where(rng.random(5) < 0.5, 1e6, NAN)  # absent rows may hold anything
    a = GaussianImputer(**TIGHT).fit(x, sample_weight=weights)
    b = GaussianImputer(**TIGHT).fit(np.repeat(x, weights, axis=0))
    assert_same_fit(a, b)
    assert a.loglik_ == pytest.approx(b.loglik_, rel=1e-12)
    rows = np.repeat(x, weights, axis=0)
    assert a.score(x, sample_weight=weights) == pytest.approx(a.score(rows), rel=1e-12)


def test_monotone_tables_are_solved_in_closed_form():
    x = table(60, 3, 0.0)
    x[40:, 1], x[25:, 2] = NAN, NAN
    a, b = GaussianImputer(), GaussianImputer(method="em", **TIGHT)
    a.fit(x), b.fit(x)
    assert a.n_iter_ <= 3 < b.n_iter_
    assert_same_fit(a, b)
    np.testing.assert_array_equal(a.mean_, GaussianImputer(method="monotone").fit(x).mean_)
    x[0, 0] = NAN
    with pytest.raises(ValueError, match=r"not monotone: columns [012] and [012] are each missing"):
        GaussianImputer(method="monotone").fit(x)
    with pytest.raises(ValueError, match="method='monotone' has no prior"):
        GaussianImputer(method="monotone", prior="ridge").fit(x)
    x = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 5.0], [3.0, 7.0, NAN], [0.0, 1.0, NAN]])
    with pytest.raises(ValueError, match="the closed form has no maximum"):
        GaussianImputer(method="monotone").fit(x)


def test_results_do_not_depend_on_threads():
    x = table(3000, 12, 0.3)
    a, b = GaussianImputer(n_jobs=1).fit(x), GaussianImputer(n_jobs=2).fit(x)
    np.testing.assert_array_equal(a.covariance_, b.covariance_)
    np.testing.assert_array_equal(a.transform(x), b.transform(x))
    np.testing.assert_array_equal(a.score_samples(x), b.score_samples(x))
    assert a.loglik_ == b.loglik_
    assert a.convergence_rate_ == b.convergence_rate_


def test_score_is_the_mean_log_density_of_rows_with_a_cell():
    x = table(50)
    imputer = GaussianImputer().fit(x)
    rows = imputer.score_samples(x)
    assert rows.sum() == pytest.approx(imputer.loglik_, rel=1e-12)
    more = np.vstack([x, np.full((2, 5), NAN)])
    assert imputer.score(more) == pytest.approx(imputer.score(x), rel=1e-14)
    assert imputer.score_samples(more)[-1] == 0.0
    with pytest.raises(ValueError, match="no row with an observed cell"):
        imputer.score(np.full((2, 5), NAN))


def test_grid_search_over_the_ridge_and_a_pipeline():
    x = table(60, 8, 0.1)
    grid = {"prior_df": [0.1, 1.0, 10.0, 100.0]}
    search = GridSearchCV(GaussianImputer(prior="ridge"), grid, cv=4).fit(x)
    assert search.best_params_["prior_df"] < 100.0
    fold = GaussianImputer(prior="ridge", prior_df=10.0).fit(x[15:]).score(x[:15])
    assert search.cv_results_["split0_test_score"][2] == pytest.approx(fold, rel=1e-12)
    pipe = make_pipeline(GaussianImputer(), StandardScaler()).fit(x)
    np.testing.assert_allclose(pipe.transform(x).mean(axis=0), 0.0, atol=1e-12)


def test_add_indicator_bounds_and_names():
    frame = pd.DataFrame(table(80, 3, 0.3), columns=["a", "b", "c"])
    frame["b"] = frame["b"].fillna(1.0)
    imputer = GaussianImputer(add_indicator=True, min_value=[0.0, -np.inf, -1.0], max_value=2.0)
    out = imputer.set_output(transform="pandas").fit_transform(frame)
    names = ["a", "b", "c", "missingindicator_a", "missingindicator_c"]
    assert list(out.columns) == names == imputer.get_feature_names_out().tolist()
    lost = frame.isna()
    np.testing.assert_array_equal(out["missingindicator_a"], lost["a"].astype(float))
    assert out.loc[lost["a"], "a"].between(0.0, 2.0).all()
    assert out.loc[lost["c"], "c"].between(-1.0, 2.0).all()
    np.testing.assert_array_equal(out["a"][~lost["a"]], frame["a"][~lost["a"]])
    lower, upper = imputer.interval(frame)
    assert lower[lost["a"], 0].min() >= 0.0
    assert upper[lost["a"], 0].max() <= 2.0
    assert GaussianImputer().fit(frame.to_numpy()).get_feature_names_out().tolist() == [
        "x0", "x1", "x2",
    ]  # fmt: skip


def test_columns_of_one_value_are_filled_with_it():
    x = table(50, 4, 0.3)
    x[:, 1] = np.where(np.isnan(x[:, 1]), NAN, 7.1)
    x[:, 3] = NAN
    x[5, 3] = -2.5
    with pytest.warns(NotIdentifiedWarning) as told:
        imputer = GaussianImputer().fit(x)
    fate = (
        "its missing cells get it, and it takes no part in the model (Guide: missing-data, "
        "missing-one-value)"
    )
    assert [str(warning.message) for warning in told] == [
        f"column 1 has one value only, 7.1: {fate}",
        f"column 3 has one observed cell, -2.5: {fate}",
    ]
    filled = imputer.transform(x)
    assert np.all(filled[:, 1] == 7.1)
    assert np.all(filled[:, 3] == -2.5)
    alone = GaussianImputer().fit(x[:, [0, 2]])
    np.testing.assert_array_equal(imputer.mean_, [alone.mean_[0], 7.1, alone.mean_[1], -2.5])
    assert imputer.loglik_ == alone.loglik_
    np.testing.assert_array_equal(filled[:, [0, 2]], alone.transform(x[:, [0, 2]]))
    assert np.all(imputer.covariance_[1] == 0)
    given_ = imputer.conditional(x)
    assert np.all(given_.std[:, 1] == 0)
    assert given_.covariance(0).shape == (4, 4)


def test_columns_without_a_cell_are_left_out_or_kept():
    x = table(50, 3, 0.2)
    x[:, 1] = NAN
    with pytest.warns(NotIdentifiedWarning, match="column 1 has no observed cell: it is left out"):
        imputer = GaussianImputer().fit(x)
    assert imputer.transform(x).shape == (50, 2)
    assert np.isnan(imputer.mean_[1])
    assert imputer.get_feature_names_out().tolist() == ["x0", "x2"]
    with pytest.warns(NotIdentifiedWarning, match="column 1 has no observed cell: its cells bec"):
        kept = GaussianImputer(keep_empty_features=True).fit(x)
    new = x.copy()
    new[0, 1] = 4.0
    assert kept.transform(new)[:2, 1].tolist() == [4.0, 0.0]
    with pytest.warns(NotIdentifiedWarning):
        only = GaussianImputer().fit([[1.0, NAN], [1.0, 2.0], [NAN, 2.0]])
    assert only.transform([[NAN, NAN]]).tolist() == [[1.0, 2.0]]
    assert only.result_ is None
    assert only.score_samples([[1.0, 2.0]]).tolist() == [0.0]


def test_it_says_how_fast_em_was_and_what_is_missing():
    x = table(400, 4, 0.0)
    complete = GaussianImputer().fit(x)
    assert complete.convergence_rate_ == 0.0
    np.testing.assert_allclose(complete.fraction_missing_information_, 0.0, atol=1e-12)
    assert complete.n_patterns_ == 1
    x[100:, 2] = NAN
    x[300:, 3] = NAN
    some = GaussianImputer().fit(x)
    assert some.n_patterns_ == 3
    share = some.fraction_missing_information_
    np.testing.assert_allclose(share[:2], 0.0, atol=1e-12)
    assert 0.0 < share[2] < 0.75
    assert 0.74 < some.convergence_rate_ < 0.85  # of the regression seen in a quarter of the rows


def test_the_rate_is_that_of_plain_em():
    x = table(300, 4, 0.3)
    imputer = GaussianImputer(tol=0, max_iter=300, accelerate=None, method="em").fit(x)
    gains = np.diff(imputer.result_.history.objectives)
    gains = gains[: np.argmax(gains < 1e-8)][-6:]
    settled = gains[1:] / gains[:-1]
    rate = GaussianImputer(**TIGHT).fit(x).convergence_rate_
    np.testing.assert_allclose(np.sqrt(settled), rate, atol=0.01)


def test_a_saddle_is_left_and_a_ridge_is_told():
    murray = np.array(
        [[1, 1], [1, -1], [-1, 1], [-1, -1]]
        + [[2, NAN]] * 2 + [[-2, NAN]] * 2 + [[NAN, 2]] * 2 + [[NAN, -2]] * 2
    )  # fmt: skip
    signs = set()
    for seed in range(8):
        found = GaussianImputer(random_state=seed).fit(murray).covariance_
        assert abs(found[0, 1]) / found[0, 0] == pytest.approx(0.5, abs=0.02)
        signs.add(np.sign(found[0, 1]))
    assert signs == {1.0, -1.0}
    always = [GaussianImputer().fit(murray).covariance_ for _ in range(2)]
    np.testing.assert_array_equal(always[0], always[1])
    # Columns 0 and 1 meet in two rows: on a line through them any correlation is as likely.
    x = table(60, 3, 0.0)
    x[:30, 0], x[30:, 1] = NAN, NAN
    with pytest.warns(NotIdentifiedWarning, match="columns 0 and 1 are never seen together"):
        GaussianImputer().fit(x)


def test_a_fit_that_stands_on_a_saddle_says_so(monkeypatch):
    """Without the push of the start, and without the driver's own look for saddles."""
    from latentem.engine import climb
    from latentem.models import normal_start

    monkeypatch.setattr(normal_start, "PUSH", 0.0)
    monkeypatch.setattr(climb, "growing", lambda *points: False)
    murray = np.array(
        [[1, 1], [1, -1], [-1, 1], [-1, -1]]
        + [[2, NAN]] * 2 + [[-2, NAN]] * 2 + [[NAN, 2]] * 2 + [[NAN, -2]] * 2
    )  # fmt: skip
    with pytest.warns(NotIdentifiedWarning, match="stands on a saddle"):
        imputer = GaussianImputer().fit(murray)
    assert imputer.convergence_rate_ > 1.01


@pytest.mark.parametrize("seed", range(4))
def test_rounding_is_not_taken_for_a_saddle(seed):
    """Parts and their rounded total: differences of maps are noise, and tell nothing."""
    draw = np.random.default_rng(seed)
    parts = draw.gamma(3, 10, size=(300, 3))
    X = np.column_stack([parts, parts.sum(axis=1).round(3)])
    X[draw.random(X.shape) < 0.1] = NAN
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        imputer = GaussianImputer().fit(X)
    assert not [one for one in told if "saddle" in str(one.message)]
    rate = imputer.convergence_rate_
    assert np.isnan(rate) or 0.2 < rate < 0.7


def test_a_fit_that_is_singular_but_for_rounding_raises_nothing_raw():
    X = np.array(
        [[0, 0, 0, 0, 0, 1], [0, -3, NAN, 1, 0, NAN], [NAN, NAN, 1, NAN, 0, 2],
         [NAN, NAN, 1, 3, -3, NAN], [1, 6, 0, NAN, -1, 0], [-4, -3, -3, -1, NAN, 2],
         [1, NAN, -2, 3, -2, NAN], [4, -3, NAN, NAN, NAN, 2], [1, -2, NAN, 1, -3, 1],
         [NAN, NAN, 1, NAN, -1, NAN], [NAN, -3, NAN, -1, NAN, 1]]
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for state in range(3):
            imputer = GaussianImputer(tol=1e-7, max_iter=3000, random_state=state).fit(X)
            assert not np.isnan(imputer.transform(X)).any()


def test_standard_errors_take_the_imputer():
    imputer = GaussianImputer(tol=1e-8).fit(AIR)
    errors = standard_errors(imputer, AIR)
    assert errors["mean"].shape == (6,)
    assert errors["covariance"].shape == (6, 6)
    with pytest.raises(ValueError, match="lengths cut sequences"):
        standard_errors(imputer, AIR, lengths=[153])


def test_standard_errors_stand_at_the_places_of_their_columns():
    x = table(80, 3)
    wide = np.insert(x, [1, 2], 4.0, axis=1)  # columns 1 and 3
    wide[:, 3] = NAN
    with pytest.warns(NotIdentifiedWarning):
        imputer = GaussianImputer(tol=1e-8).fit(wide)
    errors = standard_errors(imputer, wide)
    wanted = standard_errors(GaussianImputer(tol=1e-8).fit(x), x)
    varying = np.array([0, 2, 4])
    assert errors["mean"].shape == (5,)
    assert errors["covariance"].shape == (5, 5)
    np.testing.assert_array_equal(errors["mean"][varying], wanted["mean"])
    np.testing.assert_array_equal(
        errors["covariance"][np.ix_(varying, varying)], wanted["covariance"]
    )
    assert np.isnan(errors["mean"][[1, 3]]).all()
    assert np.isnan(errors["covariance"][[1, 3]]).all()
    assert np.isnan(errors["covariance"][:, [1, 3]]).all()
    np.testing.assert_array_equal(errors.estimates["mean"], imputer.mean_)
    lines = {line.split()[0]: line.split()[1:] for line in str(errors).splitlines()}
    assert lines["mean[1]"][:2] == ["4", "nan"]
    assert float(lines["mean[2]"][0]) == pytest.approx(imputer.mean_[2], rel=1e-5)
    with pytest.raises(ValueError, match="not at a maximum for these data"):
        standard_errors(imputer, wide + np.arange(5.0))  # not the data of the fit
    with pytest.warns(NotIdentifiedWarning):
        constant = GaussianImputer().fit(np.full((5, 2), 3.0))
    with pytest.raises(ValueError, match="no column varies"):
        standard_errors(constant, np.full((5, 2), 3.0))


def test_from_parameters_needs_no_data():
    imputer = GaussianImputer.from_parameters(
        [0.0, 1.0], [[1.0, 0.5], [0.5, 1.0]], feature_names=["a", "b"]
    )
    frame = pd.DataFrame({"a": [2.0, NAN], "b": [NAN, 3.0]})
    np.testing.assert_allclose(imputer.transform(frame), [[2.0, 2.0], [1.0, 3.0]], rtol=1e-14)
    with pytest.raises(ValueError, match="feature names"):
        imputer.transform(frame.rename(columns={"b": "c"}))
    for bad in ([[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.2, 1.0]]):
        with pytest.raises(ValueError, match="covariance must be symmetric and positive definite"):
            GaussianImputer.from_parameters([0.0, 0.0], bad)
    with pytest.raises(ValueError, match=r"covariance must have shape \(2, 2\)"):
        GaussianImputer.from_parameters([0.0, 0.0], [[1.0]])
    with pytest.raises(ValueError, match="feature_names must name 2 columns"):
        GaussianImputer.from_parameters([0.0, 0.0], np.eye(2), feature_names=["a"])


def test_clone_and_pickle():
    x = table(60)
    imputer = GaussianImputer(prior="ridge", prior_df=2.0).fit(x)
    again = pickle.loads(pickle.dumps(imputer))
    np.testing.assert_array_equal(again.transform(x), imputer.transform(x))
    assert clone(imputer).get_params() == imputer.get_params()
    assert not hasattr(clone(imputer), "mean_")


def test_draws_have_the_conditional_moments():
    """Both ways of a pattern: few cells missing, and most."""
    rng = np.random.default_rng(4)
    root = rng.normal(size=(5, 6))
    params = NormalParams(rng.normal(size=5), root @ root.T)
    for lost in ([1, 3], [0, 1, 2, 4], [0, 1, 2, 3, 4], []):
        row = rng.normal(size=5)
        row[lost] = NAN
        x = np.tile(row, (20_000, 1))
        drawn = conditionals(params, x, rng.standard_normal(x.shape)).filled[:, lost]
        if not lost:
            continue
        mean, inside = by_hand(params.mean, params.covariance, row)
        errors = np.sqrt(inside.diagonal() / len(x))
        assert np.all(np.abs(drawn.mean(axis=0) - mean) < 4.5 * errors)
        spread = np.sqrt(inside.diagonal())
        found = np.cov(drawn.T).reshape(len(lost), len(lost))
        np.testing.assert_allclose(
            found / np.outer(spread, spread), inside / np.outer(spread, spread), atol=0.045
        )
