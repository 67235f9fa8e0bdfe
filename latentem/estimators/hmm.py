"""Hidden Markov models of any family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from latentem.engine.family import Family
from latentem.engine.starts import InitParams
from latentem.engine.strategies import Strategy
from latentem.estimators.base_hmm import BaseHMM
from latentem.estimators.starting import family_like, with_arrays
from latentem.models.hidden_markov import HiddenMarkov

__all__ = ["HMM"]

Array = np.ndarray


class HMM(BaseHMM):
    """A hidden Markov model of any family.

    Parameters
    ----------
    family : Family
        What rows are drawn from in each state, for example ``families.Exponential()``, or
        your own.
    n_components : int
        Number of states.
    startprob_init : (n_components,) array-like, optional
        Start probabilities to begin with; by default equal.
    transmat_init : (n_components, n_components) array-like, optional
        Transition probabilities to begin with; by default counted between the first
        guesses of the states.
    family_init : params of the family, optional
    transmat_mask : (n_components, n_components) bool array-like, optional
        Which transitions there may be, apart from their values; see `left_right`.
    fixed : tuple of {"startprob", "transmat"}, or dict
        Groups that keep their starting values, which must be given. In a dict the values
        are True, or a bool array of the entries that keep theirs. Groups of the family
        are fixed there.
    stationary : bool
        The chain starts in its stationary distribution, which is estimated with it.
    memory : {"full", "checkpoint"}
        For long sequences: keep 2 K floats for each row within an E-step, or make them
        twice, which takes half as long again.
    tol : float
        With ``stopping="aitken"`` the projected remaining gain, in nats of the whole
        weighted log-likelihood; with ``"step"`` the length of an EM step. 0 runs exactly
        `max_iter` maps.
    max_iter : int
        Most EM maps.
    n_init : int
        Number of starts; the best is kept, all are in ``result_.starts``. One, where all
        values to begin with are given.
    init_strategy : {"restarts", "short-runs", "annealing"}
        What is done about local maxima, where not all starting values are given. See
        the guide, "Local optima and starts".
    posterior : {"soft", "hard"}
        "hard" is Viterbi training: each sequence counts for its most probable path alone.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"} or callable
        How the first guesses of the states are made. With "kmeans" those of the second and
        later starts are of other kinds in turn: rows, or stretches of rows, in states at random,
        and rows around a few that are far apart.
    random_state : None, int, Generator or RandomState
    accelerate : {"auto", "squarem", "anderson"} or None
    stopping : {"aitken", "step"}
    n_jobs : int or None
        None uses the cores the process may use. Results do not depend on it.
    verbose : int
    progress : bool
    callbacks : sequence of callables, optional
    time_limit : float, optional
        Seconds after which to stop; the best so far is kept, as after Ctrl-C.
    checkpoint : path, optional
        Where to keep the whole state of the fit, for ``fit(..., resume=path)``.
    checkpoint_every : int or str
        EM points, or seconds such as "30s", between two checkpoints.
    batch_size : int, optional
        Rows of the batches of online EM (see `latentem.EM`).
    incremental : bool
        Maximise after every few blocks (see `latentem.EM`).
    startprob_prior : float or (n_components,) array-like, optional
        Concentrations, at least 1, of a Dirichlet prior of the start probabilities.
    transmat_prior : float, (n_components,) or (n_components, n_components) array-like, optional
        The same for each row of the transition probabilities; entries that `transmat_mask` rules
        out stay 0. A prior of the family belongs to the family.

    Attributes
    ----------
    startprob_ : (n_components,) array
    transmat_ : (n_components, n_components) array
    family_params_ : NamedTuple
        Parameters of the family.
    loglik_ : float
        Total weighted log-likelihood at these parameters.
    result_ : EMResult
    converged_, n_iter_, n_features_in_, feature_names_in_

    References
    ----------
    Baum, Petrie, Soules and Weiss (1970), doi:10.1214/aoms/1177697196.

    Examples
    --------
    >>> from latentem import HMM, families
    >>> from latentem.datasets import load_earthquakes
    >>> X = load_earthquakes()[["count"]]
    >>> hmm = HMM(families.Poisson(), 2, tol=1e-9, random_state=0).fit(X)
    >>> round(hmm.loglik_, 4)
    -341.8787
    """

    def __init__(
        self,
        family: Family,
        n_components: int = 1,
        *,
        startprob_init: Any = None,
        transmat_init: Any = None,
        family_init: Any = None,
        transmat_mask: Any = None,
        fixed: Sequence[str] | Mapping[str, Any] = (),
        stationary: bool = False,
        memory: Literal["full", "checkpoint"] = "full",
        tol: float = 1e-3,
        max_iter: int = 1000,
        n_init: int = 1,
        init_strategy: Strategy = "restarts",
        posterior: Literal["soft", "hard"] = "soft",
        init_params: InitParams = "kmeans",
        random_state: Any = None,
        accelerate: Literal["auto", "squarem", "anderson"] | None = "auto",
        stopping: Literal["aitken", "step"] = "aitken",
        n_jobs: int | None = None,
        verbose: int = 0,
        progress: bool = False,
        callbacks: Sequence[Callable] | None = None,
        time_limit: float | None = None,
        checkpoint: Any = None,
        checkpoint_every: int | str = "30s",
        batch_size: int | None = None,
        incremental: bool = False,
        startprob_prior: Any = None,
        transmat_prior: Any = None,
    ):
        self.family = family
        self.n_components = n_components
        self.startprob_init = startprob_init
        self.transmat_init = transmat_init
        self.family_init = family_init
        self.transmat_mask = transmat_mask
        self.fixed = fixed
        self.stationary = stationary
        self.memory = memory
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_strategy = init_strategy
        self.posterior = posterior
        self.init_params = init_params
        self.random_state = random_state
        self.accelerate = accelerate
        self.stopping = stopping
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.progress = progress
        self.callbacks = callbacks
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.batch_size = batch_size
        self.incremental = incremental
        self.startprob_prior = startprob_prior
        self.transmat_prior = transmat_prior

    def _family(self) -> Family:
        return self.family

    def _family_params(self) -> Any:
        params, result = self.family_params_, getattr(self, "result_", None)
        if result is None or params is not result.params.family:  # assigned
            width = getattr(self, "n_features_in_", None)
            family = self._fitted_family()
            params = _checked(family, params, width, self.n_components, "family_params_")
        return params

    def _take_family(self, params: Any) -> None:
        self.family_params_ = params

    def _learned(self, family: Family, X: Array) -> Family:
        learned = family.learn(X)
        if self.family_init is not None:  # checked where the rows are at hand
            like, seen = HiddenMarkov(learned, self.n_components), ~np.isnan(X).all(axis=1)
            family_like(like, X[seen], self.family_init, "family_init")
        return learned

    def _given_family(self, family: Family, width: int) -> Any:
        return with_arrays(self.family_init)

    def _width(self, params: Any) -> int | None:
        try:
            return int(self._fitted_family().moments(params)[0].shape[1])
        except NotImplementedError:  # a user's family, which may have none
            return None

    @classmethod
    def from_parameters(
        cls,
        family: Family,
        *,
        startprob: Any,
        transmat: Any,
        family_params: Any,
        **settings: Any,
    ) -> HMM:
        """A ready model from its parameters, without data.

        Parameters
        ----------
        family : Family
        startprob : (K,) array-like, or None if stationary
        transmat : (K, K) array-like
        family_params : params of the family
        **settings
            Other constructor arguments.
        """
        k = len(np.asarray(transmat))
        model = cls(family, k, **settings)
        model._take_chain(startprob, transmat)
        model.family_params_ = _checked(family, family_params, None, k, "family_params")
        return model


def _checked(family: Family, params: Any, width: int | None, k: int, name: str) -> Any:
    """Parameters of a family with lists made arrays, if they are for k states."""
    from latentem.estimators.family_storage import check_family

    params = with_arrays(params)
    try:
        check_family(family, params, width, k)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{name} do not fit {family!r}: {error}") from None
    return params
