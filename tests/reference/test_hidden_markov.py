"""Published results of hidden Markov models, to the digits.

Earthquakes: Zucchini and MacDonald (2009), Hidden Markov Models for Time Series, with
maxima derived again to more digits. The two-state examples are standard ones, from exact
fractions where these can be had.
"""

from __future__ import annotations

import numpy as np
import pytest

from latentem import CategoricalHMM, PoissonHMM
from latentem.datasets import load_earthquakes

COUNTS = load_earthquakes()[["count"]]
TIGHT = {"tol": 1e-11, "max_iter": 10_000}


def fit(k, **settings):
    return PoissonHMM(k, random_state=0, **{**TIGHT, **settings}).fit(COUNTS)


def ordered(hmm):
    return hmm.relabel(np.argsort(hmm.lambdas_[:, 0]))


def test_one_state():
    assert fit(1).loglik_ == pytest.approx(-391.91892817, abs=1e-8)


def test_two_states():
    hmm = ordered(fit(2))
    assert fit(2).loglik_ == pytest.approx(-341.87870101, abs=1e-8)
    # 26.01822 as published; 3,000 plain maps end at 26.018236, at the same log-likelihood.
    np.testing.assert_allclose(hmm.lambdas_[:, 0], [15.42076, 26.01822], atol=2e-5)
    np.testing.assert_allclose(
        hmm.transmat_, [[0.928374, 0.071626], [0.119034, 0.880966]], atol=2e-6
    )
    np.testing.assert_allclose(hmm.startprob_, [1.0, 0.0], atol=1e-6)


def test_three_states():
    hmm = ordered(fit(3))
    assert fit(3).loglik_ == pytest.approx(-328.52748338, abs=1e-8)
    np.testing.assert_allclose(hmm.lambdas_[:, 0], [13.133762, 19.713164, 29.709723], atol=3e-5)
    expected = [
        [0.939294, 0.032098, 0.028608],
        [0.040402, 0.906436, 0.053162],
        [0.0, 0.190256, 0.809744],
    ]
    np.testing.assert_allclose(hmm.transmat_, expected, atol=3e-6)
    assert hmm.decode(COUNTS)[0] == pytest.approx(-335.433671, abs=1e-4)
    blanked = COUNTS.copy()
    blanked[40:50] = np.nan  # 1940 to 1949
    assert hmm.score(blanked) == pytest.approx(-295.992458, abs=1e-4)
    assert hmm.forecast(COUNTS, 1).mean[0, 0] == pytest.approx(13.853626, abs=1e-4)


@pytest.mark.parametrize(
    ("lambdas", "first", "at_30"),
    [
        ([10, 30], [-413.27541962, -343.76023411, -343.13618142], -341.87870618),
        ([10, 20, 30], [-342.90780756, -332.12142979, -330.63688835], -328.527483),
    ],
)
def test_traces_of_plain_em(lambdas, first, at_30):
    k = len(lambdas)
    moves = np.full((k, k), 0.1)
    np.fill_diagonal(moves, 1 - 0.1 * (k - 1))
    hmm = PoissonHMM(
        k,
        startprob_init=np.full(k, 1 / k),
        transmat_init=moves,
        lambdas_init=np.array(lambdas)[:, None],
        accelerate=None,
        tol=0,
        max_iter=30,
    ).fit(COUNTS)
    trace = hmm.result_.history.objectives
    np.testing.assert_allclose(trace[:3], first, atol=1e-8)
    assert trace[-1] == pytest.approx(at_30, abs=1e-6)


def test_stationary_start():
    two = ordered(fit(2, stationary=True))
    assert two.loglik_ == pytest.approx(-342.318267, abs=1e-6)
    np.testing.assert_allclose(two.lambdas_[:, 0], [15.47228, 26.12544], atol=1e-5)
    assert fit(3, stationary=True).loglik_ == pytest.approx(-329.460278, abs=2e-6)


def test_four_states_have_several_maxima():
    """The best known has an absorbing state; a bound, because a run may find a better one."""
    hmm = fit(4, n_init=20, init_params="random_from_data")
    assert hmm.loglik_ >= -327.9
    assert hmm.loglik_ > fit(3).loglik_


def test_two_states_with_given_emission_likelihoods():
    hmm = CategoricalHMM.from_parameters(
        startprob=[0.5, 0.5],
        transmat=[[0.7, 0.3], [0.3, 0.7]],
        emissionprob=[[0.9, 0.1], [0.2, 0.8]],
    )
    rows = np.array([[0], [0], [1], [0], [0]])
    loglik, posterior = hmm.score_samples(rows)
    assert loglik == pytest.approx(-3.3725, abs=5e-5)
    np.testing.assert_allclose(posterior[:, 0], [0.8673, 0.8204, 0.3075, 0.8204, 0.8673], atol=5e-5)
    joint, path = hmm.decode(rows)
    assert joint == pytest.approx(-4.4590, abs=5e-5)
    assert path.tolist() == [0, 0, 1, 0, 0]


def test_weather():
    hmm = CategoricalHMM.from_parameters(
        startprob=[0.6, 0.4],
        transmat=[[0.7, 0.3], [0.4, 0.6]],
        emissionprob=[[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]],
    )
    rows = np.array([[0], [1], [2]])
    joint, path = hmm.decode(rows)
    assert np.exp(joint) == pytest.approx(0.01344, rel=1e-12)
    assert path.tolist() == [1, 0, 0]
    # Forward by hand: (.06, .24), (.0552, .0486), (.02904, .004572), which sum to .033612.
    total = 0.033612
    loglik, posterior = hmm.score_samples(rows)
    assert loglik == pytest.approx(np.log(total), rel=1e-12)
    np.testing.assert_allclose(posterior[2], [0.02904 / total, 0.004572 / total], rtol=1e-12)
    middle = [0.0552 * (0.7 * 0.5 + 0.3 * 0.1), 0.0486 * (0.4 * 0.5 + 0.6 * 0.1)]
    np.testing.assert_allclose(posterior[1], np.array(middle) / total, rtol=1e-12)
