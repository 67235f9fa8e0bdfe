r"""Parallel rays through a square image: the Radon transform, as a sparse matrix.

Conventions are those of ``skimage.transform.radon``: angles in degrees, images (row,
column), sinograms (detector, angle), a centre of rotation at pixel ``n // 2``, detectors one
pixel apart, and at angle 0 rays along the columns. A ray is

.. math:: \text{column} - c = u\cos\theta + t\sin\theta, \qquad
          \text{row} - c = -u\sin\theta + t\cos\theta .

Its integral over t is taken by Joseph's method: one step for each row, or column, that the
ray crosses, linear interpolation between two pixels (Joseph 1982,
doi:10.1109/TMI.1982.4307572).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from latentem.kernels.projector import joseph
from latentem.operators.operator import Operator, as_numbers, rows_of

__all__ = ["ParallelBeam"]

Array = np.ndarray


class ParallelBeam(Operator):
    """Line integrals of a square image along parallel rays.

    The matrix is made once, when it is needed: 12 bytes for each pixel that a ray meets, about
    0.2 GiB for 256 x 256 pixels and 180 angles.

    Parameters
    ----------
    theta : (n_angles,) array-like
        Angles in degrees.
    n : int
        Rows and columns of the image.
    circle : bool
        The image is 0 outside the circle that fits into it, and n detectors see all of it. Else
        the corners count too, and there are about 1.41 n detectors.

    Attributes
    ----------
    image_shape : tuple
        (n, n). Values are per side of a pixel: a ray of length 1 through a pixel of value 1
        adds 1.
    data_shape : tuple
        (n_detectors, n_angles).

    Examples
    --------
    >>> import numpy as np
    >>> from latentem.operators import ParallelBeam
    >>> beam = ParallelBeam([0, 90], 4, circle=False)
    >>> image = np.zeros((4, 4))
    >>> image[1, 2] = 5.0
    >>> beam.data_shape
    (6, 2)
    >>> beam.forward(image).T
    array([[0., 0., 0., 5., 0., 0.],
           [0., 0., 0., 0., 5., 0.]])
    """

    def __init__(self, theta: Any, n: int, circle: bool = True):
        theta = as_numbers(theta, "theta")
        if theta.ndim != 1 or not theta.size or not np.all(np.isfinite(theta)):
            raise ValueError(f"theta must be a list of finite angles in degrees, got {theta!r}")
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
            raise ValueError(f"n must be an integer >= 2, the rows of the image, got {n!r}")
        self.theta, self.n, self.circle = theta, int(n), bool(circle)
        # Without the circle scikit-image pads the image to its diagonal.
        extra = 0 if circle else int(np.ceil(np.sqrt(2) * self.n - self.n))
        self._detectors = self.n + extra
        self.image_shape = (self.n, self.n)
        self.data_shape = (self._detectors, len(theta))
        self._matrix: Any = None
        self._transposed: Any = None

    @classmethod
    def like(cls, sinogram: Array, theta: Any, circle: bool = True) -> ParallelBeam:
        """The rays of a sinogram (detector, angle): n follows from its detectors."""
        detectors = int(np.shape(sinogram)[0])
        if circle:
            return cls(theta, detectors)
        guess = int(detectors / np.sqrt(2))
        for n in range(max(guess - 1, 2), guess + 3):
            beam = cls(theta, n, circle=False)
            if beam._detectors == detectors:
                return beam
        raise ValueError(
            f"no image has {detectors} detectors without a circle (n + ceil(0.414 n) of them): is "
            "the sinogram (detector, angle), and was it made with circle=False?"
        )

    @property
    def size(self) -> int:
        return 2 * self.n * self._detectors * len(self.theta)

    @property
    def matrix(self) -> Any:
        """The system matrix, (n_angles * n_detectors, n * n): rows by angle, then detector."""
        if self._matrix is None:
            self._matrix = self._make()
        return self._matrix

    def _make(self) -> Any:
        angles = np.deg2rad(self.theta)
        cosines, sines = np.cos(angles), np.sin(angles)
        m, n = self._detectors, self.n
        outside = self.outside()
        inside = np.ones(n * n, bool) if outside is None else ~outside.ravel()
        where = (cosines, sines, float(n // 2), n, m, float(m // 2), inside)
        first = np.empty(len(angles) * m + 1, dtype=np.int64)
        joseph(*where, first, np.empty(0, dtype=np.int32), np.empty(0))
        kind = np.int32 if max(first[-1], n * n) < 2**31 else np.int64
        pixels, lengths = np.empty(first[-1], dtype=kind), np.empty(first[-1])
        joseph(*where, first, pixels, lengths)
        shape = (len(first) - 1, n * n)
        return sparse.csr_array((lengths, pixels, first.astype(kind)), shape=shape)

    def forward(self, image: Array) -> Array:
        by_angle = self.matrix @ image.ravel()
        return by_angle.reshape(len(self.theta), self._detectors).T

    def adjoint(self, data: Array) -> Array:
        matrix = self.matrix
        if self._transposed is None:  # scipy checks a matrix anew whenever it is transposed
            self._transposed = matrix.T
        return (self._transposed @ data.T.ravel()).reshape(self.image_shape)

    def parts(self, n: int, interleaved: bool = False) -> list[tuple[Operator, Any]]:
        if n == 1:
            return [(self, ...)]
        views = len(self.theta)
        if n > views:
            raise ValueError(
                f"{n} subsets of {views} angles: each needs an angle, take at most {views}"
            )
        found: list[tuple[Operator, Any]] = []
        for k in range(n):
            here = slice(k, None, n) if interleaved else slice(views * k // n, views * (k + 1) // n)
            part = ParallelBeam(self.theta[here], self.n, self.circle)
            if not interleaved:  # rows that follow each other are lent, others made when needed
                m = self._detectors
                part._matrix = rows_of(self.matrix, slice(here.start * m, here.stop * m))
            found.append((part, (slice(None), here)))
        return found

    def outside(self) -> Array | None:
        if not self.circle:
            return None
        from_centre = np.arange(self.n) - self.n // 2
        return from_centre[:, None] ** 2 + from_centre**2 > (self.n // 2) ** 2
