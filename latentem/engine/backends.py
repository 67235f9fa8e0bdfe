"""Where the blocks of an E-step are worked on: here, or on a pool of threads.

Results are added in block order, whatever finished first, so they are the same
bits for any number of threads. While a backend works, BLAS and OpenMP are held
to one thread: two levels of threads get in each other's way.
"""

from __future__ import annotations

import multiprocessing
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
from joblib import cpu_count
from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController

from latentem.engine.model import Expectation, LatentModel
from latentem.engine.trees import add

__all__ = ["Backend", "SerialBackend", "ThreadBackend", "backend_for", "one_blas_thread"]


class Backend(ABC):
    """Maps a function over blocks, in order, and adds expectations."""

    @abstractmethod
    def map(self, function: Callable[[Any], Any], blocks: Iterable[Any]) -> Iterator[Any]:
        """``function(block)`` for each block, in the order of the blocks."""

    def expect(self, model: LatentModel, params: Any, blocks: Sequence[Any]) -> Expectation:
        """The E-step over all blocks: statistics and log-likelihoods added in order."""
        total: Expectation | None = None
        with np.errstate(all="ignore"):  # infinities and NaN are looked at by the driver
            prepared = model.prepare(params)
            for part in self.map(lambda block: model.e_step(prepared, block), blocks):
                total = part if total is None else Expectation(*add(tuple(total), tuple(part)))
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

    def map(self, function: Callable[[Any], Any], blocks: Iterable[Any]) -> Iterator[Any]:
        if isinstance(blocks, Sequence) and len(blocks) < 2:
            yield from SerialBackend().map(function, blocks)
            return
        pool = _pool(self.n_jobs, os.getpid())

        settings = np.geterr()

        def alike(block: Any) -> Any:
            with np.errstate(**settings):  # a thread begins with numpy's defaults
                return function(block)

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


@cache
def _pool(n_jobs: int, pid: int) -> ThreadPoolExecutor:
    """One pool per process and size: a forked child makes its own."""
    return ThreadPoolExecutor(n_jobs, thread_name_prefix="latentem")


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """A context in which BLAS and OpenMP use one thread."""
    return _controller().limit(limits=1)


def backend_for(n_jobs: int | None) -> Backend:
    """The backend that an `n_jobs` argument asks for.

    None means every core the process may use, but one inside a worker of joblib,
    Dask or multiprocessing; a negative number counts from all cores, -1 being all.
    """
    if n_jobs is None:
        worker = multiprocessing.parent_process() is not None
        nested = get_active_backend()[0].nesting_level
        n_jobs = 1 if worker or nested else cpu_count()
    elif isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer) or n_jobs == 0:
        raise ValueError(f"n_jobs must be None or a non-zero integer, got {n_jobs!r}")
    elif n_jobs < 0:
        n_jobs = max(cpu_count() + 1 + int(n_jobs), 1)
    return SerialBackend() if n_jobs == 1 else ThreadBackend(int(n_jobs))
