"""What the mixture estimators share: fit, predict, scores and criteria."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from latentem.engine.blocks import Rows
from latentem.engine.family import Family
from latentem.engine.flat import FlatSpace
from latentem.engine.result import EMResult
from latentem.engine.sources import Source
from latentem.engine.starts import InitParams
from latentem.estimators.mixture_labels import refuse_contradictions, tell_impossible
from latentem.estimators.mixture_rows import RowMethods
from latentem.estimators.online_fitting import fed, forget_fit
from latentem.estimators.outside import (
    named_columns,
    sample_rows,
    source_of,
    without_unseen,
)
from latentem.estimators.settings import em_settings, generator, nothing_half_done
from latentem.estimators.starting import family_like, fixed_groups, weights_under
from latentem.estimators.validation import (
    Table,
    check_fixed,
    check_labels,
    check_responsibilities,
    check_start_weights,
    check_table,
    distinct_rows,
)
from latentem.models.mixture import Mixture, MixtureParams

__all__ = ["BaseMixture"]

Array = np.ndarray


class BaseMixture(RowMethods, DensityMixin, BaseEstimator):
    """What the mixture estimators share: fit, predict, scores and criteria.

    A subclass says which family it fits (`_family`), how its attributes hold the
    parameters (`_params`, `_take`) and which starting values it was given.
    """

    #: Groups of parameters that the argument `fixed` may name.
    _GROUPS: ClassVar[tuple[str, ...]] = ("weights",)

    n_components: int
    fixed: Sequence[str] | Mapping[str, Any]
    init_params: InitParams
    weights_init: Any
    weights_prior: Any
    responsibilities_init: Any
    random_state: Any
    warm_start: bool
    n_jobs: int | None
    posterior: Literal["soft", "hard"]
    weights_: Array
    result_: EMResult
    model_: Mixture

    @abstractmethod
    def _family(self) -> Family:
        """The family, from the constructor's arguments."""

    @abstractmethod
    def _params(self) -> MixtureParams:
        """The parameters, from the fitted attributes."""

    @abstractmethod
    def _take(self, params: MixtureParams) -> None:
        """Set the fitted attributes."""

    @abstractmethod
    def _given(self, model: Mixture, X: Array) -> MixtureParams:
        """Starting values given to the constructor; None in place of each that was not."""

    def _current(self) -> MixtureParams:
        """The parameters, from the fitted attributes, which a user may have assigned."""
        weights, family = self._params()
        return MixtureParams(check_start_weights(weights, np.size(weights), "weights_"), family)

    def _model(self, family: Family | None = None, n_components: int | None = None) -> Mixture:
        return Mixture(
            self._family() if family is None else family,
            self.n_components if n_components is None else n_components,
            self.init_params,
            fixed={group: kept for group, kept in self._fixed().items() if group == "weights"},
            weights_prior=self.weights_prior,
        )

    def _fixed(self) -> dict[str, Any]:
        """The argument `fixed`, checked, as a dict."""
        return check_fixed(self.fixed, self._GROUPS)

    def _fitted_family(self) -> Family:
        """The family that the fitted attributes belong to."""
        return self._family()

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        labels: Any = None,
        resume: Any = None,
    ) -> BaseMixture:
        """Fit by expectation-maximisation.

        Parameters
        ----------
        X : array-like or frame (n_samples, n_features), or source
            A memmap, the path of a Parquet file, a function that returns an iterator over
            blocks, or a `Source` is read block by block in every pass.
        y : ignored
        sample_weight : (n_samples,) array-like, optional
            Frequency-type weights: 0 is an absent row, which may hold anything, and 2 is
            the row twice.
        labels : (n_samples,) array-like of int, optional
            Known components, 0..n_components - 1, and -1 where unknown (semi-supervised
            fits). The log-likelihood of a labelled row is that of the row and its label.
        resume : path, optional
            A checkpoint of this fit, to go on from.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data, weights or arguments that cannot be fitted; nothing is
            changed then.
        """
        with nothing_half_done(self):
            return self._fit(X, sample_weight, labels, resume)

    def _fit(self, X: Any, sample_weight: Any, labels: Any, resume: Any) -> BaseMixture:
        settings = em_settings(self)
        source = source_of(X, sample_weight, labels)
        if source is None or (isinstance(X, np.ndarray) and self.responsibilities_init is not None):
            model, data, start = self._inside(X, sample_weight, labels)
        else:
            model, data, start = self._outside(source)
        rng = generator(self.random_state)
        result = settings.run(model, data, start=start, rng=rng, resume=resume)
        if result.loglik == -np.inf and isinstance(data, Rows):
            told = tell_impossible(model, result.params, data)
            result = replace(result, warnings=result.warnings + told)
        forget_fit(self)
        self._take(result.params)
        self.model_ = model  # with the family that `_fitted_family` may want
        self.result_ = result
        self.loglik_ = result.loglik
        self.lower_bound_ = result.loglik / result.weight
        self.lower_bounds_ = list(result.history.objectives / result.weight)
        self.converged_ = result.converged
        self.n_iter_ = result.n_iter
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> BaseMixture:
        """Take in one more chunk of rows, by online EM.

        Every 1,000 rows an M-step follows, by statistics averaged over all chunks with steps
        that shrink; the attributes are those of the mean statistics of the last half of
        the steps. Rows should come in an order that has nothing to do with what they hold. The
        first chunk makes the start: give it thousands of rows. After `fit` it goes on from there.

        Parameters
        ----------
        X : array-like or frame (n_samples, n_features)
        y : ignored
        sample_weight : (n_samples,) array-like, optional
        """
        with nothing_half_done(self):
            settings, rng = em_settings(self), generator(self.random_state)
            if self.__sklearn_is_fitted__():
                model, params = self._ready()
                table = self._table(model, params, X, sample_weight)
                data, start = Rows(table.x, table.weights), None
            else:
                model, data, start = self._inside(X, sample_weight, None)
            self._take(fed(self, model, data, lambda: start, settings, rng))
            self.model_ = model
            return self

    def _inside(self, X: Any, sample_weight: Any, labels: Any) -> tuple[Mixture, Any, Any]:
        """Model, data and start of a fit to a table."""
        model = self._model()
        table = check_table(self, X, sample_weight, reset=True, family=model.family)
        X, weights, kept = table.x, table.weights, table.kept
        if table.family is not model.family:  # it learned something from the data
            model = self._model(table.family)
        n = len(X) if kept is None else len(kept)
        known = None if labels is None else check_labels(labels, n, self.n_components)
        known = known if known is None or kept is None else known[kept]
        data = Rows(X, weights, known)
        given_shares = self.responsibilities_init
        if given_shares is not None:
            given_shares = check_responsibilities(given_shares, n, self.n_components)
            given_shares = given_shares if kept is None else given_shares[kept]
        self._check_enough(X)
        self._warn_of_columns(X)
        return model, data, self._start(model, data, given_shares)

    def _outside(self, source: Source) -> tuple[Mixture, Any, Any]:
        """Model, data and start of a fit to a source, of which a sample is looked at."""
        if self.responsibilities_init is not None:
            raise ValueError(
                "responsibilities_init needs all rows in memory: give means_init or another start"
            )
        few, model = sample_rows(source), self._model()
        named_columns(self, source, reset=True)
        self._check_enough(few.x)
        family = model.family.learn(few.x)
        if family is not model.family:
            model = self._model(family)
        data = without_unseen(source) if family.missing_cells else source
        return model, data, self._start(model, few, None)

    def _check_enough(self, X: Array) -> None:
        if len(X) < self.n_components:
            raise ValueError(
                f"X has n_samples = {len(X)}, fewer than n_components={self.n_components}: "
                "give more rows or ask for fewer components"
            )
        distinct = distinct_rows(X, self.n_components)
        if distinct < self.n_components:
            raise ValueError(
                f"X has {distinct} distinct row{'s' * (distinct != 1)}, fewer than "
                f"n_components={self.n_components}: ask for fewer components"
            )

    def _warn_of_columns(self, X: Array) -> None:
        """Warn of columns that the family cannot make sense of."""
        return None

    def _start(self, model: Mixture, data: Rows, shares: Array | None) -> MixtureParams | Callable:
        """Parameters to start from, or the function that makes them."""
        X, weights = data.x, data.weights
        if self.warm_start and hasattr(self, "weights_"):
            try:
                last = self._current()
            except ValueError as error:
                raise ValueError(f"warm_start=True cannot go on from here: {error}") from None
            what = "the last fit, from which warm_start=True goes on,"
            return MixtureParams(last.weights, family_like(model, X, last.family, what))
        given = self._given(model, X)
        self._refuse_fixed(model, given)
        refuse_contradictions(data, given.weights, shares)
        if shares is None:
            completed = self._completed(model, given, data)
            if completed is not None:
                return completed
        family_given = (None,) if given.family is None else tuple(given.family)
        if given.weights is not None and all(value is not None for value in family_given):
            return given

        def start(blocks: Sequence[Rows], rng: np.random.Generator) -> MixtureParams:
            if shares is None:
                made = model.guess(blocks, rng)
            else:
                weighted = shares.T if weights is None else shares.T * weights
                made = model.from_responsibilities(model.family.encode(X), weighted, rng)
            family = made.family
            if given.family is not None:
                pairs = zip(given.family, made.family, strict=True)
                family = type(made.family)(*(new if own is None else own for own, new in pairs))
            return MixtureParams(made.weights if given.weights is None else given.weights, family)

        return start

    def _completed(self, model: Mixture, given: MixtureParams, data: Rows) -> MixtureParams | None:
        """The start that the given values lead to, None where they do not place the components."""
        if given.family is None or any(value is None for value in given.family):
            return None
        weights = given.weights
        if weights is None:
            weights = weights_under(model, given.family, data)
        return MixtureParams(weights, given.family)

    def _refuse_fixed(self, model: Mixture, given: MixtureParams) -> None:
        """Refuse groups that are fixed without a value given for them."""
        loose = [
            (group, self._argument(group))
            for group in fixed_groups(model.family)
            if given.family is None or getattr(given.family, group, group) is None
        ]
        if "weights" in model.fixed and given.weights is None:
            loose.insert(0, ("weights", "weights_init"))
        if loose:
            groups, arguments = (", ".join(names) for names in zip(*loose, strict=True))
            raise ValueError(
                f"fixed keeps starting values, and none are given for {groups}: pass {arguments}"
            )

    def _argument(self, group: str) -> str:
        """The constructor's argument that gives starting values of a group of the family."""
        return "family_init"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        try:
            tags.input_tags.allow_nan = bool(self._family().missing_cells)
        except (AttributeError, ValueError):  # arguments that fit will refuse
            tags.input_tags.allow_nan = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "weights_")

    def _ready(self) -> tuple[Mixture, MixtureParams]:
        """The model and its parameters, as the attributes stand now."""
        check_is_fitted(self)
        try:
            params = self._current()
        except AttributeError as error:
            raise NotFittedError(
                f"{type(self).__name__} has weights_ but not all of its parameters: {error}"
            ) from None
        model = self._model(self._fitted_family(), len(params.weights))
        return model, params

    def em_problem(
        self, X: Any, sample_weight: Any = None, lengths: Any = None, labels: Any = None
    ) -> tuple[Mixture, MixtureParams, Rows]:
        """The engine's view of this fit: model, parameters and data.

        `standard_errors` and other tools that work on any model start from here.
        """
        if lengths is not None:
            raise ValueError("lengths cut sequences; a mixture has independent rows, leave it out")
        model, params = self._ready()
        table = self._table(model, params, X, sample_weight)
        known, kept = None, table.kept
        if labels is not None:
            n = len(table.x) if kept is None else len(kept)
            known = check_labels(labels, n, model.n_components)
            known = known if kept is None else known[kept]
        return model, params, Rows(table.x, table.weights, known)

    def _table(
        self,
        model: Mixture,
        params: MixtureParams,
        X: Any,
        sample_weight: Any = None,
        drop_unseen: bool = True,
    ) -> Table:
        """X checked against the fit."""
        return check_table(
            self,
            X,
            sample_weight,
            width=self._width(params),
            family=model.family,
            drop_unseen=drop_unseen,
        )

    def _width(self, params: MixtureParams) -> int | None:
        """Number of columns that the parameters are for, None where they do not tell."""
        return getattr(self, "n_features_in_", None)

    def n_parameters(self) -> int:
        """Number of free parameters: fixed values and redundant weights are not counted."""
        model, params = self._ready()
        if model.constraints() is None:
            raise ValueError(
                f"{type(model.family).__name__} declares no constraints(), so its parameters "
                "cannot be counted: define constraints()"
            )
        return FlatSpace(model.constraints(), params).size

    def save(self, path: Any) -> None:
        """Write the fitted model to an ``.npz`` file, without pickle; see `latentem.load`."""
        from latentem.estimators.storage import save

        save(self, path)

    def summary(self) -> str:
        """A table of the components in the units of the data, and how the fit ended."""
        from latentem.estimators.tables import summary

        return summary(self)

    def to_frame(self) -> Any:
        """The components as a pandas DataFrame (needs pandas)."""
        from latentem.estimators.tables import to_frame

        return to_frame(self)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> tuple[Array, Array]:
        """Draw rows from the mixture.

        Parameters
        ----------
        n_samples : int
        random_state : optional
            By default the estimator's own.

        Returns
        -------
        X : (n_samples, n_features) array
        components : (n_samples,) int64 array
        """
        model, params = self._ready()
        if isinstance(n_samples, bool) or not isinstance(n_samples, int | np.integer):
            raise ValueError(f"n_samples must be an integer, got {n_samples!r}")
        if n_samples < 1:
            raise ValueError(f"n_samples must be at least 1, got {n_samples}")
        rng = generator(self.random_state if random_state is None else random_state)
        rows, components = model.sample_labelled(params, int(n_samples), rng)
        return rows, components.astype(np.int64)
