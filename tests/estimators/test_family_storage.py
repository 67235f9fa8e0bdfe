"""Families of every kind come back from a file, and files that lie about them are refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latentem import MixtureModel, datasets, load
from latentem.engine.archive import read_archive, write_archive
from latentem.estimators.storage import FORMAT, VERSION
from latentem.families import (
    Bernoulli,
    BetaPrior,
    Categorical,
    DirichletPrior,
    Exponential,
    GammaPrior,
    Gaussian,
    GaussianParams,
    GaussianPrior,
    Independent,
    InverseGammaPrior,
    Poisson,
)

LSAT = datasets.load_lsat6()
ANSWERS = np.repeat(LSAT.data, LSAT.weights.astype(int), axis=0)[::7]
MIXED = Independent(
    [(Gaussian("diag"), [0, 3]), (Categorical(), 1), (Poisson(), [4]), (Bernoulli(), 2)]
)
FAMILIES = [
    Bernoulli(),
    Bernoulli(fixed=("probs",)),
    Categorical(),
    Categorical(3),
    Categorical((2, 2, 3, 2, 2)),
    Exponential(),
    Bernoulli({"probs": [True, False]}, BetaPrior(2.0, 1.3)),
    Categorical((2, 2, 3, 2, 2), prior=DirichletPrior(1.1)),
    Exponential(prior=InverseGammaPrior(0.3, [0.1, 0.2, 0.3, 0.4, 0.5])),
    Poisson(prior=GammaPrior([[1.1], [1.7]], 0.1)),
    Gaussian("diag", prior=GaussianPrior(np.full(5, 0.1), 0.3, 7.1, np.full(5, 0.7))),
    MIXED,
    Independent([Categorical(), *[Bernoulli()] * 4]),
    Independent([(Bernoulli(), 0), (Independent([Categorical(), Poisson()]), [2, 1]),
                 (Exponential(), [3, 4])]),
]  # fmt: skip


class Answers(Bernoulli):
    """A user's own family."""


def rows_of(family: Any) -> np.ndarray:
    """Answers, made measurements in the columns of Gaussian parts, and waits for Exponential."""
    rows = ANSWERS + 0.5 * (type(family) is Exponential)
    for part, columns in getattr(family, "parts", ()):
        if isinstance(part, Gaussian):
            noise = np.random.default_rng(0).normal(size=(len(rows), len(columns)))
            rows[:, list(columns)] += 0.3 * noise
    return rows


def fitted(family: Any) -> MixtureModel:
    start = None
    if family.fixed:
        start = MixtureModel(Bernoulli(), 2, random_state=0).fit(ANSWERS).family_params_
    model = MixtureModel(family, 2, random_state=0, family_init=start, max_iter=500)
    with warnings.catch_warnings():  # answers are no waits, and what is fitted does not matter
        warnings.simplefilter("ignore")
        return model.fit(rows_of(family))


def tampered(path: Path, drop: str = "", header: dict | None = None, **arrays: Any) -> Path:
    old, members = read_archive(path, FORMAT, VERSION)
    renamed = {name.replace("__", "."): array for name, array in arrays.items()}
    write_archive(path, {**old, **(header or {})}, {**members, **renamed})
    return path


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_a_mixture_comes_back_bit_for_bit(family: Any, tmp_path: Path) -> None:
    model = fitted(family)
    model.save(tmp_path / "m.npz")
    again = load(tmp_path / "m.npz")
    assert repr(again.family) == repr(model.model_.family)
    assert again.family.fixed == family.fixed
    assert again._ready()[0].log_prior(again._ready()[1]) == model.model_.log_prior(
        model._ready()[1]
    )
    assert type(again.family_params_) is type(model.family_params_)
    rows = rows_of(family)
    assert np.array_equal(again.predict_proba(rows), model.predict_proba(rows))
    assert np.array_equal(again.sample(9, random_state=1)[0], model.sample(9, random_state=1)[0])
    assert again.n_parameters() == model.n_parameters()
    with pytest.raises(ValueError, match="features"):
        again.predict(rows[:, :4])


def test_the_classes_of_nested_parameters_come_back(tmp_path: Path) -> None:
    fitted(MIXED).save(tmp_path / "m.npz")
    params = load(tmp_path / "m.npz").family_params_
    assert isinstance(params[0], GaussianParams)
    assert params[1].emissionprob.shape == (2, 2)


def test_independent_with_a_users_part_needs_it_again(tmp_path: Path) -> None:
    family = Independent([(Answers(), [0, 1, 2, 3]), (Gaussian(), [4])])
    model = fitted(family)
    model.save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match=r"mixture of 'Independent'.*load\(path, family="):
        load(tmp_path / "m.npz")
    again = load(tmp_path / "m.npz", family=family)
    rows = rows_of(family)
    assert np.array_equal(again.predict_proba(rows), model.predict_proba(rows))
    assert isinstance(again.family_params_[1], GaussianParams)


def test_a_given_family_must_be_of_the_kind_and_take_the_parameters(tmp_path: Path) -> None:
    fitted(MIXED).save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match=r"mixture of Independent, and family= is Poisson\(\)"):
        load(tmp_path / "m.npz", family=Poisson())
    with pytest.raises(ValueError, match="parameters"):
        load(tmp_path / "m.npz", family=Independent([Poisson(), Poisson()]))


@pytest.mark.parametrize(
    ("family", "changes", "sentence"),
    [
        (Bernoulli(), {"family__probs": np.full((2, 5), 1.5)}, "probs must be between 0 and 1"),
        (Bernoulli(), {"family__probs": np.full((3, 5), 0.5)}, "there are 2 components"),
        (Bernoulli(), {"family__probs": np.full(2, 0.5)}, "there are 2 components"),
        (Bernoulli(), {"family__probs": np.full((2, 4), 0.5)}, "cannot load"),
        (Categorical(), {"family__emissionprob": np.full((2, 10), 0.4)}, "sum to 1 in each column"),
        (Categorical(), {"family__emissionprob": np.full((2, 8), 0.5)}, "sizes"),
        (Exponential(), {"family__scales": np.zeros((2, 5))}, "scales must be > 0"),
        (MIXED, {"family__1__emissionprob": np.ones((2, 2))}, "sum to 1 in each column"),
        (MIXED, {"family__0__means": np.ones((2, 3)), "family__0__covariances": np.ones((2, 3))},
         "for 2 columns"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_are_refused(
    family: Any, changes: dict, sentence: str, tmp_path: Path
) -> None:
    fitted(family).save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match=sentence):
        load(tampered(tmp_path / "m.npz", **changes))


@pytest.mark.parametrize(
    "written",
    [
        {"name": "Categorical", "own": True, "settings": {"n_categories": [2, 2.5]}},
        {"name": "Categorical", "own": True, "settings": {"n_categories": "five"}},
        {"name": "Categorical", "own": True, "settings": {"n_categories": None}},
        {"name": "Categorical", "own": True, "settings": {"fixed": 3}},
        {"name": "Categorical", "own": True, "settings": {"alpha": 1.0}},
        {"name": "Categorical", "own": True},
        {"name": "Cauchy", "own": True, "settings": {}},
        {"name": ["Categorical"], "own": True, "settings": {}},
        {"name": "Independent", "own": True, "settings": {}, "parts": []},
        {"name": "Independent", "own": True, "settings": {}, "parts": 3},
        {"name": "Independent", "own": True, "settings": {}, "parts": [3]},
        {"name": "Independent", "own": True, "settings": {}, "parts": [{"family": None}]},
        {"name": "Independent", "own": True, "settings": {},
         "parts": [{"family": {"name": "Poisson", "own": True, "settings": {}}, "columns": [7]}]},
    ],
)  # fmt: skip
def test_descriptions_that_are_none_are_refused(written: dict, tmp_path: Path) -> None:
    fitted(Categorical()).save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match="cannot load"):
        load(tampered(tmp_path / "m.npz", header={"family": written}))
