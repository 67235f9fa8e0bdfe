"""What the hidden Markov estimators take, and the sentences with which they refuse the rest."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from latentem import GMMHMM, HMM, CategoricalHMM, GaussianHMM, PoissonHMM, families, left_right
from latentem.datasets import load_earthquakes
from tests.estimators.samples import WholeRows

COUNTS = load_earthquakes()[["count"]]
CHAIN = {"startprob": [0.5, 0.5], "transmat": [[0.9, 0.1], [0.2, 0.8]]}


def poisson(**settings):
    return PoissonHMM(2, random_state=0, **settings)


def table(rng):
    return np.vstack([rng.normal(0, 1, (40, 2)), rng.normal(5, 1, (40, 2))])


# ------------------------------------------------------------------ what is taken


def test_lengths_come_second_as_in_hmmlearn():
    hmm = poisson().fit(COUNTS, [50, 57])
    assert hmm.loglik_ == poisson().fit(COUNTS, lengths=[50, 57]).loglik_
    assert hmm.loglik_ != poisson().fit(COUNTS).loglik_
    assert hmm.score(COUNTS, [50, 57]) == pytest.approx(hmm.loglik_, rel=1e-12)
    assert hmm.score(COUNTS) != pytest.approx(hmm.loglik_, rel=1e-6)


def test_scikit_learn_calls_it_without_y():
    scores = cross_val_score(poisson(), COUNTS, cv=3)
    assert scores.shape == (3,)
    pipeline = make_pipeline(StandardScaler(), GaussianHMM(2, random_state=0)).fit(COUNTS)
    assert np.isfinite(pipeline.score(COUNTS))
    assert pipeline.predict(COUNTS).shape == (107,)


def test_sequences_in_other_containers():
    wanted = poisson().fit(COUNTS, [50, 57]).loglik_
    parts = [COUNTS[:50], COUNTS[50:]]
    ragged = np.empty(2, dtype=object)
    ragged[:] = parts
    for X in (parts, tuple(parts), ragged, [part.tolist() for part in parts]):
        assert poisson().fit(X).loglik_ == wanted
    assert poisson().fit(COUNTS.tolist(), [50, 57]).loglik_ == wanted
    assert poisson().fit(COUNTS).loglik_ == poisson().fit(COUNTS, 107).loglik_


def test_lengths_that_a_table_made_floats():
    wanted = poisson().fit(COUNTS, [50, 57]).loglik_
    assert poisson().fit(COUNTS, np.array([50.0, 57.0])).loglik_ == wanted


def test_plain_numbers_in_nested_lists_are_one_table():
    table = [[0.0, 1.0], [3.0, 2.0], [4.0, 1.0], [0.0, 0.0]]
    assert poisson().fit(table).lambdas_.shape == (2, 2)


def test_fixed_entries_as_zeros_and_ones():
    moves = [[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]
    entries = np.array([[0, 0, 1], [0, 0, 0], [1, 1, 1]])
    one, other = (
        PoissonHMM(3, random_state=0, transmat_init=moves, fixed={"transmat": kept}).fit(COUNTS)
        for kept in (entries.tolist(), entries.astype(bool))
    )
    np.testing.assert_array_equal(one.transmat_, other.transmat_)
    np.testing.assert_array_equal(one.transmat_[entries == 1], np.array(moves)[entries == 1])


def test_labels_in_other_containers():
    labels = np.full(107, -1)
    labels[[3, 60]] = 0, 1
    wanted = poisson().fit(COUNTS, [50, 57], labels=labels).loglik_
    parts = [COUNTS[:50], COUNTS[50:]]
    for given in (labels.tolist(), labels.astype(float), [labels[:50].tolist(), labels[50:]]):
        assert poisson().fit(parts, labels=given).loglik_ == wanted


def test_a_sequence_of_weight_zero_may_hold_anything(rng):
    X = table(rng)
    wanted = GaussianHMM(2, random_state=0).fit(X)
    for rubbish in (np.full((4, 2), np.inf), np.full((4, 2), np.nan)):
        hmm = GaussianHMM(2, random_state=0).fit([X, rubbish], sample_weight=[1, 0])
        assert hmm.loglik_ == wanted.loglik_
        score = hmm.score([X, rubbish], sample_weight=[1, 0])
        assert score == pytest.approx(wanted.score(X), rel=1e-14)
        assert hmm.bic([X, rubbish], sample_weight=[1, 0]) == pytest.approx(wanted.bic(X))
    counts = poisson().fit([COUNTS, -COUNTS[:5]], sample_weight=[1, 0])
    assert counts.loglik_ == poisson().fit(COUNTS).loglik_


def test_false_in_fixed_is_not_fixed():
    wanted = poisson().fit(COUNTS).loglik_
    assert poisson(fixed={"startprob": False, "lambdas": False}).fit(COUNTS).loglik_ == wanted


def test_given_means_name_the_states(rng):
    """What is not given is guessed for the states that the means name, not for clusters."""
    X = np.where(rng.random((300, 1)) < 0.5, rng.normal(0, 1, (300, 1)), rng.normal(9, 3, (300, 1)))
    for means in ([[0.0], [9.0]], [[9.0], [0.0]]):
        hmm = GaussianHMM(2, means_init=means, max_iter=1, tol=0, random_state=0).fit(X)
        assert hmm.means_ == pytest.approx(np.array(means), abs=0.7)
        held = GaussianHMM(2, means_init=means, fixed=("means",), random_state=0).fit(X)
        assert held.means_.tolist() == means
        small = means.index([0.0])
        assert held.covariances_[small] == pytest.approx(1.0, rel=0.4)
        assert held.covariances_[1 - small] == pytest.approx(9.0, rel=0.4)


def test_given_rates_name_the_states():
    """Stays in the two states are of different length: transitions must be those of their own."""
    truth = PoissonHMM.from_parameters(
        startprob=[0.5, 0.5], transmat=[[0.98, 0.02], [0.5, 0.5]], lambdas=[[2.0], [20.0]]
    )
    X, _ = truth.sample(400, random_state=0)
    for lambdas in ([[2.0], [20.0]], [[20.0], [2.0]]):
        start = poisson(lambdas_init=lambdas, max_iter=0, tol=0)
        start.set_params(max_iter=1, fixed=("lambdas",)).fit(X)
        rare = lambdas.index([2.0])
        assert start.transmat_[rare, rare] > 0.95
        assert 0.3 < start.transmat_[1 - rare, 1 - rare] < 0.7


def test_given_transitions_name_the_states():
    moves = np.array([[0.98, 0.02], [0.5, 0.5]])
    truth = PoissonHMM.from_parameters(
        startprob=[0.5, 0.5], transmat=moves, lambdas=[[20.0], [2.0]]
    )
    X, _ = truth.sample(400, random_state=0)
    hmm = poisson(transmat_init=moves, fixed=("transmat",)).fit(X)
    assert hmm.lambdas_[:, 0] == pytest.approx([20.0, 2.0], rel=0.2)


def test_groups_of_a_mixture_of_gaussians_can_be_fixed(rng):
    X = table(rng)
    start = {
        "weights_init": [[0.5, 0.5], [0.25, 0.75]],
        "means_init": [[[0, 0], [1, 1]], [[4, 4], [5, 5]]],
        "covariances_init": np.ones((2, 2, 2)),
    }
    for group in ("weights", "means", "covariances"):
        hmm = GMMHMM(2, 2, fixed=(group,), random_state=0, **start).fit(X)
        for name in ("weights", "means", "covariances"):
            same = np.array_equal(getattr(hmm, f"{name}_"), start[f"{name}_init"])
            assert same == (name == group), (group, name)


def test_a_ready_stationary_chain():
    moves = [[0.9, 0.1], [0.2, 0.8]]
    for given in (None, [2 / 3, 1 / 3]):
        hmm = PoissonHMM.from_parameters(
            startprob=given, transmat=moves, lambdas=[[1.0], [2.0]], stationary=True
        )
        np.testing.assert_allclose(hmm.startprob_, [2 / 3, 1 / 3], rtol=1e-12)
    with pytest.raises(ValueError, match="stationary=True makes startprob follow from transmat"):
        PoissonHMM.from_parameters(
            startprob=[0.5, 0.5], transmat=moves, lambdas=[[1.0], [2.0]], stationary=True
        )


def test_two_columns_of_categories_with_given_probabilities():
    X = np.column_stack([COUNTS[:, 0] > 20, np.clip(COUNTS[:, 0] // 10, 0, 3)]).astype(float)
    given = [[0.8, 0.2, 0.1, 0.5, 0.3, 0.1], [0.2, 0.8, 0.1, 0.1, 0.5, 0.3]]
    hmm = CategoricalHMM(2, emissionprob_init=given, random_state=0).fit(X)
    assert hmm.n_categories_ == (2, 4)
    assert hmm.emissionprob_[0, 0] > hmm.emissionprob_[1, 0]
    wrong = [[0.8, 0.3, 0.1, 0.4, 0.3, 0.1], given[1]]
    sentence = (
        r"each row of emissionprob_init \(column 0 of X\) must sum to 1, but row 0 sums to 1.1"
    )
    with pytest.raises(ValueError, match=sentence):
        CategoricalHMM(2, emissionprob_init=wrong).fit(X)


# ------------------------------------------------------------------ what is refused

PARTS = [COUNTS[:50], COUNTS[50:]]

WRONG_DATA = {
    "width": ([COUNTS, np.ones((3, 2))], {}, "sequence 1 of X: it has 2 columns, but sequence 0"),
    "no sequence": ([], {}, "X is an empty list: there is no sequence"),
    "empty sequence": ([COUNTS, COUNTS[:0]], {}, "sequence 1 of X: it has no rows"),
    "one-dimensional": (COUNTS[:, 0], {}, r"X\[:, None\]"),
    "one-dimensional parts": (
        [COUNTS[:50, 0], COUNTS[50:, 0]], {}, r"each sequence must be \(n_samples, n_features\)"
    ),
    "one-dimensional parts of one length": (
        [COUNTS[:50, 0], COUNTS[50:100, 0]], {}, r"list of 1-D arrays: .* pass x\[:, None\]; if"
    ),
    "text": ([["a"], ["b"]], {}, "X must hold numbers, but X\\[0, 0\\] is the text 'a'"),
    "text in a sequence": ([COUNTS, [["a"]]], {}, "sequence 1 of X: X must hold numbers"),
    "lengths of a list": (PARTS, {"lengths": [50, 57]}, "a list of sequences has its own lengths"),
    "lengths too short": (COUNTS, {"lengths": [50]}, "lengths sum to 50, but there are 107 rows"),
    "lengths zero": (COUNTS, {"lengths": [107, 0]}, r"lengths\[1\] is 0: leave an empty sequence"),
    "lengths negative": (COUNTS, {"lengths": [120, -13]}, r"lengths\[1\] is -13: count the rows"),
    "lengths fractions": (COUNTS, {"lengths": [50.5, 56.5]}, r"lengths\[0\] is 50.5: count the"),
    "lengths text": (COUNTS, {"lengths": ["a"]}, "lengths must be a list of integers >= 1"),
    "weights of rows": (
        COUNTS, {"sample_weight": np.ones(107)},
        r"sample_weight must have one weight per sequence, shape \(1,\), got \(107,\)",
    ),
    "weight negative": (PARTS, {"sample_weight": [1, -2]}, r"sample_weight\[1\] is -2"),
    "weight NaN": (PARTS, {"sample_weight": [1, np.nan]}, "sample_weight contains NaN or infinity"),
    "weight text": (PARTS, {"sample_weight": ["a", "b"]}, "sample_weight must hold numbers"),
    "weights zero": (PARTS, {"sample_weight": [0, 0]}, "sample_weight is zero for every sequence"),
    "labels short": (COUNTS, {"labels": [0, 1]}, "labels must have one value per row, shape"),
    "labels of one sequence": (
        PARTS, {"labels": [[0] * 50, [0] * 50]}, "sequence 1 has 57 rows, but 50 labels"
    ),
    "labels of too few": (PARTS, {"labels": [[0] * 107]}, "labels has 1 lists for 2 sequences"),
    "label too large": (COUNTS, {"labels": np.full(107, 2)}, "must be integers: a state, 0..1"),
    "label too small": (COUNTS, {"labels": np.full(107, -2)}, "labels must be integers: a state"),
    "label NaN": (
        COUNTS, {"labels": [0.0] * 106 + [np.nan]},
        r"labels\[106\] is NaN: write -1 where a state is not known",
    ),
    "label fraction": (COUNTS, {"labels": np.full(107, 0.5)}, "labels must be integers: a state"),
    "negative counts": (-COUNTS, {}, "counts, whole numbers >= 0, but X\\[0, 0\\] is -13"),
    "fractions": (COUNTS + 0.5, {}, "counts, whole numbers >= 0, but X\\[0, 0\\] is 13.5"),
    "missing": (COUNTS * np.nan, {}, "X has no observed cell: every row is missing"),
    "infinity": (COUNTS * np.inf, {}, "Input X contains infinity in row 0, column 0"),
    "too few rows": (COUNTS[:1], {}, "X has 1 rows that were seen, fewer than n_components=2"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_DATA)
def test_wrong_data(name):
    X, more, sentence = WRONG_DATA[name]
    with pytest.raises(ValueError, match=sentence):
        poisson().fit(X, **more)


WRONG_ARGUMENTS = {
    "startprob": ({"startprob_init": [0.5, 0.6]}, "startprob_init must sum to 1, but sums to 1.1"),
    "transmat": (
        {"transmat_init": [[0.5, 0.5], [0.3, 0.6]]},
        "each row of transmat_init must sum to 1, but row 1 sums to 0.9",
    ),
    "transmat NaN": ({"transmat_init": [[np.nan, 1], [0, 1]]}, "transmat_init contains NaN"),
    "transmat ragged": ({"transmat_init": [[1, 0], [1]]}, "transmat_init must hold numbers"),
    "mask shape": ({"transmat_mask": [[1]]}, r"must have shape \(2, 2\), got \(1, 1\)"),
    "mask ragged": ({"transmat_mask": [[1, 1], [1]]}, "transmat_mask must have shape"),
    "mask numbers": ({"transmat_mask": [[0.5, 0.5], [0, 1]]}, "probabilities go into"),
    "mask row": ({"transmat_mask": [[0, 0], [1, 1]]}, "row 0 of transmat_mask allows no"),
    "mask broken": (
        {"transmat_init": [[0.5, 0.5], [0.5, 0.5]], "transmat_mask": left_right(2)},
        r"transmat_init\[1, 0\] is 0.5, but transmat_mask allows no such transition",
    ),
    "rates shape": ({"lambdas_init": [1, 2]}, r"lambdas_init must have shape \(2, 1\), got \(2,\)"),
    "rates negative": ({"lambdas_init": [[1], [-2]]}, "lambdas_init must be >= 0, got -2"),
    "rates text": ({"lambdas_init": "a"}, "lambdas_init must hold numbers"),
    "fixed name": ({"fixed": ("means",)}, "fixed must be a tuple of names from"),
    "fixed text": ({"fixed": "transmat"}, "fixed must be a tuple of names from"),
    "fixed list in list": ({"fixed": [["transmat"]]}, "fixed must be a tuple of names from"),
    "fixed without a start": (
        {"fixed": ("transmat", "lambdas")},
        "none are given for transmat, lambdas: pass transmat_init, lambdas_init",
    ),
    "stationary": ({"stationary": True, "startprob_init": [0.5, 0.5]}, "leave startprob_init out"),
    "parts that never meet": (
        {"stationary": True, "transmat_mask": np.eye(2)}, "more than one stationary distribution"
    ),
    "parts that never meet, given": (
        {"stationary": True, "transmat_init": np.eye(2), "lambdas_init": [[1], [2]]},
        "more than one stationary distribution",
    ),
    "no way back": (
        {"stationary": True, "transmat_mask": left_right(2)},
        "the chain leaves state 0 for good, so a stationary chain is never there",
    ),
    "n_components": ({"n_components": 0}, "n_components must be at least 1, got 0"),
    "memory": ({"memory": "none"}, "memory must be 'full' or 'checkpoint'"),
    "letters of hmmlearn": ({"init_params": "stmc"}, "startprob_init, transmat_init and so on"),
    "init_params": ({"init_params": "best"}, "init_params must be one of"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_ARGUMENTS)
def test_wrong_arguments(name):
    arguments, sentence = WRONG_ARGUMENTS[name]
    with pytest.raises(ValueError, match=sentence):
        poisson().set_params(**arguments).fit(COUNTS)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"means_init": [[0.0], [5.0]]}, r"means_init must have shape \(2, 2\), got \(2, 1\)"),
        ({"means_init": [[0, np.nan], [5, 5]]}, "means_init contains NaN or infinity"),
        ({"covariances_init": [[1, 1], [1, -1]]}, "covariances_init must be positive"),
        (
            {"covariance_type": "full", "covariances_init": [[[1, 2], [2, 1]]] * 2},
            "covariances_init must be positive definite",
        ),
        ({"covariance_type": "round"}, "covariance_type must be one of"),
    ],
)
def test_wrong_gaussian_arguments(arguments, sentence, rng):
    with pytest.raises(ValueError, match=sentence):
        GaussianHMM(2, **arguments).fit(table(rng))


def test_wrong_mixture_arguments(rng):
    X = table(rng)
    start = {
        "weights_init": [[0.5, 0.5]] * 2,
        "means_init": np.zeros((2, 2, 2)),
        "covariances_init": np.ones((2, 2, 2)),
    }
    for wrong, sentence in (
        ({"weights_init": [[0.5, 0.6]] * 2}, "each row of weights_init must sum to 1"),
        ({"means_init": np.zeros((2, 2))}, r"means_init must have shape \(2, 2, 2\), got \(2, 2\)"),
        ({"covariances_init": -np.ones((2, 2, 2))}, "covariances_init must be positive"),
        ({"covariances_init": None}, "belong together: give all three, or none"),
        ({"covariance_type": "tied"}, "cannot have covariance_type='tied'"),
        ({"n_mix": 0}, "n_mix must be an integer of at least 1"),
    ):
        with pytest.raises(ValueError, match=sentence):
            GMMHMM(**{"n_components": 2, "n_mix": 2, **start, **wrong}).fit(X)


def test_a_missing_cell_where_rows_must_be_whole(rng):
    X = table(rng)
    X[3, 1] = np.nan
    for family in (WholeRows(), families.MixtureFamily(WholeRows(), 2)):
        with pytest.raises(ValueError, match=r"x\[3, 1\] is nan.*Make the whole row NaN"):
            HMM(family, 2).fit(X)
    hmm = HMM(WholeRows(), 2, random_state=0).fit(table(rng))
    state = hmm.start_state()
    with pytest.raises(ValueError, match="needs whole rows: make every cell NaN"):
        hmm.update(state, [1.0, np.nan])


def test_wrong_categories():
    codes = (COUNTS > 20) * 1
    hmm = CategoricalHMM(2, random_state=0).fit(codes)
    for X, sentence in (
        ([[2]], r"X\[0, 0\] is 2, but column 0 has the 2 categories 0 to 1"),
        ([[0], [0.5]], r"whole numbers 0, 1, 2, ..., but X\[1, 0\] is 0.5"),
        ([[-1]], r"whole numbers 0, 1, 2, ..., but X\[0, 0\] is -1"),
    ):
        with pytest.raises(ValueError, match=sentence):
            hmm.predict(X)
    for given, sentence in (
        ([[0.5, 0.6], [0.5, 0.5]], "each row of emissionprob_init must sum to 1, but row 0 sums"),
        ([[1.0], [1.0]], r"X\[5, 0\] is 1, but column 0 has the 1 categories"),
        ([0.5, 0.5], r"emissionprob_init must have shape \(2, 2\), got \(2,\)"),
    ):
        with pytest.raises(ValueError, match=sentence):
            CategoricalHMM(2, emissionprob_init=given).fit(codes)


@pytest.mark.parametrize("family", ["poisson", families.Poisson])
def test_a_family_must_be_one(family):
    with pytest.raises(TypeError, match="family must be a Family"):
        HMM(family, 2).fit(COUNTS)


def test_a_ready_model_needs_start_probabilities():
    with pytest.raises(ValueError, match="startprob is None: give start probabilities; only with"):
        PoissonHMM.from_parameters(
            startprob=None, transmat=CHAIN["transmat"], lambdas=[[1.0], [2.0]]
        )


def test_parameters_of_a_family_must_fit():
    make = HMM.from_parameters
    rates = families.PoissonParams
    for params, sentence in (
        (rates(np.ones((1, 1))), "family_params do not fit Poisson"),
        (rates(np.ones(2)), "family_params do not fit Poisson"),
        (rates(np.array([[1.0], [-1.0]])), "family_params do not fit Poisson"),
        ("a", "family_params do not fit Poisson"),
    ):
        with pytest.raises(ValueError, match=sentence):
            make(families.Poisson(), **CHAIN, family_params=params)
    hmm = make(families.Poisson(), **CHAIN, family_params=rates([[1.0, 2.0], [3.0, 4.0]]))
    with pytest.raises(ValueError, match="X has 1 features, but HMM has parameters for 2"):
        hmm.score(COUNTS)
    hmm.family_params_ = rates(np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"family_params_ do not fit Poisson.* there are 2"):
        hmm.score([[1, 2]])
    with pytest.raises(ValueError, match=r"family_init .*PoissonParams with lambdas \(2, 1\)"):
        HMM(families.Poisson(), 2, family_init=rates(np.ones((3, 1)))).fit(COUNTS)


def test_wrong_questions():
    hmm = poisson()
    for method in ("predict", "score", "forecast", "filter", "predict_proba", "pseudo_residuals"):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(hmm, method)(COUNTS)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        hmm.start_state()
    hmm.transmat_ = np.eye(2)
    with pytest.raises(NotFittedError, match=r"not all of its parameters.*startprob_"):
        hmm.score(COUNTS)
    hmm = poisson().fit(COUNTS)
    state = hmm.start_state()
    for call, sentence in (
        (lambda: hmm.forecast(COUNTS, 0), "h must be an integer of at least 1, got 0"),
        (lambda: hmm.forecast(COUNTS, 2.0), "h must be an integer of at least 1, got 2.0"),
        (lambda: hmm.forecast(PARTS, 2), "one sequence: pass one at a time"),
        (lambda: hmm.forecast(COUNTS, 2).interval(1.0), "level must be between 0 and 1, got 1.0"),
        (lambda: hmm.forecast(COUNTS, 2).interval("a"), "level must be between 0 and 1, got 'a'"),
        (lambda: hmm.decode(COUNTS, algorithm="best"), "algorithm must be 'viterbi' or 'map'"),
        (lambda: hmm.relabel([0, 0]), r"order must hold each of 0..1 once, got \[0, 0\]"),
        (lambda: hmm.relabel([1.0, 0.0]), "order must hold each of 0..1 once"),
        (lambda: hmm.relabel(None), "order must hold each of 0..1 once, got None"),
        (lambda: hmm.sample(0), "n_samples must be at least 1, got 0"),
        (lambda: hmm.sample(2.5), "n_samples must be an integer, got 2.5"),
        (lambda: hmm.score(np.ones((3, 2))), "2 features"),
        (lambda: hmm.score(COUNTS, [50, 57], [1]), "one weight per sequence"),
        (lambda: hmm.score(COUNTS, [50, 58]), "lengths sum to 108"),
        (lambda: hmm.update(state, [-1]), "counts, whole numbers"),
        (lambda: hmm.update(state, [1, 2]), "x has 2 cells, but the model is for 1 column$"),
        (lambda: hmm.update(state, ["a"]), "x must be one row of numbers"),
        (lambda: hmm.update(state, [np.inf]), "x contains infinity"),
    ):
        with pytest.raises(ValueError, match=sentence):
            call()
    with pytest.raises(TypeError, match=r"state must come from start_state\(\) or update\(\)"):
        hmm.update(None, [1])


def test_assigned_transitions_must_obey_the_mask():
    hmm = poisson(transmat_mask=left_right(2)).fit(COUNTS)
    hmm.transmat_ = np.full((2, 2), 0.5)
    with pytest.raises(ValueError, match=r"transmat_\[1, 0\] is 0.5, but transmat_mask allows no"):
        hmm.score(COUNTS)
    with pytest.raises(ValueError, match=r"transmat\[1, 0\] is 0.5, but transmat_mask allows no"):
        PoissonHMM.from_parameters(
            startprob=[1, 0],
            transmat=np.full((2, 2), 0.5),
            lambdas=[[1], [2]],
            transmat_mask=left_right(2),
        )


def test_the_wrong_row_is_named_whatever_is_missing():
    counts = COUNTS.copy()
    counts[:7] = np.nan
    counts[30] = -1
    with pytest.raises(ValueError, match=r"X\[30, 0\] is -1"):
        poisson().fit(counts)
    with pytest.raises(ValueError, match=r"X\[35, 0\] is -1"):
        poisson().fit([COUNTS[:5], counts], sample_weight=[0, 1])
    for wrong in (-1, 0.5):
        codes = np.vstack([np.full((4, 1), np.nan), [[1], [0], [wrong], [0]]])
        with pytest.raises(ValueError, match=r"X\[6, 0\] is"):
            CategoricalHMM(2).fit(codes)
