"""aeformat.backends.threads: threads that stay, and as many as there are cores, however many callers there are."""

from __future__ import annotations

import gc
import multiprocessing
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from model.free_networks import photo_decoder

from aeformat.backends.numpy_backend import NumpyNetwork
from aeformat.backends.threads import Threads


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("n_tasks", [0, 1, 2, 40])
def test_every_task_is_done_once(n_threads, n_tasks):
    done = []
    Threads(n_threads).each(done.append, range(n_tasks))

    assert sorted(done) == list(range(n_tasks))


def test_the_threads_stay_and_are_no_more_than_asked_for():
    """However many threads call, and however often."""
    threads, seen = Threads(3), set()

    def look(_task: int) -> None:
        seen.add(threading.get_ident())
        time.sleep(0.001)

    with ThreadPoolExecutor(4) as callers:
        for _ in callers.map(lambda _: threads.each(look, range(8)), range(6)):
            pass
    assert len(seen) == 3


def test_one_task_or_one_thread_needs_no_other_thread():
    seen = set()
    for threads, n_tasks in ((Threads(4), 1), (Threads(1), 9)):
        threads.each(lambda _: seen.add(threading.get_ident()), range(n_tasks))

    assert seen == {threading.get_ident()}


def test_the_first_error_in_order_is_raised_when_nothing_runs_any_more():
    running: list[int] = []

    def work(task: int) -> None:
        running.append(task)
        time.sleep(0.02 if task else 0.05)
        running.remove(task)
        if task < 2:
            raise ValueError(task)

    threads = Threads(2)
    for _ in range(2):  # and they go on working
        with pytest.raises(ValueError, match="0"):
            threads.each(work, range(20))
        assert not running


def test_threads_end_with_their_object():
    threads, before = Threads(2), set(threading.enumerate())
    threads.each(lambda _: time.sleep(0.001), range(4))
    of_it = set(threading.enumerate()) - before
    del threads
    gc.collect()
    for thread in of_it:
        thread.join(10)

    assert of_it and not any(thread.is_alive() for thread in of_it)


def test_threads_of_a_network_of_any_size_end_with_it():
    """It is in no circle of references: no collection of garbage has to come first."""
    package, before = photo_decoder(), set(threading.enumerate())
    network = NumpyNetwork(package, tile=(8, 8), n_threads=3)
    network.run(np.zeros((1, 4, 4, package.input.shape[2]), np.int8))
    of_it = set(threading.enumerate()) - before
    gc.disable()
    try:
        del network
        for thread in of_it:
            thread.join(10)
    finally:
        gc.enable()

    assert of_it and not any(thread.is_alive() for thread in of_it)


def test_an_error_does_not_hold_what_was_computed():
    class Rows:
        pass

    def fails(_task: int, rows: Rows) -> None:
        raise ValueError("no")

    rows, threads = Rows(), Threads(2)
    gone = weakref.ref(rows)
    gc.disable()
    try:
        with pytest.raises(ValueError, match="no"):
            threads.each(partial(fails, rows=rows), range(4))
        del rows
        for _ in range(1_000):  # a thread may be about to let go
            if gone() is None:
                break
            time.sleep(0.01)
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("can't start new thread")])
def test_an_interrupt_between_two_tasks_ends_those_before(error, monkeypatch):
    """Also what stands in the queue; and the next call works."""
    threads, done, begun = Threads(2), [], threading.Event()

    def work(task: int) -> None:
        begun.set()
        time.sleep(0.02)
        done.append(task)

    submit = ThreadPoolExecutor.submit

    def interrupted(pool: ThreadPoolExecutor, call: object, task: int) -> object:
        future = submit(pool, call, task)
        if task == 5:
            begun.wait(10)
            raise error
        return future

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        threads.each(work, range(9))
    before = list(done)
    time.sleep(0.1)
    assert done == before and len(before) < 6

    monkeypatch.undo()
    threads.each(done.append, range(20, 30))
    assert sorted(done) == sorted([*before, *range(20, 30)])


def _in_a_child(threads: Threads, found: object) -> None:
    done: list[int] = []
    threads.each(done.append, range(10))
    found.put(sorted(done))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own():
    """Those of its parent are not in it, and would be waited for for ever."""
    threads, fork = Threads(2), multiprocessing.get_context("fork")
    threads.each(lambda _: None, range(4))
    found = fork.Queue()
    child = fork.Process(target=_in_a_child, args=(threads, found))
    child.start()

    assert found.get(timeout=60) == list(range(10))
    child.join()
