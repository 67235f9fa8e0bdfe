"""Word alignment: the contract, every alignment by hand, M-steps, and planted dictionaries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from latentem import EM, SerialBackend, ThreadBackend
from latentem.engine.trees import leaves
from latentem.models import AlignmentParams, ParallelText, WordAlignment, WordPairs
from latentem.models.word_jumps import LARGEST_JUMP, JumpParams, maximize_weights
from latentem.models.word_positions import STRONGEST, DiagonalParams, DiagonalStatistics
from latentem.testing import check_model
from tests.models.planted import error_rate, planted

KINDS = ("ibm1", "ibm2", "hmm")
PLAIN = {"tol": 0, "accelerate": None, "n_jobs": 1}


def a_text(rng, n=40, longest=6, n_words=(7, 6)):
    lengths = rng.integers(1, longest + 1, n), rng.integers(1, longest + 1, n)
    words = [
        np.concatenate([np.arange(k), rng.integers(k, size=size.sum() - k)])
        for k, size in zip(n_words, lengths, strict=True)
    ]
    return ParallelText(words[0], lengths[0], words[1], lengths[1])


def some_params(model, rng):
    """Parameters that are nobody's start."""
    t = rng.random(len(model.pairs)) + 0.1
    t /= np.repeat(model.pairs.row_sums(t), model.pairs.sizes)
    null = 0.2 if model.pairs.null else None
    if model.kind == "ibm1":
        return AlignmentParams(t, None)
    if model.kind == "ibm2":
        return AlignmentParams(t, DiagonalParams(null, 2.5))
    return AlignmentParams(t, JumpParams(null, rng.dirichlet(np.full(2 * LARGEST_JUMP + 1, 2.0))))


@pytest.mark.parametrize(
    ("kind", "empty", "null", "smoothing"),
    [
        ("ibm1", True, None, 0.0),
        ("ibm1", False, None, 0.3),
        ("ibm2", True, None, 0.0),
        ("ibm2", True, 0.1, 0.3),
        ("ibm2", False, None, 0.0),
        ("hmm", True, None, 0.3),
    ],
)
def test_contract(kind, empty, null, smoothing, rng):
    text = a_text(rng, n=40, longest=4, n_words=(4, 4))  # no word is rare
    model = WordAlignment(WordPairs.make(text, empty), kind, null, smoothing)
    check_model(model, text, n_simulated=60, n_maps=3)


# ----------------------------------------------------------------------- every alignment by hand


def prior_of(model, params, path, length, n_words):
    """p(path | l, m) by the formulas; a path has 0 for the empty word, else 1..l."""
    if model.kind == "ibm1":
        return (1.0 / (length + model.pairs.null)) ** n_words
    null = params.positions.null or 0.0
    if model.kind == "ibm2":
        value = 1.0
        for j, i in enumerate(path, start=1):
            near = np.exp(
                -params.positions.tension * np.abs(np.arange(1, length + 1) / length - j / n_words)
            )
            value *= null if i == 0 else (1 - null) * near[i - 1] / near.sum()
        return value
    weights = params.positions.jumps

    def jump(i, before):
        width = np.clip(np.arange(1, length + 1) - before, -LARGEST_JUMP, LARGEST_JUMP)
        here = weights[width + LARGEST_JUMP]
        return here[i - 1] / here.sum()

    # A first empty word stands at a position too, drawn like that of a word: sum over it.
    total = 0.0
    for first in range(1, length + 1) if path[0] == 0 else (path[0],):
        value, last = jump(first, 0), first
        value *= null if path[0] == 0 else 1 - null
        for i in path[1:]:
            value *= null if i == 0 else (1 - null) * jump(i, last)
            last = last if i == 0 else i
        total += value
    return total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("null", [True, False])
def test_every_alignment_by_hand(kind, null, rng):
    text = a_text(rng, n=25, longest=4)
    model = WordAlignment(WordPairs.make(text, null), kind)
    params = some_params(model, rng)
    table = {
        (f, int(e)): float(params.translation[k])
        for f in range(len(model.pairs.sizes))
        for k in range(*model.pairs.indptr[f : f + 2])
        for e in [model.pairs.columns[k]]
    }
    total, counts = 0.0, dict.fromkeys(table, 0.0)
    posteriors, links = model.posteriors(params, text), model.links(params, text)
    for s in range(len(text)):
        one = text.between(s, s + 1)
        length, n_words = len(one.source), len(one.target)
        rows = np.append(0, one.source + 1) if null else np.append(-1, one.source)
        shares, best, joint, of_chosen = np.zeros((n_words, length + 1)), 0.0, 0.0, 0.0
        chosen = tuple(links[s] + 1)
        for path in itertools.product(range(0 if null else 1, length + 1), repeat=n_words):
            value = prior_of(model, params, path, length, n_words)
            for j, i in enumerate(path):
                value *= table[rows[i], int(one.target[j])]
            joint += value
            best, of_chosen = max(best, value), value if path == chosen else of_chosen
            for j, i in enumerate(path):
                shares[j, i] += value
        total += np.log(joint)
        shares /= joint
        for j, i in np.ndindex(*shares.shape):
            if null or i > 0:
                counts[rows[i], int(one.target[j])] += shares[j, i]
        np.testing.assert_allclose(posteriors[s], shares[:, 0 if null else 1 :], atol=1e-12)
        if kind != "hmm" or not null:  # a first empty word has several paths
            assert of_chosen == pytest.approx(best, rel=1e-12)
    found = SerialBackend().expect(model, params, model.blocks(text))
    assert found.loglik == pytest.approx(total, rel=1e-12)
    assert found.weight == len(text.target)
    np.testing.assert_allclose(found.statistics.counts, list(counts.values()), atol=1e-11)


# --------------------------------------------------------------------------------------- M-steps


@given(st.integers(0, 10_000))
def test_weights_of_jumps_against_a_general_optimiser(seed):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 3, (6, 5)) * (rng.random((6, 5)) < 0.8)
    table[:, 0] = 1
    windows = rng.random(6) + 0.1
    shares = table * rng.dirichlet(np.ones(5))
    counts = windows @ (shares / shares.sum(axis=1, keepdims=True))
    before = rng.dirichlet(np.ones(5))
    found = maximize_weights(counts, windows, table, before)

    def lost(logs):
        return windows @ np.log(table @ np.exp(logs)) - counts @ logs

    reached = table.any(axis=0)
    assert found.sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(found[~reached], before[~reached])
    start = np.zeros(5)
    best = minimize(lost, start, options={"gtol": 1e-9}).fun
    with np.errstate(divide="ignore"):
        assert lost(np.log(found)) <= best + 1e-8


def test_weights_of_widths_never_jumped_are_zero():
    counts, windows = np.array([3.0, 0.0, 1.0, 0.0]), np.array([4.0])
    before = np.array([0.2, 0.2, 0.2, 0.4])
    found = maximize_weights(counts, windows, np.array([[1.0, 1.0, 1.0, 0.0]]), before)
    np.testing.assert_allclose(found, [0.45, 0.0, 0.15, 0.4])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 1.0, 1.7])
@pytest.mark.parametrize("begin", [0.0, 4.0, STRONGEST])
def test_tension_is_where_q_is_largest(share, begin, rng):
    text = a_text(rng)
    positions = WordAlignment(WordPairs.make(text), "ibm2").positions
    linked = rng.random(len(positions.widths))
    even = positions._slope(DiagonalStatistics(0.0, linked, 1.0), 0.0)[0]
    statistics = DiagonalStatistics(share * even, linked, 1.0)  # share of the distance if even
    found = positions.maximize(statistics, DiagonalParams(0.1, begin))
    best = minimize_scalar(
        lambda x: -positions.expected_loglik(DiagonalParams(0.1, x), statistics),
        bounds=(0, STRONGEST), method="bounded", options={"xatol": 1e-9},
    )  # fmt: skip
    assert found.tension == pytest.approx(best.x, abs=1e-4)
    assert found.null == pytest.approx(1 / (1 + linked.sum()))


# ------------------------------------------------------------------------------------------ fits


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits_for_any_number_of_threads(kind):
    text, _ = planted(300)
    model = WordAlignment(WordPairs.make(text), kind)
    blocks = model.blocks(text, 40)
    assert len(blocks) > 4
    params = some_params(model, np.random.default_rng(0))
    one, two = (
        backend.expect(model, params, blocks) for backend in (SerialBackend(), ThreadBackend(2))
    )
    assert one.loglik == two.loglik
    for (_, a), (_, b) in zip(leaves(one.statistics), leaves(two.statistics), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_planted_dictionary_is_found():
    text, links = planted(1000)
    pairs = WordPairs.make(text)
    alone = WordAlignment(pairs)
    table = EM(max_iter=5, **PLAIN).run(alone, text).params
    errors = {"ibm1": error_rate(alone.links(table, text), links)}
    for kind in ("ibm2", "hmm"):
        model = WordAlignment(pairs, kind, null=0.08)
        start = model.started(table.translation)
        result = EM(max_iter=10, **PLAIN).run(model, text, start=start)
        errors[kind] = error_rate(model.links(result.params, text), links)
        assert result.params.positions.null == 0.08
    assert errors["hmm"] < 0.05
    assert errors["hmm"] < 0.5 * errors["ibm2"]
    assert errors["ibm2"] < 0.9 * errors["ibm1"] < 0.18


def test_dirichlet_smoothing_is_a_prior_and_no_ascent_is_lost():
    text, _ = planted(100)
    model = WordAlignment(WordPairs.make(text), "hmm", smoothing=0.1)
    result = EM(max_iter=8, on_decrease="raise", **PLAIN).run(model, text)
    assert result.objective == pytest.approx(result.loglik + model.log_prior(result.params))
    assert result.params.translation.min() > 0
    rough = WordAlignment(WordPairs.make(text), "hmm", smoothing=1e4)
    even = EM(max_iter=2, **PLAIN).run(rough, text).params
    sizes = rough.pairs.sizes
    np.testing.assert_allclose(even.translation, np.repeat(1 / sizes, sizes), rtol=0.02)


def test_acceleration_reaches_the_same_maximum():
    text, _ = planted(40)
    model = WordAlignment(WordPairs.make(text), smoothing=0.5)  # concave: one maximum
    plain = EM(tol=1e-6, max_iter=5000, accelerate=None, n_jobs=1).run(model, text)
    fast = EM(tol=1e-6, max_iter=5000, accelerate="squarem", n_jobs=1).run(model, text)
    assert fast.objective == pytest.approx(plain.objective, abs=1e-4)
    assert fast.n_e_steps < plain.n_e_steps


def test_long_sentences_are_cut_and_one_group_in_parts_adds_up(monkeypatch, rng):
    text = a_text(rng, n=30, longest=5)
    model = WordAlignment(WordPairs.make(text), "hmm")
    params = some_params(model, rng)
    whole = SerialBackend().expect(model, params, model.blocks(text))
    monkeypatch.setattr("latentem.models.word_jumps.GROUP_FLOATS", 8)
    parts = SerialBackend().expect(model, params, model.blocks(text))
    assert parts.loglik == pytest.approx(whole.loglik, rel=1e-13)
    np.testing.assert_allclose(parts.statistics.counts, whole.statistics.counts, rtol=1e-11)
    np.testing.assert_allclose(
        parts.statistics.positions.windows, whole.statistics.positions.windows, atol=1e-11
    )
    one, other = model.links(params, text), model.at(text).links(params, text)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_bad_arguments(rng):
    text = a_text(rng)
    pairs = WordPairs.make(text)
    for wrong, words in (
        ({"kind": "ibm3"}, "kind must be one of"),
        ({"null": 0.1}, "IBM 1 has no probability of the empty word"),
        ({"kind": "hmm", "null": 1.5}, "between 0 and 1"),
        ({"smoothing": -1.0}, "smoothing must be a number >= 0"),
    ):
        with pytest.raises(ValueError, match=words):
            WordAlignment(pairs, **wrong)
    with pytest.raises(ValueError, match="made without an empty word"):
        WordAlignment(WordPairs.make(text, null=False), "hmm", null=0.1)
    one = np.array([1])
    with pytest.raises(ValueError, match="leave pairs with an empty sentence out"):
        ParallelText(np.array([0]), one, np.empty(0, dtype=int), np.array([0]))
    with pytest.raises(ValueError, match="2 source and 1 target sentences"):
        ParallelText(np.array([0, 0]), np.array([1, 1]), np.array([0]), one)
    with pytest.raises(ValueError, match="without a gap"):
        WordPairs.make(ParallelText(np.array([1]), one, np.array([0]), one))
    longer = ParallelText(np.zeros(9, dtype=int), one * 9, np.zeros(9, dtype=int), one * 9)
    with pytest.raises(ValueError, match="sentence lengths that the model was not made with"):
        WordAlignment(pairs).blocks(longer)
