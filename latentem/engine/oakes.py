r"""The observed information as complete less missing information, after Oakes.

.. math:: I(\phi) = -\left[ \frac{\partial^2 Q(\phi' \mid \phi)}{\partial\phi'^2}
          + \frac{\partial^2 Q(\phi' \mid \phi)}{\partial\phi' \partial\phi}
          \right]_{\phi' = \phi}

(Oakes 1999, doi:10.1111/1467-9868.00188). The first term, the complete-data information,
needs no pass over the data; the second, the information that is missing, four E-steps for
each coordinate. EM approaches the maximum at the rates that are the eigenvalues of
:math:`I_\text{complete}^{-1} I_\text{missing}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigh

from latentem.engine.backends import Backend
from latentem.engine.boundary import Interior
from latentem.engine.differences import gradient, jacobian, steps
from latentem.engine.information import Information
from latentem.engine.model import LatentModel

__all__ = ["Oakes", "oakes"]

Array = np.ndarray


class Oakes(NamedTuple):
    """The parts of the observed information in the free coordinates.

    `complete` and `missing` are (p, p), `slope` (p,) is the gradient of the objective, and
    `steps` (p,) are those of the differences. A log prior counts with the complete data.
    """

    complete: Array
    missing: Array
    slope: Array
    steps: Array

    def information(self) -> Information:
        """The observed information: complete less missing."""
        return Information(self.complete - self.missing, self.slope, self.steps)

    def rates(self) -> Array:
        """Fractions of missing information, largest first: the rates at which EM converges."""
        return eigh(self.missing, self.complete, eigvals_only=True)[::-1]


def oakes(model: LatentModel, inside: Interior, blocks: Sequence[Any], backend: Backend) -> Oakes:
    """Complete and missing information of a model with ``expected_loglik``.

    Raises
    ------
    NotImplementedError
        Where the model defines no ``expected_loglik``.
    """
    at = inside.at
    statistics = backend.expect(model, inside.unpack(at), blocks).statistics

    def complete(where: Array, given: Any) -> float:
        here = inside.unpack(where)
        return model.expected_loglik(here, given) + model.log_prior(here)

    found = steps(lambda where: complete(where, statistics), at)

    def slope(where: Array, given: Any) -> Array:
        return gradient(lambda near: complete(near, given), where, found)

    def slope_given(other: Array) -> Array:
        return slope(at, backend.expect(model, inside.unpack(other), blocks).statistics)

    second = -jacobian(lambda where: slope(where, statistics), at, found)
    mixed = jacobian(slope_given, at, found)
    return Oakes(0.5 * (second + second.T), 0.5 * (mixed + mixed.T), slope(at, statistics), found)
