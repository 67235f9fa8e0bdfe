"""Several completed tables that differ as much as the missing cells are uncertain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from sklearn.base import clone

from latentem.engine.backends import backend_for, one_blas_thread
from latentem.engine.blocks import Rows
from latentem.engine.em import EM
from latentem.engine.progress import counted_bar
from latentem.estimators.imputer import GaussianImputer
from latentem.estimators.imputer_columns import bounds_of, numbers_of
from latentem.estimators.settings import generator
from latentem.models.augmentation import Augmentation, bootstrap_params, steps_for
from latentem.models.conditionals import CellsOf
from latentem.models.normal import NormalParams

__all__ = ["Imputations", "impute_multiple"]

Array = np.ndarray


class Imputations:
    """Completed tables: iterate over them, or take one by its place.

    Each is like the data that were given, a pandas or polars frame or an array; cells that
    were seen are the same in all.

    Attributes
    ----------
    m : int
    missing : (n, d) bool array
    draws : (m, number of missing cells) array
        Their values, row by row.
    imputer : GaussianImputer
        The fit to the data themselves.
    """

    def __init__(self, X: Any, x: Array, missing: Array, draws: Array, imputer: GaussianImputer):
        self._X, self._x = X, x
        self.missing, self.draws, self.imputer = missing, draws, imputer
        self.m = len(draws)

    def __len__(self) -> int:
        return self.m

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(self.m))

    def __getitem__(self, i: int) -> Any:
        if not -self.m <= i < self.m:
            raise IndexError(f"there are {self.m} imputations, not one number {i}")
        filled = self._x.copy()
        filled[self.missing] = self.draws[i]
        X = self._X
        changed = np.flatnonzero(self.missing.any(axis=0)).tolist()
        if hasattr(X, "iloc"):  # pandas
            frame = X.to_frame() if X.ndim == 1 else X.copy()
            for j in changed:
                frame.isetitem(j, filled[:, j])
            return frame
        if hasattr(X, "with_columns"):  # polars
            series = type(X.to_series(0)) if X.width else None
            assert series is not None
            return X.with_columns([series(X.columns[j], filled[:, j]) for j in changed])
        return filled

    def __repr__(self) -> str:
        n, d = self.missing.shape
        return f"{self.m} imputations of {self.draws.shape[1]} missing cells in {n} x {d}"

    def to_long(self) -> Any:
        """All tables below each other as a pandas DataFrame (needs pandas).

        Columns "imputation" (from 1) and "row" (the index of the data) come first.
        """
        import pandas

        parts = []
        for i, table in enumerate(self):
            if hasattr(table, "to_pandas"):
                table = table.to_pandas()
            frame = table if isinstance(table, pandas.DataFrame) else pandas.DataFrame(table)
            for place, (name, values) in enumerate((("imputation", i + 1), ("row", frame.index))):
                frame.insert(place, name, values)
            parts.append(frame)
        return pandas.concat(parts, ignore_index=True)


def impute_multiple(
    X: Any,
    m: int = 20,
    method: Literal["bootstrap", "posterior"] = "bootstrap",
    random_state: Any = None,
    *,
    imputer: GaussianImputer | None = None,
    n_steps: int | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> Imputations:
    """Draw the missing cells m times, with the uncertainty of the parameters.

    Analyse each table as if it were complete, and combine the results with `pool`: the
    standard errors then tell what the missing cells cost.

    Parameters
    ----------
    X : array-like or frame (n_samples, n_features)
    m : int
        Number of tables; about as many as per cent of the information that is missing.
    method : {"bootstrap", "posterior"}
        Parameters of each table by EM on rows drawn with replacement (as Amelia), or from
        their posterior by data augmentation from the EM fit (as norm), under the
        imputer's prior or, without one, Jeffreys'.
    random_state : None, int, Generator or RandomState
        The same seed gives the same draws whatever `n_jobs`.
    imputer : GaussianImputer, optional
        Its settings: prior, bounds, missing_values, ... It is cloned and fitted.
    n_steps : int, optional
        Steps of each chain of data augmentation; by default as many as make the start
        count for 1 per cent, by EM's rate of convergence.
    n_jobs : int or None
        Threads that draw tables.
    progress : bool
        Show a tqdm bar over the tables.

    Returns
    -------
    Imputations

    Raises
    ------
    ValueError
        For a table that `GaussianImputer` refuses, or with too few rows for its columns.

    Examples
    --------
    >>> from latentem import impute_multiple
    >>> from latentem.datasets import load_airquality
    >>> tables = impute_multiple(load_airquality().data, m=5, random_state=0)
    >>> len(tables), tables[0].shape, tables.draws.shape
    (5, (153, 6), (5, 44))
    """
    for name, number in (("m", m), ("n_steps", 1 if n_steps is None else n_steps)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
            raise ValueError(f"{name} must be an integer >= 1, got {number!r}")
    if method not in ("bootstrap", "posterior"):
        raise ValueError(f"method must be 'bootstrap' or 'posterior', got {method!r}")
    imputer = GaussianImputer() if imputer is None else clone(imputer)
    backend, generators = backend_for(n_jobs), generator(random_state).spawn(m)
    if n_jobs is not None:
        imputer.set_params(n_jobs=n_jobs)
    imputer.fit(X)
    x = numbers_of(imputer, X, imputer.missing_values, reset=False)
    missing = np.isnan(x) & ~imputer._columns.empty
    filled = np.where(np.isnan(x), imputer._columns.values, x)
    low, high = bounds_of(imputer.min_value, imputer.max_value, x.shape[1])
    columns = np.flatnonzero(imputer._columns.varying)
    rows = np.flatnonzero(np.isnan(x[:, columns]).any(axis=1))
    if not len(rows):
        draws = np.tile(np.clip(filled, low, high)[missing], (m, 1))
        return Imputations(X, x, missing, draws, imputer)
    cells = CellsOf(np.ascontiguousarray(x[np.ix_(rows, columns)]))
    params_of = _parameters(imputer, X, method, n_steps)

    def draw(rng: np.random.Generator) -> Array:
        params = params_of(rng)
        table = filled.copy()
        noise = rng.standard_normal(cells.x.shape)
        table[np.ix_(rows, columns)] = cells.at(params, noise).filled
        return np.clip(table, low, high)[missing]

    with one_blas_thread():
        drawn = backend.map(draw, generators)
        draws = np.array(list(counted_bar(drawn, progress, "imputations", "table", m)))
    return Imputations(X, x, missing, draws, imputer)


def _parameters(
    imputer: GaussianImputer, X: Any, method: str, n_steps: int | None
) -> Callable[[np.random.Generator], NormalParams]:
    """The function that draws parameters."""
    model, start, data = imputer.em_problem(X)
    x = data.x[~np.isnan(data.x).all(axis=1)]
    if method == "bootstrap":
        settings = EM(
            tol=imputer.tol, max_iter=imputer.max_iter, accelerate=imputer.accelerate, n_jobs=1
        )
        return lambda rng: bootstrap_params(model, Rows(x), start, settings, rng)
    steps = steps_for(imputer.convergence_rate_) if n_steps is None else int(n_steps)
    chain = Augmentation(x, model.prior)
    return lambda rng: chain.params(start, steps, rng)
