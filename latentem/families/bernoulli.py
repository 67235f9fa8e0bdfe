r"""Bernoulli components: yes or no in each column, columns independent.

.. math:: \log f_k(x) = \sum_j [ x_j \log p_{kj} + (1 - x_j) \log(1 - p_{kj}) ]

over the columns seen in the row. Statistics: :math:`s_{kj} = \sum_i r_{ik} x_{ij}` and
:math:`n_{kj} = \sum_i r_{ik} (1 - x_{ij})` over the rows that show column j; M-step:
:math:`p_{kj} = s_{kj} / (s_{kj} + n_{kj})`, with a beta prior (a, b) after adding a - 1 to
the ones and b - 1 to the zeros.

How it is computed: a row is encoded as its ones and its zeros, a missing cell as
neither, so that log densities and statistics are one matrix product each. Both sums
are kept, because a probability of exactly 0 or 1 would not survive a difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import xlog1py, xlogy

from latentem.engine.constraints import Bounded
from latentem.families.cells import filled, refuse
from latentem.families.held import HeldFamily, stay
from latentem.families.priors import BetaPrior

__all__ = ["Bernoulli", "BernoulliParams"]

Array = np.ndarray


class BernoulliParams(NamedTuple):
    """Probabilities of a 1, (K, d)."""

    probs: Any


class Answers(NamedTuple):
    """Expected ones and zeros of each component and column, (K, 2 d)."""

    counts: Array


class Prepared(NamedTuple):
    logs: Array  # (K, 2 d): log p, log(1 - p); 0 in place of -inf
    impossible: Array | None  # (K, 2 d): 1 where the logarithm is -inf; None if nowhere


class Bernoulli(HeldFamily):
    """Bernoulli family for columns of 0 and 1, independent within a component.

    A mixture of it is the latent class model of yes-or-no answers. NaN marks a missing
    cell, which tells nothing.

    Parameters
    ----------
    fixed : tuple of {"probs"}, or dict
        ``("probs",)`` keeps all starting values; ``{"probs": kept}`` those of the components
        of a bool array (K,), or its entries (K, d).
    prior : BetaPrior, optional
        Of the probabilities; the fit then is MAP.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import EM, families, models
    >>> X = np.array([[1.0, 1.0, 0.0]] * 6 + [[0.0, 0.0, 1.0]] * 3 + [[1.0, np.nan, 0.0]])
    >>> result = EM().run(models.Mixture(families.Bernoulli(), 2), X, rng=0)
    >>> result.params.family.probs[np.argsort(result.params.weights)].round(2).tolist()
    [[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """

    missing_cells = True
    discrete = True

    groups = ("probs",)
    prior_type = BetaPrior

    def __init__(
        self, fixed: Sequence[str] | Mapping[str, Any] = (), prior: BetaPrior | None = None
    ):
        self._hold(fixed, prior)

    def check(self, X: Array) -> None:
        super().check(X)
        X = np.asarray(X, dtype=float)
        refuse(X, (X == 0) | (X == 1), "Bernoulli data are 0 or 1")

    def encode(self, rows: Array) -> Array:
        """Ones and zeros of each row, (m, 2 d); a missing cell is neither."""
        rows = np.asarray(rows, dtype=float)
        return np.hstack([rows == 1, rows == 0]).astype(float)

    def points(self, x: Array) -> Array:
        ones, zeros = np.hsplit(x, 2)
        return filled(ones, ones + zeros)

    def scratch(self, n_features: int) -> int:
        return 2 * n_features

    def constraints(self) -> BernoulliParams:
        return BernoulliParams(self._constraint("probs", Bounded(0.0, 1.0)))

    def prepare(self, params: BernoulliParams) -> Prepared:
        chances = np.hstack([params.probs, 1.0 - params.probs])
        impossible = chances <= 0
        logs = np.hstack([np.log(np.where(params.probs > 0, params.probs, 1.0)),
                          np.log1p(-np.where(params.probs < 1, params.probs, 0.0))])  # fmt: skip
        return Prepared(logs, impossible.astype(float) if impossible.any() else None)

    def log_density(self, prepared: Prepared, x: Array) -> Array:
        out = prepared.logs @ x.T
        if prepared.impossible is not None:
            out[prepared.impossible @ x.T > 0] = -np.inf
        return out

    def statistics(
        self, prepared: Prepared, x: Array, weights: Array, shared: None = None
    ) -> Answers:
        return Answers(weights @ x)

    def maximize(self, statistics: Answers, params: BernoulliParams) -> BernoulliParams:
        ones, zeros = np.hsplit(statistics.counts, 2)
        if self.prior is not None:
            ones, zeros = ones + self.prior.ones - 1.0, zeros + self.prior.zeros - 1.0
        seen, old = ones + zeros, params.probs
        probs = np.where(seen > 0, ones / np.where(seen > 0, seen, 1), old)
        return BernoulliParams(stay(self.kept.get("probs"), probs, old))

    def initialize(self, x: Array, weights: Array, rng: np.random.Generator) -> BernoulliParams:
        """Shares of ones, each with one more row like the whole, so that none is 0 or 1."""
        ones, zeros = np.hsplit(weights @ x, 2)
        seen, row = ones + zeros, weights.sum() / len(x) or 1.0
        overall = (ones.sum(axis=0) + 0.5 * row) / (seen.sum(axis=0) + row)
        probs = (ones + row * overall) / (seen + row)
        if not seen.all():  # where nothing was seen, no two components the same
            probs = np.where(seen > 0, probs, 0.5 * (overall + rng.random(seen.shape)))
        return BernoulliParams(probs)

    def expected_loglik(self, params: BernoulliParams, statistics: Answers) -> float:
        ones, zeros = np.hsplit(statistics.counts, 2)
        return float((xlogy(ones, params.probs) + xlog1py(zeros, -params.probs)).sum())

    def moments(self, params: BernoulliParams) -> tuple[Array, Array]:
        """Means and variances of each component, (K, d) each."""
        return params.probs, params.probs * (1 - params.probs)

    def impute(self, params: BernoulliParams, rows: Array, shares: Array) -> Array:
        """The rows with the more probable of 0 and 1 in cells that are NaN."""
        return np.where(np.isnan(rows), shares.T @ params.probs > 0.5, rows)

    def cdf(self, params: BernoulliParams, x: Array) -> Array:
        below_one = np.where(x >= 0, 1.0 - params.probs[:, None, :], 0.0)
        return np.where(x >= 1, 1.0, below_one)

    def sample(self, params: BernoulliParams, components: Array, rng: np.random.Generator) -> Array:
        chances = params.probs[components]
        return (rng.random(chances.shape) < chances).astype(float)
