"""Linear-Gaussian state space: against every cell's joint normal, by the contract, and limits."""

import numpy as np
import pytest

from latentem import EM
from latentem.datasets import load_nile
from latentem.models import LinearGaussian, LinearGaussianParams
from latentem.models.records import Records, records
from latentem.models.smoothing import filter_records, smooth
from latentem.models.state_space import draw
from latentem.testing import check_model

PARAMS = LinearGaussianParams(
    initial_mean=np.array([0.3, -0.2]),
    initial_covariance=0.8 * np.eye(2),
    transition=np.array([[0.8, 0.3], [-0.2, 0.7]]),
    input=np.array([[0.5], [0.0]]),
    observation=np.array([[1.0, 0.2], [-0.5, 1.0]]),
    feedthrough=np.array([[0.0], [0.3]]),
    transition_covariance=np.array([[0.5, 0.1], [0.1, 0.3]]),
    observation_covariance=np.array([[0.4, 0.15], [0.15, 0.3]]),
)


def diagonal(params):
    return params._replace(
        observation_covariance=np.diag(np.diag(params.observation_covariance)),
        transition_covariance=np.diag(np.diag(params.transition_covariance)),
    )


def simulated(params, lengths, rng, lost=0.3):
    u = rng.normal(size=(sum(lengths), 1))
    ends = np.cumsum(lengths)
    parts = [draw(params, u[b - n : b], rng)[1] for n, b in zip(lengths, ends, strict=True)]
    y = np.concatenate(parts)
    y[rng.random(y.shape) < lost] = np.nan
    return Records(y, np.array(lengths), u)


def joint(params, u):
    """Mean and covariance of (x_1, y_1, x_2, y_2, ...) without any recursion on data."""
    t, n, d = len(u), len(params.initial_mean), len(params.observation)
    # everything is linear in independent shocks: x_1, the steps, the noise of the cells
    width = t * (n + d)
    shocks = np.zeros((width, width))
    rows, mean = np.zeros((width, width)), np.zeros(width)
    state, at_mean = None, None
    for i in range(t):
        own = slice(i * (n + d), i * (n + d) + n)
        cells = slice(i * (n + d) + n, (i + 1) * (n + d))
        first = i == 0
        shocks[own, own] = params.initial_covariance if first else params.transition_covariance
        shocks[cells, cells] = params.observation_covariance
        step = np.zeros((n, width))
        step[:, own] = np.eye(n)
        state = step if first else params.transition @ state + step
        at_mean = (
            params.initial_mean if first else params.transition @ at_mean + params.input @ u[i]
        )
        rows[own], mean[own] = state, at_mean
        rows[cells] = params.observation @ state
        rows[cells, cells] += np.eye(d)
        mean[cells] = params.observation @ at_mean + params.feedthrough @ u[i]
    return mean, rows @ shocks @ rows.T


def given(params, y, u):
    """Log density of the seen cells, and the mean and covariance of everything given them."""
    n = len(params.initial_mean)
    mean, covariance = joint(params, u)
    full = np.hstack([np.full((len(y), n), np.nan), y]).ravel()
    seen = np.flatnonzero(~np.isnan(full))
    inner, away = covariance[np.ix_(seen, seen)], full[seen] - mean[seen]
    solved = np.linalg.solve(inner, covariance[seen])
    logdet = np.linalg.slogdet(2 * np.pi * inner)[1]
    loglik = -0.5 * (logdet + away @ np.linalg.solve(inner, away)) if len(seen) else 0.0
    return loglik, mean + solved.T @ away, covariance - covariance[:, seen] @ solved


@pytest.mark.parametrize("noise", ["full", "diag"])
def test_everything_of_the_e_step_is_that_of_the_joint_normal(noise, rng):
    params = PARAMS if noise == "full" else diagonal(PARAMS)
    data = simulated(params, [7, 1, 5], rng)
    model = LinearGaussian(2, noise=noise)
    prepared = model.prepare(params)
    expectation = model.e_step(prepared, data)
    states = smooth(prepared, data)
    n, d, total = 2, 2, 0.0
    yy, yw, ww = np.zeros((2, 2)), np.zeros((2, 3)), np.zeros((2, 3, 3))
    columns = np.zeros((2, 3))
    for begin, end in ((0, 7), (7, 8), (8, 13)):
        y, u = data.y[begin:end], data.u[begin:end]
        loglik, mean, covariance = given(params, y, u)
        total += loglik
        for i in range(end - begin):
            own = slice(i * (n + d), i * (n + d) + n)
            cells = slice(i * (n + d) + n, (i + 1) * (n + d))
            np.testing.assert_allclose(states.means[begin + i], mean[own], atol=1e-11)
            np.testing.assert_allclose(states.covariances[begin + i], covariance[own, own],
                                       atol=1e-11)  # fmt: skip
            if i:
                before = slice(own.start - n - d, own.start - d)
                np.testing.assert_allclose(states.cross[begin + i], covariance[own, before],
                                           atol=1e-11)  # fmt: skip
            w = np.concatenate([mean[own], u[i]])
            second = np.outer(w, w)
            second[:n, :n] += covariance[own, own]
            yy += covariance[cells, cells] + np.outer(mean[cells], mean[cells])
            crossed = np.outer(mean[cells], w)
            crossed[:, :n] += covariance[cells, own]
            yw += crossed
            ww += second * (np.ones(2) if noise == "full" else ~np.isnan(y[i]))[:, None, None]
            columns += crossed * ~np.isnan(y[i])[:, None]
    assert expectation.loglik == pytest.approx(total, rel=1e-12)
    found = expectation.statistics.observed
    if noise == "full":  # the missing cells are completed
        np.testing.assert_allclose(found.tt, yy, atol=1e-10)
        np.testing.assert_allclose(found.tr, yw, atol=1e-10)
        np.testing.assert_allclose(found.rr, ww[0], atol=1e-10)
    else:  # a column is a regression on the rows in which it is seen
        np.testing.assert_allclose(found.tr, columns, atol=1e-10)
        np.testing.assert_allclose(found.rr, ww, atol=1e-10)


MASKS = [
    {},
    {"transition": np.array([[0, 1], [1, 0]]), "observation": np.array([[1, 0], [0, 0]])},
    {"transition_covariance": True, "feedthrough": np.array([[1], [0]])},
]


@pytest.mark.parametrize("fixed", MASKS)
@pytest.mark.parametrize(
    ("noise", "initial"), [("full", "estimated"), ("diag", "diffuse"), ("diag", "estimated")]
)
def test_keeps_the_contract(noise, initial, fixed, rng):
    params = PARAMS if noise == "full" else diagonal(PARAMS)
    kind = "full" if noise == "full" else "diag"
    data = simulated(params, [15, 10, 5], rng)
    model = LinearGaussian(2, noise, kind, initial, fixed, start=params)
    joint_step = bool(fixed) and noise == "full"  # conditional maximisation
    report = check_model(model, data, n_maps=12, n_simulated=0, exact_m_step=not joint_step)
    assert "Fisher's identity" in dict(report.passed)


def test_a_single_variance_is_kept(rng):
    params = diagonal(PARAMS)
    fixed = {"observation_covariance": np.diag([1, 0])}
    model = LinearGaussian(2, "diag", "diag", "fixed", fixed, start=params)
    report = check_model(model, simulated(params, [30, 20], rng), n_simulated=0)
    assert "fixed values" in dict(report.passed)


def test_a_state_without_noise_of_its_own(rng):
    """A line: the slope has no noise, and its row of the transition is kept."""
    params = LinearGaussianParams(
        np.zeros(2), 1e4 * np.eye(2), np.array([[1.0, 1.0], [0.0, 1.0]]), np.zeros((2, 0)),
        np.array([[1.0, 0.0]]), np.zeros((1, 0)), np.diag([0.1, 0.0]), np.array([[1.0]]),
    )  # fmt: skip
    steps = rng.normal(0.5, 1.0, size=(200, 1))
    y = np.cumsum(steps, axis=0) + rng.normal(size=(200, 1))
    fixed = {"transition": True, "observation": True, "transition_covariance": np.diag([0, 1])}
    model = LinearGaussian(2, "diag", "diag", "diffuse", fixed, start=params)
    result = EM(max_iter=200, tol=1e-4).run(model, y)
    assert result.params.transition_covariance[1, 1] == 0
    states = smooth(model.prepare(result.params), records(y))
    assert states.means[:, 1] == pytest.approx(states.means[0, 1], abs=1e-6)
    assert abs(states.means[0, 1] - 0.5) < 0.3


def test_the_nile_to_published_digits():
    """Durbin and Koopman (2012), section 2.10; the diffuse start is a flat density of 1."""
    y = np.asarray(load_nile()["flow"], dtype=float)[:, None]
    one, none = np.ones((1, 1)), np.zeros((1, 0))
    start = LinearGaussianParams(
        y[0], 1e7 * y.var() * one, one, none, one, none, y.var() / 2 * one, y.var() / 2 * one
    )
    model = LinearGaussian(1, initial="diffuse", fixed=("transition", "observation"), start=start)
    result = EM(tol=1e-7).run(model, y)
    assert result.loglik == pytest.approx(-632.5456, abs=1e-4)
    assert result.params.observation_covariance[0, 0] == pytest.approx(15098.5, abs=2)
    assert result.params.transition_covariance[0, 0] == pytest.approx(1469.2, abs=2)


@pytest.mark.slow
def test_rises_for_500_maps_with_four_cells_in_ten_missing():
    rng = np.random.default_rng(0)
    params = LinearGaussianParams(
        np.zeros(2), np.eye(2), PARAMS.transition, np.zeros((2, 0)), rng.normal(size=(3, 2)),
        np.zeros((3, 0)), np.eye(2), 0.5 * np.eye(3) + 0.1,
    )  # fmt: skip
    y = draw(params, np.empty((300, 0)), rng)[1]
    y[rng.random(y.shape) < 0.4] = np.nan
    for noise in ("diag", "full"):
        model = LinearGaussian(2, noise=noise)
        settings = EM(tol=0, max_iter=500, accelerate=None, on_decrease="raise")
        result = settings.run(model, y)
        assert result.n_iter == 500
        assert np.all(np.diff(result.history.objectives) > -1e-9)


def test_filtered_states_use_no_later_row(rng):
    data = simulated(diagonal(PARAMS), [12], rng)
    model = LinearGaussian(2)
    prepared = model.prepare(diagonal(PARAMS))
    whole = filter_records(prepared, data)
    part = filter_records(prepared, Records(data.y[:7], np.array([7]), data.u[:7]))
    np.testing.assert_array_equal(part.means, whole.means[:7])


def test_entries_of_a_full_covariance_are_refused():
    with pytest.raises(ValueError, match=r"entries of a full covariance.*keep all of it"):
        LinearGaussian(2, fixed={"transition_covariance": np.eye(2)})


def test_masks_of_another_shape_are_refused(rng):
    model = LinearGaussian(2, start=PARAMS, fixed={"transition": np.eye(3)})
    data = simulated(PARAMS, [9], rng)
    statistics = model.e_step(model.prepare(diagonal(PARAMS)), data).statistics
    with pytest.raises(ValueError, match=r"fixed\['transition'\] has shape"):
        model.m_step(statistics, diagonal(PARAMS))
