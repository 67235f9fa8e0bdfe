"""Starting values that were given: checked, and completed where only some were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from latentem.engine.backends import one_blas_thread
from latentem.engine.blocks import Rows
from latentem.engine.constraints import Fixed
from latentem.engine.family import Family
from latentem.engine.flat import FlatSpace
from latentem.engine.moments import Moments
from latentem.engine.trees import add, leaves, rebuild
from latentem.families.covariance import along, overall, resolution
from latentem.families.gaussian import Gaussian, GaussianParams
from latentem.models.hidden_markov import HiddenMarkov
from latentem.models.mixture import Mixture, MixtureParams

__all__ = ["around_means", "family_like", "fixed_groups", "nearest", "weights_under", "with_arrays"]

Array = np.ndarray


def family_like(model: Mixture | HiddenMarkov, X: Array, params: Any, name: str) -> Any:
    """Parameters of the family with lists made arrays; ValueError if they do not fit these data.

    Parameters of other components, columns or kind than the model has are refused, and
    values outside their set.
    """
    rows = X[:50]  # some families cannot make parameters of a single row
    ones = np.ones((model.n_components, len(rows)))
    wanted = model.family.initialize(model.family.encode(rows), ones, np.random.default_rng(0))
    shapes = [(field, np.shape(value)) for field, value in leaves(wanted)]
    needs = ", ".join(f"{field} {shape}" for field, shape in shapes)
    try:
        params = with_arrays(params)
        found = [(field, np.shape(value)) for field, value in leaves(params)]
        declared = model.family.constraints()
        sound = declared is None or FlatSpace(declared, wanted).holds(params)
    except (TypeError, ValueError):
        found, sound = None, False
    if found != shapes or not sound:
        text = "is of another shape" if found != shapes else "has values outside its set"
        raise ValueError(
            f"{name} {text}: n_components={model.n_components} and these data need "
            f"{type(wanted).__name__} with {needs}, finite and valid"
        )
    return params


def fixed_groups(family: Family) -> tuple[str, ...]:
    """Groups of parameters that a family keeps at their starting values."""
    return family.fixed or tuple(_fixed(family.constraints(), ""))


def _fixed(constraints: Any, name: str) -> Iterator[str]:
    """Names of the leaves declared `Fixed`, as within the parts of a family of parts."""
    if isinstance(constraints, Fixed):
        yield name
    elif isinstance(constraints, tuple):
        fields = getattr(constraints, "_fields", range(len(constraints)))
        for field, part in zip(fields, constraints, strict=True):
            yield from _fixed(part, f"{name}.{field}" if name else str(field))


def weights_under(model: Mixture, family: Any, data: Rows) -> Array:
    """Mixing weights (K,) of one M-step from equal ones, for given parameters of the family."""
    equal = np.full(model.n_components, 1.0 / model.n_components)
    with one_blas_thread(), np.errstate(all="ignore"):
        prepared = model.prepare(MixtureParams(equal, family))
        parts = (model.posterior(prepared, block)[0] for block in model.blocks(data))
        counts = sum(part.sum(axis=1) for part in parts)
    total = np.sum(counts)
    return counts / total if 0 < total < np.inf else equal


def around_means(model: Mixture, family: Gaussian, means: Array, data: Rows) -> MixtureParams:
    """Weights and covariances of the rows that lie nearest to each of given means (K, d).

    Nearest in standardised columns. Covariances are taken about the given means, as an
    M-step with fixed means does; where a mean has few rows they lean on the spread of
    all rows, as in `Gaussian.initialize`, and a mean without rows counts as one row.
    """
    kind, (k, d) = family.covariance_type, means.shape
    blocks = [
        (family.points(block.encoded), np.ones(len(block)) if block.weights is None
         else block.weights) for block in model.blocks(data)
    ]  # fmt: skip
    centre = blocks[0][0].mean(axis=0)
    with one_blas_thread(), np.errstate(all="ignore"):
        every = _moments(Gaussian("diag"), ((x, w[None]) for x, w in blocks), centre)
        spread = np.maximum(overall(every)[1], resolution(every)[0])
        scale = np.sqrt(spread)
        shares = ((x, nearest(x, means / scale, scale) * w) for x, w in blocks)
        near = _moments(Gaussian(kind), shares, centre)
    broad = {
        "full": np.tile(np.diag(spread), (k, 1, 1)),
        "tied": np.diag(spread),
        "diag": np.tile(spread, (k, 1)),
        "spherical": np.full(k, spread.mean()),
    }[kind]
    held = Gaussian(kind, family.reg_covar, fixed=("means",))
    covariances = held.maximize(near, GaussianParams(means, broad)).covariances
    if kind != "tied":
        lean = np.where(near.weight < 2 * d + 1, (d + 1.0) / (d + 1.0 + near.weight), 0.0)
        lean = along(lean, covariances)
        covariances = (1 - lean) * covariances + lean * broad
    counts = np.maximum(near.weight, near.weight.sum() / len(data))
    return MixtureParams(counts / counts.sum(), GaussianParams(means, covariances))


def _moments(family: Gaussian, parts: Iterable[tuple[Array, Array]], centre: Array) -> Moments:
    """Moments of rows with weights (K, m), added up over the parts."""
    total = None
    for x, weights in parts:
        part = family.weighted_moments(x, np.ascontiguousarray(weights), centre)
        total = part if total is None else add(total, part)
    assert total is not None
    return total


def nearest(x: Array, means: Array, scale: Array) -> Array:
    """1 where the mean (of scaled columns) is the nearest to the row, 0 elsewhere, (K, m)."""
    scaled = x / scale
    distances = np.array([np.sum((scaled - mean) ** 2, axis=1) for mean in means])
    return (np.argmin(distances, axis=0) == np.arange(len(means))[:, None]).astype(float)


def with_arrays(params: Any) -> Any:
    """Parameters of a family with lists made arrays."""
    if not isinstance(params, tuple):
        return params
    parts = (np.asarray(part, dtype=float) if isinstance(part, list) else part for part in params)
    return rebuild(params, [with_arrays(part) for part in parts])
