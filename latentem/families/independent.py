r"""Columns of different kinds: a family for each column, or for each group of columns.

.. math:: \log f_k(x) = \sum_g \log f_{gk}(x_g)

where g runs over the groups of columns, which are independent within a component.
Statistics and M-steps are those of the parts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.family import Family
from latentem.engine.model import Diagnosis
from latentem.families.seen_rows import encode, evaluate, points, seen_weights, x_of

__all__ = ["Independent"]

Array = np.ndarray


class Part(NamedTuple):
    """A family and the columns it is for."""

    family: Family
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Encoded:
    """What each part made of the same n rows."""

    n: int
    parts: tuple[Any, ...]

    def __len__(self) -> int:
        return self.n


class Independent(Family):
    """A different family for each column, or for each group of columns.

    Columns of different groups are independent within a component. Parameters are a
    tuple of the parameters of the parts, in their order; what is to stay fixed, is
    fixed in the parts. Cells may be missing where their part allows it; the columns of a part
    that does not must be seen whole, or not at all, where any part allows it.

    Parameters
    ----------
    parts : sequence of Family, or of (Family, columns)
        One family per column; or pairs with a column number or several, which together
        name every column once.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import MixtureModel, families
    >>> rng = np.random.default_rng(0)
    >>> kind = np.repeat([0, 1], [120, 80])
    >>> height, visits = rng.normal(160 + 20 * kind, 5.0), rng.poisson(1 + 5 * kind)
    >>> family = families.Independent([families.Gaussian("diag"), families.Poisson()])
    >>> model = MixtureModel(family, 2, random_state=0).fit(np.column_stack([height, visits]))
    >>> np.sort(model.weights_).round(1).tolist()
    [0.4, 0.6]
    >>> sorted(rate.round().item() for rate in model.family_params_[1].lambdas)
    [1.0, 6.0]

    Two columns that go together, and one apart:

    >>> families.Independent([(families.Gaussian("full"), [0, 2]), (families.Poisson(), 1)])
    Independent([(Gaussian('full'), [0, 2]), (Poisson(), 1)])
    """

    def __init__(self, parts: Sequence[Family | tuple[Family, Any]]):
        self.parts = _parts(parts)
        self.n_columns = sum(len(part.columns) for part in self.parts)
        self.additive = all(part.family.additive for part in self.parts)
        self.monotone = all(part.family.monotone for part in self.parts)
        self.missing_cells = any(part.family.missing_cells for part in self.parts)
        self.fixed = tuple(
            f"{i}.{group}" for i, part in enumerate(self.parts) for group in part.family.fixed
        )

    def __repr__(self) -> str:
        if [part.columns for part in self.parts] == [(j,) for j in range(len(self.parts))]:
            return f"Independent([{', '.join(repr(part.family) for part in self.parts)}])"
        pairs = [
            f"({family!r}, {columns[0] if len(columns) == 1 else list(columns)})"
            for family, columns in self.parts
        ]
        return f"Independent([{', '.join(pairs)}])"

    def learn(self, X: Array) -> Independent:
        """The family with what each part learns from its columns."""
        self._check_width(X)
        learned = [_renumbered(part.family.learn, X, part) for part in self.parts]
        if all(new is part.family for new, part in zip(learned, self.parts, strict=True)):
            return self
        return Independent(
            [(new, part.columns) for new, part in zip(learned, self.parts, strict=True)]
        )

    def check(self, X: Array) -> None:
        self._check_width(X)
        for part in self.parts:
            self._check_seen(part, X)
            _renumbered(part.family.check, X, part)

    def _check_seen(self, part: Part, X: Array) -> None:
        """Refuse a missing cell of a part that takes none, unless all its cells are missing."""
        if part.family.missing_cells or not np.isnan(np.sum(X)):
            return
        absent = np.isnan(np.asarray(X)[:, list(part.columns)])
        torn = absent.any(axis=1) & ~absent.all(axis=1)
        if torn.any() or (absent.any() and not self.missing_cells):
            row = int(np.argmax(torn if torn.any() else absent.any(axis=1)))
            column = part.columns[int(np.argmax(absent[row]))]
            raise ValueError(
                f"X[{row}, {column}] is missing, and {part.family!r}, the family of column"
                f"{'s' * (len(part.columns) > 1)} {', '.join(map(str, part.columns))}, takes no "
                "missing cells: fill that cell, or leave the row out"
            )

    def _check_width(self, X: Array) -> None:
        if np.shape(X)[1] != self.n_columns:
            raise ValueError(
                f"X has {np.shape(X)[1]} columns, but {self!r} is for {self.n_columns}"
            )

    def encode(self, rows: Array) -> Encoded:
        self._check_width(rows)
        rows = np.asarray(rows)
        return Encoded(
            len(rows),
            tuple(
                _renumbered(partial(encode, part.family), rows, part, True) for part in self.parts
            ),
        )

    def points(self, x: Encoded) -> Array:
        return np.hstack(
            [points(f, part) for (f, _), part in zip(self.parts, x.parts, strict=True)]
        )

    def scratch(self, n_features: int) -> int:
        return sum(family.scratch(len(columns)) for family, columns in self.parts)

    def constraints(self) -> tuple[Any, ...] | None:
        found = tuple(family.constraints() for family, _ in self.parts)
        return None if any(part is None for part in found) else found

    def prepare(self, params: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(f.prepare(p) for (f, _), p in zip(self.parts, params, strict=True))

    def evaluate(self, prepared: tuple[Any, ...], x: Encoded) -> tuple[Array, tuple[Any, ...]]:
        found = [
            evaluate(family, *pair)
            for (family, _), *pair in zip(self.parts, prepared, x.parts, strict=True)
        ]
        total, *others = [log_density for log_density, _ in found if log_density is not None]
        for log_density in others:
            total += log_density
        return total, tuple(shared for _, shared in found)

    def log_density(self, prepared: tuple[Any, ...], x: Encoded) -> Array:
        return self.evaluate(prepared, x)[0]

    def statistics(
        self,
        prepared: tuple[Any, ...],
        x: Encoded,
        weights: Array,
        shared: tuple[Any, ...] | None = None,
    ) -> tuple[Any, ...]:
        shared = (None,) * len(self.parts) if shared is None else shared
        return tuple(
            family.statistics(p, x_of(rows), seen_weights(rows, weights), s)
            for (family, _), p, rows, s in zip(self.parts, prepared, x.parts, shared, strict=True)
        )

    def maximize(self, statistics: tuple[Any, ...], params: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            family.maximize(*pair)
            for (family, _), *pair in zip(self.parts, statistics, params, strict=True)
        )

    def initialize(self, x: Encoded, weights: Array, rng: np.random.Generator) -> tuple[Any, ...]:
        return tuple(
            family.initialize(x_of(rows), seen_weights(rows, weights), rng)
            for (family, _), rows in zip(self.parts, x.parts, strict=True)
        )

    def log_prior(self, params: tuple[Any, ...]) -> float:
        return sum(f.log_prior(p) for (f, _), p in zip(self.parts, params, strict=True))

    def expected_loglik(self, params: tuple[Any, ...], statistics: tuple[Any, ...]) -> float:
        return sum(
            family.expected_loglik(*pair)
            for (family, _), *pair in zip(self.parts, params, statistics, strict=True)
        )

    def diagnose(self, params: tuple[Any, ...], statistics: tuple[Any, ...]) -> Diagnosis:
        """The sentences of the parts, with the columns they are about."""
        found = [
            [tuple(_about(text, columns) for text in kind) for kind in family.diagnose(*pair)]
            for (family, columns), *pair in zip(self.parts, params, statistics, strict=True)
        ]
        return Diagnosis(*(sum(kind, ()) for kind in zip(*found, strict=True)))

    def relabel(self, params: tuple[Any, ...], order: Array) -> tuple[Any, ...]:
        return tuple(f.relabel(p, order) for (f, _), p in zip(self.parts, params, strict=True))

    def reordered(self, order: Array) -> Independent:
        return Independent([(f.reordered(order), columns) for f, columns in self.parts])

    def check_components(self, n_components: int) -> None:
        for family, columns in self.parts:
            try:
                family.check_components(n_components)
            except ValueError as error:
                raise ValueError(_about(str(error), columns)) from None

    def moments(self, params: tuple[Any, ...]) -> tuple[Array, Array]:
        """Means and variances of each component, (K, d) each."""
        families: list[Any] = [family for family, _ in self.parts]
        found = [f.moments(p) for f, p in zip(families, params, strict=True)]
        order = np.argsort(np.concatenate([columns for _, columns in self.parts]))
        means, variances = (np.hstack(kind)[:, order] for kind in zip(*found, strict=True))
        return means, variances

    def cdf(self, params: tuple[Any, ...], x: Array) -> Array:
        return self._by_part("cdf", params, x)

    def survival(self, params: tuple[Any, ...], x: Array) -> Array:
        return self._by_part("survival", params, x)

    def _by_part(self, name: str, params: tuple[Any, ...], x: Array) -> Array:
        """What the method of each part gives for its columns, (K, n, d)."""
        out: Array = np.empty(0)
        for (family, columns), own in zip(self.parts, params, strict=True):
            part = getattr(family, name)(own, x[:, list(columns)])
            if not out.size:
                out = np.empty((len(part), *x.shape))
            out[:, :, list(columns)] = part
        return out

    def impute(self, params: tuple[Any, ...], rows: Array, shares: Array) -> Array:
        out = np.array(rows, dtype=float)
        for (family, columns), own in zip(self.parts, params, strict=True):
            out[:, list(columns)] = family.impute(own, rows[:, list(columns)], shares)
        return out

    def discrete_columns(self, n_features: int) -> Array:
        out = np.zeros(n_features, dtype=bool)
        for family, columns in self.parts:
            out[list(columns)] = family.discrete_columns(len(columns))
        return out

    def sample(self, params: tuple[Any, ...], components: Array, rng: np.random.Generator) -> Array:
        out = np.empty((len(components), self.n_columns))
        for (family, columns), own in zip(self.parts, params, strict=True):
            out[:, list(columns)] = family.sample(own, components, rng)
        return out


def _parts(given: Any) -> tuple[Part, ...]:
    """Families with their columns, each column once."""
    if isinstance(given, Family) or not isinstance(given, Sequence) or not given:
        raise TypeError(
            f"Independent takes a list of families, or of (family, columns), got {given!r}"
        )
    if all(isinstance(item, Family) for item in given):
        return tuple(Part(family, (j,)) for j, family in enumerate(given))
    parts = []
    for item in given:
        pair = isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Family)
        if not pair:
            raise TypeError(
                "Independent takes families alone, or pairs (family, columns) alone, got "
                f"{item!r} among {len(given)}"
            )
        columns = np.atleast_1d(np.asarray(item[1]))
        if columns.ndim != 1 or columns.dtype.kind not in "iu" or not len(columns):
            raise ValueError(
                f"columns of {item[0]!r} must be a column number or several, got {item[1]!r}"
            )
        parts.append(Part(item[0], tuple(int(j) for j in columns)))
    named = sorted(j for part in parts for j in part.columns)
    if named != list(range(len(named))):
        raise ValueError(
            f"the parts must name the columns 0 to {len(named) - 1} once each, but they name "
            f"{', '.join(map(str, named))}"
        )
    return tuple(parts)


def _renumbered(method: Any, X: Array, part: Part, whole: bool = False) -> Any:
    """A part's `method` of its columns; its ValueError names rows and columns as in X.

    Rows that were not seen are left out for a part that takes no missing cells, unless `whole`.
    """
    own, places = np.asarray(X)[:, list(part.columns)], None
    if not (whole or part.family.missing_cells) and np.isnan(np.sum(own)):
        places = np.flatnonzero(~np.isnan(own).any(axis=1))
        own = own[places]
    try:
        return method(own)
    except ValueError as error:
        raise ValueError(_about(str(error), part.columns, places)) from None


def _about(text: str, columns: tuple[int, ...], places: Array | None = None) -> str:
    """A part's sentence with numbers of the whole; one without any column is given them."""
    if places is not None:
        text = re.sub(r"(?<=X\[)\d+", lambda m: str(places[int(m[0])]), text)
    pattern = r"(X\[\d+, |\bcolumn )(\d+)"
    if re.search(pattern, text):
        return re.sub(
            pattern,
            lambda m: m[1] + str(columns[int(m[2])]) if int(m[2]) < len(columns) else m[0],
            text,
        )
    names = ", ".join(map(str, columns))
    return f"column{'s' * (len(columns) > 1)} {names}: {text}"
