"""Tables of states, and of components whose parameters are no means; `select` of sequences."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from latentem import (
    GMMHMM,
    HMM,
    CategoricalHMM,
    Family,
    GaussianHMM,
    GaussianMixture,
    MixtureModel,
    PoissonHMM,
    families,
    select,
)
from latentem.datasets import load_earthquakes
from latentem.engine.constraints import Positive

COUNTS = load_earthquakes()[["count"]]
REAL = np.repeat([0.0, 5.0, 0.0], 40)[:, None] + np.random.default_rng(0).normal(size=(120, 1))


class RateParams(NamedTuple):
    rates: Any


class Waits(Family):
    """A user's family with parameters of shape (K,) and no moments."""

    def log_density(self, prepared: Any, x: Any) -> np.ndarray:
        return np.log(prepared.rates)[:, None] - np.outer(prepared.rates, x[:, 0])

    def statistics(self, prepared: Any, x: Any, weights: Any, shared: Any = None) -> Any:
        return (weights.sum(axis=1), weights @ x[:, 0])

    def maximize(self, statistics: Any, params: Any) -> RateParams:
        return RateParams(statistics[0] / statistics[1])

    def initialize(self, x: Any, weights: Any, rng: Any) -> RateParams:
        return RateParams(weights.sum(axis=1) / (weights @ np.asarray(x)[:, 0]))

    def constraints(self) -> Any:
        return RateParams(Positive())


def test_summary_of_states_in_the_units_of_the_data() -> None:
    hmm = PoissonHMM.from_parameters(
        startprob=[1.0, 0.0], transmat=[[0.9, 0.1], [0.2, 0.8]], lambdas=[[1.5], [20.0]]
    )
    assert hmm.summary().splitlines() == [
        "PoissonHMM: 2 states, family Poisson(), 1 feature",
        "                            x0",
        "state   share  duration   mean",
        "    0  0.6667     10.00   1.50",
        "    1  0.3333      5.00  20.00",
        "from    to 0    to 1",
        "   0  0.9000  0.1000",
        "   1  0.2000  0.8000",
        "starts in them: 1.0000, 0.0000",
        "made from parameters, without a fit",
    ]


def test_summary_says_how_the_fit_ended() -> None:
    text = PoissonHMM(2, random_state=0).fit(COUNTS).summary()
    assert "converged after" in text
    assert "log-likelihood -341.87" in text


def test_gaussian_states_have_means_and_spreads() -> None:
    pytest.importorskip("pandas")
    hmm = GaussianHMM(2, random_state=0).fit(REAL)
    frame = hmm.to_frame()
    assert list(frame.columns) == ["share", "duration", "mean x0", "sd x0"]
    assert frame.index.name == "state"
    np.testing.assert_array_equal(frame["mean x0"], hmm.means_[:, 0])
    np.testing.assert_array_equal(frame["sd x0"], np.sqrt(hmm.covariances_[:, 0]))
    np.testing.assert_array_equal(frame["duration"], hmm.expected_durations())
    np.testing.assert_array_equal(frame["share"], hmm.stationary_distribution())


def test_mixture_in_a_state_has_the_moments_of_the_whole() -> None:
    pytest.importorskip("pandas")
    hmm = GMMHMM.from_parameters(
        startprob=[1.0], transmat=[[1.0]],
        weights=[[0.25, 0.75]], means=[[[0.0], [4.0]]], covariances=[[[1.0], [2.0]]],
    )  # fmt: skip
    frame = hmm.to_frame()
    assert frame["mean x0"].tolist() == [3.0]
    assert frame["sd x0"].iloc[0] ** 2 == pytest.approx(1.75 + 3.0)
    assert frame["duration"].tolist() == [np.inf]


def test_categories_are_counted_as_columns_of_the_data() -> None:
    pytest.importorskip("pandas")
    codes = np.random.default_rng(1).integers(0, 2, (200, 5)).astype(float)
    names = [f"p({c}) x{j}" for j in range(5) for c in range(2)]
    mixture = MixtureModel(families.Categorical(), 2, random_state=0, max_iter=5, tol=0).fit(codes)
    assert "5 features" in mixture.summary()
    assert list(mixture.to_frame().columns) == ["weight", *names]
    hmm = CategoricalHMM(2, random_state=0, max_iter=5, tol=0).fit(codes)
    assert "5 features" in hmm.summary()
    assert list(hmm.to_frame().columns) == ["share", "duration", *names]
    np.testing.assert_array_equal(hmm.to_frame().to_numpy()[:, 2:], hmm.emissionprob_)
    assert max(map(len, hmm.summary().splitlines()[1:-1])) <= 80


@pytest.mark.parametrize("kind", [MixtureModel, HMM])
def test_parameters_without_an_axis_of_columns(kind: Any) -> None:
    model = kind(Waits(), 2, random_state=0, accelerate=None, max_iter=3, tol=0).fit(COUNTS + 1.0)
    assert "1 feature" in model.summary()
    assert "rates" in model.summary()


# ------------------------------------------------------------------------------- select


def test_lengths_and_weights_reach_fit_and_criterion() -> None:
    more: dict[str, Any] = {"lengths": [60, 47], "sample_weight": [1.0, 2.0]}
    chosen = select(PoissonHMM(random_state=0), COUNTS, n_components=[1, 2], **more)
    for row, fitted in zip(chosen.table, chosen.candidates, strict=True):
        alone = PoissonHMM(row.params["n_components"], random_state=0).fit(COUNTS, **more)
        assert row.error is None
        assert row.loglik == alone.loglik_ == fitted.loglik_
        assert row.value == alone.bic(COUNTS, **more)


def test_list_of_sequences() -> None:
    parts = [COUNTS[:60], COUNTS[60:]]
    chosen = select(PoissonHMM(random_state=0), parts, criterion="aic", n_components=[1, 2])
    stacked = select(
        PoissonHMM(random_state=0), COUNTS, lengths=[60, 47], criterion="aic", n_components=[1, 2]
    )
    assert [row.value for row in chosen.table] == [row.value for row in stacked.table]


def test_stationary_earthquakes_have_the_published_likelihoods() -> None:
    """Zucchini and MacDonald (2009) for this series: -l of 391.9189, 342.3183, 329.4603."""
    chosen = select(
        PoissonHMM(random_state=0, n_init=3, tol=1e-8, stationary=True),
        COUNTS, criterion="aic", n_components=[1, 2, 3],
    )  # fmt: skip
    values = [row.loglik for row in chosen.table]
    assert values == pytest.approx([-391.9189, -342.3183, -329.4603], abs=1e-3)
    assert chosen.best.n_components == 3


@pytest.mark.parametrize(
    ("estimator", "arguments", "match"),
    [
        (PoissonHMM(), {"criterion": "loo"}, "criterion must be one of"),
        (GaussianMixture(), {"lengths": [107]}, "GaussianMixture is no model of sequences"),
        (PoissonHMM(), {"lengths": [100]}, "lengths sum to 100"),
        (PoissonHMM(), {"sample_weight": [1.0, 1.0]}, "one weight per sequence"),
    ],
)
def test_wrong_requests(estimator: Any, arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        select(estimator, COUNTS, n_components=[1, 2], **arguments)


def test_one_row_is_not_1_rows() -> None:
    chosen = select(PoissonHMM(tol=0, max_iter=2), COUNTS[:1], n_components=[1])
    assert chosen.table[0].degenerate == ("1 free parameter for 1 row",)
