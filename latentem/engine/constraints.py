"""Where a parameter may live, and the map from there to the whole real line.

Each leaf of a parameter tree has one `Constraint`, acting on its trailing axes.
``pack`` sends a value to unconstrained coordinates, ``unpack`` back; values
that are fixed, and structural zeros, are not in the vector and come from
``like``. Acceleration and standard errors work on the packed vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from latentem.engine.constraint import Constraint
from latentem.engine.log_contrasts import composition, log_contrasts

__all__ = [
    "Bounded",
    "Constraint",
    "Equal",
    "Fixed",
    "Partly",
    "Positive",
    "PositiveDefinite",
    "Real",
    "Simplex",
    "Simplices",
]

Array = np.ndarray
#: A probability below this lies on its boundary.
EDGE = 1e-8


class Real(Constraint):
    """Any real number."""

    def size(self, like: Array) -> int:
        return int(np.size(like))

    def pack(self, value: Array) -> Array:
        return np.array(value, dtype=float).ravel()

    def unpack(self, flat: Array, like: Array) -> Array:
        return np.reshape(flat, np.shape(like))

    def holds(self, value: Array) -> bool:
        return bool(np.all(np.isfinite(value)))


class Positive(Constraint):
    """Positive numbers, by their logarithm.

    0 is on the boundary, where EM may end (the rate of a column of zeros): `holds`
    allows it, and its coordinate is minus infinity.
    """

    def size(self, like: Array) -> int:
        return int(np.size(like))

    def pack(self, value: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(np.array(value, dtype=float)).ravel()

    def unpack(self, flat: Array, like: Array) -> Array:
        with np.errstate(over="ignore"):
            value = np.reshape(np.exp(flat), np.shape(like))
        return np.where(np.isfinite(value), value, like)

    def holds(self, value: Array) -> bool:
        value = np.asarray(value)
        return bool(np.all(value >= 0) and np.all(np.isfinite(value)))

    def limits(self, value: Array) -> tuple[Array, Array]:
        return np.zeros(np.shape(value)), np.full(np.shape(value), np.inf)

    def at_edge(self, value: Array) -> Array:
        return np.asarray(value) <= 0


class Bounded(Constraint):
    """Numbers strictly between `low` and `high`, by the logit.

    Parameters
    ----------
    low, high : float
        Finite bounds, low < high.
    """

    def __init__(self, low: float, high: float):
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise ValueError(f"Bounded needs finite bounds with low < high, got {low} and {high}")
        self.low, self.high = float(low), float(high)

    def size(self, like: Array) -> int:
        return int(np.size(like))

    def pack(self, value: Array) -> Array:
        value = np.array(value, dtype=float).ravel()
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(value - self.low) - np.log(self.high - value)

    def measure(self, value: Array) -> Array:
        share = (np.array(value, dtype=float).ravel() - self.low) / (self.high - self.low)
        return 2 * np.arcsin(np.sqrt(np.clip(share, 0.0, 1.0)))

    def unpack(self, flat: Array, like: Array) -> Array:
        with np.errstate(over="ignore"):
            share = 1.0 / (1.0 + np.exp(-np.asarray(flat)))
        return np.reshape(self.low + (self.high - self.low) * share, np.shape(like))

    def holds(self, value: Array) -> bool:
        value = np.asarray(value)
        return bool(np.all(value >= self.low) and np.all(value <= self.high))

    def limits(self, value: Array) -> tuple[Array, Array]:
        return np.full(np.shape(value), self.low), np.full(np.shape(value), self.high)

    def at_edge(self, value: Array) -> Array:
        share = (np.asarray(value, dtype=float) - self.low) / (self.high - self.low)
        return (share < EDGE) | (share > 1 - EDGE)


class Simplex(Constraint):
    """Non-negative numbers that sum to 1 along the last axis.

    Coordinates are orthonormal log-contrasts (isometric log-ratios; Egozcue et
    al. 2003, doi:10.1023/A:1023818214614), one fewer than the free entries.

    Parameters
    ----------
    free : bool array, optional
        Entries that may move, in the shape of the value. The others (structural
        zeros, fixed probabilities) keep the value of ``like``, and the free
        entries of a row share what they leave over.
    """

    def __init__(self, free: Array | None = None):
        self.free = None if free is None else np.asarray(free, dtype=bool)

    def _rows(self, value: Array) -> tuple[Array, Array]:
        rows = np.atleast_2d(np.asarray(value, dtype=float))
        rows = rows.reshape(-1, rows.shape[-1])
        if self.free is None:
            return rows, np.ones(rows.shape, dtype=bool)
        return rows, np.broadcast_to(self.free, np.shape(value)).reshape(rows.shape)

    def size(self, like: Array) -> int:
        _, free = self._rows(like)
        return int(np.maximum(free.sum(axis=1) - 1, 0).sum())

    def pack(self, value: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.free is None:
                return log_contrasts(np.log(value)).ravel()
            rows, free = self._rows(value)
            logs = np.log(rows)
            parts = [log_contrasts(row[keep]) for row, keep in zip(logs, free, strict=True)]
        return np.concatenate(parts) if parts else np.empty(0)

    def measure(self, value: Array) -> Array:
        """Twice the roots of the free entries: Euclidean in these is Fisher's metric."""
        value = np.asarray(value, dtype=float)
        free = value if self.free is None else value[np.broadcast_to(self.free, value.shape)]
        return 2 * np.sqrt(free.ravel())

    def unpack(self, flat: Array, like: Array) -> Array:
        rows, free = self._rows(like)
        if self.free is None:
            flat = np.reshape(flat, (rows.shape[0], rows.shape[1] - 1))
            out = composition(flat, rows.shape[1])
            lost = ~np.isfinite(out).all(axis=1)
            if lost.any():
                out[lost] = rows[lost]
            return np.reshape(out, np.shape(like))
        out, used = rows.copy(), 0
        for row, keep in zip(out, free, strict=True):
            count = int(keep.sum())
            if count > 1:
                mass = 1.0 - row[~keep].sum()
                shares = composition(flat[used : used + count - 1], count)
                if np.isfinite(shares).all():
                    row[keep] = mass * shares
                used += count - 1
        return np.reshape(out, np.shape(like))

    def holds(self, value: Array) -> bool:
        value = np.asarray(value)
        return bool(np.all(value >= 0) and np.allclose(value.sum(axis=-1), 1.0, atol=1e-8))

    def kept(self, like: Array) -> Array:
        return ~np.broadcast_to(True if self.free is None else self.free, np.shape(like))

    def limits(self, value: Array) -> tuple[Array, Array]:
        taken = np.where(self.kept(value), value, 0.0).sum(axis=-1, keepdims=True)
        return np.zeros(np.shape(value)), np.broadcast_to(1.0 - taken, np.shape(value))

    def at_edge(self, value: Array) -> Array:
        free = ~self.kept(value)
        return free & (free.sum(axis=-1, keepdims=True) > 1) & (np.asarray(value) < EDGE)

    def holding(self, held: Array) -> Simplex:
        return Simplex(~self.kept(held) & ~held) if held.any() else self


class Simplices(Constraint):
    """Several simplices side by side along the last axis.

    Parameters
    ----------
    sizes : int or tuple of int
        Lengths of the pieces, each of which is non-negative and sums to 1; an
        integer is the length of every piece.
    free : bool array, optional
        Entries that may move, in the shape of the value, as in `Simplex`.

    Examples
    --------
    >>> Simplices((2, 3)).size(np.array([0.5, 0.5, 0.2, 0.3, 0.5]))
    3
    """

    def __init__(self, sizes: int | tuple[int, ...], free: Array | None = None):
        self.sizes = int(sizes) if isinstance(sizes, int | np.integer) else tuple(sizes)
        self.free = None if free is None else np.asarray(free, dtype=bool)

    def _cut(self, value: Array) -> list[Array]:
        if isinstance(self.sizes, int):
            return [value.reshape(*value.shape[:-1], -1, self.sizes)]
        if value.shape[-1] != sum(self.sizes):
            raise ValueError(
                f"pieces of sizes {self.sizes} make {sum(self.sizes)} numbers, "
                f"not {value.shape[-1]}"
            )
        return np.split(value, np.cumsum(self.sizes)[:-1], axis=-1)

    def _pieces(self, value: Array) -> list[tuple[Simplex, Array]]:
        value = np.asarray(value, dtype=float)
        pieces = self._cut(value)
        if self.free is None:
            return [(Simplex(), piece) for piece in pieces]
        free = self._cut(np.broadcast_to(self.free, value.shape))
        return [(Simplex(part), piece) for part, piece in zip(free, pieces, strict=True)]

    def size(self, like: Array) -> int:
        return sum(simplex.size(piece) for simplex, piece in self._pieces(like))

    def pack(self, value: Array) -> Array:
        return np.concatenate([simplex.pack(piece) for simplex, piece in self._pieces(value)])

    def measure(self, value: Array) -> Array:
        return np.concatenate([simplex.measure(piece) for simplex, piece in self._pieces(value)])

    def unpack(self, flat: Array, like: Array) -> Array:
        out, used = [], 0
        for simplex, piece in self._pieces(like):
            size = simplex.size(piece)
            new = simplex.unpack(flat[used : used + size], piece)
            out.append(new.reshape(*np.shape(like)[:-1], -1))
            used += size
        return np.concatenate(out, axis=-1)

    def holds(self, value: Array) -> bool:
        return all(simplex.holds(piece) for simplex, piece in self._pieces(value))

    def kept(self, like: Array) -> Array:
        return ~np.broadcast_to(True if self.free is None else self.free, np.shape(like))

    def limits(self, value: Array) -> tuple[Array, Array]:
        lows, highs = zip(*(simplex.limits(x) for simplex, x in self._pieces(value)), strict=True)
        return self._joined(lows, value), self._joined(highs, value)

    def at_edge(self, value: Array) -> Array:
        return self._joined([simplex.at_edge(x) for simplex, x in self._pieces(value)], value)

    def holding(self, held: Array) -> Simplices:
        free = True if self.free is None else self.free
        return Simplices(self.sizes, free & ~held) if held.any() else self

    @staticmethod
    def _joined(pieces: Sequence[Array], like: Array) -> Array:
        shape = np.shape(like)[:-1]
        return np.concatenate([piece.reshape(*shape, -1) for piece in pieces], axis=-1)


@cache
def _triangle(d: int) -> tuple[Array, Array, Array]:
    """Rows and columns of the lower triangle, row by row, and the places of the diagonal."""
    rows, columns = np.tril_indices(d)
    return rows, columns, np.flatnonzero(rows == columns)


class PositiveDefinite(Constraint):
    """Symmetric positive definite matrices on the last two axes.

    Coordinates are the lower triangle of the Cholesky factor, row by row, with
    the logarithm of its diagonal. A matrix that is singular has NaN for its own.
    """

    def size(self, like: Array) -> int:
        d = np.shape(like)[-1]
        return int(np.size(like)) // (d * d) * (d * (d + 1) // 2)

    def pack(self, value: Array) -> Array:
        d = np.shape(value)[-1]
        matrices = np.asarray(value, dtype=float).reshape(-1, d, d)
        try:
            factor = np.linalg.cholesky(matrices)
        except np.linalg.LinAlgError:
            if len(matrices) == 1:
                return np.full(self.size(value), np.nan)
            return np.concatenate([self.pack(matrix) for matrix in matrices])
        rows, columns, diagonal = _triangle(d)
        flat = factor[:, rows, columns]
        flat[:, diagonal] = np.log(flat[:, diagonal])
        return flat.ravel()

    def unpack(self, flat: Array, like: Array) -> Array:
        d = np.shape(like)[-1]
        rows, columns, diagonal = _triangle(d)
        factor = np.zeros((int(np.size(like)) // (d * d), d, d))
        flat = np.array(flat).reshape(factor.shape[0], -1)
        with np.errstate(over="ignore", invalid="ignore"):
            flat[:, diagonal] = np.exp(flat[:, diagonal])
            factor[:, rows, columns] = flat
            product = factor @ factor.transpose(0, 2, 1)
        product = 0.5 * (product + product.transpose(0, 2, 1))
        lost = ~np.isfinite(product).all(axis=(1, 2))
        if lost.any():
            product[lost] = np.reshape(like, product.shape)[lost]
        return np.reshape(product, np.shape(like))

    def holds(self, value: Array) -> bool:
        value = np.asarray(value)
        if not np.allclose(value, np.swapaxes(value, -1, -2)):
            return False
        try:
            np.linalg.cholesky(value)
        except np.linalg.LinAlgError:
            return False
        return True

    def limits(self, value: Array) -> tuple[Array, Array]:
        own = np.eye(np.shape(value)[-1], dtype=bool)
        low = np.where(own, 0.0, -np.inf)
        return np.broadcast_to(low, np.shape(value)), np.full(np.shape(value), np.inf)

    def at_edge(self, value: Array) -> Array:
        value = np.asarray(value, dtype=float)
        singular = [np.isnan(self.pack(one)).any() for one in value.reshape(-1, *value.shape[-2:])]
        return np.broadcast_to(np.reshape(singular, (*value.shape[:-2], 1, 1)), value.shape)


class Partly(Constraint):
    """A value some of whose components, or entries, EM must not move.

    Parameters
    ----------
    constraint : Constraint
        What the others are.
    free : bool array
        Which may move: of the first axis, or of more axes.

    Examples
    --------
    >>> Partly(Positive(), np.array([True, False])).size(np.ones((2, 3)))
    3
    """

    def __init__(self, constraint: Constraint, free: Array):
        self.constraint, self.free = constraint, np.asarray(free, dtype=bool)

    def size(self, like: Array) -> int:
        return self.constraint.size(np.asarray(like)[self.free])

    def pack(self, value: Array) -> Array:
        return self.constraint.pack(np.asarray(value, dtype=float)[self.free])

    def measure(self, value: Array) -> Array:
        return self.constraint.measure(np.asarray(value, dtype=float)[self.free])

    def unpack(self, flat: Array, like: Array) -> Array:
        out = np.array(like, dtype=float)
        out[self.free] = self.constraint.unpack(flat, out[self.free])
        return out

    def holds(self, value: Array) -> bool:
        return self.constraint.holds(value)

    def kept(self, like: Array) -> Array:
        out = np.ones(np.shape(like), dtype=bool)
        out[self.free] = self.constraint.kept(np.asarray(like)[self.free])
        return out

    def limits(self, value: Array) -> tuple[Array, Array]:
        value = np.asarray(value, dtype=float)
        low, high = np.full(value.shape, -np.inf), np.full(value.shape, np.inf)
        low[self.free], high[self.free] = self.constraint.limits(value[self.free])
        return low, high

    def at_edge(self, value: Array) -> Array:
        out = np.zeros(np.shape(value), dtype=bool)
        out[self.free] = self.constraint.at_edge(np.asarray(value, dtype=float)[self.free])
        return out

    def holding(self, held: Array) -> Partly:
        return Partly(self.constraint.holding(held[self.free]), self.free)


class Equal(Constraint):
    """A value that is the same for all components of a group.

    Parameters
    ----------
    constraint : Constraint
        What the value of a group is.
    groups : (K,) int array
        Group 0, 1, ... of each component, the first axis.

    Examples
    --------
    >>> rates = np.array([[2.0], [5.0], [2.0]])
    >>> Equal(Positive(), np.array([0, 1, 0])).size(rates)
    2
    """

    def __init__(self, constraint: Constraint, groups: Array):
        self.constraint, self.groups = constraint, np.asarray(groups, dtype=np.intp)
        self.first = np.unique(self.groups, return_index=True)[1]

    def size(self, like: Array) -> int:
        return self.constraint.size(np.asarray(like)[self.first])

    def pack(self, value: Array) -> Array:
        return self.constraint.pack(np.asarray(value, dtype=float)[self.first])

    def measure(self, value: Array) -> Array:
        return self.constraint.measure(np.asarray(value, dtype=float)[self.first])

    def unpack(self, flat: Array, like: Array) -> Array:
        like = np.asarray(like, dtype=float)
        return self.constraint.unpack(flat, like[self.first])[self.groups]

    def holds(self, value: Array) -> bool:
        value = np.asarray(value)
        same = np.array_equal(value, value[self.first][self.groups])
        return same and self.constraint.holds(value[self.first])

    def kept(self, like: Array) -> Array:
        return self.constraint.kept(np.asarray(like)[self.first])[self.groups]

    def limits(self, value: Array) -> tuple[Array, Array]:
        low, high = self.constraint.limits(np.asarray(value)[self.first])
        return low[self.groups], high[self.groups]

    def at_edge(self, value: Array) -> Array:
        return self.constraint.at_edge(np.asarray(value)[self.first])[self.groups]

    def holding(self, held: Array) -> Equal:
        return Equal(self.constraint.holding(held[self.first]), self.groups)


class Fixed(Constraint):
    """A value that EM must not move."""

    def size(self, like: Array) -> int:
        return 0

    def pack(self, value: Array) -> Array:
        return np.empty(0)

    def unpack(self, flat: Array, like: Array) -> Array:
        return like

    def holds(self, value: Array) -> bool:
        return True

    def kept(self, like: Array) -> Array:
        return np.ones(np.shape(like), dtype=bool)
