"""The same work for many chunks, by as many threads as there are processors.

Owns how work is shared and which error counts.  What takes long (zstd, checksums, digests, NumPy) lets other threads run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from operator import itemgetter
from typing import Final

_MOST_THREADS: Final = 8


def n_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each(job: Callable[[int], None], n_jobs: int) -> None:
    """job(0) to job(n_jobs - 1), begun in this order.  Raises what the first of them in this order raises.

    After an error no other job is begun.
    """
    n_threads = min(n_processors(), n_jobs, _MOST_THREADS)
    if n_threads < 2:
        for number in range(n_jobs):
            job(number)
        return
    from concurrent.futures import ThreadPoolExecutor

    numbers = iter(range(n_jobs))
    failed: list[tuple[int, BaseException]] = []

    def work() -> None:
        for number in numbers:
            if any(before < number for before, _ in failed):  # one after it may have failed sooner
                return
            try:
                job(number)
            except BaseException as error:
                failed.append((number, error))
                raise

    with ThreadPoolExecutor(n_threads) as pool:
        for _ in range(n_threads):
            pool.submit(work)
    if failed:
        raise min(failed, key=itemgetter(0))[1]
