"""Over-imputation: each observed cell from the rest of its row."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from latentem import GaussianImputer, NotIdentifiedWarning
from tests.estimators.test_imputer import AIR, table

NAN = np.nan


@pytest.mark.parametrize("bounds", [{}, {"min_value": 0.0, "max_value": [9.0, 9, 3, 9, 9]}])
def test_each_cell_is_as_if_it_had_been_missing(bounds: dict) -> None:
    x = table(60)
    x[7] = NAN
    x[8] = [NAN, 2.0, NAN, NAN, NAN]
    imputer = GaussianImputer(**bounds).fit(x)
    found = imputer.overimpute(x, level=0.8)
    assert np.array_equal(found.observed, x, equal_nan=True)
    for i, j in np.ndindex(x.shape):
        parts = found.mean, found.std, found.lower, found.upper
        if np.isnan(x[i, j]):
            assert all(np.isnan(part[i, j]) for part in parts)
            continue
        row = x[i : i + 1].copy()
        row[0, j] = NAN
        wanted = [imputer.transform(row), imputer.conditional(row).std]
        wanted += imputer.interval(row, level=0.8)
        for got, want in zip(parts, wanted, strict=True):
            assert got[i, j] == pytest.approx(want[0, j], rel=1e-9, abs=1e-9)


def test_shares_and_errors_are_those_of_the_cells() -> None:
    x = table(300)
    found = GaussianImputer().fit(x).overimpute(x)
    assert found.level == 0.9
    seen = ~np.isnan(x)
    inside = (found.lower <= x) & (x <= found.upper)
    for j in range(5):
        assert found.cells[j] == seen[:, j].sum()
        assert found.covered[j] == inside[seen[:, j], j].mean()
        square = (x - found.mean)[seen[:, j], j] ** 2
        assert found.rmse[j] == pytest.approx(np.sqrt(square.mean()))
    assert not found.inside[~seen].any()


def test_normal_cells_are_covered_at_the_level() -> None:
    x = table(4000, 4, 0.2, seed=3)
    imputer = GaussianImputer().fit(x)
    for level in (0.5, 0.9):
        covered = imputer.overimpute(x, level).covered
        assert np.all(np.abs(covered - level) < 4 * np.sqrt(level * (1 - level) / 3200))
    score = (x - imputer.overimpute(x).mean) / imputer.overimpute(x).std
    assert np.nanmean(score) == pytest.approx(0.0, abs=0.05)
    assert np.nanstd(score) == pytest.approx(1.0, abs=0.03)


def test_many_patterns_are_worked_on_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    from latentem.models import leave_out

    x = table(400, 6, 0.3)
    imputer = GaussianImputer().fit(x)
    whole = imputer.overimpute(x)
    monkeypatch.setattr(leave_out, "TOGETHER", 50)
    pieces = imputer.overimpute(x)
    np.testing.assert_array_equal(pieces.mean, whole.mean)
    np.testing.assert_array_equal(pieces.std, whole.std)


def test_columns_that_take_no_part_are_not_judged() -> None:
    x = table(50, 4, 0.2)
    x[:, 1], x[:, 3] = 5.0, NAN
    with pytest.warns(NotIdentifiedWarning):
        imputer = GaussianImputer().fit(x)
    found = imputer.overimpute(x)
    assert np.isnan(found.observed[:, [1, 3]]).all()
    assert found.cells[[1, 3]].tolist() == [0, 0]
    assert np.isnan(found.covered[[1, 3]]).all()
    np.testing.assert_allclose(
        found.mean[:, [0, 2]],
        GaussianImputer().fit(x[:, [0, 2]]).overimpute(x[:, [0, 2]]).mean,
    )
    assert "x1" not in str(found)
    with pytest.warns(NotIdentifiedWarning):
        only = GaussianImputer().fit([[1.0], [1.0]])
    assert "no column varies" in str(only.overimpute([[1.0]]))


def test_printed_table() -> None:
    frame = pd.DataFrame(AIR, columns=["Ozone", "Solar.R", "Wind", "Temp", "Month", "Day"])
    lines = str(GaussianImputer().fit(frame).overimpute(frame)).splitlines()
    assert lines[0].endswith("limits of 90 %")
    assert lines[1].split() == ["column", "cells", "covered", "rmse", "sd"]
    assert re.fullmatch(r"Ozone +116 +9\d\.\d % +20\.5\d +32\.85", lines[2])
    assert re.fullmatch(r"all +874 +9\d\.\d %", lines[-1])


def test_wrong_arguments() -> None:
    imputer = GaussianImputer().fit(AIR)
    with pytest.raises(ValueError, match="level must be between 0 and 1, got 90"):
        imputer.overimpute(AIR, level=90)
    with pytest.raises(ValueError, match="level must be between 0 and 1, got 'high'"):
        imputer.overimpute(AIR, level="high")
    with pytest.raises(ValueError, match="2 features"):
        imputer.overimpute(AIR[:, :2])
