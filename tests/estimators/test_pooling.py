"""Rubin's rules: identities, shapes, names and wrong input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from latentem import impute_multiple, pool
from latentem.datasets import load_airquality

RNG = np.random.default_rng(0)
Q = RNG.normal(size=(7, 3))
ROOTS = RNG.normal(size=(7, 3, 4))
U = ROOTS @ ROOTS.transpose(0, 2, 1)


def test_matrices_vectors_and_numbers_agree():
    matrices = pool(Q, U)
    vectors = pool(Q, np.diagonal(U, 0, 1, 2))
    for name in ("estimate", "std_error", "df", "riv", "lambda_", "fmi"):
        np.testing.assert_allclose(getattr(matrices, name), getattr(vectors, name), rtol=1e-12)
        for j in range(3):
            single = getattr(pool(Q[:, j], U[:, j, j]), name)
            assert isinstance(single, float)
            assert single == pytest.approx(getattr(vectors, name)[j], rel=1e-12)
    np.testing.assert_allclose(matrices.total.diagonal(), vectors.total, rtol=1e-12)
    np.testing.assert_allclose(matrices.between, np.cov(Q.T), rtol=1e-12)
    np.testing.assert_allclose(matrices.total, matrices.total.T, rtol=1e-14)


def test_confidence_limits_are_those_of_t():
    found = pool(Q, U)
    reach = t.ppf(0.95, found.df) * found.std_error
    limits = found.confint(0.9)
    assert limits.shape == (3, 2)
    np.testing.assert_allclose(limits[:, 1] - limits[:, 0], 2 * reach, rtol=1e-12)
    assert pool(Q[:, 0], U[:, 0, 0]).confint().shape == (2,)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        found.confint(95)


def test_tables_that_agree_cost_nothing():
    found = pool([2.0, 2.0, 2.0], [1.0, 1.0, 1.0])
    assert (found.total, found.riv, found.lambda_, found.fmi) == (1.0, 0.0, 0.0, 0.0)
    assert found.df == np.inf
    np.testing.assert_allclose(found.confint(), 2.0 + np.array([-1, 1]) * 1.959963984540054)
    small = pool([2.0, 2.0, 2.0], [1.0, 1.0, 1.0], dfcom=10)
    assert small.df == pytest.approx(10 * 11 / 13)
    certain = pool([1.0, 2.0], [0.0, 0.0])
    assert (certain.lambda_, certain.fmi, certain.df) == (1.0, 1.0, 1.0)


def test_names_come_from_the_index_and_the_summary_shows_them():
    names = ["const", "slope", "age"]
    series = [pd.Series(q, index=names) for q in Q]
    frames = [pd.DataFrame(u, index=names, columns=names) for u in U]
    found = pool(series, frames, dfcom=20)
    assert found.names == names
    text = found.summary(0.9)
    assert "pooled over 7 imputations" in text
    assert "90 % limits" in text
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[2:]] == names
    numbers = np.array([line.split()[1:] for line in lines[2:]], dtype=float)
    np.testing.assert_allclose(numbers[:, 0], found.estimate, rtol=1e-4)
    np.testing.assert_allclose(numbers[:, -2:], found.confint(0.9), rtol=1e-4)
    assert str(found) == found.summary()
    with pytest.raises(ValueError, match="named differently"):
        pool([series[0], series[1].rename({"age": "AGE"})], frames[:2])


def test_frames_have_a_row_for_each_table():
    names = ["const", "slope", "age"]
    wanted = pool(Q, np.diagonal(U, 0, 1, 2))
    variances = pd.DataFrame(np.diagonal(U, 0, 1, 2), columns=names)
    found = pool(pd.DataFrame(Q, columns=names), variances)
    assert found.names == names
    assert found.m == 7
    np.testing.assert_array_equal(found.std_error, wanted.std_error)
    polars = pytest.importorskip("polars")
    with pytest.raises(TypeError, match=r"estimates are a DataFrame .* pass its to_numpy"):
        pool(polars.DataFrame(Q), variances)


def test_variances_follow_the_names_of_the_estimates():
    names, other = ["const", "slope", "age"], ["age", "const", "slope"]
    series = [pd.Series(q, index=names) for q in Q]
    frames = [pd.DataFrame(u, index=names, columns=names) for u in U]
    wanted = pool(series, frames)
    turned = pool(series, [frame.loc[other, other] for frame in frames])
    np.testing.assert_array_equal(turned.within, wanted.within)
    numbers = [pd.Series(np.diag(u), index=names) for u in U]
    turned = pool(series, [value[other] for value in numbers])
    np.testing.assert_array_equal(turned.within, np.diag(wanted.within))
    turned = pool(pd.DataFrame(series), pd.DataFrame(numbers)[other])
    np.testing.assert_array_equal(turned.within, np.diag(wanted.within))
    with pytest.raises(ValueError, match="give both the same names"):
        pool(series, [value.rename({"age": "AGE"}) for value in numbers])
    with pytest.raises(ValueError, match="variances are named differently"):
        pool(series, [numbers[0][other], *numbers[1:]])
    with pytest.raises(ValueError, match="the same names, in rows and columns"):
        pool(series, [frame[other] for frame in frames])


def test_dicts_are_refused():
    with pytest.raises(TypeError, match="estimates are dicts, whose values have no places"):
        pool({"a": 1.0, "b": 2.0}, [1.0, 1.0])
    with pytest.raises(TypeError, match="variances are dicts"):
        pool([1.0, 2.0], [{"a": 1.0}, {"a": 2.0}])


@pytest.mark.parametrize(
    ("q", "u", "words"),
    [
        ([1.0], [1.0], "at least 2 tables, got 1"),
        ([], [], "at least 2 tables, got 0"),
        ([1.0, 2.0], [1.0], r"variances must have shape \(2,\), got \(1,\)"),
        (Q, U[:, :2], r"variances must have shape \(7, 3\) or \(7, 3, 3\), got \(7, 2, 3\)"),
        ([1.0, 2.0], [1.0, -1.0], "variances must be >= 0"),
        ([1.0, np.nan], [1.0, 1.0], "estimates contains NaN"),
        ([1.0, "a"], [1.0, 1.0], "estimates must hold numbers"),
        ([[1.0], [1.0, 2.0]], [1.0, 1.0], "in one shape for every table"),
        (U, U, r"estimates must be \(m,\) or \(m, p\)"),
    ],
)
def test_wrong_input_is_refused(q, u, words):
    with pytest.raises(ValueError, match=words):
        pool(q, u)


def test_wrong_dfcom_is_refused():
    for bad in (0, -3, [1.0, 2.0], np.nan):
        with pytest.raises(ValueError, match="dfcom must be positive"):
            pool(Q, U, dfcom=bad)


def test_regressions_of_statsmodels():
    sm = pytest.importorskip("statsmodels.api")
    air = load_airquality()
    frame = pd.DataFrame(air.data, columns=list(air.columns))
    fits = []
    for table in impute_multiple(frame, m=10, random_state=0):
        design = sm.add_constant(table.iloc[:, 1:4])
        fits.append(sm.OLS(table.iloc[:, 0], design).fit())
    found = pool([fit.params for fit in fits], [fit.cov_params() for fit in fits], fits[0].df_resid)
    assert found.names[0] == "const"
    assert np.all(found.std_error > np.sqrt(found.within.diagonal()))
