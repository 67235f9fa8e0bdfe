"""Factor analysis and probabilistic principal components, with scikit-learn's face."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from latentem.engine.acceleration import Accelerator
from latentem.engine.backends import backend_for, one_blas_thread
from latentem.engine.blocks import Rows
from latentem.engine.em import EM
from latentem.engine.result import EMResult
from latentem.estimators.factor_checks import check_rotation, check_size, refuse_columns
from latentem.estimators.imputer_columns import label_of, numbers_of
from latentem.estimators.settings import generator, kept, nothing_half_done
from latentem.estimators.validation import check_shape, check_weights
from latentem.models.factor_analyzer import FactorAnalyzer as FactorModel
from latentem.models.factor_analyzer import FactorParams, Noise
from latentem.models.factor_fit import fit_factors
from latentem.models.factor_scores import FactorScores, factor_scores
from latentem.models.normal import NormalParams
from latentem.models.rotation import Rotation, simple_loadings

__all__ = ["FactorAnalyzer"]

Array = np.ndarray


class FactorAnalyzer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A few factors behind many columns, fitted by maximum likelihood with any cells missing.

    Rows are ``mean + components.T @ f + e`` with independent standard normal factors f, and
    noise e that is independent in each column: of a variance of its own ("diagonal", factor
    analysis) or of one that all columns share ("isotropic", probabilistic principal
    components). Nothing of the size (n_features, n_features) is made, so there may be more
    columns than rows. Missing cells (NaN) are right where whether one is missing depends on
    what was seen, not on what it would have held.

    Parameters
    ----------
    n_factors : int
    noise : {"diagonal", "isotropic"}
        With "diagonal" the fit does not depend on the units of the columns.
    noise_floor : float
        Least noise variance, as a share of the variance of its column.
    rotation : {"varimax", "quartimax"} or None
        Of the components, after the fit: it changes no likelihood. It looks at components in
        standard deviations of the columns for diagonal noise, as they are for isotropic. None
        has ``components @ inv(noise) @ components.T`` diagonal, as scikit-learn.
    tol : float
        Projected remaining gain, in nats of the whole log-likelihood, at which to stop.
    max_iter : int
        Most EM maps.
    n_init : int
        Starts: from principal axes, the others from random loadings.
    accelerate : {"auto", "squarem", "anderson"}, callable or None
        "auto" is SQUAREM that waits a few maps. With diagonal noise "auto" and "squarem" also
        try noise variances at their floors, to which EM goes without end.
    random_state : None, int, Generator or RandomState
        For starts after the first, and the default of `sample`.
    n_jobs : int or None
        None uses the cores the process may use. Results do not depend on it.
    time_limit : float, optional
        Seconds after which to stop; the best so far is kept, as after Ctrl-C.
    checkpoint : path, optional
        Where to keep the whole state of the fit, for ``fit(..., resume=path)``.
    checkpoint_every : int or str
        EM points, or seconds such as "30s", between two checkpoints.

    Attributes
    ----------
    components_ : (n_factors, n_features) array
        Loadings. Factors are in falling order of what they explain, in the units the rotation
        looks at; the largest loading of each is positive.
    noise_variance_ : (n_features,) array, or float for isotropic noise
    mean_ : (n_features,) array
    loglik_ : float
        Total weighted log-likelihood of what was seen, at these parameters.
    result_ : EMResult
    converged_ : bool
    n_iter_ : int
        EM maps.
    n_features_in_, feature_names_in_

    See Also
    --------
    latentem.standard_errors : takes this estimator and its data, see `em_problem`.
    latentem.GaussianImputer : a covariance without a structure.

    References
    ----------
    Rubin and Thayer (1982), doi:10.1007/BF02293851; Tipping and Bishop (1999),
    doi:10.1111/1467-9868.00196.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import FactorAnalyzer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 1)) @ [[3.0, 2.0, 1.0, -2.0]] + rng.normal(size=(200, 4))
    >>> X[rng.random(X.shape) < 0.2] = np.nan
    >>> fa = FactorAnalyzer(1).fit(X)
    >>> fa.components_.round(1).tolist(), round(fa.loglik_, 2)
    ([[2.8, 1.9, 1.1, -1.8]], -1125.55)
    >>> bool(np.isnan(fa.impute(X)).any())
    False
    """

    components_: Array
    noise_variance_: Any
    mean_: Array
    result_: EMResult | None

    def __init__(
        self,
        n_factors: int = 1,
        *,
        noise: Noise = "diagonal",
        noise_floor: float = 1e-6,
        rotation: Rotation | None = None,
        tol: float = 1e-3,
        max_iter: int = 1000,
        n_init: int = 1,
        accelerate: Literal["auto", "squarem", "anderson"]
        | Callable[[], Accelerator]
        | None = "auto",
        random_state: Any = None,
        n_jobs: int | None = None,
        time_limit: float | None = None,
        checkpoint: Any = None,
        checkpoint_every: int | str = "30s",
    ):
        self.n_factors = n_factors
        self.noise = noise
        self.noise_floor = noise_floor
        self.rotation = rotation
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.accelerate = accelerate
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, resume: Any = None
    ) -> FactorAnalyzer:
        """Fit to the cells that are seen.

        Parameters
        ----------
        X : array-like or frame (n_samples, n_features)
            NaN in missing cells; rows without an observed cell do not count.
        y : ignored
        sample_weight : (n_samples,) array-like, optional
            Frequency-type weights: 0 is an absent row, and 2 is the row twice.
        resume : path, optional
            A checkpoint of this fit, to go on from.

        Raises
        ------
        ValueError
            For data, weights or arguments that cannot be fitted; nothing is changed then.
        """
        with nothing_half_done(self):
            return self._fit(X, sample_weight, resume)

    def _fit(self, X: Any, sample_weight: Any, resume: Any) -> FactorAnalyzer:
        settings = EM(
            tol=self.tol,
            max_iter=self.max_iter,
            accelerate=self.accelerate,
            n_init=self.n_init,
            n_jobs=self.n_jobs,
            **kept(self),
        )
        model, rng = self._model(), generator(self.random_state)
        check_rotation(self.rotation)
        x = numbers_of(self, X, np.nan, reset=True)
        weights = check_weights(sample_weight, len(x))
        names = getattr(self, "feature_names_in_", None)
        counted = ~np.isnan(x).all(axis=1) & (True if weights is None else weights > 0)
        check_size(model, int(counted.sum()), x.shape[1])
        refuse_columns(x, weights, names)
        data = Rows(x, weights)
        result = fit_factors(self._model(names).learn(data), data, settings, rng, resume)
        params = result.model.identified(result.params)
        self.components_ = simple_loadings(
            params.loadings, params.noise, self.rotation, model.isotropic
        ).T
        self.noise_variance_ = float(params.noise) if model.isotropic else params.noise
        self.mean_ = params.mean
        self.result_, self.loglik_ = result, result.loglik
        self.converged_, self.n_iter_ = result.converged, result.n_iter
        return self

    def _model(self, names: Any = None, n_factors: int | None = None) -> FactorModel:
        labels = None
        if names is not None:
            labels = tuple(label_of(j, names) for j in range(len(names)))
        q = self.n_factors if n_factors is None else n_factors
        return FactorModel(q, self.noise, self.noise_floor, labels=labels)

    def _ready(self) -> tuple[FactorModel, FactorParams]:
        """The model and its parameters, from the fitted attributes."""
        check_is_fitted(self)
        q = len(self.components_)
        factors = NormalParams(np.zeros(q), np.eye(q))
        params = FactorParams(self.mean_, self.components_.T, self.noise_variance_, factors)
        return self._model(n_factors=q), params

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def _read(self, X: Any) -> Array:
        check_is_fitted(self)
        return numbers_of(self, X, np.nan, reset=False)

    def _scores(self, x: Array) -> FactorScores:
        with one_blas_thread():
            return factor_scores(*self._ready(), x, backend_for(self.n_jobs))

    def transform(self, X: Any) -> Array:
        """Posterior means of the factors, (n_samples, n_factors), given what is seen of a row.

        0 for a row without an observed cell.
        """
        return self._scores(self._read(X)).factors

    def impute(self, X: Any) -> Array:
        """Missing cells filled by their conditional means; others keep every bit."""
        x = self._read(X)
        out, missing = x.copy(), np.isnan(x)
        rows = np.flatnonzero(missing.any(axis=1))
        fitted = self.mean_ + self._scores(x[rows]).factors @ self.components_
        out[rows] = np.where(missing[rows], fitted, x[rows])
        return out

    def score_samples(self, X: Any) -> Array:
        """Log density of what is seen of each row, (n_samples,); 0 where nothing is."""
        return self._scores(self._read(X)).loglik

    def _total(self, X: Any, sample_weight: Any) -> tuple[float, float]:
        """Weighted total log density, and the weight of rows with an observed cell."""
        x = self._read(X)
        weights = check_weights(sample_weight, len(x))
        weights = np.ones(len(x)) if weights is None else weights
        weights = np.where(np.isnan(x).all(axis=1), 0.0, weights)
        if not weights.any():
            raise ValueError("X has no row with an observed cell and a weight")
        return float(weights @ self._scores(x).loglik), float(weights.sum())

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log density per row, weighted; rows without an observed cell are left out."""
        total, count = self._total(X, sample_weight)
        return total / count

    def n_parameters(self) -> int:
        """Number of free parameters, without the rotation of the factors."""
        model, params = self._ready()
        return model.n_parameters(len(params.mean))

    def aic(self, X: Any, sample_weight: Any = None) -> float:
        """Akaike's criterion; smaller is better."""
        return -2 * self._total(X, sample_weight)[0] + 2 * self.n_parameters()

    def bic(self, X: Any, sample_weight: Any = None) -> float:
        """Bayesian criterion, smaller is better.

        n is the sum of the weights of the rows that have an observed cell.
        """
        total, count = self._total(X, sample_weight)
        return -2 * total + self.n_parameters() * float(np.log(count))

    def get_covariance(self) -> Array:
        """Covariance of the rows, (n_features, n_features)."""
        check_is_fitted(self)
        return self.components_.T @ self.components_ + np.diag(self._noise())

    def get_precision(self) -> Array:
        """Inverse of the covariance, (n_features, n_features), by inverting (q, q) only."""
        check_is_fitted(self)
        scaled = self.components_ / self._noise()
        inner = np.eye(len(scaled)) + scaled @ self.components_.T
        return np.diag(1 / self._noise()) - scaled.T @ np.linalg.solve(inner, scaled)

    def _noise(self) -> Array:
        return np.broadcast_to(self.noise_variance_, self.mean_.shape)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Array:
        """Draw complete rows, (n_samples, n_features).

        Parameters
        ----------
        n_samples : int
        random_state : optional
            By default the estimator's own.
        """
        whole = isinstance(n_samples, int | np.integer) and not isinstance(n_samples, bool)
        if not whole or n_samples < 1:
            raise ValueError(f"n_samples must be an integer >= 1, got {n_samples!r}")
        model, params = self._ready()
        rng = generator(self.random_state if random_state is None else random_state)
        return model.sample(params, int(n_samples), rng)

    def em_problem(
        self, X: Any, sample_weight: Any = None, lengths: Any = None
    ) -> tuple[FactorModel, FactorParams, Rows]:
        """The engine's view of this fit: model, parameters and data.

        A rotation of the factors leaves the likelihood as it is, so no loading has a standard
        error unless the rotation is held. Here some loadings are 0 to hold it: the parameters
        are `components_` rotated so that one column loads on the first factor alone, another
        on the first two, and so on. Means, noise and the covariance are what they are.
        """
        if lengths is not None:
            raise ValueError("lengths cut sequences; these are independent rows, leave it out")
        x = self._read(X)
        data = Rows(x, check_weights(sample_weight, len(x)))
        _, params = self._ready()
        names = getattr(self, "feature_names_in_", None)
        model, params = self._model(names, len(self.components_)).learn(data).triangular(params)
        return model, params, data

    def save(self, path: Any) -> None:
        """Write the fitted model to an ``.npz`` file, without pickle; see `latentem.load`."""
        from latentem.estimators.storage import save

        save(self, path)

    @classmethod
    def from_parameters(
        cls,
        mean: Any,
        components: Any,
        noise_variance: Any,
        feature_names: Sequence[str] | None = None,
        **settings: Any,
    ) -> FactorAnalyzer:
        """A ready model from its parameters, without data.

        Parameters
        ----------
        mean : (d,) array-like
        components : (n_factors, d) array-like
            Kept as they are.
        noise_variance : (d,) array-like or float
            Positive; a number for isotropic noise.
        feature_names : sequence of str, optional
        **settings
            Constructor arguments.
        """
        d, q = np.size(mean), np.shape(components)[0] if np.ndim(components) else 0
        noise = settings.setdefault(
            "noise", "isotropic" if np.ndim(noise_variance) == 0 else "diagonal"
        )
        settings.setdefault("n_factors", q)
        model = cls(**settings)
        model._model()  # refuses wrong settings
        mean = check_shape(mean, (d,), "mean")
        components = check_shape(components, (q, d), "components")
        variance = check_shape(
            noise_variance, () if noise == "isotropic" else (d,), "noise_variance"
        )
        if np.any(variance <= 0):
            raise ValueError("noise_variance must be positive")
        model.mean_, model.components_ = mean, components
        model.noise_variance_ = float(variance) if noise == "isotropic" else variance
        model.result_, model.n_features_in_ = None, d
        if feature_names is not None:
            if len(feature_names) != d:
                raise ValueError(f"feature_names must name {d} columns, got {len(feature_names)}")
            model.feature_names_in_ = np.asarray(feature_names, dtype=object)
        return model
