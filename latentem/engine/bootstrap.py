"""The bootstrap: fits to replicates of the data, from the fitted parameters.

Each replicate is climbed from the fit itself, not from several starts, so what they show is
the uncertainty of the peak that was found. The order of components is that nearest to the
original one.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from latentem.engine.alignment import aligned
from latentem.engine.backends import SerialBackend, backend_for, one_blas_thread
from latentem.engine.constraints import Simplex, Simplices
from latentem.engine.em import EM
from latentem.engine.model import LatentModel
from latentem.engine.parallel import each
from latentem.engine.problem import Problem
from latentem.engine.resampling import reweighted
from latentem.engine.result import CollapsedError
from latentem.engine.seeds import generator
from latentem.engine.trees import values, zip_leaves

__all__ = ["Replicates", "Resampling", "bootstrap", "check_count", "refit", "told"]

Array = np.ndarray
Resampling = Literal["multinomial", "bayesian", "parametric"]

#: Nats still to be gained, and maps, at which a replicate ends.
TOL, MAX_ITER = 1e-4, 5000
#: Share of a probability fitted as 0 with which a replicate begins: EM never leaves 0 itself.
LIFT = 1e-3
#: Fewest replicates from which errors are computed.
FEWEST = 10


class Replicates(NamedTuple):
    """Parameters (B, m) of the replicates that stand, raveled, and sentences about the others."""

    values: Array
    notes: tuple[str, ...]


def bootstrap(
    problem: Problem,
    resampling: Resampling,
    n_replicates: int,
    random_state: Any,
    n_jobs: int | None,
    progress: bool,
) -> Replicates:
    """Fit replicates of the data; see `standard_errors`."""
    if resampling not in get_args(Resampling):
        raise ValueError(f"resampling must be one of {get_args(Resampling)}, got {resampling!r}")
    check_count(n_replicates, FEWEST)
    model, params, data = problem.model, problem.params, problem.data
    with one_blas_thread():
        blocks = list(model.blocks(data))
        weight = backend_for(n_jobs).expect(model, params, blocks).weight
    if resampling != "parametric":
        reweighted(data, False, np.random.default_rng(0))  # refuses before any work
    start = lifted(model, params)
    generators = generator(random_state).spawn(n_replicates)
    tasks = [(problem, start, resampling, round(weight), rng) for rng in generators]
    found = each(_replicate, tasks, n_jobs, progress=progress, what="replicates")
    sound = [one.params for one in found if one.error is None]
    if len(sound) < max(FEWEST, n_replicates // 2):
        raise ValueError(
            f"{n_replicates - len(sound)} of {n_replicates} replicates could not be fitted, which "
            f"leaves too few for standard errors: {told(found)[0]}"
        )
    if getattr(data, "labels", None) is None:
        sound = aligned(model, params, sound)
    notes = told(found)
    if any(one.error is None and not one.converged for one in found):
        slow = sum(one.error is None and not one.converged for one in found)
        notes = (*notes, f"{slow} of {n_replicates} replicates had not converged, and count")
    return Replicates(np.array([_raveled(one) for one in sound]), notes)


class Refit(NamedTuple):
    """The fit of one replicate; `error` says why it does not count."""

    params: Any
    loglik: float
    converged: bool
    error: str | None = None


def refit(model: LatentModel, data: Any, start: Any, rng: Any = None, n_init: int = 1) -> Refit:
    """A fit within one thread, whose failure is a sentence."""
    settings = EM(tol=TOL, max_iter=MAX_ITER, backend=SerialBackend(), n_init=n_init)
    try:
        result = settings.run(model, data, start=start, rng=rng)
    except (CollapsedError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        return Refit(None, np.nan, False, str(error))
    if result.degenerate:
        return Refit(result.params, result.loglik, result.converged, result.degenerate[0])
    return Refit(result.params, result.loglik, result.converged)


def told(found: list[Refit]) -> tuple[str, ...]:
    """A sentence about the replicates that do not count, if there are any."""
    errors = Counter(one.error for one in found if one.error is not None)
    if not errors:
        return ()
    reason, _ = errors.most_common(1)[0]
    lost = f"{errors.total()} of {len(found)} replicates do not count"
    return (f"{lost}: a fit failed or was degenerate (mostly: {reason})",)


def check_count(n_replicates: Any, least: int) -> None:
    """ValueError for a number of replicates that is none."""
    whole = isinstance(n_replicates, int | np.integer) and not isinstance(n_replicates, bool)
    if not whole or n_replicates < least:
        raise ValueError(f"n_replicates must be an integer >= {least}, got {n_replicates!r}")


def _replicate(
    problem: Problem, start: Any, resampling: Resampling, n: int, rng: np.random.Generator
) -> Refit:
    model, data = problem.model, problem.data
    if resampling == "parametric":
        drawn = model.sample_like(problem.params, data, n, rng)
    else:
        drawn = reweighted(data, resampling == "bayesian", rng)
    return refit(model, drawn, start)


def lifted(model: LatentModel, params: Any) -> Any:
    """The parameters with probabilities of 0 raised a little, structural zeros excepted."""

    def lift(leaf: Any, constraint: Any) -> Any:
        if not isinstance(constraint, Simplex | Simplices):
            return leaf
        edge = constraint.at_edge(leaf)
        if not edge.any():
            return leaf
        return constraint.unpack(constraint.pack(np.where(edge, LIFT, leaf)), leaf)

    return zip_leaves(lift, params, model.constraints())


def _raveled(params: Any) -> Array:
    return np.concatenate([np.ravel(value) for value in values(params)])
