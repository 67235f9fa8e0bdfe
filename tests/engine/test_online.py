"""Online and incremental EM: streams, batches, and an M-step after every few blocks."""

from __future__ import annotations

import numpy as np
import pytest

from latentem import (
    EM,
    ArraySource,
    BlockSource,
    GaussianHMM,
    GaussianMixture,
    MixtureModel,
    PoissonHMM,
    Reason,
    families,
    models,
)
from latentem.engine.incremental import SumTree
from latentem.engine.model import Expectation
from latentem.engine.online import OnlineFit
from tests.engine.test_checkpoints import same


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (10_000, 2)), rng.normal(2.5, 1, (10_000, 2))])
    rng.shuffle(x)
    return x


@pytest.fixture(scope="module")
def batch(rows):
    return EM(tol=1e-6).run(models.Mixture(families.Gaussian("full"), 2), rows, rng=0)


def test_incremental_em_ends_at_the_maximum_of_em(rows, batch):
    states = []
    settings = EM(tol=1e-6, incremental=True, block_size=1_000, callbacks=[states.append])
    result = settings.run(batch.model, rows, rng=0)
    assert result.reason is Reason.CONVERGED
    assert result.loglik == pytest.approx(batch.loglik, abs=1e-4)
    free = np.array([state.objective for state in states])
    assert np.all(np.diff(free) > -1e-7), "the free energy rises, and the objective is above it"
    plain = EM(tol=1e-6, accelerate=None).run(batch.model, rows, rng=0)
    assert result.n_e_steps < plain.n_e_steps
    full = EM(max_iter=0, tol=0).run(batch.model, rows, start=result.params)
    assert result.loglik == pytest.approx(full.loglik, rel=1e-12)  # a full E-step at the end


def test_incremental_em_on_sources_and_chains(rows, batch, tmp_path):
    blocks = lambda: (rows[i : i + 2_000] for i in range(0, len(rows), 2_000))  # noqa: E731
    for source in (ArraySource(rows), BlockSource(blocks)):
        settings = EM(tol=1e-6, incremental=True, block_size=2_000)
        assert settings.run(batch.model, source, rng=0).loglik == pytest.approx(
            batch.loglik, abs=1e-4
        )
    many = [rows[i : i + 50] for i in range(0, 4_000, 50)]
    settings = {"random_state": 0, "tol": 1e-6}
    plain = GaussianHMM(2, **settings).fit(many)
    model, _, data = plain.em_problem(many)
    again = EM(tol=1e-6, incremental=True, block_size=500).run(model, data, rng=0)
    assert again.loglik == pytest.approx(plain.loglik_, abs=1e-3)


def test_partial_sums_are_those_of_the_terms():
    terms = [Expectation((float(i),), 2.0 * i, 1.0) for i in range(7)]
    tree = SumTree(terms)
    assert tree.total == Expectation((21.0,), 42.0, 7.0)
    tree.replace(6, Expectation((100.0,), 1.0, 1.0))
    assert tree.total == Expectation((115.0,), 31.0, 7.0)
    assert SumTree(terms[:1]).total == terms[0]


def test_minibatches_come_near_and_say_so(rows, batch):
    result = EM(batch_size=500, max_iter=4_000).run(batch.model, rows, rng=0)
    assert result.reason is Reason.ONLINE
    assert batch.loglik - 0.001 * len(rows) < result.loglik <= batch.loglik + 1e-6
    full = EM(max_iter=0, tol=0).run(batch.model, rows, start=result.params)
    assert result.loglik == pytest.approx(full.loglik, rel=1e-12)
    assert result.n_iter == 40 * (result.n_iter // 40)  # whole passes


@pytest.mark.parametrize("how", [{"batch_size": 500}, {"incremental": True, "block_size": 1_000}])
def test_both_resume_at_the_same_bits(rows, batch, tmp_path, how):
    path, settings = tmp_path / "fit.ckpt", {"tol": 1e-6, "max_iter": 4_000, **how}
    whole = EM(**settings).run(batch.model, rows, rng=0)
    cut = [lambda state: state.n_iter > 35]
    EM(**settings, callbacks=cut, checkpoint=path).run(batch.model, rows, rng=0)
    same(whole, EM(**settings).run(batch.model, rows, resume=path))
    with pytest.raises(ValueError, match="a checkpoint of other data"):
        EM(**settings).run(batch.model, rows + 0.5, resume=path)


def test_a_stream_ends_near_the_batch_fit(rows):
    gm = GaussianMixture(2, random_state=0)
    for i in range(0, len(rows), 2_000):
        gm.partial_fit(rows[i : i + 2_000])
    whole = GaussianMixture(2, random_state=0).fit(rows)
    assert whole.score(rows) - gm.score(rows) < 0.002
    assert gm.n_iter_ == len(rows) // 1_000
    assert gm.predict(rows[:5]).shape == (5,)
    assert not hasattr(gm, "loglik_")
    assert "without a fit" in gm.summary()


def test_a_stream_goes_on_from_a_fit(rows):
    gm = GaussianMixture(2, random_state=0).fit(rows)
    best = gm.score(rows)
    gm.partial_fit(rows[:2_000])
    assert best - 1e-4 < gm.score(rows) <= best + 1e-9
    gm.fit(rows)
    assert gm.loglik_ == pytest.approx(best * len(rows))
    assert not hasattr(gm, "online_")


def test_a_stream_of_sequences():
    truth = PoissonHMM.from_parameters(
        startprob=[0.5, 0.5], transmat=[[0.95, 0.05], [0.1, 0.9]], lambdas=[[2.0], [6.0]]
    )
    many = [truth.sample(200, random_state=i)[0] for i in range(100)]
    hmm = PoissonHMM(2, random_state=0)
    for i in range(0, 100, 20):
        hmm.partial_fit(many[i : i + 20])
    whole = PoissonHMM(2, random_state=0).fit(many)
    assert (whole.score(many) - hmm.score(many)) / 20_000 < 0.001


def test_a_stream_keeps_what_is_fixed_and_weighs(rows):
    given = {"weights_init": [0.5, 0.5], "fixed": ("weights",), "random_state": 0}
    gm = GaussianMixture(2, **given).partial_fit(rows[:3_000], sample_weight=np.full(3_000, 2.0))
    assert gm.weights_.tolist() == [0.5, 0.5]
    assert gm.online_.weight == pytest.approx(6_000)


def test_one_batch_is_one_step_of_em(rows, batch):
    from latentem.engine.backends import SerialBackend

    model = batch.model
    blocks = model.blocks(rows, len(rows))
    online = OnlineFit(batch.params).fed(model, blocks, SerialBackend())
    plain = EM(max_iter=1, tol=0).run(model, rows, start=batch.params).params
    np.testing.assert_allclose(online.params.family.means, plain.family.means, rtol=1e-12)
    np.testing.assert_allclose(online.averaged(model).weights, plain.weights, rtol=1e-12)


def test_what_cannot_be(rows):
    with pytest.raises(ValueError, match="batch_size must be None or an integer >= 1, got 0"):
        EM(batch_size=0)
    with pytest.raises(ValueError, match="use one"):
        EM(batch_size=5, incremental=True)
    model = models.Mixture(families.Gaussian(), 2)
    model.additive = False
    for settings in (EM(incremental=True), EM(batch_size=100)):
        with pytest.raises(ValueError, match="statistics that do not add up over blocks"):
            settings.run(model, rows)

    class Rowwise(families.Poisson):
        additive = False

    with pytest.raises(ValueError, match="cannot be fitted in parts: use fit"):
        MixtureModel(Rowwise(), 2).partial_fit(np.arange(20.0)[:, None])
    gm = GaussianMixture(2, random_state=0).partial_fit(rows[:2_000])
    with pytest.raises(ValueError, match="X has 1 features, but GaussianMixture"):
        gm.partial_fit(rows[:10, :1])


def test_the_bar_tells_rows_a_second_and_time_left(rows, batch):
    from latentem.engine.progress import pace

    states = []
    EM(accelerate=None, tol=1e-9, callbacks=[states.append]).run(batch.model, rows, rng=0)
    state = states[7]._replace(seconds=4.0, n_e_steps=8, rate=0.5, projected_gain=1.0)
    assert pace(state, 1 / 1024) == ", 4e+04 rows/s, 5 s left"
    assert pace(state._replace(rate=np.nan), 1e-9) == ", 4e+04 rows/s"
    assert pace(state._replace(seconds=0.0), 1e-9) == ""
