"""From an estimator's constructor arguments to the engine's settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from latentem.engine.em import EM
from latentem.engine.result import State
from latentem.engine.seeds import generator

__all__ = ["em_settings", "generator", "kept", "nothing_half_done", "refuse_hard"]


def em_settings(estimator: Any) -> EM:
    """The `EM` that an estimator's arguments ask for; ValueError names a wrong one."""
    if not isinstance(estimator.verbose, int | np.integer):
        raise ValueError(f"verbose must be an integer, got {estimator.verbose!r}")
    settings = EM(
        tol=estimator.tol,
        max_iter=estimator.max_iter,
        accelerate=estimator.accelerate,
        stopping=estimator.stopping,
        n_init=estimator.n_init,
        n_jobs=estimator.n_jobs,
        callbacks=() if estimator.callbacks is None else estimator.callbacks,
        progress=bool(estimator.progress),
        batch_size=estimator.batch_size,
        incremental=estimator.incremental,
        init_strategy=_strategy(estimator),
        posterior=getattr(estimator, "posterior", "soft"),
        **kept(estimator),
    )
    if not estimator.verbose:
        return settings
    return replace(settings, callbacks=(*settings.callbacks, _Printer(int(estimator.verbose))))


def refuse_hard(estimator: Any, what: str, instead: str) -> None:
    """ValueError where a criterion is asked of a fit that maximises something else."""
    if estimator.posterior == "hard":
        raise ValueError(
            f"{what} needs a maximum of the log-likelihood, and a fit with posterior='hard' "
            f"maximises the classification log-likelihood: {instead}"
        )


def _strategy(estimator: Any) -> Any:
    """What the estimator asks for; "auto" leaves starting values that were given alone."""
    asked = getattr(estimator, "init_strategy", "restarts")
    if asked != "auto":
        return asked
    values = estimator.get_params(deep=False)
    given = [name for name in values if name.endswith("_init") and name != "n_init"]
    chosen = any(values[name] is not None for name in given) or callable(values["init_params"])
    return "restarts" if chosen else "auto"


def kept(estimator: Any) -> dict[str, Any]:
    """The settings of `EM` that every estimator has: when to end, and what to keep on disk."""
    names = ("time_limit", "checkpoint", "checkpoint_every")
    return {name: getattr(estimator, name) for name in names}


@contextmanager
def nothing_half_done(estimator: Any) -> Iterator[None]:
    """Gives the estimator back the attributes that it had, if what is done with it fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        estimator.__dict__ = before
        raise


class _Printer:
    """What verbose prints: one line at each stop, with verbose=2 one for each E-step."""

    def __init__(self, level: int):
        self.level = level

    def __call__(self, state: State) -> None:
        if self.level > 1 or state.reason is not None:
            text = state.reason.sentence if state.reason else state.step
            print(  # noqa: T201 - what verbose asks for
                f"start {state.start + 1}  map {state.n_iter:>5}  objective {state.objective:.6f}  "
                f"{state.seconds:.2f} s  {text}"
            )
