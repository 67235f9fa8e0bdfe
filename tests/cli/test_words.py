"""Tables of components, and advice, from selections made for the purpose."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import latentem
from latentem.cli import words
from latentem.cli.arguments import counts
from latentem.engine.selection import Candidate, Selection
from latentem.estimators.tables import component_table, summary, text_components, to_frame

X = latentem.datasets.load_faithful().data


@pytest.fixture(scope="module")
def fitted() -> Any:
    return latentem.GaussianMixture(2, random_state=0).fit(X)


def selection(fitted: Any, *rows: tuple[Any, ...]) -> Selection:
    """Candidates (components, value, log-likelihood, converged, degenerate, error)."""
    table = [
        Candidate(
            {"n_components": k, "covariance_type": "full"}, value, loglik, 5, ok, flat, 9, error
        )
        for k, value, loglik, ok, flat, error in rows
    ]
    return Selection(table, [fitted] * len(table), "bic")


def advice(chosen: Selection, uncertain: float = 0.0) -> str:
    return "\n".join(words.advice(chosen, uncertain, []))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3", [3]), ("1:4", [1, 2, 3, 4]), ("4,1,2", [1, 2, 4]), (" 1:2 , 2:3", [1, 2, 3])],
)
def test_ranges_are_inclusive(text: str, expected: list[int]) -> None:
    assert counts(text) == expected


def test_grid_marks_every_kind_of_candidate(fitted: Any) -> None:
    chosen = selection(
        fitted,
        (1, 50.0, -20.0, True, (), None),
        (2, 40.0, -15.0, False, (), None),
        (3, -90.0, 60.0, True, ("component 0 is flat",), None),
        (4, np.nan, np.nan, False, (), "too few rows"),
    )
    lines = [line.split() for line in words.grid(chosen).splitlines()]
    assert lines == [
        ["components", "full"],
        ["1", "50.00"],
        ["2", "40.00", "*~"],
        ["3", "-90.00", "!"],
        ["4", "-", "x"],
    ]
    legend = words.legend(chosen)
    assert all(f"{mark} " in legend[0] for mark in "*!~x")
    assert legend[1] == "x too few rows"


def test_advice_when_the_range_was_too_short(fitted: Any) -> None:
    rows = [(1, 50.0, -20.0, True, (), None), (2, 30.0, -10.0, True, (), None)]
    assert "--components 1:4 looks further" in advice(selection(fitted, *rows))
    rows.append((3, 35.0, -9.0, True, (), None))
    assert "looks further" not in advice(selection(fitted, *rows))


def test_advice_when_a_fit_fell_into_a_poor_optimum(fitted: Any) -> None:
    good = [(1, 50.0, -20.0, True, (), None), (2, 30.0, -10.0, True, (), None)]
    fell = (3, 38.0, -12.0, True, (), None)
    text = advice(selection(fitted, *good, fell))
    assert "falls from 2 to 3 full components" in text
    assert "--starts 4" in text
    hopeless = (3, 90.0, -12.0, True, (), None)
    assert "falls" not in advice(selection(fitted, *good, hopeless))


def test_advice_when_another_model_is_as_good(fitted: Any) -> None:
    rows = [(1, 31.5, -20.0, True, (), None), (2, 30.0, -10.0, True, (), None)]
    assert "1 full component are only 1.50 behind" in advice(selection(fitted, *rows))
    rows[0] = (1, 33.0, -20.0, True, (), None)
    assert "behind" not in advice(selection(fitted, *rows))


def test_starts_that_are_the_same_are_not_counted_twice() -> None:
    counts = latentem.datasets.load_earthquakes()[["count"]]
    one = latentem.PoissonHMM(1, n_init=3, random_state=0).fit(counts)
    assert "Best of 3 starts, all the same" in words.convergence(one.result_)
    two = latentem.PoissonHMM(2, n_init=3, random_state=0).fit(counts)
    assert "Best of 3 starts, all reach it" in words.convergence(two.result_)


def test_advice_when_rows_are_uncertain(fitted: Any) -> None:
    chosen = selection(fitted, (2, 30.0, -10.0, True, (), None))
    assert "35 % of the rows" in advice(chosen, 0.35)
    assert "of the rows" not in advice(chosen, 0.1)


# ------------------------------------------------------------------------------------- tables


def test_frame_has_weight_mean_and_sd_in_order(fitted: Any) -> None:
    frame = to_frame(fitted)
    assert list(frame.columns) == ["weight", "mean x0", "sd x0", "mean x1", "sd x1"]
    assert frame.index.name == "component"
    assert np.array_equal(frame[["mean x0", "mean x1"]], fitted.means_)
    assert frame["sd x1"].to_numpy() == pytest.approx(np.sqrt(fitted.covariances_[:, 1, 1]))


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_spread_is_that_of_each_kind_of_covariance(kind: Any) -> None:
    gm = latentem.GaussianMixture(2, covariance_type=kind, random_state=0).fit(X)
    values = component_table(gm).values
    drawn, component = gm.sample(100_000, random_state=0)
    for k in range(2):
        rows = drawn[component == k]
        assert values[k, [2, 4]] == pytest.approx(rows.std(axis=0), rel=0.03)


def test_poisson_has_means_and_other_families_their_parameters() -> None:
    counts_model = latentem.MixtureModel(latentem.families.Poisson(), 2, random_state=0)
    counts_model.fit(np.round(X))
    assert list(to_frame(counts_model).columns) == ["weight", "mean x0", "mean x1"]


def test_wide_tables_break_into_blocks_that_repeat_the_components() -> None:
    rng = np.random.default_rng(0)
    gm = latentem.GaussianMixture(3, covariance_type="diag", random_state=0)
    text = text_components(gm.fit(rng.normal(size=(200, 12)) + 50))
    blocks = text.split("\n\n")
    assert len(blocks) > 1
    assert max(map(len, text.splitlines())) <= 80
    for block in blocks:
        assert block.splitlines()[1].split()[:2] == ["component", "weight"]
    assert re.findall(r"x\d+", text) == [f"x{j}" for j in range(12)]


def test_means_are_shown_as_finely_as_their_spread() -> None:
    gm = latentem.GaussianMixture.from_parameters(
        weights=[0.5, 0.5], means=[[100.001], [100.003]], covariances=[[1e-6], [4e-6]],
        covariance_type="diag",
    )  # fmt: skip
    assert "100.00100" in text_components(gm)
    assert "0.00200" in text_components(gm)


def test_summary_tells_how_the_fit_ended(fitted: Any) -> None:
    assert "converged after" in summary(fitted)
    with pytest.warns(latentem.ConvergenceWarning):
        short = latentem.GaussianMixture(4, max_iter=1, random_state=0).fit(X)
    assert "not converged after 1 EM map," in summary(short)
    rows = np.concatenate([np.zeros(5), np.linspace(10, 20, 50)])[:, None]
    with pytest.warns(latentem.DegenerateComponentWarning):
        flat = latentem.GaussianMixture(2, random_state=0).fit(rows)
    assert "degenerate: component" in summary(flat)
