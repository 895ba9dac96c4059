"""Promise: `aeformat.batches` gives each row once an epoch, with what stands beside it, and goes on where it stopped."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aeformat
from aeformat.container.reader import Latents
from aeformat.errors import ChecksumMismatch, UsageError
from loading import made

OPTIONS = {"shuffle": 3, "window": 3, "lanes": 2}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same rows as a file, as one that is not compressed, and as a set; and rows of many shapes."""
    folder = tmp_path_factory.mktemp("sources")
    return {
        "file": made.write_file(folder / "a.aef"),
        "plain": made.write_file(folder / "b.aef", codec="none"),
        "wide": made.write_file(folder / "c.aef", encoding="f32le"),
        "set": made.write_set(folder / "set"),
        "shapes": made.write_shapes(folder / "shapes.aef"),
    }


def rows_of(batches) -> list[int]:
    return [int(row) for batch in batches for row in batch.rows]


@pytest.mark.parametrize("kind", ["file", "plain", "wide", "set"])
def test_each_row_comes_once_with_all_that_stands_beside_it(sources, kind):
    batches = aeformat.batches(sources[kind], 16, **OPTIONS)

    found = list(batches)

    assert len(batches) == len(found) == -(-made.N_ROWS // 16)
    assert sorted(rows_of(found)) == list(range(made.N_ROWS)) != rows_of(found)
    for batch in found:
        rows = batch.rows.tolist()
        np.testing.assert_array_equal(batch.values, [made.values_of(row) for row in rows])
        assert batch.values.dtype == np.float32 and batch.values.flags.writeable
        assert batch.names == [f"{row}.png" for row in rows]
        assert batch.fields["label"].tolist() == rows
        assert batch.fields["caption"] == [made.caption_of(row) for row in rows]
        assert batch.fields["crop"].tolist() == [[row, 1, 2, 3] for row in rows]


@pytest.mark.parametrize("shuffle", [None, 0])
def test_rows_of_one_shape_are_a_batch(sources, shuffle):
    found = list(aeformat.batches(sources["shapes"], 10, shuffle=shuffle, window=3, lanes=2))

    assert sorted(rows_of(found)) == list(range(made.N_ROWS))
    for batch in found:
        np.testing.assert_array_equal(batch.values, np.stack([made.shaped(row) for row in batch.rows.tolist()]))
    assert sum(len(batch.rows) < 10 for batch in found) <= len(made.SHAPES)
    whole = aeformat.batches(sources["shapes"], 10, shuffle=shuffle, window=3, lanes=2, drop_last=True)
    assert {len(batch.rows) for batch in whole} == {10}


def test_without_a_seed_rows_come_as_in_the_file(sources):
    assert rows_of(aeformat.batches(sources["file"], 9)) == list(range(made.N_ROWS))


def test_file_and_set_have_one_order_and_each_epoch_its_own(sources):
    of_file, of_set = (aeformat.batches(sources[kind], 16, **OPTIONS) for kind in ("file", "set"))

    epochs = [rows_of(of_file) for _ in range(3)]

    assert epochs == [rows_of(of_set) for _ in range(3)]
    assert len({tuple(rows) for rows in epochs}) == 3
    assert of_file.epoch == 3
    assert rows_of(aeformat.batches(sources["file"], 16, epoch=2, **OPTIONS)) == epochs[2]
    of_file.set_epoch(1)
    assert rows_of(of_file) == epochs[1]


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_make_up_the_epoch(sources, world_size):
    whole = [batch.rows.tolist() for batch in aeformat.batches(sources["file"], 16, **OPTIONS)]
    ranks = [
        [
            batch.rows.tolist()
            for batch in aeformat.batches(
                sources["file"], 16, rank=rank, world_size=world_size, uneven="keep", **OPTIONS
            )
        ]
        for rank in range(world_size)
    ]

    for rank, found in enumerate(ranks):
        assert found == whole[rank::world_size]


@pytest.mark.parametrize("done", [0, 1, 17, 33, 34])
def test_a_state_goes_on_with_exactly_the_rest(sources, done):
    """Through JSON, in a new loader; also from a state that was itself gone on from."""
    begun = aeformat.batches(sources["file"], 16, epoch=4, **OPTIONS)
    whole = rows_of(aeformat.batches(sources["file"], 16, epoch=4, **OPTIONS))
    given = [batch for _, batch in zip(range(done), begun, strict=False)]
    state = json.loads(json.dumps(begun.state_dict()))

    again = aeformat.batches(sources["file"], 16, **OPTIONS)
    again.load_state_dict(state)
    first = rows_of([next(iter(again))]) if done < 34 else []
    last = aeformat.batches(sources["file"], 16, **OPTIONS)
    last.load_state_dict(again.state_dict())

    assert rows_of(given) + first + rows_of(last) == whole
    assert last.epoch == 5


@pytest.mark.parametrize(
    "other",
    [{"shuffle": 4}, {"window": 4}, {"lanes": 3}, {"drop_last": True}, {"world_size": 2}, {"batch_size": 15}],
    ids=str,
)
def test_a_state_of_other_batches_is_refused(sources, other):
    state = aeformat.batches(sources["file"], 16, **OPTIONS).state_dict()
    given = {"batch_size": 16, **OPTIONS, **other}

    with pytest.raises(UsageError, match="other batches"):
        aeformat.batches(sources["file"], **given).load_state_dict(state)
    with pytest.raises(UsageError, match="keys order, epoch"):
        aeformat.batches(sources["file"], **given).load_state_dict({"epoch": 3})


def test_it_can_be_pickled_and_goes_on(sources):
    batches = aeformat.batches(sources["set"], 16, **OPTIONS)
    before = rows_of([next(iter(batches))])

    again = pickle.loads(pickle.dumps(batches))

    assert before + rows_of(again) == rows_of(aeformat.batches(sources["file"], 16, **OPTIONS))


def test_each_chunk_is_read_once_an_epoch(sources, monkeypatch):
    """Also where the reader itself keeps one chunk only."""
    numbers = []
    read = Latents._read_block
    monkeypatch.setattr(Latents, "_read_block", lambda self, number: numbers.append(number) or read(self, number))
    with aeformat.open(sources["file"], cache_bytes=1) as latents:
        list(aeformat.batches(latents, 16, **OPTIONS))

    assert sorted(numbers) == list(range(-(-made.N_ROWS // made.PER_FLUSH)))


def test_fields_and_names_are_chosen(sources):
    batch = next(iter(aeformat.batches(sources["file"], 16, fields=["label"], names=False)))

    assert (list(batch.fields), batch.names) == (["label"], None)
    with pytest.raises(UsageError, match="no field 'lable'; there are caption, crop, label"):
        aeformat.batches(sources["file"], 16, fields=["lable"])
    with pytest.raises(UsageError, match="a list of names"):
        aeformat.batches(sources["file"], 16, fields="label")
    for epoch in (-1, 1.0, True):
        with pytest.raises(UsageError, match="epoch is"):
            aeformat.batches(sources["file"], 16, epoch=epoch)


def test_rows_without_names_and_fields_have_none(tmp_path):
    with aeformat.create(tmp_path / "bare.aef", dims=3, encoding="u8") as file:
        file.write(np.arange(30, dtype=np.uint8).reshape(10, 3))

    (batch,) = aeformat.batches(tmp_path / "bare.aef", 100, shuffle=0)

    assert (batch.names, batch.fields) == (None, {})
    np.testing.assert_array_equal(batch.values[:, 0], batch.rows * 3)


def test_a_damaged_chunk_is_an_error_that_names_it(sources, tmp_path):
    path = made.write_file(tmp_path / "bad.aef", codec="none")
    made.damage(path, 300)

    with pytest.raises(ChecksumMismatch, match=r"bad\.aef: .*\(rule C4-11, byte \d+\)"):
        list(aeformat.batches(path, 16, **OPTIONS))


@pytest.mark.parametrize("kind", ["file", "plain", "wide", "set"])
def test_bf16_comes_as_its_bits(sources, kind):
    """Half the bytes; the same values where they are widened."""
    with aeformat.open(sources[kind]) as latents, latents.as_bits() as bits:
        if kind == "wide":  # f32 is not bf16
            assert bits.dtype == np.float32
            return
        assert (bits.dtype, latents.dtype) == (np.uint16, np.float32)
        for rows in (slice(None), [5, 3, 500], slice(20, 30)):
            widened = (bits[rows].astype(np.uint32) << 16).view(np.float32)
            np.testing.assert_array_equal(widened, latents[rows])
        assert bits[[]].dtype == np.uint16
        assert pickle.loads(pickle.dumps(bits))[7].dtype == np.uint16
        if kind != "set":
            with pytest.raises(UsageError, match="as bits, which no decoder takes"):
                aeformat.decode(bits)


def test_neither_torch_nor_tensorflow_is_loaded(sources):
    code = (
        "import sys, aeformat; list(aeformat.batches(sys.argv[1], 16));"
        "assert not {'torch', 'tensorflow', 'pyarrow', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(sources["file"])],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
