"""Every example runs without a warning, draws, and prints the published numbers.

The pages of the user guide are run by pytest itself (``--doctest-glob``); here is what
ties them to the code: a page that explains reasons and warnings must know all of them.
"""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, special

import latentem
from latentem.engine import warnings as categories

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))
GUIDE = ROOT / "docs" / "guide"
#: Names of the examples that `test_example_runs` has run, for the tests that look at them.
RAN: dict[str, dict] = {}


@pytest.fixture
def pyplot(monkeypatch):
    """pyplot that draws nowhere and keeps its figures until the test has counted them."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    drawn = []

    def show():
        for number in pyplot.get_fignums():
            pyplot.figure(number).canvas.draw()
            drawn.append(number)
        pyplot.close("all")

    monkeypatch.setattr(pyplot, "show", show)
    pyplot.drawn = drawn
    yield pyplot
    pyplot.close("all")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, pyplot, capsys):
    for package in ("pydicom", "skimage"):  # whose data it uses
        if re.search(rf"^(from|import) {package}\b", path.read_text(), re.MULTILINE):
            pytest.importorskip(package)
    namespace = RAN[path.stem] = runpy.run_path(str(path))
    assert pyplot.drawn, "the example draws nothing"
    assert not pyplot.get_fignums(), "a figure is made and not shown"
    assert len(capsys.readouterr().out) > 0
    assert namespace["__doc__"].strip(), "the gallery needs a title"


def names_of(example):
    """What an example has made; it runs now if it has not yet. Asked for once."""
    return RAN.pop(example, None) or runpy.run_path(str(ROOT / "examples" / f"{example}.py"))


def test_own_model_has_the_published_numbers(pyplot):
    found = names_of("plot_own_model")
    # Times data: the known maximum, and the inverse of the observed information there, from
    # its closed form (second derivatives of the two-Poisson log-likelihood).
    errors = latentem.standard_errors(found["result"], found["data"])
    assert found["result"].loglik == pytest.approx(-1989.945859883, abs=1e-9)
    assert float(errors["share"]) == pytest.approx(0.1946843, abs=2e-7)
    assert float(errors["low"]) == pytest.approx(0.3500297, abs=2e-7)
    assert float(errors["high"]) == pytest.approx(0.2504783, abs=2e-7)
    # Linkage data: theta solves a quadratic equation, and the information is 377.516900.
    assert found["linkage"].params.theta == pytest.approx(0.6268214978709824, abs=1e-11)
    assert float(found["errors"]["theta"]) == pytest.approx(0.0514673492, abs=2e-9)


def code_lines(path, *names):
    """Lines of the classes, without blank lines and lines that are only a comment."""
    text = path.read_text()
    lines = text.splitlines()
    count = 0
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name in names:
            names = [name for name in names if name != node.name]
            body = lines[node.lineno - 1 : node.end_lineno]
            count += sum(bool(line.strip()) and not line.strip().startswith("#") for line in body)
    assert not names, f"{path.name} has no class {names}"
    return count


def test_own_model_is_small():
    path = ROOT / "examples" / "plot_own_model.py"
    assert code_lines(path, "TwoRates", "TwoPoissons") <= 25
    assert code_lines(path, "Theta", "Linkage") <= 20


def test_allele_frequencies_are_a_small_model():
    path = ROOT / "examples" / "plot_allele_frequencies.py"
    assert code_lines(path, "Alleles", "BloodGroups") <= 25


def test_own_family_is_small():
    path = ROOT / "examples" / "plot_own_family.py"
    assert code_lines(path, "Rates", "Sums", "Exponential") <= 25


def test_own_emission_is_small():
    path = ROOT / "examples" / "plot_own_emission.py"
    assert code_lines(path, "Chances", "Geometric") <= 20


def test_earthquakes_have_the_published_numbers(pyplot):
    found = names_of("plot_earthquakes")
    two, three = (row.loglik for row in found["chosen"].table[1:3])
    assert two == pytest.approx(-342.318267, abs=2e-3)  # stationary chains, at a tight maximum
    assert three == pytest.approx(-329.460278, abs=2e-3)
    rates = found["hmm"].lambdas_[:, 0]
    assert rates == pytest.approx([13.146, 19.721, 29.714], abs=0.02)  # as the book prints them


def test_shared_counts_have_the_published_numbers(pyplot):
    found = names_of("plot_shared_counts")
    assert found["five"].image_ == pytest.approx([0.6403882, 0.1798059, 0.1798059], abs=6e-8)
    assert found["five"].loglik_ + 5 == pytest.approx(-1.8648394055, abs=1e-10)
    # Radiotherapy alone, as R's interval package prints it for these data.
    kept = found["kept"]
    spans = zip(found["begin"][kept], found["end"][kept], strict=True)
    assert list(spans) == [
        (4, 5), (6, 7), (7, 8), (11, 12), (24, 25), (33, 34), (38, 40), (46, 48),
    ]  # fmt: skip
    assert found["survival"].image_[kept] == pytest.approx(
        [0.0463, 0.0334, 0.0887, 0.0708, 0.0926, 0.0818, 0.1209, 0.4656], abs=6e-5
    )


def test_allele_frequencies_have_the_published_numbers(pyplot):
    found = names_of("plot_allele_frequencies")
    p, q, r = frequencies = found["result"].params.frequencies
    assert frequencies == pytest.approx([0.2135909391, 0.0501453289, 0.7362637320], abs=6e-11)
    # Errors: minus the second derivatives of the log-likelihood in (p, q), with r = 1 - p - q.
    chances = np.array([p * (p + 2 * r), q * (q + 2 * r), 2 * p * q, r * r])
    slopes = np.array([[2 * r, -2 * q, 2 * q, -2 * r], [-2 * p, 2 * r, 2 * p, -2 * r]])
    bends = np.array([[[-2, 0, 0, 2], [-2, -2, 2, 2]], [[-2, -2, 2, 2], [0, -2, 0, 2]]])
    counts = found["counts"][0]
    information = (slopes / chances**2 * counts) @ slopes.T - bends @ (counts / chances)
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    assert found["errors"]["frequencies"][:2] == pytest.approx(errors, rel=1e-6)


def test_item_response_reaches_the_maximum_that_scipy_finds(pyplot):
    found = names_of("plot_item_response")
    answers, people = found["data"]
    # Another integral (a fine grid) and another way up (BFGS, with the exact gradient).
    ability = np.linspace(-8, 8, 321)[:, None]
    weight = np.exp(-(ability[:, 0] ** 2) / 2)
    weight /= weight.sum()
    signs = 2 * answers - 1

    def loss(both, n_slopes):
        intercepts, slopes = both[:5], both[5:]
        logits = intercepts + ability * slopes
        given = special.expit(signs[:, None, :] * logits)  # (patterns, grid, questions)
        joint = given.prod(axis=2) * weight
        chances = joint.sum(axis=1)
        shares = joint * (people / chances)[:, None]
        slope = np.einsum("iq,iqj->qj", shares, signs[:, None, :] * (1 - given))
        of_slopes = (slope * ability).sum(axis=0)
        of_slopes = of_slopes.sum(keepdims=True) if n_slopes == 1 else of_slopes
        return -people @ np.log(chances), -np.concatenate([slope.sum(axis=0), of_slopes])

    published = {"equal slopes": -2466.938, "free slopes": -2466.653}  # as R's ltm prints them
    for name, n_slopes in {"equal slopes": 1, "free slopes": 5}.items():
        begin = np.concatenate([np.zeros(5), np.ones(n_slopes)])
        best = optimize.minimize(loss, begin, (n_slopes,), jac=True, options={"gtol": 1e-6})
        best.x[5:] *= np.sign(best.x[5])  # abilities mirrored, with all slopes, are the same model
        fit = found["fits"][name]
        assert fit.loglik == pytest.approx(-best.fun, abs=1e-7)
        assert fit.loglik == pytest.approx(published[name], abs=6e-4)
        assert np.concatenate(fit.params) == pytest.approx(best.x, abs=1e-4)
    assert [len(report.passed) for report in found["reports"]] == [13, 13]


def test_colour_segmentation_parts_what_the_eye_parts(pyplot):
    pytest.importorskip("skimage")
    found = names_of("plot_colour_segmentation")
    places = {"coffee": (180, 260), "saucer": (280, 130), "rim": (100, 185), "shadow": (300, 270)}
    segments = {name: found["segment"][place] for name, place in places.items()}
    assert len(set(segments.values())) == len(places), segments
    assert all(found["certainty"][place] > 0.8 for place in places.values())


def test_background_subtraction_finds_what_passes(pyplot):
    pytest.importorskip("skimage")
    found = names_of("plot_background_subtraction")
    precision, recall = found["scores"](found["foreground"] > 0.5)
    of_normals = found["scores"](found["distance"] > 3)
    assert precision > max(0.95, of_normals[0] + 0.1)
    assert recall > max(0.9, of_normals[1] + 0.1)


def test_record_linkage_recovers_the_chances_it_does_not_see(pyplot):
    found = names_of("plot_record_linkage")
    agree, same = found["agree"], found["same"]
    assert found["m"] == pytest.approx(agree[same].mean(axis=0), abs=0.01)
    assert found["u"] == pytest.approx(agree[~same].mean(axis=0), abs=1e-4)
    assert found["precision"] > 0.95
    assert found["recall"] > 0.95
    # The posterior is the match weight and the odds of the shares, and foretells the errors.
    odds = found["weights"] - found["line"]
    assert found["posterior"] == pytest.approx(special.expit(odds * np.log(2)), abs=1e-10)
    linked, pairs = found["linked"], found["pairs"]
    expected = (pairs * found["posterior"])[linked].sum() / pairs[linked].sum()
    assert expected == pytest.approx(found["precision"], abs=0.02)


def test_every_reason_is_explained():
    page = (GUIDE / "did-it-converge.rst").read_text()
    words = " ".join(page.split())
    for reason in latentem.Reason:
        assert f".. _reason-{reason.name.lower().replace('_', '-')}:" in page, reason
        assert reason.sentence in words, reason


def test_every_warning_is_explained():
    page = (GUIDE / "did-it-converge.rst").read_text()
    for name in categories.__all__:
        assert f"``{name}``" in page, name


def test_code_on_the_pages_is_run():
    # A code-block is not run by doctest: Python on a page is a doctest or an included example.
    for page in sorted((ROOT / "docs").rglob("*.rst")):
        if {"_build", "gallery", "generated"} & set(page.parts):
            continue
        assert not re.search(r"code-block:: *python", page.read_text()), page


def test_places_that_warnings_name_are_in_the_guide():
    named = set()
    for path in sorted((ROOT / "latentem").rglob("*.py")):
        text = re.sub(r'"\s*f?"', "", path.read_text())  # sentences run over several lines
        named |= set(re.findall(r"\(Guide: ([a-z-]+), ([a-z-]+)\)", text))
    assert {page for page, _ in named} == {"did-it-converge", "missing-data"}
    for page, place in named:
        assert f".. _{place}:" in (GUIDE / f"{page}.rst").read_text(), (page, place)


def test_sentences_of_the_imputer_are_explained():
    page = " ".join((GUIDE / "missing-data.rst").read_text().split())
    for sentence in (
        "has no observed cell: it is left out of the output",
        "its missing cells get it, and it takes no part in the model",
        "are never seen together: the data do not settle their covariance",
        "the likelihood is flat along some direction: the data do not settle every covariance",
        "the fit stands on a saddle of the likelihood, not on a maximum",
        "columns are collinear",
        "cannot tell the covariance of",
    ):
        assert sentence in page, sentence
