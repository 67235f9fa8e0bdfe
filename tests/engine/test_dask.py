"""Dask: the same bits from other processes, one of which is killed in the middle of a fit."""

from __future__ import annotations

import os
import signal

import numpy as np
import pandas as pd
import pytest

from latentem import (
    EM,
    ArraySource,
    BlockSource,
    DaskBackend,
    DaskSource,
    GaussianHMM,
    GaussianMixture,
    families,
    models,
)

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

CUTS = 15_000

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        yield client


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (20_000, 2)), rng.normal(5, 1, (20_000, 2))])
    rng.shuffle(x)
    return x


MODEL = models.Mixture(families.Gaussian("full"), 2)


def pieces(x):
    return BlockSource(lambda: (x[i : i + CUTS] for i in range(0, len(x), CUTS)))


@pytest.fixture(scope="module")
def here(rows):
    return EM().run(MODEL, pieces(rows), rng=0)


def killing(client, at=3):
    """A callback that kills a worker once, and says that it did."""
    killed = []

    def kill(state):
        if state.n_iter == at and not killed:
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    return kill, killed


def test_dask_gives_the_bits_of_one_machine_with_equal_blocks(client, rows, here):
    there = EM().run(MODEL, da.from_array(rows, chunks=(CUTS, 1)), rng=0)
    assert there.loglik == here.loglik
    np.testing.assert_array_equal(there.params.family.means, here.params.family.means)
    whole = EM(tol=1e-8).run(MODEL, rows, start=here.params)
    other = EM(tol=1e-8).run(MODEL, da.from_array(rows, chunks=(CUTS, 2)), start=here.params)
    assert other.loglik == pytest.approx(whole.loglik, rel=1e-10)


def test_data_in_memory_are_scattered_and_files_are_read_there(client, rows, tmp_path):
    plain = EM(max_iter=5, tol=0).run(MODEL, rows, rng=0)
    backend = DaskBackend(client)
    assert EM(max_iter=5, tol=0, backend=backend).run(MODEL, rows, rng=0).loglik == plain.loglik
    np.save(tmp_path / "x.npy", rows)
    source = ArraySource(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert EM(max_iter=5, tol=0, backend=backend).run(MODEL, source, rng=0).loglik == plain.loglik


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize("where", ["collection", pytest.param("memory", marks=pytest.mark.slow)])
def test_a_worker_killed_in_the_middle_changes_nothing(client, rows, here, where):
    kill, killed = killing(client)
    if where == "collection":
        data = da.from_array(rows, chunks=(CUTS, 2))
        result = EM(callbacks=[kill]).run(MODEL, data, rng=0)
        assert result.loglik == here.loglik
    else:
        result = EM(callbacks=[kill], backend=DaskBackend(client)).run(MODEL, rows, rng=0)
        assert result.loglik == EM().run(MODEL, rows, rng=0).loglik
    assert killed
    assert result.converged


def test_dask_in_gives_dask_out(client, rows):
    lazy = da.from_array(rows, chunks=(CUTS, 2))
    gm = GaussianMixture(2, random_state=0).fit(lazy)
    shares = gm.predict_proba(lazy)
    assert isinstance(shares, da.Array)
    assert shares.chunks == ((CUTS, CUTS, 10_000), (2,))
    np.testing.assert_array_equal(shares.compute(), gm.predict_proba(rows))
    assert gm.predict(lazy).dtype == np.int64
    assert gm.score(lazy) == pytest.approx(gm.score(rows), rel=1e-12)


def test_a_data_frame(client, rows):
    dd = pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame(rows[:9_000], columns=["a", "b"])
    lazy = dd.from_pandas(frame, npartitions=3)
    gm = GaussianMixture(2, random_state=0).fit(lazy)
    assert gm.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_array_equal(gm.predict(lazy).compute(), gm.predict(frame))
    with pytest.raises(ValueError, match="the columns are b, a, and those of the fit were a, b"):
        gm.predict(lazy[["b", "a"]])


def test_an_empty_partition_and_a_bad_cell(client, rows):
    x = rows[:3_000]
    lazy = da.concatenate(
        [da.from_array(x[:1_000]), da.from_array(x[:0]), da.from_array(x[1_000:])]
    )
    a = EM(tol=1e-8).run(MODEL, lazy, rng=0)
    b = EM(tol=1e-8).run(MODEL, x, rng=0)
    assert a.loglik == pytest.approx(b.loglik, rel=1e-10)
    bad = x.copy()
    bad[1_500, 1] = np.inf
    with pytest.raises(ValueError, match=r"partition 1 of the Dask data.*x\[500, 1\] is inf"):
        EM().run(MODEL, da.from_array(bad, chunks=(1_000, 2)), start=a.params)


def test_what_dask_cannot_do(client, rows):
    lazy = da.from_array(rows[:100], chunks=(50, 2))
    with pytest.raises(ValueError, match="which rows make a sequence, which a Dask collection"):
        GaussianHMM(2).fit(lazy)
    model = models.Mixture(families.Gaussian(), 2)
    model.additive = False
    with pytest.raises(ValueError, match="statistics that do not add up over blocks"):
        EM(backend=DaskBackend(client)).run(model, rows[:100])
    with pytest.raises(ValueError, match="must be a Dask array"):
        DaskSource(rows)
    with pytest.raises(ValueError, match="have no rows: there is nothing to fit"):
        DaskSource(da.from_array(rows[:0]))


def test_no_client_is_told():
    if distributed.client._get_global_client() is None:
        with pytest.raises(ValueError, match="there is no Dask client: make one first"):
            DaskBackend()
