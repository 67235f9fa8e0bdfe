"""The contract: what a model is to the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from latentem.engine.blocks import DEFAULT_SIZE, slices
from latentem.engine.resampling import rows_like

__all__ = ["SOFT", "Diagnosis", "Expectation", "How", "LatentModel"]


class How(NamedTuple):
    r"""A variant of the E-step: which distribution of the latent variables z it takes.

    Parameters
    ----------
    kind : {"soft", "hard"}
        Soft takes the posterior, hard the most probable z alone (classification EM).
    beta : float
        Inverse temperature of the soft posterior, :math:`\propto p(x, z)^\beta`; below 1 it
        is flatter (deterministic annealing).

    Notes
    -----
    Each variant raises an objective of its own, which an E-step returns as its `loglik`:

    - soft: :math:`\log \sum_z p(x, z)`, the log-likelihood;
    - tempered: :math:`\beta^{-1} \log \sum_z p(x, z)^\beta`, the negated free energy (Ueda and
      Nakano 1998, doi:10.1016/S0893-6080(97)00133-0);
    - hard: :math:`\max_z \log p(x, z)`, the classification log-likelihood (Celeux and Govaert
      1992, doi:10.1016/0167-9473(92)90042-E), to which the second tends for large
      :math:`\beta`.

    M-steps are the same under each.
    """

    kind: Literal["soft", "hard"] = "soft"
    beta: float = 1.0


#: The E-step of plain EM.
SOFT = How()


class Expectation(NamedTuple):
    """What an E-step returns for one block, and, added up, for all of them.

    Parameters
    ----------
    statistics : tree
        Additive expected statistics (see `latentem.engine.trees`).
    loglik : float
        Log-likelihood of the block at the parameters of this E-step; under another `How`
        than the plain one, the objective of that.
    weight : float
        Units in the block: the sum of its row weights, usually.
    """

    statistics: Any
    loglik: float
    weight: float


class Diagnosis(NamedTuple):
    """What a model has to say of finished parameters, in sentences.

    `degenerate` names components whose likelihood is not to be trusted (a
    variance on its floor): such a fit never beats a sound one. `not_identified`
    names parameters that the data do not settle (two components that coincide); the
    user is warned of both. `notes` are remarks that change no ranking (an empty
    component, a constant column).
    """

    degenerate: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    not_identified: tuple[str, ...] = ()


class LatentModel(ABC):
    """A model with latent variables that EM can fit.

    Three methods make a model; each optional one unlocks something.

    ===================  =======================================================
    method               what it is for
    ===================  =======================================================
    ``initialize``       *required*: parameters to start from
    ``e_step``           *required*: one block of data to additive statistics
    ``m_step``           *required*: added statistics to new parameters
    ``prepare``          derived quantities (factors, logs), once per E-step
    ``constraints``      acceleration, ``n_parameters``, AIC, BIC, standard errors
    ``log_prior``        MAP: the objective is log-likelihood + log prior
    ``expected_loglik``  Q, for standard errors without p^2 E-steps and `check_model`
    ``kkt_residual``     ``EM(stopping="gradient")``
    ``blocks``           data that are not an array or a tuple of arrays
    ``diagnose``         words about degenerate or empty components
    ``variants``         hard EM and annealing: names of what ``e_step`` understands
    ``moves``            starts that leave a local maximum (``"split-merge"``)
    ``sample``           simulation, bootstrap, simulate-and-recover in `check_model`
    ===================  =======================================================

    Parameters and statistics are (nested) NamedTuples of float64 arrays or
    floats. They are values: never change one in place, and keep no logs or
    factors in them, which belong to ``prepare``.

    Checklist

    - ``e_step`` reads parameters through ``prepare``'s result only, keeps no
      state and may run in several threads at once;
    - the statistics of two blocks, added, are those of the blocks together;
    - ``loglik`` belongs to the parameters of that E-step, constants included;
    - ``m_step`` never decreases ``expected_loglik + log_prior`` and returns
      fixed values bit for bit;
    - a row of weight 0 contributes exactly nothing.

    `latentem.testing.check_model` tests all of it.

    Examples
    --------
    Genetic linkage (Rao 1973): counts 125, 18, 20, 34 with cell probabilities
    ``1/2 + t/4, (1 - t)/4, (1 - t)/4, t/4``.

    >>> from typing import NamedTuple
    >>> import numpy as np
    >>> from latentem import EM, Expectation, LatentModel
    >>> class Linkage(NamedTuple):
    ...     theta: float
    >>> class LinkageModel(LatentModel):
    ...     def initialize(self, blocks, rng):
    ...         return Linkage(0.5)
    ...     def e_step(self, params, counts):
    ...         t, (a, b, c, d) = params.theta, counts
    ...         p = np.array([0.5 + t / 4, (1 - t) / 4, (1 - t) / 4, t / 4])
    ...         linked = a * (t / 4) / p[0] + d
    ...         return Expectation((linked, b + c), float(counts @ np.log(p)), counts.sum())
    ...     def m_step(self, statistics, params):
    ...         linked, crossed = statistics
    ...         return Linkage(linked / (linked + crossed))
    >>> counts = np.array([125.0, 18.0, 20.0, 34.0])
    >>> result = EM(tol=1e-12).run(LinkageModel(), counts)
    >>> round(float(result.params.theta), 8)
    0.6268215
    """

    #: Whether the statistics of blocks add; a model of which this is False is
    #: refused by online, out-of-core and distributed fits.
    additive: bool = True

    #: Whether a map can only raise the objective. Where an M-step only comes near the
    #: maximum (a ridge added to covariances), say False: a fall is then no error, nothing
    #: is accelerated, and the fit stops when the objective stands still.
    monotone: bool = True

    #: Whether components may be numbered in any order; then ``relabel`` puts them in another,
    #: and there are ``family``, ``n_components`` and ``params.family``.
    exchangeable: bool = False

    #: Variants of the E-step that ``e_step`` understands, of "hard" and "tempered". Where there
    #: are any it takes a third argument, ``how=SOFT``, a `How`.
    variants: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def initialize(self, blocks: Sequence[Any], rng: np.random.Generator) -> Any:
        """Parameters to start from, given an even subsample of the data as blocks."""

    @abstractmethod
    def e_step(self, prepared: Any, block: Any) -> Expectation:
        """Expected statistics and log-likelihood of one block, at `prepared`."""

    @abstractmethod
    def m_step(self, statistics: Any, params: Any) -> Any:
        """Parameters that maximise Q + log prior, given all statistics.

        `params` are those of the E-step: fixed values come from there, and a
        generalised or conditional M-step starts from there.
        """

    def prepare(self, params: Any) -> Any:
        """What ``e_step`` reads, derived from `params` once per E-step."""
        return params

    def constraints(self) -> Any:
        """A `Constraint` per leaf, in the structure of the parameters; None if not declared."""
        return None

    def log_prior(self, params: Any) -> float:
        """Log prior density, added to the log-likelihood in the objective."""
        return 0.0

    def expected_loglik(self, params: Any, statistics: Any) -> float:
        """Q(params) at given statistics, without the prior; linear in the statistics."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no expected_loglik(params, statistics)"
        )

    def kkt_residual(self, params: Any, statistics: Any) -> float:
        """How far parameters, with their own statistics, are from the conditions of a maximum.

        0 where the gradient of the objective vanishes, or points out of the set at its
        boundary; in a unit of the model's choice.
        """
        raise NotImplementedError(
            f"{type(self).__name__} defines no kkt_residual(params, statistics), which "
            "stopping='gradient' needs"
        )

    def blocks(self, data: Any, size: int | None = None) -> Iterable[Any]:
        """Cut `data` into blocks of about `size` units.

        An array is cut into slices of rows, a tuple of arrays of one length into
        tuples of slices. Boundaries depend on the data and `size` alone.
        """
        return slices(data, size)

    def block_size(self, n_features: int) -> int:
        """Units of a block where data are read piece by piece, as `blocks` would choose it."""
        return DEFAULT_SIZE

    def diagnose(self, params: Any, statistics: Any) -> Diagnosis:
        """Sentences about degenerate or empty components of a finished fit."""
        return Diagnosis()

    def moves(
        self, params: Any, blocks: Sequence[Any], rng: np.random.Generator
    ) -> Iterator[tuple[float, Any]]:
        """Ways out of a local maximum: how much each may gain, and parameters to go on from.

        The gain is a guess, in nats, before EM goes on; the most promising comes first.
        `blocks` are those of ``initialize``.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no moves(params, blocks, rng)")

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> Any:
        """Data of n units drawn from the model, as ``blocks`` takes them."""
        raise NotImplementedError(f"{type(self).__name__} defines no sample(params, n, rng)")

    def sample_like(self, params: Any, data: Any, n: int, rng: np.random.Generator) -> Any:
        """Data of the shape of `data`, whose units weigh n together, drawn from the model.

        Rows have no weights of their own any more, and miss the cells that `data` miss.
        """
        return rows_like(self, params, data, n, rng)

    def relabel(self, params: Any, order: np.ndarray) -> Any:
        """The parameters with component ``order[k]`` in place k."""
        raise NotImplementedError(f"{type(self).__name__} defines no relabel(params, order)")
