"""Hidden Markov models whose states are mixtures of Gaussians."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from latentem.engine.family import Family
from latentem.engine.starts import InitParams
from latentem.engine.strategies import Strategy
from latentem.estimators.base_hmm import BaseHMM
from latentem.estimators.chain_checks import check_probabilities, check_states
from latentem.estimators.covariances import check_positive, covariance_shape
from latentem.estimators.gaussian_hmm import checked_covariances
from latentem.estimators.prior_arguments import gaussian_prior
from latentem.estimators.validation import check_shape
from latentem.families.gaussian import Gaussian, GaussianParams
from latentem.families.mixture_family import MixtureFamily, MixtureFamilyParams

__all__ = ["GMMHMM"]

Array = np.ndarray


class GMMHMM(BaseHMM):
    """A hidden Markov model with a mixture of Gaussians in each state.

    Parameters
    ----------
    n_components : int
        Number of states.
    n_mix : int
        Gaussians in each state.
    covariance_type : {"diag", "full", "spherical"}
    startprob_init, transmat_init, transmat_mask, fixed, stationary, memory
        As in `HMM`; `fixed` may name "weights", "means" and "covariances" too, in a dict with
        True, the states that keep theirs, (n_components,) bool, or which of their Gaussians,
        (n_components, n_mix).
    weights_init : (n_components, n_mix) array-like, optional
    means_init : (n_components, n_mix, n_features) array-like, optional
    covariances_init : array-like, optional
        In the shape of `covariances_`.
    reg_covar : float
        Added to the variances in each M-step, in squared units.
    tol, max_iter, n_init, init_strategy, posterior, init_params, random_state, accelerate
        As in `HMM`.
    stopping, n_jobs, verbose
        As in `HMM`.
    progress, callbacks, time_limit, checkpoint, checkpoint_every, batch_size, incremental
        As in `HMM`.
    startprob_prior, transmat_prior
        As in `HMM`.
    weights_prior : float, (n_mix,) or (n_components, n_mix) array-like, optional
        Concentrations, at least 1, of a Dirichlet prior of the weights within each state.
    covariance_prior, covariance_df, means_prior, means_weight
        A prior of means and covariances, as in `GaussianMixture`; "data" shares the spread of the
        rows among all ``n_components * n_mix`` Gaussians.

    Attributes
    ----------
    startprob_ : (n_components,) array
    transmat_ : (n_components, n_components) array
    weights_ : (n_components, n_mix) array
    means_ : (n_components, n_mix, n_features) array
    covariances_, covars_ : array
        diag (K, M, d), full (K, M, d, d), spherical (K, M).
    loglik_ : float
    result_ : EMResult
    converged_, n_iter_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import GMMHMM
    >>> rng = np.random.default_rng(0)
    >>> X = np.repeat([0.0, 9.0, 0.0, 9.0], 50)[:, None] + rng.choice([-2.0, 2.0], (200, 1))
    >>> X = X + 0.1 * rng.standard_normal(X.shape)
    >>> hmm = GMMHMM(2, n_mix=2, random_state=0).fit(X)
    >>> np.sort(hmm.means_.ravel()).round(1).tolist()
    [-2.0, 2.0, 7.0, 11.0]
    """

    _GROUPS: ClassVar[dict[str, str]] = {
        "weights": "weights_init",
        "means": "means_init",
        "covariances": "covariances_init",
    }

    weights_: Array
    means_: Array
    covariances_: Array

    def __init__(
        self,
        n_components: int = 1,
        n_mix: int = 1,
        *,
        covariance_type: Literal["diag", "full", "spherical"] = "diag",
        startprob_init: Any = None,
        transmat_init: Any = None,
        weights_init: Any = None,
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
        weights_prior: Any = None,
        covariance_prior: Any = None,
        covariance_df: float | None = None,
        means_prior: Any = None,
        means_weight: float | None = None,
    ):
        self.n_components = n_components
        self.n_mix = n_mix
        self.covariance_type = covariance_type
        self.startprob_init = startprob_init
        self.transmat_init = transmat_init
        self.weights_init = weights_init
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
        self.weights_prior = weights_prior
        self.covariance_prior = covariance_prior
        self.covariance_df = covariance_df
        self.means_prior = means_prior
        self.means_weight = means_weight

    def _family(self) -> Family:
        kept = self._kept()
        weights = {"weights": kept.pop("weights")} if "weights" in kept else {}
        shape = (self.n_components, self.n_mix)
        for group, which in kept.items():
            if which is not True:
                if np.shape(which) not in (shape[:1], shape):
                    raise ValueError(
                        f"fixed[{group!r}] must be True or have shape {shape[:1]} or {shape}, got "
                        f"{np.shape(which)}"
                    )
                which = which if which.ndim == 2 else which[:, None]
                kept[group] = np.broadcast_to(which, shape).ravel()
        prior = gaussian_prior(self, self.n_components * self.n_mix)
        inner = Gaussian(self.covariance_type, self.reg_covar, kept, prior)
        return MixtureFamily(inner, self.n_mix, weights, self.weights_prior)

    def _family_params(self) -> MixtureFamilyParams:
        weights = np.asarray(self.weights_, dtype=float)
        k, m, width = self.n_components, self.n_mix, getattr(self, "n_features_in_", None)
        check_probabilities(weights, (k, m), "weights_")
        means = check_states(self.means_, k, "means_", width, (m,))
        flat = covariance_shape(self.covariance_type, k * m, means.shape[2])
        covariances = checked_covariances(
            self.covariances_, (k, m, *flat[1:]), self.covariance_type
        )
        inner = GaussianParams(means.reshape(k * m, -1), covariances.reshape(flat))
        return MixtureFamilyParams(weights, inner)

    @property
    def family_params_(self) -> MixtureFamilyParams:
        """Parameters of the family, as in `HMM`."""
        return self._family_params()

    def _take_family(self, params: MixtureFamilyParams) -> None:
        k, m = np.shape(params.weights)
        means, covariances = params.family
        self.weights_ = params.weights
        self.means_ = means.reshape(k, m, -1)
        self.covariances_ = covariances.reshape(k, m, *covariances.shape[1:])

    def _given_family(self, family: Family, width: int) -> Any:
        weights, means, covariances = self.weights_init, self.means_init, self.covariances_init
        if weights is None and means is None and covariances is None:
            return None
        if weights is None or means is None or covariances is None:
            raise ValueError(
                "weights_init, means_init and covariances_init belong together: give all three, "
                "or none"
            )
        k, m, kind = self.n_components, self.n_mix, self.covariance_type
        weights = check_probabilities(weights, (k, m), "weights_init")
        means = check_shape(means, (k, m, width), "means_init")
        flat = covariance_shape(kind, k * m, width)
        covariances = check_shape(covariances, (k, m, *flat[1:]), "covariances_init").reshape(flat)
        check_positive(covariances, kind, "covariances_init")
        return MixtureFamilyParams(
            weights, GaussianParams(means.reshape(k * m, width), covariances)
        )

    def _width(self, params: MixtureFamilyParams) -> int:
        return int(params.family.means.shape[1])

    @property
    def covars_(self) -> Array:
        """The covariances, as hmmlearn: compact as in `covariances_`."""
        return self.covariances_

    @covars_.setter
    def covars_(self, value: Any) -> None:
        self.covariances_ = np.asarray(value, dtype=float)

    @classmethod
    def from_parameters(
        cls,
        *,
        startprob: Any,
        transmat: Any,
        weights: Any,
        means: Any,
        covariances: Any,
        covariance_type: Literal["diag", "full", "spherical"] = "diag",
        **settings: Any,
    ) -> GMMHMM:
        """A ready model from its parameters, without data; shapes as the attributes."""
        means = np.array(means, dtype=float)
        if means.ndim != 3:
            raise ValueError(
                f"means must be (n_components, n_mix, n_features), got shape {means.shape}"
            )
        k, m, d = means.shape
        model = cls(k, m, covariance_type=covariance_type, **settings)
        model._take_chain(startprob, transmat)
        model.weights_ = check_probabilities(weights, (k, m), "weights")
        model.means_ = check_shape(means, (k, m, d), "means")
        flat = covariance_shape(covariance_type, k * m, d)
        model.covariances_ = check_shape(covariances, (k, m, *flat[1:]), "covariances")
        check_positive(model.covariances_, covariance_type, "covariances")
        model.n_features_in_ = d
        return model
