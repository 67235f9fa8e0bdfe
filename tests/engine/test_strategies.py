"""Strategies against local maxima: what they find, what they record, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import EM, GaussianMixture, PoissonHMM, Rows
from latentem import MixtureModel as MixtureEstimator
from latentem.engine.result import Reason
from latentem.engine.strategies import SHORT
from latentem.families import Categorical, Gaussian, Poisson
from latentem.models import HiddenMarkov, Mixture

SEARCHES = ("restarts", "short-runs", "annealing", "split-merge")


@pytest.fixture
def trapped():
    """Nine clusters in three far groups, and a start with a wrong number in each group."""
    rng = np.random.default_rng(5)
    centres = np.array([[20.0 * g, 4.0 * i] for g in range(3) for i in range(3)])
    labels = np.repeat(np.arange(9), 60)
    X = centres[labels] + rng.normal(size=(540, 2))
    wrong = np.array([0, 0, 1, 2, 3, 4, 5, 5, 6])[labels]  # of the first group, two are one
    wrong = np.where(labels == 8, np.where(X[:, 0] > 40, 7, 8), wrong)
    return X, wrong, labels


def at(labels):
    return lambda points, k, rng: labels


def test_split_merge_leaves_a_trap(trapped):
    X, wrong, labels = trapped
    family = Gaussian("spherical")
    truth = EM().run(Mixture(family, 9, at(labels)), X, rng=0)
    stuck = EM().run(Mixture(family, 9, at(wrong)), X, rng=0)
    moved = EM(init_strategy="split-merge").run(Mixture(family, 9, at(wrong)), X, rng=0)
    assert stuck.objective < truth.objective - 10
    assert moved.objective >= truth.objective - 1e-3
    assert moved.best_start > 0
    assert moved.starts[0].objective == stuck.objective
    assert moved.starts[moved.best_start].objective == moved.objective
    assert [start.number for start in moved.starts] == list(range(len(moved.starts)))


@pytest.mark.parametrize("family", [Poisson(), Categorical()])
def test_every_family_has_moves(family, rng):
    low, high = ([0.1, 0.2, 0.6, 0.1], [0.5, 0.1, 0.1, 0.3])
    rows = np.where(
        rng.random((300, 1)) < 0.5, rng.choice(4, (300, 5), p=low), rng.choice(4, (300, 5), p=high)
    ).astype(float)
    rows[::3, :] = rng.choice(4, (100, 5), p=low[::-1])
    family = family.learn(rows)
    labels = (rows[:, 0] > 1).astype(int) + (rows[:, 0] > 2)  # of one column alone
    model = Mixture(family, 3, at(labels))
    start = EM(tol=0, max_iter=20).run(model, rows, rng=0)
    blocks = list(model.blocks(rows))
    moves = list(model.moves(start.params, blocks, rng))
    worth = [value for value, _ in moves]
    assert worth == sorted(worth, reverse=True)
    for _, params in moves:
        assert params.weights.sum() == pytest.approx(1.0)
        assert np.isfinite(EM(max_iter=3, tol=0).run(model, rows, start=params).objective)
    with_labels = model.blocks(Rows(rows, labels=labels))
    assert not list(model.moves(start.params, with_labels, rng))  # identities matter


def test_nothing_is_searched_where_there_is_no_move(rng):
    X = rng.normal(size=(90, 2)) + np.repeat([[0, 0], [9, 0], [0, 9]], 30, axis=0)
    two = GaussianMixture(2, random_state=0, init_strategy="split-merge").fit(X)
    assert len(two.result_.starts) == 1
    given = GaussianMixture(3, means_init=X[[0, 30, 60]], init_strategy="auto").fit(X)
    assert len(given.result_.starts) == 1


def test_short_runs_give_up_the_weaker_half_each_time(trapped):
    X = trapped[0]
    model = Mixture(Gaussian("spherical"), 9, "random_from_data")
    result = EM(init_strategy="short-runs").run(model, X, rng=0)
    assert len(result.starts) == SHORT
    ended = [start for start in result.starts if start.reason is not Reason.ABANDONED]
    assert result.converged
    assert max(start.objective for start in ended) == result.objective
    assert max(start.objective for start in result.starts) == result.objective
    assert sum(start.reason is Reason.ABANDONED for start in result.starts) >= SHORT // 2


def test_annealing_finds_three_rates_from_a_bad_start():
    rng = np.random.default_rng(2)
    x = rng.poisson(np.repeat([1.0, 12.0, 40.0], 100))[:, None].astype(float)
    near = (x[:, 0] > 40).astype(int) + (x[:, 0] > 44)  # nearly all rows in one component
    model = Mixture(Poisson(), 3, at(near))
    result = EM(init_strategy="annealing").run(model, x, rng=0)
    best = EM(n_init=5).run(Mixture(Poisson(), 3), x, rng=0)
    assert result.objective == pytest.approx(best.objective, abs=1e-2)
    assert result.history["step"][0] == "start"
    assert np.all(np.diff(result.history.objectives) >= -1e-9)  # a history of its own


@pytest.mark.parametrize("strategy", SEARCHES)
def test_the_same_bits_for_any_number_of_threads(trapped, strategy):
    X = trapped[0]
    model = Mixture(Gaussian("spherical"), 9, "random_from_data")
    settings = {"init_strategy": strategy, "n_init": 2}
    one, two, again = (EM(n_jobs=n, **settings).run(model, X, rng=3) for n in (1, 2, 1))
    for other in (two, again):
        np.testing.assert_array_equal(one.params.family.means, other.params.family.means)
        assert [s.objective for s in one.starts] == [s.objective for s in other.starts]


@pytest.mark.parametrize("strategy", ["restarts", "short-runs", "annealing"])
def test_chains_take_the_strategies(strategy, rng):
    X = rng.poisson(np.repeat([2.0, 9.0, 2.0], 50))[:, None]
    hmm = PoissonHMM(2, init_strategy=strategy, random_state=0).fit(X)
    assert hmm.converged_
    assert len(hmm.result_.starts) == (SHORT if strategy == "short-runs" else 1)
    np.testing.assert_allclose(np.sort(hmm.lambdas_.ravel()), [2, 9], rtol=0.25)


def test_a_callback_ends_the_search(trapped):
    X, wrong, _ = trapped
    for strategy in ("split-merge", "short-runs"):
        seen = []

        def stop(state, seen=seen):
            seen.append(state.start)
            return state.start == 1

        model = Mixture(Gaussian("spherical"), 9, at(wrong))
        result = EM(init_strategy=strategy, callbacks=[stop]).run(model, X, rng=0)
        assert max(seen) == (1 if strategy == "split-merge" else SHORT - 1)
        assert np.isfinite(result.objective)


def test_what_cannot_be_is_refused(trapped, tmp_path):
    X = trapped[0]
    model = Mixture(Gaussian(), 3)
    with pytest.raises(ValueError, match="init_strategy must be one of"):
        EM(init_strategy="luck")
    with pytest.raises(ValueError, match="defines no moves"):
        EM(init_strategy="split-merge").run(
            HiddenMarkov(Poisson(), 2), X[:, :1].round() ** 2, rng=0
        )
    with pytest.raises(ValueError, match="keeps no checkpoints"):
        EM(init_strategy="short-runs", checkpoint=tmp_path / "fit").run(model, X, rng=0)
    with pytest.raises(ValueError, match="init_strategy must be one of"):
        MixtureEstimator(Poisson(), 2, init_strategy="luck").fit(X.round() ** 2)
