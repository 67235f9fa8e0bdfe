"""What ``latentem impute`` finds out about a table."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentem.cli.gaps import Gaps
from latentem.cli.messages import BadInput
from latentem.engine.result import CollapsedError, EMResult
from latentem.estimators.imputer import GaussianImputer
from latentem.estimators.little import LittleTest, little_mcar_test
from latentem.estimators.missing_patterns import MissingPatterns, missing_patterns
from latentem.estimators.multiple_imputation import impute_multiple
from latentem.estimators.overimputation import Overimputation
from latentem.estimators.pooling import Pooled, pool

__all__ = ["Imputed", "imputed"]

Array = np.ndarray


@dataclass(frozen=True)
class Imputed:
    """A fitted model, the filled table, and how sure it is.

    Attributes
    ----------
    model : fitted estimator
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

    model: Any
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
        return () if self.result is None else self.result.degenerate

    @property
    def sound(self) -> bool:
        """Whether the fit has converged, to something that is to be trusted."""
        return self.result is None or (self.result.converged and not self.result.degenerate)


def imputed(table: Gaps, args: argparse.Namespace, progress: bool) -> Imputed:
    """Fit, fill, draw and test as the options of the command say."""
    try:
        return _normal(table.X, args, progress)
    except (ValueError, CollapsedError, np.linalg.LinAlgError) as error:
        raise BadInput(f"{table.file!r} cannot be imputed: {error}") from None


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
        model=imputer,
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


def _means(draws: list[Array], names: list[str]) -> Pooled:
    """Means of the columns over completed tables, by Rubin's rules."""
    import pandas

    n = len(draws[0])
    means = [pandas.Series(table.mean(axis=0), index=names) for table in draws]
    variances = [table.var(axis=0, ddof=1) / n for table in draws]
    return pool(means, variances, dfcom=n - 1)


def _little(X: Any) -> LittleTest | str:
    try:
        found = little_mcar_test(X)
    except (ValueError, CollapsedError) as error:
        return str(error).removeprefix("Little's test needs a regular covariance: ")
    return found if found.df else "all rows miss the same cells"
