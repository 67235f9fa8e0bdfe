"""Word alignment of parallel text, with scikit-learn's face."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from latentem.engine.acceleration import Accelerator
from latentem.engine.backends import backend_for
from latentem.engine.em import EM
from latentem.engine.result import EMResult, Reason
from latentem.estimators.sentences import Sentences, encoded, read_pairs, vocabulary
from latentem.estimators.settings import nothing_half_done
from latentem.models.parallel_text import ParallelText, WordPairs
from latentem.models.symmetrization import METHODS, Link, Method, symmetrize
from latentem.models.word_alignment import POSITIONS, AlignmentParams, Kind, WordAlignment
from latentem.models.word_positions import NULL_START

__all__ = ["WordAligner"]

Array = np.ndarray


class WordAligner(BaseEstimator):
    """Which word of a sentence translates which of another, learned from pairs of sentences.

    Each target word is the translation of one source word of its sentence, or of none. The
    table of translations and what the model knows of positions are fitted by EM; new pairs
    are aligned with what was learned.

    Parameters
    ----------
    model : {"ibm1", "ibm2", "hmm"}
        IBM Model 1 looks at words alone. Model 2 has a prior that words stand near the
        diagonal of the pair of sentences. The hidden Markov model says how far the position
        jumps from one target word to the next; it is the slowest and mostly the best.
    null : bool, float or "estimate"
        Whether target words may come from no source word. A number is the probability of
        that for "ibm2" and "hmm", held; True is 0.08. An estimate maximises the likelihood,
        and for "ibm2" makes worse links. For "ibm1" the empty word is one among the others.
    smoothing : float
        Dirichlet prior: counts added to each pair of words that meet. 0 is maximum likelihood;
        0.01 to 0.1 keeps rare words from taking up what is not theirs.
    lowercase : bool
        Whether "The" is "the".
    symmetrization : {"intersection", "union", "grow-diag-final-and"} or None
        A second model of the other direction is fitted, and `align` joins both; see
        `latentem.symmetrize`. None fits and aligns in one direction.
    ibm1_iter : int
        EM maps of IBM Model 1 from whose table "ibm2" and "hmm" begin; 0 begins with a table
        in which all words are alike.
    max_iter : int
        Most EM maps.
    tol : float
        Projected remaining gain, in nats of the whole log-likelihood, at which to stop. With
        0, the default, there are exactly `max_iter` maps, as is the custom: links stop
        improving long before the likelihood does.
    accelerate : {"auto", "squarem", "anderson"}, callable or None
    n_jobs : int or None
        None uses the cores the process may use. Results do not depend on it.
    progress : bool
        Show a bar of the maps, with tqdm.

    Attributes
    ----------
    source_words_, target_words_ : list of str
        The words known.
    null_probability_ : float or None
        Probability that a target word comes from no source word; None for "ibm1" and
        ``null=False``.
    tension_ : float
        Of "ibm2": how fast the prior falls with the distance to the diagonal.
    jumps_ : (21,) array
        Of "hmm": weights of the jumps from -10 (and beyond) to 10 (and beyond) source words,
        of sum 1. The probability of a jump is its weight over the sum of those that stay in
        the sentence.
    loglik_ : float
        Total log-likelihood of the target sentences given the source, and their lengths.
    result_ : EMResult
    converged_ : bool
        False where `max_iter` ended the fit, as with ``tol=0``.
    n_iter_ : int
        EM maps, without those of `ibm1_iter`.
    reverse_ : WordAligner or None
        The model of the other direction, where `symmetrization` is given.

    Notes
    -----
    A pair of which a side is empty keeps its place and has no links. Words that were not
    seen in training: a known source word gives a word that it never met the probability 1e-9;
    an unknown source word gives the same probability to each target word and to "any
    other", 1 / (number of target words + 1). So an unknown word is linked to an unknown one
    rather than to one that has its translations, and to nothing under IBM Model 1 where
    there is none.

    Memory goes with the links that there can be, source words times target words. A pair may
    have 1,000,000 of them, and 500 source words for "hmm".

    Examples
    --------
    >>> from latentem import WordAligner
    >>> english = ["the house", "the book", "a book"]
    >>> german = ["das Haus", "das Buch", "ein Buch"]
    >>> aligner = WordAligner(null=False).fit(german, english)
    >>> [(word, round(p, 3)) for word, p in aligner.translation_table("Buch")]
    [('book', 0.996), ('a', 0.003), ('the', 0.001)]
    >>> aligner.align(["ein Haus"], ["a house"])
    [[(0, 0), (1, 1)]]
    """

    source_words_: list[str]
    target_words_: list[str]
    null_probability_: float | None
    result_: EMResult | None
    reverse_: WordAligner | None

    def __init__(
        self,
        model: Kind = "ibm1",
        *,
        null: bool | float | Literal["estimate"] = True,
        smoothing: float = 0.0,
        lowercase: bool = False,
        symmetrization: Method | None = None,
        ibm1_iter: int = 5,
        max_iter: int = 10,
        tol: float = 0.0,
        accelerate: Literal["auto", "squarem", "anderson"]
        | Callable[[], Accelerator]
        | None = None,
        n_jobs: int | None = None,
        progress: bool = False,
    ):
        self.model = model
        self.null = null
        self.smoothing = smoothing
        self.lowercase = lowercase
        self.symmetrization = symmetrization
        self.ibm1_iter = ibm1_iter
        self.max_iter = max_iter
        self.tol = tol
        self.accelerate = accelerate
        self.n_jobs = n_jobs
        self.progress = progress

    def fit(self, source: Any, target: Any) -> WordAligner:
        """Learn from pairs of sentences.

        Parameters
        ----------
        source, target : sequence of sentences
            Translations of each other, one by one. A sentence is a list of words, or a string,
            which is split at white space. Pairs with an empty side are left out.

        Raises
        ------
        TypeError, ValueError
            For text or arguments that cannot be used; nothing is changed then.
        """
        with nothing_half_done(self):
            self._check_arguments()
            pairs = read_pairs(source, target, self.lowercase)
            if not pairs.kept:
                raise ValueError(
                    f"none of the {len(pairs.sizes)} pairs has words on both sides: there is "
                    "nothing to learn from"
                )
            return self._fit(pairs)

    def _fit(self, pairs: Sentences) -> WordAligner:
        settings = EM(
            tol=self.tol,
            max_iter=self.max_iter,
            accelerate=self.accelerate,
            n_jobs=self.n_jobs,
            progress=bool(self.progress),
        )
        first = replace(settings, tol=0.0, max_iter=self.ibm1_iter, accelerate=None)
        self.source_words_ = vocabulary(pairs.source)
        self.target_words_ = vocabulary(pairs.target)
        text = self._encoded(pairs, self.model)
        model = self._made(WordPairs.make(text, self.null is not False))
        start = None
        if self.model != "ibm1" and self.ibm1_iter:
            alone = WordAlignment(model.pairs, "ibm1", smoothing=self.smoothing)
            table = _complete(first.run(alone, text)).params.translation
            start = model.started(table)
        result = settings.run(model, text, start=start)
        self._take(model, result.params)
        self.result_, self.loglik_ = result, result.loglik
        self.converged_, self.n_iter_ = result.converged, result.n_iter
        self.reverse_ = None
        if self.symmetrization is not None:
            _complete(result)
            other: WordAligner = clone(self).set_params(symmetrization=None)
            self.reverse_ = other._fit(pairs._replace(source=pairs.target, target=pairs.source))
        return self

    def _take(self, model: WordAlignment, params: AlignmentParams) -> None:
        """A fitted model, and parameters as attributes."""
        self._alignment, self._params = model, params
        self.null_probability_ = getattr(params.positions, "null", None)
        for name in ("tension", "jumps"):
            self.__dict__.pop(f"{name}_", None)  # of an earlier fit of another model
            if hasattr(params.positions, name):
                setattr(self, f"{name}_", getattr(params.positions, name))

    def _check_arguments(self) -> None:
        if self.model not in POSITIONS:
            raise ValueError(f"model must be one of {tuple(POSITIONS)}, got {self.model!r}")
        for name in ("smoothing", "ibm1_iter"):
            value = getattr(self, name)
            kinds = (int, float, np.number) if name == "smoothing" else (int, np.integer)
            good = isinstance(value, kinds) and not isinstance(value, bool)
            if not (good and 0 <= value < math.inf):
                raise ValueError(f"{name} must be a number >= 0, got {value!r}")
        if not isinstance(self.lowercase, bool):
            raise ValueError(f"lowercase must be True or False, got {self.lowercase!r}")
        if self.symmetrization is not None and self.symmetrization not in METHODS:
            raise ValueError(
                f"symmetrization must be None or one of {METHODS}, got {self.symmetrization!r}"
            )
        null = self.null
        if isinstance(null, bool) or (isinstance(null, str) and null == "estimate"):
            return
        if not isinstance(null, float | np.floating) or not 0 < null < 1:
            raise ValueError(
                "null must be True, False, 'estimate' or a probability between 0 and 1, got "
                f"{null!r}"
            )
        if self.model == "ibm1":
            raise ValueError(
                "with model='ibm1' the empty word has no probability of its own: null must be "
                f"True or False, got {null!r}"
            )

    def _made(self, pairs: WordPairs) -> WordAlignment:
        """The model that the arguments ask for."""
        null = None
        if self.model != "ibm1" and self.null is not False and self.null != "estimate":
            null = NULL_START if self.null is True else float(self.null)
        return WordAlignment(pairs, self.model, null, self.smoothing)

    def _encoded(self, pairs: Sentences, model: str) -> ParallelText:
        return encoded(pairs, self.source_words_, self.target_words_, chains=model == "hmm")

    def _read(self, source: Any, target: Any) -> Sentences:
        check_is_fitted(self)
        return read_pairs(source, target, self.lowercase)

    def _for_each(self, method: str, pairs: Sentences) -> list[Any]:
        """What a method of the model finds for pairs that have words on both sides."""
        if not pairs.kept:
            return []
        text = self._encoded(pairs, self._alignment.kind)
        model = self._alignment.at(text)
        found: list[Any] = getattr(model, method)(self._params, text, backend_for(self.n_jobs))
        return found

    def predict(self, source: Any, target: Any) -> list[Array]:
        """Source position of each target word, -1 for none; in the direction of the fit.

        Parameters
        ----------
        source, target : sequence of sentences
            As for `fit`; words may be new.

        Returns
        -------
        list of (m,) int arrays, one for each pair
        """
        pairs = self._read(source, target)
        out = [np.full(m, -1) for _, m in pairs.sizes]
        for place, positions in zip(pairs.kept, self._for_each("links", pairs), strict=True):
            out[place] = positions
        return out

    def align(self, source: Any, target: Any) -> list[list[Link]]:
        """Links (source position, target position) of each pair of sentences, sorted.

        Positions count from 0. With `symmetrization` the links of both directions are joined.

        Parameters
        ----------
        source, target : sequence of sentences
            As for `fit`; words may be new.
        """
        pairs = self._read(source, target)
        found = self._links(pairs)
        if self.symmetrization is not None:
            if self.reverse_ is None:
                raise ValueError(
                    f"symmetrization={self.symmetrization!r} joins two directions, and one was "
                    "fitted: fit again, or set symmetrization to None"
                )
            swapped = pairs._replace(source=pairs.target, target=pairs.source)
            back = [[(j, i) for i, j in links] for links in self.reverse_._links(swapped)]
            found = [
                symmetrize(one, other, self.symmetrization)
                for one, other in zip(found, back, strict=True)
            ]
        out: list[list[Link]] = [[] for _ in pairs.sizes]
        for place, links in zip(pairs.kept, found, strict=True):
            out[place] = links
        return out

    def _links(self, pairs: Sentences) -> list[list[Link]]:
        """Links in the direction of this model, of the pairs that have words on both sides."""
        return [
            sorted((i, j) for j, i in enumerate(positions.tolist()) if i >= 0)
            for positions in self._for_each("links", pairs)
        ]

    def predict_proba(self, source: Any, target: Any) -> list[Array]:
        """Probability of each link, (target words, source words), for each pair.

        In the direction of the fit. What a row lacks to 1 is the probability that the target
        word has no source word.
        """
        pairs = self._read(source, target)
        out = [np.zeros((m, l)) for l, m in pairs.sizes]  # noqa: E741
        for place, cells in zip(pairs.kept, self._for_each("posteriors", pairs), strict=True):
            out[place] = cells[:, int(self._alignment.pairs.null) :].copy()
        return out

    def _total(self, source: Any, target: Any) -> tuple[float, int]:
        """Log-likelihood and number of target words."""
        pairs = self._read(source, target)
        if not pairs.kept:
            raise ValueError("no pair has words on both sides: there is nothing to score")
        text = self._encoded(pairs, self._alignment.kind)
        model = self._alignment.at(text)
        found = backend_for(self.n_jobs).expect(model, self._params, model.blocks(text))
        return found.loglik, len(text.target)

    def score(self, source: Any, target: Any) -> float:
        """Mean log-likelihood of a target word, in nats; larger is better.

        Of the words of the target sentences given the source sentences and the lengths, in the
        direction of the fit; pairs with an empty side are left out. See `perplexity`.
        """
        loglik, words = self._total(source, target)
        return loglik / words

    def perplexity(self, source: Any, target: Any) -> float:
        """``exp(-score)``: how many words there might as well be to choose from."""
        return math.exp(-self.score(source, target))

    def translation_table(self, word: str | None, n: int = 10) -> list[tuple[str, float]]:
        """The most probable translations of a source word.

        Parameters
        ----------
        word : str or None
            None is the empty word.
        n : int
            Most translations.

        Returns
        -------
        list of (target word, probability), the most probable first

        Raises
        ------
        KeyError
            For a word that is not known.
        """
        check_is_fitted(self)
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(f"n must be an integer >= 1, got {n!r}")
        if word is None:
            if not self._alignment.pairs.null:
                raise KeyError("the model was fitted with null=False: it has no empty word")
            row = 0
        else:
            word = word.lower() if self.lowercase else word
            if word not in self.source_words_:
                raise KeyError(f"the source word {word!r} was not seen in training")
            row = self.source_words_.index(word) + self._alignment.pairs.null
        begin, end = self._alignment.pairs.indptr[row : row + 2]
        probabilities = self._params.translation[begin:end]
        best = np.argsort(-probabilities, kind="stable")[:n]
        words = self._alignment.pairs.columns[begin:end][best]
        return [
            (self.target_words_[w], float(p))
            for w, p in zip(words, probabilities[best], strict=True)
        ]

    def save(self, path: Any) -> None:
        """Write the fitted model to an ``.npz`` file, without pickle; see `latentem.load`."""
        from latentem.estimators.storage import save

        save(self, path)


def _complete(result: EMResult) -> EMResult:
    """The result of a fit that others follow; Ctrl-C in it ends them all."""
    if result.reason is Reason.INTERRUPTED:
        raise KeyboardInterrupt
    return result
