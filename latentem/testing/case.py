"""What the checks of a model work on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentem.engine.backends import SerialBackend
from latentem.engine.blocks import Rows
from latentem.engine.flat import FlatSpace
from latentem.engine.model import Expectation, LatentModel
from latentem.testing.report import Skip

__all__ = ["ModelCase"]


@dataclass(frozen=True)
class ModelCase:
    """A model with data, parameters to start at, and how much to try."""

    model: LatentModel
    data: Any
    start: Any
    rng: np.random.Generator
    weights: int | None
    n_maps: int
    n_simulated: int
    exact_m_step: bool

    def blocks(self, size: int | None = None, data: Any = None) -> list[Any]:
        """The data, or others, as blocks."""
        return list(self.model.blocks(self.data if data is None else data, size))

    def expect(self, params: Any, blocks: list[Any] | None = None) -> Expectation:
        """The E-step over all blocks, serially."""
        blocks = self.blocks() if blocks is None else blocks
        try:
            return SerialBackend().expect(self.model, params, blocks)
        except TypeError as error:
            raise AssertionError(
                f"the results of e_step over {len(blocks)} blocks do not add: {error}"
            ) from error

    def climb(self, n_maps: int) -> Iterator[tuple[Any, Expectation]]:
        """Parameters with their E-step: at the start, then after 1 .. n_maps maps."""
        params = self.start
        for i in range(n_maps + 1):
            expectation = self.expect(params)
            yield params, expectation
            if i < n_maps:
                params = self.m_step(expectation.statistics, params)

    def m_step(self, statistics: Any, params: Any) -> Any:
        """The M-step, as quiet about infinities as the driver."""
        with np.errstate(all="ignore"):
            return self.model.m_step(statistics, params)

    def space(self, params: Any) -> FlatSpace:
        """The free coordinates at `params`; Skip where constraints are not declared."""
        constraints = self.model.constraints()
        if constraints is None:
            raise Skip("the model declares no constraints()")
        return FlatSpace(constraints, params)

    def q(self, params: Any, statistics: Any) -> float:
        """Q at fixed statistics; Skip where the model does not define it."""
        try:
            return float(self.model.expected_loglik(params, statistics))
        except NotImplementedError:
            raise Skip("no expected_loglik(params, statistics) is defined") from None

    def cut(self) -> list[list[Any]]:
        """The data as blocks of several sizes; Skip where they cannot be cut."""
        whole = self.blocks()
        units = self.expect(self.start, whole).weight
        length = _length(self.data)
        units = length if length is not None else units
        sizes = sorted({max(1, int(units / share)) for share in (1.5, 3.7, 12.9)}, reverse=True)
        cuts = [self.blocks(size) for size in sizes]
        different = {len(cut): cut for cut in [whole, *cuts]}
        if len(different) < 2:
            raise Skip("blocks(data, size) gives the same number of blocks whatever the size")
        return list(different.values())


def _length(data: Any) -> int | None:
    part = data[0] if isinstance(data, tuple) and data else data
    return len(part) if isinstance(part, np.ndarray | Rows) else None
