r"""Finite mixtures of any family.

.. math:: p(x) = \sum_k \pi_k f_k(x)

E-step, for a row of weight :math:`w_i`:

.. math:: r_{ik} = w_i \pi_k f_k(x_i) \big/ \sum_l \pi_l f_l(x_i)

:math:`\pi_k f_k` to the power of :math:`\beta` where that is not 1, and all its weight at the
largest of them in hard EM. A labelled row has all its weight at its label. M-step:
:math:`\pi_k = \sum_i r_{ik} / \sum_i w_i`, and the family's own with weights
:math:`r`. Source: Dempster, Laird and Rubin (1977), section 4.3,
doi:10.1111/j.2517-6161.1977.tb01600.x.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import xlogy

from latentem.engine.blocks import Rows, bounds
from latentem.engine.constraints import Fixed, Simplex
from latentem.engine.family import Family
from latentem.engine.model import SOFT, Diagnosis, Expectation, How, LatentModel
from latentem.engine.starts import InitParams, obeying, responsibilities
from latentem.engine.trees import leaves
from latentem.families.held import entries_kept
from latentem.families.priors import concentrations, of_free
from latentem.families.proportions import maximize_rows
from latentem.kernels.posterior import normalise
from latentem.models.moves import moved

__all__ = ["Mixture", "MixtureParams"]

Array = np.ndarray

#: Floats of a family's working memory per block (2 MB), with fewest and most rows of a block:
#: below 4,000 rows the interpreter is felt. Posteriors of a block take 8 MB at the most.
BLOCK_FLOATS = 2**18
BLOCK_ROWS = (4000, 16000)
POSTERIOR_FLOATS = 2**20
#: Nats that stand for a row that is impossible, where labels are matched.
IMPOSSIBLE = 1e6
#: Components that differ by fewer nats a row than this are the same.
SAME = 1e-3


class MixtureParams(NamedTuple):
    """Mixing weights (K,), which sum to 1, and the parameters of the family."""

    weights: Any
    family: Any


class MixtureStatistics(NamedTuple):
    counts: Array
    family: Any


class Prepared(NamedTuple):
    log_weights: Array
    family: Any


class Mixture(LatentModel):
    """A mixture of `n_components` members of a family.

    Parameters
    ----------
    family : Family
    n_components : int
    init_params : {"kmeans", "k-means++", "random", "random_from_data"} or callable
        How `initialize` makes the first responsibilities.
    fixed : tuple of {"weights"}, or dict
        ``("weights",)`` keeps the starting weights, ``{"weights": kept}`` the entries of a bool
        array (n_components,). Groups of the family are fixed there.
    weights_prior : float or (n_components,) array-like, optional
        Concentrations, at least 1, of a Dirichlet prior of the weights: above 1 no component
        can vanish. Without it, and at 1, weights are the likeliest.
    named : bool
        Whether labels tell every component from the others: their order then means something,
        and two that are alike are no sign of a bad start.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import EM, families, models
    >>> X = np.array([[0.0], [1.0], [0.0], [8.0], [9.0], [7.0]])
    >>> result = EM().run(models.Mixture(families.Poisson(), 2), X, rng=0)
    >>> np.sort(result.params.weights).round(2).tolist()
    [0.5, 0.5]
    """

    variants: ClassVar[tuple[str, ...]] = ("hard", "tempered")

    def __init__(
        self,
        family: Family,
        n_components: int,
        init_params: InitParams = "kmeans",
        fixed: Sequence[str] | Mapping[str, Any] = (),
        weights_prior: Any = None,
        named: bool = False,
    ):
        if not isinstance(family, Family):
            raise TypeError(f"family must be a Family, got {type(family).__name__}")
        if isinstance(n_components, bool) or not isinstance(n_components, int | np.integer):
            raise TypeError(f"n_components must be an integer, got {n_components!r}")
        if n_components < 1:
            raise ValueError(f"n_components must be at least 1, got {n_components}")
        self.family = family
        self.n_components = int(n_components)
        self.init_params = init_params
        self.named = bool(named)
        self.fixed = entries_kept(fixed, ("weights",))
        kept = self.fixed.get("weights", True)
        if kept is not True and np.shape(kept) != (self.n_components,):
            raise ValueError(
                f"fixed['weights'] must be True or have shape ({self.n_components},), got "
                f"{np.shape(kept)}"
            )
        self.free_weights = None if kept is True else ~np.asarray(kept)
        self.weights_prior = concentrations(weights_prior, (self.n_components,), "weights_prior")
        family.check_components(self.n_components)
        self.additive = family.additive
        self.monotone = family.monotone

    def __repr__(self) -> str:
        return f"Mixture({self.family!r}, {self.n_components})"

    def blocks(self, data: Any, size: int | None = None) -> list[Rows]:
        """Rows (an array, ``(x, weights)``, or `Rows`) as blocks of encoded rows.

        The array may be a scipy sparse matrix if the family takes one (`Family.sparse`).
        """
        if isinstance(data, tuple):
            data = Rows(*data)
        elif not isinstance(data, Rows):
            data = Rows(data)
        if sparse.issparse(data.x):
            data = replace(data, x=self._compressed(data.x))
        elif not isinstance(data.x, np.ndarray):
            data = replace(data, x=np.asarray(data.x))
        if np.ndim(data.x) != 2:
            raise ValueError(
                f"the rows must be a 2-D array, found {np.ndim(data.x)}-D: use x[:, None]"
            )
        size = self.block_size(np.shape(data.x)[1]) if size is None else size
        self._check(data)
        cut = [data[begin:end] for begin, end in bounds(len(data), size)]
        return [replace(rows, encoded=self.family.encode(rows.x)) for rows in cut]

    def _compressed(self, x: Any) -> Any:
        """A sparse matrix of any format by rows, if the family takes such."""
        if not self.family.sparse:
            raise TypeError(
                f"{self.family!r} takes no sparse matrix: pass x.toarray(), if that fits into "
                "memory"
            )
        return sparse.csr_array(x)

    def block_size(self, n_features: int) -> int:
        least, most = BLOCK_ROWS
        size = min(max(BLOCK_FLOATS // self.family.scratch(n_features), least), most)
        return min(size, max(POSTERIOR_FLOATS // self.n_components, 64))

    def _check(self, data: Rows) -> None:
        """ValueError, with a sentence, for rows, weights or labels that cannot be."""
        x: Any = data.x
        weights, labels = data.weights, data.labels
        missing = self.family.missing_cells
        cells = x.data if sparse.issparse(x) else x
        if not np.isfinite(np.sum(cells)):
            wrong = np.isinf(cells) if missing else ~np.isfinite(cells)
            if sparse.issparse(x):
                wrong = sparse.csr_array((wrong, x.indices, x.indptr), shape=x.shape)
            for row, column in np.transpose(wrong.nonzero())[:1]:
                raise ValueError(
                    f"x[{row}, {column}] is {x[row, column]}: {type(self.family).__name__} needs "
                    f"finite numbers{', or NaN for a missing cell' * missing}. Drop that row, or "
                    "correct the cell"
                )
        self.family.check(x)
        for values, name in ((weights, "weights"), (labels, "labels")):
            if values is not None and np.shape(values) != (len(data),):
                raise ValueError(
                    f"{name} must have one value per row, shape ({len(data)},), got "
                    f"{np.shape(values)}"
                )
        if weights is not None and not (np.all(weights >= 0) and np.all(weights < np.inf)):
            raise ValueError("weights must be finite numbers >= 0")
        if labels is not None:
            whole = np.issubdtype(labels.dtype, np.integer)
            if not whole or labels.min() < -1 or labels.max() >= self.n_components:
                raise ValueError(
                    f"labels must be integers: a component, 0..{self.n_components - 1}, or -1 "
                    "where it is not known"
                )

    def initialize(self, blocks: Sequence[Rows], rng: np.random.Generator) -> MixtureParams:
        fixed = [*self.fixed, *self.family.fixed]
        if fixed:
            raise ValueError(
                f"{', '.join(fixed)} are fixed at their starting values, so these must be given: "
                "pass parameters as start"
            )
        return self.guess(blocks, rng)

    def guess(self, blocks: Sequence[Rows], rng: np.random.Generator) -> MixtureParams:
        """Parameters as `init_params` says, those of fixed groups included."""
        parts = [block.x for block in blocks]
        rows = sparse.vstack(parts) if sparse.issparse(parts[0]) else np.concatenate(parts)
        x = self.family.encode(rows)
        weights = np.concatenate([_weights(block) for block in blocks])
        labels = [block.labels for block in blocks if block.labels is not None]
        known = np.concatenate(labels) if len(labels) == len(blocks) else None
        found = []
        for shares in responsibilities(
            self.family.points(x), weights, self.n_components, self.init_params, rng
        ):
            if known is not None and (known >= 0).any():
                shares = obeying(shares, known, self._fits(x, shares, weights, rng))
            found.append(self.from_responsibilities(x, shares * weights, rng))
        if len(found) == 1:
            return found[0]
        sample = Rows(rows, weights, known, x)
        with np.errstate(all="ignore"):
            return max(found, key=lambda params: self.e_step(self.prepare(params), sample).loglik)

    def _fits(
        self, x: Any, shares: Array, weights: Array, rng: np.random.Generator
    ) -> Array | None:
        """Weighted log densities (K, n) under a guess whose components have no names yet."""
        if callable(self.init_params):
            return None
        params = self.family.initialize(x, shares * weights, rng)
        with np.errstate(all="ignore"):
            density = self.family.log_density(self.family.prepare(params), x)
        return weights * np.clip(density, -IMPOSSIBLE, IMPOSSIBLE)

    def from_responsibilities(
        self, x: Any, responsibilities: Array, rng: np.random.Generator
    ) -> MixtureParams:
        """Parameters of one M-step from weighted responsibilities (K, n)."""
        counts = responsibilities.sum(axis=1)
        return MixtureParams(
            counts / counts.sum(), self.family.initialize(x, responsibilities, rng)
        )

    def prepare(self, params: MixtureParams) -> Prepared:
        with np.errstate(divide="ignore"):
            return Prepared(np.log(params.weights), self.family.prepare(params.family))

    def posterior(
        self, prepared: Prepared, block: Rows, how: How = SOFT
    ) -> tuple[Array, Array, Any]:
        """Weighted posteriors (K, m), log-likelihoods (m,) of the rows, and what was shared."""
        posterior, shared = self.family.evaluate(prepared.family, block.encoded)
        if block.labels is not None:
            other = block.labels != np.arange(self.n_components)[:, None]
            posterior[other & (block.labels >= 0)] = -np.inf
        row_loglik = np.empty(posterior.shape[1])
        if how.kind == "hard":
            posterior += prepared.log_weights[:, None]
            return *_classified(posterior, _weights(block)), shared
        log_weights = prepared.log_weights
        if how.beta != 1.0:
            posterior *= how.beta
            log_weights = how.beta * log_weights
        normalise(posterior, log_weights, _weights(block), row_loglik)
        if how.beta != 1.0:
            row_loglik /= how.beta
        return posterior, row_loglik, shared

    def e_step(self, prepared: Prepared, block: Rows, how: How = SOFT) -> Expectation:
        posterior, row_loglik, shared = self.posterior(prepared, block, how)
        if block.weights is None:
            loglik, weight = row_loglik.sum(), float(len(row_loglik))
        else:
            present = block.weights > 0  # 0 * -inf would be NaN
            loglik, weight = block.weights[present] @ row_loglik[present], block.weights.sum()
        statistics = MixtureStatistics(
            posterior.sum(axis=1),
            self.family.statistics(prepared.family, block.encoded, posterior, shared),
        )
        return Expectation(statistics, float(loglik), float(weight))

    def m_step(self, statistics: MixtureStatistics, params: MixtureParams) -> MixtureParams:
        weights, counts = params.weights, statistics.counts
        if self.weights_prior is not None:
            counts = counts + (self.weights_prior - 1.0)
        if self.fixed.get("weights") is not True:
            weights = maximize_rows(counts, weights, self.free_weights)
        return MixtureParams(weights, self.family.maximize(statistics.family, params.family))

    def constraints(self) -> MixtureParams | None:
        family = self.family.constraints()
        if family is None:
            return None
        whole = self.fixed.get("weights") is True
        return MixtureParams(Fixed() if whole else Simplex(self.free_weights), family)

    def log_prior(self, params: MixtureParams) -> float:
        prior = self.family.log_prior(params.family)
        if self.weights_prior is not None and self.fixed.get("weights") is not True:
            concentration = of_free(self.weights_prior, self.free_weights)
            prior += float(xlogy(concentration - 1.0, params.weights).sum())
        return prior

    def expected_loglik(self, params: MixtureParams, statistics: MixtureStatistics) -> float:
        counts = statistics.counts
        weights = np.where(counts > 0, params.weights, 1.0)
        with np.errstate(divide="ignore"):
            chosen = float(counts @ np.log(weights))
        return chosen + self.family.expected_loglik(params.family, statistics.family)

    def diagnose(self, params: MixtureParams, statistics: MixtureStatistics) -> Diagnosis:
        found = self.family.diagnose(params.family, statistics.family)
        total = statistics.counts.sum()
        empty = tuple(
            f"component {k} is empty (weight {statistics.counts[k]:.2g}) and keeps its last "
            "parameters"
            for k in np.flatnonzero(statistics.counts <= 1e-12 * total)
        )
        found = found._replace(notes=found.notes + empty)
        if self.named:
            return found
        same = coincident(self.family, params.family, statistics.family, statistics.counts)
        return found._replace(not_identified=found.not_identified + same)

    @property
    def exchangeable(self) -> bool:  # type: ignore[override]
        free = not (self.fixed or self.family.fixed)
        return self.n_components > 1 and free and not self.named

    def relabel(self, params: MixtureParams, order: Array) -> MixtureParams:
        return MixtureParams(params.weights[order], self.family.relabel(params.family, order))

    def moves(
        self, params: MixtureParams, blocks: Sequence[Rows], rng: np.random.Generator
    ) -> Iterator[tuple[float, MixtureParams]]:
        """Unions of two components with the split of a third; none where identities matter."""
        if self.fixed or self.family.fixed or self.n_components < 3:
            return
        if any(block.labels is not None for block in blocks):
            return
        x = self.family.encode(np.concatenate([block.x for block in blocks]))
        weights = np.concatenate([_weights(block) for block in blocks])
        prepared = self.prepare(params)
        log_joint = self.family.log_density(prepared.family, x) + prepared.log_weights[:, None]
        least = 2 * _size(self.family, params.family, self.n_components)
        for worth, shares in moved(self.family, x, weights, log_joint, least, rng):
            yield worth, self.from_responsibilities(x, shares * weights, rng)

    def sample(self, params: MixtureParams, n: int, rng: np.random.Generator) -> Array:
        return self.sample_labelled(params, n, rng)[0]

    def sample_labelled(
        self, params: MixtureParams, n: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Rows drawn from the mixture, and the components (n,) that they come from."""
        components = rng.choice(self.n_components, size=n, p=params.weights / params.weights.sum())
        return self.family.sample(params.family, components, rng), components


def _classified(log_joint: Array, weights: Array) -> tuple[Array, Array]:
    """All weight of each row at its most probable component, the first of equal ones; its joint.

    A row that no component can have produced has weight nowhere.
    """
    best = np.argmax(log_joint, axis=0)
    rows = np.arange(log_joint.shape[1])
    joint = log_joint[best, rows]
    shares = np.zeros_like(log_joint)
    shares[best, rows] = np.where(joint == -np.inf, 0.0, weights)
    return shares, joint


def coincident(family: Family, params: Any, statistics: Any, counts: Array) -> tuple[str, ...]:
    """Sentences about components that are one and the same, as on a saddle EM cannot leave.

    Two components coincide when exchanging their parameters costs the rows of both next
    to nothing of their expected log-likelihood: `SAME` nats a row, or in all no more than
    a nat for each parameter of a component, which is what chance makes of equal ones.
    """
    groups: list[set[int]] = []
    chance = _size(family, params, len(counts))
    try:
        now = family.expected_loglik(params, statistics)
        for i, j in _near(family, params, counts):
            order = np.arange(len(counts))
            order[[i, j]] = j, i
            loss = now - family.expected_loglik(family.relabel(params, order), statistics)
            if loss <= max(SAME * (counts[i] + counts[j]), chance):
                near = [group for group in groups if group & {i, j}]
                groups = [group for group in groups if group not in near]
                groups.append({i, j}.union(*near))
    except (NotImplementedError, np.linalg.LinAlgError):
        return ()
    return tuple(
        f"components {', '.join(map(str, sorted(group)[:-1]))} and {max(group)} coincide: EM may "
        "have ended on a saddle that it cannot leave, or there are too many components. Use "
        "another start, or fewer"
        for group in groups
    )


def _size(family: Family, params: Any, k: int) -> float:
    """Parameters of one component; those that all share are not counted."""
    same = family.relabel(params, np.arange(k))
    pairs = zip(leaves(params), leaves(same), strict=True)
    return sum(np.size(old) for (_, old), (_, new) in pairs if old is not new) / k


def _near(family: Family, params: Any, counts: Array) -> list[tuple[int, int]]:
    """Pairs of components with rows whose means are less than a standard deviation apart."""
    present = np.flatnonzero(counts > 0)
    try:
        means, variances = family.moments(params)
    except NotImplementedError:
        return list(combinations(present.tolist(), 2))
    spread = np.sqrt(np.maximum(variances, 1e-300))
    found = []
    for i in present:
        apart = np.abs(means - means[i]) > np.maximum(spread, spread[i])
        found += [(int(i), int(j)) for j in present if j > i and not apart[j].any()]
    return found


def _weights(block: Rows) -> Array:
    return np.ones(len(block)) if block.weights is None else block.weights
