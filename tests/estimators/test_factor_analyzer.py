"""FactorAnalyzer: what it gives, scikit-learn's rules, files, and bad or hard tables."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.decomposition import FactorAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import latentem
from latentem import FactorAnalyzer, standard_errors
from latentem.engine.archive import read_archive, write_archive
from latentem.estimators.storage import FORMAT, VERSION
from latentem.models import NormalParams
from latentem.models.conditionals import conditionals
from tests.models.test_factor_analyzer import KINDS, table

NAN = np.nan

#: Checks on tables of two columns, where one factor with diagonal noise is refused: it has four
#: loadings and noise variances for three entries of a covariance.
TWO_COLUMNS = (
    "check_estimators_fit_returns_self",
    "check_estimators_overwrite_params",
    "check_fit_check_is_fitted",
    "check_fit_idempotent",
    "check_n_features_in",
    "check_readonly_memmap_input",
    "check_sample_weights_not_an_array",
    "check_sample_weights_not_overwritten",
    "check_sample_weights_pandas_series",
    "check_sample_weights_shape",
)


def refused(estimator):
    names = () if estimator.noise == "isotropic" else TWO_COLUMNS
    return dict.fromkeys(names, "one factor in two columns is refused")


# The checks fit toy data of a few rows, where warnings are to be expected.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::latentem.DegenerateComponentWarning")
@pytest.mark.filterwarnings("ignore::latentem.NotIdentifiedWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [FactorAnalyzer(), FactorAnalyzer(noise="isotropic")],
    expected_failed_checks=refused,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# --------------------------------------------------------------------------------- what it gives


@pytest.mark.parametrize("kind", KINDS)
def test_density_imputation_and_factors_are_those_of_the_covariance(kind):
    x = table(120, 6, 2, 0.2)
    x[3] = NAN
    count = (~np.isnan(x)).any(axis=1).sum()
    fa = FactorAnalyzer(2, noise=kind).fit(x)
    sigma = fa.get_covariance()
    np.testing.assert_allclose(fa.get_precision() @ sigma, np.eye(6), atol=1e-10)
    wanted = conditionals(NormalParams(fa.mean_, sigma), x)
    filled = fa.impute(x)
    np.testing.assert_allclose(filled, wanted.filled, rtol=1e-9)
    np.testing.assert_allclose(fa.score_samples(x), wanted.loglik, rtol=1e-10)
    seen = ~np.isnan(x)
    np.testing.assert_array_equal(filled[seen].view(np.int64), x[seen].view(np.int64))
    np.testing.assert_allclose(filled[3], fa.mean_, rtol=1e-12)
    assert fa.transform(x)[3].tolist() == [0.0, 0.0]
    for row, factors in zip(x[:3], fa.transform(x), strict=False):
        o = ~np.isnan(row)
        gain = np.linalg.solve(sigma[np.ix_(o, o)], (row - fa.mean_)[o])
        np.testing.assert_allclose(factors, fa.components_[:, o] @ gain, atol=1e-10)
    assert fa.score_samples(x).sum() == pytest.approx(fa.loglik_, rel=1e-12)
    assert fa.score(x) == pytest.approx(fa.loglik_ / count, rel=1e-12)
    assert fa.aic(x) == pytest.approx(-2 * fa.loglik_ + 2 * fa.n_parameters())
    assert fa.bic(x) == pytest.approx(-2 * fa.loglik_ + np.log(count) * fa.n_parameters())
    assert fa.n_parameters() == 6 + 11 + (1 if kind == "isotropic" else 6)
    assert fa.converged_
    assert fa.n_iter_ == fa.result_.n_iter


def test_complete_rows_give_what_scikit_learn_gives():
    x = StandardScaler().fit_transform(table(300, 9, 3, 0.0))
    for rotation in (None, "varimax", "quartimax"):
        peer = FactorAnalysis(
            3, tol=1e-12, max_iter=100_000, svd_method="lapack", rotation=rotation
        ).fit(x)
        fa = FactorAnalyzer(3, tol=1e-9, max_iter=5000, rotation=rotation).fit(x)
        assert fa.score(x) == pytest.approx(peer.score(x), abs=1e-8)
        np.testing.assert_allclose(fa.get_covariance(), peer.get_covariance(), atol=1e-4)
        np.testing.assert_allclose(fa.noise_variance_, peer.noise_variance_, atol=1e-4)
        match = np.abs(np.corrcoef(fa.components_, peer.components_)[:3, 3:])
        order = np.argmax(match, axis=1)
        assert sorted(order) == [0, 1, 2]
        signs = np.sign(np.sum(fa.components_ * peer.components_[order], axis=1))
        theirs = peer.components_[order] * signs[:, None]
        np.testing.assert_allclose(fa.components_, theirs, atol=2e-3)
        factors = peer.transform(x)[:, order] * signs
        np.testing.assert_allclose(fa.transform(x), factors, atol=0.02)


def test_a_rotation_changes_no_likelihood_and_makes_loadings_simple():
    x = table(300, 9, 3, 0.1)
    plain = FactorAnalyzer(3).fit(x)
    for rotation in ("varimax", "quartimax"):
        turned = FactorAnalyzer(3, rotation=rotation).fit(x)
        assert turned.loglik_ == plain.loglik_
        np.testing.assert_allclose(turned.get_covariance(), plain.get_covariance(), rtol=1e-10)
        assert np.sum(turned.components_**4) > np.sum(plain.components_**4)
        assert np.all(turned.components_.max(axis=1) > -turned.components_.min(axis=1))
        strong = np.argmax(np.abs(turned.components_), axis=0)
        assert len(set(strong[:3])) == 3
        np.testing.assert_array_equal(strong, np.tile(strong[:3], 3))
    explained = plain.components_ / plain.noise_variance_ @ plain.components_.T
    np.testing.assert_allclose(explained, np.diag(explained.diagonal()), atol=1e-8)
    assert np.all(np.diff(explained.diagonal()) < 0)


def test_components_go_with_the_units_of_the_columns():
    x, scale = table(200, 6, 2, 0.1), np.array([1.0, 1e3, 1e-3, 5.0, 1e6, 1.0])
    for rotation in (None, "varimax"):
        a = FactorAnalyzer(2, rotation=rotation, tol=1e-9).fit(x)
        b = FactorAnalyzer(2, rotation=rotation, tol=1e-9).fit(x * scale)
        np.testing.assert_allclose(b.components_ / scale, a.components_, atol=1e-4)
        np.testing.assert_allclose(b.transform(x * scale), a.transform(x), atol=1e-4)


def test_samples_have_the_distribution_and_a_seed():
    x = table(100, 5, 1, 0.1)
    fa = FactorAnalyzer(1, random_state=3).fit(x)
    rows = fa.sample(100_000)
    np.testing.assert_array_equal(rows, fa.sample(100_000))
    np.testing.assert_allclose(rows.mean(axis=0), fa.mean_, atol=0.03)
    np.testing.assert_allclose(np.cov(rows.T), fa.get_covariance(), atol=0.05)
    with pytest.raises(ValueError, match="n_samples must be an integer >= 1, got 0"):
        fa.sample(0)


def test_standard_errors_take_the_estimator():
    x = pd.DataFrame(table(200, 5, 1, 0.1), columns=list("abcde"))
    fa = FactorAnalyzer(1, tol=1e-8).fit(x)
    errors = standard_errors(fa, x)
    assert {name: error.shape for name, error in errors.items()} == {
        "mean": (5,), "loadings": (5, 1), "noise": (5,),
        "factors.mean": (1,), "covariance": (1, 1),
    }  # fmt: skip
    np.testing.assert_allclose(errors.estimates["loadings"], fa.components_.T, rtol=1e-12)
    assert np.all(errors["noise"] > 0)
    with pytest.raises(ValueError, match="lengths cut sequences"):
        standard_errors(fa, x, lengths=[200])


# ----------------------------------------------------------------------------- scikit-learn, files


def test_weights_and_rows_that_do_not_count():
    x, weights = table(60, 5, 1, 0.2), np.random.default_rng(0).integers(0, 3, 60)
    a = FactorAnalyzer(tol=1e-8).fit(x, sample_weight=weights)
    b = FactorAnalyzer(tol=1e-8).fit(
        np.vstack([np.repeat(x, weights, axis=0), np.full((2, 5), NAN)])
    )
    assert a.loglik_ == pytest.approx(b.loglik_, abs=1e-7)
    assert a.score(x, sample_weight=weights) * weights.sum() == pytest.approx(a.loglik_, rel=1e-12)
    assert a.bic(x, weights) == pytest.approx(b.bic(np.repeat(x, weights, axis=0)), abs=1e-6)


def test_results_do_not_depend_on_threads():
    x = table(3000, 30, 3, 0.2)
    a, b = (FactorAnalyzer(3, n_jobs=n).fit(x) for n in (1, 2))
    assert len(a.result_.model.blocks(x)) > 2
    assert a.loglik_ == b.loglik_
    for name in ("transform", "impute", "score_samples"):
        np.testing.assert_array_equal(getattr(a, name)(x), getattr(b, name)(x))


def test_names_frames_and_pipelines():
    x = pd.DataFrame(table(80, 4, 1, 0.2), columns=list("abcd"))
    fa = FactorAnalyzer(1).set_output(transform="pandas")
    out = fa.fit_transform(x)
    assert list(out.columns) == ["factoranalyzer0"] == fa.get_feature_names_out().tolist()
    np.testing.assert_array_equal(out.to_numpy(), FactorAnalyzer(1).fit(x).transform(x))
    with pytest.raises(ValueError, match="feature names"):
        fa.impute(x[list("abdc")])
    search = GridSearchCV(FactorAnalyzer(noise="isotropic"), {"n_factors": [1, 2]}, cv=3).fit(x)
    assert search.best_params_ == {"n_factors": 1}
    pipe = make_pipeline(StandardScaler(), FactorAnalyzer()).fit(x)
    assert pipe.transform(x).shape == (80, 1)
    nullable = x.astype("Float64")
    np.testing.assert_array_equal(
        FactorAnalyzer().fit(nullable).mean_, FactorAnalyzer().fit(x).mean_
    )


def test_more_starts_are_no_worse():
    x = table(60, 8, 2, 0.3, seed=4)
    one = FactorAnalyzer(2, tol=1e-6).fit(x)
    more = FactorAnalyzer(2, tol=1e-6, n_init=4, random_state=0).fit(x)
    assert more.loglik_ >= one.loglik_ - 1e-6
    assert len(more.result_.starts) == 4
    np.testing.assert_array_equal(
        more.components_, FactorAnalyzer(2, tol=1e-6, n_init=4, random_state=0).fit(x).components_
    )


@pytest.mark.parametrize("kind", KINDS)
def test_files_and_pickles_hold_the_same_bits(kind, tmp_path):
    x = pd.DataFrame(table(80, 5, 1, 0.2), columns=list("abcde"))
    fa = FactorAnalyzer(1, noise=kind, rotation="varimax", random_state=5).fit(x)
    fa.save(tmp_path / "fa.npz")
    for again in (latentem.load(tmp_path / "fa.npz"), pickle.loads(pickle.dumps(fa))):
        assert again.get_params() == fa.get_params()
        for name in ("mean_", "components_", "noise_variance_"):
            assert np.array_equal(getattr(again, name), getattr(fa, name))
        for name in ("transform", "impute", "score_samples"):
            np.testing.assert_array_equal(getattr(again, name)(x), getattr(fa, name)(x))
        np.testing.assert_array_equal(again.sample(3), fa.sample(3))
        assert again.feature_names_in_.tolist() == list("abcde")
        for name in ("loglik_", "converged_", "n_iter_"):
            assert getattr(again, name) == getattr(fa, name)
    assert latentem.load(tmp_path / "fa.npz").reason_ == fa.result_.reason.sentence
    with pytest.raises(ValueError, match="it holds a FactorAnalyzer, so leave family= out"):
        latentem.load(tmp_path / "fa.npz", family=latentem.families.Poisson())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean": np.zeros(4)}, r"components must have shape \(1, 4\), got \(1, 5\)"),
        ({"noise": -np.ones(5)}, "noise_variance must be positive"),
        ({"noise": np.float64(1.0)}, r"noise_variance must have shape \(5,\), got \(\)"),
        ({"loadings": np.full((5, 1), NAN)}, "its array 'loadings' contains NaN"),
    ],
)
def test_files_whose_parts_do_not_belong_together(changes, words, tmp_path):
    path = tmp_path / "fa.npz"
    FactorAnalyzer.from_parameters(np.zeros(5), np.ones((1, 5)), np.ones(5)).save(path)
    header, arrays = read_archive(path, FORMAT, VERSION)
    write_archive(path, header, arrays | changes)
    with pytest.raises(ValueError, match=words):
        latentem.load(path)


def test_from_parameters_needs_no_data():
    fa = FactorAnalyzer.from_parameters(
        [0.0, 1.0, 0.0], [[1.0, 1.0, 0.0]], 0.5, feature_names=["a", "b", "c"]
    )
    assert (fa.noise, fa.n_factors) == ("isotropic", 1)
    frame = pd.DataFrame({"a": [2.0], "b": [NAN], "c": [NAN]})
    np.testing.assert_allclose(fa.impute(frame), [[2.0, 1.0 + 2.0 / 1.5, 0.0]], rtol=1e-14)
    density = multivariate_normal([0.0], [[1.5]]).logpdf([2.0])
    np.testing.assert_allclose(fa.score_samples(frame), [density], rtol=1e-13)
    with pytest.raises(ValueError, match="must name 3 columns, got 1"):
        FactorAnalyzer.from_parameters(np.zeros(3), np.ones((1, 3)), 1.0, feature_names=["a"])
    with pytest.raises(NotFittedError):
        clone(fa).transform(frame)


# ------------------------------------------------------------------------------ bad and hard tables


def holed(column, value=NAN):
    x = table(40, 5, 1, 0.1)
    x[:, column] = value
    return x


@pytest.mark.parametrize(
    ("x", "settings", "words"),
    [
        (np.full((9, 3), NAN), {}, "X has no observed cell: every cell is missing"),
        (holed(2), {}, "X has no observed cell in column 2: leave that column out"),
        (holed(2, 7.0), {}, "column 2 has one value only, 7: it has no variance"),
        (pd.DataFrame(holed(1, 7.0), columns=list("abcde")), {}, r"column 1 \('b'\) has one value"),
        (holed(2, np.inf), {}, "Input X contains infinity in row 0, column 2"),
        ([[1.0, "a"], [2.0, "b"]], {}, r"X must hold numbers, but X\[0, 1\] is the text 'a'"),
        (table(40, 5, 1, 0.1), {"n_factors": 3}, "5 columns has 15 entries, so that at most 2"),
        (table(40, 2, 1, 0.1), {}, "not one factor can be told with diagonal noise, or"),
        (table(40, 3, 1, 0.1), {"n_factors": 3, "noise": "isotropic"}, "n_factors=3 is too large"),
        (table(4, 9, 1, 0.0), {"n_factors": 3}, "n_samples = 4 rows .* too few for n_factors=3"),
        (table(40, 5, 1, 0.1), {"n_factors": 0}, "n_factors must be an integer >= 1"),
        (table(40, 5, 1, 0.1), {"noise": "full"}, "noise must be 'diagonal' or 'isotropic'"),
        (table(40, 5, 1, 0.1), {"noise_floor": 0}, "noise_floor must be a number in"),
        (table(40, 5, 1, 0.1), {"rotation": "promax"}, "rotation must be None, 'varimax' or"),
        (table(40, 5, 1, 0.1), {"tol": -1}, "tol must be a number >= 0"),
        (table(40, 5, 1, 0.1), {"n_jobs": 0}, "n_jobs must be None or a non-zero integer"),
    ],
)  # fmt: skip
def test_what_is_refused(x, settings, words):
    fa = FactorAnalyzer(**settings)
    with pytest.raises(ValueError, match=words):
        fa.fit(x)
    assert not hasattr(fa, "mean_")
    assert not hasattr(fa, "n_features_in_")


def test_a_failed_fit_changes_nothing():
    x = table(50, 4, 1, 0.1)
    fa = FactorAnalyzer().fit(x)
    before = fa.transform(x)
    with pytest.raises(ValueError, match="sample_weight must be >= 0"):
        fa.fit(x, sample_weight=-np.ones(50))
    np.testing.assert_array_equal(fa.transform(x), before)
    with pytest.raises(ValueError, match="no row with an observed cell and a weight"):
        fa.score(np.full((2, 4), NAN))
    with pytest.raises(ValueError, match="3 features, but FactorAnalyzer is expecting 4"):
        fa.transform(x[:, :3])


def test_more_columns_than_rows():
    whole = table(40, 300, 2, 0.0)
    x = np.where(np.random.default_rng(1).random(whole.shape) < 0.2, NAN, whole)
    for kind in KINDS:
        fa = FactorAnalyzer(2, noise=kind).fit(x)
        assert fa.converged_
        lost = np.isnan(x)
        error = np.mean((fa.impute(x) - whole)[lost] ** 2)
        alone = np.mean((np.broadcast_to(np.nanmean(x, axis=0), x.shape) - whole)[lost] ** 2)
        assert error < 0.6 * alone
