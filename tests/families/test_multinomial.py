"""The multinomial family against scipy, on sparse rows, and through the checker."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import multinomial

from latentem import EM, NotIdentifiedWarning, Rows
from latentem.families import DirichletPrior, Gaussian, Multinomial, MultinomialParams
from latentem.models import Mixture, MixtureParams
from latentem.testing import check_family, check_model

PROBS = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])


def documents(rng, n=150):
    """Counts of three words in rows of 5 to 30 of them."""
    return np.array(
        [rng.multinomial(rng.integers(5, 31), PROBS[i % 2]) for i in range(n)], dtype=float
    )


def compositions(n):
    return np.array([[i, j, n - i - j] for i in range(n + 1) for j in range(n + 1 - i)], float)


def test_check_family(rng):
    grid = (compositions(6), 1.0)
    report = check_family(Multinomial(), documents(rng), grid=grid)
    assert "densities integrate to 1" in dict(report.passed)
    assert {"sample", "fixed values"} <= {name for name, _ in report.skipped}


def test_check_model_on_sparse_rows(rng):
    model = Mixture(Multinomial(), 2)
    report = check_model(model, sparse.csr_array(documents(rng)))
    assert {name for name, _ in report.skipped} == {"fixed values", "simulate and recover"}
    assert "row weights" in dict(report.passed)


def test_check_family_with_a_prior_and_kept_values(rng):
    X = documents(rng)
    check_family(Multinomial(prior=DirichletPrior([2.0, 1.0, 1.5])), X, n_components=3)
    report = check_family(Multinomial(fixed=("emissionprob",)), X)
    assert dict(report.passed)["fixed values"] == "family.emissionprob"
    kept = {"emissionprob": [[True, False, False], [False, False, False]]}
    check_family(Multinomial(fixed=kept), X)


@pytest.mark.nojit
def test_log_density_equals_scipy(rng):
    X = documents(rng, 20)
    family = Multinomial()
    prepared = family.prepare(MultinomialParams(PROBS))
    for rows in (X, sparse.csr_matrix(X), sparse.coo_array(X)):
        found = family.log_density(prepared, family.encode(rows))
        expected = [multinomial.logpmf(X, X.sum(axis=1), p) for p in PROBS]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_probability_zero_and_stored_zeros():
    rows = sparse.csr_array(np.array([[2.0, 1.0], [3.0, 0.0]]))
    stored = sparse.csr_array((np.array([2.0, 1.0, 3.0, 0.0]), [0, 1, 0, 1], [0, 2, 4]))
    family = Multinomial()
    prepared = family.prepare(MultinomialParams(np.array([[1.0, 0.0], [0.5, 0.5]])))
    for X in (rows, stored):
        found = family.log_density(prepared, family.encode(X))
        assert found[0].tolist() == [-np.inf, 0.0]
        np.testing.assert_allclose(found[1], np.log([3 / 8, 1 / 8]))
    assert stored.nnz == 4  # what was passed is left as it is


def test_a_row_without_counts_tells_nothing():
    family = Multinomial()
    prepared = family.prepare(MultinomialParams(PROBS))
    x = family.encode(sparse.csr_array((1, 3)))
    assert family.log_density(prepared, x).tolist() == [[0.0], [0.0]]


def test_mixture_of_sparse_rows_is_that_of_dense_ones(rng):
    X = documents(rng)
    X[3] = 0.0
    weights, labels = rng.uniform(0.5, 2.0, len(X)), np.where(np.arange(len(X)) < 10, 0, -1)
    model = Mixture(Multinomial(prior=DirichletPrior(1.5)), 2)
    start = MixtureParams(np.array([0.4, 0.6]), MultinomialParams(PROBS[::-1]))
    results = [
        EM(tol=1e-9).run(model, Rows(rows, weights, labels), start=start)
        for rows in (X, sparse.csr_matrix(X), sparse.csc_array(X))
    ]
    for other in results[1:]:
        assert other.loglik == pytest.approx(results[0].loglik, abs=1e-9)
        np.testing.assert_allclose(
            other.params.family.emissionprob, results[0].params.family.emissionprob, rtol=1e-9
        )


def test_own_starts_and_blocks_of_sparse_rows(rng):
    X = documents(rng)
    model = Mixture(Multinomial(), 2)
    found = EM(tol=1e-9).run(model, sparse.csr_array(X), rng=0)
    pieces = EM(tol=1e-9, block_size=40).run(model, sparse.csr_array(X), rng=0)
    np.testing.assert_allclose(
        np.sort(found.params.family.emissionprob[:, 0]), [0.1, 0.7], atol=0.05
    )
    assert pieces.loglik == pytest.approx(found.loglik, abs=1e-8)


def test_components_that_labels_name_may_be_alike(rng):
    X = sparse.csr_array(np.repeat(documents(rng, 5), 2, axis=0))
    labels = np.arange(10) % 2
    start = MixtureParams(np.array([0.5, 0.5]), MultinomialParams(PROBS[[0, 0]]))
    with pytest.warns(NotIdentifiedWarning, match="components 0 and 1 coincide"):
        EM().run(Mixture(Multinomial(), 2), Rows(X, None, labels), start=start)
    model = Mixture(Multinomial(), 2, named=True)
    assert not model.exchangeable
    assert EM().run(model, Rows(X, None, labels), start=start).warnings == ()


def test_wide_rows_have_points_of_the_commonest_columns(rng):
    family = Multinomial()
    X = sparse.random_array((50, 1000), density=0.02, rng=rng, data_sampler=rng.exponential)
    points = family.points(family.encode(X))
    assert points.shape == (50, 256)
    assert np.isfinite(points).all()


@pytest.mark.parametrize(("value", "sentence"), [
    (-1.0, r"Multinomial data are counts, numbers >= 0, but X\[1, 2\] is -1"),
    (np.nan, r"x\[1, 2\] is nan: Multinomial needs finite numbers"),
    (np.inf, r"x\[1, 2\] is inf: Multinomial needs finite numbers"),
])  # fmt: skip
def test_wrong_cells(value, sentence):
    X = np.ones((3, 3))
    X[1, 2] = value
    for rows in (X, sparse.csr_array(X), sparse.csc_array(X)):
        with pytest.raises(ValueError, match=sentence):
            Mixture(Multinomial(), 2).blocks(rows)


def test_other_sentences():
    X = sparse.csr_array(np.ones((3, 3)))
    with pytest.raises(TypeError, match=r"takes no sparse matrix: pass x.toarray\(\)"):
        Mixture(Gaussian(), 2).blocks(X)
    family = Multinomial()
    with pytest.raises(ValueError, match="X has 3 columns, but emissionprob is for 2"):
        family.log_density(family.prepare(MultinomialParams(PROBS[:, :2])), family.encode(X))
    with pytest.raises(ValueError, match="concentration has 2 columns, but the parameters have 3"):
        Multinomial(prior=DirichletPrior([2.0, 2.0])).check(X)
    with pytest.raises(TypeError, match="the prior of Multinomial is a DirichletPrior"):
        Multinomial(prior=1.0)
    with pytest.raises(ValueError, match=r"weights must have one value per row, shape \(3,\)"):
        Mixture(family, 2).blocks(Rows(X, np.ones(2)))


def test_a_column_without_counts_is_noted():
    X = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]])
    result = EM(max_iter=3, tol=0.0).run(Mixture(Multinomial(), 1), X, rng=0)
    assert any("no counts in column 2: probability 0 is fitted" in note for note in result.notes)
