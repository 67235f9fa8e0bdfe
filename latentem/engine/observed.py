r"""The observed information, by differentiating the score.

By Fisher's identity the gradient of the log-likelihood at :math:`\phi` is that of
:math:`Q(\phi' \mid S(\phi))` in :math:`\phi'` at :math:`\phi' = \phi`, with the
statistics S held fixed: no pass over the data. Its derivative along each coordinate
(four E-steps) gives the observed information (Jamshidian and Jennrich 2000,
doi:10.1111/1467-9868.00230).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from latentem.engine.backends import Backend
from latentem.engine.boundary import Interior
from latentem.engine.differences import gradient, hessian, jacobian, steps
from latentem.engine.information import Information
from latentem.engine.model import LatentModel

__all__ = ["observed_information"]

Array = np.ndarray


def observed_information(
    model: LatentModel, inside: Interior, blocks: Sequence[Any], backend: Backend
) -> Information:
    """Negative Hessian and gradient of the objective in the free coordinates.

    Models with ``expected_loglik`` take four E-steps per coordinate, others
    of the order of p^2.
    """
    at = inside.at
    try:
        statistics = backend.expect(model, inside.unpack(at), blocks).statistics
        model.expected_loglik(inside.unpack(at), statistics)
    except NotImplementedError:

        def objective(where: Array) -> float:
            here = inside.unpack(where)
            return float(backend.expect(model, here, blocks).loglik) + model.log_prior(here)

        found = steps(objective, at)
        return Information(
            -hessian(objective, at, 4 * found), gradient(objective, at, 4 * found), found
        )

    def complete(where: Array, given: Any) -> float:
        here = inside.unpack(where)
        return model.expected_loglik(here, given) + model.log_prior(here)

    found = steps(lambda where: complete(where, statistics), at)

    def score(where: Array) -> Array:
        there = backend.expect(model, inside.unpack(where), blocks).statistics
        return gradient(lambda near: complete(near, there), where, found)

    matrix = -jacobian(score, at, found)
    return Information(0.5 * (matrix + matrix.T), score(at), found)
