"""One climb: what belongs together stays together, whatever ends it."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from latentem import EM, Accelerator, CollapsedError, ConvergenceWarning, Expectation, Reason
from latentem.engine.constraints import Fixed
from latentem.engine.stopping import Aitken, rounding
from tests.contract.sketches.two_poisson import Params as TwoParams
from tests.contract.sketches.two_poisson import TwoPoisson
from tests.engine.scripted import DATA, Params, Scripted, singular

PLAIN = {"accelerate": None, "n_jobs": 1}


def quadratic(x):
    return -(x**2)


def run(model, **settings):
    return EM(**{**PLAIN, **settings}).run(model, DATA)


def quietly(model, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run(model, **settings)


# ------------------------------------------------------------------ each reason, each way out


def reach_converged():
    return quietly(Scripted(), tol=1e-4)


def reach_step():
    return quietly(Scripted(), tol=1e-4, stopping="step")


def reach_rounding():
    """A two-cycle of the last bits: gains of some units of rounding, up and down."""
    model = Scripted(lambda x: -1000.0 + 1e-13 * (x > 0), lambda x: -x)
    return quietly(model, tol=1e-16)


def reach_max_iter():
    return quietly(Scripted(step=lambda x: 0.9 * x), max_iter=5)


def reach_decreased():
    return quietly(Scripted(step=lambda x: 0.5 * x if x > 0.1 else x + 1.0), tol=1e-9)


def reach_callback():
    return quietly(Scripted(), callbacks=[lambda state: state.n_iter == 3])


def reach_impossible():
    return quietly(Scripted(lambda x: -math.inf))


def reach_gradient():
    return quietly(Level(), tol=1e-4, stopping="gradient")


class Level(Scripted):
    """One that knows its gradient, which is -2 x."""

    def kkt_residual(self, params, statistics):
        assert statistics == (params.x,), "statistics belong to the parameters"
        return abs(2 * params.x)


REACH = {
    Reason.GRADIENT: reach_gradient,
    Reason.CONVERGED: reach_converged,
    Reason.STEP: reach_step,
    Reason.ROUNDING: reach_rounding,
    Reason.MAX_ITER: reach_max_iter,
    Reason.DECREASED: reach_decreased,
    Reason.CALLBACK: reach_callback,
    Reason.IMPOSSIBLE: reach_impossible,
}


@pytest.mark.parametrize("reason", list(REACH))
def test_each_reason_is_reached_and_the_loglik_belongs_to_the_params(reason):
    result = REACH[reason]()
    assert result.reason is reason
    assert result.converged is reason.converged
    assert result.loglik == result.model.loglik(result.params.x)
    assert result.statistics == (result.params.x,)
    assert result.n_iter == result.model.maps
    assert result.n_e_steps == result.model.e_steps == len(result.history)
    assert result.history["objective"][-1] == result.objective


def test_gradient_rule_stops_at_the_first_point_that_is_level():
    result = reach_gradient()
    assert abs(2 * result.params.x) <= 1e-4 < abs(4 * result.params.x)
    leaping = quietly(Level(), tol=1e-4, stopping="gradient", accelerate="squarem")
    assert abs(2 * leaping.params.x) <= 1e-4


def test_gradient_rule_needs_a_gradient():
    with pytest.raises(NotImplementedError, match="Scripted defines no kkt_residual"):
        run(Scripted(), stopping="gradient")


def test_collapse_is_the_reason_left_over():
    # See test_checkpoints.py, test_subsets.py, test_online.py and test_strategies.py.
    outside = {Reason.TIME_LIMIT, Reason.INTERRUPTED, Reason.SUBSETS, Reason.ONLINE}
    outside.add(Reason.ABANDONED)
    assert set(Reason) - set(REACH) - outside == {Reason.COLLAPSED}
    with pytest.raises(CollapsedError, match="the only start collapsed: after 0 maps, a covari"):
        run(Scripted(step=singular))


# ----------------------------------------------------------------------------------- counts


@pytest.mark.nojit
@pytest.mark.parametrize("max_iter", [0, 1, 7])
def test_tol_zero_runs_exactly_max_iter_maps_without_a_warning(max_iter):
    model = Scripted(step=lambda x: x)  # at rest: every other rule would stop at once
    result = run(model, tol=0, max_iter=max_iter)
    assert result.reason is Reason.MAX_ITER
    assert result.n_iter == model.maps == max_iter
    assert result.n_e_steps == model.e_steps == max_iter + 1
    assert result.warnings == ()


def test_tol_zero_ignores_falls_of_rounding():
    model = Scripted(lambda x: -1000.0 - 1e-13 * (x > 0), lambda x: -x)
    assert run(model, tol=0, max_iter=50).n_iter == 50


@pytest.mark.parametrize("stopping", ["aitken", "step"])
def test_tol_zero_with_acceleration_counts_every_map(stopping):
    model = TwoPoisson()
    data = (np.arange(10.0), np.array([162, 267, 271, 185, 111, 61, 27, 8, 3, 1.0]))
    em = EM(tol=0, max_iter=40, accelerate="squarem", stopping=stopping, n_jobs=1)
    result = em.run(model, data)
    assert 40 <= result.n_iter <= 41, "a cycle that has begun may take its map"
    assert result.n_certify == 0


def test_max_iter_warns_with_the_gain_still_to_come():
    model = Scripted(step=lambda x: 0.9 * x)
    with pytest.warns(ConvergenceWarning, match=r"stopped at max_iter=6 with about 0\.28 nats"):
        result = run(model, max_iter=6)
    assert result.projected_gain == pytest.approx(0.9**12, rel=1e-6), "x^2 is all that is left"
    assert len(result.warnings) == 1
    with pytest.warns(ConvergenceWarning, match="an unknown gain"):
        run(model, max_iter=1)


# ------------------------------------------------------------------------------- decreases

FALLS = {"step": lambda x: 0.5 * x if x > 0.3 else x + 0.5}


def test_revert_returns_the_better_point_and_says_so():
    with pytest.warns(ConvergenceWarning, match="did not converge: an EM map lowered"):
        result = run(Scripted(**FALLS), tol=1e-9)
    assert result.params.x == 0.25
    assert result.objective == -0.0625
    assert result.n_iter == 3
    assert result.history["accepted"].tolist() == [True, True, True, False]
    assert result.history["tried"][-1] == -(0.75**2)
    assert result.history["objective"][-1] == -0.0625


def test_raise_names_both_objectives():
    with pytest.raises(
        ArithmeticError, match=r"map 3 lowered the objective from -0\.0625 to -0\.56"
    ):
        run(Scripted(**FALLS), on_decrease="raise")


def test_warn_and_ignore_go_on_and_are_never_called_converged():
    with pytest.warns(ConvergenceWarning) as told:
        result = run(Scripted(**FALLS), on_decrease="warn", max_iter=20)
    told = [str(one.message) for one in told]
    assert "map 3 lowered the objective" in told[0]
    assert len(told) == 2  # once for all falls, and once for max_iter
    assert "max_iter=20" in told[1]
    assert result.n_iter == 20
    assert not result.converged
    result = quietly(Scripted(**FALLS), on_decrease="ignore", max_iter=20)
    assert result.n_iter == 20
    assert not result.converged


def test_a_steady_fall_is_not_convergence():
    result = quietly(Scripted(step=lambda x: x + 1.0), on_decrease="ignore", max_iter=30)
    assert result.reason is Reason.MAX_ITER


def test_a_fall_of_rounding_is_not_held_against_em():
    model = Scripted(lambda x: -1e6 - 1e-9 * (x < 0.3), lambda x: 0.5 * x)
    assert run(model, tol=1e-6).converged


def test_a_fall_beyond_rounding_is():
    model = Scripted(lambda x: -1e6 - 1e-6 * (x < 0.3), lambda x: 0.5 * x)
    assert quietly(model, tol=1e-6).reason is Reason.DECREASED


# -------------------------------------------------------------- collapse, NaN, impossible data


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Scripted(loglik=singular), "at the start, a covariance is not positive definite"),
        (Scripted(loglik=lambda x: math.nan), "the log-likelihood is NaN at the start"),
        (
            Scripted(lambda x: math.nan if x < 0.4 else -1.0),
            "after 2 maps, the log-likelihood is NaN",
        ),
        (Scripted(step=singular), "after 0 maps, a covariance is not positive definite"),
    ],
)
def test_collapse_is_told_in_a_sentence(model, sentence):
    with pytest.raises(CollapsedError, match=sentence):
        run(model)
    last = list(EM(**PLAIN).iterate(model, DATA))[-1]
    assert last.reason is Reason.COLLAPSED
    assert last.objective == -math.inf


def test_out_of_an_impossible_start():
    """-inf at the start only: the first map repairs it."""
    result = run(Scripted(lambda x: -math.inf if x > 0.9 else quadratic(x)))
    assert result.reason is Reason.CONVERGED
    assert result.history["objective"][0] == -math.inf


def test_impossible_for_good_warns():
    with pytest.warns(ConvergenceWarning, match="some rows have probability zero"):
        result = run(Scripted(lambda x: -math.inf))
    assert result.loglik == -math.inf
    assert result.n_iter == 2


def test_becoming_impossible_is_a_decrease():
    model = Scripted(lambda x: quadratic(x) if x > 0.3 else -math.inf)
    result = quietly(model)
    assert result.reason is Reason.DECREASED
    assert result.params.x == 0.5


# ----------------------------------------------------------------------------- fixed, priors


class MovesFixed(Scripted):
    def constraints(self):
        return Params(Fixed())


def test_moving_a_fixed_value_is_an_error_that_names_it():
    with pytest.raises(ArithmeticError, match="the M-step moved x, which constraints"):
        run(MovesFixed())


def test_the_objective_is_loglik_plus_log_prior():
    """argmax of -(x - 1)^2 - 3 x^2 is 1/4; the map goes halfway there."""
    model = Scripted(
        lambda x: -((x - 1) ** 2), lambda x: 0.5 * (x + 0.25), prior=lambda x: -3 * x**2
    )
    result = run(model, tol=1e-10)
    assert result.params.x == pytest.approx(0.25, abs=1e-5)
    assert result.loglik == -((result.params.x - 1) ** 2)
    assert result.objective == result.loglik - 3 * result.params.x**2


# ------------------------------------------------------------------------------- acceleration


class Leap(Accelerator):
    """Proposes what it is told to, once."""

    def __init__(self, to, log):
        self.to, self.log, self.done = to, log, False

    def propose(self, current, image):
        if self.done:
            return None
        self.done = True
        return np.array([self.to])

    def observe(self, accepted):
        self.log.append(accepted)

    def reset(self):
        pass


@pytest.mark.parametrize(
    ("to", "accepted"),
    [(0.01, True), (100.0, False), (math.nan, False), (math.inf, False), (-0.2, True)],
)
def test_a_proposal_stands_only_if_its_objective_does(to, accepted):
    log = []
    model = Scripted()
    result = EM(accelerate=lambda: Leap(to, log), n_jobs=1, tol=1e-8).run(model, DATA)
    assert log == [accepted]
    assert result.converged
    assert np.all(np.diff(result.history["objective"]) >= 0)
    refused = ~result.history["accepted"].astype(bool)
    evaluated = not accepted and math.isfinite(to)
    assert refused.sum() == (not accepted)
    assert result.n_e_steps == model.e_steps
    assert result.n_e_steps == len(result.history) - (not accepted and not evaluated)


def test_a_proposal_outside_the_model_is_refused_and_not_fatal():
    def loglik(x):
        return singular(x) if x == 0.25 else quadratic(x)

    log = []
    em = EM(accelerate=lambda: Leap(0.25, log), n_jobs=1, max_iter=1, tol=0)
    result = em.run(Scripted(loglik), DATA)
    assert log == [False]
    assert result.params.x == 0.5


def test_a_proposal_just_short_is_given_one_plain_map():
    """From 1 to 1.2 the objective falls by .44 < 1; the map from there makes 0.6."""
    log = []
    model = Scripted()
    em = EM(accelerate=lambda: Leap(1.2, log), n_jobs=1, max_iter=2, tol=0)
    result = em.run(model, DATA)
    assert log == [True]
    assert result.params.x == 0.6
    assert result.n_iter == model.maps == 2
    assert result.history["objective"].tolist() == [-1.0, -0.36]


def test_a_jump_is_certified_by_plain_maps_before_the_stop():
    result = EM(accelerate=lambda: Leap(0.9, []), n_jobs=1, tol=1e-3).run(Scripted(), DATA)
    steps = result.history["step"].tolist()
    assert steps[1] == "accelerated"
    assert len(steps) - steps.index("accelerated") - 1 >= 3


DEATHS = (np.arange(10.0), np.array([162, 267, 271, 185, 111, 61, 27, 8, 3, 1.0]))
SLOW = TwoParams(0.44629444987719813, 5.3433980730263855, 0.8713512982686988)


def test_auto_turns_squarem_on_when_plain_em_is_slow():
    result = EM(tol=1e-8, n_jobs=1).run(TwoPoisson(), DEATHS, start=SLOW)
    steps = result.history["step"]
    first = int(np.argmax(steps == "squarem"))
    assert first > 3, "plain at first"
    assert set(steps[1:first]) == {"em"}
    assert result.n_iter < 300
    assert result.n_certify >= 3
    assert result.loglik == pytest.approx(-1989.945859883, abs=1e-7)


def test_auto_stays_plain_where_em_is_fast_or_nothing_is_declared():
    fast = EM(n_jobs=1).run(Scripted(), DATA)
    assert set(fast.history["step"]) == {"start", "em"}
    slow = Scripted(step=lambda x: 0.97 * x, declared=False)
    assert set(quietly(slow, accelerate="auto").history["step"]) == {"start", "em"}


def test_explicit_squarem_works_in_natural_space_where_nothing_is_declared():
    slow = Scripted(step=lambda x: 0.97 * x, declared=False)
    result = EM(accelerate="squarem", n_jobs=1, tol=1e-8).run(slow, DATA)
    assert "squarem" in result.history["step"]
    assert abs(result.params.x) < 1e-3


def test_the_accelerated_objective_never_falls():
    result = EM(tol=1e-9, accelerate="squarem", n_jobs=1).run(TwoPoisson(), DEATHS, start=SLOW)
    assert np.all(np.diff(result.history["objective"]) >= -1e-9)
    assert result.history["tried"].min() <= result.history["objective"].max()


def test_the_certified_gain_is_honest():
    """The gain that is said to be left covers what is left (within the factor 5 of 3 maps)."""
    best = -1989.945859883
    for tol in (1e-2, 1e-4, 1e-6):
        result = EM(tol=tol, accelerate="squarem", n_jobs=1).run(TwoPoisson(), DEATHS, start=SLOW)
        assert result.reason in (Reason.CONVERGED, Reason.ROUNDING)
        assert best - result.loglik <= 5 * tol


class Spoiled(TwoPoisson):
    """Its E-step is NaN far from the optimum: proposals must be refused, not believed."""

    def e_step(self, params, block):
        expectation = super().e_step(params, block)
        if params.mu1 > 6 or params.mu2 < 0.5:
            return Expectation(expectation.statistics, math.nan, expectation.weight)
        return expectation


def test_nan_rejects_a_proposal():
    result = EM(tol=1e-6, accelerate="squarem", n_jobs=1).run(Spoiled(), DEATHS, start=SLOW)
    assert result.converged
    assert np.isfinite(result.history["objective"]).all()


def test_a_saddle_is_left_although_the_gains_are_lost_in_rounding():
    # x grows by a half in each map; the objective 1e6 - (1 - x^2)^2 gains 1e-16 of it at first.
    model = Scripted(
        loglik=lambda x: 1e6 - (1 - min(abs(x), 1.0) ** 2) ** 2,
        step=lambda x: min(1.5 * x, 1.0),
        start=1e-9,
    )
    result = EM(accelerate=None).run(model, DATA)
    assert result.params.x == 1.0
    assert result.converged


def test_ratios_of_gains_that_are_rounding_are_no_rate():
    unit = rounding(-4e4, 1e4)
    tail = Aitken()
    for gain in (9 * unit, 8 * unit, 7 * unit, 6 * unit):
        tail.add(gain, unit)
    assert np.isnan(tail.rate)
    assert not tail.within(1e-3)


def test_no_repair_map_goes_beyond_max_iter():
    log = []
    result = EM(accelerate=lambda: Leap(1.2, log), n_jobs=1, max_iter=1, tol=0).run(
        Scripted(), DATA
    )
    assert log == [False]
    assert result.n_iter == 1
    assert result.params.x == 0.5
