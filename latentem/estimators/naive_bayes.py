r"""Naive Bayes for documents of which few have a label, with scikit-learn's face.

A mixture of multinomials with one component for each class (`models.Mixture`,
`families.Multinomial`), in which the documents with a label belong to its class. Documents
without one have weight :math:`\lambda`. What is maximised:

.. math:: \sum_{i \in L} \log \pi_{y_i} f_{y_i}(x_i)
          + \lambda \sum_{i \in U} \log \sum_k \pi_k f_k(x_i) + \alpha \sum_{kj} \log p_{kj}

E-step: :math:`r_{ik} = [y_i = k]` with a label, else
:math:`\lambda \pi_k f_k(x_i) / \sum_h \pi_h f_h(x_i)`. M-step:
:math:`\pi_k \propto \sum_i r_{ik}`, :math:`p_{kj} \propto \alpha + \sum_i r_{ik} x_{ij}`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from scipy import sparse
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted, validate_data

from latentem.engine.acceleration import Accelerator
from latentem.engine.backends import backend_for, one_blas_thread
from latentem.engine.blocks import Rows
from latentem.engine.em import EM
from latentem.engine.flat import FlatSpace
from latentem.engine.result import EMResult
from latentem.estimators.partial_labels import codes_in, known_classes
from latentem.estimators.settings import kept, nothing_half_done
from latentem.estimators.validation import as_array, check_start_weights, check_weights
from latentem.families.multinomial import Multinomial, MultinomialParams
from latentem.families.priors import DirichletPrior
from latentem.models.mixture import Mixture, MixtureParams

__all__ = ["SemiSupervisedNB"]

Array = np.ndarray


class SemiSupervisedNB(ClassifierMixin, BaseEstimator):
    """Multinomial naive Bayes that learns from documents without a label too.

    Without such documents, or with ``unlabelled_weight=0``, it is scikit-learn's
    ``MultinomialNB``. Time and memory grow with the counts that are not 0.

    Parameters
    ----------
    alpha : float or (n_features,) array-like
        Counts added to every class for each word, at least 0.
    unlabelled_weight : float
        What a document without a label counts for, at least 0; one with a label counts 1. Less
        than 1 holds back unlabelled documents that outnumber the labels: choose it by
        cross-validation.
    fit_prior : bool
        Whether the probabilities of the classes are estimated. If not, they are equal.
    class_prior : (n_classes,) array-like, optional
        Probabilities of the classes, in the order of `classes_`, which then are kept.
    tol, max_iter, accelerate, stopping, n_jobs, progress, callbacks
        As in `GaussianMixture`. There is one start, the fit to the documents with a label.
    time_limit, checkpoint, checkpoint_every
        As in `GaussianMixture`.

    Attributes
    ----------
    classes_ : (n_classes,) array
        Classes that labels name, sorted.
    class_log_prior_ : (n_classes,) array
        Log probabilities of the classes.
    feature_log_prob_ : (n_classes, n_features) array
        Log probabilities of the words in each class.
    class_count_ : (n_classes,) array
        Weight of the documents of each class, those without a label shared out.
    feature_count_ : (n_classes, n_features) array
        Counts of the words in each class, likewise.
    loglik_ : float
        Log-likelihood of all documents, those without a label times `unlabelled_weight`. The
        prior that `alpha` stands for is not in it.
    result_ : EMResult
    converged_, n_iter_, n_features_in_, feature_names_in_

    References
    ----------
    Nigam, McCallum, Thrun and Mitchell (2000), Text classification from labeled and unlabeled
    documents using EM, doi:10.1023/A:1007692713085.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from latentem import SemiSupervisedNB
    >>> #                      goal match vote party
    >>> X = sparse.csr_array([[2, 0, 0, 0], [0, 0, 2, 0], [1, 3, 0, 0], [0, 0, 1, 2], [0, 2, 0, 0]])
    >>> y = np.array(["sport", "politics", "", "", ""])
    >>> SemiSupervisedNB().fit(X, y).predict(X).tolist()
    ['sport', 'politics', 'sport', 'politics', 'sport']
    """

    classes_: Array
    class_log_prior_: Array
    feature_log_prob_: Array
    class_count_: Array
    feature_count_: Array
    n_features_in_: int
    loglik_: float
    result_: EMResult | None

    def __init__(
        self,
        alpha: Any = 1.0,
        unlabelled_weight: float = 1.0,
        *,
        fit_prior: bool = True,
        class_prior: Any = None,
        tol: float = 1e-3,
        max_iter: int = 1000,
        accelerate: Literal["auto", "squarem", "anderson"]
        | Callable[[], Accelerator]
        | None = "auto",
        stopping: Literal["aitken", "step"] = "aitken",
        n_jobs: int | None = None,
        progress: bool = False,
        callbacks: Sequence[Callable] | None = None,
        time_limit: float | None = None,
        checkpoint: Any = None,
        checkpoint_every: int | str = "30s",
    ):
        self.alpha = alpha
        self.unlabelled_weight = unlabelled_weight
        self.fit_prior = fit_prior
        self.class_prior = class_prior
        self.tol = tol
        self.max_iter = max_iter
        self.accelerate = accelerate
        self.stopping = stopping
        self.n_jobs = n_jobs
        self.progress = progress
        self.callbacks = callbacks
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.classifier_tags.poor_score = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SemiSupervisedNB:
        """Fit by expectation-maximisation.

        Parameters
        ----------
        X : (n_documents, n_features) array-like or sparse matrix
            Counts of the words, at least 0.
        y : (n_documents,) array-like
            Classes. A document without a label has -1 or NaN among numbers, "" or None among
            text.
        sample_weight : (n_documents,) array-like, optional
            Weights of the documents; `unlabelled_weight` multiplies those without a label.

        Raises
        ------
        ValueError
            For documents, labels or arguments that cannot be fitted; nothing is changed then.
        """
        with nothing_half_done(self):
            settings = EM(
                tol=self.tol,
                max_iter=self.max_iter,
                accelerate=self.accelerate,
                stopping=self.stopping,
                n_jobs=self.n_jobs,
                callbacks=() if self.callbacks is None else self.callbacks,
                progress=bool(self.progress),
                **kept(self),
            )
            share = _weight(self.unlabelled_weight)
            X = self._counts(X, reset=True)
            codes, self.classes_ = known_classes(y, X.shape[0])
            weights = check_weights(sample_weight, X.shape[0], "document")
            weights = np.ones(X.shape[0]) if weights is None else weights
            documents = Rows(X, np.where(codes >= 0, weights, share * weights), codes)
            self._require_labels(documents)
            if not share:
                documents = documents[codes >= 0]
            model = self._model()
            result = settings.run(model, documents, start=self._start(documents))
            self._take(result.params)
            self.class_count_ = result.statistics.counts
            self.feature_count_ = result.statistics.family.counts
            self.result_, self.loglik_ = result, result.loglik
            self.converged_, self.n_iter_ = result.converged, result.n_iter
            return self

    def _require_labels(self, documents: Rows) -> None:
        """Refuse a class whose documents all have weight 0."""
        assert documents.labels is not None
        assert documents.weights is not None
        known = documents.labels >= 0
        seen = np.bincount(
            documents.labels[known], documents.weights[known], minlength=len(self.classes_)
        )
        if not np.all(seen > 0):
            name = self.classes_.tolist()[int(np.argmin(seen))]
            raise ValueError(
                f"every document of class {name!r} has sample_weight 0: leave these documents out"
            )

    def _counts(self, X: Any, reset: bool) -> Any:
        """The documents as an array, or as compressed sparse rows, of finite numbers >= 0."""
        if sparse.issparse(X) or hasattr(X, "sparse"):  # or a pandas frame of sparse columns
            X = validate_data(
                self, X, reset=reset, dtype=np.float64, accept_sparse="csr", ensure_all_finite=False
            )
        else:
            X = as_array(self, X, reset)
        cells = X.data if sparse.issparse(X) else X
        wrong = ~((cells >= 0) & (cells < np.inf))
        if wrong.any():
            if sparse.issparse(X):
                wrong = sparse.csr_array((wrong, X.indices, X.indptr), shape=X.shape)
            row, column = (int(place[0]) for place in wrong.nonzero())
            self._refuse(X[row, column], row, column)
        return X

    def _refuse(self, value: float, row: int, column: int) -> None:
        if value < 0 and value > -np.inf:
            raise ValueError(
                f"Negative values in data: X[{row}, {column}] is {value:.15g}, and "
                f"{type(self).__name__} takes counts, numbers >= 0"
            )
        what = "NaN" if np.isnan(value) else "infinity"
        raise ValueError(
            f"Input X contains {what} in row {row}, column {column}: {type(self).__name__} takes "
            "counts, finite numbers >= 0; drop that row, or correct the cell"
        )

    def _model(self, least: float = 0.0) -> Mixture:
        """The mixture; counts of 0 in `alpha` are `least`."""
        alpha = _smoothing(self.alpha, self.n_features_in_)
        alpha = np.where(alpha > 0, alpha, least)
        kept_prior = self.class_prior is not None or not self.fit_prior
        return Mixture(
            Multinomial(prior=DirichletPrior(1.0 + alpha) if np.any(alpha) else None),
            len(self.classes_),
            fixed=("weights",) if kept_prior else (),
            named=True,
        )

    def _start(self, documents: Rows) -> MixtureParams:
        """The fit to the documents with a label; no probability is 0, as it would remain so."""
        k, width = len(self.classes_), self.n_features_in_
        weights = np.full(k, 1.0 / k)
        if self.class_prior is not None:
            weights = check_start_weights(self.class_prior, k, "class_prior")
            if not np.all(weights > 0):
                name = self.classes_.tolist()[int(np.argmin(weights))]
                raise ValueError(
                    f"class_prior is 0 for class {name!r}, of which there are documents: they "
                    "would be impossible"
                )
        flat = MixtureParams(weights, MultinomialParams(np.full((k, width), 1.0 / width)))
        assert documents.labels is not None
        model = self._model(least=1.0)
        blocks = model.blocks(documents[documents.labels >= 0])
        statistics = backend_for(self.n_jobs).expect(model, flat, blocks).statistics
        found: MixtureParams = model.m_step(statistics, flat)
        return found

    def _take(self, params: MixtureParams) -> None:
        with np.errstate(divide="ignore"):
            self.class_log_prior_ = np.log(params.weights)
            self.feature_log_prob_ = np.log(params.family.emissionprob)

    def _ready(self) -> tuple[Mixture, MixtureParams]:
        check_is_fitted(self, "feature_log_prob_")
        probs = np.exp(self.feature_log_prob_)
        return self._model(), MixtureParams(np.exp(self.class_log_prior_), MultinomialParams(probs))

    def _log_joint(self, X: Any) -> Array:
        """Log of P(class) P(document | class), (n_classes, n_documents)."""
        model, params = self._ready()
        X = self._counts(X, reset=False)
        with one_blas_thread(), np.errstate(all="ignore"):
            prepared = model.prepare(params)
            parts = backend_for(self.n_jobs).map(
                lambda block: model.family.log_density(prepared.family, block.encoded),
                model.blocks(X),
            )
            return np.concatenate(list(parts), axis=1) + prepared.log_weights[:, None]

    def predict_log_proba(self, X: Any) -> Array:
        """Log probability of each class for each document, (n_documents, n_classes).

        Of a document that the fit calls impossible, as ``alpha=0`` can, equal shares.
        """
        joint = self._log_joint(X)
        joint[:, np.isneginf(joint).all(axis=0)] = 0.0
        with np.errstate(divide="ignore"):
            return np.ascontiguousarray(log_softmax(joint, axis=0).T)

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class for each document, (n_documents, n_classes)."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> Array:
        """Most probable class of each document, (n_documents,)."""
        found = np.argmax(self._log_joint(X), axis=0)
        return self.classes_[found]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Share of the documents with a label that are given it; the others do not count."""
        found = self._log_joint(X).argmax(axis=0)
        codes = codes_in(y, len(found), self.classes_)
        known = codes != -1
        if not known.any():
            raise ValueError("no document of y has a label: there is nothing to score")
        weights = check_weights(sample_weight, len(found), "document")
        weights = None if weights is None else weights[known]
        return float(accuracy_score(codes[known], found[known], sample_weight=weights))

    def save(self, path: Any) -> None:
        """Write the fitted model to an ``.npz`` file, without pickle; see `latentem.load`."""
        from latentem.estimators.storage import save

        save(self, path)

    def n_parameters(self) -> int:
        """Number of free parameters."""
        model, params = self._ready()
        return FlatSpace(model.constraints(), params).size

    def to_frame(self) -> Any:
        """Probability of each word in each class, as a pandas DataFrame (needs pandas)."""
        import pandas as pd

        check_is_fitted(self, "feature_log_prob_")
        names = getattr(self, "feature_names_in_", np.arange(self.n_features_in_))
        table = pd.DataFrame(
            np.exp(self.feature_log_prob_.T), index=list(names), columns=list(self.classes_)
        )
        table.columns.name, table.index.name = "class", "word"
        return table

    def summary(self) -> str:
        """A table of the classes, and how the fit ended."""
        from latentem.estimators.tables import ending, in_digits, text_table

        check_is_fitted(self, "feature_log_prob_")
        columns = [
            ["class", *map(str, self.classes_)],
            ["share", *in_digits(np.exp(self.class_log_prior_))],
            ["documents", *in_digits(self.class_count_)],
            ["counts", *in_digits(self.feature_count_.sum(axis=1))],
        ]
        head = f"{len(self.classes_)} classes, {self.n_features_in_} words"
        return "\n\n".join([head, text_table(columns), ending(self)])


def _weight(value: Any) -> float:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 <= value < np.inf:
        raise ValueError(f"unlabelled_weight must be a finite number >= 0, got {value!r}")
    return float(value)


def _smoothing(alpha: Any, width: int) -> Array:
    """`alpha` as () or (width,), finite and >= 0."""
    try:
        found = np.asarray(alpha, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"alpha must hold numbers, got {alpha!r}") from None
    if found.shape not in [(), (width,)]:
        raise ValueError(
            f"alpha must be a number or have one for each of the {width} features, got shape "
            f"{found.shape}"
        )
    if not (np.all(found >= 0) and np.all(found < np.inf)):
        raise ValueError(f"alpha must be finite and >= 0, got {alpha!r}")
    return found
