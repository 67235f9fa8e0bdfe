"""LinearGaussianSSM: what it answers, files, and what it refuses."""

import numpy as np
import pytest
from scipy.optimize import minimize

import latentem
from latentem import LinearGaussianSSM

TURN = 0.98 * np.array([[0.95, 0.3], [-0.3, 0.95]])


@pytest.fixture
def made():
    return LinearGaussianSSM.from_parameters(
        TURN, [[1.0, 0.0], [0.5, 1.0]], 0.1 * np.eye(2), 0.2 * np.eye(2) + 0.05,
        offset=[10.0, -5.0],
    )  # fmt: skip


@pytest.fixture
def record(made):
    y, _ = made.sample(150, random_state=0)
    y[np.random.default_rng(1).random(y.shape) < 0.2] = np.nan
    return y


def test_one_output_reaches_the_maximum_of_scipy():
    true = LinearGaussianSSM.from_parameters([[0.9]], [[1.0]], [[0.5]], [[0.4]])
    y, _ = true.sample(60, random_state=3)
    y[[3, 17, 18, 40]] = np.nan
    start = {"initial_mean": [0.0], "initial_covariance": [[1.0]], "initial": "fixed"}
    fit = LinearGaussianSSM(
        1, transition=[[0.5]], observation=[[1.0]], fixed=("observation",), center=False,
        tol=1e-8, **start,
    ).fit(y)  # fmt: skip

    def negative(v):
        at = LinearGaussianSSM.from_parameters(
            [[v[0]]], [[1.0]], [[np.exp(v[1])]], [[np.exp(v[2])]], [0.0], [[1.0]]
        )
        return -at.score(y)

    best = minimize(negative, [0.5, -1.0, -1.0], method="Nelder-Mead",
                    options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 2000})  # fmt: skip
    assert fit.loglik_ == pytest.approx(-best.fun, abs=1e-6)
    errors = fit.standard_errors(y)
    assert 0 < float(errors["transition"][0, 0]) < 0.5


def test_forecasts_go_on_from_predictions_and_reach_the_long_run(made, record):
    ahead = made.forecast(record, 400)
    one = np.vstack([record, np.full((1, 2), np.nan)])
    np.testing.assert_allclose(ahead.mean[0], made.predict(one)[-1], rtol=1e-12)
    np.testing.assert_allclose(ahead.mean[-1], [10.0, -5.0], atol=0.05)
    low, high = ahead.interval(0.9)
    assert np.all(low < ahead.mean)
    assert np.all(high > ahead.mean)


def test_missing_cells_are_filled_from_their_row_too(made, record):
    filled = made.impute(record)
    seen = ~np.isnan(record)
    np.testing.assert_array_equal(filled[seen], record[seen])
    assert np.isfinite(filled).all()
    means, _ = made.smooth(record)
    half = np.flatnonzero(seen[:, 0] & ~seen[:, 1])
    fitted = made.offset_ + means @ made.observation_.T
    gain = made.observation_covariance_[1, 0] / made.observation_covariance_[0, 0]
    expected = fitted[half, 1] + gain * (record - fitted)[half, 0]
    np.testing.assert_allclose(filled[half, 1], expected, rtol=1e-12)


def test_two_records_score_as_one_and_one(made, record):
    total = made.score(record[:70]) + made.score(record[70:])
    assert made.score(record, lengths=[70, 80]) == pytest.approx(total, rel=1e-12)


def test_inputs_are_found_again():
    u = np.random.default_rng(5).normal(size=(300, 1))
    true = LinearGaussianSSM.from_parameters(
        [[0.7]], [[1.0]], [[0.1]], [[0.1]], input=[[1.5]], feedthrough=[[-0.8]]
    )
    y, _ = true.sample(300, inputs=u, random_state=0)
    fit = LinearGaussianSSM(
        1, observation=[[1.0]], fixed=("observation",), initial_mean=[0.0],
        initial_covariance=[[1.0]], initial="fixed",
    ).fit(y, inputs=u)  # fmt: skip
    assert fit.input_[0, 0] == pytest.approx(1.5, abs=0.15)
    assert fit.feedthrough_[0, 0] == pytest.approx(-0.8, abs=0.15)
    assert fit.forecast(y, 2, inputs=u, future=[[0.0], [0.0]]).mean.shape == (2, 1)


def test_a_file_answers_with_the_same_bits(made, record, tmp_path):
    fit = LinearGaussianSSM(1, max_iter=500, tol=0.1).fit(record)
    fit.save(tmp_path / "m.npz")
    again = latentem.load(tmp_path / "m.npz")
    assert again.score(record) == fit.score(record)
    assert again.get_params()["tol"] == 0.1


WRONG = [
    ({"transition": [[2.0]]}, r"transition is unstable.*modulus 2"),
    ({"observation_covariance": [[-1.0]]}, r"observation_covariance is not positive definite"),
    ({"initial": "diffuse"}, r"flat density.*give observation="),
    ({"fixed": ("transition",)}, r"fixed names 'transition', so give its values"),
    ({"fixed": ("A",)}, r"fixed knows"),
    ({"n_states": 0}, r"n_states must be an integer >= 1"),
    ({"n_states": 30}, r"20 rows are too few for n_states=30"),
    ({"observation": [[1.0, 2.0]]}, r"observation"),
]


@pytest.mark.parametrize(("settings", "sentence"), WRONG)
def test_what_cannot_be_fitted_is_said(settings, sentence):
    y = np.random.default_rng(0).normal(size=(20, 1))
    with pytest.raises(ValueError, match=sentence):
        LinearGaussianSSM(**settings).fit(y)


def test_an_asymmetric_covariance_is_refused():
    y = np.random.default_rng(0).normal(size=(20, 1))
    with pytest.raises(ValueError, match="transition_covariance is not symmetric"):
        LinearGaussianSSM(2, transition_covariance=[[1.0, 0.2], [0.0, 1.0]]).fit(y)


def test_a_model_that_is_all_fixed_is_refused():
    y = np.random.default_rng(0).normal(size=(20, 1))
    one = [[1.0]]
    names = ("transition", "input", "observation", "feedthrough", "transition_covariance",
             "observation_covariance")  # fmt: skip
    with pytest.raises(ValueError, match="fixed keeps every matrix"):
        LinearGaussianSSM(
            1, transition=one, observation=one, transition_covariance=one,
            observation_covariance=one, initial="diffuse", fixed=names,
        ).fit(y)  # fmt: skip


def test_missing_series_and_wrong_lengths_and_inputs_are_refused(made):
    y = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(ValueError, match="every cell is missing"):
        LinearGaussianSSM(1).fit(np.full((20, 1), np.nan))
    with pytest.raises(ValueError, match="no observed cell"):
        LinearGaussianSSM(1).fit(np.where([True, False], y, np.nan))
    with pytest.raises(ValueError, match="lengths sum to 19"):
        LinearGaussianSSM(1).fit(y, lengths=[10, 9])
    with pytest.raises(ValueError, match="inputs have no gaps"):
        LinearGaussianSSM(1).fit(y, inputs=np.full(20, np.nan))
    with pytest.raises(ValueError, match="h must be an integer >= 1"):
        made.forecast(y, 0)
    with pytest.raises(ValueError, match="features"):
        made.score(y[:, :1])
