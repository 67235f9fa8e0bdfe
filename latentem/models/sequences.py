"""Sequences as models take them: checked, cut into blocks, and blocks into pieces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from latentem.engine.blocks import Sequences, bounds, groups

__all__ = ["BLOCK_ROWS", "groups", "is_long", "pieces", "row_weights", "sequences"]

Array = np.ndarray

#: Rows of short sequences that make a block, and rows of a piece of a long one.
BLOCK_ROWS = 8192


def sequences(data: Any) -> Sequences:
    """Data as `Sequences`: an array (one sequence), a list of arrays, or ``(x, lengths, ...)``.

    Raises
    ------
    ValueError
        For lengths that do not sum to the rows, an empty sequence, or arrays of
        different width.
    """
    if isinstance(data, Sequences):
        found = data
    elif isinstance(data, tuple):
        found = Sequences(*data)
    elif isinstance(data, list):
        parts = [np.asarray(part) for part in data]
        for i, part in enumerate(parts):
            if part.ndim != 2 or part.shape[1] != parts[0].shape[1]:
                raise ValueError(
                    f"sequences must be 2-D arrays of one width, but sequence 0 has shape "
                    f"{parts[0].shape} and sequence {i} has {part.shape}"
                )
        if not parts:
            raise ValueError("the list of sequences is empty: there is nothing to fit")
        found = Sequences(np.concatenate(parts), np.array([len(part) for part in parts]))
    else:
        found = Sequences(np.asarray(data), np.array([len(data)]))
    x, lengths = np.asarray(found.x), np.asarray(found.lengths)
    if x.ndim != 2:
        raise ValueError(f"the rows must be a 2-D array, found {x.ndim}-D: use x[:, None]")
    lengths = _lengths(lengths)
    if lengths.sum() != len(x):
        raise ValueError(
            f"lengths sum to {lengths.sum()}, but there are {len(x)} rows: give the number of rows "
            "of each sequence, in the order in which they stand"
        )
    if found.weights is not None:
        weights = np.asarray(found.weights, dtype=float)
        if weights.shape != lengths.shape:
            raise ValueError(
                f"weights must have one value per sequence, shape {lengths.shape}, got "
                f"{weights.shape}"
            )
        if not (np.all(weights >= 0) and np.all(weights < np.inf)):
            raise ValueError("weights must be finite numbers >= 0")
        found = replace(found, weights=weights)
    return replace(found, x=x, lengths=lengths)


def _lengths(lengths: Array) -> Array:
    """Numbers of rows (S,) as integers."""
    if lengths.ndim != 1 or len(lengths) == 0 or lengths.dtype.kind not in "iuf":
        raise ValueError(
            f"lengths must be a list of integers >= 1, the rows of each sequence, got {lengths!r}"
        )
    wrong = ~((lengths >= 1) & (np.floor(lengths) == lengths) & (lengths < 2**62))
    if wrong.any():
        s = int(np.argmax(wrong))
        fix = (
            "leave an empty sequence out" if lengths[s] == 0 else "count the rows of that sequence"
        )
        raise ValueError(f"lengths must be integers >= 1, but lengths[{s}] is {lengths[s]}: {fix}")
    return lengths.astype(np.int64)


def row_weights(block: Sequences) -> Array:
    """Weight of each row (m,): that of its sequence, and 0 where nothing was seen."""
    if block.weights is None:
        weights = np.ones(len(block))
    else:
        weights = np.repeat(block.weights, block.lengths)
    if block.missing is not None:
        weights[block.missing] = 0.0
    return weights


def pieces(block: Sequences) -> list[tuple[int, int]]:
    """Begin and end of the pieces in which the rows of a block are encoded."""
    n = len(block)
    return [(0, n)] if n <= BLOCK_ROWS else bounds(n, BLOCK_ROWS)


def is_long(block: Sequences) -> bool:
    """Whether a block is one sequence, encoded in pieces."""
    return len(block.lengths) == 1 and len(block.encoded) > 1
