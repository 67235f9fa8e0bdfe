"""Figures of hidden Markov models: what is drawn, and where."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import norm

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402

from latentem import (  # noqa: E402
    HMM,
    CategoricalHMM,
    GaussianHMM,
    MixtureModel,
    PoissonHMM,
    families,
    left_right,
    plot,
    select,
)
from latentem.datasets import load_earthquakes  # noqa: E402
from latentem.plot.style import COLOURS  # noqa: E402

QUAKES = load_earthquakes()
X, YEARS = QUAKES[["count"]], QUAKES["year"]


@pytest.fixture(autouse=True)
def _close():
    yield
    for number in pyplot.get_fignums():
        pyplot.figure(number).canvas.draw()  # a figure that cannot be drawn fails here
    pyplot.close("all")


@pytest.fixture(scope="module")
def hmm():
    found = PoissonHMM(3, n_init=3, random_state=0).fit(X)
    return found.relabel(np.argsort(found.lambdas_[:, 0]))


@pytest.fixture(scope="module")
def gaussian():
    return GaussianHMM.from_parameters(
        startprob=[0.5, 0.5],
        transmat=[[0.9, 0.1], [0.2, 0.8]],
        means=[[0.0, 10.0], [5.0, 20.0]],
        covariances=[[1.0, 1.0], [1.0, 1.0]],
    )


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def ribbon(ax):
    """(begin, end, colour) of the stays in the background, from left to right."""
    stays = [
        (path.vertices[:, 0].min(), path.vertices[:, 0].max(), tuple(bars.get_facecolor()[0][:3]))
        for bars in ax.collections
        if bars.get_zorder() == 0
        for path in bars.get_paths()
    ]
    return sorted(stays)


def legend_covers(ax):
    """Points of the lines and areas under the legend."""
    ax.figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    points = [drawn.get_transform().transform(drawn.get_xydata()) for drawn in ax.lines]
    for area in ax.collections:
        if all(area.get_transform().contains_branch_seperately(ax.transData)):
            points += [area.get_transform().transform(path.vertices) for path in area.get_paths()]
    points = np.concatenate(points)
    return ((points > box.min) & (points < box.max)).all(axis=1).any()


class TestStates:
    def test_ribbon_is_the_decoded_path(self, hmm):
        ax = plot.states(hmm, X, index=YEARS)
        path = hmm.predict(X)
        stays = ribbon(ax)
        assert stays[0][0] == pytest.approx(1899.5)
        assert stays[-1][1] == pytest.approx(2006.5)
        for (_, end, _), (begin, _, _) in pairwise(stays):
            assert end == pytest.approx(begin)
        changes = np.flatnonzero(np.diff(path))
        assert [end for _, end, _ in stays[:-1]] == pytest.approx(YEARS[changes] + 0.5)
        states = path[np.concatenate([[0], changes + 1])]
        colours = [to_rgb(COLOURS[state]) for state in states]
        assert [colour for *_, colour in stays] == colours

    def test_series_means_and_labels(self, hmm):
        ax = plot.states(hmm, X, index=YEARS, name="earthquakes")
        (line,) = ax.lines
        np.testing.assert_array_equal(line.get_xydata(), np.column_stack([YEARS, X[:, 0]]))
        heights = {
            round(float(y), 6)
            for bars in ax.collections
            if bars.get_zorder() == 1.5
            for path in bars.get_paths()
            for y in path.vertices[:, 1]
        }
        assert heights == {round(float(rate), 6) for rate in hmm.lambdas_[:, 0]}
        shares = 100 * np.bincount(hmm.predict(X)) / len(X)
        expected = [f"state {k} ({share:.0f} % of rows)" for k, share in enumerate(shares)]
        assert sorted(legend_texts(ax)) == expected
        assert ax.get_ylabel() == "earthquakes"
        assert not legend_covers(ax)

    def test_sequences_are_parted_and_missing_rows_are_gaps(self, gaussian):
        first, second = gaussian.sample(20, 1)[0], gaussian.sample(30, 2)[0]
        first[5:8] = np.nan
        ax = plot.states(gaussian, [first, second], column=1)
        whole = [drawn.get_ydata() for drawn in ax.lines if len(drawn.get_xdata()) != 2]
        assert [len(values) for values in whole] == [20, 30]
        assert np.isnan(whole[0][5:8]).all()
        np.testing.assert_array_equal(whole[1], second[:, 1])
        (border,) = [drawn for drawn in ax.lines if drawn.get_linestyle() == ":"]
        assert border.get_xdata() == pytest.approx([19.5, 19.5])
        assert sum(end - begin for begin, end, _ in ribbon(ax)) == pytest.approx(50)
        assert ax.get_xlabel() == "row"

    def test_stacked_rows_and_lists_are_drawn_alike(self, gaussian):
        parts = [gaussian.sample(9, 1)[0], gaussian.sample(6, 2)[0]]
        one = plot.states(gaussian, parts)
        other = plot.states(gaussian, np.concatenate(parts), lengths=[9, 6])
        assert ribbon(one) == ribbon(other)

    def test_column_by_name(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"a": np.tile([0.0, 9.0], 20), "b": np.tile([5.0, 2.0], 20)})
        frame += np.random.default_rng(0).normal(size=frame.shape)
        hmm = GaussianHMM(2, random_state=0).fit(frame)
        ax = plot.states(hmm, frame, column="b")
        assert ax.get_ylabel() == "b"
        assert ax.lines[0].get_ydata().tolist() == frame["b"].tolist()

    def test_index_with_a_name(self, hmm):
        pandas = pytest.importorskip("pandas")
        ax = plot.states(hmm, X, index=pandas.Series(YEARS, name="year"))
        assert ax.get_xlabel() == "year"

    def test_codes_of_categories_have_no_means(self):
        codes = np.random.default_rng(0).integers(0, 3, (60, 1))
        ax = plot.states(CategoricalHMM(2, random_state=0).fit(codes), codes)
        assert not [bars for bars in ax.collections if bars.get_zorder() == 1.5]

    def test_more_states_than_colours_differ(self):
        k = 9
        hmm = PoissonHMM.from_parameters(
            startprob=np.full(k, 1 / k),
            transmat=np.full((k, k), 1 / k),
            lambdas=20.0 * np.arange(1, k + 1)[:, None] ** 1.5,
        )
        ax = plot.states(hmm, np.round(hmm.lambdas_))
        assert len({colour for *_, colour in ribbon(ax)}) == k

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"column": 1}, r"column must be a place in 0\.\.0 or one of \['x'\], got 1"),
            ({"column": "depth"}, "column must be a place"),
            ({"index": YEARS[:-1]}, "index must be 107 numbers that rise"),
            ({"index": YEARS[::-1]}, "index must be 107 numbers that rise"),
            ({"algorithm": "best"}, "algorithm must be 'viterbi' or 'map'"),
        ],
    )
    def test_wrong_arguments(self, hmm, arguments, match):
        with pytest.raises(ValueError, match=match):
            plot.states(hmm, X, **arguments)


class TestTransitions:
    def test_cells_and_stays(self, hmm):
        ax = plot.transitions(hmm)
        told = {text.get_position(): text.get_text() for text in ax.texts}
        for i, j in np.ndindex(3, 3):
            value = hmm.transmat_[i, j]
            assert told[j, i] == (f"{value:.2f}" if value >= 0.005 else "<0.01")
        image = ax.images[0].get_array()
        np.testing.assert_allclose(np.ma.filled(image, 0.0), hmm.transmat_)
        (beside,) = ax.child_axes
        stays = [text.get_text() for text in beside.get_yticklabels()]
        assert stays == [f"{stay:.3g}" for stay in hmm.expected_durations()]

    def test_what_is_impossible_is_empty_and_absorbing_states_say_so(self):
        mask = left_right(3)
        hmm = PoissonHMM.from_parameters(
            startprob=[1, 0, 0], transmat=[[0.9, 0.1, 0], [0, 0.5, 0.5], [0, 0, 1]],
            lambdas=[[1.0], [5.0], [9.0]],
        )  # fmt: skip
        ax = plot.transitions(hmm)
        assert {text.get_position()[::-1] for text in ax.texts} == {
            (i, j) for i, j in np.argwhere(mask).tolist()
        }
        assert np.ma.getmaskarray(ax.images[0].get_array()).tolist() == (~mask).tolist()
        beside = [text.get_text() for text in ax.child_axes[0].get_yticklabels()]
        assert beside == ["10", "2", "for good"]

    def test_many_states_have_no_numbers(self):
        k = 30
        hmm = PoissonHMM.from_parameters(
            startprob=np.full(k, 1 / k), transmat=np.full((k, k), 1 / k),
            lambdas=np.arange(1.0, k + 1)[:, None],
        )  # fmt: skip
        ax = plot.transitions(hmm)
        assert not ax.texts
        assert len(ax.get_xticks()) <= 12


class TestForecast:
    def test_fan_holds_the_intervals(self, hmm):
        ax = plot.forecast(hmm, X, 8, index=YEARS, levels=[0.9, 0.5])
        ahead = hmm.forecast(X, 8)
        mean = next(line for line in ax.lines if line.get_label() == "mean forecast")
        np.testing.assert_array_equal(mean.get_xdata(), np.arange(2007, 2015))
        np.testing.assert_array_equal(mean.get_ydata(), ahead.mean[:, 0])
        areas = {area.get_label(): area for area in ax.collections}
        for level in (0.5, 0.9):
            vertices = areas[f"{100 * level:g} %"].get_paths()[0].vertices
            for year, lower, upper in zip(range(2007, 2015), *ahead.interval(level), strict=True):
                here = vertices[vertices[:, 0] == year, 1]
                assert (here.min(), here.max()) == (lower[0], upper[0])
        assert areas["50 %"].get_zorder() > areas["90 %"].get_zorder()
        assert not legend_covers(ax)

    def test_only_the_end_of_the_sequence_is_drawn(self, hmm):
        ax = plot.forecast(hmm, X, 5, before=10)
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), X[-10:, 0])
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), np.arange(97, 107))

    def test_steps_of_the_index_go_on(self, gaussian):
        rows = gaussian.sample(12, 0)[0]
        ax = plot.forecast(gaussian, rows, 3, index=10.0 * np.arange(12), column=-1)
        mean = next(line for line in ax.lines if line.get_label() == "mean forecast")
        assert mean.get_xdata().tolist() == [120, 130, 140]
        assert mean.get_ydata().tolist() == gaussian.forecast(rows, 3).mean[:, 1].tolist()

    def test_level_out_of_range(self, hmm):
        with pytest.raises(ValueError, match="level must be between 0 and 1"):
            plot.forecast(hmm, X, 5, levels=[0.5, 1.0])


class TestResiduals:
    def test_points_are_sorted_residuals_over_normal_quantiles(self, hmm):
        ax = plot.residuals(hmm, X)
        points = next(line for line in ax.lines if line.get_linestyle() == "None")
        n = len(X)
        np.testing.assert_allclose(points.get_xdata(), norm.ppf((np.arange(n) + 0.5) / n))
        np.testing.assert_array_equal(points.get_ydata(), np.sort(hmm.pseudo_residuals(X)[:, 0]))
        assert not legend_covers(ax)

    def test_band_covers_normal_draws_at_its_level(self, hmm):
        ax = plot.residuals(hmm, X, level=0.8)
        vertices = ax.collections[0].get_paths()[0].vertices
        quantile = norm.ppf((np.arange(107) + 0.5) / 107)
        draws = np.sort(np.random.default_rng(0).normal(size=(4000, 107)), axis=1)
        for i in (0, 53, 106):
            here = vertices[np.isclose(vertices[:, 0], quantile[i], atol=1e-9), 1]
            inside = np.mean((draws[:, i] >= here.min()) & (draws[:, i] <= here.max()))
            assert inside == pytest.approx(0.8, abs=0.03)

    def test_missing_rows_have_no_point(self, gaussian):
        rows = gaussian.sample(40, 0)[0]
        rows[3:6] = np.nan
        ax = plot.residuals(gaussian, rows, column=1)
        assert len(ax.lines[-1].get_xdata()) == 37

    def test_level_out_of_range(self, hmm):
        with pytest.raises(ValueError, match="level must be between 0 and 1"):
            plot.residuals(hmm, X, level=1.0)


def test_a_mixture_has_no_states_to_draw():
    mixture = MixtureModel(families.Poisson(), 2, random_state=0).fit(X)
    for figure in (
        lambda: plot.states(mixture, X),
        lambda: plot.transitions(mixture),
        lambda: plot.forecast(mixture, X, 3),
        lambda: plot.residuals(mixture, X),
    ):
        with pytest.raises(TypeError, match="cannot draw a MixtureModel, which has no transitions"):
            figure()


def test_selection_among_chains_speaks_of_states():
    ax = plot.selection(select(PoissonHMM(random_state=0), X, n_components=[1, 2]))
    assert ax.get_xlabel() == "states"
    assert ax.get_title() == "best: 2 states"


def test_family_without_moments_or_distribution_function():
    class Plain(families.Exponential):
        def moments(self, params):
            raise NotImplementedError

    rows = np.random.default_rng(0).exponential(np.repeat([1.0, 30.0], 40))[:, None]
    hmm = HMM(Plain(), 2, random_state=0).fit(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = plot.states(hmm, rows)
    assert not [bars for bars in ax.collections if bars.get_zorder() == 1.5]
