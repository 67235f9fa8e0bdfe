"""Data outside of memory: memmaps, Parquet files, functions that give blocks."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from latentem import (
    EM,
    ArraySource,
    BlockSource,
    FactorAnalyzer,
    GaussianHMM,
    GaussianImputer,
    GaussianMixture,
    LatentModel,
    MixtureModel,
    ParquetSource,
    PoissonHMM,
    families,
    models,
)
from latentem.engine.sums import TreeSum

N = 33_000  # several blocks of a mixture


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (N // 2, 2)), rng.normal(4, 1, (N // 2, 2))])
    rng.shuffle(x)
    return x


@pytest.fixture(scope="module")
def folder(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    np.save(folder / "rows.npy", rows)
    frame = pd.DataFrame(rows, columns=["a", "b"])
    frame.assign(w=1.0, id=np.repeat(np.arange(N // 100), 100)).to_parquet(
        folder / "rows.parquet", row_group_size=7_050
    )
    return folder


@pytest.fixture
def mapped(folder):
    return np.load(folder / "rows.npy", mmap_mode="r")


@pytest.fixture(scope="module")
def fitted(rows):
    return GaussianMixture(2, random_state=0).fit(rows)


def pieces(x, size=5_000):
    return lambda: (x[i : i + size] for i in range(0, len(x), size))


def test_a_memmap_gives_the_bits_of_the_array(mapped, rows, fitted):
    again = GaussianMixture(2, random_state=0).fit(mapped)
    assert again.loglik_ == fitted.loglik_
    np.testing.assert_array_equal(again.means_, fitted.means_)
    np.testing.assert_array_equal(again.covariances_, fitted.covariances_)
    assert again.n_features_in_ == 2
    np.testing.assert_array_equal(again.predict_proba(mapped), fitted.predict_proba(rows))
    assert again.score(mapped) == pytest.approx(fitted.score(rows), rel=1e-12)
    assert again.icl(mapped) == pytest.approx(fitted.icl(rows), rel=1e-12)


def test_weights_and_labels_of_a_memmap(mapped, rows):
    rng = np.random.default_rng(1)
    weights, labels = rng.integers(0, 3, len(rows)), rng.integers(-1, 2, len(rows))
    a = GaussianMixture(2, random_state=0, max_iter=3, tol=0).fit(rows, None, weights, labels)
    b = GaussianMixture(2, random_state=0, max_iter=3, tol=0).fit(mapped, None, weights, labels)
    assert b.loglik_ == pytest.approx(a.loglik_, rel=1e-6)  # starts see other rows
    c = ArraySource(mapped, weights, labels)
    assert GaussianMixture(2, random_state=0, max_iter=3, tol=0).fit(c).loglik_ == b.loglik_


def test_parquet_and_blocks_fit_as_the_array(folder, rows, fitted):
    for source in (
        ParquetSource(folder / "rows.parquet", ["a", "b"], weights="w"),
        BlockSource(pieces(rows)),
    ):
        again = GaussianMixture(2, tol=1e-9, random_state=0).fit(source)
        exact = GaussianMixture(2, tol=1e-9, random_state=0).fit(rows)
        assert again.loglik_ == pytest.approx(exact.loglik_, abs=1e-6)
        np.testing.assert_allclose(again.means_[np.argsort(again.weights_)],
                                   exact.means_[np.argsort(exact.weights_)], atol=1e-4)  # fmt: skip


def test_missing_cells_outside(rows, tmp_path):
    x = rows[:9_000].copy()
    x[np.random.default_rng(2).random(x.shape) < 0.1] = np.nan
    x[5] = np.nan
    np.save(tmp_path / "x.npy", x)
    a = GaussianMixture(2, random_state=0, tol=1e-9).fit(x)
    b = GaussianMixture(2, random_state=0, tol=1e-9).fit(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert b.loglik_ == pytest.approx(a.loglik_, abs=1e-6)
    assert b.result_.weight == a.result_.weight
    assert b.score(np.load(tmp_path / "x.npy", mmap_mode="r")) == pytest.approx(a.score(x))


def test_answers_go_into_out(mapped, rows, fitted, tmp_path):
    shares = np.lib.format.open_memmap(tmp_path / "p.npy", "w+", float, (len(rows), 2))
    assert fitted.predict_proba(mapped, out=shares) is shares
    np.testing.assert_array_equal(shares, fitted.predict_proba(rows))
    path = tmp_path / "labels.parquet"
    assert fitted.predict(rows, out=path) == path
    assert (pd.read_parquet(path)["predict"] == fitted.predict(rows)).all()
    fitted.predict_proba(pieces(rows), out=path)
    np.testing.assert_array_equal(pd.read_parquet(path).to_numpy(), shares)
    density = fitted.score_samples(mapped)
    np.testing.assert_array_equal(density, fitted.score_samples(rows))


def test_chains_outside(mapped, folder, rows):
    lengths = np.full(N // 100, 100)
    a = GaussianHMM(2, random_state=0, tol=1e-6).fit(rows, lengths)
    b = GaussianHMM(2, random_state=0, tol=1e-6).fit(mapped, lengths)
    assert a.loglik_ == b.loglik_
    np.testing.assert_array_equal(a.predict(rows, lengths), b.predict(mapped, lengths))
    np.testing.assert_array_equal(a.predict_proba(rows, lengths), b.predict_proba(mapped, lengths))
    assert b.score(mapped, lengths) == pytest.approx(a.score(rows, lengths), rel=1e-12)
    source = ParquetSource(folder / "rows.parquet", ["a", "b"], sequence="id")
    c = GaussianHMM(2, random_state=0, tol=1e-6).fit(source)
    assert c.loglik_ == pytest.approx(a.loglik_, abs=1e-3)
    assert c.score(source) == pytest.approx(
        c.score(pd.DataFrame(rows, columns=["a", "b"]), lengths), rel=1e-12
    )
    one = GaussianHMM(2, random_state=0, max_iter=2, tol=0).fit(mapped)  # one long sequence
    assert one.loglik_ == GaussianHMM(2, random_state=0, max_iter=2, tol=0).fit(rows).loglik_


def test_a_function_gives_sequences():
    rng = np.random.default_rng(3)
    many = [rng.poisson(rng.choice([1, 9], (40, 1))).astype(float) for _ in range(30)]
    blocks = lambda: (many[i : i + 10] for i in range(0, 30, 10))  # noqa: E731
    a = PoissonHMM(2, random_state=0, tol=1e-9).fit(many)
    b = PoissonHMM(2, random_state=0, tol=1e-9).fit(blocks)
    assert b.loglik_ == pytest.approx(a.loglik_, abs=1e-6)
    np.testing.assert_array_equal(b.predict(blocks), b.predict(many))


def test_any_model_of_the_engine(mapped, rows):
    model = models.MultivariateNormal()
    result = EM().run(model, ArraySource(mapped))
    np.testing.assert_allclose(result.params.mean, rows.mean(axis=0))


def test_a_memmap_travels_as_the_name_of_its_file(mapped):
    source = ArraySource(mapped)
    sent = pickle.dumps(source)
    assert len(sent) < 1_000
    np.testing.assert_array_equal(pickle.loads(sent).x, mapped)
    with pytest.raises(ValueError, match="a part of a memmap cannot be sent"):
        pickle.dumps(ArraySource(mapped[5:]))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 11, 16])
def test_sums_have_the_shape_of_their_number_alone(n):
    from latentem import Expectation

    terms = [Expectation((f"{i}",), 0.0, 0.0) for i in range(n)]

    def tree(parts):  # level by level
        while len(parts) > 1:
            pairs = [f"({a}+{b})" for a, b in zip(parts[::2], parts[1::2], strict=False)]
            parts = pairs + parts[2 * len(pairs) :]
        return parts[0]

    class Text(float):
        def __new__(cls, text):
            self = super().__new__(cls, 0.0)
            self.text = text
            return self

        def __add__(self, other):
            return Text(f"({self.text}+{other.text})")

    sums = TreeSum()
    for i, term in enumerate(terms):
        sums.add(term._replace(statistics=(Text(f"{i}"),)))
    assert sums.total().statistics[0].text == tree([f"{i}" for i in range(n)])


def widths(x):
    yield x[:100]
    yield x[:100, :1]


def test_bad_sources(rows, folder, tmp_path):
    gm = GaussianMixture(2, random_state=0)
    with pytest.raises(ValueError, match="block 1 of the data has 1 columns, and those before"):
        gm.fit(lambda: widths(rows))
    with pytest.raises(ValueError, match="the factory gave no blocks"):
        gm.fit(lambda: iter([]))
    with pytest.raises(TypeError, match="an iterator itself can be read only once"):
        BlockSource(iter([rows]))
    with pytest.raises(ValueError, match="there is no file"):
        gm.fit(tmp_path / "none.parquet")
    whole = (folder / "rows.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot be read as a Parquet file, it may be cut off"):
        gm.fit(tmp_path / "cut.parquet")
    (tmp_path / "holed.parquet").write_bytes(whole[:500] + b"x" * 90_000 + whole[90_500:])
    with pytest.raises(ValueError, match=r"row group \d of .* may be damaged"):
        gm.fit(tmp_path / "holed.parquet")
    with pytest.raises(ValueError, match="has no column 'q': its columns are a, b, w, id"):
        ParquetSource(folder / "rows.parquet", ["q"])
    pd.DataFrame({"a": ["u", "v"]}).to_parquet(tmp_path / "text.parquet")
    with pytest.raises(ValueError, match=r"column 'a' of .* not numbers: pass columns= without it"):
        gm.fit(tmp_path / "text.parquet")
    with pytest.raises(ValueError, match="must know which rows make a sequence"):
        GaussianHMM(2).fit(folder / "rows.parquet")
    with pytest.raises(ValueError, match="sample_weight cannot be given beside a ParquetSource"):
        gm.fit(folder / "rows.parquet", sample_weight=[1.0])
    with pytest.raises(ValueError, match="responsibilities_init needs all rows in memory"):
        GaussianMixture(2, responsibilities_init=np.ones((3, 2)) / 2).fit(pieces(rows))
    assert not hasattr(gm, "means_")


def test_a_bad_cell_is_told_with_its_place(rows, tmp_path, fitted):
    x = rows.copy()
    x[-20, 1] = np.inf
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for ask in (GaussianMixture(2, random_state=0).fit, fitted.predict):
        with pytest.raises(ValueError, match=r"in rows 24750 to 32999 of the data.*8230.*column|1"):
            ask(mapped)


def test_an_empty_partition_is_no_trouble(rows):
    def blocks():
        yield rows[:1_000]
        yield rows[:0]
        yield rows[1_000:3_000]

    a = GaussianMixture(2, random_state=0, tol=1e-9).fit(blocks)
    b = GaussianMixture(2, random_state=0, tol=1e-9).fit(rows[:3_000])
    assert a.loglik_ == pytest.approx(b.loglik_, abs=1e-6)
    np.testing.assert_array_equal(a.predict(blocks), a.predict(rows[:3_000]))


def test_categories_that_the_sample_lacks_are_told():
    def blocks():
        for number in range(30):
            codes = np.zeros((1_000, 1))
            codes[0] = 7 * (number == 29)
            yield codes

    with pytest.raises(ValueError, match="raise n_categories, or recode"):
        MixtureModel(families.Categorical(), 1).fit(blocks)


def test_wrong_out(rows, fitted):
    with pytest.raises(ValueError, match=r"out has shape \(5,\), and the answers have"):
        fitted.predict(rows, out=np.empty(5))
    with pytest.raises(ValueError, match="out has 33005 rows, and the data have 33000"):
        fitted.predict(rows, out=np.empty(N + 5))
    with pytest.raises(ValueError, match="out has dtype int64, which cannot hold float64"):
        fitted.score_samples(rows, out=np.empty(N, dtype=np.int64))
    with pytest.raises(ValueError, match=r"the path of a \.parquet file, got 'x.csv'"):
        fitted.predict(rows, out="x.csv")


@pytest.mark.parametrize("estimator", [GaussianImputer(), FactorAnalyzer(1)])
def test_estimators_that_take_data_in_memory_say_so(estimator, rows, folder):
    for source in (folder / "rows.parquet", pieces(rows)):
        with pytest.raises(ValueError, match="takes data in memory: read them, or fit the model"):
            estimator.fit(source)


def test_statistics_that_do_not_add_are_refused(mapped):
    class Rowwise(models.Mixture):
        additive = False

    model = Rowwise(families.Gaussian(), 2)
    model.additive = False
    with pytest.raises(ValueError, match="statistics that do not add up over blocks"):
        EM().run(model, ArraySource(mapped))
    assert isinstance(model, LatentModel)
