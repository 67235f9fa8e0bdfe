"""Mixtures of any family with scikit-learn's face."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from latentem.engine.family import Family
from latentem.engine.starts import InitParams
from latentem.engine.strategies import Strategy
from latentem.estimators.base_mixture import BaseMixture
from latentem.estimators.starting import family_like
from latentem.estimators.validation import check_start_weights
from latentem.families.gaussian import Gaussian
from latentem.families.poisson import Poisson
from latentem.models.mixture import Mixture, MixtureParams

__all__ = ["BaseMixture", "MixtureModel"]

Array = np.ndarray


class MixtureModel(BaseMixture):
    """A mixture of any family.

    Parameters
    ----------
    family : Family
        For example ``latentem.families.Poisson()``, or your own.
    n_components : int
    tol, max_iter, n_init, init_strategy, posterior, accelerate, stopping, n_jobs, progress
        As in `GaussianMixture`.
    callbacks
        As in `GaussianMixture`.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"} or callable
    weights_init : (n_components,) array-like, optional
        Must sum to 1, to 1e-9.
    family_init : params of the family, optional
        A NamedTuple as the family uses it, for example ``PoissonParams``. Without
        `weights_init`, the first weights are the mean posteriors under it.
    responsibilities_init : (n_samples, n_components) array-like, optional
    random_state, verbose
        As in scikit-learn.
    warm_start : bool
        Go on from the last fit. From the second fit on, starting values that were
        given are not used.
    fixed : tuple of {"weights"}, or dict
        ``("weights",)`` keeps the weights at `weights_init`, which must be given, and
        ``{"weights": kept}`` the entries of a bool array (n_components,). Groups of the family
        are fixed there, for example ``Poisson(fixed=("lambdas",))``, at the values of
        `family_init`.
    weights_prior : float or (n_components,) array-like, optional
        Concentrations, at least 1, of a Dirichlet prior of the weights.
    time_limit, checkpoint, checkpoint_every, batch_size, incremental
        As in `GaussianMixture`.

    Attributes
    ----------
    weights_ : (n_components,) array
    family_params_ : NamedTuple
        Parameters of the family.
    loglik_ : float
        Total log-likelihood at the fitted parameters.
    lower_bound_ : float
        `loglik_` per unit of weight.
    result_ : EMResult
    converged_, n_iter_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import MixtureModel, families
    >>> X = np.repeat(np.arange(10), [162, 267, 271, 185, 111, 61, 27, 8, 3, 1])[:, None]
    >>> model = MixtureModel(families.Poisson(), 2, random_state=0, tol=1e-9).fit(X)
    >>> round(model.loglik_, 4)
    -1989.9459
    """

    def __init__(
        self,
        family: Family,
        n_components: int = 1,
        *,
        tol: float = 1e-3,
        max_iter: int = 1000,
        n_init: int = 1,
        init_strategy: Strategy = "restarts",
        posterior: Literal["soft", "hard"] = "soft",
        init_params: InitParams = "kmeans",
        weights_init: Any = None,
        family_init: Any = None,
        responsibilities_init: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        accelerate: Literal["auto", "squarem", "anderson"] | None = "auto",
        stopping: Literal["aitken", "step"] = "aitken",
        n_jobs: int | None = None,
        progress: bool = False,
        callbacks: Sequence[Callable] | None = None,
        fixed: Sequence[str] | Mapping[str, Any] = (),
        weights_prior: Any = None,
        time_limit: float | None = None,
        checkpoint: Any = None,
        checkpoint_every: int | str = "30s",
        batch_size: int | None = None,
        incremental: bool = False,
    ):
        self.family = family
        self.n_components = n_components
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_strategy = init_strategy
        self.posterior = posterior
        self.init_params = init_params
        self.weights_init = weights_init
        self.family_init = family_init
        self.responsibilities_init = responsibilities_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.accelerate = accelerate
        self.stopping = stopping
        self.n_jobs = n_jobs
        self.progress = progress
        self.callbacks = callbacks
        self.fixed = fixed
        self.weights_prior = weights_prior
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.batch_size = batch_size
        self.incremental = incremental

    def _family(self) -> Family:
        return self.family

    def _fitted_family(self) -> Family:
        model = getattr(self, "model_", None)
        return self.family if model is None else model.family

    def _params(self) -> MixtureParams:
        return MixtureParams(np.asarray(self.weights_, dtype=float), self.family_params_)

    def _width(self, params: MixtureParams) -> int | None:
        """Parameters of a user's family, say of shape (K,), do not tell the number of columns."""
        if isinstance(self._fitted_family(), Gaussian | Poisson):
            return int(np.shape(params.family[0])[1])
        return super()._width(params)

    def _take(self, params: MixtureParams) -> None:
        self.weights_, self.family_params_ = params

    def _given(self, model: Mixture, X: Array) -> MixtureParams:
        weights, family = self.weights_init, self.family_init
        if weights is not None:
            weights = check_start_weights(weights, self.n_components)
        if family is not None:
            family = family_like(model, X, family, "family_init")
        return MixtureParams(weights, family)
