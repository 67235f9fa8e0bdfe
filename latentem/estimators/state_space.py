"""Linear-Gaussian state-space models for series in equal steps, with any cells missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from latentem.engine.em import EM
from latentem.engine.result import EMResult
from latentem.estimators.imputer_columns import label_of, numbers_of
from latentem.estimators.settings import generator, kept, nothing_half_done
from latentem.estimators.state_space_checks import MATRICES, check_covariance, check_matrices
from latentem.estimators.validation import check_level, check_shape
from latentem.models.records import Records, record_blocks
from latentem.models.smoothing import filter_records, smooth
from latentem.models.state_space import LinearGaussian, LinearGaussianParams, draw
from latentem.models.subspace import subspace_start

__all__ = ["LinearGaussianSSM", "StateForecast"]

Array = np.ndarray
#: Covariance of a diffuse first state, in variances of the data.
DIFFUSE = 1e7


class StateForecast(NamedTuple):
    """Rows that follow a record.

    Parameters
    ----------
    mean, covariance : (h, d) and (h, d, d) array
        Of the observations.
    states, state_covariance : (h, n) and (h, n, n) array
    """

    mean: Array
    covariance: Array
    states: Array
    state_covariance: Array

    @property
    def variance(self) -> Array:
        """Of each column, (h, d)."""
        return np.diagonal(self.covariance, axis1=1, axis2=2)

    def interval(self, level: float = 0.9) -> tuple[Array, Array]:
        """Lower and upper limits, (h, d) each, with equal tails, at the fitted parameters."""
        check_level(level)
        reach = ndtri(0.5 + 0.5 * level) * np.sqrt(self.variance)
        return self.mean - reach, self.mean + reach


class LinearGaussianSSM(BaseEstimator):
    """States that move linearly, seen through noise; Kalman smoothing and EM, cells missing.

    ``x_t = A x_(t-1) + B u_t + N(0, Q)``, ``y_t = offset + C x_t + D u_t + N(0, R)``. Any cells
    of y may be NaN. Matrices that are given are where the fit begins, and are kept where `fixed`
    says so. Without masks the basis of the states is free: A, C and Q are known only up to
    a change of basis, while forecasts, the likelihood and the eigenvalues of A are not
    touched by it.

    Parameters
    ----------
    n_states : int
    observation_noise : {"diag", "full"}
        Covariance of the noise of y.
    state_noise : {"full", "diag"}
    initial : {"estimated", "fixed", "diffuse"}
        First state of each record. "diffuse" is a flat density of 1, for which the
        observation matrix must be given and kept; its likelihood is the limit for a large
        covariance, taken at 1e7 variances of the data.
    transition, observation : arrays (n, n) and (d, n), optional
        A and C.
    input, feedthrough : arrays (n, m) and (d, m), optional
        B and D.
    transition_covariance, observation_covariance : arrays (n, n) and (d, d), optional
        Q and R. A state without noise has a 0 on the diagonal of a diagonal Q that is kept there.
    initial_mean, initial_covariance : arrays (n,) and (n, n), optional
    fixed : mapping or sequence of str
        Matrices (by the names above, "transition" to "observation_covariance") that are kept:
        True, or a bool array of entries. Of covariances all, or entries of a diagonal one.
    center : bool, optional
        Whether the means of the columns are taken off as `offset_` before the fit. By default
        where no observation matrix is given.
    tol, max_iter, accelerate, n_jobs, time_limit, checkpoint, checkpoint_every
        As in `EM`.
    random_state : None, int, Generator or RandomState
        For `sample`.

    Attributes
    ----------
    transition_, input_, observation_, feedthrough_, transition_covariance_,
    observation_covariance_, initial_mean_, initial_covariance_ : arrays
    offset_ : (d,) array
    loglik_ : float
    result_ : EMResult
    converged_ : bool
    n_iter_ : int

    References
    ----------
    Shumway and Stoffer (1982), doi:10.1111/j.1467-9892.1982.tb00349.x; Durbin and Koopman (2012).

    Examples
    --------
    A local level for the flow of the Nile:

    >>> import numpy as np
    >>> from latentem import LinearGaussianSSM
    >>> from latentem.datasets import load_nile
    >>> ssm = LinearGaussianSSM(
    ...     1, transition=[[1.0]], observation=[[1.0]], initial="diffuse",
    ...     fixed=("transition", "observation"), tol=1e-6,
    ... ).fit(load_nile()[["flow"]])
    >>> round(ssm.loglik_, 4), int(ssm.observation_covariance_[0, 0] / 100)
    (-632.5456, 150)
    """

    result_: EMResult | None
    offset_: Array

    def __init__(
        self,
        n_states: int = 1,
        *,
        observation_noise: Any = "diag",
        state_noise: Any = "full",
        initial: Any = "estimated",
        transition: Any = None,
        input: Any = None,  # noqa: A002 - the name of the term
        observation: Any = None,
        feedthrough: Any = None,
        transition_covariance: Any = None,
        observation_covariance: Any = None,
        initial_mean: Any = None,
        initial_covariance: Any = None,
        fixed: Any = (),
        center: bool | None = None,
        tol: float = 1e-3,
        max_iter: int = 1000,
        accelerate: Any = "auto",
        random_state: Any = None,
        n_jobs: int | None = None,
        time_limit: float | None = None,
        checkpoint: Any = None,
        checkpoint_every: int | str = "30s",
    ):
        self.n_states = n_states
        self.observation_noise = observation_noise
        self.state_noise = state_noise
        self.initial = initial
        self.transition = transition
        self.input = input
        self.observation = observation
        self.feedthrough = feedthrough
        self.transition_covariance = transition_covariance
        self.observation_covariance = observation_covariance
        self.initial_mean = initial_mean
        self.initial_covariance = initial_covariance
        self.fixed = fixed
        self.center = center
        self.tol = tol
        self.max_iter = max_iter
        self.accelerate = accelerate
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    def fit(
        self, X: Any, y: Any = None, lengths: Any = None, inputs: Any = None, resume: Any = None
    ) -> LinearGaussianSSM:
        """Fit to the cells that are seen.

        Parameters
        ----------
        X : array-like or frame (n_samples, d)
            Rows in equal steps of time; NaN in missing cells.
        y : ignored
        lengths : (S,) array-like of int, optional
            Rows of each record, where there are several.
        inputs : (n_samples, m) array-like, optional
            u of each row, without gaps.
        resume : path, optional
            A checkpoint of this fit, to go on from.

        Raises
        ------
        ValueError
            For data or matrices that cannot be fitted; nothing is changed then.
        """
        with nothing_half_done(self):
            settings = EM(
                tol=self.tol, max_iter=self.max_iter, accelerate=self.accelerate,
                n_jobs=self.n_jobs, **kept(self),
            )  # fmt: skip
            model = self._model()
            x = numbers_of(self, X, np.nan, reset=True)
            self._refuse(x)
            center = self.observation is None if self.center is None else self.center
            self.offset_ = np.nanmean(x, axis=0) if center else np.zeros(x.shape[1])
            data = self._records(x, lengths, inputs)
            start = self._start(model, data)
            model.start = start
            result = settings.run(model, data, start, resume=resume)
            self._place(result.params)
            self.result_, self.loglik_ = result, result.loglik
            self.converged_, self.n_iter_ = result.converged, result.n_iter
        return self

    def _model(self) -> LinearGaussian:
        return LinearGaussian(
            self.n_states, self.observation_noise, self.state_noise, self.initial, self.fixed
        )

    def _refuse(self, x: Array) -> None:
        names = getattr(self, "feature_names_in_", None)
        empty = np.isnan(x).all(axis=0)
        if empty.any():
            raise ValueError(
                f"column {label_of(int(np.argmax(empty)), names)} has no observed cell: "
                "leave that column out"
            )
        if len(x) < self.n_states + 2:
            raise ValueError(
                f"{len(x)} rows are too few for n_states={self.n_states}: give at least "
                f"{self.n_states + 2}"
            )

    def _records(self, x: Array, lengths: Any, inputs: Any) -> Records:
        found = np.array([len(x)]) if lengths is None else np.asarray(lengths)
        if found.dtype.kind not in "iu" or found.ndim != 1 or np.any(found < 1):
            raise ValueError(f"lengths must be integers >= 1, one for each record, got {lengths!r}")
        if found.sum() != len(x):
            raise ValueError(f"lengths sum to {found.sum()}, but X has {len(x)} rows")
        u = np.empty((len(x), 0)) if inputs is None else np.asarray(inputs, dtype=float)
        u = u[:, None] if u.ndim == 1 else u
        if u.ndim != 2 or len(u) != len(x):
            raise ValueError(f"inputs must have one row for each of the {len(x)} rows of X, got "
                             f"shape {u.shape}")  # fmt: skip
        if not np.isfinite(u).all():
            raise ValueError("inputs must be finite numbers in every row: inputs have no gaps")
        m = getattr(self, "input_", None)
        if m is not None and inputs is None and m.shape[1]:
            raise ValueError(f"the model has {m.shape[1]} inputs: give inputs=")
        return Records(x - self.offset_, found, u)

    def _start(self, model: LinearGaussian, data: Records) -> LinearGaussianParams:
        n, d, m = self.n_states, data.y.shape[1], data.u.shape[1]
        given = check_matrices(self, n, d, m)
        missing = sorted(set(model.kept) - set(given) - {"input", "feedthrough"})
        if missing:
            raise ValueError(f"fixed names {missing[0]!r}, so give its values: {missing[0]}=...")
        variance = float(np.nanmean(np.nanvar(data.y, axis=0))) or 1.0
        start = subspace_start(record_blocks(data), n)
        if "observation" in given or "transition" in given:  # the basis is the user's
            loading = float(np.mean(given["observation"] ** 2)) if "observation" in given else 1.0
            size = variance / max(loading, 1e-300)
            start = start._replace(
                transition_covariance=0.1 * size * np.eye(n),
                initial_covariance=size * np.eye(n),
                transition=start.transition if "transition" in given else 0.5 * np.eye(n),
            )
        start = start._replace(**given)
        if self.initial == "diffuse":
            if model.kept.get("observation") is not True:
                raise ValueError(
                    "initial='diffuse' is a flat density of the states, whose units must be "
                    "known: give observation= and keep it, fixed=('observation', ...)"
                )
            seen = data.y[np.argmax(data.seen.any(axis=1))]
            first = np.where(np.isnan(seen), 0.0, seen)
            mean = np.linalg.lstsq(start.observation, first, rcond=None)[0]
            start = start._replace(
                initial_mean=mean, initial_covariance=DIFFUSE * variance * np.eye(n)
            )
        for name, kind in (
            ("transition_covariance", self.state_noise),
            ("observation_covariance", self.observation_noise),
        ):
            check_covariance(getattr(start, name), name, kind, model.kept.get(name))
        free = [model._free(g, getattr(start, g)).any() for g in model.kept]
        if len(free) == 6 and not any(free) and self.initial != "estimated":
            raise ValueError(
                "fixed keeps every matrix, so there is nothing to fit: use "
                "LinearGaussianSSM.from_parameters"
            )
        return start

    def _place(self, params: LinearGaussianParams) -> None:
        for name in MATRICES:
            setattr(self, f"{name}_", getattr(params, name))

    def _ready(self) -> tuple[LinearGaussian, LinearGaussianParams]:
        check_is_fitted(self, "transition_")
        return self._model(), LinearGaussianParams(*(getattr(self, f"{n}_") for n in MATRICES))

    def _read(self, X: Any, lengths: Any, inputs: Any) -> Records:
        check_is_fitted(self, "transition_")
        return self._records(numbers_of(self, X, np.nan, reset=False), lengths, inputs)

    def score(self, X: Any, y: Any = None, lengths: Any = None, inputs: Any = None) -> float:
        """Total log-likelihood of the cells seen, over all records."""
        data = self._read(X, lengths, inputs)
        model, params = self._ready()
        return float(model.e_step(model.prepare(params), data).loglik)

    def filter(self, X: Any, lengths: Any = None, inputs: Any = None) -> tuple[Array, Array]:
        """Means (T, n) and covariances (T, n, n) of states given the rows up to each."""
        data = self._read(X, lengths, inputs)
        model, params = self._ready()
        found = filter_records(model.prepare(params), data)
        return found.means, found.covariances

    def smooth(self, X: Any, lengths: Any = None, inputs: Any = None) -> tuple[Array, Array]:
        """Means (T, n) and covariances (T, n, n) of states given all rows of their record."""
        data = self._read(X, lengths, inputs)
        model, params = self._ready()
        found = smooth(model.prepare(params), data)
        return found.means, found.covariances

    def predict(self, X: Any, lengths: Any = None, inputs: Any = None) -> Array:
        """One-step predictions of the rows (T, d), each from the rows before it."""
        data = self._read(X, lengths, inputs)
        model, params = self._ready()
        return self._outputs(filter_records(model.prepare(params), data).ahead, data.u)

    def _outputs(self, states: Array, u: Array) -> Array:
        _, params = self._ready()
        return self.offset_ + states @ params.observation.T + u @ params.feedthrough.T

    def impute(self, X: Any, lengths: Any = None, inputs: Any = None) -> Array:
        """Missing cells filled by their means given all cells seen; others keep every bit."""
        data = self._read(X, lengths, inputs)
        model, params = self._ready()
        prepared = model.prepare(params)
        fitted = self._outputs(smooth(prepared, data).means, data.u)
        filled = fitted.copy()
        seen, kinds = data.patterns
        y = data.y + self.offset_
        for kind, known in enumerate(seen):
            rows = np.flatnonzero(kinds == kind)
            gain, _ = prepared.completion(known)
            away = (y - fitted)[np.ix_(rows, known)]
            filled[rows] += away @ gain.T
        raw = numbers_of(self, X, np.nan, reset=False)
        return np.where(data.seen, raw, filled)

    def forecast(self, X: Any, h: int = 1, inputs: Any = None, future: Any = None) -> StateForecast:
        """The h rows that follow one record.

        Parameters
        ----------
        X : array-like (n_samples, d)
        h : int
        inputs, future : (n_samples, m) and (h, m) array-like, optional
            Inputs of the rows of X, and of those that follow.
        """
        if isinstance(h, bool) or not isinstance(h, int | np.integer) or h < 1:
            raise ValueError(f"h must be an integer >= 1, got {h!r}")
        x = numbers_of(self, X, np.nan, reset=False)
        _, params = self._ready()
        m = params.input.shape[1]
        after = np.empty((h, 0)) if future is None else np.asarray(future, dtype=float)
        if after.reshape(len(after), -1).shape != (h, m):
            raise ValueError(f"future must have shape {(h, m)}: the inputs of the rows ahead")
        before = np.empty((len(x), 0)) if inputs is None else np.asarray(inputs, dtype=float)
        u = np.vstack([before.reshape(len(x), -1), after.reshape(h, -1)])
        data = self._records(np.vstack([x, np.full((h, x.shape[1]), np.nan)]), None, u)
        found = filter_records(self._model().prepare(params), data)
        states, spread = found.means[-h:], found.covariances[-h:]
        c = params.observation
        covariance = c @ spread @ c.T + params.observation_covariance
        return StateForecast(self._outputs(states, data.u[-h:]), covariance, states, spread)

    def sample(
        self, n_samples: int = 1, inputs: Any = None, random_state: Any = None
    ) -> tuple[Array, Array]:
        """One record of n rows: observations (n, d) and states (n, n_states)."""
        _, params = self._ready()
        u = np.zeros((n_samples, 0)) if inputs is None else np.asarray(inputs, dtype=float)
        if u.shape != (n_samples, params.input.shape[1]):
            raise ValueError(f"inputs must have shape {(n_samples, params.input.shape[1])}")
        rng = generator(self.random_state if random_state is None else random_state)
        states, y = draw(params, u, rng)
        return y + self.offset_, states

    def em_problem(
        self, X: Any, sample_weight: Any = None, lengths: Any = None
    ) -> tuple[LinearGaussian, LinearGaussianParams, Records]:
        """The engine's view of this fit: model, parameters and data; for models without inputs.

        With one record the first state is held at its estimate, whose covariance goes to 0.
        """
        if sample_weight is not None:
            raise ValueError("rows of a record have no weights: leave sample_weight out")
        data = self._read(X, lengths, None)
        model, params = self._ready()
        model.start = params
        if len(data.lengths) == 1 and model.initial == "estimated":
            model.initial = "fixed"
        return model, params, data

    def standard_errors(self, X: Any, lengths: Any = None) -> Any:
        """Standard errors of the parameters, NaN where the basis of the states leaves them open.

        See `latentem.standard_errors`.
        """
        from latentem.engine.standard_errors import standard_errors

        return standard_errors(self, X, lengths=lengths)

    def save(self, path: Any) -> None:
        """Write the fitted model to an ``.npz`` file, without pickle; see `latentem.load`."""
        from latentem.estimators.storage import save

        save(self, path)

    @classmethod
    def from_parameters(
        cls,
        transition: Any,
        observation: Any,
        transition_covariance: Any,
        observation_covariance: Any,
        initial_mean: Any = None,
        initial_covariance: Any = None,
        input: Any = None,  # noqa: A002 - the name of the term
        feedthrough: Any = None,
        offset: Any = None,
        **settings: Any,
    ) -> LinearGaussianSSM:
        """A ready model from its matrices, without data.

        The first state is standard normal where it is not given; further settings are arguments
        of the constructor.
        """
        n, d = len(np.atleast_2d(transition)), len(np.atleast_2d(observation))
        m = 0 if input is None and feedthrough is None else np.shape(
            feedthrough if input is None else input)[-1]  # fmt: skip
        settings = {"n_states": n, "observation_noise": "full", "initial": "fixed", **settings}
        model = cls(**settings)
        given: Mapping[str, tuple[Any, tuple[int, ...]]] = {
            "initial_mean": (np.zeros(n) if initial_mean is None else initial_mean, (n,)),
            "initial_covariance": (
                np.eye(n) if initial_covariance is None else initial_covariance, (n, n)
            ),
            "transition": (transition, (n, n)),
            "input": (np.zeros((n, m)) if input is None else input, (n, m)),
            "observation": (observation, (d, n)),
            "feedthrough": (np.zeros((d, m)) if feedthrough is None else feedthrough, (d, m)),
            "transition_covariance": (transition_covariance, (n, n)),
            "observation_covariance": (observation_covariance, (d, d)),
        }  # fmt: skip
        params = LinearGaussianParams(
            *(check_shape(value, shape, name) for name, (value, shape) in given.items())
        )
        check_covariance(params.observation_covariance, "observation_covariance",
                         model.observation_noise, None)  # fmt: skip
        check_covariance(params.transition_covariance, "transition_covariance", "full", True)
        model._model()
        model._place(params)
        model.offset_ = np.zeros(d) if offset is None else check_shape(offset, (d,), "offset")
        model.result_, model.n_features_in_ = None, d
        return model
