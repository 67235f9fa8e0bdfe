"""A tqdm progress bar when asked for, and nothing when not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from latentem.engine.result import State

__all__ = ["NoProgress", "TqdmProgress", "counted_bar", "progress_bar"]


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
    """EM maps on a tqdm bar, with the objective and the gain still to come."""

    def __init__(self) -> None:
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
        self._bar.set_postfix_str(f"objective {state.objective:.6g}, to gain {gain}", refresh=False)


def progress_bar(wanted: bool) -> NoProgress:
    """The bar for a `progress` argument."""
    return TqdmProgress() if wanted else NoProgress()


def counted_bar(items: Iterable[Any], wanted: bool, what: str, unit: str, total: int) -> Any:
    """The items, on a bar that counts them if `wanted`."""
    return _tqdm()(items, desc=what, unit=unit, total=total, leave=False) if wanted else items


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError("progress=True needs tqdm: pip install 'latentem[progress]'") from error
    return tqdm
