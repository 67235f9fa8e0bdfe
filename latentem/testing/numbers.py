"""Comparing nested values: bit for bit, or up to the rounding of a sum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from latentem.engine.moments import Moments

__all__ = ["REGROUPED", "changed", "gap", "numbers", "shares_memory"]

#: Relative difference allowed between sums taken in another order.
SUMS = 1e-8
#: The same where only rows that count for nothing have moved: families may sort their rows.
REGROUPED = 1e-12


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Every array and number inside a value, with a dotted name.

    Looks into containers and the attributes of objects. Means of `Moments` of
    weight 0 count as 0, because they may be anything.
    """
    if isinstance(value, np.ndarray | np.generic | float | int):
        if not isinstance(value, np.ndarray) or value.dtype != object:
            yield name, np.asarray(value)
            return
        value = list(value)
    if isinstance(value, Moments):
        weight = value.weight if value.weight.ndim == 2 else value.weight[:, None]
        weight = np.broadcast_to(weight, value.mean.shape)  # whether or not cells are missing
        mean = np.where(weight > 0, value.mean, 0.0)
        children: Any = {"weight": weight, "mean": mean, "scatter": value.scatter}
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        children = dict(zip(value._fields, value, strict=True))
    elif isinstance(value, tuple | list):
        children = {str(i): child for i, child in enumerate(value)}
    elif isinstance(value, dict):
        children = value
    else:
        children = getattr(value, "__dict__", {})
    for key, child in children.items():
        yield from numbers(child, f"{name}.{key}" if name else str(key))


def changed(before: Any, after: Any) -> str | None:
    """Name of the first number that is not the same, bit for bit; None if all are."""
    old, new = list(numbers(before)), list(numbers(after))
    if [name for name, _ in old] != [name for name, _ in new]:
        return "the structure"
    for (name, a), (_, b) in zip(old, new, strict=True):
        same = a.dtype == b.dtype and a.shape == b.shape
        if not (same and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")):
            return name or "the value"
    return None


def gap(a: Any, b: Any, relative: float = SUMS) -> str | None:
    """Where two values differ by more than rounding, in words; None if nowhere.

    Each number may differ by `relative` times its own size plus a tenth of that
    times the size of the largest number of its array.
    """
    first, second = list(numbers(a)), list(numbers(b))
    if [name for name, _ in first] != [name for name, _ in second]:
        return "they have different structures"
    for (name, x), (_, y) in zip(first, second, strict=True):
        name = name or "the value"
        if x.shape != y.shape:
            return f"{name} has shapes {x.shape} and {y.shape}"
        if not x.size:
            continue
        x, y = x.astype(float), y.astype(float)
        size = np.abs(x) + np.abs(y)
        finite = size[np.isfinite(size)]
        allowed = relative * (size + 0.1 * (finite.max() if finite.size else 0.0))
        with np.errstate(invalid="ignore"):
            bad = ~((np.abs(x - y) <= allowed) | (x == y))
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            where = f"{name}{list(at)}" if at else name
            return f"{where} is {x[at]:.12g} and {y[at]:.12g}"
    return None


def shares_memory(array: np.ndarray, value: Any) -> str | None:
    """Name of an array inside `value` that shares memory with `array`; None if none does."""
    for name, other in numbers(value):
        if np.may_share_memory(array, other) and np.shares_memory(array, other):
            return name or "the value"
    return None
