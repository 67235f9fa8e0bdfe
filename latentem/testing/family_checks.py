"""The checks of a `Family` on its own; what its mixture tells is in `model_checks`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latentem.engine.family import Family
from latentem.engine.flat import FlatSpace
from latentem.engine.trees import leaves
from latentem.testing.numbers import REGROUPED, gap, shares_memory
from latentem.testing.report import Check, Skip

__all__ = ["check_rows", "family_checks"]

Array = np.ndarray


@dataclass(frozen=True)
class Case:
    """A family with rows, parameters of K components, and responsibilities (K, n)."""

    family: Family
    data: Array
    x: Any
    params: Any
    weights: Array
    per_component: dict[str, bool]  # whether a leaf has the components as its first axis
    rng: np.random.Generator
    grid: tuple[Array, Any] | None

    @property
    def prepared(self) -> Any:
        with np.errstate(all="ignore"):
            return self.family.prepare(self.params)

    def statistics(self, x: Any, weights: Array) -> Any:
        with np.errstate(all="ignore"):
            return self.family.statistics(self.prepared, x, np.ascontiguousarray(weights))


def check_rows(family: Family, data: Array) -> str:
    """`encode`, `check` and `points` take the rows one for one."""
    n, x = len(data), family.encode(data)
    if len(x) != n:
        raise AssertionError(f"encode turned {n} rows into {len(x)}: keep one for each")
    try:
        family.check(np.asarray(data))
    except ValueError as error:
        raise AssertionError(f"check refuses the data: {error}") from error
    points = np.asarray(family.points(x))
    if points.ndim != 2 or len(points) != n or not np.isfinite(points).all():
        raise AssertionError(
            f"points(x) must be a finite (n, d) array of the {n} rows, for k-means starts; it has "
            f"shape {points.shape}"
        )
    return f"{n} rows, points of {points.shape[1]} columns"


def family_checks(
    family: Family,
    data: Array,
    params: Any,
    rng: np.random.Generator,
    grid: tuple[Array, Any] | None,
    n_components: int,
) -> list[Check]:
    """Every check, from the basic to the derived."""
    x = family.encode(data)
    weights = np.ascontiguousarray(rng.dirichlet(np.ones(n_components), size=len(data)).T)
    per_component = _per_component(family, x, weights, rng)
    case = Case(family, data, x, params, weights, per_component, rng, grid)
    return [
        ("log_density is a new array", lambda: _density(case)),
        ("evaluate", lambda: _evaluate(case)),
        ("densities integrate to 1", lambda: _integrates(case)),
        ("initialize", lambda: _initialize(case)),
        ("order of the components", lambda: _permutes(case)),
        ("columns of weight zero", lambda: _zero_columns(case)),
        ("empty component", lambda: _empty(case)),
        ("sample", lambda: _sample(case)),
    ]


def _per_component(
    family: Family, x: Any, weights: Array, rng: np.random.Generator
) -> dict[str, bool]:
    """Whether each leaf has the components as its first axis: it is longer with one more."""
    first, more = family.initialize(x, weights, rng), np.vstack([weights, weights[:1]])
    sizes = {name: np.shape(leaf)[:1] for name, leaf in leaves(first)}
    try:
        larger = family.initialize(x, more, rng)
    except ValueError:  # it is for so many components, and no more
        return {name: size == (len(weights),) for name, size in sizes.items()}
    other = {name: np.shape(leaf)[:1] for name, leaf in leaves(larger)}
    return {name: size != other[name] for name, size in sizes.items()}


def _density(case: Case) -> str:
    prepared = case.prepared
    expected = (len(case.weights), len(case.data))
    with np.errstate(all="ignore"):
        first = case.family.log_density(prepared, case.x)
        second = case.family.log_density(prepared, case.x)
    if not isinstance(first, np.ndarray) or first.shape != expected:
        raise AssertionError(
            f"log_density has shape {np.shape(first)}, not (K, m) = {expected}: components first"
        )
    if first.dtype != np.float64:
        raise AssertionError(f"log_density has dtype {first.dtype}, not float64")
    if not (first.flags.c_contiguous and first.flags.writeable):
        raise AssertionError(
            "log_density must be a writeable array in C order, because the mixture turns it into "
            "posteriors in place: use np.ascontiguousarray"
        )
    for what, other in (("the last result", second), ("the parameters", case.params),
                        ("`prepared`", prepared), ("the rows", case.x)):  # fmt: skip
        name = shares_memory(first, other)
        if name is not None:
            raise AssertionError(
                f"log_density shares memory with {what} ({name}), but the mixture overwrites it: "
                "return a new array"
            )
    if np.isnan(first).any() or (first == np.inf).any():
        raise AssertionError("log_density has NaN or +inf; an impossible row has -inf")
    if not (first > -np.inf).any(axis=0).all():
        raise AssertionError("some rows have log density -inf under every component at the start")
    return f"{first.shape}, from {first[first > -np.inf].min():.4g} to {first.max():.4g}"


def _evaluate(case: Case) -> str:
    prepared = case.prepared
    with np.errstate(all="ignore"):
        density = case.family.log_density(prepared, case.x)
        evaluated, shared = case.family.evaluate(prepared, case.x)
        where = gap(density, evaluated)
        if where is not None:
            raise AssertionError(f"evaluate and log_density differ: {where}")
        name = shares_memory(evaluated, shared)
        if name is not None:
            raise AssertionError(
                f"what evaluate shares ({name}) is the memory of the log density, which the "
                "mixture overwrites before statistics reads it"
            )
        alone = case.family.statistics(prepared, case.x, case.weights)
        reused = case.family.statistics(prepared, case.x, case.weights, shared)
    where = gap(alone, reused)
    if where is not None:
        raise AssertionError(f"statistics with and without what evaluate shared differ: {where}")
    return "shares nothing" if shared is None else "statistics agree with and without sharing"


def _integrates(case: Case) -> str:
    if case.grid is None:
        raise Skip("pass grid=(points, volumes) to check it")
    points, volumes = case.grid
    with np.errstate(all="ignore"):
        density = case.family.log_density(case.prepared, case.family.encode(points))
    totals = (np.exp(density) * volumes).sum(axis=1)
    k = int(np.argmax(np.abs(totals - 1)))
    if not abs(totals[k] - 1) <= 1e-6:
        raise AssertionError(
            f"the density of component {k} integrates to {totals[k]:.9g} over the grid: look for "
            "a missing constant in log_density (or a grid that is too small or too coarse)"
        )
    return f"to {abs(totals[k] - 1):.1e}"


def _initialize(case: Case) -> str:
    params = case.family.initialize(case.x, case.weights, case.rng)
    for name, value in leaves(params):
        if not np.isfinite(value).all():
            raise AssertionError(f"initialize gives {name} that is not finite")
    constraints = case.family.constraints()
    if constraints is None:
        return "finite"
    if not FlatSpace(constraints, params).holds(params):
        raise AssertionError("initialize gives parameters outside constraints()")
    return "finite and within constraints()"


def _empty(case: Case) -> str:
    if case.family.log_prior(case.params) != 0:
        raise Skip("an empty component goes to the mode of its prior")
    weights = case.weights.copy()
    weights[0] = 0.0
    for what, part in (("component 0 is", weights), ("all components are", 0 * weights)):
        with np.errstate(all="ignore"):
            new = case.family.maximize(case.statistics(case.x, part), case.params)
        for (name, old), (_, value) in zip(leaves(case.params), leaves(new), strict=True):
            if not np.isfinite(value).all():
                raise AssertionError(f"where {what} empty, maximize gives {name} not finite")
            one = case.per_component[name]
            whole = part is not weights
            kept = np.array_equal(old[:1], value[:1]) if one else True
            kept = np.array_equal(old, value) if whole else kept
            if not kept:
                raise AssertionError(
                    f"where {what} empty, maximize changed {name} of it: an empty component "
                    "keeps the values in params, bit for bit"
                )
    return "keeps its parameters"


def _permutes(case: Case) -> str:
    order = np.roll(np.arange(len(case.weights)), 1)
    other, family = case.family.relabel(case.params, order), case.family.reordered(order)
    with np.errstate(all="ignore"):
        density = case.family.log_density(case.prepared, case.x)
        moved = family.log_density(family.prepare(other), case.x)
        where = gap(density[order], moved)
        if where is not None:
            raise AssertionError(f"with the components in another order, log_density: {where}")
        new = case.family.maximize(case.statistics(case.x, case.weights), case.params)
        statistics = family.statistics(family.prepare(other), case.x, case.weights[order].copy())
        found = family.maximize(statistics, other)
        where = gap(case.family.relabel(new, order), found, 1e-7)
    if where is not None:
        raise AssertionError(
            f"with the components in another order, maximize gives another answer: {where}"
        )
    return "does not matter"


def _zero_columns(case: Case) -> str:
    n = len(case.data)
    absent = case.rng.permutation(n) < max(1, n // 3)
    weights = np.where(absent, 0.0, case.weights)
    rows = np.where(absent, case.rng.permutation(n), np.arange(n))
    with_zeros = case.statistics(case.x, weights)
    swapped = case.statistics(case.family.encode(np.asarray(case.data)[rows]), weights)
    where = gap(with_zeros, swapped, REGROUPED)
    if where is not None:
        raise AssertionError(
            "statistics depend on rows whose weights are all 0, which must contribute exactly "
            f"nothing: {where}"
        )
    kept = case.family.encode(np.asarray(case.data)[~absent])
    where = gap(with_zeros, case.statistics(kept, case.weights[:, ~absent]))
    if where is not None:
        raise AssertionError(f"with columns of weight 0, and without these rows, {where}")
    return f"{int(absent.sum())} of {n} rows"


def _sample(case: Case) -> str:
    components = case.rng.integers(len(case.weights), size=50)
    try:
        rows = case.family.sample(case.params, components, case.rng)
    except NotImplementedError as reason:
        raise Skip(str(reason)) from None
    if np.shape(rows)[:1] != (50,) or np.shape(rows)[1:] != np.shape(case.data)[1:]:
        raise AssertionError(
            f"sample gives shape {np.shape(rows)} for 50 components of data {np.shape(case.data)}"
        )
    try:
        case.family.check(rows)
    except ValueError as error:
        raise AssertionError(f"sample gives rows that check refuses: {error}") from error
    with np.errstate(all="ignore"):
        density = case.family.log_density(case.prepared, case.family.encode(rows))
    own = density[components, np.arange(50)]
    if not np.isfinite(own).all():
        raise AssertionError("sample gives a row that is impossible under its own component")
    return f"50 rows, mean log density {own.mean():.4g}"
