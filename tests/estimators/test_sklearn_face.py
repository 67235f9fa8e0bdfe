"""The estimators among scikit-learn's tools, and every kind of array they may be given."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from latentem import GaussianMixture, MixtureModel, families
from tests.estimators.samples import KINDS, blobs

X = blobs()


# The checks fit toy data of a few rows, where warnings are to be expected.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::latentem.DegenerateComponentWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [
        *(GaussianMixture(covariance_type=kind) for kind in KINDS),
        MixtureModel(families.Gaussian("diag")),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def models():
    return [
        GaussianMixture(2, covariance_type="tied", random_state=0),
        MixtureModel(families.Gaussian("diag"), 2, random_state=0),
    ]


@pytest.mark.parametrize("model", models(), ids=lambda m: type(m).__name__)
def test_clone_copies_settings_and_not_the_fit(model):
    model = clone(model).fit(X)
    copy = clone(model)
    kept = {k: v for k, v in model.get_params().items() if k != "family"}
    assert {k: v for k, v in copy.get_params().items() if k != "family"} == kept
    with pytest.raises(NotFittedError):
        copy.predict(X)


@pytest.mark.parametrize("model", models(), ids=lambda m: type(m).__name__)
def test_pickle_keeps_the_fit(model):
    model = clone(model).fit(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.score_samples(X), model.score_samples(X))
    assert again.loglik_ == model.loglik_
    assert again.result_.reason is model.result_.reason


def test_pipeline():
    pipe = make_pipeline(StandardScaler(), GaussianMixture(2, random_state=0)).fit(X)
    scaled = StandardScaler().fit_transform(X)
    alone = GaussianMixture(2, random_state=0).fit(scaled)
    np.testing.assert_array_equal(pipe.predict(X), alone.predict(scaled))
    assert pipe.score(X) == alone.score(scaled)


def test_grid_search_over_components_uses_score():
    data = blobs(n=150, k=3, seed=3, gap=9.0)
    grid = {"n_components": [1, 2, 3, 4]}
    search = GridSearchCV(GaussianMixture(random_state=0), grid, cv=3).fit(data)
    assert search.best_params_ == {"n_components": 3}
    fold = search.cv_results_["split0_test_score"][2]
    fitted = GaussianMixture(3, random_state=0).fit(data[50:])
    np.testing.assert_allclose(fold, fitted.score_samples(data[:50]).mean(), rtol=1e-12)


def test_grid_search_cuts_the_weights_with_the_rows():
    counts = np.arange(len(X)) % 3 + 1.0
    search = GridSearchCV(GaussianMixture(random_state=0), {"n_components": [1, 2]}, cv=2)
    search.fit(X, sample_weight=counts)
    best = GaussianMixture(2, random_state=0).fit(X, sample_weight=counts)
    assert search.best_params_ == {"n_components": 2}
    np.testing.assert_array_equal(search.best_estimator_.means_, best.means_)


def test_y_is_ignored():
    plain = GaussianMixture(2, random_state=0).fit(X)
    with_y = GaussianMixture(2, random_state=0).fit(X, y=["what"] * 7)
    np.testing.assert_array_equal(plain.means_, with_y.means_)
    labels = GaussianMixture(2, random_state=0).fit_predict(X, y=["what"])
    np.testing.assert_array_equal(labels, plain.predict(X))


def test_outputs_are_numpy_of_the_promised_types():
    gm = GaussianMixture(2, random_state=0).fit(X)
    assert gm.predict(X).dtype == np.int64
    assert gm.predict(X).shape == (60,)
    assert gm.predict_proba(X).shape == (60, 2)
    assert gm.score_samples(X).shape == (60,)
    assert gm.component_log_density(X).shape == (60, 2)
    assert isinstance(gm.score(X), float)
    assert isinstance(gm.loglik_, float)
    assert type(gm.bic(X)) is float
    np.testing.assert_allclose(gm.predict_proba(X).sum(axis=1), 1.0, rtol=1e-14)


def memmap(x, path):
    out = np.memmap(path / "x.dat", dtype=float, mode="w+", shape=x.shape)
    out[:] = x
    return np.memmap(path / "x.dat", dtype=float, mode="r", shape=x.shape)


def read_only(x):
    out = x.copy()
    out.setflags(write=False)
    return out


def strided(x):
    wide = np.zeros((2 * len(x), 2 * x.shape[1]))
    wide[::2, ::2] = x
    return wide[::2, ::2]


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": strided,
    "reversed": lambda x: x[::-1].copy()[::-1],
    "read_only": read_only,
    "list": lambda x: x.tolist(),
    "tuple": lambda x: tuple(map(tuple, x)),
    "big_endian": lambda x: x.astype(">f8"),
    "object": lambda x: x.astype(object),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_layout_of_the_data_does_not_matter(kind, layout):
    gm = GaussianMixture(2, covariance_type=kind, random_state=0).fit(X)
    other = LAYOUTS[layout](X)
    again = GaussianMixture(2, covariance_type=kind, random_state=0).fit(other)
    np.testing.assert_array_equal(again.means_, gm.means_)
    np.testing.assert_array_equal(again.score_samples(other), gm.score_samples(X))


def test_memmap(tmp_path):
    gm = GaussianMixture(2, random_state=0).fit(X)
    again = GaussianMixture(2, random_state=0).fit(memmap(X, tmp_path))
    np.testing.assert_array_equal(again.means_, gm.means_)
    assert type(again.score_samples(memmap(X, tmp_path))) is np.ndarray


@pytest.mark.parametrize("dtype", ["f4", "f2", "i8", "i4", "u1", "?"])
def test_other_dtypes_are_computed_in_float64(dtype):
    data = (X - X.min()).astype(dtype)
    if dtype == "?":
        data = np.random.default_rng(0).random((40, 2)) < 0.5
    gm = GaussianMixture(1).fit(data)
    wide = GaussianMixture(1).fit(data.astype(float))
    np.testing.assert_array_equal(gm.covariances_, wide.covariances_)
    assert gm.means_.dtype == gm.covariances_.dtype == np.float64
    assert gm.score_samples(data).dtype == np.float64


def test_data_are_not_changed():
    before, weights = X.copy(), np.linspace(0.0, 2.0, len(X))
    kept = weights.copy()
    gm = GaussianMixture(2, random_state=0).fit(before, sample_weight=weights)
    gm.score(before, sample_weight=weights)
    gm.predict_proba(before)
    np.testing.assert_array_equal(before, X)
    np.testing.assert_array_equal(weights, kept)


def test_later_changes_to_starting_values_do_not_reach_the_fit():
    weights, means = np.array([0.5, 0.5]), X[:2].copy()
    precisions = np.array([np.eye(2), np.eye(2)])
    gm = GaussianMixture(
        2, weights_init=weights, means_init=means, precisions_init=precisions, max_iter=1, tol=0
    ).fit(X)
    again = gm.score(X)
    weights[:], means[:], precisions[:] = 0.0, 1e9, 7.0
    assert gm.score(X) == again


def frame(names=("width", "height")):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(X, columns=list(names))


def test_frame_names_are_remembered():
    gm = GaussianMixture(2, random_state=0).fit(frame())
    assert gm.feature_names_in_.tolist() == ["width", "height"]
    assert gm.n_features_in_ == 2
    plain = GaussianMixture(2, random_state=0).fit(X)
    np.testing.assert_array_equal(gm.predict_proba(frame()), plain.predict_proba(X))
    assert not hasattr(plain, "feature_names_in_")


def test_frame_with_extension_and_mixed_dtypes():
    pandas = pytest.importorskip("pandas")
    ints = (10 * X).round()
    mixed = pandas.DataFrame(
        {"a": pandas.array(ints[:, 0].astype(int), dtype="Int64"), "b": ints[:, 1].astype("f4")}
    )
    gm = GaussianMixture(2, random_state=0).fit(mixed)
    np.testing.assert_array_equal(gm.means_, GaussianMixture(2, random_state=0).fit(ints).means_)


@pytest.mark.parametrize("change", ["order", "other", "fewer"])
def test_frame_names_are_checked(change):
    gm = GaussianMixture(2, random_state=0).fit(frame())
    other = {
        "order": lambda: frame()[["height", "width"]],
        "other": lambda: frame(("width", "depth")),
        "fewer": lambda: frame()[["width"]],
    }[change]()
    with pytest.raises(ValueError, match="feature names"):
        gm.predict(other)
    with pytest.raises(ValueError, match="feature names"):
        gm.bic(other)


def test_refit_without_names_forgets_them():
    gm = GaussianMixture(2, random_state=0).fit(frame())
    gm.fit(X)
    assert not hasattr(gm, "feature_names_in_")


def test_series_is_one_column():
    gm = GaussianMixture(2, random_state=0).fit(frame()["width"])
    assert gm.n_features_in_ == 1
    assert gm.feature_names_in_.tolist() == ["width"]
    column = GaussianMixture(2, random_state=0).fit(X[:, :1])
    np.testing.assert_array_equal(
        gm.score_samples(frame()["width"]), column.score_samples(X[:, :1])
    )
    assert gm.bic(frame()["width"]) == column.bic(X[:, :1])


def test_polars_frame_and_series():
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"width": X[:, 0], "height": X[:, 1]})
    gm = GaussianMixture(2, random_state=0).fit(table)
    assert gm.feature_names_in_.tolist() == ["width", "height"]
    np.testing.assert_array_equal(gm.means_, GaussianMixture(2, random_state=0).fit(X).means_)
    one = GaussianMixture(2, random_state=0).fit(table["width"])
    assert one.n_features_in_ == 1


class OtherFrame:
    """A frame of some other library: columns, and an array when asked."""

    def __init__(self, data, columns):
        self.data, self.columns = data, columns
        self.shape = data.shape

    def __array__(self, dtype=None, copy=None):
        return np.array(self.data, dtype=dtype)

    def __len__(self):
        return len(self.data)


def test_frame_of_another_library():
    table = OtherFrame(X, ["width", "height"])
    gm = GaussianMixture(2, random_state=0).fit(table)
    np.testing.assert_array_equal(gm.means_, GaussianMixture(2, random_state=0).fit(X).means_)
    np.testing.assert_array_equal(gm.predict(table), gm.predict(X))
    assert gm.bic(table) == gm.bic(X)


@pytest.mark.parametrize(
    "seed",
    [0, np.int64(7), lambda: np.random.default_rng(3), lambda: np.random.RandomState(3)],
    ids=["int", "numpy_int", "Generator", "RandomState"],
)
def test_random_states(seed):
    def fit():
        state = seed() if callable(seed) else seed
        return GaussianMixture(2, init_params="random", random_state=state, max_iter=3, tol=0).fit(
            X
        )

    np.testing.assert_array_equal(fit().means_, fit().means_)


def test_verbose_prints_and_silence_is_silent(capsys):
    GaussianMixture(2, random_state=0, n_init=2).fit(X)
    assert capsys.readouterr().out == ""
    GaussianMixture(2, random_state=0, n_init=2, verbose=1).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  map")[0] for line in lines] == ["start 1", "start 2"]
    gm = GaussianMixture(2, random_state=0, verbose=2).fit(X)
    assert len(capsys.readouterr().out.splitlines()) == gm.result_.n_e_steps


def test_callbacks_see_every_state_and_may_stop():
    seen = []
    gm = GaussianMixture(2, random_state=0, callbacks=[seen.append]).fit(X)
    assert len(seen) == gm.result_.n_e_steps
    assert seen[-1].objective == gm.loglik_
    stopped = GaussianMixture(2, random_state=0, callbacks=[lambda state: state.n_iter == 2]).fit(X)
    assert stopped.n_iter_ == 2
    assert not stopped.converged_


def test_callable_start():
    def halves(points, n_components, rng):
        assert points.shape == X.shape
        assert isinstance(rng, np.random.Generator)
        return (np.arange(len(points)) % n_components).astype(int)

    gm = GaussianMixture(2, init_params=halves, max_iter=0, tol=0).fit(X)
    np.testing.assert_allclose(gm.means_, [X[::2].mean(axis=0), X[1::2].mean(axis=0)], rtol=1e-12)


def test_responsibilities_init_is_one_m_step():
    shares = np.eye(2)[np.arange(len(X)) % 2]
    gm = GaussianMixture(2, responsibilities_init=shares, max_iter=0, tol=0).fit(X)
    np.testing.assert_allclose(gm.means_, [X[::2].mean(axis=0), X[1::2].mean(axis=0)], rtol=1e-12)
    np.testing.assert_allclose(gm.covariances_[0], np.cov(X[::2].T, bias=True), rtol=1e-12)
    np.testing.assert_allclose(gm.weights_, [0.5, 0.5], rtol=1e-14)


def test_responsibilities_init_with_weights():
    shares = np.eye(2)[np.arange(len(X)) % 2]
    weights = np.arange(len(X)) % 3 * 1.0
    gm = GaussianMixture(2, responsibilities_init=shares, max_iter=0, tol=0)
    gm.fit(X, sample_weight=weights)
    first = np.average(X[::2], axis=0, weights=weights[::2])
    np.testing.assert_allclose(gm.means_[0], first, rtol=1e-12)
    np.testing.assert_allclose(gm.weights_[0], weights[::2].sum() / weights.sum(), rtol=1e-12)


def test_start_from_some_of_the_parameters():
    means = np.array([[0.0, 0.0], [9.0, 9.0]])
    gm = GaussianMixture(2, means_init=means, max_iter=0, tol=0, random_state=0).fit(X)
    np.testing.assert_array_equal(gm.means_, means)
    gm = GaussianMixture(2, weights_init=[0.25, 0.75], max_iter=0, tol=0, random_state=0).fit(X)
    np.testing.assert_array_equal(gm.weights_, [0.25, 0.75])


def test_warm_start_goes_on_from_the_last_fit():
    plain = GaussianMixture(2, random_state=0, max_iter=6, tol=0, accelerate=None).fit(X)
    warm = GaussianMixture(
        2, random_state=0, max_iter=3, tol=0, accelerate=None, warm_start=True
    ).fit(X)
    warm.fit(X)
    np.testing.assert_allclose(warm.means_, plain.means_, rtol=1e-12)
    np.testing.assert_allclose(warm.loglik_, plain.loglik_, rtol=1e-13)


def test_precisions_and_their_factors():
    for kind in KINDS:
        gm = GaussianMixture(2, covariance_type=kind, random_state=0).fit(X)
        factors, precisions = gm.precisions_cholesky_, gm.precisions_
        if kind in ("full", "tied"):
            np.testing.assert_allclose(
                precisions @ gm.covariances_,
                np.broadcast_to(np.eye(2), precisions.shape),
                atol=1e-12,
            )
            np.testing.assert_allclose(
                factors @ np.swapaxes(factors, -1, -2), precisions, rtol=1e-10
            )
            np.testing.assert_array_equal(np.tril(factors, -1), 0.0)
        else:
            np.testing.assert_allclose(precisions * gm.covariances_, 1.0, rtol=1e-14)
            np.testing.assert_allclose(factors**2, precisions, rtol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["covariances_", "precisions_", "precisions_cholesky_"])
def test_assigned_attributes_make_a_model(kind, what):
    fitted = GaussianMixture(2, covariance_type=kind, random_state=0).fit(X)
    made = GaussianMixture(2, covariance_type=kind)
    made.weights_, made.means_ = fitted.weights_, fitted.means_
    setattr(made, what, getattr(fitted, what))
    np.testing.assert_allclose(made.score_samples(X), fitted.score_samples(X), rtol=1e-10)
    np.testing.assert_array_equal(made.predict(X), fitted.predict(X))
    assert made.n_parameters() == fitted.n_parameters()


def test_changed_attributes_count_at_once():
    gm = GaussianMixture(2, random_state=0).fit(X)
    before = gm.score_samples(X)
    gm.means_ = gm.means_ + 100.0
    np.testing.assert_allclose(gm.score_samples(X + 100.0), before, rtol=1e-8)


def test_from_parameters_needs_no_fit():
    gm = GaussianMixture(2, random_state=0).fit(X)
    made = GaussianMixture.from_parameters(
        weights=gm.weights_, means=gm.means_, covariances=gm.covariances_, feature_names=["a", "b"]
    )
    np.testing.assert_array_equal(made.score_samples(frame(("a", "b"))), gm.score_samples(X))
    assert made.n_features_in_ == 2
    assert made.n_components == 2
    assert clone(made).n_components == 2
