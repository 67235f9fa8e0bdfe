"""The smaller contract: one distribution, all K components at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from latentem.engine.model import Diagnosis
from latentem.engine.trees import zip_leaves

__all__ = ["Family"]

Array = np.ndarray


class Family(ABC):
    """A distribution that latent structures (mixtures, HMMs) use for their components.

    ====================  ======================================================
    method                what it is for
    ====================  ======================================================
    ``log_density``       *required*: (K, m) log densities, component-major
    ``statistics``        *required*: additive statistics of weighted rows
    ``maximize``          *required*: statistics to parameters
    ``initialize``        *required*: parameters from rows and (K, m) weights
    ``prepare``           derived quantities (factors, logs), once per E-step
    ``constraints``       acceleration, parameter counts, standard errors
    ``expected_loglik``   Q, for standard errors and `check_family`
    ``log_prior``         MAP
    ``encode, check``     data that are not plain numbers, or not all numbers
    ``learn``             what only the data tell, before the fit: categories
    ``evaluate``          share work between log density and statistics of a block
    ``relabel``           components in another order, where a leaf is shared by all
    ``reordered``         the same, of what the family itself holds of single components
    ``check_components``  refuse another number of components than such things are for
    ``sample``            simulation
    ``moments``           means and spreads in tables, figures and forecasts
    ``cdf``               intervals of forecasts, pseudo-residuals
    ``survival``          pseudo-residuals of rows far above, by default ``1 - cdf``
    ``impute``            cells that were not seen, by default their means
    ====================  ======================================================

    Parameters are a NamedTuple of arrays whose first axis is the components
    (a leaf shared by all components, as a tied covariance, has none).

    Examples
    --------
    The families in `latentem.families.exponential` and `latentem.families.bernoulli` are
    the models to copy.
    """

    additive: bool = True
    #: As in `LatentModel`: False where ``maximize`` only comes near the maximum.
    monotone: bool = True
    #: Whether rows may have NaN cells, which were not seen and contribute nothing.
    missing_cells: bool = False
    #: Whether rows may be a scipy sparse matrix, which ``check`` and ``encode`` then get too.
    sparse: bool = False
    #: Whether cells are whole numbers.
    discrete: bool = False
    #: Names of parameter groups that keep their starting values.
    fixed: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return type(self).__name__

    @abstractmethod
    def log_density(self, prepared: Any, x: Any) -> Array:
        """Log density of the m encoded rows under each component, a new (K, m) array."""

    @abstractmethod
    def statistics(self, prepared: Any, x: Any, weights: Array, shared: Any = None) -> Any:
        """Additive statistics of the rows, weighted by `weights` (K, m).

        A column of zero weight contributes exactly nothing. `shared` is what
        ``evaluate`` returned for the same block.
        """

    @abstractmethod
    def maximize(self, statistics: Any, params: Any) -> Any:
        """Parameters that maximise Q + log prior, subject to the fixed values in `params`.

        A component of zero weight keeps its values.
        """

    @abstractmethod
    def initialize(self, x: Any, weights: Array, rng: np.random.Generator) -> Any:
        """Parameters from encoded rows and starting responsibilities (K, m)."""

    def evaluate(self, prepared: Any, x: Any) -> tuple[Array, Any]:
        """``log_density`` and whatever ``statistics`` can reuse within the block."""
        return self.log_density(prepared, x), None

    def learn(self, X: Array) -> Family:
        """The family itself, or one that has settled what only the data can tell before a fit.

        Estimators call it with all rows before they call ``check``: the number of
        categories, for example, must not depend on the block.
        """
        return self

    def encode(self, rows: Array) -> Any:
        """Rows as the family wants them, in the same order; float64 by default.

        Of any type: the structures hand it back to the family and do not look inside.
        """
        return np.ascontiguousarray(rows, dtype=float)

    def check(self, X: Array) -> None:
        """Raise ValueError, with a sentence, for rows that the family cannot have produced."""
        return None

    def points(self, x: Any) -> Array:
        """Encoded rows as finite points (m, d), for k-means starts."""
        return x

    def scratch(self, n_features: int) -> int:
        """Floats of working memory per row, from which block sizes are chosen."""
        return n_features

    def prepare(self, params: Any) -> Any:
        """What ``log_density`` and ``statistics`` read, derived once per E-step."""
        return params

    def constraints(self) -> Any:
        """A `Constraint` per leaf, in the structure of the parameters; None if not declared."""
        return None

    def log_prior(self, params: Any) -> float:
        return 0.0

    def expected_loglik(self, params: Any, statistics: Any) -> float:
        """Expected complete-data log-likelihood of the rows at given statistics."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no expected_loglik(params, statistics)"
        )

    def diagnose(self, params: Any, statistics: Any) -> Diagnosis:
        return Diagnosis()

    def moments(self, params: Any) -> tuple[Array, Array]:
        """Means and variances of the columns under each component, (K, d) each."""
        raise NotImplementedError(f"{type(self).__name__} defines no moments(params)")

    def cdf(self, params: Any, x: Array) -> Array:
        """Probability of at most `x` (n, d) in each column, under each component, (K, n, d)."""
        raise NotImplementedError(f"{type(self).__name__} defines no cdf(params, x)")

    def survival(self, params: Any, x: Array) -> Array:
        """Probability of more than `x` (n, d), (K, n, d); with digits of its own where it is small.

        By default what `cdf` leaves over, and at least the last digit of that.
        """
        return np.maximum(1.0 - self.cdf(params, x), 2.0**-54)

    def impute(self, params: Any, rows: Array, shares: Array) -> Array:
        """The rows (m, d) with what is expected in cells that are NaN.

        Given what was seen of the row, and `shares` (K, m), the probabilities of the
        components, which sum to 1. Cells that were seen keep their bits.
        """
        means = self.moments(params)[0]
        return np.where(np.isnan(rows), shares.T @ means, rows)

    def discrete_columns(self, n_features: int) -> Array:
        """Which columns hold whole numbers, (n_features,) bool; `discrete` by default."""
        return np.full(n_features, self.discrete)

    def relabel(self, params: Any, order: Array) -> Any:
        """The parameters with component ``order[k]`` in place k."""
        return zip_leaves(lambda leaf: leaf[order], params)

    def reordered(self, order: Array) -> Family:
        """The family, with what it holds of component ``order[k]`` in place k.

        Which values of a component are fixed, for example, or a prior of its own.
        """
        return self

    def check_components(self, n_components: int) -> None:
        """Raise ValueError for another number of them than it holds something for."""
        return None

    def sample(self, params: Any, components: Array, rng: np.random.Generator) -> Array:
        """One row for each entry of `components`, (n, d)."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no sample(params, components, rng)"
        )
