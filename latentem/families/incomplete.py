r"""Gaussian rows with single cells missing, where columns are correlated (full and tied).

With the cells o of a row seen and m missing, component k has the density of what was seen,
:math:`N(x_o; \mu_{k,o}, \Sigma_{k,oo})`, and the complete-data moments need

.. math:: E_k[x_m | x_o] = \mu_{k,m} + \Sigma_{k,mo} \Sigma_{k,oo}^{-1} (x_o - \mu_{k,o}), \qquad
          \mathrm{Cov}_k[x_m | x_o] = \Sigma_{k,mm}
          - \Sigma_{k,mo} \Sigma_{k,oo}^{-1} \Sigma_{k,om}

in place of x and of nothing: means are those of the completed rows, scatters theirs with the
conditional covariances added (Ghahramani and Jordan 1994, Advances in Neural Information
Processing Systems 6, "Supervised learning from incomplete data via an EM approach").
Rows of which nothing was seen count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from latentem.engine.moments import Moments, Scatter
from latentem.families.cells import filled, patterns_of
from latentem.families.partial import LOG_2PI, Partial
from latentem.kernels.missing import complete_rows
from latentem.kernels.missing_exact import complete_exactly, condition_rows

__all__ = ["Component", "Incomplete", "component", "incomplete", "moments", "pushed"]

Array = np.ndarray
#: Squared shift of a mean, in variances, up to which it may be subtracted afterwards.
EXPANSION = 1e4
#: Mean variance inflation factor of the columns up to which products with the precision are
#: exact enough: they cancel to that degree, and the driver must not see the log-likelihood
#: fall for that.
INFLATION = 200.0
#: Push of a start away from symmetry, in standard errors of a correlation.
PUSH = 0.1
NO_NOISE = np.empty((0, 0))


@dataclass(frozen=True)
class Incomplete:
    """Rows (m, d) of which some miss cells, those apart and sorted by what they miss.

    Parameters
    ----------
    whole : (c,) int array
        Places of the complete rows.
    complete : (c, d) array
        These rows.
    order : (r,) int array
        Places of the others, sorted by pattern.
    rows : (r, d) array
        These rows, 0 in missing cells.
    first : (P + 1,) int array
        Row of `rows` at which each pattern begins, and r.
    counts : (P,) int array
        Rows of each pattern.
    missing : (P, d) bool array
    far : bool
        Whether squares of the numbers may overflow.
    """

    whole: Array
    complete: Array
    order: Array
    rows: Array
    first: Array
    counts: Array
    missing: Array
    far: bool

    def __len__(self) -> int:
        return len(self.whole) + len(self.order)

    @property
    def n_blank(self) -> int:
        """Rows of which nothing was seen: they are the last, as they miss most."""
        return int(self.counts[-1]) if self.missing[-1].all() else 0

    @property
    def cells(self) -> Partial:
        """The same rows as they came, for starts."""
        d = self.rows.shape[1]
        x, seen = np.empty((len(self), d)), np.ones((len(self), d))
        x[self.whole], x[self.order] = self.complete, self.rows
        seen[self.order] = ~np.repeat(self.missing, self.counts, axis=0)
        return Partial(x, seen, self.far)

    @property
    def filled(self) -> Array:
        """The rows with column means in the cells not seen."""
        cells = self.cells
        assert cells.seen is not None
        return filled(cells.x, cells.seen)

    def part(self, begin: int, end: int) -> Incomplete:
        """Some of the rows."""
        return incomplete(self.cells.part(begin, end))


def incomplete(rows: Partial) -> Incomplete:
    """The rows grouped by the cells they miss."""
    assert rows.seen is not None
    missing = rows.seen == 0
    gap = missing.any(axis=1)
    places = np.flatnonzero(gap)
    patterns = patterns_of(missing[gap])
    order = places[patterns.order]
    whole = np.flatnonzero(~gap)
    return Incomplete(
        whole,
        rows.x[whole],
        order,
        rows.x[order],
        patterns.first,
        patterns.counts,
        patterns.missing,
        rows.far,
    )


class Component(NamedTuple):
    """One component, as the kernels read it."""

    mean: Array
    covariance: Array
    precision: Array
    whitener: Array
    logdet: float
    exact: bool  # whether to go by the whitener alone

    def complete(self, x: Incomplete) -> tuple[Array, Array]:
        """Deviations of the incomplete rows, completed (r, d), and their log densities (r,).

        The log density is that of what was seen, 0 where nothing was.
        """
        (r, d), n_patterns = x.rows.shape, len(x.missing)
        filled, logdets = np.empty((r, d)), np.empty(n_patterns)
        if self.exact:
            distances = np.empty(r)
            condition_rows(
                x.rows - self.mean, x.first, x.missing, np.zeros(d), self.whitener, self.logdet,
                NO_NOISE, filled, np.empty((n_patterns, d)), distances, logdets,
            )  # fmt: skip
        else:
            complete_rows(
                x.rows, np.ones(r), np.zeros(n_patterns), x.first, x.missing, self.mean,
                self.covariance, self.precision, self.logdet, filled, np.empty((d, d)), logdets,
            )  # fmt: skip
            white = filled @ self.whitener.T  # of completed rows, as far as what was seen
            distances = np.einsum("rd,rd->r", white, white)
        counts = np.count_nonzero(~x.missing, axis=1)
        constants = counts * LOG_2PI + logdets
        log_density = -0.5 * (distances + constants.repeat(x.counts))
        log_density[len(log_density) - x.n_blank :] = 0.0
        return filled, log_density

    def moments(self, x: Incomplete, filled: Array, weights: Array) -> tuple[float, Array, Array]:
        """Weight, mean (d,) and scatter (d, d) of the completed rows.

        Parameters
        ----------
        x : Incomplete
        filled : (r, d) array
            What `complete` gave; overwritten.
        weights : (r,) array
        """
        d = x.rows.shape[1]
        weights[len(weights) - x.n_blank :] = 0.0
        of_patterns = np.add.reduceat(weights, x.first[:-1])
        weight = float(of_patterns.sum())
        if not weight > 0:
            return 0.0, self.mean, np.zeros((d, d))
        spread = self._spread(x, of_patterns)
        roots = np.sqrt(weights)
        filled *= roots[:, None]
        shift = roots @ filled / weight
        moved = weight * shift[:, None] * shift
        scatter = filled.T @ filled - moved
        if np.any(moved.diagonal() > EXPANSION * scatter.diagonal()):
            filled -= roots[:, None] * shift
            scatter = filled.T @ filled
        scatter += spread
        return weight, self.mean + shift, 0.5 * (scatter + scatter.T)

    def _spread(self, x: Incomplete, weights: Array) -> Array:
        """Sum of the conditional covariances of the patterns, with `weights` (P,)."""
        d = x.rows.shape[1]
        spread, none = np.zeros((d, d)), np.zeros(len(x.first), dtype=x.first.dtype)
        if self.exact:
            complete_exactly(
                x.rows[:0], weights[:0], np.empty(0, dtype=bool), weights, none, x.missing,
                self.mean, self.whitener, self.logdet, x.rows[:0], spread,
            )  # fmt: skip
        else:
            complete_rows(
                x.rows[:0], weights[:0], weights, none, x.missing, self.mean, self.covariance,
                self.precision, self.logdet, x.rows[:0], spread, np.empty(len(weights)),
            )  # fmt: skip
        return spread


def component(mean: Array, covariance: Array, whitener: Array, logdet: float) -> Component:
    """A component from its mean (d,), covariance and whitener (d, d) and log determinant."""
    precision = whitener.T @ whitener
    inflation = precision.diagonal() @ covariance.diagonal()
    exact = not inflation <= INFLATION * len(mean)
    return Component(mean, covariance, precision, whitener, float(logdet), exact)


def pushed(variances: Array, n: int, rng: np.random.Generator) -> Array:
    """Covariances (K, d, d) with these variances (K, d), not quite uncorrelated.

    Balanced data have a saddle at correlations of 0 (Murray 1977, in the discussion of
    doi:10.1111/j.2517-6161.1977.tb01600.x), which EM would never leave.
    """
    k, d = variances.shape
    push = np.triu(rng.uniform(-1.0, 1.0, size=(k, d, d)), 1)
    push *= min(PUSH / np.sqrt(n), 0.5 / d)
    correlation = np.eye(d) + push + push.transpose(0, 2, 1)
    scale = np.sqrt(variances)
    return correlation * scale[:, :, None] * scale[:, None, :]


def moments(
    x: Incomplete,
    weights: Array,
    components: list[Component],
    completed: Iterable[Array],
    kind: Scatter,
) -> Moments:
    """Moments of the incomplete rows with weights (K, m) of all rows.

    `completed` (K of (r, d)) is what `Component.complete` gave, and is overwritten.
    """
    found = [
        one.moments(x, filled, row.take(x.order))
        for one, filled, row in zip(components, completed, weights, strict=True)
    ]
    weight, mean, scatter = (np.array(part) for part in zip(*found, strict=True))
    return Moments(weight, mean, scatter.sum(axis=0) if kind == "tied" else scatter, kind)
