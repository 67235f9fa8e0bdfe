"""What a hidden Markov estimator says of sequences: scores, states and paths, what comes next."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from latentem.engine.backends import backend_for
from latentem.engine.blocks import Sequences
from latentem.estimators.chain_impossible import tell_impossible
from latentem.estimators.forecasting import Forecast, pseudo_residuals
from latentem.estimators.outside import by_block, is_outside, source_of, summed
from latentem.estimators.settings import generator
from latentem.estimators.streaming import StreamState, start, step
from latentem.estimators.validation import check_weights
from latentem.models import decoding
from latentem.models.hidden_markov import HiddenMarkov, HiddenMarkovParams

__all__ = ["DecodingMethods"]

Array = np.ndarray


class DecodingMethods:
    """The methods of `BaseHMM` that ask ready parameters about sequences."""

    random_state: Any
    n_jobs: int | None

    @abstractmethod
    def _ready(self) -> tuple[HiddenMarkov, HiddenMarkovParams]:
        """The model and its parameters, as the attributes stand now."""

    @abstractmethod
    def _columns(self, params: HiddenMarkovParams) -> int | None:
        """Number of columns of the data, None where nothing tells."""

    @abstractmethod
    def _table(
        self, X: Any, lengths: Any, sample_weight: Any = None
    ) -> tuple[HiddenMarkov, HiddenMarkovParams, Sequences]:
        """The model, its parameters, and X checked against them."""

    def _decoded(
        self, function: Callable, X: Any, lengths: Any, *more: Any, weights: Any = None
    ) -> decoding.Decoded:
        """What a function of `latentem.models.decoding` finds; warns of impossible rows."""
        model, params, data = self._table(X, lengths, weights)
        found = function(model, params, data, *more, backend_for(self.n_jobs))
        tell_impossible(found.impossible, data.offsets)
        return found

    def score(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Total (weighted) log-likelihood of all sequences; -inf where one is impossible."""
        if is_outside(X):
            whole = source_of(X, sample_weight, None, lengths)
            return float(summed(self, lambda one, *data: (one.score(*data), 0.0), whole)[0])
        found = self._decoded(decoding.log_likelihoods, X, lengths, weights=sample_weight)
        if sample_weight is None:
            return float(found.loglik.sum())
        weights = check_weights(sample_weight, len(found.loglik), "sequence")
        assert weights is not None
        present = weights > 0  # 0 * -inf would be NaN
        return float(weights[present] @ found.loglik[present])

    def score_sequences(self, X: Any, lengths: Any = None) -> Array:
        """Log-likelihood of each sequence, (n_sequences,)."""
        return self._decoded(decoding.log_likelihoods, X, lengths).loglik

    def score_samples(self, X: Any, lengths: Any = None) -> tuple[float, Array]:
        """Total log-likelihood, and smoothed probabilities (n_samples, n_components)."""
        if is_outside(X):
            return self.score(X, lengths), self.predict_proba(X, lengths)
        found = self._decoded(decoding.smooth_states, X, lengths)
        return float(found.loglik.sum()), _shares(found)

    def predict_proba(self, X: Any, lengths: Any = None, out: Any = None) -> Array:
        """Smoothed probabilities of the states given whole sequences, (n_samples, n_components).

        Equal shares in a sequence that is impossible. X may be a source, as in `fit`; then
        `out` may be an array, a memmap, or the path of a Parquet file to write, which is returned.
        """
        if is_outside(X, out):
            return by_block(self, type(self).predict_proba, X, out, lengths=lengths)
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
        self,
        X: Any,
        lengths: Any = None,
        algorithm: Literal["viterbi", "map"] = "viterbi",
        out: Any = None,
    ) -> Array:
        """States of the rows, (n_samples,) int64; see `decode`. `out` as in `predict_proba`."""
        if is_outside(X, out):
            how = {"lengths": lengths, "algorithm": algorithm}
            return by_block(self, type(self).predict, X, out, **how)
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


def _shares(found: decoding.Decoded) -> Array:
    """Probabilities (n, K); equal shares where a row is impossible or follows one."""
    shares = found.values
    if np.any(found.impossible >= 0):
        shares[shares.sum(axis=1) == 0] = 1.0 / shares.shape[1]
    return shares
