"""Latent classes: published numbers, text cells, what a user may give wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone

import latentem
from latentem import LatentClass, MixtureModel, families, select
from latentem.datasets import load_lsat6


@pytest.fixture(scope="module")
def lsat():
    return load_lsat6()


@pytest.fixture(scope="module")
def words():
    rng = np.random.default_rng(3)
    kinds = rng.integers(2, size=120)
    colour = np.where(rng.random(120) < 0.9, np.array(["red", "green"])[kinds], "blue")
    shape = np.where(rng.random(120) < 0.9, np.array(["round", "long"])[kinds], "flat")
    size = np.where(rng.random(120) < 0.8, kinds, 2)
    return pd.DataFrame({"colour": colour, "shape": shape, "size": size})


def test_lsat6(lsat):
    model = LatentClass(2, tol=1e-9, random_state=0).fit(lsat.data, sample_weight=lsat.weights)
    assert model.loglik_ == pytest.approx(-2467.405524, abs=1e-6)
    np.testing.assert_allclose(np.sort(model.weights_), [0.3395, 0.6605], atol=1e-4)
    assert model.n_parameters() == 11
    assert [p.shape for p in model.probabilities_] == [(2, 2)] * 5
    assert [c.tolist() for c in model.categories_] == [[0, 1]] * 5


def test_it_is_the_mixture_of_categoricals(lsat):
    settings = {"tol": 1e-2, "random_state": 0}
    ours = LatentClass(3, **settings).fit(lsat.data, sample_weight=lsat.weights)
    plain = MixtureModel(families.Categorical(), 3, **settings)
    plain.fit(lsat.data, sample_weight=lsat.weights)
    assert ours.loglik_ == plain.loglik_
    np.testing.assert_array_equal(ours.predict_proba(lsat.data), plain.predict_proba(lsat.data))


def test_patterns_with_counts_are_the_rows_repeated(lsat):
    rows = np.repeat(lsat.data, lsat.weights.astype(int), axis=0)
    start = np.tile([0.3, 0.7], 5), np.tile([0.6, 0.4], 5)
    settings = {"emissionprob_init": np.array(start), "tol": 1e-8}
    one = LatentClass(2, **settings).fit(lsat.data, sample_weight=lsat.weights)
    other = LatentClass(2, **settings).fit(rows)
    assert one.loglik_ == pytest.approx(other.loglik_, rel=1e-10)


def test_text_is_coded_and_comes_back(words):
    model = LatentClass(2, random_state=0).fit(words)
    assert [names.tolist() for names in model.categories_] == [
        ["blue", "green", "red"],
        ["flat", "long", "round"],
        [0, 1, 2],
    ]
    gaps = words.astype(object).copy()
    gaps.iloc[0, 0] = None
    gaps.iloc[1, 1] = np.nan
    filled = model.impute(gaps)
    assert filled[0, 0] in ("red", "green")
    assert filled[0, 1:].tolist() == words.iloc[0, 1:].tolist()
    drawn, _ = model.sample(5, random_state=0)
    assert set(drawn[:, 0]) <= {"blue", "green", "red"}


def test_lists_arrays_and_polars_are_the_same_table(words):
    expected = LatentClass(2, random_state=0).fit(words).predict_proba(words)
    for X in (words.to_numpy(), words.values.tolist(), pl.DataFrame(words.to_dict("list"))):
        found = LatentClass(2, random_state=0).fit(X).predict_proba(X)
        np.testing.assert_array_equal(found, expected)


def test_order_of_a_pandas_categorical_and_unseen_categories(words):
    kinds = pd.CategoricalDtype(["red", "green", "blue", "grey"], ordered=True)
    model = LatentClass(2, random_state=0).fit(words.astype({"colour": kinds}))
    assert model.categories_[0].tolist() == ["red", "green", "blue", "grey"]
    assert model.probabilities_[0][:, 3].tolist() == [0.0, 0.0]
    with pytest.raises(
        ValueError, match="column 1 of X has the category 'oval', which the fit has"
    ):
        model.predict(words.assign(shape="oval"))
    with pytest.raises(ValueError, match="X has 2 features, but the fit was of 3 features"):
        model.predict(words[["colour", "shape"]])
    model.fit(np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]))  # a new fit forgets the text
    assert [names.tolist() for names in model.categories_] == [[0, 1], [0, 1]]


def test_labels_fixed_values_and_priors(lsat):
    labels = np.full(32, -1)
    labels[0], labels[-1] = 1, 0
    known = LatentClass(2, random_state=0)
    known.fit(lsat.data, sample_weight=lsat.weights, labels=labels)
    assert known.probabilities_[0][0, 1] > known.probabilities_[0][1, 1]
    start = np.array([np.tile([0.1, 0.9], 5), np.tile([0.6, 0.4], 5)])
    kept = LatentClass(2, emissionprob_init=start, fixed={"emissionprob": [True, False]})
    kept.fit(lsat.data, sample_weight=lsat.weights)
    np.testing.assert_array_equal(np.hstack(kept.probabilities_)[0], start[0])
    assert kept.n_parameters() == 6
    prior = LatentClass(4, emissionprob_prior=1.5, random_state=0)
    prior.fit(lsat.data, sample_weight=lsat.weights)
    assert all((p > 0).all() for p in prior.probabilities_)


def test_selection_and_clone(lsat):
    found = select(
        LatentClass(random_state=0), lsat.data, n_components=(1, 2, 3), sample_weight=lsat.weights
    )
    assert found.best.n_components == 2
    assert clone(found.best).get_params() == found.best.get_params()


@pytest.mark.parametrize(
    ("arguments", "X", "sentence"),
    [
        ({}, [["a", 1], ["b", "x"]], r"column 1 of X has both text and numbers \(1\)"),
        ({}, [[0.5], [1.0]], r"codes, whole numbers 0, 1, 2, ..., but X\[0, 0\] is 0.5"),
        ({"fixed": ("emissionprob",)}, [[0], [1]], "none are given for emissionprob: pass emiss"),
        ({"emissionprob_init": np.ones((2, 3))}, [[0], [1]], "emissionprob_init is of another sh"),
        ({"n_categories": 1}, [[0], [1]], r"X\[1, 0\] is 1, but column 0 has the 1 categories"),
        ({"emissionprob_prior": 0.5}, [[0], [1]], "emissionprob_prior must be >= 1, got 0.5"),
    ],
)
def test_wrong_input(arguments, X, sentence):
    with pytest.raises(ValueError, match=sentence):
        LatentClass(2, **arguments).fit(X)


def test_files(words, lsat, tmp_path):
    for X, weights in ((words, None), (lsat.data, lsat.weights)):
        model = LatentClass(2, random_state=0).fit(X, sample_weight=weights)
        model.save(tmp_path / "model.npz")
        again = latentem.load(tmp_path / "model.npz")
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        np.testing.assert_array_equal(again.impute(X), model.impute(X))
        assert [c.tolist() for c in again.categories_] == [c.tolist() for c in model.categories_]
        assert again.n_parameters() == model.n_parameters()
        assert again.loglik_ == model.loglik_
