"""A tqdm progress bar when asked for, and nothing when not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from latentem.engine.result import State

__all__ = ["NoProgress", "TqdmProgress", "counted_bar", "pace", "progress_bar"]


class NoProgress:
    """The bar of a fit that shows none."""

    def __enter__(self) -> NoProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def update(self, start: int, n_starts: int, state: State) -> None:
        return None


class TqdmProgress(NoProgress):
    """EM maps on a tqdm bar, with the objective, the gain still to come, rows/s and time left.

    Parameters
    ----------
    tol : float
        Gain still to come at which the fit ends: from it and the rate of convergence follows
        the time that is left.
    """

    def __init__(self, tol: float = 0.0) -> None:
        self._tol = tol
        self._bar: Any = _tqdm()(unit="map", desc="EM", leave=False)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def update(self, start: int, n_starts: int, state: State) -> None:
        if n_starts > 1:
            self._bar.set_description(f"EM start {start + 1}/{n_starts}", refresh=False)
        if state.step != "start" and state.accepted:
            self._bar.update()
        gain = "?" if math.isnan(state.projected_gain) else f"{state.projected_gain:.2g}"
        text = f"objective {state.objective:.6g}, to gain {gain}{pace(state, self._tol)}"
        self._bar.set_postfix_str(text, refresh=False)


def pace(state: State, tol: float) -> str:
    """Rows a second, and the time left where it can be told, as plain EM would need it."""
    if not (state.seconds > 0 and state.weight > 0 and state.n_e_steps):
        return ""
    text = f", {state.weight * state.n_e_steps / state.seconds:.2g} rows/s"
    gain, rate = state.projected_gain, state.rate
    if not (0 < rate < 1 and tol > 0 and tol < gain < math.inf):
        return text
    maps = math.log(tol / gain) / math.log(rate)
    return f"{text}, {maps * state.seconds / state.n_e_steps:.2g} s left"


def progress_bar(wanted: bool, tol: float = 0.0) -> NoProgress:
    """The bar for a `progress` argument."""
    return TqdmProgress(tol) if wanted else NoProgress()


def counted_bar(items: Iterable[Any], wanted: bool, what: str, unit: str, total: int) -> Any:
    """The items, on a bar that counts them if `wanted`."""
    return _tqdm()(items, desc=what, unit=unit, total=total, leave=False) if wanted else items


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError("progress=True needs tqdm: pip install 'latentem[progress]'") from error
    return tqdm
