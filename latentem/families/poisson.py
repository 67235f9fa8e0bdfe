r"""Poisson components, columns independent.

.. math:: \log f_k(x) = \sum_j [ x_j \log \lambda_{kj} - \lambda_{kj} - \log x_j! ]

Statistics: :math:`N_k = \sum_i r_{ik}` and :math:`s_k = \sum_i r_{ik} x_i`; M-step:
:math:`\lambda_k = s_k / N_k`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaln, pdtr

from latentem.engine.constraints import Fixed, Positive
from latentem.engine.family import Family

__all__ = ["Poisson", "PoissonParams"]

Array = np.ndarray


class PoissonParams(NamedTuple):
    """Rates (K, d): expected counts per row."""

    lambdas: Any


class Counts(NamedTuple):
    weight: Array
    total: Array
    log_factorials: Array


class Poisson(Family):
    """Poisson family for counts, one independent Poisson per column.

    Parameters
    ----------
    fixed : tuple of {"lambdas"}
        Groups that keep their starting values.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem.families import Poisson
    >>> family = Poisson()
    >>> params = family.initialize(np.array([[2.0], [4.0]]), np.ones((1, 2)), None)
    >>> params.lambdas.tolist()
    [[3.0]]
    """

    discrete = True

    def __init__(self, fixed: tuple[str, ...] = ()):
        if set(fixed) - {"lambdas"}:
            raise ValueError(f"fixed knows 'lambdas', got {sorted(set(fixed) - {'lambdas'})}")
        self.fixed = tuple(fixed)

    def __repr__(self) -> str:
        return "Poisson()"

    def check(self, X: Array) -> None:
        if np.any(X < 0) or np.any(np.floor(X) != X):
            bad = np.argwhere((X < 0) | (np.floor(X) != X))[0]
            raise ValueError(
                f"Poisson data are counts, whole numbers >= 0, but X[{bad[0]}, {bad[1]}] is "
                f"{X[tuple(bad)]:g}"
            )

    def constraints(self) -> PoissonParams:
        return PoissonParams(Fixed() if "lambdas" in self.fixed else Positive())

    def log_density(self, prepared: PoissonParams, x: Array) -> Array:
        rates = prepared.lambdas
        zero = (rates == 0).astype(float)
        logs = np.log(np.where(rates == 0, 1.0, rates))
        out = logs @ x.T - rates.sum(axis=1)[:, None] - gammaln(x + 1).sum(axis=1)
        return np.where(zero @ x.T > 0, -np.inf, out) if zero.any() else out

    def statistics(
        self, prepared: PoissonParams, x: Array, weights: Array, shared: None = None
    ) -> Counts:
        return Counts(weights.sum(axis=1), weights @ x, weights @ gammaln(x + 1).sum(axis=1))

    def maximize(self, statistics: Counts, params: PoissonParams) -> PoissonParams:
        if self.fixed:
            return params
        weight = statistics.weight[:, None]
        safe = np.where(weight > 0, weight, 1.0)
        return PoissonParams(np.where(weight > 0, statistics.total / safe, params.lambdas))

    def initialize(self, x: Array, weights: Array, rng: np.random.Generator) -> PoissonParams:
        weights = weights + 1e-6 * weights.sum() / weights.size  # no rate starts at zero for good
        return PoissonParams((weights @ x) / weights.sum(axis=1)[:, None])

    def expected_loglik(self, params: PoissonParams, statistics: Counts) -> float:
        weight, total, log_factorials = statistics
        rates = params.lambdas
        fit = np.where(total > 0, total * np.log(np.where(rates > 0, rates, 1e-300)), 0.0)
        return float(fit.sum() - weight @ rates.sum(axis=1) - log_factorials.sum())

    def cdf(self, params: PoissonParams, x: Array) -> Array:
        rates = params.lambdas[:, None, :]
        return np.where(x >= 0, pdtr(np.maximum(np.floor(x), 0.0), rates), 0.0)

    def sample(self, params: PoissonParams, components: Array, rng: np.random.Generator) -> Array:
        return rng.poisson(params.lambdas[components]).astype(float)
