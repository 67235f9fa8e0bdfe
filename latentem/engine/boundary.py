"""The free coordinates of parameters, without what lies on its boundary.

A probability fitted as 0, or a rate of 0, has no coordinate on the real line, and the
likelihood no parabola there. It is held, and the others are free.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from latentem.engine.differences import jacobian
from latentem.engine.flat import FlatSpace
from latentem.engine.model import LatentModel
from latentem.engine.trees import leaves, values, zip_leaves

__all__ = ["Interior", "label", "short_names"]

Array = np.ndarray

#: Move of the logarithm of a parameter, in a Newton step, that says that it runs to its boundary.
RUNS = 0.5
#: Steps of the derivatives of the parameters.
SMALL = 1e-3


class Interior:
    """Parameters as free coordinates, with those on their boundary held.

    Parameters
    ----------
    model : LatentModel
        With ``constraints``.
    params : params
    also : (m,) bool array, optional
        More entries to hold, among all parameters raveled one after the other.

    Attributes
    ----------
    at : (p,) array
        The coordinates of `params`.
    values : (m,) array
        All parameters, raveled.
    held : (m,) bool array
        Which are held: on the boundary, or by `also`.
    """

    def __init__(self, model: LatentModel, params: Any, also: Array | None = None):
        declared: list[Any] = []
        zip_leaves(
            lambda leaf, constraint: declared.append(constraint), params, model.constraints()
        )
        self._declared = declared
        self._leaves = [np.asarray(leaf, dtype=float) for leaf in values(params)]
        self.values = _raveled(self._leaves)
        self.held = _raveled(
            [c.at_edge(leaf) for c, leaf in zip(declared, self._leaves, strict=True)]
        ).astype(bool)
        if also is not None:
            self.held = self.held | also
        stops = np.cumsum([leaf.size for leaf in self._leaves])
        parts = iter(np.split(self.held, stops[:-1]))

        def inside(leaf: Any, constraint: Any) -> Any:
            return constraint.holding(next(parts).reshape(np.shape(leaf)))

        self.space = FlatSpace(zip_leaves(inside, params, model.constraints()), params)
        self._flat = self.space.pack(params)
        self._free = np.flatnonzero(np.isfinite(self._flat))
        moves = self.jacobian()
        loose = self.held & np.any(moves != 0, axis=1)
        if loose.any():  # entries with coordinates of their own
            self._free = self._free[~np.any(moves[loose] != 0, axis=0)]

    @property
    def at(self) -> Array:
        return self._flat[self._free]

    def unpack(self, at: Array) -> Any:
        """The parameters at free coordinates."""
        flat = self._flat.copy()
        flat[self._free] = at
        return self.space.unpack(flat)

    def natural(self, at: Array) -> Array:
        """All parameters at free coordinates, raveled, (m,)."""
        return _raveled([np.asarray(leaf, dtype=float) for leaf in values(self.unpack(at))])

    def jacobian(self) -> Array:
        """Derivatives of all parameters by the free coordinates, (m, p)."""
        steps = np.maximum(SMALL, 1e-5 * np.abs(self.at))  # a mean of 1e12 has digits to lose
        return jacobian(self.natural, self.at, steps)

    def limits(self) -> tuple[Array, Array]:
        """Least and largest that each parameter can be, (m,) and (m,)."""
        found = [c.limits(leaf) for c, leaf in zip(self._declared, self._leaves, strict=True)]
        lows, highs = zip(*found, strict=True)
        return _raveled(list(lows)), _raveled(list(highs))

    def running(self, step: Array) -> Array:
        """Parameters (m,) that a Newton step of the coordinates sends far towards a limit.

        A probability on its way to 0 has a logarithm with a slope that equals its own
        curvature: the step is one unit, however often it is taken.
        """
        low, high = self.limits()
        move = self.jacobian() @ step
        room = np.minimum(self.values - low, high - self.values)
        towards = np.where(self.values - low <= high - self.values, -move, move)
        return ~self.held & np.isfinite(room) & (towards > RUNS * room)


def short_names(params: Any) -> list[str]:
    """The last part of each dotted name where that is unique."""
    names = [name for name, _ in leaves(params)]
    last = [name.rsplit(".", 1)[-1] for name in names]
    return [
        short if last.count(short) == 1 else name for short, name in zip(last, names, strict=True)
    ]


def label(name: str, place: tuple[int, ...]) -> str:
    """A parameter with its place in its array, such as ``means[1, 0]``."""
    return name + ("[" + ", ".join(map(str, place)) + "]" if place else "")


def _raveled(parts: list[Array]) -> Array:
    return np.concatenate([np.ravel(part) for part in parts])
