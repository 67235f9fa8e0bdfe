"""Independent columns of different families: the sum of its parts, with their columns named."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import EM, DegenerateComponentWarning, Family
from latentem.engine.trees import leaves
from latentem.families import (
    Bernoulli,
    Categorical,
    Exponential,
    Gaussian,
    GaussianParams,
    Independent,
    Poisson,
    PoissonParams,
)
from latentem.models import HiddenMarkov, Mixture, MixtureParams
from latentem.testing import check_family, check_model

#: Heights and weights together, visits, blood group, a yes or no, minutes.
MIXED = Independent(
    [
        (Gaussian("full"), [0, 3]),
        (Poisson(), 1),
        (Categorical(3), [2]),
        (Bernoulli(), 4),
        (Exponential(), 5),
    ]
)
CELLS = Independent([(Exponential(), [0, 2]), (Categorical((3, 2)), [3, 1]), (Bernoulli(), 4)])


def mixed(rng, n=300):
    z = rng.random(n) < 0.4
    group = np.where(z, rng.choice(3, n, p=[0.7, 0.2, 0.1]), rng.choice(3, n, p=[0.1, 0.2, 0.7]))
    height = rng.normal(170 + 20 * z, 8.0)
    return np.column_stack(
        [
            height,
            rng.poisson(2 + 4 * z),
            group,
            0.5 * height + rng.normal(size=n),
            rng.random(n) < np.where(z, 0.8, 0.3),
            rng.exponential(np.where(z, 10.0, 1.0)),
        ]
    ).astype(float)


def cells(rng, n=200):
    z = rng.random(n) < 0.5
    x = np.column_stack(
        [
            rng.exponential(np.where(z, 9.0, 1.0)),
            rng.random(n) < 0.5,
            rng.exponential(np.where(z, 1.0, 20.0)),
            np.where(z, 0, rng.integers(3, size=n)),
            rng.random(n) < np.where(z, 0.9, 0.2),
        ]
    ).astype(float)
    return np.where(rng.random(x.shape) < 0.2, np.nan, x)


def start_of(family, x, rng, k=2):
    share = np.ascontiguousarray(rng.dirichlet(np.ones(k), len(x)).T)
    return family.initialize(family.encode(x), share, rng), share


def test_check_family(rng):
    report = check_family(MIXED, mixed(rng))
    skipped = {"fixed values", "densities integrate to 1"}
    assert {name for name, _ in report.skipped} == skipped


def test_check_family_with_groups_fixed_in_the_parts(rng):
    family = Independent([Gaussian("tied"), Poisson(fixed=("lambdas",))])
    report = check_family(family, mixed(rng)[:, :2], n_components=3)
    assert dict(report.passed)["fixed values"] == "family.1.lambdas"


def test_a_model_with_missing_cells_keeps_the_contract(rng):
    check_model(Mixture(CELLS, 2), cells(rng))


def test_log_densities_add_over_the_groups(rng):
    x = mixed(rng)
    params, _ = start_of(MIXED, x, rng)
    expected = np.zeros((2, len(x)))
    for (family, columns), own in zip(MIXED.parts, params, strict=True):
        rows = np.ascontiguousarray(x[:, list(columns)])
        expected += family.log_density(family.prepare(own), family.encode(rows))
    found = MIXED.log_density(MIXED.prepare(params), MIXED.encode(x))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_family_for_every_column_is_that_family(rng):
    """One answer, cut in any way; missing cells included."""
    x = cells(rng)[:, [0, 2]]
    whole, apart = Exponential(), Independent([Exponential(), Exponential()])
    params, share = start_of(whole, x, rng)
    parts = tuple(type(params)(params.scales[:, [j]]) for j in range(2))
    np.testing.assert_allclose(
        apart.log_density(apart.prepare(parts), apart.encode(x)),
        whole.log_density(whole.prepare(params), whole.encode(x)),
        rtol=1e-12,
    )
    statistics = apart.statistics(apart.prepare(parts), apart.encode(x), share)
    new = whole.maximize(whole.statistics(whole.prepare(params), whole.encode(x), share), params)
    found = np.hstack([part.scales for part in apart.maximize(statistics, parts)])
    np.testing.assert_allclose(found, new.scales, rtol=1e-12)
    q = apart.expected_loglik(parts, statistics)
    sums = whole.statistics(whole.prepare(params), whole.encode(x), share)
    assert q == pytest.approx(whole.expected_loglik(params, sums), rel=1e-12)


def test_samples_and_moments_stand_in_their_columns(rng):
    drawn = MIXED.sample(start_of(MIXED, mixed(rng), rng)[0], rng.integers(2, size=200), rng)
    MIXED.check(drawn)
    params, _ = start_of(CELLS, cells(rng), rng)
    means, variances = CELLS.moments(params)
    assert means.shape == variances.shape == (2, 5)
    n = 100_000
    for k in range(2):
        drawn = CELLS.sample(params, np.full(n, k), rng)
        off = np.abs(drawn.mean(axis=0) - means[k])
        assert (off < 5 * np.sqrt(variances[k] / n)).all()
        np.testing.assert_allclose(drawn.var(axis=0), variances[k], rtol=0.05)


def test_points_of_the_parts_stand_side_by_side(rng):
    points = MIXED.points(MIXED.encode(mixed(rng)))
    assert points.shape == (300, 2 + 1 + 3 + 1 + 1)


def test_components_in_another_order_keep_a_shared_covariance(rng):
    family = Independent([Gaussian("tied"), Poisson()])
    x = mixed(rng)[:, :2]
    params, _ = start_of(family, x, rng, k=3)
    order = np.array([2, 0, 1])
    moved = family.relabel(params, order)
    np.testing.assert_array_equal(moved[1].lambdas, params[1].lambdas[order])
    np.testing.assert_array_equal(moved[0].covariances, params[0].covariances)
    np.testing.assert_allclose(
        family.log_density(family.prepare(moved), family.encode(x)),
        family.log_density(family.prepare(params), family.encode(x))[order],
        rtol=1e-12,
    )


def test_parts_learn_from_their_own_columns(rng):
    family = Independent([(Categorical(), [3, 1]), (Exponential(), [0, 2]), (Bernoulli(), 4)])
    learned = family.learn(cells(rng))
    assert learned.parts[0].family.n_categories == (3, 2)
    assert learned.parts[0].columns == (3, 1)
    assert learned.learn(cells(rng)) is learned


class Whole(Gaussian):
    """Takes no missing cells, and says so when it meets one."""

    missing_cells = False

    def encode(self, rows):
        assert np.all(np.isfinite(rows))
        return super().encode(rows)


def gaps(rng):
    """Cells of the last column are missing; the first two are seen both, or not at all."""
    x = mixed(rng)[:, [0, 3, 1]]
    x[rng.random(len(x)) < 0.3, :2] = np.nan
    x[rng.random(len(x)) < 0.3, 2] = np.nan
    x[:20, :2] = np.nan
    x[5, 2] = 1.0
    return x


PARTWISE, PLAIN = (
    Independent([(kind("full"), [0, 1]), (Poisson(), 2)]) for kind in (Whole, Gaussian)
)


@pytest.mark.parametrize("structure", [Mixture, HiddenMarkov])
def test_a_part_without_missing_cells_may_be_seen_whole_or_not_at_all(structure, rng):
    x = gaps(rng)
    if structure is Mixture:
        x = x[~np.isnan(x).all(axis=1)]
    check_model(structure(PARTWISE, 2), x)
    settings = EM(tol=0, max_iter=4, accelerate=None)
    found, expected = (
        settings.run(structure(family, 2, init_params="random"), x, rng=0)
        for family in (PARTWISE, PLAIN)
    )
    assert found.loglik == pytest.approx(expected.loglik, rel=1e-10)


def test_a_block_in_which_a_part_was_never_seen(rng):
    x = gaps(rng)
    params, _ = start_of(PLAIN, mixed(rng)[:, [0, 3, 1]], rng)
    share = np.full((2, 20), 0.5)
    densities, sums = [], []
    for family in (PARTWISE, PLAIN):
        prepared, encoded = family.prepare(params), family.encode(x[:20])
        density, shared = family.evaluate(prepared, encoded)
        densities.append(density)
        sums.append(family.maximize(family.statistics(prepared, encoded, share, shared), params))
    np.testing.assert_allclose(*densities, rtol=1e-12)
    np.testing.assert_allclose(sums[0][1].lambdas, sums[1][1].lambdas, rtol=1e-12)
    assert np.isfinite(PARTWISE.points(PARTWISE.encode(x[:20]))).all()


def test_the_part_that_takes_no_missing_cells_is_named(rng):
    x = gaps(rng)
    PARTWISE.check(x)
    x[40] = 170.0, np.nan, 3.0
    sentence = r"X\[40, 1\] is missing, and .*, the family of columns 0, 1, takes no missing cells"
    with pytest.raises(ValueError, match=sentence):
        PARTWISE.check(x)
    x[40] = 170.0, 80.0, -1.0
    with pytest.raises(ValueError, match=r"X\[40, 2\] is -1"):
        PARTWISE.check(x)
    assert PARTWISE.missing_cells
    alone = Independent([Whole("diag"), Whole("diag")])
    assert not alone.missing_cells
    with pytest.raises(ValueError, match=r"X\[0, 0\] is missing"):
        alone.check(x[:, :2])


def test_a_family_is_called_by_its_name():
    class Own(Poisson):
        __repr__ = Family.__repr__

    assert repr(Own()) == "Own"
    assert repr(Independent([Own(), Poisson()])) == "Independent([Own, Poisson()])"


def test_a_part_that_may_fall_or_declares_nothing_speaks_for_all():
    class Undeclared(Bernoulli):
        additive = False

        def constraints(self):
            return None

    assert not Independent([Bernoulli(), Gaussian(reg_covar=1.0)]).monotone
    assert Independent([Bernoulli(), Gaussian()]).monotone
    assert not Independent([Bernoulli(), Undeclared()]).additive
    assert Independent([Bernoulli(), Undeclared()]).constraints() is None


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ((1, 1), -1.0, r"Poisson data are counts.*but X\[1, 1\] is -1"),
        ((1, 2), 3.0, r"X\[1, 2\] is 3, but column 2 has the 3 categories"),
        ((0, 4), 2.0, r"Bernoulli data are 0 or 1, but X\[0, 4\] is 2"),
        ((0, 5), -2.0, r"Exponential data are .* but X\[0, 5\] is -2"),
    ],
)
def test_sentences_name_the_columns_of_the_whole(place, value, sentence, rng):
    x = mixed(rng, 2)
    MIXED.check(x)
    x[place] = value
    with pytest.raises(ValueError, match=sentence):
        MIXED.check(x)
    with pytest.raises(ValueError, match=r"X has 5 columns, but Independent\(.*\) is for 6"):
        MIXED.check(x[:, :5])


def test_a_sentence_without_a_column_is_given_it():
    class Particular(Bernoulli):
        def check(self, X):
            raise ValueError("these are not answers")

    family = Independent([(Poisson(), [0, 3]), (Particular(), [2, 1])])
    with pytest.raises(ValueError, match=r"^columns 2, 1: these are not answers$"):
        family.check(np.zeros((1, 4)))
    with pytest.raises(ValueError, match=r"^column 0: these are not answers$"):
        Independent([Particular()]).check(np.zeros((1, 1)))


def test_degenerate_components_and_notes_name_their_columns():
    x = np.column_stack([np.full(60, 5.0), np.repeat([0.0, 3.0, 4.0], 20), np.ones(60)])
    x[::2, 2] = 0.0
    family = Independent([Poisson(), Gaussian("diag"), Gaussian("diag")])
    gaussian = (
        GaussianParams(np.array([[0.0], [3.0]]), np.array([[1e-4], [1.0]])),
        GaussianParams(np.array([[0.4], [0.6]]), np.ones((2, 1))),
    )
    start = MixtureParams(
        np.array([0.5, 0.5]), (PoissonParams(np.array([[5.0], [5.0]])), *gaussian)
    )
    with pytest.warns(DegenerateComponentWarning, match="column 1: component 0"):
        result = EM(n_jobs=1).run(Mixture(family, 2), x, start=start)
    assert [text[:9] for text in result.degenerate] == ["column 1:"]
    constant = Independent([Bernoulli(), Gaussian("diag")])
    result = EM(n_jobs=1).run(Mixture(constant, 1), x[:, [2, 0]], rng=0)
    assert any(note.startswith("column 1 is constant") for note in result.notes)


@pytest.mark.parametrize(
    ("parts", "error", "sentence"),
    [
        (Poisson(), TypeError, r"takes a list of families, .* got Poisson\(\)"),
        ([], TypeError, "takes a list of families"),
        ("no", TypeError, "families alone, or pairs"),
        ([Poisson(), (Poisson(), 1)], TypeError, r"alone, got Poisson\(\) among 2"),
        ([(Poisson(), 0, 1)], TypeError, "families alone, or pairs"),
        ([(0, Poisson())], TypeError, "families alone, or pairs"),
        ([(Poisson(), 0.0)], ValueError, r"columns of Poisson\(\) must be a column number"),
        ([(Poisson(), [])], ValueError, "must be a column number or several"),
        ([(Poisson(), "age")], ValueError, "must be a column number or several, got 'age'"),
        ([(Poisson(), [0, 1]), (Gaussian(), 1)], ValueError, "columns 0 to 2 once .* 0, 1, 1"),
        ([(Poisson(), 0), (Gaussian(), 2)], ValueError, "columns 0 to 1 once .* 0, 2"),
        ([(Poisson(), -1)], ValueError, "columns 0 to 0 once .* -1"),
    ],
)
def test_parts_are_checked(parts, error, sentence):
    with pytest.raises(error, match=sentence):
        Independent(parts)


def test_repr_and_names_of_parameters(rng):
    assert repr(Independent([Poisson(), Bernoulli()])) == "Independent([Poisson(), Bernoulli()])"
    assert repr(CELLS) == (
        "Independent([(Exponential(), [0, 2]), (Categorical((3, 2)), [3, 1]), (Bernoulli(), 4)])"
    )
    params, _ = start_of(CELLS, cells(rng), rng)
    assert [name for name, _ in leaves(params)] == ["0.scales", "1.emissionprob", "2.probs"]
