"""``latentem statespace``: what it prints, writes and returns."""

from __future__ import annotations

import json

import numpy as np
import pytest

import latentem
from latentem.cli import main
from latentem.datasets import load_nile

pandas = pytest.importorskip("pandas")


@pytest.fixture
def nile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = load_nile().to_frame()[["flow"]]
    frame.loc[20:25, "flow"] = np.nan
    frame.to_csv("nile.csv", index=False)
    return frame


def test_json_holds_the_model_and_the_forecast(nile, capsys):
    argv = ["nile.csv", "--states", "1", "--forecast", "3", "--save", "m.npz", "--json"]
    assert main(["statespace", *argv]) == 0
    out, err = capsys.readouterr()
    assert "6 empty cells" in err
    found = json.loads(out)
    again = latentem.load("m.npz")
    np.testing.assert_allclose(found["forecast"]["mean"], again.forecast(nile, 3).mean)
    assert found["convergence"]["loglik"] == pytest.approx(again.score(nile), rel=1e-12)


def test_text_and_figure(nile, capsys, tmp_path):
    argv = ["nile.csv", "--states", "2", "--tol", "0.1", "--forecast", "2", "--plot", "f.png"]
    assert main(["statespace", *argv]) == 0
    out, _ = capsys.readouterr()
    assert "eigenvalues of the transition" in out
    assert "Forecast, with limits that hold 90 %" in out
    assert (tmp_path / "f.png").stat().st_size > 5000


def test_wrong_arguments_are_said(nile, capsys):
    assert main(["statespace", "nile.csv", "--states", "200"]) == 2
    assert "too few for n_states=200" in capsys.readouterr().err
    assert main(["statespace", "nile.csv", "--save", "nile.csv"]) == 2
    assert "is not overwritten" in capsys.readouterr().err
