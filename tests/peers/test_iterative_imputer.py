"""Against scikit-learn's IterativeImputer: the same conditional means, no worse cells."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes it importable
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LinearRegression

from latentem import GaussianImputer


def table(n, d, share, seed=0):
    rng = np.random.default_rng(seed)
    whole = rng.normal(size=(n, 3)) @ rng.normal(size=(3, d)) + 0.5 * rng.normal(size=(n, d))
    lost = rng.random(whole.shape) < share
    return whole, np.where(lost, np.nan, whole), lost


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_cells_are_no_further_from_the_truth():
    for seed in range(3):
        whole, x, lost = table(1500, 8, 0.2, seed)
        ours = GaussianImputer().fit_transform(x)
        theirs = IterativeImputer(max_iter=10, random_state=0).fit_transform(x)
        errors = [np.sqrt(np.mean((filled - whole)[lost] ** 2)) for filled in (ours, theirs)]
        assert errors[0] <= 1.002 * errors[1]


def test_one_incomplete_column_is_the_same_regression():
    """With one incomplete column both are the regression on the others."""
    _, x, _ = table(300, 4, 0.0)
    x[200:, 2] = np.nan
    theirs = IterativeImputer(LinearRegression(), max_iter=2, tol=1.0).fit_transform(x)
    np.testing.assert_allclose(GaussianImputer().fit_transform(x), theirs, rtol=1e-8)
