"""Smoothing and filtering of chains against plain twins in the log domain and enumeration."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentem.engine.backends import SerialBackend, ThreadBackend
from latentem.models import chain as blocks
from latentem.models import long_chain
from latentem.models.chain import chain, forward, forward_long, smooth, smooth_long
from tests.kernels.chains import KINDS, enumerate_paths, random_chain, twin


def quiet(function, *arguments, **options):
    with np.errstate(all="ignore"):  # as in a backend; it matters where nothing is compiled
        return function(*arguments, **options)


def block(rng, k, lengths, spread):
    """Log densities that differ by about `spread` between states, and more between rows."""
    m = int(np.sum(lengths))
    log_density = rng.normal(size=(k, m)) * spread + rng.normal(size=m) * 3 * spread
    return log_density, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def check_smooth(start, moves, log_density, offsets, weights):
    out = np.array(log_density, order="C")
    found = quiet(smooth, chain(start, moves), out, offsets, weights)
    twins = [twin(start, moves, log_density[:, a:b]) for a, b in pairwise(offsets)]
    np.testing.assert_allclose(found.loglik, [t.loglik for t in twins], rtol=1e-12, atol=1e-11)
    posterior = np.hstack([w * t.posterior for w, t in zip(weights, twins, strict=True)])
    size = 1 + np.abs(log_density).max()
    np.testing.assert_allclose(out, posterior, rtol=0, atol=1e-13 * size * len(out[0]))
    np.testing.assert_allclose(
        found.start, sum(w * t.start for w, t in zip(weights, twins, strict=True)),
        atol=1e-13 * size * len(out[0]),
    )  # fmt: skip
    np.testing.assert_allclose(
        found.pairs, sum(w * t.pairs for w, t in zip(weights, twins, strict=True)),
        atol=1e-12 * size * len(out[0]),
    )  # fmt: skip
    assert (found.impossible == -1).all()


@pytest.mark.nojit
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.sampled_from([0.1, 3.0, 300.0, 5000.0]),
    st.sampled_from(KINDS),
)
def test_smoothing_equals_the_twin(seed, k, spread, kind):
    rng = np.random.default_rng(seed)
    lengths = rng.choice([1, 2, 3, 31, 32, 33, 64, 65], size=rng.integers(1, 5))
    weights = np.where(rng.random(len(lengths)) < 0.2, 0.0, rng.exponential(size=len(lengths)))
    check_smooth(*random_chain(rng, k, kind), *block(rng, k, lengths, spread), weights)


@pytest.mark.parametrize("k", [8, 9, 12, 16, 17, 33, 48, 64, 70])
@pytest.mark.parametrize("kind", ["dense", "left-right"])
def test_any_number_of_states(k, kind, rng):
    check_smooth(
        *random_chain(rng, k, kind), *block(rng, k, [90, 1, 40], 5.0), np.array([1, 2, 0.5])
    )


@pytest.mark.nojit
@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS))
def test_smoothing_equals_enumeration(seed, kind):
    rng = np.random.default_rng(seed)
    k, m = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    start, moves = random_chain(rng, k, kind)
    log_density, offsets = block(rng, k, [m], 2.0)
    paths, joint = enumerate_paths(start, moves, log_density)
    share = np.exp(joint - np.logaddexp.reduce(joint))
    out = log_density.copy()
    found = quiet(smooth, chain(start, moves), out, offsets)
    assert found.loglik[0] == pytest.approx(np.logaddexp.reduce(joint), abs=1e-11)
    pairs = np.zeros((k, k))
    for path, s in zip(paths, share, strict=True):
        np.add.at(pairs, (path[:-1], path[1:]), s)
    expected = [[share[paths[:, t] == i].sum() for t in range(m)] for i in range(k)]
    np.testing.assert_allclose(out, expected, atol=1e-12)
    np.testing.assert_allclose(found.pairs, pairs, atol=1e-12)


@pytest.mark.nojit
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 300.0]), st.sampled_from(KINDS))
def test_filtering_equals_the_twin(seed, spread, kind):
    rng = np.random.default_rng(seed)
    start, moves = random_chain(rng, 3, kind)
    log_density, offsets = block(rng, 3, [1, 40, 7], spread)
    out = log_density.copy()
    found = quiet(forward, chain(start, moves), out, offsets, keep=True)
    untouched = log_density.copy()
    again = quiet(forward, chain(start, moves), untouched, offsets, keep=False)
    np.testing.assert_array_equal(untouched, log_density)
    np.testing.assert_allclose(again.loglik, found.loglik, rtol=1e-12)
    for s, (a, b) in enumerate(pairwise(offsets)):
        expected = twin(start, moves, log_density[:, a:b])
        assert found.loglik[s] == pytest.approx(expected.loglik, rel=1e-12, abs=1e-11)
        np.testing.assert_allclose(out[:, a:b], expected.filtered, atol=1e-8)
        np.testing.assert_allclose(found.last[s], expected.filtered[:, -1], atol=1e-8)


@pytest.mark.nojit
def test_the_last_filtered_row_is_the_last_smoothed_row(rng):
    start, moves = random_chain(rng, 4)
    log_density, offsets = block(rng, 4, [30, 20], 2.0)
    smoothed, filtered = log_density.copy(), log_density.copy()
    quiet(smooth, chain(start, moves), smoothed, offsets)
    quiet(forward, chain(start, moves), filtered, offsets, keep=True)
    last = offsets[1:] - 1
    np.testing.assert_allclose(smoothed[:, last], filtered[:, last], rtol=1e-12, atol=1e-14)


@pytest.mark.nojit
def test_what_first_and_last_rows_rule_out_may_be_what_the_rows_between_call_for():
    # Nobody moves. Rows 0-9 and 20-29 prefer state 0 by 100 nats each, rows 10-19 prefer
    # state 1 by 300: state 1 wins by 1000, but underflows from both ends.
    log_density = np.zeros((2, 30))
    log_density[1, :10] = log_density[1, 20:] = -100.0
    log_density[0, 10:20] = -300.0
    check_smooth(np.array([0.5, 0.5]), np.eye(2), log_density, np.array([0, 30]), np.ones(1))
    out = log_density.copy()
    quiet(smooth, chain(np.array([0.5, 0.5]), np.eye(2)), out, np.array([0, 30]))
    np.testing.assert_allclose(out[1], 1.0)


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
def test_an_outlier_a_thousand_deviations_away(kind, rng):
    start, moves = random_chain(rng, 3, kind)
    x = rng.normal(size=60)
    x[[0, 25, 59]] = 1000.0, -1000.0, 1000.0
    means = np.array([-1.0, 0.0, 1.0])
    log_density = -0.5 * (x - means[:, None]) ** 2
    check_smooth(start, moves, log_density, np.array([0, 60]), np.ones(1))


@pytest.mark.nojit
@pytest.mark.parametrize("row", [0, 4, 9])
def test_an_impossible_row_is_named(row, rng):
    start, moves = random_chain(rng, 3)
    log_density, offsets = block(rng, 3, [10, 10], 1.0)
    log_density[:, 10 + row] = -np.inf
    out, filtered = log_density.copy(), log_density.copy()
    found = quiet(smooth, chain(start, moves), out, offsets)
    ahead = quiet(forward, chain(start, moves), filtered, offsets, keep=True)
    for result in (found, ahead):
        assert result.loglik[1] == -np.inf
        assert result.impossible.tolist() == [-1, 10 + row]
        assert np.isfinite(result.loglik[0])
    np.testing.assert_array_equal(out[:, 10:], 0.0)
    np.testing.assert_allclose(found.pairs.sum(), 9.0)
    np.testing.assert_allclose(found.start.sum(), 1.0)
    np.testing.assert_array_equal(filtered[:, 10 + row :], 0.0)
    np.testing.assert_allclose(filtered[:, : 10 + row].sum(axis=0), 1.0)
    np.testing.assert_array_equal(ahead.last[1], 0.0)


@pytest.mark.nojit
def test_a_row_that_only_unreachable_states_explain_is_impossible():
    # State 1 cannot be reached, and the last row needs it.
    log_density = np.array([[0.0, 0.0, -np.inf], [0.0, 0.0, 0.0]])
    model = chain(np.array([1.0, 0.0]), np.array([[1.0, 0.0], [0.5, 0.5]]))
    found = quiet(smooth, model, log_density, np.array([0, 3]))
    assert found.loglik[0] == -np.inf
    assert found.impossible[0] == 2
    np.testing.assert_array_equal(log_density, 0.0)


@pytest.mark.nojit
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("state", [0, 1, 2])
@pytest.mark.parametrize("row", [0, 5, 9])
def test_nan_and_infinity_are_not_silent(bad, state, row, rng):
    start, moves = random_chain(rng, 3)
    log_density, offsets = block(rng, 3, [10, 10], 1.0)
    log_density[state, row] = bad
    out = log_density.copy()
    found = quiet(smooth, chain(start, moves), out, offsets)
    assert np.isnan(found.loglik[0])
    assert np.isnan(out[:, :10]).all()
    assert np.isnan(found.pairs).all()
    assert np.isfinite(found.loglik[1])
    assert np.isnan(quiet(forward, chain(start, moves), log_density, offsets, keep=True).loglik[0])


@pytest.mark.nojit
@pytest.mark.parametrize("content", [np.nan, -np.inf, 0.0])
def test_zero_weights_contribute_exactly_nothing(content, rng):
    start, moves = random_chain(rng, 3)
    log_density, offsets = block(rng, 3, [10, 10], 1.0)
    log_density[:, 3] += content
    out, alone = log_density.copy(), log_density[:, 10:].copy()
    found = quiet(smooth, chain(start, moves), out, offsets, np.array([0.0, 2.0]))
    only = quiet(smooth, chain(start, moves), alone, np.array([0, 10]), np.array([2.0]))
    np.testing.assert_array_equal(out[:, :10], 0.0)
    np.testing.assert_array_equal(out[:, 10:], alone)
    np.testing.assert_array_equal(found.pairs, only.pairs)
    np.testing.assert_array_equal(found.start, only.start)


@pytest.mark.nojit
def test_a_state_that_nobody_can_visit_gets_exactly_nothing(rng):
    moves = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    log_density, offsets = block(rng, 3, [20], 100.0)
    found = quiet(smooth, chain(np.array([0.5, 0.5, 0.0]), moves), log_density, offsets)
    np.testing.assert_array_equal(log_density[2], 0.0)
    np.testing.assert_array_equal(found.pairs[2], 0.0)
    np.testing.assert_array_equal(found.pairs[:, 2], 0.0)


@pytest.mark.nojit
def test_a_density_of_zero_gives_a_posterior_of_exactly_zero(rng):
    moves = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    log_density, offsets = block(rng, 3, [20], 1.0)
    log_density[1, ::3] = -np.inf
    log_density[2] = -np.inf
    found = quiet(smooth, chain(np.ones(3) / 3, moves), log_density, offsets)
    np.testing.assert_array_equal(log_density[1, ::3], 0.0)
    np.testing.assert_array_equal(log_density[2], 0.0)
    np.testing.assert_array_equal(found.pairs[:, 2], 0.0)


@pytest.mark.nojit
def test_densities_that_underflow_against_unreachable_ones_still_count():
    # State 2 explains the first row best and cannot be there; of states 0 and 1, which both
    # underflow against it, the one with the small start is likelier.
    log_density = np.zeros((3, 12))
    log_density[0, 0], log_density[1, 0] = -700.0, -1400.0
    start = np.array([1e-304, 1.0, 0.0])
    start[0] = np.exp(-699.0)
    moves = np.full((3, 3), 0.05) + 0.85 * np.eye(3)
    check_smooth(start, moves, log_density, np.array([0, 12]), np.ones(1))
    expected = twin(start, moves, log_density)
    assert 0.3 < expected.posterior[0, 0] < 0.9
    for keep in (True, False):
        found, posterior = both_ways(start, moves, log_density, 1.0, 4, keep)
        np.testing.assert_allclose(posterior, expected.posterior, atol=1e-10)
        np.testing.assert_allclose(found.pairs, expected.pairs, atol=1e-10)


def test_a_million_rows_do_not_underflow(rng):
    start, moves = random_chain(rng, 2)
    log_density = rng.normal(size=(2, 1_000_000)) * 5 - 700.0
    out = log_density.copy()
    found = quiet(smooth, chain(start, moves), out, np.array([0, 1_000_000]))
    np.testing.assert_allclose(out.sum(axis=0), 1.0, rtol=1e-12)
    assert found.pairs.sum() == pytest.approx(999_999.0, rel=1e-12)
    cut = quiet(forward, chain(start, moves), log_density, np.array([0, 1_000_000]), keep=False)
    assert found.loglik[0] == pytest.approx(cut.loglik[0], rel=1e-13)
    assert -7.1e8 < found.loglik[0] < -6.9e8


@pytest.mark.nojit
def test_published_umbrella_example():
    # Russell & Norvig: two states, umbrella seen on days 1, 2, 4, 5.
    likelihood = np.array([[0.9, 0.9, 0.1, 0.9, 0.9], [0.2, 0.2, 0.8, 0.2, 0.2]])
    out = np.log(likelihood)
    moves = np.array([[0.7, 0.3], [0.3, 0.7]])
    found = quiet(smooth, chain(np.array([0.5, 0.5]), moves), out, np.array([0, 5]))
    assert found.loglik[0] == pytest.approx(-3.3725, abs=5e-5)
    np.testing.assert_allclose(out[0], [0.8673, 0.8204, 0.3075, 0.8204, 0.8673], atol=5e-5)


@pytest.mark.nojit
def test_weather_example():
    emission = np.array([[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]])
    out = np.log(emission)
    moves = np.array([[0.7, 0.3], [0.4, 0.6]])
    quiet(smooth, chain(np.array([0.6, 0.4]), moves), out, np.array([0, 3]))
    expected = [[0.23170303, 0.62406281, 0.86397706], [0.76829697, 0.37593719, 0.13602294]]
    np.testing.assert_allclose(out, expected, rtol=0, atol=1.5e-7)  # published in single precision


def both_ways(start, moves, log_density, weight, n_pieces, keep):
    """One sequence through `smooth_long`: what it finds, and its posteriors."""
    edges = np.linspace(0, log_density.shape[1], n_pieces + 1).astype(int).tolist()
    found, parts = quiet(
        smooth_long,
        chain(start, moves),
        list(pairwise(edges)),
        lambda begin, end: log_density[:, begin:end].copy(),
        lambda begin, end, posterior: posterior,
        weight,
        keep,
    )
    return found, np.hstack(parts)


@pytest.mark.nojit
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.sampled_from([0.1, 3.0, 300.0, 5000.0]),
    st.sampled_from(KINDS),
    st.booleans(),
)
def test_from_both_ends_piece_by_piece(seed, n_pieces, spread, kind, keep):
    rng = np.random.default_rng(seed)
    start, moves = random_chain(rng, 3, kind)
    log_density, _ = block(rng, 3, [int(rng.integers(n_pieces, 50))], spread)
    expected = twin(start, moves, log_density)
    found, posterior = both_ways(start, moves, log_density, 0.5, n_pieces, keep)
    size = 1e-11 * (1 + np.abs(log_density).max())
    np.testing.assert_allclose(found.loglik, [expected.loglik], rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(posterior, 0.5 * expected.posterior, rtol=0, atol=size)
    np.testing.assert_allclose(found.start, 0.5 * expected.start, rtol=0, atol=size)
    np.testing.assert_allclose(found.pairs, 0.5 * expected.pairs, rtol=0, atol=size)
    assert found.impossible.tolist() == [-1]


def likelihood(start, moves, log_density, n_pieces):
    """Log-likelihood and impossible row of one sequence through `forward_long`."""
    edges = np.linspace(0, log_density.shape[1], n_pieces + 1).astype(int).tolist()
    found = quiet(
        forward_long,
        chain(start, moves),
        list(pairwise(edges)),
        lambda begin, end: log_density[:, begin:end].copy(),
    )
    return found[0].item(), found[1].item()


@pytest.mark.nojit
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.sampled_from([0.1, 3.0, 300.0, 5000.0]),
    st.sampled_from(KINDS),
)
def test_likelihoods_piece_by_piece(seed, n_pieces, spread, kind):
    rng = np.random.default_rng(seed)
    start, moves = random_chain(rng, 3, kind)
    log_density, _ = block(rng, 3, [int(rng.integers(n_pieces, 50))], spread)
    expected = twin(start, moves, log_density).loglik
    assert likelihood(start, moves, log_density, n_pieces) == (
        pytest.approx(expected, rel=1e-12, abs=1e-11),
        -1,
    )


@pytest.mark.nojit
def test_likelihoods_piece_by_piece_of_bad_rows(rng):
    log_density = np.zeros((2, 90))  # what both ends rule out
    log_density[1, :30] = log_density[1, 60:] = -100.0
    log_density[0, 30:60] = -300.0
    found = likelihood(np.array([0.5, 0.5]), np.eye(2), log_density, 6)
    assert found == (pytest.approx(-6000.0 + np.log(0.5)), -1)
    start, moves = random_chain(rng, 3)
    log_density, _ = block(rng, 3, [60], 1.0)
    log_density[:, 41] = -np.inf
    assert likelihood(start, moves, log_density, 6) == (-np.inf, 41)
    log_density[0, 20] = np.nan
    assert np.isnan(likelihood(start, moves, log_density, 6)[0])


@pytest.mark.nojit
@pytest.mark.parametrize("keep", [True, False])
def test_from_both_ends_what_both_ends_rule_out(keep):
    log_density = np.zeros((2, 90))
    log_density[1, :30] = log_density[1, 60:] = -100.0
    log_density[0, 30:60] = -300.0
    found, posterior = both_ways(np.array([0.5, 0.5]), np.eye(2), log_density, 1.0, 6, keep)
    np.testing.assert_allclose(posterior[1], 1.0)
    assert found.loglik[0] == pytest.approx(-6000.0 + np.log(0.5))


@pytest.mark.nojit
@pytest.mark.parametrize("keep", [True, False])
def test_from_both_ends_bad_rows_are_reported(keep, rng):
    start, moves = random_chain(rng, 3)
    log_density, _ = block(rng, 3, [60], 1.0)
    log_density[:, 41] = -np.inf
    found, posterior = both_ways(start, moves, log_density, 1.0, 6, keep)
    assert found.loglik.tolist() == [-np.inf]
    assert found.impossible.tolist() == [41]
    np.testing.assert_array_equal(posterior, 0.0)
    np.testing.assert_array_equal(found.pairs, 0.0)
    log_density[0, 20] = np.nan
    found, posterior = both_ways(start, moves, log_density, 1.0, 6, keep)
    assert np.isnan(found.loglik).all()
    assert np.isnan(posterior).all()


@pytest.mark.nojit
@pytest.mark.parametrize("spread", [2.0, 300.0])
@pytest.mark.parametrize("kind", KINDS)
def test_a_long_block_is_entered_from_both_ends(kind, spread, rng, monkeypatch):
    monkeypatch.setattr(blocks, "LONG", 40)
    monkeypatch.setattr(long_chain, "PIECE", 16)
    start, moves = random_chain(rng, 3, kind)
    check_smooth(start, moves, *block(rng, 3, [150], spread), np.array([2.0]))
    for bad, loglik in ((np.nan, np.nan), (-np.inf, -np.inf)):
        log_density, offsets = block(rng, 3, [150], spread)
        log_density[:, 100] = bad
        found = quiet(smooth, chain(start, moves), log_density, offsets)
        np.testing.assert_array_equal(found.loglik, [loglik])
        assert found.impossible[0] == (100 if bad == -np.inf else -1)


def test_threads_do_not_change_a_bit(rng, monkeypatch):
    monkeypatch.setattr(blocks, "LONG", 4000)
    monkeypatch.setattr(long_chain, "PIECE", 1000)
    start, moves = random_chain(rng, 4, "left-right")
    log_density, offsets = block(rng, 4, [10_001], 3.0)

    def run(_):
        out = log_density.copy()
        return smooth(chain(start, moves), out, offsets), out

    with np.errstate(all="ignore"):
        (serial, a), (threads, b) = (
            next(iter(backend.map(run, [None]))) for backend in (SerialBackend(), ThreadBackend(2))
        )
    np.testing.assert_array_equal(a, b)
    for one, other in zip(serial, threads, strict=True):
        np.testing.assert_array_equal(one, other)
