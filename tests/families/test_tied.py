"""Components that share their parameters."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import EM, HMM, NotIdentifiedWarning, Sequences, families, load, standard_errors
from latentem.families import GammaPrior, GaussianPrior, Tied
from latentem.models import HiddenMarkov, Mixture, MixtureParams
from latentem.testing import check_family, check_model

RNG = np.random.default_rng(0)
COUNTS = np.vstack([RNG.poisson(3, (50, 2)), RNG.poisson([9, 2], (50, 2))]).astype(float)
CODES = np.column_stack([RNG.integers(0, 3, 100), RNG.integers(0, 2, 100)]).astype(float)
POINTS = np.vstack([RNG.normal(0, 1, (50, 2)), RNG.normal(4, 1, (50, 2))])
ONE = COUNTS[:, :1]
GROUPS = [0, 1, 1]
RATES = families.PoissonParams(np.array([[2.0], [2.0], [9.0]]))


@pytest.mark.parametrize(
    ("family", "data"),
    [
        (families.Poisson(), COUNTS),
        (families.Poisson({"lambdas": [True, False]}, GammaPrior([[2.0], [3.0]], 1.0)), COUNTS),
        (families.Categorical((3, 2)), CODES),
        (families.Gaussian("full"), POINTS),
        (families.Gaussian("diag", prior=GaussianPrior(np.zeros(2), 1.0, 5.0, np.ones(2))), POINTS),
        (families.MixtureFamily(families.Gaussian("diag"), 2), POINTS),
    ],
    ids=repr,
)
def test_check_family(family, data):
    check_family(Tied(family, GROUPS), data, n_components=3, n_simulated=0)


def test_a_part_of_independent_columns():
    """Columns that tell components apart beside columns that do not."""
    family = families.Independent([(Tied(families.Poisson(), GROUPS), 0), (families.Poisson(), 1)])
    check_family(family, COUNTS, n_components=3, n_simulated=0)
    rates = np.repeat([[3.0, 2.0], [9.0, 2.0], [9.0, 20.0]], 60, axis=0)
    start = np.array([[3.0, 9.0, 9.0], [2.0, 2.0, 20.0]])[:, :, None]
    params = tuple(families.PoissonParams(column) for column in start)
    data = np.random.default_rng(0).poisson(rates).astype(float)
    start = MixtureParams(np.full(3, 1 / 3), params)
    result = EM(tol=1e-6).run(Mixture(family, 3), data, start=start)
    shared, own = (part.lambdas for part in result.params.family)
    assert shared[1] == shared[2]
    assert own[1] != own[2]


def chain():
    data = Sequences(
        RNG.poisson(np.repeat([2, 9, 2, 9], 25))[:, None].astype(float), np.array([60, 40])
    )
    return data, HiddenMarkov(Tied(families.Poisson(), [0, 0, 1]), 3)


def test_states_of_a_chain():
    data, model = chain()
    start = model.guess(list(model.blocks(data)), np.random.default_rng(1))
    check_model(model, data, start=start, n_simulated=0)
    for accelerate in ("squarem", "anderson", None):
        found = EM(tol=1e-6, accelerate=accelerate).run(model, data, start=start).params
        assert found.family.lambdas[0] == found.family.lambdas[1]


def test_states_that_look_alike_part_by_their_transitions():
    """Spells of exactly three rows: two states in a row make a spell that is not geometric."""
    lengths = np.tile([3, 6], 30)
    x = np.random.default_rng(0).poisson(np.repeat(np.tile([2.0, 30.0], 30), lengths))[:, None]
    rates = families.PoissonParams(np.array([[2.0], [2.0], [2.0], [30.0]]))
    spells = HMM(Tied(families.Poisson(), [0, 0, 0, 1]), 4, family_init=rates, random_state=0,
                 n_init=4, max_iter=5000).fit(x)  # fmt: skip
    plain = HMM(families.Poisson(), 2, random_state=0).fit(x)
    assert spells.loglik_ > plain.loglik_ + 40
    assert spells.bic(x) < plain.bic(x)
    into, stay = spells.transmat_[3, :3], spells.transmat_.diagonal()[:3]
    assert into.max() > 0.9 * into.sum()  # a spell begins in one of the three
    assert np.all(stay < 0.1)


def test_all_in_one_group_is_one_component():
    with pytest.warns(NotIdentifiedWarning, match="components 0 and 1 coincide"):
        tied = EM().run(Mixture(Tied(families.Poisson(), [0, 0]), 2), COUNTS, rng=0)
    one = EM().run(Mixture(families.Poisson(), 1), COUNTS, rng=0)
    np.testing.assert_allclose(tied.params.family.lambdas[1], one.params.family.lambdas[0])
    assert tied.loglik == pytest.approx(one.loglik, rel=1e-12)


def test_estimators_files_order_and_errors(tmp_path):
    data, _ = chain()
    hmm = HMM(Tied(families.Poisson(), [0, 0, 1]), 3, family_init=RATES, tol=1e-8,
              stationary=True, random_state=0, max_iter=3000)  # fmt: skip
    hmm.fit(data.x, lengths=data.lengths)
    assert hmm.n_parameters() == 6 + 2
    hmm.save(tmp_path / "tied.npz")
    again = load(tmp_path / "tied.npz")
    assert repr(again.family) == repr(hmm.family)
    assert again.score(data.x, lengths=data.lengths) == hmm.score(data.x, lengths=data.lengths)
    other = hmm.relabel([2, 0, 1])
    assert other.family.groups.tolist() == [1, 0, 0]
    expected = hmm.score(data.x, lengths=data.lengths)
    assert other.score(data.x, lengths=data.lengths) == pytest.approx(expected, rel=1e-12)
    one = HMM(Tied(families.Poisson(), [0, 1]), 2, tol=1e-8, random_state=0).fit(data.x)
    same = HMM(families.Poisson(), 2, tol=1e-8, random_state=0).fit(data.x)
    errors = [standard_errors(fit, data.x)["lambdas"] for fit in (one, same)]
    np.testing.assert_allclose(*errors, rtol=1e-6)


def test_sentences_name_the_components():
    """A group on one row far away."""
    data = np.vstack([POINTS, [[60.0, 60.0]]])
    family = Tied(families.Gaussian("diag"), [1, 0, 1])
    weights = np.zeros((3, 101))
    weights[1, :100], weights[0, 100] = 1.0, 1.0
    params = family.initialize(data, weights, np.random.default_rng(0))
    statistics = family.statistics(family.prepare(params), data, weights)
    (sentence,) = family.diagnose(params, statistics).degenerate
    assert sentence.startswith("components 0, 2 (weight 1) has a covariance")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Tied(families.Poisson(), [0, 2]), "groups must have a number 0, 1, ... for each"),
        (lambda: Tied(families.Poisson(), [0.0, 1.0]), "groups must have a number"),
        (lambda: Tied(families.Poisson(), []), "groups must have a number"),
        (lambda: Tied(families.Gaussian("tied"), [0, 1]), "shared by all already"),
        (lambda: Mixture(Tied(families.Poisson(), [0, 1]), 3), "is for 2 components, and there a"),
        (
            lambda: Mixture(Tied(families.Poisson({"lambdas": [1, 0, 0]}), [0, 1, 1]), 3),
            "has 3 entries, one for each component, and there are 2",
        ),
        (
            lambda: HMM(Tied(families.Poisson(), [0, 1, 1]), 3, family_init=RATES).fit(ONE),
            "family_init has values outside its set",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
    with pytest.raises(TypeError, match="family must be a Family"):
        Tied("Poisson", [0, 1])
