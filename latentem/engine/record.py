"""Python values as JSON and arrays, and back; no code, no pickle, nothing imported.

None, booleans, numbers, strings, arrays, tuples, lists, deques, dicts and enums go as they are;
an object goes as the name of its class and its attributes. Coming back, a name stands for a
class only if the reader, who holds like objects, brings that class along.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import numpy as np

__all__ = ["classes_in", "record", "restored", "siblings"]

Array = np.ndarray


def record(value: Any, arrays: dict[str, Array]) -> Any:
    """`value` as JSON; its arrays are put into `arrays` under new names.

    Raises
    ------
    TypeError
        For a function, a module or the like, which cannot be written down.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.generic):
        return record(value.item(), arrays)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        name = f"array{len(arrays)}"
        arrays[name] = np.asarray(value)
        return {"array": name}
    if isinstance(value, Enum):
        return {"enum": type(value).__name__, "member": value.name}
    if isinstance(value, tuple):
        kind = type(value).__name__ if hasattr(value, "_fields") else None
        return {"tuple": [record(part, arrays) for part in value], "class": kind}
    if isinstance(value, list):
        return [record(part, arrays) for part in value]
    if isinstance(value, deque):
        return {"deque": [record(part, arrays) for part in value], "maxlen": value.maxlen}
    if isinstance(value, dict):
        return {"dict": [[record(k, arrays), record(v, arrays)] for k, v in value.items()]}
    if not hasattr(value, "__dict__") or callable(value) or isinstance(value, type):
        raise TypeError(f"{value!r} is no value that a file can hold")
    parts = {name: record(part, arrays) for name, part in vars(value).items()}
    return {"object": parts, "class": type(value).__name__}


def restored(recorded: Any, arrays: Mapping[str, Array], known: Mapping[str, type]) -> Any:
    """The value that `record` wrote down.

    Raises
    ------
    ValueError
        For a class that is not known, or what `record` does not write.
    """
    if isinstance(recorded, list):
        return [restored(part, arrays, known) for part in recorded]
    if not isinstance(recorded, dict):
        return recorded
    try:
        if "float" in recorded:
            return float(recorded["float"])
        if "array" in recorded:
            return arrays[recorded["array"]]
        if "enum" in recorded:
            return _enum(known, recorded["enum"])[recorded["member"]]
        if "dict" in recorded:
            pairs = [[restored(p, arrays, known) for p in pair] for pair in recorded["dict"]]
            return {_hashable(key): value for key, value in pairs}
        if "deque" in recorded:
            parts = restored(recorded["deque"], arrays, known)
            return deque(parts, maxlen=recorded["maxlen"])
        kind = recorded["class"]
        if "tuple" in recorded:
            parts = restored(recorded["tuple"], arrays, known)
            return tuple(parts) if kind is None else _named_tuple(known, kind)(*parts)
        value: Any = object.__new__(known[kind])
        for name, part in recorded["object"].items():
            value.__dict__[name] = restored(part, arrays, known)
        return value
    except (KeyError, TypeError) as error:
        raise ValueError(f"it holds something that does not belong there ({error})") from None


def _named_tuple(known: Mapping[str, type], name: str) -> Any:
    if not hasattr(known[name], "_fields"):
        raise TypeError(f"{name} is no named tuple")
    return known[name]


def _enum(known: Mapping[str, type], name: str) -> Any:
    if not issubclass(known[name], Enum):
        raise TypeError(f"{name} is no enumeration")
    return known[name]


def _hashable(key: Any) -> Any:
    return tuple(key) if isinstance(key, list) else key


def classes_in(*values: Any) -> dict[str, type]:
    """The classes of the named tuples and objects within, by name."""
    return {kind.__name__: kind for value in values for kind in _classes(value)}


def _classes(value: Any) -> Iterator[type]:
    if value is None or isinstance(value, bool | int | float | str | np.ndarray | np.generic):
        return
    if isinstance(value, tuple | list | deque):
        if hasattr(value, "_fields"):
            yield type(value)
        for part in value:
            yield from _classes(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _classes(part)
    elif hasattr(value, "__dict__") and not callable(value):
        yield type(value)
        yield from _classes(vars(value))


def siblings(value: Any) -> dict[str, type]:
    """Classes of the modules in which the classes of an object are defined, by name."""
    found: dict[str, type] = {}
    for kind in reversed(type(value).__mro__[:-1]):
        module = vars(sys.modules[kind.__module__]) if kind.__module__ in sys.modules else {}
        found |= {
            name: one
            for name, one in module.items()
            if isinstance(one, type) and one.__module__.split(".")[0] not in ("builtins", "typing")
        }
    return found
