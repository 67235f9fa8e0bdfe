"""What `import latentem` costs, and that every public name is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import latentem

HEAVY = ("numba", "sklearn", "scipy", "pandas", "matplotlib", "joblib", "tqdm")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_is_light():
    code = f"import sys, latentem; print([m for m in {HEAVY} if m in sys.modules])"
    assert run(code) == "[]"


def test_listing_the_names_is_light_too():
    code = (
        "import sys, latentem; names = dir(latentem); assert 'GaussianMixture' in names;"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert run(code) == "[]"


def test_a_fit_imports_no_extra():
    """Pandas and pyarrow apart: scikit-learn imports them by itself where they are installed."""
    code = (
        "import sys; from latentem import GaussianMixture, select, standard_errors;"
        "gm = GaussianMixture(1).fit([[0.0], [1.0], [3.0]]);"
        "print([m for m in ('matplotlib', 'tqdm', 'dask') if m in sys.modules])"
    )
    assert run(code) == "[]"


@pytest.mark.parametrize("name", latentem.__all__)
def test_public_name_resolves(name):
    assert getattr(latentem, name) is not None
    assert name in dir(latentem)


def test_star_import():
    space: dict[str, object] = {}
    exec("from latentem import *", space)
    assert set(latentem.__all__) <= set(space)


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'latentem' has no attribute 'Foo'"):
        latentem.Foo  # noqa: B018


def test_version():
    assert latentem.__version__.count(".") >= 2
