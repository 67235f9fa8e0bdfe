"""Multiple imputation: seeds, kinds of tables, the distribution of draws, and coverage."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import chi2, kstest

from latentem import GaussianImputer, NotIdentifiedWarning, impute_multiple, pool
from latentem.datasets import load_airquality
from latentem.models import NormalParams
from latentem.models.augmentation import Augmentation, steps_for

NAN = np.nan
AIR = load_airquality().data
METHODS = ["bootstrap", "posterior"]


def table(n=120, d=3, share=0.25, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 5 * rng.normal(size=d)
    x[rng.random(x.shape) < share] = NAN
    return x


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_gives_the_same_draws_whatever_the_threads(method):
    x = table()
    a = impute_multiple(x, m=5, method=method, random_state=3)
    for n_jobs in (1, 2):
        b = impute_multiple(x, m=5, method=method, random_state=3, n_jobs=n_jobs)
        np.testing.assert_array_equal(a.draws, b.draws)
    c = impute_multiple(x, m=5, method=method, random_state=np.random.default_rng(3))
    np.testing.assert_array_equal(a.draws, c.draws)
    other = impute_multiple(x, m=5, method=method, random_state=4)
    assert not np.any(a.draws == other.draws)
    assert len(np.unique(a.draws)) == a.draws.size


@pytest.mark.parametrize("method", METHODS)
def test_cells_that_are_seen_are_the_same_in_all(method):
    x = np.vstack([table(), np.full((2, 3), NAN)])
    seen = ~np.isnan(x)
    tables = impute_multiple(x, m=4, method=method, random_state=0)
    assert len(tables) == tables.m == 4
    assert tables.draws.shape == (4, (~seen).sum())
    for i, one in enumerate(tables):
        np.testing.assert_array_equal(one[seen], x[seen])
        np.testing.assert_array_equal(one[~seen], tables.draws[i])
    np.testing.assert_array_equal(tables[-1], tables[3])
    with pytest.raises(IndexError, match="there are 4 imputations, not one number 4"):
        tables[4]
    assert "4 imputations of" in repr(tables)


def test_bootstrap_samples_in_which_a_column_is_constant_are_drawn_again():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3))
    x[:, 1] = 0.0
    x[11, 1] = 1.0  # more than a third of the samples of rows do not have it
    x[2, 1] = x[4, 0] = NAN
    draws = impute_multiple(x, m=40, random_state=0).draws[:, 0]
    assert np.abs(draws).min() > 1e-6
    ridge = GaussianImputer(prior="ridge")  # has a variance for every sample
    draws = impute_multiple(x, m=40, random_state=0, imputer=ridge).draws[:, 0]
    assert np.abs(draws).min() > 1e-6


def test_tables_are_like_the_data():
    frame = pd.DataFrame(
        {"count": np.arange(40), "a": table(40)[:, 0], "b": table(40)[:, 1] + 3.0},
        index=[f"row {i}" for i in range(40)],
    )
    tables = impute_multiple(frame, m=3, random_state=0)
    first = tables[0]
    assert first.index.equals(frame.index)
    assert first.dtypes.to_dict() == frame.dtypes.to_dict()
    assert first["count"].equals(frame["count"])
    assert frame["a"].isna().any()
    assert not first.isna().any().any()
    long = tables.to_long()
    assert list(long.columns) == ["imputation", "row", "count", "a", "b"]
    assert len(long) == 120
    np.testing.assert_array_equal(long["imputation"], np.repeat([1, 2, 3], 40))
    assert long["row"].tolist() == 3 * frame.index.tolist()
    means = long.groupby("imputation")["a"].mean()
    np.testing.assert_allclose(means, [one["a"].mean() for one in tables], rtol=1e-14)
    nullable = impute_multiple(frame.astype({"a": "Float64"}), m=1, random_state=0)[0]
    np.testing.assert_array_equal(nullable["a"], first["a"])
    polar = pl.DataFrame(frame.reset_index(drop=True))
    again = impute_multiple(polar, m=3, random_state=0)
    assert isinstance(again[0], pl.DataFrame)
    assert again[0].schema == polar.schema
    np.testing.assert_array_equal(again[0]["a"].to_numpy(), first["a"])
    assert again.to_long().shape == (120, 5)
    plain = impute_multiple(frame.to_numpy(), m=3, random_state=0).to_long()
    assert plain.shape == (120, 5)
    series = impute_multiple(frame["a"], m=2, random_state=0)
    assert series[0].shape == (40, 1)


def test_the_settings_of_an_imputer_apply():
    x = np.where(np.isnan(table()), -99.0, table())
    settings = GaussianImputer(missing_values=-99, prior="ridge", min_value=0.0)
    tables = impute_multiple(x, m=3, random_state=0, imputer=settings)
    assert not hasattr(settings, "mean_")
    assert tables.imputer.prior == "ridge"
    assert tables.draws.min() >= 0.0
    assert tables.missing.sum() == (x == -99).sum()


def test_constant_empty_and_complete_columns():
    x = np.column_stack([table(), np.full(120, 2.0), np.full(120, NAN)])
    x[5, 3] = NAN
    with pytest.warns(NotIdentifiedWarning):
        tables = impute_multiple(x, m=2, random_state=0)
    assert tables[0][5, 3] == 2.0
    assert np.isnan(tables[0][:, 4]).all()
    with pytest.warns(NotIdentifiedWarning):
        only = impute_multiple([[1.0, 2.0], [2.0, 2.0], [4.0, NAN]], m=3)
    assert [one[2, 1] for one in only] == [2.0] * 3
    whole = impute_multiple(table(share=0.0), m=2)
    assert whole.draws.shape == (2, 0)
    np.testing.assert_array_equal(whole[1], table(share=0.0))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"m": 0}, "m must be an integer >= 1"),
        ({"m": 2.0}, "m must be an integer >= 1"),
        ({"n_steps": 0}, "n_steps must be an integer >= 1"),
        ({"method": "mice"}, "method must be 'bootstrap' or 'posterior'"),
        ({"random_state": "a"}, "random_state must be"),
    ],
)
def test_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        impute_multiple(table(), **arguments)


@pytest.mark.filterwarnings("ignore::latentem.DegenerateComponentWarning")
def test_too_few_rows_are_refused_and_a_ridge_helps():
    x = table(9, 8, 0.1)
    with pytest.raises(ValueError, match="samples of the rows with replacement all left"):
        impute_multiple(x, m=2, random_state=0)
    with pytest.raises(ValueError, match="9 rows are too few to draw the covariance of 9 columns"):
        impute_multiple(table(9, 9, 0.1), m=2, method="posterior", random_state=0)
    ridge = GaussianImputer(prior="ridge", prior_df=12.0)
    for method in METHODS:
        tables = impute_multiple(x, m=2, method=method, random_state=0, imputer=ridge)
        assert np.all(np.isfinite(tables.draws))


def test_both_methods_say_the_same_of_airquality():
    exact = 42.5216  # the maximum, with standard error 2.79 from the observed information
    for method in METHODS:
        tables = impute_multiple(AIR, m=60, method=method, random_state=1)
        found = pool(
            [one[:, 0].mean() for one in tables], [one[:, 0].var(ddof=1) / 153 for one in tables]
        )
        assert abs(found.estimate - exact) < 0.6
        assert found.std_error == pytest.approx(2.79, rel=0.1)


def test_a_chain_on_complete_rows_draws_from_their_posterior():
    """Jeffreys' prior: scatter / variance is chi-squared on n - 1, the mean is t (d = 1)."""
    x = np.random.default_rng(0).normal(3.0, 2.0, size=(12, 1))
    chain, start = Augmentation(x, None), NormalParams(np.zeros(1), np.eye(1))
    rng = np.random.default_rng(1)
    drawn = [chain.params(start, 1, rng) for _ in range(3000)]
    scatter = ((x - x.mean()) ** 2).sum()
    ratios = [scatter / float(params.covariance[0, 0]) for params in drawn]
    assert kstest(ratios, chi2(11).cdf).pvalue > 0.01
    normal = [
        float((params.mean[0] - x.mean()) / np.sqrt(params.covariance[0, 0] / 12))
        for params in drawn
    ]
    assert kstest(normal, "norm").pvalue > 0.01


def test_covariances_drawn_in_a_chain_have_the_mean_of_the_inverse_wishart():
    x = table(40, 3, 0.0)
    chain, start = Augmentation(x, None), NormalParams(x.mean(axis=0), np.cov(x.T))
    rng = np.random.default_rng(1)
    mean = np.mean([chain.params(start, 1, rng).covariance for _ in range(4000)], axis=0)
    scatter = 39 * np.cov(x.T)
    wanted = scatter / (39 - 3 - 1)
    scale = np.sqrt(wanted.diagonal())
    np.testing.assert_allclose((mean - wanted) / np.outer(scale, scale), 0.0, atol=0.03)


def test_complete_rows_summed_once_give_the_same_chain():
    x = table(50, 3, 0.2)
    chain, rng = Augmentation(x, None), np.random.default_rng(0)
    filled = chain.cells.at(
        NormalParams(np.zeros(3), np.eye(3)), rng.standard_normal(chain.cells.x.shape)
    ).filled
    whole = np.vstack([filled, x[~np.isnan(x).any(axis=1)]])
    other = Augmentation(whole, None)
    a = chain._draw(filled, np.random.default_rng(7))
    b = other._draw(np.empty((0, 3)), np.random.default_rng(7))
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-11)
    np.testing.assert_allclose(a.covariance, b.covariance, rtol=1e-10)


def test_steps_of_a_chain_follow_the_rate():
    assert steps_for(0.0) == steps_for(np.nan) == 10
    assert steps_for(0.9) == 44
    assert steps_for(1.0) == 2000
    tables = impute_multiple(table(), m=1, method="posterior", n_steps=1, random_state=0)
    assert np.all(np.isfinite(tables.draws))


def covered(method, m, runs, seed):
    """Shares of runs in which 95 % limits hold the true mean and the true slope."""
    rng, hits = np.random.default_rng(seed), []
    for _ in range(runs):
        x = rng.normal(size=(100, 2)) @ [[1.0, 0.7], [0.0, 0.714]] + [0.0, 2.0]
        x[rng.random(100) < 1 / (1 + np.exp(-2 * x[:, 0])), 1] = NAN  # seen where x0 is small
        q, u = [], []
        for one in impute_multiple(x, m=m, method=method, random_state=rng, n_jobs=1):
            a = one[:, 0] - one[:, 0].mean()
            slope = a @ one[:, 1] / (a @ a)
            residual = one[:, 1] - one[:, 1].mean() - slope * a
            q.append([one[:, 1].mean(), slope])
            u.append([one[:, 1].var(ddof=1) / 100, residual @ residual / 98 / (a @ a)])
        low, high = pool(q, u, dfcom=98).confint().T
        hits.append((low <= [2.0, 0.7]) & (high >= [2.0, 0.7]))
    return np.mean(hits, axis=0)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_multiple_imputation_covers_at_its_nominal_rate(method):
    """500 runs: the standard error of a coverage of 95 % is 1 %."""
    shares = covered(method, 20, 500, 11)
    assert np.all(np.abs(shares - 0.95) <= 0.03), shares


@pytest.mark.slow
def test_filled_once_and_taken_as_seen_it_would_not_cover():
    """So that the test above can fail: conditional means in place of draws."""
    rng, hits = np.random.default_rng(11), []
    for _ in range(300):
        x = rng.normal(size=(100, 2)) @ [[1.0, 0.7], [0.0, 0.714]] + [0.0, 2.0]
        x[rng.random(100) < 1 / (1 + np.exp(-2 * x[:, 0])), 1] = NAN
        y = GaussianImputer(n_jobs=1).fit_transform(x)[:, 1]
        hits.append(abs(y.mean() - 2.0) <= 1.984 * y.std(ddof=1) / 10)
    assert np.mean(hits) < 0.88
