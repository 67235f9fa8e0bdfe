"""What the page for IterativeImputer's users says of it is so, and its tables name what exists."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes it importable
from sklearn.impute import IterativeImputer

import latentem
from latentem import GaussianImputer, impute_multiple, pool

PAGE = (
    Path(__file__).parents[2] / "docs" / "guide" / "coming-from-iterative-imputer.rst"
).read_text()
AIR = latentem.datasets.load_airquality().data


def table(title: str) -> list[tuple[str, str]]:
    """Rows of the table below a title, as pairs of cells."""
    part = PAGE[PAGE.index(f"\n{title}\n---") :]
    body = re.split(r"^=+ +=+$", part, flags=re.MULTILINE)[2]
    rows: list[list[str]] = []
    for line in body.splitlines():
        left, right = line[:36].strip(), line[36:].strip()
        if not rows or (
            left and not rows[-1][0].endswith(("(est, se,``", "cells", "missing", ","))
        ):
            rows.append([left, right])
        elif line.strip():
            rows[-1] = [f"{rows[-1][0]} {left}".strip(), f"{rows[-1][1]} {right}"]
    return [(left, right) for left, right in rows if left]


def test_every_argument_of_the_peer_is_in_the_table() -> None:
    left = " ".join(cell for cell, _ in table("IterativeImputer"))
    for name in set(inspect.signature(IterativeImputer).parameters) - {"missing_values"}:
        assert name in left, name


def test_names_on_our_side_exist() -> None:
    imputer = GaussianImputer(add_indicator=True).fit(AIR)
    callables = {*latentem.__all__, *dir(latentem.plot), *dir(imputer), *dir(latentem.Imputations)}
    functions = (GaussianImputer, impute_multiple, pool, latentem.plot.overimpute)
    parameters = {name for f in functions for name in inspect.signature(f).parameters}
    told = 0
    for title in ("IterativeImputer", "Amelia", "norm2"):
        for code in re.findall(r"``([^`]+)``", " ".join(right for _, right in table(title))):
            for name in re.findall(r"([A-Za-z_]+)\(", code):
                assert name in callables, (title, name)
            for name in re.findall(r"([a-z_]+)=", code):
                assert name in parameters, (title, name)
            for name in re.findall(r"\b([a-z_]+_)\b", code):
                assert hasattr(imputer, name), (title, name)
            told += 1
    assert told > 60


def test_the_order_of_columns_matters_there_and_not_here() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 2)) @ rng.normal(size=(2, 5)) + rng.normal(size=(100, 5))
    x[rng.random(x.shape) < 0.3] = np.nan
    back = np.arange(5)[::-1]
    with pytest.warns(UserWarning, match="Early stopping criterion not reached"):
        one = IterativeImputer(max_iter=3, imputation_order="roman").fit_transform(x)
    with pytest.warns(UserWarning, match="Early stopping criterion not reached"):
        other = IterativeImputer(max_iter=3, imputation_order="roman").fit_transform(x[:, back])
    assert np.abs(one - other[:, back]).max() > 0.01
    ours = GaussianImputer(tol=1e-10).fit_transform(x)
    theirs = GaussianImputer(tol=1e-10).fit_transform(x[:, back])[:, back]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_skip_complete_and_columns_that_were_complete_at_fit() -> None:
    new = AIR.copy()
    new[0, 2] = np.nan
    assert np.isfinite(GaussianImputer().fit(AIR).transform(new)).all()


def test_ridge_of_norm2_is_the_inverse_wishart_with_its_scatter() -> None:
    """Its M-step is (S + df D) / (n + df + d + 1), that of our ridge (S + df D) / (n + df)."""
    x = AIR[~np.isnan(AIR).any(axis=1)]
    n, d = x.shape
    spread = np.diag(x.var(axis=0))
    scatter = n * np.cov(x.T, bias=True)
    found = GaussianImputer(prior="inverse-wishart", prior_df=8.0, prior_scale=8.0 * spread).fit(x)
    np.testing.assert_allclose(found.covariance_, (scatter + 8 * spread) / (n + 8 + d + 1))
    ridge = GaussianImputer(prior="ridge", prior_df=8.0).fit(x)
    np.testing.assert_allclose(ridge.covariance_, (scatter + 8 * spread) / (n + 8))


def test_constant_of_the_likelihood() -> None:
    imputer = GaussianImputer(tol=1e-8).fit(AIR)
    cells = (~np.isnan(AIR)).sum()
    row = GaussianImputer.from_parameters([0.0], [[1.0]]).score_samples([[0.0]])
    assert row[0] == pytest.approx(-0.5 * np.log(2 * np.pi))
    # norm2's own number for these data would be this one.
    assert imputer.loglik_ + 0.5 * cells * np.log(2 * np.pi) == pytest.approx(-2320.82, abs=0.01)
