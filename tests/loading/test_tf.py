"""Promise: aeformat.tf gives the batches of aeformat.batches as tensors, in their order, however many threads read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import aeformat
from aeformat.errors import UsageError
from loading import made

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {"shuffle": 3, "window": 3, "lanes": 2}


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tf")
    made.write_file(folder / "a.aef")
    made.write_shapes(folder / "shapes.aef")
    return folder


def plain(path: Path, size: int = 16, **options: object) -> list[list[int]]:
    return [batch.rows.tolist() for batch in aeformat.batches(path, size, **{**OPTIONS, **options})]


def rows_of(dataset: object) -> list[list[int]]:
    return [batch["row"].numpy().tolist() for batch in dataset]


@pytest.mark.parametrize("threads", [1, 4, None])
def test_the_order_is_that_of_the_plain_batches(tensorflow, sources, threads):
    import aeformat.tf

    for epoch in range(2):
        dataset = aeformat.tf.dataset(sources / "a.aef", 16, epoch=epoch, threads=threads, **OPTIONS)
        assert rows_of(dataset) == plain(sources / "a.aef", epoch=epoch)
        assert len(dataset) == len(plain(sources / "a.aef"))


def test_tensors_fields_and_names_are_those_of_the_rows(tensorflow, sources):
    import aeformat.tf

    dataset = aeformat.tf.dataset(sources / "a.aef", 16, **OPTIONS)

    assert dataset.element_spec["latents"] == tensorflow.TensorSpec((None, 4, 2, 2), tensorflow.bfloat16)
    for batch in dataset:
        rows = batch["row"].numpy().tolist()
        wanted = np.stack([made.values_of(row) for row in rows])
        np.testing.assert_array_equal(tensorflow.cast(batch["latents"], tensorflow.float32).numpy(), wanted)
        assert batch["label"].numpy().tolist() == rows
        assert batch["crop"].numpy().tolist() == [[row, 1, 2, 3] for row in rows]
        assert [name.decode() for name in batch["name"].numpy()] == [f"{row}.png" for row in rows]
        assert [text.decode() for text in batch["caption"].numpy()] == [made.caption_of(row) or "" for row in rows]


def test_rows_of_one_shape_are_a_batch(tensorflow, sources):
    import aeformat.tf

    found = list(aeformat.tf.dataset(sources / "shapes.aef", 10, names=False, fields=[], **OPTIONS))

    assert rows_of(found) == plain(sources / "shapes.aef", 10)
    for batch in found:
        assert set(batch) == {"latents", "row"}
        wanted = np.stack([made.shaped(row) for row in batch["row"].numpy().tolist()])
        np.testing.assert_array_equal(batch["latents"].numpy(), wanted)


def test_ranks_and_the_rest_of_an_epoch(tensorflow, sources):
    import aeformat.tf

    path = sources / "a.aef"
    assert rows_of(aeformat.tf.dataset(path, 16, start=30, **OPTIONS)) == plain(path)[30:]
    for rank in range(2):
        found = rows_of(aeformat.tf.dataset(path, 16, rank=rank, world_size=2, **OPTIONS))
        assert found == plain(path, rank=rank, world_size=2)
    for start in (-1, 35, True):
        with pytest.raises(UsageError, match="start is"):
            aeformat.tf.dataset(path, 16, start=start, **OPTIONS)


def test_a_damaged_chunk_is_an_error_that_names_it(tensorflow, tmp_path):
    import aeformat.tf

    made.damage(made.write_file(tmp_path / "bad.aef", codec="none"), 300)

    with pytest.raises(tensorflow.errors.OpError, match=r"bad\.aef: the checksum of .* \(rule C4-11, byte \d+\)"):
        list(aeformat.tf.dataset(tmp_path / "bad.aef", 16, **OPTIONS))


def test_a_field_that_has_the_name_of_a_key_is_refused(tensorflow, tmp_path):
    import aeformat.tf

    with aeformat.create(tmp_path / "taken.aef", dims=1, encoding="u8", fields={"row": int}) as file:
        file.write(np.zeros((2, 1), np.uint8), row=[1, 2])

    with pytest.raises(UsageError, match="'row' of its own"):
        aeformat.tf.dataset(tmp_path / "taken.aef", 16)
    (batch,) = aeformat.tf.dataset(tmp_path / "taken.aef", 16, fields=[])
    assert set(batch) == {"latents", "row"}


def test_the_page_on_loading_runs(tensorflow, tmp_path, monkeypatch):
    """docs/loading.md, the block for TensorFlow."""
    page = (ROOT / "docs" / "loading.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python tf\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    made.write_file(tmp_path / "cache.aef")
    monkeypatch.chdir(tmp_path)

    exec(compile(code, "docs/loading.md", "exec"), {})
