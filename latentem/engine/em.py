"""The driver: settings of a fit, its starts, and the best of them.

What happens within one start is in `latentem.engine.climb`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Any, Literal

import numpy as np

from latentem.engine.acceleration import Accelerator
from latentem.engine.backends import Backend, backend_for, one_blas_thread
from latentem.engine.blocks import thin
from latentem.engine.checkpoints import Keeper, every, read_checkpoint
from latentem.engine.climb import Climb
from latentem.engine.dask_backend import DaskBackend, DaskSource, is_dask
from latentem.engine.incremental import Incremental
from latentem.engine.model import Diagnosis, How, LatentModel
from latentem.engine.online import MiniBatches
from latentem.engine.progress import progress_bar
from latentem.engine.result import EMResult, History, Reason, State
from latentem.engine.sources import Partitions, Source
from latentem.engine.strategies import (
    SHORT,
    STRATEGIES,
    Strategy,
    annealed,
    settle,
    short_runs,
    split_merge,
)
from latentem.engine.subsets import SubsetClimb
from latentem.engine.tracks import RECORDED, Track, diagnosed, light, result_of, worked

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
        the 2-norm of ``F(x) - x`` in natural parameters; with ``"gradient"`` what the
        model measures. 0 runs exactly `max_iter` maps.
    max_iter : int
        Most EM maps (M-steps), those inside accelerated cycles included.
    accelerate : {"auto", "squarem", "anderson"}, Accelerator factory or None
        "auto" starts with plain EM and turns SQUAREM on once plain EM is seen to
        be slow. None is plain EM.
    stopping : {"aitken", "step", "gradient"}
        "gradient" stops where ``LatentModel.kkt_residual`` is at most `tol`.
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
    subsets : int
        Ordered subsets: an M-step after each n-th part of the blocks, its statistics scaled
        up. Each pass over the data is about as good as n maps of EM, without a promise of
        convergence; nothing is accelerated, and `tol` is a change of the log-likelihood from
        pass to pass. See `latentem.engine.subsets`.
    callbacks : sequence of callables
        Each is called with every `State`; one that returns True stops the fit, the
        starts that have not begun included.
    progress : bool
        Show a tqdm bar.
    init_strategy : {"restarts", "short-runs", "annealing", "split-merge", "auto"}
        What is done about local maxima where no start is given; see
        `latentem.engine.strategies`. "auto" is "split-merge" for models with ``moves``.
    posterior : {"soft", "hard"}
        "hard" is classification EM: all weight at the most probable latent values.
    time_limit : float, optional
        Seconds after which to stop at the next point; the best so far is returned.
    checkpoint : path, optional
        Where to keep the whole state of the fit, for ``run(..., resume=path)``.
    checkpoint_every : int or str
        EM points, or seconds such as "30s", between two checkpoints.
    batch_size : int, optional
        Online EM instead: an M-step after every batch of so many units, by statistics averaged
        over batches; every M-step counts as a map. After each pass over all batches an
        E-step tells the objective; the fit ends when a pass gains no more than `tol`, or
        1e-5 nats a row. For rows in an order of chance.
    incremental : bool
        Incremental EM instead: an M-step after every few blocks, with the last statistics of
        the others; the free energy rises with each, and `tol` is its gain still to come. Fewer
        passes over large data.

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
    stopping: Literal["aitken", "step", "gradient"] = "aitken"
    space: Literal["unconstrained", "natural"] = "unconstrained"
    n_init: int = 1
    on_decrease: Literal["revert", "warn", "raise", "ignore"] = "revert"
    backend: Backend | None = None
    n_jobs: int | None = None
    block_size: int | None = None
    subsets: int = 1
    callbacks: Sequence[Callback] = ()
    progress: bool = False
    time_limit: float | None = None
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_every: int | str = "30s"
    batch_size: int | None = None
    incremental: bool = False
    init_strategy: Strategy = "restarts"
    posterior: Literal["soft", "hard"] = "soft"

    def __post_init__(self) -> None:
        if not (isinstance(self.tol, int | float | np.number) and self.tol >= 0):
            raise ValueError(f"tol must be a number >= 0, got {self.tol!r}")
        for name, least in (("max_iter", 0), ("n_init", 1), ("subsets", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"{name} must be an integer >= {least}, got {value!r}")
        choices = {
            "stopping": ("aitken", "step", "gradient"),
            "space": ("unconstrained", "natural"),
            "on_decrease": ("revert", "warn", "raise", "ignore"),
            "init_strategy": STRATEGIES,
            "posterior": ("soft", "hard"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")
        known = ("auto", "squarem", "anderson", None)
        if self.subsets > 1 and self.stopping != "aitken":
            raise ValueError(
                f"ordered subsets stop where passes no longer differ: leave "
                f"stopping={self.stopping!r} out, or subsets=1"
            )
        if self.subsets > 1 and self.checkpoint is not None:
            raise ValueError("ordered subsets keep no checkpoints: leave checkpoint out")
        if not (self.accelerate in known or callable(self.accelerate)):
            raise ValueError(
                f"accelerate must be 'auto', 'squarem', 'anderson', None or a callable that makes "
                f"an Accelerator, got {self.accelerate!r}"
            )
        calls = self.callbacks
        if not isinstance(calls, Sequence) or not all(callable(call) for call in calls):
            raise ValueError(f"callbacks must be a list of functions of one State, got {calls!r}")
        limit = self.time_limit
        if limit is not None and not (isinstance(limit, int | float | np.number) and limit > 0):
            raise ValueError(f"time_limit must be a number of seconds > 0, got {limit!r}")
        every(self.checkpoint_every)
        size = self.batch_size
        whole = isinstance(size, int | np.integer) and not isinstance(size, bool) and size >= 1
        if size is not None and not whole:
            raise ValueError(f"batch_size must be None or an integer >= 1, got {size!r}")
        if self.incremental and size is not None:
            raise ValueError("batch_size is for online EM and incremental=True is another: use one")
        if self.subsets > 1 and (self.incremental or size is not None):
            raise ValueError("subsets, batch_size and incremental are three ways to fit: use one")

    def run(
        self,
        model: LatentModel,
        data: Any,
        start: StartLike = None,
        rng: np.random.Generator | int | None = None,
        resume: str | os.PathLike[str] | None = None,
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
        resume : path, optional
            A checkpoint to go on from, of the same model, data and settings: the fit ends
            at the bits at which it would have ended. `rng` and finished starts come from there.

        Returns
        -------
        EMResult
            After Ctrl-C, once there is a point, the best so far.

        Raises
        ------
        CollapsedError
            When no start survives.
        ValueError
            For a checkpoint of another model, other data or other settings.
        """
        began = time.perf_counter()
        given = start is not None and not callable(start)
        starts = start if isinstance(start, list) else [start] * (1 if given else self.n_init)
        strategy = self.strategy(model, data, given, resume is not None)
        if strategy == "short-runs" and not isinstance(start, list):
            starts = starts * SHORT
        rng = np.random.default_rng(rng)
        generators = rng.spawn(len(starts))
        if resume is not None and self.subsets > 1:
            raise ValueError("ordered subsets cannot be resumed: leave resume out, or subsets=1")
        saved = None if resume is None else read_checkpoint(resume, self, model)
        if saved is not None:
            generators = saved.generators()
        keeper = Keeper(self, model, generators)
        with one_blas_thread(), progress_bar(self.progress, self.tol) as bar:
            blocks = self._blocks(model, data)
            backend = self._backend(blocks)

            def begin(index: int) -> Any:
                make = partial(_start, model, blocks, starts[index], generators[index])
                if strategy == "annealing":
                    return annealed(self, model, blocks, backend, make)
                return make()

            tracks: list[Track] = []
            if saved is not None:
                tracks = saved.tracks(partial(begin, 0), *RECORDED)
                tracks = [worked(track, model, blocks, backend, saved) for track in tracks]
            done, first = [light(track) for track in tracks], len(tracks)
            left: dict[int, Any] = {}
            if strategy == "short-runs":
                stop = partial(self._stops, began)
                begins = [partial(begin, index) for index in range(len(starts))]
                given_up, left = short_runs(self, model, blocks, backend, begins, stop)
                tracks = [Track(s.start, s, History(), Diagnosis()) for s in given_up]
            for index in range(first, len(starts)):
                if left and index not in left:
                    continue
                history, last = History(), None
                make = left.get(index, partial(begin, index))
                climb = self._climb(model, blocks, backend, make, index)
                going_on = saved is not None and saved.running and index == first
                if saved is not None and going_on and isinstance(climb, Climb):
                    climb.resume(saved)
                    history = History(saved.rows())
                try:
                    for last in self._told(climb, began):
                        history.record(last)
                        bar.update(index, len(generators), last)
                        if last.accepted and (last.reason is None or not last.reason.converged):
                            keeper.keep(climb, history, done)
                except KeyboardInterrupt:
                    if last is None and not tracks:
                        raise
                    last = None if last is None else last._replace(reason=Reason.INTERRUPTED)
                if last is not None:
                    tracks.append(Track(index, last, history, diagnosed(model, last, self)))
                if last is None or last.reason is None or last.reason.cut_short:
                    keeper.write()
                    break
                if last.reason is Reason.MAX_ITER and index == len(starts) - 1:
                    keeper.write()  # a resumed fit may have a larger max_iter
                    break
                done = [light(track) for track in tracks]
                keeper.keep(climb, history, done, finished=True)
            else:
                if strategy == "split-merge":
                    few = _thinned(blocks, rng.spawn(1)[0])
                    fresh = partial(_start, model, blocks, starts[-1])
                    own = rng.spawn(1)[0]
                    self._move(model, blocks, few, backend, tracks, fresh, own, began)
            tracks.sort(key=attrgetter("number"))
            found = result_of(self, model, tracks, len(tracks), time.perf_counter() - began)
            if self.posterior == "hard":  # what was raised is not the log-likelihood
                loglik = float(backend.expect(model, found.params, blocks).loglik)
                found = replace(found, loglik=loglik, posterior="hard")
        return found

    def strategy(self, model: LatentModel, data: Any, given: bool, resumed: bool) -> str:
        """What is done about local maxima in this fit; ValueError where it cannot be."""
        wanted = self.init_strategy
        kept = resumed or self.checkpoint is not None
        outside = (
            isinstance(data, Source)
            or is_dask(data)
            or self.subsets > 1
            or self.batch_size is not None
        )
        return settle(wanted, model, self.posterior, given, kept, outside or self.incremental)

    def _stops(self, began: float, state: State) -> bool:
        """Whether a callback or the clock ends the fit at this state of a short run."""
        late = self.time_limit is not None and time.perf_counter() - began >= self.time_limit
        stop = [bool(callback(state)) for callback in self.callbacks]
        return any(stop) or late

    def _move(
        self, model: LatentModel, blocks: Any, few: Any, backend: Backend,
        tracks: list[Track], fresh: Callable[[Any], Any], rng: np.random.Generator, began: float,
    ) -> None:  # fmt: skip
        """Go on from the best start by moves, as long as they lead higher; adds to `tracks`."""
        sound = [t for t in tracks if t.last.reason is not None and t.last.reason.converged]
        sound = [track for track in sound if not track.found.degenerate]
        if not sound:
            return
        standing = max(sound, key=lambda track: track.last.objective)
        search = split_merge(
            self, model, blocks, few, backend, standing.last, fresh, rng, len(tracks)
        )
        trial = next(search, None)
        while trial is not None:
            history, last = History(), None
            for last in self._told(trial, began):
                history.record(last)
            assert last is not None
            assert last.reason is not None
            track = Track(trial.number, last, history, diagnosed(model, last, self))
            tracks.append(track)
            if last.reason.cut_short:
                return
            try:
                trial = search.send(last.reason.converged and not track.found.degenerate)
            except StopIteration:
                return

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
        settle("restarts", model, self.posterior, True, False, False)
        blocks = self._blocks(model, data)
        begin = partial(_start, model, blocks, start, np.random.default_rng(rng))
        climb = self._climb(model, blocks, self._backend(blocks), begin)
        states = self._told(climb, time.perf_counter())
        while True:
            with one_blas_thread():
                state = next(states, None)
            if state is None:
                return
            yield state

    def _backend(self, blocks: Any) -> Backend:
        """Where E-steps run: what was asked for, or where the data are."""
        if self.backend is not None:
            return self.backend
        if isinstance(blocks, Partitions) and isinstance(blocks.source, DaskSource):
            return DaskBackend(blocks.source.client)
        return backend_for(self.n_jobs)

    def _blocks(self, model: LatentModel, data: Any) -> Any:
        """The data as blocks of the model, or the partitions of a source, read in every pass."""
        size = self.block_size if self.batch_size is None else self.batch_size
        outside = isinstance(data, Source) or is_dask(data)
        if (outside or self.incremental or self.batch_size is not None) and not model.additive:
            raise ValueError(
                f"{model!r} has statistics that do not add up over blocks, so it cannot be fitted "
                "piece by piece: pass data that fit into memory, and leave batch_size and "
                "incremental out"
            )
        if is_dask(data):
            data = DaskSource(data, getattr(self.backend, "client", None))
        if isinstance(data, Source):
            return Partitions(model, data, size)
        return list(model.blocks(data, size))

    def _climb(
        self, model: LatentModel, blocks: Any, backend: Backend, begin: Any, number: int = 0
    ) -> Climb | SubsetClimb:
        """What takes one start to its end."""
        if self.subsets == 1 and self.batch_size is None and not self.incremental:
            return Climb(self, model, blocks, backend, begin, number, How(self.posterior))
        kind: type[Climb] | type[SubsetClimb] = Climb if self.subsets == 1 else SubsetClimb
        if self.batch_size is not None:
            kind = MiniBatches
        elif self.incremental:
            kind = Incremental
        return kind(self, model, blocks, backend, begin, number)

    def _told(self, climb: Iterable[State], began: float) -> Iterator[State]:
        """The states of a climb, shown to the callbacks; one that returns True ends it."""
        for state in climb:
            stop = [bool(callback(state)) for callback in self.callbacks]
            if any(stop) and state.reason is None:
                yield state._replace(reason=Reason.CALLBACK)
                return
            late = self.time_limit is not None and time.perf_counter() - began >= self.time_limit
            if late and state.reason is None:
                yield state._replace(reason=Reason.TIME_LIMIT)
                return
            yield state


def _start(model: LatentModel, blocks: Any, start: StartLike, rng: Any) -> Any:
    if start is not None and not callable(start):
        return start
    make = model.initialize if start is None else start
    return make(_thinned(blocks, rng), rng)


def _thinned(blocks: Any, rng: Any) -> Any:
    if isinstance(blocks, Partitions):
        return blocks.thin(START_ROWS, rng)
    return thin(blocks, START_ROWS, rng)
