"""What must hold for every sample: closed forms, equivariance, consistency, same bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from latentem import GaussianMixture, MixtureModel, families
from tests.estimators.samples import KINDS, blobs, full_covariances, start

few = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
kinds = st.sampled_from(KINDS)
seeds = st.integers(0, 10**6)


def plain(k, kind, X, maps=5, weights=None, **given):
    """Some plain EM maps from given starting values."""
    return GaussianMixture(
        k, covariance_type=kind, tol=0, max_iter=maps, accelerate=None, n_jobs=1, **given
    ).fit(X, sample_weight=weights)


def closed_form(X, kind, weights=None):
    weights = np.ones(len(X)) if weights is None else weights
    mean = np.average(X, axis=0, weights=weights)
    full = np.cov(X.T, aweights=weights, bias=True).reshape(X.shape[1], X.shape[1])
    diagonal = np.diag(full)
    shapes = {"full": full[None], "tied": full, "diag": diagonal[None]}
    return mean, shapes.get(kind, np.array([diagonal.mean()]))


@few
@given(kind=kinds, seed=seeds, d=st.integers(1, 5), n=st.integers(12, 40))
def test_one_component_is_the_closed_form(kind, seed, d, n):
    X = np.random.default_rng(seed).standard_normal((n, d)) * 10.0 ** np.arange(d)
    gm = GaussianMixture(1, covariance_type=kind).fit(X)
    mean, covariance = closed_form(X, kind)
    np.testing.assert_allclose(gm.means_, [mean], rtol=1e-9, atol=1e-9 * np.abs(X).max())
    np.testing.assert_allclose(
        gm.covariances_, covariance, rtol=1e-9, atol=1e-10 * np.abs(covariance).max()
    )
    assert gm.weights_.tolist() == [1.0]
    assert gm.converged_
    normal = multivariate_normal(gm.means_[0], full_covariances(gm)[0], allow_singular=False)
    np.testing.assert_allclose(gm.loglik_, normal.logpdf(X).sum(), rtol=1e-10)


@few
@given(seed=seeds, weighted=st.booleans())
def test_one_weighted_component_is_the_closed_form(seed, weighted):
    rng = np.random.default_rng(seed)
    X, weights = rng.standard_normal((30, 3)), rng.uniform(0.1, 3.0, 30)
    for kind in KINDS:
        gm = GaussianMixture(1, covariance_type=kind).fit(X, sample_weight=weights)
        mean, covariance = closed_form(X, kind, weights)
        np.testing.assert_allclose(gm.means_, [mean], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(gm.covariances_, covariance, rtol=1e-10, atol=1e-12)


@few
@given(seed=seeds, n=st.integers(3, 50))
def test_all_types_agree_in_one_dimension(seed, n):
    X = np.random.default_rng(seed).standard_normal((n, 1))
    fits = [GaussianMixture(1, covariance_type=kind).fit(X) for kind in KINDS]
    for gm in fits:
        np.testing.assert_allclose(gm.loglik_, fits[0].loglik_, rtol=1e-12)
        np.testing.assert_allclose(np.ravel(gm.covariances_), X.var(), rtol=1e-12)
    assert {gm.n_parameters() for gm in fits} == {2}


@few
@given(seed=seeds, k=st.integers(2, 4))
def test_types_of_one_variance_each_agree_in_one_dimension(seed, k):
    X = blobs(60, 1, k, seed)
    given_full = start(X, "full", k, seed)
    variances = given_full.pop("precisions_init")
    shaped = {"full": variances, "diag": variances[:, 0], "spherical": variances[:, 0, 0]}
    fits = [plain(k, kind, X, precisions_init=p, **given_full) for kind, p in shaped.items()]
    for gm in fits[1:]:
        np.testing.assert_allclose(gm.loglik_, fits[0].loglik_, rtol=1e-11)
        np.testing.assert_allclose(gm.means_, fits[0].means_, rtol=1e-9, atol=1e-9)


@few
@given(kind=kinds, seed=seeds, d=st.integers(1, 3), k=st.integers(1, 3))
def test_weights_are_repetition_and_zero_is_absence(kind, seed, d, k):
    X = blobs(40, d, k, seed)
    counts = np.random.default_rng(seed).integers(0, 4, size=len(X))
    counts[:k] = 1
    repeated = np.repeat(X, counts, axis=0)
    given_start = start(X[counts > 0], kind, k, seed)
    gm = plain(k, kind, X, weights=counts, **given_start)
    again = plain(k, kind, repeated, **given_start)
    for name in ("weights_", "means_", "covariances_"):
        size = np.abs(getattr(again, name)).max()
        np.testing.assert_allclose(
            getattr(gm, name), getattr(again, name), rtol=1e-10, atol=1e-10 * size
        )
    close = {"rtol": 1e-10}
    np.testing.assert_allclose(gm.loglik_, again.loglik_, **close)
    np.testing.assert_allclose(gm.lower_bound_, again.lower_bound_, **close)
    np.testing.assert_allclose(gm.score(X, sample_weight=counts), again.score(repeated), **close)
    for criterion in ("aic", "bic", "icl"):
        weighted = getattr(gm, criterion)(X, sample_weight=counts)
        np.testing.assert_allclose(weighted, getattr(again, criterion)(repeated), **close)


def test_poisson_weights_are_repetition():
    X = np.array([[0.0], [1.0], [2.0], [7.0], [9.0]])
    counts = np.array([3, 0, 2, 1, 4])
    given_start = {
        "weights_init": [0.3, 0.7],
        "family_init": families.poisson.PoissonParams(np.array([[1.0], [6.0]])),
    }
    settings = {"tol": 0, "max_iter": 20, "accelerate": None, **given_start}
    model = MixtureModel(families.Poisson(), 2, **settings)
    gm = model.fit(X, sample_weight=counts)
    again = MixtureModel(families.Poisson(), 2, **settings).fit(np.repeat(X, counts, axis=0))
    np.testing.assert_allclose(gm.family_params_.lambdas, again.family_params_.lambdas, rtol=1e-10)
    np.testing.assert_allclose(gm.loglik_, again.loglik_, rtol=1e-10)


@few
@given(kind=kinds, seed=seeds, factor=st.sampled_from([1e-12, 0.5, 3.0, 1e12]))
def test_common_factor_of_the_weights_only_scales_the_likelihood(kind, seed, factor):
    X = blobs(40, 2, 2, seed)
    given_start = start(X, kind, 2, seed)
    gm = plain(2, kind, X, **given_start)
    scaled = plain(2, kind, X, weights=np.full(len(X), factor), **given_start)
    np.testing.assert_allclose(scaled.means_, gm.means_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(scaled.loglik_, factor * gm.loglik_, rtol=1e-10)
    np.testing.assert_allclose(scaled.lower_bound_, gm.lower_bound_, rtol=1e-10)


def test_scalar_weight_is_one_for_every_row():
    X = blobs()
    gm = GaussianMixture(2, random_state=0).fit(X, sample_weight=2.0)
    again = GaussianMixture(2, random_state=0).fit(X, sample_weight=np.full(len(X), 2.0))
    assert gm.loglik_ == again.loglik_


def test_rows_of_weight_zero_may_be_anything_finite():
    """A row that is absent does not fill a component, nor the floor, nor the score."""
    X = blobs(40)
    rows = np.vstack([X, [[1e80, -1e80]]])
    weights = np.r_[np.ones(40), 0.0]
    given_start = start(X, "full", 2)
    gm = plain(2, "full", rows, weights=weights, **given_start)
    again = plain(2, "full", X, **given_start)
    np.testing.assert_allclose(gm.covariances_, again.covariances_, rtol=1e-12)
    np.testing.assert_allclose(gm.score(rows, sample_weight=weights), again.score(X), rtol=1e-12)
    np.testing.assert_allclose(gm.bic(rows, sample_weight=weights), again.bic(X), rtol=1e-12)
    np.testing.assert_allclose(gm.icl(rows, sample_weight=weights), again.icl(X), rtol=1e-12)


@few
@given(kind=kinds, seed=seeds, k=st.integers(1, 3))
def test_order_of_the_rows_does_not_matter(kind, seed, k):
    X = blobs(50, 2, k, seed)
    given_start = start(X, kind, k, seed)
    order = np.random.default_rng(seed).permutation(len(X))
    gm, again = plain(k, kind, X, **given_start), plain(k, kind, X[order], **given_start)
    np.testing.assert_allclose(again.means_, gm.means_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(again.loglik_, gm.loglik_, rtol=1e-11)
    np.testing.assert_allclose(
        again.score_samples(X[order]), gm.score_samples(X)[order], rtol=1e-9, atol=1e-9
    )


@few
@given(
    kind=st.sampled_from(["full", "tied", "diag"]),
    seed=seeds,
    powers=st.lists(st.integers(-20, 20), min_size=2, max_size=2),
)
def test_units_of_the_columns_do_not_matter(kind, seed, powers):
    X = blobs(50, 2, 2, seed)
    scale = 2.0 ** np.array(powers)
    given_start = start(X, kind, 2, seed)
    moved = dict(given_start, means_init=given_start["means_init"] * scale)
    divided = scale if kind == "diag" else np.sqrt(np.outer(scale, scale))
    moved["precisions_init"] = given_start["precisions_init"] / divided**2
    gm, again = plain(2, kind, X, **given_start), plain(2, kind, X * scale, **moved)
    np.testing.assert_allclose(again.means_ / scale, gm.means_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        full_covariances(again) / np.outer(scale, scale), full_covariances(gm), atol=1e-8
    )
    jacobian = len(X) * np.log(scale).sum()
    np.testing.assert_allclose(again.loglik_ + jacobian, gm.loglik_, rtol=1e-9)


@few
@given(kind=kinds, seed=seeds, power=st.integers(-30, 30))
def test_one_unit_for_all_columns_does_not_matter(kind, seed, power):
    """From the default start too, which whitens its rows."""
    X, scale = blobs(50, 2, 2, seed), 2.0**power
    settings = {"covariance_type": kind, "random_state": 0, "tol": 0, "max_iter": 8}
    gm = GaussianMixture(2, accelerate=None, **settings).fit(X)
    again = GaussianMixture(2, accelerate=None, **settings).fit(X * scale)
    np.testing.assert_allclose(again.means_ / scale, gm.means_, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(again.covariances_ / scale**2, gm.covariances_, atol=1e-8)


@few
@given(kind=kinds, seed=seeds, shift=st.sampled_from([-1e6, -3.0, 1e3, 1e6]))
def test_origin_of_the_columns_does_not_matter(kind, seed, shift):
    X = blobs(50, 2, 2, seed)
    given_start = start(X, kind, 2, seed)
    moved = dict(given_start, means_init=given_start["means_init"] + shift)
    gm, again = plain(2, kind, X, **given_start), plain(2, kind, X + shift, **moved)
    np.testing.assert_allclose(again.means_ - shift, gm.means_, atol=1e-7)
    np.testing.assert_allclose(again.covariances_, gm.covariances_, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(again.loglik_, gm.loglik_, rtol=1e-8)


@pytest.mark.parametrize(
    ("kind", "count"), [("spherical", 13), ("diag", 21), ("tied", 26), ("full", 41)]
)
def test_parameter_counts(kind, count):
    gm = GaussianMixture(2, covariance_type=kind, random_state=0).fit(blobs(60, 5, 2))
    assert gm.n_parameters() == count


def test_parameter_count_without_a_data_set_and_for_poisson():
    model = MixtureModel(families.Poisson(), 3, max_iter=1, tol=0, random_state=0)
    assert model.fit(np.arange(20.0).reshape(10, 2)).n_parameters() == 3 * 2 + 2
    made = GaussianMixture.from_parameters(weights=[1.0], means=[[0.0]], covariances=[[[1.0]]])
    assert made.n_parameters() == 2


def test_fixed_parameters_are_not_counted():
    family = families.Gaussian("diag", fixed=("means",))
    params = families.gaussian.GaussianParams(np.array([[0.0, 0.0], [6.0, 6.0]]), np.ones((2, 2)))
    model = MixtureModel(family, 2, weights_init=[0.5, 0.5], family_init=params).fit(blobs())
    assert model.n_parameters() == 1 + 4
    np.testing.assert_array_equal(model.family_params_.means, params.means)


# Fifty rows may well collapse with three full covariances: consistent they must be all the same.
@few
@given(kind=kinds, seed=seeds, k=st.integers(1, 3), accelerate=st.sampled_from([None, "squarem"]))
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::latentem.DegenerateComponentWarning")
def test_likelihoods_are_consistent(kind, seed, k, accelerate):
    rng = np.random.default_rng(seed)
    X, weights = blobs(50, 2, k, seed), rng.integers(1, 4, size=50)
    gm = GaussianMixture(
        k, covariance_type=kind, accelerate=accelerate, tol=1e-6, **start(X, kind, k, seed)
    )
    gm.set_params(max_iter=3000).fit(X, sample_weight=weights)
    rows = gm.score_samples(X)
    np.testing.assert_allclose(gm.loglik_, weights @ rows, rtol=1e-10)
    assert gm.lower_bound_ == gm.loglik_ / weights.sum()
    assert gm.lower_bound_ == gm.lower_bounds_[-1]
    assert gm.loglik_ == gm.result_.loglik
    np.testing.assert_allclose(gm.score(X, sample_weight=weights), gm.lower_bound_, rtol=1e-10)
    joint = gm.component_log_density(X) + np.log(gm.weights_)
    np.testing.assert_allclose(np.logaddexp.reduce(joint, axis=1), rows, rtol=1e-9, atol=1e-9)
    shares = np.exp(joint - rows[:, None])
    np.testing.assert_allclose(gm.predict_proba(X), shares, atol=1e-9)
    np.testing.assert_array_equal(gm.predict(X), gm.predict_proba(X).argmax(axis=1))
    for j in range(0 if gm.result_.degenerate else k):
        normal = multivariate_normal(gm.means_[j], full_covariances(gm)[j])
        np.testing.assert_allclose(
            gm.component_log_density(X)[:, j], normal.logpdf(X), rtol=1e-7, atol=1e-7
        )


@few
@given(kind=kinds, seed=seeds, accelerate=st.sampled_from([None, "auto", "squarem"]))
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::latentem.DegenerateComponentWarning")
def test_lower_bounds_never_fall(kind, seed, accelerate):
    X = blobs(40, 2, 2, seed, gap=2.0)
    gm = GaussianMixture(
        3, covariance_type=kind, random_state=seed, init_params="random", accelerate=accelerate
    )
    gm.set_params(tol=1e-6, max_iter=200).fit(X)
    bounds = np.array(gm.lower_bounds_)
    slack = 1e3 * np.finfo(float).eps * max(np.abs(bounds).max(), 1.0)
    assert np.all(np.diff(bounds) >= -slack)
    assert gm.lower_bound_ == bounds[-1]


def test_criteria_are_their_formulas():
    X = blobs(50, 2, 2, gap=2.0)
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 50)
    for w in (None, weights):
        gm = GaussianMixture(2, random_state=0).fit(X, sample_weight=w)
        row_weights = np.ones(50) if w is None else w
        count, p = row_weights.sum(), gm.n_parameters()
        loglik = row_weights @ gm.score_samples(X)
        np.testing.assert_allclose(gm.aic(X, sample_weight=w), -2 * loglik + 2 * p, rtol=1e-12)
        bic = -2 * loglik + p * np.log(count)
        np.testing.assert_allclose(gm.bic(X, sample_weight=w), bic, rtol=1e-12)
        price = row_weights @ np.log(gm.predict_proba(X).max(axis=1))
        np.testing.assert_allclose(gm.icl(X, sample_weight=w), bic - 2 * price, rtol=1e-12)
        assert gm.icl(X, sample_weight=w) > gm.bic(X, sample_weight=w)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("accelerate", [None, "squarem"])
def test_tol_0_runs_exactly_max_iter_maps_without_a_warning(kind, accelerate):
    X = blobs(60, 2, 2, gap=3.0)
    settings = {"covariance_type": kind, "random_state": 5, "tol": 0, "accelerate": accelerate}
    gm = GaussianMixture(2, max_iter=40, **settings).fit(X)
    assert gm.n_iter_ == 40


@pytest.mark.parametrize("kind", KINDS)
def test_tol_0_with_the_default_acceleration(kind):
    X = blobs(60, 2, 2, gap=3.0)
    gm = GaussianMixture(2, covariance_type=kind, random_state=5, tol=0, max_iter=40).fit(X)
    assert gm.n_iter_ == 40


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("accelerate", [None, "squarem"])
def test_results_do_not_depend_on_the_number_of_threads(kind, accelerate):
    X = blobs(20_000, 3, 3, gap=3.0)  # several blocks
    settings = {"covariance_type": kind, "random_state": 5, "max_iter": 6, "tol": 0}
    settings["accelerate"] = accelerate
    one = GaussianMixture(3, n_jobs=1, **settings).fit(X)
    two = GaussianMixture(3, n_jobs=2, **settings).fit(X)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.lower_bounds_ == two.lower_bounds_
    np.testing.assert_array_equal(one.score_samples(X), two.score_samples(X))
    assert one.score(X) == two.score(X)
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data"])
def test_same_seed_same_bits_other_seed_other_start(kind, init):
    X = blobs(80, 2, 3, gap=2.0)
    settings = {"covariance_type": kind, "init_params": init, "max_iter": 3, "tol": 0}
    first = GaussianMixture(3, random_state=11, **settings).fit(X)
    again = GaussianMixture(3, random_state=11, **settings).fit(X)
    np.testing.assert_array_equal(first.means_, again.means_)
    np.testing.assert_array_equal(first.covariances_, again.covariances_)
    first.fit(X)  # a second fit of the same estimator
    np.testing.assert_array_equal(first.means_, again.means_)
    if init.startswith("random"):
        other = GaussianMixture(3, random_state=12, **settings).fit(X)
        assert not np.array_equal(other.means_, first.means_)


def test_more_starts_are_never_worse_and_all_are_kept():
    X = blobs(80, 2, 4, gap=1.5)
    one = GaussianMixture(3, random_state=0, init_params="random").fit(X)
    many = GaussianMixture(3, random_state=0, init_params="random", n_init=6).fit(X)
    assert len(many.result_.starts) == 6
    assert many.loglik_ >= one.loglik_ - 1e-2
    assert many.loglik_ == max(s.loglik for s in many.result_.starts if not s.degenerate)
    assert many.result_.starts[0].loglik == one.loglik_


def far_clusters(rng):
    rows = rng.standard_normal((400, 2))
    rows[200:] += 1e8
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_variance_one_at_mean_1e8(kind):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 2)) + 1e8
    gm = GaussianMixture(1, covariance_type=kind, random_state=0).fit(X)
    exact = closed_form(X - 1e8, kind)[1]  # subtraction of 1e8 is exact
    np.testing.assert_allclose(gm.covariances_, exact, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gm.means_[0] - 1e8, (X - 1e8).mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given_start", [True, False])
def test_variance_one_in_clusters_at_0_and_1e8(kind, given_start):
    X = far_clusters(np.random.default_rng(1))
    means = {"means_init": [[5.0, -5.0], [1e8 - 3.0, 1e8]]} if given_start else {}
    gm = GaussianMixture(2, covariance_type=kind, random_state=0, **means).fit(X)
    order = np.argsort(gm.means_[:, 0])
    low, high = X[:200], X[200:] - 1e8
    parts = np.array([np.cov(low.T, bias=True), np.cov(high.T, bias=True)])
    if kind == "tied":
        np.testing.assert_allclose(gm.covariances_, parts.mean(axis=0), rtol=1e-6, atol=1e-6)
    else:
        diagonal = parts.diagonal(0, 1, 2)
        exact = {"full": parts, "diag": diagonal, "spherical": diagonal.mean(axis=1)}[kind]
        np.testing.assert_allclose(gm.covariances_[order], exact, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gm.weights_, 0.5, rtol=1e-12)
    exact = sum(
        multivariate_normal(part.mean(axis=0), cov).logpdf(part).sum()
        for part, cov in zip((low, high), full_covariances(gm)[order], strict=True)
    )
    np.testing.assert_allclose(gm.loglik_, exact + 400 * np.log(0.5), rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_columns_in_very_different_units(kind):
    """Far scales at a large offset: no column's floor is set by another column."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((200, 2)) * [1e-6, 1e6] + [1.0, 1e8]
    gm = GaussianMixture(1, covariance_type=kind).fit(X)
    _, covariance = closed_form(X - X.mean(axis=0), kind)
    spread = X.std(axis=0)
    size = np.outer(spread, spread) if kind in ("full", "tied") else spread**2
    size = spread.mean() ** 2 if kind == "spherical" else size
    np.testing.assert_allclose(gm.covariances_ / size, covariance / size, rtol=1e-6, atol=1e-6)
