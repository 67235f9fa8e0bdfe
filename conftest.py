"""Counts, at the end of a test run, the tests that were skipped because a peer is missing.

Such a test begins with ``pytest.importorskip("hmmlearn")``.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def _peers() -> list[str]:
    with (Path(__file__).parent / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    return [requirement.partition(">")[0] for requirement in extras["peers"]]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Add a line per missing peer to pytest's summary."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for peer in _peers():
        count = sum(f"could not import {peer!r}" in reason for reason in reasons)
        if count:
            terminalreporter.write_line(f"peer not installed: {peer}, {count} tests skipped")
