"""DawidSkene as its users meet it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import latentem
from latentem import DawidSkene, standard_errors
from latentem.datasets import load_anaesthetists


@pytest.fixture(scope="module")
def votes():
    return load_anaesthetists().data


@pytest.fixture(scope="module")
def fitted(votes):
    return DawidSkene(tol=1e-10).fit(votes)


def test_the_paper(fitted, votes):
    assert fitted.loglik_ == pytest.approx(-192.8908812142, abs=1e-9)
    assert fitted.converged_
    assert fitted.n_parameters() == 3 + 5 * 4 * 3
    assert fitted.score(votes) == pytest.approx(fitted.loglik_ / 45)
    proba = fitted.predict_proba(votes)
    assert proba.shape == (45, 4)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    np.testing.assert_array_equal(fitted.predict(votes), proba.argmax(axis=1) + 1)


def test_order_of_votes_and_threads_do_not_matter(fitted, votes, rng):
    other = DawidSkene(tol=1e-10, n_jobs=1).fit(rng.permutation(votes))
    np.testing.assert_allclose(other.confusion_, fitted.confusion_, atol=1e-8)


def test_more_starts_find_the_higher_maximum(votes):
    assert DawidSkene(n_init=40, random_state=0).fit(votes).loglik_ > -191.6


def test_text_frames_and_lists_are_the_same_votes(fitted, votes):
    words = pd.DataFrame(
        {
            "patient": [f"p{int(v):02d}" for v in votes[:, 0]],
            "rater": [f"r{int(v)}" for v in votes[:, 1]],
            "label": votes[:, 2].astype(int),
        }
    )
    for X in (words, list(words.itertuples(index=False, name=None))):
        model = DawidSkene(tol=1e-10).fit(X)
        assert model.loglik_ == pytest.approx(fitted.loglik_, abs=1e-9)
        assert model.items_[0] == "p01"
        assert model.raters_.tolist() == ["r1", "r2", "r3", "r4", "r5"]
        np.testing.assert_array_equal(model.predict(X), fitted.predict(votes).astype(int))


def test_gold_labels(votes):
    gold = {1.0: 4.0, 2.0: 1.0}
    found = DawidSkene().fit_predict(votes, gold=gold)
    assert found[:2].tolist() == [4.0, 1.0]


def test_a_gold_label_may_be_one_that_nobody_gave():
    X = [("a", "x", "cat"), ("a", "y", "cat"), ("b", "x", "dog"), ("b", "y", "dog")]
    model = DawidSkene(prior=0.1).fit(X, gold={"a": "hen"})
    assert model.classes_.tolist() == ["cat", "dog", "hen"]
    assert model.fit_predict(X, gold={"a": "hen"})[0] == "hen"


def test_one_coin_and_standard_errors(votes):
    model = DawidSkene("one-coin", prior=1.0, tol=1e-9).fit(votes)
    right = model.confusion_.diagonal(0, 1, 2)
    np.testing.assert_allclose(right, right[:, :1].repeat(4, axis=1))
    np.testing.assert_allclose(model.accuracy_, right[:, 0])
    errors = standard_errors(model, votes)
    assert np.all(errors["raters"] > 0.01)
    assert np.all(errors["raters"] < 0.1)


def test_a_rater_with_one_vote_is_noted(votes):
    X = np.vstack([votes, [[45, 9, 2]]])
    model = DawidSkene().fit(X)
    assert any("1 rater gave a single vote (5)" in note for note in model.result_.notes)
    tempered = DawidSkene(prior=1.0).fit(X)
    assert tempered.accuracy_[5] < 0.6


def test_tables(fitted):
    frame = fitted.to_frame()
    assert list(frame.columns) == ["accuracy", 1.0, 2.0, 3.0, 4.0]
    text = fitted.summary()
    assert "45 items, 5 raters" in text
    assert "log-likelihood -192.8909" in text


def test_arguments_are_kept(fitted):
    assert clone(fitted).get_params() == fitted.get_params()


@pytest.mark.parametrize(
    ("X", "sentence"),
    [
        (np.ones((4, 2)), "X must have 3 columns, item, rater and label of each vote, got 2"),
        (np.ones(3), r"X must be \(n_votes, 3\): item, rater, label; got 1-D"),
        ([1, 2, 3], r"X must be \(n_votes, 3\): item, rater, label; got 1-D"),
        (np.empty((0, 3)), "X holds no votes"),
        ([[1, 2, np.nan], [1, 2, 3]], r"X\[0\] has an empty cell in column 2: leave out votes"),
        ([["a", 2, None], ["b", 2, 3]], r"X\[0\] has an empty cell in column 2"),
        ([["a", 2, 1], [1, 2, 3]], r"items are of kinds that have no order \(int, str\)"),
        ([["a", "x", 1], ["b", "x", 1]], "all votes are 1: there is nothing to tell apart"),
    ],
)
def test_wrong_votes(X, sentence):
    with pytest.raises(ValueError, match=sentence):
        DawidSkene().fit(X)


def test_unknown_names(fitted, votes):
    with pytest.raises(ValueError, match=r"unknown rater 9.0: the fit has no votes of that rater"):
        fitted.predict([[1.0, 9.0, 1.0]])
    with pytest.raises(ValueError, match=r"unknown label 7.0: the fit has no such class"):
        fitted.predict([[1.0, 1.0, 7.0]])
    with pytest.raises(ValueError, match="unknown item 99: gold names it, and there is no vote"):
        DawidSkene().fit(votes, gold={99: 1.0})
    with pytest.raises(ValueError, match="gold must be a mapping of items to labels, got list"):
        DawidSkene().fit(votes, gold=[1])
    with pytest.raises(ValueError, match="votes have neither sample_weight nor lengths"):
        fitted.em_problem(votes, sample_weight=1)


@pytest.mark.parametrize("raters", ["confusion", "one-coin"])
def test_files(raters, votes, tmp_path):
    model = DawidSkene(raters, prior=0.5, random_state=0).fit(votes)
    model.save(tmp_path / "model.npz")
    again = latentem.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict_proba(votes), model.predict_proba(votes))
    assert again.loglik_ == model.loglik_
    assert again.get_params() == model.get_params() | {"random_state": again.random_state}
    assert again.summary().splitlines()[0] == model.summary().splitlines()[0]
    with pytest.raises(ValueError, match="holds a DawidSkene, so leave family= out"):
        latentem.load(tmp_path / "model.npz", latentem.families.Poisson())
