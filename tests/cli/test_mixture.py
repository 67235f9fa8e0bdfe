"""``latentem mixture``: what it prints, writes and returns."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latentem
from latentem import GaussianMixture
from latentem.cli import main
from latentem.datasets import load_faithful, load_times_deaths

pandas = pytest.importorskip("pandas")

FAST = ("--components", "1:3", "--covariance", "full,tied", "--starts", "1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, where the test runs, with the Old Faithful data in it."""
    monkeypatch.chdir(tmp_path)
    load_faithful().to_frame().to_csv("faithful.csv", index=False)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, Any, str]:
    """Exit code, parsed JSON, and messages."""
    code = main(["mixture", *argv, "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out, parse_constant=pytest.fail), err


# -------------------------------------------------------------------------------------- results


def test_json_holds_the_selection_and_the_model(folder: Path, capsys: Any) -> None:
    code, found, err = run(capsys, "faithful.csv", *FAST)
    assert (code, err) == (0, "")
    assert list(found) == [
        "command", "schema", "latentem", "data", "settings", "candidates", "best", "model",
        "convergence", "files",
    ]  # fmt: skip
    assert (found["command"], found["schema"], found["latentem"]) == (
        "mixture", 1, latentem.__version__,
    )  # fmt: skip
    assert found["data"] == {
        "file": "faithful.csv",
        "rows": 272,
        "rows_used": 272,
        "rows_left_out": [],
        "missing_cells": {},
        "columns": ["eruptions", "waiting"],
        "columns_left_out": [],
        "weights": None,
        "total_weight": 272.0,
    }
    assert len(found["candidates"]) == 6
    best = found["candidates"][found["best"]]
    assert (best["n_components"], best["covariance_type"]) == (3, "tied")
    assert best["value"] == min(row["value"] for row in found["candidates"])
    model = found["model"]
    assert model["bic"] == best["value"]
    assert model["loglik"] == pytest.approx(-1126.3159, abs=1e-3)  # the published maximum
    assert np.sort(model["weights"]) == pytest.approx([0.1686, 0.3564, 0.4750], abs=1e-3)
    assert np.shape(model["means"]) == (3, 2)
    assert np.shape(model["covariances"]) == (2, 2)
    assert model["n_parameters"] == 11
    assert found["convergence"]["converged"] is True
    assert found["convergence"]["reason"] in ("converged", "rounding")


def test_json_keys_are_those_of_the_guide(folder: Path, capsys: Any) -> None:
    guide = Path(__file__).parents[2] / "docs" / "guide" / "command-line.rst"
    text = guide.read_text(encoding="utf-8")
    found = run(capsys, "faithful.csv", *FAST)[1]
    for name, part in found.items():
        keys = part[0] if isinstance(part, list) else part if isinstance(part, dict) else {}
        for key in (name, *keys):
            assert f"``{key}``" in text, f"the guide does not describe {name}.{key}"


def test_same_seed_same_bytes(folder: Path, capsys: Any) -> None:
    first = run(capsys, "faithful.csv", *FAST, "--seed", "7")
    assert run(capsys, "faithful.csv", *FAST, "--seed", "7") == first


def test_text_names_columns_candidates_and_convergence(folder: Path, capsys: Any) -> None:
    assert main(["mixture", "faithful.csv", *FAST]) == 0
    out, err = capsys.readouterr()
    assert err == ""  # no progress bar where nobody watches
    assert "272 rows, 2 columns (eruptions, waiting)" in out
    assert "2314.30 *" in out
    assert "Chosen: 3 components, tied" in out
    assert "Converged after" in out
    assert "Next:" in out
    assert max(map(len, out.splitlines())) <= 80


def test_options_reach_the_fit(folder: Path, capsys: Any) -> None:
    argv = ("--components", "2,3", "--covariance", "diag", "--criterion", "icl", "--seed", "5")
    found = run(capsys, "faithful.csv", *argv, "--columns", "waiting,eruptions")[1]
    assert [row["n_components"] for row in found["candidates"]] == [2, 3]
    assert {row["covariance_type"] for row in found["candidates"]} == {"diag"}
    assert found["data"]["columns"] == ["waiting", "eruptions"]
    assert found["settings"]["criterion"] == "icl"
    assert found["settings"]["seed"] == 5
    assert found["candidates"][found["best"]]["value"] == found["model"]["icl"]


def test_model_and_labels_are_written(folder: Path, capsys: Any) -> None:
    argv = (*FAST, "--out", "model.npz", "--assign", "labels.csv")
    found = run(capsys, "faithful.csv", *argv)[1]
    assert found["files"] == {"out": "model.npz", "assign": "labels.csv"}
    model = latentem.load("model.npz")
    assert list(model.feature_names_in_) == ["eruptions", "waiting"]
    assert model.means_.tolist() == found["model"]["means"]
    frame = load_faithful().to_frame()
    labels = pandas.read_csv("labels.csv")
    assert list(labels.columns) == ["row", "component", "probability"]
    assert labels["component"].tolist() == model.predict(frame).tolist()
    texts = pandas.read_csv("labels.csv", dtype=str)["probability"]
    assert [float(text) for text in texts] == model.predict_proba(frame).max(axis=1).tolist()


@pytest.mark.parametrize("columns", ["eruptions", "eruptions,waiting"])
def test_figure_is_written(columns: str, folder: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    run(capsys, "faithful.csv", *FAST, "--columns", columns, "--plot", "fit.png")
    assert (folder / "fit.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_figure_of_many_columns_shows_the_two_that_tell_components_apart() -> None:
    from latentem.cli.figure import telling

    model = latentem.GaussianMixture.from_parameters(
        weights=[0.5, 0.5],
        means=[[0.0, 0.0, 0.0, 0.0], [0.1, 5.0, 90.0, 4.0]],
        covariances=[[1.0, 1.0, 1e6, 1.0]] * 2,
        covariance_type="diag",
    )
    assert telling(model) == (1, 3)


def test_weights_are_frequencies(folder: Path, capsys: Any) -> None:
    deaths = load_times_deaths()
    deaths.to_frame().rename(columns={"weight": "days"}).to_csv("table.csv", index=False)
    days = np.repeat(deaths.data[:, 0], deaths.weights.astype(int))
    pandas.DataFrame({"deaths": days}).to_csv("days.csv", index=False)
    argv = ("--components", "1", "--covariance", "full")
    weighted = run(capsys, "table.csv", *argv, "--weights", "days")[1]
    repeated = run(capsys, "days.csv", *argv)[1]
    assert weighted["data"]["weights"] == "days"
    assert weighted["data"]["total_weight"] == repeated["data"]["rows"] == 1096
    assert weighted["data"]["columns"] == ["deaths"]
    assert weighted["model"]["bic"] == pytest.approx(repeated["model"]["bic"], rel=1e-12)


def test_one_column_is_not_fitted_four_times(folder: Path, capsys: Any) -> None:
    code, found, err = run(
        capsys, "faithful.csv", "--columns", "waiting", "--components", "2", "--starts", "1"
    )
    assert [row["covariance_type"] for row in found["candidates"]] == ["full", "tied"]
    assert "the same as full" in err
    assert code == 0


# ------------------------------------------------------------------------------ what is left out


def test_rows_count_with_what_was_seen_and_keep_their_line(folder: Path, capsys: Any) -> None:
    frame = load_faithful().to_frame()
    frame.loc[[3, 20], "waiting"] = np.nan
    frame.loc[[3, 10, 30], "eruptions"] = np.nan
    frame["weight"] = 1.0
    frame.loc[10, "weight"] = np.nan
    frame.to_csv("holes.csv", index=False)
    code, found, err = run(
        capsys, "holes.csv", *FAST, "--weights", "weight", "--assign", "labels.csv",
        "--plot", "holes.png",
    )  # fmt: skip
    assert code == 0
    assert "2 of 272 rows left out, because all their cells are missing, or their weight" in err
    assert "rows 4, 11, counted below the header" in err
    assert "2 empty cells (eruptions 1, waiting 1): rows count with what was seen of them" in err
    assert found["data"]["rows_left_out"] == [4, 11]
    assert found["data"]["rows_used"] == 270
    assert found["data"]["missing_cells"] == {"eruptions": 1, "waiting": 1}
    X = frame.drop(index=[3, 10])[["eruptions", "waiting"]]
    fit = GaussianMixture(
        found["model"]["n_components"],
        covariance_type=found["model"]["covariance_type"],
        n_init=3,
        random_state=0,
    ).fit(X)
    assert found["model"]["loglik"] == pytest.approx(fit.loglik_, rel=1e-6)
    with open("labels.csv", newline="") as file:  # noqa: PTH123
        lines = list(csv.DictReader(file))
    assert len(lines) == 272
    assert [line["row"] for line in lines if line["component"] == ""] == ["4", "11"]
    assert lines[3]["probability"] == ""
    assert lines[0]["component"] in ("0", "1", "2")


def test_all_the_ways_to_write_missing(folder: Path, capsys: Any) -> None:
    cells = ["", "NA", "NaN", "nan", " NA", "-99", "none"]
    rows = [*(f"{cell},1" for cell in cells), *(f"{i},{i * i}" for i in range(20))]
    Path("na.csv").write_text("a,b\n" + "\n".join(rows) + "\n")
    argv = ("na.csv", "--components", "1", "--covariance", "full")
    found = run(capsys, *argv, "--na=-99,none")[1]
    assert found["data"]["missing_cells"] == {"a": 7}
    _, found, err = run(capsys, *argv)
    assert "column 'a' is left out: row 7 holds 'none', not a number" in err
    assert "give --na 'none'" in err
    assert found["data"]["columns"] == ["b"]


def test_columns_left_out_are_named_with_the_reason(folder: Path, capsys: Any) -> None:
    pandas.DataFrame(
        {
            "Größe (cm)": np.arange(9.0) ** 2,
            "name": list("abcdefghi"),
            "flag": [True, False, True] * 3,
            "empty": [np.nan] * 9,
        },
        index=range(9),
    ).to_csv("mixed.csv")
    _, found, err = run(capsys, "mixed.csv", "--components", "1")
    assert found["data"]["columns"] == ["Größe (cm)"]
    reasons = {part["column"]: part["reason"] for part in found["data"]["columns_left_out"]}
    assert reasons == {
        "Unnamed: 0": "it has no name and counts the rows",
        "name": "row 1 holds 'a', not a number",
        "flag": "it holds true and false, not numbers",
        "empty": "all its cells are missing",
    }
    for name, reason in reasons.items():
        assert f"column {name!r} is left out: {reason}" in err


def test_constant_columns_are_left_out_by_name(folder: Path, capsys: Any) -> None:
    frame = load_faithful().to_frame()
    frame["year"] = 1985
    frame["late"] = [3.0] * 271 + [4.0]
    frame["weight"] = [1.0] * 271 + [0.0]  # the row where "late" differs does not count
    frame.to_csv("constant.csv", index=False)
    for argv in ((), ("--columns", "eruptions,waiting,year,late")):
        code, found, err = run(capsys, "constant.csv", *FAST, "--weights", "weight", *argv)
        assert code == 0
        assert found["data"]["columns"] == ["eruptions", "waiting"]
        assert (
            "column 'year' is left out: it is constant, 1985 in each of the 271 rows that show it"
            in err
        )
        assert (
            "column 'late' is left out: it is constant, 3 in each of the 271 rows that show it"
            in err
        )
        assert found["convergence"]["notes"] == []
        assert [part["column"] for part in found["data"]["columns_left_out"]] == ["year", "late"]


def test_names_with_commas_are_quoted_in_lists(folder: Path, capsys: Any) -> None:
    frame = load_faithful().to_frame()
    frame.columns = ["length, min", "waiting"]
    frame.loc[3, "length, min"] = np.nan
    frame.to_csv("named.csv", index=False)
    assert main(["mixture", "named.csv", *FAST]) == 0
    out, err = capsys.readouterr()
    assert "272 rows, 2 columns ('length, min', waiting)" in out
    assert "1 empty cell ('length, min' 1)" in err
    found = run(capsys, "named.csv", *FAST, "--columns", "length, min", "--columns", "waiting")[1]
    assert found["data"]["columns"] == ["length, min", "waiting"]


# ------------------------------------------------------------------------------- ways to write data


@pytest.mark.parametrize(
    ("content", "argv"),
    [
        (b"a,b\n1,2\n2,1\n3,5\n", ()),
        (b"a;b\r\n1;2\r\n2;1\r\n3;5\r\n", ()),
        (b"\xef\xbb\xbfa\tb\n1\t2\n2\t1\n3\t5\n", ()),
        (b"a|b\n1|2\n2|1\n3|5", ()),
        (b"a b\n1 2\n2 1\n3  5\n", ()),
        (b"a; b\n1,0; 2\n2,0; 1\n3,0; 5\n", ("--decimal", ",")),
        ("a,b\n1,2\n2,1\n3,5\n".encode("utf-16"), ()),
        (b"a:b\n1:2\n2:1\n3:5\n", ("--delimiter", ":")),
        (b'"a","b"\n"1","2"\n"2","1"\n"3","5"\n', ()),
    ],
)
def test_delimiters_marks_and_encodings(
    content: bytes, argv: tuple[str, ...], folder: Path, capsys: Any
) -> None:
    (folder / "data.csv").write_bytes(content)
    found = run(capsys, "data.csv", "--components", "1", "--covariance", "diag", *argv)[1]
    assert found["data"]["columns"] == ["a", "b"]
    assert found["model"]["means"] == [pytest.approx([2.0, 8 / 3])]


def test_no_header(folder: Path, capsys: Any) -> None:
    Path("bare.csv").write_text("1,2\n2,1\n3,5\n")
    found = run(capsys, "bare.csv", "--no-header", "--components", "1")[1]
    assert found["data"]["columns"] == ["column1", "column2"]
    assert found["data"]["rows"] == 3


def test_parquet_and_gzip_give_what_csv_gives(folder: Path, capsys: Any) -> None:
    pytest.importorskip("pyarrow")
    frame = load_faithful().to_frame()
    frame.to_parquet("f.parquet")
    frame.to_csv("f.csv.gz", index=False)
    models = [run(capsys, name, *FAST)[1]["model"] for name in ("f.parquet", "f.csv.gz")]
    assert models[0] == models[1] == run(capsys, "faithful.csv", *FAST)[1]["model"]


def test_numbers_are_read_to_the_last_bit(folder: Path) -> None:
    from latentem.cli.tables import Format, numbers, read_frame

    values = np.random.default_rng(0).lognormal(0, 30, size=(500, 1))
    Path("v.csv").write_text("v\n" + "\n".join(repr(float(v)) for v in values[:, 0]) + "\n")
    table = numbers(read_frame("v.csv", Format()), "v.csv")
    assert np.array_equal(table.X.to_numpy(), values)


# ---------------------------------------------------------------------------------- exit codes 2, 3


ERRORS = {
    "missing file": (None, (), "cannot read 'data.csv': no such file or directory"),
    "empty file": ("", (), "'data.csv' is empty"),
    "header only": ("a,b\n", (), "has no rows below its header"),
    "binary": ("a\0b", (), "is not a text file"),
    "zip": ("PK\x03\x04", (), "is a zip or Excel file: save the sheet as CSV"),
    "no names": ("1,2\n3,4\n", (), "give --no-header"),
    "ragged": ("a,b\n1,2\n3,4,5\n", (), "line 3 has 3 cells"),
    "row names": ("a,b\nx,1,2\ny,3,4\n", (), "more cells than its header"),
    "two names": ("a,b\n1,2\n", ("--columns", "a,c"), "no column 'c': it has 'a', 'b'"),
    "twice": ("a,b\n1,2\n", ("--columns", "a,a"), "names 'a' twice"),
    "text column": ("a,b\n1,x\n", ("--columns", "b"), "row 1 holds 'x', not a number"),
    "no numbers": ("a,b\nx,y\n", (), "has no column of numbers"),
    "comma": ("a;b\n1,5;x\n", (), "give --decimal ,"),
    "infinity": ("a\n1\ninf\n", (), "column 'a' holds infinity in row 2"),
    "one cell a column": ("a,b\n1,\n,2\n", (), "no column of 'data.csv' varies over the 2 rows"),
    "weights elsewhere": (
        "a,w\n1,\n,2\n3,\n",
        ("--weights", "w"),
        "no row of 'data.csv' has both a weight and",
    ),
    "weights unknown": ("a\n1\n", ("--weights", "w"), "no column 'w'"),
    "weights text": ("a,w\n1,x\n", ("--weights", "w"), "'w' of 'data.csv' cannot be weights"),
    "weights negative": ("a,w\n1,1\n2,-1\n", ("--weights", "w"), "row 2 has -1"),
    "weights zero": ("a,w\n1,0\n2,0\n", ("--weights", "w"), "it is zero in every row"),
    "weights data": ("a,w\n1,1\n", ("--weights", "w", "--columns", "a,w"), "both data and weights"),
    "few rows": ("a\n1\n2\n", ("--components", "3"), "fewer than n_components=3"),
    "few distinct": ("a\n1\n1\n2\n", ("--components", "3"), "2 distinct rows"),
    "one row": ("a,b\n1,2\n", (), "only 1 row of 'data.csv' can be used: a mixture needs rows"),
    "one row twice": ("a,b\n1,2\n1,2\n", (), "no column of 'data.csv' varies over the 2 rows"),
    "one row that weighs": ("a,w\n1,2\n3,0\n", ("--weights", "w"), "only 1 row of 'data.csv'"),
    "constant column": ("a,b\n1,2\n1,3\n", ("--columns", "a"), "varies over the 2 rows"),
    "out folder": ("a\n1\n", ("--out", "no/m.npz"), "the folder 'no' of 'no/m.npz' does not exist"),
    "out is folder": ("a\n1\n", ("--assign", "."), "'.' is a folder: name a file"),
    "out is data": ("a\n1\n", ("--assign", "data.csv"), "is the data: it is not overwritten"),
    "out twice": ("a\n1\n", ("--assign", "x", "--out", "x"), "must be different files"),
    "plot suffix": ("a\n1\n", ("--plot", "fit.doc"), "must end in one of"),
    "encoding": ("a\n1\n", ("--encoding", "utf-16"), "is not utf-16 text"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_bad_input_is_a_sentence_and_exit_2(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    content, argv, match = ERRORS[case]
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("data.csv").write_bytes(content.encode("latin-1"))
    before = list(tmp_path.iterdir())
    assert main(["mixture", "data.csv", "--components", "1", "--starts", "1", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert match in err
    assert err.splitlines()[-1].startswith("latentem mixture: ")
    assert list(tmp_path.iterdir()) == before


def test_text_that_is_not_utf8_names_the_option(folder: Path, capsys: Any) -> None:
    Path("latin.csv").write_bytes("größe\n1\n2\n4\n".encode("latin-1"))
    argv = ["mixture", "latin.csv", "--components", "1", "--json"]
    assert main(argv) == 2
    assert "is not UTF-8 text: give its --encoding" in capsys.readouterr().err
    assert main([*argv, "--encoding", "latin-1"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["columns"] == ["größe"]


@pytest.mark.parametrize(
    ("argv", "match"),
    [
        (("--components", "9:1"), "the range '9:1' ends before it begins"),
        (("--components", "0:3"), "begins at 0"),
        (("--components", "1-9"), "is not a number like 3, a range like 1:9"),
        (("--components", "1:99999999"), "asks for more than 1000"),
        (("--covariance", "round"), "'round' is not one of full, tied, diag, spherical"),
        (("--criterion", "best"), "invalid choice"),
        (("--seed", "-1"), "-1 is less than 0"),
        (("--starts", "many"), "'many' is not a whole number"),
        (("--tol", "0"), "0 is not a number above 0"),
        (("--tol", "small"), "'small' is not a number"),
        (("--delimiter", "ab"), "'ab' is not one character"),
        (("--encoding", "klingon"), "'klingon' is not an encoding"),
        (("--compo", "3"), "unrecognized arguments"),
    ],
)
def test_wrong_arguments_are_told_and_exit_2(
    argv: tuple[str, ...], match: str, folder: Path, capsys: Any
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["mixture", "faithful.csv", *argv])
    assert stopped.value.code == 2
    assert match in capsys.readouterr().err


def test_damaged_parquet_is_a_sentence(folder: Path, capsys: Any) -> None:
    pytest.importorskip("pyarrow")
    Path("bad.bin").write_bytes(b"PAR1 and nothing else")
    Path("bad.parquet").write_text("a,b\n1,2\n")
    assert main(["mixture", "bad.bin"]) == 2
    assert "is not a sound Parquet file" in capsys.readouterr().err
    assert main(["mixture", "bad.parquet"]) == 2
    assert "is not a Parquet file, though its name says so" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("package", "argv"),
    [("pandas", ()), ("matplotlib.backend_bases", ("--plot", "f.png"))],
)
def test_missing_extra_names_the_command(
    package: str, argv: tuple[str, ...], folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["mixture", "faithful.csv", *argv]) == 2
    assert "pip install 'latentem[cli]'" in capsys.readouterr().err


def test_not_converged_is_exit_3_and_results_all_the_same(folder: Path, capsys: Any) -> None:
    argv = ("faithful.csv", "--components", "4", "--covariance", "full", "--max-iter", "2")
    code, found, _ = run(capsys, *argv, "--out", "model.npz")
    assert code == 3
    assert found["convergence"]["converged"] is False
    assert found["convergence"]["reason"] == "max_iter"
    assert latentem.load("model.npz").converged_ is False
    assert main(["mixture", *argv]) == 3
    out = capsys.readouterr().out
    assert "NOT CONVERGED after 2 EM maps: max_iter was reached" in out
    assert "~" in out
    assert "--max-iter 10000" in out


def test_degenerate_model_is_exit_3_and_named(folder: Path, capsys: Any) -> None:
    Path("spike.csv").write_text("v\n" + "0\n" * 5 + "\n".join(f"{i / 7}" for i in range(70, 140)))
    argv = ("spike.csv", "--components", "2", "--covariance", "full")
    code, found, _ = run(capsys, *argv)
    assert code == 3
    assert "singular up to rounding" in found["convergence"]["degenerate"][0]
    assert main(["mixture", *argv]) == 3
    out = capsys.readouterr().out
    assert "degenerate: component" in out
    assert "DEGENERATE, its likelihood is not to be trusted; ended after" in out
    assert "Converged" not in out
    assert "Every candidate is degenerate" in out


def test_degenerate_candidates_never_win(folder: Path, capsys: Any) -> None:
    Path("spike.csv").write_text("v\n" + "0\n" * 5 + "\n".join(f"{i / 7}" for i in range(70, 140)))
    code, found, _ = run(capsys, "spike.csv", "--components", "1:2", "--covariance", "full")
    degenerate = [bool(row["degenerate"]) for row in found["candidates"]]
    assert degenerate == [False, True]
    assert found["candidates"][1]["value"] < found["candidates"][0]["value"]
    assert (found["best"], code) == (0, 0)


# --------------------------------------------------------------------------------- the process


def test_version_and_help_do_not_import_numerical_libraries() -> None:
    check = (
        "import sys\n"
        "from latentem.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as stopped: assert stopped.code == 0\n"
        "assert not {'numpy', 'scipy', 'pandas', 'numba'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert "mixture" in done.stdout
    assert "tour" in done.stdout


@pytest.mark.parametrize("argv", [["--version"], ["mixture", "--version"], ["tour", "--version"]])
def test_version(argv: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"latentem {latentem.__version__}\n"


def test_no_command_shows_help_and_exit_2(capsys: Any) -> None:
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().err


def test_process_streams_and_exit_code(folder: Path) -> None:
    command = [sys.executable, "-m", "latentem", "mixture", "faithful.csv", "--components", "2"]
    root = str(Path(latentem.__file__).parents[1])
    done = subprocess.run(
        [*command, "--covariance", "full", "--json"],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["model"]["n_components"] == 2


def test_progress_is_shown_on_a_terminal_only(folder: Path) -> None:
    pytest.importorskip("tqdm")
    pytest.importorskip("pty")
    import fcntl
    import pty
    import struct
    import termios

    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    root = str(Path(latentem.__file__).parents[1])
    command = [sys.executable, "-m", "latentem", "mixture", "faithful.csv", "--components", "1:2"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=side, env={**os.environ, "PYTHONPATH": root},
        check=True, text=True,
    )  # fmt: skip
    os.close(side)
    shown = os.read(terminal, 2**16).decode()
    os.close(terminal)
    assert re.search(r"candidates: +\d+%", shown)  # a fast fit ends before the bar says 100 %
    assert "candidates" not in done.stdout
    assert "Chosen:" in done.stdout
