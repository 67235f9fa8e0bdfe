"""Classes behind the votes of raters: contract, published numbers, known answers."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import EM
from latentem.datasets import load_anaesthetists
from latentem.kernels.votes import add_votes, log_densities
from latentem.models import DawidSkene, DawidSkeneParams, Votes
from latentem.testing import check_model


def anaesthetists():
    items, raters, labels = load_anaesthetists().data.astype(int).T - 1
    return Votes.of(items, raters, labels, 45)


def test_the_answer_of_the_paper_from_shares_of_votes():
    result = EM(tol=1e-10).run(DawidSkene(5, 4), anaesthetists())
    assert result.loglik == pytest.approx(-192.8908812142, abs=1e-9)
    np.testing.assert_allclose(result.params.weights, [0.3996, 0.4220, 0.1118, 0.0667], atol=5e-5)


def test_random_starts_find_the_higher_maximum():
    result = EM(tol=1e-8, n_init=60).run(DawidSkene(5, 4, start="random"), anaesthetists(), rng=0)
    assert result.loglik == pytest.approx(-191.5689, abs=5e-5)


@pytest.mark.parametrize("raters", ["confusion", "one-coin"])
@pytest.mark.parametrize("prior", [None, 1.0, np.eye(3) + 0.5])
def test_contract(raters, prior):
    rng = np.random.default_rng(1)
    model = DawidSkene(4, 3, raters, prior)
    tables = 0.5 * rng.dirichlet(np.ones(3), size=(4, 3)) + 0.5 * np.eye(3)
    right = np.array([0.9, 0.7, 0.6, 0.8])
    params = DawidSkeneParams(np.array([0.5, 0.3, 0.2]), tables if raters == "confusion" else right)
    check_model(model, model.sample(params, 200, rng), n_simulated=500)


@pytest.mark.nojit
def test_kernels_equal_their_twins(rng):
    offsets, n = np.array([0, 3, 3, 7]), 7
    raters, labels = rng.integers(2, size=n), rng.integers(3, size=n)
    table, weights = rng.normal(size=(2, 3, 4)), rng.random((4, 3))
    out, counts = np.empty((4, 3)), np.ones((2, 3, 4))
    log_densities(offsets, raters, labels, table, out)
    add_votes(offsets, raters, labels, weights, counts)
    expected = np.ones((2, 3, 4))
    items = np.repeat(np.arange(3), np.diff(offsets))
    for k in range(4):
        sums = np.bincount(items, table[raters, labels, k], minlength=3)
        np.testing.assert_allclose(out[k], sums, atol=1e-12)
        np.add.at(expected[:, :, k], (raters, labels), weights[k, items])
    np.testing.assert_allclose(counts, expected)


def test_known_classes_are_kept_and_blocks_do_not_matter(rng):
    votes = anaesthetists()
    known = np.full(45, -1)
    known[[0, 1]] = 3
    votes = Votes(votes.offsets, votes.raters, votes.labels, known)
    model = DawidSkene(5, 4)
    results = [EM(tol=1e-9, block_size=size).run(model, votes) for size in (45, 7)]
    assert results[0].loglik == pytest.approx(results[1].loglik, rel=1e-12)
    shares, _ = model.posterior(model.prepare(results[0].params), votes)
    np.testing.assert_array_equal(shares[:, :2], np.eye(4)[:, [3, 3]])


def test_a_class_without_votes_of_a_rater_keeps_its_row():
    votes = Votes.of(np.arange(4).repeat(2), np.tile([0, 1], 4), np.repeat([0, 1], 4), 4)
    model = DawidSkene(3, 2)  # the third rater never votes
    params = EM().run(model, votes).params
    np.testing.assert_allclose(params.raters[2], 0.5)
    prior = EM().run(DawidSkene(3, 2, prior=2.0), votes)
    assert prior.loglik < 0 < (prior.params.raters[:2] > 0).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"raters": "two-coin"}, "raters must be 'confusion' or 'one-coin', got 'two-coin'"),
        ({"start": "here"}, "start must be 'votes' or 'random'"),
        ({"prior": -1.0}, "prior must hold pseudo-counts >= 0, got -1"),
        ({"prior": np.ones(3)}, r"prior must be a number or have shape \(4, 4\), got \(3,\)"),
        ({"prior": "x"}, "prior must hold numbers"),
    ],
)
def test_wrong_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        DawidSkene(5, 4, **arguments)


def test_wrong_votes():
    votes = anaesthetists()
    with pytest.raises(ValueError, match=r"labels must be codes 0\.\.2, found 0 to 3"):
        DawidSkene(5, 3).blocks(votes)
    with pytest.raises(ValueError, match=r"raters must be codes 0\.\.3, found 0 to 4"):
        DawidSkene(4, 4).blocks(votes)
    with pytest.raises(TypeError, match="data must be Votes, got ndarray"):
        DawidSkene(4, 4).blocks(np.ones((3, 3)))
    with pytest.raises(ValueError, match="at least 2 classes"):
        DawidSkene(4, 1)
