r"""The bootstrap likelihood-ratio test for the number of components (McLachlan 1987).

:math:`2(\ell_{K+1} - \ell_K)` has no chi-squared distribution under K components: a weight
is on its boundary there, and the parameters of the component that is too many are free. So
its distribution is simulated: data are drawn from the fit of K components, both
numbers are fitted to them, and the p-value is :math:`(1 + \#\{\text{as large}\}) / (1 + B)`
(doi:10.2307/2347790).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from latentem.engine.backends import SerialBackend
from latentem.engine.bootstrap import Refit, check_count, lifted, refit, told
from latentem.engine.differences import STEP, steps
from latentem.engine.flat import FlatSpace
from latentem.engine.model import LatentModel
from latentem.engine.parallel import each
from latentem.engine.problem import Problem, problem_of
from latentem.engine.seeds import generator
from latentem.engine.text_tables import html_table, text_table
from latentem.engine.warnings import NotIdentifiedWarning

__all__ = ["BootstrapLRT", "LikelihoodRatioTest", "bootstrap_lrt"]

Array = np.ndarray

#: Fewest replicates of a test.
FEWEST = 19
#: How far the halves of a component that is split go apart, in its own units.
APART = 0.5
#: Nats within which a fit of more components may end below one of fewer.
SLACK = 1e-2


class LikelihoodRatioTest(NamedTuple):
    """One test of `n_components` against one more.

    `statistic` is twice the difference of the log-likelihoods, `replicates` (B,) its values
    under `n_components`, and `notes` are sentences about replicates that do not count.
    """

    n_components: int
    loglik: float
    loglik_alternative: float
    statistic: float
    p_value: float
    replicates: Array
    notes: tuple[str, ...] = ()


class BootstrapLRT:
    """The outcome of `bootstrap_lrt`.

    Attributes
    ----------
    tests : tuple of LikelihoodRatioTest
        In the order in which they were made; the last is the first that did not reject, if
        there is one.
    level : float
    n_components : int
        The first number that was not rejected; one more than the last tested if all were.
    best : estimator
        The fit of that many.
    statistic, p_value : float
        Of the last test.
    """

    def __init__(self, tests: Sequence[LikelihoodRatioTest], fits: dict[int, Any], level: float):
        self.tests = tuple(tests)
        self.level = level
        last = self.tests[-1]
        self.statistic, self.p_value = last.statistic, last.p_value
        self.n_components = last.n_components + (last.p_value <= level)
        self.best = fits[self.n_components]

    def _columns(self) -> tuple[list[str], list[list[str]]]:
        header = ["components", "against", "log-lik", "log-lik", "2 x difference", "p-value", ""]
        rows = []
        for test in self.tests:
            verdict = "rejected" if test.p_value <= self.level else "not rejected"
            rows.append(
                [
                    f"{test.n_components}",
                    f"{test.n_components + 1}",
                    f"{test.loglik:.3f}",
                    f"{test.loglik_alternative:.3f}",
                    f"{test.statistic:.3f}",
                    f"{test.p_value:.3g}",
                    verdict,
                ]
            )
        return header, rows

    def _notes(self) -> list[str]:
        return [f"{test.n_components}: {note}" for test in self.tests for note in test.notes]

    def __str__(self) -> str:
        drawn = f"{len(self.tests[-1].replicates)} replicates, level {self.level:g}"
        return "\n".join([text_table(*self._columns()), drawn, *self._notes()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(*self._columns())

    def to_frame(self) -> Any:
        """The tests as a pandas DataFrame (needs pandas)."""
        import pandas

        frame = pandas.DataFrame([test._asdict() for test in self.tests])
        return frame.drop(columns=["replicates", "notes"])


def bootstrap_lrt(
    estimator: Any,
    X: Any,
    n_components: int | Iterable[int] | None = None,
    *,
    sample_weight: Any = None,
    lengths: Any = None,
    level: float = 0.05,
    n_replicates: int = 99,
    random_state: Any = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> BootstrapLRT:
    """Test K components, or states, against K + 1 by the parametric bootstrap.

    Parameters
    ----------
    estimator : mixture or hidden Markov estimator
        A template; it is cloned, not changed. Fits to X have its settings; those to
        replicates its `n_init`, `init_params` and model.
    X : array-like (n_samples, n_features)
        For a hidden Markov model a list of sequences too.
    n_components : int or increasing integers, optional
        K, by default that of the estimator. Of several, such as ``range(1, 6)``, each is
        tested in turn until one is not rejected.
    sample_weight : array-like, optional
        Whole numbers: repetitions of a row, or of a sequence.
    lengths : (n_sequences,) array-like of int, optional
    level : float
        Largest p-value that rejects K.
    n_replicates : int
        Data sets drawn under K. The least p-value is ``1 / (1 + n_replicates)``.
    random_state : optional
        None, int or Generator. The same seed gives the same test for any `n_jobs`.
    n_jobs : int or None
        Threads over the replicates; None uses the cores the process may use. Another backend
        is chosen by ``joblib.parallel_config``.
    progress : bool
        Show a tqdm bar over the replicates.

    Returns
    -------
    BootstrapLRT
        Print it for a table; ``p_value`` and ``statistic`` are those of the last test, and
        ``n_components`` is the number it leads to.

    Raises
    ------
    ValueError
        Where a fit is degenerate, or too many replicates are.

    References
    ----------
    McLachlan (1987), On bootstrapping the likelihood ratio test statistic for the number of
    components in a normal mixture, doi:10.2307/2347790.

    Examples
    --------
    >>> from latentem import PoissonHMM, bootstrap_lrt
    >>> from latentem.datasets import load_earthquakes
    >>> counts = load_earthquakes()[["count"]]
    >>> test = bootstrap_lrt(
    ...     PoissonHMM(random_state=0), counts, 1, n_replicates=19, random_state=0
    ... )
    >>> round(test.statistic, 2), test.p_value
    (100.08, 0.05)
    """
    if isinstance(estimator, type) or not hasattr(estimator, "em_problem"):
        raise TypeError(
            f"estimator must be an estimator such as GaussianMixture(), got {estimator!r}"
        )
    kind = type(estimator).__name__
    if "n_components" not in estimator.get_params():
        raise ValueError(
            f"{kind} has no n_components: the test is for mixtures and hidden Markov models"
        )
    nulls = _numbers(estimator.n_components if n_components is None else n_components)
    check_count(n_replicates, FEWEST)
    if not (isinstance(level, float) and 0 < level < 1):
        raise ValueError(f"level must lie between 0 and 1, such as 0.05, got {level!r}")
    more = {"sample_weight": sample_weight} | ({} if lengths is None else {"lengths": lengths})
    fits: dict[int, Any] = {}
    tests: list[LikelihoodRatioTest] = []
    streams = generator(random_state).spawn(len(nulls))
    for k, stream in zip(nulls, streams, strict=True):
        for number in (k, k + 1):
            if number not in fits:
                fits[number] = _fitted(estimator, number, X, more)
        problem = problem_of(fits[k], X, sample_weight, lengths, None)
        wider = problem_of(fits[k + 1], X, sample_weight, lengths, None)
        tests.append(
            _tested(
                problem, wider, fits[k].loglik_, fits[k + 1].loglik_, estimator.n_init,
                stream.spawn(n_replicates), n_jobs, progress,
            )
        )  # fmt: skip
        if tests[-1].p_value > level:
            break
    return BootstrapLRT(tests, fits, level)


def _numbers(asked: int | Iterable[int]) -> list[int]:
    numbers = list(asked) if isinstance(asked, Iterable) else [asked]
    whole = all(isinstance(k, int | np.integer) and not isinstance(k, bool) for k in numbers)
    if not numbers or not whole or min(numbers) < 1 or sorted(set(numbers)) != numbers:
        raise ValueError(f"n_components must be an integer >= 1, or increasing ones, got {asked!r}")
    return [int(k) for k in numbers]


def _fitted(estimator: Any, k: int, X: Any, more: dict[str, Any]) -> Any:
    with warnings.catch_warnings():  # one component too many is what is tested
        warnings.simplefilter("ignore", NotIdentifiedWarning)
        fitted = clone(estimator).set_params(n_components=k).fit(X, **more)
    if fitted.result_.degenerate:
        raise ValueError(
            f"the fit of {k} components is degenerate, so its likelihood tests nothing: "
            f"{fitted.result_.degenerate[0]}. Use a prior, or covariances of fewer parameters"
        )
    return fitted


def _tested(
    null: Problem,
    wider: Problem,
    loglik: float,
    loglik_alternative: float,
    n_init: int,
    generators: list[np.random.Generator],
    n_jobs: int | None,
    progress: bool,
) -> LikelihoodRatioTest:
    model = null.model
    weight = SerialBackend().expect(model, null.params, list(model.blocks(null.data))).weight
    tasks = [(null, wider.model, round(weight), n_init, rng) for rng in generators]
    found = each(_ratio, tasks, n_jobs, progress=progress, what="replicates")
    statistics = np.array([value for value, error in found if error is None])
    notes = told([Refit(None, value, True, error) for value, error in found])
    if len(statistics) < max(FEWEST // 2, len(found) // 2):
        raise ValueError(
            f"too few of {len(found)} replicates could be fitted: {notes[0]}. Use a prior, or "
            "covariances of fewer parameters"
        )
    statistic = max(2 * (loglik_alternative - loglik), 0.0)
    if loglik_alternative < loglik - SLACK:
        notes = (*notes, "the fit of one component more ended below that of fewer: raise n_init")
    p_value = (1 + int(np.sum(statistics >= statistic))) / (1 + len(statistics))
    k = int(model.n_components)  # type: ignore[attr-defined]
    return LikelihoodRatioTest(k, loglik, loglik_alternative, statistic, p_value, statistics, notes)


def _ratio(
    null: Problem, wider: LatentModel, n: int, n_init: int, rng: np.random.Generator
) -> tuple[float, str | None]:
    """The statistic of one replicate, or why there is none."""
    model = null.model
    data = model.sample_like(null.params, null.data, n, rng)
    fewer = refit(model, data, lifted(model, null.params))
    if fewer.error is not None:
        return np.nan, fewer.error
    more = refit(wider, data, None, rng, n_init)
    if more.error is not None or more.loglik < fewer.loglik:
        try:
            again = refit(wider, data, _split(model, wider, fewer.params, data, rng))
        except (NotImplementedError, np.linalg.LinAlgError) as error:
            again = Refit(None, np.nan, False, str(error))
        if again.error is None and not again.loglik <= more.loglik:
            more = again
    if more.error is not None:
        return np.nan, more.error
    return max(2 * (more.loglik - fewer.loglik), 0.0), None


def _split(
    model: LatentModel, wider: LatentModel, params: Any, data: Any, rng: np.random.Generator
) -> Any:
    """Parameters of one component more: one of them, split into two that lean apart."""
    k = model.n_components  # type: ignore[attr-defined]
    doubled = model.relabel(params, np.append(np.arange(k), rng.integers(k)))
    space = FlatSpace(wider.constraints(), doubled)
    even = space.unpack(space.pack(lifted(wider, doubled)))
    statistics, _, weight = SerialBackend().expect(wider, even, list(wider.blocks(data)))
    at = space.pack(even)
    unit = steps(lambda where: wider.expected_loglik(space.unpack(where), statistics), at) / STEP
    move = APART * unit * np.sqrt(weight / (k + 1)) * rng.standard_normal(len(at))
    return space.unpack(at + move)
