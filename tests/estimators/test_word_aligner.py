"""WordAligner: fits, new words, symmetrisation, files, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import latentem
from latentem import (
    ConvergenceWarning,
    WordAligner,
    alignment_error_rate,
    from_pharaoh,
    symmetrize,
    to_pharaoh,
)
from latentem.engine.archive import read_archive, write_archive
from tests.models.planted import planted

ENGLISH = ["the house is small", "the book", "a book", "the small house", "a house"]
GERMAN = ["das Haus ist klein", "das Buch", "ein Buch", "das kleine Haus", "ein Haus"]
KINDS = ("ibm1", "ibm2", "hmm")


def strings(n=200):
    """A planted text as sentences of words, and its links."""
    text, positions = planted(n)
    sides = []
    for words, lengths, letter in (
        (text.source, text.source_lengths, "f"),
        (text.target, text.target_lengths, "e"),
    ):
        ends = np.cumsum(lengths)
        sides.append(
            [
                " ".join(f"{letter}{w}" for w in words[end - n : end])
                for end, n in zip(ends, lengths, strict=True)
            ]
        )
    links = [[(i, j) for j, i in enumerate(places.tolist()) if i >= 0] for places in positions]
    return *sides, links


def test_strings_and_lists_of_words_are_the_same():
    one = WordAligner("hmm").fit(GERMAN, ENGLISH)
    other = WordAligner("hmm").fit(
        [s.split() for s in GERMAN], np.array([s.split() for s in ENGLISH], dtype=object)
    )
    assert one.loglik_ == other.loglik_
    assert one.align(GERMAN, ENGLISH) == other.align(GERMAN, ENGLISH)


@pytest.mark.parametrize("model", KINDS)
def test_score_is_that_of_the_fit(model):
    aligner = WordAligner(model).fit(GERMAN, ENGLISH)
    words = sum(len(s.split()) for s in ENGLISH)
    assert aligner.score(GERMAN, ENGLISH) == pytest.approx(aligner.loglik_ / words, rel=1e-12)
    assert aligner.perplexity(GERMAN, ENGLISH) == pytest.approx(np.exp(-aligner.loglik_ / words))
    assert aligner.n_iter_ == 10
    assert not aligner.converged_
    assert WordAligner(model, max_iter=500, tol=1e-3).fit(GERMAN, ENGLISH).converged_


@pytest.mark.parametrize("model", KINDS)
def test_pairs_in_another_order_and_with_empty_ones_are_aligned_alike(model):
    source, target, _ = strings(60)
    aligner = WordAligner(model, symmetrization="grow-diag-final-and").fit(source, target)
    every = aligner.align(source, target)
    assert every[::-1] == aligner.align(source[::-1], target[::-1])
    assert [every[3], [], [], [], every[7]] == aligner.align(
        [source[3], "", "f1", "", source[7]], [target[3], "e1 e2", "", " ", target[7]]
    )
    again = WordAligner(model).fit(["", *source, "f1"], ["e1 e2", *target, []])
    assert again.loglik_ == aligner.loglik_
    assert [p.tolist() for p in aligner.predict(["", "f1"], ["e1 e2", ""])] == [[-1, -1], []]
    assert [p.shape for p in aligner.predict_proba(["", "f1"], ["e1 e2", ""])] == [(2, 0), (0, 1)]
    assert aligner.align([], []) == []
    assert aligner.align([""], ["e1"]) == [[]]


@pytest.mark.parametrize("model", KINDS)
def test_words_that_were_not_seen(model):
    aligner = WordAligner(model, smoothing=0.01).fit(GERMAN, ENGLISH)
    links = aligner.align(["das Haus Zwetschge"], ["the house plum"])
    assert links == [[(0, 0), (1, 1), (2, 2)]]  # unknown to unknown, known as ever
    unknown = aligner.predict_proba(["Zwetschge"], ["plum"])[0][0, 0]
    table = 1 / (len(aligner.target_words_) + 1)
    if model == "ibm1":
        assert unknown == pytest.approx(table / (table + 1e-9))
    assert np.isfinite(aligner.perplexity(["Zwetschge Buch"], ["plum house the"]))


def test_a_word_that_nothing_explains_has_no_link_under_ibm_1():
    aligner = WordAligner().fit(GERMAN, ENGLISH)
    assert aligner.predict(["das Buch"], ["plum book"])[0].tolist() == [-1, 1]


def test_lowercase():
    aligner = WordAligner(lowercase=True, null=False).fit(["Das HAUS", "das"], ["The house", "the"])
    assert aligner.source_words_ == ["das", "haus"]
    assert aligner.translation_table("HAUS")[0][0] == "house"
    assert aligner.align(["das haus"], [["THE", "House"]]) == [[(0, 0), (1, 1)]]


def test_translation_table():
    aligner = WordAligner().fit(GERMAN, ENGLISH)
    table = aligner.translation_table("Haus", n=3)
    assert table[0][0] == "house"
    assert len(table) == 3
    assert [p for _, p in table] == sorted((p for _, p in table), reverse=True)
    assert sum(p for _, p in aligner.translation_table("das", n=99)) == pytest.approx(1)
    assert len(aligner.translation_table(None, n=99)) == len(aligner.target_words_)
    with pytest.raises(KeyError, match="'house' was not seen"):
        aligner.translation_table("house")
    with pytest.raises(KeyError, match="no empty word"):
        WordAligner(null=False).fit(GERMAN, ENGLISH).translation_table(None)
    with pytest.raises(ValueError, match="n must be an integer"):
        aligner.translation_table("das", n=0)


def test_both_directions_are_those_fitted_alone():
    source, target, links = strings()
    both = WordAligner("hmm", symmetrization="intersection").fit(source, target)
    there, back = WordAligner("hmm").fit(source, target), WordAligner("hmm").fit(target, source)
    swapped = [[(i, j) for j, i in pair] for pair in back.align(target, source)]
    wanted = [
        symmetrize(a, b, "intersection")
        for a, b in zip(there.align(source, target), swapped, strict=True)
    ]
    assert both.align(source, target) == wanted
    assert [p.tolist() for p in both.predict(source, target)] == [
        p.tolist() for p in there.predict(source, target)
    ]
    errors = {None: alignment_error_rate(there.align(source, target), links)}
    for method in ("intersection", "union", "grow-diag-final-and"):
        both.set_params(symmetrization=method)  # a matter of align alone
        errors[method] = alignment_error_rate(both.align(source, target), links)
    assert errors["grow-diag-final-and"] < errors["union"]
    assert errors["intersection"] < errors[None]


def test_arguments_changed_after_the_fit_do_not_change_what_was_fitted():
    aligner = WordAligner("hmm").fit(GERMAN, ENGLISH)
    links = aligner.align(GERMAN, ENGLISH)
    aligner.set_params(model="ibm1", null=False, smoothing=5.0)
    assert aligner.align(GERMAN, ENGLISH) == links
    with pytest.raises(ValueError, match="was changed after the fit: set it back"):
        aligner.save("nowhere.npz")
    aligner.set_params(symmetrization="union")
    with pytest.raises(ValueError, match="joins two directions, and one was fitted: fit again"):
        aligner.align(GERMAN, ENGLISH)


@pytest.mark.parametrize("model", ["hmm", "ibm1"])
def test_ctrl_c_in_a_fit_that_others_follow_ends_them_all(model, monkeypatch):
    calls = []

    def interrupted(self, statistics, params):
        calls.append(self.kind)
        raise KeyboardInterrupt

    monkeypatch.setattr("latentem.models.word_alignment.WordAlignment.m_step", interrupted)
    aligner = WordAligner(model, symmetrization="union")
    with pytest.warns(ConvergenceWarning, match="interrupted"), pytest.raises(KeyboardInterrupt):
        aligner.fit(GERMAN, ENGLISH)
    assert calls == ["ibm1"]
    assert not hasattr(aligner, "result_")


def test_null_probability():
    source, target, _ = strings(80)
    held = WordAligner("hmm", null=0.2).fit(source, target)
    assert held.null_probability_ == 0.2
    free = WordAligner("hmm", null="estimate").fit(source, target)
    assert 0.01 < free.null_probability_ < 0.5
    assert free.loglik_ > WordAligner("hmm", null=0.9).fit(source, target).loglik_
    none = WordAligner("hmm", null=False).fit(source, target)
    assert all((p >= 0).all() for p in none.predict(source, target))
    for one in (none, held):
        for shares in one.predict_proba(source, target):
            assert shares.sum(axis=1).max() <= 1 + 1e-12
            if one is none:
                np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_what_is_known_of_positions():
    source, target, _ = strings(80)
    aligner = WordAligner("hmm").fit(source, target)
    assert aligner.jumps_.shape == (21,)
    assert aligner.jumps_.sum() == pytest.approx(1)
    assert aligner.jumps_.argmax() == 11  # one word ahead
    aligner.set_params(model="ibm2").fit(source, target)
    assert 1 < aligner.tension_ < 20
    assert aligner.null_probability_ == 0.08
    assert not hasattr(aligner, "jumps_")
    aligner.set_params(model="ibm1").fit(source, target)
    assert aligner.null_probability_ is None
    assert not hasattr(aligner, "tension_")


# ----------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("null", [True, False])
@pytest.mark.parametrize("symmetrization", [None, "union"])
def test_save_and_load(model, null, symmetrization, tmp_path):
    aligner = WordAligner(model, null=null, symmetrization=symmetrization, smoothing=0.1)
    aligner.fit(GERMAN, ENGLISH)
    aligner.save(tmp_path / "a.npz")
    again = latentem.load(tmp_path / "a.npz")
    assert again.get_params() == aligner.get_params()
    new = ["das Haus", "Zwetschge ist"], ["a house", "plum is"]
    assert again.align(*new) == aligner.align(*new)
    assert again.score(*new) == aligner.score(*new)
    assert again.translation_table("das") == aligner.translation_table("das")
    assert again.loglik_ == aligner.loglik_
    assert again.null_probability_ == aligner.null_probability_
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "b.npz").stat().st_size == (tmp_path / "a.npz").stat().st_size


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h, a: a.pop("forward.columns"), "'forward.columns' is missing"),
        (lambda h, a: a["forward.columns"].__setitem__(-1, 99), "names words that there are not"),
        (lambda h, a: a["forward.indptr"].__setitem__(1, 0), "names words that there are not"),
        (lambda h, a: a["forward.translation"].__setitem__(0, 7.0), "do not sum to 1"),
        (lambda h, a: a["forward.positions.null"].__setitem__((), -1.0), "are negative"),
        (lambda h, a: h["words"]["source"].append("das"), "no list of different words"),
        (lambda h, a: h["words"].pop("target"), "no list of different words"),
        (lambda h, a: h["settings"].__setitem__("model", "ibm1"), "the model's are|are not those"),
        (lambda h, a: h["settings"].__setitem__("model", "ibm4"), "model must be one of"),
        (lambda h, a: h["settings"].__setitem__("symmetrization", "union"), "do not fit together"),
        (lambda h, a: h["settings"].__setitem__("null", False), "a row for each source word|model"),
    ],
)
def test_a_damaged_file(change, words, tmp_path):
    path = tmp_path / "a.npz"
    WordAligner("hmm").fit(GERMAN, ENGLISH).save(path)
    header, arrays = read_archive(path, "latentem estimator", 1)
    arrays = {name: array.copy() for name, array in arrays.items()}
    change(header, arrays)
    write_archive(path, json.loads(json.dumps(header)), arrays)
    with pytest.raises(ValueError, match=words):
        latentem.load(path)


# ---------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("source", "target", "kind", "words"),
    [
        (["a"], ["b", "c"], ValueError, "source has 1 sentences and target 2"),
        ("a b", ["b"], TypeError, "source must be a list of sentences, got str"),
        (b"a b", ["b"], TypeError, "source must be a list of sentences, got bytes"),
        (["a"], 3, TypeError, "target must be a list of sentences, got int"),
        (["a", b"b"], ["a", "b"], TypeError, r"source\[1\] is bytes, not text: decode it"),
        (["a"], [["b", b"c"]], TypeError, r"a word of target\[0\] is bytes: decode it"),
        (["a"], [["b", 3]], TypeError, r"a word of target\[0\] is int; words are strings"),
        (["a", None], ["b", "c"], TypeError, r"source\[1\] is of type NoneType"),
        ([""], ["b"], ValueError, "none of the 1 pairs has words on both sides"),
        ([], [], ValueError, "none of the 0 pairs"),
        (["a", "", "a " * 10_000], ["b", "b", "b " * 101], ValueError,
         r"pair 2 .* has 10,000 source and 101 target words: a pair may have at most 1,000,000"),
        (["a " * 501], ["b"], ValueError, r"pair 0 .* has 501 source .* at most 500 source words"),
    ],
)  # fmt: skip
def test_bad_text(source, target, kind, words):
    aligner = WordAligner("hmm")
    with pytest.raises(kind, match=words):
        aligner.fit(source, target)
    assert not hasattr(aligner, "result_")
    fitted = WordAligner("hmm").fit(GERMAN, ENGLISH)
    if "none of the" not in words:
        with pytest.raises(kind, match=words):
            fitted.align(source, target)


def test_a_sentence_of_ten_thousand_words_is_fitted_by_the_models_that_can():
    long = " ".join(f"w{k}" for k in range(10_000))
    for model in ("ibm1", "ibm2"):
        aligner = WordAligner(model, null=False, max_iter=2).fit([long, "w1"], ["yes no", "yes"])
        assert aligner.predict(["w1"], ["yes"])[0].tolist() == [0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "ibm3"}, "model must be one of"),
        ({"null": 1}, "null must be True, False, 'estimate' or"),
        ({"null": 0.1}, "with model='ibm1' the empty word has no probability"),
        ({"smoothing": -1}, "smoothing must be a number >= 0"),
        ({"smoothing": "much"}, "smoothing must be a number >= 0"),
        ({"ibm1_iter": 1.5}, "ibm1_iter must be a number >= 0"),
        ({"lowercase": "yes"}, "lowercase must be True or False"),
        ({"symmetrization": "grow"}, "symmetrization must be None or one of"),
        ({"max_iter": -1}, "max_iter must be an integer"),
        ({"tol": "small"}, "tol must be a number"),
        ({"n_jobs": 0}, "n_jobs must be None or"),
    ],
)
def test_bad_arguments(settings, words):
    with pytest.raises(ValueError, match=words):
        WordAligner(**settings).fit(GERMAN, ENGLISH)


def test_not_fitted():
    for call in (
        lambda a: a.align(GERMAN, ENGLISH),
        lambda a: a.score(GERMAN, ENGLISH),
        lambda a: a.translation_table("das"),
        lambda a: a.save("nowhere.npz"),
    ):
        with pytest.raises(NotFittedError):
            call(WordAligner())
    assert clone(WordAligner("hmm", null=0.1)).get_params()["null"] == 0.1
    with pytest.raises(ValueError, match="nothing to score"):
        WordAligner().fit(GERMAN, ENGLISH).score([""], ["b"])


# --------------------------------------------------------------------------------------- Pharaoh


def test_pharaoh_there_and_back():
    links = [(0, 0), (2, 1), (10, 3)]
    assert to_pharaoh(links) == "0-0 2-1 10-3"
    assert from_pharaoh(" 0-0 2-1\t10-3\n") == links
    assert from_pharaoh("") == []
    for wrong in ("0-", "0:1", "a-b", "-1-2", "1-2-3"):
        with pytest.raises(ValueError, match="is not a link like 0-2"):
            from_pharaoh(wrong)


def test_alignment_error_rate():
    # Och and Ney: sure links must be found, possible ones may.
    found, sure = [[(0, 0), (1, 1), (2, 2)]], [[(0, 0), (1, 2)]]
    assert alignment_error_rate(found, sure, [[(1, 1), (2, 2)]]) == pytest.approx(1 - (1 + 3) / 5)
    assert alignment_error_rate(found, found) == 0
    with pytest.raises(ValueError, match="must be as many"):
        alignment_error_rate(found, [])
    with pytest.raises(ValueError, match="nothing to compare"):
        alignment_error_rate([[]], [[]])
