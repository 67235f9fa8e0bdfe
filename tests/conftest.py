"""Fixtures shared by all tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings

# Reproducible runs, and no failure for a slow machine; the number of examples is small on
# purpose, the properties are simple.
settings.register_profile("latentem", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("latentem")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)
