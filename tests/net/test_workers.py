"""Workers: items are done in order, one at a time, and a waiting task is woken however the worker ends."""

from __future__ import annotations

import asyncio
import threading

import pytest

from aeformat.net.server.workers import Worker


def run(work, use, open_gate):
    async def main():
        worker = Worker(work)
        try:
            await asyncio.wait_for(use(worker), 60)
        finally:
            open_gate()  # or a thread waits for ever
        return worker

    return asyncio.run(main())


@pytest.mark.parametrize("n_left", [0, 1, 2, 5])
def test_a_waiting_task_is_woken_when_the_queue_is_short_enough(n_left):
    """It is not woken before: this bounds memory."""
    gate, done, seen = threading.Semaphore(0), [], []

    def work(item):
        gate.acquire()
        done.append(item)
        return True

    async def use(worker):
        for item in range(20):
            worker.put(item)
            waiting = asyncio.ensure_future(worker.wait_for_queue(n_left))
            await asyncio.sleep(0)
            if not waiting.done():
                gate.release()
            await waiting
            seen.append(item + 1 - len(done))
        gate.release(20)
        await worker.finish()

    worker = run(work, use, lambda: gate.release(20))
    assert done == list(range(20)) and worker.is_idle and not worker.is_over
    assert max(seen) == n_left


@pytest.mark.parametrize("how", ["returns", "raises"])
def test_a_waiting_task_is_woken_when_the_worker_stops(how):
    """The items after the last good one are dropped, and `finish` raises the error of `work`."""
    gate, done = threading.Event(), []

    def work(item):
        gate.wait()
        done.append(item)
        if item == 1 and how == "raises":
            raise OSError("full")
        return item != 1

    async def use(worker):
        for item in range(4):
            worker.put(item)
        waiting = asyncio.ensure_future(worker.wait_for_queue(0))
        await asyncio.sleep(0.01)
        gate.set()
        await waiting
        worker.put(5)
        if how == "raises":
            with pytest.raises(OSError, match="full"):
                await worker.finish()
        else:
            await worker.finish()

    worker = run(work, use, gate.set)
    assert (done, worker.is_over, worker.is_idle) == ([0, 1], True, True)


def test_finish_waits_for_the_thread_even_if_it_is_cancelled():
    """So nothing is closed while the thread uses it."""
    gate, begun, done = threading.Event(), threading.Event(), []

    def work(item):
        begun.set()
        gate.wait(60)
        done.append(item)
        return True

    async def use(worker):
        worker.put(1)
        await asyncio.to_thread(begun.wait, 60)
        waiting = asyncio.create_task(worker.finish())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0.05)
        assert not waiting.done()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert done == [1]

    run(work, use, gate.set)
