"""What a finished factor model has to say of its noise, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.model import Diagnosis
from latentem.families.covariance import RESOLUTION
from latentem.models.normal import NAMED

__all__ = ["NoiseFound", "diagnosed"]

Array = np.ndarray
#: A noise is at its floor when it is no further above it than this factor.
AT_FLOOR = 1.001
#: Loadings of columns without noise are collinear when they are no further apart than this many
#: standard deviations of the noise at its floor.
COLLINEAR = 10.0


class NoiseFound(NamedTuple):
    """Parameters and columns at the end of a fit, in the units of the model.

    Parameters
    ----------
    loadings : (d, q) array
        Of standard factors.
    noise : (d,) array
    floor : (d,) array
    mean, variance : (d,) array
        Of what is seen of each column.
    """

    loadings: Array
    noise: Array
    floor: Array
    mean: Array
    variance: Array


def diagnosed(found: NoiseFound, labels: Sequence[Any], share: float, isotropic: bool) -> Diagnosis:
    """Constant columns, and noise at its floor.

    With noise 0 in a column that a factor follows, the likelihood may still have a maximum
    there (a Heywood case). With noise 0 in columns that are collinear given the factors it
    has none.

    Parameters
    ----------
    found : NoiseFound
    labels : sequence
        What to call the columns.
    share : float
        The floor, as a share of the variance of a column.
    isotropic : bool
    """
    loadings, noise, floor, mean, variance = found
    n_factors = loadings.shape[1]
    constant = variance <= RESOLUTION**2 * (mean**2 + variance)
    notes = tuple(
        f"column {labels[j]} is constant: its noise is at a floor"
        for j in np.flatnonzero(constant).tolist()
    )
    low = np.flatnonzero((noise <= AT_FLOOR * floor) & ~constant).tolist()
    if not low:
        return Diagnosis((), notes)
    if isotropic:
        text = (
            f"the noise is at its floor, {share:g} of the variance: the rows lie in a plane of "
            f"{n_factors} dimensions, and the likelihood has no maximum. Use fewer factors"
        )
        return Diagnosis((text,), notes)
    several = len(low) > 1
    names = _names([labels[j] for j in low])
    where = f"the noise of {names} is at {'their floors' if several else 'its floor'}, {share:g} "
    values = np.linalg.svd(loadings[low] / np.sqrt(variance[low])[:, None], compute_uv=False)
    if len(low) > n_factors or values[-1] < COLLINEAR * np.sqrt(share):
        text = (
            f"{where}of the variance: given the factors these columns are collinear, and the "
            "likelihood has no maximum. Leave one out, or use fewer factors"
        )
        return Diagnosis((text,), notes)
    text = (
        f"{where}of the variance (a Heywood case): a factor follows "
        f"{'each of them' if several else 'it'} alone. Use fewer factors, or look at "
        "whether the data settle so many"
    )
    return Diagnosis((), notes, (text,))


def _names(labels: Sequence[Any]) -> str:
    """Columns in words, a few of them."""
    if len(labels) == 1:
        return f"column {labels[0]}"
    shown = [str(label) for label in labels[:NAMED]]
    if len(labels) > NAMED:
        return f"columns {', '.join(shown)} and {len(labels) - NAMED} more"
    return f"columns {', '.join(shown[:-1])} and {shown[-1]}"
