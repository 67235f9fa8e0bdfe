"""Gaussian mixtures with scikit-learn's face."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from latentem.engine.blocks import Rows
from latentem.engine.moments import Scatter
from latentem.engine.starts import InitParams
from latentem.engine.strategies import Strategy
from latentem.engine.warnings import NotIdentifiedWarning, tell
from latentem.estimators.base_mixture import BaseMixture
from latentem.estimators.covariances import covariance_shape, inverse
from latentem.estimators.prior_arguments import gaussian_prior, made_prior, with_prior
from latentem.estimators.starting import around_means
from latentem.estimators.validation import check_shape, check_start_weights
from latentem.families.conditioning import condition, marginal
from latentem.families.covariance import KINDS
from latentem.families.gaussian import Gaussian, GaussianParams
from latentem.models.mixture import Mixture, MixtureParams

__all__ = ["GaussianMixture"]

Array = np.ndarray


class GaussianMixture(BaseMixture):
    """A mixture of Gaussians, fitted by exact maximum likelihood.

    Drop-in for scikit-learn's class of this name, with frequency weights, several
    starts that are all kept, a stopping rule on the gain still to come, acceleration,
    ICL, marginals and conditionals.

    Parameters
    ----------
    n_components : int
    covariance_type : {"full", "tied", "diag", "spherical"}
    tol : float
        With ``stopping="aitken"`` the projected remaining gain, in nats of the whole
        weighted log-likelihood, at which to stop; with ``"step"`` the length of an EM
        step in the parameters. 0 runs exactly `max_iter` maps.
    reg_covar : float
        Added to the variances, in squared units of X. 0 is exact maximum likelihood;
        a component that collapses is then held at the resolution of float64, and
        reported.
    max_iter : int
        Most EM maps.
    n_init : int
        Number of starts; the best is kept, all are in ``result_.starts``.
    init_strategy : {"auto", "restarts", "short-runs", "annealing", "split-merge"}
        What is done about local maxima, where no starting values are given. "split-merge" finds
        far better maxima of many components, and costs several starts; "auto" is that where
        nothing forbids it. See the guide, "Local optima and starts".
    posterior : {"soft", "hard"}
        "hard" is classification EM: each row counts for its most probable component alone.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"} or callable
        A callable takes (points, n_components, rng) and returns labels or
        responsibilities. Starts work on whitened data, at most 16,384 rows of it.
    weights_init : (n_components,) array-like, optional
        Must sum to 1, to 1e-9.
    means_init : (n_components, n_features) array-like, optional
        Weights and covariances that are not given are those of the rows nearest to
        each of these means, columns standardised.
    precisions_init : array-like, optional
        Inverse covariances, in the shape of `covariance_type`.
    responsibilities_init : (n_samples, n_components) array-like, optional
        Starting posteriors; rows sum to 1.
    random_state : None, int, Generator or RandomState
    warm_start : bool
        Go on from the parameters of the last fit. From the second fit on, starting
        values that were given are not used.
    verbose : int
        1 prints a line per start, 2 one per E-step.
    accelerate : {"auto", "squarem", "anderson"} or None
        "auto" turns SQUAREM on when plain EM is seen to be slow.
    stopping : {"aitken", "step"}
    n_jobs : int or None
        None uses the cores the process may use. Results do not depend on it.
    progress : bool
        Show a tqdm bar.
    callbacks : sequence of callables, optional
        Each is called with every `State`; one that returns True stops the fit.
    fixed : tuple of {"weights", "means", "covariances"}, or dict
        Groups that keep their starting values, bit for bit. These must be given by
        `weights_init`, `means_init` and `precisions_init`; everything else becomes
        the maximum given the fixed values. In a dict the values are True, or a bool array
        (n_components,) of the components that keep theirs.
    weights_prior : float or (n_components,) array-like, optional
        Concentrations, at least 1, of a Dirichlet prior of the weights.
    covariance_prior : "data", float, (d,) or (d, d) array-like, optional
        Scale of an inverse-Wishart (inverse gamma for diagonal and spherical) prior of the
        covariances, in squared units of X; the fit then is MAP, and no component can collapse.
        "data" is the covariance of all rows over ``n_components ** (2 / d)``, with a weak
        prior of the means (Fraley and Raftery 2007, doi:10.1007/s00357-007-0004-5).
    covariance_df : float, optional
        Degrees of freedom of that prior, by default d + 2.
    means_prior : (n_features,) array-like, optional
        Where the prior of all means lies, by default the means of the columns.
    means_weight : float, optional
        Rows that it counts for; by default 0.01 with ``covariance_prior="data"``, 1 with a
        `means_prior`, else 0.
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

    Attributes
    ----------
    weights_ : (n_components,) array
    means_ : (n_components, n_features) array
    covariances_ : array
        full (K, d, d), tied (d, d), diag (K, d), spherical (K,).
    precisions_, precisions_cholesky_ : array
        As in scikit-learn; computed from `covariances_`.
    loglik_ : float
        Total weighted log-likelihood at these parameters.
    lower_bound_ : float
        `loglik_` per unit of weight.
    lower_bounds_ : list of float
        Its history.
    converged_ : bool
    n_iter_ : int
        EM maps of the best start.
    result_ : EMResult
    model_ : models.Mixture
    n_features_in_, feature_names_in_

    See Also
    --------
    latentem.select : choose n_components and covariance_type.

    References
    ----------
    Dempster, Laird and Rubin (1977), doi:10.1111/j.2517-6161.1977.tb01600.x.

    Examples
    --------
    >>> from latentem import GaussianMixture
    >>> from latentem.datasets import load_faithful
    >>> X = load_faithful().data
    >>> gm = GaussianMixture(2, tol=1e-6, random_state=0).fit(X)
    >>> round(gm.loglik_, 3)
    -1130.264
    >>> sorted(gm.weights_.round(4).tolist())
    [0.3559, 0.6441]
    """

    _GROUPS = ("weights", "means", "covariances")

    means_: Array
    covariances_: Array

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: Scatter = "full",
        tol: float = 1e-3,
        reg_covar: float = 0.0,
        max_iter: int = 1000,
        n_init: int = 1,
        init_strategy: Strategy = "restarts",
        posterior: Literal["soft", "hard"] = "soft",
        init_params: InitParams = "kmeans",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
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
        covariance_prior: Any = None,
        covariance_df: float | None = None,
        means_prior: Any = None,
        means_weight: float | None = None,
        time_limit: float | None = None,
        checkpoint: Any = None,
        checkpoint_every: int | str = "30s",
        batch_size: int | None = None,
        incremental: bool = False,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_strategy = init_strategy
        self.posterior = posterior
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
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
        self.covariance_prior = covariance_prior
        self.covariance_df = covariance_df
        self.means_prior = means_prior
        self.means_weight = means_weight
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.batch_size = batch_size
        self.incremental = incremental

    def _family(self) -> Gaussian:
        fixed = {group: kept for group, kept in self._fixed().items() if group != "weights"}
        prior = gaussian_prior(self, self.n_components)
        return Gaussian(self.covariance_type, self.reg_covar, fixed, prior)

    def _fitted_family(self) -> Gaussian:
        made = made_prior(getattr(getattr(self, "model_", None), "family", None))
        made = None if self.covariance_prior is None else made
        family: Gaussian = with_prior(self._family(), made)
        return family

    def _argument(self, group: str) -> str:
        return {"means": "means_init", "covariances": "precisions_init"}[group]

    def _params(self) -> MixtureParams:
        weights = np.atleast_1d(np.asarray(self.weights_, dtype=float))
        means = np.asarray(self.means_, dtype=float)
        covariances = np.asarray(self.covariances_, dtype=float)
        if means.ndim != 2 or len(means) != len(weights):
            raise ValueError(
                f"means_ has shape {means.shape}, but {len(weights)} weights_ need "
                f"({len(weights)}, n_features)"
            )
        shape = covariance_shape(self.covariance_type, *means.shape)
        if covariances.shape != shape:
            raise ValueError(
                f"covariances_ has shape {covariances.shape}, but "
                f"covariance_type={self.covariance_type!r} needs {shape}: fit again, or set the "
                "covariance_type of the fit"
            )
        return MixtureParams(weights, GaussianParams(means, covariances))

    def _width(self, params: MixtureParams) -> int:
        return int(params.family.means.shape[1])

    def _warn_of_columns(self, X: Array) -> None:
        names = getattr(self, "feature_names_in_", None)
        for j in np.flatnonzero(np.fmin.reduce(X) == np.fmax.reduce(X)):
            name = "" if names is None else f" ({names[j]!r})"
            what = (
                "it makes the variance that all columns share too small"
                if self.covariance_type == "spherical"
                else "its variance is set to the floor of rounding, and the log-likelihood says "
                "nothing of it"
            )
            tell(
                f"column {j}{name} is constant: {what}. Leave the column out. (Guide: "
                "did-it-converge, note-constant-column)",
                NotIdentifiedWarning,
            )

    def _take(self, params: MixtureParams) -> None:
        self.weights_ = params.weights
        self.means_, self.covariances_ = params.family

    def _given(self, model: Mixture, X: Array) -> MixtureParams:
        k, kind, n_features = self.n_components, self.covariance_type, X.shape[1]
        weights, means, precisions = self.weights_init, self.means_init, self.precisions_init
        if weights is not None:
            weights = check_start_weights(weights, k)
        if means is not None:
            means = check_shape(means, (k, n_features), "means_init")
        if precisions is not None:
            shape = covariance_shape(kind, k, n_features)
            precisions = check_shape(precisions, shape, "precisions_init")
            precisions = inverse(precisions, kind, "precisions_init")
        return MixtureParams(weights, GaussianParams(means, precisions))

    def _completed(self, model: Mixture, given: MixtureParams, data: Rows) -> MixtureParams | None:
        means, covariances = given.family
        if means is None or covariances is not None:
            return super()._completed(model, given, data)
        made = around_means(model, self._family(), means, data)
        return made if given.weights is None else made._replace(weights=given.weights)

    @property
    def precisions_(self) -> Array:
        """Inverse covariances, in the shape of `covariances_`."""
        return inverse(self.covariances_, self.covariance_type, "covariances_")

    @precisions_.setter
    def precisions_(self, value: Any) -> None:
        self.covariances_ = inverse(np.asarray(value), self.covariance_type, "precisions_")

    @property
    def precisions_cholesky_(self) -> Array:
        """Upper triangular factors U of the precisions, ``U @ U.T``; roots where diagonal."""
        if self.covariance_type in ("full", "tied"):
            factors = np.linalg.cholesky(self.covariances_)
            return np.swapaxes(np.linalg.inv(factors), -1, -2)
        return 1.0 / np.sqrt(self.covariances_)

    @precisions_cholesky_.setter
    def precisions_cholesky_(self, value: Any) -> None:
        value = np.asarray(value, dtype=float)
        matrix = self.covariance_type in ("full", "tied")
        self.precisions_ = value @ np.swapaxes(value, -1, -2) if matrix else value**2

    @classmethod
    def from_parameters(
        cls,
        *,
        weights: Any,
        means: Any,
        covariances: Any,
        covariance_type: Scatter = "full",
        feature_names: Sequence[str] | None = None,
        **settings: Any,
    ) -> GaussianMixture:
        """A ready model from its parameters, without data.

        Parameters
        ----------
        weights : (K,) array-like, summing to 1
        means : (K, d) array-like
        covariances : array-like
            In the shape of `covariance_type`.
        covariance_type : {"full", "tied", "diag", "spherical"}
        feature_names : sequence of str, optional
        **settings
            Other constructor arguments.

        Examples
        --------
        >>> from latentem import GaussianMixture
        >>> gm = GaussianMixture.from_parameters(
        ...     weights=[0.6, 0.4], means=[[2.0], [9.0]], covariances=[[[16.0]], [[4.0]]]
        ... )
        >>> gm.predict([[0.0], [10.0]]).tolist()
        [0, 1]
        """
        if covariance_type not in KINDS:
            raise ValueError(f"covariance_type must be one of {KINDS}, got {covariance_type!r}")
        if np.ndim(means) != 2:
            raise ValueError(
                f"means must be (n_components, n_features), got shape {np.shape(means)}"
            )
        means = check_shape(means, np.shape(means), "means")
        k, d = means.shape
        model = cls(k, covariance_type=covariance_type, **settings)
        model.weights_ = check_start_weights(weights, k, "weights")
        model.means_ = check_shape(means, (k, d), "means")
        model.covariances_ = check_shape(
            covariances, covariance_shape(covariance_type, k, d), "covariances"
        )
        inverse(model.covariances_, covariance_type, "covariances")
        model.n_features_in_ = d
        if feature_names is not None:
            if len(feature_names) != d:
                raise ValueError(f"feature_names must name {d} columns, got {len(feature_names)}")
            model.feature_names_in_ = np.asarray(feature_names, dtype=object)
        return model

    def marginal(self, columns: Any) -> GaussianMixture:
        """The mixture of some columns, in the order given.

        Parameters
        ----------
        columns : int, str, sequence of these, or mask
            A mask is one bool for each column.

        Returns
        -------
        GaussianMixture
            Ready to use, without a fit.
        """
        _, params = self._ready()
        chosen = self._columns(columns)
        kept = marginal(params.family, self.covariance_type, chosen)
        return self._derived(params.weights, kept, chosen)

    def condition(self, columns: Any, values: Any) -> GaussianMixture:
        """The mixture of the other columns, given values of these.

        Parameters
        ----------
        columns : int, str, sequence of these, or mask
            As in `marginal`.
        values : float or sequence of float
            One value for each of `columns`, in their order.

        Returns
        -------
        GaussianMixture
            Weights are the posteriors given the values.

        Examples
        --------
        >>> from latentem import GaussianMixture
        >>> gm = GaussianMixture.from_parameters(
        ...     weights=[1.0], means=[[0.0, 0.0]], covariances=[[[1.0, 0.5], [0.5, 1.0]]]
        ... )
        >>> given = gm.condition([0], [2.0])
        >>> given.means_.tolist(), given.covariances_.tolist()
        ([[1.0]], [[[0.75]]])
        """
        _, params = self._ready()
        chosen = self._columns(columns)
        values = [values] if np.ndim(values) == 0 else values
        values = check_shape(values, (len(chosen),), "values")
        if len(chosen) == params.family.means.shape[1]:
            raise ValueError("columns names every column: nothing is left to condition")
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            log_density, kept = condition(params.family, self.covariance_type, chosen, values)
            log_joint = np.log(params.weights) + log_density
        if not np.isfinite(log_joint.max()):
            raise ValueError(f"values {values.tolist()} have density zero under every component")
        shares = np.exp(log_joint - log_joint.max())
        rest = np.setdiff1d(np.arange(params.family.means.shape[1]), chosen)
        return self._derived(shares / shares.sum(), kept, rest)

    def _columns(self, columns: Any) -> Array:
        """Places of the columns, from places or names."""
        width = np.shape(self.means_)[1]
        names = list(getattr(self, "feature_names_in_", []))
        if isinstance(columns, np.ndarray) or not isinstance(columns, str | Iterable):
            columns = np.ravel(columns).tolist() if np.ndim(columns) < 2 else [columns]
        columns = [columns] if isinstance(columns, str) else list(columns)
        if columns and all(isinstance(column, bool | np.bool_) for column in columns):  # a mask
            if len(columns) != width:
                raise ValueError(
                    f"columns as a mask must have one entry per column, {width}, got {len(columns)}"
                )
            columns = np.flatnonzero(columns).tolist()
        places = []
        for column in columns:
            if isinstance(column, str) and column in names:
                places.append(names.index(column))
            elif _is_place(column) and -width <= column < width:
                places.append(int(column) % width)
            else:
                known = names or f"0..{width - 1}"
                raise ValueError(f"columns has {column!r}, which is not one of {known}")
        if not places or len(set(places)) != len(places):
            raise ValueError(f"columns must name at least one column, each once, got {columns}")
        return np.array(places)

    def _derived(self, weights: Array, params: GaussianParams, columns: Array) -> GaussianMixture:
        names = getattr(self, "feature_names_in_", None)
        return GaussianMixture.from_parameters(
            weights=weights,
            means=params.means,
            covariances=params.covariances,
            covariance_type=self.covariance_type,
            feature_names=None if names is None else list(names[columns]),
            random_state=self.random_state,
            n_jobs=self.n_jobs,
        )


def _is_place(column: Any) -> bool:
    return isinstance(column, int | np.integer) and not isinstance(column, bool)
