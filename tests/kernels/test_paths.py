"""Most probable paths and drawn paths against enumeration and a plain twin."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentem.models import paths
from latentem.models.chain import chain
from latentem.models.paths import draw_paths, filtered, viterbi
from tests.kernels.chains import KINDS, enumerate_paths, random_chain, twin


def quiet(function, *arguments, **options):
    with np.errstate(all="ignore"):
        return function(*arguments, **options)


def block(rng, k, lengths, spread):
    m = int(np.sum(lengths))
    log_density = rng.normal(size=(k, m)) * spread + rng.normal(size=m) * 3 * spread
    return log_density, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def log_joint(start, moves, log_density, path):
    with np.errstate(divide="ignore"):
        steps = np.log(moves)[path[:-1], path[1:]].sum()
        return np.log(start)[path[0]] + steps + log_density[path, np.arange(len(path))].sum()


def viterbi_twin(start, moves, log_density):
    """Largest log joint over paths, with pointers."""
    with np.errstate(divide="ignore"):
        best, moves = np.log(start) + log_density[:, 0], np.log(moves)
    back = []
    for column in log_density.T[1:]:
        joint = best[:, None] + moves
        back.append(joint.argmax(axis=0))
        best = joint.max(axis=0) + column
    path = [int(best.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return best.max(), np.array(path[::-1])


@pytest.mark.nojit
@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS))
def test_viterbi_equals_enumeration(seed, kind):
    rng = np.random.default_rng(seed)
    k, m = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    start, moves = random_chain(rng, k, kind)
    log_density, offsets = block(rng, k, [m], 2.0)
    every, joint = enumerate_paths(start, moves, log_density)
    path, loglik, impossible = quiet(viterbi, chain(start, moves), log_density, offsets)
    assert loglik[0] == pytest.approx(joint.max(), abs=1e-12)
    np.testing.assert_array_equal(path, every[joint.argmax()])
    assert impossible.tolist() == [-1]


@pytest.mark.nojit
@pytest.mark.parametrize("long", [8192, 20])
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.sampled_from([0.1, 3.0, 5000.0]),
    st.sampled_from(KINDS),
)
def test_viterbi_equals_the_twin(long, seed, k, spread, kind):
    rng = np.random.default_rng(seed)
    start, moves = random_chain(rng, k, kind)
    lengths = [int(rng.integers(20, 150))] if long < 100 else [1, 64, 2, 65, 128, 130]
    log_density, offsets = block(rng, k, lengths, spread)
    before = log_density.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "LONG", long)
        path, loglik, _ = quiet(viterbi, chain(start, moves), log_density, offsets)
    np.testing.assert_array_equal(log_density, before)
    for s, (a, b) in enumerate(pairwise(offsets)):
        best, expected = viterbi_twin(start, moves, log_density[:, a:b])
        np.testing.assert_array_equal(path[a:b], expected)
        assert loglik[s] == pytest.approx(best, rel=1e-13, abs=1e-12)
        joint = log_joint(start, moves, log_density[:, a:b], path[a:b])
        assert loglik[s] == pytest.approx(joint, rel=1e-12, abs=1e-11)


@pytest.mark.nojit
@pytest.mark.parametrize("long", [8192, 20])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 9])
def test_of_equal_paths_viterbi_takes_the_first_states(k, long, monkeypatch):
    monkeypatch.setattr(paths, "LONG", long)
    model, offsets = chain(np.full(k, 1 / k), np.full((k, k), 1 / k)), np.array([0, 150])
    path, loglik, _ = quiet(viterbi, model, np.zeros((k, 150)), offsets)
    assert not path.any()
    assert loglik[0] == pytest.approx(-150 * np.log(k), rel=1e-13)


@pytest.mark.parametrize("k", [16, 33, 64, 300])
def test_viterbi_for_any_number_of_states(k, rng):
    start, moves = random_chain(rng, k)
    log_density, offsets = block(rng, k, [70], 3.0)
    path, loglik, _ = quiet(viterbi, chain(start, moves), log_density, offsets)
    best, expected = viterbi_twin(start, moves, log_density)
    np.testing.assert_array_equal(path, expected)
    assert loglik[0] == pytest.approx(best, rel=1e-13)


@pytest.mark.nojit
@pytest.mark.parametrize("long", [8192, 20])
@pytest.mark.parametrize("row", [0, 1, 30, 49])
def test_viterbi_names_what_is_impossible_or_nan(long, row, rng, monkeypatch):
    monkeypatch.setattr(paths, "LONG", long)
    start, moves = random_chain(rng, 3)
    for bad, expected in ((-np.inf, -np.inf), (np.nan, np.nan), (np.inf, np.nan)):
        log_density, offsets = block(rng, 3, [50], 1.0)
        log_density[:, row] = bad
        path, loglik, impossible = quiet(viterbi, chain(start, moves), log_density, offsets)
        np.testing.assert_array_equal(loglik, [expected])
        assert impossible[0] == (row if bad == -np.inf else -1)
        assert path.min() >= 0
        assert path.max() <= 2
    log_density[:, row] = 0.0
    log_density[1, row] = np.nan
    assert np.isnan(quiet(viterbi, chain(start, moves), log_density, offsets)[1][0])


@pytest.mark.nojit
def test_published_paths():
    likelihood = np.array([[0.9, 0.9, 0.1, 0.9, 0.9], [0.2, 0.2, 0.8, 0.2, 0.2]])
    model = chain(np.array([0.5, 0.5]), np.array([[0.7, 0.3], [0.3, 0.7]]))
    path, loglik, _ = viterbi(model, np.log(likelihood), np.array([0, 5]))
    assert path.tolist() == [0, 0, 1, 0, 0]
    assert loglik[0] == pytest.approx(-4.4590, abs=5e-5)
    emission = np.array([[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]])
    model = chain(np.array([0.6, 0.4]), np.array([[0.7, 0.3], [0.4, 0.6]]))
    path, loglik, _ = viterbi(model, np.log(emission), np.array([0, 3]))
    assert path.tolist() == [1, 0, 0]
    assert np.exp(loglik[0]) == pytest.approx(0.01344, rel=1e-12)


@pytest.mark.nojit
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", [1.0, 800.0])
def test_drawn_paths_have_the_posterior_of_the_twin(kind, spread, rng):
    # The joint of what is drawn at rows t and t + 1, over many sequences that are alike.
    start, moves = random_chain(rng, 3, kind)
    one, _ = block(rng, 3, [6], spread)
    n = 4000
    offsets = np.arange(n + 1) * 6
    path, loglik, impossible = quiet(
        draw_paths, chain(start, moves), np.tile(one, n), offsets, rng.random(6 * n)
    )
    expected = twin(start, moves, one)
    np.testing.assert_allclose(loglik, expected.loglik, rtol=1e-12)
    assert (impossible == -1).all()
    path = path.reshape(n, 6)
    for state in range(3):
        share = np.minimum(expected.posterior[state], 1.0)
        slack = 5 * np.sqrt(share * (1 - share) / n) + 1e-12
        assert (np.abs((path == state).mean(axis=0) - share) <= slack).all()
    pairs = np.zeros((3, 3))
    np.add.at(pairs, (path[:, :-1].ravel(), path[:, 1:].ravel()), 1 / n)
    assert (np.abs(pairs - expected.pairs) <= 5 * np.sqrt(5 / n)).all()
    assert (pairs[moves == 0] == 0).all()


@pytest.mark.nojit
def test_draws_that_scaling_cannot_hold():
    # State 1 underflows in the first rows, and is the only one that the last row allows.
    log_density = np.zeros((2, 30))
    log_density[1, :20] = -100.0
    log_density[0, 29] = -np.inf
    model, offsets = chain(np.array([0.5, 0.5]), np.eye(2)), np.array([0, 30])
    path, loglik, impossible = quiet(draw_paths, model, log_density, offsets, np.full(30, 0.5))
    assert (path == 1).all()
    assert loglik[0] == pytest.approx(-2000 + np.log(0.5))
    assert impossible.tolist() == [-1]
    log_density[1, 10] = -np.inf
    path, loglik, impossible = quiet(draw_paths, model, log_density, offsets, np.full(30, 0.5))
    assert (path == -1).all()
    assert loglik[0] == -np.inf
    assert impossible.tolist() == [29]


@pytest.mark.nojit
def test_draws_at_the_edges_of_the_unit_interval(rng):
    model = chain(np.array([0.0, 1.0, 0.0]), np.eye(3))
    for u in (0.0, np.nextafter(1.0, 0.0)):
        path, _, _ = quiet(draw_paths, model, np.zeros((3, 9)), np.array([0, 9]), np.full(9, u))
        assert (path == 1).all(), "a state of probability 0 is never drawn"


@pytest.mark.nojit
def test_filtered(rng):
    start, moves = random_chain(rng, 3)
    log_density, offsets = block(rng, 3, [12, 9], 2.0)
    log_density[:, 16] = -np.inf
    out = log_density.copy()
    loglik, impossible = quiet(filtered, chain(start, moves), out, offsets)
    expected = twin(start, moves, log_density[:, :12])
    np.testing.assert_allclose(out[:, :12], expected.filtered, atol=1e-12)
    assert loglik[0] == pytest.approx(expected.loglik)
    assert impossible.tolist() == [-1, 16]
