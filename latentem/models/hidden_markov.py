r"""Hidden Markov models of any family.

A chain of states :math:`z_1, z_2, \dots` with :math:`p(z_1 = k) = \pi_k` and
:math:`p(z_{t+1} = j \mid z_t = i) = P_{ij}`; row t comes from the family's component
:math:`z_t`. E-step, by the forward and backward passes (Baum, Petrie, Soules and Weiss
1970, doi:10.1214/aoms/1177697196) over each sequence:

.. math:: \gamma_{tk} = p(z_t = k \mid x), \qquad
          \xi_{ij} = \sum_t p(z_t = i, z_{t+1} = j \mid x)

M-step: :math:`\pi` in proportion to the sum of the :math:`\gamma_1` of all sequences, rows
of P in proportion to those of :math:`\xi`, each after adding :math:`\alpha - 1` under a Dirichlet
prior of concentrations :math:`\alpha`, and the family's own with weights :math:`\gamma`. A
sequence of weight w counts w times. Other variants of the E-step are those of
`latentem.models.chain_variants`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from scipy.special import xlogy

from latentem.engine.backends import spread
from latentem.engine.blocks import Sequences
from latentem.engine.constraints import Fixed, Simplex
from latentem.engine.family import Family
from latentem.engine.model import SOFT, Diagnosis, Expectation, How, LatentModel
from latentem.engine.resampling import repetitions
from latentem.engine.starts import InitParams
from latentem.engine.trees import add
from latentem.families.priors import concentrations, of_free
from latentem.models.chain import Chain, Smoothed, chain, smooth_long
from latentem.models.chain_limits import check_lasting, free_entries, mask_of
from latentem.models.chain_start import guess
from latentem.models.chain_variants import smooth_as
from latentem.models.sequences import (
    BLOCK_ROWS,
    groups,
    is_long,
    pieces,
    row_weights,
    sequences,
)
from latentem.models.transitions import (
    maximize_rows,
    maximize_stationary,
    stationary_distribution,
)

__all__ = ["HiddenMarkov", "HiddenMarkovParams"]

Array = np.ndarray

#: Floats of log densities in a block of short sequences (4 MB).
BLOCK_FLOATS = 2**19


class HiddenMarkovParams(NamedTuple):
    """Start probabilities (K,), transition probabilities (K, K), parameters of the family.

    A stationary chain has None for its start: it follows from the transitions.
    """

    startprob: Any
    transmat: Any
    family: Any


class HiddenMarkovStatistics(NamedTuple):
    start: Array  # (K,): expected first states
    transitions: Array  # (K, K): expected transitions
    visits: Array  # (K,): expected rows in each state
    family: Any


class Prepared(NamedTuple):
    chain: Chain
    family: Any


class HiddenMarkov(LatentModel):
    """A hidden Markov model with `n_components` states.

    Parameters
    ----------
    family : Family
        What the rows are drawn from, one component for each state.
    n_components : int
    init_params : {"kmeans", "k-means++", "random", "random_from_data"} or callable
        How `initialize` makes the first responsibilities.
    transmat_mask : (K, K) bool array, optional
        Which transitions there may be; the others have probability 0 for good.
    fixed : tuple of {"startprob", "transmat"}, or dict
        Groups that keep their starting values. In a dict the values are True, or a
        bool array that says which entries keep theirs.
    stationary : bool
        The chain starts in its stationary distribution.
    startprob_prior : float or (K,) array-like, optional
        Concentrations, at least 1, of a Dirichlet prior of the start probabilities.
    transmat_prior : float, (K,) or (K, K) array-like, optional
        The same for each row of the transition probabilities. It is a prior of what may happen:
        what `transmat_mask` rules out keeps probability 0. A stationary chain has no prior of
        its start, which follows from the transitions.
    memory : {"full", "checkpoint"}
        For sequences longer than 8,192 rows: keep 2 K floats for each row within an
        E-step, or make them twice, which takes half as long again.

    Examples
    --------
    >>> from latentem import EM, families, models
    >>> from latentem.datasets import load_earthquakes
    >>> counts = load_earthquakes()[["count"]]
    >>> result = EM(tol=1e-9).run(models.HiddenMarkov(families.Poisson(), 2), counts, rng=0)
    >>> round(result.loglik, 6)
    -341.878701
    """

    variants: ClassVar[tuple[str, ...]] = ("hard", "tempered")

    def __init__(
        self,
        family: Family,
        n_components: int,
        init_params: InitParams = "kmeans",
        transmat_mask: Array | None = None,
        fixed: Sequence[str] | Mapping[str, Any] = (),
        stationary: bool = False,
        memory: Literal["full", "checkpoint"] = "full",
        startprob_prior: Any = None,
        transmat_prior: Any = None,
    ):
        if not isinstance(family, Family):
            raise TypeError(f"family must be a Family, got {type(family).__name__}")
        if isinstance(n_components, bool) or not isinstance(n_components, int | np.integer):
            raise TypeError(f"n_components must be an integer, got {n_components!r}")
        if n_components < 1:
            raise ValueError(f"n_components must be at least 1, got {n_components}")
        k = int(n_components)
        self.family = family
        self.n_components = k
        self.init_params = init_params
        if memory not in ("full", "checkpoint"):
            raise ValueError(f"memory must be 'full' or 'checkpoint', got {memory!r}")
        self.stationary = bool(stationary)
        self.memory = memory
        self.additive = family.additive
        self.monotone = family.monotone
        self.transmat_mask = mask_of(transmat_mask, k)
        self.fixed = dict(fixed) if isinstance(fixed, Mapping) else dict.fromkeys(fixed, True)
        self.fixed = {group: kept for group, kept in self.fixed.items() if kept is not False}
        unknown = set(self.fixed) - {"startprob", "transmat"}
        if unknown:
            raise ValueError(f"fixed knows 'startprob' and 'transmat', got {sorted(unknown)}")
        if self.stationary and "startprob" in self.fixed:
            raise ValueError(
                "stationary=True makes the start distribution follow from transmat: it cannot be "
                "fixed as well"
            )
        if self.stationary and self.transmat_mask is not None:
            check_lasting(self.transmat_mask)
        self.free_start = free_entries(self.fixed.get("startprob", False), (k,), "startprob")
        self.free_moves = free_entries(self.fixed.get("transmat", False), (k, k), "transmat")
        if self.transmat_mask is not None:
            free = True if self.free_moves is None else self.free_moves
            self.free_moves = self.transmat_mask & free
        if self.stationary and startprob_prior is not None:
            raise ValueError(
                "stationary=True makes the start distribution follow from transmat: it cannot have "
                "a prior as well; leave startprob_prior out"
            )
        first = concentrations(startprob_prior, (k,), "startprob_prior")
        moves = concentrations(transmat_prior, (k, k), "transmat_prior", rows=True)
        self.startprob_prior = None if first is None else of_free(first, self.free_start)
        self.transmat_prior = None if moves is None else of_free(moves, self.free_moves)
        family.check_components(k)

    def __repr__(self) -> str:
        return f"HiddenMarkov({self.family!r}, {self.n_components})"

    def blocks(self, data: Any, size: int | None = None) -> list[Sequences]:
        """Whole sequences as blocks of about `size` rows; see `sequences` for `data`."""
        data = self.seen(sequences(data))
        rows = self.block_size(data.x.shape[1]) if size is None else size
        out = [data.between(first, last) for first, last in groups(data.lengths, rows)]
        return [self.encoded(block) for block in out]

    def block_size(self, n_features: int) -> int:
        return max(min(BLOCK_ROWS, BLOCK_FLOATS // self.n_components), 256)

    def seen(self, data: Sequences) -> Sequences:
        """The data with rows of which nothing was seen marked, and filled where need be."""
        x, k = data.x, self.n_components
        if data.labels is not None:
            labels = np.asarray(data.labels)
            if labels.shape != (len(x),):
                raise ValueError(
                    f"labels must have one value per row, shape ({len(x)},), got {labels.shape}"
                )
            whole = np.issubdtype(labels.dtype, np.integer)
            wrong = (labels < -1) | (labels >= k) if whole else np.zeros(0, dtype=bool)
            if not whole or wrong.any():
                place = int(np.argmax(wrong)) if whole else 0
                found = f", but labels[{place}] is {labels[place]}" if whole else ""
                raise ValueError(
                    f"labels must be integers: a state, 0..{k - 1}, or -1 where it is not known"
                    f"{found}"
                )
        missing = None
        if not (np.isfinite(np.sum(x)) or np.all(np.isfinite(x))):
            absent = np.isnan(x)
            missing = absent.all(axis=1)
            if missing.all():
                raise ValueError("every row is missing: there is nothing to fit")
            left = ~np.isfinite(x) & ~missing[:, None]
            if self.family.missing_cells:
                left &= ~absent
            if left.any():
                row, column = np.argwhere(left)[0]
                raise ValueError(
                    f"x[{row}, {column}] is {x[row, column]}: {self.family!r} needs "
                    "finite numbers in every row of which anything was seen. Make the whole row "
                    "NaN, or fill the cell"
                )
            if missing.any() and not self.family.missing_cells:
                x = np.where(missing[:, None], x[np.argmin(missing)], x)
        self.family.check(x)
        return replace(data, x=x, missing=missing)

    def encoded(self, block: Sequences) -> Sequences:
        """The block with its rows encoded, in pieces if it is one long sequence."""
        encoded = tuple(self.family.encode(block.x[a:b]) for a, b in pieces(block))
        return replace(block, encoded=encoded)

    def initialize(self, blocks: Sequence[Sequences], rng: np.random.Generator) -> Any:
        fixed = list(self.fixed) + list(self.family.fixed)
        if fixed:
            raise ValueError(
                f"{', '.join(fixed)} are fixed at their starting values, so these must be given: "
                "pass parameters as start"
            )
        return self.guess(blocks, rng)

    def guess(
        self,
        blocks: Sequence[Sequences],
        rng: np.random.Generator,
        transmat: Array | None = None,
        number: int = 0,
    ) -> HiddenMarkovParams:
        """Parameters as `init_params` says, those of fixed groups included.

        With `transmat`, the states are put in an order that suits these transition
        probabilities; they are not returned. Starts of another `number` guess in other ways,
        if `init_params` is "kmeans".
        """
        return guess(self, blocks, rng, transmat, number)

    def assembled(self, moves: Array, family: Any) -> HiddenMarkovParams:
        """Parameters from rough counts of transitions, each row with one more, shared evenly."""
        k = self.n_components
        allowed = np.ones((k, k)) if self.transmat_mask is None else self.transmat_mask * 1.0
        even = allowed / allowed.sum(axis=1, keepdims=True)
        moves = moves * allowed + even
        start = None if self.stationary else np.full(k, 1.0 / k)
        return HiddenMarkovParams(start, moves / moves.sum(axis=1, keepdims=True), family)

    def prepare(self, params: HiddenMarkovParams) -> Prepared:
        return Prepared(
            chain(self.startprob(params), params.transmat), self.family.prepare(params.family)
        )

    def startprob(self, params: HiddenMarkovParams) -> Array:
        """Start probabilities (K,), those of a stationary chain included."""
        if self.stationary:
            return stationary_distribution(params.transmat)
        return params.startprob

    def evaluate(self, prepared: Prepared, block: Sequences) -> tuple[Array, Any]:
        """Log densities (K, m) of the rows of a block under each state; labels obeyed.

        And what the family shares with its statistics, where the block is of one piece.
        """
        if len(block.encoded) == 1:
            out, shared = self.family.evaluate(prepared.family, block.encoded[0])
            return self._known(out, block, 0, len(block)), shared
        out = np.empty((self.n_components, len(block)))

        def fill(i: int) -> None:
            begin, end = cut[i]
            density, _ = self.family.evaluate(prepared.family, block.encoded[i])
            out[:, begin:end] = self._known(density, block, begin, end)

        cut = pieces(block)
        spread(fill, range(len(cut)))
        return out, None

    def by_piece(
        self, prepared: Prepared, block: Sequences
    ) -> tuple[list[tuple[int, int]], Callable[[int, int], Array]]:
        """Pieces of a block that is one long sequence, and the log densities of one of them."""
        cut = pieces(block)
        place = {begin: i for i, (begin, _) in enumerate(cut)}

        def density(begin: int, end: int) -> Array:
            out, _ = self.family.evaluate(prepared.family, block.encoded[place[begin]])
            return self._known(out, block, begin, end)

        return cut, density

    def _known(self, log_density: Array, block: Sequences, begin: int, end: int) -> Array:
        """Log densities of rows begin..end-1, with what is known of them put in."""
        if log_density.shape != (self.n_components, end - begin):
            raise ValueError(
                f"the parameters of {type(self.family).__name__} give log densities of shape "
                f"{log_density.shape} for {end - begin} rows, but the chain has "
                f"{self.n_components} states"
            )
        if block.missing is not None and not self.family.missing_cells:
            log_density[:, block.missing[begin:end]] = 0.0
        if block.labels is not None:
            labels = block.labels[begin:end]
            other = labels != np.arange(self.n_components)[:, None]
            log_density[other & (labels >= 0)] = -np.inf
        return log_density

    def e_step(self, prepared: Prepared, block: Sequences, how: How = SOFT) -> Expectation:
        if how == SOFT and is_long(block):
            found, visits, family = self._one_long(prepared, block)
        else:
            found, visits, family = self._several(prepared, block, how)
        if block.weights is None:
            loglik = np.add.reduce(found.loglik)
        else:
            present = block.weights > 0  # 0 * -inf would be NaN
            loglik = block.weights[present] @ found.loglik[present]
        whole = block.weights is None and block.missing is None
        return Expectation(
            HiddenMarkovStatistics(found.start, found.pairs, visits, family),
            float(loglik),
            float(len(block) if whole else row_weights(block).sum()),
        )

    def _several(
        self, prepared: Prepared, block: Sequences, how: How
    ) -> tuple[Smoothed, Array, Any]:
        """Sequences smoothed together."""
        posterior, shared = self.evaluate(prepared, block)
        found = smooth_as(how, prepared.chain, posterior, block.offsets, block.weights)
        visits = np.add.reduce(posterior, axis=1)
        if block.missing is not None:
            posterior[:, block.missing] = 0.0
        if len(block.encoded) == 1:
            x = block.encoded[0]
            return found, visits, self.family.statistics(prepared.family, x, posterior, shared)
        parts = [
            self.family.statistics(
                prepared.family, x, np.ascontiguousarray(posterior[:, begin:end]), shared
            )
            for (begin, end), x in zip(pieces(block), block.encoded, strict=True)
        ]
        return found, visits, reduce(add, parts)

    def _one_long(self, prepared: Prepared, block: Sequences) -> tuple[Smoothed, Array, Any]:
        """One sequence, piece by piece: no array of all rows beside those of the chain."""
        cut, density = self.by_piece(prepared, block)
        place = {begin: i for i, (begin, _) in enumerate(cut)}

        def summed(begin: int, end: int, posterior: Array) -> tuple[Array, Any]:
            visits = posterior.sum(axis=1)
            if block.missing is not None:
                posterior[:, block.missing[begin:end]] = 0.0
            x = block.encoded[place[begin]]
            return visits, self.family.statistics(prepared.family, x, posterior)

        weight = 1.0 if block.weights is None else float(block.weights[0])
        keep = self.memory == "full"
        found, parts = smooth_long(prepared.chain, cut, density, summed, weight, keep)
        return found, *reduce(add, parts)

    def m_step(
        self, statistics: HiddenMarkovStatistics, params: HiddenMarkovParams
    ) -> HiddenMarkovParams:
        start, moves = params.startprob, params.transmat
        first, transitions = statistics.start, statistics.transitions
        if self.startprob_prior is not None:
            first = first + (self.startprob_prior - 1.0)
        if self.transmat_prior is not None:
            transitions = transitions + (self.transmat_prior - 1.0)
        if self.stationary:
            if self.fixed.get("transmat") is not True:
                moves = maximize_stationary(first, transitions, moves, self.free_moves)
        else:
            if self.fixed.get("startprob") is not True:
                start = maximize_rows(first, start, self.free_start)
            if self.fixed.get("transmat") is not True:
                moves = maximize_rows(transitions, moves, self.free_moves)
        return HiddenMarkovParams(
            start, moves, self.family.maximize(statistics.family, params.family)
        )

    def constraints(self) -> HiddenMarkovParams | None:
        family = self.family.constraints()
        if family is None:
            return None
        start: Any = Fixed() if self.fixed.get("startprob") is True else Simplex(self.free_start)
        moves: Any = Fixed() if self.fixed.get("transmat") is True else Simplex(self.free_moves)
        return HiddenMarkovParams(None if self.stationary else start, moves, family)

    def log_prior(self, params: HiddenMarkovParams) -> float:
        prior = self.family.log_prior(params.family)
        if self.startprob_prior is not None:
            prior += float(xlogy(self.startprob_prior - 1.0, params.startprob).sum())
        if self.transmat_prior is not None:
            prior += float(xlogy(self.transmat_prior - 1.0, params.transmat).sum())
        return prior

    def expected_loglik(
        self, params: HiddenMarkovParams, statistics: HiddenMarkovStatistics
    ) -> float:
        chosen = 0.0
        for counts, values in (
            (statistics.start, self.startprob(params)),
            (statistics.transitions, params.transmat),
        ):
            with np.errstate(divide="ignore", invalid="ignore"):
                chosen += float(np.where(counts > 0, counts * np.log(values), 0.0).sum())
        return chosen + self.family.expected_loglik(params.family, statistics.family)

    def diagnose(self, params: HiddenMarkovParams, statistics: HiddenMarkovStatistics) -> Diagnosis:
        found = self.family.diagnose(params.family, statistics.family)
        total = statistics.visits.sum()
        empty = tuple(
            f"state {k} is never visited (weight {statistics.visits[k]:.2g}) and keeps its last "
            "parameters"
            for k in np.flatnonzero(statistics.visits <= 1e-12 * total)
        )
        return Diagnosis(found.degenerate, found.notes + empty, found.not_identified)

    def sample(self, params: HiddenMarkovParams, n: int, rng: np.random.Generator) -> Sequences:
        """Sequences of 50 rows, n rows together."""
        lengths = np.full(-(-n // 50), 50)
        lengths[-1] = n - 50 * (len(lengths) - 1)
        states = np.concatenate([self.sample_states(params, length, rng) for length in lengths])
        return Sequences(self.family.sample(params.family, states, rng), lengths)

    @property
    def exchangeable(self) -> bool:  # type: ignore[override]
        held = self.fixed or self.family.fixed or self.transmat_mask is not None
        return self.n_components > 1 and not held

    def relabel(self, params: HiddenMarkovParams, order: Array) -> HiddenMarkovParams:
        start = None if self.stationary else params.startprob[order]
        moves = params.transmat[order][:, order]
        return HiddenMarkovParams(start, moves, self.family.relabel(params.family, order))

    def sample_like(
        self, params: HiddenMarkovParams, data: Any, n: int, rng: np.random.Generator
    ) -> Sequences:
        data = sequences(data)
        which = repetitions(data.weights, len(data.lengths), "sequence")
        like = replace(data.take(which), weights=None)
        paths = [self.sample_states(params, int(length), rng) for length in like.lengths]
        states = np.concatenate(paths)
        x = np.where(np.isnan(like.x), np.nan, self.family.sample(params.family, states, rng))
        labels = None if like.labels is None else np.where(like.labels >= 0, states, -1)
        return replace(like, x=x, labels=labels)

    def sample_states(self, params: HiddenMarkovParams, n: int, rng: np.random.Generator) -> Array:
        """A path of n states, (n,) int64."""
        edges = params.transmat.cumsum(axis=1)
        edges /= edges[:, -1:]
        start = self.startprob(params).cumsum()
        states = np.empty(n, dtype=np.int64)
        draws = rng.random(n)
        state = int(np.searchsorted(start / start[-1], draws[0], side="right"))
        states[0] = state
        for t in range(1, n):
            state = int(np.searchsorted(edges[state], draws[t], side="right"))
            states[t] = state
        return states
