"""What ``latentem impute`` finds out about a table."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from latentem.cli.gaps import Gaps
from latentem.cli.messages import BadInput
from latentem.engine.result import CollapsedError, EMResult
from latentem.engine.selection import Selection, select
from latentem.estimators.factor_analyzer import FactorAnalyzer
from latentem.estimators.factor_checks import most_factors
from latentem.estimators.gaussian_mixture import GaussianMixture
from latentem.estimators.imputer import GaussianImputer
from latentem.estimators.imputer_columns import Columns, columns_of
from latentem.estimators.little import LittleTest, little_mcar_test
from latentem.estimators.missing_patterns import MissingPatterns, missing_patterns
from latentem.estimators.multiple_imputation import impute_multiple
from latentem.estimators.overimputation import Overimputation
from latentem.estimators.pooling import Pooled, pool
from latentem.models.factor_analyzer import FactorAnalyzer as FactorModel

__all__ = ["Imputed", "SIZES", "imputed"]

Array = np.ndarray
#: What is chosen of each model, the parameter and the noun; a normal distribution has nothing.
SIZES = {"mixture": ("n_components", "components"), "factor": ("n_factors", "factors")}
#: Numbers of components or factors that are tried, unless --components says others.
TRIED = range(1, 6)
#: More columns than this make the fit of Little's test too long.
MOST_TESTED = 100


@dataclass(frozen=True)
class Imputed:
    """A fitted model, the filled table, and how sure it is.

    Attributes
    ----------
    kind : {"normal", "mixture", "factor"}
    model : fitted estimator
    selection : Selection or None
        Numbers of components or factors that were tried.
    result : EMResult or None
        None where no column varies.
    values : (n, d) array
    draws : list of (n, d) arrays
    mean, deviation : (d,) array
        Of each column under the model.
    information : (d,) array or None
        Share of the information about each mean that is missing.
    patterns : MissingPatterns
    little : LittleTest or str
        The test, or why there is none.
    again : Overimputation or None
    pooled : Pooled or None
        Means of the columns over the draws.
    """

    kind: str
    model: Any
    selection: Selection | None
    result: EMResult | None
    values: Array
    draws: list[Array]
    mean: Array
    deviation: Array
    information: Array | None
    patterns: MissingPatterns
    little: LittleTest | str
    again: Overimputation | None
    pooled: Pooled | None

    @property
    def degenerate(self) -> tuple[str, ...]:
        """What is wrong with the likelihood of the fit, in sentences."""
        if self.selection is not None:
            return self.selection.table[self.selection.best_index].degenerate
        return () if self.result is None else self.result.degenerate

    @property
    def sound(self) -> bool:
        """Whether the fit has converged, to something that is to be trusted."""
        return self.result is None or (self.result.converged and not self.degenerate)


def imputed(table: Gaps, args: argparse.Namespace, progress: bool) -> Imputed:
    """Fit, fill, draw and test as the options of the command say."""
    try:
        if args.model == "normal":
            return _normal(table.X, args, progress)
        columns = columns_of(table.X.to_numpy(), None, table.names, keep_empty=False)
        if not columns.varying.any():
            return replace(_normal(table.X, args, progress), kind=args.model)
        fit: Callable[..., Imputed] = _mixture if args.model == "mixture" else _factor
        return fit(table.X, columns, args, progress)
    except (ValueError, CollapsedError, np.linalg.LinAlgError) as error:
        text = str(error).replace("Use a prior, or method='posterior'", "Give --prior ridge")
        raise BadInput(f"{table.file!r} cannot be imputed: {text}") from None


def _normal(X: Any, args: argparse.Namespace, progress: bool) -> Imputed:
    imputer = GaussianImputer(
        prior=args.prior,
        tol=args.tol,
        max_iter=args.max_iter,
        random_state=args.seed or None,  # as GaussianImputer() by default
        progress=progress,
    ).fit(X)
    imputer.progress = False
    draws: list[Array] = []
    pooled = None
    if args.draws is not None:
        tables = impute_multiple(
            X, args.draws, random_state=args.seed, imputer=imputer, progress=progress
        )
        draws = [np.asarray(drawn) for drawn in tables]
        pooled = _means(draws, list(X.columns))
    regular = not (imputer.result_ is not None and imputer.result_.degenerate)
    return Imputed(
        kind="normal",
        model=imputer,
        selection=None,
        result=imputer.result_,
        values=np.asarray(imputer.transform(X)),
        draws=draws,
        mean=imputer.mean_,
        deviation=np.sqrt(imputer.covariance_.diagonal()),
        information=imputer.fraction_missing_information_,
        patterns=missing_patterns(X),
        little=_little(X),
        again=imputer.overimpute(X) if regular else None,
        pooled=pooled,
    )


def _mixture(X: Any, columns: Columns, args: argparse.Namespace, progress: bool) -> Imputed:
    sizes = args.components or list(TRIED)
    selection = _chosen(GaussianMixture(), X.loc[:, columns.varying], sizes, args, progress)
    model = selection.best
    weights, means = model.weights_, model.means_
    mean = weights @ means
    inside = model.covariances_.diagonal(0, 1, 2)  # full covariances
    variance = weights @ (inside + (means - mean) ** 2)
    return _filled("mixture", selection, X, columns, mean, variance)


def _factor(X: Any, columns: Columns, args: argparse.Namespace, progress: bool) -> Imputed:
    most = most_factors(FactorModel(1), int(columns.varying.sum()))
    sizes = args.components or [size for size in TRIED if size <= most] or [1]
    selection = _chosen(FactorAnalyzer(), X.loc[:, columns.varying], sizes, args, progress)
    model = selection.best
    variance = (model.components_**2).sum(axis=0) + model.noise_variance_
    return _filled("factor", selection, X, columns, model.mean_, variance)


def _chosen(
    template: Any, X: Any, sizes: list[int], args: argparse.Namespace, progress: bool
) -> Selection:
    """The number of components or factors that has the best BIC."""
    template.set_params(
        n_init=args.starts, tol=args.tol, max_iter=args.max_iter, random_state=args.seed
    )
    grid: dict[str, Any] = {SIZES[args.model][0]: sizes}
    return select(template, X, progress=progress, **grid)


def _filled(
    kind: str, selection: Selection, X: Any, columns: Columns, mean: Array, variance: Array
) -> Imputed:
    """The table with its missing cells filled; columns of one value take no part in the model."""
    varying = columns.varying
    values = np.where(X.isna().to_numpy(), columns.values, X.to_numpy())
    values[:, varying] = selection.best.impute(X.loc[:, varying])
    means, deviations = columns.values.copy(), np.zeros(len(varying))
    means[varying], deviations[varying] = mean, np.sqrt(variance)
    return Imputed(
        kind=kind,
        model=selection.best,
        selection=selection,
        result=selection.best.result_,
        values=values,
        draws=[],
        mean=means,
        deviation=deviations,
        information=None,
        patterns=missing_patterns(X),
        little=_little(X),
        again=None,
        pooled=None,
    )


def _means(draws: list[Array], names: list[str]) -> Pooled:
    """Means of the columns over completed tables, by Rubin's rules."""
    import pandas

    n = len(draws[0])
    means = [pandas.Series(table.mean(axis=0), index=names) for table in draws]
    variances = [table.var(axis=0, ddof=1) / n for table in draws]
    return pool(means, variances, dfcom=n - 1)


def _little(X: Any) -> LittleTest | str:
    if X.shape[1] > MOST_TESTED:
        return f"there are more than {MOST_TESTED} columns"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a fit without a prior that is not the one told of
            found = little_mcar_test(X)
    except (ValueError, CollapsedError) as error:
        return str(error).removeprefix("Little's test needs a regular covariance: ")
    return found if found.df else "all rows miss the same cells"
