"""Checks that a model or a family keeps its contract, for users' own as for ours.

`check_model` and `check_family` make a list of checks, from the basic to the
derived, and raise ``AssertionError`` at the first that fails, with a sentence on
what failed, by how much and where to look. What a model does not define is
skipped and named in the `CheckReport` they return.

The sharpest check is Fisher's identity: at the parameters of the E-step the
gradient of the log-likelihood equals that of Q at fixed statistics (Dempster,
Laird and Rubin 1977, doi:10.1111/j.2517-6161.1977.tb01600.x, section 3). It tests
density, statistics and Q at once. One error neither it nor any other check here
can see: a constant missing from the log-likelihood. ``check_family(grid=...)``
sees that too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from latentem.engine.blocks import thin
from latentem.engine.em import START_ROWS
from latentem.engine.family import Family
from latentem.engine.model import LatentModel
from latentem.models.mixture import Mixture
from latentem.testing.case import ModelCase
from latentem.testing.estimator_checks import estimator_checks
from latentem.testing.family_checks import check_rows, family_checks
from latentem.testing.model_checks import model_checks
from latentem.testing.report import CheckReport, run

__all__ = ["CheckReport", "check_family", "check_model"]


def check_model(
    model: LatentModel,
    data: Any,
    *,
    start: Any = None,
    rng: np.random.Generator | int = 0,
    weights: int | None = None,
    n_maps: int = 10,
    n_simulated: int = 1000,
    exact_m_step: bool = True,
) -> CheckReport:
    """Check that a model keeps the contract of `LatentModel`.

    Parameters
    ----------
    model : LatentModel
    data : whatever ``model.blocks`` takes
        Real or simulated data of modest size, say a hundred to a thousand rows, on
        which the model is neither degenerate nor on a boundary.
    start : params, optional
        Parameters to begin at; by default ``model.initialize``.
    rng : Generator or int
    weights : int, optional
        Which array of a tuple `data` holds the row weights, to check them too. For
        `Rows`, and for any data of a `Mixture`, this is known.
    n_maps : int
        EM maps over which the objective must not fall.
    n_simulated : int
        Units to simulate and fit again; 0 leaves that out.
    exact_m_step : bool
        False for an M-step that raises Q + log_prior without maximising it.

    Returns
    -------
    CheckReport

    Raises
    ------
    AssertionError
        At the first check that fails.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import families, models, testing
    >>> counts = np.random.default_rng(0).poisson([[1.0]] * 100 + [[9.0]] * 100)
    >>> report = testing.check_model(models.Mixture(families.Poisson(), 2), counts)
    >>> "Fisher's identity" in dict(report.passed)
    True
    """
    rng = np.random.default_rng(rng)
    if start is None:
        start = model.initialize(thin(list(model.blocks(data, None)), START_ROWS, rng), rng)
    case = ModelCase(model, data, start, rng, weights, n_maps, n_simulated, exact_m_step)
    return run(_name(model), model_checks(case))


def check_family(
    family: Family,
    data: np.ndarray,
    *,
    n_components: int = 2,
    start: Any = None,
    rng: np.random.Generator | int = 0,
    grid: tuple[np.ndarray, Any] | None = None,
    n_maps: int = 10,
    n_simulated: int = 1000,
    exact_m_step: bool = True,
) -> CheckReport:
    """Check that a family keeps the contract of `Family`, alone, in a mixture and an estimator.

    Parameters
    ----------
    family : Family
    data : (n, d) array
        Rows the family can have produced.
    n_components : int
        At least 2.
    start : MixtureParams, optional
        Parameters of ``Mixture(family, n_components)`` to begin at.
    rng : Generator or int
    grid : (points, volumes), optional
        Points (m, d) that cover all of the probability, and the volume each stands
        for, an (m,) array or a number (1 for counts): checks that every density
        integrates to 1, to 1e-6.
    n_maps, n_simulated, exact_m_step
        As for `check_model`.

    Returns
    -------
    CheckReport
        Of the family's own checks, of those of its mixture, and of a `MixtureModel` that
        is fitted, predicts, is chosen by `select`, saved and loaded.

    Raises
    ------
    AssertionError
        At the first check that fails.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import families, testing
    >>> counts = np.random.default_rng(0).poisson([[1.0]] * 100 + [[9.0]] * 100)
    >>> grid = np.arange(100.0)[:, None], 1.0
    >>> report = testing.check_family(families.Poisson(), counts, grid=grid)
    >>> "densities integrate to 1" in dict(report.passed)
    True
    """
    if n_components < 2:
        raise ValueError(f"check_family needs n_components >= 2, got {n_components}")
    rng = np.random.default_rng(rng)
    model = Mixture(family, n_components)
    rows = run(_name(family), [("rows", lambda: check_rows(family, data))])
    if start is None:
        start = model.guess(list(model.blocks(data, None)), rng)
    own = run(_name(family), family_checks(family, data, start.family, rng, grid, n_components))
    mixture = check_model(
        model, data, start=start, rng=rng, n_maps=n_maps, n_simulated=n_simulated,
        exact_m_step=exact_m_step,
    )  # fmt: skip
    estimator = run(_name(family), estimator_checks(family, data, start))
    return rows + own + mixture + estimator


def _name(subject: Any) -> str:
    text = repr(subject)
    return type(subject).__name__ if " object at 0x" in text else text
