r"""Quadratic priors of images, and the separable bounds that their M-step needs.

An M-step of `PoissonLinear` maximises, pixel by pixel,
.. math:: c \log x - s x - \tfrac a2 x^2 + b x ,
with expected counts c, sensitivity s, and curvature a and pull b from the prior. A prior of
each pixel alone has that form as it is. A prior of differences has not, since it ties
neighbours; De Pierro's bound
.. math:: (x_j - x_k)^2 \le \tfrac12 (2 x_j - x_j' - x_k')^2 + \tfrac12 (2 x_k - x_j' - x_k')^2,
an equality at the standing image x', does (De Pierro 1995, doi:10.1109/42.370409). Such an
M-step raises Q + log prior without maximising it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ImagePrior", "IntensityPrior", "SmoothnessPrior"]

Array = np.ndarray


class ImagePrior(ABC):
    """A quadratic log prior, up to a constant."""

    @abstractmethod
    def log_density(self, image: Array) -> float:
        """Log density of an image, up to a constant."""

    @abstractmethod
    def gradient(self, image: Array) -> Array:
        """Its derivative by each pixel."""

    @abstractmethod
    def bound(self, image: Array) -> tuple[Any, Any]:
        """Curvature a and pull b of ``-a/2 x^2 + b x``, a bound that touches at `image`."""


def _check_strength(strength: float) -> None:
    if not (isinstance(strength, int | float | np.number) and 0 < strength < np.inf):
        raise ValueError(f"strength must be a positive number, got {strength!r}")


@dataclass(frozen=True, eq=False)
class IntensityPrior(ImagePrior):
    """Each pixel near a value: ``-strength / 2 * sum((x - centre)**2)``.

    Parameters
    ----------
    strength : float
        Positive; in 1 over the squared unit of the image.
    centre : float or array
        In units of the image, of its shape or one for all.

    Examples
    --------
    >>> from latentem.models import IntensityPrior
    >>> IntensityPrior(2.0, centre=1.0).log_density(np.array([1.0, 4.0]))
    -9.0
    """

    strength: float
    centre: Any = 0.0

    def __post_init__(self) -> None:
        _check_strength(self.strength)
        centre = np.asarray(self.centre, dtype=float)
        if not np.all(np.isfinite(centre)):
            raise ValueError("centre of the prior must be finite")
        object.__setattr__(self, "centre", centre)

    def log_density(self, image: Array) -> float:
        with np.errstate(over="ignore"):  # of an image that an accelerator only tries
            return float(-0.5 * self.strength * np.sum((image - self.centre) ** 2))

    def gradient(self, image: Array) -> Array:
        return -self.strength * (image - self.centre)

    def bound(self, image: Array) -> tuple[Any, Any]:
        return self.strength, self.strength * self.centre


@dataclass(frozen=True, eq=False)
class SmoothnessPrior(ImagePrior):
    """Neighbours alike: ``-strength / 2`` times the sum of squared differences.

    Neighbours share a side: 2, 4 or 6 of them in one, two or three dimensions.

    Parameters
    ----------
    strength : float
        Positive; in 1 over the squared unit of the image. Differences of about
        ``1 / sqrt(strength)`` between neighbours are what it expects.

    Examples
    --------
    >>> from latentem.models import SmoothnessPrior
    >>> SmoothnessPrior(2.0).log_density(np.array([[1.0, 4.0], [1.0, 4.0]]))
    -18.0
    """

    strength: float

    def __post_init__(self) -> None:
        _check_strength(self.strength)

    def log_density(self, image: Array) -> float:
        with np.errstate(over="ignore"):
            squares = sum(float(np.sum(np.diff(image, axis=i) ** 2)) for i in range(image.ndim))
        return -0.5 * self.strength * squares

    def gradient(self, image: Array) -> Array:
        count, total = _neighbours(image)
        return self.strength * (total - count * image)

    def bound(self, image: Array) -> tuple[Any, Any]:
        count, total = _neighbours(image)
        return 2 * self.strength * count, self.strength * (count * image + total)


def _neighbours(image: Array) -> tuple[Array, Array]:
    """How many neighbours each pixel has, and their sum."""
    count, total = np.zeros(image.shape), np.zeros(image.shape)
    for axis in range(image.ndim):
        here = [slice(None)] * image.ndim
        there = list(here)
        here[axis], there[axis] = slice(1, None), slice(None, -1)
        for one, other in ((tuple(here), tuple(there)), (tuple(there), tuple(here))):
            count[one] += 1
            total[one] += image[other]
    return count, total
