"""The lines for statsmodels in the guide print what the guide says."""

from __future__ import annotations

import contextlib
import doctest
import io
from pathlib import Path

import pytest

import latentem

pytest.importorskip("statsmodels")
pytest.importorskip("pandas")

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "missing-data.rst"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_lines_of_the_guide() -> None:
    parser = doctest.DocTestParser()
    skipped = [
        example
        for example in parser.get_examples(GUIDE.read_text(encoding="utf-8"))
        if doctest.SKIP in example.options
    ]
    assert len(skipped) == 5
    air = latentem.datasets.load_airquality().to_frame()
    names = {"latentem": latentem, "air": air}
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        for example in skipped:
            exec(compile(example.source, "guide", "single"), names)
    found, told = out.getvalue().split(), skipped[-1].want.split()
    assert len(found) == len(told) == 40
    for one, other in zip(found, told, strict=True):
        try:
            number = float(other)
        except ValueError:
            assert one == other
        else:
            assert float(one) == pytest.approx(number, rel=2e-3)
