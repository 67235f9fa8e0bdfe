"""Starting values of hidden Markov estimators: given ones checked, the others guessed to suit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from latentem.engine.blocks import Sequences
from latentem.engine.strategies import SHORT
from latentem.engine.trees import rebuild
from latentem.estimators.chain_checks import check_probabilities, check_transitions
from latentem.estimators.starting import fixed_groups, nearest
from latentem.families.gaussian import GaussianParams
from latentem.models.hidden_markov import HiddenMarkov, HiddenMarkovParams
from latentem.models.transitions import lasting_states

if TYPE_CHECKING:
    from latentem.estimators.base_hmm import BaseHMM

__all__ = ["begin_at"]

Array = np.ndarray


def begin_at(
    estimator: BaseHMM, model: HiddenMarkov, width: int
) -> HiddenMarkovParams | list[Callable[..., HiddenMarkovParams]]:
    """Parameters to start from, or for each start a function that makes those not given."""
    k = model.n_components
    first, moves = estimator.startprob_init, estimator.transmat_init
    if model.stationary and first is not None:
        raise ValueError(
            "stationary=True makes the start distribution follow from transmat: leave "
            "startprob_init out"
        )
    if first is not None:
        first = check_probabilities(first, (k,), "startprob_init")
    if moves is not None:
        moves = check_transitions(moves, k, "transmat_init", model.transmat_mask)
        if model.stationary:
            lasting_states(moves)  # refuses parts that never meet
    _refuse_fixed(estimator, model)
    family = estimator._given_family(model.family, width)
    if (first is not None or model.stationary) and moves is not None and _complete(family):
        return HiddenMarkovParams(first, moves, family)

    def begin(
        number: int, blocks: Sequence[Sequences], rng: np.random.Generator
    ) -> HiddenMarkovParams:
        like = _guessing_by(model, family, blocks, number)
        made = like.guess(blocks, rng, moves, number)
        return HiddenMarkovParams(
            made.startprob if first is None else first,
            made.transmat if moves is None else moves,
            _completed(family, made.family),
        )

    count = estimator.n_init * (SHORT if estimator.init_strategy == "short-runs" else 1)
    return [partial(begin, number) for number in range(count)]


def _refuse_fixed(estimator: BaseHMM, model: HiddenMarkov) -> None:
    """Refuse groups that are fixed without a value given for them."""
    arguments = {group: f"{group}_init" for group in model.fixed} | {
        group: argument
        for group, argument in estimator._GROUPS.items()
        if group in estimator._fixed()
    }
    if not estimator._GROUPS:  # the family's own, as in `HMM`
        arguments |= dict.fromkeys(fixed_groups(model.family), "family_init")
    loose = {
        group: argument
        for group, argument in arguments.items()
        if getattr(estimator, argument) is None
    }
    if loose:
        raise ValueError(
            f"fixed keeps starting values, and none are given for {', '.join(loose)}: pass "
            f"{', '.join(dict.fromkeys(loose.values()))}"
        )


def _complete(tree: Any) -> bool:
    if isinstance(tree, tuple):
        return all(_complete(part) for part in tree)
    return tree is not None


def _completed(given: Any, made: Any) -> Any:
    """Given parameters, with what was made in place of each None."""
    if given is None:
        return made
    if not isinstance(given, tuple):
        return given
    return rebuild(given, [_completed(*pair) for pair in zip(given, made, strict=True)])


def _guessing_by(
    model: HiddenMarkov, family: Any, blocks: Sequence[Sequences], number: int
) -> HiddenMarkov:
    """The model, whose guesses go by the given parameters of the family where these say enough.

    Clusters have no names: a guess of the transitions, say, would be that of other states.
    In starts after the first, every other row goes by chance.
    """

    def mixed(found: Array, rng: np.random.Generator) -> Array:
        if number > 0:
            chance = rng.random(len(found)) < 0.5
            states = rng.integers(found.shape[1], size=int(chance.sum()))
            found[chance] = states[:, None] == np.arange(found.shape[1])
        return found

    if _complete(family):

        def shares(points: Array, k: int, rng: np.random.Generator) -> Array:
            rows = np.concatenate([block.x for block in blocks])
            with np.errstate(all="ignore"):
                prepared = model.family.prepare(family)
                logs = model.family.log_density(prepared, model.family.encode(rows))
                odds = np.exp(logs - np.maximum(logs.max(axis=0), -1e300))
                found = odds / odds.sum(axis=0)
            return mixed(np.where(np.isfinite(found), found, 1.0 / k).T, rng)

    elif isinstance(family, GaussianParams) and family.means is not None:

        def shares(points: Array, k: int, rng: np.random.Generator) -> Array:
            scale = points.std(axis=0)
            scale[scale == 0] = 1.0
            return mixed(nearest(points, family.means / scale, scale).T, rng)

    else:
        return model
    like = copy.copy(model)
    like.init_params = shares
    return like
