"""aeformat.backends.threads: threads that stay, and as many as there are cores, however many callers there are."""

from __future__ import annotations

import gc
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

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
