"""Choosing among candidates by a criterion; every one is kept in a table."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterable, Sequence
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from latentem.engine.cross_validation import Fold, folds, held_out_loglik
from latentem.engine.flat import FlatSpace
from latentem.engine.parallel import each
from latentem.engine.result import CollapsedError
from latentem.engine.starts import remembered
from latentem.engine.text_tables import html_table, text_table

__all__ = ["Candidate", "Selection", "select"]

CRITERIA = ("bic", "aic", "icl", "cv")


class Candidate(NamedTuple):
    """One fitted combination of parameters.

    `value` is the criterion, NaN where the fit failed; `error` says why it did.
    A candidate with as many parameters as rows counts as degenerate too.
    """

    params: dict[str, Any]
    value: float
    loglik: float
    n_parameters: int
    converged: bool
    degenerate: tuple[str, ...]
    n_iter: int
    error: str | None = None

    @property
    def sound(self) -> bool:
        """Whether the likelihood of this candidate is to be trusted."""
        return self.error is None and not self.degenerate and math.isfinite(self.value)


class Selection:
    """The outcome of `select`.

    Attributes
    ----------
    best : estimator
        The best sound candidate, fitted.
    table : list of Candidate
        Every candidate, in the order of the grid.
    candidates : list
        The fitted estimators, None where a fit failed.
    criterion : str
    best_index : int
        Place of the best in `table` and `candidates`.
    """

    def __init__(self, table: list[Candidate], candidates: list[Any], criterion: str):
        self.table = table
        self.candidates = candidates
        self.criterion = criterion
        sound = [i for i, row in enumerate(table) if row.sound]
        usable = sound or [i for i, row in enumerate(table) if row.error is None]
        if not usable:
            reasons = "; ".join(f"{_label(row.params)}: {row.error}" for row in table)
            raise CollapsedError(f"no candidate could be fitted: {reasons}")
        self.best_index = min(usable, key=lambda i: table[i].value)
        self.best = candidates[self.best_index]

    def to_frame(self) -> Any:
        """The table as a pandas DataFrame (needs pandas)."""
        import pandas

        rows = [{**row.params, **row._asdict()} for row in self.table]
        return pandas.DataFrame(rows).drop(columns="params")

    def _columns(self) -> tuple[list[str], list[list[str]]]:
        names = list(self.table[0].params)
        header = [*names, self.criterion.upper(), "log-lik", "parameters", "maps", ""]
        rows = []
        for i, row in enumerate(self.table):
            remark = "<- best" if i == self.best_index else ""
            if row.error is not None:
                remark = f"failed: {row.error}"
            elif row.degenerate:
                remark = "degenerate " + remark
            elif not row.converged:
                remark = "not converged " + remark
            numbers = ["", "", "", ""]
            if row.error is None:
                numbers = [
                    f"{row.value:.2f}",
                    f"{row.loglik:.3f}",
                    f"{row.n_parameters}",
                    f"{row.n_iter}",
                ]
            rows.append([*(str(row.params[name]) for name in names), *numbers, remark.strip()])
        return header, rows

    def __str__(self) -> str:
        return text_table(*self._columns())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(*self._columns())


def select(
    estimator: Any,
    X: Any,
    *,
    criterion: str = "bic",
    lengths: Any = None,
    sample_weight: Any = None,
    labels: Any = None,
    cv: Any = 5,
    n_jobs: int | None = None,
    progress: bool = False,
    **grid: Iterable[Any],
) -> Selection:
    """Fit every combination of parameters and choose the best by a criterion.

    Parameters
    ----------
    estimator : estimator
        A template such as ``GaussianMixture()``; it is cloned, not changed.
    X : array-like (n_samples, n_features)
        For a hidden Markov model a list of sequences too.
    criterion : {"bic", "aic", "icl", "cv"}
        Smaller is better. "icl" is for latent classes and states, not for factors. "cv" is -2
        times the log-likelihood of the rows (or sequences) of each fold under the fit to the
        other folds (Smyth 2000, doi:10.1023/A:1008940618127). Of a lone sequence, each fold
        hides ten stretches, and their log-likelihood given the rest is taken (compare Celeux
        and Durand 2008, doi:10.1007/s00180-007-0097-1).
    lengths : (n_sequences,) array-like of int, optional
        Rows of each sequence, for estimators of sequences.
    sample_weight : (n_samples,) array-like, optional
        One weight for each row; of a hidden Markov model for each sequence.
    labels : (n_samples,) array-like of int, optional
        Known states or components for the fits, -1 where unknown.
    cv : int or splitter of scikit-learn
        Folds of ``criterion="cv"``, the same for all candidates. An integer shuffles with a
        seed of its own.
    n_jobs : int or None
        Candidates fitted at once, by threads, or where ``joblib.parallel_config`` says. None
        fits one after the other, each on as many threads as its own `n_jobs` says. Results
        are the same for any number, if `random_state` is a seed.
    progress : bool
        Show a tqdm bar over the candidates.
    **grid
        Values to try for each parameter, such as ``n_components=range(1, 10)``.

    Returns
    -------
    Selection
        ``best`` is the fitted winner, ``table`` has every candidate. A candidate that
        cannot be fitted stands there with its error; a degenerate one wins only if
        no other is left.

    Raises
    ------
    ValueError
        For an unknown criterion or parameter, or when nothing is to be tried.
    CollapsedError
        When no candidate could be fitted.

    Examples
    --------
    >>> from latentem import GaussianMixture, select
    >>> from latentem.datasets import load_faithful
    >>> X = load_faithful().data
    >>> chosen = select(
    ...     GaussianMixture(random_state=0), X,
    ...     n_components=[1, 2, 3], covariance_type=["full", "tied"],
    ... )
    >>> chosen.best.n_components, chosen.best.covariance_type
    (3, 'tied')
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {CRITERIA}, got {criterion!r}")
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise TypeError(
            f"estimator must be an estimator such as GaussianMixture(), got {estimator!r}"
        )
    kind = type(estimator).__name__
    needs = {name: "em_problem" if name == "cv" else name for name in CRITERIA}
    if not hasattr(estimator, needs[criterion]):
        others = [f"{name!r}" for name in CRITERIA if hasattr(estimator, needs[name])]
        raise ValueError(
            f"{kind} has no {criterion}: take one of {', '.join(others) or 'another estimator'}"
        )
    if lengths is not None and "lengths" not in signature(estimator.fit).parameters:
        raise ValueError(f"{kind} is no model of sequences: leave lengths out")
    if labels is not None and "labels" not in signature(estimator.fit).parameters:
        raise ValueError(f"{kind} takes no labels: leave them out")
    known_rows = {} if labels is None else {"labels": labels}
    # What belongs to X, for the fit and the criterion alike.
    more = {"sample_weight": sample_weight} | ({} if lengths is None else {"lengths": lengths})
    names, values = list(grid), [_listed(name, tried) for name, tried in grid.items()]
    known = estimator.get_params()
    for name in names:
        if name not in known:
            raise ValueError(f"{kind} has no parameter {name!r}; it has {', '.join(sorted(known))}")
    combinations = [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]
    parts = None
    if criterion == "cv":
        try:
            parts = folds(estimator, X, lengths, sample_weight, labels, cv)
        except (IndexError, TypeError, ValueError):
            _raise_if_data(estimator, combinations[0], X, more | known_rows)
            raise
    tasks = [(estimator, params, X, more, known_rows, criterion, parts) for params in combinations]
    with remembered():
        jobs = 1 if n_jobs is None else n_jobs
        found = each(_candidate, tasks, jobs, progress=progress, what="candidates")
    table, candidates = ([one[i] for one in found] for i in (0, 1))
    if all(isinstance(row.error, str) for row in table):
        _raise_if_data(estimator, combinations[0], X, more | known_rows)
    return Selection(table, candidates, criterion)


def _listed(name: str, tried: Iterable[Any]) -> Sequence[Any]:
    values = [tried] if isinstance(tried, str) or not isinstance(tried, Iterable) else list(tried)
    if not values:
        raise ValueError(f"{name} has no values to try")
    return values


def _candidate(
    estimator: Any,
    params: dict[str, Any],
    X: Any,
    more: dict[str, Any],
    known: dict[str, Any],
    criterion: str,
    parts: list[Fold] | None,
) -> tuple[Candidate, Any]:
    """Fit one combination; a failure becomes a row of the table."""
    fitted = clone(estimator).set_params(**params)
    try:
        fitted.fit(X, **more, **known)
        value = _value(fitted, criterion, X, more, parts)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        failed = Candidate(params, math.nan, math.nan, 0, False, (), 0, str(error))
        return failed, None
    result, count = fitted.result_, _count(fitted)
    remarks: tuple[str, ...] = ()
    if count >= result.weight:
        rows = f"{result.weight:g} row{'' if result.weight == 1 else 's'}"
        remarks = (f"{count} free parameter{'' if count == 1 else 's'} for {rows}",)
    row = Candidate(
        params=params,
        value=value,
        loglik=result.loglik,
        n_parameters=count,
        converged=result.converged,
        degenerate=result.degenerate + remarks,
        n_iter=result.n_iter,
    )
    return row, fitted


def _count(fitted: Any) -> int:
    """Free parameters; of an estimator that does not count them, those of its model."""
    if hasattr(fitted, "n_parameters"):
        return int(fitted.n_parameters())
    result = fitted.result_
    return FlatSpace(result.model.constraints(), result.params).size


def _value(
    fitted: Any, criterion: str, X: Any, more: dict[str, Any], parts: list[Fold] | None
) -> float:
    """The criterion of a fit to these very data; AIC and BIC without another pass over them."""
    if parts is not None:
        return -2 * math.fsum(held_out_loglik(fitted, part) for part in parts)
    if criterion == "icl":
        return float(fitted.icl(X, **more))
    result, count = fitted.result_, fitted.n_parameters()
    price = 2.0 if criterion == "aic" else math.log(result.weight)
    return float(-2 * result.loglik + count * price)


def _raise_if_data(estimator: Any, params: dict[str, Any], X: Any, more: dict[str, Any]) -> None:
    """Every candidate failed: if it is the data, say so as a plain fit would."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clone(estimator).set_params(**params).fit(X, **more)


def _label(params: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())
