"""Ordered subsets: an M-step after each part of the data, and nothing promised."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from latentem import EM, CollapsedError, Expectation, LatentModel, Reason, families, models


class Params(NamedTuple):
    mean: float


class Mean(LatentModel):
    """Normal rows of variance 1 about a mean that moves half way to theirs in each map."""

    def initialize(self, blocks, rng):
        return Params(0.0)

    def e_step(self, params, block):
        loglik = -0.5 * float(np.sum((block - params.mean) ** 2))
        return Expectation((float(block.sum()), float(len(block))), loglik, float(len(block)))

    def m_step(self, statistics, params):
        total, count = statistics
        assert count == pytest.approx(8), "the statistics of a subset are scaled up to all rows"
        return Params((params.mean + total / count) / 2)


ROWS = np.array([1.0, 5.0, 2.0, 6.0, 1.0, 5.0, 2.0, 6.0])


def subsets(n, **settings):
    return EM(**{"subsets": n, "block_size": 1, "tol": 0, "n_jobs": 1, **settings})


def test_map_uses_every_nth_block_in_turn():
    seen = [subsets(2, max_iter=maps).run(Mean(), ROWS).params.mean for maps in range(1, 5)]
    expected, mean = [], 0.0
    for k in (0, 1, 0, 1):
        mean = (mean + ROWS[k::2].mean()) / 2
        expected.append(mean)
    assert seen == expected


def test_result_says_what_it_is_and_its_loglik_belongs_to_its_params():
    result = subsets(2, max_iter=7).run(Mean(), ROWS)
    assert result.reason is Reason.SUBSETS
    assert not result.converged
    assert "promise no convergence" in str(result)
    assert result.warnings == ()
    assert result.n_iter == 7
    assert result.loglik == -0.5 * float(np.sum((ROWS - result.params.mean) ** 2))
    assert result.statistics == (ROWS.sum(), 8.0)
    assert result.n_e_steps == 6  # the start, seven halves of a pass, the end
    assert set(result.history["step"]) == {"start", "subsets"}


def test_stops_when_passes_no_longer_differ():
    result = subsets(2, tol=1e-6, max_iter=10_000).run(Mean(), ROWS)
    assert result.reason is Reason.SUBSETS
    assert result.n_iter < 100
    # a cycle, not the maximum: the mean is 3.5, subsets have 1.5 and 5.5
    assert result.params.mean == pytest.approx((1.5 / 2 + 5.5) / 1.5, abs=1e-3)


def test_any_additive_model_may_use_them():
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.where(rng.random(20_000) < 0.4, 2.0, 6.0))[:, None].astype(float)
    model = models.Mixture(families.Poisson(), 2)
    settings = {"tol": 0, "accelerate": None, "block_size": 2500}
    start = (
        EM(**settings, max_iter=0)
        .run(model, counts, rng=0)
        .params._replace(family=families.PoissonParams(np.array([[3.5], [4.0]])))
    )
    limit = EM(tol=1e-8).run(model, counts, start=start).loglik

    def short_of(n, passes):
        em = EM(**settings, subsets=n, max_iter=passes * n)
        return limit - em.run(model, counts, start=start).loglik

    assert short_of(4, 4) < short_of(1, 4) / 4  # as many passes over the data
    assert short_of(1, 40) < 1 < short_of(4, 40)  # in the end they circle, and come no nearer


def test_threads_give_the_same_bits():
    rng = np.random.default_rng(0)
    counts = rng.poisson(3.0, size=(3000, 1)).astype(float)
    model = models.Mixture(families.Poisson(), 2)
    one, two = (
        EM(subsets=2, block_size=300, max_iter=9, tol=0, n_jobs=n).run(model, counts, rng=1)
        for n in (1, 2)
    )
    assert one.objective == two.objective


def test_iterate_yields_a_state_for_each_pass():
    states = list(subsets(4, max_iter=12).iterate(Mean(), ROWS))
    assert [state.n_iter for state in states] == [0, 4, 8, 12]
    assert [state.reason for state in states] == [None, None, None, Reason.SUBSETS]


def test_no_maps_is_the_start():
    result = subsets(2, max_iter=0).run(Mean(), ROWS)
    assert result.reason is Reason.MAX_ITER
    assert result.params == Params(0.0)


def test_callback_ends_them():
    result = subsets(2, max_iter=100, callbacks=[lambda s: s.n_iter == 4]).run(Mean(), ROWS)
    assert result.reason is Reason.CALLBACK
    assert result.n_iter == 4


def test_too_few_blocks():
    with pytest.raises(ValueError, match="9 subsets need as many blocks, and the data make 8"):
        subsets(9).run(Mean(), ROWS)


def test_number_of_subsets():
    with pytest.raises(ValueError, match="subsets must be an integer >= 1, got 0"):
        EM(subsets=0)


def test_statistics_that_do_not_add():
    class Whole(Mean):
        additive = False

    with pytest.raises(ValueError, match="Whole has no statistics that add: use subsets=1"):
        subsets(2).run(Whole(), ROWS)


@pytest.mark.parametrize("start", [np.nan, np.inf])
def test_collapse(start):
    with pytest.raises(CollapsedError, match="the log-likelihood is NaN at the start"):
        subsets(2).run(Mean(), ROWS * np.nan, start=Params(start))


def test_singular_map_collapses():
    class Singular(Mean):
        def m_step(self, statistics, params):
            raise np.linalg.LinAlgError("a covariance is not positive definite")

    with pytest.raises(CollapsedError, match="after 0 maps, a covariance is not positive"):
        subsets(2).run(Singular(), ROWS)
