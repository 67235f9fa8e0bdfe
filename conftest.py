"""For every test run: hypothesis without a deadline, and a count of what missing peers skip.

A test that needs a peer begins with ``pytest.importorskip("hmmlearn")``.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hypothesis import settings

# A first call compiles kernels, and machines are shared: no example has a time limit.
settings.register_profile("latentem", settings.default, deadline=None)
settings.load_profile("latentem")


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
