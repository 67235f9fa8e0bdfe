r"""Blur by a point spread function, by fast Fourier transforms, right at the borders.

The frame of an image is a window onto a scene that goes on outside. With
``boundary="unknown"`` the image is estimated on all pixels from which light reaches the frame,
.. math:: \bar y_{i} = \sum_k h_k\, x_{i - k},
those outside included. Less of their light is seen, so their sensitivity is below the sum of
h, and the border needs no tricks. With ``boundary="zero"`` there is nothing outside
(fluorescence in the dark): then the outer pixels of the image are those of the frame.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy import fft

from latentem.engine.backends import idle_threads
from latentem.operators.operator import Operator, as_numbers, resolved

__all__ = ["Convolution"]

Array = np.ndarray
Boundary = Literal["unknown", "zero"]


class Convolution(Operator):
    """Convolution with a point spread function, seen through a frame.

    Parameters
    ----------
    psf : array
        Light of one pixel, spread; not negative. Its middle (index ``size // 2`` on each axis)
        is the pixel itself. It is used as it is: where it sums to s, the unit of the image is
        that of the data divided by s.
    shape : tuple of int
        Of the data.
    boundary : {"unknown", "zero"}
        What is outside the frame: image that has to be estimated too, or nothing.

    Attributes
    ----------
    data_shape : tuple
        `shape`.
    image_shape : tuple
        `shape`, with the margin that an unknown boundary needs: `crop` takes it away.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem.operators import Convolution
    >>> blur = Convolution([[0.25, 0.5, 0.25]], (1, 4), boundary="zero")
    >>> blur.forward(np.array([[0.0, 4.0, 0.0, 0.0]])).round(12)
    array([[1., 2., 1., 0.]])
    """

    def __init__(self, psf: Any, shape: tuple[int, ...], boundary: Boundary = "unknown"):
        psf = as_numbers(psf, "psf")
        shape = tuple(int(n) for n in shape)
        if psf.ndim != len(shape) or not psf.size:
            raise ValueError(
                f"psf has shape {psf.shape} and the data {shape}: both must have as many axes"
            )
        if not np.all(np.isfinite(psf)) or psf.min() < 0 or not psf.sum() > 0:
            raise ValueError("psf must be finite and not negative, and not all of it zero")
        if boundary not in ("unknown", "zero"):
            raise ValueError(f"boundary must be 'unknown' or 'zero', got {boundary!r}")
        self.psf, self.boundary = psf, boundary
        self.data_shape = shape
        before = [k - 1 - k // 2 for k in psf.shape]
        margin = [k - 1 for k in psf.shape]
        known = boundary == "zero"
        self.image_shape = tuple(
            n + (0 if known else m) for n, m in zip(shape, margin, strict=True)
        )
        #: Places of the frame in the full convolution, and in the image.
        starts = [k // 2 if known else k - 1 for k in psf.shape]
        self._seen = tuple(slice(a, a + n) for a, n in zip(starts, shape, strict=True))
        starts = [0 if known else b for b in before]
        self._frame = tuple(slice(a, a + n) for a, n in zip(starts, shape, strict=True))
        # An unknown boundary sees only what no wrapping round touches. Else the longer of the
        # halves of the psf must fit between the end of the image and its beginning.
        room = [
            n + (m if not known else max(k // 2, k - 1 - k // 2))
            for n, m, k in zip(shape, margin, psf.shape, strict=True)
        ]
        self._lengths = tuple(fft.next_fast_len(n, real=True) for n in room)
        self._psf = fft.rfftn(psf, self._lengths)
        self._mirrored = self._psf.conj()

    def forward(self, image: Array) -> Array:
        spectrum = self._spectrum(image, tuple(slice(n) for n in image.shape))
        spectrum *= self._psf
        return resolved(self._image(spectrum, self._seen))

    def adjoint(self, data: Array) -> Array:
        spectrum = self._spectrum(data, self._seen)
        spectrum *= self._mirrored
        return resolved(self._image(spectrum, tuple(slice(n) for n in self.image_shape)))

    def _spectrum(self, values: Array, where: tuple[slice, ...]) -> Array:
        """Transform of values at a place in zeros: the library takes longer to pad."""
        placed = np.zeros(self._lengths)
        placed[where] = values
        return fft.rfftn(placed, workers=idle_threads())

    def _image(self, spectrum: Array, where: tuple[slice, ...]) -> Array:
        """A part of the inverse transform, axis by axis: a whole one takes twice as long."""
        workers, axes = idle_threads(), tuple(range(len(where) - 1))
        if axes:
            spectrum = fft.ifftn(spectrum, axes=axes, overwrite_x=True, workers=workers)
        last = fft.irfft(spectrum[where[:-1]], self._lengths[-1], overwrite_x=True, workers=workers)
        return last[..., where[-1]]

    def crop(self, image: Array) -> Array:
        return image[self._frame]

    def extend(self, image: Array) -> Array:
        sides = [
            (part.start, n - part.stop)
            for part, n in zip(self._frame, self.image_shape, strict=True)
        ]
        return np.pad(image, sides, mode="edge")
