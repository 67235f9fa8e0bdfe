r"""Categorical components: codes 0, 1, ... in each column, columns independent.

.. math:: \log f_k(x) = \sum_j \log p_{kj}(x_j)

over the columns seen in the row. Statistics: :math:`n_{kj}(c) = \sum_i r_{ik}
[x_{ij} = c]`; M-step: :math:`p_{kj}(c) = n_{kj}(c) / \sum_b n_{kj}(b)`, with a Dirichlet prior
:math:`\alpha` after adding :math:`\alpha_j(c) - 1` to :math:`n_{kj}(c)`.

A probability of exactly 0 stays 0, because its category then has no weight; a start has
none.

How it is computed: the probabilities of all columns stand side by side in one row per
component. A cell is encoded once, as its place in that row, in one or two bytes; a
missing cell is one place further, where the logarithm is 0.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import xlogy

from latentem.engine.constraints import Fixed, Simplices
from latentem.engine.model import Diagnosis
from latentem.families.cells import filled, refuse
from latentem.families.held import HeldFamily
from latentem.families.priors import DirichletPrior
from latentem.families.proportions import maximize_rows
from latentem.kernels.categorical import add_counts, look_up

__all__ = ["Categorical", "CategoricalParams"]

Array = np.ndarray

#: More categories than this in a column are identifiers or numbers, not codes.
MOST = 1_000_000
#: Categories that starts by k-means look at.
POINTS = 256


class CategoricalParams(NamedTuple):
    """Probabilities of the categories, those of all columns side by side.

    (K, C) for one column of C categories; (K, C_0 + C_1 + ...) for several, which
    `Categorical.by_column` takes apart.
    """

    emissionprob: Any


class Counts(NamedTuple):
    """Expected number of cells of each component and category, as the parameters stand."""

    counts: Array


class Prepared(NamedTuple):
    logs: Array  # (K, C + 1): log probabilities, and 0 for a missing cell
    n_columns: int


class Categorical(HeldFamily):
    """Categorical family for columns of codes, independent within a component.

    Cells are whole numbers 0, 1, ..., C - 1; columns may have different numbers of
    categories. A mixture of it is the latent class model. NaN marks a missing cell,
    which tells nothing.

    Parameters
    ----------
    n_categories : int or sequence of int, optional
        Number of categories, of every column or of each. Estimators find it in the
        data (largest code + 1); elsewhere ``learn`` does.
    fixed : tuple of {"emissionprob"}, or dict
        ``("emissionprob",)`` keeps all starting values; ``{"emissionprob": kept}`` those of the
        components of a bool array (K,), or its entries (K, C). The others of a row share what the
        kept ones leave over.
    prior : DirichletPrior, optional
        Of the probabilities; the fit then is MAP.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import families
    >>> X = np.array([[0.0, 2.0], [1.0, 2.0], [1.0, 0.0], [1.0, np.nan]])
    >>> family = families.Categorical().learn(X)
    >>> family
    Categorical((2, 3))
    >>> counts = family.statistics(None, family.encode(X), np.ones((1, 4)))
    >>> start = family.initialize(family.encode(X), np.ones((1, 4)), np.random.default_rng(0))
    >>> family.by_column(family.maximize(counts, start).emissionprob)[0].tolist()
    [[0.25, 0.75]]
    """

    missing_cells = True
    discrete = True
    groups = ("emissionprob",)
    prior_type = DirichletPrior

    def __init__(
        self,
        n_categories: int | Sequence[int] | None = None,
        fixed: Sequence[str] | Mapping[str, Any] = (),
        prior: DirichletPrior | None = None,
    ):
        self.n_categories = _sizes(n_categories)
        self._hold(fixed, prior)

    def __repr__(self) -> str:
        sizes = [] if self.n_categories is None else [repr(self.n_categories)]
        return f"Categorical({', '.join(sizes + self._arguments())})"

    def learn(self, X: Array) -> Categorical:
        """The family with the number of categories of each column of X."""
        if isinstance(self.n_categories, tuple):
            return self
        X = np.asarray(X, dtype=float)
        sizes: tuple[int, ...]
        if self.n_categories is None:
            _refuse_fractions(X)
            refuse(X, X < MOST, f"Categorical data are codes below {MOST:,}, without large gaps")
            sizes = tuple(int(code) + 1 for code in np.fmax.reduce(X, axis=0, initial=0.0))
        else:
            sizes = (self.n_categories,) * X.shape[1]
        other = copy.copy(self)
        other.n_categories = sizes
        return other

    def check(self, X: Array) -> None:
        X = np.asarray(X, dtype=float)
        _refuse_fractions(X)
        if self.n_categories is None:
            return
        sizes = np.array(self._of_columns(X.shape[1]))
        self._check_columns(int(sizes.sum()))
        for row, column in np.argwhere(sizes <= X)[:1]:
            raise ValueError(
                f"X[{row}, {column}] is {X[row, column]:.15g}, but column {column} has the "
                f"{sizes[column]} categories 0 to {sizes[column] - 1}: raise n_categories, or "
                "recode"
            )

    def _of_columns(self, n_columns: int) -> tuple[int, ...]:
        """Number of categories of each of `n_columns` columns."""
        if self.n_categories is None:
            raise ValueError(
                "Categorical() does not know the number of categories: give n_categories, or "
                "take family.learn(X)"
            )
        if isinstance(self.n_categories, int):
            return (self.n_categories,) * n_columns
        if len(self.n_categories) != n_columns:
            raise ValueError(
                f"X has {n_columns} columns, but n_categories={self.n_categories} is for "
                f"{len(self.n_categories)}"
            )
        return self.n_categories

    def _of_params(self, emissionprob: Array) -> tuple[int, ...]:
        """Number of categories of each column that the probabilities are for."""
        width = np.shape(emissionprob)[-1]
        if isinstance(self.n_categories, int) and width % self.n_categories == 0:
            return (self.n_categories,) * (width // self.n_categories)
        if isinstance(self.n_categories, tuple) and width == sum(self.n_categories):
            return self.n_categories
        if self.n_categories is None:
            return self._of_columns(1)
        raise ValueError(
            f"emissionprob has {width} columns, which is not a number for each category of "
            f"n_categories={self.n_categories}"
        )

    def by_column(self, emissionprob: Array) -> tuple[Array, ...]:
        """Probabilities of each column of the data, a (K, C_j) array each."""
        ends = np.cumsum(self._of_params(emissionprob))
        return tuple(np.split(emissionprob, ends[:-1], axis=-1))

    def encode(self, rows: Array) -> Array:
        """The place of each cell among the categories of all columns, (m, d)."""
        rows = np.asarray(rows, dtype=float)
        self.check(rows)  # look-ups trust the places
        sizes = self._of_columns(rows.shape[1])
        total = sum(sizes)
        places = np.where(np.isnan(rows), total, rows + _starts(sizes))
        return np.asfortranarray(places.astype(np.min_scalar_type(total)))

    def points(self, x: Array) -> Array:
        """A column of 0 and 1 for each category, of many for the commonest."""
        sizes = self._of_columns(x.shape[1])
        total = sum(sizes)
        kept = np.arange(total)
        if total > POINTS:
            counts = np.bincount(x.ravel(), minlength=total)[:total]
            kept = np.sort(np.argsort(-counts, kind="stable")[:POINTS])
        place = np.full(total + 1, len(kept))
        place[kept] = np.arange(len(kept))
        shown = np.zeros((len(x), len(kept) + 1))
        np.put_along_axis(shown, place[x], 1.0, axis=1)
        seen = (x < total)[:, np.repeat(np.arange(len(sizes)), sizes)[kept]]
        return filled(shown[:, :-1], seen)

    def scratch(self, n_features: int) -> int:
        return 1 + n_features // 4

    def constraints(self) -> CategoricalParams:
        kept = self.kept.get("emissionprob")
        if kept is True:
            return CategoricalParams(Fixed())
        if self.n_categories is None:
            self._of_columns(1)
        return CategoricalParams(Simplices(self.n_categories or 1, self._free()))

    def _free(self) -> Array | None:
        """Entries that may move, to go with (K, C); None where all may."""
        kept = self.kept.get("emissionprob")
        if kept is None:
            return None
        free = ~np.asarray(kept)
        return free if free.ndim == 2 else free[:, None]

    def prepare(self, params: CategoricalParams) -> Prepared:
        probs = np.asarray(params.emissionprob)
        logs = np.zeros((len(probs), probs.shape[1] + 1))
        with np.errstate(divide="ignore"):
            np.log(probs, out=logs[:, :-1])
        return Prepared(logs, len(self._of_params(probs)))

    def log_density(self, prepared: Prepared, x: Array) -> Array:
        if x.shape[1] != prepared.n_columns:
            raise ValueError(
                f"X has {x.shape[1]} columns, but emissionprob is for {prepared.n_columns}"
            )
        out = np.empty((len(prepared.logs), len(x)))
        look_up(x.T, prepared.logs, out)
        return out

    def statistics(
        self, prepared: Prepared, x: Array, weights: Array, shared: None = None
    ) -> Counts:
        return Counts(self._counts(x, weights))

    def _counts(self, x: Array, weights: Array) -> Array:
        """Weighted number of cells of each component and category, (K, C)."""
        counts = np.zeros((len(weights), sum(self._of_columns(x.shape[1])) + 1))
        add_counts(x.T, weights, counts)
        return counts[:, :-1].copy()

    def maximize(self, statistics: Counts, params: CategoricalParams) -> CategoricalParams:
        if self.kept.get("emissionprob") is True:
            return params
        counts, old, free = statistics.counts, params.emissionprob, self._free()
        if self.prior is not None:
            counts = counts + (self.prior.concentration - 1.0)
        if free is not None:
            free = np.broadcast_to(free, counts.shape)
            parts = zip(*(self.by_column(part) for part in (counts, old, free)), strict=True)
            return CategoricalParams(np.hstack([maximize_rows(*part) for part in parts]))
        seen = self._per_column(counts)
        shares = counts / np.where(seen > 0, seen, 1.0)
        return CategoricalParams(np.where(seen > 0, shares, old))

    def _per_column(self, counts: Array) -> Array:
        """Sums over the categories of each column, in the places of its categories."""
        sizes = self._of_params(counts)
        return np.repeat(np.add.reduceat(counts, _starts(sizes), axis=-1), sizes, axis=-1)

    def initialize(self, x: Array, weights: Array, rng: np.random.Generator) -> CategoricalParams:
        """Shares of the categories, each with one more row like the whole: none is 0."""
        counts = self._counts(x, np.ascontiguousarray(weights, dtype=float))
        sizes = self._of_params(counts)
        row = weights.sum() / len(x) or 1.0
        flat = row / np.repeat(sizes, sizes)  # and a row of equal shares for the whole
        whole = counts.sum(axis=0)
        whole = (whole + flat) / (self._per_column(whole) + row)
        seen = self._per_column(counts)
        probs = (counts + row * whole) / (seen + row)
        if not seen.all():  # where nothing was seen, no two components the same
            drawn = np.hstack([rng.dirichlet(np.ones(size), len(counts)) for size in sizes])
            probs = np.where(seen > 0, probs, 0.5 * (whole + drawn))
        return CategoricalParams(probs)

    def expected_loglik(self, params: CategoricalParams, statistics: Counts) -> float:
        return float(xlogy(statistics.counts, params.emissionprob).sum())

    def diagnose(self, params: CategoricalParams, statistics: Counts) -> Diagnosis:
        notes = []
        for j, counts in enumerate(self.by_column(statistics.counts)):
            absent = np.flatnonzero(counts.sum(axis=0) == 0)
            if len(absent) and not self.fixed and self.prior is None:
                names = ", ".join(map(str, absent[:10])) + (", ..." if len(absent) > 10 else "")
                notes.append(f"column {j} never shows category {names}: probability 0 is fitted")
        return Diagnosis((), tuple(notes))

    def moments(self, params: CategoricalParams) -> tuple[Array, Array]:
        """Means and variances of the codes, (K, d) each: of use where the order means something."""
        means, variances = [], []
        for probs in self.by_column(params.emissionprob):
            codes = np.arange(probs.shape[1])
            mean = probs @ codes
            means.append(mean)
            variances.append((probs * (codes - mean[:, None]) ** 2).sum(axis=1))
        return np.column_stack(means), np.column_stack(variances)

    def impute(self, params: CategoricalParams, rows: Array, shares: Array) -> Array:
        """The rows with the most probable category in cells that are NaN."""
        columns = self.by_column(np.asarray(params.emissionprob))
        most = [np.argmax(shares.T @ probs, axis=1) for probs in columns]
        return np.where(np.isnan(rows), np.column_stack(most), rows)

    def cdf(self, params: CategoricalParams, x: Array) -> Array:
        out = np.empty((len(params.emissionprob), *x.shape))
        for j, probs in enumerate(self.by_column(params.emissionprob)):
            ends = np.column_stack([np.zeros(len(probs)), np.cumsum(probs, axis=1)])
            code = np.clip(np.floor(x[:, j]), -1, probs.shape[1] - 1).astype(np.intp)
            out[:, :, j] = ends[:, code + 1]
        return out

    def sample(
        self, params: CategoricalParams, components: Array, rng: np.random.Generator
    ) -> Array:
        columns = self.by_column(np.asarray(params.emissionprob))
        out = np.empty((len(components), len(columns)))
        for j, probs in enumerate(columns):
            ends = np.cumsum(probs, axis=1)
            ends /= ends[:, -1:]
            uniform = rng.random(len(components))
            for k in np.unique(components):
                here = components == k
                out[here, j] = np.searchsorted(ends[k], uniform[here], side="right")
        return out


def _sizes(n_categories: Any) -> int | tuple[int, ...] | None:
    """n_categories as an integer or a tuple of integers >= 1, or None."""
    if n_categories is None:
        return None
    one = np.ndim(n_categories) == 0
    sizes = [n_categories] if one else list(n_categories)
    for size in sizes:
        whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
        if not whole or size < 1:
            raise ValueError(
                f"n_categories must be an integer >= 1 or one for each column, got {n_categories!r}"
            )
    if not sizes:
        raise ValueError("n_categories must have a number for each column, got none")
    return int(sizes[0]) if one else tuple(int(size) for size in sizes)


def _starts(sizes: tuple[int, ...]) -> Array:
    """Where the categories of each column begin."""
    return np.cumsum((0, *sizes[:-1]))


def _refuse_fractions(X: Array) -> None:
    whole = (X >= 0) & (np.inf > X) & (np.floor(X) == X)
    refuse(X, whole, "Categorical data are codes, whole numbers 0, 1, 2, ...")
