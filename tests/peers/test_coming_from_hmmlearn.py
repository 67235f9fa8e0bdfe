"""What the page for hmmlearn's users says of hmmlearn is so, and its tables name what exists."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import latentem
from latentem.datasets import load_earthquakes

pytest.importorskip("hmmlearn")
from hmmlearn import hmm

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "coming-from-hmmlearn.rst"
COUNTS = load_earthquakes()[["count"]]
ESTIMATORS = ("GaussianHMM", "GMMHMM", "PoissonHMM", "CategoricalHMM")


def small_rows() -> np.ndarray:
    true = latentem.GaussianHMM.from_parameters(
        startprob=[0.5, 0.5],
        transmat=[[0.9, 0.1], [0.1, 0.9]],
        means=[[0.0], [0.4]],
        covariances=[[0.01], [0.01]],
    )
    return true.sample(500, random_state=0)[0]


def test_defaults_stop_short_and_say_converged() -> None:
    ends = []
    for seed in range(6):
        model = hmm.PoissonHMM(3, random_state=seed).fit(COUNTS.astype(int))
        assert model.monitor_.converged
        assert model.monitor_.iter == 10
        ends.append(model.score(COUNTS.astype(int)))
    assert min(ends) == pytest.approx(-343.0, abs=0.1)
    assert max(ends) == pytest.approx(-328.6, abs=0.05)


def test_prior_on_variances_is_in_the_units_of_the_data() -> None:
    rows = small_rows() / 100
    theirs = hmm.GaussianHMM(2, random_state=0, n_iter=500, tol=1e-6).fit(rows)
    assert np.sort(np.sqrt(theirs.covars_.ravel())) == pytest.approx([0.005, 31.6], rel=0.02)
    ours = latentem.GaussianHMM(2, random_state=0).fit(rows)
    assert np.sqrt(ours.covariances_.ravel()) == pytest.approx([0.0009, 0.0009], rel=0.05)


def test_missing_rows_are_refused_there() -> None:
    rows = small_rows()
    rows[3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        hmm.GaussianHMM(2).fit(rows)
    assert latentem.GaussianHMM(2, random_state=0).fit(rows).converged_


@pytest.mark.parametrize("name", ESTIMATORS)
def test_constructor_arguments_of_hmmlearn_are_all_told(name: str) -> None:
    words = PAGE.read_text(encoding="utf-8")
    ours = set(getattr(latentem, name)._get_param_names())
    for argument in getattr(hmm, name)._get_param_names():
        told = re.search(rf"\b{argument}\b", words)
        assert told or argument in ours, argument


@pytest.mark.parametrize("name", ESTIMATORS)
def test_methods_of_hmmlearn_are_there_or_told(name: str) -> None:
    kind, words = getattr(latentem, name), PAGE.read_text(encoding="utf-8")
    for method in dir(getattr(hmm, name)):
        if not method.startswith("_") and "request" not in method and "routing" not in method:
            assert hasattr(kind, method) or f"``{method}()``" in words, method


def test_names_in_the_right_hand_column_exist() -> None:
    known = set(dir(latentem))
    for name in ESTIMATORS:
        kind = getattr(latentem, name)
        known |= set(dir(kind)) | set(kind._get_param_names())
        known |= set(re.findall(r"\w+_\b", kind.__doc__))
    known |= {"lower_bounds_", "history", "y", "n_features_in_", "feature_names_in_"}
    methods = PAGE.read_text(encoding="utf-8").partition("Methods\n-------")[2]
    methods = methods.partition("When to stay")[0]
    for row in re.findall(r"^not there +(.*(?:\n {20,}.*)*)", methods, flags=re.MULTILINE):
        for name in re.findall(r"``(?:latentem\.)?(\w+)``", row):
            assert name in known, name
