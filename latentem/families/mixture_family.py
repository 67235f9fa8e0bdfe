r"""A mixture as the emission of each component: what a GMM-HMM is made of.

.. math:: f_k(x) = \sum_j c_{kj} g_{kj}(x)

E-step, within component k: :math:`r_{kj}(x) = w_k(x)\, c_{kj} g_{kj}(x) / f_k(x)` where
:math:`w_k(x)` is the weight that the outer structure gives. M-step: :math:`c_{kj} = \sum r_{kj} /
\sum_l \sum r_{kl}`, and the inner family's own with weights :math:`r`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import xlogy

from latentem.engine.constraints import Fixed, Simplex
from latentem.engine.family import Family
from latentem.engine.model import Diagnosis
from latentem.engine.starts import responsibilities
from latentem.families.held import entries_kept
from latentem.families.priors import concentrations, of_free
from latentem.families.proportions import maximize_rows
from latentem.kernels.posterior import normalise

__all__ = ["MixtureFamily", "MixtureFamilyParams"]

Array = np.ndarray


class MixtureFamilyParams(NamedTuple):
    """Weights (K, M), rows summing to 1, and the inner family's parameters.

    The inner family has K M components, those of component k in k M .. (k + 1) M - 1.
    """

    weights: Any
    family: Any


class MixtureFamilyStatistics(NamedTuple):
    counts: Array  # (K, M)
    family: Any


class Prepared(NamedTuple):
    log_weights: Array
    family: Any


class MixtureFamily(Family):
    """Each component is itself a mixture of `n_mix` members of a family.

    Parameters
    ----------
    family : Family
        Its parameters must belong to one component each (no tied covariance).
    n_mix : int
    fixed : tuple of {"weights"}, or dict
        ``("weights",)`` keeps the starting weights, ``{"weights": kept}`` those of the components
        of a bool array (K,), or its entries (K, M). Groups of the inner family are fixed there.
    weights_prior : float, (M,) or (K, M) array-like, optional
        Concentrations, at least 1, of a Dirichlet prior of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem.families import Gaussian, MixtureFamily
    >>> family = MixtureFamily(Gaussian("diag"), 2)
    >>> x = np.array([[0.0], [0.2], [5.0], [5.2]])
    >>> params = family.initialize(x, np.ones((1, 4)), np.random.default_rng(0))
    >>> params.weights.tolist(), np.sort(params.family.means[:, 0]).round(1).tolist()
    ([[0.5, 0.5]], [0.1, 5.1])
    """

    def __init__(
        self,
        family: Family,
        n_mix: int,
        fixed: Sequence[str] | Mapping[str, Any] = (),
        weights_prior: Any = None,
    ):
        if not isinstance(family, Family):
            raise TypeError(f"family must be a Family, got {type(family).__name__}")
        if isinstance(n_mix, bool) or not isinstance(n_mix, int | np.integer) or n_mix < 1:
            raise ValueError(f"n_mix must be an integer of at least 1, got {n_mix!r}")
        if getattr(family, "covariance_type", None) == "tied":
            raise ValueError(
                "a mixture inside each component cannot have covariance_type='tied', which is "
                "shared by all: use 'full', 'diag' or 'spherical'"
            )
        self.family = family
        self.n_mix = int(n_mix)
        self.weights_prior = concentrations(
            weights_prior, (len(np.atleast_2d(weights_prior)), self.n_mix), "weights_prior", True
        )
        self.kept = entries_kept(fixed, ("weights",))
        self.fixed = (*self.kept, *family.fixed)
        self.additive = family.additive
        self.monotone = family.monotone
        self.missing_cells = family.missing_cells

    def __repr__(self) -> str:
        fixed = f", fixed={self.kept!r}" if self.kept else ""
        return f"MixtureFamily({self.family!r}, {self.n_mix}{fixed})"

    def learn(self, X: Array) -> MixtureFamily:
        other = copy.copy(self)
        other.family = self.family.learn(X)
        return other

    def _free(self) -> Array | None:
        """Weights that may move, to go with (K, M); None where all may."""
        kept = self.kept.get("weights")
        if kept is None:
            return None
        free = ~np.asarray(kept)
        return free if free.ndim == 2 else free[..., None]

    def check_components(self, n_components: int) -> None:
        kept, prior = self.kept.get("weights", True), self.weights_prior
        if kept is not True and np.shape(kept) not in (
            (n_components,), (n_components, self.n_mix)
        ):  # fmt: skip
            raise ValueError(
                f"fixed['weights'] has shape {np.shape(kept)}: give True or False for each of "
                f"{n_components} components, or for each of their {self.n_mix} weights"
            )
        if prior is not None and len(prior) not in (1, n_components):
            raise ValueError(
                f"weights_prior is for {len(prior)} components, and there are {n_components}"
            )
        self.family.check_components(n_components * self.n_mix)

    def reordered(self, order: Array) -> MixtureFamily:
        other, prior = copy.copy(self), self.weights_prior
        other.family = self.family.reordered(self._inner(order))
        other.kept = {
            group: kept if kept is True else np.asarray(kept)[order]
            for group, kept in self.kept.items()
        }
        if prior is not None and len(prior) > 1:
            other.weights_prior = prior[order]
        return other

    def _inner(self, order: Array) -> Array:
        """The order of the inner family's components."""
        return (np.asarray(order)[:, None] * self.n_mix + np.arange(self.n_mix)).ravel()

    def encode(self, rows: Array) -> Any:
        return self.family.encode(rows)

    def check(self, X: Array) -> None:
        self.family.check(X)

    def points(self, x: Any) -> Array:
        return self.family.points(x)

    def scratch(self, n_features: int) -> int:
        return self.family.scratch(n_features)

    def prepare(self, params: MixtureFamilyParams) -> Prepared:
        with np.errstate(divide="ignore"):
            return Prepared(np.log(params.weights), self.family.prepare(params.family))

    def evaluate(self, prepared: Prepared, x: Any) -> tuple[Array, tuple[Array, Any]]:
        inner, shared = self.family.evaluate(prepared.family, x)
        m = inner.shape[1]
        one, density = np.ones(m), np.empty((len(prepared.log_weights), m))
        for k, log_weights in enumerate(prepared.log_weights):
            part = inner[k * self.n_mix : (k + 1) * self.n_mix]
            normalise(part, log_weights, one, density[k])
        return density, (inner, shared)

    def log_density(self, prepared: Prepared, x: Any) -> Array:
        return self.evaluate(prepared, x)[0]

    def statistics(
        self,
        prepared: Prepared,
        x: Any,
        weights: Array,
        shared: tuple[Array, Any] | None = None,
    ) -> MixtureFamilyStatistics:
        shares, rest = self.evaluate(prepared, x)[1] if shared is None else shared
        k, m = weights.shape
        inner = (shares.reshape(k, self.n_mix, m) * weights[:, None, :]).reshape(-1, m)
        return MixtureFamilyStatistics(
            inner.sum(axis=1).reshape(k, self.n_mix),
            self.family.statistics(prepared.family, x, inner, rest),
        )

    def maximize(
        self, statistics: MixtureFamilyStatistics, params: MixtureFamilyParams
    ) -> MixtureFamilyParams:
        weights, counts = params.weights, statistics.counts
        if self.weights_prior is not None:
            counts = counts + (self.weights_prior - 1.0)
        if self.kept.get("weights") is not True:
            weights = maximize_rows(counts, weights, self._free())
        return MixtureFamilyParams(weights, self.family.maximize(statistics.family, params.family))

    def initialize(self, x: Any, weights: Array, rng: np.random.Generator) -> MixtureFamilyParams:
        points = self.family.points(x)
        parts = []
        for row in weights:
            mine = row > 0
            shares = np.zeros((self.n_mix, len(row)))
            if mine.sum() >= self.n_mix:
                within = responsibilities(points[mine], row[mine], self.n_mix, "kmeans", rng)
                shares[:, mine] = next(within)
            else:  # too few rows to part
                shares[:] = 1.0 / self.n_mix
            parts.append(shares * row)
        inner = np.concatenate(parts)
        counts = inner.sum(axis=1).reshape(len(weights), self.n_mix)
        total = counts.sum(axis=1, keepdims=True)
        shares = np.where(total > 0, counts / np.where(total > 0, total, 1), 1 / self.n_mix)
        return MixtureFamilyParams(shares, self.family.initialize(x, inner, rng))

    def constraints(self) -> MixtureFamilyParams | None:
        inner = self.family.constraints()
        if inner is None:
            return None
        return MixtureFamilyParams(
            Fixed() if self.kept.get("weights") is True else Simplex(self._free()), inner
        )

    def log_prior(self, params: MixtureFamilyParams) -> float:
        prior = self.family.log_prior(params.family)
        if self.weights_prior is not None and self.kept.get("weights") is not True:
            concentration = of_free(self.weights_prior, self._free())
            prior += float(xlogy(concentration - 1.0, params.weights).sum())
        return prior

    def expected_loglik(
        self, params: MixtureFamilyParams, statistics: MixtureFamilyStatistics
    ) -> float:
        counts = statistics.counts
        with np.errstate(divide="ignore", invalid="ignore"):
            chosen = np.where(counts > 0, counts * np.log(params.weights), 0.0).sum()
        return float(chosen) + self.family.expected_loglik(params.family, statistics.family)

    def diagnose(
        self, params: MixtureFamilyParams, statistics: MixtureFamilyStatistics
    ) -> Diagnosis:
        return self.family.diagnose(params.family, statistics.family)

    def moments(self, params: MixtureFamilyParams) -> tuple[Array, Array]:
        """Means and variances of each component, (K, d) each."""
        k, d = len(params.weights), -1
        means, variances = (
            part.reshape(k, self.n_mix, d) for part in self.family.moments(params.family)
        )
        mean = np.einsum("kj,kjd->kd", params.weights, means)
        apart = means - mean[:, None]
        return mean, np.einsum("kj,kjd->kd", params.weights, variances + apart**2)

    def impute(self, params: MixtureFamilyParams, rows: Array, shares: Array) -> Array:
        prepared = self.prepare(params)
        inner = self.evaluate(prepared, self.encode(rows))[1][0]
        inner = inner.reshape(len(shares), self.n_mix, -1) * shares[:, None]
        return self.family.impute(params.family, rows, inner.reshape(-1, len(rows)))

    def cdf(self, params: MixtureFamilyParams, x: Array) -> Array:
        return self._mixed(params, self.family.cdf(params.family, x))

    def survival(self, params: MixtureFamilyParams, x: Array) -> Array:
        return self._mixed(params, self.family.survival(params.family, x))

    def _mixed(self, params: MixtureFamilyParams, inner: Array) -> Array:
        """Values (K n_mix, n, d) of the parts, weighted, (K, n, d)."""
        inner = inner.reshape(len(params.weights), self.n_mix, *inner.shape[1:])
        return np.einsum("kj,kjnd->knd", params.weights, inner)

    def discrete_columns(self, n_features: int) -> Array:
        return self.family.discrete_columns(n_features)

    def relabel(self, params: MixtureFamilyParams, order: Array) -> MixtureFamilyParams:
        inner = self.family.relabel(params.family, self._inner(order))
        return MixtureFamilyParams(params.weights[order], inner)

    def sample(
        self, params: MixtureFamilyParams, components: Array, rng: np.random.Generator
    ) -> Array:
        edges = params.weights.cumsum(axis=1)[components]
        place = (rng.random(len(components))[:, None] * edges[:, -1:] >= edges).sum(axis=1)
        inner = components * self.n_mix + np.minimum(place, self.n_mix - 1)
        return self.family.sample(params.family, inner, rng)
