"""The state of a fit on disk, from which it goes on bit for bit.

A checkpoint holds what cannot be had again by working on the data once: the standing
parameters, the memories of the accelerator and of the stopping rule, the history, the starts
that have finished and the generators of those that have not begun. Going on costs one E-step,
at the standing parameters; its log-likelihood, which must be the one recorded, also tells
whether model and data are the same.

The file takes the place of the last one when it is complete and on the disk; one that cannot
be written (a full disk) leaves the last one where it is, and the fit goes on with a warning.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from latentem.engine.archive import read_archive, write_archive
from latentem.engine.record import classes_in, record, restored, siblings
from latentem.engine.warnings import CheckpointWarning, tell

if TYPE_CHECKING:
    from latentem.engine.em import EM
    from latentem.engine.model import LatentModel

__all__ = ["Keeper", "Saved", "every", "read_checkpoint"]

FORMAT, VERSION = "latentem checkpoint", 1
#: Relative difference of log-likelihoods beyond which data or model are others.
SAME = 1e-8


def every(value: Any) -> tuple[float, str]:
    """`checkpoint_every` as a number and its unit, "maps" or "seconds"."""
    if isinstance(value, str):
        digits = value.strip().removesuffix("s").strip()
        try:
            seconds = float(digits)
        except ValueError:
            seconds = -1.0
        if value.strip().endswith("s") and seconds >= 0:
            return seconds, "seconds"
    elif isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1:
        return float(value), "maps"
    raise ValueError(
        f"checkpoint_every must be a number of maps >= 1, or a time such as '30s', got {value!r}"
    )


class Keeper:
    """Writes checkpoints of one run, when they are due.

    Parameters
    ----------
    settings : EM
    model : LatentModel
    generators : list of Generator
        One for each start, as before its first use.
    """

    def __init__(self, settings: EM, model: LatentModel, generators: list[np.random.Generator]):
        self.path = settings.checkpoint
        self._limit, self._unit = every(settings.checkpoint_every)
        self._frame = {
            "format": FORMAT,
            "version": VERSION,
            "model": repr(model),
            "settings": _named(settings),
            "generators": [_generator_out(one) for one in generators],
        }
        self._written, self._maps = time.monotonic(), 0
        self._told = False
        self._last: tuple[Any, dict[str, np.ndarray]] | None = None

    def keep(self, climb: Any, history: Any, tracks: list[Any], finished: bool = False) -> None:
        """Take the state of a climb between two of its turns; write it if that is due."""
        if self.path is None:
            return
        arrays: dict[str, np.ndarray] = {}
        try:
            running = None if finished else climb.memory()
            body = {"climb": record(running, arrays), "tracks": record(tracks, arrays)}
        except TypeError as error:
            raise TypeError(
                f"checkpoint= cannot write down the state of this fit: {error}. Use one of "
                "latentem's accelerators, or leave checkpoint out"
            ) from None
        body["rows"] = ([], 0) if finished else (history.rows, len(history.rows))
        self._last, self._maps = (body, arrays), self._maps + 1
        waited = self._maps if self._unit == "maps" else time.monotonic() - self._written
        if finished or waited >= self._limit:
            self.write()

    def write(self) -> None:
        """Write the last state that was taken; a warning, and the old file, if that fails."""
        if self.path is None or self._last is None:
            return
        body, arrays = self._last
        rows = record(body["rows"][0][: body["rows"][1]], {})
        try:
            write_archive(self.path, {**self._frame, **body, "rows": rows}, arrays)
        except OSError as error:
            if not self._told:
                tell(
                    f"no checkpoint could be written to {os.fspath(self.path)!r} ({error}): the "
                    "last one, if there was one, is untouched, and the fit goes on",
                    CheckpointWarning,
                )
            self._told = True
        self._written, self._maps, self._last = time.monotonic(), 0, None


@dataclass
class Saved:
    """A checkpoint that was read, to be told apart once the fit has objects like those in it."""

    path: str
    header: dict[str, Any]
    arrays: dict[str, np.ndarray] = field(repr=False)
    fresh: bool = True  # nothing was compared yet

    def generators(self) -> list[np.random.Generator]:
        return [_generator_in(one) for one in self.header["generators"]]

    @property
    def running(self) -> bool:
        """Whether a start was under way."""
        return self.header["climb"] is not None

    def climb(self, climb: Any, params: Any) -> dict[str, Any]:
        """Attributes of a climb; `climb` is a fresh one and `params` are such as it starts from."""
        known = classes_in(params) | siblings(climb) | siblings(climb.accelerator)
        return self._part("climb", known)

    def rows(self) -> list[tuple]:
        """The rows of the history of the start that was under way."""
        return [tuple(row) for row in self._part("rows", {})]

    def tracks(self, params: Callable[[], Any], *kinds: type) -> list[Any]:
        """The starts that had finished; `params()` makes parameters like theirs."""
        if not self.header["tracks"]:
            return []
        return self._part("tracks", classes_in(params()) | {one.__name__: one for one in kinds})

    def _part(self, name: str, known: dict[str, type]) -> Any:
        try:
            return restored(self.header[name], self.arrays, known)
        except (ValueError, AttributeError, IndexError) as error:
            raise ValueError(
                f"{self.path!r} is a checkpoint of another model: {error}. Resume with the model "
                "and settings that it was made with"
            ) from None

    def compare(self, loglik: float, weight: float, found: float, counted: float) -> None:
        """ValueError where what model and data determine at these parameters is another now."""
        self.fresh = False
        for what, new, old in (("weight", counted, weight), ("log-likelihood", found, loglik)):
            if not (new == old or abs(new - old) <= SAME * max(abs(old), 1.0)):
                raise ValueError(
                    f"{self.path!r} is a checkpoint of other data: their {what} at its parameters "
                    f"is {old:.10g} there, and {new:.10g} here"
                )


def read_checkpoint(path: Any, settings: EM, model: LatentModel) -> Saved:
    """A checkpoint, which must be of this model and of these settings."""
    header, arrays = read_archive(path, FORMAT, VERSION)
    name = os.fspath(path)
    if header.get("model") != repr(model):
        raise ValueError(
            f"{name!r} is a checkpoint of another model: of {header.get('model')}, and this is "
            f"{model!r}"
        )
    for key, value in _named(settings).items():
        if header.get("settings", {}).get(key) != value:
            raise ValueError(
                f"{name!r} is a checkpoint of a fit with {key}="
                f"{header.get('settings', {}).get(key)!r}, and this one has {value!r}: go on with "
                "the same, or fit anew"
            )
    if not {"climb", "tracks", "rows", "generators"} <= set(header):
        raise ValueError(f"{name!r} is damaged: parts of the checkpoint are missing")
    return Saved(name, header, arrays)


def _named(settings: EM) -> dict[str, Any]:
    """Settings that a resumed fit must share; others, as max_iter, may change."""
    accelerate: Any = settings.accelerate
    if callable(accelerate):
        kind: Any = getattr(accelerate, "func", accelerate)
        accelerate = getattr(kind, "__name__", type(kind).__name__)
    names = ("stopping", "space", "n_init", "block_size", "batch_size", "incremental")
    rest = {name: getattr(settings, name) for name in names}
    return {"accelerate": accelerate, **rest}


def _generator_out(rng: np.random.Generator) -> dict[str, Any]:
    seeds = rng.bit_generator.seed_seq
    return {
        "state": _listed(rng.bit_generator.state),
        "entropy": _listed(getattr(seeds, "entropy", None)),
        "spawn_key": list(getattr(seeds, "spawn_key", ())),
        "children": getattr(seeds, "n_children_spawned", 0),
    }


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return {"uints": value.tolist(), "dtype": value.dtype.str}
    if isinstance(value, list | tuple):
        return [_listed(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def _generator_in(saved: dict[str, Any]) -> np.random.Generator:
    def back(value: Any) -> Any:
        if isinstance(value, dict) and "uints" in value:
            return np.array(value["uints"], dtype=value["dtype"])
        return {k: back(v) for k, v in value.items()} if isinstance(value, dict) else value

    state = back(saved["state"])
    kind = state["bit_generator"]
    if kind not in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"):
        raise ValueError(f"its generator is a {kind!r}, which numpy does not have")
    seeds = np.random.SeedSequence(
        saved["entropy"],
        spawn_key=tuple(saved["spawn_key"]),
        n_children_spawned=saved["children"],
    )
    bits = getattr(np.random, kind)(seeds)
    bits.state = state
    return np.random.Generator(bits)
