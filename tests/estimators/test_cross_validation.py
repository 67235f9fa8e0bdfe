"""`select` by cross-validated log-likelihood, and the criteria that all estimators share."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import KFold, LeaveOneOut

from latentem import (
    CategoricalHMM,
    FactorAnalyzer,
    GaussianHMM,
    GaussianImputer,
    GaussianMixture,
    PoissonHMM,
    select,
)
from latentem.datasets import load_airquality, load_earthquakes
from tests.estimators.samples import blobs
from tests.estimators.test_bad_input import refused

X = blobs(120, 2, 3, gap=9.0)
COUNTS = load_earthquakes()[["count"]]


def test_rows_are_held_out_fold_by_fold():
    chosen = select(
        GaussianMixture(random_state=0), X, criterion="cv", cv=4, n_components=[1, 2, 3, 4],
        covariance_type=["spherical"],
    )  # fmt: skip
    assert chosen.best.n_components == 3
    expected = 0.0
    for train, test in KFold(4, shuffle=True, random_state=0).split(X):
        gm = GaussianMixture(2, covariance_type="spherical", random_state=0).fit(X[train])
        expected += gm.score_samples(X[test]).sum()
    assert chosen.table[1].value == pytest.approx(-2 * expected, rel=1e-12)
    assert (
        chosen.best.loglik_
        == GaussianMixture(3, covariance_type="spherical", random_state=0).fit(X).loglik_
    ), "fitted to all rows"
    assert str(chosen).splitlines()[0].split()[2] == "CV"


def test_weights_frames_and_splitters():
    import pandas

    weights = np.random.default_rng(0).integers(0, 3, len(X))
    frame = pandas.DataFrame(X, columns=["a", "b"])
    some = {"criterion": "cv", "n_components": [1, 2], "sample_weight": weights}
    one = select(GaussianMixture(random_state=0), X, cv=KFold(3), **some)
    two = select(GaussianMixture(random_state=0), frame, cv=KFold(3), **some)
    assert [row.value for row in one.table] == [row.value for row in two.table]
    left = select(GaussianMixture(random_state=0), X[:12], criterion="cv", cv=LeaveOneOut(),
                  n_components=[1], covariance_type="diag")  # fmt: skip
    assert np.isfinite(left.table[0].value)


def test_whole_sequences_are_held_out():
    parts = [COUNTS[:30], COUNTS[30:55], COUNTS[55:80], COUNTS[80:]]
    lengths = [len(part) for part in parts]
    some = {"criterion": "cv", "cv": 4, "n_components": [1, 2]}
    listed = select(PoissonHMM(random_state=0), parts, **some)
    stacked = select(PoissonHMM(random_state=0), COUNTS, lengths=lengths, **some)
    assert [row.value for row in listed.table] == [row.value for row in stacked.table]
    expected = 0.0
    for s in range(4):
        rest = [part for i, part in enumerate(parts) if i != s]
        expected += PoissonHMM(1, random_state=0).fit(rest).score(parts[s])
    assert listed.table[0].value == pytest.approx(-2 * expected, rel=1e-10)
    assert listed.best.n_components == 2
    labels = np.full(len(COUNTS), -1)
    labels[[5, 60]] = 0, 1
    known = select(PoissonHMM(random_state=0), COUNTS, lengths=lengths, labels=labels, **some)
    assert known.candidates[0] is None, "label 1 with one state"
    assert np.isfinite(known.table[1].value)


def test_stretches_of_a_lone_sequence_are_hidden():
    chosen = select(
        PoissonHMM(random_state=0), COUNTS, criterion="cv", cv=5, n_components=[1, 2, 3]
    )
    assert chosen.best.n_components in (2, 3)
    assert chosen.table[0].value > chosen.table[1].value + 50
    # With one state rows are independent: every row scored once, by a rate of the others.
    stretch = np.arange(107) * 50 // 107 % 5
    expected = sum(
        PoissonHMM(1).fit(COUNTS[stretch != fold]).score(COUNTS[stretch == fold])
        for fold in range(5)
    )
    assert chosen.table[0].value == pytest.approx(-2 * expected, rel=1e-10)
    listed = select(PoissonHMM(random_state=0), [COUNTS], criterion="cv", n_components=[1])
    assert listed.table[0].value == chosen.table[0].value
    words = np.array(["a", "b"] * 20)[:, None]
    refused(
        lambda: select(CategoricalHMM(), words, criterion="cv", n_components=[1]),
        ["X must hold numbers", "encode"],
    )
    refused(
        lambda: select(PoissonHMM(), COUNTS, criterion="cv", cv=KFold(3), n_components=[1]),
        ["lone sequence", "no splitter"],
    )


def test_factors_and_imputers():
    air = load_airquality().data
    chosen = select(FactorAnalyzer(), air, criterion="cv", cv=3, n_factors=[1, 2])
    assert all(np.isfinite(row.value) for row in chosen.table)
    few = air[:15]
    chosen = select(GaussianImputer(), few, criterion="cv", cv=3, tol=[1e-3, 1e-6])
    assert chosen.table[0].n_parameters == 20
    assert chosen.table[0].value == pytest.approx(chosen.table[1].value, rel=1e-3)
    refused(
        lambda: select(GaussianImputer(), air, n_components=[1]), ["GaussianImputer has no bic"]
    )
    refused(
        lambda: select(FactorAnalyzer(), air, criterion="icl", n_factors=[1]),
        ["FactorAnalyzer has no icl", "'bic', 'aic', 'cv'"],
    )


def test_a_fold_that_fails_is_a_named_row():
    rows = np.vstack([X[:8], X[:1]])
    chosen = select(
        GaussianMixture(random_state=0), rows, criterion="cv", cv=2, n_components=[1, 7]
    )
    assert "fewer than n_components=7" in chosen.table[1].error


@pytest.mark.parametrize("criterion", ["bic", "icl", "cv"])
def test_the_same_for_any_number_of_jobs(criterion):
    some = {"criterion": criterion, "n_components": [1, 2, 3], "covariance_type": ["full", "diag"]}
    tables = [select(GaussianMixture(random_state=0), X, n_jobs=n, **some).table for n in (None, 2)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("cv", "words"),
    [(1, ["cv", ">= 2", "1"]), (True, ["cv"]), ("five", ["cv", "'five'"]),
     (500, ["cv=500", "as many rows", "120"])],
)  # fmt: skip
def test_wrong_folds(cv, words):
    refused(lambda: select(GaussianMixture(), X, criterion="cv", cv=cv, n_components=[1]), words)


@pytest.mark.parametrize(
    ("data", "more", "words"),
    [
        (None, {}, ["X", "2D array"]),
        (X, {"sample_weight": np.ones(3)}, ["sample_weight", "(120,)"]),
        (X[:, 0], {}, ["1"]),
        (X, {"labels": np.zeros(5, dtype=int)}, ["labels", "(120,)"]),
    ],
)
def test_wrong_data_are_told_as_a_fit_tells_them(data, more, words):
    refused(
        lambda: select(GaussianMixture(), data, criterion="cv", n_components=[1], **more), words
    )


def test_icl_of_chains():
    """BIC less twice the log of the posterior probability of the Viterbi path."""
    hmm = PoissonHMM(2, random_state=0).fit(COUNTS)
    joint, path = hmm.decode(COUNTS)
    assert hmm.icl(COUNTS) == pytest.approx(hmm.bic(COUNTS) - 2 * (joint - hmm.score(COUNTS)))
    assert hmm.icl(COUNTS) > hmm.bic(COUNTS)
    parts, weights = [COUNTS[:50], COUNTS[50:]], np.array([2.0, 0.0])
    twice = hmm.icl([COUNTS[:50], COUNTS[:50]])
    assert hmm.icl(parts, sample_weight=weights) == pytest.approx(twice)
    chosen = select(GaussianHMM(random_state=0), COUNTS, criterion="icl", n_components=[1, 2])
    assert chosen.table[1].value == chosen.candidates[1].icl(COUNTS)
    apart = (
        np.concatenate([np.zeros(20), np.full(20, 1e3)])[:, None] + np.tile([0.0, 1.0], 20)[:, None]
    )
    sure = GaussianHMM(2, random_state=0).fit(apart)
    assert sure.icl(apart) == pytest.approx(sure.bic(apart), abs=1e-6)
    assert path.shape == (107,)
