r"""Draws of missing cells that carry the uncertainty of the parameters too.

Bootstrap: the parameters are those of EM on rows drawn with replacement (Honaker and
King 2010, Am. J. Pol. Sci. 54:561-581, doi:10.1111/j.1540-5907.2010.00447.x). Posterior:
data augmentation (Tanner and Wong 1987, JASA 82:528-540,
doi:10.1080/01621459.1987.10478458), which draws in turn

.. math:: x_m | x_o, \mu, \Sigma, \qquad
          \Sigma | x \sim W^{-1}(S + \Psi, n + a - d - 2), \qquad
          \mu | \Sigma, x \sim N(\bar x, \Sigma / n)

under the prior :math:`|\Sigma|^{-a/2} \exp(-\tfrac12 \mathrm{tr} \Psi\Sigma^{-1})`. Both begin
at the maximum that EM found.
"""

from __future__ import annotations

import math

import numpy as np

from latentem.engine.backends import one_blas_thread
from latentem.engine.blocks import Rows
from latentem.engine.em import EM
from latentem.families.covariance import RESOLUTION
from latentem.models.conditionals import CellsOf
from latentem.models.normal import MultivariateNormal, NormalParams
from latentem.models.normal_prior import NormalPrior

__all__ = ["Augmentation", "bootstrap_params", "steps_for"]

Array = np.ndarray
#: Bootstrap samples that are tried for one draw.
TRIES = 10
#: Dependence on the start that is left after the steps of a chain.
LEFT = 0.01
FEWEST, MOST = 10, 2000


def bootstrap_params(
    model: MultivariateNormal,
    data: Rows,
    start: NormalParams,
    settings: EM,
    rng: np.random.Generator,
) -> NormalParams:
    """Parameters of EM on rows drawn with replacement.

    Without a prior, samples in which a column has one value only are drawn again: its
    variance would be 0.

    Raises
    ------
    ValueError
        Where samples leave the covariance singular.
    """
    free = model.prior is None or not model.prior.proper
    n = len(data.x)
    weights = np.ones(n) if data.weights is None else data.weights
    total = round(float(weights.sum()))
    for _ in range(TRIES):
        counts = rng.multinomial(total, weights / weights.sum()).astype(float)
        seen = (~np.isnan(data.x)).T @ counts
        if np.any(seen < 2) or (free and _constant(data.x[counts > 0])):
            continue
        blocks = model.blocks(Rows(data.x, counts))
        with one_blas_thread():
            *_, last = settings.iterate(model, blocks, start=start, rng=0)
        if last.statistics is None or model.diagnose(last.params, last.statistics).degenerate:
            continue
        params: NormalParams = last.params
        return params
    raise ValueError(
        f"{TRIES} samples of the rows with replacement all left the covariance singular: too few "
        "rows for so many columns, or a column that hardly varies. Use a prior, or "
        "method='posterior'"
    )


def _constant(x: Array) -> bool:
    """Whether a column has one value only, up to rounding; each has a cell that is seen."""
    low, high = np.fmin.reduce(x), np.fmax.reduce(x)
    largest = np.maximum(np.abs(low), np.abs(high))
    return bool(np.any(high - low <= RESOLUTION * largest))


def steps_for(rate: float) -> int:
    """Steps of a chain after which its start is forgotten, by EM's rate of convergence.

    Chains forget about as fast as EM converges (Schafer 1997, section 3.5).
    """
    if not rate > 0:
        return FEWEST
    if rate >= 1:
        return MOST
    return min(max(math.ceil(math.log(LEFT) / math.log(rate)), FEWEST), MOST)


class Augmentation:
    """A chain of data augmentation over the rows of a table.

    Parameters
    ----------
    x : (n, d) array
        NaN in missing cells; rows without a cell that is seen left out.
    prior : NormalPrior or None
        In the units of x; None is Jeffreys' prior.

    Raises
    ------
    ValueError
        For too few rows.
    """

    def __init__(self, x: Array, prior: NormalPrior | None):
        n, d = x.shape
        prior = NormalPrior(d + 1.0, np.zeros((d, d))) if prior is None else prior
        self.prior, self.n = prior, n
        self.df = n + prior.weight - d - 2
        if self.df <= d - 1:
            raise ValueError(
                f"{n} rows are too few to draw the covariance of {d} columns: use prior='ridge' "
                "or 'inverse-wishart' with a larger prior_df"
            )
        missing = np.isnan(x)
        some = missing.any(axis=1)
        self.cells = CellsOf(x[some])
        complete = x[~some]
        self._count = len(complete)
        self._centre = complete.mean(axis=0) if len(complete) else np.zeros(d)
        y = complete - self._centre
        self._scatter = y.T @ y

    def params(self, start: NormalParams, steps: int, rng: np.random.Generator) -> NormalParams:
        """Parameters after so many steps from `start`."""
        params = start
        for _ in range(steps):
            noise = rng.standard_normal(self.cells.x.shape)
            params = self._draw(self.cells.at(params, noise).filled, rng)
        return params

    def _draw(self, completed: Array, rng: np.random.Generator) -> NormalParams:
        """Parameters given the completed rows."""
        n, d = self.n, completed.shape[1]
        centre = completed.mean(axis=0) if len(completed) else self._centre
        y = completed - centre
        share = len(completed) / n
        delta = centre - self._centre
        mean = self._centre + share * delta if self._count else centre
        scatter = self._scatter + y.T @ y + self.prior.scatter
        scatter += self._count * share * np.outer(delta, delta)
        root = np.linalg.cholesky(scatter)
        bartlett = np.tril(rng.standard_normal((d, d)), -1)
        bartlett[np.diag_indices(d)] = np.sqrt(rng.chisquare(self.df - np.arange(d)))
        factor = np.linalg.solve(bartlett, root.T).T  # root inv(bartlett)'
        covariance = factor @ factor.T
        drawn = mean + factor @ rng.standard_normal(d) / np.sqrt(n)
        return NormalParams(drawn, 0.5 * (covariance + covariance.T))
