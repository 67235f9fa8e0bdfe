"""The checker passes what is right, catches what is wrong, and says what it left out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from latentem import Family, LatentModel, Positive, datasets
from latentem.families import Gaussian, Poisson
from latentem.models import Mixture
from latentem.testing import CheckReport, check_family, check_model
from tests.contract import broken
from tests.contract.sketches.two_poisson import TwoPoisson


def deaths():
    table = datasets.load_times_deaths()
    return table.data[:, 0].copy(), table.weights.copy()


@pytest.mark.parametrize(
    ("model", "check", "sentence"),
    [
        (broken.ListStatistics, "trees of finite numbers", "found list"),
        (broken.NaNStatistic, "trees of finite numbers", "statistic n2 is not finite"),
        (broken.IntegerParams, "trees of finite numbers", "rates .* dtype int64: make it float64"),
        (broken.WritesData, "nothing changed in place", "e_step changed the data in place"),
        (broken.WritesParams, "nothing changed in place", "m_step changed the parameters in place"),
        (broken.RemembersLast, "E-step keeps no state", "keeps state"),
        (broken.FirstBlockOnly, "parts add up to the whole", r"blocks of the same data, \w+"),
        (broken.MeanOfBlock, "parts add up to the whole", "s1 is .* must be sums over the units"),
        (broken.WeightOfOne, "parts add up to the whole", "weight is 1 and"),
        (broken.IgnoresWeights, "row weights", "content of rows of weight 0, .*s2"),
        (broken.SharedBuffer, "threads equal serial", "differs between one thread and two"),
        (broken.HoldsLambda, "pickling", "must pickle"),
        (broken.WrongConstraint, "flat vector", "mu1 is not Bounded"),
        (broken.DensityWithoutRate, "Fisher's identity", r"log-likelihood has slope .* but Q has"),
        (broken.WrongQ, "Fisher's identity", r"along mu2 .* slope .* but Q has"),
        (broken.QWithConstant, "Q is linear and a bound", "must be linear in the statistics"),
        (broken.PriorNotInMStep, "M-step maximises Q", "still has slope .* along mu1"),
        (broken.WrongMStep, "M-step maximises Q", "lowered Q"),
        (broken.HalfStep, "M-step maximises Q", "still has slope .* along mu1"),
        (broken.WrongSample, "simulate and recover", "simulated units is .* nats better"),
    ],
)
def test_broken_model_is_caught(model, check, sentence):
    with pytest.raises(AssertionError, match=f"(?s)check '{check}': .*{sentence}"):
        check_model(model(), deaths(), weights=1)


def test_without_q_a_wrong_m_step_shows_in_the_objective():
    class NoQ(broken.WrongMStep):
        expected_loglik = LatentModel.expected_loglik
        constraints = LatentModel.constraints

        def __reduce__(self):
            return broken.WrongMStep, ()

    with pytest.raises(AssertionError, match=r"'objective does not fall': map \d+ lowered"):
        check_model(NoQ(), deaths(), weights=1)


def test_a_generalised_m_step_is_accepted_when_declared():
    report = check_model(broken.HalfStep(), deaths(), weights=1, exact_m_step=False)
    assert "exact_m_step=False" in dict(report.passed)["M-step maximises Q"]


def test_a_missing_constant_cannot_be_seen_by_check_model():
    """The limit that the module's docstring states."""
    check_model(broken.NoConstant(), deaths(), weights=1)


def test_an_impossible_start_is_named():
    data = (np.array([[0.0], [3.0]]), np.ones(2))
    start = Mixture(Poisson(), 1).initialize(Mixture(Poisson(), 1).blocks(data), None)
    zero = start._replace(family=start.family._replace(lambdas=np.zeros((1, 1))))
    with pytest.raises(AssertionError, match=r"log-likelihood at the start is -inf: pass start="):
        check_model(Mixture(Poisson(), 1), data, start=zero)


GRID = (np.arange(200.0)[:, None], 1.0)


def counts():
    rng = np.random.default_rng(5)
    return np.concatenate([rng.poisson(1.5, 80), rng.poisson(8.0, 60)])[:, None].astype(float)


@pytest.mark.parametrize(
    ("family", "check", "sentence"),
    [
        (broken.DropsRows, "rows", "encode turned 140 rows into 139"),
        (broken.SparsePoints, "rows", r"points\(x\) must be a finite \(n, d\) array"),
        (broken.Transposed, "log_density is a new array", r"shape \(140, 2\), not .* \(2, 140\)"),
        (broken.Single, "log_density is a new array", "dtype float32, not float64"),
        (broken.FortranOrder, "log_density is a new array", "in C order"),
        (broken.KeepsDensity, "log_density is a new array", "shares memory with the last result"),
        (broken.SharesDensity, "evaluate", "is the memory of the log density"),
        (broken.SharesWrong, "evaluate", "with and without what evaluate shared differ: total"),
        (broken.NotNormalised, "densities integrate to 1", "integrates to .* missing constant"),
        (broken.ResetsEmpty, "empty component", "changed lambdas .* keeps the values"),
        (broken.SortsComponents, "order of the components", "another order, maximize"),
        (broken.CountsAbsentRows, "columns of weight zero", "without these rows, weight"),
        (
            broken.ReadsAbsentRows,
            "columns of weight zero",
            "rows whose weights are all 0, .*: total",
        ),
        (broken.SamplesFractions, "sample", "check refuses"),
    ],
)
def test_broken_family_is_caught(family, check, sentence):
    data = counts()
    right = Mixture(Poisson(), 2)
    start = right.initialize(right.blocks(data), np.random.default_rng(0))
    with pytest.raises(AssertionError, match=f"(?s)check '{check}': .*{sentence}"):
        check_family(family(), data, start=start, grid=GRID)


class Rates(NamedTuple):
    rates: np.ndarray  # (K,), for a single column


class Waits(Family):
    """A user's family of one column, whose parameters do not tell the number of columns."""

    def log_density(self, prepared, x):
        return np.log(prepared.rates)[:, None] - np.outer(prepared.rates, x[:, 0])

    def statistics(self, prepared, x, weights, shared=None):
        return weights.sum(axis=1), weights @ x[:, 0]

    def maximize(self, statistics, params):
        count, total = statistics
        return Rates(np.where(count > 0, count / np.where(count > 0, total, 1.0), params.rates))

    def initialize(self, x, weights, rng):
        return Rates((weights.sum(axis=1) + 1e-3) / (weights @ x[:, 0] + 1e-3))

    def constraints(self):
        return Rates(Positive())

    def expected_loglik(self, params, statistics):
        return float(statistics[0] @ np.log(params.rates) - statistics[1] @ params.rates)


@pytest.mark.nojit
def test_a_family_is_checked_in_an_estimator_too():
    waits = np.random.default_rng(0).exponential([[1.0]] * 60 + [[9.0]] * 60)
    report = check_family(Waits(), waits, n_simulated=0)
    passed = dict(report.passed)
    for check in ("fit in an estimator", "predict and score", "criteria and select"):
        assert check in passed
    assert passed["save and load"] == "predicts the same bits"


def test_a_family_that_cannot_live_in_an_estimator_is_caught():
    rows = counts().astype(int)
    with pytest.raises(AssertionError, match=r"'fit in an estimator': .*counts must be integers"):
        check_family(broken.WantsIntegers(), rows, n_simulated=0)
    with pytest.raises(AssertionError, match=r"'save and load': .*no attribute 'logs'"):
        check_family(broken.UndeclaredLogs(), counts(), n_simulated=0)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_fixed_means_put_back_after_the_m_step_are_caught(kind):
    rng = np.random.default_rng(2)
    data = np.vstack([rng.normal(0, 1, (60, 2)), rng.normal(4, 2, (60, 2))])
    with pytest.raises(AssertionError, match=r"'M-step maximises Q': .*along family.covariances"):
        check_family(broken.OverwritesMeans(kind, fixed=("means",)), data)
    with pytest.raises(AssertionError, match=r"'fixed values': m_step moved family.means"):
        check_family(broken.MovesMeans(kind, fixed=("means",)), data)


def test_one_component_is_refused():
    with pytest.raises(ValueError, match="needs n_components >= 2, got 1"):
        check_family(Gaussian(), np.zeros((4, 1)), n_components=1)


@pytest.mark.nojit
def test_report_is_a_table_that_names_what_was_skipped():
    report = check_model(TwoPoisson(), deaths(), n_simulated=0)
    assert isinstance(report, CheckReport)
    lines = repr(report).splitlines()
    assert lines[0] == "TwoPoisson: 11 checks passed, 3 skipped"
    assert any(
        line.startswith("  skipped  row weights") and "weights= names them" in line
        for line in lines
    )
    assert any("n_simulated is 0" in line for line in lines)
    assert len(lines) == 15


def test_what_a_plain_model_lacks_is_skipped_by_name():
    report = check_model(broken.ArrayPoisson(), deaths(), weights=1)
    assert {name for name, _ in report.skipped} == {
        "flat vector",
        "fixed values",
        "Fisher's identity",
        "M-step maximises Q",
        "Q is linear and a bound",
        "simulate and recover",
    }
