"""Threads give the bits of one thread, in block order, and let exceptions through."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from latentem import EM, Expectation, LatentModel, SerialBackend, ThreadBackend
from latentem.engine.backends import backend_for, one_blas_thread, spread
from tests.contract.sketches.two_poisson import Params, TwoPoisson


class Sums(LatentModel):
    """Sums whose rounding depends on their order; earlier blocks take longer."""

    def initialize(self, blocks, rng):
        return (0.0,)

    def prepare(self, params):
        return threading.get_ident()

    def e_step(self, prepared, block):
        time.sleep(0.001 * (block[0] < 0.5))
        return Expectation((block.sum(), 1.0 * len(block)), float(np.log(block).sum()), 1.0)

    def m_step(self, statistics, params):
        return params


@pytest.fixture
def blocks(rng):
    return [rng.random(37) * 10.0**i for i in rng.integers(-8, 8, size=23)]


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_threads_equal_serial_bit_for_bit(n_jobs, blocks):
    serial = SerialBackend().expect(Sums(), (0.0,), blocks)
    threads = ThreadBackend(n_jobs).expect(Sums(), (0.0,), blocks)
    assert serial == threads
    assert serial != SerialBackend().expect(Sums(), (0.0,), blocks[::-1]), "order must matter here"


def test_results_come_in_the_order_of_the_blocks():
    def slow_first(i):
        time.sleep(0.02 if i == 0 else 0.0)
        return i

    assert list(ThreadBackend(2).map(slow_first, list(range(30)))) == list(range(30))
    assert list(ThreadBackend(2).map(slow_first, iter(range(30)))) == list(range(30))


def test_a_fit_is_the_same_bits_for_any_number_of_threads(rng):
    x = rng.poisson(rng.choice([1.0, 6.0], size=3000)).astype(float)
    data = (x, np.ones(3000))
    results = [
        EM(n_jobs=n, block_size=100, tol=1e-6).run(TwoPoisson(), data) for n in (1, 2, 3, None)
    ]
    for result in results[1:]:
        assert result.params == results[0].params
        assert result.loglik == results[0].loglik
        assert result.n_e_steps == results[0].n_e_steps


class Boom(Exception):
    pass


@pytest.mark.parametrize("backend", [SerialBackend(), ThreadBackend(2)])
def test_an_exception_in_a_block_reaches_the_caller_and_the_pool_lives_on(backend):
    def fail(i):
        if i == 7:
            raise Boom(f"block {i}")
        return i

    with pytest.raises(Boom, match="block 7"):
        list(backend.map(fail, list(range(40))))
    assert list(backend.map(lambda i: i, list(range(5)))) == list(range(5))


def test_at_most_a_few_results_wait():
    started = []

    def note(i):
        started.append(i)
        return i

    results = ThreadBackend(2).map(note, iter(range(1000)))
    next(results)
    time.sleep(0.05)
    assert len(started) < 20
    results.close()


def test_threads_take_numpys_error_settings_from_the_caller():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for backend in (SerialBackend(), ThreadBackend(2)):
            with np.errstate(all="ignore"):
                out = list(backend.map(lambda x: np.log(np.array(x)), [0.0, 0.0, 1.0]))
            assert out[0] == -np.inf
            with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
                list(backend.map(lambda x: np.log(np.array(x)), [0.0, 0.0, 1.0]))


def test_no_blocks_is_an_error():
    with pytest.raises(ValueError, match="no blocks of data"):
        SerialBackend().expect(Sums(), (0.0,), [])


def _fit_in_child(queue):
    data = (np.arange(200.0) % 9, np.ones(200))
    result = EM(n_jobs=2, block_size=10, max_iter=3, tol=0).run(TwoPoisson(), data)
    queue.put(tuple(result.params))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_the_pool_survives_fork():
    data = (np.arange(200.0) % 9, np.ones(200))
    here = EM(n_jobs=2, block_size=10, max_iter=3, tol=0).run(TwoPoisson(), data)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_fit_in_child, args=(queue,))
    child.start()
    child.join(timeout=30)
    hung = child.is_alive()
    if hung:
        child.kill()
    assert not hung, "the child waits for threads that only its parent has"
    assert Params(*queue.get()) == here.params


def test_n_jobs():
    assert isinstance(backend_for(1), SerialBackend)
    assert backend_for(3).n_jobs == 3
    assert backend_for(np.int64(3)).n_jobs == 3
    cores = joblib.cpu_count()
    for asked in (None, -1):
        found = backend_for(asked)
        assert getattr(found, "n_jobs", 1) == cores
    assert isinstance(backend_for(-cores - 5), SerialBackend)
    for bad in (0, True, 1.5, "2"):
        with pytest.raises(ValueError, match="n_jobs must be None or a non-zero integer"):
            backend_for(bad)
    with pytest.raises(ValueError, match="n_jobs must be at least 1"):
        ThreadBackend(0)


def test_no_threads_inside_a_joblib_worker():
    def kind(_):
        return type(backend_for(None)).__name__

    names = joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(kind)(i) for i in (0, 1))
    assert names == ["SerialBackend", "SerialBackend"]


def test_blas_uses_one_thread_meanwhile_and_its_own_number_afterwards():
    before = [lib["num_threads"] for lib in threadpool_info()]
    with one_blas_thread():
        assert all(lib["num_threads"] == 1 for lib in threadpool_info())
    assert [lib["num_threads"] for lib in threadpool_info()] == before


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info()]


def test_openmp_is_limited_in_every_thread_that_fits():
    with one_blas_thread(), ThreadPoolExecutor(1) as pool:
        assert set(pool.submit(limited).result()) == {1}


def limited():
    with one_blas_thread():
        return blas_threads()


def test_fits_that_overlap_leave_the_limits_as_they_were():
    def blas():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    before = blas_threads()
    first, second = one_blas_thread(), one_blas_thread()
    with ThreadPoolExecutor(1) as other:
        first.__enter__()
        other.submit(second.__enter__).result()  # begins while the first is under way
        first.__exit__(None, None, None)
        assert blas() == {1}, "the second still works"
        other.submit(second.__exit__, None, None, None).result()
    assert blas_threads() == before


def test_fits_in_many_threads_leave_the_limits_as_they_were():
    before = blas_threads()

    def work():
        for _ in range(20):
            with one_blas_thread():
                assert set(blas_threads()) == {1}

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blas_threads() == before


def test_a_lone_block_may_spread_its_work_over_the_pool():
    meet = threading.Barrier(2, timeout=10)

    def part(i):
        meet.wait()  # passes only when two threads are here
        return i, np.geterr()["over"]

    def block(_):
        with np.errstate(over="raise"):
            return spread(part, [1, 2])

    assert list(ThreadBackend(2).map(block, [0])) == [[(1, "raise"), (2, "raise")]]


def test_work_is_spread_nowhere_when_the_threads_are_busy_or_there_are_none():
    def block(i):
        own = threading.get_ident()
        return spread(lambda j: (i + j, threading.get_ident() == own), [0, 10])

    for backend in (SerialBackend(), ThreadBackend(2)):
        found = list(backend.map(block, [1, 2, 3]))
        assert found == [[(i, True), (i + 10, True)] for i in (1, 2, 3)]
    list(ThreadBackend(2).map(block, [1]))
    assert block(1) == [(1, True), (11, True)], "nothing stays lent"


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_spread_results_are_in_the_order_of_the_parts(n_jobs):
    def part(i):
        time.sleep(0.001 * (i % 3))
        return i * i

    found = list(ThreadBackend(n_jobs).map(lambda _: spread(part, range(20)), [0]))
    assert found == [[i * i for i in range(20)]]


def test_spread_work_does_not_wait_for_threads_that_are_busy():
    backend, release = ThreadBackend(2), threading.Event()
    busy = [backend.pool().submit(release.wait, 10) for _ in range(4)]
    try:
        own = threading.get_ident()
        [found] = backend.map(lambda _: spread(lambda i: threading.get_ident() == own, [1, 2]), [0])
        assert found == [True, True]
    finally:
        release.set()
    assert all(future.result() for future in busy)


@pytest.mark.parametrize("failing", ["here", "there"])
def test_an_error_in_spread_work_comes_out_when_no_part_is_under_way(failing):
    meet, under_way, own = threading.Barrier(2, timeout=10), [], threading.get_ident()

    def part(i):
        meet.wait()  # one part in each of two threads
        if (threading.get_ident() == own) == (failing == "here"):
            raise Boom(f"part {i}")
        under_way.append(i)
        time.sleep(0.02)
        under_way.remove(i)
        return i

    def block(_):
        with pytest.raises(Boom):
            spread(part, [1, 2])
        return list(under_way)

    assert list(ThreadBackend(2).map(block, [0])) == [[]]
