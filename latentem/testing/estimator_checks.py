"""Checks of a `Family` behind an estimator: what a user of `MixtureModel` does with it."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np

from latentem.engine.family import Family
from latentem.engine.selection import select
from latentem.estimators.mixture import MixtureModel
from latentem.estimators.storage import load
from latentem.models.mixture import MixtureParams
from latentem.testing.report import Check, Skip

__all__ = ["estimator_checks"]

Array = np.ndarray


def estimator_checks(family: Family, data: Array, start: MixtureParams) -> list[Check]:
    """Every check, from the basic to the derived; all but the first need the fit of the first."""
    fitted: list[MixtureModel] = []

    def fit() -> str:
        try:
            fitted.append(_fit(family, data, start))
        except Exception as error:  # a user's own code, which may raise anything
            raise AssertionError(f"MixtureModel cannot fit it: {_words(error)}") from error
        return f"{fitted[0].n_iter_} maps, log-likelihood {fitted[0].loglik_:.6g}"

    return [
        ("fit in an estimator", fit),
        ("predict and score", lambda: _predict(fitted[0], data)),
        ("criteria and select", lambda: _select(fitted[0], data)),
        ("save and load", lambda: _save(fitted[0], data)),
    ]


def _fit(family: Family, data: Array, start: MixtureParams) -> MixtureModel:
    model = MixtureModel(
        family,
        len(start.weights),
        tol=0.0,
        max_iter=3,
        weights_init=start.weights,
        family_init=start.family,
        n_jobs=1,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(data)


def _predict(model: MixtureModel, data: Array) -> str:
    try:
        shares, total = model.predict_proba(data), model.score_samples(data).sum()
    except Exception as error:
        raise AssertionError(f"a fitted MixtureModel cannot predict: {_words(error)}") from error
    expected = (len(data), model.n_components)
    if shares.shape != expected or not np.allclose(shares.sum(axis=1), 1.0):
        raise AssertionError(f"predict_proba is no array {expected} whose rows sum to 1")
    if not np.isclose(total, model.loglik_, rtol=1e-9, atol=1e-9):
        raise AssertionError(
            f"score_samples sums to {total:.12g}, and the fit says {model.loglik_:.12g}"
        )
    return f"{len(data)} rows"


def _select(model: MixtureModel, data: Array) -> str:
    if model.family.constraints() is None:
        raise Skip("the family declares no constraints(), so its parameters cannot be counted")
    try:
        bic = model.bic(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chosen = select(model, data, n_components=[model.n_components])
    except Exception as error:
        raise AssertionError(f"bic or select does not take it: {_words(error)}") from error
    if not np.isclose(chosen.table[0].value, bic, rtol=1e-12):
        raise AssertionError(f"select finds BIC {chosen.table[0].value:.12g}, and bic {bic:.12g}")
    return f"BIC {bic:.6g} with {model.n_parameters()} parameters"


def _save(model: MixtureModel, data: Array) -> str:
    before = model.predict_proba(data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        try:
            model.save(path)
            after = load(path, family=model.family).predict_proba(data)
        except Exception as error:
            raise AssertionError(f"it cannot be saved and loaded: {_words(error)}") from error
    if not np.array_equal(before, after):
        raise AssertionError("a saved and loaded model predicts something else")
    return "predicts the same bits"


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
