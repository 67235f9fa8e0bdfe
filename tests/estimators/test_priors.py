"""Conjugate priors of Gaussian components and of mixing weights: MAP fits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import invgamma, invwishart, multivariate_normal, norm

from latentem import EM, HMM, GaussianMixture, MixtureModel, families, load, standard_errors
from latentem.families import Gaussian, GaussianPrior
from latentem.models import Mixture
from latentem.testing import check_family
from tests.estimators.samples import KINDS, assert_same_attributes, attributes, blobs

X = blobs(80)
D, K = 2, 2


def prior_for(kind, mean_weight=0.5):
    scale = np.array([[2.0, 0.3], [0.3, 1.0]])
    return GaussianPrior(
        np.array([1.0, -1.0]), mean_weight, 6.0, scale if kind in ("full", "tied") else
        scale.diagonal().copy(),
    )  # fmt: skip


def log_prior_by_hand(prior, means, covariances, kind):
    """With all constants, by scipy's distributions."""
    total, kappa = 0.0, prior.mean_weight
    if kind == "full":
        total += sum(invwishart.logpdf(c, prior.df, prior.scale) for c in covariances)
    elif kind == "tied":
        total += invwishart.logpdf(covariances, prior.df, prior.scale)
    else:
        scale = prior.scale if kind == "diag" else prior.scale.mean()
        total += invgamma.logpdf(covariances, prior.df / 2, scale=scale / 2).sum()
    for k, mean in enumerate(means if kappa > 0 else ()):
        if kind in ("full", "tied"):
            spread = covariances[k] if kind == "full" else covariances
            total += multivariate_normal.logpdf(mean, prior.mean, spread / kappa)
        else:
            total += norm.logpdf(mean, prior.mean, np.sqrt(covariances[k] / kappa)).sum()
    return total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mean_weight", [0.0, 0.5])
def test_the_log_density_is_that_of_the_textbook(kind, mean_weight, rng):
    """Up to its constant: differences agree."""
    prior, found, by_hand = prior_for(kind, mean_weight), [], []
    for _ in range(4):
        means = rng.normal(size=(K, D))
        root = rng.normal(size=(K, D, D))
        matrices = root @ root.transpose(0, 2, 1) + np.eye(D)
        covariances = {
            "full": matrices,
            "tied": matrices[0],
            "diag": matrices.diagonal(0, 1, 2),
            "spherical": matrices[:, 0, 0],
        }[kind]
        found.append(prior.log_density(means, covariances, kind))
        by_hand.append(log_prior_by_hand(prior, means, covariances, kind))
    np.testing.assert_allclose(np.diff(found), np.diff(by_hand), rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fixed", [(), ("means",), ("covariances",)])
@pytest.mark.parametrize("gaps", [False, True])
def test_check_family(kind, fixed, gaps, rng):
    """The M-step maximises Q and the log prior; Fisher's identity holds for both."""
    x = X.copy()
    if gaps:
        x[rng.random(x.shape) < 0.2] = np.nan
    check_family(Gaussian(kind, fixed=fixed, prior=prior_for(kind)), x, n_simulated=0)


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_leads_higher(kind):
    prior = prior_for(kind)
    model = Mixture(Gaussian(kind, prior=prior), K, weights_prior=2.0)
    result = EM(tol=1e-10, max_iter=5000).run(model, X, rng=0)
    means = result.params.family.means
    assert result.objective == pytest.approx(
        result.loglik + model.log_prior(result.params), rel=1e-13
    )

    def loss(shift):
        params = result.params._replace(
            family=result.params.family._replace(means=means + shift.reshape(K, D))
        )
        loglik = sum(model.e_step(model.prepare(params), block).loglik for block in model.blocks(X))
        return -loglik - model.log_prior(params)

    best = minimize(loss, np.zeros(K * D), method="BFGS")
    assert best.fun >= loss(np.zeros(K * D)) - 1e-6
    gains = np.diff(result.history.objectives)
    assert (gains > -1e-8).all()


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_components_that_would_collapse_do_not(kind):
    """Two equal rows far from the others are a component of variance 0 without a prior."""
    x = np.vstack([X, np.full((2, D), 60.0)])
    settings = {"covariance_type": kind, "means_init": [*X[:2].tolist(), [60.0, 60.0]]}
    with pytest.warns(UserWarning, match="singular"):
        GaussianMixture(3, **settings).fit(x)
    fit = GaussianMixture(3, covariance_prior="data", **settings).fit(x)
    assert fit.result_.degenerate == ()
    assert fit.converged_
    spread = fit.covariances_[2] if kind != "full" else fit.covariances_[2].diagonal()
    assert np.all(spread > 0.1)


def test_the_defaults_are_those_of_fraley_and_raftery():
    fit = GaussianMixture(3, covariance_prior="data", random_state=0).fit(X)
    prior = fit.model_.family.prior
    np.testing.assert_allclose(prior.mean, X.mean(axis=0))
    np.testing.assert_allclose(prior.scale, np.cov(X.T, bias=True) / 3 ** (2 / D), rtol=1e-12)
    assert (prior.mean_weight, prior.df) == (0.01, D + 2.0)


def test_one_component_by_hand():
    """Means and variances of a normal-inverse-gamma posterior."""
    x = np.array([[1.0], [2.0], [6.0]])
    fit = GaussianMixture(
        1, covariance_type="diag", covariance_prior=4.0, covariance_df=5.0, means_prior=[0.0],
        means_weight=2.0,
    ).fit(x)  # fmt: skip
    assert fit.means_[0, 0] == pytest.approx(9 / 5)
    scatter = ((x - 3.0) ** 2).sum()
    shift = 3 * 2 / 5 * 3.0**2
    assert fit.covariances_[0, 0] == pytest.approx((4 + scatter + shift) / (3 + 5 + 3))


def test_weights_prior_by_hand(rng):
    labels = np.array([0] * 8 + [1] * 2)
    fit = GaussianMixture(2, covariance_type="tied", weights_prior=[3.0, 2.0])
    fit.fit(np.arange(10.0)[:, None], labels=labels)
    np.testing.assert_allclose(fit.weights_, [(8 + 2) / 13, (2 + 1) / 13])
    counts = rng.poisson([[1.0], [9.0]] * 25).astype(float)
    mixture = MixtureModel(families.Poisson(), 2, weights_prior=26.0, random_state=0).fit(counts)
    shares = mixture.predict_proba(counts).sum(axis=0)
    np.testing.assert_allclose(mixture.weights_, (shares + 25) / 100, atol=1e-4)
    assert mixture.result_.objective < mixture.loglik_


def test_standard_errors_count_the_prior():
    fit = GaussianMixture(1, covariance_prior="data", means_weight=80.0, tol=1e-10).fit(X)
    errors = standard_errors(fit, X)["means"]
    likeliest = standard_errors(GaussianMixture(1, tol=1e-10).fit(X), X)["means"]
    assert np.all(errors < 0.8 * likeliest)


def test_files_keep_the_arguments_and_clones_fit_alike(tmp_path):
    fit = GaussianMixture(2, covariance_prior="data", weights_prior=[2.0, 3.0], random_state=0)
    fit.fit(X)
    fit.save(tmp_path / "map.npz")
    again = load(tmp_path / "map.npz")
    assert again.covariance_prior == "data"
    assert np.array_equal(again.weights_prior, [2.0, 3.0])
    assert np.array_equal(again.predict_proba(X), fit.predict_proba(X))
    assert again.fit(X).loglik_ == pytest.approx(fit.loglik_)
    family = Gaussian(prior=prior_for("full"))
    MixtureModel(family, 2, random_state=0).fit(X).save(tmp_path / "family.npz")
    again = load(tmp_path / "family.npz")
    assert np.array_equal(again.family.prior.scale, family.prior.scale)
    unmade = Gaussian(prior=lambda rows: prior_for("full"))
    fit = HMM(unmade, 2, random_state=0).fit(X)
    fit.save(tmp_path / "unmade.npz")
    with pytest.raises(ValueError, match="give an instance of it, load"):
        load(tmp_path / "unmade.npz")
    again = load(tmp_path / "unmade.npz", family=unmade)
    assert np.array_equal(again.predict(X), fit.predict(X))


def test_a_chain_of_the_family():
    fit = HMM(Gaussian("diag", prior=prior_for("diag")), 2, random_state=0).fit(X)
    assert fit.converged_
    assert fit.result_.objective != fit.loglik_


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"weights_prior": 0.5}, "weights_prior must be >= 1, got 0.5: below 1"),
        ({"weights_prior": [1.0, 2.0, 3.0]}, r"weights_prior must be a number or .*\(2,\)"),
        ({"weights_prior": "x"}, "weights_prior must hold numbers"),
        ({"covariance_prior": "mine"}, "covariance_prior must be 'data' or numbers, got 'mine'"),
        ({"covariance_prior": -1.0}, "covariance_prior must be positive"),
        ({"covariance_prior": [1.0, 2.0, 3.0]}, "covariance_prior must have shape a number or"),
        ({"covariance_prior": [[1.0, 2.0], [2.0, 1.0]]}, "symmetric and positive definite"),
        ({"covariance_prior": np.nan}, "covariance_prior contains NaN"),
        ({"covariance_prior": 1.0, "covariance_df": 0.5}, "covariance_df must be a number > 1"),
        ({"covariance_prior": 1.0, "means_weight": -1.0}, "means_weight must be a number >= 0"),
        ({"covariance_prior": 1.0, "means_prior": [1.0]}, r"means_prior must have shape \(2,\)"),
        ({"means_prior": [0.0, 0.0]}, "means_prior is part of a prior .* give covariance_prior"),
        ({"covariance_prior": 1.0, "reg_covar": 1e-6}, "use one of them"),
    ],
)
def test_priors_that_cannot_be(settings, sentence):
    gm = GaussianMixture(2, **settings)
    before = attributes(gm)
    with pytest.raises(ValueError, match=sentence):
        gm.fit(X)
    assert_same_attributes(gm, before)


def test_a_constant_column_has_no_scale_of_its_own():
    with pytest.raises(ValueError, match="column 1 is constant: leave it out"):
        GaussianMixture(1, covariance_prior="data").fit(np.column_stack([X[:, 0], 0 * X[:, 0]]))
