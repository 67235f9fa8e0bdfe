"""Many fits at once: replicates of a bootstrap, candidates of a selection."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from joblib import Parallel, delayed

from latentem.engine.backends import backend_for
from latentem.engine.progress import counted_bar

__all__ = ["each"]


def each(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    n_jobs: int | None,
    *,
    progress: bool = False,
    what: str = "fits",
) -> list[Any]:
    """``function(*task)`` for each task, in order, without a warning of any of them.

    Worked on by `n_jobs` threads of joblib, or where ``joblib.parallel_config`` says.
    """
    jobs = getattr(backend_for(n_jobs), "n_jobs", 1)
    with warnings.catch_warnings():  # once, here: filters belong to the whole process
        warnings.simplefilter("ignore")
        workers = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
        found = workers(delayed(_quietly)(function, task) for task in tasks)
        return list(counted_bar(found, progress, what, "fit", len(tasks)))


def _quietly(function: Callable[..., Any], task: tuple[Any, ...]) -> Any:
    """The function without warnings; a thread that is not the first must not change filters."""
    if threading.current_thread() is not threading.main_thread():
        return function(*task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*task)
