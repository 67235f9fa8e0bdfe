"""True classes behind the votes of raters, with scikit-learn's face."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from latentem.engine.acceleration import Accelerator
from latentem.engine.backends import backend_for, one_blas_thread
from latentem.engine.em import EM
from latentem.engine.flat import FlatSpace
from latentem.engine.result import EMResult
from latentem.estimators.settings import generator, kept, nothing_half_done
from latentem.estimators.triples import Triples, codes_of, triples_of
from latentem.models.dawid_skene import DawidSkene as DawidSkeneModel
from latentem.models.dawid_skene import DawidSkeneParams, Votes

__all__ = ["DawidSkene"]

Array = np.ndarray


class DawidSkene(BaseEstimator):
    """What items truly are, and how reliable each rater is, from votes that disagree.

    Every vote is a triple: an item, a rater, a label. Items need not have the same number of
    votes, nor raters have seen the same items; a rater may judge an item more than once. Time
    and memory grow with the number of votes.

    Parameters
    ----------
    raters : {"confusion", "one-coin"}
        What is estimated of each rater: a table P(label | true class), or one probability of
        being right, which suits raters with few votes.
    prior : float or (n_classes, n_classes) array-like, optional
        Pseudo-counts added to every rater's votes, as [class, label]: the fit is then the
        posterior mode under a Dirichlet prior. Without it a rater with few votes is soon
        taken for infallible.
    tol, max_iter, n_init, accelerate, stopping, random_state, n_jobs, progress, callbacks
        As in `GaussianMixture`. The first start is the shares of the votes, others are drawn
        around these at random.
    time_limit, checkpoint, checkpoint_every
        As in `GaussianMixture`.

    Attributes
    ----------
    items_ : (n_items,) array
        Items, sorted.
    raters_ : (n_raters,) array
    classes_ : (n_classes,) array
        Labels that occur, sorted.
    weights_ : (n_classes,) array
        Shares of the classes.
    confusion_ : (n_raters, n_classes, n_classes) array
        P(label | true class), a row for each class.
    accuracy_ : (n_raters,) array
        Probability that a rater is right about an item of unknown class.
    loglik_ : float
        Total log-likelihood of the votes.
    result_ : EMResult
    converged_, n_iter_

    References
    ----------
    Dawid and Skene (1979), doi:10.2307/2346806.

    Examples
    --------
    >>> from latentem import DawidSkene
    >>> from latentem.datasets import load_anaesthetists
    >>> votes = load_anaesthetists().data  # patient, rater, label
    >>> model = DawidSkene(tol=1e-9).fit(votes)
    >>> model.weights_.round(3).tolist(), round(model.loglik_, 6)
    ([0.4, 0.422, 0.112, 0.067], -192.890881)
    >>> model.predict(votes)[:5].tolist()
    [1.0, 4.0, 2.0, 2.0, 2.0]
    """

    items_: Array
    raters_: Array
    classes_: Array
    weights_: Array
    confusion_: Array
    loglik_: float
    result_: EMResult | None

    def __init__(
        self,
        raters: Literal["confusion", "one-coin"] = "confusion",
        *,
        prior: Any = None,
        tol: float = 1e-3,
        max_iter: int = 1000,
        n_init: int = 1,
        accelerate: Literal["auto", "squarem", "anderson"]
        | Callable[[], Accelerator]
        | None = "auto",
        stopping: Literal["aitken", "step"] = "aitken",
        random_state: Any = None,
        n_jobs: int | None = None,
        progress: bool = False,
        callbacks: Sequence[Callable] | None = None,
        time_limit: float | None = None,
        checkpoint: Any = None,
        checkpoint_every: int | str = "30s",
    ):
        self.raters = raters
        self.prior = prior
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.accelerate = accelerate
        self.stopping = stopping
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.progress = progress
        self.callbacks = callbacks
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    def fit(self, X: Any, y: Any = None, gold: Mapping[Any, Any] | None = None) -> DawidSkene:
        """Fit by expectation-maximisation.

        Parameters
        ----------
        X : (n_votes, 3) array-like or frame
            Item, rater and label of each vote: numbers or text.
        y : ignored
        gold : mapping, optional
            True classes of some items, ``{item: label}``. Such an item must have a vote.

        Raises
        ------
        ValueError
            For votes or arguments that cannot be fitted; nothing is changed then.
        """
        with nothing_half_done(self):
            settings = EM(
                tol=self.tol,
                max_iter=self.max_iter,
                accelerate=self.accelerate,
                stopping=self.stopping,
                n_init=self.n_init,
                n_jobs=self.n_jobs,
                callbacks=() if self.callbacks is None else self.callbacks,
                progress=bool(self.progress),
                **kept(self),
            )
            triples = triples_of(X)
            items, self.items_ = codes_of(triples.items, "item")
            raters, self.raters_ = codes_of(triples.raters, "rater")
            truths = [] if gold is None else _mapping(gold)
            labels, self.classes_ = codes_of(
                triples.labels, "label", [truth for _, truth in truths]
            )
            if len(self.classes_) < 2:
                raise ValueError(
                    f"all votes are {self.classes_.tolist()[0]!r}: there is nothing to tell apart"
                )
            votes = Votes.of(items, raters, labels, len(self.items_))
            if truths:
                known = _known(truths, self.items_, self.classes_)
                votes = Votes(votes.offsets, votes.raters, votes.labels, known)
            first, rng = self._model(), generator(self.random_state)
            starts: list[Any] = [first.initialize]
            starts += [self._model("random").initialize] * (settings.n_init - 1)
            result = settings.run(first, votes, start=starts, rng=rng)
            self._take(first, result.params)
            self.result_, self.loglik_ = result, result.loglik
            self.converged_, self.n_iter_ = result.converged, result.n_iter
            return self

    def _model(self, start: Literal["votes", "random"] = "votes") -> DawidSkeneModel:
        n_raters, n_classes = len(self.raters_), len(self.classes_)
        return DawidSkeneModel(n_raters, n_classes, self.raters, self.prior, start)

    def _take(self, model: DawidSkeneModel, params: DawidSkeneParams) -> None:
        self.weights_, self.confusion_ = params.weights, model.tables(params)

    @property
    def accuracy_(self) -> Array:
        """Probability that each rater is right about an item of unknown class, (n_raters,)."""
        return self.confusion_.diagonal(0, 1, 2) @ self.weights_

    def _ready(self) -> tuple[DawidSkeneModel, DawidSkeneParams]:
        check_is_fitted(self, "confusion_")
        tables: Array = self.confusion_
        if self.raters == "one-coin":
            tables = tables[:, 0, 0]
        return self._model(), DawidSkeneParams(self.weights_, tables)

    def em_problem(
        self, X: Any, sample_weight: Any = None, lengths: Any = None
    ) -> tuple[DawidSkeneModel, DawidSkeneParams, Votes]:
        """The engine's view of this fit: model, parameters and votes."""
        if sample_weight is not None or lengths is not None:
            raise ValueError("votes have neither sample_weight nor lengths: leave these out")
        model, params = self._ready()
        return model, params, self._votes(X)[0]

    def _votes(self, X: Any) -> tuple[Votes, Array]:
        """Votes of known raters, and their items, sorted."""
        triples: Triples = triples_of(X)
        items, names = codes_of(triples.items, "item")
        raters = _places(
            triples.raters, self.raters_, "rater", "the fit has no votes of that rater"
        )
        labels = _places(triples.labels, self.classes_, "label", "the fit has no such class")
        return Votes.of(items, raters, labels, len(names)), names

    def _posterior(self, X: Any) -> tuple[Array, Array]:
        """Probabilities (K, n_items) and log-likelihoods (n_items,)."""
        model, params = self._ready()
        votes, _ = self._votes(X)
        with one_blas_thread(), np.errstate(all="ignore"):
            prepared = model.prepare(params)
            parts = list(
                backend_for(self.n_jobs).map(
                    lambda block: model.posterior(prepared, block), model.blocks(votes)
                )
            )
        shares = np.concatenate([part[0] for part in parts], axis=1)
        loglik = np.concatenate([part[1] for part in parts])
        shares[:, np.isneginf(loglik)] = 1.0 / len(self.classes_)
        return shares, loglik

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class for each item of X, items sorted, (n_items, n_classes).

        Of votes that the fit calls impossible, equal shares.
        """
        return self._posterior(X)[0].T

    def predict(self, X: Any) -> Array:
        """Most probable class of each item of X, items sorted, (n_items,)."""
        return self.classes_[np.argmax(self._posterior(X)[0], axis=0)]

    def fit_predict(self, X: Any, y: Any = None, gold: Mapping[Any, Any] | None = None) -> Array:
        """Fit, and the most probable class of each item in `items_`; gold items have theirs."""
        found = self.fit(X, gold=gold).predict(X)
        for item, truth in [] if gold is None else _mapping(gold):
            found[np.searchsorted(self.items_, item)] = truth
        return found

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-likelihood per item."""
        return float(self._posterior(X)[1].mean())

    def n_parameters(self) -> int:
        """Number of free parameters."""
        model, params = self._ready()
        return FlatSpace(model.constraints(), params).size

    def save(self, path: Any) -> None:
        """Write the fitted model to an ``.npz`` file, without pickle; see `latentem.load`."""
        from latentem.estimators.storage import save

        save(self, path)

    def to_frame(self) -> Any:
        """The raters as a pandas DataFrame: how often each is right, by class (needs pandas)."""
        import pandas as pd

        self._ready()
        right = self.confusion_.diagonal(0, 1, 2)
        table = pd.DataFrame(right, index=list(self.raters_), columns=list(self.classes_))
        table.columns.name, table.index.name = "right about", "rater"
        table.insert(0, "accuracy", self.accuracy_)
        return table

    def summary(self) -> str:
        """A table of classes and raters, and how the fit ended."""
        from latentem.estimators.tables import ending, in_digits, text_table

        self._ready()
        right = self.confusion_.diagonal(0, 1, 2)
        columns = [
            ["rater", *map(str, self.raters_)],
            ["right", *in_digits(self.accuracy_)],
            *(
                [f"about {name}", *in_digits(right[:, k])]
                for k, name in enumerate(self.classes_.tolist())
            ),
        ]
        shares = [["class", *map(str, self.classes_)], ["share", *in_digits(self.weights_)]]
        head = f"{len(self.items_)} items, {len(self.raters_)} raters"
        return "\n\n".join([head, text_table(shares), text_table(columns), ending(self)])


def _mapping(gold: Any) -> list[tuple[Any, Any]]:
    if not isinstance(gold, Mapping):
        raise ValueError(f"gold must be a mapping of items to labels, got {type(gold).__name__}")
    return list(gold.items())


def _known(truths: list[tuple[Any, Any]], items: Array, classes: Array) -> Array:
    """True classes (n_items,), -1 where not known."""
    known = np.full(len(items), -1)
    names = np.array([item for item, _ in truths])
    places = _places(names, items, "item", "gold names it, and there is no vote on it")
    known[places] = _places(np.array([truth for _, truth in truths]), classes, "label", "")
    return known


def _places(values: Array, known: Array, what: str, trouble: str) -> Array:
    """Codes of values among the sorted known ones; ValueError for others."""
    try:
        places = np.searchsorted(known, values)
    except TypeError:
        places = np.zeros(len(values), dtype=np.intp)
    right = known[np.minimum(places, len(known) - 1)] == values
    if not np.all(right):
        value = values.tolist()[int(np.argmin(right))]
        raise ValueError(f"unknown {what} {value!r}: {trouble}")
    return places
