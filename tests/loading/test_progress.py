"""Promise: a state says which batch comes next, in one process and in each of several workers, and to nobody else."""

from __future__ import annotations

import pytest

from aeformat.errors import UsageError
from aeformat.loading.progress import Progress


def test_workers_take_the_batches_in_turn_and_go_on_in_turn():
    """From batch 5 of a rank on, with 3 workers, of which the second has given out two."""
    loaded = Progress(4, start=5)
    worker = loaded.in_worker(1, 3)
    found = []
    for _ in range(2):
        found.append(worker.next)
        worker.given += 1
    again = Progress.from_state(worker.state("x"), "x").in_worker(1, 3)

    assert (found, again.next, again.epoch) == ([6, 9], 12, 4)


def test_the_state_of_one_process_is_for_any_number_of_workers():
    alone = Progress(0)
    alone.given = 7

    loaded = Progress.from_state(alone.state("x"), "x")

    assert [loaded.in_worker(worker, 3).next for worker in range(3)] == [7, 8, 9]


@pytest.mark.parametrize("n_workers", [1, 3])
def test_the_state_of_a_worker_is_for_that_worker(n_workers):
    worker = Progress(0).in_worker(1, 2)
    worker.given = 1

    with pytest.raises(UsageError, match=f"a worker of 2, and there are {n_workers}"):
        Progress.from_state(worker.state("x"), "x").in_worker(0, n_workers)
