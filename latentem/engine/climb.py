"""One climb: EM from one start to its stop, one `State` for each point tried.

A point is parameters with the E-step done at them: statistics *and* the
objective of those very parameters. Each turn takes the map ``F(x)`` of the
standing point. An accelerator may propose another point to go to; it stands only
if its own objective is no lower, which its E-step tells for nothing. A stop is
believed only after plain maps: after a jump the last few maps must be plain, so
an accelerated climb ends with a few that certify it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from latentem.engine.acceleration import Accelerator, Anderson, Squarem
from latentem.engine.backends import Backend
from latentem.engine.flat import FlatSpace
from latentem.engine.model import SOFT, How, LatentModel
from latentem.engine.result import Reason, State
from latentem.engine.stopping import SLACK, Aitken, growing, rounding
from latentem.engine.trees import allfinite, check, leaves, zip_leaves
from latentem.engine.warnings import ConvergenceWarning, tell

if TYPE_CHECKING:
    from latentem.engine.checkpoints import Saved
    from latentem.engine.em import EM

__all__ = ["Climb", "Point"]

#: Fewest consecutive plain maps that certify the stop of an accelerated climb.
CERTIFY = 3
#: Fewest maps before the first stop: fast modes of a fresh start hide a slow way out.
WARM_UP = 6
#: accelerate="auto" sets in when plain EM would need more maps than this.
PATIENCE = 12
#: Nats by which a proposal may fall short and still be given one plain map.
FORGIVEN = 1.0
#: Share of tol below which a fall, after gains within tol, is rounding.
TRIFLE = 0.01

#: Attributes of a climb that belong to its surroundings, or follow from the others.
CONTEXT = {
    "settings", "model", "blocks", "backend", "begin", "number", "constraints", "fixed", "space",
    "natural", "_last_packed", "_began", "_saved",
}  # fmt: skip


class Point(NamedTuple):
    """Parameters with the E-step done at them."""

    params: Any
    statistics: Any
    objective: float
    loglik: float
    weight: float


class Climb:
    """The moving parts of one climb; iterate over it once.

    Parameters
    ----------
    settings : EM
    model : LatentModel
    blocks : sequence of blocks
    backend : Backend
    begin : callable
        Makes the parameters to start from; it may raise LinAlgError.
    number : int
        Which start this is, from 0.
    how : How
        Variant of the E-step.
    """

    def __init__(
        self,
        settings: EM,
        model: LatentModel,
        blocks: Sequence[Any],
        backend: Backend,
        begin: Callable[[], Any],
        number: int = 0,
        how: How = SOFT,
    ):
        self.settings = settings
        self.model = model
        self.blocks = blocks
        self.backend = backend
        self.begin = begin
        self.number = number
        self.how = how
        self.params: Any = None
        self.constraints = model.constraints()
        wanted = (
            model.monotone
            and how.kind == "soft"
            and not (settings.accelerate == "auto" and self.constraints is None)
        )
        self.accelerator = _accelerator(settings) if wanted else None
        self.tail = Aitken(ascending=model.monotone)
        self._before: Any = None  # parameters one plain map before the standing point
        self.n_iter = self.n_certify = self.n_e_steps = 0
        self.certifying = self.jumped = False
        self._short_steps = 0
        self._last_jump = -math.inf
        self._quiet = settings.tol
        self._fallen = False
        self._last_packed: tuple[Any, np.ndarray] = (None, np.empty(0))
        self._began = time.perf_counter()
        self._saved: Saved | None = None
        #: Parameters that it set out from, and log-likelihood and weight of the standing point.
        self.first: Any = None
        self.standing = (math.nan, math.nan)

    def memory(self) -> dict[str, Any]:
        """What the climb knows between two turns, beside its settings, model and data."""
        known = {name: value for name, value in vars(self).items() if name not in CONTEXT}
        return known | {"elapsed": time.perf_counter() - self._began}

    def resume(self, saved: Saved) -> None:
        """Go on from the memory in a checkpoint, instead of from the start."""
        self._saved = saved

    def __iter__(self) -> Iterator[State]:
        try:
            point = self._evaluate(self._set_out())
        except np.linalg.LinAlgError as error:
            yield self._collapse(f"at the start, {error}")
            return
        if math.isnan(point.objective):
            yield self._collapse("the log-likelihood is NaN at the start")
            return
        self.standing = (point.loglik, point.weight)
        if self._saved is None or self._spent():
            yield self._state(point, "start", Reason.MAX_ITER if self._spent() else None)
        while not self._spent():
            unit = rounding(point.objective, point.weight)
            slack = SLACK * unit
            try:
                image = self.model.m_step(point.statistics, point.params)
                self._count(point.params, image)
                proposal = self._propose(point, image)
                new, step = None, "certify" if self.certifying else "em"
                if proposal is not None and self.accelerator is not None:
                    leap, tried = self._leap(self.accelerator, proposal, point.objective - slack)
                    if leap is None:
                        yield self._state(point, self.accelerator.name, tried=tried)
                    else:
                        new, step = leap, self.accelerator.name
                if new is None:
                    new = self._evaluate(image)
            except np.linalg.LinAlgError as error:
                yield self._collapse(f"after {self.n_iter} maps, {error}")
                return
            if math.isnan(new.objective):
                yield self._collapse(f"after {self.n_iter} maps, the log-likelihood is NaN")
                return
            if new.objective < point.objective - slack and self._decreased(point, new):
                lost = self._lost_in_rounding(point, new)
                ended = Reason.ROUNDING if lost else Reason.DECREASED
                yield self._state(point, step, ended, tried=new.objective)
                return
            reason = self._verdict(point, new, step, unit)
            if reason is None and self._spent():
                reason = Reason.MAX_ITER
            point, self.params = new, new.params
            self.standing = (new.loglik, new.weight)
            yield self._state(point, step, reason)
            if reason is not None:
                return

    def _set_out(self) -> Any:
        """The parameters to start from, with the spaces of parameters like them."""
        params = self.params = self.first = self.begin()
        memory = {} if self._saved is None else self._saved.climb(self, self._like(params))
        params = memory.get("first", params)
        self.fixed = _fixed_leaves(self.constraints, params)
        natural = self.settings.space == "natural"
        self.space = FlatSpace(self.constraints, params, natural=natural)
        if self.settings.stopping == "step":
            self.natural = FlatSpace(self.constraints, params, natural=True)
        self._began -= memory.pop("elapsed", 0.0)
        self.__dict__ |= memory
        return self.params

    def _like(self, params: Any) -> Any:
        """Objects with all classes that the memory of the climb is made of."""
        return params

    def _spent(self) -> bool:
        return self.n_iter >= self.settings.max_iter and not self.certifying

    def _evaluate(self, params: Any) -> Point:
        """One E-step: statistics and objective, both at `params`."""
        statistics, loglik, weight = self.backend.expect(self.model, params, self.blocks, self.how)
        if self.n_e_steps == 0:
            self._check(statistics, loglik, weight)
        self.n_e_steps += 1
        if self._saved is not None and self._saved.fresh:
            self._saved.compare(*self.standing, float(loglik), float(weight))
            self.n_e_steps -= 1  # it was counted before
        objective = float(loglik) + float(self.model.log_prior(params))
        return Point(params, statistics, objective, float(loglik), float(weight))

    def _check(self, statistics: Any, loglik: Any, weight: Any) -> None:
        """TypeError for a first E-step that returned something else than it should."""
        for number, what in ((loglik, "loglik"), (weight, "weight")):
            if np.ndim(number) != 0:
                raise TypeError(
                    f"{type(self.model).__name__}.e_step must return {what} as one number, got "
                    f"an array of shape {np.shape(number)}: sum it, and make it a float"
                )
        check(statistics)

    def _count(self, params: Any, image: Any) -> None:
        """Count a map, and consecutive maps shorter than tol for the step rule."""
        for name, value in leaves(image) if self.fixed else ():
            if name in self.fixed and not _stayed(value, *self.fixed[name]):
                raise ArithmeticError(
                    f"the M-step moved {name}, which constraints() declares Fixed: m_step must "
                    "return fixed values as they are in params"
                )
        self.n_certify += self.certifying
        self.n_iter += not self.certifying
        if self.settings.stopping == "step":
            step = self.natural.pack(image) - self.natural.pack(params)
            short = float(np.linalg.norm(step)) <= self.settings.tol
            self._short_steps = self._short_steps + 1 if short else 0

    def _propose(self, point: Point, image: Any) -> Any | None:
        """Parameters to try instead of `image`, if the accelerator has any."""
        if self.accelerator is None or self.certifying or self._short_steps:
            return None
        if not math.isfinite(point.objective):
            return None
        if self.settings.accelerate == "auto" and not self.jumped:
            ahead = self.tail.maps_to(self.settings.tol)
            if not ahead > PATIENCE:  # too early to tell (NaN), or nearly there
                return None
        if self.accelerator.rests():
            return None
        flat = self._ask(self.accelerator, point.params, image)
        return None if flat is None else self.space.unpack(flat, image)

    def _ask(self, accelerator: Accelerator, params: Any, image: Any) -> np.ndarray | None:
        """What the accelerator makes of a map."""
        points = self._packed(params), self._packed(image)
        if not accelerator.measures:
            return accelerator.propose(*points)
        measured = self.space.measure(params), self.space.measure(image)
        return accelerator.propose_by(*points, measured)

    def _packed(self, params: Any) -> np.ndarray:
        """Coordinates of `params`; the image of one map is the point of the next."""
        if self._last_packed[0] is not params:
            self._last_packed = (params, self.space.pack(params))
        return self._last_packed[1]

    def _leap(
        self, accelerator: Accelerator, proposal: Any, least: float
    ) -> tuple[Point | None, float]:
        """The point a proposal leads to, if its objective is at least `least`, and what it had.

        A proposal that falls short by less than `FORGIVEN` is followed by the plain
        map that would come next anyway: mostly that repairs it.
        """
        trial = self._attempt(proposal)
        if trial is None:
            accelerator.observe(False)
            return None, math.nan
        may_repair = self.n_iter < self.settings.max_iter
        if may_repair and least - FORGIVEN <= trial.objective < least:
            image = self.model.m_step(trial.statistics, trial.params)
            self._count(trial.params, image)
            again = self._attempt(image)
            if again is not None and again.objective >= least:
                accelerator.observe(True)
                if not accelerator.rests():  # the map it would have rested at is made
                    self._ask(accelerator, trial.params, image)
                return again, trial.objective
        stands = trial.objective >= least
        accelerator.observe(stands)
        return (trial if stands else None), trial.objective

    def _attempt(self, params: Any) -> Point | None:
        """The point at a proposal; None where that is outside the model."""
        if not allfinite(params) or (self.space.natural and not self.space.holds(params)):
            return None
        try:
            point = self._evaluate(params)
        except np.linalg.LinAlgError:
            return None
        return point if math.isfinite(point.objective) else None

    def _verdict(self, point: Point, new: Point, step: str, unit: float) -> Reason | None:
        """A reason to stop at `new`, if there is one; opens and closes certification."""
        if new.objective == -math.inf:
            return Reason.IMPOSSIBLE if self.n_iter > 1 else None
        gain = new.objective - point.objective
        if self.settings.stopping == "gradient" and self._level(new):
            return Reason.GRADIENT
        if step not in ("em", "certify"):
            self._jump(new.objective, unit)
            return None
        if not math.isfinite(gain):  # out of an impossible start
            return None
        self.tail.add(gain, unit)
        before, self._before = self._before, point.params
        if self.settings.tol == 0 or self.settings.stopping == "gradient":
            return None
        reason = self._step_rule() if self.settings.stopping == "step" else self._gain_rule()
        if reason is not None and before is not None and growing(before, point.params, new.params):
            return None  # not a maximum but a saddle, which the climb is about to leave
        return reason

    def _level(self, new: Point) -> bool:
        """The conditions of a maximum hold at a point, whatever led there."""
        tol = self.settings.tol
        return tol > 0 and self.model.kkt_residual(new.params, new.statistics) <= tol

    def _jump(self, objective: float, unit: float) -> None:
        """An accepted proposal: the plain sequence begins anew."""
        cycle_gain, self._last_jump = objective - self._last_jump, objective
        self.tail, self._short_steps, self.jumped = Aitken(), 0, True
        self._before = None
        quiet = cycle_gain <= max(self._quiet, SLACK * unit)
        if quiet and self.settings.stopping == "aitken" and self.settings.tol > 0:
            self._quiet = 0.1 * max(cycle_gain, 0.0)  # if refuted, wait for a quieter cycle
            self.certifying = True

    def _gain_rule(self) -> Reason | None:
        if self.how.kind == "hard":  # it ends after finitely many maps
            return Reason.ROUNDING if self.tail.exhausted else None
        if self.tail.maps < (CERTIFY if self.jumped else WARM_UP) and not self._still():
            return None
        if self.tail.within(self.settings.tol):
            return Reason.ROUNDING if self.tail.exhausted else Reason.CONVERGED
        if not self.tail.projected_gain <= self.settings.tol:
            self._resume()
        return None

    def _still(self) -> bool:
        """Nothing at all was gained in the last maps, as where the first one is the answer."""
        return self.tail.maps >= CERTIFY and self.tail.exhausted

    def _step_rule(self) -> Reason | None:
        needed = 1 + CERTIFY if self.jumped else 1
        if self._short_steps >= needed:
            return Reason.STEP
        if self._short_steps:
            self.certifying = True
        else:
            self._resume()
        return None

    def _resume(self) -> None:
        """The stop was not certified: accelerate again, from here."""
        if self.certifying and self.accelerator is not None:
            self.accelerator.reset()
        self.certifying = False

    def _decreased(self, point: Point, new: Point) -> bool:
        """Deal with a map that lowered the objective; True ends the climb at `point`."""
        how = self.settings.on_decrease
        if not self.model.monotone:
            return False
        text = (
            f"map {self.n_iter} lowered the objective from {point.objective:.10g} to "
            f"{new.objective:.10g}: the M-step does not maximise Q + log prior"
        )
        if how == "raise":
            raise ArithmeticError(text)
        if how == "warn" and not self._fallen:
            tell(text, ConvergenceWarning)
        self._fallen = True
        return how == "revert"

    def _lost_in_rounding(self, point: Point, new: Point) -> bool:
        """A fall of next to nothing after gains of next to nothing: the model rounds so far.

        Rounding in a model's own arithmetic (covariances of strongly correlated columns) may
        be larger than that of the sum, which is all the driver knows.
        """
        fall, little = point.objective - new.objective, TRIFLE * self.settings.tol
        last = self.tail.gains[-1] if self.tail.gains else math.inf
        return fall <= little and last <= self.settings.tol

    def _collapse(self, text: str) -> State:
        lost = Point(self.params, None, -math.inf, -math.inf, math.nan)
        return self._state(lost, "em", Reason.COLLAPSED)._replace(error=text)

    def _state(
        self, at: Point, step: str, reason: Reason | None = None, tried: float | None = None
    ) -> State:
        return State(
            params=at.params,
            statistics=at.statistics,
            objective=at.objective,
            loglik=at.loglik,
            weight=at.weight,
            step=step,
            accepted=tried is None,
            tried=at.objective if tried is None else tried,
            n_iter=self.n_iter,
            n_certify=self.n_certify,
            n_e_steps=self.n_e_steps,
            rate=self.tail.rate,
            projected_gain=self.tail.projected_gain,
            seconds=time.perf_counter() - self._began,
            reason=reason,
            start=self.number,
        )


def _fixed_leaves(constraints: Any, params: Any) -> dict[str, tuple[Any, Any]]:
    """Of leaves that are fixed, wholly or in part, the starting value and which entries are."""
    if constraints is None:
        return {}
    fixed: dict[str, tuple[Any, Any]] = {}
    names = iter(leaves(params))

    def collect(leaf: Any, constraint: Any) -> Any:
        name, _ = next(names)
        kept = constraint.kept(leaf)
        if kept.any():
            fixed[name] = (leaf, kept)
        return leaf

    zip_leaves(collect, params, constraints)
    return fixed


def _stayed(value: Any, first: Any, kept: Any) -> bool:
    return np.array_equal(np.asarray(value)[kept], np.asarray(first)[kept])


def _accelerator(settings: EM) -> Accelerator | None:
    how = settings.accelerate
    if how is None:
        return None
    if callable(how):
        return how()
    return Anderson() if how == "anderson" else Squarem()
