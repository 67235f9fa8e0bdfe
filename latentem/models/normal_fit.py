"""One fit of a normal distribution to a table with missing cells, from start to verdict."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.backends import backend_for, one_blas_thread
from latentem.engine.blocks import Rows
from latentem.engine.em import EM
from latentem.engine.result import EMResult
from latentem.engine.warnings import NotIdentifiedWarning, tell
from latentem.models.conditionals import missing_information
from latentem.models.monotone import monotone_fit, out_of_order
from latentem.models.normal import MultivariateNormal, NormalParams
from latentem.models.normal_start import available_cases
from latentem.models.patterns import PatternBlock
from latentem.models.rates import largest_rate

__all__ = ["METHODS", "NormalFit", "fit_normal", "start_of"]

Array = np.ndarray
METHODS = ("auto", "em", "monotone")
#: A rate of convergence further above 1 than this is that of a saddle, nearer to it a ridge.
EDGE = 1e-5


class NormalFit(NamedTuple):
    """A fit, and what is known of its end.

    Parameters
    ----------
    result : EMResult
    n_patterns : int
    rate : float
        Rate of convergence of EM at the end, NaN where the fit is degenerate.
    information : (d,) array
        Share of the information about each mean that is missing.
    """

    result: EMResult
    n_patterns: int
    rate: float
    information: Array


def fit_normal(
    model: MultivariateNormal,
    data: Rows,
    settings: EM,
    method: str = "auto",
    rng: np.random.Generator | None = None,
    resume: Any = None,
) -> NormalFit:
    """Fit, and look around at the end; warns where it is no maximum.

    Parameters
    ----------
    model : MultivariateNormal
        In the units of the data (`MultivariateNormal.learn`).
    data : Rows
        NaN in missing cells.
    settings : EM
    method : {"auto", "em", "monotone"}
    rng : Generator, optional
        Draws how the start is pushed; always the same way without.
    resume : path, optional
        A checkpoint to go on from.

    Raises
    ------
    ValueError
        For method "monotone" where the table is not monotone, or there is a prior.
    """
    start = start_of(model, data, method, rng)
    with one_blas_thread():
        blocks = model.blocks(data)
        result = settings.run(model, blocks, start=start, rng=0, resume=resume)
        patterns = [(b.missing, b.weights) for b in blocks]
        patterns += [(b.group_missing, b.group_weights) for b in blocks]
        missing, weights = (np.concatenate(part) for part in zip(*patterns, strict=True))
        try:
            information = missing_information(result.params, missing, weights)
        except np.linalg.LinAlgError:  # singular but for rounding, and reported as that
            information = np.full(missing.shape[1], np.nan)
        rate = _look_around(model, result, blocks, settings) if missing.any() else 0.0
    return NormalFit(result, len(missing), rate, information)


def start_of(
    model: MultivariateNormal,
    data: Rows,
    method: str = "auto",
    rng: np.random.Generator | None = None,
) -> Any:
    """Parameters in closed form where there are any, or the function that makes a start."""
    if method not in METHODS:
        raise ValueError(f"method must be 'auto', 'em' or 'monotone', got {method!r}")
    if method == "monotone" and model.prior is not None:
        raise ValueError("method='monotone' has no prior: leave it out, or use method='em'")
    if method != "em" and model.prior is None:
        closed = monotone_fit(model, data)
        if closed is not None:
            return closed
        if method == "monotone":
            pair = out_of_order(np.isnan(data.x))
            if pair is None:
                raise ValueError(
                    "the closed form has no maximum: some column has fewer rows than the columns "
                    "before it, or columns are collinear. Use a prior"
                )
            a, b = (j if model.labels is None else model.labels[j] for j in pair)
            raise ValueError(
                f"the table is not monotone: columns {a} and {b} are each missing where the other "
                "is seen. Use method='auto' or 'em'"
            )
    return None if rng is None else partial(_pushed, model, rng)


def _pushed(
    model: MultivariateNormal, rng: np.random.Generator, blocks: Sequence[PatternBlock], _: Any
) -> NormalParams:
    """The start of available cases, pushed at random."""
    return model.outside(*available_cases(blocks, rng))


def _look_around(
    model: MultivariateNormal, result: EMResult, blocks: list[PatternBlock], settings: EM
) -> float:
    """The rate at the end of a fit; warns where that is no maximum."""
    if result.degenerate or result.statistics is None:
        return np.nan
    backend = backend_for(settings.n_jobs)
    rate = largest_rate(model, result.params, result.statistics, blocks, backend)
    known = any("never seen together" in note for note in result.notes)
    if result.converged and rate.settled and rate.value > 1 - EDGE and not known:
        tell(
            "the fit stands on a saddle of the likelihood, not on a maximum: fit again with "
            "another random_state (Guide: missing-data, missing-saddle)"
            if rate.value > 1 + EDGE
            else "the likelihood is flat along some direction: the data do not settle every "
            "covariance. Use a prior (Guide: missing-data, missing-ridge)",
            NotIdentifiedWarning,
        )
    return rate.value
