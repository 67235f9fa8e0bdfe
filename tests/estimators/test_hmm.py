"""The hidden Markov estimators: scikit-learn's and hmmlearn's habits, streams, wrong input."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from latentem import (
    GMMHMM,
    HMM,
    CategoricalHMM,
    GaussianHMM,
    ImpossibleRowWarning,
    PoissonHMM,
    families,
    left_right,
    standard_errors,
)
from latentem.datasets import load_earthquakes

COUNTS = load_earthquakes()[["count"]]


def real_rows(rng, lengths=(120, 40, 80)):
    n = sum(lengths)
    states = np.repeat(rng.integers(2, size=n // 10), 10)
    return 4.0 * states[:, None] + rng.standard_normal((n, 2)), list(lengths), states


def every_estimator(rng):
    X, lengths, _ = real_rows(rng)
    codes = (X > 2).astype(float)
    return {
        "gaussian": (GaussianHMM(2, random_state=0), X),
        "gmm": (GMMHMM(2, 2, random_state=0), X),
        "poisson": (PoissonHMM(2, random_state=0), np.abs(np.round(X))),
        "categorical": (CategoricalHMM(2, random_state=0), codes[:, :1]),
        "two columns": (CategoricalHMM(2, random_state=0), codes),
        "exponential": (HMM(families.Exponential(), 2, random_state=0), np.abs(X)),
    }, lengths


NAMES = ["gaussian", "gmm", "poisson", "categorical", "two columns", "exponential"]


@pytest.mark.parametrize("name", NAMES)
def test_face(name, rng):
    every, lengths = every_estimator(rng)
    hmm, X = every[name]
    assert str(clone(hmm).get_params()) == str(hmm.get_params())
    hmm.fit(X, lengths=lengths)
    assert hmm.converged_
    assert hmm.n_features_in_ == X.shape[1]
    again = clone(hmm).fit(np.split(X, np.cumsum(lengths)[:-1]))
    assert again.loglik_ == hmm.loglik_
    assert hmm.score(X, lengths=lengths) == pytest.approx(hmm.loglik_, rel=1e-12)
    assert hmm.score_sequences(X, lengths).sum() == pytest.approx(hmm.loglik_, rel=1e-12)
    total, posterior = hmm.score_samples(X, lengths)
    assert total == pytest.approx(hmm.loglik_, rel=1e-12)
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0)
    np.testing.assert_array_equal(hmm.predict_proba(X, lengths), posterior)
    joint, path = hmm.decode(X, lengths)
    assert joint <= total
    assert path.dtype == np.int64
    assert hmm.decode(X, lengths, algorithm="map")[0] <= joint + 1e-9
    drawn = hmm.sample_states(X, lengths, random_state=0)
    assert np.mean(drawn == path) > 0.7
    rows, states = hmm.sample(30, random_state=1)
    assert rows.shape == (30, X.shape[1])
    assert states.shape == (30,)
    other = pickle.loads(pickle.dumps(hmm))
    assert other.score(X, lengths=lengths) == hmm.score(X, lengths=lengths)
    n, p = len(X), hmm.n_parameters()
    assert hmm.aic(X, lengths) == pytest.approx(-2 * total + 2 * p)
    assert hmm.bic(X, lengths) == pytest.approx(-2 * total + p * np.log(n))
    flipped = hmm.relabel([1, 0])
    assert flipped.score(X, lengths=lengths) == pytest.approx(total, rel=1e-12)
    np.testing.assert_array_equal(flipped.predict(X, lengths), 1 - path)


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_says_what_filter_says(name, rng):
    every, lengths = every_estimator(rng)
    hmm, X = every[name]
    hmm.fit(X, lengths=lengths)
    X = X[:60].copy()
    X[20:23] = np.nan
    filtered, state, total = hmm.filter(X), hmm.start_state(), 0.0
    for row, expected in zip(X, filtered, strict=True):
        before = state.predicted.copy()
        new, probabilities, increment = hmm.update(state, row)
        np.testing.assert_array_equal(state.predicted, before)
        np.testing.assert_allclose(probabilities, expected, atol=1e-12)
        state, total = new, total + increment
    assert total == pytest.approx(hmm.score(X), rel=1e-11)
    np.testing.assert_allclose(filtered[-1], hmm.predict_proba(X)[-1], atol=1e-12)


def test_one_state_is_one_distribution(rng):
    X, _, _ = real_rows(rng)
    hmm = GaussianHMM(1, covariance_type="full").fit(X)
    np.testing.assert_allclose(hmm.means_[0], X.mean(axis=0))
    np.testing.assert_allclose(hmm.covariances_[0], np.cov(X.T, bias=True))
    expected = stats.multivariate_normal(hmm.means_[0], hmm.covariances_[0]).logpdf(X).sum()
    assert hmm.loglik_ == pytest.approx(expected, rel=1e-12)


def test_labels_pin_states(rng):
    X, lengths, states = real_rows(rng)
    labels = np.where(rng.random(len(X)) < 0.3, 1 - states, -1)  # named the other way round
    hmm = GaussianHMM(2, random_state=0).fit(X, lengths=lengths, labels=labels)
    assert hmm.means_[1, 0] < hmm.means_[0, 0]
    parts = np.split(labels, np.cumsum(lengths)[:-1])
    listed = GaussianHMM(2, random_state=0)
    listed.fit(np.split(X, np.cumsum(lengths)[:-1]), labels=parts)
    assert listed.loglik_ == hmm.loglik_


def test_weights_of_sequences(rng):
    X, lengths, _ = real_rows(rng)
    start = {"means_init": [[0.0, 0.0], [4.0, 0.0]], "covariances_init": np.ones((2, 2)),
             "startprob_init": [0.5, 0.5], "transmat_init": [[0.9, 0.1], [0.1, 0.9]]}  # fmt: skip
    settings = {"tol": 1e-9, "accelerate": None, **start}
    weighted = GaussianHMM(2, **settings).fit(X, lengths=lengths, sample_weight=[2, 0, 1])
    parts = np.split(X, np.cumsum(lengths)[:-1])
    repeated = GaussianHMM(2, **settings).fit([parts[0], parts[0], parts[2]])
    assert weighted.loglik_ == pytest.approx(repeated.loglik_, rel=1e-10)
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-8)
    score = weighted.score(X, lengths=lengths, sample_weight=[2, 0, 1])
    assert score == pytest.approx(weighted.loglik_, rel=1e-11)


def test_what_is_fixed_stays_to_the_bit(rng):
    X, lengths, _ = real_rows(rng)
    moves = np.array([[0.85, 0.15], [0.25, 0.75]])
    entries = np.array([[True, True], [False, False]])
    for fixed, kept in (
        (("means",), "means_"),
        (("covariances",), "covariances_"),
        (("startprob", "transmat"), "transmat_"),
    ):
        hmm = GaussianHMM(
            2, fixed=fixed, startprob_init=[0.5, 0.5], transmat_init=moves,
            means_init=[[0.1, 0.0], [3.9, 0.2]], covariances_init=np.full((2, 2), 1.3),
        ).fit(X, lengths=lengths)  # fmt: skip
        given = {"means_": [[0.1, 0.0], [3.9, 0.2]], "covariances_": np.full((2, 2), 1.3),
                 "transmat_": moves}[kept]  # fmt: skip
        np.testing.assert_array_equal(getattr(hmm, kept), given)
    hmm = GaussianHMM(2, fixed={"transmat": entries}, transmat_init=moves, random_state=0)
    hmm.fit(X, lengths=lengths)
    np.testing.assert_array_equal(hmm.transmat_[0], moves[0])
    assert not np.array_equal(hmm.transmat_[1], moves[1])
    assert hmm.n_parameters() == 1 + 1 + 4 + 4


def test_a_left_right_chain_keeps_its_zeros(rng):
    X = np.repeat([0.0, 5.0, 9.0], 20)[:, None] + rng.standard_normal((60, 1))
    hmm = GaussianHMM(3, transmat_mask=left_right(3), random_state=0).fit(X)
    assert np.all(hmm.transmat_[~left_right(3)] == 0)
    assert hmm.n_parameters() == 2 + 2 + 3 + 3
    absorbing = GaussianHMM(3, transmat_mask=left_right(3), random_state=0).fit([X, X[:30]])
    assert np.isfinite(absorbing.loglik_)


def test_a_stationary_chain(rng):
    hmm = PoissonHMM(2, stationary=True, random_state=0, tol=1e-10).fit(COUNTS)
    np.testing.assert_allclose(hmm.startprob_ @ hmm.transmat_, hmm.startprob_, atol=1e-12)
    np.testing.assert_allclose(hmm.startprob_, hmm.stationary_distribution(), atol=1e-12)
    assert hmm.n_parameters() == 2 + 2
    assert standard_errors(hmm, COUNTS)["lambdas"].shape == (2, 1)


def test_a_stationary_fit_survives_a_proposal_beside_a_split():
    rng = np.random.default_rng(48)
    rates = np.array([3, 5, 7, 9])[np.cumsum(rng.random(200) < 0.15) % 4]
    X = rng.poisson(rates)[:, None]
    hmm = PoissonHMM(4, random_state=0, stationary=True).fit(X)
    assert hmm.converged_
    assert hmm.loglik_ == pytest.approx(-475.1474, abs=2e-3)


def test_forecast_against_simulation(rng):
    hmm = PoissonHMM.from_parameters(
        startprob=[0.5, 0.5], transmat=[[0.9, 0.1], [0.3, 0.7]], lambdas=[[2.0], [15.0]]
    )
    X = np.array([[14.0], [16.0], [13.0]])
    ahead = hmm.forecast(X, 4)
    assert ahead.states.shape == (4, 2)
    last = hmm.filter(X)[-1]
    np.testing.assert_allclose(ahead.states[0], last @ hmm.transmat_)
    weights = ahead.states[3]
    draws = np.where(rng.random(200_000) < weights[0], rng.poisson(2.0, 200_000),
                     rng.poisson(15.0, 200_000))  # fmt: skip
    assert ahead.mean[3, 0] == pytest.approx(draws.mean(), rel=0.01)
    assert ahead.variance[3, 0] == pytest.approx(draws.var(), rel=0.02)
    low, high = ahead.interval(0.8)
    assert low[3, 0] == np.quantile(draws, 0.1, method="inverted_cdf")
    assert high[3, 0] == np.quantile(draws, 0.9, method="inverted_cdf")
    assert "mean" in repr(ahead)
    far = hmm.forecast(X, 400).states[-1]
    np.testing.assert_allclose(far, hmm.stationary_distribution(), atol=1e-12)


def test_intervals_of_continuous_rows():
    hmm = GaussianHMM.from_parameters(
        startprob=[1.0], transmat=[[1.0]], means=[[10.0, 1e6]], covariances=[[4.0, 1.0]]
    )
    low, high = hmm.forecast([[10.0, 1e6]], 2).interval(0.95)
    z = stats.norm.ppf(0.975)
    np.testing.assert_allclose(low[1], [10 - 2 * z, 1e6 - z], rtol=1e-9)
    np.testing.assert_allclose(high[0], [10 + 2 * z, 1e6 + z], rtol=1e-9)


def test_forecasts_far_from_zero_keep_their_digits():
    chain = {"startprob": [0.5, 0.5], "transmat": [[0.5, 0.5], [0.5, 0.5]]}
    near = GaussianHMM.from_parameters(**chain, means=[[0.0], [3.0]], covariances=[[1e-4], [4.0]])
    far = GaussianHMM.from_parameters(
        **chain, means=[[1e9], [1e9 + 3]], covariances=[[1e-4], [4.0]]
    )
    here, there = near.forecast([[0.0]], 3), far.forecast([[1e9]], 3)
    np.testing.assert_allclose(there.variance, here.variance, rtol=1e-12)
    np.testing.assert_allclose(there.variance, 0.5 * (1e-4 + 4.0) + 0.25 * 9.0, rtol=1e-12)
    for low, high in zip(here.interval(0.5), there.interval(0.5), strict=True):
        np.testing.assert_allclose(high - 1e9, low, atol=1e-6)


def test_pseudo_residuals_are_standard_normal_under_the_model(rng):
    hmm = GaussianHMM.from_parameters(
        startprob=[0.5, 0.5], transmat=[[0.9, 0.1], [0.2, 0.8]], means=[[0.0], [4.0]],
        covariances=[[1.0], [2.0]],
    )  # fmt: skip
    X, _ = hmm.sample(2000, random_state=3)
    residuals = hmm.pseudo_residuals(X, [500, 1500])
    assert stats.kstest(residuals[:, 0], "norm").pvalue > 0.01
    one = GaussianHMM.from_parameters(
        startprob=[1.0], transmat=[[1.0]], means=[[1.0]], covariances=[[4.0]]
    )
    rows = np.array([[1.0], [np.nan], [5.0]])
    found = one.pseudo_residuals(rows)[:, 0]
    np.testing.assert_allclose(found, [0.0, np.nan, 2.0], atol=1e-12)
    poisson = PoissonHMM.from_parameters(startprob=[1.0], transmat=[[1.0]], lambdas=[[3.0]])
    middle = 0.5 * (stats.poisson.cdf(4, 3.0) + stats.poisson.cdf(3, 3.0))
    assert poisson.pseudo_residuals([[4]])[0, 0] == pytest.approx(stats.norm.ppf(middle))


def test_pseudo_residuals_of_rows_far_away_are_told_on_both_sides():
    chain = {"startprob": [0.5, 0.5], "transmat": [[0.5, 0.5], [0.5, 0.5]]}
    gaussian = GaussianHMM.from_parameters(**chain, means=[[0.0], [0.0]], covariances=[[1], [1]])
    rows = np.array([[-30.0], [-9.0], [0.0], [9.0], [30.0]])
    np.testing.assert_allclose(gaussian.pseudo_residuals(rows), rows, rtol=1e-12)
    poisson = PoissonHMM.from_parameters(**chain, lambdas=[[2.0], [2.0]])
    middle = 0.5 * (stats.poisson.sf(60, 2.0) + stats.poisson.sf(59, 2.0))
    expected = stats.norm.isf(middle)
    assert expected > 10
    assert poisson.pseudo_residuals([[60]])[0, 0] == pytest.approx(expected, rel=1e-9)


def test_durations():
    hmm = PoissonHMM.from_parameters(
        startprob=[1, 0], transmat=[[0.75, 0.25], [0.0, 1.0]], lambdas=[[1.0], [2.0]]
    )
    assert hmm.expected_durations().tolist() == [4.0, np.inf]


def test_missing_rows_are_marginalised(rng):
    X, lengths, _ = real_rows(rng)
    gone = X.copy()
    gone[30:45] = np.nan
    for kind in ("diag", "full", "tied", "spherical"):
        hmm = GaussianHMM(2, covariance_type=kind, random_state=0).fit(gone, lengths=lengths)
        assert hmm.bic(gone, lengths) == pytest.approx(
            -2 * hmm.loglik_ + hmm.n_parameters() * np.log(len(X) - 15)
        )
        blank = hmm.predict_proba(gone, lengths)[35]
        power = np.linalg.matrix_power(hmm.transmat_, 200)
        assert np.all(blank > 0)
        assert power.shape == (2, 2)


def test_sequences_of_which_nothing_was_seen():
    """The chain says something of the states all the same; there is only nothing to fit."""
    settings = {"startprob": [1.0, 0.0], "transmat": [[0.9, 0.1], [0.2, 0.8]]}
    unseen = np.full((3, 2), np.nan)
    means, covariances = (
        [[0.0, 0.0], [4.0, 4.0]],
        {"diag": np.ones((2, 2)), "full": [np.eye(2)] * 2},
    )
    for kind, values in covariances.items():  # missing cells, or whole rows only
        hmm = GaussianHMM.from_parameters(
            **settings, means=means, covariances=values, covariance_type=kind
        )
        expected = [[1.0, 0.0], [0.9, 0.1], [0.83, 0.17]]
        np.testing.assert_allclose(hmm.filter(unseen), expected, rtol=1e-14)
        np.testing.assert_allclose(hmm.predict_proba(unseen), expected, rtol=1e-14)
        assert hmm.score(unseen, [1, 2]) == 0.0
        assert hmm.decode(unseen)[0] == pytest.approx(2 * np.log(0.9))
        assert hmm.predict(unseen, algorithm="map").tolist() == [0, 0, 0]
        assert hmm.sample_states(unseen, random_state=0).shape == (3,)
        np.testing.assert_allclose(hmm.forecast(unseen).states, [[0.781, 0.219]])
        assert np.isnan(hmm.pseudo_residuals(unseen)).all()
        with pytest.raises(ValueError, match="every row is missing"):
            hmm.fit(unseen)


def test_an_impossible_row_is_named():
    hmm = PoissonHMM.from_parameters(
        startprob=[1.0, 0.0], transmat=np.eye(2), lambdas=[[0.0], [3.0]]
    )
    X = [[0], [0], [0], [4], [0]]
    with pytest.warns(ImpossibleRowWarning, match=r"row 3 \(row 1 of sequence 1\)"):
        assert hmm.score(X, lengths=[2, 3]) == -np.inf
    with pytest.warns(ImpossibleRowWarning):
        posterior = hmm.predict_proba(X, [2, 3])
    np.testing.assert_allclose(posterior, [[1, 0], [1, 0], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]])
    state, probabilities, increment = hmm.update(hmm.start_state(), [4])
    assert increment == -np.inf
    assert probabilities.tolist() == [1.0, 0.0]
    assert state.predicted.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("weights", [None, [0, 1, 1]])
def test_a_fit_names_the_impossible_row_and_what_may_have_ruled_it_out(weights):
    X = np.array([[0.0], [1], [5], [6], [0], [1], [2], [3], [1], [4]])
    labels = np.array([-1, -1, -1, -1, 1, -1, 0, -1, -1, -1])
    hmm = PoissonHMM(2, random_state=0, transmat_mask=left_right(2))
    with pytest.warns((ConvergenceWarning, ImpossibleRowWarning)) as told:
        hmm.fit(X, [4, 4, 2], sample_weight=weights, labels=labels)
    assert hmm.loglik_ == -np.inf
    sentence = next(str(w.message) for w in told if w.category is ImpossibleRowWarning)
    assert sentence.startswith("row 6 (row 2 of sequence 1) has probability zero")
    assert sentence.endswith(
        "Likely cause: labels and transmat_mask, which rule out states or what they may produce"
    )
    assert sentence in hmm.result_.warnings
    assert hmm.result_.notes == ()


def test_an_impossible_fit_has_no_notes_of_its_statistics():
    """They are zeros, for there are no posteriors: "state 0 is never visited" would be untrue."""
    start = {"startprob_init": [1, 0], "transmat_init": np.eye(2), "lambdas_init": [[0.0], [3.0]]}
    with pytest.warns((ConvergenceWarning, ImpossibleRowWarning)) as told:
        hmm = PoissonHMM(2, **start).fit([[0], [1], [5], [6]])
    assert hmm.result_.notes == ()
    assert any("row 1 (row 1 of sequence 0)" in str(w.message) for w in told)
    assert any("Likely cause: zeros of lambdas_init, zeros of" in str(w.message) for w in told)


def test_a_failed_fit_changes_nothing():
    hmm = PoissonHMM(2, random_state=0).fit(COUNTS)
    before = dict(vars(hmm))
    with pytest.raises(ValueError, match="counts"):
        hmm.fit(-COUNTS)
    assert vars(hmm).keys() == before.keys()
    assert hmm.loglik_ == before["loglik_"]


def test_a_frame_is_taken_and_its_columns_remembered():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"quakes": COUNTS[:, 0]})
    hmm = PoissonHMM(2, random_state=0).fit(frame)
    assert hmm.feature_names_in_.tolist() == ["quakes"]
    with pytest.raises(ValueError, match="feature names"):
        hmm.score(frame.rename(columns={"quakes": "other"}))


def test_relabel_takes_masks_fixed_entries_and_starts_along(rng):
    X = np.repeat([0.0, 5.0], 30)[:, None] + rng.standard_normal((60, 1))
    entries = np.array([[False, True], [False, False]])
    moves = np.array([[0.9, 0.1], [0.0, 1.0]])
    hmm = GaussianHMM(
        2, transmat_mask=left_right(2), transmat_init=moves, fixed={"transmat": entries},
        means_init=[[0.0], [5.0]], random_state=0,
    ).fit(X)  # fmt: skip
    other = hmm.relabel([1, 0])
    assert other.n_parameters() == hmm.n_parameters()
    assert other.transmat_mask.tolist() == [[True, False], [True, True]]
    assert other.fixed["transmat"].tolist() == [[False, False], [True, False]]
    assert other.means_init.ravel().tolist() == [5.0, 0.0]
    assert hmm.transmat_init is moves
    again = clone(other).fit(X)
    assert again.loglik_ == pytest.approx(hmm.loglik_, abs=1e-3)


def test_mixtures_as_emissions_forecast(rng):
    hmm = GMMHMM.from_parameters(
        startprob=[1.0], transmat=[[1.0]], weights=[[0.25, 0.75]], means=[[[0.0], [4.0]]],
        covariances=[[[1.0], [2.0]]],
    )  # fmt: skip
    ahead = hmm.forecast([[1.0]], 1)
    assert ahead.mean[0, 0] == pytest.approx(3.0)
    assert ahead.variance[0, 0] == pytest.approx(0.25 * (1 + 9) + 0.75 * (2 + 1))
    low, high = ahead.interval(0.9)
    mix = lambda v: 0.25 * stats.norm.cdf(v) + 0.75 * stats.norm.cdf(v, 4, 2**0.5)  # noqa: E731
    assert mix(low[0, 0]) == pytest.approx(0.05)
    assert mix(high[0, 0]) == pytest.approx(0.95)
