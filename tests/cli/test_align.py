"""``latentem align``: what it prints, writes and refuses."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

import latentem
from latentem import WordAligner
from latentem.cli import main

ENGLISH = ["the house is small", "the book", "a book", "", "the small house", "a house"]
GERMAN = ["das Haus ist klein", "das Buch", "ein Buch", "leer", "das kleine Haus", "ein Haus"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pairs = [f"{a} ||| {b}" for a, b in zip(GERMAN, ENGLISH, strict=True)]
    for name, lines in (("text.de", GERMAN), ("text.en", ENGLISH), ("both.txt", pairs)):
        Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def run(capsys: Any, *argv: str) -> tuple[int, list[str], str]:
    """Exit code, lines, and messages."""
    code = main(["align", *argv])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def test_links_are_those_of_the_estimator(folder: Path, capsys: Any) -> None:
    code, lines, err = run(capsys, "text.de", "text.en")
    assert code == 0
    aligner = WordAligner("hmm", smoothing=0.01, symmetrization="grow-diag-final-and")
    links = aligner.fit(GERMAN, ENGLISH).align(GERMAN, ENGLISH)
    assert [latentem.from_pharaoh(line) for line in lines] == links
    assert lines[0] == "0-0 1-1 2-2 3-3"
    assert lines[3] == ""
    assert re.match(r"6 pairs, 7 and 6 different words; perplexity 1\.\d\d\n", err)
    assert "1 pair with an empty side: without links" in err
    assert run(capsys, "both.txt")[1] == lines


def test_options_of_the_fit(folder: Path, capsys: Any) -> None:
    options = (
        "--model", "ibm1", "--symmetrize", "none", "--lowercase", "--no-null", "--smoothing", "0",
        "--max-iter", "3",
    )  # fmt: skip
    _, lines, _ = run(capsys, "both.txt", *options)
    aligner = WordAligner("ibm1", lowercase=True, null=False, max_iter=3).fit(GERMAN, ENGLISH)
    assert [latentem.from_pharaoh(line) for line in lines] == aligner.align(GERMAN, ENGLISH)


def test_a_saved_model_aligns_new_text(folder: Path, capsys: Any) -> None:
    code, printed, _ = run(capsys, "both.txt", "--save", "m.npz", "--out", "links.txt")
    assert (code, printed) == (0, [])
    Path("new.txt").write_text("das Haus Zwetschge ||| the house plum", encoding="utf-8")
    assert run(capsys, "new.txt", "--load", "m.npz") == (0, ["0-0 1-1 2-2"], "")
    _, again, err = run(capsys, "both.txt", "--load", "m.npz", "--gold", "links.txt")
    assert Path("links.txt").read_text().splitlines() == again
    assert "alignment error rate: 0.0000" in err


def test_other_encodings_and_gzip(folder: Path, capsys: Any) -> None:
    Path("latin.txt").write_bytes("Tür ||| door\r\nTor ||| gate\r\n".encode("latin-1"))
    Path("z.txt.gz").write_bytes(gzip.compress(b"Tuer ||| door\nTor ||| gate"))
    for argv in (("latin.txt", "--encoding", "latin-1"), ("z.txt.gz",)):
        assert run(capsys, *argv)[:2] == (0, ["0-0", "0-0"])


def test_figure_of_a_pair(folder: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    assert run(capsys, "both.txt", "--plot", "pair.png", "--pair", "5", "-o", "l.txt")[0] == 0
    assert Path("pair.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("text.de", "short.en"), "'text.de' has 6 lines and 'short.en' 2: line n of one"),
        (("text.de",), "line 1 of 'text.de' is not 'a ||| b'"),
        (("nowhere", "text.en"), "cannot read 'nowhere': no such file"),
        (("latin.txt",), "'latin.txt' is not text in utf-8: name its encoding"),
        (("empty.txt",), "'empty.txt' is empty"),
        (("damaged.gz",), "'damaged.gz' is a damaged gzip file"),
        (("blank.txt",), "none of the 2 pairs has words on both sides"),
        (("long.txt",), "pair 0 (counted from 0) has 501 source and 1 target words"),
        (("both.txt", "--gold", "short.en"), "'short.en' has 2 lines, and there are 6 pairs"),
        (("both.txt", "--gold", "bad.gold"), "line 2 of 'bad.gold': '1:1' is not a link"),
        (("both.txt", "--pair", "2"), "--pair says which pair --plot draws"),
        (("both.txt", "--plot", "p.png", "--pair", "7"), "--pair 7: there are 6 lines"),
        (("both.txt", "--plot", "p.png", "--pair", "4"), "the sentences have 1 and 0 words"),
        (("both.txt", "--out", "both.txt"), "'both.txt' is read: it is not overwritten"),
        (("both.txt", "--out", "a", "--save", "a"), "must be different files"),
        (("both.txt", "--out", "no/where.txt"), "the folder 'no' of 'no/where.txt'"),
        (("both.txt", "--load", "m.npz", "--model", "hmm"), "--model is for a fit, and --load"),
        (("both.txt", "--load", "m.npz", "--lowercase"), "--lowercase is for a fit"),
        (("both.txt", "--load", "nowhere.npz"), "cannot read 'nowhere.npz'"),
        (("both.txt", "--load", "both.txt"), "cannot read 'both.txt' as a latentem estimator"),
        (("both.txt", "--load", "gm.npz"), "'gm.npz' holds a GaussianMixture, not a word aligner"),
    ],
)
def test_what_is_refused(folder: Path, capsys: Any, argv: tuple[str, ...], words: str) -> None:
    Path("short.en").write_text("a\nb\n")
    Path("latin.txt").write_bytes("Tür ||| door".encode("latin-1"))
    Path("empty.txt").write_text("")
    Path("damaged.gz").write_bytes(b"\x1f\x8b\x08 no")
    Path("blank.txt").write_text(" ||| a\nb |||\n")
    Path("long.txt").write_text("w " * 501 + "||| b\n")
    Path("bad.gold").write_text("0-0\n1:1\n\n\n\n\n")
    latentem.GaussianMixture.from_parameters(
        weights=[1.0], means=[[0.0]], covariances=[[[1.0]]]
    ).save("gm.npz")
    before = sorted(path.name for path in folder.iterdir())
    code, lines, err = run(capsys, *argv)
    assert code == 2
    assert words in err
    assert lines == []
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("value", ["-1", "much", "inf", "nan"])
def test_a_wrong_number(folder: Path, capsys: Any, value: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["align", "both.txt", f"--smoothing={value}"])
    assert stop.value.code == 2
    assert f"{value!r} is not a number from 0 on" in capsys.readouterr().err
