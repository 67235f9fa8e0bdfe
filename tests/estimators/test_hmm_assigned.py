"""Parameters that a user assigns to a hidden Markov estimator, and those of ready models."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import GMMHMM, HMM, CategoricalHMM, GaussianHMM, PoissonHMM, families
from latentem.datasets import load_earthquakes

COUNTS = load_earthquakes()[["count"]]
CHAIN = {"startprob": [0.5, 0.5], "transmat": [[0.9, 0.1], [0.2, 0.8]]}


def ready(kind):
    """A ready model of two states in one column (of three categories)."""
    make = {
        "poisson": (PoissonHMM, {"lambdas": [[1.0], [9.0]]}),
        "categorical": (CategoricalHMM, {"emissionprob": [[0.5, 0.25, 0.25], [0, 0.5, 0.5]]}),
        "diag": (GaussianHMM, {"means": [[0.0], [5.0]], "covariances": [[1.0], [2.0]]}),
        "full": (
            GaussianHMM,
            {
                "means": [[0.0], [5.0]],
                "covariances": [[[1.0]], [[2.0]]],
                "covariance_type": "full",
            },
        ),
        "mixtures": (
            GMMHMM,
            {
                "weights": [[0.5, 0.5], [0.25, 0.75]],
                "means": [[[0.0], [1.0]], [[5.0], [6.0]]],
                "covariances": np.ones((2, 2, 1)),
            },
        ),
        "any": (HMM, {"family": families.Exponential(),
                      "family_params": families.ExponentialParams([[1.0], [3.0]])}),
    }  # fmt: skip
    estimator, parameters = make[kind]
    return estimator.from_parameters(**CHAIN, **parameters)


WRONG_ASSIGNED = [
    ("poisson", "lambdas_", [[1.0], [-2.0]], "lambdas_ must be >= 0, got -2"),
    ("poisson", "lambdas_", [[1.0], [np.nan]], "lambdas_ contains NaN or infinity"),
    ("poisson", "lambdas_", [[1.0, 2.0], [1.0, 2.0]], r"lambdas_ must have shape \(2, 1\)"),
    ("poisson", "lambdas_", np.ones((3, 1)), r"lambdas_ must have shape \(2, 1\), got \(3, 1\)"),
    ("poisson", "transmat_", np.full((3, 3), 1 / 3), "for 3 states, but n_components=2"),
    ("poisson", "transmat_", [[0.5, 0.4], [0.5, 0.5]], "each row of transmat_ must sum to 1"),
    ("poisson", "startprob_", [1.0], r"startprob_ must have shape \(2,\)"),
    ("categorical", "emissionprob_", [[0.5, 0.5, 0.1], [0, 0, 1]], "row of emissionprob_ must sum"),
    ("categorical", "emissionprob_", [[0.5, 0.5, 0], [1.5, -0.5, 0]], "emissionprob_ must be >= 0"),
    ("categorical", "emissionprob_", np.full((3, 2), 0.5), r"emissionprob_ must have shape \(2, n"),
    ("categorical", "emissionprob_", [0.5, 0.5], r"emissionprob_ must have shape \(2, n"),
    ("diag", "means_", [[0.0], [np.nan]], "means_ contains NaN or infinity"),
    ("diag", "means_", np.zeros((3, 1)), r"means_ must have shape \(2, 1\), got \(3, 1\)"),
    ("diag", "covariances_", [[1.0], [-1.0]], "covariances_ must be positive for"),
    ("diag", "covariances_", [[1.0], [np.nan]], "covariances_ contains NaN or infinity"),
    ("full", "covariances_", [[[1.0]], [[0.0]]], "covariances_ must be positive definite"),
    ("mixtures", "weights_", [[0.5, 0.6], [0.5, 0.5]], "each row of weights_ must sum to 1"),
    ("mixtures", "means_", np.zeros((2, 3, 1)), r"means_ must have shape \(2, 2, 1\)"),
    ("mixtures", "covariances_", -np.ones((2, 2, 1)), "covariances_ must be positive for"),
    ("any", "family_params_", families.ExponentialParams([[1.0], [-1.0]]),
     "family_params_ do not fit Exponential.*scales must be > 0"),
    ("any", "family_params_", families.ExponentialParams(np.ones((3, 1))),
     "family_params_ do not fit Exponential.*there are 2 components"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "value", "sentence"), WRONG_ASSIGNED)
def test_wrong_assigned_parameters_are_named_when_used(kind, name, value, sentence):
    hmm = ready(kind)
    assert np.isfinite(hmm.score([[1.0], [2.0]]))
    setattr(hmm, name, value)
    for use in (lambda: hmm.score([[1.0], [2.0]]), hmm.start_state, lambda: hmm.sample(3)):
        with pytest.raises(ValueError, match=sentence):
            use()


@pytest.mark.parametrize("kind", ["poisson", "categorical", "diag", "full", "mixtures", "any"])
def test_every_estimator_tells_the_parameters_of_its_family(kind):
    hmm = ready(kind)
    model, params, _ = hmm.em_problem([[1.0], [2.0]])
    assert type(hmm.family_params_) is type(params.family)
    k = model.n_components
    means, _ = model.family.moments(hmm.family_params_)
    assert len(means) == k
    with pytest.raises(AttributeError):
        _ = type(hmm)(*([families.Poisson()] if kind == "any" else []), 2).family_params_


def test_the_start_of_a_stationary_chain_follows_what_is_assigned():
    hmm = PoissonHMM(2, random_state=0, stationary=True).fit(COUNTS)
    hmm.transmat_ = [[0.9, 0.1], [0.3, 0.7]]
    np.testing.assert_allclose(hmm.startprob_, [0.75, 0.25], rtol=1e-14)
    with pytest.raises(ValueError, match="startprob_ follow from transmat_: assign transmat_"):
        hmm.startprob_ = [0.5, 0.5]
    with pytest.raises(ValueError, match="read-only"):
        hmm.startprob_[0] = 0.5
    same = PoissonHMM.from_parameters(
        startprob=[0.75, 0.25], transmat=hmm.transmat_, lambdas=hmm.lambdas_
    )
    assert hmm.score(COUNTS) == pytest.approx(same.score(COUNTS), rel=1e-13)
    hmm.transmat_ = np.eye(2)
    with pytest.raises(ValueError, match="more than one stationary distribution"):
        hmm.score(COUNTS)
