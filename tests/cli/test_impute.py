"""``latentem impute``: what it fills, what it leaves, what it prints and returns."""

from __future__ import annotations

import csv
import gzip
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
from latentem import GaussianImputer, impute_multiple, little_mcar_test, pool
from latentem.cli import main
from latentem.cli.tables import _exactly
from latentem.datasets import load_airquality

pandas = pytest.importorskip("pandas")

AIR = load_airquality()
EXACTLY = _exactly(pandas)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, where the test runs, with airquality in it as R writes it."""
    monkeypatch.chdir(tmp_path)
    lines = [",".join(AIR.columns)]
    lines += [",".join("NA" if np.isnan(v) else f"{v:g}" for v in row) for row in AIR.data]
    Path("air.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, Any, str]:
    """Exit code, parsed JSON, and messages."""
    code = main(["impute", *argv, "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out, parse_constant=pytest.fail), err


def cells(path: str, delimiter: str = ",", encoding: str = "utf-8-sig") -> list[list[str]]:
    with open(path, newline="", encoding=encoding) as file:  # noqa: PTH123
        return list(csv.reader(file, delimiter=delimiter))


# -------------------------------------------------------------------------------------- results


def test_filled_table_and_json_are_those_of_the_imputer(folder: Path, capsys: Any) -> None:
    code, found, err = run(capsys, "air.csv", "-o", "filled.csv")
    assert (code, err) == (0, "")
    imputer = GaussianImputer().fit(AIR.to_frame())
    filled = pandas.read_csv("filled.csv", **EXACTLY)
    assert np.array_equal(filled.to_numpy(), imputer.transform(AIR.to_frame()))
    assert found["model"]["mean"] == imputer.mean_.tolist()
    assert found["model"]["covariance"] == imputer.covariance_.tolist()
    assert found["model"]["loglik"] == pytest.approx(-3123.979285, abs=1e-3)  # published
    assert found["model"]["fraction_missing_information"] == (
        imputer.fraction_missing_information_.tolist()
    )
    test = little_mcar_test(AIR.data)
    assert (found["little"]["df"], found["little"]["pvalue"]) == (test.df, test.pvalue)
    assert found["patterns"] == [
        {"rows": 111, "missing": []},
        {"rows": 35, "missing": ["Ozone"]},
        {"rows": 5, "missing": ["Solar.R"]},
        {"rows": 2, "missing": ["Ozone", "Solar.R"]},
    ]
    assert found["data"]["missing_cells"] == {"Ozone": 37, "Solar.R": 7}
    assert found["data"]["whole_columns"] == ["Ozone", "Solar.R"]
    assert found["convergence"]["converged"] is True
    assert found["pooled"] is None
    assert found["files"] == {"out": "filled.csv"}


def test_every_other_character_of_the_file_stays(folder: Path, capsys: Any) -> None:
    run(capsys, "air.csv", "-o", "filled.csv")
    before, after = cells("air.csv"), cells("filled.csv")
    assert len(before) == len(after) == 154
    for old, new in zip(before, after, strict=True):
        assert [n for o, n in zip(old, new, strict=True) if o != "NA"] == [
            o for o in old if o != "NA"
        ]
    assert "NA" not in Path("filled.csv").read_text()
    pattern = re.sub(r"(?<=,)-?\d+\.\d{6,}|^-?\d+\.\d{6,}", "NA", Path("filled.csv").read_text(),
                     flags=re.M)  # fmt: skip
    assert pattern == Path("air.csv").read_text()


def test_screen_tells_patterns_columns_convergence_and_the_test(folder: Path, capsys: Any) -> None:
    assert main(["impute", "air.csv"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    text = " ".join(out.split())
    assert "153 rows, 6 columns: 44 cells missing (4.8 %), 111 rows complete" in text
    assert "2 1.3 % Ozone, Solar.R" in text
    assert re.search(r"Ozone 37 24\.2 % 42\.52\d? 32\.3\d 11\.\d %", text)
    assert "Converged after" in text
    assert "Little's test: chi2 = 35.11, df = 14, p = 0.00142" in text
    assert "leaving incomplete rows out would be wrong" in text
    assert "whole numbers (Ozone, Solar.R): --round rounds them" in text
    assert "Imputed cells outside of all that was observed (Ozone 2)" in text
    assert "-o filled.csv" in text
    assert "--draws 20" in text
    assert "Written" not in text
    assert sorted(path.name for path in folder.iterdir()) == ["air.csv"]


def test_draws_are_files_of_their_own_and_are_pooled(folder: Path, capsys: Any) -> None:
    argv = ("air.csv", "-o", "out.csv", "--draws", "4", "--seed", "7")
    found = run(capsys, *argv)[1]
    names = [f"out_{i:02d}.csv" for i in range(1, 5)]
    assert [found["files"][f"draw_{i}"] for i in range(1, 5)] == names
    frame = AIR.to_frame()
    tables = impute_multiple(frame, 4, random_state=7, imputer=GaussianImputer(random_state=7))
    for name, table in zip(names, tables, strict=True):
        drawn = pandas.read_csv(name, **EXACTLY)
        assert np.array_equal(drawn.to_numpy(), table.to_numpy())
    pooled = pool(
        [table.mean() for table in tables], [table.var() / 153 for table in tables], dfcom=152
    )
    assert found["pooled"]["m"] == 4
    np.testing.assert_allclose(found["pooled"]["mean"], pooled.estimate, rtol=1e-12)
    np.testing.assert_allclose(found["pooled"]["std_error"], pooled.std_error, rtol=1e-9)
    first = Path("out_01.csv").read_bytes()
    run(capsys, *argv)
    assert Path("out_01.csv").read_bytes() == first
    run(capsys, *argv[:-1], "8")
    assert Path("out_01.csv").read_bytes() != first
    assert main(["impute", *argv]) == 0
    assert "out.csv, out_01.csv to out_04.csv" in " ".join(capsys.readouterr().out.split())


def test_names_of_many_draws_and_of_compressed_files(folder: Path, capsys: Any) -> None:
    from latentem.cli.impute import _beside

    assert [p.name for p in _beside(Path("a.b.csv.gz"), 2)] == ["a.b_01.csv.gz", "a.b_02.csv.gz"]
    assert _beside(Path("f.csv"), 100)[0].name == "f_001.csv"
    run(capsys, "air.csv", "-o", "filled.csv")
    run(capsys, "air.csv", "-o", "filled.csv.gz")
    assert gzip.decompress(Path("filled.csv.gz").read_bytes()) == Path("filled.csv").read_bytes()
    Path("air.csv.gz").write_bytes(gzip.compress(Path("air.csv").read_bytes()))
    run(capsys, "air.csv.gz", "-o", "again.csv")
    assert Path("again.csv").read_bytes() == Path("filled.csv").read_bytes()


def test_whole_numbers_where_they_are_asked_for(folder: Path, capsys: Any) -> None:
    run(capsys, "air.csv", "-o", "filled.csv")
    run(capsys, "air.csv", "-o", "rounded.csv", "--round", "--draws", "2")
    for name in ("rounded.csv", "rounded_01.csv"):
        rows = cells(name)[1:]
        assert all(re.fullmatch(r"-?\d+", cell) for row in rows for cell in row[:2])
    filled, rounded = (pandas.read_csv(name) for name in ("filled.csv", "rounded.csv"))
    assert np.array_equal(filled.round()["Ozone"], rounded["Ozone"])
    assert np.array_equal(filled["Wind"], rounded["Wind"])
    assert filled["Temp"].dtype == np.int64  # without a missing cell
    Path("real.csv").write_text("a,b\n1.0,2\n2.0,\n,3\n4.5,7\n5,8\n")
    found = run(capsys, "real.csv", "-o", "r.csv", "--round")[1]
    assert found["data"]["whole_columns"] == ["b"]


def test_report_holds_it_all(folder: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    (folder / "sub").mkdir()
    argv = ("-o", "f.csv", "--draws", "3", "--report", "sub/r.md", "--plot", "p.png")
    assert main(["impute", "air.csv", *argv]) == 0
    text = (folder / "sub" / "r.md").read_text(encoding="utf-8")
    figures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert figures == ["../p.png"]
    assert (folder / "p.png").read_bytes()[:4] == b"\x89PNG"
    assert "| 35 | 22.9 % | Ozone |" in text
    assert re.search(r"\| Ozone \| 37 \| 24\.2 % \| 42\.52\d? \|", text)
    assert re.search(r"\| Ozone \| 116 \| 9\d\.\d % \|", text)
    assert re.search(
        r"\| Ozone \| \d+\.\d+ \| [23]\.\d+ \| \d+\.\d+ \| \d+\.\d+ \| \d+\.\d % \|", text
    )
    assert "| Wind | 9.9575 | 0.285 | 9.3947 | 10.52 | 0.0 % |" in text
    assert "Little's test: chi2 = 35.11" in text
    assert "Converged after" in text
    assert "f_01.csv to f_03.csv" in text
    assert "nan" not in text.lower().split()


def test_many_patterns_and_names_with_bars(folder: Path, capsys: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 12))
    x[rng.random(x.shape) < 0.3] = np.nan
    frame = pandas.DataFrame(x, columns=[f"c|{j}" for j in range(12)])
    frame.to_csv("wide.csv", index=False)
    argv = ["--report", "r.md", "--plot", "p.svg", "--delimiter", ","]
    assert main(["impute", "wide.csv", *argv]) == 0
    out = capsys.readouterr().out
    assert "more patterns, with" in out
    assert "and 2 more columns with missing cells (--report has all)" in out
    text = Path("r.md").read_text()
    assert "And 2" in text
    assert "c\\|11" in text
    assert Path("p.svg").read_text().startswith("<?xml")


def test_model_is_saved(folder: Path, capsys: Any) -> None:
    found = run(capsys, "air.csv", "--save", "m.npz", "--prior", "ridge")[1]
    imputer = latentem.load("m.npz")
    assert imputer.mean_.tolist() == found["model"]["mean"]
    assert imputer.prior == "ridge"
    assert imputer.progress is False
    assert list(imputer.feature_names_in_) == list(AIR.columns)


@pytest.mark.parametrize("kind", ["mixture", "factor"])
def test_mixtures_and_factors_fill_by_their_own_means(kind: str, folder: Path, capsys: Any) -> None:
    argv = ("--model", kind, "--components", "1:2", "--starts", "2", "--report", "r.md")
    code, found, err = run(capsys, "air.csv", "-o", "f.csv", *argv, "--save", "m.npz")
    assert (code, err) == (0, "")
    model = latentem.load("m.npz")
    filled = pandas.read_csv("f.csv", **EXACTLY)
    assert np.array_equal(filled.to_numpy(), model.impute(AIR.to_frame()))
    name = {"mixture": "n_components", "factor": "n_factors"}[kind]
    assert [row[name] for row in found["candidates"]] == [1, 2]
    assert found["best"] == 1
    assert getattr(model, name) == 2
    parts = {
        "mixture": ["weights", "means", "covariances"],
        "factor": ["components", "noise_variance"],
    }[kind]
    assert list(found["model"]) == ["mean", "std", *parts, "loglik"]
    for part in parts:
        assert found["model"][part] == getattr(model, f"{part}_").tolist()
    drawn = model.sample(200_000, random_state=0)
    rows = drawn[0] if kind == "mixture" else drawn
    np.testing.assert_allclose(found["model"]["mean"], rows.mean(axis=0), rtol=0.01)
    np.testing.assert_allclose(found["model"]["std"], rows.std(axis=0), rtol=0.01)
    assert found["settings"]["components"] == [1, 2]
    assert "2 normal" in Path("r.md").read_text() or "2 factors" in Path("r.md").read_text()
    assert main(["impute", "air.csv", *argv[:-2]]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "* the best" in out
    assert "--components 1:4 looks further" in out
    assert "--model normal" in out


@pytest.mark.parametrize("kind", ["mixture", "factor"])
def test_columns_of_one_value_take_no_part_in_any_model(
    kind: str, folder: Path, capsys: Any
) -> None:
    frame = AIR.to_frame()[["Ozone", "Wind", "Temp"]]
    frame.insert(1, "one", np.where(np.arange(153) % 3, 7.5, np.nan))
    frame.to_csv("one.csv", index=False)
    argv = ("--model", kind, "--components", "1", "--starts", "1")
    code, found, err = run(capsys, "one.csv", "-o", "f.csv", *argv)
    assert code == 0
    assert "column 1 ('one') has one value only, 7.5" in err
    assert (found["model"]["mean"][1], found["model"]["std"][1]) == (7.5, 0.0)
    filled = pandas.read_csv("f.csv")
    assert (filled["one"] == 7.5).all()
    run(capsys, "one.csv", "-o", "g.csv", *argv, "--columns", "Ozone,Wind,Temp")
    assert np.array_equal(filled["Ozone"], pandas.read_csv("g.csv")["Ozone"])
    Path("k.csv").write_text("x,y\n1,\n1,2\n,2\n")
    assert main(["impute", "k.csv", "-o", "h.csv", "--model", kind]) == 0
    assert "No column varies" in capsys.readouterr().out


def test_too_few_rows_for_so_many_components_is_exit_3(folder: Path, capsys: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 4))
    x[3, 2] = np.nan
    pandas.DataFrame(x, columns=list("abcd")).to_csv("few.csv", index=False)
    assert main(["impute", "few.csv", "--model", "mixture", "--components", "3"]) == 3
    out = " ".join(capsys.readouterr().out.split())
    assert "! degenerate" in out
    assert "--components 1:2 tries fewer components" in out


# --------------------------------------------------------------------- the file as it is written

#: Files, their encoding and options. ⟨mark⟩ is a cell that is to be filled, all else has to stay.
WRITTEN: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "quotes and ends of lines": (
        '"name","x","y"\r\n"a, b","1","2"\r\n"c ""d""","⟨⟩","4.50"\r\n\r\n"NA",3,"⟨NA⟩"\r\n"",4,9',
        "utf-8", (),
    ),
    "byte order mark": (
        "\ufeffx;y;z\n1,5;2;u\n2,5;⟨⟩;v\n⟨⟩;7;w\n4,0;1;", "utf-8", ("--decimal", ","),
    ),
    "marks of its own": (
        "x,y\n1,⟨-99⟩\n⟨-99.0⟩,2\n 3 ,⟨none⟩\n4, ⟨NA⟩\n-9,1\n0,2", "utf-8", ("--na=-99,none",),
    ),
    "blanks": ("x  y\n1   2\n2 ⟨NA⟩\n⟨NA⟩ 4\n5   1.25\n", "utf-8", ()),
    "tabs": ("x\ty\n1\t2\n⟨⟩\t3\n4\t⟨⟩\n5\t1\n", "utf-8", ()),
    "utf-16": ("\ufeffgröße,y\n1,2\n⟨⟩,3\n4,1\n5,⟨⟩\n", "utf-16-le", ()),
    "big end first": ("\ufeffx,y\n1,2\n⟨⟩,3\n4,1\n5,⟨⟩\n", "utf-16-be", ()),
    "latin-1": (
        "x,ort,y\n1,Köln,1\n⟨⟩,Bern,2\n4,,3\n5,Ulm,⟨⟩\n", "latin-1", ("--encoding", "latin-1"),
    ),
    "no header": ("1,2\n⟨⟩,3\n4,1\n5,2\n", "utf-8", ("--no-header",)),
    "old Mac": ("x,y\r1,2\r⟨⟩,3\r4,1\r5,2\r", "utf-8", ()),
    "digits": ("x,y\n0.10000000000000000555,1e3\n⟨⟩,2E-1\n+3,007\n7,.5\n", "utf-8", ()),
    "commas as decimals": (
        'x,y\n"1,5",2\n"⟨⟩",3\n"4,0",⟨⟩\n⟨⟩,1\n"5,5",1\n', "utf-8", ("--decimal", ","),
    ),
    "columns left": ("x,none,text,y\n1,,\" q\",2\n⟨⟩,,u,1\n4,,NA,4\n5,,NaN,⟨nan⟩\n", "utf-8", ()),
    "blank lines": ("\n\nx,y\n\n1,2\n   \n⟨⟩,3\n4,1\n\n\n5,2", "utf-8", ()),
}  # fmt: skip


@pytest.mark.parametrize("case", WRITTEN)
def test_only_missing_cells_of_numbers_change(case: str, folder: Path, capsys: Any) -> None:
    template, encoding, argv = WRITTEN[case]
    Path("data.csv").write_bytes(re.sub("[⟨⟩]", "", template).encode(encoding))
    code, found, _ = run(capsys, "data.csv", "-o", "filled.csv", *argv, "--prior", "ridge")
    assert code == 0
    filled = Path("filled.csv").read_bytes().decode(encoding)
    number = r'"?-?\d+[.,]\d+(?:e[-+]?\d+)?"?'
    pattern = number.join(re.escape(piece) for piece in re.split("⟨.*?⟩", template))
    assert re.fullmatch(pattern, filled), filled
    assert sum(found["data"]["missing_cells"].values()) == template.count("⟨")


def test_quoted_numbers_stay_quoted(folder: Path, capsys: Any) -> None:
    Path("data.csv").write_text('x,y\n"1,5",2\n"",3\n"4,0",\n"5,5",1\n')
    run(capsys, "data.csv", "-o", "filled.csv", "--decimal", ",", "--prior", "ridge")
    old, new = cells("data.csv"), cells("filled.csv")
    assert [row[0] for row in new[1:]].count("") == 0
    assert all(re.fullmatch(r"-?\d+,\d+", row[0]) for row in new[1:])
    assert [len(row) for row in new] == [len(row) for row in old]
    assert [new[i][1] for i in (1, 2, 4)] == ["2", "3", "1"]
    assert re.fullmatch(r"-?\d+,\d+", new[3][1])


def test_rows_that_end_early_are_completed(folder: Path, capsys: Any) -> None:
    Path("short.csv").write_text("x,y,text,z\n1,2,u,3\n2\n3,1\n4,4,v,5\n5,6,,8\n")
    run(capsys, "short.csv", "-o", "filled.csv", "--prior", "ridge")
    rows = cells("filled.csv")
    assert [len(row) for row in rows] == [4] * 6
    assert rows[2][0] == "2"
    assert rows[3][:2] == ["3", "1"]
    assert all(float(row[k]) for row in rows[2:4] for k in (1, 3))
    assert [row[2] for row in rows[1:]] == ["u", "", "", "v", ""]
    assert Path("filled.csv").read_text().splitlines()[1] == "1,2,u,3"


def test_text_dates_and_empty_columns_are_left_and_named(folder: Path, capsys: Any) -> None:
    frame = AIR.to_frame()
    frame.insert(0, "site", np.where(np.arange(153) % 9, "a", None))
    frame["flag"] = np.arange(153) % 2 == 0
    frame["empty"] = np.nan
    frame.to_csv("mixed.csv", index=False, na_rep="?")
    code, found, err = run(capsys, "mixed.csv", "-o", "filled.csv", "--na", "?")
    assert code == 0
    assert found["data"]["columns"] == list(AIR.columns)
    assert [part["column"] for part in found["data"]["columns_left"]] == ["site", "flag", "empty"]
    assert found["data"]["missing_cells_left"] == {"site": 17, "empty": 153}
    assert "column 'site' is left as it is: row 2 holds 'a', not a number" in err
    assert "column 'empty' is left as it is: all its cells are missing" in err
    assert "170 missing cells of those columns cannot be filled (site 17, empty 153)" in err
    before, after = (pandas.read_csv(n, dtype=str, keep_default_na=False)
                     for n in ("mixed.csv", "filled.csv"))  # fmt: skip
    assert list(before.columns) == list(after.columns)
    for name in ("site", "flag", "empty", "Wind", "Temp"):
        assert before[name].tolist() == after[name].tolist(), name
    assert (after["Ozone"] != "?").all()


def test_chosen_columns_alone_are_filled(folder: Path, capsys: Any) -> None:
    argv = ("air.csv", "-o", "f.csv", "--columns", "Ozone,Temp")
    found = run(capsys, *argv)[1]
    assert found["data"]["columns"] == ["Ozone", "Temp"]
    assert {part["reason"] for part in found["data"]["columns_left"]} == {
        "it is not named by --columns"
    }
    filled = pandas.read_csv("f.csv", keep_default_na=False)
    assert (filled["Solar.R"] == "NA").sum() == 7
    alone = GaussianImputer().fit_transform(AIR[["Ozone", "Temp"]])
    np.testing.assert_allclose(filled["Ozone"].astype(float), alone[:, 0], rtol=1e-14)


def test_constant_columns_are_filled_and_told(folder: Path, capsys: Any) -> None:
    Path("c.csv").write_text("x,y,one\n1,2,7\n2,,\n,4,7\n4,5,7\n3,9,\n")
    code, _found, err = run(capsys, "c.csv", "-o", "f.csv")
    assert code == 0
    assert "column 2 ('one') has one value only, 7: its missing cells get it" in err
    assert "(Guide: missing-data, missing-one-value)" in err
    assert [row[2] for row in cells("f.csv")[1:]] == ["7", "7.0", "7", "7", "7.0"]
    Path("k.csv").write_text("x,y\n1,\n1,2\n,2\n")
    assert main(["impute", "k.csv", "-o", "f.csv", "--round"]) == 0
    assert "No column varies" in capsys.readouterr().out
    assert cells("f.csv")[1:] == [["1", "2"], ["1", "2"], ["1", "2"]]


def test_nothing_missing_is_no_error(folder: Path, capsys: Any) -> None:
    Path("whole.csv").write_text("x,y\n1,2\n2,1\n3,5\n4,4\n")
    assert main(["impute", "whole.csv", "-o", "f.csv"]) == 0
    out = capsys.readouterr().out
    assert "0 cells missing" in out
    assert "No cell is missing in these columns" in out
    assert "all rows miss the same cells" in " ".join(out.split())
    assert Path("f.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_parquet_keeps_its_types(folder: Path, capsys: Any) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    whole = pyarrow.array([None if np.isnan(v) else int(v) for v in AIR.data[:, 0]], "int32")
    table = pyarrow.table(
        {
            "day": pyarrow.array(AIR["Day"].astype(int), "int8"),
            "ozone": whole,
            "sun": pyarrow.array(AIR["Solar.R"].astype(np.float32)),  # NaN, not null
            "wind": pyarrow.array(AIR["Wind"]),
            "text": pyarrow.array(["a", None, "c"] * 51),
        }
    )
    parquet.write_table(table, "air.parquet")
    code, found, _ = run(capsys, "air.parquet", "-o", "f.parquet", "--draws", "2")
    assert code == 0
    assert found["data"]["whole_columns"] == ["ozone", "sun"]
    filled = parquet.read_table("f.parquet")
    assert [str(field.type) for field in filled.schema] == [
        "int8", "double", "float", "double", "string",
    ]  # fmt: skip
    assert filled.column("text").equals(table.column("text"))
    assert filled.column("day").equals(table.column("day"))
    ozone = filled.column("ozone").to_numpy()
    seen = ~np.isnan(AIR.data[:, 0])
    assert np.array_equal(ozone[seen], AIR.data[seen, 0])
    frame = pandas.DataFrame(
        {"day": AIR["Day"], "ozone": AIR["Ozone"], "sun": AIR["Solar.R"], "wind": AIR["Wind"]}
    )
    wanted = GaussianImputer().fit_transform(frame)
    np.testing.assert_allclose(ozone, wanted[:, 1], rtol=1e-12)
    np.testing.assert_allclose(filled.column("sun").to_numpy(), wanted[:, 2], rtol=1e-6)
    assert Path("f_02.parquet").exists()
    run(capsys, "air.parquet", "-o", "r.parquet", "--round")
    rounded = parquet.read_table("r.parquet")
    assert str(rounded.schema.field("ozone").type) == "int32"
    assert np.array_equal(rounded.column("ozone").to_numpy(), np.round(ozone))


def test_parquet_of_nullable_columns_is_read_by_pandas(folder: Path, capsys: Any) -> None:
    pytest.importorskip("pyarrow")
    data = pandas.DataFrame(
        {
            "a": np.random.default_rng(0).normal(size=30),
            "k": pandas.array([1, None, 3] * 10, dtype="Int64"),
            "n": pandas.array(range(30), dtype="Int64"),
        },
        index=pandas.Index([f"row {i}" for i in range(30)], name="who"),
    )
    data.to_parquet("nullable.parquet")
    assert run(capsys, "nullable.parquet", "-o", "f.parquet")[0] == 0
    filled = pandas.read_parquet("f.parquet")
    assert [str(kind) for kind in filled.dtypes] == ["float64", "float64", "Int64"]
    seen = data["k"].notna().to_numpy()
    assert np.array_equal(filled["k"][seen], data["k"][seen])
    assert not filled["k"].isna().any()
    assert filled.index.equals(data.index)
    run(capsys, "nullable.parquet", "-o", "r.parquet", "--round")
    assert str(pandas.read_parquet("r.parquet")["k"].dtype) == "Int64"


# ---------------------------------------------------------------------------------- exit codes 2, 3


def test_fit_that_has_not_converged_is_exit_3_and_writes(folder: Path, capsys: Any) -> None:
    code, found, err = run(capsys, "air.csv", "-o", "f.csv", "--max-iter", "1")
    assert (code, err) == (3, "")
    assert found["convergence"]["converged"] is False
    assert Path("f.csv").exists()
    assert main(["impute", "air.csv", "--max-iter", "1"]) == 3
    out = capsys.readouterr().out
    assert "NOT CONVERGED" in out
    assert "--max-iter 10000" in out


def test_more_columns_than_rows_is_exit_3_and_names_the_prior(folder: Path, capsys: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 12))
    x[rng.random(x.shape) < 0.1] = np.nan
    pandas.DataFrame(x).to_csv("wide.csv", index=False, header=[f"c{j}" for j in range(12)])
    assert main(["impute", "wide.csv"]) == 3
    out = capsys.readouterr().out
    assert "rows of weight 8 cannot tell the covariance of 12 columns" in " ".join(out.split())
    assert "--prior ridge" in out
    assert "Little's test of cells missing completely at random is not made" in " ".join(
        out.split()
    )
    assert main(["impute", "wide.csv", "--prior", "ridge"]) == 0
    assert capsys.readouterr().err == ""  # nothing of the fit that Little's test would need
    assert main(["impute", "wide.csv", "-o", "f.csv", "--draws", "2"]) == 2
    assert "all left the covariance singular" in (told := capsys.readouterr().err)
    assert "Give --prior ridge" in told


def test_columns_never_seen_together_are_told(folder: Path, capsys: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3))
    x[:30, 0], x[30:, 1] = np.nan, np.nan
    pandas.DataFrame(x, columns=list("abc")).to_csv("apart.csv", index=False)
    _, found, err = run(capsys, "apart.csv")
    assert "columns 0 ('a') and 1 ('b') are never seen together" in err
    assert found["convergence"]["notes"]


ERRORS = {
    "missing file": (None, (), "cannot read 'data.csv': no such file or directory"),
    "empty file": ("", (), "'data.csv' is empty"),
    "header only": ("a,b\n", (), "has no rows below its header"),
    "no numbers": ("a,b\nx,y\n", (), "has no column of numbers"),
    "text column": ("a,b\n1,x\n", ("--columns", "b"), "row 1 holds 'x', not a number"),
    "empty column": ("a,b\n1,\n2,\n", ("--columns", "b"), "all its cells are missing"),
    "unknown column": ("a,b\n1,2\n", ("--columns", "c"), "no column 'c': it has 'a', 'b'"),
    "infinity": ("a,b\n1,2\ninf,\n", (), "column 'a' holds infinity in row 2"),
    "too large": ("a,b\n1e200,2\n3,\n", (), "cannot be imputed: X has values up to 1e+200"),
    "ragged": ("a,b\n1,2\n3,4,5\n", (), "line 3 has 3 cells"),
    "components of a normal": ("a,b\n1,2\n3,\n", ("--components", "2"), "leave it out"),
    "prior of a mixture": (
        "a,b\n1,2\n3,\n", ("--model", "mixture", "--prior", "ridge"), "is for --model normal",
    ),
    "draws of factors": (
        "a,b\n1,2\n3,\n", ("--model", "factor", "-o", "f", "--draws", "5"), "not factor",
    ),
    "too many factors": (
        "a,b\n1,2\n3,\n2,2\n", ("--model", "factor", "--components", "3"), "n_factors=3 is too",
    ),
    "draws alone": ("a,b\n1,2\n3,\n", ("--draws", "5"), "give -o filled.csv"),
    "out is data": ("a,b\n1,\n", ("-o", "data.csv"), "is the data: it is not overwritten"),
    "out folder": ("a\n1\n", ("-o", "no/f.csv"), "the folder 'no' of 'no/f.csv' does not exist"),
    "report is folder": ("a\n1\n", ("--report", "."), "'.' is a folder: name a file"),
    "same file": ("a\n1\n", ("-o", "x", "--report", "x"), "must be different files"),
    "plot suffix": ("a\n1\n", ("--plot", "fit.doc"), "must end in one of"),
    "other kind": ("a,b\n1,\n2,3\n4,1\n", ("-o", "f.parquet"), "the data are text"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_bad_input_is_a_sentence_and_exit_2(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    content, argv, match = ERRORS[case]
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("data.csv").write_text(content)
    before = list(tmp_path.iterdir())
    assert main(["impute", "data.csv", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert match in err
    assert err.splitlines()[-1].startswith("latentem impute: ")
    assert list(tmp_path.iterdir()) == before


def test_draw_that_would_overwrite_the_data(folder: Path, capsys: Any) -> None:
    Path("f_02.csv").write_text("a,b\n1,\n2,3\n4,1\n")
    assert main(["impute", "f_02.csv", "-o", "f.csv", "--draws", "2"]) == 2
    assert "is the data: it is not overwritten" in capsys.readouterr().err


def test_parquet_is_not_written_as_text(folder: Path, capsys: Any) -> None:
    pytest.importorskip("pyarrow")
    AIR.to_frame().to_parquet("air.parquet")
    assert main(["impute", "air.parquet", "-o", "f.csv"]) == 2
    assert "the data are Parquet, and so is the filled table" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "match"),
    [
        (("--model", "gibbs"), "invalid choice"),
        (("--prior", "flat"), "invalid choice"),
        (("--draws", "1"), "1 is less than 2"),
        (("--tol", "0"), "0 is not a number above 0"),
    ],
)
def test_wrong_options_name_the_option(
    argv: tuple[str, ...], match: str, folder: Path, capsys: Any
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["impute", "air.csv", *argv])
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert match in err
    assert argv[0] in err


def test_missing_matplotlib_names_the_command(
    folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    assert main(["impute", "air.csv", "--plot", "p.png"]) == 2
    assert "pip install 'latentem[cli]'" in capsys.readouterr().err


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
    command = [sys.executable, "-m", "latentem", "impute", "air.csv", "-o", "f.csv", "--draws", "3"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=side, env={**os.environ, "PYTHONPATH": root},
        check=True, text=True,
    )  # fmt: skip
    os.close(side)
    shown = os.read(terminal, 2**16).decode()
    os.close(terminal)
    assert re.search(r"imputations: +\d+%", shown)
    assert "EM: " in shown
    assert "imputations" not in done.stdout
    assert "Converged" in done.stdout


def test_json_keys_and_options_are_those_of_the_guide(folder: Path, capsys: Any) -> None:
    guide = Path(__file__).parents[2] / "docs" / "guide" / "command-line.rst"
    text = guide.read_text(encoding="utf-8")
    found = run(capsys, "air.csv", "-o", "f.csv", "--draws", "2")[1]
    for name, part in found.items():
        keys = part[0] if isinstance(part, list) else part if isinstance(part, dict) else {}
        for key in (name, *keys):
            if not key.startswith("draw_"):
                assert f"``{key}``" in text, f"the guide does not describe {name}.{key}"
    with pytest.raises(SystemExit):
        main(["impute", "--help"])
    for option in set(re.findall(r"(?<!\S)--[a-z-]+", capsys.readouterr().out)) - {
        "--help", "--version",
    }:  # fmt: skip
        assert option in text, f"the guide does not describe {option}"
