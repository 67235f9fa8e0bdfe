"""What the hidden Markov estimators share: fit, decoding, scores and criteria."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from latentem.engine.backends import backend_for
from latentem.engine.blocks import Sequences
from latentem.engine.family import Family
from latentem.engine.flat import FlatSpace
from latentem.engine.result import EMResult
from latentem.engine.starts import InitParams
from latentem.engine.warnings import ImpossibleRowWarning, tell
from latentem.estimators.chain_checks import (
    check_fixed,
    check_probabilities,
    check_sequences,
    check_transitions,
)
from latentem.estimators.chain_order import in_this_order
from latentem.estimators.chain_starting import begin_at
from latentem.estimators.forecasting import Forecast, pseudo_residuals
from latentem.estimators.settings import em_settings, generator
from latentem.estimators.streaming import StreamState, start, step
from latentem.estimators.validation import check_weights
from latentem.models import decoding
from latentem.models.hidden_markov import HiddenMarkov, HiddenMarkovParams
from latentem.models.sequences import row_weights
from latentem.models.transitions import stationary_distribution

__all__ = ["BaseHMM"]

Array = np.ndarray


class BaseHMM(BaseEstimator):
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
    init_params: InitParams
    random_state: Any
    n_jobs: int | None
    startprob_: Array
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
        return check_fixed(self.fixed, tuple(self._GROUPS))

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
        )

    def fit(
        self, X: Any, lengths: Any = None, sample_weight: Any = None, labels: Any = None
    ) -> BaseHMM:
        """Fit by expectation-maximisation (Baum-Welch).

        Parameters
        ----------
        X : array-like or frame (n_samples, n_features), or list of such
            One sequence, or sequences stacked with `lengths`, or a list of sequences. A
            row of NaN was not seen; single NaN cells where the family takes them.
        lengths : (n_sequences,) array-like of int, optional
            Rows of each sequence; they sum to n_samples.
        sample_weight : (n_sequences,) array-like, optional
            Frequency-type weight of each sequence: 0 is absent, 2 is twice.
        labels : (n_samples,) array-like of int, optional
            Known states, -1 where unknown. For a list of sequences, a list too.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data or arguments that cannot be fitted; nothing is changed then.
        """
        before = dict(vars(self))
        try:
            return self._fit(X, lengths, sample_weight, labels)
        except BaseException:
            self.__dict__ = before
            raise

    def _fit(self, X: Any, lengths: Any, sample_weight: Any, labels: Any) -> BaseHMM:
        settings = em_settings(self)
        model = self._model()
        data = check_sequences(self, X, lengths, sample_weight, labels, reset=True)
        self._check_enough(data)
        seen = data.x if model.family.missing_cells else data.x[~np.isnan(data.x).all(axis=1)]
        learned = self._learned(model.family, seen)
        if learned is not model.family:
            model = self._model(learned)
        if data.weights is not None and not np.all(data.weights > 0):  # absent is absent
            model.seen(data)  # refuses rows by the number that they were given with
            data = data.take(np.flatnonzero(data.weights > 0))
        begin = begin_at(self, model, data.x.shape[1])
        result = settings.run(model, data, start=begin, rng=generator(self.random_state))
        self.model_ = model
        self.startprob_ = np.array(model.startprob(result.params))
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

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "transmat_")

    def _ready(self) -> tuple[HiddenMarkov, HiddenMarkovParams]:
        """The model and its parameters, as the attributes stand now."""
        check_is_fitted(self)
        try:
            k = len(self.transmat_)
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
        if model.n_components != k:
            raise ValueError(f"transmat_ is for {k} states, but n_components={self.n_components}")
        check_transitions(moves, k, "transmat_", model.transmat_mask)
        return model, params

    def _take_chain(self, startprob: Any, transmat: Any) -> None:
        """Set what was given as parameters of the chain, checked."""
        k, model = self.n_components, self._model()
        self.transmat_ = check_transitions(transmat, k, "transmat", model.transmat_mask)
        if model.stationary:
            own = self.startprob_ = stationary_distribution(self.transmat_)
            if startprob is not None and not np.allclose(startprob, own, atol=1e-6):
                raise ValueError(
                    f"stationary=True makes startprob follow from transmat: it is {own.round(4)}. "
                    "Pass startprob=None"
                )
        else:
            self.startprob_ = check_probabilities(startprob, (k,), "startprob")

    def _columns(self, params: HiddenMarkovParams) -> int | None:
        """Number of columns of the data, None where nothing tells."""
        return getattr(self, "n_features_in_", None) or self._width(params.family)

    def _table(
        self, X: Any, lengths: Any, sample_weight: Any = None
    ) -> tuple[HiddenMarkov, HiddenMarkovParams, Sequences]:
        """The model, its parameters, and X checked against them."""
        model, params = self._ready()
        width = self._columns(params)
        data = check_sequences(self, X, lengths, sample_weight, None, reset=False, width=width)
        return model, params, data

    def em_problem(
        self, X: Any, sample_weight: Any = None, lengths: Any = None
    ) -> tuple[HiddenMarkov, HiddenMarkovParams, Sequences]:
        """The engine's view of this fit: model, parameters and data."""
        return self._table(X, lengths, sample_weight)

    def _decoded(
        self, function: Callable, X: Any, lengths: Any, *more: Any, weights: Any = None
    ) -> decoding.Decoded:
        """What a function of `latentem.models.decoding` finds; warns of impossible rows."""
        model, params, data = self._table(X, lengths, weights)
        found = function(model, params, data, *more, backend_for(self.n_jobs))
        if np.any(found.impossible >= 0):
            s = int(np.argmax(found.impossible >= 0))
            row = int(found.impossible[s])
            tell(
                f"row {row} (row {row - data.offsets[s]} of sequence {s}) has probability zero in "
                "every state that can be reached there: its sequence has log-likelihood -inf",
                ImpossibleRowWarning,
            )
        return found

    def score(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Total (weighted) log-likelihood of all sequences; -inf where one is impossible."""
        found = self._decoded(decoding.filter_states, X, lengths, weights=sample_weight)
        if sample_weight is None:
            return float(found.loglik.sum())
        weights = check_weights(sample_weight, len(found.loglik), "sequence")
        assert weights is not None
        present = weights > 0  # 0 * -inf would be NaN
        return float(weights[present] @ found.loglik[present])

    def score_sequences(self, X: Any, lengths: Any = None) -> Array:
        """Log-likelihood of each sequence, (n_sequences,)."""
        return self._decoded(decoding.filter_states, X, lengths).loglik

    def score_samples(self, X: Any, lengths: Any = None) -> tuple[float, Array]:
        """Total log-likelihood, and smoothed probabilities (n_samples, n_components)."""
        found = self._decoded(decoding.smooth_states, X, lengths)
        return float(found.loglik.sum()), _shares(found)

    def predict_proba(self, X: Any, lengths: Any = None) -> Array:
        """Smoothed probabilities of the states given whole sequences, (n_samples, n_components).

        Equal shares in a sequence that is impossible.
        """
        return self.score_samples(X, lengths)[1]

    def impute(self, X: Any, lengths: Any = None) -> Array:
        """X with what is expected in cells that are NaN, (n_samples, n_features).

        Means given what was seen of the row under the smoothed probabilities of the states; the
        most probable value where columns hold categories. Cells that were seen keep their bits.
        """
        return decoding.impute(*self._table(X, lengths), self.predict_proba(X, lengths))

    def filter(self, X: Any, lengths: Any = None) -> Array:
        """Probabilities of the states given the rows so far, (n_samples, n_components)."""
        return _shares(self._decoded(decoding.filter_states, X, lengths))

    def decode(
        self, X: Any, lengths: Any = None, algorithm: Literal["viterbi", "map"] = "viterbi"
    ) -> tuple[float, Array]:
        """A path of states, and the joint log density of the rows and that path.

        Parameters
        ----------
        X, lengths
            As in `fit`.
        algorithm : {"viterbi", "map"}
            The most probable path as a whole, or states of each row, which may be impossible.

        Returns
        -------
        log_joint : float
        path : (n_samples,) int64 array
        """
        if algorithm == "viterbi":
            found = self._decoded(decoding.decode, X, lengths)
            return float(found.loglik.sum()), found.values
        if algorithm != "map":
            raise ValueError(f"algorithm must be 'viterbi' or 'map', got {algorithm!r}")
        path = np.argmax(self.predict_proba(X, lengths), axis=1)
        model, params, data = self._table(X, lengths)
        return float(decoding.path_loglik(model, params, data, path).sum()), path.astype(np.int64)

    def predict(
        self, X: Any, lengths: Any = None, algorithm: Literal["viterbi", "map"] = "viterbi"
    ) -> Array:
        """States of the rows, (n_samples,) int64; see `decode`."""
        return self.decode(X, lengths, algorithm)[1]

    def sample_states(self, X: Any, lengths: Any = None, random_state: Any = None) -> Array:
        """A path drawn from the posterior distribution of paths, (n_samples,) int64.

        -1 in a sequence that is impossible.
        """
        rng = generator(self.random_state if random_state is None else random_state)
        return self._decoded(decoding.draw_states, X, lengths, rng).values

    def start_state(self) -> StreamState:
        """The state of a stream of which nothing was seen yet; see `update`."""
        model, params = self._ready()
        return start(model, params, self._columns(params))

    def update(self, state: StreamState, x: Any) -> tuple[StreamState, Array, float]:
        """Take one more row of a stream.

        Parameters
        ----------
        state : StreamState
            From `start_state`, or the last `update`. It is a value and stays as it is.
        x : (n_features,) array-like
            NaN where nothing was seen.

        Returns
        -------
        state : StreamState
        probabilities : (n_components,) array
            Of the states at this row, given the rows so far.
        log_increment : float
            Log density of the row given those before; they sum to the log-likelihood.

        Examples
        --------
        >>> import numpy as np
        >>> from latentem import PoissonHMM
        >>> hmm = PoissonHMM.from_parameters(
        ...     startprob=[0.5, 0.5], transmat=[[0.9, 0.1], [0.1, 0.9]], lambdas=[[1.0], [9.0]]
        ... )
        >>> state, total = hmm.start_state(), 0.0
        >>> for count in [2, 7, 8]:
        ...     state, probabilities, increment = hmm.update(state, [count])
        ...     total += increment
        >>> bool(np.isclose(total, hmm.score([[2], [7], [8]])))
        True
        """
        return step(state, x)

    def forecast(self, X: Any, h: int = 1) -> Forecast:
        """What follows one sequence: states and rows 1..h steps ahead.

        Parameters
        ----------
        X : array-like (n_samples, n_features)
            One sequence.
        h : int

        Returns
        -------
        Forecast
            ``states`` (h, n_components), ``mean`` and ``variance`` (h, n_features) and
            ``interval(level)``.
        """
        if isinstance(h, bool) or not isinstance(h, int | np.integer) or h < 1:
            raise ValueError(f"h must be an integer of at least 1, got {h!r}")
        model, params, data = self._table(X, None)
        if len(data.lengths) > 1:
            raise ValueError("forecast goes on from the end of one sequence: pass one at a time")
        last = _shares(self._decoded(decoding.filter_states, X, None))[-1]
        states = decoding.forecast_states(params.transmat, last, int(h))
        return Forecast(states, model.family, params.family)

    def pseudo_residuals(self, X: Any, lengths: Any = None) -> Array:
        """Normal forecast pseudo-residuals, (n_samples, n_features).

        ``Phi^-1(P(row <= x | rows before))``: standard normal if the model is right. For
        counts and other discrete columns the middle of the jump is taken (Zucchini and
        MacDonald 2009, section 6.2). NaN where nothing was seen.
        """
        model, params, data = self._table(X, lengths)
        filtered = _shares(self._decoded(decoding.filter_states, X, lengths))
        ahead = np.vstack([model.startprob(params), filtered[:-1] @ params.transmat])
        ahead[data.offsets[:-1]] = model.startprob(params)
        return pseudo_residuals(model.family, params.family, data.x, ahead)

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
        score = self.score(X, lengths=lengths, sample_weight=sample_weight)
        return -2 * score + 2 * self.n_parameters()

    def bic(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Bayesian criterion, smaller is better; n counts the rows that were seen.

        Rows count by the weight of their sequence.
        """
        score = self.score(X, lengths=lengths, sample_weight=sample_weight)
        model, _, data = self._table(X, lengths, sample_weight)
        count = row_weights(model.seen(data)).sum()
        return -2 * score + self.n_parameters() * float(np.log(count))

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


def _shares(found: decoding.Decoded) -> Array:
    """Probabilities (n, K); equal shares where a row is impossible or follows one."""
    shares = found.values
    if np.any(found.impossible >= 0):
        shares[shares.sum(axis=1) == 0] = 1.0 / shares.shape[1]
    return shares
