"""Standard errors of hidden Markov models, whose start is on the boundary as a rule."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import PoissonHMM, standard_errors
from latentem.datasets import load_earthquakes

X = load_earthquakes()[["count"]]


def test_probabilities_fitted_as_zero_are_taken_as_known():
    hmm = PoissonHMM(2, tol=1e-10, random_state=0).fit(X)
    errors = standard_errors(hmm, X)
    np.testing.assert_array_equal(errors["startprob"], 0.0)
    assert np.all(errors["lambdas"] > 0.5)
    # The likelihood with the start held there, by a fit that declares it fixed.
    held = PoissonHMM(
        2,
        startprob_init=np.round(hmm.startprob_),
        transmat_init=hmm.transmat_,
        lambdas_init=hmm.lambdas_,
        fixed=("startprob",),
        tol=1e-10,
    ).fit(X)
    again = standard_errors(held, X)
    for name in ("transmat", "lambdas"):
        np.testing.assert_allclose(errors[name], again[name], rtol=1e-4)


def test_a_transition_fitted_as_zero():
    hmm = PoissonHMM(3, tol=1e-10, random_state=0).fit(X)
    zeros = hmm.transmat_ < 1e-8
    assert zeros.sum() == 1
    errors = standard_errors(hmm, X)
    assert errors["transmat"][zeros] == pytest.approx(0.0, abs=0.0)
    assert np.all(errors["transmat"][~zeros] > 0)
