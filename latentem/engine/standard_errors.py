"""Standard errors of any fit: from an information matrix, or from replicates."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from latentem.engine.backends import Backend, backend_for, one_blas_thread
from latentem.engine.bootstrap import Replicates, Resampling, bootstrap
from latentem.engine.boundary import Interior
from latentem.engine.estimates import StandardErrors
from latentem.engine.information import Information, inverted, open_parameters
from latentem.engine.model import LatentModel
from latentem.engine.oakes import oakes
from latentem.engine.observed import observed_information
from latentem.engine.problem import Problem, problem_of
from latentem.engine.warnings import NotIdentifiedWarning, tell

__all__ = ["standard_errors"]

Array = np.ndarray
#: Parameters that are named in one breath.
NAMED = 4
METHODS = ("observed", "oakes", "bootstrap")


def standard_errors(
    fitted: Any,
    X: Any,
    sample_weight: Any = None,
    lengths: Any = None,
    method: Literal["observed", "oakes", "bootstrap"] = "observed",
    *,
    labels: Any = None,
    resampling: Resampling = "multinomial",
    n_replicates: int = 200,
    random_state: Any = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> StandardErrors:
    """Standard errors of the parameters of a fit.

    Parameters
    ----------
    fitted : fitted estimator or EMResult
    X : data
        The data of the fit; for an `EMResult` whatever its model's ``blocks`` takes.
    sample_weight : (n_samples,) array-like, optional
        The weights of the fit; of sequences, one for each.
    lengths : optional
        Lengths of sequences, for models of sequences.
    method : {"observed", "oakes", "bootstrap"}
        "observed": the inverse of the observed information, by differentiating the score.
        "oakes": the same matrix as complete less missing information (Oakes 1999,
        doi:10.1111/1467-9868.00188). "bootstrap": fits to replicates of the data, each from
        the fitted parameters, with components in the order that is nearest to theirs.
    labels : (n_samples,) array-like of int, optional
        The known components or states of the fit, -1 where unknown.
    resampling : {"multinomial", "bayesian", "parametric"}
        How the bootstrap makes replicates. "multinomial": rows, or whole sequences, are drawn
        with replacement (Efron 1979, doi:10.1214/aos/1176344552). "bayesian": they get random
        weights instead, of which none is 0 (Rubin 1981, doi:10.1214/aos/1176345338).
        "parametric": new data are drawn from the fitted model, with cells missing where
        they are in X.
    n_replicates : int
        Of a bootstrap.
    random_state : optional
        Of a bootstrap: None, int or Generator. The same seed gives the same replicates for
        any `n_jobs`.
    n_jobs : int or None
        Threads over the replicates, or over the blocks of an E-step; None uses the cores the
        process may use. Another backend is chosen by ``joblib.parallel_config``.
    progress : bool
        Show a tqdm bar over the replicates.

    Returns
    -------
    StandardErrors
        A mapping from names of parameters to arrays of their shapes, which prints as a table.
        A parameter on its boundary (a probability or a rate of 0) is taken as known, with
        error 0, as fixed values are, and ``notes`` names it; with ``method="bootstrap"`` it
        is free like all others. One that the data do not settle has error
        inf, is named, and warned of. Those of columns that take no part in a fit
        (`GaussianImputer` leaves out constant and empty ones) are NaN, and named.

    Raises
    ------
    ValueError
        When the model declares no constraints, the fit is degenerate or no maximum, or the
        data settle no parameter, so that no standard errors exist.

    Warns
    -----
    NotIdentifiedWarning
        Where the data do not settle some of the parameters.

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
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    problem = problem_of(fitted, X, sample_weight, lengths, labels)
    if problem.model.constraints() is None:
        raise ValueError(
            f"{type(problem.model).__name__} declares no constraints(): without them the free "
            "parameters are not known, so there are no standard errors"
        )
    jobs = getattr(fitted, "n_jobs", None) if n_jobs is None else n_jobs
    with one_blas_thread():
        backend, blocks = backend_for(jobs), list(problem.model.blocks(problem.data))
        statistics = backend.expect(problem.model, problem.params, blocks).statistics
        found = problem.model.diagnose(problem.params, statistics)
        if found.degenerate:
            raise ValueError(f"a degenerate fit has no standard errors: {found.degenerate[0]}")
        if method != "bootstrap":
            try:
                return _by_information(problem, method, blocks, backend)
            except (np.linalg.LinAlgError, ValueError) as error:
                reasons = "".join(f"; {note}" for note in found.notes)
                raise ValueError(f"there are no standard errors here: {error}{reasons}") from None
    replicates = bootstrap(problem, resampling, n_replicates, random_state, jobs, progress)
    return _by_replicates(problem, replicates, f"bootstrap ({resampling})")


def _by_information(
    problem: Problem, method: str, blocks: list[Any], backend: Backend
) -> StandardErrors:
    model, params = problem.model, problem.params
    names = [problem.labels()[place] for place in problem.places]
    inside = Interior(model, params)
    running = np.zeros_like(inside.held)
    while True:
        information = _information(method, model, inside, blocks, backend)
        jacobian = inside.jacobian()
        inverse = inverted(information, jacobian, names)
        more = inside.running(inverse.covariance @ information.slope)
        if not more.any():
            break
        running |= more
        inside = Interior(model, params, running)
    unknown = open_parameters(jacobian, information, inverse)
    moving = np.any(jacobian != 0, axis=1)
    if unknown.any() and np.all(unknown[moving]):
        raise ValueError(
            f"the observed information is not positive definite (it is flat along "
            f"{listed(names, unknown)}): the data do not identify the parameters. Use fewer "
            "components, fix some of them, or use a prior"
        )
    covariance = jacobian @ inverse.covariance @ jacobian.T
    covariance[unknown] = covariance[:, unknown] = np.nan
    covariance[unknown, unknown] = np.inf
    if unknown.any():
        tell(_unsettled(names, unknown), NotIdentifiedWarning)
    held = inside.held & ~running
    remarks = np.full(len(names), "", dtype=object)
    remarks[~moving] = "known"
    notes = []
    for which, remark, note in (
        (held, "on its boundary, held", "on the boundary, so taken as known with error 0: "),
        (
            running,
            "runs to its boundary, held",
            "on the way to the boundary, so taken as known with error 0: ",
        ),
    ):
        remarks[which] = remark
        notes += [note + listed(names, which)] * bool(which.any())
    remarks[unknown] = "not settled by the data"
    notes += [_unsettled(names, unknown)] * bool(unknown.any())
    return _placed(problem, covariance, method, inside, remarks, notes)


def _unsettled(names: list[str], unknown: Array) -> str:
    return (
        f"the data do not settle {listed(names, unknown)}: the likelihood is flat there, and the "
        "errors are inf. Use fewer components, fix some of them, or use a prior"
    )


def _information(
    method: str, model: LatentModel, inside: Interior, blocks: list[Any], backend: Backend
) -> Information:
    if method == "observed":
        return observed_information(model, inside, blocks, backend)
    try:
        return oakes(model, inside, blocks, backend).information()
    except NotImplementedError:
        raise ValueError(
            f"{type(model).__name__} defines no expected_loglik(params, statistics), from which "
            "method='oakes' starts: use method='observed'"
        ) from None


def _by_replicates(problem: Problem, found: Replicates, method: str) -> StandardErrors:
    covariance = np.cov(found.values, rowvar=False).reshape(len(problem.places), -1)
    inside = Interior(problem.model, problem.params)
    remarks = np.full(len(problem.places), "", dtype=object)
    notes = list(found.notes)
    return _placed(problem, covariance, method, inside, remarks, notes, found.values)


def _placed(
    problem: Problem,
    covariance: Array,
    method: str,
    inside: Interior,
    remarks: Array,
    notes: list[str],
    replicates: Array | None = None,
) -> StandardErrors:
    """The errors at their places among all estimates, NaN for those that take no part."""
    places, names = problem.places, problem.labels()
    absent = np.ones(len(names), dtype=bool)
    absent[places] = False
    whole = np.full((len(names), len(names)), np.nan)
    whole[np.ix_(places, places)] = covariance
    low, high = np.full(len(names), -np.inf), np.full(len(names), np.inf)
    low[places], high[places] = inside.limits()
    words = np.full(len(names), "takes no part", dtype=object)
    words[places] = remarks
    if absent.any():
        notes.append(
            "without an error, for columns that are constant or empty take no part: "
            f"{listed(names, absent)}"
        )
    every = None
    if replicates is not None:
        every = np.full((len(replicates), len(names)), np.nan)
        every[:, places] = replicates
    return StandardErrors(
        problem.estimates,
        whole,
        method,
        limits=(low, high),
        remarks=words.tolist(),
        notes=tuple(notes),
        replicates=every,
    )


def listed(names: list[str], which: Array) -> str:
    """Names in a sentence, a few of them."""
    chosen = [names[i] for i in np.flatnonzero(which)]
    few = ", ".join(chosen[:NAMED])
    if len(chosen) > NAMED:
        few += f" and {len(chosen) - NAMED} more"
    return few
