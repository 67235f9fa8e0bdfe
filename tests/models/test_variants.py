"""Hard and tempered E-steps, against all latent values written out, and k-means."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.cluster import KMeans

from latentem import (
    EM,
    GaussianMixture,
    How,
    LatentModel,
    PoissonHMM,
    SerialBackend,
    standard_errors,
)
from latentem.families import Gaussian, Poisson, PoissonParams
from latentem.models import FactorAnalyzer, HiddenMarkov, HiddenMarkovParams, Mixture, MixtureParams

BETA = 0.4
MIXED = MixtureParams(np.array([0.3, 0.7]), PoissonParams(np.array([[2.0], [6.0]])))
CHAIN = HiddenMarkovParams(
    np.array([0.2, 0.8]),
    np.array([[0.9, 0.1], [0.3, 0.7]]),
    PoissonParams(np.array([[2.0], [6.0]])),
)


@pytest.fixture
def counts(rng):
    return rng.poisson(np.where(rng.random(9) < 0.5, 1.5, 7.0))[:, None].astype(float)


def every_path(counts):
    """Paths of the chain (P, n), and their log joint densities."""
    density = Poisson().log_density(Poisson().prepare(CHAIN.family), counts)
    paths = np.array(list(product((0, 1), repeat=len(counts))))
    joint = np.log(CHAIN.startprob)[paths[:, 0]] + density[paths, np.arange(len(counts))].sum(1)
    return paths, joint + np.log(CHAIN.transmat)[paths[:, :-1], paths[:, 1:]].sum(axis=1)


@pytest.mark.nojit
@pytest.mark.parametrize("how", [How("hard"), How(beta=BETA)])
def test_a_mixture_takes_latents_as_the_formula_says(counts, how):
    model = Mixture(Poisson(), 2)
    found = SerialBackend().expect(model, MIXED, model.blocks(counts), how)
    density = Poisson().log_density(Poisson().prepare(MIXED.family), counts)
    joint = density + np.log(MIXED.weights)[:, None]
    if how.kind == "hard":
        shares, value = (joint == joint.max(axis=0)) * 1.0, joint.max(axis=0).sum()
    else:
        each = logsumexp(BETA * joint, axis=0)
        shares, value = np.exp(BETA * joint - each), each.sum() / BETA
    assert found.loglik == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(found.statistics.counts, shares.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.statistics.family.total, shares @ counts, rtol=1e-12)


@pytest.mark.nojit
@pytest.mark.parametrize("how", [How("hard"), How(beta=BETA)])
@pytest.mark.parametrize("weight", [None, 2.0])
def test_a_chain_takes_paths_as_the_formula_says(counts, how, weight):
    model, w = HiddenMarkov(Poisson(), 2), weight or 1.0
    data = (counts, [9]) if weight is None else (counts, [9], np.array([weight]))
    found = SerialBackend().expect(model, CHAIN, model.blocks(data), how)
    paths, joint = every_path(counts)
    if how.kind == "hard":
        shares, value = (joint == joint.max()) * 1.0, joint.max()
    else:
        shares = np.exp(BETA * joint - logsumexp(BETA * joint))
        value = logsumexp(BETA * joint) / BETA
    assert found.loglik == pytest.approx(w * value, rel=1e-12)
    start, moves = np.zeros(2), np.zeros((2, 2))
    for share, path in zip(w * shares, paths, strict=True):
        start[path[0]] += share
        np.add.at(moves, (path[:-1], path[1:]), share)
    np.testing.assert_allclose(found.statistics.start, start, atol=1e-12)
    np.testing.assert_allclose(found.statistics.transitions, moves, atol=1e-12)


def test_tempered_objectives_tend_to_the_hard_one(counts):
    for model, params in ((Mixture(Poisson(), 2), MIXED), (HiddenMarkov(Poisson(), 2), CHAIN)):
        values = [
            SerialBackend().expect(model, params, model.blocks(counts), how).loglik
            for how in (How(beta=BETA), How(), How(beta=3.0), How(beta=200.0), How("hard"))
        ]
        assert np.all(np.diff(values) <= 1e-9)  # sums of powers fall to the largest
        assert values[-2] == pytest.approx(values[-1], rel=1e-3)


def test_an_impossible_row_is_in_no_statistics():
    x = np.array([[0.0], [3.0]])
    zero = MIXED._replace(family=PoissonParams(np.zeros((2, 1))))
    model = Mixture(Poisson(), 2)
    found = SerialBackend().expect(model, zero, model.blocks(x), How("hard"))
    assert found.loglik == -np.inf
    assert found.statistics.counts.sum() == 1.0


@pytest.mark.parametrize("beta", [0.3, 0.8])
def test_tempered_maps_only_rise(rng, beta):
    from latentem.engine.climb import Climb

    x = rng.poisson(rng.choice([1.0, 4.0, 12.0], 300))[:, None].astype(float)
    for model in (Mixture(Poisson(), 3), HiddenMarkov(Poisson(), 3)):
        blocks = list(model.blocks(x))
        climb = Climb(
            EM(tol=1e-6), model, blocks, SerialBackend(),
            lambda model=model, blocks=blocks: model.initialize(blocks, np.random.default_rng(1)),
            how=How(beta=beta),
        )  # fmt: skip
        states = list(climb)
        assert states[-1].reason.converged
        objectives = [state.objective for state in states]
        assert np.all(np.diff(objectives) >= -1e-9)
        assert objectives[-1] > objectives[0]


def test_hard_em_of_equal_spheres_is_k_means(rng):
    X = np.concatenate([rng.normal(c, 1.5, size=(80, 3)) for c in (0.0, 2.0, 5.0, 6.0)])
    centres = X[rng.choice(len(X), 4, replace=False)]
    peer = KMeans(4, init=centres, n_init=1, algorithm="lloyd", tol=0).fit(X)
    ours = GaussianMixture(
        4, covariance_type="spherical", posterior="hard", fixed=("weights", "covariances"),
        weights_init=np.full(4, 0.25), means_init=centres, precisions_init=np.ones(4),
    ).fit(X)  # fmt: skip
    assert peer.n_iter_ > 2
    np.testing.assert_array_equal(ours.predict(X), peer.labels_)
    np.testing.assert_allclose(ours.means_, peer.cluster_centers_, rtol=1e-12)
    inertia = -2 * ours.result_.objective - 2 * len(X) * np.log(4) - X.size * np.log(2 * np.pi)
    assert inertia == pytest.approx(peer.inertia_, rel=1e-9)


@pytest.fixture
def hard(rng):
    X = np.concatenate([rng.normal(c, 1.0, size=(60, 2)) for c in (0.0, 3.0)])
    return X, GaussianMixture(2, posterior="hard", random_state=0).fit(X)


def test_a_hard_fit_reports_both_objectives(hard):
    X, gm = hard
    assert gm.converged_
    assert gm.loglik_ == pytest.approx(gm.score(X) * len(X), rel=1e-12)
    assert gm.result_.objective < gm.loglik_
    assert np.all(np.diff(gm.result_.history.objectives) >= 0)
    assert "classification log-likelihood" in str(gm.result_)
    price = gm.n_parameters() * np.log(len(X))
    assert gm.icl(X) == pytest.approx(-2 * gm.result_.objective + price, rel=1e-10)


def test_a_hard_fit_claims_nothing_of_a_maximum_of_the_log_likelihood(hard):
    X, gm = hard
    for criterion in (gm.aic, gm.bic):
        with pytest.raises(ValueError, match="classification log-likelihood: use icl"):
            criterion(X)
    with pytest.raises(ValueError, match="no maximum of the log-likelihood"):
        standard_errors(gm, X)
    with pytest.raises(ValueError, match="no maximum of the log-likelihood"):
        standard_errors(gm.result_, X)


def test_viterbi_training_ends_where_its_path_no_longer_changes(rng):
    states = np.repeat(np.arange(6) % 2, 40)
    X = rng.poisson(np.array([2.0, 9.0])[states])[:, None]
    hmm = PoissonHMM(2, posterior="hard", random_state=0).fit(X)
    path = hmm.predict(X) if hasattr(hmm, "predict") else hmm.decode(X)[1]
    means = [X[path == k].mean() for k in range(2)]
    np.testing.assert_allclose(hmm.lambdas_.ravel(), means, rtol=1e-12)
    with pytest.raises(ValueError, match="posterior='soft'"):
        hmm.bic(X)


def test_models_that_know_no_variant_are_not_given_one(rng):
    assert LatentModel.variants == ()
    model = FactorAnalyzer(1)
    X = rng.normal(size=(30, 3))
    with pytest.raises(ValueError, match="FactorAnalyzer does not: it declares variants"):
        EM(posterior="hard").run(model, X, rng=0)
    with pytest.raises(ValueError, match="needs an e_step with a temperature"):
        EM(init_strategy="annealing").run(model, X, rng=0)
    with pytest.raises(ValueError, match="posterior must be one of"):
        EM(posterior="firm")
    with pytest.raises(ValueError, match="soften"):
        EM(posterior="hard", init_strategy="annealing").run(Mixture(Gaussian(), 2), X, rng=0)
