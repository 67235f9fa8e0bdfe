"""What a linear operator is to a reconstruction, and the operators of others made one.

An operator A maps an image x to expected data ``A x``; its adjoint maps data back. All its
entries are non-negative. `parts` cuts the data into pieces, so that threads and ordered
subsets have something to share out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

__all__ = ["Matrix", "Operator", "as_numbers", "as_operator", "resolved", "rows_of"]

Array = np.ndarray
#: Relative difference of <A x, y> and <x, A' y> above which they are not of one operator.
UNEQUAL = 1e-6
#: Share of the largest value below which a value is rounding of a transform.
RESOLUTION = 1e-15
#: The same, for arithmetic that is not known.
NEGATIVE = 1e-6


class Operator(ABC):
    """A linear map with non-negative entries, from images to data.

    Write ``forward`` and ``adjoint``; ``parts`` too where the data can be cut.

    Attributes
    ----------
    image_shape, data_shape : tuple of int
    """

    image_shape: tuple[int, ...]
    data_shape: tuple[int, ...]

    @abstractmethod
    def forward(self, image: Array) -> Array:
        """A x, of shape `data_shape`."""

    @abstractmethod
    def adjoint(self, data: Array) -> Array:
        """A' y, of shape `image_shape`."""

    @property
    def size(self) -> int:
        """Multiplications of a product, about; blocks of the data are cut by it."""
        return 0

    def parts(self, n: int, interleaved: bool = False) -> list[tuple[Operator, Any]]:
        """Operators for n pieces of the data, each with the index of its piece.

        Parameters
        ----------
        n : int
        interleaved : bool
            Piece k takes every n-th measurement from the k-th on, so that each is a small
            copy of the whole; else measurements that follow each other.

        Raises
        ------
        ValueError
            Where the data cannot be cut.
        """
        if n != 1:
            raise ValueError(
                f"{type(self).__name__} cannot be cut into {n} parts: use subsets=1, or an "
                "operator that can be cut (a matrix, ParallelBeam)"
            )
        return [(self, ...)]

    def outside(self) -> Array | None:
        """Pixels that are no part of the image, as a mask; None where all are."""
        return None

    def crop(self, image: Array) -> Array:
        """The part of an image that is shown: all of it, unless it goes on at its borders."""
        return image

    def extend(self, image: Array) -> Array:
        """An image that `crop` would cut to this one."""
        return image


class Matrix(Operator):
    """A matrix, one row for each measurement and one column for each pixel.

    Parameters
    ----------
    matrix : (m, n) array or scipy sparse matrix
        No entry is negative.
    image_shape : tuple of int, optional
        Shape of the image whose pixels the columns are, in C order; default (n,).
    data_shape : tuple of int, optional
        Shape of the data whose measurements the rows are, in C order; default (m,).

    Examples
    --------
    >>> import numpy as np
    >>> from latentem.operators import Matrix
    >>> sums = Matrix([[1, 1, 0, 0], [0, 0, 1, 1]], image_shape=(2, 2))
    >>> sums.forward(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([3., 7.])
    """

    def __init__(
        self,
        matrix: Any,
        image_shape: tuple[int, ...] | None = None,
        data_shape: tuple[int, ...] | None = None,
    ):
        matrix = _checked(matrix)
        m, n = matrix.shape
        self._take(matrix, tuple(image_shape or (n,)), tuple(data_shape or (m,)))
        for name, shape, size, what in (
            ("image_shape", self.image_shape, n, "columns"),
            ("data_shape", self.data_shape, m, "rows"),
        ):
            if np.prod(shape, dtype=int) != size:
                raise ValueError(f"{name} {shape} does not hold the {size} {what} of the matrix")

    def _take(self, matrix: Any, image_shape: tuple[int, ...], data_shape: tuple[int, ...]) -> None:
        self.matrix, self.image_shape, self.data_shape = matrix, image_shape, data_shape
        self._transposed = matrix.T  # scipy checks a matrix anew whenever it is transposed

    @property
    def size(self) -> int:
        return int(self.matrix.nnz if sparse.issparse(self.matrix) else self.matrix.size)

    def forward(self, image: Array) -> Array:
        return (self.matrix @ image.ravel()).reshape(self.data_shape)

    def adjoint(self, data: Array) -> Array:
        return (self._transposed @ data.ravel()).reshape(self.image_shape)

    def parts(self, n: int, interleaved: bool = False) -> list[tuple[Operator, Any]]:
        if n == 1:
            return [(self, ...)]
        m = self.matrix.shape[0]
        if n > m:
            raise ValueError(f"{m} rows of the operator cannot make {n} parts")
        found: list[tuple[Operator, Any]] = []
        for k in range(n):
            here = slice(k, None, n) if interleaved else slice(m * k // n, m * (k + 1) // n)
            part = Matrix.__new__(Matrix)
            rows = rows_of(self.matrix, here)
            part._take(rows, self.image_shape, (rows.shape[0],))
            found.append((part, np.unravel_index(np.arange(m)[here], self.data_shape)))
        return found


def rows_of(matrix: Any, rows: slice) -> Any:
    """Rows of a matrix; of a sparse one without copying, where they follow each other."""
    if not sparse.issparse(matrix) or rows.step is not None:
        return matrix[rows]
    first = matrix.indptr[rows.start : rows.stop + 1]
    here = slice(first[0], first[-1])
    shape = (rows.stop - rows.start, matrix.shape[1])
    part = sparse.csr_array(shape, dtype=float)
    part.data, part.indices, part.indptr = matrix.data[here], matrix.indices[here], first - first[0]
    return part


def _checked(matrix: Any) -> Any:
    """A float64 array or CSR array; ValueError for entries that no operator has."""
    if sparse.issparse(matrix):
        matrix = sparse.csr_array(matrix, dtype=float)
        entries, where = matrix.data, None
    else:
        matrix = np.ascontiguousarray(matrix, dtype=float)
        entries, where = matrix, matrix
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(
            f"operator has shape {matrix.shape}: it is a matrix with a row for each measurement "
            "and a column for each pixel"
        )
    for wrong, what in ((~np.isfinite(entries), "infinite or NaN"), (entries < 0, "negative")):
        if wrong.any():
            if where is None:
                at = int(np.argmax(wrong))
                row = int(np.searchsorted(matrix.indptr, at, side="right")) - 1
                column, value = int(matrix.indices[at]), entries[at]
            else:
                row, column = (int(i) for i in np.argwhere(wrong)[0])
                value = where[row, column]
            raise ValueError(
                f"operator[{row}, {column}] is {value:g}: entries are never {what}, they are "
                "shares of a pixel that a measurement sees"
            )
    return matrix


class _Foreign(Operator):
    """Functions of others: a LinearOperator, or an object with forward and adjoint."""

    def __init__(self, forward: Any, adjoint: Any, data_shape: tuple[int, ...], name: str):
        self._forward, self._adjoint, self.name = forward, adjoint, name
        self.data_shape = data_shape
        back = np.asarray(self._call(adjoint, np.ones(data_shape), "adjoint"), dtype=float)
        self.image_shape = back.shape
        self._refuse(back)

    def _call(self, function: Any, values: Array, what: str) -> Any:
        try:
            return function(values)
        except Exception as error:
            raise ValueError(
                f"{what} of {self.name} does not take an array of shape {values.shape}, so "
                f"operator and data do not match: {error}"
            ) from error

    def _refuse(self, back: Array) -> None:
        """ValueError where it is no operator, or not the adjoint, as far as two products tell."""
        rng = np.random.default_rng(0)
        image = rng.random(self.image_shape)
        data = np.asarray(self._call(self._forward, image, "forward"), dtype=float)
        if data.shape != self.data_shape:
            raise ValueError(
                f"forward of {self.name} gives shape {data.shape}, and the data have "
                f"{self.data_shape}: operator and data do not match"
            )
        for values, what in ((back, "adjoint"), (data, "forward")):
            if not np.all(np.isfinite(values)):
                raise ValueError(f"{what} of {self.name} makes NaN or infinity of finite numbers")
            self._positive(values, what)
        other = rng.random(self.data_shape)
        one = float(np.vdot(data, other))
        two = float(np.vdot(image, np.asarray(self._adjoint(other), dtype=float)))
        if abs(one - two) > UNEQUAL * max(abs(one), abs(two)):
            raise ValueError(
                f"adjoint of {self.name} is not that of forward: <A x, y> is {one:.9g} and "
                f"<x, A' y> {two:.9g} for the same x and y"
            )

    def forward(self, image: Array) -> Array:
        return self._positive(np.asarray(self._forward(image), dtype=float), "forward")

    def adjoint(self, data: Array) -> Array:
        return self._positive(np.asarray(self._adjoint(data), dtype=float), "adjoint")

    def _positive(self, values: Array, what: str) -> Array:
        if values.min(initial=0.0) < -NEGATIVE * values.max(initial=0.0):
            raise ValueError(
                f"{what} of {self.name} makes {values.min():.3g} of numbers that are not negative: "
                "its entries must not be negative"
            )
        return resolved(values.copy())


def as_numbers(values: Any, name: str) -> Array:
    """A float64 array, or a sentence that names what is none."""
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be an array of numbers, got {values!r}") from None


def resolved(values: Array) -> Array:
    """Values of a transform, in place, without its rounding: those below its resolution are at it.

    Sums of non-negative numbers come out of a Fourier transform a little off, and negative
    where they are 0.
    """
    return np.maximum(values, RESOLUTION * float(values.max(initial=0.0)), out=values)


def as_operator(operator: Any, data_shape: tuple[int, ...]) -> Operator:
    """An `Operator` for data of a shape, of whatever acts like one.

    Parameters
    ----------
    operator : Operator, array, scipy sparse matrix, LinearOperator, or object
        An object has methods ``forward(image)`` and ``adjoint(data)``.
    data_shape : tuple of int

    Raises
    ------
    ValueError
        Where operator and data do not match, or entries are negative.
    TypeError
        For something else.
    """
    if isinstance(operator, LinearOperator):
        m = int(np.prod(data_shape))
        if operator.shape[0] != m:
            raise ValueError(_mismatch(f"{operator.shape[0]} rows", data_shape))
        return _Foreign(
            lambda x: operator.matvec(x.ravel()).reshape(data_shape),
            lambda y: operator.rmatvec(y.ravel()),
            data_shape,
            "the LinearOperator",
        )
    if not isinstance(operator, Operator):
        if hasattr(operator, "forward") and hasattr(operator, "adjoint"):
            name = type(operator).__name__
            return _Foreign(operator.forward, operator.adjoint, data_shape, name)
        if not (sparse.issparse(operator) or isinstance(operator, np.ndarray | list | tuple)):
            raise TypeError(
                f"operator is a {type(operator).__name__}: give a matrix, a scipy sparse matrix, "
                "a LinearOperator, or an object with methods forward(image) and adjoint(data)"
            )
        operator = Matrix(operator)
        if operator.matrix.shape[0] == np.prod(data_shape, dtype=int):
            operator.data_shape = data_shape
    if operator.data_shape != data_shape:
        raise ValueError(_mismatch(f"data of shape {operator.data_shape}", data_shape))
    return operator


def _mismatch(has: str, shape: tuple[int, ...]) -> str:
    return f"operator and data do not match: the operator has {has}, the data are of shape {shape}"
