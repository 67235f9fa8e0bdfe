"""What `partial_fit` of mixtures and hidden Markov models share: online EM, chunk by chunk."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from latentem.engine.backends import SerialBackend, one_blas_thread
from latentem.engine.em import EM
from latentem.engine.online import OnlineFit
from latentem.engine.trees import scale
from latentem.engine.warnings import ConvergenceWarning

__all__ = ["fed", "forget_fit"]

#: Units of a batch: an M-step follows each.
BATCH = 1000
#: Maps of plain EM on the first chunk, from which the stream sets out.
FIRST_MAPS = 20
#: What a whole fit leaves, and a stream cannot tell.
OF_FITS = ("result_", "loglik_", "lower_bound_", "lower_bounds_", "converged_", "reason_")


def fed(
    estimator: Any, model: Any, data: Any, begin: Callable[[], Any], settings: EM, rng: Any
) -> Any:
    """Parameters after one more chunk; the stream's state is kept in ``estimator.online_``.

    Parameters
    ----------
    model : LatentModel
        With what it learned from the first chunk.
    data : as ``model.blocks`` takes them
    begin : callable
        Parameters to set out from where there are none yet, or a function that makes them.
    """
    if not model.additive:
        raise ValueError(
            f"{model!r} has statistics that do not add up over blocks, so it cannot be fitted in "
            "parts: use fit"
        )
    online = getattr(estimator, "online_", None)
    if online is None:
        online = _set_out(estimator, model, data, begin, settings, rng)
    backend = SerialBackend()
    with one_blas_thread():
        for block in model.blocks(data, BATCH):
            online = online.fed(model, [block], backend)
        params = online.averaged(model)
    forget_fit(estimator)
    estimator.online_ = online
    estimator.n_iter_ = online.steps
    return params


def _set_out(
    estimator: Any, model: Any, data: Any, begin: Callable[[], Any], settings: EM, rng: Any
) -> OnlineFit:
    """Where a stream begins: at the last fit, at given parameters, or on its first chunk."""
    result = getattr(estimator, "result_", None)
    if result is not None and result.statistics is not None:
        steps = max(int(result.weight // BATCH), 1)
        one = scale(result.statistics, 1.0 / result.weight)
        return OnlineFit(result.params, one, steps, result.weight, ((steps, one),))
    if estimator.__sklearn_is_fitted__():  # made from parameters, or loaded
        return OnlineFit(estimator._ready()[1])
    first = replace(
        settings, max_iter=FIRST_MAPS, accelerate=None, batch_size=None, incremental=False,
        checkpoint=None,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is not meant to converge
        return OnlineFit(first.run(model, data, begin(), rng).params)


def forget_fit(estimator: Any) -> None:
    """Take away what the last fit left, and the state of a stream."""
    for name in (*OF_FITS, "online_"):
        estimator.__dict__.pop(name, None)
