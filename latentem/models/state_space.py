r"""Linear-Gaussian state-space models, by the Kalman smoother and EM.

.. math::

    x_1 \sim N(m, P), \quad x_t = A x_{t-1} + B u_t + N(0, Q), \quad y_t = C x_t + D u_t + N(0, R)

**E step.** The smoother gives E[x_t], Cov[x_t] and Cov[x_t, x_(t-1)] given all cells seen
(`latentem.kernels.kalman`). Rows of a full R are whitened by the factor of R_oo of their seen
cells o, so that every cell is an update by a number. Sums over t of E[x_t x_t'], of
E[x_t z_t'] with z_t = (x_(t-1), u_t), and of E[y_t w_t'] with w_t = (x_t, u_t) are the statistics.

**Missing cells.** With a diagonal R, the row j of (C, D) is a regression on the rows in which
column j is seen, and nothing else enters. With a full R, the E step completes the missing cells
l of a row, E[y_l] = M w + R_lo inv(R_oo) (y_o - M_o w) with M = (C, D), whose covariance given x is
R_ll - R_lo inv(R_oo) R_ol; the moments of y follow from those of x.

**M step.** (A, B) and (C, D) are regressions, with any entries kept; Q and R are what they leave.
Where entries are kept and the covariance is full, the regression is weighted with the covariance
so far, and the covariance follows: a conditional maximisation, which rises all the same.

Shumway and Stoffer (1982), doi:10.1111/j.1467-9892.1982.tb00349.x; Ghahramani and Hinton (1996).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from latentem.engine.constraints import Fixed, Partly, Positive, PositiveDefinite, Real
from latentem.engine.model import Diagnosis, Expectation, LatentModel
from latentem.engine.moments import Moments
from latentem.families.held import Kept, entries_kept
from latentem.models.records import Records, record_blocks, records
from latentem.models.regression import Pair, coefficients, residual, symmetric
from latentem.models.smoothing import Prepared, Smoothed, prepared_for, smooth

__all__ = ["GROUPS", "LinearGaussian", "LinearGaussianParams"]

Array = np.ndarray
GROUPS = ("transition", "input", "observation", "feedthrough", "transition_covariance",
          "observation_covariance")  # fmt: skip
#: Least variance of noise, as a share of the mean square of its target.
FLOOR = 1e-14


class LinearGaussianParams(NamedTuple):
    """Parameters of a linear-Gaussian state-space model.

    Parameters
    ----------
    initial_mean : (n,) array
    initial_covariance : (n, n) array
    transition, input : (n, n) and (n, m) array
        A and B.
    observation, feedthrough : (d, n) and (d, m) array
        C and D.
    transition_covariance, observation_covariance : (n, n) and (d, d) array
        Q and R.
    """

    initial_mean: Array
    initial_covariance: Array
    transition: Array
    input: Array
    observation: Array
    feedthrough: Array
    transition_covariance: Array
    observation_covariance: Array


class Columns(NamedTuple):
    """Regressions of single columns: sums over the rows in which each was seen."""

    tt: Array
    tr: Array
    rr: Array
    rows: Array


class Statistics(NamedTuple):
    first: Moments
    moved: Pair
    observed: Pair | Columns


class LinearGaussian(LatentModel):
    """States that move linearly, seen through noise, with any cells missing.

    Parameters
    ----------
    n_states : int
    noise : {"diag", "full"}
        Of the observations.
    state_noise : {"full", "diag"}
    initial : {"estimated", "fixed", "diffuse"}
        The first state of each record. "diffuse" is fixed too, and the likelihood is that of a
        flat density of 1 in its place, up to the covariance that the parameters give.
    fixed : mapping
        Groups (`GROUPS`) that are kept: True, or a bool array of entries. Of covariances
        entries on the diagonal only, where the covariance is "diag".
    start : LinearGaussianParams, optional
        Where to begin, and what fixed values are.
    """

    def __init__(
        self,
        n_states: int,
        noise: Literal["diag", "full"] = "diag",
        state_noise: Literal["full", "diag"] = "full",
        initial: Literal["estimated", "fixed", "diffuse"] = "estimated",
        fixed: Mapping[str, Any] | Sequence[str] = (),
        start: LinearGaussianParams | None = None,
    ):
        if isinstance(n_states, bool) or not isinstance(n_states, int | np.integer) or n_states < 1:
            raise ValueError(f"n_states must be an integer >= 1, got {n_states!r}")
        choices = {
            "noise": (noise, ("diag", "full")),
            "state_noise": (state_noise, ("full", "diag")),
            "initial": (initial, ("estimated", "fixed", "diffuse")),
        }
        for name, (value, allowed) in choices.items():
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
        self.n_states, self.noise, self.state_noise = int(n_states), noise, state_noise
        self.initial, self.start = initial, start
        self.kept: dict[str, Kept] = entries_kept(fixed, GROUPS)
        kinds = {"transition_covariance": state_noise, "observation_covariance": noise}
        for group, kind in kinds.items():
            if kind == "full" and not isinstance(self.kept.get(group, True), bool):
                raise ValueError(
                    f"fixed[{group!r}] keeps entries of a full covariance, which is not offered: "
                    "keep all of it (True), or take a diagonal one"
                )

    def __repr__(self) -> str:
        return f"LinearGaussian({self.n_states})"

    def blocks(self, data: Any, size: int | None = None) -> list[Records]:
        return record_blocks(records(data), size)

    def initialize(self, blocks: Sequence[Any], rng: np.random.Generator) -> LinearGaussianParams:
        if self.start is not None:
            return self.start
        from latentem.models.subspace import subspace_start

        return subspace_start(blocks, self.n_states)

    def _free(self, group: str, like: Array) -> Array:
        """Which entries may move, bool."""
        kept = self.kept.get(group)
        free = np.ones(like.shape, dtype=bool)
        if kept is not None:
            free = np.zeros(like.shape, dtype=bool) if kept is True else ~np.asarray(kept)
        if free.shape != like.shape:
            raise ValueError(f"fixed[{group!r}] has shape {free.shape}, and {group} {like.shape}")
        return free

    def constraints(self) -> Any:
        first: list[Any] = [Fixed(), Fixed()]
        if self.initial == "estimated":
            first = [Real(), PositiveDefinite()]
        return LinearGaussianParams(*first, *(self._constraint(group) for group in GROUPS))

    def _constraint(self, group: str) -> Any:
        kept = self.kept.get(group)
        if kept is True or (kept is not None and np.all(kept)):
            return Fixed()
        if group.endswith("covariance"):
            own = self.state_noise if group.startswith("transition") else self.noise
            if own == "full":
                return PositiveDefinite()
            return _DiagonalCovariance(None if kept is None else np.asarray(kept))
        return Real() if kept is None else Partly(Real(), ~np.asarray(kept))

    def prepare(self, params: LinearGaussianParams) -> Prepared:
        return prepared_for(params, self.noise == "diag")

    def e_step(self, prepared: Prepared, block: Records) -> Expectation:
        states = smooth(prepared, block)
        weights = block.row_weights
        first = weights[block.first]
        loglik = float(weights @ states.loglik)
        if self.initial == "diffuse":
            loglik += float(first.sum()) * prepared.flat
        statistics = Statistics(
            _first(block, states, first),
            _moved(block, states, weights),
            self._observed(prepared, block, states, weights),
        )
        return Expectation(statistics, loglik, float(weights.sum()))

    def _observed(
        self, prepared: Prepared, block: Records, states: Smoothed, weights: Array
    ) -> Pair | Columns:
        n, r = self.n_states, self.n_states + block.u.shape[1]
        w = np.hstack([states.means, block.u])
        spread = states.covariances.reshape(len(block), n * n)
        if self.noise == "diag":
            shares = block.seen * weights[:, None]
            y = np.where(block.seen, block.y, 0.0)
            rr = np.stack([(w * share[:, None]).T @ w for share in shares.T])
            rr[:, :n, :n] += (shares.T @ spread).reshape(-1, n, n)
            y_weighted = y * shares
            tt = np.einsum("tj,tj->j", y_weighted, y)
            return Columns(tt, y_weighted.T @ w, symmetric(rr), shares.sum(axis=0))
        d = block.y.shape[1]
        tt, tr, rr = np.zeros((d, d)), np.zeros((d, r)), np.zeros((r, r))
        slope = np.hstack([prepared.params.observation, prepared.params.feedthrough])
        seen, kinds = block.patterns
        for kind, known in enumerate(seen):
            rows = kinds == kind
            share = weights[rows]
            at, own = w[rows], block.y[np.ix_(rows, known)]
            ww = (at * share[:, None]).T @ at
            ww[:n, :n] += (share @ spread[rows]).reshape(n, n)
            yw = (own * share[:, None]).T @ at
            yy = (own * share[:, None]).T @ own
            gain, left = prepared.completion(known)
            rest = slope - gain @ slope[known]
            rest[known] = 0.0
            part = gain @ yw
            tr += part + rest @ ww
            mixed = part @ rest.T
            tt += gain @ yy @ gain.T + mixed + mixed.T + rest @ ww @ rest.T + share.sum() * left
            rr += ww
        return Pair(symmetric(tt), tr, symmetric(rr), float(weights.sum()))

    def m_step(self, statistics: Statistics, params: LinearGaussianParams) -> LinearGaussianParams:
        mean, covariance = params.initial_mean, params.initial_covariance
        if self.initial == "estimated" and statistics.first.weight[0] > 0:
            mean = statistics.first.mean[0]
            new = symmetric(statistics.first.scatter[0] / statistics.first.weight[0])
            covariance = _held_up(new, covariance)
        transition, pushed, transition_covariance = self._states(statistics.moved, params)
        observation, through, noise = self._outputs(statistics.observed, params)
        return LinearGaussianParams(
            mean, covariance, transition, pushed, observation, through, transition_covariance, noise
        )

    def _states(self, pair: Pair, params: LinearGaussianParams) -> tuple[Array, Array, Array]:
        old = np.hstack([params.transition, params.input])
        free = np.hstack(
            [self._free("transition", params.transition), self._free("input", params.input)]
        )
        q = params.transition_covariance
        if pair.rows <= 0:
            return params.transition, params.input, q
        new = coefficients(pair.tr, pair.rr, free, old, q)
        q = self._covariance(
            "transition_covariance", residual(pair, new), pair.rows, pair.tt, q, self.state_noise
        )
        n = self.n_states
        return new[:, :n], new[:, n:], q

    def _outputs(
        self, found: Pair | Columns, params: LinearGaussianParams
    ) -> tuple[Array, Array, Array]:
        old = np.hstack([params.observation, params.feedthrough])
        free = np.hstack(
            [
                self._free("observation", params.observation),
                self._free("feedthrough", params.feedthrough),
            ]
        )
        noise, n = params.observation_covariance, self.n_states
        if isinstance(found, Pair):
            new = coefficients(found.tr, found.rr, free, old, noise)
            noise = self._covariance(
                "observation_covariance", residual(found, new), found.rows, found.tt, noise, "full"
            )
            return new[:, :n], new[:, n:], noise
        one = np.eye(1)
        parts = [
            coefficients(found.tr[j : j + 1], found.rr[j], free[j : j + 1], old[j : j + 1], one)
            if found.rows[j] > 0
            else old[j : j + 1]
            for j in range(len(old))
        ]
        new = np.vstack(parts)
        left = _column_residuals(found, new)
        may = np.diag(self._free("observation_covariance", noise)) & (found.rows > 0)
        variances = np.where(
            may,
            np.maximum(left, FLOOR * found.tt) / np.where(may, found.rows, 1.0),
            np.diag(noise),
        )
        return new[:, :n], new[:, n:], np.diag(variances)

    def _covariance(
        self, group: str, left: Array, count: float, size: Array, old: Array, kind: str
    ) -> Array:
        free = self._free(group, old)
        if not free.any():
            return old
        if kind == "full":
            return _held_up(left / count, old)
        variances = np.maximum(np.diag(left), FLOOR * np.diag(size)) / count
        return np.diag(np.where(np.diag(free), variances, np.diag(old)))

    def expected_loglik(self, params: LinearGaussianParams, statistics: Statistics) -> float:
        first, moved, observed = statistics
        count = float(first.weight[0])
        about = first.about(params.initial_mean[None])[0]
        total = _normal(about, params.initial_covariance, count)
        if self.initial == "diffuse":
            _, logdet = np.linalg.slogdet(params.initial_covariance)
            total += 0.5 * count * (self.n_states * np.log(2 * np.pi) + float(logdet))
        moves = np.hstack([params.transition, params.input])
        total += _normal(residual(moved, moves), params.transition_covariance, moved.rows)
        loads = np.hstack([params.observation, params.feedthrough])
        noise = params.observation_covariance
        if isinstance(observed, Pair):
            return total + _normal(residual(observed, loads), noise, observed.rows)
        variances = np.diag(noise)
        left = _column_residuals(observed, loads)
        logs = observed.rows * np.log(2 * np.pi * variances)
        return total - 0.5 * float(np.sum(logs + left / variances))

    def diagnose(self, params: LinearGaussianParams, statistics: Statistics) -> Diagnosis:
        notes = []
        radius = float(np.abs(np.linalg.eigvals(params.transition)).max())
        if radius > 1 + 1e-6:
            notes.append(
                f"the transition matrix is unstable: its largest eigenvalue has modulus "
                f"{radius:.6g}, so forecasts grow without bound"
            )
        return Diagnosis(notes=tuple(notes))

    def sample(self, params: LinearGaussianParams, n: int, rng: np.random.Generator) -> Any:
        """Draw n rows in records of 100 (or one of n), without inputs."""
        length = min(n, 100)
        count = max(n // length, 1)
        return [draw(params, np.empty((length, 0)), rng)[1] for _ in range(count)]


class _DiagonalCovariance(Partly):
    """A matrix of which only variances that are not kept move."""

    def __init__(self, kept: Array | None):
        self._kept = kept
        self.constraint = Positive()

    def _at(self, like: Array) -> Partly:
        free = np.eye(len(like), dtype=bool)
        return Partly(self.constraint, free if self._kept is None else free & ~self._kept)

    def size(self, like: Array) -> int:
        return self._at(like).size(like)

    def pack(self, value: Array) -> Array:
        return self._at(value).pack(value)

    def measure(self, value: Array) -> Array:
        return self._at(value).measure(value)

    def unpack(self, flat: Array, like: Array) -> Array:
        return self._at(like).unpack(flat, like)

    def kept(self, like: Array) -> Array:
        return self._at(like).kept(like)

    def limits(self, value: Array) -> tuple[Array, Array]:
        return self._at(value).limits(value)

    def at_edge(self, value: Array) -> Array:
        return self._at(value).at_edge(value)

    def holding(self, held: Array) -> Partly:
        return _DiagonalCovariance(held if self._kept is None else held | self._kept)


def draw(params: LinearGaussianParams, u: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """States (T, n) and outputs (T, d) of one record with inputs u (T, m)."""
    n, d = params.transition.shape[0], len(params.observation)
    pushes, through = u @ params.input.T, u @ params.feedthrough.T
    states = rng.multivariate_normal(np.zeros(n), params.transition_covariance, len(u))
    x = rng.multivariate_normal(params.initial_mean, params.initial_covariance)
    for t in range(len(u)):
        if t > 0:
            x = params.transition @ x + pushes[t] + states[t]
        states[t] = x
    noise = rng.multivariate_normal(np.zeros(d), params.observation_covariance, len(u))
    return states, states @ params.observation.T + through + noise


def _first(block: Records, states: Smoothed, weights: Array) -> Moments:
    x, v = states.means[block.first], states.covariances[block.first]
    total = weights.sum()
    mean = weights @ x / total if total > 0 else x[0]
    away = x - mean
    scatter = np.tensordot(weights, v, 1) + (away * weights[:, None]).T @ away
    return Moments(np.array([total]), mean[None], symmetric(scatter)[None], "full")


def _moved(block: Records, states: Smoothed, weights: Array) -> Pair:
    n = states.means.shape[1]
    share = np.where(block.first, 0.0, weights)[1:]
    new, u = states.means[1:], block.u[1:]
    z = np.hstack([states.means[:-1], u])
    flat = states.covariances.reshape(len(block), n * n)
    tt = (new * share[:, None]).T @ new + (share @ flat[1:]).reshape(n, n)
    tr = (new * share[:, None]).T @ z
    tr[:, :n] += (share @ states.cross.reshape(len(block), n * n)[1:]).reshape(n, n)
    rr = (z * share[:, None]).T @ z
    rr[:n, :n] += (share @ flat[:-1]).reshape(n, n)
    return Pair(symmetric(tt), tr, symmetric(rr), float(share.sum()))


def _column_residuals(found: Columns, slope: Array) -> Array:
    bent = np.einsum("jr,jrs,js->j", slope, found.rr, slope)
    return found.tt - 2 * np.einsum("jr,jr->j", slope, found.tr) + bent


def _held_up(new: Array, old: Array) -> Array:
    """`new` where it is positive definite to working precision, and `old` where it is not."""
    root = np.sqrt(np.maximum(np.diag(new), 0.0))
    if not np.all(root > 0):
        return old
    least = float(np.linalg.eigvalsh(new / np.outer(root, root))[0])
    return symmetric(new) if least > 1e-12 else old


def _normal(left: Array, covariance: Array, count: float) -> float:
    """Expected log density of residuals; coordinates without variance are no density."""
    noisy = np.diag(covariance) > 0
    if not noisy.all():
        left, covariance = left[np.ix_(noisy, noisy)], covariance[np.ix_(noisy, noisy)]
    if not len(covariance):
        return 0.0
    sign, logdet = np.linalg.slogdet(covariance)
    if sign <= 0:
        return -np.inf
    constant = len(covariance) * np.log(2 * np.pi) + logdet
    return float(-0.5 * (count * constant + np.trace(np.linalg.solve(covariance, left))))
