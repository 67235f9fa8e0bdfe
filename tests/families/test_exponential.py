"""The Exponential family through the checker, on zeros, in other units, and on bad cells."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import EM, DegenerateComponentWarning
from latentem.families import Exponential, ExponentialParams
from latentem.models import Mixture, MixtureParams
from latentem.testing import check_family


def waits(rng, n=150):
    return rng.exponential(np.repeat([[1.0, 300.0], [20.0, 30.0]], [n, n], axis=0))


@pytest.mark.nojit
def test_check_family(rng):
    x = waits(rng)[:, :1]
    edges = np.linspace(0.0, 1200.0, 1_200_001)
    middle, width = 0.5 * (edges[1:] + edges[:-1])[:, None], np.diff(edges)
    report = check_family(Exponential(), x, grid=(middle, width))
    assert {name for name, _ in report.skipped} == {"fixed values"}


def test_check_family_with_fixed_scales_and_more_columns(rng):
    check_family(Exponential(), waits(rng), n_components=3)
    report = check_family(Exponential(fixed=("scales",)), waits(rng))
    assert dict(report.passed)["fixed values"] == "family.scales"


def test_the_density_at_0_is_finite():
    at = ExponentialParams(np.array([[2.0], [0.25]]))
    found = Exponential().log_density(Exponential().prepare(at), Exponential().encode([[0.0]]))
    np.testing.assert_allclose(found, [[np.log(0.5)], [np.log(4.0)]])


def test_other_units_give_the_same_fit(rng):
    x, em = waits(rng), EM(n_jobs=1, tol=1e-10)
    scales = np.array([[2.0, 200.0], [10.0, 50.0]])
    start = MixtureParams(np.array([0.5, 0.5]), ExponentialParams(scales))
    unit = np.array([1e-9, 1e12])
    first = em.run(Mixture(Exponential(), 2), x, start=start)
    scaled = start._replace(family=ExponentialParams(scales * unit))
    second = em.run(Mixture(Exponential(), 2), x * unit, start=scaled)
    np.testing.assert_allclose(
        second.params.family.scales, first.params.family.scales * unit, rtol=1e-6
    )
    assert second.loglik == pytest.approx(first.loglik - len(x) * np.log(unit).sum(), rel=1e-10)


def test_a_component_on_zeros_is_held_at_the_floor_and_reported():
    x = np.repeat([0.0, 1.0, 2.0, 5.0], [40, 10, 10, 10])[:, None]
    start = MixtureParams(np.array([0.5, 0.5]), ExponentialParams(np.array([[1e-3], [2.0]])))
    with pytest.warns(DegenerateComponentWarning, match="component 0 .* zeros in column 0"):
        result = EM(n_jobs=1).run(Mixture(Exponential(), 2), x, start=start)
    assert len(result.degenerate) == 1
    assert np.isfinite(result.loglik)
    floor = 1e3 * np.finfo(float).eps * x.mean()
    assert result.params.family.scales[0, 0] == pytest.approx(floor, rel=1e-12)
    assert result.params.family.scales[1, 0] == pytest.approx(80 / 30, rel=1e-9)


def test_a_column_of_zeros_is_a_note_and_no_degeneracy(rng):
    x = np.column_stack([waits(rng)[:, 0], np.zeros(300)])
    result = EM(n_jobs=1).run(Mixture(Exponential(), 2), x, rng=0)
    assert result.degenerate == ()
    assert any("column 1 has zeros alone" in note for note in result.notes)
    held = MixtureParams(np.ones(1), ExponentialParams(np.ones((1, 2))))
    kept = EM(n_jobs=1).run(Mixture(Exponential(("scales",)), 1), x, start=held)
    assert kept.degenerate == ()


@pytest.mark.parametrize(("value", "words"), [(-0.5, "-0.5"), (np.inf, "inf")])
def test_check_names_the_cell(value, words):
    X = np.array([[1.0, np.nan], [0.0, value]])
    sentence = rf"Exponential data are finite numbers >= 0, but X\[1, 1\] is {words}$"
    with pytest.raises(ValueError, match=sentence):
        Exponential().check(X)
    Exponential().check(X[:1])


def test_repr():
    assert repr(Exponential()) == "Exponential()"
