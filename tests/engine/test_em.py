"""The driver: settings, starts, callbacks, and the result it returns."""

from __future__ import annotations

import math
import pickle
import sys
import warnings

import numpy as np
import pytest

from latentem import (
    EM,
    CollapsedError,
    DegenerateComponentWarning,
    Diagnosis,
    Expectation,
    Reason,
    SerialBackend,
    ThreadBackend,
    families,
    models,
)
from latentem.engine.backends import Backend
from latentem.engine.blocks import slices
from tests.contract.sketches.two_poisson import Params as TwoParams
from tests.contract.sketches.two_poisson import TwoPoisson
from tests.engine.scripted import DATA, Params, Scripted, singular

PLAIN = {"accelerate": None, "n_jobs": 1}
DEATHS = (np.arange(10.0), np.array([162, 267, 271, 185, 111, 61, 27, 8, 3, 1.0]))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"tol": -1}, "tol must be a number >= 0, got -1"),
        ({"tol": math.nan}, "tol must be a number >= 0, got nan"),
        ({"tol": "1"}, "tol must be a number >= 0, got '1'"),
        ({"max_iter": -1}, "max_iter must be an integer >= 0, got -1"),
        ({"max_iter": 1.0}, "max_iter must be an integer >= 0"),
        ({"max_iter": True}, "max_iter must be an integer >= 0"),
        ({"n_init": 0}, "n_init must be an integer >= 1, got 0"),
        ({"stopping": "gain"}, "stopping must be one of"),
        ({"space": "log"}, "space must be one of"),
        ({"on_decrease": "stop"}, "on_decrease must be one of"),
        ({"accelerate": "fast"}, "accelerate must be 'auto', 'squarem', 'anderson', None or a"),
    ],
)
def test_settings_are_checked_with_a_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        EM(**settings)


def test_settings_are_a_value():
    assert EM(tol=1e-4) == EM(tol=1e-4)
    with pytest.raises(AttributeError):
        EM().tol = 1.0


# ---------------------------------------------------------------------------------- starts


def test_one_start_among_several_may_collapse():
    model = Scripted(lambda x: singular(x) if x > 0.7 else -(x**2), start=lambda rng: rng.random())
    result = EM(**PLAIN, n_init=12).run(model, DATA, rng=0)
    fates = [start.reason for start in result.starts]
    assert Reason.COLLAPSED in fates
    assert Reason.CONVERGED in fates
    assert result.converged
    for start in result.starts:
        collapsed = start.reason is Reason.COLLAPSED
        assert (start.error is not None) is collapsed
        assert (start.objective == -math.inf) is collapsed
    assert [start.number for start in result.starts] == list(range(12))
    best = result.starts[result.best_start]
    assert best.objective == result.objective == max(start.objective for start in result.starts)
    assert best.params == result.params


def test_all_starts_collapsing_is_an_error_that_says_so():
    with pytest.raises(CollapsedError, match="each of the 3 starts collapsed: at the start, a cov"):
        EM(**PLAIN, n_init=3).run(Scripted(singular), DATA)
    assert issubclass(CollapsedError, ArithmeticError)


def test_a_degenerate_start_never_beats_a_sound_one():
    """x > 0 climbs to 9 and is degenerate, x < 0 climbs to 1."""

    def says(x):
        return Diagnosis(("component 0 sits on one row",) if x > 0 else (), ("a remark",))

    model = Scripted(
        lambda x: (9.0 if x > 0 else 1.0) - abs(x),
        start=lambda rng: rng.choice([-1.0, 1.0]),
        says=says,
    )
    result = EM(**PLAIN, n_init=8).run(model, DATA, rng=1)
    assert {start.degenerate != () for start in result.starts} == {True, False}
    assert result.params.x < 0
    assert result.degenerate == ()
    assert result.notes == ("a remark",)


def test_a_fit_that_is_degenerate_all_the_same_warns():
    model = Scripted(says=lambda x: Diagnosis(("component 0 sits on one row",)))
    with pytest.warns(DegenerateComponentWarning, match="component 0 sits on one row"):
        result = EM(**PLAIN).run(model, DATA)
    assert result.degenerate == ("component 0 sits on one row",)
    assert "component 0 sits on one row" in str(result)


def test_given_parameters_are_one_start_whatever_n_init():
    result = EM(**PLAIN, n_init=5).run(Scripted(start=lambda rng: 1 / 0), DATA, start=Params(0.5))
    assert len(result.starts) == 1
    assert result.history["objective"][0] == -0.25


def test_a_list_has_one_start_for_each_fit():
    draws = []

    def start(blocks, rng):
        draws.append(rng.random())
        return TwoParams(0.5, 1.0, 3.0)

    given = TwoParams(0.4, 0.5, 4.0)
    settings = {"n_jobs": 1, "max_iter": 0, "tol": 0}
    result = EM(**settings, n_init=7).run(TwoPoisson(), DEATHS, start=[start, given, start], rng=4)
    alone = [EM(**settings).run(TwoPoisson(), DEATHS, start=start, rng=4), EM(**settings).run(
        TwoPoisson(), DEATHS, start=given)]  # fmt: skip
    assert [found.loglik for found in result.starts[:2]] == [found.loglik for found in alone]
    assert len(result.starts) == 3
    assert draws[0] != draws[1], "each start has its own generator"


def test_a_function_may_make_the_start():
    seen = []

    def start(blocks, rng):
        seen.append((len(blocks), rng.random()))
        return TwoParams(0.5, 1.0, 3.0)

    em = EM(n_init=3, n_jobs=1, block_size=5)
    em.run(TwoPoisson(), DEATHS, start=start, rng=4)
    assert len(seen) == 3
    assert len({draw for _, draw in seen}) == 3, "each start has its own generator"
    assert {count for count, _ in seen} == {2}


def test_the_same_seed_gives_the_same_bits():
    model = models.Mixture(families.Poisson(), 2, init_params="random")
    x = DEATHS[0].repeat(DEATHS[1].astype(int))[:, None]
    fits = [EM(n_init=2, n_jobs=n).run(model, x, rng=rng) for n, rng in
            ((1, 3), (2, 3), (1, np.random.default_rng(3)))]  # fmt: skip
    for other in fits[1:]:
        np.testing.assert_array_equal(other.params.weights, fits[0].params.weights)
        assert other.loglik == fits[0].loglik
    different = EM(n_init=2, n_jobs=1).run(model, x, rng=4)
    assert different.history["objective"][0] != fits[0].history["objective"][0]


class Sample(Scripted):
    def blocks(self, data, size=None):
        return slices(data, size)

    def initialize(self, blocks, rng):
        self.rows = sum(len(block) for block in blocks)
        return Params(0.0)

    def m_step(self, statistics, params):
        return params


def test_initialize_sees_an_even_sample_of_large_data():
    model = Sample()
    EM(n_jobs=1, max_iter=0, tol=0).run(model, np.zeros(100_000), rng=0)
    assert model.rows == 16_384


# --------------------------------------------------------------------- callbacks, iterate, run


def test_callbacks_see_every_state_and_may_stop():
    seen = []
    result = EM(**PLAIN, callbacks=[seen.append]).run(Scripted(), DATA)
    assert len(seen) == len(result.history)
    assert seen[0].step == "start"
    assert seen[-1].reason is Reason.CONVERGED
    assert all(state.reason is None for state in seen[:-1])
    result = EM(**PLAIN, callbacks=[lambda s: s.n_iter >= 2, seen.append]).run(Scripted(), DATA)
    assert result.reason is Reason.CALLBACK
    assert result.n_iter == 2
    assert not result.converged
    assert result.params.x == 0.25


def test_a_callback_does_not_hide_another_reason():
    result = EM(**PLAIN, callbacks=[lambda state: state.reason is not None]).run(Scripted(), DATA)
    assert result.reason is Reason.CONVERGED


def test_numpy_booleans_stop_too():
    result = EM(**PLAIN, callbacks=[lambda state: np.True_]).run(Scripted(), DATA)
    assert result.n_iter == 0


@pytest.mark.nojit
@pytest.mark.parametrize("accelerate", [None, "squarem", "auto"])
def test_iterate_goes_the_way_of_run(accelerate):
    em = EM(tol=1e-2, accelerate=accelerate, n_jobs=1)
    start = TwoParams(0.4, 1.0, 6.0)
    result = em.run(TwoPoisson(), DEATHS, start=start)
    states = list(em.iterate(TwoPoisson(), DEATHS, start=start))
    assert [s.objective for s in states] == result.history["objective"].tolist()
    assert [s.step for s in states] == result.history["step"].tolist()
    assert states[-1].params == result.params
    assert states[-1].reason is result.reason
    assert states[0].params == start
    for state in states:
        if state.accepted:
            block = SerialBackend().expect(TwoPoisson(), state.params, [DEATHS])
            assert block.loglik == pytest.approx(state.loglik, rel=1e-14)


def test_iterate_can_be_left_at_any_time():
    for state in EM(**PLAIN).iterate(Scripted(), DATA):
        if state.n_iter == 2:
            break
    assert state.params.x == 0.25


def test_an_explicit_backend_is_used():
    class Counting(Backend):
        calls = 0

        def map(self, function, blocks):
            self.calls += 1
            return SerialBackend().map(function, blocks)

    backend = Counting()
    result = EM(backend=backend).run(TwoPoisson(), DEATHS)
    assert backend.calls == result.n_e_steps
    same = EM(backend=ThreadBackend(2)).run(TwoPoisson(), DEATHS)
    assert same.params == result.params


# ---------------------------------------------------------------------------------- result


def test_result_prints_what_matters():
    result = EM(**PLAIN, tol=1e-8, n_init=2).run(Scripted(lambda x: -7 - x**2), DATA)
    text = str(result)
    assert text == repr(result)
    lines = dict(line.strip().split("  ", 1) for line in text.splitlines()[1:])
    lines = {key: value.strip() for key, value in lines.items()}
    assert text.startswith("EM fit of Scripted\n")
    assert lines["log-likelihood"] == "-7.0000"
    assert lines["stopped"] == "the projected remaining gain is within tol"
    assert lines["converged"] == "yes"
    assert lines["EM maps"] == str(result.n_iter)
    assert lines["E-steps"] == str(result.n_e_steps)
    assert lines["rate of convergence"] == "0.25"
    assert lines["starts"] == "2, best is number 1"
    assert "projected gain" in lines


def test_result_as_html_is_escaped():
    model = Scripted(says=lambda x: Diagnosis((), ("column <b>1</b> is constant & so on",)))
    html = EM(**PLAIN).run(model, DATA)._repr_html_()
    assert html.startswith("<table>")
    assert "column &lt;b&gt;1&lt;/b&gt; is constant &amp; so on" in html
    assert "the projected remaining gain is within tol" in html


def test_a_map_fit_prints_both_objectives_and_a_fit_without_a_prior_one():
    plain = EM(**PLAIN).run(Scripted(), DATA)
    assert "log prior" not in str(plain)
    model = Scripted(prior=lambda x: -1.0)
    assert "log-likelihood + log prior" in str(EM(**PLAIN).run(model, DATA))


def test_certifying_maps_are_printed_apart():
    em = EM(accelerate="squarem", n_jobs=1, tol=1e-6)
    result = em.run(TwoPoisson(), DEATHS)
    assert f"{result.n_iter} + {result.n_certify} to certify" in str(result)


def test_history_has_a_row_for_every_e_step():
    result = EM(**PLAIN).run(Scripted(), DATA)
    history = result.history
    assert len(history) == result.n_e_steps
    assert history["n_iter"].tolist() == list(range(result.n_iter + 1))
    assert np.all(np.diff(history["seconds"]) >= 0)
    assert history.objectives.tolist() == history["objective"].tolist()
    assert "points: columns n_iter, step" in repr(history)
    frame = history.to_frame()
    assert list(frame.columns) == list(history.columns)
    assert len(frame) == len(history)
    with pytest.raises(ValueError):
        history["no such column"]


def test_result_is_a_value_that_pickles():
    result = EM(n_jobs=1).run(TwoPoisson(), DEATHS)
    again = pickle.loads(pickle.dumps(result))
    assert again.params == result.params
    assert again.reason is result.reason
    assert str(again) == str(result)
    assert again.weight == DEATHS[1].sum()
    with pytest.raises(AttributeError):
        result.loglik = 0.0


def test_every_reason_has_a_sentence():
    sentences = [reason.sentence for reason in Reason]
    assert len(set(sentences)) == len(sentences)
    assert all(len(sentence) > 20 for sentence in sentences)
    converged = {Reason.CONVERGED, Reason.STEP, Reason.GRADIENT, Reason.ROUNDING, Reason.ONLINE}
    assert {r for r in Reason if r.converged} == converged


def test_warnings_point_at_the_callers_line():
    slow = Scripted(step=lambda x: 0.9 * x)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        EM(**PLAIN, max_iter=3).run(slow, DATA)
    assert [w.filename for w in caught] == [__file__]


# --------------------------------------------------------------------------------- progress


def test_no_bar_unless_asked(capsys):
    EM(**PLAIN).run(Scripted(), DATA)
    assert capsys.readouterr() == ("", "")


def test_the_bar_counts_maps_and_starts(monkeypatch):
    tqdm = pytest.importorskip("tqdm.auto")
    bars = []

    class Bar(tqdm.tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
            self.descriptions = []
            bars.append(self)

        def set_description(self, text, refresh=True):
            self.descriptions.append(text)

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    result = EM(**PLAIN, progress=True, n_init=2).run(Scripted(), DATA)
    (bar,) = bars
    assert bar.n == sum(start.n_iter for start in result.starts)
    assert bar.descriptions[0] == "EM start 1/2"
    assert bar.descriptions[-1] == "EM start 2/2"
    assert "objective" in bar.postfix
    assert bar.disable or bar.fp.closed or bar.last_print_n <= bar.n
    bar.fp.close()


def test_without_tqdm_progress_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"pip install 'latentem\[progress\]'"):
        EM(**PLAIN, progress=True).run(Scripted(), DATA)


def test_a_callback_stops_the_starts_that_have_not_begun():
    seen = []

    def second(state):
        seen.append(state.start)
        return state.start == 1 and state.n_iter == 2

    result = EM(n_init=5, callbacks=[second]).run(Scripted(), DATA)
    assert set(seen) == {0, 1}
    assert [start.reason for start in result.starts] == [Reason.CONVERGED, Reason.CALLBACK]


def test_iterate_obeys_callbacks_too():
    states = list(EM(callbacks=[lambda state: state.n_iter == 3]).iterate(Scripted(), DATA))
    assert states[-1].reason is Reason.CALLBACK
    assert states[-1].n_iter == 3


@pytest.mark.parametrize("callbacks", [None, print, [1]])
def test_callbacks_are_a_list_of_functions(callbacks):
    with pytest.raises(ValueError, match="callbacks must be a list of functions"):
        EM(callbacks=callbacks)


def test_a_start_that_cannot_be_made_is_one_that_collapsed():
    begins = iter([1.0, "singular", 2.0])

    def start(blocks, rng):
        value = next(begins)
        if value == "singular":
            raise np.linalg.LinAlgError("a covariance is not positive definite")
        return Params(value)

    result = EM(n_init=3).run(Scripted(), DATA, start=start)
    assert [start.reason for start in result.starts] == [
        Reason.CONVERGED,
        Reason.COLLAPSED,
        Reason.CONVERGED,
    ]
    assert "at the start, a covariance is not positive definite" in result.starts[1].error


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda x: Expectation([x], 0.0, 1.0), "found list"),
        (lambda x: Expectation((x,), np.zeros(1), 1.0), r"loglik as one number.*shape \(1,\)"),
        (lambda x: None, "must return an Expectation, got NoneType"),
    ],
)
def test_what_an_e_step_returns_is_checked(answer, sentence):
    class Wrong(Scripted):
        def e_step(self, params, block):
            return answer(params.x)

    with pytest.raises(TypeError, match=sentence):
        EM().run(Wrong(), DATA)
