r"""True classes of items from the votes of raters who err (Dawid and Skene 1979).

Item i has a true class :math:`z_i`, k with probability :math:`\pi_k`; rater r, asked about
an item of class k, says l with probability :math:`c_{rkl}`. With the votes
:math:`(r, l) \in V_i` of an item,

.. math:: p(V_i) = \sum_k \pi_k \prod_{(r, l) \in V_i} c_{rkl}

E-step:

.. math:: q_{ik} = \pi_k \prod_{(r, l) \in V_i} c_{rkl} \Big/
          \sum_h \pi_h \prod_{(r, l) \in V_i} c_{rhl}, \qquad
          n_{rkl} = \sum_i q_{ik} \, \#\{(r, l) \in V_i\}

with an item whose class is known all of its own. M-step: :math:`\pi_k = \sum_i q_{ik} / n`
and :math:`c_{rkl} = n_{rkl} / \sum_h n_{rkh}`. With ``"one-coin"`` raters are right with
probability :math:`p_r` whatever the class, and otherwise say each wrong label equally often:
:math:`p_r = \sum_k n_{rkk} / \sum_{kl} n_{rkl}`. Pseudo-counts of a prior are added to
:math:`n` before.

A row of a rater's table is known from items of that class alone. Where no vote tells of it, it
keeps its last values.

Source: Dawid and Skene (1979), Maximum likelihood estimation of observer error-rates using
the EM algorithm, doi:10.2307/2346806.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import xlogy

from latentem.engine.blocks import bounds
from latentem.engine.constraints import Bounded, Simplex
from latentem.engine.model import Diagnosis, Expectation, LatentModel
from latentem.kernels.posterior import normalise
from latentem.kernels.votes import add_votes, log_densities

__all__ = ["DawidSkene", "DawidSkeneParams", "Votes"]

Array = np.ndarray
#: Votes of a block, so that its counts are added seldom, and few items of a lone thread wait.
BLOCK_VOTES = 2**18


@dataclass(frozen=True)
class Votes:
    """Votes of raters, those on one item next to each other.

    Parameters
    ----------
    offsets : (n_items + 1,) int array
        The votes on item i are ``offsets[i]`` to ``offsets[i + 1]``.
    raters, labels : (n_votes,) int arrays
        Codes from 0.
    known : (n_items,) int array, optional
        True classes, -1 where they are not known.
    """

    offsets: Array
    raters: Array
    labels: Array
    known: Array | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def of(cls, items: Array, raters: Array, labels: Array, n_items: int) -> Votes:
        """Votes in any order, sorted by their items (codes from 0)."""
        order = np.argsort(items, kind="stable")
        offsets = np.concatenate([[0], np.cumsum(np.bincount(items, minlength=n_items))])
        return cls(offsets, raters[order].astype(np.int32), labels[order].astype(np.int32))

    def between(self, first: int, last: int) -> Votes:
        """The votes on items first..last-1."""
        begin, end = self.offsets[first], self.offsets[last]
        return Votes(
            self.offsets[first : last + 1] - begin,
            self.raters[begin:end],
            self.labels[begin:end],
            None if self.known is None else self.known[first:last],
        )


class DawidSkeneParams(NamedTuple):
    """Shares of the classes (K,), and the raters.

    `raters` are tables (R, K, K) of P(label | class), a row for each class; for "one-coin"
    the probabilities (R,) of being right.
    """

    weights: Any
    raters: Any


class Statistics(NamedTuple):
    counts: Array  # (K,)
    votes: Array  # (R, L, K): as the kernel adds them


class Prepared(NamedTuple):
    log_weights: Array
    table: Array  # (R, L, K)


class DawidSkene(LatentModel):
    """Classes of items behind the votes of raters.

    Parameters
    ----------
    n_raters, n_classes : int
        Labels are classes: 0..n_classes - 1.
    raters : {"confusion", "one-coin"}
        A table of errors for each rater, or one probability of being right.
    prior : float or (n_classes, n_classes) array, optional
        Pseudo-counts >= 0 added to the votes of every rater, in the form [class, label]: a
        Dirichlet prior of each row with concentrations ``1 + prior``. A single number for
        each cell; with "one-coin" the diagonal counts for right answers.
    start : {"votes", "random"}
        Where `initialize` begins: at the shares of the votes on each item, or at random
        shares drawn around them.

    Examples
    --------
    Three raters, the last of whom says 1 to everything:

    >>> import numpy as np
    >>> from latentem import EM
    >>> from latentem.models.dawid_skene import DawidSkene, Votes
    >>> items = np.repeat(np.arange(6), 3)
    >>> labels = np.array([0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1])
    >>> votes = Votes.of(items, np.tile([0, 1, 2], 6), labels, 6)
    >>> result = EM().run(DawidSkene(3, 2), votes)
    >>> result.params.raters[2].round(2).tolist()
    [[0.0, 1.0], [0.0, 1.0]]
    """

    def __init__(
        self,
        n_raters: int,
        n_classes: int,
        raters: Literal["confusion", "one-coin"] = "confusion",
        prior: Any = None,
        start: Literal["votes", "random"] = "votes",
    ):
        if raters not in ("confusion", "one-coin"):
            raise ValueError(f"raters must be 'confusion' or 'one-coin', got {raters!r}")
        if start not in ("votes", "random"):
            raise ValueError(f"start must be 'votes' or 'random', got {start!r}")
        if n_classes < 2:
            raise ValueError(f"there must be at least 2 classes, got {n_classes}")
        self.n_raters, self.n_classes = int(n_raters), int(n_classes)
        self.raters, self.start = raters, start
        self.prior = _pseudo_counts(prior, self.n_classes)

    def __repr__(self) -> str:
        return f"DawidSkene({self.n_raters}, {self.n_classes}, {self.raters!r})"

    def blocks(self, data: Votes, size: int | None = None) -> list[Votes]:
        """Votes as blocks of whole items, of about `size` items."""
        if not isinstance(data, Votes):
            raise TypeError(f"data must be Votes, got {type(data).__name__}")
        if len(data.raters):
            for codes, most, what in (
                (data.raters, self.n_raters, "raters"),
                (data.labels, self.n_classes, "labels"),
            ):
                if codes.min() < 0 or codes.max() >= most:
                    raise ValueError(
                        f"{what} must be codes 0..{most - 1}, found {codes.min()} to {codes.max()}"
                    )
        if size is None:
            size = max(1, len(data) * BLOCK_VOTES // max(len(data.raters), 1))
        return [data.between(first, last) for first, last in bounds(len(data), size)]

    def initialize(self, blocks: Sequence[Votes], rng: np.random.Generator) -> DawidSkeneParams:
        total: Statistics | None = None
        uniform = np.full((self.n_raters, self.n_classes, self.n_classes), 1 / self.n_classes)
        for block in blocks:
            counts = np.zeros((self.n_classes, len(block)))
            items = np.repeat(np.arange(len(block)), np.diff(block.offsets))
            np.add.at(counts, (block.labels, items), 1.0)
            number = counts.sum(axis=0)
            shares = np.where(number > 0, counts / np.maximum(number, 1), 1 / self.n_classes)
            if self.start == "random":
                shares *= rng.standard_exponential(shares.shape)
                shares = shares + 0.1 * rng.random(shares.shape)
                shares /= shares.sum(axis=0)
            if block.known is not None:
                here = block.known >= 0
                shares[:, here] = block.known[here] == np.arange(self.n_classes)[:, None]
            part = self._statistics(block, shares)
            if total is None:
                total = part
            else:
                total = Statistics(total.counts + part.counts, total.votes + part.votes)
        assert total is not None
        weights = np.full(self.n_classes, 1 / self.n_classes)
        if self.raters == "one-coin":
            return self.m_step(total, DawidSkeneParams(weights, np.full(self.n_raters, 0.5)))
        return self.m_step(total, DawidSkeneParams(weights, uniform))

    def prepare(self, params: DawidSkeneParams) -> Prepared:
        with np.errstate(divide="ignore"):
            logs = np.log(self.tables(params).transpose(0, 2, 1))
            return Prepared(np.log(params.weights), np.ascontiguousarray(logs))

    def tables(self, params: DawidSkeneParams) -> Array:
        """P(label | class) of every rater, (R, K, K), a row for each class."""
        if self.raters == "confusion":
            return np.asarray(params.raters, dtype=float)
        right, k = np.asarray(params.raters, dtype=float)[:, None, None], self.n_classes
        return np.where(np.eye(k, dtype=bool), right, (1 - right) / (k - 1))

    def posterior(self, prepared: Prepared, block: Votes) -> tuple[Array, Array]:
        """Probabilities (K, m) of the classes of each item, and log-likelihoods (m,)."""
        found = np.empty((self.n_classes, len(block)))
        log_densities(block.offsets, block.raters, block.labels, prepared.table, found)
        if block.known is not None:
            other = block.known != np.arange(self.n_classes)[:, None]
            found[other & (block.known >= 0)] = -np.inf
        loglik = np.empty(len(block))
        normalise(found, prepared.log_weights, np.ones(len(block)), loglik)
        return found, loglik

    def _statistics(self, block: Votes, shares: Array) -> Statistics:
        votes = np.zeros((self.n_raters, self.n_classes, self.n_classes))
        add_votes(block.offsets, block.raters, block.labels, shares, votes)
        return Statistics(shares.sum(axis=1), votes)

    def e_step(self, prepared: Prepared, block: Votes) -> Expectation:
        shares, loglik = self.posterior(prepared, block)
        return Expectation(self._statistics(block, shares), float(loglik.sum()), float(len(block)))

    def _counts(self, statistics: Statistics) -> Array:
        """Votes [rater, class, label] with the prior's pseudo-counts."""
        votes = statistics.votes.transpose(0, 2, 1)
        return votes if self.prior is None else votes + self.prior

    def m_step(self, statistics: Statistics, params: DawidSkeneParams) -> DawidSkeneParams:
        weights = statistics.counts / statistics.counts.sum()
        counts = self._counts(statistics)
        if self.raters == "one-coin":
            right, total = np.trace(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2))
            shares = right / np.where(total > 0, total, 1.0)
            return DawidSkeneParams(weights, np.where(total > 0, shares, params.raters))
        total = counts.sum(axis=2, keepdims=True)
        shares = counts / np.where(total > 0, total, 1.0)
        return DawidSkeneParams(weights, np.where(total > 0, shares, params.raters))

    def constraints(self) -> DawidSkeneParams:
        return DawidSkeneParams(
            Simplex(), Simplex() if self.raters == "confusion" else Bounded(0.0, 1.0)
        )

    def log_prior(self, params: DawidSkeneParams) -> float:
        if self.prior is None:
            return 0.0
        return float(xlogy(self.prior, self.tables(params)).sum())

    def expected_loglik(self, params: DawidSkeneParams, statistics: Statistics) -> float:
        votes = xlogy(statistics.votes.transpose(0, 2, 1), self.tables(params)).sum()
        return float(xlogy(statistics.counts, params.weights).sum() + votes)

    def diagnose(self, params: DawidSkeneParams, statistics: Statistics) -> Diagnosis:
        given = statistics.votes.sum(axis=(1, 2))
        lone = np.flatnonzero(np.round(given) == 1)
        notes = []
        if len(lone):
            which = ", ".join(map(str, lone[:5])) + (", ..." if len(lone) > 5 else "")
            notes.append(
                f"{len(lone)} rater{'s' * (len(lone) > 1)} gave a single vote ({which}), which "
                "tells next to nothing of a rater"
                + ("" if self.prior is not None else ": a prior would temper it")
            )
        empty = np.flatnonzero(statistics.counts <= 1e-12 * statistics.counts.sum())
        notes += [f"class {k} is empty: no item is likely to be of it" for k in empty]
        return Diagnosis((), tuple(notes))

    def sample(self, params: DawidSkeneParams, n: int, rng: np.random.Generator) -> Votes:
        """Votes of every rater on n items."""
        classes = rng.choice(self.n_classes, size=n, p=np.asarray(params.weights))
        tables = np.cumsum(self.tables(params), axis=2)
        items = np.repeat(np.arange(n), self.n_raters)
        raters = np.tile(np.arange(self.n_raters), n)
        ends = tables[raters, classes[items]]
        labels = (rng.random(len(items))[:, None] * ends[:, -1:] > ends).sum(axis=1)
        return Votes.of(items, raters, labels, n)


def _pseudo_counts(prior: Any, k: int) -> Array | None:
    """Pseudo-counts [class, label] (K, K), None where they say nothing."""
    if prior is None:
        return None
    try:
        found = np.array(prior, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("prior must hold numbers") from None
    if found.shape not in ((), (k, k)):
        raise ValueError(f"prior must be a number or have shape ({k}, {k}), got {found.shape}")
    if not (np.all(found >= 0) and np.all(np.isfinite(found))):
        raise ValueError(f"prior must hold pseudo-counts >= 0, got {found.min():g}")
    return None if not found.any() else np.broadcast_to(found, (k, k)).copy()
