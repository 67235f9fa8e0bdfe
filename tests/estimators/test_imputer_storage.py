"""GaussianImputer in files: the same bits after loading, and a sentence for what is no imputer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import latentem
from latentem import GaussianImputer, NotIdentifiedWarning, standard_errors
from latentem.engine.archive import read_archive, write_archive
from latentem.estimators.storage import FORMAT, VERSION
from tests.estimators.test_imputer import AIR, table

NAN = np.nan


def saved(imputer: GaussianImputer, path: Path) -> GaussianImputer:
    imputer.save(path)
    return latentem.load(path)


def same(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fib"))


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ridge": {"prior": "ridge", "prior_df": 3, "prior_scale": np.full(5, 2.0), "tol": np.inf},
    "marked": {"missing_values": -99.0},
    "None": {"missing_values": None, "accelerate": None, "method": "em"},
    "bounds": {"min_value": [0.0, -np.inf, -1.0, 0.0, 0.0], "max_value": np.inf, "n_jobs": 2},
    "indicator": {"add_indicator": True, "keep_empty_features": True, "random_state": 3},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_it_comes_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    x = table()
    x[:, 4] = np.abs(x[:, 4]).round(3) if name != "indicator" else 1.5
    x[::3, 2] = NAN
    x = np.where(np.isnan(x), -99.0, x) if name == "marked" else x
    imputer = GaussianImputer(**SETTINGS[name])
    if name == "indicator":
        with pytest.warns(NotIdentifiedWarning, match="one value only"):
            imputer.fit(x)
    else:
        imputer.fit(x)
    again = saved(imputer, tmp_path / "m.npz")
    assert type(again) is GaussianImputer
    for key, value in imputer.get_params().items():
        assert same(again.get_params()[key], value), key
    assert same(again.transform(x), imputer.transform(x))
    one, other = again.conditional(x), imputer.conditional(x)
    assert same(one.mean, other.mean)
    assert same(one.std, other.std)
    assert same(one.covariance(1), other.covariance(1))
    assert same(again.interval(x, 0.9), imputer.interval(x, 0.9))
    assert same(again.score_samples(x), imputer.score_samples(x))
    assert again.score(x) == imputer.score(x)
    for key in ("loglik_", "converged_", "n_iter_", "n_patterns_", "convergence_rate_"):
        assert getattr(again, key) == getattr(imputer, key), key
        assert type(getattr(again, key)) is type(getattr(imputer, key)), key
    for key in ("mean_", "covariance_", "fraction_missing_information_"):
        assert same(getattr(again, key), getattr(imputer, key)), key
    assert again.reason_ == imputer.result_.reason.sentence
    assert same(again.get_feature_names_out(), imputer.get_feature_names_out())
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "m.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_columns_without_cells_or_variance_come_back(tmp_path: Path) -> None:
    x = table(50, 4, 0.3)
    x[:, 1], x[:, 3] = NAN, np.where(np.isnan(x[:, 3]), NAN, 7.1)
    frame = pd.DataFrame(x, columns=["a", "b", "c", "d"])
    with pytest.warns(NotIdentifiedWarning):
        imputer = GaussianImputer().fit(frame)
    again = saved(imputer, tmp_path / "m.npz")
    assert same(again.transform(frame), imputer.transform(frame))
    assert list(again.feature_names_in_) == list("abcd")
    assert same(again.mean_, imputer.mean_)
    assert same(again.covariance_, imputer.covariance_)
    with pytest.raises(ValueError, match="feature names"):
        again.transform(frame[["b", "a", "c", "d"]])
    with pytest.warns(NotIdentifiedWarning):
        only = GaussianImputer().fit([[1.0, NAN], [1.0, 2.0], [NAN, 2.0]])
    assert saved(only, tmp_path / "o.npz").transform([[NAN, NAN]]).tolist() == [[1.0, 2.0]]


def test_what_is_asked_of_a_fit_can_be_asked_after_loading(tmp_path: Path) -> None:
    imputer = GaussianImputer(tol=1e-8, prior="ridge").fit(AIR)
    again = saved(imputer, tmp_path / "m.npz")
    one, other = standard_errors(again, AIR), standard_errors(imputer, AIR)
    np.testing.assert_allclose(one["mean"], other["mean"], rtol=1e-10)
    np.testing.assert_allclose(one["covariance"], other["covariance"], rtol=1e-9)
    assert again.fit(AIR).loglik_ == imputer.loglik_


def test_without_a_fit(tmp_path: Path) -> None:
    given = GaussianImputer.from_parameters([0.0, 1.0], [[1.0, 0.5], [0.5, 1.0]])
    again = saved(given, tmp_path / "m.npz")
    assert again.transform([[2.0, NAN]]).tolist() == given.transform([[2.0, NAN]]).tolist()
    assert not hasattr(again, "loglik_")
    with pytest.raises(NotFittedError):
        GaussianImputer().save(tmp_path / "n.npz")

    class Mine(GaussianImputer):
        pass

    with pytest.raises(TypeError, match="this is a Mine"):
        Mine().fit(AIR).save(tmp_path / "n.npz")
    assert not (tmp_path / "n.npz").exists()


@pytest.mark.parametrize(
    ("header", "arrays", "words"),
    [
        ({}, {"mean": np.zeros(2)}, "its mean is not of the 6 columns that vary"),
        ({}, {"covariance": np.eye(2)}, "its covariance is not of the 6 columns that vary"),
        ({}, {"covariance": -np.eye(6)}, "its covariance is not positive definite"),
        ({}, {"mean": np.full(6, NAN)}, "'mean' contains NaN or infinity"),
        ({}, {"columns.values": np.full(6, np.inf)}, "columns are not described"),
        ({}, {"columns.empty": np.ones(6, dtype=bool)}, "columns are not described"),
        ({}, {"columns.empty": np.zeros(6)}, "'columns.empty' does not have one entry"),
        ({}, {"columns.empty": None}, "its array 'columns.empty' is missing"),
        ({}, {"information": np.zeros(2)}, "'information' does not have one entry"),
        ({"settings": {"speed": 1}}, {}, "settings that this latentem does not know"),
        ({"feature_names": ["a"]}, {}, "not the names of 6 columns"),
        ({"n_features": 3}, {}, "it names 3 columns for parameters of 6"),
        ({"parameters": None}, {}, "its mean is not of the 6 columns"),
    ],
)
def test_files_that_do_not_hold_together(
    header: dict[str, Any], arrays: dict[str, Any], words: str, tmp_path: Path
) -> None:
    GaussianImputer().fit(AIR).save(tmp_path / "m.npz")
    old, members = read_archive(tmp_path / "m.npz", FORMAT, VERSION)
    members = {name: a for name, a in (members | arrays).items() if a is not None}
    write_archive(tmp_path / "m.npz", old | header, members)
    with pytest.raises(ValueError, match=words):
        latentem.load(tmp_path / "m.npz")


def test_family_is_not_for_an_imputer(tmp_path: Path) -> None:
    GaussianImputer().fit(AIR).save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match="it holds a GaussianImputer, so leave family= out"):
        latentem.load(tmp_path / "m.npz", family=latentem.families.Poisson())
