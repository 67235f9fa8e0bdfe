"""Hidden Markov models with a Gaussian in each state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from latentem.engine.family import Family
from latentem.engine.moments import Scatter
from latentem.engine.starts import InitParams
from latentem.engine.strategies import Strategy
from latentem.estimators.base_hmm import BaseHMM
from latentem.estimators.chain_checks import check_states
from latentem.estimators.covariances import check_positive, covariance_shape, full_covariances
from latentem.estimators.prior_arguments import gaussian_prior
from latentem.estimators.validation import check_shape
from latentem.families.gaussian import Gaussian, GaussianParams

__all__ = ["GaussianHMM", "checked_covariances"]

Array = np.ndarray


class GaussianHMM(BaseHMM):
    """A hidden Markov model with Gaussian rows.

    It takes the place of hmmlearn's class of this name, with weights, missing rows,
    several starts, structural zeros, fixed values and labels, forecasts, a stopping rule on
    the gain still to come, and acceleration.

    Parameters
    ----------
    n_components : int
        Number of states.
    covariance_type : {"diag", "full", "tied", "spherical"}
    startprob_init, transmat_init, transmat_mask, fixed, stationary, memory
        As in `HMM`; `fixed` may name "means" and "covariances" too, in a dict with True or the
        states that keep theirs, (n_components,) bool.
    means_init : (n_components, n_features) array-like, optional
    covariances_init : array-like, optional
        In the shape of `covariance_type`.
    reg_covar : float
        Added to the variances in each M-step, in squared units. 0 is exact maximum
        likelihood.
    tol, max_iter, n_init, init_strategy, posterior, init_params, random_state, accelerate
        As in `HMM`.
    stopping, n_jobs, verbose
        As in `HMM`.
    progress, callbacks, time_limit, checkpoint, checkpoint_every, batch_size, incremental
        As in `HMM`.
    startprob_prior, transmat_prior
        As in `HMM`.
    covariance_prior, covariance_df, means_prior, means_weight
        A prior of means and covariances, as in `GaussianMixture`; the fit then is MAP, and no
        state can collapse.

    Attributes
    ----------
    startprob_ : (n_components,) array
    transmat_ : (n_components, n_components) array
    means_ : (n_components, n_features) array
    covariances_ : array
        diag (K, d), full (K, d, d), tied (d, d), spherical (K,).
    covars_ : (n_components, n_features, n_features) array
        As hmmlearn: full on read; assigned in the shape of `covariances_`.
    loglik_ : float
    result_ : EMResult
    converged_, n_iter_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import GaussianHMM
    >>> rng = np.random.default_rng(0)
    >>> states = np.repeat([0, 1, 0, 1], 50)
    >>> X = np.where(states, 5.0, 0.0)[:, None] + rng.standard_normal((200, 1))
    >>> hmm = GaussianHMM(2, random_state=0).fit(X)
    >>> np.sort(hmm.means_[:, 0]).round(1).tolist()
    [0.1, 5.0]
    >>> agreement = np.mean(hmm.predict(X) == states)
    >>> float(max(agreement, 1 - agreement))
    1.0
    """

    _GROUPS: ClassVar[dict[str, str]] = {"means": "means_init", "covariances": "covariances_init"}

    means_: Array
    covariances_: Array

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: Scatter = "diag",
        startprob_init: Any = None,
        transmat_init: Any = None,
        means_init: Any = None,
        covariances_init: Any = None,
        transmat_mask: Any = None,
        fixed: Sequence[str] | Mapping[str, Any] = (),
        stationary: bool = False,
        memory: Literal["full", "checkpoint"] = "full",
        reg_covar: float = 0.0,
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
        covariance_prior: Any = None,
        covariance_df: float | None = None,
        means_prior: Any = None,
        means_weight: float | None = None,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.startprob_init = startprob_init
        self.transmat_init = transmat_init
        self.means_init = means_init
        self.covariances_init = covariances_init
        self.transmat_mask = transmat_mask
        self.fixed = fixed
        self.stationary = stationary
        self.memory = memory
        self.reg_covar = reg_covar
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
        self.covariance_prior = covariance_prior
        self.covariance_df = covariance_df
        self.means_prior = means_prior
        self.means_weight = means_weight

    def _family(self) -> Family:
        prior = gaussian_prior(self, self.n_components)
        return Gaussian(self.covariance_type, self.reg_covar, self._kept(), prior)

    def _family_params(self) -> GaussianParams:
        width = getattr(self, "n_features_in_", None)
        means = check_states(self.means_, self.n_components, "means_", width)
        shape = covariance_shape(self.covariance_type, *means.shape)
        covariances = checked_covariances(self.covariances_, shape, self.covariance_type)
        return GaussianParams(means, covariances)

    @property
    def family_params_(self) -> GaussianParams:
        """Parameters of the family, as in `HMM`."""
        return self._family_params()

    def _take_family(self, params: GaussianParams) -> None:
        self.means_, self.covariances_ = params

    def _given_family(self, family: Family, width: int) -> GaussianParams:
        k, kind = self.n_components, self.covariance_type
        means, covariances = self.means_init, self.covariances_init
        if means is not None:
            means = check_shape(means, (k, width), "means_init")
        if covariances is not None:
            shape = covariance_shape(kind, k, width)
            covariances = check_shape(covariances, shape, "covariances_init")
            check_positive(covariances, kind, "covariances_init")
        return GaussianParams(means, covariances)

    def _width(self, params: GaussianParams) -> int:
        return int(params.means.shape[1])

    @property
    def covars_(self) -> Array:
        """Covariances as matrices (n_components, n_features, n_features)."""
        return full_covariances(self.covariances_, self.covariance_type, np.shape(self.means_))

    @covars_.setter
    def covars_(self, value: Any) -> None:
        self.covariances_ = np.asarray(value, dtype=float)

    @classmethod
    def from_parameters(
        cls,
        *,
        startprob: Any,
        transmat: Any,
        means: Any,
        covariances: Any,
        covariance_type: Scatter = "diag",
        **settings: Any,
    ) -> GaussianHMM:
        """A ready model from its parameters, without data.

        Parameters
        ----------
        startprob : (K,) array-like, or None if stationary
        transmat : (K, K) array-like
        means : (K, d) array-like
        covariances : array-like
            In the shape of `covariance_type`.
        covariance_type : {"diag", "full", "tied", "spherical"}
        **settings
            Other constructor arguments.
        """
        means = np.array(means, dtype=float)
        if means.ndim != 2:
            raise ValueError(f"means must be (n_components, n_features), got shape {means.shape}")
        k, d = means.shape
        model = cls(k, covariance_type=covariance_type, **settings)
        model._take_chain(startprob, transmat)
        model.means_ = check_shape(means, (k, d), "means")
        shape = covariance_shape(covariance_type, k, d)
        model.covariances_ = check_shape(covariances, shape, "covariances")
        check_positive(model.covariances_, covariance_type, "covariances")
        model.n_features_in_ = d
        return model


def checked_covariances(value: Any, shape: tuple[int, ...], kind: Scatter) -> Array:
    """The attribute `covariances_`, checked."""
    found = np.shape(value)
    if found != shape:
        raise ValueError(
            f"covariances_ has shape {found}, but covariance_type={kind!r} needs {shape}"
        )
    covariances = check_shape(value, shape, "covariances_")
    check_positive(covariances, kind, "covariances_")
    return covariances
