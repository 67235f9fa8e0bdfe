"""What a file has of a word aligner: words in the header, the table of pairs in arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from latentem.engine.family import Family
from latentem.estimators.storage_parts import (
    Saved,
    header_part,
    refuse_unknown,
    settings_in,
    tree_in,
)
from latentem.estimators.word_aligner import WordAligner
from latentem.models.parallel_text import Shapes, WordPairs
from latentem.models.word_alignment import AlignmentParams

__all__ = ["aligner_in", "aligner_out"]

Array = np.ndarray
#: The shape of no text: predictions bring their own.
NO_SHAPES = np.array([1]), np.array([1])


class BothDirections(NamedTuple):
    """Parameters of a model, and of the other direction where there is one."""

    forward: Any
    reverse: Any


def aligner_out(aligner: WordAligner) -> Saved:
    """The parameters of both directions as one tree, the words, and the pairs that meet."""
    check_is_fitted(aligner)
    reverse = aligner.reverse_
    params = BothDirections(aligner._params, None if reverse is None else reverse._params)
    fitted = aligner._alignment
    if (aligner.model, aligner.null is not False, aligner.symmetrization is not None) != (
        fitted.kind, fitted.pairs.null, aligner.reverse_ is not None,
    ):  # fmt: skip
        raise ValueError(
            "model, null or symmetrization was changed after the fit: set it back, or fit again, "
            "before you save"
        )
    words = {"source": list(aligner.source_words_), "target": list(aligner.target_words_)}
    arrays: dict[str, Array] = {}
    for side, one in (("forward", aligner), ("reverse", aligner.reverse_)):
        if one is not None:
            pairs = one._alignment.pairs
            arrays |= {f"{side}.indptr": pairs.indptr, f"{side}.columns": pairs.columns}
    return Saved(params, {"words": words}, arrays)


def aligner_in(
    header: Mapping[str, Any], arrays: Mapping[str, Array], family: Family | None
) -> WordAligner:
    """The aligner of a file, checked."""
    if family is not None:
        raise ValueError("it holds a WordAligner, so leave family= out")
    settings = settings_in(header, arrays)
    refuse_unknown(settings, WordAligner)
    aligner = WordAligner(**settings)
    aligner._check_arguments()
    lists = header_part(header, "words", dict)
    words = [lists.get(side) for side in ("source", "target")]
    for side, found in zip(("source", "target"), words, strict=True):
        strings = isinstance(found, list) and all(isinstance(word, str) for word in found)
        if not strings or not found or len(set(found)) < len(found):
            raise ValueError(f"its {side} words are no list of different words")
    nothing: Any = None
    one = AlignmentParams(nothing, None)
    pattern = BothDirections(one, one)
    params = _params(header, aligner, pattern, arrays)
    _take(aligner, params.forward, words[0], words[1], arrays, "forward")
    aligner.reverse_ = None
    if (params.reverse is None) != (aligner.symmetrization is None):
        raise ValueError("its symmetrization and the directions that it has do not fit together")
    if params.reverse is not None:
        aligner.reverse_ = WordAligner(**(settings | {"symmetrization": None}))
        _take(aligner.reverse_, params.reverse, words[1], words[0], arrays, "reverse")
        aligner.reverse_.reverse_ = None
    return aligner


def _params(
    header: Mapping[str, Any], aligner: WordAligner, pattern: BothDirections, arrays: Any
) -> BothDirections:
    shapes = Shapes(*NO_SHAPES, aligner.null is not False)
    empty = np.zeros(2, dtype=np.int64), np.zeros(1, dtype=np.int32)
    like = aligner._made(WordPairs(*empty, 1, shapes.null, shapes)).positions.initial()
    one = pattern.forward._replace(positions=like)
    found = tree_in(header.get("parameters"), BothDirections(one, one), arrays, "")
    if found is None or found.forward is None:
        raise ValueError("its parameters are not described as latentem does")
    return BothDirections(*found)


def _take(
    aligner: WordAligner, params: AlignmentParams, source: list[str], target: list[str],
    arrays: Mapping[str, Array], side: str,
) -> None:  # fmt: skip
    """Set the fitted attributes of one direction, after checks that they belong together."""
    null = aligner.null is not False
    for name in (f"{side}.indptr", f"{side}.columns"):
        if name not in arrays or arrays[name].ndim != 1 or arrays[name].dtype.kind != "i":
            raise ValueError(f"its array {name!r} is missing or holds no whole numbers")
    indptr = arrays[f"{side}.indptr"].astype(np.int64)
    columns = arrays[f"{side}.columns"].astype(np.int32)
    n_rows, n_target = len(source) + null, len(target)
    steps = np.diff(indptr)
    if len(indptr) != n_rows + 1 or indptr[0] != 0 or indptr[-1] != len(columns):
        raise ValueError(f"its table {side!r} does not have a row for each source word")
    if (steps < 1).any() or columns.min() < 0 or columns.max() >= n_target:
        raise ValueError(f"its table {side!r} names words that there are not")
    if null and not np.array_equal(columns[: indptr[1]], np.arange(n_target)):
        raise ValueError(f"its table {side!r} lacks words in the row of the empty word")
    shapes = Shapes(*NO_SHAPES, null)
    model = aligner._made(WordPairs(indptr, columns, n_target, null, shapes))
    _check(model, params, side)
    aligner._take(model, params)
    aligner.source_words_, aligner.target_words_ = list(source), list(target)
    aligner.result_ = None


def _check(model: Any, params: AlignmentParams, side: str) -> None:
    """ValueError for probabilities that are none."""
    if np.shape(params.translation) != (len(model.pairs),):
        raise ValueError(f"its table {side!r} has not one probability for each pair of words")
    like = model.positions.initial()
    if (params.positions is None) != (like is None):
        raise ValueError(f"its positions {side!r} are not those of model={model.kind!r}")
    constraints = model.constraints()
    good = constraints.translation.holds(params.translation)
    for found, wanted, constraint in zip(
        params.positions or (), like or (), constraints.positions or (), strict=True
    ):
        if (found is None) != (wanted is None) or np.shape(found) != np.shape(wanted):
            raise ValueError(f"its positions {side!r} are not those of model={model.kind!r}")
        good = good and (constraint is None or constraint.holds(found))
        good = good and not (np.ndim(found) == 0 and found is not None and found < 0)
    if not good:
        raise ValueError(f"its probabilities {side!r} do not sum to 1 or are negative")
