"""Classes of which some are not known: -1, or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from latentem.estimators.triples import codes_of

__all__ = ["codes_in", "known_classes", "unlabelled"]

Array = np.ndarray


def unlabelled(y: Any, n: int) -> tuple[Array, Array]:
    """`y` as an array (n,), and where it names no class.

    That is -1 or NaN among numbers; among text "", None or -1 (not the text "-1").
    """
    if y is None:
        raise ValueError(
            "requires y to be passed, but the target y is None: give the class of each document, "
            "-1 where it is not known"
        )
    array = hasattr(y, "dtype") or hasattr(y, "__array__")
    if not array and (isinstance(y, str) or not hasattr(y, "__len__")):
        raise ValueError(f"y must be a sequence of classes, one for each document, got {y!r}")
    values = np.asarray(y) if array else np.array(list(y), dtype=object)
    if values.ndim == 2 and values.shape[1] == 1:
        values = column_or_1d(values, warn=True)
    if values.shape != (n,):
        raise ValueError(
            f"y must have one class per document, shape ({n},), got {values.shape}: write -1 where "
            "it is not known"
        )
    if values.dtype.kind == "O":
        cells = values.tolist()
        if any(isinstance(cell, str) and cell == "-1" for cell in cells):
            _refuse_minus_one()
        return values, np.array([_says_nothing(cell) for cell in cells], dtype=bool)
    if values.dtype.kind in "UT":
        if np.any(values == "-1"):
            _refuse_minus_one()
        return values, values == ""
    if values.dtype.kind not in "biuf":
        raise ValueError(f"y must hold numbers or text, got dtype {values.dtype}")
    nothing = values == -1
    return values, (nothing | np.isnan(values)) if values.dtype.kind == "f" else nothing


def _says_nothing(cell: Any) -> bool:
    if cell is None or type(cell).__name__ == "NAType":
        return True
    if isinstance(cell, str):
        return cell == ""
    return bool(cell != cell or (cell == -1 and not isinstance(cell, bool)))


def _refuse_minus_one() -> None:
    raise ValueError(
        'y holds the text "-1": where classes are text, write "" or None for a document without '
        "a label"
    )


def known_classes(y: Any, n: int) -> tuple[Array, Array]:
    """Codes (n,) of the classes, -1 where not known, and the classes, sorted."""
    values, nothing = unlabelled(y, n)
    if nothing.all():
        raise ValueError(
            "no document has a label: label some of each class, or look for classes with "
            "models.Mixture(families.Multinomial(), n_components)"
        )
    known, classes = codes_of(values[~nothing], "label")
    check_classification_targets(classes)
    codes = np.full(n, -1)
    codes[~nothing] = known
    if len(classes) < 2:
        raise ValueError(
            f"all labels are of one class, {classes.tolist()[0]!r}: there is nothing to tell "
            "apart; label some documents of another class"
        )
    return codes, classes


def codes_in(y: Any, n: int, classes: Array) -> Array:
    """Places of `y` (n,) among the sorted `classes`, -1 where unlabelled, -2 for other classes."""
    values, nothing = unlabelled(y, n)
    place = {name: code for code, name in enumerate(classes.tolist())}
    codes = np.array([place.get(value, -2) for value in values.tolist()])
    codes[nothing] = -1
    return codes
