"""What families share that can keep values and have a prior: `fixed`, `prior`, and the order."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from latentem.engine.constraints import Constraint, Fixed, Partly
from latentem.engine.family import Family

__all__ = ["HeldFamily", "entries_kept", "stay"]

Array = np.ndarray
#: Of a group: all of it is kept, or a bool array of what is.
Kept = bool | Array


def entries_kept(fixed: Any, groups: Sequence[str]) -> dict[str, Kept]:
    """The argument `fixed` as a dict of what is kept: True, or a bool array.

    A tuple of names, or a dict of names with True or a bool array.
    """
    if not isinstance(fixed, list | tuple | Mapping) or set(fixed) - set(groups):
        unknown = fixed if isinstance(fixed, str) else sorted(map(str, set(fixed) - set(groups)))
        raise ValueError(f"fixed knows {' and '.join(map(repr, groups))}, got {unknown}")
    given = dict(fixed) if isinstance(fixed, Mapping) else dict.fromkeys(fixed, True)
    found: dict[str, Kept] = {}
    for group, value in given.items():
        if isinstance(value, bool | np.bool_):
            if value:
                found[group] = True
            continue
        try:
            kept = np.asarray(value)
        except ValueError:
            raise ValueError(f"fixed[{group!r}] has rows of different lengths") from None
        if kept.ndim == 0 or kept.dtype.kind not in "biuf" or not np.isin(kept, (0, 1)).all():
            raise ValueError(
                f"fixed[{group!r}] must be True, or an array with True or 1 where a value is kept, "
                f"got {value!r}"
            )
        if kept.any():
            found[group] = kept.astype(bool)
    return found


def stay(kept: Kept | None, new: Array, old: Array) -> Array:
    """`new`, with the `old` values of components, or entries, that are kept."""
    if kept is None:
        return new
    if isinstance(kept, bool):
        return old
    return np.where(kept.reshape(kept.shape + (1,) * (np.ndim(new) - kept.ndim)), old, new)


class HeldFamily(Family):
    """A family whose groups of parameters can be kept, wholly or in part, and have a prior."""

    #: Names of the groups of parameters, each a leaf with the components first.
    groups: ClassVar[tuple[str, ...]]
    #: The class of its prior.
    prior_type: ClassVar[type | None] = None
    kept: dict[str, Kept]
    prior: Any = None

    def _hold(self, fixed: Any, prior: Any = None) -> None:
        self.kept = entries_kept(fixed, self.groups)
        self.fixed = tuple(self.kept)
        wanted = self.prior_type
        if not (prior is None or wanted is None or isinstance(prior, wanted)):
            raise TypeError(
                f"the prior of {type(self).__name__} is a {wanted.__name__}, got {prior!r}"
            )
        self.prior = prior

    def _arguments(self) -> list[str]:
        """`fixed` and `prior` as in the constructor, where there are any."""
        found = []
        if self.kept:
            whole = all(kept is True for kept in self.kept.values())
            found.append(f"fixed={tuple(self.kept) if whole else self.kept!r}")
        if self.prior is not None:
            found.append(f"prior={self.prior!r}")
        return found

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._arguments())})"

    def _constraint(self, group: str, constraint: Constraint) -> Constraint:
        kept = self.kept.get(group)
        if kept is None:
            return constraint
        return Fixed() if kept is True or np.all(kept) else Partly(constraint, ~np.asarray(kept))

    def check_components(self, n_components: int) -> None:
        for group, kept in self.kept.items():
            if kept is not True and len(np.asarray(kept)) != n_components:
                raise ValueError(
                    f"fixed[{group!r}] has {len(np.asarray(kept))} entries, one for each component,"
                    f" and there are {n_components}"
                )
        if hasattr(self.prior, "check"):
            self.prior.check(k=n_components)

    def reordered(self, order: Array) -> Self:
        other = copy.copy(self)
        other.kept = {
            group: kept if kept is True else np.asarray(kept)[order]
            for group, kept in self.kept.items()
        }
        if hasattr(self.prior, "reordered"):
            other.prior = self.prior.reordered(order)
        return other

    def check(self, X: Array) -> None:
        """Also refuses a prior, or kept entries, of another number of columns."""
        self._check_columns(np.shape(X)[1])

    def _check_columns(self, width: int) -> None:
        if hasattr(self.prior, "check"):
            self.prior.check(width=width)
        for group, kept in self.kept.items():
            if np.ndim(kept) > 2 or (np.ndim(kept) == 2 and np.shape(kept)[1] != width):
                raise ValueError(
                    f"fixed[{group!r}] has shape {np.shape(kept)}: give True or False for each "
                    f"component, or for each of its {width} entries"
                )

    def log_prior(self, params: Any) -> float:
        kept = self.kept.get(self.groups[0])
        if self.prior is None or kept is True:
            return 0.0
        values = params[0]
        everything = np.ones(np.shape(values), dtype=bool)
        free = None if kept is None else stay(kept, everything, ~everything)
        return self.prior.log_density(values, free)
