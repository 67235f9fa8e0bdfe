"""Little's test: invariances, its level, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from latentem import NotIdentifiedWarning, little_mcar_test

NAN = np.nan


def table(n=150, d=3, seed=0, share=0.2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)
    x[rng.random(x.shape) < share] = NAN
    return x


@given(st.integers(0, 200))
def test_units_and_order_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    x = table(60, 3, seed)
    found = little_mcar_test(x)
    scale = 10.0 ** rng.integers(-9, 9, 3)
    other = little_mcar_test((x * scale)[rng.permutation(60)][:, rng.permutation(3)])
    assert other.statistic == pytest.approx(found.statistic, rel=1e-6)
    assert (other.df, other.n_patterns) == (found.df, found.n_patterns)
    assert other.effect_size == pytest.approx(found.effect_size, abs=1e-5)


def test_df_and_patterns_by_hand():
    x = table(80, 4, 1, 0.0)
    x[:10, 0], x[10:30, 1], x[30:35, :2] = NAN, NAN, NAN
    found = little_mcar_test(np.vstack([x, np.full((3, 4), NAN)]))
    assert found.n_patterns == 4
    assert found.df == 4 + 3 + 3 + 2 - 4
    assert "chi2 = " in str(found)
    marked = little_mcar_test(np.where(np.isnan(x), -9.0, x), missing_values=-9)
    assert marked == little_mcar_test(x)


def test_nothing_to_test_in_one_pattern():
    found = little_mcar_test(table(share=0.0))
    assert found.df == 0
    assert found.n_patterns == 1
    assert found.statistic == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(found.pvalue)


def test_it_finds_what_depends_on_what_was_seen():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2)) @ [[1.0, 0.6], [0.0, 0.8]]
    lost = x.copy()
    lost[x[:, 0] > 0.5, 1] = NAN
    small, large = little_mcar_test(lost), little_mcar_test(np.tile(lost, (4, 1)))
    assert small.pvalue < 1e-10
    assert large.statistic == pytest.approx(4 * small.statistic, rel=1e-6)
    assert large.effect_size == pytest.approx(small.effect_size, rel=0.01)


@pytest.mark.slow
def test_its_level_is_right_where_cells_are_missing_completely_at_random():
    rng = np.random.default_rng(5)
    pvalues = []
    for _ in range(400):
        x = rng.normal(size=(300, 3)) @ [[1.0, 0.5, 0.2], [0.0, 1.0, 0.4], [0.0, 0.0, 1.0]]
        x[rng.random(300) < 0.3, 1] = NAN
        x[rng.random(300) < 0.2, 2] = NAN
        pvalues.append(little_mcar_test(x, n_jobs=1).pvalue)
    assert kstest(pvalues, "uniform").pvalue > 0.01


@pytest.mark.filterwarnings("ignore::latentem.ConvergenceWarning")
def test_bad_tables():
    with pytest.raises(ValueError, match="every cell is missing"):
        little_mcar_test(np.full((3, 2), NAN))
    x = table(60, 3)
    with pytest.raises(ValueError, match="infinity in row 0, column 0"):
        little_mcar_test(np.vstack([[[np.inf, 0.0, 0.0]], x]))
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(one=1.0)
    with pytest.warns(NotIdentifiedWarning, match=r"column 3 \('one'\) has one value only"):
        found = little_mcar_test(frame)
    assert found.statistic == little_mcar_test(x).statistic
    with (
        pytest.raises(ValueError, match="Little's test needs a regular covariance"),
        pytest.warns(UserWarning, match="cannot tell the covariance"),
    ):
        little_mcar_test(table(5, 8, share=0.1))
    with (
        pytest.raises(ValueError, match="no column of X varies"),
        pytest.warns(NotIdentifiedWarning),
    ):
        little_mcar_test([[1.0], [1.0], [NAN]])
