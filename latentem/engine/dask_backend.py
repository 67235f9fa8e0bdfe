"""E-steps on the workers of a Dask cluster: data stay there, parameters go out, sums come back.

Each partition is a task: the worker reads it, cuts it into the blocks of the model and encodes
them, once, and keeps them. An E-step is one task for each partition, which gets the
parameters as a plain argument and makes what it needs of them there, and tasks that add the
results in the order of `latentem.engine.sums`, 16 together, until one sum is left: the bits are
those of one machine with the same partitions. In an iteration a worker receives the parameters
once for each of its partitions, and a sum leaves it for every 16 partitions or so.

A worker that dies takes its partitions along. Dask makes them again on another, from the recipes
of the tasks; data that this process scattered are scattered again. The answer is the same.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import cache
from itertools import count
from typing import Any

import numpy as np

from latentem.engine.backends import Backend, one_blas_thread
from latentem.engine.blocks import evenly
from latentem.engine.model import SOFT, Expectation, How, LatentModel
from latentem.engine.sources import Empty, Recipe, Source, expectation
from latentem.engine.sums import TreeSum

__all__ = ["DaskBackend", "DaskSource", "is_dask"]

#: Sums that are added by one task; a power of two, so that the order is that of `TreeSum`.
TOGETHER = 16
#: How often an E-step is begun anew after workers were lost.
ATTEMPTS = 5

_number = count()


def is_dask(data: Any) -> bool:
    """Whether data are a Dask array or frame; Dask is not imported for it."""
    return type(data).__module__.split(".")[0] in ("dask", "dask_expr") and hasattr(data, "dask")


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise ImportError(
            "fits on several machines need Dask: pip install 'latentem[dask]'"
        ) from error
    return distributed


class DaskSource(Source):
    """A Dask array or data frame, whose partitions stay on the workers.

    Parameters
    ----------
    data : dask array (n, d), or dask data frame of numbers
        Cut along the rows; all columns of a row are made one chunk.
    client : distributed.Client, optional
        By default the client of this process.
    """

    def __init__(self, data: Any, client: Any = None):
        if not is_dask(data) or getattr(data, "ndim", 0) != 2:
            raise ValueError(
                "data must be a Dask array (n_samples, n_features) or a Dask data frame, got "
                f"{type(data).__name__}"
            )
        self.columns: tuple[str, ...] | None = None
        if hasattr(data, "columns"):
            self.columns = tuple(map(str, data.columns))
            data = data.map_partitions(_values, meta=np.empty((0, len(self.columns))))
            self.n_features = len(self.columns)
        else:
            data = data.rechunk({1: -1}) if len(data.chunks[1]) > 1 else data
            self.n_features = int(data.shape[1])
        self.client = client_of(client)
        self.parts = self.client.compute(list(np.ravel(np.array(data.to_delayed(), dtype=object))))
        self.units = [int(n) for n in self.client.gather(self.client.map(len, self.parts))]
        if sum(self.units) == 0:
            raise ValueError("the Dask data have no rows: there is nothing to fit")

    @property
    def n_units(self) -> int:
        return sum(self.units)

    def recipes(self, model: LatentModel, size: int | None) -> list[Recipe]:
        """The partitions, fetched one by one to where they are read."""
        return [_Fetched(part, n, i) for i, (part, n) in enumerate(zip(self.parts, self.units,
                strict=True))]  # fmt: skip

    def sample(self, model: LatentModel, limit: int, rng: np.random.Generator) -> list[Any]:
        """An even subsample, drawn where the rows are."""
        known: list[Any] = self.__dict__.setdefault("_sample", [])
        if not known:
            total, begin, wanted = self.n_units, 0, []
            picked = np.arange(total)
            if total > limit:
                picked = evenly(total, limit, np.random.default_rng(0))
            for part, n in zip(self.parts, self.units, strict=True):
                here = picked[(picked >= begin) & (picked < begin + n)] - begin
                begin += n
                wanted.append(self.client.submit(_rows_of, part, here, pure=False))
            known.append(np.concatenate(self.client.gather(wanted)))
        return list(model.blocks(known[0], None))


def client_of(client: Any = None) -> Any:
    """The client given, or that of this process; ValueError without any."""
    if client is not None:
        return client
    try:
        return _distributed().get_client()
    except ValueError:
        raise ValueError(
            "there is no Dask client: make one first, client = distributed.Client(...)"
        ) from None


class _Fetched(Recipe):
    """A partition on a worker."""

    def __init__(self, future: Any, units: int, number: int):
        self.future, self.units = future, units
        self.place = f"partition {number} of the Dask data, its rows counted from 0"

    def read(self) -> Any:
        return self.future.result()


class _Held(Recipe):
    """A partition whose data are here."""

    def __init__(self, data: Any, place: str):
        self.data, self.place, self.units = data, place, len(data)

    def read(self) -> Any:
        return self.data


class DaskBackend(Backend):
    """E-steps on a Dask cluster, for any `LatentModel`.

    Data in memory are scattered over the workers; files (`ArraySource` of a memmap,
    `ParquetSource`) are read by the workers, which must see them under the same path; Dask
    collections stay where they are.

    Parameters
    ----------
    client : distributed.Client, optional
        By default the client of this process.

    Examples
    --------
    >>> import numpy as np
    >>> from distributed import Client
    >>> from latentem import EM, DaskBackend, families, models
    >>> X = np.repeat(np.arange(10.0), [162, 267, 271, 185, 111, 61, 27, 8, 3, 1])[:, None]
    >>> with Client(processes=False, n_workers=1, dashboard_address=None) as client:
    ...     em = EM(tol=1e-9, backend=DaskBackend(client))
    ...     result = em.run(models.Mixture(families.Poisson(), 2), X, rng=0)
    >>> round(result.loglik, 4)
    -1989.9459
    """

    def __init__(self, client: Any = None):
        self.client = client_of(client)
        self._held: tuple[Any, Any, Any, list[Any]] | None = None

    def map(self, function: Callable[[Any], Any], blocks: Iterable[Any]) -> Iterator[Any]:
        for block in blocks:
            yield function(block)

    def expect(
        self, model: LatentModel, params: Any, blocks: Iterable[Any], how: How = SOFT
    ) -> Expectation:
        if not model.additive:
            raise ValueError(
                f"{model!r} has statistics that do not add up over blocks, so they cannot be added "
                "on other machines: leave the Dask backend out"
            )
        # the worker died under a task; data scattered to it are gone; it died while we scattered
        distributed = _distributed()
        lost = (distributed.KilledWorker, CancelledError, distributed.comm.CommClosedError)
        for attempt in range(ATTEMPTS):
            try:
                return self._expect(model, params, blocks, how)
            except lost as error:
                self._held = None  # what was scattered may be gone
                if attempt == ATTEMPTS - 1:
                    raise RuntimeError(
                        f"an E-step failed {ATTEMPTS} times because workers were lost: give them "
                        f"more memory, or make the partitions smaller ({error})"
                    ) from error
                self.client.wait_for_workers(1, timeout=60)
        raise AssertionError("not reached")

    def _expect(
        self, model: LatentModel, params: Any, blocks: Iterable[Any], how: How
    ) -> Expectation:
        shared, parts = self._parts(model, blocks)
        if not parts:
            raise ValueError("there are no blocks of data to fit to")
        turn = next(_number)
        submit = self.client.submit
        sums = [
            submit(_e_step, shared, params, part, how, key=f"latentem-e-{turn}-{i}", pure=False)
            for i, part in enumerate(parts)
        ]
        level = 0
        while len(sums) > 1 or level == 0:
            level += 1
            sums = [
                submit(
                    _added, sums[i : i + TOGETHER], key=f"latentem-s-{turn}-{level}-{i}", pure=False
                )
                for i in range(0, len(sums), TOGETHER)
            ]
        total = sums[0].result()
        if total is None:
            raise ValueError("there are no blocks of data to fit to")
        return total

    def _parts(self, model: LatentModel, blocks: Any) -> tuple[Any, list[Any]]:
        """The model and the encoded partitions on the workers, sent there once."""
        held = self._held
        if held is not None and held[0] is model and held[1] is blocks:
            return held[2], held[3]
        client, turn = self.client, next(_number)
        shared = client.submit(_same, model, key=f"latentem-m-{turn}", pure=False)
        parts: list[Any] = []
        for i, block in enumerate(blocks):
            key = f"latentem-b-{turn}-{i}"
            if isinstance(block, _Fetched):
                parts.append(
                    client.submit(_encode, shared, block.future, block.place, key=key, pure=False)
                )
            elif isinstance(block, Recipe):
                parts.append(client.submit(_open, shared, block, key=key, pure=False))
            else:
                parts.append(client.scatter([block], hash=False)[0])
        self._held = (model, blocks, shared, parts)
        return shared, parts


# ------------------------------------------------------------------------- what workers do


def _values(frame: Any) -> Any:
    return frame.to_numpy(dtype=float, na_value=np.nan)


def _rows_of(data: Any, here: Any) -> Any:
    return np.asarray(data)[here]


def _same(model: Any) -> Any:
    return model


def _encode(model: Any, data: Any, place: str) -> list[Any]:
    return _Held(np.asarray(data), place).open(model)


def _open(model: Any, recipe: Recipe) -> list[Any]:
    return recipe.open(model)


@cache
def _keep_freed_memory() -> None:
    """Let the C library keep up to 256 MiB of freed memory in this worker, where it is glibc.

    Dask starts its workers with MALLOC_TRIM_THRESHOLD_ at 64 KiB. Every array of an E-step is then
    taken from the system anew and zeroed, which made E-steps four times slower.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL("libc.so.6")
            library.mallopt(-1, 2**28)  # M_TRIM_THRESHOLD
            library.mallopt(-3, 2**25)  # M_MMAP_THRESHOLD, as large as it may be


def _e_step(model: Any, params: Any, part: Any, how: How) -> Any:
    """The sum over the blocks of a partition, or a block alone; None without rows."""
    _keep_freed_memory()
    sums = TreeSum()
    with one_blas_thread(), np.errstate(all="ignore"):
        prepared = model.prepare(params)
        for block in part if isinstance(part, list) else [part]:
            found = expectation(model, prepared, block, how)
            if not isinstance(found, Empty):
                sums.add(found)
    return sums.total()


def _added(parts: list[Any]) -> Any:
    sums = TreeSum()
    for part in parts:
        if part is not None:
            sums.add(part)
    return sums.total()
