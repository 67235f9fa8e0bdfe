"""Where EM of a chain begins: guesses from rows, from rows around them, and in order."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import CategoricalHMM, GaussianHMM, PoissonHMM, Sequences, left_right
from latentem.families import Gaussian
from latentem.models import HiddenMarkov
from latentem.models.chain_start import _forward, averaged, in_order


def test_means_over_the_rows_around(rng):
    lengths, around = np.array([1, 9, 30, 2]), 3
    points, weights = rng.standard_normal((42, 2)) + 1e6, rng.integers(3, size=42) * 1.0
    weights[20:30] = 0.0  # longer than what is looked at: nothing but the mean of all is left
    found = averaged(points, weights, lengths, around)
    begin = 0
    for length in lengths:
        for t in range(begin, begin + length):
            rows = slice(max(t - around, begin), min(t + around + 1, begin + length))
            everywhere = np.average(points, axis=0, weights=weights)
            seen = weights[rows].sum() > 0
            expected = (
                np.average(points[rows], axis=0, weights=weights[rows]) if seen else everywhere
            )
            np.testing.assert_allclose(found[t], expected, rtol=1e-12)
        begin += length


@pytest.mark.parametrize(
    "mask", [left_right(5), left_right(5, step=2), left_right(4, cyclic=True), left_right(9)]
)
def test_states_are_put_in_the_order_of_the_chain(mask, rng):
    transmat = mask * rng.random(mask.shape)
    transmat /= transmat.sum(axis=1, keepdims=True)
    for _ in range(10):
        shuffled = rng.permutation(len(mask))
        moves = np.empty_like(transmat)
        moves[np.ix_(shuffled, shuffled)] = 50 * transmat
        order = in_order(moves, transmat)
        assert moves[np.ix_(order, order)][~mask].sum() == 0


TRUTHS = {
    "overlapping": {
        "transmat": [[0.95, 0.05], [0.1, 0.9]],
        "emissionprob": [[0.5, 0.3, 0.1, 0.1], [0.25, 0.15, 0.3, 0.3]],
    },
    "yes or no": {"transmat": [[0.9, 0.1], [0.1, 0.9]], "emissionprob": [[0.8, 0.2], [0.3, 0.7]]},
    "changing": {
        "transmat": [[0.1, 0.9], [0.8, 0.2]],
        "emissionprob": [[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]],
    },
}


@pytest.mark.parametrize("name", TRUTHS)
def test_categories_from_one_start(name):
    """By k-means of single rows alone 10, 14 and 20 of 20 draws came to the maximum."""
    truth = CategoricalHMM.from_parameters(startprob=[0.5, 0.5], **TRUTHS[name])
    found = 0
    for seed in range(10):
        X, _ = truth.sample(1000, random_state=seed)
        best = CategoricalHMM(
            2,
            startprob_init=truth.startprob_,
            transmat_init=truth.transmat_,
            emissionprob_init=truth.emissionprob_,
        ).fit(X)
        found += CategoricalHMM(2, random_state=seed).fit(X).loglik_ > best.loglik_ - 0.1
    assert found >= 9


@pytest.mark.parametrize("mask", [left_right(3), left_right(5), left_right(3, cyclic=True)])
def test_a_chain_with_an_order_finds_it(mask):
    """Means in any order: by k-means alone, whose clusters have none, 3 to 9 of 20 came right."""
    k = len(mask)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        means = 4.0 * rng.permutation(k)
        sequences = []
        for _ in range(4):
            states = np.repeat(np.arange(k), rng.integers(8, 16, size=k))
            states = np.tile(states, 3 if mask[-1, 0] else 1)
            sequences.append(means[states][:, None] + rng.standard_normal((len(states), 1)))
        hmm = GaussianHMM(k, transmat_mask=mask, random_state=seed).fit(sequences)
        if not mask[-1, 0]:
            np.testing.assert_allclose(hmm.means_[:, 0], means, atol=1.0)
        else:  # a ring has no first state
            turns = [np.roll(means, turn) for turn in range(k)]
            assert min(np.abs(hmm.means_[:, 0] - turn).max() for turn in turns) < 1.0


def test_the_order_of_a_chain_that_goes_forward(rng):
    assert _forward(left_right(4)) == [0, 1, 2, 3]
    assert _forward(np.eye(3, dtype=bool)) == [0, 1, 2]
    assert _forward(left_right(3, cyclic=True)) is None
    assert _forward(None) is None
    names = np.array([2, 0, 3, 1])  # state names[j] comes j-th
    mask = np.empty((4, 4), dtype=bool)
    mask[np.ix_(names, names)] = left_right(4)
    assert _forward(mask) == names.tolist()


def test_names_of_the_states_of_a_left_right_chain_do_not_matter():
    rng = np.random.default_rng(3)
    rates = rng.permutation([2.0, 4, 6, 8, 10])
    X = [rng.poisson(np.repeat(rates, rng.integers(4, 14, 5)))[:, None] for _ in range(6)]
    mask, names = left_right(5), np.array([1, 3, 0, 4, 2])
    plain = PoissonHMM(5, transmat_mask=mask, random_state=0).fit(X)
    other = PoissonHMM(5, transmat_mask=mask[names][:, names], random_state=0).fit(X)
    assert other.loglik_ == pytest.approx(plain.loglik_, abs=1e-2)


@pytest.mark.parametrize("mask", [None, left_right(3)])
def test_later_starts_guess_in_other_ways(mask, rng):
    """And the first is the start of a fit with one."""
    X = rng.poisson(np.repeat([2.0, 5.0, 9.0], 40))[:, None]
    one = PoissonHMM(3, random_state=0, transmat_mask=mask).fit(X)
    many = PoissonHMM(3, random_state=0, transmat_mask=mask, n_init=5, max_iter=0, tol=0).fit(X)
    first = PoissonHMM(3, random_state=0, transmat_mask=mask, max_iter=0, tol=0).fit(X)
    logliks = [start.loglik for start in many.result_.starts]
    assert logliks[0] == first.loglik_
    assert len(set(np.round(logliks[:3], 6))) == 3
    assert one.n_iter_ > 0
    again = PoissonHMM(3, random_state=0, transmat_mask=mask, n_init=5, max_iter=0, tol=0).fit(X)
    assert [start.loglik for start in again.result_.starts] == logliks


def test_starts_of_other_kinds_find_a_better_maximum():
    rng = np.random.default_rng(4)
    emissions = rng.dirichlet(np.ones(4) * 0.7, 3)
    truth = CategoricalHMM.from_parameters(
        startprob=np.full(3, 1 / 3), transmat=0.7 * np.eye(3) + 0.1, emissionprob=emissions
    )
    X = truth.sample(300, random_state=4)[0]
    found = {n: CategoricalHMM(3, n_init=n, random_state=0).fit(X).loglik_ for n in (1, 4)}
    assert found[4] == pytest.approx(-393.06, abs=0.02)  # eight starts as the first end at -394.44
    assert found[1] < found[4] - 1


@pytest.mark.parametrize(
    "given",
    [
        {"means_init": [[0.0], [3.0]]},
        {"means_init": [[0.0], [3.0]], "covariances_init": [[1.0], [1.0]]},
    ],
)
def test_given_means_do_not_make_every_start_the_same(given, rng):
    X = rng.normal(np.repeat([0.0, 2.0, 0.5, 3.0], 30), 1.0)[:, None]
    hmm = GaussianHMM(2, n_init=4, max_iter=0, tol=0, random_state=0, **given).fit(X)
    logliks = [start.loglik for start in hmm.result_.starts]
    assert len(set(np.round(logliks, 6))) == 4
    assert logliks[0] == GaussianHMM(2, max_iter=0, tol=0, random_state=0, **given).fit(X).loglik_
    for start in hmm.result_.starts:
        np.testing.assert_array_equal(start.params.family.means, given["means_init"])


def test_a_guess_that_collapses_is_not_taken():
    """One far row is a cluster of its own; a variance without a floor would win."""
    rng = np.random.default_rng(0)
    states = np.repeat([0, 1], 100)
    x = np.where(states, 1.5, -1.5)[:, None] + rng.standard_normal((200, 1))
    x[50] = 60.0
    model = HiddenMarkov(Gaussian("diag"), 2)
    guess = model.guess(model.blocks(Sequences(x, np.array([200]))), rng)
    assert guess.family.covariances.min() > 0.5


def test_labels_keep_the_names_of_the_states(rng):
    states = np.repeat([0, 1, 2], 30)
    x = 4.0 * states[:, None] + rng.standard_normal((90, 1))
    labels = np.full(90, -1)
    labels[::10] = 2 - states[::10]
    hmm = GaussianHMM(3, random_state=0).fit(x, labels=labels)
    assert hmm.means_[0, 0] > hmm.means_[1, 0] > hmm.means_[2, 0]
