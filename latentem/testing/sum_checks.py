"""Checks that an E-step is a pure sum over blocks: values, additivity, weights, threads."""

from __future__ import annotations

import contextlib
import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import issparse

from latentem.engine.backends import SerialBackend, ThreadBackend
from latentem.engine.blocks import Rows, Sequences
from latentem.engine.model import Expectation
from latentem.engine.trees import leaves, scale
from latentem.models.mixture import Mixture
from latentem.testing.case import ModelCase
from latentem.testing.numbers import REGROUPED, SUMS, changed, gap, numbers
from latentem.testing.report import Skip

__all__ = ["additive", "finite", "pickling", "repeatable", "row_weights", "threads", "unchanged"]


def finite(case: ModelCase) -> str:
    """Parameters and statistics are trees of finite float64 numbers."""
    _finite_params(case.start, "the start")
    statistics, loglik, weight = case.expect(case.start)
    try:
        scale(statistics, 1.0)
    except TypeError as error:
        raise AssertionError(f"the statistics of e_step are no tree: {error}") from error
    for name, value in numbers(statistics):
        if not np.all(np.isfinite(value)):
            raise AssertionError(
                f"statistic {name} is not finite: look for 0 * inf or 0 / 0 in e_step"
            )
    if not np.isfinite(loglik):
        raise AssertionError(
            f"the log-likelihood at the start is {loglik}: pass start= with parameters under "
            "which the data are possible"
        )
    if not weight > 0:
        raise AssertionError(f"Expectation.weight is {weight}: it is the sum of the row weights")
    _finite_params(case.m_step(statistics, copy.deepcopy(case.start)), "the first m_step")
    return f"log-likelihood {loglik:.6g} at weight {weight:g}"


def _finite_params(params: Any, where: str) -> None:
    try:
        found = list(leaves(params))
    except TypeError as error:
        raise AssertionError(f"the parameters of {where} are no tree: {error}") from error
    for name, value in found:
        if isinstance(value, np.ndarray) and value.dtype != float:
            raise AssertionError(
                f"parameter {name} of {where} has dtype {value.dtype}: make it float64"
            )
        if not np.all(np.isfinite(value)):
            raise AssertionError(
                f"parameter {name} of {where} is not finite: look at what divides there"
            )


def unchanged(case: ModelCase) -> str:
    """No step writes to data, parameters or statistics."""
    model, blocks = case.model, case.blocks()
    held = (case.data, blocks, case.start)
    before = copy.deepcopy(held)
    expectation = case.expect(case.start, blocks)
    statistics = copy.deepcopy(expectation.statistics)
    for step, call in (
        ("e_step", lambda: None),
        ("m_step", lambda: case.m_step(expectation.statistics, case.start)),
        ("log_prior", lambda: model.log_prior(case.start)),
        ("expected_loglik", lambda: _maybe(lambda: case.q(case.start, expectation.statistics))),
    ):
        call()
        for what, old, new in zip(("the data", "a block", "the parameters"), before, held,
                                  strict=True):  # fmt: skip
            name = changed(old, new)
            if name is not None:
                raise AssertionError(
                    f"{step} changed {what} in place ({name}): parameters and data are values; "
                    "write to a copy"
                )
        name = changed(statistics, expectation.statistics)
        if name is not None:
            raise AssertionError(f"{step} changed the statistics in place ({name}): copy first")
    return "data, parameters and statistics as they were"


def _maybe(call: Callable[[], Any]) -> None:
    with contextlib.suppress(Skip):
        call()


def repeatable(case: ModelCase) -> str:
    """The E-step depends on parameters and block, and on nothing before them."""
    first = case.expect(case.start)
    other = case.expect(case.m_step(first.statistics, case.start))
    again = case.expect(case.start)
    name = changed(first, again)
    if name is not None:
        raise AssertionError(
            f"e_step at the same parameters gave another {name} after an E-step elsewhere: it "
            "keeps state, or reads parameters that are not those of `prepared`"
        )
    return f"log-likelihood after one map {other.loglik:.6g}"


def additive(case: ModelCase) -> str:
    """The data cut into fewer or more blocks give the same sums."""
    cuts = case.cut()
    first = case.expect(case.start, cuts[0])
    for cut in cuts[1:]:
        other = case.expect(case.start, cut)
        where = gap(first, other)
        if where is not None:
            raise AssertionError(
                f"with {len(cuts[0])} and with {len(cut)} blocks of the same data, {where}: the "
                "statistics, loglik and weight of e_step must be sums over the units of the "
                "block, and nothing may depend on the size of a block"
            )
    return f"{', '.join(str(len(cut)) for cut in cuts)} blocks agree"


def row_weights(case: ModelCase) -> str:
    """Weight 0 is an absent row, an integer weight a repeated one."""
    base, make = _weighted(case)
    n = len(base)
    every, rng = np.arange(n), case.rng
    absent = rng.permutation(n) < max(1, n // 3)
    zeroed = np.where(absent, 0.0, base)
    swapped = np.where(absent, rng.permutation(n), every)

    def expect(weights: np.ndarray, rows: np.ndarray) -> Expectation:
        return case.expect(case.start, case.blocks(None, make(weights, rows)))

    with_zeros = expect(zeroed, every)
    # Sequences have lengths: others in their place move the rows, and sums round otherwise.
    rounding = SUMS if isinstance(case.data, Sequences) else REGROUPED
    where = gap(with_zeros, expect(zeroed, swapped), rounding)
    if where is not None:
        raise AssertionError(
            f"sums depend on the content of rows of weight 0, {where}: such rows must contribute "
            "exactly nothing (multiply by the weight, and skip such rows where 0 * inf could arise)"
        )
    where = gap(with_zeros, expect(base[~absent], every[~absent]))
    if where is not None:
        raise AssertionError(f"with rows of weight 0, and without these rows, {where}")
    counts = rng.integers(0, 4, n)
    counts[0] = 3
    repeated = np.repeat(every, counts)
    where = gap(expect(base * counts, every), expect(base[repeated], repeated))
    if where is not None:
        raise AssertionError(
            f"with integer weights, and with rows repeated so often, {where}: each statistic, "
            "loglik and weight must count a row by its weight"
        )
    return f"{int(absent.sum())} of {n} rows made absent, others repeated up to 3 times"


def _weighted(case: ModelCase) -> tuple[np.ndarray, Callable[[np.ndarray, np.ndarray], Any]]:
    """Row weights, and a function of (weights, rows) that makes data of chosen rows."""
    data = case.data
    if isinstance(case.model, Mixture) and not isinstance(data, Rows):
        rows = data if issparse(data) or isinstance(data, tuple) else np.asarray(data)
        data = Rows(*rows) if isinstance(rows, tuple) else Rows(rows)
    if isinstance(data, Rows):
        weights = np.ones(len(data)) if data.weights is None else data.weights
        return np.asarray(weights, float), lambda w, rows: _with_weights(data, w, rows)
    if isinstance(data, Sequences):
        weights = np.ones(len(data.lengths)) if data.weights is None else data.weights
        return np.asarray(weights, float), lambda w, which: replace(data.take(which), weights=w)
    if case.weights is None or not isinstance(data, tuple):
        raise Skip("the data carry no row weights (weights= names them in a tuple of arrays)")
    at = range(len(data))[case.weights]
    return np.asarray(data[at], float), lambda w, rows: tuple(
        w if i == at else part[rows] for i, part in enumerate(data)
    )


def _with_weights(data: Rows, weights: np.ndarray, rows: np.ndarray) -> Rows:
    part = data[rows]
    return Rows(part.x, weights, part.labels)


def threads(case: ModelCase) -> str:
    """Two threads give the bits of one."""
    blocks = max(case.cut(), key=len)
    serial = case.expect(case.start, blocks)
    for _ in range(3):
        threads = ThreadBackend(2).expect(case.model, case.start, blocks)
        name = changed(serial, threads)
        if name is not None:
            raise AssertionError(
                f"{name} differs between one thread and two: e_step must not write to anything "
                "that several blocks share"
            )
    return f"the same bits over {len(blocks)} blocks"


def pickling(case: ModelCase) -> str:
    """Model, parameters and statistics survive pickling, bit for bit."""
    expectation = case.expect(case.start)
    try:
        model, params, statistics = pickle.loads(
            pickle.dumps((case.model, case.start, expectation.statistics))
        )
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AssertionError(
            f"model, parameters and statistics must pickle, but: {error}. Define their classes "
            "at the top level of a module, and keep no functions or handles in them"
        ) from error
    name = changed((case.start, expectation.statistics), (params, statistics))
    if name is not None:
        raise AssertionError(f"pickling changed {name} of (parameters, statistics)")
    name = changed(expectation, SerialBackend().expect(model, params, case.blocks()))
    if name is not None:
        raise AssertionError(f"after pickling the model, e_step gives another {name}")
    return "model, parameters and statistics, the same bits"
