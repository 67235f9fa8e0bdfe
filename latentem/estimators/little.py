r"""Little's test of whether cells are missing completely at random.

With patterns p of :math:`n_p` rows that see :math:`d_p` columns,

.. math:: \sum_p n_p (\bar x_p - \mu_p)' \Sigma_p^{-1} (\bar x_p - \mu_p)

is about chi-squared with :math:`\sum_p d_p - d` degrees of freedom where cells are missing
completely at random; mean and covariance are the maximum likelihood estimates (Little 1988,
JASA 83:1198-1202, doi:10.1080/01621459.1988.10478722).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import chi2

from latentem.engine.backends import one_blas_thread
from latentem.engine.blocks import Rows
from latentem.engine.em import EM
from latentem.estimators.imputer import GaussianImputer
from latentem.estimators.imputer_columns import columns_of, label_of, numbers_of
from latentem.families.cells import patterns_of
from latentem.models.conditionals import conditionals
from latentem.models.normal import MultivariateNormal
from latentem.models.normal_fit import start_of

__all__ = ["LittleTest", "little_mcar_test"]


class LittleTest(NamedTuple):
    """Result of Little's test.

    Parameters
    ----------
    statistic : float
    df : int
        Degrees of freedom; 0 where all rows miss the same cells.
    pvalue : float
        NaN where there are no degrees of freedom.
    n_patterns : int
    effect_size : float
        Root mean square distance of the patterns' means from the mean of all, over the
        rows, in standard deviations (Mahalanobis), less what chance gives: it does not
        grow with the number of rows.
    """

    statistic: float
    df: int
    pvalue: float
    n_patterns: int
    effect_size: float

    def __str__(self) -> str:
        return (
            f"Little's test: chi2 = {self.statistic:.4f}, df = {self.df}, p = {self.pvalue:.4g} "
            f"({self.n_patterns} patterns, effect size {self.effect_size:.3f})"
        )


def little_mcar_test(X: Any, missing_values: Any = np.nan, n_jobs: int | None = None) -> LittleTest:
    """Test whether cells are missing completely at random.

    A small p-value says that rows which miss different cells differ in what they show, so
    that leaving incomplete rows out would be wrong. It cannot tell cells missing at random,
    which maximum likelihood and multiple imputation handle, from those that are not.

    Parameters
    ----------
    X : array-like or frame (n_samples, n_features)
        Columns of one value are left out, with a warning.
    missing_values : NaN or number
    n_jobs : int or None

    Returns
    -------
    LittleTest

    Raises
    ------
    ValueError
        For a table that `GaussianImputer` refuses, or whose covariance is singular.

    Examples
    --------
    >>> from latentem import little_mcar_test
    >>> from latentem.datasets import load_airquality
    >>> print(little_mcar_test(load_airquality().data))
    Little's test: chi2 = 35.1062, df = 14, p = 0.001418 (4 patterns, effect size 0.371)
    """
    holder = GaussianImputer()
    x = numbers_of(holder, X, missing_values, reset=True)
    names = getattr(holder, "feature_names_in_", None)
    varying = columns_of(x, None, names, keep_empty=False).varying
    x = x[:, varying]
    x = np.ascontiguousarray(x[~np.isnan(x).all(axis=1)])
    if not len(x) or not varying.any():
        raise ValueError("no column of X varies: there is nothing to test")
    units = MultivariateNormal().learn(x).units
    assert units is not None
    x = (x - units.centre) / units.scale
    labels = tuple(label_of(j, names) for j in np.flatnonzero(varying).tolist())
    model, data = MultivariateNormal(labels=labels), Rows(x)
    settings = EM(stopping="step", tol=1e-9, max_iter=20_000, n_jobs=n_jobs)
    result = settings.run(model, data, start=start_of(model, data), rng=0)
    if result.degenerate:
        raise ValueError(f"Little's test needs a regular covariance: {result.degenerate[0]}")
    order, first, missing = patterns_of(np.isnan(x))
    counts = np.diff(first)
    sums = np.add.reduceat(x[order], first[:-1], axis=0)
    means = np.where(missing, np.nan, sums / counts[:, None])
    with one_blas_thread():
        distances = conditionals(result.params, means).distances
    statistic = float(counts @ distances)
    df = int((~missing).sum() - x.shape[1])
    pvalue = float(chi2.sf(statistic, df)) if df else float("nan")
    effect = float(np.sqrt(max(statistic - df, 0.0) / len(x)))
    return LittleTest(statistic, df, pvalue, len(missing), effect)
