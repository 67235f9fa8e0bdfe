"""Earthquakes by year: states of a hidden Markov model, a forecast, and a check of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from latentem import plot
from latentem.cli import words
from latentem.cli.chapters.chapter import Chapter, markdown_table
from latentem.cli.figure import panels
from latentem.cli.hmm_printing import text_candidates, text_forecast
from latentem.cli.messages import plural
from latentem.datasets import load_earthquakes
from latentem.engine.selection import Selection, select
from latentem.estimators.count_hmm import PoissonHMM

__all__ = ["earthquakes"]

FIGURE = "earthquakes.png"
AHEAD = 5


def earthquakes(folder: Path, seed: int) -> Chapter:
    """Earthquakes by year, quiet times and busy ones."""
    data = load_earthquakes()
    lines = [",".join(data.columns), *(f"{year:g},{count:g}" for year, count in data.data)]
    (folder / "earthquakes.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    X = data[["count"]]
    selection = select(PoissonHMM(n_init=3, random_state=seed), X, n_components=[1, 2, 3, 4])
    best = selection.best
    model = best.relabel(np.argsort(best.lambdas_[:, 0]))  # the quiet state first
    residuals = model.pseudo_residuals(X)[:, 0]
    ahead = model.forecast(X, AHEAD)
    path = model.predict(X)
    figure, axes = panels(2, 4.0)
    plot.states(model, X, index=data["year"], name="earthquakes", ax=axes[0])
    plot.residuals(model, X, ax=axes[1])
    figure.savefig(folder / FIGURE, dpi=130)
    row = selection.table[selection.best_index]
    return Chapter(
        title=f"Earthquakes: {len(X)} years of counts, a chain of hidden states behind them",
        markdown=_markdown(selection, model, data, path, residuals, ahead),
        screen=_screen(selection, model, ahead, data),
        figures=[FIGURE],
        sound=row.converged and row.sound,
    )


def _screen(selection: Selection, model: PoissonHMM, ahead: Any, data: Any) -> list[str]:
    row = selection.table[selection.best_index]
    rates = " and ".join(f"{rate:.1f}" for rate in model.lambdas_[:, 0])
    stays = " and ".join(f"{stay:.0f}" for stay in model.expected_durations())
    lower, upper = ahead.interval(0.9)
    ending = f"converged in {row.n_iter} EM maps" if row.converged else "NOT CONVERGED"
    forecast = f"{ahead.mean[0, 0]:.1f} expected, {lower[0, 0]:.0f} to {upper[0, 0]:.0f} with 90 %"
    return [
        f"chosen: {plural(model.n_components, 'state')} by BIC, {rates} a year; {ending}",
        f"stays of {stays} years; {_year(data) + 1}: {forecast}",
    ]


def _year(data: Any) -> int:
    return int(data["year"][-1])


def _states(model: PoissonHMM, path: np.ndarray) -> list[list[str]]:
    """Rows of rate, share in the long run, duration of a stay, and years decoded."""
    share, stays = model.stationary_distribution(), model.expected_durations()
    return [
        [
            str(k),
            f"{model.lambdas_[k, 0]:.2f}",
            f"{share[k]:.3f}",
            f"{stays[k]:.1f}",
            str(int((path == k).sum())),
        ]
        for k in range(model.n_components)
    ]


def _check(residuals: np.ndarray) -> str:
    """What the pseudo-residuals say, in numbers."""
    outside = int((np.abs(residuals) > 1.96).sum())
    around = residuals - residuals.mean()
    lag = float((around[1:] * around[:-1]).sum() / (around**2).sum())
    return (
        f"their mean is {residuals.mean():.2f}, their standard deviation {residuals.std():.2f}, "
        f"the correlation of a year with the next {lag:.2f}, and {outside} of {len(residuals)} "
        "are beyond 1.96 (1 in 20 are to be expected)"
    )


def _markdown(
    selection: Selection,
    model: PoissonHMM,
    data: Any,
    path: np.ndarray,
    residuals: np.ndarray,
    ahead: Any,
) -> str:
    header = ["state", "earthquakes a year", "share", "stay (years)", "years decoded"]
    return f"""
{data.description} Source: {data.source}. The table is [earthquakes.csv](earthquakes.csv) beside
this report.

**The question.** A Poisson distribution would have a variance as large as its mean; the variance of
these counts is {data["count"].var() / data["count"].mean():.1f} times that, and busy years follow
busy years. How many levels of activity are there, when did they change, and what comes next?

### How many states

```
{text_candidates(selection)}
```

{words.legend(selection)[0].replace("*", chr(92) + "*")}. How to read it: a difference in BIC below
2 says little.

### The states

{markdown_table([header, *_states(model, path)])}

The share is that of the stationary distribution, the stay the mean number of years before the state
changes. The most probable path as a whole (Viterbi) gives the years decoded.

![Counts over a ribbon of the decoded states, and normal quantiles of the residuals]({FIGURE})

How to read it: left, the colour of each year is its state, the line the rate of that state. Right,
the pseudo-residuals, which are standard normal if the model is right: {_check(residuals)}.

### What comes next

```
{text_forecast(ahead, ["count"])}
```

Years after {_year(data)}; 9 in 10 counts are to fall between the limits. Far ahead the forecast no
longer knows the last state.

{words.convergence(selection.best.result_)}

### The same in Python

```python
import latentem

X = latentem.datasets.load_earthquakes()[["count"]]
selection = latentem.select(
    latentem.PoissonHMM(n_init=3, random_state=0), X, n_components=[1, 2, 3, 4]
)
hmm = selection.best
print(hmm.summary())
print(hmm.forecast(X, {AHEAD}))
```
"""
