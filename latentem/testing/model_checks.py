"""The checks of a `LatentModel`, from the basic to the derived."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from latentem.testing import likelihood_checks, sum_checks
from latentem.testing.case import ModelCase
from latentem.testing.report import Check

__all__ = ["model_checks"]

CHECKS: tuple[tuple[str, Callable[[ModelCase], str]], ...] = (
    ("trees of finite numbers", sum_checks.finite),
    ("nothing changed in place", sum_checks.unchanged),
    ("E-step keeps no state", sum_checks.repeatable),
    ("parts add up to the whole", sum_checks.additive),
    ("row weights", sum_checks.row_weights),
    ("threads equal serial", sum_checks.threads),
    ("pickling", sum_checks.pickling),
    ("flat vector", likelihood_checks.flat),
    ("fixed values", likelihood_checks.fixed),
    ("Fisher's identity", likelihood_checks.fisher),
    ("Q is linear and a bound", likelihood_checks.bound),
    ("M-step maximises Q", likelihood_checks.maximum),
    ("objective does not fall", likelihood_checks.rises),
    ("simulate and recover", likelihood_checks.recover),
)


def model_checks(case: ModelCase) -> list[Check]:
    """Every check, ready to be made on `case`."""
    return [(name, partial(check, case)) for name, check in CHECKS]
