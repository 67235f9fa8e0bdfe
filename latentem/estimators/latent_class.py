"""Latent class analysis: a mixture for categorical columns, with scikit-learn's face."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from latentem.engine.starts import InitParams
from latentem.engine.strategies import Strategy
from latentem.estimators.coding import Coding
from latentem.estimators.mixture import MixtureModel
from latentem.estimators.prior_arguments import dirichlet_prior
from latentem.estimators.starting import family_like
from latentem.estimators.validation import check_start_weights
from latentem.families.categorical import Categorical, CategoricalParams
from latentem.models.mixture import Mixture, MixtureParams

__all__ = ["LatentClass"]

Array = np.ndarray


class LatentClass(MixtureModel):
    """Classes within which categorical columns are independent.

    Cells are codes 0, 1, ..., C - 1, or text: then the categories of each column are sorted,
    and kept in `categories_`. NaN, None or an empty text marks a missing cell, which tells
    nothing of its row's class; that is right where whether a cell is missing depends on what was
    seen, not on what it would have held. Patterns of answers and how often each was given are
    rows with `sample_weight`.

    Parameters
    ----------
    n_components : int
        Number of classes.
    n_categories : int or sequence of int, optional
        Number of categories of every column of codes, or of each, where the data may not show
        all.
    weights_init : (n_components,) array-like, optional
    emissionprob_init : (n_components, sum of categories) array-like, optional
        First probabilities, those of all columns side by side.
    fixed : tuple, or dict
        Groups "weights" and "emissionprob" that keep their starting values, or bool arrays of
        their entries: see `latentem.GaussianMixture`.
    emissionprob_prior : float or array-like, optional
        Concentrations, at least 1, of a Dirichlet prior of the probabilities of each column:
        above 1 none is estimated as 0.
    weights_prior, tol, max_iter, n_init, init_params, responsibilities_init, random_state
        As in `GaussianMixture`.
    init_strategy, posterior, warm_start, verbose, accelerate, stopping, n_jobs
        As in `GaussianMixture`.
    progress, callbacks, time_limit, checkpoint, checkpoint_every, batch_size, incremental
        As in `GaussianMixture`.

    Attributes
    ----------
    weights_ : (n_components,) array
        Shares of the classes.
    probabilities_ : list of (n_components, n_categories) arrays
        Probabilities of the categories of each column.
    categories_ : list of arrays
        Categories of each column, in the order of the codes.
    loglik_ : float
    result_ : EMResult
    converged_, n_iter_, n_features_in_, feature_names_in_

    References
    ----------
    Goodman (1974), doi:10.1093/biomet/61.2.215.

    Examples
    --------
    >>> from latentem import LatentClass
    >>> from latentem.datasets import load_lsat6
    >>> answers = load_lsat6()
    >>> model = LatentClass(2, tol=1e-9, random_state=0)
    >>> round(model.fit(answers.data, sample_weight=answers.weights).loglik_, 4)
    -2467.4055

    Text:

    >>> X = [["red", "round"], ["red", "round"], ["green", "long"], ["green", None]]
    >>> model = LatentClass(2, random_state=0).fit(X)
    >>> [column.tolist() for column in model.categories_]
    [['green', 'red'], ['long', 'round']]
    >>> model.impute(X)[3].tolist()
    ['green', 'long']
    """

    _GROUPS: ClassVar[tuple[str, ...]] = ("weights", "emissionprob")
    _coding: Coding | None = None
    _sizes: tuple[int, ...] | None = None  # of the categories, where a file told

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_categories: int | Sequence[int] | None = None,
        tol: float = 1e-3,
        max_iter: int = 1000,
        n_init: int = 1,
        init_params: InitParams = "kmeans",
        weights_init: Any = None,
        emissionprob_init: Any = None,
        responsibilities_init: Any = None,
        random_state: Any = None,
        init_strategy: Strategy = "restarts",
        posterior: Literal["soft", "hard"] = "soft",
        warm_start: bool = False,
        verbose: int = 0,
        accelerate: Literal["auto", "squarem", "anderson"] | None = "auto",
        stopping: Literal["aitken", "step"] = "aitken",
        n_jobs: int | None = None,
        progress: bool = False,
        callbacks: Sequence[Callable] | None = None,
        fixed: Sequence[str] | Mapping[str, Any] = (),
        weights_prior: Any = None,
        emissionprob_prior: Any = None,
        time_limit: float | None = None,
        checkpoint: Any = None,
        checkpoint_every: int | str = "30s",
        batch_size: int | None = None,
        incremental: bool = False,
    ):
        self.n_components = n_components
        self.n_categories = n_categories
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.emissionprob_init = emissionprob_init
        self.responsibilities_init = responsibilities_init
        self.random_state = random_state
        self.init_strategy = init_strategy
        self.posterior = posterior
        self.warm_start = warm_start
        self.verbose = verbose
        self.accelerate = accelerate
        self.stopping = stopping
        self.n_jobs = n_jobs
        self.progress = progress
        self.callbacks = callbacks
        self.fixed = fixed
        self.weights_prior = weights_prior
        self.emissionprob_prior = emissionprob_prior
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.batch_size = batch_size
        self.incremental = incremental

    def _family(self) -> Categorical:
        sizes = self.n_categories
        sizes = self._sizes if sizes is None else sizes
        kept = {group: kept for group, kept in self._fixed().items() if group == "emissionprob"}
        prior = dirichlet_prior(self.emissionprob_prior, "emissionprob_prior")
        return Categorical(sizes, kept, prior)

    def _fitted_family(self) -> Categorical:
        model = getattr(self, "model_", None)
        return self._family() if model is None else model.family

    def _inside(self, X: Any, sample_weight: Any, labels: Any) -> tuple[Mixture, Any, Any]:
        self._coding = Coding.of(X)
        self._sizes = None if self._coding is None else self._coding.sizes
        return super()._inside(X, sample_weight, labels)

    def _outside(self, source: Any) -> tuple[Mixture, Any, Any]:
        self._coding = self._sizes = None  # blocks hold numbers
        return super()._outside(source)

    def _coded(self, X: Any, reset: bool) -> Any:
        """X with codes in place of text, where the fit was of text."""
        return X if self._coding is None else self._coding.codes(X)

    def _given(self, model: Mixture, X: Array) -> MixtureParams:
        weights, probs = self.weights_init, self.emissionprob_init
        if weights is not None:
            weights = check_start_weights(weights, self.n_components)
        if probs is None:
            return MixtureParams(weights, None)
        start = family_like(model, X, CategoricalParams(probs), "emissionprob_init")
        return MixtureParams(weights, start)

    def _argument(self, group: str) -> str:
        return "emissionprob_init"

    @property
    def probabilities_(self) -> list[Array]:
        """Probabilities of the categories of each column, (n_components, n_categories) each."""
        model, params = self._ready()
        family: Any = model.family
        return list(family.by_column(np.asarray(params.family.emissionprob)))

    @property
    def categories_(self) -> list[Array]:
        """Categories of each column, in the order of the codes."""
        if self._coding is not None:
            return self._coding.categories
        return [np.arange(probs.shape[1]) for probs in self.probabilities_]

    def impute(self, X: Any, out: Any = None) -> Array:
        """X with the most probable category in missing cells, (n_samples, n_features).

        Of text where the fit was of text: then there is no `out`.
        """
        if out is not None and self._coding is not None:
            raise ValueError("out takes numbers, and the fit was of text: leave it out")
        found = super().impute(X, out)
        return found if self._coding is None else self._coding.decoded(found)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> tuple[Array, Array]:
        """Draw rows; see `MixtureModel.sample`. Of text where the fit was of text."""
        rows, classes = super().sample(n_samples, random_state)
        return rows if self._coding is None else self._coding.decoded(rows), classes
