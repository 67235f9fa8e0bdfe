r"""What a hidden Markov model says of sequences: states, their probabilities, what comes next.

Smoothed probabilities :math:`p(z_t \mid x_1..x_T)` use the whole sequence, filtered ones
:math:`p(z_t \mid x_1..x_t)` no row that comes later. The Viterbi path is the most
probable path as a whole (Viterbi 1967, doi:10.1109/TIT.1967.1054010); the most probable
state of each row is another path, which may even be impossible. From the filtered
probabilities of the last row, p, the states h rows ahead have probabilities
:math:`p P^h`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from latentem.engine.backends import Backend, one_blas_thread
from latentem.engine.blocks import Sequences, bounds
from latentem.models.chain import forward, forward_long, smooth
from latentem.models.hidden_markov import HiddenMarkov, HiddenMarkovParams, Prepared
from latentem.models.paths import draw_paths, filtered, viterbi
from latentem.models.sequences import is_long

__all__ = [
    "Decoded",
    "decode",
    "draw_states",
    "filter_states",
    "forecast_states",
    "impute",
    "log_likelihoods",
    "path_loglik",
    "smooth_states",
]

Array = np.ndarray
#: Of prepared parameters, a block, and its rows: the log-likelihoods of its sequences, and
#: their impossible rows.
Kernel = Callable[[Prepared, Sequences, slice], Any]


class Decoded(NamedTuple):
    """What was found for each row, and the log-likelihoods of the sequences.

    `values` are paths (n,) or probabilities (n, K). `loglik` (S,) is that
    of each sequence, of the path itself for paths. `impossible` (S,) is the row, counted
    over all sequences, that no reachable state can have produced; -1 if there is none.
    """

    values: Array
    loglik: Array
    impossible: Array


def log_likelihoods(
    model: HiddenMarkov, params: HiddenMarkovParams, data: Sequences, backend: Backend
) -> Decoded:
    """No values: log-likelihoods alone, in memory for one block or piece per thread."""

    def kernel(prepared: Prepared, block: Sequences, rows: slice) -> Any:
        if is_long(block):
            return forward_long(prepared.chain, *model.by_piece(prepared, block))
        density = _densities(model, prepared, block)
        found = forward(prepared.chain, density, block.offsets, keep=False)
        return found.loglik, found.impossible

    return _decoded(model, params, data, backend, kernel, np.empty((len(data), 0)))


def smooth_states(
    model: HiddenMarkov, params: HiddenMarkovParams, data: Sequences, backend: Backend
) -> Decoded:
    """Smoothed probabilities (n, K)."""
    shares = np.empty((len(data), model.n_components))

    def kernel(prepared: Prepared, block: Sequences, rows: slice) -> Any:
        density = _densities(model, prepared, block)
        found = smooth(prepared.chain, density, block.offsets, out=shares[rows].T)
        return found.loglik, found.impossible

    return _decoded(model, params, data, backend, kernel, shares)


def filter_states(
    model: HiddenMarkov, params: HiddenMarkovParams, data: Sequences, backend: Backend
) -> Decoded:
    """Filtered probabilities (n, K)."""
    shares = np.empty((len(data), model.n_components))

    def kernel(prepared: Prepared, block: Sequences, rows: slice) -> Any:
        density = _densities(model, prepared, block)
        found = filtered(prepared.chain, density, block.offsets)
        shares[rows] = density.T
        return found

    return _decoded(model, params, data, backend, kernel, shares)


def decode(
    model: HiddenMarkov, params: HiddenMarkovParams, data: Sequences, backend: Backend
) -> Decoded:
    """Viterbi paths (n,), with the joint log density of each sequence and its path."""
    paths = np.empty(len(data), dtype=np.int64)

    def kernel(prepared: Prepared, block: Sequences, rows: slice) -> Any:
        density = _densities(model, prepared, block)
        paths[rows], *found = viterbi(prepared.chain, density, block.offsets)
        return found

    return _decoded(model, params, data, backend, kernel, paths)


def draw_states(
    model: HiddenMarkov,
    params: HiddenMarkovParams,
    data: Sequences,
    rng: np.random.Generator,
    backend: Backend,
) -> Decoded:
    """A path (n,) drawn from the posterior distribution of paths."""
    uniforms, paths = rng.random(len(data)), np.empty(len(data), dtype=np.int64)

    def kernel(prepared: Prepared, block: Sequences, rows: slice) -> Any:
        density = _densities(model, prepared, block)
        paths[rows], *found = draw_paths(prepared.chain, density, block.offsets, uniforms[rows])
        return found

    return _decoded(model, params, data, backend, kernel, paths)


def _decoded(
    model: HiddenMarkov,
    params: HiddenMarkovParams,
    data: Sequences,
    backend: Backend,
    kernel: Kernel,
    values: Array,
) -> Decoded:
    """The `values`, which `kernel` finds for each block, with what it returns."""
    blocks = _blocks(model, data)
    ends = np.cumsum([len(block) for block in blocks]).tolist()
    with one_blas_thread(), np.errstate(all="ignore"):
        prepared = model.prepare(params)

        def one(place: tuple[Sequences, int]) -> tuple[Array, Array]:
            block, end = place
            begin = end - len(block)
            loglik, impossible = kernel(prepared, block, slice(begin, end))
            return loglik, np.where(impossible >= 0, impossible + begin, -1)

        parts = list(backend.map(one, list(zip(blocks, ends, strict=True))))
    logliks, impossible = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Decoded(values, logliks, impossible)


def _blocks(model: HiddenMarkov, data: Sequences) -> list[Sequences]:
    """Blocks of the data; of rows none of which was seen, one without anything encoded.

    There is nothing to fit then, but the chain itself says something of the states.
    """
    return [data] if np.isnan(data.x).all() else model.blocks(data)


def _densities(model: HiddenMarkov, prepared: Prepared, block: Sequences) -> Array:
    if not block.encoded:
        return np.zeros((model.n_components, len(block)))
    return model.evaluate(prepared, block)[0]


def impute(
    model: HiddenMarkov, params: HiddenMarkovParams, data: Sequences, shares: Array
) -> Array:
    """The rows (n, d) with what is expected in cells that are NaN, under `shares` (n, K)."""
    with one_blas_thread(), np.errstate(all="ignore"):
        parts = [
            model.family.impute(params.family, data.x[a:b], np.ascontiguousarray(shares[a:b].T))
            for a, b in bounds(len(data))
        ]
    return np.concatenate(parts)


def path_loglik(
    model: HiddenMarkov, params: HiddenMarkovParams, data: Sequences, path: Array
) -> Array:
    """Joint log density of each sequence and its states, (S,)."""
    out = []
    begin = 0
    with one_blas_thread(), np.errstate(all="ignore"):
        prepared = model.prepare(params)
        start, moves = np.log(model.startprob(params)), np.log(params.transmat)
        for block in _blocks(model, data):
            density = _densities(model, prepared, block)
            states = path[begin : begin + len(block)]
            begin += len(block)
            terms = density[states, np.arange(len(block))]
            terms[1:] += moves[states[:-1], states[1:]]
            first = block.offsets[:-1]
            terms[first] = density[states[first], first] + start[states[first]]
            out.append(np.add.reduceat(terms, first))
    return np.concatenate(out)


def forecast_states(transmat: Array, last: Array, horizon: int) -> Array:
    """Probabilities of the states 1..horizon rows ahead, (horizon, K)."""
    out, current = np.empty((horizon, len(last))), last
    for i in range(horizon):
        current = current @ transmat
        out[i] = current
    return out
