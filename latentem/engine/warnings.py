"""The categories of warnings, so that each can be filtered on its own."""

from __future__ import annotations

import sys
import warnings

from sklearn.exceptions import ConvergenceWarning

__all__ = [
    "CheckpointWarning",
    "ConvergenceWarning",
    "DegenerateComponentWarning",
    "ImpossibleRowWarning",
    "NotIdentifiedWarning",
]


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written."""


class DegenerateComponentWarning(UserWarning):
    """A component sits on its variance floor: its likelihood is not to be trusted."""


class ImpossibleRowWarning(UserWarning):
    """A row has probability zero under the model."""


class NotIdentifiedWarning(UserWarning):
    """The data do not determine some parameter."""


def tell(text: str, category: type[Warning]) -> None:
    """Warn, pointing at the line outside latentem that led here."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("latentem."):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)
