"""Derivatives along free coordinates by finite differences, with steps that suit Q."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.flat import FlatSpace

__all__ = ["Coordinate", "coordinates", "slope"]

#: Second difference of Q, in nats, that a step aims at.
NATS = 1e-3

Function = Callable[[Any], float]


class Coordinate(NamedTuple):
    """A free coordinate: its place, a name, a step, and the root of Q's information on it."""

    place: int
    name: str
    step: float
    scale: float


def coordinates(
    space: FlatSpace, params: Any, q: Function, limit: int, rng: np.random.Generator
) -> list[Coordinate]:
    """At most `limit` coordinates that are finite at `params`, drawn at random."""
    vector = space.pack(params)
    names = _names(space)
    usable = np.flatnonzero(np.isfinite(vector))
    if len(usable) > limit:
        usable = np.sort(rng.choice(usable, limit, replace=False))
    return [Coordinate(int(i), names[i], *_step(space, params, vector, int(i), q)) for i in usable]


def slope(space: FlatSpace, params: Any, function: Function, at: Coordinate) -> float:
    """Derivative along one coordinate, by the five-point rule of fourth order."""
    vector = space.pack(params)
    values, places = [], []
    for multiple in (-2, -1, 1, 2):
        moved = vector.copy()
        moved[at.place] += multiple * at.step
        places.append(moved[at.place])
        values.append(_value(function, space.unpack(moved, params)))
    inner, outer = values[2] - values[1], values[3] - values[0]
    near, far = places[2] - places[1], places[3] - places[0]
    return (4 * inner / near - outer / far) / 3


def _names(space: FlatSpace) -> list[str]:
    """The leaf each free coordinate belongs to, with its place there."""
    seen: dict[str, int] = {}
    names = []
    for leaf in space.coordinate_names():
        seen[leaf] = seen.get(leaf, -1) + 1
        names.append(f"{leaf or 'the parameter'} (free coordinate {seen[leaf]})")
    return names


def _step(
    space: FlatSpace, params: Any, vector: np.ndarray, index: int, q: Function
) -> tuple[float, float]:
    """A step over which Q bends by about `NATS`, and the root of its curvature."""
    size = max(1.0, abs(vector[index]))
    step, centre = 1e-3 * size, _value(q, params)
    bend = math.nan
    for _ in range(12):
        moved = [vector.copy(), vector.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        bend = abs(sum(_value(q, space.unpack(v, params)) for v in moved) - 2 * centre)
        if not math.isfinite(bend):
            step *= 0.01
        elif 0.1 * NATS <= bend <= 10 * NATS or (step >= 0.1 * size and bend < NATS):
            break
        else:
            factor = math.sqrt(NATS / max(bend, 1e-9 * NATS))
            step = min(step * min(max(factor, 1e-4), 1e4), 0.1 * size)
    return step, math.sqrt(max(bend, NATS) if math.isfinite(bend) else NATS) / step


def _value(function: Function, params: Any) -> float:
    """A function of parameters, NaN outside its domain."""
    try:
        with np.errstate(all="ignore"):
            return float(function(params))
    except np.linalg.LinAlgError:
        return math.nan
