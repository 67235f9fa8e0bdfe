"""GaussianImputer given bad or hard tables: a sentence each, and nothing lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from latentem import DegenerateComponentWarning, GaussianImputer
from tests.estimators.test_imputer import table

NAN = np.nan


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.full((4, 3), NAN), "X has no observed cell: every cell is missing"),
        ([[1.0, np.inf], [2.0, NAN]], "Input X contains infinity in row 0, column 1"),
        ([[1.0, "a"], [2.0, "b"]], r"X must hold numbers, but X\[0, 1\] is the text 'a'"),
        (np.array([1.0, NAN, 2.0]), "Expected 2D array, got 1D array"),
        (np.ones((2, 2, 2)), "dim"),
        ([[1e200, 1.0], [2e200, NAN], [0.0, 3.0]], "whose squares overflow"),
        ([[1e-200, 1.0], [2e-200, NAN], [0.0, 3.0]], "the square of that underflows"),
        (np.empty((0, 3)), "0 sample"),
        (np.array([[2**60, 1], [3, 4]]), "integers above 2\\*\\*53"),
        (pd.DataFrame({"id": [2**60, 5], "b": [NAN, 1.0]}), "integers above 2\\*\\*53"),
        (pd.DataFrame({"a": [1.0, 2.0], "b": ["u", "v"]}), "column 'b' has 'u'"),
    ],
)
def test_tables_that_are_refused(x, words):
    imputer = GaussianImputer()
    with pytest.raises(ValueError, match=words):
        imputer.fit(x)
    assert not hasattr(imputer, "mean_")
    assert not hasattr(imputer, "n_features_in_")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "gibbs"}, "method must be 'auto', 'em' or 'monotone'"),
        ({"prior": "flat"}, "prior must be None, 'ridge'"),
        ({"prior_df": 3.0}, "prior_df belongs to"),
        ({"prior": "ridge", "prior_df": -1}, "prior_df must be a number > 0"),
        ({"tol": -1.0}, "tol must be a number >= 0"),
        ({"max_iter": 1.5}, "max_iter must be an integer >= 0"),
        ({"accelerate": "fast"}, "accelerate must be"),
        ({"random_state": -3}, "random_state must be None"),
        ({"n_jobs": 0}, "n_jobs must be None or a non-zero integer"),
        ({"min_value": 3.0, "max_value": 1.0}, "min_value is above max_value in column 0"),
        ({"min_value": [1.0, 2.0]}, "min_value must be a number or one for each of 5 columns"),
        ({"max_value": "high"}, "max_value must hold numbers"),
        ({"max_value": NAN}, "max_value contains NaN"),
        ({"missing_values": "?"}, "missing_values must be NaN or a number"),
        ({"missing_values": -1}, "X contains NaN in row"),
    ],
)
def test_arguments_that_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        GaussianImputer(**settings).fit(table())


def test_a_failed_fit_changes_nothing():
    x = table()
    imputer = GaussianImputer().fit(x)
    before = imputer.transform(x)
    with pytest.raises(ValueError, match="sample_weight must be >= 0"):
        imputer.fit(x, sample_weight=-np.ones(len(x)))
    with pytest.raises(ValueError, match="infinity"):
        imputer.fit(np.where(np.isnan(x), np.inf, x)[:, :2])
    np.testing.assert_array_equal(imputer.transform(x), before)


def test_transform_checks_its_columns():
    x = table(50, 3)
    imputer = GaussianImputer().fit(pd.DataFrame(x, columns=["a", "b", "c"]))
    with pytest.raises(ValueError, match="feature names"):
        imputer.transform(pd.DataFrame(x, columns=["a", "c", "b"]))
    with pytest.raises(ValueError, match="2 features, but GaussianImputer is expecting 3"):
        GaussianImputer().fit(x).transform(x[:, :2])
    with pytest.raises(ValueError, match="contains infinity in row 1, column 0"):
        GaussianImputer().fit(x).transform([[1.0, 2.0, 3.0], [np.inf, 2.0, 3.0]])


def test_every_kind_of_missing_cell_is_the_same():
    x = np.round(table(60, 3, 0.3), 3)
    wanted = GaussianImputer().fit_transform(x)
    marked = np.where(np.isnan(x), -999.0, x)
    frame = pd.DataFrame(x)
    objects = frame.astype(object).where(frame.notna(), None)
    nullable = frame.astype("Float64")
    assert nullable.isna().to_numpy().any()
    kinds = {
        "marked": GaussianImputer(missing_values=-999).fit_transform(marked),
        "None": GaussianImputer(missing_values=None).fit_transform(objects.to_numpy()),
        "NA": GaussianImputer(missing_values=pd.NA).fit_transform(nullable),
        "lists": GaussianImputer().fit_transform(objects.to_numpy().tolist()),
        "frame of objects": GaussianImputer().fit_transform(frame.astype(object)),
        "masked": GaussianImputer().fit_transform(np.ma.masked_invalid(x)),
        "Fortran": GaussianImputer().fit_transform(np.asfortranarray(x)),
        "polars": GaussianImputer().fit_transform(pl.DataFrame(x, schema=["a", "b", "c"])),
        "pyarrow": GaussianImputer().fit_transform(frame.astype("double[pyarrow]")),
    }
    for name, filled in kinds.items():
        np.testing.assert_array_equal(filled, wanted, err_msg=name)
    named = pd.DataFrame(x, columns=["a", "b", "c"]).astype(object).where(frame.notna().to_numpy())
    named["a"] = named["a"].where(named["a"].notna(), pd.NA)
    np.testing.assert_array_equal(GaussianImputer().fit_transform(named), wanted)


def test_integer_columns_come_through():
    frame = pd.DataFrame(
        {
            "count": pd.array([1, 2, None, 4, 5, 9], dtype="Int64"),
            "whole": [3, 1, 4, 1, 5, 9],
            "real": [0.5, NAN, 1.5, 2.0, 2.5, 0.1],
        }
    )
    out = GaussianImputer().set_output(transform="pandas").fit_transform(frame)
    np.testing.assert_array_equal(out["whole"], frame["whole"])
    assert out["count"].tolist()[:2] == [1.0, 2.0]
    assert np.isfinite(out["count"][2])
    ints = np.array([[1, 2], [3, -1], [5, 5], [-1, 8], [7, 8]])
    filled = GaussianImputer(missing_values=-1).fit_transform(ints)
    assert filled[0].tolist() == [1.0, 2.0]
    np.testing.assert_allclose([filled[1, 1], filled[3, 0]], [3.8, 7.1], atol=1.0)


def test_float32_is_taken():
    x = table(80, 4, 0.2)
    small = x.astype(np.float32)
    filled = GaussianImputer().fit_transform(small)
    seen = ~np.isnan(x)
    np.testing.assert_array_equal(filled[seen], small[seen])
    np.testing.assert_allclose(filled, GaussianImputer().fit_transform(x), rtol=1e-3, atol=1e-3)


def test_seventy_columns_of_patterns():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 70)) + rng.normal(size=(400, 70))
    mask = rng.random(x.shape) < 0.1
    x[mask] = NAN
    imputer = GaussianImputer().fit(x)
    assert imputer.n_patterns_ == len(np.unique(mask, axis=0))
    assert np.all(np.isfinite(imputer.transform(x)))


def test_collinear_columns_are_named_and_filled_as_they_should():
    x = table(200, 3, 0.0)
    x = pd.DataFrame(np.column_stack([x, x[:, 0] - x[:, 2]]), columns=["a", "b", "c", "d"])
    whole = x.copy()
    x = x.mask(np.random.default_rng(0).random(x.shape) < 0.15)
    words = r"columns 0 \('a'\), 2 \('c'\) and 3 \('d'\) are collinear"
    with pytest.warns(DegenerateComponentWarning, match=words):
        imputer = GaussianImputer(tol=1e-6).fit(x)
    one = x["d"].isna() & x["a"].notna() & x["c"].notna()
    assert one.sum() > 5
    filled = imputer.transform(x)[one, 3]
    np.testing.assert_allclose(filled, whole["d"][one], rtol=1e-3, atol=1e-3)
    assert np.isnan(imputer.convergence_rate_)


def test_more_columns_than_rows():
    x = table(12, 30, 0.1)
    words = "rows of weight 12 cannot tell the covariance of 30 columns"
    with pytest.warns(DegenerateComponentWarning, match=words):
        filled = GaussianImputer().fit_transform(x)
    assert np.all(np.isfinite(filled))
    ridge = GaussianImputer(prior="ridge").fit(x)
    assert ridge.result_.converged
    assert np.all(np.isfinite(ridge.transform(x)))
