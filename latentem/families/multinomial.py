r"""Multinomial components: counts of V kinds in each row, as of the words of a document.

.. math:: \log f_k(x) = \log n! - \sum_j \log x_j! + \sum_j x_j \log p_{kj}, \qquad n = \sum_j x_j

The total n of a row is taken as given. Statistics: :math:`n_{kj} = \sum_i r_{ik} x_{ij}`; M-step:
:math:`p_{kj} = n_{kj} / \sum_l n_{kl}`, with a Dirichlet prior :math:`\alpha` after adding
:math:`\alpha_j - 1` to :math:`n_{kj}`.

A probability of exactly 0 stays 0, because its counts then have no weight; a start has none.

How it is computed: rows are compressed sparse rows without stored zeros, so that time and memory
grow with the counts that are not 0, and :math:`0 \log 0` is never met. The two sums are products
of a sparse and a dense matrix, (m, V) by (V, K) and back.

Source: Nigam, McCallum, Thrun and Mitchell (2000), section 3, doi:10.1023/A:1007692713085.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import gammaln, xlogy

from latentem.engine.constraints import Fixed, Simplex
from latentem.engine.model import Diagnosis
from latentem.families.cells import refuse
from latentem.families.held import HeldFamily
from latentem.families.priors import DirichletPrior
from latentem.families.proportions import maximize_rows

__all__ = ["Documents", "Multinomial", "MultinomialParams"]

Array = np.ndarray

#: Columns that starts by k-means look at, those with the largest counts.
POINTS = 256
#: Floats of working memory per row: most rows have few counts, however many columns there are.
SCRATCH = 32


class MultinomialParams(NamedTuple):
    """Probabilities of the columns, (K, V); each row sums to 1."""

    emissionprob: Any


class Counts(NamedTuple):
    """Expected counts of each component and column, (K, V), as the parameters stand."""

    counts: Array


@dataclass(frozen=True)
class Documents:
    """Rows of counts (m, V) without stored zeros, and log n! - sum log x! of each."""

    counts: Any
    coefficients: Array

    def __len__(self) -> int:
        return len(self.coefficients)


class Multinomial(HeldFamily):
    """Multinomial family: every row holds counts of V kinds, and their total is given.

    Rows may be a scipy sparse matrix, of which no dense one is ever made. Fractions, as of
    weighted counts, are taken as they are.

    Parameters
    ----------
    fixed : tuple of {"emissionprob"}, or dict
        ``("emissionprob",)`` keeps all starting values; ``{"emissionprob": kept}`` those of the
        components of a bool array (K,), or its entries (K, V). The others of a row share what the
        kept ones leave over.
    prior : DirichletPrior, optional
        Of the probabilities; the fit then is MAP. Concentration ``1 + alpha`` adds alpha counts of
        each kind to each component.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from latentem import families
    >>> X = sparse.csr_array([[2, 1, 0], [0, 0, 4]])
    >>> family = families.Multinomial(prior=families.DirichletPrior(2.0))
    >>> x = family.encode(X)
    >>> counts = family.statistics(None, x, np.eye(2))
    >>> start = family.initialize(x, np.eye(2), np.random.default_rng(0))
    >>> family.maximize(counts, start).emissionprob.round(3).tolist()
    [[0.5, 0.333, 0.167], [0.143, 0.143, 0.714]]
    """

    discrete = True
    sparse = True
    groups = ("emissionprob",)
    prior_type = DirichletPrior

    def __init__(
        self,
        fixed: Sequence[str] | Mapping[str, Any] = (),
        prior: DirichletPrior | None = None,
    ):
        self._hold(fixed, prior)

    def check(self, X: Any) -> None:
        super().check(X)
        what = "Multinomial data are counts, numbers >= 0"
        if not sparse.issparse(X):
            X = np.asarray(X, dtype=float)
            refuse(X, (X >= 0) & (np.inf > X), what)
            return
        cells = X.tocoo()
        wrong = ~((cells.data >= 0) & (np.inf > cells.data))
        if wrong.any():
            at = int(np.argmax(wrong))
            row, column = int(cells.row[at]), int(cells.col[at])
            raise ValueError(f"{what}, but X[{row}, {column}] is {cells.data[at]:.15g}")

    def encode(self, rows: Any) -> Documents:
        """The rows as compressed sparse rows; stored zeros are left out."""
        counts = sparse.csr_array(rows, dtype=float, copy=sparse.issparse(rows))
        counts.sum_duplicates()
        counts.eliminate_zeros()
        totals = counts.sum(axis=1)
        own = counts.copy()
        own.data = gammaln(own.data + 1.0)
        return Documents(counts, gammaln(totals + 1.0) - own.sum(axis=1))

    def points(self, x: Documents) -> Array:
        """Roots of the shares of the commonest columns, (m, min(V, 256))."""
        counts = x.counts
        kept = np.arange(counts.shape[1])
        if len(kept) > POINTS:
            kept = np.sort(np.argsort(-counts.sum(axis=0), kind="stable")[:POINTS])
        totals = counts.sum(axis=1)
        shares = counts[:, kept].toarray() / np.where(totals > 0, totals, 1.0)[:, None]
        return np.sqrt(shares)

    def scratch(self, n_features: int) -> int:
        return SCRATCH

    def constraints(self) -> MultinomialParams:
        if self.kept.get("emissionprob") is True:
            return MultinomialParams(Fixed())
        return MultinomialParams(Simplex(self._free()))

    def _free(self) -> Array | None:
        """Entries that may move, to go with (K, V); None where all may."""
        kept = self.kept.get("emissionprob")
        if kept is None:
            return None
        free = ~np.asarray(kept)
        return free if free.ndim == 2 else free[:, None]

    def prepare(self, params: MultinomialParams) -> Array:
        """Log probabilities, (V, K)."""
        with np.errstate(divide="ignore"):
            return np.log(np.ascontiguousarray(np.asarray(params.emissionprob).T))

    def log_density(self, prepared: Array, x: Documents) -> Array:
        if x.counts.shape[1] != len(prepared):
            raise ValueError(
                f"X has {x.counts.shape[1]} columns, but emissionprob is for {len(prepared)}"
            )
        return np.ascontiguousarray((x.counts @ prepared).T) + x.coefficients

    def statistics(
        self, prepared: Array, x: Documents, weights: Array, shared: None = None
    ) -> Counts:
        return Counts(_expected(x, weights))

    def maximize(self, statistics: Counts, params: MultinomialParams) -> MultinomialParams:
        if self.kept.get("emissionprob") is True:
            return params
        counts = statistics.counts
        if self.prior is not None:
            counts = counts + (self.prior.concentration - 1.0)
        return MultinomialParams(maximize_rows(counts, params.emissionprob, self._free()))

    def initialize(
        self, x: Documents, weights: Array, rng: np.random.Generator
    ) -> MultinomialParams:
        """Shares of the counts, with those of one more row like the whole: none is 0."""
        counts = _expected(x, weights)
        width = counts.shape[1]
        whole = x.counts.sum(axis=0) + 1.0 / width
        row = whole.sum() / len(x)
        shares = counts + row * whole / whole.sum()
        silent = counts.sum(axis=1) == 0  # no two components the same
        if silent.any():
            shares[silent] *= rng.dirichlet(np.ones(width), int(silent.sum())) + 1.0 / width
        return MultinomialParams(shares / shares.sum(axis=1, keepdims=True))

    def expected_loglik(self, params: MultinomialParams, statistics: Counts) -> float:
        """Without the multinomial coefficients, which no parameter moves."""
        return float(xlogy(statistics.counts, params.emissionprob).sum())

    def diagnose(self, params: MultinomialParams, statistics: Counts) -> Diagnosis:
        absent = np.flatnonzero(statistics.counts.sum(axis=0) == 0)
        if not len(absent) or self.fixed or self.prior is not None:
            return Diagnosis()
        names = ", ".join(map(str, absent[:10])) + (", ..." if len(absent) > 10 else "")
        return Diagnosis((), (f"no counts in column {names}: probability 0 is fitted",))


def _expected(x: Documents, weights: Array) -> Array:
    """Weighted counts of each component and column, (K, V)."""
    return np.ascontiguousarray((x.counts.T @ np.ascontiguousarray(weights.T)).T)
