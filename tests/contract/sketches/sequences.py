"""Lists of sequences as blocks: whole sequences, about `size` rows together."""

from __future__ import annotations

import numpy as np


def sequence_blocks(data: list[np.ndarray], size: int | None) -> list[list[np.ndarray]]:
    size = 8192 if size is None else size
    out, rows = [[]], 0
    for sequence in data:
        if rows >= size:
            out.append([])
            rows = 0
        out[-1].append(sequence)
        rows += len(sequence)
    return out
