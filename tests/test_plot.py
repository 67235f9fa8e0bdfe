"""Figures: what is drawn, where, and that nothing else is touched."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.collections import PathCollection
from matplotlib.patches import Ellipse
from scipy.integrate import trapezoid

from latentem import (
    EM,
    GaussianImputer,
    GaussianMixture,
    MixtureModel,
    PoissonHMM,
    WordAligner,
    families,
    models,
    plot,
    select,
)
from latentem.datasets import load_faithful, load_times_deaths, two_gaussians
from latentem.engine.result import History
from latentem.engine.selection import Candidate, Selection
from latentem.families import GaussianParams, PoissonParams
from latentem.models import MixtureParams

KINDS = ("full", "tied", "diag", "spherical")


@pytest.fixture(autouse=True)
def _agg():
    """Draw off the screen, check that settings are left alone, close what was opened."""
    pyplot.switch_backend("Agg")
    before = dict(mpl.rcParams)
    yield
    for number in pyplot.get_fignums():
        pyplot.figure(number).canvas.draw()  # a figure that cannot be drawn fails here
    pyplot.close("all")
    assert dict(mpl.rcParams) == before


@pytest.fixture(scope="module")
def waiting():
    return load_faithful()[["waiting"]]


@pytest.fixture(scope="module")
def one(waiting):
    return GaussianMixture(2, random_state=0).fit(waiting)


def line(ax, name):
    (found,) = [drawn for drawn in ax.lines if drawn.get_label().startswith(name)]
    return found


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def covered(ax):
    """Points of lines and scatters that the legend lies on, in pixels."""
    ax.figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    lines = [drawn.get_transform().transform(drawn.get_xydata()) for drawn in ax.lines]
    scatters = [
        scatter.get_offset_transform().transform(scatter.get_offsets())
        for scatter in ax.collections
        if isinstance(scatter, PathCollection)
    ]
    points = np.concatenate(lines + scatters)
    inside = (points > box.min) & (points < box.max)
    return points[inside.all(axis=1)]


class TestDensity:
    def test_total_is_the_density_of_the_model(self, one, waiting):
        ax = plot.density(one, waiting)
        x, total = line(ax, "mixture").get_data()
        np.testing.assert_allclose(total, np.exp(one.score_samples(x[:, None])), rtol=1e-12)
        np.testing.assert_allclose(trapezoid(total, x), 1, atol=2e-3)

    def test_components_are_weighted(self, one, waiting):
        ax = plot.density(one, waiting)
        assert len(ax.lines) == 3
        x, total = line(ax, "mixture").get_data()
        parts = [line(ax, f"component {k}").get_ydata() for k in range(2)]
        np.testing.assert_allclose(sum(parts), total, rtol=1e-12)
        for part, weight in zip(parts, one.weights_, strict=True):
            np.testing.assert_allclose(trapezoid(part, x), weight, atol=2e-3)
        assert legend_texts(ax) == [
            "data",
            *(f"component {k} ({100 * w:.0f} %)" for k, w in enumerate(one.weights_)),
            "mixture",
        ]

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_covariance_type_without_data(self, kind):
        shape = {"full": (2, 1, 1), "tied": (1, 1), "diag": (2, 1), "spherical": (2,)}[kind]
        model = GaussianMixture.from_parameters(
            weights=[0.5, 0.5],
            means=[[0.0], [5.0]],
            covariances=np.ones(shape),
            covariance_type=kind,
        )
        ax = plot.density(model)
        x, total = line(ax, "mixture").get_data()
        np.testing.assert_allclose(trapezoid(total, x), 1, atol=2e-4)
        assert x[0] == pytest.approx(-4)
        assert x[-1] == pytest.approx(9)
        assert not ax.patches

    def test_a_narrow_component_is_not_missed(self):
        model = GaussianMixture.from_parameters(
            weights=[0.5, 0.5], means=[[0.0], [0.3]], covariances=[[[100.0]], [[1e-8]]]
        )
        x, total = line(plot.density(model), "mixture").get_data()
        np.testing.assert_allclose(trapezoid(total, x), 1, atol=2e-3)
        assert total.max() == pytest.approx(0.5 / np.sqrt(2 * np.pi * 1e-8), rel=1e-3)

    def test_histogram_is_a_density(self, one, waiting):
        ax = plot.density(one, waiting, bins=12)
        assert len(ax.patches) == 12
        area = sum(bar.get_width() * bar.get_height() for bar in ax.patches)
        assert area == pytest.approx(1)

    @pytest.mark.parametrize("bins", ["auto", "sturges", 9, [40, 50, 60, 70, 80, 90, 100]])
    def test_integer_weights_are_repeated_rows(self, one, waiting, bins):
        weights = np.arange(len(waiting)) % 3
        fields = [
            [(bar.get_x(), bar.get_height()) for bar in ax.patches]
            for ax in (
                plot.density(one, waiting, bins=bins, sample_weight=weights),
                plot.density(one, np.repeat(waiting, weights, axis=0), bins=bins),
            )
        ]
        np.testing.assert_allclose(*fields, rtol=1e-10)

    def test_an_outlier_does_not_ask_for_a_million_bins(self, one, waiting):
        ax = plot.density(one, np.append(waiting, 1e6)[:, None], bins="fd")
        assert len(ax.patches) == 200

    def test_the_range_covers_the_data_and_little_more(self, waiting):
        wide = GaussianMixture.from_parameters(weights=[1.0], means=[[70.0]], covariances=[[[1e6]]])
        x = line(plot.density(wide, waiting), "mixture").get_xdata()
        assert x[0] == pytest.approx(43 - 0.15 * 53)
        assert x[-1] == pytest.approx(96 + 0.15 * 53)

    @pytest.mark.parametrize(
        ("family", "params", "first", "last"),
        [
            (families.Bernoulli(), families.BernoulliParams(np.array([[0.3], [0.9]])), 0, 1),
            (families.Exponential(), families.ExponentialParams(np.array([[2.0], [3.0]])), 0, 27),
        ],
    )
    def test_only_what_the_family_can_be_is_drawn(self, family, params, first, last):
        fitted = SimpleNamespace(
            weights_=np.array([0.5, 0.5]), family=family, family_params_=params
        )
        grid = plot.density(fitted).lines[0].get_xdata()
        assert grid[0] >= first
        assert grid[0] < 0.1
        assert grid[-1] <= last

    def test_a_range_must_be_known(self):
        class Other(families.Poisson):  # any family that is drawn without its parameters
            discrete = False

            def check(self, X):
                return None

            def moments(self, params):
                raise NotImplementedError

        fitted = SimpleNamespace(
            weights_=np.ones(1), family=Other(), family_params_=PoissonParams(np.ones((1, 1)))
        )
        with pytest.raises(ValueError, match="give X: the range to draw is not known"):
            plot.density(fitted)
        assert not pyplot.get_fignums()

    def test_missing_values_are_left_out(self, one, waiting):
        holes = np.append(waiting, [np.nan, np.nan])
        expected = [bar.get_height() for bar in plot.density(one, waiting).patches]
        assert [bar.get_height() for bar in plot.density(one, holes).patches] == expected

    def test_counts_are_drawn_at_the_whole_numbers(self):
        deaths = load_times_deaths()
        model = MixtureModel(families.Poisson(), 2, random_state=0)
        model.fit(deaths.data, sample_weight=deaths.weights)
        ax = plot.density(model, deaths.data, sample_weight=deaths.weights, name=deaths.labels[0])
        x, total = line(ax, "mixture").get_data()
        assert x.tolist() == list(range(10))
        np.testing.assert_allclose(total, np.exp(model.score_samples(x[:, None])), rtol=1e-12)
        heights = [bar.get_height() for bar in ax.patches]
        np.testing.assert_allclose(heights, deaths.weights / 1096, rtol=1e-12)
        assert ax.get_xlabel() == "deaths (per day)"
        assert ax.get_ylabel() == "probability"

    def test_counts_without_data(self):
        params = MixtureParams(np.array([0.3, 0.7]), PoissonParams(np.array([[1.0], [6.0]])))
        x, total = line(plot.density(params), "mixture").get_data()
        assert x.tolist() == list(range(16))
        assert total.sum() == pytest.approx(1, abs=1e-3)

    def test_name_of_the_column(self, one, waiting):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(waiting, columns=["waiting"])
        assert plot.density(one, waiting).get_xlabel() == "x"
        assert plot.density(one, frame["waiting"]).get_xlabel() == "waiting"
        fitted = GaussianMixture(1).fit(frame)
        assert plot.density(fitted).get_xlabel() == "waiting"
        assert plot.density(fitted, name="minutes").get_xlabel() == "minutes"

    def test_result_and_parameters_draw_as_the_estimator(self, one, waiting):
        result = one.result_
        for given in (result, result.params):
            np.testing.assert_array_equal(
                line(plot.density(given, waiting), "mixture").get_ydata(),
                line(plot.density(one, waiting), "mixture").get_ydata(),
            )

    def test_scikit_learns_mixture(self, waiting):
        from sklearn.mixture import GaussianMixture as Peer

        peer = Peer(2, random_state=0).fit(waiting)
        x, total = line(plot.density(peer, waiting), "mixture").get_data()
        np.testing.assert_allclose(total, np.exp(peer.score_samples(x[:, None])), rtol=1e-9)

    def test_more_columns_are_refused(self):
        X = load_faithful().data
        model = GaussianMixture(2, random_state=0).fit(X)
        with pytest.raises(ValueError, match=r"the mixture has 2: give fitted.marginal\(\[j\]\)"):
            plot.density(model, X)
        plot.density(model.marginal([1]), X[:, [1]])
        with pytest.raises(ValueError, match=r"X has 2: give X\[:, \[j\]\]"):
            plot.density(model.marginal([1]), X)

    def test_weights_of_another_length_are_refused(self, one, waiting):
        with pytest.raises(ValueError, match="sample_weight must have 272 values"):
            plot.density(one, waiting, sample_weight=np.ones(3))

    def test_the_legend_covers_nothing(self, one, waiting):
        X = two_gaussians(500, random_state=1).data
        for model, data in ((one, waiting), (GaussianMixture(3, random_state=0).fit(X), X)):
            assert not len(covered(plot.density(model, data)))


class TestEllipses:
    @pytest.mark.parametrize("kind", KINDS)
    def test_axes_are_those_of_the_covariances(self, kind):
        X = load_faithful().data
        model = GaussianMixture(2, covariance_type=kind, random_state=0).fit(X)
        ax = plot.ellipses(model, X, levels=(0.9, 0.5))
        matrices = {
            "full": lambda c: c,
            "tied": lambda c: [c, c],
            "diag": lambda c: [np.diag(row) for row in c],
            "spherical": lambda c: [value * np.eye(2) for value in c],
        }[kind](model.covariances_)
        drawn = [patch for patch in ax.patches if isinstance(patch, Ellipse)]
        assert len(drawn) == 4
        # A share p of a 2-D Gaussian lies where the squared distance is below -2 log(1 - p).
        for patch, (k, p) in zip(drawn, [(0, 0.5), (0, 0.9), (1, 0.5), (1, 0.9)], strict=True):
            np.testing.assert_allclose(patch.center, model.means_[k])
            outline = patch.get_patch_transform().transform(patch.get_path().vertices[::3])
            away = outline - model.means_[k]
            squared = np.einsum("ni,ij,nj->n", away, np.linalg.inv(matrices[k]), away)
            np.testing.assert_allclose(squared, -2 * np.log1p(-p), rtol=1e-3)
            lengths = sorted([patch.width, patch.height])
            values = np.linalg.eigvalsh(matrices[k])
            np.testing.assert_allclose(lengths, 2 * np.sqrt(values * -2 * np.log1p(-p)))

    def test_an_ellipse_holds_its_share(self):
        model = GaussianMixture.from_parameters(
            weights=[1.0], means=[[1.0, -2.0]], covariances=[[[2.0, 0.9], [0.9, 0.7]]]
        )
        X, _ = model.sample(20_000, random_state=0)
        for patch in plot.ellipses(model, levels=(0.3, 0.95)).patches:
            inside = patch.get_patch_transform().inverted().transform(X)
            share = np.mean((inside**2).sum(axis=1) <= 1)
            assert min(abs(share - 0.3), abs(share - 0.95)) < 0.01

    def test_rows_have_the_colour_of_their_component(self):
        X = load_faithful().data
        model = GaussianMixture(3, covariance_type="tied", random_state=0).fit(X)
        ax = plot.ellipses(model, X)
        owner = model.predict(X)
        assert len(ax.collections) == 3
        colours = set()
        for k, scatter in enumerate(ax.collections):
            np.testing.assert_array_equal(scatter.get_offsets(), X[owner == k])
            colours.add(tuple(scatter.get_facecolor()[0]))
            rgb = scatter.get_facecolor()[0][:3]
            np.testing.assert_allclose(rgb, ax.patches[2 * k].get_edgecolor()[:3])
        assert len(colours) == 3

    def test_columns_and_names(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(200, 3)) @ np.diag([1.0, 5.0, 0.2])
        model = GaussianMixture(1).fit(X)
        ax = plot.ellipses(model, X, columns=(2, 1), names=["a", "b", "c"], levels=[0.5])
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("c", "b")
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), X[:, [2, 1]])
        (patch,) = ax.patches
        block = model.covariances_[0][np.ix_([2, 1], [2, 1])]
        lengths = 2 * np.sqrt(np.linalg.eigvalsh(block) * -2 * np.log(0.5))
        np.testing.assert_allclose(sorted([patch.width, patch.height]), lengths)
        assert plot.ellipses(model).get_xlabel() == "x0"

    def test_everything_is_in_view_without_data(self):
        model = GaussianMixture.from_parameters(
            weights=[0.5, 0.5], means=[[0, 0], [10, 4]], covariances=np.stack([np.eye(2)] * 2)
        )
        ax = plot.ellipses(model)
        assert not ax.collections
        (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
        for patch in ax.patches:
            box = patch.get_extents().transformed(ax.transData.inverted())
            assert left <= box.x0 < box.x1 <= right
            assert low <= box.y0 < box.y1 <= high

    def test_many_rows_are_thinned(self):
        X = np.random.default_rng(0).normal(size=(12_000, 2))
        ax = plot.ellipses(GaussianMixture(1).fit(X), X)
        assert len(ax.collections[0].get_offsets()) == 5000

    def test_legend(self):
        X = load_faithful().data
        ax = plot.ellipses(GaussianMixture(2, random_state=0).fit(X), X)
        assert legend_texts(ax)[-1] == "ellipses hold 50 %, 90 %"
        assert not len(covered(ax))

    def test_more_components_than_colours_differ_in_marker(self):
        means = np.column_stack([np.arange(9.0), np.arange(9.0)])
        model = GaussianMixture.from_parameters(
            weights=np.full(9, 1 / 9),
            means=means,
            covariances=np.full(9, 0.01),
            covariance_type="spherical",
        )
        looks = {(drawn.get_color(), drawn.get_marker()) for drawn in plot.ellipses(model).lines}
        assert len(looks) == 9

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"columns": (0, 2)}, r"columns must be two of 0..1, got \(0, 2\)"),
            ({"columns": (0,)}, "columns must be two of"),
            ({"columns": (0.0, 1.0)}, "columns must be two of"),
            ({"levels": (0.5, 90)}, "levels are shares between 0 and 1, got 90"),
            ({"X": np.zeros((3, 5))}, "X has 5 columns and the mixture has 2"),
            ({"names": ["a"]}, "names must name all 2 columns, got 1"),
        ],
    )
    def test_bad_arguments(self, arguments, sentence):
        model = GaussianMixture.from_parameters(
            weights=[1.0], means=[[0.0, 0.0]], covariances=[np.eye(2)]
        )
        with pytest.raises(ValueError, match=sentence):
            plot.ellipses(model, **arguments)
        assert not pyplot.get_fignums()  # no empty figure is left behind

    def test_other_families_are_refused(self):
        params = MixtureParams(np.ones(1), PoissonParams(np.ones((1, 2))))
        with pytest.raises(TypeError, match=r"draws Gaussian mixtures, .* Poisson\(\)"):
            plot.ellipses(params)


class TestFitted:
    def test_ambiguous_parameters(self):
        params = MixtureParams(np.full(2, 0.5), GaussianParams(np.zeros((2, 2)), np.eye(2)))
        with pytest.raises(ValueError, match="may be tied or diag"):
            plot.ellipses(params)

    @pytest.mark.parametrize("covariances", [np.ones((3, 2)), np.ones(3), np.eye(2)])
    def test_parameters_of_a_clear_kind(self, covariances):
        means = np.arange(6.0).reshape(3, 2)
        ax = plot.ellipses(MixtureParams(np.full(3, 1 / 3), GaussianParams(means, covariances)))
        width = 2 * np.sqrt(-2 * np.log(0.5))
        assert [ax.patches[i].width for i in (0, 2, 4)] == pytest.approx([width] * 3)

    def test_what_is_not_a_mixture(self):
        with pytest.raises(TypeError, match="cannot draw a GaussianMixture: give a fitted"):
            plot.density(GaussianMixture(2))
        params = MixtureParams(np.ones(1), SimpleNamespace())
        with pytest.raises(TypeError, match="do not tell their family"):
            plot.density(params)


@pytest.fixture(scope="module")
def chosen():
    return select(
        GaussianMixture(random_state=0),
        load_faithful().data,
        n_components=range(1, 5),
        covariance_type=["full", "tied"],
    )


class TestSelection:
    def test_curves_and_best(self, chosen):
        ax = plot.selection(chosen)
        values = np.array([row.value for row in chosen.table]).reshape(4, 2)
        for k, kind in enumerate(["full", "tied"]):
            x, y = line(ax, kind).get_data()
            assert x.tolist() == [1, 2, 3, 4]
            np.testing.assert_allclose(y, values[:, k] - values.min(), atol=1e-9)
        (ring,) = [drawn for drawn in ax.lines if drawn.get_fillstyle() == "none"]
        assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (chosen.best.n_components, 0)
        assert ax.get_title() == "best: tied, 3 components"
        assert ax.get_ylabel() == f"BIC \N{MINUS SIGN} {values.min():.1f}"
        assert legend_texts(ax) == ["full", "tied"]
        assert not len(covered(ax))

    def test_every_point_is_in_view(self, chosen):
        ax = plot.selection(chosen)
        low, high = ax.get_ylim()
        for drawn in ax.lines:
            assert np.all((drawn.get_ydata() >= low) & (drawn.get_ydata() <= high))

    def test_one_curve_needs_no_legend(self):
        chosen = select(
            GaussianMixture(random_state=0),
            load_faithful().data,
            n_components=[2, 1],
            criterion="aic",
        )
        ax = plot.selection(chosen)
        assert ax.get_legend() is None
        assert line(ax, "candidates").get_xdata().tolist() == [1, 2]
        assert ax.get_title() == "best: 2 components"
        assert ax.get_ylabel().startswith("AIC")

    def test_what_went_wrong_is_marked(self):
        def row(n, value, **fields):
            return Candidate(
                {"n_components": n},
                value,
                0.0,
                n,
                fields.pop("converged", True),
                fields.pop("degenerate", ()),
                5,
                **fields,
            )

        table = [
            row(1, -30.0),
            row(2, -50.0),
            row(3, -900.0, degenerate=("component 0",)),
            row(4, -20.0, converged=False),
            row(5, np.nan, error="fewer distinct rows"),
        ]
        ax = plot.selection(Selection(table, [None] * 5, "icl"))
        assert ax.get_title() == "best: 2 components"
        assert ax.get_ylabel() == "ICL + 50.0"
        (hollow,) = [drawn for drawn in ax.lines if drawn.get_markerfacecolor() == "white"]
        assert hollow.get_xydata().tolist() == [[3, -850], [4, 30]]
        (cross,) = [drawn for drawn in ax.lines if drawn.get_marker() == "x"]
        assert cross.get_xdata().tolist() == [5]
        assert line(ax, "candidates").get_markevery() == [0, 1]
        assert legend_texts(ax) == ["candidates", "degenerate or not converged", "failed"]
        assert ax.get_ylim()[0] < -850

    def test_factors_have_their_own_axis(self):
        table = [
            Candidate({"n_factors": q, "noise": kind}, 10.0 * q, 0.0, q, True, (), 5)
            for q in (1, 2)
            for kind in ("diagonal", "isotropic")
        ]
        ax = plot.selection(Selection(table, [None] * 4, "cv"))
        assert ax.get_xlabel() == "factors"
        assert ax.get_ylabel().startswith("CV")
        assert ax.get_title() == "best: noise=diagonal, 1 factor"
        assert legend_texts(ax) == ["noise=diagonal", "noise=isotropic"]

    def test_other_parameters_name_the_curves(self):
        table = [
            Candidate({"n_components": n, "reg_covar": r}, 10.0 * n + r, 0.0, n, True, (), 5)
            for n in (1, 2)
            for r in (0.0, 0.5)
        ]
        ax = plot.selection(Selection(table, [None] * 4, "bic"))
        assert legend_texts(ax) == ["reg_covar=0.0", "reg_covar=0.5"]

    def test_components_must_have_been_tried(self):
        table = [Candidate({"reg_covar": 0.0}, 1.0, 0.0, 1, True, (), 5)]
        with pytest.raises(
            ValueError, match="draws over n_components or n_factors, and only reg_covar"
        ):
            plot.selection(Selection(table, [None], "bic"))


@pytest.fixture(scope="module")
def plain():
    deaths = load_times_deaths()
    start = MixtureParams(np.array([0.4, 0.6]), PoissonParams(np.array([[1.0], [3.0]])))
    model = models.Mixture(families.Poisson(), 2)
    em = EM(accelerate=None, tol=1e-2, max_iter=5000)
    return em.run(model, (deaths.data, deaths.weights), start=start)


class TestConvergence:
    def test_gap_and_projection(self, plain):
        ax = plot.convergence(plain)
        history = plain.history
        x, gap = line(ax, "gap").get_data()
        np.testing.assert_array_equal(x, history["n_iter"])
        limit = plain.objective + plain.projected_gain
        np.testing.assert_allclose(gap, limit - history["objective"], rtol=1e-9)
        _, projected = line(ax, "projected").get_data()
        assert projected[-1] == pytest.approx(plain.projected_gain)
        assert gap[-1] == pytest.approx(plain.projected_gain)
        assert ax.get_yscale() == "log"
        assert legend_texts(ax) == ["gap", "projected"]
        assert not len(covered(ax))

    def test_an_estimator_shows_its_result(self, one):
        x, gap = line(plot.convergence(one), "gap").get_data()
        again = line(plot.convergence(one.result_), "gap")
        np.testing.assert_array_equal((x, gap), again.get_data())

    def test_steps_are_marked(self):
        rows = [  # n_iter, step, objective, tried, accepted, projected_gain, seconds
            (0, "start", -100.0, -100.0, True, np.nan, 0.0),
            (1, "em", -60.0, -60.0, True, np.nan, 0.0),
            (3, "squarem", -30.0, -30.0, True, 9.0, 0.0),
            (5, "squarem", -30.0, -80.0, False, np.nan, 0.0),
            (7, "squarem", -30.0, np.nan, False, np.nan, 0.0),
            (8, "em", -20.5, -20.5, True, 0.5, 0.0),
            (8, "certify", -20.25, -20.25, True, 0.25, 0.0),
            (8, "certify", -20.125, -20.125, True, 0.125, 0.0),
        ]
        result = SimpleNamespace(
            history=History(rows), objective=-20.125, loglik=-20.125, projected_gain=0.125
        )
        ax = plot.convergence(result)
        x, gap = line(ax, "gap").get_data()
        assert x.tolist() == [0, 1, 3, 8, 9, 10]
        assert gap.tolist() == [80, 40, 10, 0.5, 0.25, 0.125]
        assert line(ax, "accelerated").get_xydata().tolist() == [[3, 10]]
        assert line(ax, "refused").get_xydata().tolist() == [[5, 60], [7, 10]]
        assert line(ax, "certifying").get_xydata().tolist() == [[9, 0.25], [10, 0.125]]
        assert not len(covered(ax))

    def test_a_fit_of_one_step(self):
        ax = plot.convergence(
            EM(tol=0, max_iter=1).run(
                models.Mixture(families.Gaussian(), 1), np.arange(6.0)[:, None], rng=0
            )
        )
        ax.figure.canvas.draw()
        assert line(ax, "gap").get_xdata().tolist() == [0, 1]


CHAIN = PoissonHMM.from_parameters(
    startprob=[0.5, 0.5], transmat=[[0.9, 0.1], [0.3, 0.7]], lambdas=[[1.0], [8.0]]
)
COUNTS = np.array([[1.0], [0.0], [9.0], [7.0], [2.0]])
SEEN = GaussianImputer.from_parameters([0.0, 0.0], np.eye(2)).overimpute([[1.0, 2.0]])
ALIGNER = WordAligner().fit(["das Haus", "das Buch"], ["the house", "the book"])
FUNCTIONS = {
    "alignment": lambda ax: plot.alignment(ALIGNER, "das Haus", "the house", ax=ax),
    "states": lambda ax: plot.states(CHAIN, COUNTS, ax=ax),
    "transitions": lambda ax: plot.transitions(CHAIN, ax=ax),
    "forecast": lambda ax: plot.forecast(CHAIN, COUNTS, 3, ax=ax),
    "residuals": lambda ax: plot.residuals(CHAIN, COUNTS, ax=ax),
    "patterns": lambda ax: plot.patterns([[1.0, np.nan], [2.0, 3.0]], ax=ax),
    "overimpute": lambda ax: plot.overimpute(SEEN, ax=ax),
    "density": lambda ax: plot.density(
        MixtureParams(np.ones(1), GaussianParams(np.zeros((1, 1)), np.ones(1))), ax=ax
    ),
    "ellipses": lambda ax: plot.ellipses(
        MixtureParams(np.ones(1), GaussianParams(np.zeros((1, 2)), np.ones(1))), ax=ax
    ),
    "selection": lambda ax: plot.selection(
        Selection([Candidate({"n_components": 1}, 1.0, 0.0, 1, True, (), 5)], [None], "bic"), ax=ax
    ),
    "convergence": lambda ax: plot.convergence(
        SimpleNamespace(
            history=History([(0, "start", -2.0, -2.0, True, np.nan, 0.0)]),
            objective=-1.0,
            loglik=-1.0,
            projected_gain=np.nan,
        ),
        ax=ax,
    ),
}


def test_all_functions_are_listed():
    assert sorted(FUNCTIONS) == sorted(plot.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_given_axes_are_used_and_no_figure_opened(name):
    _, axs = pyplot.subplots(1, 2, figsize=(4, 2))
    assert FUNCTIONS[name](axs[1]) is axs[1]
    assert len(pyplot.get_fignums()) == 1
    assert axs[1].has_data()
    assert not axs[0].has_data()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_new_figure_without_axes(name, monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *_, **__: pytest.fail("show was called"))
    ax = FUNCTIONS[name](None)
    assert ax.figure.axes == [ax]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_without_matplotlib(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"plots need matplotlib: pip install 'latentem\[plot\]'"):
        FUNCTIONS[name](None)


def test_import_does_not_import_matplotlib():
    code = "import sys, latentem.plot; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
