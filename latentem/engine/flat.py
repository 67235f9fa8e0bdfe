"""Parameters as one flat vector of free coordinates, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentem.engine.constraints import Constraint, Fixed, Partly, Real
from latentem.engine.trees import leaves, values, zip_leaves

__all__ = ["FlatSpace"]


class FlatSpace:
    """The coordinate system of one parameter tree.

    Parameters
    ----------
    constraints : tree of Constraint, or None
        Same structure as `like`. None means every leaf is `Real`.
    like : params
        Gives the shapes, and the values of everything that is not free.
    natural : bool
        Coordinates are the parameters themselves; only what is fixed is left out.

    Examples
    --------
    >>> from typing import NamedTuple
    >>> from latentem import Positive, Simplex
    >>> class Params(NamedTuple):
    ...     weights: np.ndarray
    ...     rates: np.ndarray
    >>> params = Params(np.array([0.25, 0.75]), np.array([1.0, 2.0]))
    >>> space = FlatSpace(Params(Simplex(), Positive()), params)
    >>> space.size
    3
    >>> bool(np.allclose(space.unpack(space.pack(params)).weights, params.weights))
    True
    """

    def __init__(self, constraints: Any, like: Any, natural: bool = False):
        if constraints is None:
            constraints = zip_leaves(lambda leaf: Real(), like)
        self._declared: list[Constraint] = []
        zip_leaves(self._collect, like, constraints)
        self._used = self._declared
        if natural:
            pairs = zip(self._declared, values(like), strict=True)
            self._used = [_natural(constraint, value) for constraint, value in pairs]
        self.like = like
        self.natural = natural
        self.names: tuple[str, ...] = tuple(name for name, _ in leaves(like))
        self._sizes = [
            constraint.size(value)
            for constraint, value in zip(self._used, values(like), strict=True)
        ]
        self.size = sum(self._sizes)

    def _collect(self, leaf: Any, constraint: Any) -> Any:
        if not isinstance(constraint, Constraint):
            raise TypeError(
                f"constraints() must hold a Constraint at every leaf of the parameters, "
                f"found {type(constraint).__name__}"
            )
        self._declared.append(constraint)
        return leaf

    def coordinate_names(self) -> list[str]:
        """The name of the leaf that each free coordinate belongs to."""
        return [
            name for name, size in zip(self.names, self._sizes, strict=True) for _ in range(size)
        ]

    def pack(self, params: Any) -> np.ndarray:
        """Free coordinates of `params`, shape (size,)."""
        parts = [
            constraint.pack(value)
            for constraint, value in zip(self._used, values(params), strict=True)
        ]
        return np.concatenate(parts) if parts else np.empty(0)

    def measure(self, params: Any) -> np.ndarray:
        """Coordinates of `params` in which lengths of steps mean something."""
        parts = [
            constraint.measure(value)
            for constraint, (_, value) in zip(self._used, leaves(params), strict=True)
        ]
        return np.concatenate(parts) if parts else np.empty(0)

    def unpack(self, vector: np.ndarray, like: Any = None) -> Any:
        """Parameters at the coordinates `vector`.

        Values that are not free, or whose coordinates are not finite, come from
        `like` (by default the parameters this space was made with).
        """
        stops = np.cumsum(self._sizes)
        pieces = iter(zip(self._used, stops - self._sizes, stops, strict=True))

        def value(leaf: Any) -> Any:
            constraint, begin, stop = next(pieces)
            new = constraint.unpack(vector[begin:stop], leaf)
            return new if isinstance(leaf, np.ndarray) else float(new)

        return zip_leaves(value, self.like if like is None else like)

    def holds(self, params: Any) -> bool:
        """Whether `params` are finite and satisfy the declared constraints."""
        return all(
            bool(np.all(np.isfinite(value))) and constraint.holds(value)
            for constraint, value in zip(self._declared, values(params), strict=True)
        )


def _natural(constraint: Constraint, value: Any) -> Constraint:
    """Real numbers, but for what the constraint keeps."""
    kept = constraint.kept(value)
    if kept.all():
        return Fixed()
    return Partly(Real(), ~kept) if kept.any() else Real()
