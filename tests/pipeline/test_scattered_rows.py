"""Promise: rows here and there cost what they are: none is decoded twice, each chunk is decoded at once, nothing is done a row."""

from __future__ import annotations

import time

import numpy as np
import pytest

import aeformat
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.container.receipts import Receipts
from aeformat.container.selection import selected_rows
from aeformat.container.writer import LatentsWriter
from aeformat.images import demo_digits
from aeformat.pipeline import arrays, pack
from aeformat.pipeline.unpack import n_computed, unpack_with
from aeformat.reader import Latents


class Counting:
    """A network that keeps how many rows each of its runs had."""

    def __init__(self, network) -> None:
        self.network, self.package, self.runs = network, network.package, []

    def run(self, rows):
        """As the network does."""
        self.runs.append(len(rows))
        return self.network.run(rows)


@pytest.fixture(scope="module")
def model():
    """The default one."""
    return aeformat.load_model("mnist-exact")


@pytest.fixture
def network(model):
    """Its decoder."""
    return Counting(NumpyBackend().load(model.decoder))


@pytest.fixture(scope="module")
def images():
    """200 digits."""
    return np.concatenate([demo_digits(), demo_digits()[::-1]])[:200]


def packed(path, images, model, chunk_rows, **options):
    """A file with several chunks, as `aeformat.pack` would make it of more images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "writer_for", lambda sink, header, *_: LatentsWriter(sink, header, chunk_rows=chunk_rows))
        aeformat.pack(images, path, model=model, **options)
    return path


ROWS = {
    "every second": np.arange(0, 200, 2),
    "one of each run": np.array([3, 64, 190]),
    "neighbours and single ones": np.array([0, 1, 2, 70, 99, 100, 101, 199]),
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("receipts", [False, True])
@pytest.mark.parametrize("chunk_rows", [100, 10_000])
def test_each_row_is_decoded_once_and_each_chunk_at_once(tmp_path, images, model, network, rows, receipts, chunk_rows):
    """With receipts a row takes the run of 64 that its digest is for, and no run is decoded twice."""
    path = packed(tmp_path / "a.aef", images, model, chunk_rows, receipts=receipts)
    whole = aeformat.decode(path)
    starts = range(0, 200, 200 if chunk_rows > 200 else 64 if receipts else 100)  # a chunk is whole runs
    with aeformat.open(path) as latents:
        got = list(unpack_with(latents, network, rows))
        n_expected = n_computed(latents, rows)

    np.testing.assert_array_equal(np.concatenate([block.images for block in got]), whole[rows])
    assert all(block.is_proved == receipts for block in got)
    assert len(network.runs) == len({max(start for start in starts if start <= row) for row in rows})
    assert sum(network.runs) == n_expected
    if not receipts:
        assert n_expected == len(rows)
    else:
        ends = [*starts[1:], 200]
        runs = {
            (run, min(run + 64, end))
            for start, end in zip(starts, ends, strict=True)
            for run in range(start, end, 64)
            if any(run <= row < min(run + 64, end) for row in rows)
        }
        assert n_expected == sum(stop - start for start, stop in runs)


def test_the_choice_of_a_backend_sees_the_rows_that_are_computed(tmp_path, images, model, monkeypatch):
    """Three rows of three runs are 192 rows of work."""
    path = packed(tmp_path / "a.aef", images, model, 10_000, receipts=True)
    seen = []
    true_loader = arrays.network_loader
    monkeypatch.setattr(arrays, "network_loader", lambda *args: seen.append(args[2]) or true_loader(*args))
    aeformat.decode(path, model, rows=[3, 64, 130])

    assert seen == [192]


def test_a_wrong_receipt_is_named_by_its_own_rows(tmp_path, images, model, monkeypatch):
    """Also where what it is for was decoded together with other runs."""
    path = packed(tmp_path / "a.aef", images, model, 10_000, receipts=True)
    true_block = Latents.block_of

    def damaged(self, row):
        block = true_block(self, row)
        own = block.receipts
        digests = own.digests[:64] + bytes(32) + own.digests[96:]
        return block._replace(receipts=Receipts(own.first_row, own.at, digests))

    monkeypatch.setattr(Latents, "block_of", damaged)
    with aeformat.open(path) as latents:
        at = latents.block_of(0).receipts.at
        with pytest.raises(aeformat.FormatError, match="rows 128 to 191") as caught:
            aeformat.decode(latents, model, rows=[2, 70, 150, 199])
    assert (caught.value.rule, caught.value.at) == ("C7-6", at + 64)


def test_names_go_with_picked_rows(tmp_path, model, network):
    """In the order of the file."""
    latents = model.encode(demo_digits()[:6])
    with aeformat.create(tmp_path / "n.aef", decoder=model) as file:
        file.append(latents, names=[f"{i}.png" for i in range(6)])

    with aeformat.open(tmp_path / "n.aef") as opened:
        (block,) = unpack_with(opened, network, np.array([1, 4]))
    assert block.names.names == ("1.png", "4.png")


def test_nothing_is_done_for_each_row_of_a_run():
    """A slice and a range of any length are told in no time; a list and a mask in NumPy's."""
    start = time.perf_counter()
    assert selected_rows(slice(None), 10**12) == range(10**12)
    assert selected_rows(range(-5, 0), 10**12) == range(10**12 - 5, 10**12)
    mask = np.ones(10**6, bool)
    np.testing.assert_array_equal(selected_rows(mask, 10**6), np.arange(10**6))
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("rows", [range(-3, 3), range(2, -3, -1)])
def test_a_range_across_nought_is_read_as_a_list_of_its_numbers(rows):
    """As NumPy reads list(range)."""
    np.testing.assert_array_equal(selected_rows(rows, 10), np.arange(10)[list(rows)])


def test_what_has_no_order_is_no_selection():
    """Nor has what can be read once only a length."""
    for rows in ({1, 2}, frozenset([1]), (i for i in range(3)), {1: 2}):
        with pytest.raises(TypeError, match="give its numbers as a list"):
            selected_rows(rows, 10)
