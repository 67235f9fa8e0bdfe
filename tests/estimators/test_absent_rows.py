"""Rows that do not count: of weight zero, and without an observed cell."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import GaussianMixture, MixtureModel, families, select, standard_errors
from latentem.families.poisson import Poisson, PoissonParams
from tests.estimators.samples import blobs, start
from tests.estimators.test_bad_input import refused

X = blobs(40)
COUNTS = np.array([[0.0], [1.0], [2.0], [7.0], [9.0], [8.0], [1.0], [8.0]])


class CountsWithGaps(Poisson):
    """Poisson columns of which single cells may be missing: they are left out of the density."""

    missing_cells = True

    def check(self, X):
        super().check(np.where(np.isnan(X), 0.0, X))

    def encode(self, rows):
        return np.asarray(rows, dtype=float)

    def points(self, x):
        return np.where(np.isnan(x), np.nanmean(x, axis=0), x)

    def log_density(self, prepared, x):
        seen = ~np.isnan(x)
        parts = [super(CountsWithGaps, self).log_density(
            PoissonParams(prepared.lambdas[:, [j]]), np.where(seen, x, 0.0)[:, [j]]
        ) * seen[:, j] for j in range(x.shape[1])]  # fmt: skip
        return np.sum(parts, axis=0)

    def statistics(self, prepared, x, weights, shared=None):
        seen = ~np.isnan(x)
        return weights @ seen, weights @ np.where(seen, x, 0.0)

    def maximize(self, statistics, params):
        count, total = statistics
        alive = count > 0
        return PoissonParams(np.where(alive, total / np.where(alive, count, 1.0), params.lambdas))

    def initialize(self, x, weights, rng):
        count, total = self.statistics(None, x, weights + 1e-6)
        return PoissonParams(total / count)

    def expected_loglik(self, params, statistics):
        raise NotImplementedError


def bad_rows(value, weight_of_others=1.0):
    """The rows of X with one row of `value` and weight 0 put in at place 3."""
    rows = np.insert(X, 3, value, axis=0)
    weights = np.full(len(rows), weight_of_others)
    weights[3] = 0.0
    return rows, weights


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_row_of_weight_zero_may_hold_anything(value):
    rows, weights = bad_rows(value)
    given = start(X, "full", 2)
    plain = GaussianMixture(2, **given, tol=1e-9).fit(X)
    gm = GaussianMixture(2, **given, tol=1e-9).fit(rows, sample_weight=weights)
    np.testing.assert_allclose(gm.means_, plain.means_, rtol=1e-12)
    assert gm.result_.weight == len(X)
    for method in ("score", "aic", "bic", "icl"):
        np.testing.assert_allclose(
            getattr(gm, method)(rows, sample_weight=weights), getattr(plain, method)(X), rtol=1e-12
        )
    errors = standard_errors(gm, rows, weights)
    np.testing.assert_allclose(errors["means"], standard_errors(plain, X)["means"], rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, -1.0, 0.5])
def test_an_impossible_count_of_weight_zero_is_absent(value):
    rows, weights = np.r_[COUNTS, [[value]]], np.r_[np.ones(len(COUNTS)), 0.0]
    chosen = select(
        MixtureModel(families.Poisson(), random_state=0), rows, n_components=[1, 2],
        sample_weight=weights,
    )  # fmt: skip
    plain = select(MixtureModel(families.Poisson(), random_state=0), COUNTS, n_components=[1, 2])
    assert [row.error for row in chosen.table] == [None, None]
    np.testing.assert_allclose(
        [row.value for row in chosen.table], [row.value for row in plain.table], rtol=1e-9
    )


def test_a_bad_row_that_counts_is_named_by_its_place_among_all_rows():
    rows, weights = bad_rows(np.nan)
    rows[7, 1] = np.inf
    refused(lambda: GaussianMixture(2).fit(rows, sample_weight=weights), ["infinity in row 7"])
    counts, weights = np.r_[[[-5.0]], COUNTS, [[-1.0]]], np.r_[0.0, np.ones(9)]
    model = MixtureModel(families.Poisson(), 2)
    refused(lambda: model.fit(counts, sample_weight=weights), ["X[9, 0] is -1"])


def test_responsibilities_of_absent_rows_are_left_out():
    rows, weights = bad_rows(np.nan)
    shares = np.eye(2)[np.arange(len(rows)) % 2]
    gm = GaussianMixture(2, responsibilities_init=shares, max_iter=0, tol=0)
    gm.fit(rows, sample_weight=weights)
    plain = GaussianMixture(
        2, responsibilities_init=np.delete(shares, 3, axis=0), max_iter=0, tol=0
    )
    np.testing.assert_array_equal(gm.means_, plain.fit(X).means_)


# ------------------------------------------------------------------------------- missing cells


def gappy(n=60, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.poisson([[1.0, 9.0]] * n + [[8.0, 2.0]] * n).astype(float)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    return rows[~np.isnan(rows).all(axis=1)]


def test_missing_cells_reach_a_family_that_takes_them():
    rows = gappy()
    model = MixtureModel(CountsWithGaps(), 2, random_state=0, tol=1e-9).fit(rows)
    np.testing.assert_allclose(np.sort(model.family_params_.lambdas[:, 0]), [1, 8], rtol=0.25)
    np.testing.assert_allclose(model.score(rows) * len(rows), model.loglik_, rtol=1e-12)
    bic = -2 * model.loglik_ + 5 * np.log(len(rows))
    np.testing.assert_allclose(model.bic(rows), bic, rtol=1e-12)
    family = CountsWithGaps()
    family.missing_cells = False
    plain = MixtureModel(family, 2, random_state=0)
    refused(lambda: plain.fit(rows), ["NaN in row", "impute them first"])


def test_infinity_is_refused_by_a_family_that_takes_missing_cells():
    rows = gappy()
    rows[5, 1] = np.inf
    words = ["infinity in row 5, column 1", "NaN for a missing cell"]
    refused(lambda: MixtureModel(CountsWithGaps(), 2).fit(rows), words)


def test_rows_without_an_observed_cell_change_nothing():
    rows = gappy()
    more = np.insert(rows, [0, 9, len(rows)], np.nan, axis=0)
    model = MixtureModel(CountsWithGaps(), 2, random_state=0).fit(rows)
    again = MixtureModel(CountsWithGaps(), 2, random_state=0).fit(more)
    np.testing.assert_array_equal(again.family_params_.lambdas, model.family_params_.lambdas)
    np.testing.assert_array_equal(again.weights_, model.weights_)
    assert (again.loglik_, again.n_iter_) == (model.loglik_, model.n_iter_)
    assert again.result_.weight == len(rows)
    for method in ("score", "aic", "bic", "icl"):
        assert getattr(model, method)(more) == getattr(model, method)(rows)
    weights = np.random.default_rng(0).uniform(0.5, 2, len(more))
    seen = ~np.isnan(more).all(axis=1)
    assert model.bic(more, sample_weight=weights) == model.bic(rows, sample_weight=weights[seen])
    np.testing.assert_allclose(model.predict_proba(more)[0], model.weights_, rtol=1e-14)
    np.testing.assert_allclose(model.score_samples(more)[0], 0.0, atol=1e-15)
    assert len(model.predict(more)) == len(more)


def test_nothing_observed_is_refused():
    nothing = np.full((4, 2), np.nan)
    refused(lambda: MixtureModel(CountsWithGaps(), 2).fit(nothing), ["X has no observed cell"])
    rows = np.c_[gappy(), np.full(len(gappy()), np.nan)]
    refused(lambda: MixtureModel(CountsWithGaps(), 2).fit(rows), ["column 2", "leave that column"])
    model = MixtureModel(CountsWithGaps(), 2, random_state=0).fit(gappy())
    refused(lambda: model.score(nothing), ["X has no observed cell"])


def test_distinct_rows_with_missing_cells_are_counted_once():
    rows = np.repeat([[1.0, np.nan], [np.nan, 3.0]], 5, axis=0)
    refused(lambda: MixtureModel(CountsWithGaps(), 3).fit(rows), ["2 distinct rows"])


class Learns(Poisson):
    """Knows the largest count of the table it was fitted to."""

    largest = None

    def learn(self, X):
        family = Learns()
        family.largest = float(X.max())
        return family

    def encode(self, rows):
        assert self.largest is not None
        return super().encode(np.minimum(rows, self.largest))


def test_a_family_learns_from_the_rows_that_count_and_keeps_it():
    template = Learns()
    model = MixtureModel(template, 2, random_state=0)
    model.fit(np.r_[COUNTS, [[99.0]]], sample_weight=np.r_[np.ones(len(COUNTS)), 0.0])
    assert template.largest is None
    assert model.model_.family.largest == 9.0
    np.testing.assert_array_equal(model.predict_proba([[9.0]]), model.predict_proba([[50.0]]))
