"""Where the blocks of an E-step are worked on: here, or on a pool of threads.

Results are added in a fixed order, whatever finished first, so they are the same
bits for any number of threads. While a backend works, BLAS and OpenMP are held
to one thread: two levels of threads get in each other's way.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from itertools import count
from threading import Lock
from typing import Any

import numpy as np
from joblib import cpu_count
from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController

from latentem.engine.model import SOFT, Expectation, How, LatentModel
from latentem.engine.sources import Empty, expectation
from latentem.engine.sums import TreeSum

__all__ = [
    "Backend",
    "SerialBackend",
    "ThreadBackend",
    "backend_for",
    "idle_threads",
    "one_blas_thread",
    "spread",
]


class Backend(ABC):
    """Maps a function over blocks, in order, and adds expectations."""

    @abstractmethod
    def map(self, function: Callable[[Any], Any], blocks: Iterable[Any]) -> Iterator[Any]:
        """``function(block)`` for each block, in the order of the blocks."""

    def expect(
        self, model: LatentModel, params: Any, blocks: Iterable[Any], how: How = SOFT
    ) -> Expectation:
        """The E-step over all blocks: statistics and log-likelihoods, in a fixed order of sums."""
        sums = TreeSum()
        with np.errstate(all="ignore"):  # infinities and NaN are looked at by the driver
            prepared = model.prepare(params)
            for part in self.map(lambda block: expectation(model, prepared, block, how), blocks):
                if isinstance(part, Empty):
                    continue
                if not isinstance(part, tuple) or len(part) != 3:
                    raise TypeError(
                        f"{type(model).__name__}.e_step must return an Expectation, got "
                        f"{type(part).__name__}"
                    )
                sums.add(Expectation(*part))
        total = sums.total()
        if total is None:
            raise ValueError("there are no blocks of data to fit to")
        return total


class SerialBackend(Backend):
    """One block after the other, in this thread."""

    def map(self, function: Callable[[Any], Any], blocks: Iterable[Any]) -> Iterator[Any]:
        for block in blocks:
            yield function(block)


class ThreadBackend(Backend):
    """Blocks spread over a pool of threads; at most a few wait to be added.

    Parameters
    ----------
    n_jobs : int
        Number of threads.
    """

    def __init__(self, n_jobs: int):
        if n_jobs < 1:
            raise ValueError(f"n_jobs must be at least 1 here, got {n_jobs}")
        self.n_jobs = n_jobs

    def pool(self) -> ThreadPoolExecutor:
        """The threads, shared by all backends with as many."""
        return _pool(self.n_jobs, os.getpid())

    def map(self, function: Callable[[Any], Any], blocks: Iterable[Any]) -> Iterator[Any]:
        if isinstance(blocks, Sequence) and len(blocks) < 2:
            lent = _lent.set(self)
            try:
                alone = [function(block) for block in blocks]
            finally:
                _lent.reset(lent)
            yield from alone
            return
        pool, alike = self.pool(), _with_settings(function)
        waiting: deque[Future] = deque()
        try:
            for block in blocks:
                waiting.append(pool.submit(alike, block))
                if len(waiting) > 2 * self.n_jobs + 2:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


#: The backend whose only block is being worked on, in that block's thread.
_lent: ContextVar[ThreadBackend | None] = ContextVar("latentem_lent_backend", default=None)


def spread(function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
    """``function(part)`` for each part, in order, on threads that have nothing else to do.

    For an E-step that can cut its block where data cannot be cut (one long chain). A
    backend with a single block lends its threads; with many blocks its threads are
    busy, and the parts are worked on here, one after the other. This thread works too, and
    goes on alone where the others are slow to wake: parts are often shorter than that.
    """
    backend = _lent.get()
    helpers = 0 if backend is None else min(backend.n_jobs, len(parts)) - 1
    if backend is None or helpers < 1:
        return [function(part) for part in parts]
    found: list[Any] = [None] * len(parts)
    turns = count()  # next() of it is atomic

    def work(_: Any = None) -> None:
        while (turn := next(turns)) < len(parts):
            found[turn] = function(parts[turn])

    alike = _with_settings(work)
    helping = [backend.pool().submit(alike, None) for _ in range(helpers)]
    try:
        work()
    finally:  # parts write to memory that is used again: wait for those under way
        begun = [future for future in helping if not future.cancel()]
        errors = [future.exception() for future in begun]
    for error in errors:
        if error is not None:
            raise error
    return found


def idle_threads() -> int:
    """How many threads the E-step of the block at hand may use: more than one where it is alone.

    For libraries that bring threads of their own.
    """
    backend = _lent.get()
    return 1 if backend is None else backend.n_jobs


def _with_settings(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function under the caller's numpy error settings: a thread begins with the defaults."""
    settings = np.geterr()

    def alike(part: Any) -> Any:
        with np.errstate(**settings):
            return function(part)

    return alike


@cache
def _pool(n_jobs: int, pid: int) -> ThreadPoolExecutor:
    """One pool per process and size: a forked child makes its own."""
    return ThreadPoolExecutor(n_jobs, thread_name_prefix="latentem")


def _controller() -> ThreadpoolController:
    """It knows the libraries loaded when it is made: made again when modules have been added."""
    return _controller_of(len(sys.modules))


@lru_cache(maxsize=1)
def _controller_of(n_modules: int) -> ThreadpoolController:
    return ThreadpoolController()


class _OneThread:
    """One thread for BLAS and OpenMP while any fit of the process is under way.

    BLAS has one limit for the whole process. The first fit to begin sets it and the
    last to end takes it back: a fit that restored what it found would, beside another
    one, restore the limit of that other fit for good. OpenMP has a limit per thread.
    """

    def __init__(self) -> None:
        self._lock, self._users = Lock(), 0
        self._limits: Any = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._users == 0:
                self._limits = _controller().select(user_api="blas").limit(limits=1)
            self._users += 1
        try:
            with _controller().select(user_api="openmp").limit(limits=1):
                yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._limits.restore_original_limits()


_one_thread = _OneThread()
if hasattr(os, "register_at_fork"):  # a lock held by another thread would stay held in a child
    os.register_at_fork(after_in_child=_one_thread.__init__)  # type: ignore[misc]


def one_blas_thread() -> AbstractContextManager[None]:
    """A context in which BLAS and OpenMP use one thread."""
    return _one_thread()


def _cores() -> int:
    """Cores the process may use."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return _cores_with(affinity, os.environ.get("LOKY_MAX_CPU_COUNT"))


@lru_cache(maxsize=1)
def _cores_with(affinity: int | None, limit: str | None) -> int:
    """The same, counted once: joblib reads files of the system, longer than a small E-step takes.

    Counted anew when one of the limits that a process can change has changed.
    """
    return int(cpu_count())


def backend_for(n_jobs: int | None) -> Backend:
    """The backend that an `n_jobs` argument asks for.

    None means every core the process may use, but one inside a worker of joblib,
    Dask or multiprocessing; a negative number counts from all cores, -1 being all.
    """
    if n_jobs is None:
        worker = multiprocessing.parent_process() is not None
        nested = get_active_backend()[0].nesting_level
        n_jobs = 1 if worker or nested else _cores()
    elif isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer) or n_jobs == 0:
        raise ValueError(f"n_jobs must be None or a non-zero integer, got {n_jobs!r}")
    elif n_jobs < 0:
        n_jobs = max(_cores() + 1 + int(n_jobs), 1)
    return SerialBackend() if n_jobs == 1 else ThreadBackend(int(n_jobs))
