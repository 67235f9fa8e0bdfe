r"""Rubin's rules: one answer from the analyses of several completed tables.

With estimates :math:`Q_i` and variances :math:`U_i` of m tables (Rubin 1987, Multiple
Imputation for Nonresponse in Surveys, doi:10.1002/9780470316696),

.. math:: \bar Q = \tfrac1m\sum Q_i, \quad W = \tfrac1m\sum U_i, \quad
          B = \tfrac1{m-1}\sum (Q_i - \bar Q)^2, \quad T = W + (1 + \tfrac1m) B.

The degrees of freedom of :math:`(\bar Q - Q) / \sqrt T` are :math:`(m-1)(1 + 1/r)^2` with
:math:`r = (1 + 1/m) B / W`; for small samples those of Barnard and Rubin (1999, Biometrika
86:948-955, doi:10.1093/biomet/86.4.948).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t

from latentem.estimators.validation import check_level

__all__ = ["Pooled", "pool"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Pooled:
    """Pooled estimates; numbers for a single one, (p,) arrays for several.

    Attributes
    ----------
    estimate, std_error : float or (p,) array
    within, between, total : float, (p,) or (p, p) array
        Variances, or covariance matrices where matrices were given.
    df : float or (p,) array
        Degrees of freedom of the t distribution of an estimate.
    riv : float or (p,) array
        Relative increase in variance by the missing cells, r.
    lambda_ : float or (p,) array
        Share of the variance that is due to them.
    fmi : float or (p,) array
        Fraction of missing information, ``(r + 2 / (df + 3)) / (1 + r)``.
    m : int
        Number of tables.
    names : sequence of str, or None
    """

    estimate: Any
    std_error: Any
    within: Any
    between: Any
    total: Any
    df: Any
    riv: Any
    lambda_: Any
    fmi: Any
    m: int
    names: Sequence[str] | None = None

    def confint(self, level: float = 0.95) -> Array:
        """Confidence limits, (2,) or (p, 2)."""
        check_level(level)
        reach = t.ppf(0.5 + 0.5 * level, self.df) * self.std_error
        return np.stack([self.estimate - reach, self.estimate + reach], axis=-1)

    def summary(self, level: float = 0.95) -> str:
        """A table with a line for each estimate."""
        estimate = np.atleast_1d(self.estimate)
        names = self.names or [str(j) for j in range(len(estimate))]
        limits = np.reshape(self.confint(level), (-1, 2))
        columns = zip(
            names,
            estimate,
            *(np.atleast_1d(value) for value in (self.std_error, self.df, self.fmi)),
            *limits.T,
            strict=True,
        )
        width = max(8, *(len(str(name)) for name in names))
        head = f"{100 * level:g} % limits"
        lines = [
            f"pooled over {self.m} imputations",
            f"{'':<{width}} {'estimate':>12} {'std. error':>12} {'df':>8} {'fmi':>6} {head:>25}",
        ]
        for name, value, error, df, fmi, low, high in columns:
            lines.append(
                f"{name!s:<{width}} {value:>12.6g} {error:>12.6g} {df:>8.1f} {fmi:>6.3f} "
                f"{low:>12.6g} {high:>12.6g}"
            )
        return "\n".join(lines)

    __str__ = summary
    __repr__ = summary


def pool(estimates: Iterable[Any], variances: Iterable[Any], dfcom: Any = None) -> Pooled:
    """Pool the analyses of m completed tables by Rubin's rules.

    Parameters
    ----------
    estimates : (m,) or (m, p) array-like
        An estimate, or p of them, from each table. A list of pandas Series, such as the
        `params` of statsmodels results, brings names; so do the columns of a DataFrame with
        a row for each table.
    variances : (m,), (m, p) or (m, p, p) array-like
        Their squared standard errors, or covariance matrices (``cov_params()``). Where both
        have names, they are put in the order of the estimates.
    dfcom : float or (p,) array-like, optional
        Degrees of freedom if no cell were missing, for small samples.

    Returns
    -------
    Pooled

    Raises
    ------
    ValueError
        For fewer than two tables, shapes or names that do not fit, negative variances, or NaN.
    TypeError
        For dicts, whose values have no places, and for polars frames.

    Examples
    --------
    The mean of a column of a table with missing cells:

    >>> import numpy as np
    >>> from latentem import impute_multiple, pool
    >>> from latentem.datasets import load_airquality
    >>> tables = impute_multiple(load_airquality().data, m=20, random_state=0)
    >>> ozone = [table[:, 0] for table in tables]
    >>> pooled = pool([x.mean() for x in ozone], [x.var(ddof=1) / len(x) for x in ozone])
    >>> bool(38 < pooled.estimate < 46), bool(2.5 < pooled.std_error < 3.5)
    (True, True)

    Two regression coefficients with their covariances, as from statsmodels:

    >>> pooled = pool([[1.0, 2.0], [1.2, 1.8]], [np.eye(2), np.eye(2)])
    >>> pooled.estimate.tolist(), pooled.total.shape
    ([1.1, 1.9], (2, 2))
    """
    estimates, variances = _tables(estimates, "estimates"), _tables(variances, "variances")
    names = _names(estimates, "estimates")
    if names is not None:
        variances = _in_order(variances, names)
    q, u = _numbers(estimates, "estimates"), _numbers(variances, "variances")
    m = len(q)
    if m < 2:
        raise ValueError(f"pool needs the results of at least 2 tables, got {m}")
    if q.ndim not in (1, 2):
        raise ValueError(f"estimates must be (m,) or (m, p), got shape {q.shape}")
    if u.shape != q.shape and not (q.ndim == 2 and u.shape == (*q.shape, q.shape[1])):
        shapes = f"{q.shape}" + (f" or {(*q.shape, q.shape[1])}" if q.ndim == 2 else "")
        raise ValueError(f"variances must have shape {shapes}, got {u.shape}")
    matrices = u.ndim == 3
    if np.any((np.diagonal(u, 0, 1, 2) if matrices else u) < 0):
        raise ValueError("variances must be >= 0")
    estimate, within = q.mean(axis=0), u.mean(axis=0)
    y = q - estimate
    between = (y.T @ y if matrices else (y * y).sum(axis=0)) / (m - 1)
    total = within + (1 + 1 / m) * between
    w, b, v = (np.diagonal(a) if matrices else a for a in (within, between, total))
    with np.errstate(divide="ignore", invalid="ignore"):
        added = (1 + 1 / m) * b
        riv = np.where(added > 0, added / w, 0.0)
        share = np.where(added > 0, added / v, 0.0)
        df = (m - 1) / share**2
        if dfcom is not None:
            whole = np.asarray(dfcom, dtype=float)
            if whole.shape not in ((), np.shape(estimate)) or not np.all(whole > 0):
                raise ValueError(f"dfcom must be positive, one for all or each, got {dfcom!r}")
            seen = (whole + 1) / (whole + 3) * whole * (1 - share)
            df = np.where(np.isinf(df), seen, df * seen / (df + seen))
        chance = 2 / (df + 3)
        fmi = np.where(np.isinf(riv), 1.0, (riv + chance) / (1 + riv))
    std_error = np.sqrt(v)
    give: Callable[[Any], Any] = float if q.ndim == 1 else np.asarray
    return Pooled(
        estimate=give(estimate),
        std_error=give(std_error),
        within=give(within),
        between=give(between),
        total=give(total),
        df=give(df),
        riv=give(riv),
        lambda_=give(share),
        fmi=give(fmi),
        m=m,
        names=names,
    )


def _numbers(values: list[Any], name: str) -> Array:
    try:
        array = np.array([np.asarray(value, dtype=float) for value in values])
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers, in one shape for every table") from None
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} contains NaN or infinity")
    return array


def _tables(values: Any, name: str) -> list[Any]:
    """What each table gave; a frame has a row for each."""
    if hasattr(values, "columns") and hasattr(values, "to_numpy"):
        if hasattr(values, "iloc"):
            return [values.iloc[i] for i in range(len(values))]
        raise TypeError(  # polars, whose rows would lose their names
            f"{name} are a {type(values).__name__} that is not of pandas: pass its to_numpy(), or "
            "its to_pandas() for names"
        )
    found = values if isinstance(values, Mapping) else list(values)
    if isinstance(found, Mapping) or any(isinstance(value, Mapping) for value in found):
        raise TypeError(
            f"{name} are dicts, whose values have no places: pass a list with the numbers of each "
            "table, pandas Series for names"
        )
    return found


def _names(values: list[Any], name: str) -> list[str] | None:
    """Names of the estimates, where every table gives the same."""
    indices = [getattr(value, "index", None) for value in values]
    if not indices or any(index is None or callable(index) for index in indices):
        return None
    names = [[str(label) for label in index] for index in indices if index is not None]
    if any(other != names[0] for other in names):
        raise ValueError(f"the tables' {name} are named differently")
    return names[0]


def _in_order(variances: list[Any], names: list[str]) -> list[Any]:
    """Variances or covariance matrices of pandas in the order of the names of the estimates."""
    given = _names(variances, "variances")
    if given is None or given == names:
        order = None
    elif sorted(given) == sorted(names) and len(set(names)) == len(names):
        order = [given.index(name) for name in names]
    else:
        raise ValueError(
            f"variances are of {given}, but estimates of {names}: give both the same names"
        )
    ordered = []
    for value in variances:
        if getattr(value, "ndim", 1) == 2 and hasattr(value, "iloc"):
            if [str(label) for label in value.columns] != [str(label) for label in value.index]:
                raise ValueError("covariance matrices need the same names, in rows and columns")
            ordered.append(value if order is None else value.iloc[order, order])
        else:
            ordered.append(value if order is None else value.iloc[order])
    return ordered
