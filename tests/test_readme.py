"""The README's example runs and prints what the README says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), flags=re.DOTALL)


def words(text: str) -> list[str]:
    """All but the last column, the number of EM maps: it may differ from machine to machine."""
    text = re.sub(r"\d+(  <- best)?$", r"\1", text, flags=re.MULTILINE)
    return text.replace("[", " ").replace("]", " ").split()


def test_readme_example_prints_what_it_says(capsys):
    (code,), (printed,) = blocks("python"), blocks("text")
    assert len(code.splitlines()) <= 12
    exec(compile(code, "README.md", "exec"), {})
    got, told = words(capsys.readouterr().out), words(printed)
    assert len(got) == len(told) > 20
    for one, other in zip(got, told, strict=True):
        if re.fullmatch(r"-?\d+(\.\d*)?", other):
            assert float(one) == pytest.approx(float(other), abs=0.011)
        else:
            assert one == other
