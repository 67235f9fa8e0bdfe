"""hmmlearn as a live oracle: same start, same log-likelihoods, same decoding."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from latentem import GMMHMM, CategoricalHMM, GaussianHMM, PoissonHMM

peer = pytest.importorskip("hmmlearn.hmm")

START = {"startprob": np.array([0.5, 0.3, 0.2]), "transmat": np.full((3, 3), 0.1) + 0.7 * np.eye(3)}
MAPS = 6


@pytest.fixture
def data(rng):
    states = np.repeat(rng.integers(3, size=60), 10)
    X = 3.0 * states[:, None] + rng.standard_normal((600, 2)) * [1.0, 2.0]
    return X, [250, 50, 300]


def quietly(model, X, lengths):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, lengths)


def same(ours, theirs, X, lengths):
    """Log-likelihoods of every map, and what both say of the rows afterwards."""
    trace = ours.result_.history.objectives
    reference = np.array(theirs.monitor_.history)
    np.testing.assert_allclose(trace[: len(reference)], reference, rtol=1e-9)
    for name in ("startprob_", "transmat_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-7, atol=1e-9)
    assert ours.score(X, lengths=lengths) == pytest.approx(theirs.score(X, lengths), rel=1e-9)
    np.testing.assert_allclose(
        ours.predict_proba(X, lengths), theirs.predict_proba(X, lengths), atol=1e-7
    )
    joint, path = ours.decode(X, lengths)
    reference_joint, reference_path = theirs.decode(X, lengths)
    assert joint == pytest.approx(reference_joint, rel=1e-9)
    assert path.tolist() == reference_path.tolist()


def settings(**start):
    init = {f"{name}_init": value for name, value in {**START, **start}.items()}
    return {"accelerate": None, "tol": 0, "max_iter": MAPS, **init}


COVARIANCES = {
    "diag": np.full((3, 2), 2.0),
    "spherical": np.full(3, 2.0),
    "full": np.stack([2 * np.eye(2)] * 3),
    "tied": 2 * np.eye(2),
}
MEANS = np.array([[0.5, 0.0], [2.0, 2.5], [6.5, 6.0]])


@pytest.mark.parametrize("kind", COVARIANCES)
def test_gaussian(kind, data):
    X, lengths = data
    theirs = peer.GaussianHMM(
        3, covariance_type=kind, n_iter=MAPS, tol=-np.inf, init_params="",
        covars_prior=0, covars_weight=0, min_covar=0,
    )  # fmt: skip
    theirs.startprob_, theirs.transmat_ = START["startprob"], START["transmat"]
    theirs.means_, theirs.covars_ = MEANS, COVARIANCES[kind]
    quietly(theirs, X, lengths)
    start = settings(means=MEANS, covariances=COVARIANCES[kind])
    ours = GaussianHMM(3, covariance_type=kind, **start).fit(X, lengths=lengths)
    same(ours, theirs, X, lengths)
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-7)
    if kind != "spherical":  # the peer's property has another shape there
        np.testing.assert_allclose(ours.covars_, theirs.covars_, rtol=1e-6, atol=1e-9)


def test_poisson(rng):
    states = np.repeat(rng.integers(3, size=40), 10)
    X, lengths = rng.poisson(np.array([2.0, 8.0, 20.0])[states])[:, None], [100, 300]
    theirs = peer.PoissonHMM(
        3, n_iter=MAPS, tol=-np.inf, init_params="", lambdas_prior=0, lambdas_weight=0
    )
    theirs.startprob_, theirs.transmat_ = START["startprob"], START["transmat"]
    theirs.lambdas_ = np.array([[3.0], [7.0], [15.0]])
    quietly(theirs, X, lengths)
    ours = PoissonHMM(3, **settings(lambdas=[[3.0], [7.0], [15.0]])).fit(X, lengths=lengths)
    same(ours, theirs, X, lengths)


def test_categorical(rng):
    states = np.repeat(rng.integers(3, size=40), 10)
    X = np.where(rng.random(400) < 0.7, states, rng.integers(4, size=400))[:, None]
    lengths, probs = [150, 250], np.full((3, 4), 0.2) + 0.2 * np.eye(3, 4)
    theirs = peer.CategoricalHMM(3, n_iter=MAPS, tol=-np.inf, init_params="")
    theirs.n_features = 4
    theirs.startprob_, theirs.transmat_ = START["startprob"], START["transmat"]
    theirs.emissionprob_ = probs
    quietly(theirs, X, lengths)
    ours = CategoricalHMM(3, **settings(emissionprob=probs)).fit(X, lengths=lengths)
    same(ours, theirs, X, lengths)


def mixtures(kind, params):
    """Both packages at the same start, the peer without priors, to fit the groups of `params`."""
    weights = np.array([[0.4, 0.6], [0.5, 0.5], [0.7, 0.3]])
    means = np.stack([MEANS - 0.7, MEANS + 0.7], axis=1)
    covariances = {
        "diag": np.full((3, 2, 2), 2.0), "full": np.tile(2 * np.eye(2), (3, 2, 1, 1)),
        "spherical": np.full((3, 2), 2.0),
    }[kind]  # fmt: skip
    # What its formulas add to sums of squares and divide by beyond the weights, made 0.
    none = {"diag": (-1.5, 0.0), "full": (0.0, -4.0), "spherical": (-2.0, 0.0)}[kind]
    shape = {"diag": (3, 2, 2), "full": (3, 2), "spherical": (3, 2)}[kind]
    theirs = peer.GMMHMM(
        3, 2, covariance_type=kind, n_iter=MAPS, tol=-np.inf, init_params="", params=params,
        min_covar=0, weights_prior=np.ones((3, 2)), means_prior=np.zeros((3, 2, 2)),
        means_weight=np.zeros((3, 2)),
        covars_prior=np.full(covariances.shape, none[0]), covars_weight=np.full(shape, none[1]),
    )  # fmt: skip
    theirs.startprob_, theirs.transmat_ = START["startprob"], START["transmat"]
    theirs.weights_, theirs.means_, theirs.covars_ = weights, means, covariances
    start = settings(weights=weights, means=means, covariances=covariances)
    return GMMHMM(3, 2, covariance_type=kind, **start), theirs


@pytest.mark.parametrize("kind", ["diag", "full", "spherical"])
def test_mixtures_as_emissions(kind, data):
    """With the covariances held: the peer takes them about the means of the map before."""
    X, lengths = data
    ours, theirs = mixtures(kind, "stmw")
    quietly(theirs, X, lengths)
    ours.set_params(fixed=("covariances",)).fit(X, lengths=lengths)
    same(ours, theirs, X, lengths)
    np.testing.assert_allclose(ours.weights_, theirs.weights_, rtol=1e-7)
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-7)


@pytest.mark.parametrize("kind", ["diag", "full", "spherical"])
def test_covariances_of_mixtures_are_about_their_own_means(kind, data):
    """After one map the peer's are larger by the square of how far the means have moved."""
    X, lengths = data
    ours, theirs = mixtures(kind, "stmwc")
    before = theirs.means_.copy()
    quietly(theirs.set_params(n_iter=1), X, lengths)
    ours.set_params(max_iter=1).fit(X, lengths=lengths)
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-9)
    np.testing.assert_allclose(ours.weights_, theirs.weights_, rtol=1e-9)
    moved = ours.means_ - before
    square = {
        "diag": moved**2, "full": moved[..., None] * moved[..., None, :],
        "spherical": (moved**2).mean(axis=-1),
    }[kind]  # fmt: skip
    np.testing.assert_allclose(ours.covariances_ + square, theirs.covars_, rtol=1e-8, atol=1e-10)
    assert ours.score(X, lengths) > theirs.score(X, lengths)  # so it is a lower step


PROBS = np.array([[0.4, 0.3, 0.2, 0.1], [0.11, 0.37, 0.29, 0.23], [0.17, 0.13, 0.31, 0.39]])


def assigned(kind):
    """Both packages with parameters assigned, never fitted."""
    gmm = {
        "weights_": np.full((3, 2), 0.5), "means_": np.stack([MEANS - 1, MEANS + 1], axis=1),
        "covars_": np.full((3, 2, 2), 2.0),
    }  # fmt: skip
    cases = {
        "poisson": (PoissonHMM, {"lambdas_": np.array([[3.0], [7.0], [15.0]])}),
        "categorical": (
            CategoricalHMM,
            {"emissionprob_": PROBS},
        ),
        "gmm": (lambda k: GMMHMM(k, 2), gmm),
    }
    make, values = cases.get(kind) or (
        lambda k: GaussianHMM(k, covariance_type=kind),
        {"means_": MEANS, "covars_": COVARIANCES.get(kind)},
    )
    theirs = {
        "poisson": peer.PoissonHMM, "categorical": peer.CategoricalHMM,
        "gmm": lambda k: peer.GMMHMM(k, 2),
    }.get(kind, lambda k: peer.GaussianHMM(k, covariance_type=kind))  # fmt: skip
    models = make(3), theirs(3)
    for model in models:
        for name, value in {"startprob_": START["startprob"], "transmat_": START["transmat"],
                            **values}.items():  # fmt: skip
            setattr(model, name, value)
    return models


@pytest.mark.parametrize("kind", [*COVARIANCES, "poisson", "categorical", "gmm"])
def test_assigned_parameters_score_and_sample_as_there(kind, data, rng):
    X, lengths = data
    if kind in ("poisson", "categorical"):
        X = rng.integers(4, size=(600, 1))
    ours, theirs = assigned(kind)
    rows, states = ours.sample(5, random_state=0)
    assert rows.shape == (5, X.shape[1])
    assert states.shape == (5,)
    theirs.n_features = X.shape[1] if kind != "categorical" else 4
    assert ours.score(X, lengths) == pytest.approx(theirs.score(X, lengths), rel=1e-10)
    theirs_joint, theirs_path = theirs.decode(X, lengths)
    joint, path = ours.decode(X, lengths)
    assert joint == pytest.approx(theirs_joint, rel=1e-10)
    assert path.tolist() == theirs_path.tolist()
    one, other = ours.score_samples(X, lengths), theirs.score_samples(X, lengths)
    assert one[0] == pytest.approx(other[0], rel=1e-10)
    np.testing.assert_allclose(one[1], other[1], atol=1e-9)
    map_one, map_other = ours.decode(X, lengths, "map"), theirs.decode(X, lengths, "map")
    assert map_one[1].tolist() == map_other[1].tolist()
    if kind in ("diag", "full", "tied"):
        np.testing.assert_allclose(ours.covars_, theirs.covars_)


def test_concentrations(rng):
    """Dirichlet priors of start, transitions and categories mean the same."""
    X = rng.integers(3, size=(120, 1))
    emissions = rng.dirichlet(np.ones(3), 3)
    priors = {"startprob_prior": 2.0, "transmat_prior": 3.0, "emissionprob_prior": 2.5}
    theirs = peer.CategoricalHMM(3, n_iter=MAPS, tol=-np.inf, init_params="", **priors)
    theirs.startprob_, theirs.transmat_ = START["startprob"], START["transmat"]
    theirs.emissionprob_ = emissions
    quietly(theirs, X, [70, 50])
    ours = CategoricalHMM(3, **settings(emissionprob=emissions), **priors)
    quietly(ours, X, [70, 50])
    for name in ("startprob_", "transmat_", "emissionprob_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9)
    assert np.all(np.diff(ours.result_.history.objectives) > 0)


@pytest.mark.parametrize("means_weight", [0.0, 2.0])
@pytest.mark.parametrize("kind", ["diag", "full"])
def test_priors_of_means_and_covariances(kind, means_weight, data):
    """The degrees of freedom that give the same numbers, as the guide tells."""
    X, lengths = data
    weight, d = 12.0, 2
    scale = 0.7 if kind == "diag" else np.array([[0.7, 0.2], [0.2, 0.5]])
    df = weight - (3 if kind == "diag" else 2 * d + 1) - (means_weight > 0)
    theirs = peer.GaussianHMM(
        3, kind, n_iter=MAPS, tol=-np.inf, init_params="", covars_prior=scale,
        covars_weight=weight, means_prior=1.5, means_weight=means_weight,
    )  # fmt: skip
    theirs.startprob_, theirs.transmat_ = START["startprob"], START["transmat"]
    theirs.means_, theirs.covars_ = MEANS, COVARIANCES[kind]
    quietly(theirs, X, lengths)
    ours = GaussianHMM(
        3, covariance_type=kind, covariance_prior=scale, covariance_df=df, means_prior=[1.5, 1.5],
        means_weight=means_weight, **settings(means=MEANS, covariances=COVARIANCES[kind]),
    )  # fmt: skip
    quietly(ours, X, lengths)
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-8)
    np.testing.assert_allclose(ours.covars_, theirs.covars_, rtol=1e-8)
    np.testing.assert_allclose(ours.transmat_, theirs.transmat_, rtol=1e-8)
