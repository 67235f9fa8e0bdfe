"""Hidden Markov models of counts and of categories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from latentem.engine.family import Family
from latentem.engine.starts import InitParams
from latentem.engine.strategies import Strategy
from latentem.estimators.base_hmm import BaseHMM
from latentem.estimators.chain_checks import check_probabilities, check_states
from latentem.estimators.prior_arguments import dirichlet_prior, gamma_prior
from latentem.estimators.validation import check_shape
from latentem.families.categorical import Categorical, CategoricalParams
from latentem.families.poisson import Poisson, PoissonParams
from latentem.families.priors import DirichletPrior

__all__ = ["CategoricalHMM", "PoissonHMM"]

Array = np.ndarray


class PoissonHMM(BaseHMM):
    """A hidden Markov model of counts, columns independent within a state.

    Parameters
    ----------
    n_components : int
        Number of states.
    startprob_init, transmat_init, transmat_mask, fixed, stationary, memory
        As in `HMM`; `fixed` may name "lambdas" too, in a dict with True, or which states or
        entries keep theirs, (n_components,) or (n_components, n_features) bool.
    lambdas_init : (n_components, n_features) array-like, optional
        Expected counts per row.
    tol, max_iter, n_init, init_strategy, posterior, init_params, random_state, accelerate
        As in `HMM`.
    stopping, n_jobs, verbose
        As in `HMM`.
    progress, callbacks, time_limit, checkpoint, checkpoint_every, batch_size, incremental
        As in `HMM`.
    startprob_prior, transmat_prior
        As in `HMM`.
    lambdas_prior, lambdas_weight : float, (n_features,) or (n_components, n_features), optional
        Shape, at least 1, and rate, above 0, of a gamma prior of `lambdas_`, as in hmmlearn; the
        rate is in rows. The fit then is MAP, with mode (shape - 1) / rate where nothing is seen.

    Attributes
    ----------
    startprob_ : (n_components,) array
    transmat_ : (n_components, n_components) array
    lambdas_ : (n_components, n_features) array
        Expected counts per row.
    loglik_ : float
    result_ : EMResult
    converged_, n_iter_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> from latentem import PoissonHMM
    >>> from latentem.datasets import load_earthquakes
    >>> hmm = PoissonHMM(2, tol=1e-9, random_state=0).fit(load_earthquakes()[["count"]])
    >>> sorted(hmm.lambdas_.ravel().round(3).tolist())
    [15.421, 26.018]
    """

    _GROUPS: ClassVar[dict[str, str]] = {"lambdas": "lambdas_init"}

    lambdas_: Array

    def __init__(
        self,
        n_components: int = 1,
        *,
        startprob_init: Any = None,
        transmat_init: Any = None,
        lambdas_init: Any = None,
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
        lambdas_prior: Any = None,
        lambdas_weight: Any = None,
    ):
        self.n_components = n_components
        self.startprob_init = startprob_init
        self.transmat_init = transmat_init
        self.lambdas_init = lambdas_init
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
        self.lambdas_prior = lambdas_prior
        self.lambdas_weight = lambdas_weight

    def _family(self) -> Family:
        return Poisson(self._kept(), gamma_prior(self.lambdas_prior, self.lambdas_weight))

    def _family_params(self) -> PoissonParams:
        width = getattr(self, "n_features_in_", None)
        return PoissonParams(
            _rates(check_states(self.lambdas_, self.n_components, "lambdas_", width), "lambdas_")
        )

    @property
    def family_params_(self) -> PoissonParams:
        """Parameters of the family, as in `HMM`."""
        return self._family_params()

    def _take_family(self, params: PoissonParams) -> None:
        self.lambdas_ = params.lambdas

    def _given_family(self, family: Family, width: int) -> PoissonParams | None:
        if self.lambdas_init is None:
            return None
        lambdas = check_shape(self.lambdas_init, (self.n_components, width), "lambdas_init")
        return PoissonParams(_rates(lambdas, "lambdas_init"))

    def _width(self, params: PoissonParams) -> int:
        return int(params.lambdas.shape[1])

    @classmethod
    def from_parameters(
        cls, *, startprob: Any, transmat: Any, lambdas: Any, **settings: Any
    ) -> PoissonHMM:
        """A ready model from its parameters, without data.

        Parameters
        ----------
        startprob : (K,) array-like, or None if stationary
        transmat : (K, K) array-like
        lambdas : (K, d) array-like
            Expected counts per row.
        **settings
            Other constructor arguments.
        """
        lambdas = np.array(lambdas, dtype=float)
        if lambdas.ndim != 2:
            raise ValueError(
                f"lambdas must be (n_components, n_features), got shape {lambdas.shape}"
            )
        k, d = lambdas.shape
        if not (np.all(lambdas >= 0) and np.all(lambdas < np.inf)):
            raise ValueError("lambdas must be finite numbers >= 0")
        model = cls(k, **settings)
        model._take_chain(startprob, transmat)
        model.lambdas_ = lambdas
        model.n_features_in_ = d
        return model


class CategoricalHMM(BaseHMM):
    """A hidden Markov model of categories.

    Cells are whole numbers 0, 1, ..., C - 1. With several columns, these are
    independent within a state, and may have different numbers of categories.

    Parameters
    ----------
    n_components : int
        Number of states.
    startprob_init, transmat_init, transmat_mask, fixed, stationary, memory
        As in `HMM`; `fixed` may name "emissionprob" too, in a dict with True, or which states or
        entries keep theirs, (n_components,) or (n_components, n_categories) bool.
    emissionprob_init : (n_components, n_categories) array-like, optional
        Rows sum to 1; with several columns their probabilities side by side.
    n_categories : int or sequence of int, optional
        By default the largest code + 1, of each column.
    tol, max_iter, n_init, init_strategy, posterior, init_params, random_state, accelerate
        As in `HMM`.
    stopping, n_jobs, verbose
        As in `HMM`.
    progress, callbacks, time_limit, checkpoint, checkpoint_every, batch_size, incremental
        As in `HMM`.
    startprob_prior, transmat_prior
        As in `HMM`.
    emissionprob_prior : float, (n_categories,) or (n_components, n_categories), optional
        Concentrations, at least 1, of a Dirichlet prior of the probabilities of the categories;
        with several columns side by side.

    Attributes
    ----------
    startprob_ : (n_components,) array
    transmat_ : (n_components, n_components) array
    emissionprob_ : (n_components, n_categories) array
        Probability of each category in each state; with several columns side by side.
    n_categories_ : tuple of int
        Number of categories of each column.
    loglik_ : float
    result_ : EMResult
    converged_, n_iter_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> from latentem import CategoricalHMM
    >>> hmm = CategoricalHMM.from_parameters(
    ...     startprob=[0.6, 0.4],
    ...     transmat=[[0.7, 0.3], [0.4, 0.6]],
    ...     emissionprob=[[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]],
    ... )
    >>> hmm.predict([[0], [1], [2]]).tolist()
    [1, 0, 0]
    """

    _GROUPS: ClassVar[dict[str, str]] = {"emissionprob": "emissionprob_init"}

    emissionprob_: Array

    def __init__(
        self,
        n_components: int = 1,
        *,
        startprob_init: Any = None,
        transmat_init: Any = None,
        emissionprob_init: Any = None,
        n_categories: int | Sequence[int] | None = None,
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
        emissionprob_prior: Any = None,
    ):
        self.n_components = n_components
        self.startprob_init = startprob_init
        self.transmat_init = transmat_init
        self.emissionprob_init = emissionprob_init
        self.n_categories = n_categories
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
        self.emissionprob_prior = emissionprob_prior

    def _family(self) -> Categorical:
        return Categorical(self.n_categories, self._kept(), self._prior())

    def _prior(self) -> DirichletPrior | None:
        return dirichlet_prior(self.emissionprob_prior, "emissionprob_prior")

    def _learned(self, family: Family, X: Array) -> Family:
        """With one column, the number of categories is that of given probabilities."""
        given = self.emissionprob_init
        if self.n_categories is None and given is not None and X.shape[1] == 1:
            size = (np.shape(given)[-1],) if np.ndim(given) else None
            return Categorical(size, self._kept(), self._prior())
        return family.learn(X)

    def _fitted_family(self) -> Categorical:
        model = getattr(self, "model_", None)
        if model is not None and sum(model.family.n_categories) == np.shape(self.emissionprob_)[1]:
            return model.family
        sizes = self.n_categories
        sizes = (np.shape(self.emissionprob_)[1],) if sizes is None else sizes
        return Categorical(sizes, self._kept(), self._prior())

    def _family_params(self) -> CategoricalParams:
        k, value = self.n_components, self.emissionprob_
        if np.ndim(value) != 2 or len(value) != k:
            raise ValueError(
                f"emissionprob_ must have shape ({k}, n_categories), got {np.shape(value)}"
            )
        _by_column(self._fitted_family(), value, np.shape(value), "emissionprob_")
        return CategoricalParams(np.asarray(value, dtype=float))

    @property
    def family_params_(self) -> CategoricalParams:
        """Parameters of the family, as in `HMM`."""
        return self._family_params()

    def _take_family(self, params: CategoricalParams) -> None:
        self.emissionprob_ = params.emissionprob

    def _given_family(self, family: Family, width: int) -> CategoricalParams | None:
        if self.emissionprob_init is None:
            return None
        assert isinstance(family, Categorical)
        assert isinstance(family.n_categories, tuple)  # it has learned them
        shape = (self.n_components, sum(family.n_categories))
        return CategoricalParams(
            _by_column(family, self.emissionprob_init, shape, "emissionprob_init")
        )

    def _width(self, params: CategoricalParams) -> int | None:
        sizes = self._fitted_family().n_categories
        return len(sizes) if isinstance(sizes, tuple) else None

    @property
    def n_categories_(self) -> tuple[int, ...]:
        """Number of categories of each column."""
        sizes = self._fitted_family().n_categories
        assert isinstance(sizes, tuple)
        return sizes

    @classmethod
    def from_parameters(
        cls, *, startprob: Any, transmat: Any, emissionprob: Any, **settings: Any
    ) -> CategoricalHMM:
        """A ready model from its parameters, without data.

        Parameters
        ----------
        startprob : (K,) array-like, or None if stationary
        transmat : (K, K) array-like
        emissionprob : (K, C) array-like
            Of one column, unless ``n_categories`` says otherwise.
        **settings
            Other constructor arguments.
        """
        emissionprob = np.array(emissionprob, dtype=float)
        if emissionprob.ndim != 2:
            raise ValueError(
                f"emissionprob must be (n_components, n_categories), got shape {emissionprob.shape}"
            )
        k, c = emissionprob.shape
        model = cls(k, **settings)
        sizes = (c,) if model.n_categories is None else model.n_categories
        model._take_chain(startprob, transmat)
        model.emissionprob_ = _by_column(Categorical(sizes), emissionprob, (k, c), "emissionprob")
        return model


def _rates(lambdas: Array, name: str) -> Array:
    if np.any(lambdas < 0):
        raise ValueError(f"{name} must be >= 0, got {lambdas.min():g}")
    return lambdas


def _by_column(family: Categorical, value: Any, shape: tuple[int, ...], name: str) -> Array:
    """Probabilities of categories, those of each column of the data summing to 1."""
    value = check_shape(value, shape, name)
    parts = family.by_column(value)
    if len(parts) == 1:
        return check_probabilities(value, shape, name)
    return np.hstack(
        [
            check_probabilities(part, part.shape, f"{name} (column {j} of X)")
            for j, part in enumerate(parts)
        ]
    )
