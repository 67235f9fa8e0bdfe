"""Second moments that never cancel: weight, mean and scatter about that mean.

Two sets of rows merge by the parallel formula of Chan, Golub and LeVeque (1983,
The American Statistician 37, doi:10.1080/00031305.1983.10483115)::

    w = w1 + w2,   delta = m2 - m1
    m = m1 + delta w2 / w
    S = S1 + S2 + delta delta' w1 w2 / w

so no constant centre has to be chosen, and data with variance 1 around 1e8 keep
all their digits, whatever other clusters there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from latentem.engine.trees import Statistic

__all__ = ["Moments", "Scatter", "outer"]

Scatter = Literal["full", "tied", "diag", "spherical"]


@dataclass(frozen=True)
class Moments(Statistic):
    """Weighted moments of K components.

    Parameters
    ----------
    weight : (K,) array, or (K, d) where cells were not seen
        Sum of the weights, of each column apart if they differ (diag and spherical).
    mean : (K, d) array
        Weighted mean; where the weight is 0 any finite value.
    scatter : array
        Sum of weighted products about the mean, in the compact shape of `kind`:
        ``full`` (K, d, d), ``tied`` (d, d) summed over the components, ``diag``
        (K, d), ``spherical`` (K,) averaged over the columns.
    kind : {"full", "tied", "diag", "spherical"}
    """

    weight: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray
    kind: Scatter

    def about(self, centre: np.ndarray) -> np.ndarray:
        """Scatter about another centre per component, in the same shape."""
        return self.scatter + outer(self.mean - centre, self.weight, self.kind)

    def merge(self, other: Moments) -> Moments:
        if other.kind != self.kind:
            raise TypeError(f"cannot merge {self.kind} and {other.kind} moments")
        own, others = self.weight, other.weight
        if own.ndim != others.ndim:
            own, others = np.broadcast_arrays(_columns(own), _columns(others))
        weight = own + others
        share = others / np.where(weight > 0, weight, 1.0)
        delta = other.mean - self.mean
        mean = self.mean + delta * _columns(share)
        if not own.all():  # an empty side has no mean to trust
            mean = np.where(_columns(own) > 0, mean, other.mean)
        scatter = self.scatter + other.scatter + outer(delta, own * share, self.kind)
        return Moments(weight, mean, scatter, self.kind)

    def scaled(self, factor: float) -> Moments:
        return Moments(self.weight * factor, self.mean, self.scatter * factor, self.kind)


def outer(delta: np.ndarray, weight: np.ndarray, kind: Scatter) -> np.ndarray:
    """``weight * delta delta'`` per component, in the compact shape of `kind`."""
    if weight.ndim == 2:
        moved = weight * delta**2
        return moved if kind == "diag" else moved.mean(axis=1)
    if kind == "diag":
        return weight[:, None] * delta**2
    if kind == "spherical":
        return weight * np.einsum("kd,kd->k", delta, delta) / delta.shape[1]
    if kind == "tied":
        product = (delta * weight[:, None]).T @ delta
        return 0.5 * (product + product.T)
    return weight[:, None, None] * (delta[:, :, None] * delta[:, None, :])


def _columns(weight: np.ndarray) -> np.ndarray:
    return weight if weight.ndim == 2 else weight[:, None]
