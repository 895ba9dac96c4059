"""The four files that tools/mnist_files.py writes are found, and read as they were."""

from __future__ import annotations

import gzip

import numpy as np

from aeformat.images import ImageFit, open_source
from tools.mnist_files import write


def test_what_is_written_is_found_as_mnist(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    train, test = ((rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n, np.uint8)) for n in (5, 3))
    write(tmp_path / "mnist", train, test)
    monkeypatch.setenv("AEFORMAT_DATA", str(tmp_path))

    for name, stem, (images, labels) in (("mnist:train", "train", train), ("mnist:test", "t10k", test)):
        (block,) = open_source([name], ImageFit((28, 28, 1))).blocks(100)
        packed = (tmp_path / "mnist" / f"{stem}-labels-idx1-ubyte.gz").read_bytes()
        assert np.array_equal(block.images[..., 0], images)
        assert gzip.decompress(packed)[8:] == labels.tobytes()
