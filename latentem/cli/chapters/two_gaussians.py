"""Two overlapping Gaussians: whether EM finds the values that made the data."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from latentem import datasets, plot
from latentem.cli import words
from latentem.cli.chapters.chapter import Chapter, markdown_table
from latentem.cli.figure import panels
from latentem.engine.standard_errors import standard_errors
from latentem.estimators.gaussian_mixture import GaussianMixture

__all__ = ["two_gaussians"]

FIGURE = "two-gaussians.png"
ROWS = 1000


class Line(NamedTuple):
    """A parameter: what made the data, what was found, and its standard error."""

    name: str
    true: float
    found: float
    error: float

    @property
    def near(self) -> bool:
        """Whether the truth is within two standard errors."""
        return abs(self.found - self.true) <= 2 * self.error


def two_gaussians(folder: Path, seed: int) -> Chapter:
    """Two overlapping Gaussians, where the truth is known."""
    data = datasets.two_gaussians(ROWS, random_state=seed)
    model = GaussianMixture(2, tol=1e-6, n_init=3, random_state=seed).fit(data.data)
    lines = _lines(model, data.data)
    figure, (ax,) = panels(1, 4.0)
    plot.density(model, data.data, name="x", ax=ax)
    figure.savefig(folder / FIGURE, dpi=130)
    near = sum(line.near for line in lines)
    result = model.result_
    ending = f"{'converged' if result.converged else 'NOT CONVERGED'} in {result.n_iter} EM maps"
    found = " + ".join(
        f"{lines[i].found:.2f} N({lines[i + 2].found:.1f}, sd {lines[i + 4].found:.1f})"
        for i in range(2)
    )
    return Chapter(
        title=f"Two overlapping Gaussians: {ROWS:,} draws from .6 N(2, sd 4) + .4 N(9, sd 2)",
        markdown=_markdown(model, lines, near),
        screen=[
            f"found: {found}",
            f"{near} of {len(lines)} true values are within two standard errors; {ending}",
        ],
        figures=[FIGURE],
        sound=result.converged and not result.degenerate,
    )


def _lines(model: GaussianMixture, X: np.ndarray) -> list[Line]:
    """Parameters with their standard errors; the component of the small mean is first."""
    errors = standard_errors(model, X)
    first, second = np.argsort(model.means_[:, 0])
    truth = {"weight": (0.6, 0.4), "mean": (2.0, 9.0), "sd": (4.0, 2.0)}
    variances = model.covariances_[:, 0, 0]
    found = {"weight": model.weights_, "mean": model.means_[:, 0], "sd": np.sqrt(variances)}
    error = {
        "weight": errors["weights"],
        "mean": errors["means"][:, 0],
        "sd": errors["covariances"][:, 0, 0] / (2 * np.sqrt(variances)),  # delta method
    }
    return [
        Line(f"{name} {i + 1}", truth[name][i], float(found[name][k]), float(error[name][k]))
        for name in truth
        for i, k in enumerate((first, second))
    ]


def _markdown(model: GaussianMixture, lines: list[Line], near: int) -> str:
    rows = [["", "truth", "estimate", "standard error"]]
    rows += [
        [line.name, f"{line.true:g}", f"{line.found:.3f}", f"{line.error:.3f}"] for line in lines
    ]
    return f"""
A wide Gaussian around 2 and a narrow one around 9 overlap so much that a row near 5 may come from
either. {ROWS:,} rows were drawn; EM sees the numbers, not which Gaussian each came from. The
article that the example is taken from prints means of 1.7 and 8.8 and standard deviations of 3.8
and 2.2, for a draw of its own.

{markdown_table(rows)}

The truth lies within two standard errors for {near} of {len(lines)} parameters (19 in 20 are to be
expected; these six belong together, so they miss together). Standard errors come from the observed
information, `latentem.standard_errors`: they count what is lost by not knowing the components.

![Histogram of the draws with the mixture and its two components]({FIGURE})

How to read it: the coloured curves are the components times their weights; they add up to the black
one, which follows the histogram.

{words.convergence(model.result_)}
"""
