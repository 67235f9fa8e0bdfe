"""What the hidden Markov estimators share: fit, parameters and criteria."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from latentem.engine.backends import backend_for
from latentem.engine.blocks import Sequences
from latentem.engine.em import EM
from latentem.engine.family import Family
from latentem.engine.flat import FlatSpace
from latentem.engine.result import EMResult
from latentem.engine.sources import Source
from latentem.engine.starts import NAMES, InitParams
from latentem.estimators.chain_checks import (
    check_probabilities,
    check_sequences,
    check_transitions,
)
from latentem.estimators.chain_impossible import ruled_out, tell_impossible
from latentem.estimators.chain_order import in_this_order
from latentem.estimators.chain_starting import begin_at
from latentem.estimators.hmm_decoding import DecodingMethods
from latentem.estimators.online_fitting import fed, forget_fit
from latentem.estimators.outside import named_columns, of_sequences, sample_rows, source_of
from latentem.estimators.settings import (
    em_settings,
    generator,
    nothing_half_done,
    refuse_hard,
)
from latentem.estimators.validation import check_fixed, check_weights
from latentem.models import decoding
from latentem.models.hidden_markov import HiddenMarkov, HiddenMarkovParams
from latentem.models.sequences import row_weights
from latentem.models.transitions import lasting_states, stationary_distribution

__all__ = ["BaseHMM"]

Array = np.ndarray
#: hmmlearn's letters for groups of parameters.
LETTERS = set("stmcwel")


class BaseHMM(DecodingMethods, BaseEstimator):
    """What the hidden Markov estimators share.

    A subclass says which family it fits (`_family`), and how its attributes hold the
    family's parameters (`_family_params`, `_take_family`, `_given_family`).
    """

    #: Groups of the family that the argument `fixed` may name, and their starting arguments.
    _GROUPS: ClassVar[dict[str, str]] = {}

    n_components: int
    startprob_init: Any
    transmat_init: Any
    transmat_mask: Any
    fixed: Sequence[str] | Mapping[str, Any]
    stationary: bool
    memory: Literal["full", "checkpoint"]
    startprob_prior: Any
    transmat_prior: Any
    init_params: InitParams
    random_state: Any
    n_jobs: int | None
    posterior: Literal["soft", "hard"]
    _startprob: Any
    transmat_: Array
    result_: EMResult
    model_: HiddenMarkov

    @abstractmethod
    def _family(self) -> Family:
        """The family, from the constructor's arguments."""

    @abstractmethod
    def _family_params(self) -> Any:
        """The family's parameters, from the fitted attributes."""

    @abstractmethod
    def _take_family(self, params: Any) -> None:
        """Set the fitted attributes of the family."""

    @abstractmethod
    def _given_family(self, family: Family, width: int) -> Any:
        """Starting values of the family for `width` columns, checked.

        None, or None in place of each that was not given.
        """

    @abstractmethod
    def _width(self, params: Any) -> int | None:
        """Number of columns that parameters of the family are for; None if they do not tell."""

    def _learned(self, family: Family, X: Array) -> Family:
        """The family with what it learns from the rows of a fit."""
        return family.learn(X)

    def _fitted_family(self) -> Family:
        """The family that the fitted attributes belong to."""
        model = getattr(self, "model_", None)
        return self._family() if model is None else model.family

    def _fixed(self) -> dict[str, Any]:
        """The argument `fixed`, checked, as a dict."""
        return check_fixed(self.fixed, ("startprob", "transmat", *self._GROUPS))

    def _model(self, family: Family | None = None) -> HiddenMarkov:
        chain = {key: value for key, value in self._fixed().items() if key not in self._GROUPS}
        return HiddenMarkov(
            self._family() if family is None else family,
            self.n_components,
            self.init_params,
            transmat_mask=self.transmat_mask,
            fixed=chain,
            stationary=self.stationary,
            memory=self.memory,
            startprob_prior=self.startprob_prior,
            transmat_prior=self.transmat_prior,
        )

    def _kept(self) -> dict[str, Any]:
        """What the argument `fixed` keeps of the family."""
        return {group: kept for group, kept in self._fixed().items() if group in self._GROUPS}

    def fit(
        self,
        X: Any,
        lengths: Any = None,
        sample_weight: Any = None,
        labels: Any = None,
        resume: Any = None,
    ) -> BaseHMM:
        """Fit by expectation-maximisation (Baum-Welch).

        Parameters
        ----------
        X : array-like or frame (n_samples, n_features), or list of such
            One sequence, or sequences stacked with `lengths`, or a list of sequences. A
            row of NaN was not seen; single NaN cells where the family takes them. A
            memmap, the path of a Parquet file, a function that returns an iterator over blocks
            of whole sequences, or a `Source` is read block by block in every pass.
        lengths : (n_sequences,) array-like of int, optional
            Rows of each sequence; they sum to n_samples.
        sample_weight : (n_sequences,) array-like, optional
            Frequency-type weight of each sequence: 0 is absent, 2 is twice.
        labels : (n_samples,) array-like of int, optional
            Known states, -1 where unknown. For a list of sequences, a list too.
        resume : path, optional
            A checkpoint of this fit, to go on from.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data or arguments that cannot be fitted; nothing is changed then.
        """
        with nothing_half_done(self):
            return self._fit(X, lengths, sample_weight, labels, resume)

    def _fit(self, X: Any, lengths: Any, sample_weight: Any, labels: Any, resume: Any) -> BaseHMM:
        settings = em_settings(self)
        _refuse_letters(self.init_params)
        source = source_of(X, sample_weight, labels, lengths)
        if source is not None:
            return self._fit_outside(of_sequences(source), settings, resume)
        model = self._model()
        data = check_sequences(self, X, lengths, sample_weight, labels, reset=True)
        self._check_enough(data)
        seen = data.x if model.family.missing_cells else data.x[~np.isnan(data.x).all(axis=1)]
        learned = self._learned(model.family, seen)
        if learned is not model.family:
            model = self._model(learned)
        given, kept = data, np.arange(len(data.lengths))
        if data.weights is not None and not np.all(data.weights > 0):  # absent is absent
            model.seen(data)  # refuses rows by the number that they were given with
            kept = np.flatnonzero(data.weights > 0)
            data = data.take(kept)
        begin = begin_at(self, model, data.x.shape[1])
        rng = generator(self.random_state)
        result = settings.run(model, data, start=begin, rng=rng, resume=resume)
        if result.loglik == -np.inf:
            found = decoding.log_likelihoods(model, result.params, data, backend_for(self.n_jobs))
            impossible = np.full(len(given.lengths), -1)
            moved = given.offsets[kept] - data.offsets[:-1]
            impossible[kept] = np.where(found.impossible < 0, -1, found.impossible + moved)
            told = tell_impossible(impossible, given.offsets, ruled_out(self, given.labels))
            result = replace(result, warnings=result.warnings + told)
        return self._took(model, result)

    def partial_fit(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> BaseHMM:
        """Take in one more chunk of whole sequences, by online EM.

        About every 1,000 rows an M-step follows, by statistics averaged over all chunks with
        steps that shrink; the attributes are those of the mean statistics of the last half of
        the steps. The first chunk makes the start. After `fit` it goes on from there.

        Parameters
        ----------
        X, lengths, sample_weight
            As in `fit`, in memory.
        """
        with nothing_half_done(self):
            settings, rng = em_settings(self), generator(self.random_state)
            begin: Any = None
            if self.__sklearn_is_fitted__():
                model, _, data = self._table(X, lengths, sample_weight)
            else:
                data = check_sequences(self, X, lengths, sample_weight, None, reset=True)
                self._check_enough(data)
                model = self._model()
                model = self._model(self._learned(model.family, data.x))
                begin = begin_at(self, model, data.x.shape[1])
            params = fed(self, model, data, lambda: begin, settings, rng)
            self.model_ = model
            self._startprob = np.array(model.startprob(params))
            self.transmat_ = params.transmat
            self._take_family(params.family)
            return self

    def _fit_outside(self, source: Source, settings: EM, resume: Any) -> BaseHMM:
        """A fit to a source, of which a sample is looked at."""
        few, model = sample_rows(source), self._model()
        named_columns(self, source, reset=True)
        seen = few.x if model.family.missing_cells else few.x[~np.isnan(few.x).all(axis=1)]
        learned = self._learned(model.family, seen)
        if learned is not model.family:
            model = self._model(learned)
        begin, rng = begin_at(self, model, few.x.shape[1]), generator(self.random_state)
        return self._took(model, settings.run(model, source, begin, rng, resume))

    def _took(self, model: HiddenMarkov, result: EMResult) -> BaseHMM:
        """The estimator with the attributes of a fit."""
        forget_fit(self)
        self.model_ = model
        self._startprob = np.array(model.startprob(result.params))
        self.transmat_ = result.params.transmat
        self._take_family(result.params.family)
        self.result_ = result
        self.loglik_ = result.loglik
        self.lower_bound_ = result.loglik / result.weight
        self.lower_bounds_ = list(result.history.objectives / result.weight)
        self.converged_ = result.converged
        self.n_iter_ = result.n_iter
        return self

    def _check_enough(self, data: Sequences) -> None:
        seen = int((~np.isnan(data.x).all(axis=1)).sum())
        if seen == 0:
            raise ValueError("X has no observed cell: every row is missing")
        if seen < self.n_components:
            raise ValueError(
                f"X has {seen} rows that were seen, fewer than n_components={self.n_components}: "
                "give more rows or ask for fewer states"
            )

    @property
    def startprob_(self) -> Array:
        """Start probabilities (n_components,); a stationary chain takes them from `transmat_`."""
        if self.stationary and hasattr(self, "transmat_"):
            own = stationary_distribution(np.asarray(self.transmat_, dtype=float))
            own.flags.writeable = False
            return own
        try:
            return self._startprob
        except AttributeError:
            raise AttributeError(f"{type(self).__name__} has no startprob_ yet") from None

    @startprob_.setter
    def startprob_(self, value: Any) -> None:
        if self.stationary:
            raise ValueError(
                "stationary=True makes startprob_ follow from transmat_: assign transmat_ alone"
            )
        self._startprob = value

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "transmat_")

    def _ready(self) -> tuple[HiddenMarkov, HiddenMarkovParams]:
        """The model and its parameters, as the attributes stand now."""
        check_is_fitted(self)
        try:
            k = len(self.transmat_)
            if k != self.n_components:
                raise ValueError(
                    f"transmat_ is for {k} states, but n_components={self.n_components}"
                )
            moves = check_transitions(self.transmat_, k, "transmat_", None)
            first = None
            if not self.stationary:
                first = check_probabilities(self.startprob_, (k,), "startprob_")
            params = HiddenMarkovParams(first, moves, self._family_params())
        except AttributeError as error:
            raise NotFittedError(
                f"{type(self).__name__} has transmat_ but not all of its parameters: {error}"
            ) from None
        model = self._model(self._fitted_family())
        check_transitions(moves, k, "transmat_", model.transmat_mask)
        if model.stationary:
            lasting_states(moves)  # refuses parts that never meet
        return model, params

    def _take_chain(self, startprob: Any, transmat: Any) -> None:
        """Set what was given as parameters of the chain, checked."""
        k, model = self.n_components, self._model()
        self.transmat_ = check_transitions(transmat, k, "transmat", model.transmat_mask)
        if model.stationary:
            own = self._startprob = stationary_distribution(self.transmat_)
            if startprob is not None and not np.allclose(startprob, own, atol=1e-6):
                raise ValueError(
                    f"stationary=True makes startprob follow from transmat: it is {own.round(4)}. "
                    "Pass startprob=None"
                )
        elif startprob is None:
            raise ValueError(
                "startprob is None: give start probabilities; only with stationary=True do they "
                "follow from transmat"
            )
        else:
            self._startprob = check_probabilities(startprob, (k,), "startprob")

    def _columns(self, params: HiddenMarkovParams) -> int | None:
        """Number of columns of the data, None where nothing tells."""
        return getattr(self, "n_features_in_", None) or self._width(params.family)

    def _table(
        self, X: Any, lengths: Any, sample_weight: Any = None, labels: Any = None
    ) -> tuple[HiddenMarkov, HiddenMarkovParams, Sequences]:
        """The model, its parameters, and X checked against them."""
        model, params = self._ready()
        width = self._columns(params)
        data = check_sequences(self, X, lengths, sample_weight, labels, reset=False, width=width)
        return model, params, data

    def em_problem(
        self, X: Any, sample_weight: Any = None, lengths: Any = None, labels: Any = None
    ) -> tuple[HiddenMarkov, HiddenMarkovParams, Sequences]:
        """The engine's view of this fit: model, parameters and data."""
        return self._table(X, lengths, sample_weight, labels)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> tuple[Array, Array]:
        """Draw one sequence.

        Returns
        -------
        X : (n_samples, n_features) array
        states : (n_samples,) int64 array
        """
        model, params = self._ready()
        if isinstance(n_samples, bool) or not isinstance(n_samples, int | np.integer):
            raise ValueError(f"n_samples must be an integer, got {n_samples!r}")
        if n_samples < 1:
            raise ValueError(f"n_samples must be at least 1, got {n_samples}")
        rng = generator(self.random_state if random_state is None else random_state)
        states = model.sample_states(params, int(n_samples), rng)
        return model.family.sample(params.family, states, rng), states

    def relabel(self, order: Sequence[int]) -> BaseHMM:
        """The same fit with state ``order[k]`` in place k; a new estimator.

        Examples
        --------
        >>> from latentem import PoissonHMM
        >>> hmm = PoissonHMM.from_parameters(
        ...     startprob=[1.0, 0.0], transmat=[[0.9, 0.1], [0.2, 0.8]], lambdas=[[9.0], [1.0]]
        ... )
        >>> hmm.relabel([1, 0]).lambdas_.ravel().tolist()
        [1.0, 9.0]
        """
        return in_this_order(self, order)

    def stationary_distribution(self) -> Array:
        """The distribution of states that the chain keeps, (n_components,)."""
        return stationary_distribution(self._ready()[1].transmat)

    def expected_durations(self) -> Array:
        """Mean number of rows of a stay in each state, (n_components,); inf if absorbing."""
        leave = 1.0 - np.diag(self._ready()[1].transmat)
        return np.divide(1.0, leave, out=np.full(len(leave), np.inf), where=leave > 0)

    def n_parameters(self) -> int:
        """Number of free parameters: fixed values and structural zeros are not counted."""
        model, params = self._ready()
        if model.constraints() is None:
            raise ValueError(
                f"{type(model.family).__name__} declares no constraints(), so its parameters "
                "cannot be counted: define constraints()"
            )
        return FlatSpace(model.constraints(), params).size

    def aic(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Akaike's criterion; smaller is better."""
        refuse_hard(self, "aic", "fit with posterior='soft'")
        score = self.score(X, lengths=lengths, sample_weight=sample_weight)
        return -2 * score + 2 * self.n_parameters()

    def bic(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Bayesian criterion, smaller is better; n counts the rows that were seen.

        Rows count by the weight of their sequence.
        """
        refuse_hard(self, "bic", "fit with posterior='soft'")
        return self._bic(X, lengths, sample_weight)

    def _bic(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        score = self.score(X, lengths=lengths, sample_weight=sample_weight)
        model, _, data = self._table(X, lengths, sample_weight)
        count = row_weights(model.seen(data)).sum()
        return -2 * score + self.n_parameters() * float(np.log(count))

    def icl(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """BIC with a price for uncertain paths, smaller is better.

        ``icl = bic - 2 sum_s w_s log p(path_s | x_s)`` with the Viterbi path of each sequence
        (Biernacki, Celeux and Govaert 2000, doi:10.1109/34.865189; Celeux and Durand 2008,
        doi:10.1007/s00180-007-0097-1).
        """
        joint = self._decoded(decoding.decode, X, lengths, weights=sample_weight).loglik
        rows = self._decoded(decoding.log_likelihoods, X, lengths, weights=sample_weight).loglik
        weights = check_weights(sample_weight, len(rows), "sequence")
        present = slice(None) if weights is None else weights > 0
        own = np.ones(len(rows)) if weights is None else weights
        surprise = np.where(np.isfinite(rows), joint, 0.0) - np.where(np.isfinite(rows), rows, 0.0)
        price = float(own[present] @ surprise[present])
        return self._bic(X, lengths, sample_weight) - 2 * price

    def save(self, path: Any) -> None:
        """Write the fitted model to an ``.npz`` file, without pickle; see `latentem.load`."""
        from latentem.estimators.storage import save

        save(self, path)

    def summary(self) -> str:
        """A table of the states in the units of the data, and how the fit ended."""
        from latentem.estimators.tables import summary

        return summary(self)

    def to_frame(self) -> Any:
        """The states as a pandas DataFrame (needs pandas)."""
        from latentem.estimators.tables import to_frame

        return to_frame(self)


def _refuse_letters(init_params: Any) -> None:
    """Refuse letters: hmmlearn's argument of this name says which parameters `fit` begins with."""
    if isinstance(init_params, str) and init_params not in NAMES and set(init_params) <= LETTERS:
        raise ValueError(
            f"init_params must be one of {NAMES} or a callable, got {init_params!r}: in place of "
            "hmmlearn's letters, give the values to begin with as startprob_init, transmat_init "
            "and so on, and name what keeps its value in fixed"
        )
