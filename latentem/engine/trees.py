"""Arithmetic on parameters and statistics: nested containers of float64 arrays.

A tree is a ``NamedTuple`` or plain tuple of trees, a numpy array, a float,
``None`` (nothing there), or a `Statistic` that knows how to merge itself.
Anything else raises ``TypeError``: a list or a dict that slipped in would
otherwise be concatenated or ignored, and the fit would be wrong in silence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

__all__ = [
    "Statistic",
    "add",
    "allfinite",
    "check",
    "leaves",
    "rebuild",
    "scale",
    "values",
    "zip_leaves",
]

_LEAVES = (np.ndarray, float, int, np.floating, np.integer)


class Statistic(ABC):
    """A node of a statistics tree that does not add leaf by leaf."""

    @abstractmethod
    def merge(self, other: Any) -> Any:
        """The statistic of both sets of rows together."""

    @abstractmethod
    def scaled(self, factor: float) -> Any:
        """The statistic of the same rows, each counted `factor` times."""


def rebuild(node: tuple, children: list) -> tuple:
    """A tuple of the type of `node` (a NamedTuple class or ``tuple``) with new children."""
    kind = type(node)
    return kind(*children) if hasattr(node, "_fields") else tuple(children)


def _unknown(node: Any) -> TypeError:
    return TypeError(
        f"a tree holds NamedTuples, tuples, numpy arrays, floats, None or Statistic nodes, "
        f"but found {type(node).__name__}; make it one of these (a list becomes an array)"
    )


def check(tree: Any) -> None:
    """TypeError for a tree that holds anything else than a tree may."""
    if isinstance(tree, tuple):
        for child in tree:
            check(child)
    elif tree is not None and not isinstance(tree, (*_LEAVES, Statistic)):
        raise _unknown(tree)


def add(a: Any, b: Any) -> Any:
    """The sum of two trees of the same structure."""
    if isinstance(a, _LEAVES):
        if not isinstance(b, _LEAVES):
            raise _mismatch(a, b)
        if isinstance(a, np.ndarray) and np.shape(b) != a.shape:
            raise TypeError(f"cannot add arrays of shapes {a.shape} and {np.shape(b)}")
        return a + b
    if type(a) is not type(b):
        raise _mismatch(a, b)
    if a is None:
        return None
    if isinstance(a, Statistic):
        return a.merge(b)
    if isinstance(a, tuple):
        if len(a) != len(b):
            raise TypeError(f"cannot add tuples of lengths {len(a)} and {len(b)}")
        return rebuild(a, [add(x, y) for x, y in zip(a, b, strict=True)])
    raise _unknown(a)


def _mismatch(a: Any, b: Any) -> TypeError:
    return TypeError(
        f"cannot add {type(a).__name__} and {type(b).__name__}: the blocks of one fit must "
        "return statistics of one structure"
    )


def scale(tree: Any, factor: float) -> Any:
    """The tree with every additive leaf multiplied by `factor`."""
    if tree is None:
        return None
    if isinstance(tree, Statistic):
        return tree.scaled(factor)
    if isinstance(tree, _LEAVES):
        return tree * factor
    if isinstance(tree, tuple):
        return rebuild(tree, [scale(child, factor) for child in tree])
    raise _unknown(tree)


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Pairs of a dotted name and a leaf, in order; ``None`` has no leaves."""
    if tree is None:
        return
    if isinstance(tree, _LEAVES):
        yield name, tree
    elif isinstance(tree, tuple):
        fields = getattr(tree, "_fields", None) or [str(i) for i in range(len(tree))]
        for field, child in zip(fields, tree, strict=True):
            yield from leaves(child, f"{name}.{field}" if name else field)
    else:
        raise _unknown(tree)


def values(tree: Any) -> list[Any]:
    """The leaves, in order, without their names."""
    found: list[Any] = []
    _collect(tree, found)
    return found


def _collect(tree: Any, found: list[Any]) -> None:
    if isinstance(tree, tuple):
        for child in tree:
            _collect(child, found)
    elif isinstance(tree, _LEAVES):
        found.append(tree)
    elif tree is not None:
        raise _unknown(tree)


def zip_leaves(function: Callable[..., Any], like: Any, *others: Any) -> Any:
    """Apply `function` to each leaf of `like` and the nodes at its place in `others`."""
    if like is None:
        return None
    if isinstance(like, _LEAVES):
        return function(like, *others)
    if isinstance(like, tuple):
        for other in others:
            if not isinstance(other, tuple) or len(other) != len(like):
                raise TypeError(
                    f"expected the structure of {type(like).__name__}{_fields(like)}, "
                    f"found {type(other).__name__}"
                )
        children = [zip_leaves(function, *nodes) for nodes in zip(like, *others, strict=True)]
        return rebuild(like, children)
    raise _unknown(like)


def _fields(node: tuple) -> str:
    return str(getattr(node, "_fields", ""))


def allfinite(tree: Any) -> bool:
    """Whether every number in a tree of parameters is finite."""
    return all(bool(np.all(np.isfinite(leaf))) for leaf in values(tree))
