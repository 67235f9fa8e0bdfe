"""Hidden Markov models against enumeration of all paths, and as models of the engine."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from latentem import EM, Sequences, SerialBackend, ThreadBackend, left_right
from latentem.families import (
    Bernoulli,
    Categorical,
    CategoricalParams,
    Exponential,
    GammaPrior,
    Gaussian,
    Independent,
    MixtureFamily,
    Poisson,
    PoissonParams,
)
from latentem.models import HiddenMarkov, HiddenMarkovParams
from latentem.models.decoding import (
    decode,
    filter_states,
    path_loglik,
    smooth_states,
)
from latentem.testing import check_model
from tests.estimators.samples import WholeRows

SERIAL = SerialBackend()


def random_chain(rng, k, c, zeros):
    """A chain with structural zeros, and categories."""
    start, moves = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(k), k)
    emissions = rng.dirichlet(np.ones(c), k)
    if zeros and k > 1:
        moves[0, 1:] = 0.0  # state 0 absorbs
        moves[0, 0] = 1.0
        start[1] = 0.0
        start /= start.sum()
    return HiddenMarkovParams(start, moves, CategoricalParams(emissions))


def enumerate_paths(params, rows):
    """Joint probability of every path with the rows, as a dict."""
    start, moves, (emissions,) = params
    joint = {}
    for path in product(range(len(start)), repeat=len(rows)):
        p = start[path[0]]
        for t, state in enumerate(path):
            p *= 1.0 if t == 0 else moves[path[t - 1], state]
            p *= 1.0 if np.isnan(rows[t, 0]) else emissions[state, int(rows[t, 0])]
        joint[path] = p
    return joint


@st.composite
def chains(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k, c = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    params = random_chain(rng, k, c, draw(st.booleans()))
    rows = rng.integers(c, size=(draw(st.integers(1, 6)), 1)).astype(float)
    rows[rng.random(len(rows)) < 0.3] = np.nan
    if np.isnan(rows).all():
        rows[0] = 0.0
    return params, rows, k, c


@settings(max_examples=60, deadline=None)
@given(chains())
def test_everything_equals_the_sum_over_all_paths(case):
    params, rows, k, c = case
    model = HiddenMarkov(Categorical((c,)), k)
    joint = enumerate_paths(params, rows)
    total = sum(joint.values())
    posterior, pairs = np.zeros((k, len(rows))), np.zeros((k, k))
    for path, p in joint.items():
        for t, state in enumerate(path):
            posterior[state, t] += p / total
            if t:
                pairs[path[t - 1], state] += p / total
    found = SERIAL.expect(model, params, model.blocks(rows))
    assert found.loglik == pytest.approx(np.log(total), rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(found.statistics.start, posterior[:, 0], atol=1e-12)
    np.testing.assert_allclose(found.statistics.transitions, pairs, atol=1e-12)
    np.testing.assert_allclose(found.statistics.visits, posterior.sum(axis=1), atol=1e-12)
    data = Sequences(rows, np.array([len(rows)]))
    smoothed = smooth_states(model, params, data, SERIAL)
    np.testing.assert_allclose(smoothed.values.T, posterior, atol=1e-12)
    filtered = filter_states(model, params, data, SERIAL)
    np.testing.assert_allclose(filtered.values[-1], posterior[:, -1], atol=1e-12)
    assert filtered.loglik[0] == pytest.approx(np.log(total), rel=1e-12, abs=1e-12)
    best = decode(model, params, data, SERIAL)
    assert best.loglik[0] == pytest.approx(np.log(max(joint.values())), rel=1e-12, abs=1e-12)
    assert joint[tuple(best.values.tolist())] == pytest.approx(max(joint.values()), rel=1e-12)
    own = path_loglik(model, params, data, best.values)
    assert own[0] == pytest.approx(best.loglik[0], rel=1e-12, abs=1e-12)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_weights_and_labels_against_all_paths(seed):
    """Sums over sequences of unequal weight, over the paths that the labels allow."""
    rng = np.random.default_rng(seed)
    k, lengths, weights = 2, np.array([3, 1, 4]), rng.choice([0.0, 0.5, 1.0, 3.0], 3)
    weights[2] = 1.5
    params = random_chain(rng, k, 3, False)
    x = rng.integers(3, size=(8, 1)).astype(float)
    x[rng.random(8) < 0.2] = np.nan
    x[7] = 1.0
    labels = np.where(rng.random(8) < 0.4, rng.integers(k, size=8), -1)
    starts, pairs, shares, loglik = np.zeros(k), np.zeros((k, k)), np.zeros((8, k)), 0.0
    for begin, length, weight in zip([0, 3, 4], lengths, weights, strict=True):
        told = labels[begin : begin + length]
        joint = {
            path: p
            for path, p in enumerate_paths(params, x[begin : begin + length]).items()
            if np.all((told == -1) | (told == path))
        }
        total = sum(joint.values())
        loglik += weight * np.log(total)
        for path, p in joint.items():
            starts[path[0]] += weight * p / total
            for t, state in enumerate(path):
                shares[begin + t, state] += weight * p / total
                if t:
                    pairs[path[t - 1], state] += weight * p / total
    model = HiddenMarkov(Categorical((3,)), k)
    found = SERIAL.expect(model, params, model.blocks((x, lengths, weights, labels)))
    assert found.loglik == pytest.approx(loglik, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(found.statistics.start, starts, atol=1e-12)
    np.testing.assert_allclose(found.statistics.transitions, pairs, atol=1e-12)
    seen = ~np.isnan(x[:, 0])
    counts = [[shares[seen & (x[:, 0] == c), i].sum() for c in range(3)] for i in range(k)]
    np.testing.assert_allclose(found.statistics.family.counts, counts, atol=1e-12)
    assert found.weight == pytest.approx((np.repeat(weights, lengths) * seen).sum())


@pytest.mark.parametrize("name", ["poisson", "exponential", "full", "diag", "tied", "spherical"])
def test_one_state_is_the_family_alone(name, rng):
    """Whatever the sequences: with one state there is nothing that rows could share."""
    from latentem.models import Mixture

    family, kind = FAMILIES[name]
    x, lengths, _ = rows_of(kind, rng)
    settings_ = EM(tol=1e-10)
    chain = settings_.run(HiddenMarkov(family, 1), (x, lengths), rng=0)
    mixture = settings_.run(Mixture(family, 1), x, rng=0)
    assert chain.loglik == pytest.approx(mixture.loglik, rel=1e-12)
    assert chain.params.transmat.tolist() == [[1.0]]


def rows_of(kind, rng, lengths=(60, 1, 45, 30)):
    n = sum(lengths)
    states = np.repeat(rng.integers(2, size=-(-n // 9)), 9)[:n]
    x = {
        "counts": rng.poisson(np.where(states, 9.0, 2.0))[:, None],
        "codes": (rng.random(n) < np.where(states, 0.8, 0.3))[:, None] * 1.0,
        "positive": rng.exponential(np.where(states, 9.0, 1.0))[:, None],
        "real": states[:, None] * 4.0 + rng.standard_normal((n, 2)),
    }[kind]
    return x.astype(float), np.array(lengths), states


FAMILIES = {
    "poisson": (Poisson(), "counts"),
    "categorical": (Categorical((2,)), "codes"),
    "bernoulli": (Bernoulli(), "codes"),
    "exponential": (Exponential(), "positive"),
    "full": (Gaussian("full"), "real"),
    "tied": (Gaussian("tied"), "real"),
    "diag": (Gaussian("diag"), "real"),
    "spherical": (Gaussian("spherical"), "real"),
    "mixture diag": (MixtureFamily(Gaussian("diag"), 2), "real"),
    "mixture full": (MixtureFamily(Gaussian("full"), 2), "real"),
    "independent": (Independent([Gaussian("diag"), Gaussian("full")]), "real"),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_check_model(name, rng):
    family, kind = FAMILIES[name]
    x, lengths, _ = rows_of(kind, rng)
    weights = np.array([1.0, 2.0, 0.5, 1.5])
    check_model(HiddenMarkov(family, 2), Sequences(x, lengths, weights), rng=1)


@pytest.mark.parametrize("name", ["poisson", "categorical", "full", "diag"])
def test_check_model_with_missing_rows_and_labels(name, rng):
    family, kind = FAMILIES[name]
    x, lengths, states = rows_of(kind, rng)
    x[rng.random(len(x)) < 0.15] = np.nan
    labels = np.where(rng.random(len(x)) < 0.1, states, -1)
    check_model(HiddenMarkov(family, 2), Sequences(x, lengths, None, labels), rng=1)


CELLS = [name for name, (family, _) in FAMILIES.items() if family.missing_cells]


@pytest.mark.parametrize("name", CELLS)
def test_check_model_with_missing_cells(name, rng):
    family, kind = FAMILIES[name]
    lengths = (20, 1, 15, 24) * 4  # many begin: their probabilities stay off the boundary
    x, other = (rows_of(kind, rng, lengths)[0] for _ in range(2))
    x = np.hstack([x[:, :1], other[:, -1:]])
    x[rng.random(x.shape) < 0.15] = np.nan
    x[7] = np.nan
    if isinstance(family, Categorical):
        family = Categorical((2, 2))
    check_model(HiddenMarkov(family, 2), Sequences(x, np.array(lengths)), rng=1)


def test_families_that_take_missing_cells():
    assert set(CELLS) == set(FAMILIES)


@pytest.mark.parametrize(
    "options",
    [
        {"transmat_mask": left_right(3, cyclic=True)},
        {"transmat_mask": left_right(3, step=2)},
        {"stationary": True},
        {"fixed": ("startprob",)},
        {"fixed": ("transmat",)},
        {"fixed": {"transmat": np.eye(3, dtype=bool)}},
        {"stationary": True, "transmat_mask": left_right(3, cyclic=True)},
        {"fixed": {"startprob": np.array([True, False, False])}},
    ],
)
def test_check_model_of_restricted_chains(options):
    rng = np.random.default_rng(5)
    forward = options.get("transmat_mask") is not None and not options["transmat_mask"][2, 0]
    draw = (lambda: np.sort(rng.integers(rng.integers(3), 3, size=5))) if forward else (
        lambda: rng.integers(3, size=5)
    )  # fmt: skip
    states = np.concatenate([np.repeat(draw(), 4) for _ in range(24)])
    x = rng.poisson(np.array([1.0, 6.0, 15.0])[states])[:, None].astype(float)
    data = Sequences(x, np.array([20] * 23 + [19, 1]))
    model = HiddenMarkov(Poisson(), 3, **options)
    check_model(model, data, start=model.guess(model.blocks(data), rng), rng=1)


def test_threads_give_the_bits_of_one(rng):
    x = rng.poisson(3.0, (30_000, 1)).astype(float)
    for lengths in ([30_000], [10_000, 5, 19_995], [100] * 300):
        model = HiddenMarkov(Poisson(), 3)
        data = Sequences(x, np.array(lengths))
        blocks = model.blocks(data)
        start = model.guess(blocks, rng)
        one, two = (b.expect(model, start, blocks) for b in (SERIAL, ThreadBackend(2)))
        assert one.loglik == two.loglik
        np.testing.assert_array_equal(one.statistics.transitions, two.statistics.transitions)
        np.testing.assert_array_equal(one.statistics.family.total, two.statistics.family.total)


def test_weights_are_repetitions_and_zero_is_absence(rng):
    x, lengths, _ = rows_of("counts", rng)
    model = HiddenMarkov(Poisson(), 2)
    data = Sequences(x, lengths, np.array([2.0, 1.0, 0.0, 1.0]))
    start = model.guess(model.blocks(data), rng)
    weighted = SERIAL.expect(model, start, model.blocks(data))
    rows = Sequences(x, lengths).take(np.array([0, 0, 1, 3]))
    repeated = SERIAL.expect(model, start, model.blocks(rows))
    assert weighted.loglik == pytest.approx(repeated.loglik, rel=1e-13)
    assert weighted.weight == repeated.weight
    np.testing.assert_allclose(
        weighted.statistics.transitions, repeated.statistics.transitions, rtol=1e-12
    )


@pytest.mark.parametrize(
    "options",
    [
        {"startprob_prior": 2.5, "transmat_prior": [1.0, 2.0, 3.0]},
        {"startprob_prior": [1.0, 3.0, 2.0], "transmat_prior": 1 + np.arange(9.0).reshape(3, 3)},
        {"transmat_prior": 2.0, "transmat_mask": left_right(3, cyclic=True)},
        {"transmat_prior": 2.0, "stationary": True},
        {
            "transmat_prior": 2.0,
            "startprob_prior": 3.0,
            "fixed": {"transmat": np.eye(3), "startprob": [1, 0, 0]},
        },
    ],
)
def test_priors_of_the_chain(options, rng):
    """Of what may move: structural zeros and fixed entries stay, a stationary chain follows."""
    states = np.repeat([0, 1, 2, 0, 1, 2], 20)
    data = Sequences(rng.poisson(np.array([1, 6, 15])[states])[:, None], np.array([50, 40, 30]))
    model = HiddenMarkov(Poisson(prior=GammaPrior(2.0, 1.0)), 3, **options)
    start = model.guess(list(model.blocks(data)), rng)
    check_model(model, data, start=start, n_simulated=0)
    result = EM(tol=1e-9, accelerate=None).run(model, data, start=start)
    assert result.objective == result.loglik + model.log_prior(result.params)
    assert np.all(np.diff(result.history.objectives) > -1e-9)
    free = np.ones((3, 3)) if model.free_moves is None else model.free_moves
    assert np.all((result.params.transmat > 0) | ~free.astype(bool))


def test_sequences_of_one_row_are_a_mixture(rng):
    from latentem.models import Mixture, MixtureParams

    x = rng.poisson(4.0, (50, 1)).astype(float)
    family = PoissonParams(np.array([[2.0], [7.0]]))
    weights = np.array([0.3, 0.7])
    chain = HiddenMarkov(Poisson(), 2)
    params = HiddenMarkovParams(weights, np.full((2, 2), 0.5), family)
    found = SERIAL.expect(chain, params, chain.blocks(Sequences(x, np.ones(50, dtype=int))))
    mixture = Mixture(Poisson(), 2)
    other = SERIAL.expect(mixture, MixtureParams(weights, family), mixture.blocks(x))
    assert found.loglik == pytest.approx(other.loglik, rel=1e-13)
    np.testing.assert_allclose(found.statistics.start, other.statistics.counts, rtol=1e-12)
    np.testing.assert_array_equal(found.statistics.transitions, 0.0)


def test_an_outlier_and_a_long_series_stay_finite(rng):
    from latentem.families import GaussianParams

    x = rng.standard_normal((20_000, 1))
    x[777] = 1000.0
    x[10_000] = -1000.0
    family = GaussianParams(np.array([[0.0], [0.1]]), np.ones((2, 1)))
    params = HiddenMarkovParams(np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.2, 0.8]]), family)
    model = HiddenMarkov(Gaussian("diag"), 2)
    found = SERIAL.expect(model, params, model.blocks(x))
    assert np.isfinite(found.loglik)
    assert found.statistics.visits.sum() == pytest.approx(len(x), rel=1e-12)


def test_an_outlier_in_an_unlikely_state_far_away():
    """The only state that explains row 1 can be reached with probability 1e-300 only."""
    from latentem.families import GaussianParams

    x = np.array([[0.0], [1000.0], [0.0]])
    family = GaussianParams(np.array([[0.0], [1000.0]]), np.ones((2, 1)))
    moves = np.array([[1.0, 1e-300], [0.5, 0.5]])
    params = HiddenMarkovParams(np.array([1.0, 0.0]), moves, family)
    model = HiddenMarkov(Gaussian("diag"), 2)
    data = Sequences(x, np.array([3]))
    found = SERIAL.expect(model, params, model.blocks(data))
    log_density = -0.5 * np.log(2 * np.pi)
    expected = 3 * log_density + np.log(1e-300) + np.log(0.5)
    assert found.loglik == pytest.approx(expected, rel=1e-12)
    assert decode(model, params, data, SERIAL).values.tolist() == [0, 1, 0]


def test_an_impossible_row_is_minus_infinity_and_named():
    params = HiddenMarkovParams(
        np.array([1.0, 0.0]), np.eye(2), PoissonParams(np.array([[0.0], [3.0]]))
    )
    model = HiddenMarkov(Poisson(), 2)
    x = np.array([[0.0], [0.0], [0.0], [1.0], [0.0]])
    data = Sequences(x, np.array([2, 3]))
    found = SERIAL.expect(model, params, model.blocks(data))
    assert found.loglik == -np.inf
    for function in (smooth_states, filter_states, decode):
        told = function(model, params, data, SERIAL)
        assert told.impossible.tolist() == [-1, 3], function.__name__
        assert told.loglik[0] == 0.0
        assert told.loglik[1] == -np.inf
        assert not np.isnan(told.values).any()


def test_a_state_that_nobody_visits_keeps_its_parameters_and_is_reported():
    start = HiddenMarkovParams(
        np.array([1.0, 0.0]), np.array([[1.0, 0.0], [0.5, 0.5]]),
        PoissonParams(np.array([[2.0], [50.0]])),
    )  # fmt: skip
    x = np.array([[1.0], [2.0], [3.0], [2.0]])
    result = EM(n_jobs=1).run(HiddenMarkov(Poisson(), 2), x, start=start)
    assert result.params.family.lambdas.ravel().tolist() == [2.0, 50.0]
    assert result.params.transmat[1].tolist() == [0.5, 0.5]
    assert any("state 1 is never visited" in note for note in result.notes)


def test_a_long_sequence_begins_from_stretches(rng):
    x = np.repeat(rng.integers(2, size=500), 100)[:, None] * 8.0 + rng.standard_normal((50_000, 1))
    model = HiddenMarkov(Gaussian("diag"), 2)
    result = EM(max_iter=5, tol=0).run(model, x, rng=0)
    np.testing.assert_allclose(np.sort(result.params.family.means[:, 0]), [0.0, 8.0], atol=0.1)


@pytest.mark.parametrize("memory", ["full", "checkpoint"])
def test_a_long_sequence_equals_its_cut_in_blocks_of_known_states(memory, rng):
    """Pinned by labels at a cut, the two parts are independent given the states there."""
    n = 20_000
    x = rng.poisson(np.where(np.arange(n) % 100 < 50, 2.0, 6.0))[:, None].astype(float)
    x[50:70] = np.nan
    labels = np.full(n, -1)
    labels[[9999, 10_000]] = 0, 1
    params = HiddenMarkovParams(
        np.array([0.0, 1.0]), np.array([[0.97, 0.03], [0.05, 0.95]]),
        PoissonParams(np.array([[2.0], [6.0]])),
    )  # fmt: skip
    model = HiddenMarkov(Poisson(), 2, memory=memory)
    whole = SERIAL.expect(model, params, model.blocks((x, [n], [2.0], labels)))
    parts = [
        SERIAL.expect(model, params, model.blocks((x[a:b], [b - a], [2.0], labels[a:b])))
        for a, b in ((0, 10_000), (10_000, n))
    ]
    move = 2.0 * np.log(0.03)
    assert whole.loglik == pytest.approx(parts[0].loglik + parts[1].loglik + move, rel=1e-11)
    pairs = parts[0].statistics.transitions + parts[1].statistics.transitions
    pairs[0, 1] += 2.0
    np.testing.assert_allclose(whole.statistics.transitions, pairs, rtol=1e-10)
    visits = parts[0].statistics.visits + parts[1].statistics.visits
    np.testing.assert_allclose(whole.statistics.visits, visits, rtol=1e-11)
    total = parts[0].statistics.family.total + parts[1].statistics.family.total
    np.testing.assert_allclose(whole.statistics.family.total, total, rtol=1e-11)


def test_an_impossible_row_in_a_long_sequence():
    params = HiddenMarkovParams(
        np.array([1.0, 0.0]), np.eye(2), PoissonParams(np.array([[0.0], [3.0]]))
    )
    x = np.zeros((20_000, 1))
    x[12_345] = 1.0
    for memory in ("full", "checkpoint"):
        model = HiddenMarkov(Poisson(), 2, memory=memory)
        found = SERIAL.expect(model, params, model.blocks(x))
        assert found.loglik == -np.inf
        assert found.statistics.visits.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"memory": "none"}, "memory must be 'full' or 'checkpoint'"),
        ({"n_components": 0}, "n_components must be at least 1"),
        ({"transmat_mask": np.ones((3, 3))}, r"transmat_mask must have shape \(2, 2\)"),
        ({"transmat_mask": [[1, 1], [0, 0]]}, "row 1 of transmat_mask allows no transition"),
        ({"fixed": ("means",)}, "fixed knows 'startprob' and 'transmat'"),
        ({"fixed": {"transmat": np.ones((2, 3))}}, "must be True, or an array of shape"),
        ({"fixed": {"transmat": np.full((2, 2), 0.5)}}, "with True or 1 where an entry keeps"),
        ({"stationary": True, "transmat_mask": left_right(2)}, "leaves state 0 for good"),
        ({"stationary": True, "transmat_mask": np.eye(2)}, "more than one stationary"),
        ({"fixed": ("startprob",), "stationary": True}, "it cannot be fixed as well"),
        ({"startprob_prior": 2.0, "stationary": True}, "leave startprob_prior out"),
        ({"startprob_prior": 0.5}, "startprob_prior must be >= 1, got 0.5"),
        ({"transmat_prior": np.ones(3)}, r"have shape \(2,\) or \(2, 2\), got \(3,\)"),
    ],
)
def test_wrong_models_are_refused(options, sentence):
    settings_ = {"n_components": 2, **options}
    with pytest.raises(ValueError, match=sentence):
        HiddenMarkov(Poisson(), **settings_)


X4 = np.array([[1.0], [2.0], [3.0], [4.0]])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ((X4, [2, 1]), "lengths sum to 3, but there are 4 rows"),
        ((X4, [4, 0]), r"lengths\[1\] is 0: leave an empty sequence out"),
        ((X4, [1.5, 2.5]), r"lengths must be integers >= 1, but lengths\[0\] is 1.5"),
        ((X4, [2.0, np.nan]), r"lengths\[1\] is nan"),
        ((X4, ["a"]), "lengths must be a list of integers >= 1"),
        ([X4, np.ones((2, 2))], "sequence 1 has"),
        ([], "the list of sequences is empty"),
        (X4[:, 0], "use x\\[:, None\\]"),
        ((X4, [4], [-1.0]), "weights must be finite numbers >= 0"),
        ((X4, [4], [1.0, 2.0]), "weights must have one value per sequence"),
        ((X4, [4], None, [0, 1]), "labels must have one value per row"),
        (
            (X4, [4], None, [0, 1, 2, 0]),
            r"labels must be integers: a state, 0\.\.1.*labels\[2\] is 2",
        ),
        (-X4, "counts, whole numbers >= 0"),
        (X4 * np.nan, "every row is missing"),
        (np.array([[np.inf], [1.0]]), r"x\[0, 0\] is inf"),
    ],
)
def test_wrong_data_are_refused(data, sentence):
    with pytest.raises(ValueError, match=sentence):
        EM().run(HiddenMarkov(Poisson(), 2), data, rng=0)


def test_a_missing_cell_where_rows_must_be_whole():
    x = np.array([[1.0, np.nan], [0.0, 2.0], [1.0, 1.0]])
    with pytest.raises(ValueError, match=r"x\[0, 1\] is nan.*Make the whole row NaN"):
        EM().run(HiddenMarkov(WholeRows(), 2), x, rng=0)


def test_a_proposal_that_splits_a_stationary_chain_is_outside_the_model():
    """The driver takes LinAlgError for that, and goes on from where it stands."""
    model = HiddenMarkov(Poisson(), 2, stationary=True)
    split = HiddenMarkovParams(None, np.eye(2), PoissonParams(np.array([[1.0], [9.0]])))
    with pytest.raises(np.linalg.LinAlgError, match="more than one stationary distribution"):
        model.prepare(split)
    nearly = split._replace(transmat=np.array([[1.0, 1e-60], [1e-60, 1.0]]))
    found = SERIAL.expect(model, nearly, model.blocks(np.array([[1.0], [0.0]])))
    both = poisson.logpmf([[1, 0]], [[1.0], [9.0]]).sum(axis=1)
    assert found.loglik == pytest.approx(np.log(np.exp(both).mean()), rel=1e-12)
