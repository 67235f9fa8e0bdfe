"""Old Faithful: choose a mixture, look at it, and judge its convergence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from latentem import plot
from latentem.cli import words
from latentem.cli.chapters.chapter import Chapter, markdown_table
from latentem.cli.figure import panels
from latentem.cli.messages import plural
from latentem.datasets import load_faithful
from latentem.engine.selection import Selection, select
from latentem.estimators.gaussian_mixture import GaussianMixture
from latentem.estimators.storage import save

__all__ = ["old_faithful"]

COVARIANCES = ("full", "tied", "diag", "spherical")
FIGURES = ["faithful-model.png", "faithful-selection.png", "faithful-convergence.png"]

#: What is to be said of the model that nearly every seed finds.
MCLUST = """R's mclust, which tries 14 kinds of covariance, chooses the same model for these data:
three components that share a covariance."""
OVERLAP = """Short eruptions stand apart; the long ones are described by two components that
overlap, because the cloud of long eruptions is not one Gaussian."""


def old_faithful(folder: Path, seed: int) -> Chapter:
    """Old Faithful, eruptions of a geyser."""
    data = load_faithful()
    lines = [",".join(data.columns), *(f"{eruption:g},{wait:g}" for eruption, wait in data.data)]
    (folder / "faithful.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    selection = select(
        GaussianMixture(n_init=3, random_state=seed),
        data.data,
        n_components=range(1, 10),
        covariance_type=COVARIANCES,
    )
    model = selection.best
    model.feature_names_in_ = np.array(data.columns, dtype=object)
    save(model, folder / "faithful.npz")
    _figures(folder, selection, data)
    row = selection.table[selection.best_index]
    return Chapter(
        title=f"Old Faithful: {len(data)} eruptions, their duration and the wait to the next",
        markdown=_markdown(selection, data),
        screen=_screen(selection),
        figures=FIGURES,
        sound=row.converged and row.sound,
    )


def _figures(folder: Path, selection: Selection, data: Any) -> None:
    model = selection.best
    for name in FIGURES:
        figure, (ax,) = panels(1, 4.0)
        if "model" in name:
            plot.ellipses(model, data.data, names=data.labels, ax=ax)
        elif "selection" in name:
            plot.selection(selection, ax=ax)
        else:
            plot.convergence(model, ax=ax)
        figure.savefig(folder / name, dpi=130)


def _components(model: GaussianMixture) -> list[list[str]]:
    """Rows of weight, and mean ± standard deviation of both columns, by duration."""
    spread = np.sqrt(np.array([np.diag(c) for c in _matrices(model)]))
    order = np.argsort(model.means_[:, 0])
    return [
        [
            str(k),
            f"{model.weights_[k]:.3f}",
            f"{model.means_[k, 0]:.2f} ± {spread[k, 0]:.2f}",
            f"{model.means_[k, 1]:.1f} ± {spread[k, 1]:.1f}",
        ]
        for k in order
    ]


def _matrices(model: GaussianMixture) -> np.ndarray:
    """Covariances as (K, 2, 2), whatever their kind."""
    k, c = model.n_components, model.covariances_
    if model.covariance_type == "tied":
        return np.broadcast_to(c, (k, 2, 2))
    if model.covariance_type == "full":
        return c
    return np.eye(2) * np.reshape(c, (k, -1, 1))


def _screen(selection: Selection) -> list[str]:
    model = selection.best
    size = f"{plural(model.n_components, 'component')}, {model.covariance_type}"
    verdict = "converged" if model.result_.converged else "NOT CONVERGED"
    ending = f"{verdict} in {plural(model.result_.n_iter, 'EM map')}"
    return [
        f"chosen: {size}, by BIC of {len(selection.table)} candidates; {ending}",
        "component  weight  eruption (min)      wait (min)",
        *(f"{k:>9}  {w:>6}  {d:>14}  {t:>14}" for k, w, d, t in _components(model)),
    ]


def _markdown(selection: Selection, data: Any) -> str:
    model, result = selection.best, selection.best.result_
    usual = (model.n_components, model.covariance_type) == (3, "tied")
    table = [[cell.replace("*", "\\*") for cell in row] for row in words.grid_rows(selection)]
    marks = words.legend(selection)[0].replace("*", "\\*")
    return f"""
{data.description} {len(data)} rows, no missing cells. Source: {data.source}. The table is
[faithful.csv](faithful.csv) beside this report.

**The question.** Short eruptions are followed by short waits and long ones by long waits. How many
groups are there, and what do they look like?

### Which model

{len(selection.table)} mixtures of Gaussians were fitted: 1 to 9 components, times four kinds of
covariance. BIC weighs the log-likelihood against the number of parameters; smaller is better.

{markdown_table(table)}

{marks}

![BIC above the best, by the number of components]({FIGURES[1]})

How to read it: a difference in BIC of 10 or more is strong, one below 2 says little. The best is
{words.chosen(selection)}. {MCLUST if usual else ""}

### The model

{markdown_table([["component", "weight", "eruption (min)", "wait (min)"], *_components(model)])}

Means ± standard deviations within the component, in the units of the data.

![The eruptions, and ellipses that hold 50 and 90 % of each component]({FIGURES[0]})

How to read it: each eruption has the colour of its most probable component.
{OVERLAP if usual else ""} A component of a mixture need not be a group of its own.

### Did it converge?

{words.convergence(result)} The log-likelihood is {result.loglik:.4f}.

![Gap to the limit at each EM map, and the gain that was projected]({FIGURES[2]})

How to read it: the gap is what was still to gain at each map of EM, on a logarithmic scale. Plain
EM ends in a straight line, and a slow fit in a flat one; triangles are accelerated steps, crosses
those that were taken back because they lowered the log-likelihood. latentem stops when the gain
that is still to come is small, not when a single step is, and certifies the stop of an accelerated
fit by plain maps.

### The same in Python

```python
import latentem

X = latentem.datasets.load_faithful().data
selection = latentem.select(
    latentem.GaussianMixture(n_init=3, random_state=0), X,
    n_components=range(1, 10), covariance_type=["full", "tied", "diag", "spherical"],
)
print(selection)
print(selection.best.result_)
```

The fitted model is in [faithful.npz](faithful.npz): `latentem.load("faithful.npz")`.
"""
