"""What a hidden Markov model says of sequences, against enumeration of all paths."""

from __future__ import annotations

import tracemalloc
import warnings
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentem import GaussianHMM, PoissonHMM, Sequences, SerialBackend, ThreadBackend
from latentem.families import (
    Categorical,
    CategoricalParams,
    Gaussian,
    GaussianParams,
    Poisson,
    PoissonParams,
)
from latentem.models import HiddenMarkov, HiddenMarkovParams
from latentem.models.decoding import (
    decode,
    draw_states,
    filter_states,
    forecast_states,
    log_likelihoods,
    path_loglik,
    smooth_states,
)

SERIAL = SerialBackend()


def paths_of(params, rows):
    """Joint probability of every path with the rows; a missing row says nothing."""
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
def problems(draw):
    """Chains with zeros anywhere, and several sequences of unequal length, some impossible."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k, c = draw(st.integers(1, 3)), draw(st.integers(1, 3))

    def probabilities(rows, columns):
        found = rng.dirichlet(np.ones(columns), rows)
        found[rng.random(found.shape) < draw(st.sampled_from([0.0, 0.4]))] = 0.0
        found[found.sum(axis=1) == 0, 0] = 1.0
        return found / found.sum(axis=1, keepdims=True)

    params = HiddenMarkovParams(
        probabilities(1, k)[0], probabilities(k, k), CategoricalParams(probabilities(k, c))
    )
    lengths = np.array(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    x = rng.integers(c, size=(lengths.sum(), 1)).astype(float)
    x[rng.random(len(x)) < 0.25] = np.nan
    return params, Sequences(x, lengths), HiddenMarkov(Categorical((c,)), k)


@settings(max_examples=50)
@given(problems())
def test_all_of_it_against_all_paths(case):
    params, data, model = case
    k = model.n_components
    smoothed = smooth_states(model, params, data, SERIAL)
    filtered = filter_states(model, params, data, SERIAL)
    best = decode(model, params, data, SERIAL)
    drawn = draw_states(model, params, data, np.random.default_rng(0), SERIAL)
    scored = log_likelihoods(model, params, data, SERIAL)
    joints = path_loglik(model, params, data, best.values)
    for s, (begin, end) in enumerate(zip(data.offsets[:-1], data.offsets[1:], strict=True)):
        rows, here = data.x[begin:end], slice(begin, end)
        joint = paths_of(params, rows)
        total = sum(joint.values())
        if total == 0:
            first = next(t for t in range(1, end - begin + 1) if not any(
                paths_of(params, rows[:t]).values()))  # fmt: skip
            for found in (smoothed, filtered, best, drawn, scored):
                assert found.loglik[s] == -np.inf
                assert found.impossible[s] == begin + first - 1
            assert not smoothed.values[here].any()
            assert not filtered.values[begin + first - 1 : end].any()
            assert np.all(drawn.values[here] == -1)
            continue
        posterior = np.zeros((end - begin, k))
        for path, p in joint.items():
            posterior[np.arange(end - begin), list(path)] += p / total
        for found in (smoothed, filtered, drawn, scored):
            assert found.loglik[s] == pytest.approx(np.log(total), rel=1e-12, abs=1e-12)
            assert found.impossible[s] == -1
        np.testing.assert_allclose(smoothed.values[here], posterior, atol=1e-12)
        for t in range(1, end - begin + 1):
            part = paths_of(params, rows[:t])
            ends = np.array([sum(p for path, p in part.items() if path[-1] == i) for i in range(k)])
            np.testing.assert_allclose(
                filtered.values[begin + t - 1], ends / ends.sum(), atol=1e-12
            )
        top = max(joint.values())
        assert best.loglik[s] == pytest.approx(np.log(top), rel=1e-12, abs=1e-12)
        assert joint[tuple(best.values[here].tolist())] == pytest.approx(top, rel=1e-12)
        assert joints[s] == pytest.approx(best.loglik[s], rel=1e-12, abs=1e-12)
        assert joint[tuple(drawn.values[here].tolist())] > 0


def test_paths_are_drawn_as_often_as_they_are_probable(rng):
    moves = np.array([[0.6, 0.4, 0.0], [0.0, 0.5, 0.5], [0.3, 0.0, 0.7]])
    emissions = np.array([[0.5, 0.5], [0.9, 0.1], [0.0, 1.0]])
    params = HiddenMarkovParams(np.array([0.5, 0.5, 0.0]), moves, CategoricalParams(emissions))
    rows = np.array([[0.0], [np.nan], [1.0], [np.nan], [0.0]])
    joint = paths_of(params, rows)
    n, total = 10_000, sum(joint.values())
    data = Sequences(np.tile(rows, (n, 1)), np.full(n, 5))
    model = HiddenMarkov(Categorical((2,)), 3)
    drawn = draw_states(model, params, data, rng, SERIAL).values.reshape(n, 5)
    codes = drawn @ 3 ** np.arange(5)
    chi = 0.0
    for path, p in joint.items():
        count, expected = np.sum(codes == path @ 3 ** np.arange(5)), n * p / total
        if expected == 0:
            assert count == 0
        else:
            chi += (count - expected) ** 2 / expected
    assert chi < 60  # 24 possible paths; 60 has a tail of 1e-5


def test_a_blanked_stretch_is_the_sum_over_what_may_have_stood_there(rng):
    params = HiddenMarkovParams(
        rng.dirichlet(np.ones(2)), rng.dirichlet(np.ones(2), 2),
        CategoricalParams(rng.dirichlet(np.ones(3), 2)),
    )  # fmt: skip
    model = HiddenMarkov(Categorical((3,)), 2)
    rows = np.array([[0.0], [np.nan], [np.nan], [2.0], [np.nan]])
    blanked = filter_states(model, params, Sequences(rows, np.array([5])), SERIAL).loglik[0]
    full = np.array([[0.0, a, b, 2.0, c] for a, b, c in product(range(3), repeat=3)])
    data = Sequences(full.reshape(-1, 1), np.full(len(full), 5))
    each = filter_states(model, params, data, SERIAL).loglik
    assert blanked == pytest.approx(np.log(np.exp(each).sum()), rel=1e-12)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_a_missing_row_of_gaussians_says_nothing(kind, rng):
    covariances = {
        "full": np.stack([np.eye(2), 2 * np.eye(2)]), "tied": np.eye(2),
        "diag": np.ones((2, 2)), "spherical": np.ones(2),
    }[kind]  # fmt: skip
    family = GaussianParams(np.array([[0.0, 0.0], [2.0, 1.0]]), covariances)
    moves = np.array([[0.8, 0.2], [0.3, 0.7]])
    model = HiddenMarkov(Gaussian(kind), 2)
    x = rng.standard_normal((7, 2))
    x[2:5] = np.nan
    found = filter_states(
        model, HiddenMarkovParams(np.array([0.5, 0.5]), moves, family),
        Sequences(x, np.array([7])), SERIAL,
    )  # fmt: skip
    one = Sequences(x[:2], np.array([2]))
    first = filter_states(
        model, HiddenMarkovParams(np.array([0.5, 0.5]), moves, family), one, SERIAL
    )
    begin = first.values[-1] @ np.linalg.matrix_power(moves, 4)
    rest = filter_states(
        model, HiddenMarkovParams(begin, moves, family), Sequences(x[5:], np.array([2])), SERIAL
    )
    assert found.loglik[0] == pytest.approx(first.loglik[0] + rest.loglik[0], rel=1e-13)
    np.testing.assert_allclose(found.values[-1], rest.values[-1], rtol=1e-12)


def test_forecasts_of_states_are_powers():
    moves, last = np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0.2, 0.8])
    found = forecast_states(moves, last, 3)
    np.testing.assert_allclose(found[2], last @ np.linalg.matrix_power(moves, 3), rtol=1e-14)


@pytest.mark.parametrize("lengths", [[40_000], [20_000, 7, 1, 19_992], [100] * 400])
def test_the_same_bits_on_any_number_of_threads(lengths, rng):
    x = rng.poisson(np.where(np.arange(40_000) % 90 < 40, 2.0, 6.0))[:, None].astype(float)
    x[100:140] = np.nan
    data = Sequences(x, np.array(lengths))
    params = HiddenMarkovParams(
        np.array([0.4, 0.6]), np.array([[0.97, 0.03], [0.05, 0.95]]),
        PoissonParams(np.array([[2.0], [6.0]])),
    )  # fmt: skip
    model = HiddenMarkov(Poisson(), 2)
    threads = ThreadBackend(2)
    for function in (smooth_states, filter_states, decode, log_likelihoods):
        one, two = (function(model, params, data, backend) for backend in (SERIAL, threads))
        np.testing.assert_array_equal(one.values, two.values)
        np.testing.assert_array_equal(one.loglik, two.loglik)
    draws = [
        draw_states(model, params, data, np.random.default_rng(0), backend).values
        for backend in (SERIAL, threads)
    ]
    np.testing.assert_array_equal(*draws)
    # The last filtered row of a sequence knows all that the smoothed one knows.
    last = data.offsets[1:] - 1
    smoothed = smooth_states(model, params, data, SERIAL).values[last]
    np.testing.assert_allclose(
        filter_states(model, params, data, SERIAL).values[last], smoothed, atol=1e-12
    )
    best = decode(model, params, data, SERIAL)
    np.testing.assert_allclose(
        path_loglik(model, params, data, best.values), best.loglik, rtol=1e-12
    )


@pytest.mark.parametrize("lengths", [[300_000], [299_900, 100]])
def test_a_score_needs_no_array_of_all_rows_and_states(lengths):
    k, n = 8, 300_000
    hmm = PoissonHMM.from_parameters(
        startprob=np.full(k, 1 / k), transmat=np.full((k, k), 1 / k),
        lambdas=np.arange(1.0, 1 + k)[:, None],
    )  # fmt: skip
    x = np.arange(n)[:, None] % 7.0
    expected = hmm.score_samples(x, lengths)[0]
    tracemalloc.start()
    found = hmm.score(x, lengths)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == pytest.approx(expected, rel=1e-11)
    assert peak < 0.5 * n * k * 8


def test_a_million_steps(rng):
    """No underflow: the log-likelihood per row is that of shorter stretches."""
    n = 1_000_000
    poisson = PoissonHMM.from_parameters(
        startprob=[0.5, 0.5], transmat=[[0.99, 0.01], [0.02, 0.98]], lambdas=[[1.0], [6.0]]
    )
    gaussian = GaussianHMM.from_parameters(
        startprob=[0.5, 0.5], transmat=[[0.99, 0.01], [0.02, 0.98]], means=[[0.0], [3.0]],
        covariances=[[1.0], [1.0]],
    )  # fmt: skip
    states = np.repeat(rng.integers(2, size=n // 50), 50)
    for hmm, x in (
        (poisson, rng.poisson(np.where(states, 6.0, 1.0))[:, None].astype(float)),
        (gaussian, 3.0 * states[:, None] + rng.standard_normal((n, 1))),
    ):
        whole, parts = hmm.score(x), hmm.score(x, np.full(1000, 1000))
        assert np.isfinite(whole)
        assert whole == pytest.approx(parts, rel=1e-3)


def test_far_rows_do_not_underflow():
    """An outlier 1,000 standard deviations away, in a state that is barely reached."""
    gaussian = GaussianHMM.from_parameters(
        startprob=[1.0, 0.0], transmat=[[1 - 1e-12, 1e-12], [0.5, 0.5]],
        means=[[0.0], [1.0]], covariances=[[1.0], [1.0]],
    )  # fmt: skip
    rows = np.zeros((9, 1))
    rows[4] = 1000.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loglik, posterior = gaussian.score_samples(rows)
    # Staying costs 1000^2 / 2; a visit of state 1 in row 4 gains 999.5 nats for log(1e-12 / 2).
    visit = -0.5 * 999.0**2 + np.log(1e-12 * 0.5)
    constant = -9 * 0.5 * np.log(2 * np.pi)
    assert loglik == pytest.approx(constant + visit, abs=2.0)
    assert posterior[4, 1] == pytest.approx(1.0, abs=1e-12)
    assert gaussian.predict(rows)[4] == 1


def test_an_absorbing_state_is_not_left():
    hmm = PoissonHMM.from_parameters(
        startprob=[1.0, 0.0], transmat=[[0.9, 0.1], [0.0, 1.0]], lambdas=[[2.0], [9.0]]
    )
    rows = [[2], [1], [10], [9], [2], [1], [2]]  # the last look like state 0
    path = hmm.predict(rows)
    assert np.all(np.diff(path) >= 0)
    assert path[0] == 0
    posterior = hmm.predict_proba(rows)
    assert np.all(np.diff(posterior[:, 1]) >= -1e-15)
    assert hmm.filter(rows)[-1] == pytest.approx(posterior[-1], abs=1e-14)
