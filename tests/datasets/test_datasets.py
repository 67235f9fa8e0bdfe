"""Bundled data: shapes, sums that pin the values, provenance, and cost of import."""

from __future__ import annotations

import gettext
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from latentem import datasets
from latentem.datasets import Dataset

# name: shape, sum of the present cells, missing cells, sum of weights
FACTS = {
    "airquality": ((153, 6), 48960.5, 44, None),
    "anaesthetists": ((315, 3), 8591.0, 0, None),
    "apple": ((18, 2), 805.0, 6, None),
    "cement_missing": ((13, 5), 2086.5, 15, None),
    "cholesterol": ((28, 3), 17776.0, 9, None),
    "earthquakes": ((107, 2), 211043.0, 0, None),
    "faithful": ((272, 2), 20232.677, 0, None),
    "galaxies": ((82, 1), 1707.91, 0, None),
    "lsat6": ((32, 5), 80.0, 0, 1000.0),
    "nile": ((100, 2), 283985.0, 0, None),
    "times_deaths": ((10, 1), 45.0, 0, 1096.0),
}


def load(name: str) -> Dataset:
    return getattr(datasets, f"load_{name}")()


def test_every_loader_is_listed_here():
    assert {f"load_{name}" for name in (*FACTS, "django_messages")} == {
        name for name in datasets.__all__ if name.startswith("load_")
    }


def test_parallel_text():
    text = datasets.load_django_messages()
    assert len(text) == len(text.source) == len(text.target) == 678
    assert sum(len(sentence.split()) for sentence in text.source) == 3583
    assert sum(len(sentence.split()) for sentence in text.target) == 3571
    assert "BSD" in text.origin
    licence = Path(datasets.__file__).parent / "data" / "django_messages.LICENSE"
    assert "Django Software Foundation" in licence.read_text("utf-8")
    peer = pytest.importorskip("django")
    folder = Path(peer.__file__).parent / "conf" / "locale" / "de" / "LC_MESSAGES"
    with (folder / "django.mo").open("rb") as file:
        catalogue = gettext.GNUTranslations(file)
    assert catalogue.gettext("Saturday") == text.target[text.source.index("Saturday")]


@pytest.mark.parametrize("name", FACTS)
def test_values(name):
    shape, total, missing, weight = FACTS[name]
    found = load(name)
    assert found.data.shape == shape
    assert found.data.dtype == np.float64
    assert found.data.flags.c_contiguous
    assert found.data.flags.writeable
    assert np.isnan(found.data).sum() == missing
    np.testing.assert_allclose(np.nansum(found.data), total, rtol=1e-12)
    if weight is None:
        assert found.weights is None
    else:
        assert found.weights.shape == shape[:1]
        assert found.weights.sum() == weight


@pytest.mark.parametrize("name", FACTS)
def test_provenance_and_labels(name):
    found = load(name)
    assert any(year in found.source for year in map(str, range(1930, 2010)))
    assert "Source" in getattr(datasets, f"load_{name}").__doc__
    assert found.description.endswith(".")
    assert len(found.labels) == len(found.columns)


def test_each_call_returns_its_own_arrays():
    first = load("faithful")
    first.data[:] = 0
    assert load("faithful").data.min() > 0


def test_statistics_known_from_the_literature():
    apple = load("apple")
    np.testing.assert_allclose(apple["size"].mean(), 14.722222, atol=1e-6)
    cholesterol = load("cholesterol")
    np.testing.assert_allclose(cholesterol["day2"].mean(), 253.9286, atol=1e-4)
    deaths = load("times_deaths")
    lam = np.average(deaths["deaths"], weights=deaths.weights)
    factorials = np.cumsum(np.log(np.maximum(deaths["deaths"], 1)))
    loglik = deaths.weights @ (deaths["deaths"] * np.log(lam) - lam - factorials)
    np.testing.assert_allclose(loglik, -2001.397847372, atol=1e-8)  # one Poisson


def test_columns_by_name():
    quakes = load("earthquakes")
    assert quakes["count"].shape == (107,)
    assert quakes[["count"]].shape == (107, 1)
    assert quakes[["count", "year"]][0].tolist() == [13.0, 1900.0]
    with pytest.raises(KeyError, match="no column 'size': the columns are year, count"):
        quakes["size"]


def test_labels_show_units():
    assert load("faithful").labels == ("eruptions (min)", "waiting (min)")
    assert load("lsat6").labels == load("lsat6").columns
    assert load("nile").labels == ("flow (10^8 m^3)", "year")


def test_frame():
    pandas = pytest.importorskip("pandas")
    frame = load("times_deaths").to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == ["deaths", "weight"]
    assert frame["weight"].sum() == 1096
    assert list(load("faithful").to_frame().columns) == ["eruptions", "waiting"]


def test_frame_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'latentem\[pandas\]'"):
        load("faithful").to_frame()


def test_two_gaussians_follow_their_model():
    x = datasets.two_gaussians(200_000, random_state=3).data[:, 0]
    # mean .6*2 + .4*9 = 4.8; variance .6*16 + .4*4 + .24*49 = 22.96
    np.testing.assert_allclose(x.mean(), 4.8, atol=5 * np.sqrt(22.96 / len(x)))
    np.testing.assert_allclose(x.var(), 22.96, rtol=0.02)


def test_two_gaussians_seed():
    draw = datasets.two_gaussians
    assert draw(50, random_state=1).data.shape == (50, 1)
    np.testing.assert_array_equal(draw(50, random_state=1).data, draw(50, random_state=1).data)
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(draw(50, random_state=1).data, draw(50, random_state=rng).data)
    assert not np.array_equal(draw(50, random_state=1).data, draw(50, random_state=rng).data)
    old = draw(50, random_state=np.random.RandomState(1)).data
    np.testing.assert_array_equal(old, draw(50, random_state=np.random.RandomState(1)).data)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        draw(0)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"data": np.zeros(3), "columns": ("a",)}, "2-D"),
        ({"data": np.zeros((3, 2)), "columns": ("a",)}, "a name for each column"),
        (
            {"data": np.zeros((3, 1)), "columns": ("a",), "weights": np.ones(2)},
            "2 weights for 3 rows",
        ),
        (
            {"data": np.zeros((3, 1)), "columns": ("a",), "units": ("m", "s")},
            "2 units for 1 columns",
        ),
    ],
)
def test_dataset_checks_its_fields(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        Dataset(description="", source="", **fields)


def test_repr():
    assert repr(load("lsat6")) == (
        "Dataset(32 rows; 5 columns: item1, item2, item3, item4, item5; weights sum to 1000)"
    )


def test_import_is_light():
    code = (
        "import sys, latentem.datasets as d; d.load_faithful();"
        "print([m for m in ('scipy', 'numba', 'sklearn', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
