"""The hardest cases the contract must carry, each a compact model on the engine as it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from latentem import EM, Reason, datasets
from latentem.engine.backends import SerialBackend
from latentem.engine.blocks import slices
from latentem.testing import check_model
from tests.contract.sketches import hidden_markov as hmm
from tests.contract.sketches import missing_cells, poisson_linear, state_space, two_poisson
from tests.contract.sketches import word_alignment as words

PLAIN = {"accelerate": None, "n_jobs": 1}


def names(pairs):
    return {name for name, _ in pairs}


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def objectives(model, data, start, n_maps):
    em = EM(**PLAIN, tol=0, max_iter=n_maps)
    return [state.objective for state in em.iterate(model, data, start=start)]


# ------------------------------------------------------------------- a user's first model


@pytest.mark.nojit
def test_two_poisson_passes_every_check(rng):
    deaths = datasets.load_times_deaths()
    data = (deaths.data[:, 0], deaths.weights)
    report = check_model(two_poisson.TwoPoisson(), data, weights=1)
    assert names(report.skipped) == {"fixed values"}


# -------------------------------------------------------------------- hidden Markov model


def quakes():
    return [datasets.load_earthquakes()["count"]]


def spread_out(rates):
    k = len(rates)
    moves = np.full((k, k), 0.1)
    np.fill_diagonal(moves, 1 - 0.1 * (k - 1))
    return hmm.Params(np.full(k, 1 / k), moves, np.array(rates, float))


def test_hidden_markov_passes_every_check(rng):
    truth = hmm.Params(
        np.array([0.6, 0.4]), np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([3.0, 9.0])
    )
    model = hmm.PoissonHMM(2)
    data = model.sample(truth, 600, rng)
    report = check_model(model, data, start=truth._replace(rates=np.array([4.0, 7.0])))
    assert names(report.skipped) == {"row weights", "fixed values"}


@pytest.mark.parametrize(
    ("rates", "trace"),
    [
        ([10, 30], [413.27541962, 343.76023411, 343.13618142, 341.87870618]),
        ([10, 20, 30], [342.90780756, 332.12142979, 330.63688835, 328.52748338]),
    ],
)
def test_hidden_markov_trace(rates, trace):
    path = objectives(hmm.PoissonHMM(len(rates)), quakes(), spread_out(rates), 30)
    found = [-path[0], -path[1], -path[2], -path[30]]
    np.testing.assert_allclose(found, trace, rtol=0, atol=6e-9)


@pytest.mark.parametrize(
    ("rates", "loglik"), [([10, 30], -341.87870101), ([10, 20, 30], -328.52748338)]
)
def test_hidden_markov_optimum(rates, loglik):
    """The start distribution and a transition reach 0, so coordinates are infinite there."""
    model = hmm.PoissonHMM(len(rates))
    result = EM(tol=1e-9, accelerate="squarem").run(model, quakes(), start=spread_out(rates))
    assert result.converged
    assert result.loglik == pytest.approx(loglik, abs=1e-8)
    assert result.params.start.max() == pytest.approx(1, abs=1e-9)


# --------------------------------------------------------------------- image reconstruction

A = np.array(
    [[2.5, 1.2, 0.3, 0.1], [0.4, 3.1, 0.7, 0.2], [0.1, 0.3, 4.1, 2.5], [0.2, 0.5, 0.2, 0.9]]
)
BACKGROUND = np.array([0.3, 0.2, 0.1, 0.4])
Y = np.array([29.0, 35.0, 49.0, 14.0])
RAYS = (A, Y, BACKGROUND)


def test_poisson_linear_passes_every_check(rng):
    a = rng.gamma(1.0, size=(60, 3))
    y = rng.poisson(a @ [1.0, 4.0, 2.0] + 0.5).astype(float)
    data = (a, y, np.full(60, 0.5))
    report = check_model(poisson_linear.PoissonLinear(), data)
    assert names(report.skipped) == {"row weights", "fixed values", "simulate and recover"}
    prior = poisson_linear.PoissonLinear(beta=0.3, centre=np.array([2.0, 2.0, 9.0]))
    check_model(prior, data)


def test_poisson_linear_path_and_optimum():
    model = poisson_linear.PoissonLinear()
    paths = {s.n_iter: s.params.x for s in EM(**PLAIN, tol=0, max_iter=10).iterate(model, RAYS)}
    np.testing.assert_allclose(
        paths[1], [6.71363097, 7.2055467, 6.95695502, 6.80043889], atol=6e-9, rtol=0
    )
    np.testing.assert_allclose(
        paths[10], [6.42685347, 8.3646447, 6.85815927, 7.13994535], atol=6e-9, rtol=0
    )
    result = EM(tol=1e-13, max_iter=5000).run(model, RAYS)
    mean = A @ result.params.x + BACKGROUND
    assert np.sum(mean - Y * np.log(mean)) == pytest.approx(-322.7347584438, abs=6e-11)
    result = EM(stopping="step", tol=1e-11, max_iter=5000).run(model, RAYS)
    np.testing.assert_allclose(
        result.params.x, [6.34000159, 8.44197482, 6.54624952, 7.55751374], atol=1e-8, rtol=0
    )


def test_poisson_linear_map():
    model = poisson_linear.PoissonLinear(beta=0.1, centre=np.array([5.5, 10.7, 8.2, 7.9]))
    result = EM(stopping="step", tol=1e-11, max_iter=5000).run(model, RAYS)
    newton = np.array([5.749742708609, 9.117909243470, 6.967436146295, 7.246373105919])
    np.testing.assert_allclose(result.params.x, newton, atol=1e-9, rtol=0)
    # The published digits; the last one of the first number is off by one.
    np.testing.assert_allclose(
        result.params.x, [5.74974272, 9.11790924, 6.96743615, 7.2463731], atol=1.5e-8, rtol=0
    )
    assert result.objective == result.loglik + model.log_prior(result.params)


def test_poisson_linear_pixel_at_zero_does_not_stop_acceleration():
    """A pixel that is exactly 0 stays there, and the others are still extrapolated."""
    model = poisson_linear.PoissonLinear()
    start = poisson_linear.Params(np.array([1.0, 1.0, 1.0, 0.0]))
    em = EM(stopping="step", tol=1e-9, max_iter=5000, accelerate="squarem")
    result = em.run(model, RAYS, start=start)
    assert result.converged
    assert result.params.x[3] == 0
    accepted = result.history["accepted"].astype(bool)
    assert (result.history["step"][accepted] == "squarem").any()


# -------------------------------------------------------------------------- word alignment

# target (English): the house book a; source (German): das Haus Buch ein
CORPUS = [
    (np.array(e), np.array(f)) for e, f in (([0, 1], [0, 1]), ([0, 2], [0, 2]), ([3, 2], [3, 2]))
]


def test_word_alignment_digits():
    model = words.WordAlignment(np.ones((4, 4), dtype=bool))
    em = EM(**PLAIN, tol=0, max_iter=6)
    states = list(em.iterate(model, CORPUS))
    the_das = [s.params.t[0, 0] for s in states[1:7]]
    house = [s.params.t[1, 1] for s in states[1:5]]
    surprise = [-s.loglik / np.log(2) for s in states[:5]]
    np.testing.assert_allclose(
        the_das, [0.5, 0.636364, 0.747897, 0.834440, 0.896083, 0.937085], atol=6e-7
    )
    np.testing.assert_allclose(house, [0.5, 0.571429, 0.653386, 0.724479], atol=6e-7)
    np.testing.assert_allclose(surprise, [12, 7.6601, 7.2151, 6.8452, 6.5631], atol=6e-5)


def test_word_alignment_passes_every_check(rng):
    seen = np.array([[1, 1, 0, 1], [0, 1, 1, 0], [1, 0, 1, 1]], dtype=bool)
    t = np.where(seen, rng.gamma(2.0, size=seen.shape), 0.0)
    model = words.WordAlignment(seen)
    data = model.sample(words.Params(t / t.sum(1, keepdims=True)), 60, rng)
    report = check_model(model, data)
    assert names(report.skipped) == {"row weights"}
    assert dict(report.passed)["flat vector"] == "5 free coordinates"


# --------------------------------------------------------------------------- missing cells


def test_missing_cells_passes_every_check():
    rows = datasets.load_cholesterol().data / 50
    report = check_model(missing_cells.MissingCells(), rows)
    assert names(report.skipped) == {"row weights", "fixed values"}


def test_missing_cells_apple():
    result = EM(tol=1e-11).run(missing_cells.MissingCells(), datasets.load_apple().data)
    covariance = [[89.533951, -90.696729], [-90.696729, 114.694955]]
    assert result.loglik == pytest.approx(-101.785632, abs=6e-7)
    np.testing.assert_allclose(result.params.mean, [14.722222, 49.333333], atol=2e-6)
    np.testing.assert_allclose(result.params.covariance, covariance, atol=2e-5)


# ------------------------------------------------- Kalman, single cells of a row missing


def truth(n_states):
    k = n_states
    return state_space.Params(
        first_mean=np.linspace(0.5, -0.5, k),
        first_covariance=np.eye(k) + 0.2,
        moves=np.array([[0.8, 0.15], [-0.2, 0.7]])[:k, :k],
        loadings=np.array([[1.0, 0.3], [-0.6, 0.9]])[:, :k],
        state_noise=np.array([[0.5, 0.1], [0.1, 0.4]])[:k, :k],
        noise=np.array([[0.4, 0.25], [0.25, 0.6]]),
    )


def holed(n_states, rng, n_sequences=4, length=15):
    params = truth(n_states)
    data = [state_space.draw(params, length, rng, lost=0.3) for _ in range(n_sequences)]
    one_cell = sum(int((np.isnan(y).sum(axis=1) == 1).sum()) for y in data)
    assert one_cell >= 3, "the point of these tests is rows with one cell of two missing"
    return params, data


def other(params):
    """Parameters away from the truth, off-diagonal noise included."""
    return params._replace(
        moves=params.moves * 0.7,
        loadings=params.loadings + 0.2,
        state_noise=params.state_noise * 1.5,
        noise=params.noise + 0.3 * np.eye(2),
    )


@pytest.mark.parametrize("n_states", [1, 2])
def test_state_space_loglik_is_the_joint_normal_of_observed_cells(n_states, rng):
    params, data = holed(n_states, rng)
    data[0][3] = np.nan  # a row with nothing seen
    model = state_space.StateSpace(params)
    found = SerialBackend().expect(model, params, [data]).loglik
    expected = 0.0
    for y in data:
        mean, covariance, _ = state_space.joint_normal(params, len(y))
        seen = np.flatnonzero(~np.isnan(y.ravel()))
        normal = multivariate_normal(mean[seen], covariance[np.ix_(seen, seen)])
        expected += normal.logpdf(y.ravel()[seen])
    assert found == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("n_states", [1, 2])
def test_state_space_statistics_are_conditional_moments_of_the_joint_normal(n_states, rng):
    """E[y y'] and E[y x'] from one big conditional normal, with no recursion at all."""
    params, data = holed(n_states, rng, n_sequences=1, length=6)
    y, k, d = data[0], n_states, 2
    model = state_space.StateSpace(params)
    observed = SerialBackend().expect(model, params, [data]).statistics.observed
    wide = params._replace(loadings=np.vstack([params.loadings, np.eye(k)]))
    noise = np.zeros((d + k, d + k))
    noise[:d, :d] = params.noise
    mean, covariance, _ = state_space.joint_normal(wide._replace(noise=noise), len(y))
    full = np.hstack([y, np.full((len(y), k), np.nan)]).ravel()
    seen = np.flatnonzero(~np.isnan(full))
    gain = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[seen]).T
    post_mean = mean + gain @ (full[seen] - mean[seen])
    post = covariance - gain @ covariance[seen]
    second = post + np.outer(post_mean, post_mean)
    total = sum(
        second[t * (d + k) : (t + 1) * (d + k), t * (d + k) : (t + 1) * (d + k)]
        for t in range(len(y))
    )
    np.testing.assert_allclose(observed.tt, total[:d, :d], rtol=1e-9)
    np.testing.assert_allclose(observed.tr, total[:d, d:], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(observed.rr, total[d:, d:], rtol=1e-9)


@pytest.mark.parametrize(("n_states", "free_first"), [(1, True), (2, False)])
def test_state_space_passes_every_check(n_states, free_first, rng):
    params, data = holed(n_states, rng, n_sequences=4, length=8)
    model = state_space.StateSpace(other(params), free_first)
    report = check_model(model, data, n_maps=30, n_simulated=200 if free_first else 0)
    unfit = {"fixed values"} if free_first else {"simulate and recover"}
    assert names(report.skipped) == {"row weights"} | unfit
    slopes = dict(report.passed)["Fisher's identity"]
    assert int(slopes.split()[0]) >= 3 * (1 + 2 + 1 + 3)  # every one of A, C, Q, R


def test_state_space_reaches_the_maximum_of_the_likelihood():
    """Against scipy on the brute-force likelihood, two outputs, one state, cells missing."""
    params, data = holed(1, np.random.default_rng(3), n_sequences=4, length=10)
    model = state_space.StateSpace(other(params))
    result = EM(tol=1e-7, accelerate=None).run(model, data)
    assert result.reason is Reason.CONVERGED
    assert np.all(np.diff(result.history.objectives) > -1e-9)

    def negative(vector):
        noise = np.array([[np.exp(vector[4]), 0.0], [vector[5], np.exp(vector[6])]])
        at = params._replace(
            moves=vector[None, :1],
            loadings=vector[1:3, None],
            state_noise=np.exp(vector[3:4])[None],
            noise=noise @ noise.T,
        )
        total = 0.0
        for y in data:
            mean, covariance, _ = state_space.joint_normal(at, len(y))
            seen = np.flatnonzero(~np.isnan(y.ravel()))
            factor = np.linalg.cholesky(covariance[np.ix_(seen, seen)])
            white = np.linalg.solve(factor, y.ravel()[seen] - mean[seen])
            total += np.log(np.diag(factor)).sum() + 0.5 * white @ white
            total += 0.5 * len(seen) * np.log(2 * np.pi)
        return total

    begin = np.array([0.8, 1.0, -0.6, np.log(0.5), np.log(0.6), 0.4, np.log(0.6)])
    best = minimize(negative, begin, method="BFGS", options={"gtol": 1e-7, "maxiter": 2000})
    assert result.loglik == pytest.approx(-best.fun, abs=1e-6)


def test_default_blocks_carry_tuples_of_rays():
    assert [len(part[1]) for part in slices(RAYS, 2)] == [2, 2]
