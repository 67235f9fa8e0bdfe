r"""Log-likelihood of data that the fit has not seen.

Independent rows, or whole sequences, are held out fold by fold. A lone sequence cannot be cut
into independent parts. Of it each fold hides stretches, made of rows of NaN, which a
hidden Markov model fits around; what is scored is

.. math:: \log p(x_\text{hidden} \mid x_\text{rest}) = \ell(x) - \ell(x_\text{rest})

at parameters that have never seen the hidden rows. The parts of the rest on both sides of a
stretch do say something of it, to all candidates alike.
"""

from __future__ import annotations

from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold
from sklearn.utils import _safe_indexing

from latentem.engine.backends import backend_for, one_blas_thread

__all__ = ["Fold", "folds", "held_out_loglik"]

Array = np.ndarray
#: Stretches of a lone sequence that each fold hides.
STRETCHES = 10


class Fold(NamedTuple):
    """Data to fit to and data to score, with the arguments that belong to them.

    `known` are arguments of the fit alone. Where `around` is true the scored data contain
    those of the fit, whose log-likelihood is taken off.
    """

    fit: tuple[Any, dict[str, Any]]
    score: tuple[Any, dict[str, Any]]
    known: dict[str, Any]
    around: bool = False


def folds(
    estimator: Any, X: Any, lengths: Any, sample_weight: Any, labels: Any, cv: Any
) -> list[Fold]:
    """The folds of the data of an estimator, the same for every candidate.

    `cv` is a number of folds, or a splitter of scikit-learn, which gets as many units as there
    are rows, or sequences.
    """
    if "lengths" not in signature(estimator.fit).parameters:
        n = np.shape(X)[0]
        return [
            Fold(
                (_safe_indexing(X, train), {"sample_weight": _part(sample_weight, train)}),
                (_safe_indexing(X, test), {"sample_weight": _part(sample_weight, test)}),
                {} if labels is None else {"labels": np.asarray(labels)[train]},
            )
            for train, test in _splits(cv, n, "row")
        ]
    listed = lengths is None and isinstance(X, list | tuple) and np.ndim(X[0]) == 2
    sizes = [len(part) for part in X] if listed else lengths
    sizes = np.atleast_1d(len(X) if sizes is None else sizes).astype(np.int64)
    if len(sizes) == 1:
        return _hidden(X[0] if listed else X, sample_weight, labels, cv)
    return [
        Fold(
            _sequences(X, sizes, sample_weight, train, listed),
            _sequences(X, sizes, sample_weight, test, listed),
            {} if labels is None else {"labels": _known(labels, sizes, train, listed)},
        )
        for train, test in _splits(cv, len(sizes), "sequence")
    ]


def held_out_loglik(estimator: Any, fold: Fold) -> float:
    """Log-likelihood of the data held out, at the fit of a clone of the estimator to the rest."""
    X, more = fold.fit
    fitted = clone(estimator).fit(X, **more, **fold.known)
    total = _loglik(fitted, *fold.score)
    return total - _loglik(fitted, X, more) if fold.around else total


def _loglik(fitted: Any, X: Any, more: dict[str, Any]) -> float:
    model, params, data = fitted.em_problem(X, **more)
    with one_blas_thread():
        blocks = list(model.blocks(data))
        return float(backend_for(fitted.n_jobs).expect(model, params, blocks).loglik)


def _splits(cv: Any, n: int, unit: str) -> list[tuple[Array, Array]]:
    if _is_splitter(cv):
        return list(cv.split(np.zeros((n, 1))))
    if isinstance(cv, bool) or not isinstance(cv, int | np.integer) or cv < 2:
        raise ValueError(f"cv must be an integer >= 2 or a splitter of scikit-learn, got {cv!r}")
    if n < cv:
        raise ValueError(f"cv={cv} folds need as many {unit}s, and there are {n}")
    return list(KFold(int(cv), shuffle=True, random_state=0).split(np.zeros((n, 1))))


def _is_splitter(cv: Any) -> bool:
    return hasattr(cv, "split") and not isinstance(cv, str)


def _part(values: Any, which: Array) -> Any:
    return None if values is None else np.asarray(values)[which]


def _sequences(
    X: Any, sizes: Array, weights: Any, which: Array, listed: bool
) -> tuple[Any, dict[str, Any]]:
    """Some of the sequences, with their lengths and weights."""
    more = {"sample_weight": _part(weights, which)}
    if listed:
        return [X[s] for s in which], more
    return _safe_indexing(X, _rows(sizes, which)), {**more, "lengths": sizes[which]}


def _known(labels: Any, sizes: Array, which: Array, listed: bool) -> Any:
    if listed and np.ndim(labels[0]) == 1:
        return [labels[s] for s in which]
    return np.asarray(labels)[_rows(sizes, which)]


def _rows(sizes: Array, which: Array) -> Array:
    ends = np.cumsum(sizes)
    return np.concatenate([np.arange(ends[s] - sizes[s], ends[s]) for s in which])


def _hidden(X: Any, weights: Any, labels: Any, cv: Any) -> list[Fold]:
    """Folds of a lone sequence, each with other stretches of it hidden."""
    x = np.asarray(X, dtype=float)
    if _is_splitter(cv):
        raise ValueError("a lone sequence takes a number of folds as cv, no splitter")
    _splits(cv, len(x), "row")
    stretch = np.arange(len(x)) * min(int(cv) * STRETCHES, len(x)) // len(x)
    more = {"sample_weight": weights}
    known = {} if labels is None else {"labels": labels}
    out = []
    for fold in range(int(cv)):
        rest = np.where((stretch % int(cv) == fold)[:, None], np.nan, x)
        out.append(Fold((rest, more), (x, more), known, around=True))
    return out
