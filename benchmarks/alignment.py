"""Word alignment: IBM Model 1 against nltk, 50,000 pairs in both directions, planted links.

Text comes from gettext catalogues: Django's German ones for nltk, and the system's German ones for
the long text; where a system has none, messages of Django are joined at random to as many pairs,
and the row says so. nltk counts a word that stands twice in a target sentence once, so repeated
target words are left out where tables are compared.
"""

from __future__ import annotations

import gettext
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.report import Row
from latentem import EM, WordAligner
from latentem.models import WordAlignment, WordPairs
from tests.models.planted import error_rate, planted

WORD = re.compile(r"%\(\w+\)[sd]|%[a-z]+|\w+(?:[-’']\w+)*|[^\w\s]")
SYSTEM = Path("/usr/share/locale/de/LC_MESSAGES")
LONGEST = 60


def messages(files: list[Path]) -> list[tuple[list[str], list[str]]]:
    """Messages and translations of catalogues, in words, each message once."""
    found: dict[str, str] = {}
    for path in sorted(files):
        try:
            with path.open("rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        except (OSError, UnicodeError):  # old encodings
            continue
        for message, translation in catalogue.items():
            if isinstance(message, str) and message:
                found.setdefault(message.split("\x04")[-1], translation)
    pairs = [(WORD.findall(a), WORD.findall(b)) for a, b in sorted(found.items())]
    return [(a, b) for a, b in pairs if 0 < len(a) <= LONGEST and 0 < len(b) <= LONGEST]


def django() -> list[tuple[list[str], list[str]]]:
    import django as package

    return messages(list(Path(package.__file__).parent.glob("**/locale/de/LC_MESSAGES/*.mo")))


def long_text(n: int) -> tuple[list[tuple[list[str], list[str]]], str]:
    """`n` pairs, and where they come from."""
    system = messages(list(SYSTEM.glob("*.mo"))) if SYSTEM.is_dir() else []
    if len(system) >= n:
        picked = np.random.default_rng(0).permutation(len(system))[:n]
        return [system[k] for k in picked], "system catalogues"
    rng, short = np.random.default_rng(0), django()
    joined = []
    for _ in range(n):
        parts = [short[k] for k in rng.integers(len(short), size=2)]
        joined.append((parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]))
    return joined, "Django's messages joined"


def run(quick: bool) -> list[Row]:
    return [*against_nltk(), *both_directions(10_000 if quick else 50_000), *planted_links()]


def against_nltk() -> list[Row]:
    from nltk.translate import AlignedSent, IBMModel1

    pairs = [(a, list(dict.fromkeys(b))) for a, b in django()][:800]
    source, target = [a for a, _ in pairs], [b for _, b in pairs]
    corpus = [AlignedSent(b, a) for a, b in pairs]
    peer = IBMModel1(corpus, 5)
    ours = WordAligner(max_iter=4).fit(source, target)  # its start is the first map
    worst = 0.0
    for word in [None, *ours.source_words_]:
        for other, p in ours.translation_table(word, 10_000):
            worst = max(worst, abs(p - peer.translation_table[other][word]))
    assert worst < 1e-9, worst
    mine, theirs = [], []
    for _ in range(3):  # in turn: both see the same machine
        took = []
        for maps in (10, 210):
            began = time.perf_counter()
            WordAligner(max_iter=maps).fit(source, target)
            took.append(time.perf_counter() - began)
        mine.append((took[1] - took[0]) / 200)
        began = time.perf_counter()
        peer.train(corpus)
        theirs.append(time.perf_counter() - began)
    note = f"largest difference of tables {worst:.1e}"
    return [
        Row(f"IBM 1, {len(pairs)} pairs of Django", "ms per map", 1e3 * float(np.median(mine)),
            1e3 * float(np.median(theirs)), floor=30, note=note)
    ]  # fmt: skip


PEAK = """
import resource, sys, threading, time
from benchmarks.alignment import long_text
from latentem import WordAligner
pairs = long_text(int(sys.argv[1]))[0][:int(sys.argv[2])]
source, target = [a for a, _ in pairs], [b for _, b in pairs]
WordAligner("hmm", max_iter=2).fit(source[:200], target[:200])
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
base, peak, going = resident(), [0], [True]
def watch():
    while going[0]:
        peak[0] = max(peak[0], resident())
        time.sleep(0.001)
watcher = threading.Thread(target=watch)
watcher.start()
aligner = WordAligner("hmm", max_iter=2, ibm1_iter=2).fit(source, target)
going[0] = False
watcher.join()
print((peak[0] - base) / 2**20, len(aligner._alignment.pairs))
"""


def both_directions(n: int) -> list[Row]:
    pairs, origin = long_text(n)
    source, target = [a for a, _ in pairs], [b for _, b in pairs]
    WordAligner("hmm", max_iter=1, symmetrization="union").fit(source[:200], target[:200])
    began, cpu = time.perf_counter(), time.process_time()
    aligner = WordAligner("hmm", smoothing=0.01, symmetrization="grow-diag-final-and")
    aligner.fit(source, target)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    words = sum(map(len, source))
    case = f"{n:,} pairs, IBM 1 (5 maps) and HMM (10), both directions"
    note = f"{origin}, {words:,} source words; {cpu:.0f} s of processor time"
    rows = [Row(case, "s", took, ceiling=120, note=note)]
    began = time.perf_counter()
    aligner.align(source, target)
    rows.append(Row(f"{n:,} pairs aligned, both directions joined", "s",
                    time.perf_counter() - began))  # fmt: skip
    for part in (n // 4, n // 2, n):
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(n), str(part)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        mib, size = map(float, done.stdout.split())
        rows.append(Row(f"peak memory of a fit, {part:,} pairs of sentences",
                        "bytes per pair of words", mib * 2**20 / size,
                        note=f"{mib:.0f} MiB, {size:,.0f} pairs of words that meet"))  # fmt: skip
    return rows


def planted_links() -> list[Row]:
    text, links = planted(2000)
    pairs = WordPairs.make(text)
    plain = {"tol": 0.0, "accelerate": None}
    alone = WordAlignment(pairs)
    table = EM(max_iter=5, **plain).run(alone, text).params
    rows = [Row("planted dictionary, IBM 1", "% of links wrong",
                100 * error_rate(alone.links(table, text), links))]  # fmt: skip
    for kind, name in (("ibm2", "IBM 2"), ("hmm", "HMM")):
        model = WordAlignment(pairs, kind, null=0.08)
        start = model.started(table.translation)
        params = EM(max_iter=10, **plain).run(model, text, start=start).params
        rows.append(Row(f"planted dictionary, {name}", "% of links wrong",
                        100 * error_rate(model.links(params, text), links)))  # fmt: skip
    return rows
