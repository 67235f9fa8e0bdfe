"""scikit-learn's GaussianMixture as an oracle: same start, same number of plain EM maps."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Peer

from latentem import GaussianMixture
from tests.estimators.samples import KINDS, blobs, start

MAPS = 10
SHAPES = [(60, 1, 1), (200, 1, 3), (150, 2, 2), (400, 3, 4), (300, 8, 3)]


def pair(n, d, k, kind, maps=MAPS):
    """Both packages after `maps` plain EM maps from the same start."""
    X = blobs(n, d, k, seed=n + d)
    given = start(X, kind, k, seed=d)
    ours = GaussianMixture(
        k, covariance_type=kind, tol=0, max_iter=maps, accelerate=None, **given
    ).fit(X)
    peer = Peer(k, covariance_type=kind, tol=0, max_iter=maps, reg_covar=0, **given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # its max_iter always runs out
        peer.fit(X)
    return X, ours, peer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_same_parameters_and_likelihood_after_the_same_maps(n, d, k, kind):
    X, ours, peer = pair(n, d, k, kind)
    assert ours.n_iter_ == MAPS
    size = np.abs(peer.means_).max()
    np.testing.assert_allclose(ours.weights_, peer.weights_, rtol=1e-8)
    np.testing.assert_allclose(ours.means_, peer.means_, rtol=1e-8, atol=1e-8 * size)
    size = np.abs(peer.covariances_).max()
    np.testing.assert_allclose(ours.covariances_, peer.covariances_, rtol=1e-8, atol=1e-8 * size)
    np.testing.assert_allclose(ours.loglik_, peer.score_samples(X).sum(), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_same_likelihood_after_every_single_map(kind):
    X = blobs(150, 3, 3, seed=5)
    given = start(X, kind, 3)
    ours = GaussianMixture(
        3, covariance_type=kind, tol=0, max_iter=MAPS, accelerate=None, **given
    ).fit(X)
    assert len(ours.lower_bounds_) == MAPS + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for maps in range(1, MAPS + 1):
            peer = Peer(3, covariance_type=kind, tol=0, max_iter=maps, reg_covar=0, **given)
            peer.fit(X)
            np.testing.assert_allclose(ours.lower_bounds_[maps], peer.score(X), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_same_answers_at_the_peers_parameters(n, d, k, kind):
    X, _, peer = pair(n, d, k, kind, maps=3)
    ours = GaussianMixture(k, covariance_type=kind)
    ours.weights_, ours.means_, ours.covariances_ = peer.weights_, peer.means_, peer.covariances_
    size = np.abs(peer.precisions_cholesky_).max()
    np.testing.assert_allclose(
        ours.precisions_cholesky_, peer.precisions_cholesky_, rtol=1e-8, atol=1e-8 * size
    )
    size = np.abs(peer.precisions_).max()
    np.testing.assert_allclose(ours.precisions_, peer.precisions_, rtol=1e-8, atol=1e-8 * size)
    np.testing.assert_allclose(ours.score_samples(X), peer.score_samples(X), rtol=1e-10)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-10)
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))
    np.testing.assert_allclose(ours.score(X), peer.score(X), rtol=1e-12)
    assert ours.n_parameters() == peer._n_parameters()
    np.testing.assert_allclose(ours.bic(X), peer.bic(X), rtol=1e-12)
    np.testing.assert_allclose(ours.aic(X), peer.aic(X), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_same_start_from_assigned_factors(kind):
    X, _, peer = pair(150, 2, 2, kind, maps=3)
    ours = GaussianMixture(2, covariance_type=kind)
    ours.weights_, ours.means_ = peer.weights_, peer.means_
    ours.precisions_cholesky_ = peer.precisions_cholesky_
    np.testing.assert_allclose(ours.score_samples(X), peer.score_samples(X), rtol=1e-10)


def test_reg_covar_is_added_to_the_variances_as_the_peer_does():
    X = blobs(150, 2, 2)
    for kind in KINDS:
        given = start(X, kind, 2)
        ours = GaussianMixture(
            2, covariance_type=kind, reg_covar=0.3, tol=0, max_iter=5, accelerate=None, **given
        ).fit(X)
        peer = Peer(2, covariance_type=kind, reg_covar=0.3, tol=0, max_iter=5, **given)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            peer.fit(X)
        np.testing.assert_allclose(ours.covariances_, peer.covariances_, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reg_covar", [1e-6, 0.01, 1.0])
def test_a_fit_with_reg_covar_converges_where_the_peers_does(kind, reg_covar):
    X = blobs(150, 2, 2)
    given = start(X, kind, 2)
    given["means_init"] = np.array([X[::2].mean(axis=0), X[1::2].mean(axis=0)])
    settings = {"covariance_type": kind, "reg_covar": reg_covar, **given}
    ours = GaussianMixture(2, tol=1e-6, max_iter=300, **settings).fit(X)
    peer = Peer(2, tol=1e-9, max_iter=300, **settings).fit(X)
    assert ours.converged_
    np.testing.assert_allclose(ours.means_, peer.means_, rtol=1e-3)
    np.testing.assert_allclose(ours.covariances_, peer.covariances_, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reg_covar", [0.01, 1.0, 100.0])
@pytest.mark.filterwarnings(
    "ignore::latentem.NotIdentifiedWarning"
)  # reg_covar=100 makes one of two
def test_a_fit_with_reg_covar_ends_at_a_fixed_point(kind, reg_covar):
    """Its maps need not raise the likelihood, yet the fit has to go on to where they lead.

    By the step rule: at reg_covar=100, far above the variances, the likelihood is flat to
    1e-7 nats while the means still move.
    """
    X = blobs(60, 2, 2)
    settings = {"covariance_type": kind, "reg_covar": reg_covar, "random_state": 0}
    fit = GaussianMixture(2, stopping="step", tol=1e-6, warm_start=True, **settings).fit(X)
    assert fit.converged_
    means, covariances = fit.means_, fit.covariances_
    fit.set_params(tol=0, max_iter=1, accelerate=None).fit(X)
    np.testing.assert_allclose(fit.means_, means, atol=0.02)
    np.testing.assert_allclose(fit.covariances_, covariances, rtol=0.01, atol=0.02)


@pytest.mark.parametrize("name", ["kmeans", "k-means++", "random", "random_from_data"])
def test_every_name_of_a_start_is_known_to_both(name):
    X = blobs(150, 2, 2, gap=10.0)
    ours = GaussianMixture(2, init_params=name, random_state=0, tol=1e-8, n_init=3).fit(X)
    # One row per component is a start the peer takes only with some reg_covar.
    peer = Peer(2, init_params=name, random_state=0, tol=1e-8, reg_covar=1e-9, n_init=3)
    peer.set_params(max_iter=300).fit(X)
    np.testing.assert_allclose(ours.loglik_, peer.score(X) * len(X), rtol=1e-6)


def test_the_peers_arguments_are_ours():
    ours, theirs = GaussianMixture().get_params(), Peer().get_params()
    assert set(theirs) - set(ours) == {"verbose_interval"}
