"""Data drawn from a known model."""

from __future__ import annotations

import numpy as np

from latentem.datasets.dataset import Dataset

__all__ = ["concrete_section", "two_gaussians"]


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


def concrete_section(n: int = 128) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A section of a concrete column with flaws, as an image.

    Concrete is 1, stones are up to a third more, six bars of steel 3; there are a void and a
    crack of 0, and there is nothing outside the column. The same for every call.

    Parameters
    ----------
    n : int
        Rows and columns, at least 32.

    Returns
    -------
    image : (n, n) array
    places : dict of (n, n) bool arrays
        "concrete", "steel", "void" and "crack".

    Examples
    --------
    >>> from latentem.datasets import concrete_section
    >>> image, places = concrete_section(64)
    >>> float(image[places["steel"]].min()), float(image[places["void"]].max())
    (3.0, 0.0)
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 32:
        raise ValueError(f"n must be a whole number of rows, at least 32, got {n!r}")
    place = (np.arange(n) - n // 2) / (n / 2)
    row, column = np.meshgrid(place, place, indexing="ij")

    def disc(r: float, c: float, radius: float) -> np.ndarray:
        return (row - r) ** 2 + (column - c) ** 2 < radius**2

    inside = disc(0, 0, 0.9)
    image = inside.astype(float)
    rng = np.random.default_rng(0)
    for _ in range(60):  # stones
        r, c = rng.uniform(-0.75, 0.75, 2)
        image[disc(r, c, rng.uniform(0.03, 0.09))] = rng.uniform(1.1, 1.33)
    angles = np.arange(6) * np.pi / 3
    steel = np.any([disc(0.68 * np.sin(a), 0.68 * np.cos(a), 0.08) for a in angles], axis=0)
    void = ((row - 0.25) / 0.1) ** 2 + ((column + 0.2) / 0.16) ** 2 < 1
    width = max(0.02, 1.5 / n)
    crack = np.abs(row + 0.3 - 0.1 * np.sin(9 * column)) < width
    crack &= (column > -0.1) & (column < 0.5)
    image[~inside], image[steel], image[void | crack] = 0.0, 3.0, 0.0
    places = {"concrete": inside & ~(steel | void | crack), "steel": steel}
    return image, places | {"void": void, "crack": crack}
