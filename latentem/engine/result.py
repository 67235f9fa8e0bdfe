"""What a fit returns: values, a reason in words, and the record of how it went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from html import escape
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

__all__ = ["CollapsedError", "EMResult", "History", "Reason", "Start", "State"]


class Reason(Enum):
    """Why a fit stopped; `sentence` says it in words, `converged` whether all is well."""

    CONVERGED = (True, "the projected remaining gain is within tol")
    STEP = (True, "the step of an EM map is within tol")
    GRADIENT = (True, "the conditions of a maximum hold within tol")
    ROUNDING = (True, "the gains fell below what float64 resolves")
    ONLINE = (True, "another pass of online EM gained next to nothing")
    MAX_ITER = (False, "max_iter was reached before the stopping rule was met")
    DECREASED = (False, "an EM map lowered the objective and was taken back")
    SUBSETS = (False, "ordered subsets made their passes: fast, but they promise no convergence")
    CALLBACK = (False, "a callback stopped the fit")
    TIME_LIMIT = (False, "time_limit was reached before the stopping rule was met")
    INTERRUPTED = (False, "the fit was interrupted, and this is the best so far")
    IMPOSSIBLE = (False, "some rows have probability zero at the parameters EM ended with")
    ABANDONED = (False, "others were ahead of it, so it was given up")
    COLLAPSED = (False, "the parameters left the model (a singular or non-finite value)")

    def __init__(self, converged: bool, sentence: str):
        self.converged = converged
        self.sentence = sentence

    @property
    def cut_short(self) -> bool:
        """Whether somebody ended the fit from outside; starts that had not begun never did."""
        return self in (Reason.CALLBACK, Reason.TIME_LIMIT, Reason.INTERRUPTED)


class CollapsedError(ArithmeticError):
    """No start of a fit survived; the message says what happened to the last one."""


class State(NamedTuple):
    """One point of a fit, as `EM.iterate` yields it.

    `params`, `statistics`, `objective` and `loglik` belong together. A refused point
    is yielded with ``accepted=False``: `tried` is the objective it had, everything
    else is of the point that stands. `reason` is None until the last state of a start,
    `start` counts starts from 0, and `error` says what made a start collapse.
    """

    params: Any
    statistics: Any
    objective: float
    loglik: float
    weight: float
    step: str
    accepted: bool
    tried: float
    n_iter: int
    n_certify: int
    n_e_steps: int
    rate: float
    projected_gain: float
    seconds: float
    reason: Reason | None
    start: int = 0
    error: str | None = None


class History:
    """The record of a fit: one entry per point tried, as columns.

    Columns: ``n_iter`` (maps so far), ``step`` ("start", "em", "squarem",
    "anderson", "certify", "subsets"), ``objective`` (of the point that stands), ``tried`` (of this
    point), ``accepted``, ``projected_gain``, ``seconds`` since the start.
    """

    columns = ("n_iter", "step", "objective", "tried", "accepted", "projected_gain", "seconds")

    def __init__(self, rows: Sequence[tuple] = ()):
        self.rows = list(rows)

    def record(self, state: State) -> None:
        self.rows.append(_columns_of(state))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> np.ndarray:
        return np.array([row[self.columns.index(column)] for row in self.rows])

    @property
    def objectives(self) -> np.ndarray:
        """Objective of the accepted points, in order."""
        return self["objective"][self["accepted"].astype(bool)] if self.rows else np.empty(0)

    def to_frame(self) -> Any:
        """The history as a pandas DataFrame (needs pandas)."""
        import pandas

        return pandas.DataFrame(self.rows, columns=list(self.columns))

    def __repr__(self) -> str:
        return f"History of {len(self)} points: columns {', '.join(self.columns)}"


_columns_of = attrgetter(*History.columns)


class Start(NamedTuple):
    """What became of one start of a fit."""

    number: int
    objective: float
    loglik: float
    reason: Reason
    n_iter: int
    degenerate: tuple[str, ...]
    params: Any
    error: str | None = None


@dataclass(frozen=True)
class EMResult:
    """A finished fit.

    Attributes
    ----------
    model : LatentModel
        The model that was fitted.
    params : params
        The best parameters found.
    objective, loglik : float
        Log-likelihood + log prior, and log-likelihood, at `params`.
    reason : Reason
        Why the fit stopped, with a sentence.
    degenerate, notes : tuple of str
        What the model has to say of these parameters; a degenerate fit has a
        likelihood that is not to be trusted.
    n_iter : int
        EM maps (M-steps), those of accelerated cycles included.
    n_certify : int
        Plain EM maps that certified the stop of an accelerated fit.
    n_e_steps : int
        E-steps, that is passes over the data.
    projected_gain, rate : float
        Gain still to come and rate of convergence, at the stop.
    history : History
        Every point of the best start.
    starts : tuple of Start
        Every start, in order.
    best_start : int
        Index of the start that won.
    seconds : float
        Wall time of all starts.
    statistics : tree
        Expected statistics at `params`.
    weight : float
        Sum of weights of the data.
    warnings : tuple of str
        What the fit warned of.
    posterior : {"soft", "hard"}
        After hard EM `objective` is the classification log-likelihood + log prior, which it
        raised, and so are the history and the starts; `loglik` is the log-likelihood.
    """

    model: Any
    params: Any
    objective: float
    loglik: float
    reason: Reason
    degenerate: tuple[str, ...]
    notes: tuple[str, ...]
    n_iter: int
    n_certify: int
    n_e_steps: int
    projected_gain: float
    rate: float
    history: History
    starts: tuple[Start, ...]
    best_start: int
    seconds: float
    statistics: Any = field(repr=False)
    weight: float
    warnings: tuple[str, ...] = ()
    posterior: str = "soft"

    @property
    def converged(self) -> bool:
        """Whether the stopping rule was met, and not something else."""
        return self.reason.converged

    def table(self) -> list[tuple[str, str]]:
        """The result as pairs of a label and a text, for printing."""
        rows = [
            ("log-likelihood", f"{self.loglik:.4f}"),
            ("stopped", self.reason.sentence),
            ("converged", "yes" if self.converged else "no"),
            (
                "EM maps",
                f"{self.n_iter}" + (f" + {self.n_certify} to certify" if self.n_certify else ""),
            ),
            ("E-steps", f"{self.n_e_steps}"),
            ("seconds", f"{self.seconds:.3g}"),
        ]
        if self.objective != self.loglik:
            hard = "classification " * (self.posterior == "hard")
            rows.insert(1, (f"{hard}log-likelihood + log prior", f"{self.objective:.4f}"))
        if math.isfinite(self.projected_gain):
            rows.insert(-2, ("projected gain", f"{self.projected_gain:.2g} nats"))
        if math.isfinite(self.rate):
            rows.insert(-2, ("rate of convergence", f"{self.rate:.4g}"))
        if len(self.starts) > 1:
            rows.append(("starts", f"{len(self.starts)}, best is number {self.best_start + 1}"))
        rows += [("degenerate", text) for text in self.degenerate]
        rows += [("note", text) for text in self.notes]
        return rows

    def __str__(self) -> str:
        rows = self.table()
        width = max(len(label) for label, _ in rows)
        body = "\n".join(f"  {label:<{width}}  {text}" for label, text in rows)
        return f"EM fit of {type(self.model).__name__}\n{body}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(label)}</th><td>{escape(text)}</td></tr>"
            for label, text in self.table()
        )
        name = escape(type(self.model).__name__)
        return f"<table><caption>EM fit of {name}</caption>{rows}</table>"
