"""SemiSupervisedNB as its users meet it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import MultinomialNB
from sklearn.utils.estimator_checks import parametrize_with_checks

import latentem
from latentem import SemiSupervisedNB
from tests.estimators.texts import hidden, text


@pytest.fixture(scope="module")
def documents():
    return text(np.random.default_rng(0), 300, 80)


def same(ours, theirs, X):
    tolerance = {"rtol": 1e-12, "atol": 1e-12}
    for name in ("class_log_prior_", "feature_log_prob_", "class_count_", "feature_count_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), **tolerance)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)
    logs = ours.predict_log_proba(X), theirs.predict_log_proba(X)
    np.testing.assert_allclose(*logs, rtol=1e-9, atol=1e-12)  # of differences of sums near 100


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"alpha": 0.01},
        {"alpha": np.linspace(0.1, 2.0, 80)},
        {"fit_prior": False},
        {"class_prior": [0.5, 0.3, 0.2]},
    ],
    ids=str,
)
def test_without_unlabelled_documents_it_is_scikit_learns(documents, settings):
    X, y = documents
    same(SemiSupervisedNB(**settings).fit(X, y), MultinomialNB(**settings).fit(X, y), X)
    weights = np.random.default_rng(1).uniform(0.1, 2.0, len(y))
    ours = SemiSupervisedNB(**settings).fit(X.toarray(), y, weights)
    same(ours, MultinomialNB(**settings).fit(X, y, weights), X)
    known = hidden(y, 60)
    none = SemiSupervisedNB(unlabelled_weight=0.0, **settings).fit(X, known)
    same(none, MultinomialNB(**settings).fit(X[:60], y[:60]), X)


def test_without_smoothing(documents):
    X, y = documents
    ours = SemiSupervisedNB(alpha=0.0).fit(X, y)
    with np.errstate(divide="ignore"):
        theirs = MultinomialNB(alpha=0.0).fit(X, y)
    np.testing.assert_allclose(
        np.exp(ours.feature_log_prob_), np.exp(theirs.feature_log_prob_), rtol=1e-12
    )
    few = SemiSupervisedNB(alpha=0.0).fit(X, hidden(y, 10))
    assert np.isfinite(few.loglik_)
    assert np.isfinite(few.predict_proba(X)).all()


def test_impossible_documents_have_equal_shares():
    X = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    model = SemiSupervisedNB(alpha=0.0).fit(X, [0, 1])
    assert model.predict_proba([[0.0, 0.0, 2.0], [1.0, 0.0, 0.0]]).tolist() == [
        [0.5, 0.5],
        [1.0, 0.0],
    ]


def test_unlabelled_documents_raise_accuracy():
    gains = []
    for seed in range(5):
        X, y = text(np.random.default_rng(seed), 2000, 500, length=20, like=2.0)
        known, fresh = hidden(y[:1500], 9), slice(1500, None)
        alone = MultinomialNB().fit(X[:9], y[:9]).score(X[fresh], y[fresh])
        model = SemiSupervisedNB().fit(X[:1500], known)
        gains.append(model.score(X[fresh], y[fresh]) - alone)
    assert min(gains) > 0.1


def test_weight_of_the_unlabelled_is_a_sample_weight(documents):
    X, y = documents
    known = hidden(y, 30)
    half = SemiSupervisedNB(unlabelled_weight=0.25, tol=1e-9).fit(X, known)
    same_fit = SemiSupervisedNB(tol=1e-9).fit(X, known, np.where(known >= 0, 1.0, 0.25))
    np.testing.assert_allclose(half.feature_log_prob_, same_fit.feature_log_prob_, rtol=1e-12)
    assert half.class_count_.sum() == pytest.approx(30 + 0.25 * 270)
    objectives = half.result_.history.objectives
    assert np.all(np.diff(objectives) >= -1e-9)
    np.testing.assert_array_equal(half.class_count_ > 0, True)


def test_stationary_point(documents):
    """One more E-step and M-step, written out with dense arrays, changes nothing."""
    X, y = documents
    known = hidden(y, 30)
    model = SemiSupervisedNB(alpha=0.5, unlabelled_weight=0.7, tol=1e-12).fit(X, known)
    dense = X.toarray()
    joint = dense @ model.feature_log_prob_.T + model.class_log_prior_
    shares = np.exp(joint - joint.max(axis=1, keepdims=True))
    shares *= 0.7 / shares.sum(axis=1, keepdims=True)
    shares[:30] = np.eye(3)[y[:30]]
    counts = shares.T @ dense + 0.5
    probs = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(model.feature_log_prob_), probs, atol=1e-7)
    np.testing.assert_allclose(
        np.exp(model.class_log_prior_), shares.sum(axis=0) / shares.sum(), atol=1e-6
    )


def test_no_dense_table_is_made():
    X, y = text(np.random.default_rng(3), 3000, 10_000)
    table = 8 * X.shape[0] * X.shape[1]
    tracemalloc.start()
    try:
        model = SemiSupervisedNB(max_iter=5, tol=0.0, n_jobs=1).fit(X, hidden(y, 100))
        model.predict_proba(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < table / 8


def test_text_classes_and_how_unlabelled_is_written(documents):
    X, y = documents
    names = np.array(["art", "law", "sea"])
    numbers = SemiSupervisedNB().fit(X, hidden(y, 40))
    words = [names[k] if i < 40 else None for i, k in enumerate(y)]
    for labels in (
        words,
        [word or "" for word in words],
        np.array([word or "" for word in words]),
        pd.Series(words),
        [-1 if word is None else word for word in words],
        [float("nan") if word is None else word for word in words],
    ):
        model = SemiSupervisedNB().fit(X, labels)
        assert model.classes_.tolist() == ["art", "law", "sea"]
        np.testing.assert_array_equal(model.predict(X), names[numbers.predict(X)])
        assert model.score(X, labels) == numbers.score(X, hidden(y, 40))
    with_nan = np.where(hidden(y, 40) == -1, np.nan, y)
    np.testing.assert_array_equal(SemiSupervisedNB().fit(X, with_nan).classes_, [0, 1, 2])


def test_score_is_of_documents_with_a_label(documents):
    X, y = documents
    model = SemiSupervisedNB().fit(X, hidden(y, 40))
    assert model.score(X, y) == np.mean(model.predict(X) == y)
    assert model.score(X, hidden(y, 100)) == np.mean(model.predict(X[:100]) == y[:100])
    assert model.score(X[:2], [7, 8]) == 0.0
    with pytest.raises(ValueError, match="no document of y has a label"):
        model.score(X, hidden(y, 0))


def test_weight_by_cross_validation(documents):
    X, y = documents
    grid = {"unlabelled_weight": [0.0, 0.5, 1.0]}
    search = GridSearchCV(SemiSupervisedNB(), grid, cv=3).fit(X, hidden(y, 200))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_frames_and_tables(documents):
    X, y = documents
    frame = pd.DataFrame(X.toarray(), columns=[f"w{j}" for j in range(80)])
    model = SemiSupervisedNB().fit(frame, hidden(y, 40))
    assert model.feature_names_in_[1] == "w1"
    thin = pd.DataFrame.sparse.from_spmatrix(X, columns=frame.columns)
    assert SemiSupervisedNB().fit(thin, hidden(y, 40)).loglik_ == model.loglik_
    table = model.to_frame()
    assert table.shape == (80, 3)
    np.testing.assert_allclose(table.sum(), 1.0)
    assert "3 classes, 80 words" in model.summary()
    assert model.n_parameters() == 2 + 3 * 79
    assert clone(model).get_params() == model.get_params()


def test_threads_are_the_same_bits(documents):
    X, y = documents
    one, two = (SemiSupervisedNB(n_jobs=n).fit(X, hidden(y, 30)) for n in (1, 2))
    np.testing.assert_array_equal(one.feature_log_prob_, two.feature_log_prob_)


# They train on classes -1 and 1 there; -1 is no class here.
EXPECTED = {"check_classifiers_classes": "-1 stands for documents without a label"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([SemiSupervisedNB()], expected_failed_checks=lambda _: EXPECTED)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


GOOD = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("X", "y", "settings", "sentence"),
    [
        (-GOOD, [0, 1, -1], {}, r"Negative values in data: X\[0, 0\] is -1, and SemiSupervised"),
        (GOOD * [np.nan, 1], [0, 1, -1], {}, "Input X contains NaN in row 0, column 0: Semi"),
        (
            np.where(GOOD, GOOD, np.inf),
            [0, 1, -1],
            {},
            "Input X contains infinity in row 0, column 1: Semi",
        ),
        (GOOD[0], [0], {}, "Expected 2D array, got 1D array instead"),
        (GOOD, [0, 1], {}, r"y must have one class per document, shape \(3,\), got \(2,\)"),
        (GOOD, [[0, 1], [1, 1], [1, 1]], {}, r"shape \(3,\), got \(3, 2\)"),
        (GOOD, 3, {}, "y must be a sequence of classes, one for each document, got 3"),
        (GOOD, None, {}, "requires y to be passed, but the target y is None"),
        (GOOD, [-1, -1, -1], {}, "no document has a label: label some of each class"),
        (GOOD, ["", None, ""], {}, "no document has a label: label some of each class"),
        (GOOD, [4, 4, -1], {}, "all labels are of one class, 4: there is nothing to tell apart"),
        (GOOD, ["a", "-1", "b"], {}, 'y holds the text "-1": where classes are text, write ""'),
        (GOOD, np.array(["a", "b", -1]), {}, 'y holds the text "-1"'),
        (GOOD, ["a", 2, "b"], {}, r"the labels are of kinds that have no order \(int, str\)"),
        (GOOD, [0.5, 1.2, -1], {}, "Unknown label type: continuous"),
        (GOOD, [0, 1, -1], {"alpha": -1.0}, "alpha must be finite and >= 0, got -1.0"),
        (GOOD, [0, 1, -1], {"alpha": [1, 1, 1]}, "alpha must be a number or have one for each of"),
        (GOOD, [0, 1, -1], {"alpha": "much"}, "alpha must hold numbers, got 'much'"),
        (GOOD, [0, 1, -1], {"unlabelled_weight": -1}, "unlabelled_weight must be a finite number"),
        (GOOD, [0, 1, -1], {"unlabelled_weight": "1"}, "unlabelled_weight must be a finite number"),
        (GOOD, [0, 1, -1], {"class_prior": [1.0]}, r"class_prior must have shape \(2,\)"),
        (GOOD, [0, 1, -1], {"class_prior": [1.0, 1.0]}, "class_prior must sum to 1"),
        (GOOD, [0, 1, -1], {"class_prior": [1.0, 0.0]}, "class_prior is 0 for class 1, of which"),
        (GOOD, [0, 1, -1], {"tol": -1.0}, "tol"),
    ],
)
def test_wrong_arguments(X, y, settings, sentence):
    for rows in (X, sparse.csr_array(X)) if np.ndim(X) == 2 else (X,):
        model = SemiSupervisedNB(**settings)
        with pytest.raises(ValueError, match=sentence):
            model.fit(rows, y)
        assert not hasattr(model, "classes_")


def test_wrong_weights_and_other_widths():
    with pytest.raises(ValueError, match="every document of class 1 has sample_weight 0"):
        SemiSupervisedNB().fit(GOOD, [0, 1, -1], [1.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="one weight per document"):
        SemiSupervisedNB().fit(GOOD, [0, 1, -1], [1.0])
    with pytest.raises(NotFittedError):
        SemiSupervisedNB().predict(GOOD)
    model = SemiSupervisedNB().fit(GOOD, [0, 1, -1])
    with pytest.raises(ValueError, match="X has 3 features, but SemiSupervisedNB is expecting 2"):
        model.predict(np.ones((1, 3)))
    with pytest.raises(ValueError, match="takes counts, numbers >= 0"):
        model.predict(-GOOD)


@pytest.mark.parametrize("names", [np.array([3, 7]), np.array(["sport", "politics"])])
def test_files(names, tmp_path):
    X = np.array([[2, 0, 0, 0], [0, 0, 2, 0], [1, 3, 0, 0], [0, 0, 1, 2], [0, 2, 0, 0]])
    unknown = -1 if names.dtype.kind == "i" else ""
    y = np.array([names[0], names[1], unknown, unknown, unknown])
    model = SemiSupervisedNB(alpha=0.5, unlabelled_weight=0.5).fit(X, y)
    model.save(tmp_path / "model.npz")
    again = latentem.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.loglik_ == model.loglik_
    assert again.get_params() == model.get_params()
    with pytest.raises(ValueError, match="holds a SemiSupervisedNB, so leave family= out"):
        latentem.load(tmp_path / "model.npz", latentem.families.Poisson())
