"""Which entries of a chain's probabilities may move: masks and fixed entries, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentem.models.transitions import lasting_states

__all__ = ["check_lasting", "free_entries", "mask_of"]

Array = np.ndarray


def mask_of(mask: Any, k: int) -> Array | None:
    """Which transitions there may be, (K, K) bool; None where all are allowed."""
    if mask is None:
        return None
    try:
        mask = np.asarray(mask)
    except ValueError:
        raise ValueError(f"transmat_mask must have shape ({k}, {k}), its rows differ") from None
    if mask.shape != (k, k):
        raise ValueError(f"transmat_mask must have shape ({k}, {k}), got {mask.shape}")
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(
            "transmat_mask must be True or 1 where there may be a transition, and False or 0 "
            "elsewhere: probabilities go into transmat_init"
        )
    mask = mask.astype(bool)
    if not mask.any(axis=1).all():
        raise ValueError(
            f"row {np.argmin(mask.any(axis=1))} of transmat_mask allows no transition: a state "
            "has to go somewhere, if only to itself"
        )
    return None if mask.all() else mask


def check_lasting(mask: Array) -> None:
    """Refuse a mask under which a stationary chain would never be in some of its states."""
    lasting = lasting_states(mask)
    if len(lasting) < len(mask):
        gone = sorted(set(range(len(mask))) - set(lasting.tolist()))
        raise ValueError(
            f"stationary=True: under transmat_mask the chain leaves state{'s' * (len(gone) > 1)} "
            f"{', '.join(map(str, gone))} for good, so a stationary chain is never there. Allow a "
            "way back, or leave stationary out"
        )


def free_entries(kept: Any, shape: tuple[int, ...], name: str) -> Array | None:
    """Entries that may move; None where all may."""
    if isinstance(kept, bool):
        return None if not kept else np.zeros(shape, dtype=bool)
    kept = np.asarray(kept)
    if kept.shape != shape or kept.dtype.kind not in "biuf" or not np.isin(kept, (0, 1)).all():
        raise ValueError(
            f"fixed[{name!r}] must be True, or an array of shape {shape} with True or 1 where an "
            f"entry keeps its value, got {kept!r}"
        )
    return ~kept.astype(bool)
