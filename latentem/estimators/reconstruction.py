"""Images behind counts: reconstruction under any linear operator, tomography, deconvolution."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
from scipy.special import gammaln, xlogy
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from latentem.engine.acceleration import Accelerator
from latentem.engine.em import EM, Callback
from latentem.engine.result import EMResult
from latentem.engine.warnings import NotIdentifiedWarning, tell
from latentem.estimators.image_checks import (
    check_background,
    check_counts,
    check_prior,
    check_reach,
    check_start,
    unseen,
)
from latentem.estimators.settings import kept, nothing_half_done
from latentem.models.image_prior import ImagePrior
from latentem.models.poisson_linear import Image, Measurements, PoissonLinear
from latentem.operators.convolution import Boundary, Convolution
from latentem.operators.operator import Operator, as_numbers, as_operator
from latentem.operators.parallel_beam import ParallelBeam

__all__ = ["Deconvolution", "PoissonReconstruction", "Tomography"]

Array = np.ndarray
Accelerate = Literal["auto", "squarem", "anderson"] | Callable[[], Accelerator] | None
Stopping = Literal["aitken", "step", "gradient"]


class PoissonReconstruction(BaseEstimator):
    """The non-negative image x behind counts y ~ Poisson(A x + s).

    EM for this model is MLEM in emission tomography and Richardson-Lucy in deconvolution. The
    log-likelihood is concave, so there is one start, an even image. A maximum-likelihood image
    of noisy data is noisy: stop early (``tol=0, max_iter=30, accelerate=None`` is 30 iterations
    of MLEM), or give a prior and let it converge.

    Parameters
    ----------
    operator : array, scipy sparse matrix, LinearOperator, Operator, or object
        A, without negative entries: one row for each measurement, one column for each pixel. An
        object has methods ``forward(image)`` and ``adjoint(data)``; `latentem.operators` has some.
    background : float or array, optional
        s, the counts that are expected without an image, in counts; default 0.
    prior : IntensityPrior or SmoothnessPrior, optional
        Quadratic, from `latentem.models`; then the image is the posterior mode.
    subsets : int
        Ordered subsets: an update after each n-th part of the data. A pass is about as good as n
        iterations at first, and nothing promises convergence.
    tol : float
        Projected remaining gain, in nats of the whole log-likelihood, at which to stop. 0 makes
        exactly `max_iter` maps.
    max_iter : int
        Most EM maps; with subsets each update counts.
    accelerate : {"auto", "squarem", "anderson"}, callable or None
        None is plain EM. Pixels stay positive: acceleration works on their logarithms.
    stopping : {"aitken", "step", "gradient"}
        With "gradient" `tol` is the largest violation of the conditions of a maximum, see
        `latentem.models.PoissonLinear.kkt_residual`.
    n_jobs : int or None
        None uses the cores the process may use. Results do not depend on it.
    callbacks : sequence of callables, optional
        Each is called with every `State`; one that returns True stops the fit.
    progress : bool
    time_limit : float, optional
        Seconds after which to stop; the image so far stands.
    checkpoint : path, optional
        Where to keep the whole state of the fit, for ``fit(..., resume=path)``.
    checkpoint_every : int or str
        EM points, or seconds such as "30s", between two checkpoints.

    Attributes
    ----------
    image_ : array
        x. Its unit is that of y over that of the entries of A; a float type of y is kept.
    sensitivity_ : array
        Sum of the column of A for each pixel, in units of the entries: the share of its counts
        that is measured.
    loglik_ : float
        Log-likelihood at `image_`, with log Gamma(y + 1).
    result_ : EMResult
        ``result_.params.x`` is the image in float64, with the margin of a deconvolution.
    operator_ : Operator
    converged_ : bool
    n_iter_ : int

    References
    ----------
    Shepp and Vardi (1982), doi:10.1109/TMI.1982.4307558; De Pierro (1995),
    doi:10.1109/42.370409; Hudson and Larkin (1994), doi:10.1109/42.363108.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import PoissonReconstruction
    >>> A = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    >>> found = PoissonReconstruction(A).fit([3.0, 4.0, 2.0])
    >>> found.image_.round(2)
    array([3., 1.])
    >>> found.predict().round(1)
    array([3., 4., 2.])
    """

    image_: Array
    sensitivity_: Array
    result_: EMResult
    operator_: Operator
    background_: Any

    def __init__(
        self,
        operator: Any,
        background: Any = None,
        prior: ImagePrior | None = None,
        subsets: int = 1,
        *,
        tol: float = 1e-3,
        max_iter: int = 1000,
        accelerate: Accelerate = "auto",
        stopping: Stopping = "aitken",
        n_jobs: int | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = False,
        time_limit: float | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | str = "30s",
    ):
        self.operator = operator
        self.background = background
        self.prior = prior
        self.subsets = subsets
        self.tol = tol
        self.max_iter = max_iter
        self.accelerate = accelerate
        self.stopping = stopping
        self.n_jobs = n_jobs
        self.callbacks = callbacks
        self.progress = progress
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    def _operator(self, y: Array) -> Operator:
        """The operator that made data of this shape."""
        return as_operator(self.operator, y.shape)

    def fit(self, y: Any, start: Any = None, resume: Any = None) -> Self:
        """Reconstruct the image behind `y`.

        Parameters
        ----------
        y : array-like
            Counts, not negative; they need not be whole numbers.
        start : array-like, optional
            Image to begin with, in the shape of `image_`; pixels of 0 stay 0. By default all
            pixels are alike.
        resume : path, optional
            A checkpoint of a fit to the same data, to go on from.

        Raises
        ------
        ValueError
            For data, an operator or arguments that cannot be; nothing is changed then.
        """
        with nothing_half_done(self):
            return self._fit(y, start, resume)

    def _fit(self, y: Any, start: Any, resume: Any) -> Self:
        model = PoissonLinear(self.prior, self.subsets)
        settings = EM(
            tol=self.tol,
            max_iter=self.max_iter,
            accelerate=self.accelerate,
            stopping=self.stopping,
            subsets=self.subsets,
            n_jobs=self.n_jobs,
            callbacks=self.callbacks,
            progress=bool(self.progress),
            **kept(self),
        )
        counts, kind = check_counts(y)
        operator = self._operator(counts)
        check_prior(self.prior, operator)
        background = check_background(self.background, counts.shape)
        blocks = model.blocks((operator, counts, background))
        sensitivity = np.sum([block.sensitivity for block in blocks], axis=0)
        check_reach(operator, counts, background, sensitivity)
        first = None if start is None else Image(check_start(start, operator))
        result = settings.run(model, blocks, start=first, resume=resume)
        self.operator_, self.background_, self.result_ = operator, background, result
        self.image_ = operator.crop(result.params.x).astype(kind)
        self.sensitivity_ = operator.crop(sensitivity)
        self.loglik_, self.converged_ = result.loglik, result.converged
        self.n_iter_ = result.n_iter
        text = unseen(operator, sensitivity) if self.prior is None else ""
        if text:
            tell(text, NotIdentifiedWarning)
        return self

    def predict(self) -> Array:
        """Expected data of the image, ``A x + s``, in the shape of the data."""
        check_is_fitted(self)
        return self.operator_.forward(self.result_.params.x) + self.background_

    def score(self, y: Any) -> float:
        """Mean log-likelihood per measurement of data of this image, such as a second scan."""
        mean = self.predict()
        counts, _ = check_counts(y)
        if counts.shape != mean.shape:
            raise ValueError(f"y has shape {counts.shape}, and the fit was to {mean.shape}")
        return float(np.mean(xlogy(counts, mean) - mean - gammaln(counts + 1)))

    def em_problem(
        self, y: Any, sample_weight: Any = None, lengths: Any = None
    ) -> tuple[PoissonLinear, Image, list[Measurements]]:
        """The engine's view of this fit: model, parameters and data."""
        check_is_fitted(self)
        for name, value in (("sample_weight", sample_weight), ("lengths", lengths)):
            if value is not None:
                raise ValueError(f"a reconstruction has no {name}: leave it out")
        counts, _ = check_counts(y)
        model = PoissonLinear(self.prior)
        background = check_background(self.background, counts.shape)
        blocks = model.blocks((self.operator_, counts, background))
        return model, self.result_.params, blocks


class Tomography(PoissonReconstruction):
    """Reconstruction from a sinogram of parallel rays: MLEM, ordered subsets, or MAP.

    Conventions are those of ``skimage.transform.radon``: sinograms (detector, angle), degrees,
    images (row, column). The data are counts behind line integrals, as in emission tomography
    (PET, SPECT). Line integrals of attenuation (CT, after the logarithm) are no counts: then this
    is the non-negative image whose projections are nearest in Kullback-Leibler divergence.

    Parameters
    ----------
    theta : (n_angles,) array-like, optional
        Angles in degrees; by default even steps from 0 to below 180.
    circle : bool
        The image is 0 outside the circle that fits into it, as for ``radon(circle=True)``.
    background, prior, subsets, tol, max_iter, accelerate, stopping, n_jobs, callbacks, progress, \
time_limit, checkpoint, checkpoint_every
        As for `PoissonReconstruction`. Subsets are interleaved over the angles.

    Attributes
    ----------
    image_ : (n, n) array
        Counts per side of a pixel: a ray of length 1 in a pixel of value 1 is expected to count 1.
    sensitivity_ : (n, n) array
        Length of all rays in each pixel, in sides of a pixel.
    operator_ : ParallelBeam
    loglik_, result_, converged_, n_iter_
        As for `PoissonReconstruction`.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import Tomography
    >>> from latentem.operators import ParallelBeam
    >>> theta = np.arange(0, 180, 10)
    >>> image = np.zeros((16, 16))
    >>> image[5:9, 7:12] = 3.0
    >>> found = Tomography(theta, tol=0, max_iter=50).fit(ParallelBeam(theta, 16).forward(image))
    >>> bool(np.abs(found.image_ - image).mean() < 0.1)
    True
    """

    def __init__(
        self,
        theta: Any = None,
        circle: bool = True,
        background: Any = None,
        prior: ImagePrior | None = None,
        subsets: int = 1,
        *,
        tol: float = 1e-3,
        max_iter: int = 1000,
        accelerate: Accelerate = "auto",
        stopping: Stopping = "aitken",
        n_jobs: int | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = False,
        time_limit: float | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | str = "30s",
    ):
        self.theta = theta
        self.circle = circle
        self.background = background
        self.prior = prior
        self.subsets = subsets
        self.tol = tol
        self.max_iter = max_iter
        self.accelerate = accelerate
        self.stopping = stopping
        self.n_jobs = n_jobs
        self.callbacks = callbacks
        self.progress = progress
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    def _operator(self, y: Array) -> Operator:
        if y.ndim != 2:
            raise ValueError(f"a sinogram is (detector, angle), got {y.ndim} dimensions")
        even = np.linspace(0, 180, y.shape[1], endpoint=False)
        theta = even if self.theta is None else as_numbers(self.theta, "theta")
        if theta.shape != (y.shape[1],):
            raise ValueError(
                f"theta has {theta.size} angles and the sinogram {y.shape[1]} columns: operator "
                "and data do not match; a sinogram is (detector, angle)"
            )
        return ParallelBeam.like(y, theta, self.circle)


class Deconvolution(PoissonReconstruction):
    """Sharpening of an image by its point spread function: Richardson-Lucy, right at the borders.

    Light from outside the frame is estimated too, so that the border needs no padding, and
    `accelerate` reaches the same likelihood in fewer iterations. ``tol=0, max_iter=30,
    accelerate=None`` is 30 iterations of Richardson-Lucy.

    Parameters
    ----------
    psf : array
        The light of one pixel, not negative, its middle at index ``size // 2`` of each axis. It
        is used as it is: divide it by its sum for an image in the unit of the data.
    boundary : {"unknown", "zero"}
        What is outside the frame: something that is estimated too, or darkness.
    background, prior, subsets, tol, max_iter, accelerate, stopping, n_jobs, callbacks, progress, \
time_limit, checkpoint, checkpoint_every
        As for `PoissonReconstruction`; a convolution has no subsets.

    Attributes
    ----------
    image_ : array
        In the shape of the data and their float type, in the unit of the data over the sum of the
        psf. Nothing is clipped or rescaled.
    sensitivity_ : array
        Share of the light of each pixel that falls into the frame, times the sum of the psf.
    operator_ : Convolution
    loglik_, result_, converged_, n_iter_
        As for `PoissonReconstruction`.

    References
    ----------
    Richardson (1972), doi:10.1364/JOSA.62.000055; Lucy (1974), doi:10.1086/111605; for the
    borders, Bertero and Boccacci (2005), doi:10.1051/0004-6361:20052717.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import Deconvolution
    >>> image = np.full((8, 8), 2.0)
    >>> image[3, 4] = 50.0
    >>> psf = np.full((3, 3), 1 / 9)
    >>> from latentem.operators import Convolution
    >>> blurred = Convolution(psf, (6, 6)).forward(image)
    >>> found = Deconvolution(psf, tol=0, max_iter=200).fit(blurred)
    >>> round(float(blurred[2, 3]), 1), round(float(found.image_[2, 3]), 1)
    (7.3, 42.8)
    """

    def __init__(
        self,
        psf: Any,
        boundary: Boundary = "unknown",
        background: Any = None,
        prior: ImagePrior | None = None,
        subsets: int = 1,
        *,
        tol: float = 1e-3,
        max_iter: int = 1000,
        accelerate: Accelerate = "auto",
        stopping: Stopping = "aitken",
        n_jobs: int | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = False,
        time_limit: float | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | str = "30s",
    ):
        self.psf = psf
        self.boundary = boundary
        self.background = background
        self.prior = prior
        self.subsets = subsets
        self.tol = tol
        self.max_iter = max_iter
        self.accelerate = accelerate
        self.stopping = stopping
        self.n_jobs = n_jobs
        self.callbacks = callbacks
        self.progress = progress
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    def _operator(self, y: Array) -> Operator:
        return Convolution(self.psf, y.shape, self.boundary)
