r"""Conjugate priors of counts, waiting times, answers and categories (MAP).

Each adds pseudo-observations to the statistics of a component, so that the M-step keeps its
formula:

=============  ====================================  ========================================
family         prior                                 what it adds
=============  ====================================  ========================================
Poisson        gamma(a, b) of the rates              total :math:`a - 1` in b rows
Exponential    inverse gamma(a, b) of the scales     total b in :math:`a + 1` rows
Bernoulli      beta(a, b) of the probabilities       :math:`a - 1` ones, :math:`b - 1` zeros
Categorical    Dirichlet(c) of the probabilities     :math:`c - 1` cells of each category
Multinomial    Dirichlet(c) of the probabilities     :math:`c - 1` counts of each column
=============  ====================================  ========================================

The maximum is that of the density in the parameters as they are written: rates, scales
and probabilities (in other coordinates it would lie elsewhere). A value that is kept has no
prior. Sources: Diaconis and Ylvisaker
(1979), Conjugate priors for exponential families, doi:10.1214/aos/1176344611; Gelman et al.,
Bayesian Data Analysis, 3rd edition, chapter 2. Log densities leave out their constants.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.special import xlog1py, xlogy

__all__ = [
    "BetaPrior",
    "DirichletPrior",
    "GammaPrior",
    "InverseGammaPrior",
    "concentrations",
    "of_free",
]

Array = np.ndarray


class ColumnPrior:
    """A prior of numbers for each column: a number, (d,), or (K, d) for each component too."""

    #: What each field must be, and whether that itself is allowed.
    _least: tuple[tuple[float, bool], ...] = ()

    def __post_init__(self) -> None:
        shapes = []
        for field, (least, included) in zip(self._names(), self._least, strict=True):
            value = _numbers(getattr(self, field), f"{type(self).__name__}: {field}")
            sound = (value >= least) if included else (value > least)
            if not np.all(sound):
                raise ValueError(
                    f"{type(self).__name__}: {field} must be {'>=' if included else '>'} "
                    f"{least:g}, got {value.min():g}{self._why(field)}"
                )
            if value.ndim > 2:
                raise ValueError(
                    f"{type(self).__name__}: {field} must be a number, (d,) or (K, d), got shape "
                    f"{value.shape}"
                )
            value.flags.writeable = False
            object.__setattr__(self, field, value)
            shapes.append(value.shape)
        try:
            np.broadcast_shapes(*shapes)
        except ValueError:
            raise ValueError(
                f"{type(self).__name__}: its numbers have shapes that do not go together, "
                f"{' and '.join(map(str, shapes))}"
            ) from None

    def _names(self) -> list[str]:
        return [field.name for field in fields(self)]  # type: ignore[arg-type]

    def _why(self, field: str) -> str:
        return ": the prior would be improper"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in self._names()
        )

    def __repr__(self) -> str:
        values = (f"{name}={getattr(self, name).tolist()!r}" for name in self._names())
        return f"{type(self).__name__}({', '.join(values)})"

    def check(self, k: int | None = None, width: int | None = None) -> None:
        """ValueError for another number of components, or of columns, than it is for."""
        for name in self._names():
            shape = np.shape(getattr(self, name))
            if width is not None and shape and shape[-1] not in (1, width):
                raise ValueError(
                    f"{type(self).__name__}: {name} has {shape[-1]} columns, but the parameters "
                    f"have {width}: give a number, or one for each"
                )
            if k is not None and len(shape) == 2 and shape[0] not in (1, k):
                raise ValueError(
                    f"{type(self).__name__}: {name} is for {shape[0]} components, and there are {k}"
                )

    def reordered(self, order: Array) -> Any:
        """The prior with what is for component ``order[k]`` in place k."""
        values = [getattr(self, name) for name in self._names()]
        if not any(value.ndim == 2 and len(value) > 1 for value in values):
            return self
        return type(self)(
            *(value[order] if value.ndim == 2 and len(value) > 1 else value for value in values)
        )


@dataclass(frozen=True, eq=False, repr=False)
class GammaPrior(ColumnPrior):
    """A gamma prior of Poisson rates.

    Parameters
    ----------
    shape : float, (d,) or (K, d) array-like
        At least 1: below, the most probable rate would be 0 whatever the data. Its mode is
        ``(shape - 1) / rate``.
    rate : float, (d,) or (K, d) array-like
        Above 0; the rows that it counts for.

    Examples
    --------
    >>> from latentem import families
    >>> family = families.Poisson(prior=families.GammaPrior(3.0, 1.0))
    """

    shape: Any
    rate: Any
    _least = ((1.0, True), (0.0, False))

    def _why(self, field: str) -> str:
        if field == "rate":
            return ": the prior would be improper"
        return ": below 1 the most probable rate is 0, whatever the data"

    def log_density(self, rates: Array, free: Array | None = None) -> float:
        return _sum(xlogy(self.shape - 1.0, rates) - self.rate * rates, free)


@dataclass(frozen=True, eq=False, repr=False)
class InverseGammaPrior(ColumnPrior):
    """An inverse gamma prior of the scales of waiting times: gamma for their inverses, the rates.

    Parameters
    ----------
    shape : float, (d,) or (K, d) array-like
        Above 0. Its mode is ``scale / (shape + 1)``.
    scale : float, (d,) or (K, d) array-like
        Above 0, in the units of the data.

    Examples
    --------
    >>> from latentem import families
    >>> family = families.Exponential(prior=families.InverseGammaPrior(1.0, 10.0))
    """

    shape: Any
    scale: Any
    _least = ((0.0, False), (0.0, False))

    def log_density(self, scales: Array, free: Array | None = None) -> float:
        return _sum(-(self.shape + 1.0) * np.log(scales) - self.scale / scales, free)


@dataclass(frozen=True, eq=False, repr=False)
class BetaPrior(ColumnPrior):
    """A beta prior of the probabilities of a 1.

    Parameters
    ----------
    ones, zeros : float, (d,) or (K, d) array-like
        At least 1 each; 2 and 2 are one pseudo-row of each answer.

    Examples
    --------
    >>> from latentem import families
    >>> family = families.Bernoulli(prior=families.BetaPrior(2.0, 2.0))
    """

    ones: Any
    zeros: Any
    _least = ((1.0, True), (1.0, True))

    def _why(self, field: str) -> str:
        return ": below 1 the most probable value is on the boundary, whatever the data"

    def log_density(self, probs: Array, free: Array | None = None) -> float:
        return _sum(xlogy(self.ones - 1.0, probs) + xlog1py(self.zeros - 1.0, -probs), free)


@dataclass(frozen=True, eq=False, repr=False)
class DirichletPrior(ColumnPrior):
    """A Dirichlet prior of the probabilities of categories.

    Parameters
    ----------
    concentration : float, (C,) or (K, C) array-like
        At least 1; those of all columns of the data side by side. 2 is one pseudo-row of each
        category.

    Examples
    --------
    >>> from latentem import families
    >>> family = families.Categorical(prior=families.DirichletPrior(2.0))
    """

    concentration: Any
    _least = ((1.0, True),)

    def _why(self, field: str) -> str:
        return ": below 1 the most probable value is on the boundary, whatever the data"

    def log_density(self, probs: Array, free: Array | None = None) -> float:
        return _sum(xlogy(self.concentration - 1.0, probs), free)


def concentrations(
    prior: Any, shape: tuple[int, ...], name: str, rows: bool = False
) -> Array | None:
    """Dirichlet concentrations in the shape of the probabilities, None where they say nothing.

    A number or that shape; with `rows` the shape of a row too.
    """
    if prior is None:
        return None
    found = _numbers(prior, name)
    shapes = [shape] if not rows else [shape[-1:], shape]
    if found.shape not in [(), *shapes]:
        wanted = " or ".join(map(str, shapes))
        raise ValueError(f"{name} must be a number or have shape {wanted}, got {found.shape}")
    if not np.all(found >= 1):
        raise ValueError(
            f"{name} must be >= 1, got {found.min():g}: below 1 the most probable values are on "
            "the boundary, whatever the data"
        )
    return None if np.all(found == 1) else np.broadcast_to(found, shape)


def _sum(terms: Array, free: Array | None) -> float:
    """The sum of log densities, of values that are free: a prior is of what may move."""
    return float((terms if free is None else np.where(free, terms, 0.0)).sum())


def of_free(concentrations: Array, free: Array | None) -> Array:
    """Concentrations of what may move: 1, which says nothing, for what is kept."""
    return concentrations if free is None else np.where(free, concentrations, 1.0)


def _numbers(value: Any, name: str) -> Array:
    try:
        found = np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers") from None
    if not np.all(np.isfinite(found)):
        raise ValueError(f"{name} contains NaN or infinity")
    return found
