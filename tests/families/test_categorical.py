"""The Categorical family: categories learned and given, zeros, encoding, bad cells."""

from __future__ import annotations

import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentem import EM
from latentem.families import Bernoulli, BernoulliParams, Categorical, CategoricalParams
from latentem.models import Mixture, MixtureParams
from latentem.testing import check_family

SIZES = (3, 2, 4)
MISSING = np.nan


def codes(rng, n=150):
    """Two classes in three columns."""
    first, second = [[0.7, 0.2, 0.1], [0.8, 0.2], [0.1, 0.2, 0.3, 0.4]], [
        [0.1, 0.3, 0.6], [0.3, 0.7], [0.4, 0.3, 0.2, 0.1]]  # fmt: skip
    return np.vstack(
        [
            np.column_stack([rng.choice(len(p), size=n, p=p) for p in probs])
            for probs in (first, second)
        ]
    ).astype(float)


@pytest.mark.nojit
def test_check_family(rng):
    grid = np.array(list(product(*map(range, SIZES))), dtype=float), 1.0
    report = check_family(Categorical(SIZES), codes(rng), grid=grid)
    assert {name for name, _ in report.skipped} == {"fixed values"}
    assert dict(report.passed)["flat vector"] == "13 free coordinates"


def test_check_family_with_one_column_one_number_for_all_and_fixed_probabilities(rng):
    x = codes(rng)
    check_family(Categorical(3), x[:, :1])
    report = check_family(Categorical(4), x[:, [0, 2]])
    assert dict(report.passed)["flat vector"] == "13 free coordinates"
    report = check_family(Categorical(SIZES, fixed=("emissionprob",)), x)
    assert dict(report.passed)["fixed values"] == "family.emissionprob"


def test_categories_are_learned_from_all_rows(rng):
    x = codes(rng)
    x[rng.random(x.shape) < 0.1] = MISSING
    assert Categorical().learn(x).n_categories == SIZES
    assert Categorical(5).learn(x).n_categories == (5, 5, 5)
    given_sizes = Categorical((9, 9, 9))
    assert given_sizes.learn(x) is given_sizes
    assert Categorical(fixed=("emissionprob",)).learn(x).fixed == ("emissionprob",)
    assert Categorical().learn(np.full((3, 1), MISSING)).n_categories == (1,)


def test_one_column_has_a_row_of_probabilities_per_component(rng):
    x = codes(rng)[:, :1]
    family = Categorical().learn(x)
    start = family.initialize(family.encode(x), np.full((2, 300), 0.5), rng)
    assert start.emissionprob.shape == (2, 3)


def test_by_column_takes_the_probabilities_apart():
    probs = np.array([[0.5, 0.5, 0.2, 0.3, 0.5]])
    first, second = Categorical((2, 3)).by_column(probs)
    assert first.tolist() == [[0.5, 0.5]]
    assert second.tolist() == [[0.2, 0.3, 0.5]]
    assert [part.shape for part in Categorical(2).by_column(np.full((3, 4), 0.5))] == [(3, 2)] * 2
    with pytest.raises(ValueError, match=r"5 columns, which is not a number for each category of n"
                                         r"_categories=\(2, 2\)"):  # fmt: skip
        Categorical((2, 2)).by_column(probs)


@given(st.integers(0, 2**32 - 1))
def test_two_categories_are_a_bernoulli(seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(2, size=(20, 2)).astype(float)
    p = rng.uniform(size=(3, 2))
    two, other = Categorical(2), Bernoulli()
    share = rng.dirichlet(np.ones(3), 20).T.copy()
    of_two = CategoricalParams(np.stack([1 - p, p], axis=2).reshape(3, 4))
    of_other = BernoulliParams(p)
    np.testing.assert_allclose(
        two.log_density(two.prepare(of_two), two.encode(x)),
        other.log_density(other.prepare(of_other), other.encode(x)),
        rtol=1e-12,
    )
    counts = two.statistics(two.prepare(of_two), two.encode(x), share)
    answers = other.statistics(other.prepare(of_other), other.encode(x), share)
    new = two.maximize(counts, of_two).emissionprob
    ones = other.maximize(answers, of_other).probs
    np.testing.assert_allclose(new[:, [1, 3]], ones, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("size", "dtype"), [(4, np.uint8), (255, np.uint8), (256, np.uint16),
                                             (65536, np.uint32)])  # fmt: skip
def test_cells_are_encoded_in_the_smallest_integers(size, dtype):
    x = np.array([[0.0], [size - 1.0], [MISSING]])
    family = Categorical(size)
    encoded = family.encode(x)
    assert encoded.dtype == dtype
    assert encoded[:, 0].tolist() == [0, size - 1, size]
    probs = np.linspace(1.0, 2.0, size)[None] / np.linspace(1.0, 2.0, size).sum()
    found = family.log_density(family.prepare(CategoricalParams(probs)), encoded)
    np.testing.assert_allclose(found, [[*np.log(probs[0, [0, -1]]), 0.0]], rtol=1e-14)


def test_points_of_very_many_categories_show_the_commonest(rng):
    common = np.repeat(np.arange(256) * 7, 4)
    x = np.concatenate([common, rng.integers(2000, size=300)]).astype(float)[:, None]
    points = Categorical(2000).points(Categorical(2000).encode(x))
    assert points.shape == (len(x), 256)
    np.testing.assert_array_equal(points.sum(axis=1)[: len(common)], 1.0)
    few = Categorical((2, 3))
    shown = few.points(few.encode([[1.0, 2.0], [0.0, MISSING], [0.0, 0.0]]))
    np.testing.assert_array_equal(shown, [[0, 1, 0, 0, 1], [1, 0, 0.5, 0, 0.5], [1, 0, 1, 0, 0]])


def test_a_vocabulary_needs_no_memory_quadratic_in_it(rng):
    probs = rng.dirichlet(np.full(4000, 0.05), size=2)
    x = np.concatenate([rng.choice(4000, size=(1500, 2), p=p) for p in probs]).astype(float)
    em = EM(n_jobs=1, accelerate="squarem", max_iter=20, tol=0.0)
    tracemalloc.start()
    result = em.run(Mixture(Categorical(4000), 2), x, rng=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4000 * 4000 * 8 / 2
    assert np.isfinite(result.loglik)
    table = result.params.family.emissionprob.reshape(2, 2, 4000)
    np.testing.assert_allclose(table.sum(axis=2), 1.0, rtol=1e-12)


def test_a_category_never_seen_has_probability_0_and_a_note(rng):
    x = codes(rng)
    result = EM(n_jobs=1, tol=1e-6).run(Mixture(Categorical((5, 2, 4)), 2), x, rng=0)
    assert np.all(result.params.family.emissionprob[:, [3, 4]] == 0.0)
    assert any("column 0 never shows category 3, 4" in note for note in result.notes)
    assert np.isfinite(result.loglik)


def test_a_probability_of_0_stays_0_and_makes_its_category_impossible(rng):
    x = codes(rng)[:, :1]
    start = MixtureParams(
        np.array([0.5, 0.5]), CategoricalParams(np.array([[0.0, 0.5, 0.5], [0.4, 0.3, 0.3]]))
    )
    family = Categorical(3)
    result = EM(n_jobs=1, max_iter=30).run(Mixture(family, 2), x, start=start)
    assert result.params.family.emissionprob[0, 0] == 0.0
    found = family.log_density(family.prepare(result.params.family), family.encode(x))
    np.testing.assert_array_equal(np.isneginf(found[0]), x[:, 0] == 0)


def test_samples_never_show_a_category_of_probability_0(rng):
    at = CategoricalParams(np.array([[0.0, 0.3, 0.0, 0.7, 0.0]]))
    drawn = Categorical(5).sample(at, np.zeros(2000, dtype=int), rng)[:, 0]
    assert set(drawn) == {1.0, 3.0}
    assert (drawn == 3.0).mean() == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize(("value", "words"), [(-1.0, "-1"), (1.5, "1.5"), (np.inf, "inf")])
@pytest.mark.parametrize("family", [Categorical(), Categorical(4)], ids=repr)
def test_cells_that_are_no_codes_are_named(value, words, family):
    X = np.array([[1.0, MISSING], [0.0, value]])
    sentence = rf"codes, whole numbers 0, 1, 2, \.\.\., but X\[1, 1\] is {words}$"
    for method in (family.check, family.learn) if family.n_categories is None else (family.check,):
        with pytest.raises(ValueError, match=sentence):
            method(X)
    family.check(X[:1])


def test_a_code_out_of_range_is_named_by_check_and_by_encode():
    X = np.array([[1.0, 0.0], [0.0, 3.0]])
    for method in (Categorical((2, 3)).check, Categorical((2, 3)).encode):
        with pytest.raises(ValueError, match=r"X\[1, 1\] is 3, but column 1 has the 3 categories "
                                             r"0 to 2: raise n_categories, or recode"):  # fmt: skip
            method(X)
    with pytest.raises(ValueError, match=r"below 1,000,000, without large gaps, but X\[0, 0\] is "):
        Categorical().learn(np.array([[20240101.0]]))


def test_other_numbers_of_columns_are_refused():
    family = Categorical((2, 3))
    for method in (family.check, family.encode):
        with pytest.raises(
            ValueError, match=r"X has 3 columns, but n_categories=\(2, 3\) is for 2"
        ):
            method(np.zeros((1, 3)))
    two = Categorical(2)
    prepared = two.prepare(CategoricalParams(np.full((2, 4), 0.5)))
    with pytest.raises(ValueError, match="X has 3 columns, but emissionprob is for 2"):
        two.log_density(prepared, two.encode(np.zeros((1, 3))))


def test_categories_not_known_are_asked_for():
    family, x = Categorical(), np.zeros((2, 1))
    for call in (lambda: family.encode(x), family.constraints):
        with pytest.raises(ValueError, match=r"give n_categories, or take family\.learn\(X\)"):
            call()


@pytest.mark.parametrize("bad", [0, 2.0, True, (2, 0), [2.5], "two"])
def test_n_categories_is_checked(bad):
    with pytest.raises(ValueError, match="n_categories must be an integer >= 1 or one for each"):
        Categorical(bad)
    with pytest.raises(ValueError, match="n_categories must have a number for each column"):
        Categorical(())


def test_repr():
    assert repr(Categorical()) == "Categorical()"
    assert repr(Categorical([2, np.int64(3)])) == "Categorical((2, 3))"
    assert repr(Categorical(4)) == "Categorical(4)"
