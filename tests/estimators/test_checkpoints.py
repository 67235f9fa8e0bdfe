"""Every estimator keeps checkpoints, is resumed at the same bits, and heeds a time limit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from latentem import (
    GMMHMM,
    HMM,
    CategoricalHMM,
    ConvergenceWarning,
    FactorAnalyzer,
    GaussianHMM,
    GaussianImputer,
    GaussianMixture,
    MixtureModel,
    PoissonHMM,
    Reason,
    families,
)


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(rng.integers(2, size=(150, 1)) * 2.0, size=(150, 3))
    gaps = x + 0.5 * x[:, ::-1]
    gaps[rng.random(x.shape) < 0.2] = np.nan
    counts = rng.poisson(2 + 3 * rng.integers(2, size=(150, 1))).astype(float)
    return x, gaps, counts


X, GAPS, COUNTS = data()
QUIET = {"tol": 1e-10, "max_iter": 8, "random_state": 0}
CASES = {
    "GaussianMixture": (GaussianMixture, {"n_components": 2, **QUIET}, X),
    "MixtureModel": (MixtureModel, {"family": families.Poisson(), "n_components": 2, **QUIET},
                     COUNTS),
    "GaussianHMM": (GaussianHMM, {"n_components": 2, **QUIET}, X),
    "GMMHMM": (GMMHMM, {"n_components": 2, "n_mix": 2, **QUIET}, X),
    "PoissonHMM": (PoissonHMM, {"n_components": 2, **QUIET}, COUNTS),
    "CategoricalHMM": (CategoricalHMM, {"n_components": 2, **QUIET}, np.minimum(COUNTS, 5)),
    "HMM": (HMM, {"family": families.Gaussian("diag"), "n_components": 2, **QUIET}, X),
    "GaussianImputer": (GaussianImputer, QUIET, GAPS),
    "FactorAnalyzer": (FactorAnalyzer, {"n_factors": 1, **QUIET}, GAPS),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_resumed_at_the_same_bits(name, tmp_path):
    kind, settings, rows = CASES[name]
    path = tmp_path / "fit.ckpt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole = kind(**settings).fit(rows)
        short = {**settings, "time_limit": 1e-9}
        cut = kind(**short, checkpoint=path, checkpoint_every=1).fit(rows)
        assert cut.result_.reason is Reason.TIME_LIMIT
        assert not cut.converged_
        again = kind(**settings).fit(rows, resume=path)
    assert again.loglik_ == whole.loglik_
    assert again.n_iter_ == whole.n_iter_
    assert len(again.result_.history) == len(whole.result_.history)


def test_ctrl_c_leaves_a_fitted_estimator():
    def interrupt(state):
        if state.n_iter == 3:
            raise KeyboardInterrupt

    gm = GaussianMixture(2, random_state=0, tol=1e-12, callbacks=[interrupt])
    with pytest.warns(ConvergenceWarning, match="the fit was interrupted"):
        gm.fit(X)
    assert gm.n_iter_ == 2
    assert gm.predict(X).shape == (150,)
