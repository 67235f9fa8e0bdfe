"""``latentem hmm``: what it prints, writes and returns."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latentem
from latentem import PoissonHMM
from latentem.cli import main
from latentem.datasets import load_earthquakes

pandas = pytest.importorskip("pandas")

COUNTS = load_earthquakes()[["count"]]
FAST = ("--family", "poisson", "--states", "1:3", "--starts", "1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, where the test runs, with tables of sequences in it."""
    monkeypatch.chdir(tmp_path)
    frame = load_earthquakes().to_frame()[["count"]]
    frame.to_csv("quakes.csv", index=False)
    mixed = frame.assign(animal=np.where(np.arange(107) % 2, "b", "a"))
    mixed.to_csv("two.csv", index=False)
    rng = np.random.default_rng(0)
    real = np.repeat([0.0, 6.0, 0.0], 30)[:, None] + rng.normal(size=(90, 2))
    pandas.DataFrame(real, columns=["x", "y"]).to_csv("real.csv", index=False)
    bits = (rng.random((90, 2)) < np.repeat([0.1, 0.9, 0.1], 30)[:, None]).astype(int)
    pandas.DataFrame(bits, columns=["p", "q"]).to_csv("bits.csv", index=False)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, Any, str]:
    """Exit code, parsed JSON, and messages."""
    code = main(["hmm", *argv, "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out, parse_constant=pytest.fail), err


def test_json_holds_the_selection_the_model_and_the_forecast(folder: Path, capsys: Any) -> None:
    code, found, err = run(capsys, "quakes.csv", *FAST, "--forecast", "4")
    assert (code, err) == (0, "")
    assert list(found) == [
        "command", "schema", "latentem", "data", "settings", "candidates", "best", "model",
        "forecast", "convergence", "files",
    ]  # fmt: skip
    assert [row["n_components"] for row in found["candidates"]] == [1, 2, 3]
    best = found["candidates"][found["best"]]
    assert best["n_components"] == 2
    assert best["value"] == pytest.approx(found["model"]["bic"])
    assert found["model"]["loglik"] == pytest.approx(-341.8787, abs=2e-3)  # the published maximum
    assert np.sort(np.ravel(found["model"]["family"]["lambdas"])) == pytest.approx(
        [15.42, 26.02], abs=0.06
    )
    ahead = found["forecast"]
    hmm = PoissonHMM.from_parameters(
        startprob=found["model"]["startprob"],
        transmat=found["model"]["transmat"],
        lambdas=found["model"]["family"]["lambdas"],
    ).forecast(COUNTS, 4)
    np.testing.assert_allclose(ahead["mean"], hmm.mean)
    assert [ahead["lower"], ahead["upper"]] == [limit.tolist() for limit in hmm.interval(0.9)]
    assert found["convergence"]["converged"] is True


def test_text_names_candidates_states_and_forecast(folder: Path, capsys: Any) -> None:
    assert main(["hmm", "quakes.csv", *FAST, "--forecast", "2"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "107 rows, 1 column (count)" in out
    assert "707.12  *" in out
    assert "Chosen: 2 states, poisson; BIC 707.12" in out
    assert "Transition probabilities\nfrom" in out
    assert "Forecast, with limits that hold 90 %" in out
    assert "Converged after" in out
    assert max(map(len, out.splitlines())) <= 80


def test_decoding_and_model_are_written_in_the_order_of_the_file(folder: Path, capsys: Any) -> None:
    argv = (*FAST, "--sequence-column", "animal", "--decode", "s.csv", "--save", "m.npz")
    found = run(capsys, "two.csv", *argv)[1]
    assert found["data"]["lengths"] == [54, 53]
    assert found["files"] == {"save": "m.npz", "decode": "s.csv"}
    model = latentem.load("m.npz")
    frame, states = pandas.read_csv("two.csv"), pandas.read_csv("s.csv")
    assert list(states.columns) == ["row", "animal", "state", "probability"]
    assert states["row"].tolist() == list(range(1, 108))
    assert states["animal"].tolist() == frame["animal"].tolist()
    for animal in "ab":
        here = frame["animal"] == animal
        path = model.predict(frame.loc[here, ["count"]])
        assert states.loc[here, "state"].tolist() == path.tolist()
        shares = model.predict_proba(frame.loc[here, ["count"]])
        np.testing.assert_allclose(
            states.loc[here, "probability"], shares[np.arange(len(path)), path]
        )


def test_empty_cells_are_missing_observations(folder: Path, capsys: Any) -> None:
    text = (folder / "quakes.csv").read_text().splitlines()
    text[10] = text[50] = "NA"
    (folder / "gaps.csv").write_text("\n".join(text) + "\n")
    code, found, err = run(capsys, "gaps.csv", *FAST, "--decode", "s.csv")
    assert code == 0
    assert "2 empty cells (count 2): observations that were not made" in err
    assert found["data"]["rows"] == 107
    assert found["data"]["missing_cells"] == {"count": 2}
    assert len(pandas.read_csv("s.csv")) == 107
    gaps = COUNTS.astype(float)
    gaps[[9, 49]] = np.nan
    alone = PoissonHMM(2, random_state=0).fit(gaps)
    assert found["candidates"][1]["loglik"] == alone.loglik_


@pytest.mark.parametrize(
    ("family", "file", "parameters"),
    [
        ("gaussian", "real.csv", ["means", "covariances"]),
        ("categorical", "bits.csv", ["emissionprob"]),
        ("bernoulli", "bits.csv", ["probs"]),
        ("exponential", "quakes.csv", ["scales"]),
    ],
)
def test_families(family: str, file: str, parameters: list[str], folder: Path, capsys: Any) -> None:
    argv = ("--family", family, "--states", "2", "--stationary", "--tol", "0.1")
    code, found, _ = run(capsys, file, *argv, "--forecast", "2")
    assert code == 0
    assert list(found["model"]["family"]) == parameters
    assert found["settings"]["stationary"] is True
    assert main(["hmm", file, *argv]) == 0
    assert f"Chosen: 2 states, {family}" in capsys.readouterr().out


def test_left_right_chain_and_kinds_of_covariance(folder: Path, capsys: Any) -> None:
    argv = ("--left-right", "--states", "1:3", "--covariance-type", "diag,full", "--starts", "1")
    found = run(capsys, "real.csv", *argv)[1]
    assert [(row["n_components"], row["covariance_type"]) for row in found["candidates"]] == [
        (k, kind) for k in (1, 2, 3) for kind in ("diag", "full")
    ]
    best = found["model"]
    assert best["n_components"] == 3  # low, high, low: no way back
    assert best["startprob"] == [1.0, 0.0, 0.0]
    assert np.all(np.tril(best["transmat"], -1) == 0)
    assert best["expected_durations"][-1] is None


def test_figure_is_written(folder: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    run(capsys, "quakes.csv", *FAST, "--forecast", "5", "--plot", "fit.png")
    assert (folder / "fit.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_fit_that_has_not_converged_is_exit_3(folder: Path, capsys: Any) -> None:
    code, found, _ = run(
        capsys, "quakes.csv", "--family", "poisson", "--states", "3", "--max-iter", "2"
    )
    assert code == 3
    assert found["convergence"]["converged"] is False


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["none.csv"], "cannot read 'none.csv'"),
        (["quakes.csv", "--columns", "size"], "has no column 'size': it has 'count'"),
        (["two.csv", "--columns", "animal"], "column 'animal' of 'two.csv' cannot be used"),
        (["two.csv", "--sequence-column", "cow"], "has no column 'cow'"),
        (["two.csv", "--sequence-column", "count", "--columns", "count"], "both data and name"),
        (["two.csv", "--sequence-column", "animal", "--forecast", "3"], "end of one sequence"),
        (["real.csv", "--family", "poisson"], "no hidden Markov model can be fitted"),
        (["quakes.csv", "--family", "bernoulli"], "no hidden Markov model can be fitted"),
        (["quakes.csv", "--stationary", "--left-right"], "do not go together"),
        (["quakes.csv", "--family", "poisson", "--covariance-type", "full"], "leave it out"),
        (["quakes.csv", "--states", "108"], "fewer than n_components=108"),
        (["quakes.csv", "--save", "a", "--decode", "a"], "must be different files"),
        (["quakes.csv", "--save", "quakes.csv"], "it is not overwritten"),
        (["hole.csv", "--sequence-column", "who"], "is empty in row 2"),
    ],
)
def test_wrong_input_is_one_sentence(
    argv: list[str], sentence: str, folder: Path, capsys: Any
) -> None:
    (folder / "hole.csv").write_text("who,x\na,1\n,2\nb,3\n")
    assert main(["hmm", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("latentem hmm: ")
    assert sentence in err


@pytest.mark.parametrize(
    "argv", [["--states", "0:2"], ["--family", "beta"], ["--forecast", "0"], ["--criterion", "icl"]]
)
def test_wrong_options_name_the_option(argv: list[str], folder: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit) as error:
        main(["hmm", "quakes.csv", *argv])
    assert error.value.code == 2
    assert argv[0] in capsys.readouterr().err


def test_json_keys_and_options_are_those_of_the_guide(folder: Path, capsys: Any) -> None:
    guide = Path(__file__).parents[2] / "docs" / "guide" / "command-line.rst"
    text = guide.read_text(encoding="utf-8")
    argv = ("real.csv", "--states", "1:2", "--starts", "1", "--forecast", "2")
    found = run(capsys, *argv)[1]
    for name, part in found.items():
        keys = part[0] if isinstance(part, list) else part if isinstance(part, dict) else {}
        for key in (name, *keys):
            assert f"``{key}``" in text, f"the guide does not describe {name}.{key}"
    with pytest.raises(SystemExit):
        main(["hmm", "--help"])
    for option in set(re.findall(r"(?<!\S)--[a-z-]+", capsys.readouterr().out)) - {
        "--help", "--version",
    }:  # fmt: skip
        assert option in text, f"the guide does not describe {option}"


def test_four_panels_stand_in_two_rows() -> None:
    pytest.importorskip("matplotlib")
    from latentem.cli.figure import panels

    for count, across in ((1, 1), (3, 3), (4, 2)):
        figure, axes = panels(count)
        assert len(axes) == count
        width, height = figure.get_size_inches()
        assert width / height == pytest.approx(1.35 * across**2 / count)
