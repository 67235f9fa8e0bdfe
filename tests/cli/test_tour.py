"""``latentem tour``: a report, figures, and one screen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latentem
from latentem.cli import main
from latentem.cli.chapters import CHAPTERS, Chapter
from latentem.datasets import load_airquality, load_faithful

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Folder, exit code, screen and messages of one tour."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("somewhere") / "with spaces" / "tour"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["tour", "--out", str(folder)])
    return folder, code, out.getvalue(), err.getvalue()


def test_report_embeds_figures_that_exist(tour: Any) -> None:
    folder, code, _, _ = tour
    assert code == 0
    report = (folder / "report.md").read_text(encoding="utf-8")
    figures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", report)
    assert sorted(figures) == sorted(path.name for path in folder.glob("*.png"))
    assert len(figures) == 8
    for name in figures:
        assert (folder / name).read_bytes()[:4] == b"\x89PNG"
    for name in re.findall(r"(?<!!)\[[^\]]+\]\(([^)]+)\)", report):
        assert (folder / name).is_file()


def test_report_states_versions_model_and_convergence(tour: Any) -> None:
    report = (tour[0] / "report.md").read_text(encoding="utf-8")
    assert f"latentem {latentem.__version__}" in report
    assert re.search(r"numpy \d+\.\d+", report)
    assert re.search(r"in \d+\.\d s with", report)
    assert re.search(r"\| 3 \| \d+\.\d\d \| 2314\.30 \\\* \|", report)
    assert "3 components, tied" in report
    assert report.count("Converged after") == 4
    assert "nan" not in report.lower().split()
    assert " nan" not in report.lower()


def test_screen_is_one_screen(tour: Any) -> None:
    lines = tour[2].splitlines()
    assert len(lines) <= 24
    # The folder of the test is longer than "tour", which is all that is shown by default.
    assert max(len(line.replace(str(tour[0]), "tour")) for line in lines) <= 80
    text = tour[2]
    assert "272 eruptions" in text
    assert "chosen: 3 components, tied" in text
    assert "converged in" in text
    assert "report.md, with 8 figures" in text
    assert "Try next:" in text


def test_messages_go_to_standard_error(tour: Any) -> None:
    assert "tour: Old Faithful" in tour[3]
    assert "tour:" not in tour[2].replace("the tour took", "")


def test_two_gaussians_are_found_within_their_standard_errors(tour: Any) -> None:
    report = (tour[0] / "report.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+ [12]) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", report, re.M)
    assert [name for name, *_ in rows] == [
        "weight 1", "weight 2", "mean 1", "mean 2", "sd 1", "sd 2",
    ]  # fmt: skip
    for name, truth, found, error in rows:
        assert abs(float(found) - float(truth)) < 3 * float(error), name


def test_earthquakes_have_two_states_and_a_forecast(tour: Any) -> None:
    report = (tour[0] / "report.md").read_text(encoding="utf-8")
    rates = [float(rate) for rate in re.findall(r"^\| [01] \| ([\d.]+) \| 0\.", report, re.M)]
    assert rates == pytest.approx([15.42, 26.02], abs=0.06)  # the published maximum
    assert "chosen: 2 states by BIC" in tour[2]
    assert re.search(r"2007: 1\d\.\d expected, \d+ to \d+ with 90 %", tour[2])
    deviation = re.search(r"their standard deviation ([\d.]+)", report)
    assert deviation is not None
    assert 0.8 < float(deviation[1]) < 1.2


def test_words_of_messages_are_linked(tour: Any) -> None:
    report = (tour[0] / "report.md").read_text(encoding="utf-8")
    assert re.search(r"^\| password \| Passwort 0\.[5-9]", report, re.M)
    assert '"Please enter a valid password .", "Bitte ein gültiges Passwort eingeben .": ' in report
    assert "password - Passwort" in report
    assert re.search(
        r"678 pairs, perplexity \d\.\d; password: Passwort, \d+ %; 10 EM maps", tour[2]
    )
    assert len((tour[0] / "messages.txt").read_text(encoding="utf-8").splitlines()) == 678


def test_airquality_is_filled_and_its_mean_pooled(tour: Any) -> None:
    pytest.importorskip("pandas")
    report = (tour[0] / "report.md").read_text(encoding="utf-8")
    row = re.search(
        r"^\| log ozone \| 24\.2 % \| ([\d.]+) % \| ([\d.]+) \| ([\d.]+) % \|$", report, re.M
    )
    assert row is not None
    lost, mean, covered = map(float, row.groups())
    assert 5 < lost < 24.2
    assert 85 < covered < 97
    assert "Little's test: chi2 = " in report
    pooled = re.search(r"it is ([\d.]+), with a standard error of\n([\d.]+)", report)
    assert pooled is not None
    assert float(pooled[1]) == pytest.approx(mean, abs=0.05)
    air = load_airquality().to_frame().drop(columns="Day")
    air["Ozone"] = np.log(air["Ozone"])
    tables = latentem.impute_multiple(air, m=20, random_state=0)
    wanted = latentem.pool(
        [table["Ozone"].mean() for table in tables],
        [table["Ozone"].var() / 153 for table in tables],
    )
    assert float(pooled[1]) == pytest.approx(wanted.estimate, abs=1e-3)
    assert float(pooled[2]) == pytest.approx(wanted.std_error, abs=1e-3)
    assert f"mean log ozone {wanted.estimate:.2f} ± {wanted.std_error:.2f}" in tour[2]
    assert (tour[0] / "airquality.csv").read_text().splitlines()[5] == ",,14.3,56,5,5"


def test_data_and_model_are_there_for_what_comes_next(tour: Any) -> None:
    model = latentem.load(tour[0] / "faithful.npz")
    assert list(model.feature_names_in_) == ["eruptions", "waiting"]
    lines = (tour[0] / "faithful.csv").read_text().splitlines()
    assert lines[0] == "eruptions,waiting"
    rows = [[float(cell) for cell in line.split(",")] for line in lines[1:]]
    assert rows == load_faithful().data.tolist()


def test_command_on_the_screen_works(tour: Any, capsys: Any) -> None:
    pytest.importorskip("pandas")
    lines = tour[2].splitlines()
    line = next(line for line in lines if "faithful.csv" in line)
    assert "mixture" in line
    data = str(tour[0] / "faithful.csv")
    assert main(["mixture", data, "--components", "2", "--covariance", "full"]) == 0
    assert "Chosen: 2 components" in capsys.readouterr().out
    assert any(f"hmm {tour[0] / 'earthquakes.csv'} --columns" in line for line in lines)
    series = str(tour[0] / "earthquakes.csv")
    argv = ["hmm", series, "--columns", "count", "--family", "poisson", "--states", "2"]
    assert main(argv) == 0
    assert "Chosen: 2 states, poisson" in capsys.readouterr().out
    assert any(f"impute {tour[0] / 'airquality.csv'} -o" in line for line in lines)
    assert main(["impute", str(tour[0] / "airquality.csv")]) == 0
    assert "44 cells missing" in capsys.readouterr().out


def test_folder_that_is_a_file_is_a_sentence(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "tour").write_text("")
    assert main(["tour", "--out", str(tmp_path / "tour")]) == 2
    assert "cannot make the folder" in capsys.readouterr().err


def test_missing_matplotlib_names_the_command(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    assert main(["tour", "--out", str(tmp_path / "tour")]) == 2
    assert "pip install 'latentem[cli]'" in capsys.readouterr().err
    assert not (tmp_path / "tour").exists()


def test_chapter_that_is_not_sound_is_exit_3(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doubtful(folder: Path, seed: int) -> Chapter:
        """A chapter for this test."""
        return Chapter("Doubt", f"Seed {seed}.", ["NOT CONVERGED"], [], False)

    monkeypatch.setattr("latentem.cli.chapters.CHAPTERS", [doubtful])
    assert main(["tour", "--out", str(tmp_path), "--seed", "3"]) == 3
    assert "NOT CONVERGED" in capsys.readouterr().out
    assert "## Doubt\n\nSeed 3." in (tmp_path / "report.md").read_text()


def test_every_chapter_names_itself() -> None:
    assert all((chapter.__doc__ or "").strip() for chapter in CHAPTERS)


def test_concrete_shows_void_and_steel(tour: Any) -> None:
    report = (tour[0] / "report.md").read_text(encoding="utf-8")
    row = re.search(
        r"^\| smoothness prior \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$",
        report, re.M,
    )  # fmt: skip
    assert row is not None
    concrete, steel, void, crack, error = (float(cell) for cell in row.groups())
    assert concrete == pytest.approx(1.05, abs=0.05)
    assert steel > 2.5
    assert void < 0.25
    assert crack < 0.8 * concrete
    assert error < 0.25
    assert re.search(r"^Concrete.*void 0\.\d\d, around it 1; converged in", tour[2], re.M)
