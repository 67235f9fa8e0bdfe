"""Imputation from a multivariate normal distribution, with scikit-learn's face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.utils.validation import check_is_fitted

from latentem.engine.backends import backend_for, one_blas_thread
from latentem.engine.blocks import Rows
from latentem.engine.em import EM
from latentem.engine.result import EMResult
from latentem.estimators.conditional_cells import ConditionalCells
from latentem.estimators.imputer_columns import (
    Columns,
    bounds_of,
    columns_of,
    label_of,
    names_in,
    numbers_of,
)
from latentem.estimators.overimputation import Overimputation
from latentem.estimators.settings import generator, kept, nothing_half_done
from latentem.estimators.validation import check_level, check_shape, check_weights
from latentem.models.conditionals import Conditioned, conditionals
from latentem.models.leave_out import leave_one_out
from latentem.models.normal import MultivariateNormal, NormalParams
from latentem.models.normal_fit import METHODS, NormalFit, fit_normal
from latentem.models.normal_prior import PriorName, normal_prior

__all__ = ["GaussianImputer"]

Array = np.ndarray


class GaussianImputer(TransformerMixin, BaseEstimator):
    """Missing cells filled from a multivariate normal, fitted by exact maximum likelihood.

    The mean and covariance are those under which the cells that were seen are most
    likely, and a missing cell gets its conditional mean given all that is seen of its
    row. That is right where cells are missing at random: whether one is missing may depend
    on what was seen, not on what it would have held.

    Parameters
    ----------
    missing_values : NaN or number
        What marks a missing cell. None and pandas.NA are NaN.
    prior : {"ridge", "jeffreys", "inverse-wishart"} or None
        Prior of the covariance; None is exact maximum likelihood. The ridge is
        `prior_df` imaginary rows of uncorrelated columns: use it for few rows.
    prior_df : float, optional
        Rows of the ridge (default 1); degrees of freedom of the inverse-Wishart
        (default number of columns + 2).
    prior_scale : (d,) or (d, d) array-like, optional
        Variances or covariance of the imaginary rows of the ridge; scatter of the
        inverse-Wishart. By default the variances of the columns where seen.
    method : {"auto", "em", "monotone"}
        "monotone" is the closed form for tables in which, columns in some order, a
        row that misses one misses all after it; "auto" takes it where it holds and
        there is no prior.
    tol : float
        Projected remaining gain, in nats of the whole log-likelihood, at which to stop.
    max_iter : int
        Most EM maps.
    accelerate : {"auto", "squarem", "anderson"} or None
        "auto" turns SQUAREM on when plain EM is seen to be slow.
    random_state : None, int, Generator or RandomState
        Draws how the start is pushed away from symmetry; None pushes it the same way
        always. Fits differ by it only where the likelihood has several maxima.
    n_jobs : int or None
        None uses the cores the process may use. Results do not depend on it.
    add_indicator : bool
        Append columns that say which cells were missing.
    keep_empty_features : bool
        Keep columns without an observed cell, as 0.
    min_value, max_value : float or (n_features,) array-like, optional
        Bounds of imputed values.
    progress : bool
        Show a tqdm bar.
    time_limit : float, optional
        Seconds after which to stop; the best so far is kept, as after Ctrl-C.
    checkpoint : path, optional
        Where to keep the whole state of the fit, for ``fit(..., resume=path)``.
    checkpoint_every : int or str
        EM points, or seconds such as "30s", between two checkpoints.

    Attributes
    ----------
    mean_ : (n_features,) array
        NaN for columns without an observed cell.
    covariance_ : (n_features, n_features) array
        0 for columns of one value, NaN for those without.
    loglik_ : float
        Total weighted log-likelihood of what was seen, at these parameters.
    result_ : EMResult or None
        None where no column varies, and after `latentem.load`.
    converged_ : bool
    n_iter_ : int
        EM maps.
    n_patterns_ : int
        Patterns of missing cells, that of complete rows included.
    convergence_rate_ : float
        Rate of EM at the end, to about two digits of its distance to 1: also the largest
        fraction of missing information about any function of the parameters. NaN where
        the fit is degenerate, or columns so nearly collinear that rounding hides it.
    fraction_missing_information_ : (n_features,) array
        Share of the information about each mean that is missing, at this covariance.
    n_features_in_, feature_names_in_

    See Also
    --------
    latentem.impute_multiple : draws instead of means, for valid standard errors.
    latentem.standard_errors : takes this estimator and its data.

    References
    ----------
    Little and Rubin (2002), Statistical Analysis with Missing Data, chapter 11,
    doi:10.1002/9781119013563.

    Examples
    --------
    >>> from latentem import GaussianImputer
    >>> from latentem.datasets import load_cholesterol
    >>> X = load_cholesterol().data
    >>> imputer = GaussianImputer().fit(X)
    >>> imputer.mean_.round(4).tolist(), round(imputer.loglik_, 4)
    ([253.9286, 230.6429, 222.2372], -376.9155)
    """

    mean_: Array
    covariance_: Array
    result_: EMResult | None
    _columns: Columns

    def __init__(
        self,
        *,
        missing_values: Any = np.nan,
        prior: PriorName | None = None,
        prior_df: float | None = None,
        prior_scale: Any = None,
        method: Literal["auto", "em", "monotone"] = "auto",
        tol: float = 1e-3,
        max_iter: int = 1000,
        accelerate: Literal["auto", "squarem", "anderson"] | None = "auto",
        random_state: Any = None,
        n_jobs: int | None = None,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        min_value: Any = None,
        max_value: Any = None,
        progress: bool = False,
        time_limit: float | None = None,
        checkpoint: Any = None,
        checkpoint_every: int | str = "30s",
    ):
        self.missing_values = missing_values
        self.prior = prior
        self.prior_df = prior_df
        self.prior_scale = prior_scale
        self.method = method
        self.tol = tol
        self.max_iter = max_iter
        self.accelerate = accelerate
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.min_value = min_value
        self.max_value = max_value
        self.progress = progress
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, resume: Any = None
    ) -> GaussianImputer:
        """Fit mean and covariance to the cells that are seen.

        Parameters
        ----------
        X : array-like or frame (n_samples, n_features)
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

    def _fit(self, X: Any, sample_weight: Any, resume: Any) -> GaussianImputer:
        settings = EM(
            tol=self.tol,
            max_iter=self.max_iter,
            accelerate=self.accelerate,
            n_jobs=self.n_jobs,
            progress=bool(self.progress),
            **kept(self),
        )
        x = numbers_of(self, X, self.missing_values, reset=True)
        weights = check_weights(sample_weight, len(x))
        bounds_of(self.min_value, self.max_value, x.shape[1])
        names = getattr(self, "feature_names_in_", None)
        columns = columns_of(x, weights, names, self.keep_empty_features)
        if self.add_indicator:
            self.indicator_ = MissingIndicator(error_on_new=False).fit(x)
        self._place(columns)
        self.fraction_missing_information_ = np.where(columns.empty, 1.0, 0.0)
        self.result_, self.loglik_, self.n_iter_, self.n_patterns_ = None, 0.0, 0, 1
        self.converged_, self.convergence_rate_ = True, 0.0
        if columns.varying.any():
            data = Rows(np.ascontiguousarray(x[:, columns.varying]), weights)
            rng = None if self.random_state is None else generator(self.random_state)
            self._take(fit_normal(self._model(data), data, settings, self.method, rng, resume))
        elif self.method not in METHODS:
            raise ValueError(f"method must be one of {METHODS}, got {self.method!r}")
        return self

    def _model(self, data: Rows) -> MultivariateNormal:
        units = MultivariateNormal().learn(data).units
        assert units is not None
        prior = normal_prior(self.prior, self.prior_df, self.prior_scale, units.scale**2)
        names = getattr(self, "feature_names_in_", None)
        places = np.flatnonzero(self._columns.varying).tolist()
        return MultivariateNormal(prior, units, tuple(label_of(j, names) for j in places))

    def _take(self, fit: NormalFit) -> None:
        result = fit.result
        self._place(self._columns, result.params)
        self.fraction_missing_information_[self._columns.varying] = fit.information
        self.result_, self.loglik_, self.n_iter_ = result, result.loglik, result.n_iter
        self.converged_ = result.converged
        self.n_patterns_, self.convergence_rate_ = fit.n_patterns, fit.rate

    def _place(self, columns: Columns, params: NormalParams | None = None) -> None:
        """Set `mean_` and `covariance_`; `params` are those of the columns that vary."""
        self._columns = columns
        self.mean_ = np.where(columns.empty, np.nan, columns.values)
        self.covariance_ = np.where(columns.empty[:, None] | columns.empty, np.nan, 0.0)
        if params is not None:
            self.mean_[columns.varying] = params.mean
            self.covariance_[np.ix_(columns.varying, columns.varying)] = params.covariance

    def _params(self) -> NormalParams:
        """Parameters of the columns that vary, from the fitted attributes."""
        varying = self._columns.varying
        return NormalParams(self.mean_[varying], self.covariance_[np.ix_(varying, varying)])

    def _read(self, X: Any) -> Array:
        check_is_fitted(self)
        return numbers_of(self, X, self.missing_values, reset=False)

    def _conditioned(self, x: Array) -> Conditioned:
        """The columns that vary, of rows that have something to say or to fill."""
        with one_blas_thread():
            return conditionals(
                self._params(), x[:, self._columns.varying], backend=backend_for(self.n_jobs)
            )

    def _fill(self, x: Array, deviations: bool = False) -> tuple[Array, Array]:
        """All columns with missing cells filled, and their deviations if wanted."""
        columns, missing = self._columns, np.isnan(x)
        out, spread = x.copy(), np.zeros(x.shape if deviations else (0, 0))
        constant = np.flatnonzero(~columns.varying)
        out[:, constant] = np.where(
            missing[:, constant], columns.values[constant], out[:, constant]
        )
        rows = np.flatnonzero(missing[:, columns.varying].any(axis=1))
        if len(rows):
            found = self._conditioned(x[rows])
            places = np.ix_(rows, np.flatnonzero(columns.varying))
            out[places] = found.filled
            if deviations:
                spread[places] = found.deviations[found.of_rows]
        return out, spread

    def _clip(self, values: Array, missing: Array) -> Array:
        """Imputed values within their bounds; cells that were seen as they are."""
        if self.min_value is None and self.max_value is None:
            return values
        low, high = bounds_of(self.min_value, self.max_value, values.shape[1])
        return np.where(missing, np.clip(values, low, high), values)

    def transform(self, X: Any) -> Array:
        """Fill missing cells by their conditional means; others keep every bit.

        Rows without an observed cell get the mean. Only the fitted parameters are
        used, so ``fit_transform(X)`` is ``fit(X).transform(X)``.
        """
        x = self._read(X)
        filled = self._clip(self._fill(x)[0], np.isnan(x))
        if not self.keep_empty_features:
            filled = filled[:, ~self._columns.empty]
        if self.add_indicator:
            filled = np.hstack([filled, self.indicator_.transform(x)])
        return filled

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the columns of `transform`'s result."""
        check_is_fitted(self)
        names = names_in(self, input_features)
        kept = names if self.keep_empty_features else names[~self._columns.empty]
        if self.add_indicator:
            kept = np.concatenate([kept, self.indicator_.get_feature_names_out(names)])
        return kept

    def conditional(self, X: Any) -> ConditionalCells:
        """Mean, deviation and covariance of each missing cell given what is seen of its row.

        Bounds do not apply: these are the moments of the fitted distribution, at its
        parameters as if they were known.

        Examples
        --------
        >>> from latentem import GaussianImputer
        >>> imputer = GaussianImputer.from_parameters([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]])
        >>> given = imputer.conditional([[2.0, float("nan")]])
        >>> given.mean.tolist(), given.covariance(0).tolist()
        ([[2.0, 1.0]], [[0.0, 0.0], [0.0, 0.75]])
        """
        x = self._read(X)
        mean, std = self._fill(x, deviations=True)
        covariance = np.where(np.isnan(self.covariance_), 0.0, self.covariance_)
        return ConditionalCells(mean, std, np.isnan(x), covariance)

    def interval(self, X: Any, level: float = 0.95) -> tuple[Array, Array]:
        """Limits (n_samples, n_features) between which each missing cell lies.

        Parameters
        ----------
        X : array-like or frame (n_samples, n_features)
        level : float
            Probability between the limits, with equal tails, at the fitted parameters
            as if they were known.

        Returns
        -------
        lower, upper : (n_samples, n_features) array
            Within `min_value` and `max_value`; both the value itself where it is seen.
        """
        check_level(level)
        found = self.conditional(X)
        reach = float(ndtri(0.5 + 0.5 * level)) * found.std
        return (
            self._clip(found.mean - reach, found.missing),
            self._clip(found.mean + reach, found.missing),
        )

    def overimpute(self, X: Any, level: float = 0.9) -> Overimputation:
        """Treat each observed cell as missing in turn, and see what the rest of its row says.

        If the model is right, about a share `level` of the cells of each column lies
        between its limits. The parameters are the fitted ones throughout, which have seen
        these cells: with few rows the limits are a little too narrow for them.

        Parameters
        ----------
        X : array-like or frame (n_samples, n_features)
        level : float
            Probability between the limits, with equal tails.

        Returns
        -------
        Overimputation
            Print it for a table; `latentem.plot.overimpute` draws it.

        References
        ----------
        Honaker, King and Blackwell (2011), Amelia II: A Program for Missing Data, Journal
        of Statistical Software 45(7), doi:10.18637/jss.v045.i07.

        Examples
        --------
        >>> from latentem import GaussianImputer
        >>> from latentem.datasets import load_airquality
        >>> air = load_airquality().to_frame()[["Ozone", "Wind", "Temp"]]
        >>> GaussianImputer().fit(air).overimpute(air).covered.round(2).tolist()
        [0.91, 0.91, 0.9]
        """
        check_level(level)
        x = self._read(X)
        varying = np.flatnonzero(self._columns.varying)
        seen, mean, std = (np.full(x.shape, np.nan) for _ in range(3))
        seen[:, varying] = x[:, varying]
        if len(varying):
            with one_blas_thread():
                mean[:, varying], std[:, varying] = leave_one_out(self._params(), x[:, varying])
        reach, judged = float(ndtri(0.5 + 0.5 * level)) * std, ~np.isnan(seen)
        limits = (self._clip(value, judged) for value in (mean, mean - reach, mean + reach))
        middle, lower, upper = limits
        names = tuple(str(name) for name in names_in(self, None))
        return Overimputation(seen, middle, std, lower, upper, level, names)

    def score_samples(self, X: Any) -> Array:
        """Log density of what is seen of each row, (n_samples,); 0 where nothing is.

        Columns of one value only do not count.
        """
        x = self._read(X)
        if not self._columns.varying.any():
            return np.zeros(len(x))
        return self._conditioned(x).loglik

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log density per row, weighted; rows without an observed cell are left out."""
        x = self._read(X)
        weights = check_weights(sample_weight, len(x))
        weights = np.ones(len(x)) if weights is None else weights
        weights = np.where(np.isnan(x[:, self._columns.varying]).all(axis=1), 0.0, weights)
        if not weights.any():
            raise ValueError("X has no row with an observed cell in a column that varies")
        return float(weights @ self.score_samples(X) / weights.sum())

    def em_problem(
        self, X: Any, sample_weight: Any = None, lengths: Any = None
    ) -> tuple[MultivariateNormal, NormalParams, Rows]:
        """The engine's view of this fit: model, parameters and data of the columns that vary."""
        if lengths is not None:
            raise ValueError("lengths cut sequences; these are independent rows, leave it out")
        x = self._read(X)[:, self._columns.varying]
        if not x.shape[1]:
            raise ValueError("no column varies: there is nothing that a model was fitted to")
        weights = check_weights(sample_weight, len(x))
        data = Rows(np.ascontiguousarray(x), weights)
        model = self._model(data) if self.result_ is None else self.result_.model
        return model, self._params(), data

    def em_places(self) -> tuple[dict[str, Array], Array]:
        """All parameters by name, and the places of those of `em_problem` among them, raveled."""
        values = {"mean": self.mean_, "covariance": self.covariance_}
        varying = self._columns.varying
        estimated = [varying, np.outer(varying, varying).ravel()]
        return values, np.flatnonzero(np.concatenate(estimated))

    def save(self, path: Any) -> None:
        """Write the fitted imputer to an ``.npz`` file, without pickle; see `latentem.load`."""
        from latentem.estimators.storage import save

        save(self, path)

    @classmethod
    def from_parameters(
        cls, mean: Any, covariance: Any, feature_names: Sequence[str] | None = None, **settings: Any
    ) -> GaussianImputer:
        """A ready imputer from its parameters, without data.

        Parameters
        ----------
        mean : (d,) array-like
        covariance : (d, d) array-like
            Positive definite.
        feature_names : sequence of str, optional
        **settings
            Constructor arguments.
        """
        d = np.size(mean)
        imputer = cls(**settings)
        mean = check_shape(mean, (d,), "mean")
        covariance = check_shape(covariance, (d, d), "covariance")
        if not np.allclose(covariance, covariance.T) or np.linalg.eigvalsh(covariance)[0] <= 0:
            raise ValueError("covariance must be symmetric and positive definite")
        varying = np.ones(d, dtype=bool)
        params = NormalParams(mean, 0.5 * (covariance + covariance.T))
        imputer._place(Columns(varying, ~varying, np.full(d, np.nan)), params)
        imputer.result_, imputer.n_features_in_ = None, d
        if feature_names is not None:
            if len(feature_names) != d:
                raise ValueError(f"feature_names must name {d} columns, got {len(feature_names)}")
            imputer.feature_names_in_ = np.asarray(feature_names, dtype=object)
        return imputer
