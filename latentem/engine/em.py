"""The driver: settings of a fit, its starts, and the best of them.

What happens within one start is in `latentem.engine.climb`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from latentem.engine.acceleration import Accelerator
from latentem.engine.backends import Backend, backend_for, one_blas_thread
from latentem.engine.blocks import thin
from latentem.engine.climb import Climb
from latentem.engine.model import Diagnosis, LatentModel
from latentem.engine.progress import progress_bar
from latentem.engine.result import CollapsedError, EMResult, History, Reason, Start, State
from latentem.engine.warnings import (
    ConvergenceWarning,
    DegenerateComponentWarning,
    NotIdentifiedWarning,
    tell,
)

__all__ = ["EM"]

#: Rows that `initialize` sees at most.
START_ROWS = 16384

StartLike = Any | Callable[[Sequence[Any], np.random.Generator], Any] | None
Callback = Callable[[State], Any]


@dataclass(frozen=True, kw_only=True)
class EM:
    """Settings of a fit, and the two ways to run it.

    Parameters
    ----------
    tol : float
        With ``stopping="aitken"`` the projected remaining gain of the objective,
        in nats of the whole weighted sample, at which to stop; with ``"step"``
        the 2-norm of ``F(x) - x`` in natural parameters. 0 runs exactly
        `max_iter` maps.
    max_iter : int
        Most EM maps (M-steps), those inside accelerated cycles included.
    accelerate : {"auto", "squarem", "anderson"}, Accelerator factory or None
        "auto" starts with plain EM and turns SQUAREM on once plain EM is seen to
        be slow. None is plain EM.
    stopping : {"aitken", "step"}
    space : {"unconstrained", "natural"}
        Coordinates in which acceleration extrapolates.
    n_init : int
        Number of starts; the best is returned and all are kept.
    on_decrease : {"revert", "warn", "raise", "ignore"}
        What a map that lowers the objective beyond rounding leads to: end at the
        better point, go on with a warning, ArithmeticError, go on.
    backend : Backend, optional
        Where E-steps run; by default threads as `n_jobs` says.
    n_jobs : int or None
        None uses the cores the process may use. Results do not depend on it.
    block_size : int, optional
        Units per block; by default the model decides.
    callbacks : sequence of callables
        Each is called with every `State`; one that returns True stops the fit, the
        starts that have not begun included.
    progress : bool
        Show a tqdm bar.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import EM, models, families
    >>> X = np.array([[0.0], [0.2], [-0.1], [5.0], [5.3], [4.9]])
    >>> result = EM(tol=1e-6).run(models.Mixture(families.Gaussian("tied"), 2), X, rng=0)
    >>> result.converged
    True
    """

    tol: float = 1e-3
    max_iter: int = 1000
    accelerate: Literal["auto", "squarem", "anderson"] | Callable[[], Accelerator] | None = "auto"
    stopping: Literal["aitken", "step"] = "aitken"
    space: Literal["unconstrained", "natural"] = "unconstrained"
    n_init: int = 1
    on_decrease: Literal["revert", "warn", "raise", "ignore"] = "revert"
    backend: Backend | None = None
    n_jobs: int | None = None
    block_size: int | None = None
    callbacks: Sequence[Callback] = ()
    progress: bool = False

    def __post_init__(self) -> None:
        if not (isinstance(self.tol, int | float | np.number) and self.tol >= 0):
            raise ValueError(f"tol must be a number >= 0, got {self.tol!r}")
        for name, least in (("max_iter", 0), ("n_init", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"{name} must be an integer >= {least}, got {value!r}")
        choices = {
            "stopping": ("aitken", "step"),
            "space": ("unconstrained", "natural"),
            "on_decrease": ("revert", "warn", "raise", "ignore"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")
        known = ("auto", "squarem", "anderson", None)
        if not (self.accelerate in known or callable(self.accelerate)):
            raise ValueError(
                f"accelerate must be 'auto', 'squarem', 'anderson', None or a callable that makes "
                f"an Accelerator, got {self.accelerate!r}"
            )
        calls = self.callbacks
        if not isinstance(calls, Sequence) or not all(callable(call) for call in calls):
            raise ValueError(f"callbacks must be a list of functions of one State, got {calls!r}")

    def run(
        self,
        model: LatentModel,
        data: Any,
        start: StartLike = None,
        rng: np.random.Generator | int | None = None,
    ) -> EMResult:
        """Fit `model` to `data` and return the best of `n_init` starts.

        Parameters
        ----------
        model : LatentModel
        data : whatever ``model.blocks`` takes
            By default an array or a tuple of arrays of one length.
        start : params, callable, or list of such, optional
            Parameters to start from (then there is one start), or a function of
            (blocks, rng) that makes them. A list has one for each start, whatever `n_init`
            is. By default ``model.initialize``.
        rng : Generator or int, optional

        Returns
        -------
        EMResult

        Raises
        ------
        CollapsedError
            When no start survives.
        """
        began = time.perf_counter()
        given = start is not None and not callable(start)
        starts = start if isinstance(start, list) else [start] * (1 if given else self.n_init)
        generators = np.random.default_rng(rng).spawn(len(starts))
        with one_blas_thread(), progress_bar(self.progress) as bar:
            backend = self._backend()
            blocks = list(model.blocks(data, self.block_size))
            tracks = []
            for index, generator in enumerate(generators):
                history, last = History(), None
                begin = partial(_start, model, blocks, starts[index], generator)
                for last in self._told(Climb(self, model, blocks, backend, begin, index)):
                    history.record(last)
                    bar.update(index, len(generators), last)
                assert last is not None
                tracks.append(_Track(index, last, history, _diagnose(model, last, self)))
                if last.reason is Reason.CALLBACK:
                    break
        return self._result(model, tracks, len(starts), time.perf_counter() - began)

    def iterate(
        self,
        model: LatentModel,
        data: Any,
        start: StartLike = None,
        rng: np.random.Generator | int | None = None,
    ) -> Iterator[State]:
        """Climb from one start, yielding a `State` for every point tried.

        The first state is the start itself; the last has a `reason`. Arguments
        are those of `run`; `n_init` and `progress` are not used.

        Examples
        --------
        >>> import numpy as np
        >>> from latentem import EM, models, families
        >>> counts = np.array([[0.0], [1.0], [0.0], [7.0], [9.0]])
        >>> model = models.Mixture(families.Poisson(), 2)
        >>> objectives = [s.objective for s in EM().iterate(model, counts, rng=0)]
        >>> bool(np.all(np.diff(objectives) >= -1e-9))
        True
        """
        blocks = list(model.blocks(data, self.block_size))
        begin = partial(_start, model, blocks, start, np.random.default_rng(rng))
        states = self._told(Climb(self, model, blocks, self._backend(), begin))
        while True:
            with one_blas_thread():
                state = next(states, None)
            if state is None:
                return
            yield state

    def _backend(self) -> Backend:
        return backend_for(self.n_jobs) if self.backend is None else self.backend

    def _told(self, climb: Climb) -> Iterator[State]:
        """The states of a climb, shown to the callbacks; one that returns True ends it."""
        for state in climb:
            stop = [bool(callback(state)) for callback in self.callbacks]
            if any(stop) and state.reason is None:
                yield state._replace(reason=Reason.CALLBACK)
                return
            yield state

    def _result(
        self, model: LatentModel, tracks: list[_Track], wanted: int, seconds: float
    ) -> EMResult:
        alive = [track for track in tracks if track.last.reason is not Reason.COLLAPSED]
        if not alive:
            which = "the only start" if len(tracks) == 1 else f"each of the {len(tracks)} starts"
            raise CollapsedError(
                f"{which} collapsed: {tracks[-1].last.error}. Use fewer components, "
                "another start, or a prior."
            )
        best = max(alive, key=lambda track: (not track.found.degenerate, track.last.objective))
        last = best.last
        assert last.reason is not None
        return EMResult(
            model=model,
            params=last.params,
            objective=last.objective,
            loglik=last.loglik,
            reason=last.reason,
            degenerate=best.found.degenerate,
            notes=best.found.notes + best.found.not_identified + _cut_short(tracks, wanted, best),
            n_iter=last.n_iter,
            n_certify=last.n_certify,
            n_e_steps=last.n_e_steps,
            projected_gain=last.projected_gain,
            rate=last.rate,
            history=best.history,
            starts=tuple(track.record() for track in tracks),
            best_start=best.number,
            seconds=seconds,
            statistics=last.statistics,
            weight=last.weight,
            warnings=self._warn(best),
        )

    def _warn(self, track: _Track) -> tuple[str, ...]:
        """Warn of what the user should know, and return the sentences."""
        last, told = track.last, []
        assert last.reason is not None
        if last.reason is Reason.MAX_ITER and self.tol > 0:
            gain = last.projected_gain
            ahead = f"about {gain:.2g} nats" if math.isfinite(gain) else "an unknown gain"
            text = (
                f"EM stopped at max_iter={self.max_iter} with {ahead} of log-likelihood still "
                f"to come (tol={self.tol:g}): raise max_iter, or loosen tol."
            )
            told.append((text, ConvergenceWarning, "reason-max-iter"))
        elif last.reason in (Reason.DECREASED, Reason.IMPOSSIBLE):
            text, place = f"EM did not converge: {last.reason.sentence}.", last.reason.name.lower()
            told.append((text, ConvergenceWarning, f"reason-{place}"))
        told += [
            (text, DegenerateComponentWarning, "warning-degenerate")
            for text in track.found.degenerate
        ]
        if last.reason.converged:  # before that, they are on their way
            told += [
                (text, NotIdentifiedWarning, "warning-not-identified")
                for text in track.found.not_identified
            ]
        for text, category, place in told:
            tell(f"{text} (Guide: did-it-converge, {place})", category)
        return tuple(text for text, _, _ in told)


class _Track(NamedTuple):
    """One finished climb."""

    number: int
    last: State
    history: History
    found: Diagnosis

    def record(self) -> Start:
        last = self.last
        assert last.reason is not None
        return Start(
            number=self.number,
            objective=last.objective,
            loglik=last.loglik,
            reason=last.reason,
            n_iter=last.n_iter,
            degenerate=self.found.degenerate,
            params=last.params,
            error=last.error,
        )


def _cut_short(tracks: list[_Track], wanted: int, best: _Track) -> tuple[str, ...]:
    """A note where a callback ended the fit in another start than the best."""
    last = tracks[-1]
    if last.last.reason is not Reason.CALLBACK or last is best:
        return ()
    return (f"a callback stopped the fit in start {len(tracks)} of {wanted}",)


def _start(model: LatentModel, blocks: list[Any], start: StartLike, rng: Any) -> Any:
    if start is not None and not callable(start):
        return start
    make = model.initialize if start is None else start
    return make(thin(blocks, START_ROWS, rng), rng)


def _diagnose(model: LatentModel, last: State, settings: EM) -> Diagnosis:
    if last.reason is Reason.COLLAPSED or last.loglik == -math.inf:
        return Diagnosis()  # impossible rows are in no statistics, which tell nothing then
    found = model.diagnose(last.params, last.statistics)
    if settings.accelerate == "auto" and model.constraints() is None:
        note = "accelerate='auto' stayed with plain EM: the model declares no constraints()"
        found = found._replace(notes=(*found.notes, note))
    return found
