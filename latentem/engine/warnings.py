"""The categories of warnings, so that each can be filtered on its own."""

from sklearn.exceptions import ConvergenceWarning

__all__ = ["ConvergenceWarning", "DegenerateComponentWarning", "NotIdentifiedWarning"]


class DegenerateComponentWarning(UserWarning):
    """A component sits on its variance floor: its likelihood is not to be trusted."""


class NotIdentifiedWarning(UserWarning):
    """The data do not determine some parameter."""
