r"""Where EM of a hidden Markov model begins when nobody says.

Rows that look alike make first guesses of the states, by the start of the rows that
`latentem.engine.starts` knows. Where states overlap in single rows but last for several,
means over the rows around tell them apart better; where they part rows well, or change
with every row, the rows themselves do. So the default makes both guesses, and keeps
the one of higher likelihood after a few EM maps.

Starts after the first guess in other ways, in turn: starts that are all good in the same way
end at the same maximum. Rows, or stretches of rows, are put into states at random, or
rows into those of a few far from each other; then anew as for the first.

States of a guess come in no order. Labels name them: they take the names that agree
best with the labels. Else, where the chain has an order (structural zeros, or
given transitions), they are put in the order that makes the guessed transitions likeliest;
and a chain that only goes forward, in whatever order its states are written, is guessed from
stretches of each sequence too: even ones, and in later starts of random lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from latentem.engine.backends import SerialBackend
from latentem.engine.blocks import Sequences, thin
from latentem.engine.starts import obeying, responsibilities
from latentem.models.sequences import row_weights

if TYPE_CHECKING:
    from latentem.models.hidden_markov import HiddenMarkov, HiddenMarkovParams

__all__ = ["averaged", "guess", "in_order"]

Array = np.ndarray

#: Rows before and after that a mean around a row takes in.
AROUND = 7
#: EM maps after which guesses are compared, and the rows that make them at most.
MAPS, TRIAL = 3, 4096
#: States up to which every order is tried.
MOST = 6
#: What a transition that is not allowed weighs beside one of probability 1.
RARE = 1e-12


class _Rows(NamedTuple):
    """All rows of the data, with what guesses need of them."""

    x: Any  # encoded
    weights: Array  # (n,)
    lengths: Array  # (S,)
    labels: Array | None
    follows: Array  # (n - 1,) bool: whether row t + 1 is of the same sequence as row t


def guess(
    model: HiddenMarkov,
    blocks: Sequence[Sequences],
    rng: np.random.Generator,
    transmat: Array | None = None,
    number: int = 0,
) -> HiddenMarkovParams:
    """Parameters as ``model.init_params`` says; with `transmat`, its states in that order.

    `number` is that of the start.
    """
    rows = _rows(model, blocks)
    found = [
        _params(model, rows, shares, rng, transmat) for shares in _shares(model, rows, rng, number)
    ]
    if len(found) == 1:
        return found[0]
    few = thin(blocks, TRIAL, rng)
    whole = sum(len(block) for block in few) == sum(len(block) for block in blocks)
    sample, serial = [model.encoded(block) for block in few], SerialBackend()

    def tried(first: HiddenMarkovParams) -> tuple[bool, float, HiddenMarkovParams]:
        params, point = first, serial.expect(model, first, sample)
        for _ in range(MAPS):
            params = model.m_step(point.statistics, params)
            point = serial.expect(model, params, sample)
        sound = not model.diagnose(params, point.statistics).degenerate
        value = point.loglik if point.loglik > -np.inf else -np.inf  # NaN is no value
        return sound, value, params if sound and whole else first

    with np.errstate(all="ignore"):
        return max(map(tried, found), key=lambda end: end[:2])[2]


def _rows(model: HiddenMarkov, blocks: Sequence[Sequences]) -> _Rows:
    labels = [block.labels for block in blocks if block.labels is not None]
    lengths = np.concatenate([block.lengths for block in blocks])
    follows = np.ones(lengths.sum() - 1, dtype=bool)
    follows[np.cumsum(lengths)[:-1] - 1] = False
    return _Rows(
        model.family.encode(np.concatenate([block.x for block in blocks])),
        np.concatenate([row_weights(block) for block in blocks]),
        lengths,
        np.concatenate(labels) if len(labels) == len(blocks) else None,
        follows,
    )


def _shares(
    model: HiddenMarkov, rows: _Rows, rng: np.random.Generator, number: int
) -> Iterator[Array]:
    """Guessed responsibilities (K, n), one or more to choose from."""
    k, how = model.n_components, model.init_params
    if how == "kmeans" and k > 1 and number > 0:
        ways = OTHERS if _forward(model.transmat_mask) is None else FORWARD[number > 1 :]
        way = ways[(number - 1) % len(ways)]
        if way is not None:
            yield way(model, rows, rng)
            return
    points = model.family.points(rows.x)
    yield from responsibilities(points, rows.weights, k, how, rng)
    if how != "kmeans" or k == 1 or rows.lengths.max() < 3:
        return
    around = averaged(points, rows.weights, rows.lengths, AROUND)
    yield from responsibilities(around, rows.weights, k, how, rng)
    if _forward(model.transmat_mask) is not None:
        yield _even(model, rows, rng)


def _forward(mask: Array | None) -> list[int] | None:
    """States in the order in which a chain goes through them, None if it may come back."""
    if mask is None:
        return None
    before = mask & ~np.eye(len(mask), dtype=bool)
    order: list[int] = []
    while len(order) < len(mask):
        first = [j for j in range(len(mask)) if j not in order and not before[:, j].any()]
        if not first:
            return None
        order.append(first[0])
        before[first[0]] = False
    return order


def _named(states: Array, k: int) -> Array:
    """Responsibilities (K, n) of one state for each row."""
    return (states == np.arange(k)[:, None]).astype(float)


def _even(model: HiddenMarkov, rows: _Rows, rng: np.random.Generator) -> Array:
    """Each sequence in as many stretches of equal length as there are states, in their order."""
    k, order = model.n_components, _forward(model.transmat_mask)
    place = np.concatenate([np.arange(length) * k // length for length in rows.lengths])
    return _named(np.array(order)[place], k)


def _uneven(model: HiddenMarkov, rows: _Rows, rng: np.random.Generator) -> Array:
    """The same with stretches of random length."""
    k, order = model.n_components, _forward(model.transmat_mask)
    ends = [np.sort(rng.integers(length + 1, size=k - 1)) for length in rows.lengths]
    place = [
        np.searchsorted(edges, np.arange(length), side="right")
        for edges, length in zip(ends, rows.lengths, strict=True)
    ]
    return _named(np.array(order)[np.concatenate(place)], k)


def _single(model: HiddenMarkov, rows: _Rows, rng: np.random.Generator) -> Array:
    """Each row in a state of its own, drawn at random."""
    return _named(rng.integers(model.n_components, size=len(rows.weights)), model.n_components)


def _stretched(model: HiddenMarkov, rows: _Rows, rng: np.random.Generator) -> Array:
    """Stretches of rows that follow each other, each in a state drawn at random."""
    begins = rng.random(len(rows.weights)) < 1.0 / STAY
    begins[1:] |= ~rows.follows
    stretch = np.cumsum(begins) - begins[0]
    states = rng.integers(model.n_components, size=stretch[-1] + 1)
    return _named(states[stretch], model.n_components)


def _seeded(model: HiddenMarkov, rows: _Rows, rng: np.random.Generator) -> Array:
    """A state for each of a few rows far from each other; the others are in none."""
    points, k = model.family.points(rows.x), model.n_components
    return next(responsibilities(points, rows.weights, k, "k-means++", rng))


#: Mean length of random stretches.
STAY = 20
#: How starts after the first guess, in turn; None is as the first does. Even stretches are
#: the same each time: once is enough.
OTHERS = (_single, _stretched, _seeded, None)
FORWARD = (_even, None, _uneven)


def averaged(points: Array, weights: Array, lengths: Array, around: int) -> Array:
    """Weighted means of points (n, d) over `around` rows to either side, within sequences."""
    centre = np.average(points, axis=0, weights=weights)
    sums = np.zeros((len(points) + 1, points.shape[1] + 1))
    np.cumsum((points - centre) * weights[:, None], axis=0, out=sums[1:, 1:])
    np.cumsum(weights, out=sums[1:, 0])
    ends = np.cumsum(lengths)
    row = np.arange(len(points))
    low = np.maximum(row - around, np.repeat(ends - lengths, lengths))
    high = np.minimum(row + around + 1, np.repeat(ends, lengths))
    sums = sums[high] - sums[low]
    weight = sums[:, :1]
    seen = weight > 0
    return centre + np.where(seen, sums[:, 1:] / np.where(seen, weight, 1.0), 0.0)


def _params(
    model: HiddenMarkov,
    rows: _Rows,
    shares: Array,
    rng: np.random.Generator,
    transmat: Array | None,
) -> HiddenMarkovParams:
    """Parameters from guessed responsibilities.

    Transitions are counted between rows that follow each other, with one more shared by
    each row of the matrix.
    """
    mask = model.transmat_mask
    if transmat is None and mask is not None:
        transmat = mask / mask.sum(axis=1, keepdims=True)
    named = callable(model.init_params)  # whoever guessed the states has named them
    if rows.labels is not None and (rows.labels >= 0).any():
        shares = obeying(shares, rows.labels, None if named else shares * rows.weights)
    elif transmat is not None and not named:
        shares = shares[in_order(_moves(shares, rows), transmat)]
    family = model.family.initialize(rows.x, shares * rows.weights, rng)
    return model.assembled(_moves(shares, rows) * _uneven_between(shares, rng), family)


def _uneven_between(shares: Array, rng: np.random.Generator) -> Array:
    """Factors (K, K) of the transitions of states that have the same shares, 1 of others.

    States that begin the same in everything stay so in every EM map; `Tied` ones differ by
    their transitions alone.
    """
    k, factors = len(shares), np.ones((len(shares), len(shares)))
    totals = shares.sum(axis=1)
    for i in range(k):
        near = np.flatnonzero((totals == totals[i]) & (totals > 0))
        if any(j != i and np.array_equal(shares[i], shares[j]) for j in near):
            factors[i] *= rng.uniform(0.5, 1.5, k)
            factors[:, i] *= rng.uniform(0.5, 1.5, k)
    return factors


def _moves(shares: Array, rows: _Rows) -> Array:
    before = shares[:, :-1] * (rows.weights[:-1] * rows.follows)
    return before @ shares[:, 1:].T


def in_order(moves: Array, transmat: Array) -> Array:
    """An order of states in which guessed transitions (K, K) are likely under `transmat`.

    The likeliest, up to `MOST` states. Of more, states change places, or go elsewhere in the
    order, as long as that makes it likelier.

    Examples
    --------
    >>> import numpy as np
    >>> from latentem import left_right
    >>> moves = np.array([[9.0, 0.0, 1.0], [1.0, 9.0, 0.0], [0.0, 0.0, 9.0]])  # 1, 0, 2
    >>> in_order(moves, left_right(3) / 2).tolist()
    [1, 0, 2]
    """
    k = len(moves)
    logs = np.log(np.maximum(transmat, RARE))

    def values(orders: Array) -> Array:
        return np.einsum("oij,ij->o", moves[orders[:, :, None], orders[:, None, :]], logs)

    if k <= MOST:
        orders = np.array(list(permutations(range(k))))
        return orders[np.argmax(values(orders))]
    away = moves.sum(axis=1) - moves.sum(axis=0)
    orders = np.array([np.arange(k), np.argsort(-away, kind="stable")])
    while True:
        found = values(orders)
        best = orders[np.argmax(found)]
        near = [best]
        for i, j in np.argwhere(~np.eye(k, dtype=bool)):
            rest = np.delete(best, i)
            near.append(np.insert(rest, j, best[i]))
            if i < j:
                other = best.copy()
                other[[i, j]] = best[[j, i]]
                near.append(other)
        orders = np.array(near)
        found = values(orders)
        if found.max() <= found[0] + 1e-9 * abs(found[0]):
            return best
