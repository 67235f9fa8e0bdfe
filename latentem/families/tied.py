r"""Components that share their parameters: one distribution for each group of them.

With component k in group g(k), :math:`f_k = f_{g(k)}`. Statistics of a group are those of rows
weighted by :math:`\sum_{k: g(k) = g} r_{ik}`, so that its M-step, priors and fixed values
included, is that of the family itself.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np

from latentem.engine.constraints import Constraint, Equal
from latentem.engine.family import Family
from latentem.engine.model import Diagnosis
from latentem.engine.trees import rebuild
from latentem.families.mixture_family import MixtureFamily

__all__ = ["Tied"]

Array = np.ndarray


class Tied(Family):
    """A family whose components share their parameters within groups.

    States of a chain that look alike but go elsewhere, for example: a stay in two states of
    one group is not geometric. In a mixture, components that share everything are one, so
    it is for some of the columns there, as a part of `Independent`.

    Parameters
    ----------
    family : Family
        Of the groups: what it fixes, and a prior for each component, are for groups. Its
        parameters must belong to one component each (no tied covariance).
    groups : sequence of int
        Group 0, 1, ... of each component. Parameters keep a row for each component.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import HMM, families
    >>> family = families.Tied(families.Poisson(), [0, 0, 1])
    >>> X = np.random.default_rng(0).poisson(np.repeat([2, 9, 2, 9], 25))[:, None]
    >>> start = families.PoissonParams(np.array([[2.0], [2.0], [9.0]]))
    >>> hmm = HMM(family, 3, family_init=start, random_state=0).fit(X)
    >>> hmm.family_params_.lambdas.round(1).ravel().tolist()
    [1.8, 1.8, 9.7]
    >>> hmm.n_parameters()  # 2 of the start, 6 of the transitions, 2 rates
    10
    """

    def __init__(self, family: Family, groups: Any):
        if not isinstance(family, Family):
            raise TypeError(f"family must be a Family, got {type(family).__name__}")
        if getattr(family, "covariance_type", None) == "tied":
            raise ValueError(
                "Tied is of parameters that belong to one component each; a tied covariance is "
                "shared by all already: use 'full', 'diag' or 'spherical'"
            )
        found = np.asarray(groups)
        whole = found.ndim == 1 and found.size > 0 and found.dtype.kind in "iu"
        if not whole or sorted(set(found.tolist())) != list(range(found.max() + 1)):
            raise ValueError(
                f"groups must have a number 0, 1, ... for each component, none left out, got "
                f"{groups!r}"
            )
        self.family = family
        self.groups = found.astype(np.intp)
        self.first = np.unique(self.groups, return_index=True)[1]
        self.fixed = family.fixed
        self.additive = family.additive
        self.monotone = family.monotone
        self.missing_cells = family.missing_cells
        self.discrete = family.discrete

    def __repr__(self) -> str:
        return f"Tied({self.family!r}, {self.groups.tolist()})"

    def _one(self, params: Any) -> Any:
        """Parameters of the groups."""
        return self.family.relabel(params, self.first)

    def _summed(self, weights: Array) -> Array:
        """Weights (K, m) of the groups together."""
        member = self.groups == np.arange(len(self.first))[:, None]
        return np.ascontiguousarray(member.astype(float) @ weights)

    def learn(self, X: Array) -> Tied:
        other = copy.copy(self)
        other.family = self.family.learn(X)
        return other

    def encode(self, rows: Array) -> Any:
        return self.family.encode(rows)

    def check(self, X: Array) -> None:
        self.family.check(X)

    def points(self, x: Any) -> Array:
        return self.family.points(x)

    def scratch(self, n_features: int) -> int:
        return self.family.scratch(n_features)

    def prepare(self, params: Any) -> Any:
        return self.family.prepare(self._one(params))

    def evaluate(self, prepared: Any, x: Any) -> tuple[Array, Any]:
        density, shared = self.family.evaluate(prepared, x)
        return density[self.groups], shared

    def log_density(self, prepared: Any, x: Any) -> Array:
        return self.family.log_density(prepared, x)[self.groups]

    def statistics(self, prepared: Any, x: Any, weights: Array, shared: Any = None) -> Any:
        return self.family.statistics(prepared, x, self._summed(weights), shared)

    def maximize(self, statistics: Any, params: Any) -> Any:
        found = self.family.maximize(statistics, self._one(params))
        return self.family.relabel(found, self.groups)

    def initialize(self, x: Any, weights: Array, rng: np.random.Generator) -> Any:
        self._check_count(len(weights))
        found = self.family.initialize(x, self._summed(weights), rng)
        return self.family.relabel(found, self.groups)

    def constraints(self) -> Any:
        found, groups = self.family.constraints(), self.groups
        if found is None:
            return None
        if isinstance(self.family, MixtureFamily):  # its inner family has more components
            m = self.family.n_mix
            inner = (groups[:, None] * m + np.arange(m)).ravel()
            return found._replace(
                weights=_equal(found.weights, groups), family=_equal(found.family, inner)
            )
        return _equal(found, groups)

    def log_prior(self, params: Any) -> float:
        return self.family.log_prior(self._one(params))

    def expected_loglik(self, params: Any, statistics: Any) -> float:
        return self.family.expected_loglik(self._one(params), statistics)

    def diagnose(self, params: Any, statistics: Any) -> Diagnosis:
        """The sentences of the family, with the components of the groups they are about."""
        found = self.family.diagnose(self._one(params), statistics)
        return Diagnosis(*(tuple(map(self._named, kind)) for kind in found))

    def _named(self, text: str) -> str:
        def components(match: re.Match[str]) -> str:
            own = np.flatnonzero(self.groups == int(match[1])).tolist()
            return f"component{'s' * (len(own) > 1)} {', '.join(map(str, own))}"

        return re.sub(r"\bcomponent (\d+)", components, text)

    def moments(self, params: Any) -> tuple[Array, Array]:
        return self.family.moments(params)

    def cdf(self, params: Any, x: Array) -> Array:
        return self.family.cdf(params, x)

    def survival(self, params: Any, x: Array) -> Array:
        return self.family.survival(params, x)

    def impute(self, params: Any, rows: Array, shares: Array) -> Array:
        return self.family.impute(params, rows, shares)

    def discrete_columns(self, n_features: int) -> Array:
        return self.family.discrete_columns(n_features)

    def relabel(self, params: Any, order: Array) -> Any:
        return self.family.relabel(params, order)

    def reordered(self, order: Array) -> Tied:
        return Tied(self.family, self.groups[order])

    def _check_count(self, n_components: int) -> None:
        if len(self.groups) != n_components:
            raise ValueError(
                f"{self!r} is for {len(self.groups)} components, and there are {n_components}"
            )

    def check_components(self, n_components: int) -> None:
        self._check_count(n_components)
        self.family.check_components(len(self.first))

    def sample(self, params: Any, components: Array, rng: np.random.Generator) -> Array:
        return self.family.sample(params, components, rng)


def _equal(constraints: Any, groups: Array) -> Any:
    if isinstance(constraints, Constraint):
        return Equal(constraints, groups)
    return rebuild(constraints, [_equal(part, groups) for part in constraints])
