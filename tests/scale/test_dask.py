"""Promise: whatever becomes of a cluster's workers and its scheduler, each row is in the set once, with the right numbers."""

from __future__ import annotations

import numpy as np
import pytest

import aeformat
from aeformat.errors import ImageError, UsageError
from scale.conftest import digits, npy, png, put, require
from tools.loopback.dask_cluster import Cluster

N_IMAGES, PER_SHARD = 160, 8
MODEL = "mnist-exact"


@pytest.fixture(scope="module")
def cluster(bucket):
    require("distributed")
    with Cluster(2, bucket.environment) as running:
        yield running


class Trouble:
    """Does harm to a cluster when so many shards are done: told of them, as a job tells its progress."""

    def __init__(self, harm):
        self._harm, self._n_done = harm, 0

    def update(self, n_rows):
        self._n_done += 1
        if self._n_done in self._harm:
            self._harm[self._n_done]()


def test_workers_and_a_scheduler_that_are_killed_take_no_row_along(cluster, url):
    """SIGKILL for a worker, then for the scheduler and all workers, in the middle of one job."""
    pixels = digits(N_IMAGES)
    put(f"{url}/digits.npy", npy(pixels))

    def kill():
        cluster.kill_worker()
        cluster.start_workers(1)

    said = []
    trouble = Trouble({3: kill, 9: cluster.restart_scheduler})
    done = aeformat.pack_set(
        f"{url}/digits.npy",
        f"{url}/set",
        model=MODEL,
        rows_per_shard=PER_SHARD,
        dask=cluster.address,
        progress=trouble,
        notify=said.append,
    )
    assert (done.n_rows, done.n_shards, done.generation) == (N_IMAGES, N_IMAGES // PER_SHARD, 1)
    assert any("the scheduler is gone" in line for line in said)
    with aeformat.open(f"{url}/set") as latents:
        names = [latents.names(row).names[0] for row in range(N_IMAGES)]
        assert names == [f"digits/{row:05}.png" for row in range(N_IMAGES)]
        assert np.array_equal(latents[:], aeformat.load_model(MODEL).encode(pixels))
    assert cluster.n_killed == 1


def test_an_error_of_a_worker_is_an_error_here(cluster, url):
    """With the URL of the image; an address that is none is refused at once."""
    for number, image in enumerate(digits(4)):
        put(f"{url}/in/{number}.png", png(image) if number else b"no image")
    how = {"model": MODEL, "rows_per_shard": 2, "dask": cluster.address}
    with pytest.raises(ImageError, match=r"in/0\.png: is no image .* 1 of 2 shards are made"):
        aeformat.pack_set(f"{url}/in/**", f"{url}/set", **how)
    assert aeformat.pack_set(f"{url}/in/**", f"{url}/set", **how, skip_bad_images=True).skipped[0][0] == "0.png"
    with pytest.raises(UsageError, match="no address of a Dask scheduler"):
        aeformat.pack_set(f"{url}/in/**", f"{url}/set", model=MODEL, dask="nonsense://")
