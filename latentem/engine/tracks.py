"""Finished climbs: what is kept of each, and the result that the best of them makes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from latentem.engine.backends import Backend
from latentem.engine.checkpoints import Saved
from latentem.engine.model import Diagnosis, LatentModel
from latentem.engine.result import CollapsedError, EMResult, History, Reason, Start, State
from latentem.engine.warnings import (
    ConvergenceWarning,
    DegenerateComponentWarning,
    NotIdentifiedWarning,
    tell,
)

if TYPE_CHECKING:
    from latentem.engine.em import EM

__all__ = ["RECORDED", "Track", "diagnosed", "light", "result_of", "worked"]


class Track(NamedTuple):
    """One finished climb."""

    number: int
    last: State
    history: History
    found: Diagnosis

    def record(self) -> Start:
        last = self.last
        assert last.reason is not None
        return Start(
            number=self.number,
            objective=last.objective,
            loglik=last.loglik,
            reason=last.reason,
            n_iter=last.n_iter,
            degenerate=self.found.degenerate,
            params=last.params,
            error=last.error,
        )


#: Classes, beside those of the parameters, that the record of a finished start is made of.
RECORDED = (Track, State, History, Diagnosis, Reason)


def light(track: Track) -> Track:
    """A finished start without its statistics, which an E-step gives back."""
    return track._replace(last=track.last._replace(statistics=None))


def worked(track: Track, model: LatentModel, blocks: Any, backend: Backend, saved: Saved) -> Track:
    """A finished start out of a checkpoint, with the statistics of its parameters."""
    last = track.last
    if last.reason is Reason.COLLAPSED:
        return track
    statistics, loglik, weight = backend.expect(model, last.params, blocks)
    saved.compare(last.loglik, last.weight, loglik, weight)
    return track._replace(last=last._replace(statistics=statistics))


def diagnosed(model: LatentModel, last: State, settings: EM) -> Diagnosis:
    """What the model has to say of the end of a climb."""
    if last.reason is Reason.COLLAPSED or last.loglik == -math.inf:
        return Diagnosis()  # impossible rows are in no statistics, which tell nothing then
    found = model.diagnose(last.params, last.statistics)
    if settings.accelerate == "auto" and model.constraints() is None:
        note = "accelerate='auto' stayed with plain EM: the model declares no constraints()"
        found = found._replace(notes=(*found.notes, note))
    return found


def result_of(
    settings: EM, model: LatentModel, tracks: list[Track], wanted: int, seconds: float
) -> EMResult:
    """The best of the finished climbs; `wanted` is how many starts there should have been."""
    alive = [track for track in tracks if track.last.reason is not Reason.COLLAPSED]
    if not alive:
        which = "the only start" if len(tracks) == 1 else f"each of the {len(tracks)} starts"
        raise CollapsedError(
            f"{which} collapsed: {tracks[-1].last.error}. Use fewer components, "
            "another start, or a prior."
        )
    best = max(alive, key=lambda track: (not track.found.degenerate, track.last.objective))
    last = best.last
    assert last.reason is not None
    return EMResult(
        model=model,
        params=last.params,
        objective=last.objective,
        loglik=last.loglik,
        reason=last.reason,
        degenerate=best.found.degenerate,
        notes=best.found.notes + best.found.not_identified + _cut_short(tracks, wanted, best),
        n_iter=last.n_iter,
        n_certify=last.n_certify,
        n_e_steps=last.n_e_steps,
        projected_gain=last.projected_gain,
        rate=last.rate,
        history=best.history,
        starts=tuple(track.record() for track in tracks),
        best_start=best.number,
        seconds=seconds,
        statistics=last.statistics,
        weight=last.weight,
        warnings=_warned(settings, best),
    )


def _warned(settings: EM, track: Track) -> tuple[str, ...]:
    """Warn of what the user should know, and return the sentences."""
    last, told = track.last, []
    assert last.reason is not None
    if last.reason is Reason.MAX_ITER and settings.tol > 0:
        gain = last.projected_gain
        ahead = f"about {gain:.2g} nats" if math.isfinite(gain) else "an unknown gain"
        text = (
            f"EM stopped at max_iter={settings.max_iter} with {ahead} of log-likelihood still "
            f"to come (tol={settings.tol:g}): raise max_iter, or loosen tol."
        )
        told.append((text, ConvergenceWarning, "reason-max-iter"))
    elif last.reason in (
        Reason.DECREASED,
        Reason.IMPOSSIBLE,
        Reason.TIME_LIMIT,
        Reason.INTERRUPTED,
    ):
        text, place = f"EM did not converge: {last.reason.sentence}.", last.reason.name.lower()
        told.append((text, ConvergenceWarning, f"reason-{place}"))
    told += [
        (text, DegenerateComponentWarning, "warning-degenerate") for text in track.found.degenerate
    ]
    if last.reason.converged:  # before that, they are on their way
        told += [
            (text, NotIdentifiedWarning, "warning-not-identified")
            for text in track.found.not_identified
        ]
    for text, category, place in told:
        tell(f"{text} (Guide: did-it-converge, {place})", category)
    return tuple(text for text, _, _ in told)


def _cut_short(tracks: list[Track], wanted: int, best: Track) -> tuple[str, ...]:
    """A note where the fit was ended in another start than the best."""
    last, how = tracks[-1], tracks[-1].last.reason
    assert how is not None
    if not how.cut_short or last is best:
        return ()
    who = {Reason.CALLBACK: "a callback", Reason.TIME_LIMIT: "time_limit"}.get(how, "Ctrl-C")
    return (f"{who} stopped the fit in start {len(tracks)} of {wanted}",)
