"""Fits that are cut short lose nothing: checkpoints, resuming, Ctrl-C, a time limit."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from latentem import EM, Reason, families, models
from latentem.engine import archive
from latentem.engine.warnings import CheckpointWarning, ConvergenceWarning
from tests.engine.scripted import DATA, Scripted


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(0, 1, (150, 2)), rng.normal(2.5, 1, (150, 2))])


def same(a, b):
    assert a.reason is b.reason
    assert a.loglik == b.loglik
    assert (a.n_iter, a.n_certify, a.n_e_steps) == (b.n_iter, b.n_certify, b.n_e_steps)
    for name in ("n_iter", "step", "objective", "tried", "accepted", "projected_gain"):
        np.testing.assert_array_equal(a.history[name], b.history[name])
    assert repr(a.params) == repr(b.params)
    assert [s.objective for s in a.starts] == [s.objective for s in b.starts]


def quietly(settings, *arguments, **more):
    """A fit that ends at max_iter, and says so."""
    with pytest.warns(ConvergenceWarning):
        return settings.run(*arguments, **more)


def cut_at(n):
    return lambda state: state.n_iter >= n and state.accepted


@pytest.mark.parametrize("accelerate", ["auto", "squarem", "anderson", None])
@pytest.mark.parametrize("after", [0, 1, 7, 16])
def test_a_resumed_fit_ends_at_the_same_bits(rows, tmp_path, accelerate, after):
    settings = {"tol": 1e-9, "accelerate": accelerate, "max_iter": 60}
    model = models.Mixture(families.Gaussian("full"), 3)
    path = tmp_path / "fit.ckpt"
    with pytest.warns(ConvergenceWarning):
        whole = EM(**settings).run(model, rows, rng=1)
    EM(**settings, callbacks=[cut_at(after)], checkpoint=path).run(model, rows, rng=1)
    with pytest.warns(ConvergenceWarning):
        again = EM(**settings).run(model, rows, resume=path)
    same(whole, again)


def test_starts_that_finished_are_not_run_again(rows, tmp_path):
    model, path = models.Mixture(families.Gaussian("diag"), 2, "random"), tmp_path / "fit.ckpt"
    settings = {"tol": 1e-6, "n_init": 4}
    whole = EM(**settings).run(model, rows, rng=2)

    def stop(state):
        return state.start == 2 and state.n_iter == 3

    cut = EM(**settings, callbacks=[stop], checkpoint=path).run(model, rows, rng=2)
    assert cut.reason is not Reason.COLLAPSED
    seen = []
    again = EM(**settings, callbacks=[lambda s: seen.append(s.start)]).run(model, rows, resume=path)
    same(whole, again)
    assert set(seen) == {2, 3}
    assert again.best_start == whole.best_start


def test_a_finished_fit_is_read_back(rows, tmp_path):
    model, path = models.Mixture(families.Gaussian("diag"), 2), tmp_path / "fit.ckpt"
    whole = EM(tol=1e-6, checkpoint=path).run(model, rows, rng=2)
    again = EM(tol=1e-6).run(model, rows, resume=path)
    same(whole, again)
    np.testing.assert_array_equal(again.statistics.counts, whole.statistics.counts)


def test_a_fit_that_ended_at_max_iter_goes_on_with_more(rows, tmp_path):
    model, path = models.Mixture(families.Gaussian("full"), 3), tmp_path / "fit.ckpt"
    settings = {"tol": 1e-9, "accelerate": None}  # an accelerated cycle may need one map more
    whole = quietly(EM(**settings, max_iter=40), model, rows, rng=2)
    quietly(EM(**settings, max_iter=10, checkpoint=path), model, rows, rng=2)
    again = quietly(EM(**settings, max_iter=40), model, rows, resume=path)
    same(whole, again)


KILLED = """
    import os, signal, sys
    import numpy as np
    from latentem import EM, families, models
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(0, 1, (150, 2)), rng.normal(2.5, 1, (150, 2))])
    def kill(state):
        if state.n_iter == 23:
            os.kill(os.getpid(), signal.SIGKILL)
    model = models.Mixture(families.Gaussian("full"), 3)
    EM(tol=1e-9, max_iter=60, callbacks=[kill], checkpoint=sys.argv[1], checkpoint_every=5).run(
        model, rows, rng=1)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_fit_killed_with_sigkill_ends_at_the_same_bits(rows, tmp_path):
    path = tmp_path / "fit.ckpt"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), path], check=False)
    assert done.returncode == -signal.SIGKILL
    model = models.Mixture(families.Gaussian("full"), 3)
    whole = quietly(EM(tol=1e-9, max_iter=60), model, rows, rng=1)
    again = quietly(EM(tol=1e-9, max_iter=60), model, rows, resume=path)
    same(whole, again)
    assert [found.name for found in tmp_path.iterdir()] == ["fit.ckpt"]


def test_ctrl_c_returns_the_best_so_far(rows, tmp_path):
    def interrupt(state):
        if state.n_iter == 4:
            raise KeyboardInterrupt

    model, path = models.Mixture(families.Gaussian("full"), 3), tmp_path / "fit.ckpt"
    with pytest.warns(ConvergenceWarning, match="the fit was interrupted"):
        cut = EM(tol=1e-9, callbacks=[interrupt], checkpoint=path).run(model, rows, rng=1)
    assert cut.reason is Reason.INTERRUPTED
    assert not cut.converged
    assert cut.n_iter == 3
    same(EM(tol=1e-9).run(model, rows, rng=1), EM(tol=1e-9).run(model, rows, resume=path))


def test_ctrl_c_before_the_first_point_is_ctrl_c():
    def interrupt(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EM().run(Scripted(loglik=interrupt), DATA)


def test_time_limit_ends_at_the_next_point():
    def slow(x):
        time.sleep(0.02)
        return -(x**2)

    with pytest.warns(ConvergenceWarning, match="time_limit was reached"):
        result = EM(time_limit=0.05, tol=1e-300, n_init=3).run(Scripted(slow), DATA)
    assert result.reason is Reason.TIME_LIMIT
    assert 1 <= len(result.history) <= 4
    assert len(result.starts) == 1


def test_another_model_data_or_settings_are_refused(rows, tmp_path):
    path, model = tmp_path / "fit.ckpt", models.Mixture(families.Gaussian("full"), 3)
    EM(callbacks=[cut_at(3)], checkpoint=path).run(model, rows, rng=1)
    with pytest.raises(ValueError, match="a checkpoint of another model: of Mixture"):
        EM().run(models.Mixture(families.Gaussian("full"), 2), rows, resume=path)
    with pytest.raises(ValueError, match="a checkpoint of other data: their log-likelihood"):
        EM().run(model, rows + 0.1, resume=path)
    with pytest.raises(ValueError, match="a checkpoint of other data: their weight"):
        EM().run(model, rows[:-1], resume=path)
    with pytest.raises(ValueError, match="a fit with accelerate='auto', and this one has None"):
        EM(accelerate=None).run(model, rows, resume=path)
    (tmp_path / "text").write_text("no checkpoint")
    with pytest.raises(ValueError, match="latentem checkpoint file: it is not a zip file"):
        EM().run(model, rows, resume=tmp_path / "text")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cannot read"):
        EM().run(model, rows, resume=path)


def test_a_full_disk_keeps_the_last_checkpoint(rows, tmp_path, monkeypatch):
    path, model = tmp_path / "fit.ckpt", models.Mixture(families.Gaussian("full"), 3)
    EM(callbacks=[cut_at(3)], checkpoint=path).run(model, rows, rng=1)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(archive.os, "fsync", full)
        with pytest.warns(CheckpointWarning, match="No space left on device.*is untouched") as told:
            result = EM(tol=1e-6, checkpoint=path, checkpoint_every=1).run(model, rows, rng=1)
    assert len(told) == 1
    assert result.converged
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["fit.ckpt"]
    same(EM().run(model, rows, rng=1), EM().run(model, rows, resume=path))


@pytest.mark.parametrize("every", [0, "30", "x s", -1, True, 1.5, None])
def test_wrong_checkpoint_every(every):
    with pytest.raises(ValueError, match="checkpoint_every must be a number of maps"):
        EM(checkpoint_every=every)


@pytest.mark.parametrize("limit", [0, -1, "10"])
def test_wrong_time_limit(limit):
    with pytest.raises(ValueError, match="time_limit must be a number of seconds > 0"):
        EM(time_limit=limit)
