"""What a mixture estimator says of rows: posteriors, densities, criteria; in memory or by block."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from latentem.engine.backends import backend_for, one_blas_thread
from latentem.engine.blocks import Rows
from latentem.estimators.outside import by_block, is_outside, source_of, summed
from latentem.estimators.settings import refuse_hard
from latentem.estimators.validation import Table
from latentem.models.mixture import Mixture, MixtureParams

__all__ = ["RowMethods"]

Array = np.ndarray
#: Of a model, its prepared parameters and a block: an array with one entry per row.
RowFunction = Callable[[Mixture, Any, Rows], Array]


class RowMethods:
    """The methods of `BaseMixture` that ask ready parameters about rows."""

    n_jobs: int | None

    @abstractmethod
    def _ready(self) -> tuple[Mixture, MixtureParams]:
        """The model and its parameters, as the attributes stand now."""

    @abstractmethod
    def _table(
        self,
        model: Mixture,
        params: MixtureParams,
        X: Any,
        sample_weight: Any = None,
        drop_unseen: bool = True,
    ) -> Table:
        """X checked against the fit."""

    @abstractmethod
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        labels: Any = None,
        resume: Any = None,
    ) -> Any:
        """Fit by expectation-maximisation."""

    @abstractmethod
    def n_parameters(self) -> int:
        """Number of free parameters."""

    def _rows(self, X: Any, function: RowFunction) -> Array:
        """`function(model, prepared, block)` for each block of X, in order, as one array."""
        model, params = self._ready()
        X = self._table(model, params, X, drop_unseen=False).x
        return np.concatenate(self._map(model, params, X, function))

    def _map(
        self, model: Mixture, params: MixtureParams, X: Array, function: RowFunction
    ) -> list[Array]:
        with one_blas_thread(), np.errstate(all="ignore"):
            prepared = model.prepare(params)
            return list(
                backend_for(self.n_jobs).map(
                    lambda block: function(model, prepared, block), model.blocks(X)
                )
            )

    def predict_proba(self, X: Any, out: Any = None) -> Array:
        """Posterior probability of each component, (n_samples, n_components).

        A row that has density zero under every component gets equal shares. X may be a
        source, as in `fit`; then `out` may be an array, a memmap, or the path of a Parquet file
        to write, which is returned.
        """
        if is_outside(X, out):
            return by_block(self, type(self).predict_proba, X, out)
        return self._rows(X, _shares)

    def predict(self, X: Any, out: Any = None) -> Array:
        """Most probable component of each row, (n_samples,) int64; `out` as in `predict_proba`."""
        if is_outside(X, out):
            return by_block(self, type(self).predict, X, out)
        most = self._rows(X, lambda m, p, b: np.argmax(m.posterior(p, b)[0], axis=0))
        return most.astype(np.int64)

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Array:
        """Fit, and the most probable component of each row; rows of weight 0 must be valid too."""
        return self.fit(X, y, sample_weight=sample_weight).predict(X)

    def impute(self, X: Any, out: Any = None) -> Array:
        """X with what is expected in cells that are NaN, (n_samples, n_features).

        Conditional means given what was seen of the row, weighted by the posterior
        probabilities of the components; for columns of categories, or of 0 and 1, the most
        probable value. Cells that were seen keep their bits. `out` as in `predict_proba`.

        Raises
        ------
        ValueError
            Where the family takes no missing cells, and X has some.
        """
        if is_outside(X, out):
            return by_block(self, type(self).impute, X, out)
        own = self._ready()[1].family
        return self._rows(X, lambda m, p, b: m.family.impute(own, b.x, _shares(m, p, b).T))

    def score_samples(self, X: Any, out: Any = None) -> Array:
        """Log density of each row, (n_samples,); -inf where no component reaches.

        `out` as in `predict_proba`.
        """
        if is_outside(X, out):
            return by_block(self, type(self).score_samples, X, out)
        return self._rows(X, lambda m, p, b: m.posterior(p, b)[1])

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log density per row, weighted by `sample_weight`.

        Rows of weight 0, and rows without an observed cell, are left out.
        """
        total, count = self._total(X, sample_weight)
        return total / count

    def component_log_density(self, X: Any) -> Array:
        """Log density of each row under each component, (n_samples, n_components)."""
        return self._rows(X, lambda m, p, b: m.family.log_density(p.family, b.encoded).T)

    def _total(
        self, X: Any, sample_weight: Any, of: RowFunction | None = None
    ) -> tuple[float, float]:
        """Weighted total of a number per row, by default the log density; and the weight."""
        if is_outside(X):
            whole = source_of(X, sample_weight)
            total, count = summed(self, lambda one, x, w: one._total(x, w, of), whole)
            return float(total), float(count)
        model, params = self._ready()
        table = self._table(model, params, X, sample_weight)
        function = (lambda m, p, b: m.posterior(p, b)[1]) if of is None else of
        rows = np.concatenate(self._map(model, params, table.x, function))
        if table.weights is None:
            return float(rows.sum()), float(len(rows))
        return float(table.weights @ rows), float(table.weights.sum())

    def aic(self, X: Any, sample_weight: Any = None) -> float:
        """Akaike's criterion; smaller is better."""
        refuse_hard(self, "aic", INSTEAD)
        return -2 * self._total(X, sample_weight)[0] + 2 * self.n_parameters()

    def bic(self, X: Any, sample_weight: Any = None) -> float:
        """Bayesian criterion, smaller is better.

        n is the sum of the weights of the rows that have an observed cell.
        """
        refuse_hard(self, "bic", INSTEAD)
        return self._bic(X, sample_weight)

    def _bic(self, X: Any, sample_weight: Any) -> float:
        total, count = self._total(X, sample_weight)
        return -2 * total + self.n_parameters() * float(np.log(count))

    def icl(self, X: Any, sample_weight: Any = None) -> float:
        """BIC with a price for uncertain assignments, smaller is better.

        ``icl = bic - 2 sum_i w_i log max_k z_ik`` with posteriors z (Biernacki,
        Celeux and Govaert 2000, doi:10.1109/34.865189).
        """
        price, _ = self._total(
            X, sample_weight, lambda m, p, b: np.log(_shares(m, p, b).max(axis=1))
        )
        return self._bic(X, sample_weight) - 2 * price


#: What to ask of a hard fit in place of AIC and BIC.
INSTEAD = "use icl, which compares classification log-likelihoods, or posterior='soft'"


def _shares(model: Mixture, prepared: Any, block: Rows) -> Array:
    """Posteriors (m, K); equal shares where every component has density zero."""
    posterior, row_loglik, _ = model.posterior(prepared, block)
    posterior[:, np.isneginf(row_loglik)] = 1.0 / model.n_components
    return posterior.T
