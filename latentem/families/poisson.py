r"""Poisson components, columns independent.

.. math:: \log f_k(x) = \sum_j [ x_j \log \lambda_{kj} - \lambda_{kj} - \log x_j! ]

over the columns seen in the row. Statistics: :math:`n_{kj} = \sum_i r_{ik}` and
:math:`s_{kj} = \sum_i r_{ik} x_{ij}` over the rows that show column j; M-step:
:math:`\lambda_{kj} = s_{kj} / n_{kj}`, with a gamma prior (a, b)
:math:`(s_{kj} + a - 1) / (n_{kj} + b)`.

How it is computed: for large counts the three terms cancel, and Loader's form (2000,
"Fast and accurate computation of binomial probabilities") is used instead,

.. math:: \log f_k(x) = - \sum_j [ D(x_j, \lambda_{kj}) + c(x_j) ], \quad
          D(x, \lambda) = x \log(x / \lambda) + \lambda - x, \quad
          c(x) = \log x! - x \log x + x

with Stirling's series for c. The statistics hold the loss :math:`\ell_k`, minus the
log-likelihood of a component at its own means m, so that Q does not cancel either:

.. math:: Q(\lambda) = - \sum_k \big[ \ell_k + \sum_j n_{kj} D(m_{kj}, \lambda_{kj}) \big]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaln, pdtr, pdtrc, xlog1py, xlogy

from latentem.engine.constraints import Positive
from latentem.engine.trees import Statistic
from latentem.families.cells import filled, refuse
from latentem.families.held import HeldFamily, stay
from latentem.families.priors import GammaPrior

__all__ = ["Poisson", "PoissonParams"]

Array = np.ndarray

#: Counts up to this are scored by the plain formula, which is a matrix product; it loses
#: no more than 1e-10 a cell.
PLAIN = 1e4


class PoissonParams(NamedTuple):
    """Rates (K, d): expected counts per row."""

    lambdas: Any


@dataclass(frozen=True)
class Encoded:
    """Counts (m, d), 0 where missing; whether they were seen; and what no rate has a part in.

    `constants` (m,) are the sums of log x! where the counts are `plain`, of c(x) otherwise.
    """

    counts: Array
    seen: Array | None  # 0 or 1; None where all are
    constants: Array
    plain: bool

    def __len__(self) -> int:
        return len(self.counts)


@dataclass(frozen=True)
class Counts(Statistic):
    """Weights and totals (K, d) of the cells seen, and the loss (K,) at their means."""

    weight: Array
    total: Array
    loss: Array

    @property
    def mean(self) -> Array:
        return _mean(self.weight, self.total)

    def merge(self, other: Counts) -> Counts:
        sums = Counts(self.weight + other.weight, self.total + other.total, self.loss + other.loss)
        lost = self.lost(sums.mean) + other.lost(sums.mean)
        return Counts(sums.weight, sums.total, sums.loss + lost)

    def scaled(self, factor: float) -> Counts:
        return Counts(self.weight * factor, self.total * factor, self.loss * factor)

    def lost(self, rates: Array) -> Array:
        """What rates other than the means cost in log-likelihood, (K,)."""
        apart = np.where(self.weight > 0, divergence(self.mean, rates), 0.0)
        return (self.weight * apart).sum(axis=1)


class Poisson(HeldFamily):
    """Poisson family for counts, one independent Poisson per column.

    NaN marks a missing cell, which tells nothing.

    Parameters
    ----------
    fixed : tuple of {"lambdas"}, or dict
        ``("lambdas",)`` keeps all starting values; ``{"lambdas": kept}`` those of the components
        of a bool array (K,), or its entries (K, d).
    prior : GammaPrior, optional
        Of the rates; the fit then is MAP.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem.families import Poisson
    >>> family = Poisson()
    >>> x = family.encode(np.array([[2.0], [4.0], [np.nan]]))
    >>> params = family.initialize(x, np.ones((1, 3)), np.random.default_rng(0))
    >>> params.lambdas.tolist()
    [[3.0]]
    """

    missing_cells = True
    discrete = True

    groups = ("lambdas",)
    prior_type = GammaPrior

    def __init__(
        self, fixed: Sequence[str] | Mapping[str, Any] = (), prior: GammaPrior | None = None
    ):
        self._hold(fixed, prior)

    def check(self, X: Array) -> None:
        super().check(X)
        X = np.asarray(X, dtype=float)
        sound = (X >= 0) & (np.inf > X) & (np.floor(X) == X)
        refuse(X, sound, "Poisson data are counts, whole numbers >= 0")

    def encode(self, rows: Array) -> Encoded:
        return _encoded(rows)

    def points(self, x: Encoded) -> Array:
        return x.counts if x.seen is None else filled(x.counts, x.seen)

    def constraints(self) -> PoissonParams:
        return PoissonParams(self._constraint("lambdas", Positive()))

    def log_density(self, prepared: PoissonParams, x: Encoded) -> Array:
        x = _encoded(x)
        rates, counts, seen = prepared.lambdas, x.counts, x.seen
        if not x.plain:
            out = np.empty((len(rates), len(counts)))
            for k, rate in enumerate(rates):
                apart = divergence(counts, rate)
                out[k] = (apart if seen is None else apart * seen).sum(axis=1)
            return -out - x.constants
        some_zero = np.count_nonzero(rates) < rates.size
        out = np.log(np.where(rates == 0, 1.0, rates) if some_zero else rates) @ counts.T
        out -= x.constants
        out -= np.add.reduce(rates, axis=1)[:, None] if seen is None else rates @ seen.T
        if some_zero:
            out[(rates == 0).astype(float) @ counts.T > 0] = -np.inf
        return out

    def statistics(
        self, prepared: PoissonParams, x: Encoded, weights: Array, shared: None = None
    ) -> Counts:
        return _sums(_encoded(x), weights)

    def maximize(self, statistics: Counts, params: PoissonParams) -> PoissonParams:
        weight, total, old = statistics.weight, statistics.total, params.lambdas
        if self.prior is not None:
            weight, total = weight + self.prior.rate, total + self.prior.shape - 1.0
        rates = np.where(weight > 0, _mean(weight, total), old)
        return PoissonParams(stay(self.kept.get("lambdas"), rates, old))

    def initialize(self, x: Encoded, weights: Array, rng: np.random.Generator) -> PoissonParams:
        """Means, each with a little of the whole, so that no rate is zero for good."""
        weights = weights + 1e-6 * weights.sum() / weights.size
        return PoissonParams(_sums(_encoded(x), weights).mean)

    def expected_loglik(self, params: PoissonParams, statistics: Counts) -> float:
        return -float((statistics.loss + statistics.lost(params.lambdas)).sum())

    def moments(self, params: PoissonParams) -> tuple[Array, Array]:
        """Means and variances of each component, (K, d) each: both are the rates."""
        return params.lambdas, params.lambdas

    def cdf(self, params: PoissonParams, x: Array) -> Array:
        rates = params.lambdas[:, None, :]
        return np.where(x >= 0, pdtr(np.maximum(np.floor(x), 0.0), rates), 0.0)

    def survival(self, params: PoissonParams, x: Array) -> Array:
        rates = params.lambdas[:, None, :]
        return np.where(x >= 0, pdtrc(np.maximum(np.floor(x), 0.0), rates), 1.0)

    def sample(self, params: PoissonParams, components: Array, rng: np.random.Generator) -> Array:
        return rng.poisson(params.lambdas[components]).astype(float)


def _encoded(rows: Array | Encoded) -> Encoded:
    if isinstance(rows, Encoded):
        return rows
    counts = np.ascontiguousarray(rows, dtype=float)
    unseen = np.isnan(counts)
    seen = 1.0 - unseen if unseen.any() else None
    if seen is not None:
        counts = np.where(unseen, 0.0, counts)
    plain = not counts.size or bool(counts.max() <= PLAIN)
    constants = gammaln(counts + 1) if plain else stirling(counts)  # of 0 both are 0
    return Encoded(counts, seen, constants.sum(axis=1), plain)


def _sums(x: Encoded, weights: Array) -> Counts:
    """Statistics of encoded rows with weights (K, m)."""
    total = weights @ x.counts
    if x.seen is None:
        weight = np.repeat(np.add.reduce(weights, axis=1), total.shape[1]).reshape(total.shape)
    else:
        weight = weights @ x.seen
    mean, loss = _mean(weight, total), weights @ x.constants
    if x.plain:
        return Counts(weight, total, loss + np.add.reduce(total - xlogy(total, mean), axis=1))
    for k, rate in enumerate(mean):
        apart = np.where(weights[k][:, None] > 0, divergence(x.counts, rate), 0.0)
        loss[k] += (weights[k] @ (apart if x.seen is None else apart * x.seen)).sum()
    return Counts(weight, total, loss)


def _mean(weight: Array, total: Array) -> Array:
    empty = np.count_nonzero(weight) < weight.size
    return total / (np.where(weight > 0, weight, 1.0) if empty else weight)


def divergence(x: Array, rates: Array) -> Array:
    """D(x, rates) = x log(x / rates) + rates - x, without cancelling; infinite for a rate of 0."""
    safe = np.where(rates > 0, rates, 1.0)
    apart = x - rates
    near = np.abs(apart) < 0.5 * safe  # further away nothing cancels, and 1 + the ratio would
    loss = np.where(near, xlog1py(x, np.where(near, apart / safe, 0.0)), xlogy(x, x / safe))
    return np.where(rates > 0, loss - apart, np.where(x > 0, np.inf, 0.0))


def stirling(x: Array) -> Array:
    """c(x) = log x! - x log x + x, without cancelling for large x."""
    large = np.maximum(x, 16.0)
    inverse = 1.0 / large
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
    series += 0.5 * np.log(2 * np.pi * large)
    small = np.minimum(x, 16.0)
    return np.where(x > 16, series, gammaln(small + 1) - xlogy(small, small) + small)
