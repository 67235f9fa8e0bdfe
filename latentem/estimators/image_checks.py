"""Checks of counts, backgrounds and images of a reconstruction, each with its sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentem.models.image_prior import ImagePrior, IntensityPrior
from latentem.operators.operator import Operator

__all__ = [
    "check_background",
    "check_counts",
    "check_prior",
    "check_reach",
    "check_start",
    "unseen",
]

Array = np.ndarray


def check_counts(y: Any) -> tuple[Array, np.dtype]:
    """Counts in float64, and the float type of an image of them."""
    given = np.asarray(y)
    if given.dtype.kind not in "fiub":
        raise ValueError(f"y must hold numbers, got an array of {given.dtype}")
    if given.ndim == 0 or given.size == 0:
        raise ValueError(f"y has shape {given.shape}: it holds no measurements")
    kind = given.dtype if given.dtype.kind == "f" else np.dtype(float)
    return _not_negative(given, "y", "counts"), kind


def check_background(background: Any, shape: tuple[int, ...]) -> Any:
    """The background in float64, a number or in the shape of the data."""
    if background is None:
        return 0.0
    found = _not_negative(np.asarray(background), "background", "expected counts")
    if found.ndim and found.shape != shape:
        raise ValueError(
            f"background has shape {found.shape} and the data {shape}: give one number, or one "
            "for each measurement"
        )
    return found if found.ndim else float(found)


def check_start(start: Any, operator: Operator) -> Array:
    """An image to begin with, in the shape that the operator takes."""
    image = _not_negative(np.asarray(start), "start", "pixels")
    shown = operator.crop(np.empty(operator.image_shape)).shape
    if image.shape == shown:
        image = operator.extend(image)
    if image.shape != operator.image_shape:
        raise ValueError(f"start has shape {image.shape}, and the image has {shown}")
    if not image.any():
        raise ValueError("start is 0 everywhere, and pixels of 0 stay 0: give positive pixels")
    return image


def check_prior(prior: ImagePrior | None, operator: Operator) -> None:
    """ValueError for a prior of another shape of image."""
    if not isinstance(prior, IntensityPrior):
        return
    shape, image = np.shape(prior.centre), operator.image_shape
    if shape and shape != image:
        raise ValueError(f"centre of the prior has shape {shape}, and the image has {image}")


def check_reach(operator: Operator, y: Array, background: Any, sensitivity: Array) -> None:
    """ValueError where no image can have made the data."""
    if not np.any(sensitivity > 0):
        raise ValueError(
            "the sensitivity is 0 everywhere: no measurement sees any pixel, the operator is empty"
        )
    reached = operator.forward((sensitivity > 0).astype(float)) + background > 0
    lost = (y > 0) & ~reached
    if lost.any():
        at = _first(lost)
        raise ValueError(
            f"y[{at}] counts {y[lost][0]:g}, but its row of the operator is all zero and it has no "
            f"background, so that nothing can have made it ({int(lost.sum()):,} of {y.size:,} "
            "measurements are so): leave it out, or give a background"
        )


def unseen(operator: Operator, sensitivity: Array) -> str:
    """A sentence about pixels that no measurement sees; empty where there are none."""
    wrong = sensitivity <= 0
    outside = operator.outside()
    if outside is not None:
        wrong &= ~outside
    if not wrong.any():
        return ""
    return (
        f"{int(wrong.sum()):,} of {wrong.size:,} pixels have sensitivity 0, the first at "
        f"[{_first(wrong)}]: their columns of the operator are all zero, so the data say nothing "
        "of them and they stay as at the start (0 by default). Leave them out, or give a prior"
    )


def _not_negative(values: Array, name: str, what: str) -> Array:
    """Finite float64 numbers >= 0, or a sentence with the place of the first other."""
    try:
        values = np.array(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers, got an array of {values.dtype}") from None
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise ValueError(
            f"{name}{_place(wrong)} is {values[wrong][0]}, and {int(wrong.sum()):,} of "
            f"{values.size:,} values are not finite: every measurement needs a value; leave those "
            "out that have none, with their rows of the operator"
        )
    wrong = values < 0
    if wrong.any():
        raise ValueError(
            f"{name}{_place(wrong)} is {values[wrong][0]:g}: {what} are not negative. Where a "
            "background was subtracted, give the data as they were measured and background="
        )
    return values


def _place(wrong: Array) -> str:
    return f"[{_first(wrong)}]" if wrong.ndim else ""


def _first(wrong: Array) -> str:
    return ", ".join(str(int(i)) for i in np.argwhere(wrong)[0])
