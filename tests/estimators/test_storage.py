"""Saving and loading: exact round trips, and a sentence for every file that is not one."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import latentem
from latentem import GaussianMixture, MixtureModel, families
from latentem.datasets import load_faithful, load_times_deaths
from latentem.engine.archive import atomically, read_archive, write_archive
from latentem.engine.constraints import Positive
from latentem.estimators.storage import FORMAT, VERSION, load, save

X = load_faithful().data
KINDS = ("full", "tied", "diag", "spherical")


class RateParams(NamedTuple):
    rates: np.ndarray


class Exponential(latentem.Family):
    """A user's family, of which latentem knows nothing."""

    declares = True

    def log_density(self, prepared: Any, x: Any) -> np.ndarray:
        return np.log(prepared.rates).sum(axis=1)[:, None] - prepared.rates @ x.T

    def statistics(self, prepared: Any, x: Any, weights: Any, shared: Any = None) -> Any:
        return (weights.sum(axis=1), weights @ x)

    def maximize(self, statistics: Any, params: Any) -> RateParams:
        return RateParams(statistics[0][:, None] / statistics[1])

    def initialize(self, x: Any, weights: Any, rng: Any) -> RateParams:
        return RateParams(weights.sum(axis=1)[:, None] / (weights @ x))

    def constraints(self) -> Any:
        return RateParams(Positive()) if self.declares else None


class Undeclared(Exponential):
    declares = False


def changed(path: Path, header: dict | None = None, drop: str = "", **arrays: np.ndarray) -> Path:
    """The file with parts of its header or arrays replaced."""
    old, members = read_archive(path, FORMAT, VERSION)
    members.pop(drop, None)
    renamed = {name.replace("__", "."): array for name, array in arrays.items()}
    write_archive(path, {**old, **(header or {})}, {**members, **renamed})
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A saved Gaussian mixture."""
    path = tmp_path / "model.npz"
    save(GaussianMixture(2, random_state=0).fit(X), path)
    return path


# --------------------------------------------------------------------------------- round trips


@pytest.mark.parametrize("kind", KINDS)
def test_gaussian_mixture_comes_back_bit_for_bit(kind: str, tmp_path: Path) -> None:
    gm = GaussianMixture(3, covariance_type=kind, random_state=4, tol=1e-6).fit(X)
    save(gm, tmp_path / "m.npz")
    again = latentem.load(tmp_path / "m.npz")
    assert type(again) is GaussianMixture
    assert again.get_params() == gm.get_params()
    for name in ("weights_", "means_", "covariances_"):
        assert np.array_equal(getattr(again, name), getattr(gm, name))
    assert np.array_equal(again.predict_proba(X), gm.predict_proba(X))
    assert np.array_equal(again.score_samples(X), gm.score_samples(X))
    assert np.array_equal(again.sample(9, random_state=1)[0], gm.sample(9, random_state=1)[0])
    assert again.bic(X) == gm.bic(X)
    for name in ("loglik_", "lower_bound_", "converged_", "n_iter_", "n_features_in_"):
        assert getattr(again, name) == getattr(gm, name)
        assert type(getattr(again, name)) is type(getattr(gm, name))
    assert again.lower_bounds_ == gm.lower_bounds_
    assert again.reason_ == gm.result_.reason.sentence


def test_poisson_mixture_comes_back_with_its_family(tmp_path: Path) -> None:
    deaths = load_times_deaths()
    model = MixtureModel(families.Poisson(), 2, random_state=0)
    model.fit(deaths.data, sample_weight=deaths.weights)
    save(model, tmp_path / "m.npz")
    again = load(tmp_path / "m.npz")
    assert type(again.family) is families.Poisson
    assert type(again.family_params_) is type(model.family_params_)
    assert np.array_equal(again.predict_proba(deaths.data), model.predict_proba(deaths.data))


def test_gaussian_family_in_a_mixture_model_keeps_its_settings(tmp_path: Path) -> None:
    start = families.GaussianParams(X.mean(axis=0)[None], X.var(axis=0)[None])
    family = families.Gaussian("diag", 1e-9, fixed=("means",))
    model = MixtureModel(family, 1, family_init=start, fixed=["weights"], weights_init=[1.0])
    save(model.fit(X), tmp_path / "m.npz")
    again = load(tmp_path / "m.npz")
    assert again.fixed == ("weights",)
    assert again.n_parameters() == model.n_parameters() == 2
    family = again.family
    assert (family.covariance_type, family.reg_covar, family.fixed) == ("diag", 1e-9, ("means",))


@pytest.mark.parametrize("family", [Exponential(), Undeclared()])
def test_family_of_a_user_comes_back_when_it_is_given(family: Any, tmp_path: Path) -> None:
    model = MixtureModel(family, 2, random_state=0, accelerate=None).fit(X)
    save(model, tmp_path / "m.npz")
    again = load(tmp_path / "m.npz", family=family)
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    if family.declares:
        assert type(again.family_params_) is RateParams


def test_family_whose_parameters_do_not_tell_the_number_of_columns(tmp_path: Path) -> None:
    """Rates of shape (K,): the file says that there is one column."""

    class OneColumn(Exponential):
        def log_density(self, prepared: Any, x: Any) -> np.ndarray:
            return np.log(prepared.rates)[:, None] - np.outer(prepared.rates, x[:, 0])

        def maximize(self, statistics: Any, params: Any) -> RateParams:
            return RateParams(statistics[0] / statistics[1][:, 0])

        def initialize(self, x: Any, weights: Any, rng: Any) -> RateParams:
            return RateParams(weights.sum(axis=1) / (weights @ x[:, 0]))

    waits = X[:, :1]
    model = MixtureModel(OneColumn(), 2, random_state=0).fit(waits)
    save(model, tmp_path / "m.npz")
    again = load(tmp_path / "m.npz", family=OneColumn())
    assert again.n_features_in_ == 1
    assert np.array_equal(again.predict_proba(waits), model.predict_proba(waits))
    assert again.bic(waits) == model.bic(waits)
    with pytest.raises(ValueError, match="2 features"):
        again.predict(X)
    with pytest.raises(ValueError, match=r"shape \(3,\), and there are 2 components"):
        load(changed(tmp_path / "m.npz", family__rates=np.ones(3)), family=OneColumn())
    with pytest.raises(ValueError, match="number of columns is 'x'"):
        load(changed(tmp_path / "m.npz", {"n_features": "x"}), family=OneColumn())


def test_names_of_columns_are_kept_and_checked(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["Dauer (min)", "Wärte\u2028zeit"])
    save(GaussianMixture(2, random_state=0).fit(frame), tmp_path / "m.npz")
    again = load(tmp_path / "m.npz")
    assert list(again.feature_names_in_) == list(frame.columns)
    assert again.marginal(["Dauer (min)"]).means_.shape == (2, 1)
    with pytest.raises(ValueError, match="feature names"):
        again.predict(frame.rename(columns={"Dauer (min)": "other"}))


def test_model_from_parameters_has_no_fit_to_tell_of(tmp_path: Path) -> None:
    gm = GaussianMixture.from_parameters(
        weights=[0.5, 0.5],
        means=[[0.0], [1.0]],
        covariances=[1.0, 2.0],
        covariance_type="spherical",
    )
    save(gm, tmp_path / "m.npz")
    again = load(tmp_path / "m.npz")
    assert not hasattr(again, "loglik_")
    assert again.covariances_.tolist() == [1.0, 2.0]


def test_starting_values_are_kept_and_functions_are_named(tmp_path: Path) -> None:
    gm = GaussianMixture(
        2,
        means_init=[[2.0, 54.0], [4.0, 80.0]],
        callbacks=[lambda state: False],
        random_state=np.random.default_rng(0),
    ).fit(X)
    save(gm, tmp_path / "m.npz")
    again = load(tmp_path / "m.npz")
    assert again.means_init.tolist() == [[2.0, 54.0], [4.0, 80.0]]
    assert again.callbacks is None
    assert again.random_state is None
    header, _ = read_archive(tmp_path / "m.npz", FORMAT, VERSION)
    assert header["not_saved"] == ["callbacks", "random_state"]


def test_what_was_wrong_with_a_fit_is_kept_through_two_round_trips(tmp_path: Path) -> None:
    with pytest.warns(latentem.ConvergenceWarning):
        gm = GaussianMixture(4, random_state=0, max_iter=2).fit(X)
    save(gm, tmp_path / "a.npz")
    save(load(tmp_path / "a.npz"), tmp_path / "b.npz")
    again = load(tmp_path / "b.npz")
    assert again.converged_ is False
    assert again.reason_ == gm.result_.reason.sentence
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_degenerate_fit_says_so_after_loading(tmp_path: Path) -> None:
    rows = np.concatenate([np.zeros(5), np.linspace(10, 20, 50)])[:, None]
    with pytest.warns(latentem.DegenerateComponentWarning):
        gm = GaussianMixture(2, random_state=0).fit(rows)
    save(gm, tmp_path / "m.npz")
    assert load(tmp_path / "m.npz").degenerate_ == gm.result_.degenerate
    assert "singular" in gm.result_.degenerate[0]


def test_infinite_tol_comes_back(tmp_path: Path) -> None:
    gm = GaussianMixture.from_parameters(
        weights=[1.0], means=[[0.0]], covariances=[[[1.0]]], tol=np.inf
    )
    save(gm, tmp_path / "m.npz")
    assert load(tmp_path / "m.npz").tol == np.inf


def test_loaded_model_can_be_fitted_again(path: Path) -> None:
    again = load(path).set_params(warm_start=True).fit(X)
    assert again.converged_
    assert again.result_.n_iter <= 6  # no start stops before it


# -------------------------------------------------------------------------------- what save refuses


def test_save_refuses_an_unfitted_model(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        save(GaussianMixture(2), tmp_path / "m.npz")
    assert not list(tmp_path.iterdir())


def test_save_refuses_a_subclass(tmp_path: Path) -> None:
    class Mine(GaussianMixture):
        pass

    with pytest.raises(TypeError, match="this is a Mine"):
        save(Mine(1).fit(X), tmp_path / "m.npz")


def test_save_refuses_parameters_that_are_not_finite(tmp_path: Path) -> None:
    gm = GaussianMixture(1).fit(X)
    gm.means_ = np.full((1, 2), np.nan)
    with pytest.raises(ValueError, match="NaN or infinite"):
        save(gm, tmp_path / "m.npz")


def test_failed_write_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(TypeError, match="bytes"), atomically(path) as file:
        file.writelines([b"half a fi", "le"])
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_path_is_used_as_it_is(tmp_path: Path) -> None:
    save(GaussianMixture(1).fit(X), str(tmp_path / "model"))
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


# -------------------------------------------------------------------------------- hostile files


def test_every_truncation_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cannot read"):
            load(path)


def test_flipped_bytes_are_refused_or_harmless(path: Path) -> None:
    whole = path.read_bytes()
    expected = load(path)
    rng, refused = np.random.default_rng(0), 0
    for place in rng.choice(len(whole), 400, replace=False):
        broken = bytearray(whole)
        broken[place] ^= 1 << rng.integers(8)
        path.write_bytes(broken)
        try:
            found = load(path)
        except ValueError:
            refused += 1
        else:  # a date or another field that nothing reads
            assert np.array_equal(found.means_, expected.means_)
            assert found.get_params() == expected.get_params()
    assert refused > 200


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "not a zip file"),
        (b"eruptions,waiting\n3.6,79\n", "not a zip file"),
        (b"\x80\x04\x95pickle", "not a zip file"),
    ],
)
def test_other_files_are_refused(content: bytes, match: str, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match=match):
        load(tmp_path / "x.npz")


def test_npz_of_others_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", weights=np.ones(2))
    with pytest.raises(ValueError, match="has no header, so it was not made by latentem"):
        load(tmp_path / "x.npz")


def test_zip_of_other_things_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match="not one of arrays only"):
        load(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("{", "its header is not JSON"),
        ("[" * 100_000, "its header is not JSON"),
        ("[1]", "does not say that it is a latentem estimator file"),
        ('{"format": "other"}', "does not say that it is a latentem estimator file"),
        ('{"format": "latentem estimator"}', "no version number"),
        ('{"format": "latentem estimator", "version": 2}', "install a newer latentem"),
        ('{"format": "latentem estimator", "version": 1}', "does not know"),
    ],
)
def test_header_that_is_not_ours_is_refused(header: str, match: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", header=np.array(header))
    with pytest.raises(ValueError, match=match):
        load(tmp_path / "x.npz")


def test_pickle_inside_is_refused_and_not_run(path: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (ran,)

    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([Evil()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("extra.npy", buffer.getvalue())
    with pytest.raises(ValueError, match="'extra' is not one of real numbers"):
        load(path)
    assert not ran.exists()


def test_zip_bomb_is_refused_unread(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.npy", bytes(10**7))
    with pytest.raises(ValueError, match="'bomb' is compressed"):
        load(path)


def test_shape_of_absurd_size_is_refused_before_memory_is_asked_for(path: Path) -> None:
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }"
    npy = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("big.npy", npy)
    with pytest.raises(ValueError, match="claims a shape that its data do not fill"):
        load(path)


def test_members_larger_than_the_file_are_refused(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        biggest = max(archive.infolist(), key=lambda member: member.file_size)
    data = path.read_bytes()
    # Every entry of the central directory points at the same biggest member.
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = data[start : data.index(b"PK\x01\x02", start + 4)]
    size = entry[24:28]
    assert biggest.file_size == int.from_bytes(size, "little")
    copies = b"".join(entry.replace(b"header.npy", f"heade{i}.npy".encode()) for i in range(9))
    tail = bytearray(data[end:])
    tail[8:12] = (9).to_bytes(2, "little") * 2
    tail[12:16] = len(copies).to_bytes(4, "little")
    path.write_bytes(data[:start] + copies + tail)
    with pytest.raises(ValueError, match="claim to be larger than the file"):
        load(path)


def test_same_name_twice_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("header.npy", b"")
    with pytest.raises(ValueError, match="each with its own name"):
        load(path)


def test_text_in_place_of_numbers_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="which is not expected there"):
        load(changed(path, weights=np.array(["a", "b"])))


# ------------------------------------------------------- parts that do not belong together


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"drop": "family.means"}, "'family.means' is missing"),
        ({"family__means": np.zeros((2, 3))}, r"covariances must have shape \(2, 3, 3\)"),
        ({"family__means": np.zeros(2)}, r"means must be \(n_components, n_features\)"),
        ({"family__means": np.full((2, 2), np.nan)}, "'family.means' contains NaN"),
        ({"family__covariances": np.zeros((2, 2))}, "covariances must have shape"),
        ({"family__covariances": -np.ones((2, 2, 2))}, "covariances must be positive definite"),
        ({"weights": np.ones(2)}, "weights must sum to 1"),
        ({"weights": np.array([1.5, -0.5])}, "weights must be >= 0"),
        ({"weights": np.ones(3) / 3}, r"weights must have shape \(2,\)"),
        ({"settings__colour": np.ones(3)}, "settings that this latentem does not know"),
        ({"lower_bounds": np.ones((3, 3))}, "lower_bounds have shape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(path: Path, arrays: dict, match: str) -> None:
    with pytest.raises(ValueError, match=f"cannot load .*{match}"):
        load(changed(path, **arrays))


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ({"class": "os.system"}, "holds a 'os.system', which this latentem does not know"),
        ({"class": ["GaussianMixture"]}, "does not know"),
        ({"settings": None}, "no 'settings' as latentem writes it"),
        ({"settings": {"tol": {}}}, "setting 'tol' is not a single value"),
        ({"settings": {"tol": ["a"]}}, "setting 'tol' is not a single value"),
        ({"settings": {"fixed": [1]}}, "setting 'fixed' is not a single value"),
        ({"settings": {"colour": 1}}, "settings that this latentem does not know"),
        ({"settings": {"covariance_type": "round"}}, "covariance_type must be one of"),
        ({"parameters": None}, "parameters are not described as latentem does"),
        (
            {"parameters": {"fields": ["weights", "family"], "parts": [None, "array"]}},
            "parameters are not described|'family' is missing",
        ),
        ({"parameters": 3}, "not described as latentem does"),
        ({"parameters": {"fields": ["a"], "parts": ["array"]}}, "model's are"),
        ({"feature_names": ["a"]}, "not the names of 2 columns"),
        ({"n_features": 7}, "names 7 columns for parameters of 2"),
        ({"fit": {"weights_": "x"}}, "its record of the fit has weights_"),
        ({"fit": {"converged_": "yes"}}, "its record of the fit has converged_ = 'yes'"),
    ],
)
def test_headers_that_do_not_fit_are_refused(path: Path, header: dict, match: str) -> None:
    with pytest.raises(ValueError, match=f"cannot load .*{match}"):
        load(changed(path, header))


def test_deeply_nested_parameters_are_refused(path: Path) -> None:
    structure: Any = "array"
    for _ in range(300):
        structure = {"fields": [], "parts": [structure]}
    with pytest.raises(ValueError, match="cannot load"):
        load(changed(path, {"parameters": structure}))


def test_family_must_be_left_out_or_given_or_right(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="so leave family= out"):
        load(path, family=families.Poisson())
    other = tmp_path / "other.npz"
    save(MixtureModel(families.Poisson(), 2, random_state=0).fit(np.round(X)), other)
    with pytest.raises(ValueError, match="a mixture of Poisson, and family= is"):
        load(other, family=Exponential())
    save(MixtureModel(Exponential(), 2, random_state=0).fit(X), other)
    with pytest.raises(ValueError, match=r"give an instance of it, load\(path, family=...\)"):
        load(other)
    with pytest.raises(ValueError, match="family= is a Poisson"):
        load(other, family=families.Poisson())
    with pytest.raises(ValueError, match="family must be a Family, got ABCMeta"):
        load(other, family=Exponential)
    with pytest.raises(ValueError, match=r"shape \(3, 2\), and there are 2 components"):
        load(changed(other, family__rates=np.ones((3, 2))), family=Exponential())


def test_negative_rates_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    save(MixtureModel(families.Poisson(), 2, random_state=0).fit(np.round(X)), path)
    with pytest.raises(ValueError, match="lambdas must be >= 0"):
        load(changed(path, family__lambdas=-np.ones((2, 2))))


def test_missing_file_and_folder_are_told_by_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def test_the_header_is_plain_json_that_others_can_read(path: Path) -> None:
    with np.load(path, allow_pickle=False) as file:
        header = json.loads(file["header"].item(), parse_constant=pytest.fail)
        assert file["family.means"].shape == (2, 2)
    assert header["class"] == "GaussianMixture"
    assert header["fit"]["converged_"] is True
