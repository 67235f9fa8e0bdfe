r"""Standard errors from the observed information, for any model.

By Fisher's identity the gradient of the log-likelihood at :math:`\phi` is that of
:math:`Q(\phi' \mid S(\phi))` in :math:`\phi'` at :math:`\phi' = \phi`, with the
statistics S held fixed: no pass over the data. Its derivative along each coordinate
(four E-steps) gives the observed information (Jamshidian and Jennrich 2000,
doi:10.1111/1467-9868.00230). It is the information of the observed data; the
complete-data information, which EM has at hand for nothing, ignores what the latent
variables hide and is far too large.

The coordinates are the free unconstrained ones; the delta method brings the
covariance back to the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from latentem.engine.backends import Backend, backend_for, one_blas_thread
from latentem.engine.constraints import Simplex
from latentem.engine.flat import FlatSpace
from latentem.engine.model import LatentModel
from latentem.engine.result import EMResult
from latentem.engine.trees import leaves, zip_leaves

__all__ = ["StandardErrors", "observed_information", "standard_errors"]

Array = np.ndarray
Gradient = Callable[[Array], Array]

#: Steps of differences, in complete-data standard errors of a coordinate.
STEP = 0.02
#: Nats still to be gained, by a Newton step, at which a fit is no maximum.
AHEAD = 0.05
#: A probability below this lies on the boundary.
EDGE = 1e-8


class StandardErrors(Mapping[str, Array]):
    """Standard errors by name of parameter, each in the shape of the parameter.

    Attributes
    ----------
    estimates : dict of arrays
        The parameters themselves.
    covariance : (p, p) array
        Covariance of all parameters, raveled one after the other in the order of
        the names.
    method : str
    """

    def __init__(self, estimates: dict[str, Array], covariance: Array, method: str):
        self.estimates = estimates
        self.covariance = covariance
        self.method = method
        errors = np.sqrt(np.clip(np.diag(covariance), 0.0, None))
        stops = np.cumsum([value.size for value in estimates.values()])
        self._errors = {
            name: part.reshape(value.shape)
            for (name, value), part in zip(
                estimates.items(), np.split(errors, stops[:-1]), strict=True
            )
        }

    def __getitem__(self, name: str) -> Array:
        return self._errors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._errors)

    def __len__(self) -> int:
        return len(self._errors)

    def summary(self) -> str:
        """A table of every parameter with its standard error."""
        lines = [f"{'parameter':<20} {'estimate':>12} {'std. error':>12}"]
        for name, value in self.estimates.items():
            for index in np.ndindex(value.shape):
                place = "[" + ", ".join(map(str, index)) + "]" if index else ""
                error = self._errors[name][index]
                lines.append(f"{name + place:<20} {value[index]:>12.6g} {error:>12.6g}")
        return "\n".join(lines)

    __str__ = summary
    __repr__ = summary


def standard_errors(
    fitted: Any,
    X: Any,
    sample_weight: Any = None,
    lengths: Any = None,
    method: str = "observed",
) -> StandardErrors:
    """Standard errors of the parameters of a fit.

    Parameters
    ----------
    fitted : fitted estimator or EMResult
    X : data
        The data of the fit; for an `EMResult` whatever its model's ``blocks`` takes.
    sample_weight : (n_samples,) array-like, optional
        The weights of the fit.
    lengths : optional
        Lengths of sequences, for models of sequences.
    method : {"observed"}
        From the observed information.

    Returns
    -------
    StandardErrors
        A mapping from names of parameters to arrays of their shapes. Probabilities that
        are fitted as 0 (below 1e-8) are taken as known, with error 0, as fixed values are.
        Those of columns that take no part in a fit (`GaussianImputer` leaves out constant
        and empty ones) are NaN.

    Raises
    ------
    ValueError
        When the model declares no constraints, the fit is degenerate, a parameter lies
        on its boundary, or the information is singular, so that no standard errors exist.

    Examples
    --------
    >>> from latentem import MixtureModel, families, standard_errors
    >>> from latentem.datasets import load_times_deaths
    >>> deaths = load_times_deaths()
    >>> model = MixtureModel(families.Poisson(), 2, tol=1e-10, random_state=0)
    >>> _ = model.fit(deaths.data, sample_weight=deaths.weights)
    >>> errors = standard_errors(model, deaths.data, deaths.weights)
    >>> sorted(errors["lambdas"].ravel().round(4).tolist())
    [0.2505, 0.35]
    """
    if method != "observed":
        raise ValueError(f"method must be 'observed', got {method!r}")
    if isinstance(fitted, EMResult):
        model, params = fitted.model, fitted.params
        if lengths is not None:
            raise ValueError("lengths belong in the data of an EMResult: pass them within X")
        data = X if sample_weight is None else (X, np.asarray(sample_weight, dtype=float))
    elif hasattr(fitted, "em_problem"):
        model, params, data = fitted.em_problem(X, sample_weight, lengths)
    else:
        raise TypeError(
            f"fitted must be a fitted estimator or an EMResult, got {type(fitted).__name__}"
        )
    if model.constraints() is None:
        raise ValueError(
            f"{type(model).__name__} declares no constraints(): without them the free "
            "parameters are not known, so there are no standard errors"
        )
    space = _interior(model, params)
    flat = space.pack(params)
    if not np.all(np.isfinite(flat)):
        raise ValueError(
            "a parameter lies on the boundary of its set (a probability or rate of 0), where "
            "standard errors do not exist: fix it, leave out its component, or use a prior"
        )
    blocks = list(model.blocks(data))
    backend = backend_for(getattr(fitted, "n_jobs", None))
    with one_blas_thread():
        found = model.diagnose(params, backend.expect(model, params, blocks).statistics)
        if found.degenerate:
            raise ValueError(f"a degenerate fit has no standard errors: {found.degenerate[0]}")
        try:
            information, slope = observed_information(model, params, blocks, backend, space)
            covariance = _inverse(information, space)
            _refuse_far(slope, covariance)
        except (np.linalg.LinAlgError, ValueError) as error:
            reasons = "".join(f"; {note}" for note in found.notes)
            if hasattr(fitted, "em_places") and len(fitted.em_places()[1]) < _size(fitted):
                reasons += "; numbers in brackets count the columns that take part in the model"
            raise ValueError(f"there are no standard errors here: {error}{reasons}") from None
    jacobian = _jacobian(lambda at: _raveled(space.unpack(at)), flat, np.full(len(flat), 1e-3))
    values = {
        _short(name, space.names): np.asarray(value, dtype=float) for name, value in leaves(params)
    }
    spread = jacobian @ covariance @ jacobian.T
    if hasattr(fitted, "em_places"):
        values, places = fitted.em_places()
        spread = _spread_out(spread, places, _size(fitted))
    return StandardErrors(values, spread, method)


def _size(fitted: Any) -> int:
    """Number of all parameters of an estimator with `em_places`."""
    return sum(value.size for value in fitted.em_places()[0].values())


def _spread_out(covariance: Array, places: Array, size: int) -> Array:
    """The covariance at its places among all parameters, (size, size), NaN elsewhere."""
    out = np.full((size, size), np.nan)
    out[np.ix_(places, places)] = covariance
    return out


def observed_information(
    model: LatentModel,
    params: Any,
    blocks: Sequence[Any],
    backend: Backend,
    space: FlatSpace | None = None,
) -> tuple[Array, Array]:
    """Negative Hessian (p, p) and gradient (p,) of the objective in the free coordinates.

    Models with ``expected_loglik`` take four E-steps per coordinate, others
    of the order of p^2.
    """
    space = FlatSpace(model.constraints(), params) if space is None else space
    flat = space.pack(params)
    try:
        statistics = backend.expect(model, params, blocks).statistics
        model.expected_loglik(params, statistics)
    except NotImplementedError:

        def objective(at: Array) -> float:
            here = space.unpack(at)
            return float(backend.expect(model, here, blocks).loglik) + model.log_prior(here)

        steps = 4 * _steps(objective, flat)
        return -_hessian(objective, flat, steps), _gradient(objective, flat, steps)

    def complete(at: Array, statistics: Any) -> float:
        here = space.unpack(at)
        return model.expected_loglik(here, statistics) + model.log_prior(here)

    steps = _steps(lambda at: complete(at, statistics), flat)

    def score(at: Array) -> Array:
        there = backend.expect(model, space.unpack(at), blocks).statistics
        return _gradient(lambda where: complete(where, there), at, steps)

    information = -_jacobian(score, flat, steps)
    return 0.5 * (information + information.T), score(flat)


def _interior(model: LatentModel, params: Any) -> FlatSpace:
    """The free coordinates, without probabilities that are 0 up to `EDGE`."""

    def inside(value: Any, constraint: Any) -> Any:
        if not isinstance(constraint, Simplex):
            return constraint
        free = np.asarray(value) > EDGE
        return Simplex(free if constraint.free is None else free & constraint.free)

    return FlatSpace(zip_leaves(inside, params, model.constraints()), params)


def _steps(function: Callable[[Array], float], at: Array) -> Array:
    """Steps of STEP complete-data standard errors for each coordinate.

    Found from the curvature, in two rounds: they do not depend on units.
    """
    steps = 1e-4 * np.maximum(np.abs(at), 1.0)
    middle = function(at)
    for _ in range(2):
        for j in range(len(at)):
            move = np.zeros_like(at)
            move[j] = steps[j]
            curvature = 2 * middle - function(at + move) - function(at - move)
            curvature /= steps[j] ** 2
            if math.isfinite(curvature) and curvature > 0:
                steps[j] = STEP / math.sqrt(curvature)
    return steps


def _gradient(function: Callable[[Array], float], at: Array, steps: Array) -> Array:
    return _jacobian(lambda where: np.array([function(where)]), at, steps)[0]


def _jacobian(function: Gradient, at: Array, steps: Array) -> Array:
    """Derivatives of a vector function by five-point differences, (m, p)."""
    columns = []
    for j in range(len(at)):
        move = np.zeros_like(at)
        move[j] = steps[j]
        near = function(at + move) - function(at - move)  # exactly 0 where nothing moves
        far = function(at + 2 * move) - function(at - 2 * move)
        columns.append((8 * near - far) / (12 * steps[j]))
    return np.column_stack(columns) if columns else np.empty((0, 0))


def _hessian(function: Callable[[Array], float], at: Array, steps: Array) -> Array:
    """Second derivatives, extrapolated from two step lengths."""

    def crude(scale: float) -> Array:
        p = len(at)
        moves = np.diag(steps * scale)
        out = np.empty((p, p))
        for i in range(p):
            for j in range(i, p):
                a, b = moves[i], moves[j]
                total = function(at + a + b) - function(at + a - b)
                total -= function(at - a + b) - function(at - a - b)
                out[i, j] = out[j, i] = total / (4 * steps[i] * steps[j] * scale**2)
        return out

    return (4 * crude(1.0) - crude(2.0)) / 3


def _inverse(information: Array, space: FlatSpace) -> Array:
    """Inverse of the information; ValueError names the direction in which it is flat."""
    scale = np.sqrt(np.abs(np.diag(information)))
    if not np.all(np.isfinite(information)):
        raise ValueError("the observed information is not finite: the fit is not at a maximum")
    if np.any(scale == 0):
        silent = _short(space.coordinate_names()[int(np.argmin(scale))], space.names)
        raise ValueError(
            f"the data say nothing of {silent}: a component or state of probability 0 lies on the "
            "boundary of the model (fix it, leave it out, or use a prior), or the fit is not at a "
            "maximum for these data"
        )
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    if values[0] <= 1e-10:
        names = [_short(name, space.names) for name in space.coordinate_names()]
        worst = names[int(np.argmax(np.abs(vectors[:, 0])))]
        raise ValueError(
            f"the observed information is not positive definite (flattest along {worst}): the "
            "fit is not at a strict maximum, or the data do not identify the parameters. Fit "
            "to a smaller tol, or use fewer components"
        )
    return np.linalg.inv(information)


def _refuse_far(slope: Array, covariance: Array) -> None:
    """ValueError where a Newton step would gain more than `AHEAD`."""
    ahead = 0.5 * float(slope @ covariance @ slope)
    if ahead > AHEAD:
        raise ValueError(
            f"the fit is not at a maximum for these data: about {ahead:.2g} nats are still to be "
            "gained. Pass the data and weights of the fit, and fit to a smaller tol"
        )


def _raveled(params: Any) -> Array:
    return np.concatenate([np.ravel(value) for _, value in leaves(params)])


def _short(name: str, names: Sequence[str]) -> str:
    """The last part of a dotted name where that is unique."""
    last = name.rsplit(".", 1)[-1]
    return last if sum(other.rsplit(".", 1)[-1] == last for other in names) == 1 else name
