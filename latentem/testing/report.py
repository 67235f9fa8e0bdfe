"""Running a list of checks, and the report of what passed and what was skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Check", "CheckReport", "Skip", "run"]

#: Name of a check, and a function that makes it and returns what was measured.
Check = tuple[str, Callable[[], str]]


class Skip(Exception):
    """A check that cannot be made; the message says why."""


@dataclass(frozen=True)
class CheckReport:
    """What was checked.

    Attributes
    ----------
    subject : str
        The model or family that was checked.
    passed : tuple of (str, str)
        Name of each check that passed, with what was measured.
    skipped : tuple of (str, str)
        Name of each check that could not be made, with the reason.
    """

    subject: str
    passed: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        rows = [("passed", *row) for row in self.passed]
        rows += [("skipped", *row) for row in self.skipped]
        width = max((len(name) for _, name, _ in rows), default=0)
        head = f"{self.subject}: {len(self.passed)} checks passed, {len(self.skipped)} skipped"
        body = [f"  {how:<7}  {name:<{width}}  {text}".rstrip() for how, name, text in rows]
        return "\n".join([head, *body])

    def __add__(self, other: CheckReport) -> CheckReport:
        return CheckReport(self.subject, self.passed + other.passed, self.skipped + other.skipped)


def run(subject: str, checks: Iterable[Check]) -> CheckReport:
    """Make the checks in order; the first that fails raises AssertionError with its name."""
    passed, skipped = [], []
    for name, check in checks:
        try:
            passed.append((name, check()))
        except Skip as reason:
            skipped.append((name, str(reason)))
        except AssertionError as error:
            raise AssertionError(f"{subject}, check '{name}': {error}") from error
    return CheckReport(subject, tuple(passed), tuple(skipped))
