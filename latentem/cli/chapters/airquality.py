"""Air quality: what is missing, what fills it, and how sure that is."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from latentem import plot
from latentem.cli import words
from latentem.cli.chapters.chapter import Chapter, markdown_table
from latentem.cli.figure import panels
from latentem.cli.impute_printing import little_sentence
from latentem.datasets import load_airquality
from latentem.estimators.imputer import GaussianImputer
from latentem.estimators.little import LittleTest, little_mcar_test
from latentem.estimators.missing_patterns import MissingPatterns, missing_patterns
from latentem.estimators.multiple_imputation import impute_multiple
from latentem.estimators.overimputation import Overimputation
from latentem.estimators.pooling import Pooled, pool

__all__ = ["air_quality"]

FIGURE = "airquality.png"
TABLES = 20


def air_quality(folder: Path, seed: int) -> Chapter:
    """Air quality, a table with gaps."""
    text = files("latentem.datasets").joinpath("data", "airquality.csv").read_text("utf-8")
    (folder / "airquality.csv").write_text(text, encoding="utf-8")
    data = load_airquality()
    names = ["log ozone", *data.columns[1:5]]
    X = np.column_stack([np.log(data["Ozone"]), data.data[:, 1:5]])  # without the day of the month
    imputer = GaussianImputer().fit(X)
    patterns = missing_patterns(data.data[:, :5])
    again = replace(imputer.overimpute(X), names=tuple(names))
    little = little_mcar_test(X)
    tables = impute_multiple(X, TABLES, random_state=seed)
    means = [table[:, 0].mean() for table in tables]
    variances = [table[:, 0].var(ddof=1) / len(X) for table in tables]
    pooled = pool(means, variances, dfcom=len(X) - 1)
    figure, axes = panels(2, 4.0)
    plot.patterns(replace(patterns, names=tuple(names)), ax=axes[0])
    plot.overimpute(again, column="log ozone", ax=axes[1])
    figure.savefig(folder / FIGURE, dpi=130)
    result: Any = imputer.result_
    return Chapter(
        title=f"Air quality: {len(X)} days in New York, ozone missing on 37, radiation on 7",
        markdown=_markdown(data, names, imputer, patterns, again, little, pooled),
        screen=_screen(imputer, pooled, little),
        figures=[FIGURE],
        sound=result.converged and not result.degenerate,
    )


def _screen(imputer: GaussianImputer, pooled: Pooled, little: LittleTest) -> list[str]:
    result: Any = imputer.result_
    ending = f"{'converged' if result.converged else 'NOT CONVERGED'} in {result.n_iter} EM maps"
    lost = 100 * imputer.fraction_missing_information_[0]
    verdict = "differ" if little.pvalue < 0.05 else "do not show to differ"
    mean = f"mean log ozone {pooled.estimate:.2f} ± {pooled.std_error:.2f}"
    return [
        f"{mean}, {lost:.0f} % of information lost; {ending}",
        f"days with gaps {verdict} from the others (Little's test, p = {little.pvalue:.1g})",
    ]


def _markdown(
    data: Any,
    names: list[str],
    imputer: GaussianImputer,
    patterns: MissingPatterns,
    again: Overimputation,
    little: LittleTest,
    pooled: Pooled,
) -> str:
    lost = imputer.fraction_missing_information_
    columns = [["column", "missing", "of the information", "mean", "within limits of 90 %"]]
    columns += [
        [
            name,
            f"{100 * patterns.column_shares[j]:.1f} %",
            f"{100 * lost[j]:.1f} %",
            f"{imputer.mean_[j]:.4g}",
            f"{100 * again.covered[j]:.1f} %",
        ]
        for j, name in enumerate(names)
    ]
    result: Any = imputer.result_
    seen = np.log(data["Ozone"][~np.isnan(data["Ozone"])])
    alone = seen.std(ddof=1) / np.sqrt(len(seen))
    low, high = pooled.confint(0.95)
    return f"""
{data.description} Source: {data.source}. The table is [airquality.csv](airquality.csv) beside this
report.

**The question.** On 42 of {len(data)} days ozone or radiation is missing. What were they, how sure
is that, and what is the mean of ozone over all days, not only those that were measured?

### What is missing

{little_sentence(little)}

![Patterns of missing cells, and log ozone imputed against observed]({FIGURE})

How to read it: left, rows that miss the same columns, the most frequent above (green: complete).
Right, each observed value of log ozone against what the rest of its row says of it, with limits of
90 %; they miss {100 * (1 - again.covered[0]):.0f} % of the values. Ozone is in logarithms, because
it is positive and skewed.

### The model

A multivariate normal distribution of all columns, fitted to all cells that are there. A missing
cell gets its mean given the rest of its row.

{markdown_table(columns)}

Of the information is the share of the information about the mean that went with the missing
cells; other columns give back the rest.

{words.convergence(result)}

### The mean of log ozone

Over {pooled.m} tables filled with draws it is {pooled.estimate:.3f}, with a standard error of
{pooled.std_error:.3f} and 95 % limits of {low:.2f} to {high:.2f}. The mean of the measured days is
{seen.mean():.3f}, with a standard error of {alone:.3f}.

### The same in Python

```python
import numpy as np
import latentem

air = latentem.datasets.load_airquality().to_frame().drop(columns="Day")
air["Ozone"] = np.log(air["Ozone"])
imputer = latentem.GaussianImputer().fit(air)
print(imputer.overimpute(air))
tables = latentem.impute_multiple(air, m={pooled.m}, random_state=0)
ozone = [table["Ozone"] for table in tables]
print(latentem.pool([x.mean() for x in ozone], [x.var() / len(x) for x in ozone]))
```
"""
