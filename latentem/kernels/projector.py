"""Rows of the system matrix of parallel rays, by Joseph's interpolation."""

import numpy as np
from numba import njit

__all__ = ["joseph"]


@njit(cache=True, nogil=True, error_model="numpy")
def joseph(cosines, sines, centre, n, m, offset, inside, first, pixels, lengths):
    """Pixels that each ray meets, and the length of the ray that each stands for.

    A ray at angle a with distance u from the centre passes through column
    ``u cos a + t sin a`` and row ``-u sin a + t cos a``, both from the centre. It steps
    through the rows or the columns of the image, whichever it crosses more steeply, and
    between the two nearest pixels of each it interpolates.

    Call it twice: with no `pixels` it counts, and writes `first`; then it fills.

    Parameters
    ----------
    cosines, sines : (V,) array
        Of the angles.
    centre : float
        Row and column of the centre of rotation.
    n : int
        Rows and columns of the image.
    m : int
        Detectors.
    offset : float
        Detector that looks at the centre.
    inside : (n * n,) bool array
        Pixels that there are.
    first : (V * m + 1,) int array; overwritten
        Place at which each ray begins, by angle, then detector; last their number.
    pixels : (first[-1],) or (0,) int array; overwritten
    lengths : (first[-1],) or (0,) array; overwritten
        In sides of a pixel.
    """
    filling = pixels.shape[0] > 0
    place = 0
    for v in range(cosines.shape[0]):
        c, s = cosines[v], sines[v]
        steep = abs(c) >= abs(s)
        length = 1.0 / max(abs(c), abs(s))
        for d in range(m):
            first[v * m + d] = place
            u = d - offset
            for step in range(n):
                t = step - centre
                at = (u + t * s) / c if steep else (t * c - u) / s
                at += centre
                low = int(np.floor(at))
                share = at - low
                for side in range(2):
                    weight = share if side == 1 else 1.0 - share
                    other = low + side
                    if weight > 0.0 and 0 <= other < n:
                        pixel = step * n + other if steep else other * n + step
                        if inside[pixel]:
                            if filling:
                                pixels[place] = pixel
                                lengths[place] = weight * length
                            place += 1
    first[-1] = place
