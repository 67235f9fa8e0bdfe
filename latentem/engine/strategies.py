r"""What to do about local maxima: which starts to make, and which to follow.

- **restarts**: each of `n_init` starts to its end; the best is kept.
- **short-runs**: `SHORT` times as many starts run for a few maps, the better half of them for
  twice as many more, and so on; the last `n_init` go to the end (after Biernacki, Celeux and
  Govaert 2003, doi:10.1016/S0167-9473(02)00163-9).
- **annealing**: from each start EM first climbs the tempered objectives of `BETAS`, each from
  where the last one ended (Ueda and Nakano 1998, doi:10.1016/S0893-6080(97)00133-0). The model's
  ``e_step`` must understand "tempered".
- **split-merge**: from the best of `n_init` ends, the model proposes moves (``LatentModel.moves``),
  and EM goes on from each until it is above that end, or cannot get there: a trial is given up
  where `AHEAD` more maps, each as good as the last, would not do. The first that gets above is
  where moves are proposed next. Where there was a move to try, the same is done from `AGAIN`
  more starts: a fit that is easy costs one start (after Ueda, Nakano, Ghahramani and Hinton 2000,
  doi:10.1162/089976600300015088).

Where parameters to start from are given, there is one start and no search.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from latentem.engine.backends import Backend, SerialBackend
from latentem.engine.climb import Climb
from latentem.engine.model import How, LatentModel
from latentem.engine.result import Reason, State

if TYPE_CHECKING:
    from latentem.engine.em import EM

__all__ = [
    "SHORT",
    "STRATEGIES",
    "Strategy",
    "Trial",
    "annealed",
    "settle",
    "short_runs",
    "split_merge",
]

Strategy = Literal["restarts", "short-runs", "annealing", "split-merge", "auto"]
STRATEGIES = ("restarts", "short-runs", "annealing", "split-merge", "auto")

#: Short runs for each start that goes to the end, and maps of the first round.
SHORT, MAPS = 16, 5
#: Inverse temperatures before 1.
BETAS = (0.3, 0.45, 0.65, 0.85)
#: Nats of the objective, per unit of weight, to which tempered objectives are climbed.
LOOSE = 1e-4
#: Moves that are tried from one end, and the ends that moves start from at most.
MOVES, ENDS = 20, 100
#: Searches from other starts, where there was a move to try.
AGAIN = 3
#: Maps that are seen of every trial, and maps ahead that decide whether to go on.
SEEN, AHEAD = 4, 15


def settle(
    wanted: str, model: LatentModel, posterior: str, given: bool, kept: bool, outside: bool
) -> str:
    """The strategy of a fit; ValueError, with a sentence, where model or settings forbid it.

    Parameters
    ----------
    wanted : str
        As asked for.
    posterior : {"soft", "hard"}
    given : bool
        Whether there are parameters to start from.
    kept : bool
        Whether there are checkpoints.
    outside : bool
        Whether blocks are read in each pass, or an M-step sees some of them.
    """
    name = type(model).__name__
    if posterior == "hard" and "hard" not in model.variants:
        raise ValueError(
            f"posterior='hard' needs an e_step that assigns each unit to one latent value, and "
            f"that of {name} does not: it declares variants={model.variants}. Leave posterior out"
        )
    if posterior == "hard" and outside:
        raise ValueError(
            "posterior='hard' needs every block in memory and all of them in each M-step: pass "
            "arrays, and leave subsets, batch_size and incremental out"
        )
    moves = type(model).moves is not LatentModel.moves
    if wanted == "auto":
        no = given or kept or outside or posterior == "hard" or not moves
        return "restarts" if no else "split-merge"
    if wanted == "annealing" and "tempered" not in model.variants:
        raise ValueError(
            f"init_strategy='annealing' needs an e_step with a temperature, and that of {name} has "
            f"none: it declares variants={model.variants}. Use 'short-runs'"
        )
    if wanted == "annealing" and posterior == "hard":
        raise ValueError("annealing softens the posterior: leave posterior='hard' out")
    if wanted == "split-merge" and not moves:
        raise ValueError(
            f"init_strategy='split-merge' needs a model that proposes moves, and {name} defines no "
            "moves(params, blocks, rng). Use 'short-runs'"
        )
    if wanted != "restarts" and (kept or outside):
        raise ValueError(
            f"init_strategy={wanted!r} needs every block in memory, and keeps no checkpoints: use "
            "'restarts', or pass arrays and leave checkpoint, resume, subsets, batch_size and "
            "incremental out"
        )
    return "restarts" if given else wanted


def annealed(
    settings: EM, model: LatentModel, blocks: Any, backend: Backend, begin: Callable[[], Any]
) -> Any:
    """Parameters at which tempered EM ends, the last temperature before 1.

    A temperature at which EM collapses is passed over.
    """
    params = begin()
    weight = backend.expect(model, params, blocks).weight
    loose = replace(settings, tol=max(settings.tol, LOOSE * float(weight)), stopping="aitken")
    for beta in BETAS:
        last = None
        at = partial(_same, params)
        climb = Climb(loose, model, blocks, backend, at, how=How(beta=beta))
        for state in climb:
            last = state
        if last is not None and last.reason is not Reason.COLLAPSED and last.loglik > -np.inf:
            params = last.params
    return params


def short_runs(
    settings: EM,
    model: LatentModel,
    blocks: Any,
    backend: Backend,
    begins: Sequence[Callable[[], Any]],
    stop: Callable[[State], bool],
) -> tuple[list[State], dict[int, Callable[[], Any]]]:
    """Last states of the runs that were given up, and what the others go on from, by number.

    Runs of one block each are made beside each other, on the threads that blocks would have.
    """
    beside = len(blocks) == 1
    own: Backend = SerialBackend() if beside else backend
    turn: Backend = backend if beside else SerialBackend()
    how = How(settings.posterior)
    runs = [
        (number, iter(Climb(settings, model, blocks, own, begin, number, how)))
        for number, begin in enumerate(begins)
    ]
    last: dict[int, State] = {}
    given_up: list[State] = []
    maps = MAPS
    keep = max(settings.n_init, 1)
    while True:
        goal = maps

        def advance(run: tuple[int, Iterator[State]], goal: int = goal) -> State:
            number, states = run
            state = last.get(number)
            while state is None or (state.reason is None and state.n_iter < goal):
                with np.errstate(all="ignore"):
                    state = next(states)
            return state

        for (number, _), state in zip(runs, list(turn.map(advance, runs)), strict=True):
            last[number] = state
        told = [stop(last[number]) for number, _ in runs]
        order = sorted(runs, key=lambda run: -_height(last[run[0]]))
        half = keep if any(told) else max(keep, -(-len(runs) // 2))
        given_up += [
            state if state.reason is not None else state._replace(reason=Reason.ABANDONED)
            for state in (last[number] for number, _ in order[half:])
        ]
        runs = order[:half]
        if len(runs) == keep:
            break
        maps += maps
    return given_up, {number: partial(_same, last[number].params) for number, _ in runs}


def _same(params: Any) -> Any:
    return params


def _height(state: State) -> float:
    lost = state.reason is Reason.COLLAPSED or np.isnan(state.objective)
    return -np.inf if lost else state.objective


def _proposed(
    model: LatentModel, params: Any, few: Any, rng: np.random.Generator
) -> list[tuple[float, Any]]:
    """The best moves; those up to one that leaves the model."""
    found: list[tuple[float, Any]] = []
    with np.errstate(all="ignore"):
        try:
            found.extend(islice(model.moves(params, few, rng), MOVES))
        except np.linalg.LinAlgError:
            return found
    return found


class Trial:
    """A climb that is given up where it will not get above `goal`.

    Iterates over states, as `Climb`.
    """

    def __init__(self, climb: Climb, goal: float):
        self.climb = climb
        self.number = climb.number
        self.goal = goal
        self.last: State | None = None

    def __iter__(self) -> Iterator[State]:
        seen: list[float] = []
        for state in self.climb:
            seen.append(state.objective)
            behind = state.reason is None and len(seen) > SEEN
            if behind and seen[-1] + AHEAD * (seen[-1] - seen[-3]) / 2 < self.goal:
                state = state._replace(reason=Reason.ABANDONED)
            self.last = state
            yield state
            if state.reason is Reason.ABANDONED:
                return


def split_merge(
    settings: EM,
    model: LatentModel,
    blocks: Any,
    few: Any,
    backend: Backend,
    best: State,
    fresh: Callable[[np.random.Generator], Any],
    rng: np.random.Generator,
    number: int,
) -> Generator[Trial, bool, None]:
    """Trials from the moves that the model proposes; each is answered by whether it is sound.

    Parameters
    ----------
    few : blocks
        An even subsample, for proposals.
    best : State
        The end to begin with.
    fresh : callable
        Parameters of another start, from a generator.
    number : int
        That of the first trial.
    """
    how = How(settings.posterior)
    for again in range(1 + AGAIN):
        tried = 0
        for _ in range(ENDS):
            proposals = _proposed(model, best.params, few, rng)
            above = None
            for _, params in proposals:
                tried += 1
                begin = partial(_same, params)
                climb = Climb(settings, model, blocks, backend, begin, number, how)
                trial = Trial(climb, best.objective)
                number += 1
                sound = yield trial
                if sound and trial.last is not None:
                    gain = trial.last.objective - best.objective
                    if gain > max(settings.tol, 1e-9 * abs(best.objective)):
                        above = trial.last
                        break
            if above is None:
                break
            best = above
        if not tried or again == AGAIN:
            return
        begin = partial(fresh, rng.spawn(1)[0])
        trial = Trial(Climb(settings, model, blocks, backend, begin, number, how), -np.inf)
        number += 1
        if (yield trial) and trial.last is not None:
            best = trial.last
