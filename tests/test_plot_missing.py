"""Figures of missing data: what is drawn, and what is told of what is not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402

from latentem import GaussianImputer, missing_patterns, plot  # noqa: E402
from latentem.datasets import load_airquality  # noqa: E402
from latentem.plot.style import BAD, COLOURS  # noqa: E402

AIR = load_airquality().data


@pytest.fixture(autouse=True)
def _close():
    yield
    for number in pyplot.get_fignums():
        pyplot.figure(number).canvas.draw()
    pyplot.close("all")


def matrix(ax):
    """The drawn cells, True where missing."""
    return np.asarray(ax.collections[0].get_array()).astype(bool)


def bars(ax):
    """(extent, colour) of the bars of patterns, then heights of the bars of columns."""
    patterns, columns = ax.containers
    return (
        [(bar.get_width(), bar.get_facecolor()[:3]) for bar in patterns],
        [-bar.get_height() for bar in columns],
    )


def everything_is_in_the_figure(ax):
    ax.figure.canvas.draw()
    whole = ax.figure.bbox
    for text in [*ax.texts, *ax.get_xticklabels(), ax.xaxis.label]:
        if not text.get_text():
            continue
        box = text.get_window_extent()
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= whole.x1 + 1 and box.y1 <= whole.y1 + 1
        assert inside, text.get_text()


def wide(n=3000, d=40, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    x[rng.random(x.shape) < rng.random(d) * 0.2] = np.nan
    return x


class TestPatterns:
    def test_cells_and_bars_are_those_of_the_table(self):
        ax = plot.patterns(AIR)
        found = missing_patterns(AIR)
        np.testing.assert_array_equal(matrix(ax), found.missing)
        by_pattern, by_column = bars(ax)
        widths = np.array([width for width, _ in by_pattern])
        np.testing.assert_allclose(widths / widths[0], found.counts / found.counts[0])
        heights = np.array(by_column)
        np.testing.assert_allclose(
            heights / heights[0], found.column_shares / found.column_shares[0]
        )
        assert by_pattern[0][1] == to_rgb(COLOURS[2])  # the complete rows
        assert {colour for _, colour in by_pattern[1:]} == {to_rgb(COLOURS[0])}
        texts = [text.get_text() for text in ax.texts]
        assert texts == ["111", "35", "5", "2", "rows", "24", "5", "% missing"]
        assert [label.get_text() for label in ax.get_xticklabels()] == [f"x{j}" for j in range(6)]
        assert ax.get_xlabel() == ""
        everything_is_in_the_figure(ax)

    def test_the_most_frequent_of_many_and_how_many_more(self):
        found = missing_patterns(wide())
        assert len(found) > 1000
        ax = plot.patterns(found, most=15)
        np.testing.assert_array_equal(matrix(ax), found.missing[:15])
        rest = int(found.counts[15:].sum())
        assert ax.get_xlabel() == (
            f"and {len(found) - 15:,} more patterns, with {rest:,} of 3,000 rows"
        )
        everything_is_in_the_figure(ax)

    def test_names_of_forty_columns_do_not_overlap(self):
        ax = plot.patterns(wide())
        ax.figure.canvas.draw()
        boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
        assert len(boxes) == 40
        assert all(one.x1 <= other.x0 for one, other in pairwise(boxes))
        numbers = [text.get_window_extent() for text in ax.texts[:20]]
        assert all(one.y0 >= other.y1 for one, other in pairwise(numbers))

    def test_table_without_missing_cells_and_of_one_column(self):
        ax = plot.patterns([[1.0], [2.0]])
        assert matrix(ax).tolist() == [[False]]
        everything_is_in_the_figure(ax)

    def test_mark_of_missing_cells(self):
        ax = plot.patterns(np.array([[1, -9], [2, 3]]), missing_values=-9)
        assert matrix(ax).tolist() == [[False, False], [False, True]]

    @pytest.mark.parametrize("most", [0, 2.5, True])
    def test_wrong_number_of_patterns(self, most):
        with pytest.raises(ValueError, match="most must be an integer >= 1"):
            plot.patterns(AIR, most=most)


class TestOverimpute:
    def found(self, x=AIR):
        return GaussianImputer().fit(x).overimpute(x)

    def test_points_limits_and_shares(self):
        found = self.found()
        ax = plot.overimpute(found)
        seen = ~np.isnan(AIR[:, 0])
        inside = found.inside[:, 0]
        good, bad, diagonal = ax.lines
        for drawn, chosen, colour in ((good, inside, COLOURS[0]), (bad, seen & ~inside, BAD)):
            assert drawn.get_color() == colour
            np.testing.assert_array_equal(
                drawn.get_xydata(), np.column_stack([AIR[:, 0], found.mean[:, 0]])[chosen]
            )
        np.testing.assert_array_equal(*diagonal.get_data())
        segments = np.concatenate([area.get_segments() for area in ax.collections])
        order = np.concatenate([np.flatnonzero(inside), np.flatnonzero(seen & ~inside)])
        np.testing.assert_allclose(
            segments[:, :, 1], np.column_stack([found.lower[:, 0], found.upper[:, 0]])[order]
        )
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert texts == ["within the limits (92 %)", "outside (8 %)"]
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("x0, observed", "imputed, limits of 90 %")

    def test_column_by_name_and_from_the_end(self):
        air = load_airquality().to_frame()
        found = self.found(air)
        assert plot.overimpute(found, column="Wind").get_xlabel() == "Wind, observed"
        assert plot.overimpute(found, column=-1).get_xlabel() == "Day, observed"

    def test_long_columns_are_thinned_and_the_share_is_of_all(self):
        found = self.found(np.random.default_rng(0).normal(size=(5000, 2)))
        ax = plot.overimpute(found)
        assert sum(len(drawn.get_xdata()) for drawn in ax.lines[:2]) == 1000
        share = ax.get_legend().get_texts()[0].get_text()
        assert share == f"within the limits ({100 * found.covered[0]:.0f} %)"

    @pytest.mark.parametrize("column", [6, "depth", True])
    def test_wrong_columns(self, column):
        with pytest.raises(ValueError, match=r"column must be a place in 0\.\.5 or one of"):
            plot.overimpute(self.found(), column=column)

    def test_column_without_cells(self):
        x = AIR.copy()
        x[:, 3] = 1.0
        with pytest.warns(UserWarning, match="one value only"):
            found = self.found(x)
        with pytest.raises(ValueError, match="column 'x3' has no cell to judge"):
            plot.overimpute(found, column=3)
