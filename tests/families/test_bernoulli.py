"""The Bernoulli family through the checker, at probabilities of 0 and 1, and on bad cells."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from latentem import EM
from latentem.families import Bernoulli, BernoulliParams
from latentem.models import Mixture, MixtureParams
from latentem.testing import check_family


def answers(rng, n=150):
    chances = np.repeat([[0.9, 0.7, 0.2], [0.2, 0.4, 0.8]], [n, n], axis=0)
    return (rng.random(chances.shape) < chances).astype(float)


def start_at(*probs):
    return MixtureParams(np.array([0.5, 0.5]), BernoulliParams(np.array(probs)))


@pytest.mark.nojit
def test_check_family(rng):
    grid = np.array(list(product([0.0, 1.0], repeat=3))), 1.0
    report = check_family(Bernoulli(), answers(rng), grid=grid)
    assert {name for name, _ in report.skipped} == {"fixed values"}
    assert dict(report.passed)["flat vector"] == "7 free coordinates"


def test_check_family_with_fixed_probabilities(rng):
    report = check_family(Bernoulli(fixed=("probs",)), answers(rng), n_components=3)
    assert dict(report.passed)["fixed values"] == "family.probs"


@pytest.mark.nojit
def test_probabilities_of_0_and_1_exclude_the_other_answer():
    at = BernoulliParams(np.array([[0.0, 0.5], [1.0, 0.5], [0.0, 1.0]]))
    x = np.array([[0.0, 1.0], [1.0, 0.0], [np.nan, 1.0]])
    found = Bernoulli().log_density(Bernoulli().prepare(at), Bernoulli().encode(x))
    half = np.log(0.5)
    np.testing.assert_allclose(found, [[half, -np.inf, half], [-np.inf, half, half],
                                       [0.0, -np.inf, 0.0]])  # fmt: skip


def test_a_column_all_of_one_answer_is_fitted_to_exactly_0_or_1(rng):
    x = answers(rng)
    x[:, 0], x[x[:, 2] == 1, 1] = 1.0, 0.0
    start = start_at([0.9, 0.6, 0.1], [0.8, 0.3, 0.9])
    result = EM(n_jobs=1, tol=1e-9).run(Mixture(Bernoulli(), 2), x, start=start)
    assert result.params.family.probs[:, 0].tolist() == [1.0, 1.0]
    assert np.isfinite(result.loglik)
    assert result.converged


def test_a_probability_of_0_stays_0(rng):
    x = answers(rng)
    x[0, 0] = 1.0
    start = start_at([0.0, 0.6, 0.5], [0.8, 0.3, 1.0])
    x[(x[:, 0] == 1) & (x[:, 2] == 0), 2] = 1.0  # so that no row is impossible
    result = EM(n_jobs=1).run(Mixture(Bernoulli(), 2), x, start=start)
    assert result.params.family.probs[0, 0] == 0.0
    assert result.params.family.probs[1, 2] == 1.0


@pytest.mark.parametrize(
    ("value", "words"), [(2.0, "2"), (0.5, "0.5"), (-1.0, "-1"), (np.inf, "inf")]
)
def test_check_names_the_cell(value, words):
    X = np.array([[1.0, np.nan], [0.0, value]])
    with pytest.raises(ValueError, match=rf"Bernoulli data are 0 or 1, but X\[1, 1\] is {words}$"):
        Bernoulli().check(X)
    Bernoulli().check(X[:1])


def test_repr():
    assert repr(Bernoulli()) == "Bernoulli()"
