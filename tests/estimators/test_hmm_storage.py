"""Hidden Markov models in files: bit for bit, with their settings and how the fit ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latentem
from latentem import GMMHMM, HMM, CategoricalHMM, GaussianHMM, PoissonHMM, families, left_right
from latentem.datasets import load_earthquakes
from latentem.engine.archive import read_archive, write_archive
from latentem.estimators.storage import FORMAT, VERSION

COUNTS = load_earthquakes()[["count"]]
RNG = np.random.default_rng(0)
REAL = np.repeat([[0.0, 1.0], [5.0, -2.0], [0.0, 1.0]], 40, axis=0) + RNG.normal(size=(120, 2))
CODES = np.column_stack([np.repeat([0, 1, 2], 40), RNG.integers(0, 4, 120)]).astype(float)

MODELS: dict[str, tuple[Any, np.ndarray]] = {
    "diag": (GaussianHMM(2, random_state=0), REAL),
    "full": (GaussianHMM(2, covariance_type="full", stationary=True, random_state=0), REAL),
    "tied": (GaussianHMM(2, covariance_type="tied", random_state=0), REAL),
    "spherical": (GaussianHMM(2, covariance_type="spherical", random_state=0), REAL),
    "GMM": (GMMHMM(2, n_mix=2, random_state=0, max_iter=20, tol=0), REAL),
    "Poisson": (PoissonHMM(3, random_state=0), COUNTS),
    "Categorical": (CategoricalHMM(2, random_state=0, max_iter=20, tol=0), CODES),
    "sizes": (CategoricalHMM(2, n_categories=[3, 5], max_iter=9, tol=0, random_state=0), CODES),
    "HMM": (HMM(families.Exponential(), 2, random_state=0), COUNTS),
    "learned": (HMM(families.Categorical(), 2, random_state=0, max_iter=9, tol=0), CODES),
    "parts": (
        HMM(
            families.Independent([families.Gaussian("diag"), families.Poisson()]),
            2, max_iter=9, tol=0, random_state=0,
        ),
        np.column_stack([REAL[:, 0], CODES[:, 1]]),
    ),
    "mask and start": (
        GaussianHMM(
            2,
            transmat_mask=left_right(2),
            startprob_init=[1.0, 0.0],
            transmat_init=[[0.9, 0.1], [0.0, 1.0]],
            fixed={"startprob": True, "transmat": np.array([[False, False], [True, True]])},
            init_params="random", random_state=0, max_iter=9, tol=0,
        ),
        REAL,
    ),
    "names": (
        PoissonHMM(2, lambdas_init=[[15.0], [25.0]], fixed=("lambdas",), random_state=0),
        COUNTS,
    ),
    "given": (
        HMM(
            families.Poisson(), 2, random_state=0,
            family_init=families.PoissonParams(np.array([[15.0], [25.0]])),
        ),
        COUNTS,
    ),
}  # fmt: skip


def equal(one: Any, other: Any) -> bool:
    """The same setting; arrays may have been lists, families are equal when they look it."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, latentem.Family):
        return repr(one) == repr(other)
    if isinstance(one, tuple) and hasattr(one, "_fields"):
        return type(one) is type(other) and all(map(equal, one, other))
    return bool(np.array_equal(one, other))


@pytest.mark.parametrize("name", MODELS)
def test_it_comes_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    template, X = MODELS[name]
    hmm = template.fit(X, lengths=[50, len(X) - 50])
    hmm.save(tmp_path / "m.npz")
    again = latentem.load(tmp_path / "m.npz")
    assert type(again) is type(hmm)
    for key, value in hmm.get_params(deep=False).items():
        assert equal(value, again.get_params(deep=False)[key]), key
    for key in ("startprob_", "transmat_"):
        assert np.array_equal(getattr(again, key), getattr(hmm, key)), key
    assert all(map(np.array_equal, leaves(again), leaves(hmm)))
    assert np.array_equal(again.predict(X), hmm.predict(X))
    assert np.array_equal(again.predict_proba(X), hmm.predict_proba(X))
    assert again.score(X) == hmm.score(X)
    assert again.bic(X) == hmm.bic(X)
    ahead, before = again.forecast(X, 3), hmm.forecast(X, 3)
    assert np.array_equal(ahead.mean, before.mean)
    assert np.array_equal(ahead.interval(0.9), before.interval(0.9))
    for key in ("loglik_", "lower_bound_", "converged_", "n_iter_", "n_features_in_"):
        assert getattr(again, key) == getattr(hmm, key), key
    assert again.lower_bounds_ == hmm.lower_bounds_
    assert again.reason_ == hmm.result_.reason.sentence
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "m.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert again.fit(X).loglik_ == template.fit(X).loglik_


def leaves(hmm: Any) -> list[np.ndarray]:
    from latentem.engine.trees import leaves

    return [np.asarray(leaf) for _, leaf in leaves(hmm._family_params())]


def test_model_from_parameters(tmp_path: Path) -> None:
    hmm = CategoricalHMM.from_parameters(
        startprob=[0.6, 0.4],
        transmat=[[0.7, 0.3], [0.4, 0.6]],
        emissionprob=[[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]],
    )
    hmm.save(tmp_path / "m.npz")
    again = latentem.load(tmp_path / "m.npz")
    assert not hasattr(again, "loglik_")
    assert again.score([[0], [1], [2]]) == hmm.score([[0], [1], [2]])


def test_names_of_columns_come_back(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(CODES, columns=["a", "b"])
    CategoricalHMM(2, max_iter=3, tol=0, random_state=0).fit(frame).save(tmp_path / "m.npz")
    again = latentem.load(tmp_path / "m.npz")
    assert list(again.feature_names_in_) == ["a", "b"]
    with pytest.raises(ValueError, match="feature names"):
        again.predict(frame[["b", "a"]])


def test_family_of_a_user_has_to_be_given(tmp_path: Path) -> None:
    class Mine(families.Exponential):
        pass

    hmm = HMM(Mine(), 2, random_state=0).fit(COUNTS)
    hmm.save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match=r"Markov model of 'Mine'.*load\(path, family=...\)"):
        latentem.load(tmp_path / "m.npz")
    assert latentem.load(tmp_path / "m.npz", family=Mine()).score(COUNTS) == hmm.score(COUNTS)


def test_subclass_is_refused(tmp_path: Path) -> None:
    class Mine(PoissonHMM):
        pass

    with pytest.raises(TypeError, match="this is a Mine"):
        Mine(2, random_state=0).fit(COUNTS).save(tmp_path / "m.npz")


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"transmat": np.ones((2, 2))}, "row of transmat_ must sum to 1"),
        ({"transmat": np.eye(3)}, "transmat_ is for 3 states, but n_components=2"),
        ({"startprob": np.array([2.0, -1.0])}, "startprob_ must be >= 0"),
        ({"family.lambdas": -np.ones((2, 1))}, "lambdas_ must be >= 0"),
        ({"family.lambdas": np.ones((3, 1))}, r"lambdas_ must have shape \(2, 1\)"),
        ({"family.lambdas": np.ones((2, 4))}, "names 1 column for parameters of 4"),
        ({"settings.colour": np.ones(2)}, "settings that this latentem does not know"),
    ],
)
def test_files_whose_parts_do_not_belong_together(
    arrays: dict[str, np.ndarray], match: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.npz"
    PoissonHMM(2, random_state=0).fit(COUNTS).save(path)
    header, members = read_archive(path, FORMAT, VERSION)
    write_archive(path, header, {**members, **arrays})
    with pytest.raises(ValueError, match=f"cannot load .*{match}"):
        latentem.load(path)
