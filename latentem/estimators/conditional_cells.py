"""What an imputer says of missing cells beyond one number each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentem.models.conditionals import conditional_covariance

__all__ = ["ConditionalCells"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class ConditionalCells:
    """Missing cells given what is seen of their row.

    Attributes
    ----------
    mean : (n, d) array
        The data, missing cells at their conditional means.
    std : (n, d) array
        Conditional standard deviations of missing cells, 0 where seen.
    missing : (n, d) bool array
    """

    mean: Array
    std: Array
    missing: Array
    _covariance: Array

    def covariance(self, row: int) -> Array:
        """Conditional covariance (d, d) of the missing cells of a row, 0 where seen."""
        varying = np.flatnonzero(self._covariance.diagonal() > 0)
        out = np.zeros_like(self._covariance)
        places = np.ix_(varying, varying)
        out[places] = conditional_covariance(self._covariance[places], self.missing[row][varying])
        return out
