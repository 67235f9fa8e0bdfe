"""Which cells are missing together: counted for any kind of table."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pytest

from latentem import missing_patterns
from latentem.datasets import load_airquality

NAN = np.nan
AIR = load_airquality()


def test_airquality() -> None:
    found = missing_patterns(AIR.to_frame())
    assert found.counts.tolist() == [111, 35, 5, 2]
    assert found.missing[:, :2].tolist() == [
        [False, False], [True, False], [False, True], [True, True],
    ]  # fmt: skip
    assert not found.missing[:, 2:].any()
    assert (found.n_rows, found.n_complete, len(found)) == (153, 111, 4)
    assert found.column_counts.tolist() == [37, 7, 0, 0, 0, 0]
    np.testing.assert_allclose(found.shares, np.array([111, 35, 5, 2]) / 153)
    np.testing.assert_allclose(found.column_shares[:2], [37 / 153, 7 / 153])


def test_counts_are_those_of_the_rows_most_frequent_first() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 70))
    x[rng.random(x.shape) < 0.02] = NAN
    found = missing_patterns(x)
    counted = Counter(map(bytes, np.isnan(x)))
    assert len(found) == len(counted)
    assert {bytes(row): n for row, n in zip(found.missing, found.counts.tolist(), strict=True)} == (
        counted
    )
    assert np.all(np.diff(found.counts) <= 0)
    same = found.counts[1:] == found.counts[:-1]
    assert np.all(np.diff(found.missing.sum(axis=1))[same] >= 0)


def test_every_kind_of_table_is_read() -> None:
    wanted = [[False, True, False], [True, False, True], [False, False, False]]
    numbers = np.array([[1.0, NAN, 3.0], [NAN, 2.0, NAN], [4.0, 5.0, 6.0]])
    whole = pd.array([1, None, 4], dtype="Int64")
    days = pd.to_datetime(["2020-01-01", None, "2020-01-03"])
    frame = pd.DataFrame({"n": whole, "text": [None, "b", "c"], "day": days})
    frame["day"] = days
    masked = np.ma.masked_array(np.arange(9.0).reshape(3, 3), mask=wanted)
    objects = numbers.astype(object)
    objects[0, 1], objects[1, 0] = None, pd.NA
    tables = {
        "array": numbers,
        "list": [[1, None, 3], [None, 2, None], [4, 5, 6]],
        "objects": objects,
        "pandas": frame,
        "polars": pl.DataFrame({"n": [1, None, 4], "t": [None, "b", "c"], "f": [1.0, NAN, 2.0]}),
        "arrow": pd.DataFrame(numbers).astype("double[pyarrow]"),
        "masked": masked,
    }
    for name, table in tables.items():
        found = missing_patterns(table)
        assert sorted(found.missing.tolist()) == sorted(wanted), name
    assert missing_patterns(frame).names == ("n", "text", "day")
    assert missing_patterns(numbers).names == ("x0", "x1", "x2")
    marked = np.where(np.isnan(numbers), -9, numbers).astype(int)
    assert missing_patterns(marked, -9).column_counts.tolist() == [1, 1, 1]
    assert missing_patterns(marked).column_counts.tolist() == [0, 0, 0]
    mixed = pd.DataFrame({"a": [-9, 1], "b": ["-9", None]})
    assert missing_patterns(mixed, -9).column_counts.tolist() == [1, 1]
    assert missing_patterns(pd.Series([1.0, NAN], name="only")).column_counts.tolist() == [1]


def test_columns_with_the_same_name_are_apart() -> None:
    frame = pd.DataFrame([[1.0, NAN], [2.0, 3.0]], columns=["a", "a"])
    found = missing_patterns(frame)
    assert found.column_counts.tolist() == [0, 1]
    assert list(found.to_frame().columns) == ["rows", "share", "a", "a"]


def test_frame() -> None:
    frame = missing_patterns(AIR.to_frame()).to_frame()
    assert list(frame.columns) == ["rows", "share", *AIR.columns]
    assert frame["rows"].sum() == 153
    assert frame.loc[1, "Ozone"]
    assert frame["share"].sum() == pytest.approx(1.0)


def test_printed_tables_are_short_and_say_what_is_left_out() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 60))
    x[rng.random(x.shape) < 0.4] = NAN
    lines = str(missing_patterns(x)).splitlines()
    assert len(lines) < 32
    assert max(map(len, lines)) <= 80
    assert "and 50 more columns with missing cells" in lines
    assert "500 patterns" in lines
    assert lines[-1] == "and 490 more patterns, with 490 rows"
    assert re.search(r"x\d+ and \d+ more$", lines[-2])
    whole = str(missing_patterns([[1.0, 2.0]]))
    assert whole == "1 row, 2 columns: 0 cells missing (0.0 %), 1 row complete (100.0 %)"


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.empty((0, 3)), "X has 0 rows and 3 columns: there are no cells"),
        (pd.DataFrame(), "there are no cells"),
        ([1.0, 2.0], r"X must be \(n_samples, n_features\), got 1 dimensions"),
        ([[1.0], [1.0, 2.0]], "the rows of X differ in length"),
    ],
)
def test_what_is_no_table(x: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        missing_patterns(x)


def test_mark_that_is_no_number() -> None:
    with pytest.raises(ValueError, match="missing_values must be NaN or a number"):
        missing_patterns([[1.0]], "?")
