"""An information matrix and its inverse: what the data settle, and what they leave open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latentem.engine.differences import STEP

__all__ = ["Information", "Inverse", "inverted", "open_parameters"]

Array = np.ndarray

#: Share of the complete-data information below which a direction is flat.
FLAT = 1e-7
#: Nats still to be gained, by a Newton step, at which a fit is no maximum.
AHEAD = 0.05
#: Share of a parameter's own scale with which it takes part in a flat direction.
TOUCHED = 1e-3


class Information(NamedTuple):
    """Negative Hessian (p, p) and gradient (p,) of the objective in the free coordinates.

    `steps` (p,) are `differences.STEP` complete-data standard errors of each.
    """

    matrix: Array
    slope: Array
    steps: Array


class Inverse(NamedTuple):
    """The inverse of an information matrix where it is not flat.

    `covariance` (p, p) leaves out the flat directions, the columns of `flat` (p, m).
    """

    covariance: Array
    flat: Array


def inverted(information: Information, jacobian: Array, names: Sequence[str]) -> Inverse:
    """The covariance of the coordinates, and the directions in which there is none.

    Parameters
    ----------
    information : Information
    jacobian : (m, p) array
        Derivatives of the parameters by the coordinates.
    names : m names of the parameters

    Raises
    ------
    ValueError
        Where the point is no maximum; the sentence names a parameter.
    """
    matrix, slope, steps = information
    if not np.all(np.isfinite(matrix)):
        raise ValueError("the observed information is not finite: the fit is not at a maximum")
    scale = steps / STEP
    _refuse_far(0.5 * float(np.sum((slope * scale) ** 2)))  # by the complete-data information
    values, vectors = np.linalg.eigh(matrix * np.outer(scale, scale))
    noise = FLAT * max(1.0, float(values[-1]) if len(values) else 1.0)
    if len(values) and values[0] < -noise:
        worst = names[int(np.argmax(_shares(jacobian, scale, vectors[:, :1])))]
        raise ValueError(
            f"the observed information is not positive definite (least along {worst}): the fit is "
            "not at a maximum but near a saddle, or the data do not identify the parameters. Fit "
            "to a smaller tol, from another start, or use fewer components"
        )
    sound = values > noise
    root = scale[:, None] * vectors[:, sound] / np.sqrt(values[sound])
    covariance = root @ root.T
    _refuse_far(0.5 * float(np.sum((slope @ root) ** 2)))  # by a Newton step
    rising = np.abs((slope * scale) @ vectors[:, ~sound]) > AHEAD
    if rising.any():
        along = vectors[:, ~sound][:, rising]
        worst = names[int(np.argmax(_shares(jacobian, scale, along)))]
        raise ValueError(
            f"the fit is not at a maximum for these data: the likelihood rises along {worst} "
            "without a curve, as beside a limit of a variance"
        )
    return Inverse(covariance, scale[:, None] * vectors[:, ~sound])


def _refuse_far(ahead: float) -> None:
    """ValueError where so many nats are still to be gained that the point is no maximum."""
    if ahead > AHEAD:
        raise ValueError(
            f"the fit is not at a maximum for these data: about {ahead:.2g} nats are still to be "
            "gained. Pass the data, weights and labels of the fit, and fit to a smaller tol"
        )


def open_parameters(jacobian: Array, information: Information, inverse: Inverse) -> Array:
    """Which parameters (m,) move along a flat direction, so that the data do not settle them."""
    scale = information.steps / STEP
    return _shares(jacobian, scale, inverse.flat / scale[:, None]) > TOUCHED


def _shares(jacobian: Array, scale: Array, directions: Array) -> Array:
    """Size (m,) of the moves of each parameter along unit directions, (p, k), of its own scale."""
    moves = jacobian * scale
    own = np.sqrt(np.sum(moves**2, axis=1))
    along = np.sqrt(np.sum((moves @ directions) ** 2, axis=1))
    return np.divide(along, own, out=np.zeros_like(own), where=own > 0)
