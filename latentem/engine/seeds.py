"""Generators from what scikit-learn takes as ``random_state``."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["generator"]


def generator(random_state: Any) -> np.random.Generator:
    """A Generator from what scikit-learn takes as random_state, or from a Generator."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32 - 1, size=4, dtype=np.uint32))
    if random_state is np.random:
        return np.random.default_rng(np.random.randint(2**32 - 1, size=4))  # noqa: NPY002 - asked for
    whole = isinstance(random_state, int | np.integer) and not isinstance(random_state, bool)
    if random_state is None or (whole and random_state >= 0):
        return np.random.default_rng(random_state)
    raise ValueError(
        "random_state must be None, an integer >= 0, a numpy Generator or a RandomState, got "
        f"{random_state!r}"
    )
