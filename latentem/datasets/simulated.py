"""Data drawn from a known model."""

from __future__ import annotations

import numpy as np

from latentem.datasets.dataset import Dataset

__all__ = ["two_gaussians"]


def two_gaussians(
    n: int = 1000, random_state: int | np.random.Generator | np.random.RandomState | None = None
) -> Dataset:
    """Draws from .6 N(2, sd 4) + .4 N(9, sd 2): two components that overlap.

    Parameters
    ----------
    n : int
        Number of rows.
    random_state : int, Generator, RandomState or None
        Seed, or the generator to draw from.

    Returns
    -------
    Dataset
        One column, "x".

    Examples
    --------
    >>> from latentem.datasets import two_gaussians
    >>> x = two_gaussians(100_000, random_state=0).data
    >>> x.shape, round(float(x.mean()), 1)
    ((100000, 1), 4.8)
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n must be a whole number of rows, at least 1, got {n!r}")
    if isinstance(random_state, np.random.RandomState):
        rng: np.random.Generator | np.random.RandomState = random_state
    else:
        rng = np.random.default_rng(random_state)
    first = rng.random(n) < 0.6
    x = np.where(first, 2.0, 9.0) + np.where(first, 4.0, 2.0) * rng.standard_normal(n)
    return Dataset(
        x[:, None],
        ("x",),
        "Simulated: a row is N(2, sd 4) with probability .6 and N(9, sd 2) with .4.",
        "latentem.datasets.two_gaussians",
    )
