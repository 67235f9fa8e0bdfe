"""Checks of what makes it EM: Fisher's identity, the M-step, a rising objective."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.special import chdtri

from latentem.engine.constraints import Constraint
from latentem.engine.em import EM
from latentem.engine.flat import FlatSpace
from latentem.engine.result import CollapsedError
from latentem.engine.stopping import SLACK, rounding
from latentem.engine.trees import leaves, zip_leaves
from latentem.testing.case import ModelCase
from latentem.testing.gradients import Coordinate, coordinates, slope
from latentem.testing.numbers import gap
from latentem.testing.report import Skip

__all__ = ["bound", "fisher", "fixed", "flat", "maximum", "recover", "rises"]

#: Difference of gradients allowed, in units of the root of the information.
GRADIENT = 1e-5
#: Free coordinates tried at most.
COORDINATES = 30


def flat(case: ModelCase) -> str:
    """The flat vector holds what is free, and leads back to the same parameters."""
    size = 0
    for params, _ in case.climb(2):
        space = case.space(params)
        size = space.size
        if not space.holds(params):
            raise AssertionError(
                "the parameters do not satisfy constraints(): "
                f"{_outside(case.model.constraints(), params)}"
            )
        vector = space.pack(params)
        if vector.shape != (size,):
            raise AssertionError(f"pack gives shape {vector.shape} where size is {size}")
        where = gap(params, space.unpack(vector, params))
        if where is not None and np.isfinite(vector).all():
            raise AssertionError(f"unpack(pack(params)) is not params: {where}")
        free = np.isfinite(vector)
        moved = np.where(free, vector + 0.01 * case.rng.standard_normal(size), vector)
        back = space.pack(space.unpack(moved, params))
        if free.all() and not np.allclose(back, moved, rtol=1e-6, atol=1e-6):
            at = int(np.argmax(np.abs(back - moved)))
            raise AssertionError(
                f"pack(unpack(vector)) moved coordinate {at} from {moved[at]:.9g} to {back[at]:.9g}"
            )
    return f"{size} free coordinates"


def _outside(constraints: Any, params: Any) -> str:
    names = iter(leaves(params))
    bad: list[str] = []

    def look(leaf: Any, constraint: Constraint) -> Any:
        name, value = next(names)
        if not constraint.holds(value):
            bad.append(f"{name or 'the parameter'} is not {type(constraint).__name__}")
        return leaf

    zip_leaves(look, params, constraints)
    return ", ".join(bad)


def fixed(case: ModelCase) -> str:
    """Fixed leaves and structural zeros stay as they were, bit for bit."""
    constraints = case.model.constraints()
    if constraints is None:
        raise Skip("the model declares no constraints()")
    held: list[tuple[str, Any]] = []
    kept: dict[str, Any] = {}

    def collect(leaf: Any, constraint: Any) -> Any:
        name = next(names)[0]
        kept = constraint.kept(leaf)
        if kept.any():
            held.append((name, kept))
        return leaf

    names = iter(leaves(case.start))
    zip_leaves(collect, case.start, constraints)
    if not held:
        raise Skip("nothing is fixed")
    first = dict(leaves(case.start))
    for params, _ in case.climb(3):
        kept = dict(leaves(params))
        for name, mask in held:
            old, new = np.asarray(first[name])[mask], np.asarray(kept[name])[mask]
            if not np.array_equal(old, new):
                raise AssertionError(
                    f"m_step moved {name}, which is fixed, by {np.abs(new - old).max():.3g}: "
                    "return fixed values as they are in params, bit for bit"
                )
    return ", ".join(name for name, _ in held)


def _slopes(
    case: ModelCase, params: Any, statistics: Any
) -> tuple[FlatSpace, list[Coordinate], Callable[[Any], float]]:
    space = case.space(params)

    def q(at: Any) -> float:
        return case.q(at, statistics)

    q(params)  # skips where there is no Q
    found = coordinates(space, params, q, COORDINATES, case.rng)
    if not found:
        raise Skip("no free coordinate is finite at these parameters")
    return space, found, q


def fisher(case: ModelCase) -> str:
    """The slopes of the log-likelihood are those of Q at fixed statistics."""
    worst, count = 0.0, 0
    for maps, (params, expectation) in enumerate(case.climb(2)):
        space, found, q = _slopes(case, params, expectation.statistics)
        for at in found:
            of_loglik = slope(space, params, lambda point: case.expect(point).loglik, at)
            of_q = slope(space, params, q, at)
            size = max(abs(of_loglik), abs(of_q), at.scale)
            off = abs(of_loglik - of_q) / size
            if not off <= GRADIENT:
                raise AssertionError(
                    f"after {maps} maps, along {at.name} the log-likelihood has slope "
                    f"{of_loglik:.8g} but Q has {of_q:.8g} (off by {off:.2g} of their size). "
                    "Look at whether loglik, the statistics of e_step and expected_loglik all "
                    "come from the same density"
                )
            worst, count = max(worst, off), count + 1
    return f"{count} slopes, worst difference {worst:.1e} of their size"


def bound(case: ModelCase) -> str:
    """Q adds over blocks, and bounds the gain of the log-likelihood from below."""
    blocks = case.blocks()
    expectation = case.expect(case.start, blocks)
    whole = case.q(case.start, expectation.statistics)
    try:
        parts = max(case.cut(), key=len)
    except Skip:
        parts = blocks
    pieces = [case.q(case.start, case.expect(case.start, [part]).statistics) for part in parts]
    where = gap(np.sum(pieces), np.float64(whole))
    if where is not None:
        raise AssertionError(
            f"Q summed over {len(parts)} blocks and Q at the summed statistics differ, {where}: "
            "expected_loglik must be linear in the statistics (and leave the prior out)"
        )
    lowest = math.inf
    near = case.m_step(expectation.statistics, case.start)
    slack = SLACK * rounding(abs(whole) + abs(expectation.loglik), expectation.weight)
    for params in [near, *_scattered(case)]:
        gain_q = case.q(params, expectation.statistics) - whole
        gain = case.expect(params, blocks).loglik - expectation.loglik
        lowest = min(lowest, gain - gain_q) if math.isfinite(gain - gain_q) else lowest
        if gain < gain_q - slack:
            raise AssertionError(
                f"Q rose by {gain_q:.9g} but the log-likelihood only by {gain:.9g}: Q must be a "
                "lower bound of the gain; look at expected_loglik"
            )
    return f"log-likelihood gains at least what Q gains, margin {lowest:.3g}"


def _scattered(case: ModelCase) -> Iterator[Any]:
    try:
        space = case.space(case.start)
    except Skip:
        return
    vector = space.pack(case.start)
    if not np.isfinite(vector).all():
        return
    for size in (0.01, 0.1, 0.5):
        params = space.unpack(vector + size * case.rng.standard_normal(len(vector)), case.start)
        if space.holds(params):
            yield params


def maximum(case: ModelCase) -> str:
    """The M-step leaves Q + log prior without slope in the free coordinates."""
    worst = 0.0
    for maps, (params, expectation) in enumerate(case.climb(2)):
        statistics = expectation.statistics
        new = case.m_step(statistics, params)

        def target(at: Any, statistics: Any = statistics) -> float:
            return case.q(at, statistics) + float(case.model.log_prior(at))

        before, after = target(params), target(new)
        if after < before - SLACK * rounding(before, expectation.weight):
            raise AssertionError(
                f"map {maps + 1} lowered Q + log_prior from {before:.9g} to {after:.9g}: look at "
                "the formula of m_step, and whether it uses the prior"
            )
        if not case.exact_m_step:
            continue
        space = case.space(new)
        for at in coordinates(space, new, target, COORDINATES, case.rng):
            off = abs(slope(space, new, target, at)) / at.scale
            if not off <= GRADIENT:
                raise AssertionError(
                    f"after map {maps + 1}, Q + log_prior still has slope {off * at.scale:.6g} "
                    f"along {at.name} ({off:.2g} of the root of its information): m_step does "
                    "not maximise it. Look at the formula, at a prior that is left out, and at "
                    "fixed values that are put back after a free maximisation instead of being "
                    "honoured in it"
                )
            worst = max(worst, off)
    if not case.exact_m_step:
        return "Q + log_prior does not fall (exact_m_step=False)"
    return f"largest slope {worst:.1e} of the root of the information"


def rises(case: ModelCase) -> str:
    """The objective does not fall over a number of maps."""
    last, first = -math.inf, math.nan
    for maps, (params, expectation) in enumerate(case.climb(case.n_maps)):
        objective = expectation.loglik + float(case.model.log_prior(params))
        if math.isnan(objective):
            raise AssertionError(f"the objective is NaN after {maps} maps")
        slack = SLACK * rounding(objective, expectation.weight)
        if objective < last - slack:
            raise AssertionError(
                f"map {maps} lowered the objective from {last:.10g} to {objective:.10g}, by "
                f"{last - objective:.3g}: m_step does not raise Q + log_prior, or the statistics "
                "are not the expectations under the density that loglik is of"
            )
        first = objective if maps == 0 else first
        last = objective
    return f"from {first:.6g} to {last:.6g} in {case.n_maps} maps"


def recover(case: ModelCase) -> str:
    """A fit to simulated data ends no further from the truth than chance allows."""
    if not case.n_simulated:
        raise Skip("n_simulated is 0")
    *_, (params, _) = case.climb(case.n_maps)
    try:
        data = case.model.sample(params, case.n_simulated, case.rng)
    except NotImplementedError as reason:
        raise Skip(str(reason)) from None
    try:
        free = case.space(params).size
    except Skip:
        free = sum(int(np.size(value)) for _, value in leaves(params))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = EM(tol=1e-2, max_iter=200, n_jobs=1).run(case.model, data, start=params)
        except CollapsedError as error:
            raise AssertionError(
                f"a fit to {case.n_simulated} simulated units did not survive: {error}"
            ) from error
    gain = result.objective - result.history["objective"][0]
    likely = float(chdtri(max(free, 1), 1e-6))
    if not gain <= likely:
        raise AssertionError(
            f"a fit to {case.n_simulated} simulated units is {gain:.4g} nats better than the "
            f"parameters they were drawn at; with {free} free parameters no more than "
            f"{likely:.3g} is likely. Look at whether sample draws from the density of loglik"
        )
    return f"{case.n_simulated} units, fit {gain:.3g} nats better, up to {likely:.3g} is likely"
