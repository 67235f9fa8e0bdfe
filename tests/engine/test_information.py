"""Information matrices: their parts, flat directions, and what runs to its boundary."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from latentem import (
    EM,
    Bounded,
    Expectation,
    Fixed,
    LatentModel,
    NotIdentifiedWarning,
    Positive,
    PositiveDefinite,
    Real,
    SerialBackend,
    Simplex,
    Simplices,
    families,
    models,
    standard_errors,
)
from latentem.datasets import load_apple, load_cholesterol
from latentem.engine.boundary import Interior
from latentem.engine.oakes import oakes

COUNTS = np.array([125.0, 18.0, 20.0, 34.0])


class Linkage(NamedTuple):
    theta: float


class LinkageModel(LatentModel):
    """Rao's linkage, natural scale, with and without Q."""

    def initialize(self, blocks, rng):
        return Linkage(0.5)

    def constraints(self):
        return Linkage(Real())

    def e_step(self, params, counts):
        t, (a, _, _, d) = params.theta, counts
        p = np.array([0.5 + t / 4, (1 - t) / 4, (1 - t) / 4, t / 4])
        linked = a * (t / 4) / p[0] + d
        return Expectation((linked, counts[1] + counts[2]), float(counts @ np.log(p)), counts.sum())

    def m_step(self, statistics, params):
        return Linkage(statistics[0] / sum(statistics))

    def expected_loglik(self, params, statistics):
        linked, crossed = statistics
        return float(linked * np.log(params.theta) + crossed * np.log(1 - params.theta))

    def sample(self, params, n, rng):
        t = params.theta
        return rng.multinomial(n, [0.5 + t / 4, (1 - t) / 4, (1 - t) / 4, t / 4]).astype(float)


class LinkageWithoutQ(LinkageModel):
    def expected_loglik(self, params, statistics):
        raise NotImplementedError


def fitted(model, data, **settings):
    return EM(tol=1e-13, accelerate=None, n_jobs=1, max_iter=5000, **settings).run(model, data)


@pytest.mark.nojit
def test_linkage_by_every_method():
    """Rao (1973): information observed 377.5169, complete 435.317854, rate .132778734."""
    result = fitted(LinkageModel(), COUNTS)
    for method in ("observed", "oakes"):
        errors = standard_errors(result, COUNTS, method=method)
        assert float(errors["theta"]) == pytest.approx(0.0514673492, abs=2e-9)
    parts = oakes(result.model, Interior(result.model, result.params), [COUNTS], SerialBackend())
    assert parts.complete[0, 0] == pytest.approx(435.317854, rel=1e-7)
    assert parts.information().matrix[0, 0] == pytest.approx(377.516900, rel=1e-7)
    assert parts.rates()[0] == pytest.approx(0.132778734, rel=1e-6)
    without = fitted(LinkageWithoutQ(), COUNTS)
    assert float(standard_errors(without, COUNTS)["theta"]) == pytest.approx(0.0514673492, rel=1e-6)


@pytest.mark.nojit
def test_own_model_by_parametric_bootstrap():
    result = fitted(LinkageModel(), COUNTS)
    errors = standard_errors(
        result, COUNTS, method="bootstrap", resampling="parametric", n_replicates=400,
        random_state=0, n_jobs=1,
    )  # fmt: skip
    assert float(errors["theta"]) == pytest.approx(0.0514673492, rel=0.1)
    lower, upper = errors.confidence_interval(0.9)["theta"]
    inside = (errors.replicates["theta"] >= lower) & (errors.replicates["theta"] <= upper)
    assert inside.mean() == pytest.approx(0.9, abs=0.02)


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("model", "arguments", "match"),
    [
        (LinkageModel(), {"method": "bootstrap"}, "no weights that could vary"),
        (LinkageWithoutQ(), {"method": "oakes"}, "expected_loglik.*method='observed'"),
        (LinkageModel(), {"labels": [0]}, "labels belong in the data of an EMResult"),
        (LinkageModel(), {"method": "bootstrap", "n_replicates": 3}, "n_replicates .* >= 10"),
        (LinkageModel(), {"method": "bootstrap", "resampling": "rows"}, "resampling must be one"),
    ],
)
def test_what_cannot_be_asked(model, arguments, match):
    with pytest.raises(ValueError, match=match):
        standard_errors(fitted(model, COUNTS), COUNTS, **arguments)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (load_apple().data, [0.614025, 0.333333, 0.009712]),
        (load_cholesterol().data, [0.465752, 0.392838, 0.321429, 0.212624]),
    ],
)
def test_rates_of_missing_data(data, expected):
    """The rates of EM, from the missing information, against the published ones."""
    model = models.MultivariateNormal().learn(data)
    result = fitted(model, data)
    parts = oakes(model, Interior(model, result.params), list(model.blocks(data)), SerialBackend())
    rates = parts.rates()
    for rate in expected:
        assert np.abs(rates - rate).min() < 2e-6


class Pair(NamedTuple):
    a: float
    b: float
    scale: float


class OnlyTheSum(LatentModel):
    """Rows of mean a + b: the data do not tell the two apart."""

    def initialize(self, blocks, rng):
        return Pair(0.5, 0.25, 1.0)

    def constraints(self):
        return Pair(Real(), Real(), Positive())

    def e_step(self, params, x):
        apart = x - params.a - params.b
        loglik = -0.5 * len(x) * np.log(2 * np.pi * params.scale)
        loglik -= 0.5 * np.sum(apart**2) / params.scale
        return Expectation((float(len(x)), x.sum(), np.sum(x**2)), float(loglik), len(x))

    def m_step(self, statistics, params):
        n, total, squares = statistics
        shift = total / n - params.a - params.b
        return Pair(params.a + shift / 2, params.b + shift / 2, squares / n - (total / n) ** 2)

    def expected_loglik(self, params, statistics):
        n, total, squares = statistics
        mean = params.a + params.b
        apart = squares - 2 * mean * total + n * mean**2
        return float(-0.5 * (n * np.log(2 * np.pi * params.scale) + apart / params.scale))


@pytest.mark.nojit
@pytest.mark.parametrize("method", ["observed", "oakes"])
def test_a_flat_ridge_is_named_and_the_rest_has_errors(method):
    x = np.random.default_rng(0).normal(3.0, 2.0, size=200)
    result = fitted(OnlyTheSum(), x)
    with pytest.warns(NotIdentifiedWarning, match="do not settle a, b: the likelihood is flat"):
        errors = standard_errors(result, x, method=method)
    assert errors["a"] == errors["b"] == np.inf
    assert float(errors["scale"]) == pytest.approx(x.var() * np.sqrt(2 / 200), rel=1e-5)
    lower, upper = errors.confidence_interval()["a"]
    assert (lower, upper) == (-np.inf, np.inf)
    assert "not settled by the data" in errors.summary()
    assert "a, b" in errors.notes[0]


class Shares(NamedTuple):
    p: np.ndarray


class Trinomial(LatentModel):
    """Shares that an M-step only comes nearer to, so that one on its way to 0 stays on it."""

    def initialize(self, blocks, rng):
        return Shares(np.full(3, 1 / 3))

    def constraints(self):
        return Shares(Simplex())

    def e_step(self, params, counts):
        with np.errstate(divide="ignore", invalid="ignore"):
            loglik = np.where(counts > 0, counts * np.log(params.p), 0.0).sum()
        return Expectation((counts,), float(loglik), counts.sum())

    def m_step(self, statistics, params):
        (counts,) = statistics
        return Shares(0.5 * params.p + 0.5 * counts / counts.sum())

    def expected_loglik(self, params, statistics):
        return self.e_step(params, statistics[0]).loglik


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("small", "words"),
    [(0.0, "on the boundary"), (1e-5, "on the way to the boundary"), (1e-4, "on the way")],
)
def test_a_share_of_zero_or_on_its_way_there(small, words):
    counts = np.array([40.0, 60.0, 0.0])
    result = fitted(Trinomial(), counts)
    rest = (1 - small) * counts[:2] / 100
    result = EM(tol=0, max_iter=0).run(result.model, counts, start=Shares(np.array([*rest, small])))
    errors = standard_errors(result, counts)
    assert errors["p"][2] == 0.0
    np.testing.assert_allclose(errors["p"][:2], np.sqrt(0.24 / 100), rtol=1e-3)
    assert errors.notes[0].startswith(words)
    assert errors.notes[0].endswith(": p[2]")


@pytest.mark.nojit
def test_everything_known():
    counts = np.array([7.0, 0.0, 0.0])
    result = EM(tol=0, max_iter=0).run(Trinomial(), counts, start=Shares(np.array([1.0, 0, 0])))
    errors = standard_errors(result, counts)
    np.testing.assert_array_equal(errors["p"], 0.0)
    assert [line.split("  ")[-1] for line in str(errors).splitlines()[1:4]] == [
        "known", "on its boundary, held", "on its boundary, held",
    ]  # fmt: skip
    lower, upper = errors.confidence_interval()["p"]
    np.testing.assert_array_equal(lower, upper)


@pytest.mark.nojit
def test_limits_edges_and_holding():
    value = np.array([[0.25, 0.75, 0.0], [0.5, 0.5, 0.0]])
    free = np.array([[True, True, True], [False, True, True]])
    low, high = Simplex(free).limits(value)
    np.testing.assert_array_equal(low, 0.0)
    np.testing.assert_array_equal(high[:, 1], [1.0, 0.5])
    edge = Simplex(free).at_edge(value)
    np.testing.assert_array_equal(edge, [[False, False, True], [False, False, True]])
    held = Simplex(free).holding(edge)
    assert held.size(value) == 1
    assert np.isfinite(held.pack(value)).all()
    pieces = Simplices((2, 3)).at_edge(np.array([0.0, 1.0, 0.2, 0.8, 0.0]))
    np.testing.assert_array_equal(pieces, [True, False, False, False, True])
    assert Simplices((2, 3)).holding(pieces).size(np.array([0.0, 1.0, 0.2, 0.8, 0.0])) == 1
    assert Bounded(0, 1).at_edge(np.array([0.0, 0.5, 1.0])).tolist() == [True, False, True]
    assert Positive().at_edge(np.array([0.0, 2.0])).tolist() == [True, False]
    two = np.stack([np.eye(2), np.ones((2, 2))])
    np.testing.assert_array_equal(PositiveDefinite().at_edge(two).all(axis=(1, 2)), [False, True])
    np.testing.assert_array_equal(
        PositiveDefinite().limits(two)[0][0], [[0, -np.inf], [-np.inf, 0]]
    )
    assert Fixed().at_edge(value).sum() == Real().at_edge(value).sum() == 0
    assert Fixed().kept(value).all()
    assert Real().limits(value)[1][0, 0] == np.inf


def test_emission_probabilities_of_zero():
    """A category never seen in a class: known, and the other probabilities as binomial."""
    rows = np.repeat([[0, 0], [1, 1], [2, 0]], [40, 60, 10], axis=0).astype(float)
    model = models.Mixture(families.Categorical(3), 1)
    result = fitted(model, rows)
    errors = standard_errors(result, rows)
    probs = np.array([40, 60, 10]) / 110
    found = errors["emissionprob"].reshape(2, 3)
    np.testing.assert_allclose(found[0], np.sqrt(probs * (1 - probs) / 110), rtol=1e-5)
    np.testing.assert_allclose(found[1, :2], np.sqrt(50 / 110 * 60 / 110 / 110), rtol=1e-5)
    assert found[1, 2] == 0.0
    assert "emissionprob[0, 5]" in errors.notes[0]
