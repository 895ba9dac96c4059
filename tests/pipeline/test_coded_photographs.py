"""Files of photographs whose rows are coded with passes: all that is public reads them where their decoder is at hand."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aeformat
from aeformat.backends.golden_check import check
from aeformat.container.payloads import is_coded
from aeformat.errors import DecoderMismatch, DecoderMissing, Hint
from aeformat.model import store
from aeformat.model.file_io import package_bytes, write_package
from aeformat.reader import open_latents
from tests.model.with_passes import pair_with_passes

ENCODER, DECODER = pair_with_passes()
IMAGES = [(np.random.default_rng(i).random((30 + i, 41 - i, 3)) < 0.01).astype(np.uint8) for i in range(4)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own, with the pair as files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AEFORMAT_CACHE", str(tmp_path / "cache"))
    for half in (ENCODER, DECODER):
        write_package(half, tmp_path / f"any.{half.role}.aef")
    aeformat.pack(IMAGES, "alone.aef", model="any", receipts=True)
    aeformat.pack(IMAGES, "inside.aef", model="any", receipts=True, embed_decoder=True)
    return tmp_path


@pytest.fixture
def latents() -> aeformat.RaggedRows:
    return aeformat.load_model("any").encode(IMAGES)


READERS: dict[str, Callable[..., Any]] = {
    "open": lambda path, **given: list(aeformat.open(path, **given)[:]),
    "stream": lambda path, **given: [row for block in aeformat.stream(path, **given) for row in block.values],
    "stream of bytes": lambda path, **given: [
        row for block in aeformat.stream(io.BytesIO(Path(path).read_bytes()), **given) for row in block.values
    ],
}


def test_the_rows_are_coded_with_passes():
    """Else the tests here would prove nothing."""
    with open_latents("alone.aef") as opened:
        entry = opened._entries[0]
        assert is_coded(opened._chunks.chunk(entry.at, entry.number), opened.header)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("place", ["inside", "store", "given"])
def test_rows_come_wherever_their_decoder_is(read, place, latents):
    """In the file, in this machine's store, or as it is given: the latents that were packed."""
    if place == "store":
        store.install(package_bytes(DECODER), check)
    given = {"decoder": "any"} if place == "given" else {}

    found = read("inside.aef" if place == "inside" else "alone.aef", **given)

    assert len(found) == len(IMAGES)
    assert all(np.array_equal(row, latents[number]) for number, row in enumerate(found))


def test_one_row_and_some(latents):
    """By number, from the end, by a slice, by a list."""
    with aeformat.open("inside.aef") as opened:
        assert np.array_equal(opened[2], latents[2]) and np.array_equal(opened[-1], latents[3])
        assert [row.shape for row in opened[1:3]] == [latents[1].shape, latents[2].shape]
        assert np.array_equal(opened[[3, 0]][1], latents[0])


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_decoder_that_is_not_here_is_said_to_be_missing(read):
    """With what to do about it, once rows are wanted."""
    with pytest.raises(DecoderMissing, match=DECODER.model_id.hex()) as caught:
        read("alone.aef")
    assert caught.value.hint is Hint.GET_DECODER
    with pytest.raises(DecoderMismatch):
        read("alone.aef", decoder="mnist-exact")


def test_what_does_not_take_the_rows_needs_no_decoder():
    """Header, sizes and names."""
    with aeformat.open("alone.aef") as opened:
        assert (opened.header.codec, len(opened)) == ("rans", 4)
        assert [opened.sizes().image(row)[:2] for row in range(4)] == [image.shape[:2] for image in IMAGES]


def test_images_and_the_verdict():
    """decode and validate: by the decoder inside, or a given one."""
    model = aeformat.load_model("any")
    expected = model.decode(model.encode(IMAGES))
    for images in (
        aeformat.decode("inside.aef"),
        aeformat.decode("alone.aef", "any"),
        aeformat.decode("inside.aef", rows=[1]),
    ):
        for number, image in enumerate(images):
            assert np.array_equal(image, expected[number if len(images) > 1 else 1][: image.shape[0], : image.shape[1]])
    for report in (aeformat.validate("inside.aef"), aeformat.validate("alone.aef", decoder="any")):
        assert (report.problems, report.not_checked, report.n_rows) == ([], "", 4)
    open_report = aeformat.validate("alone.aef")
    assert open_report.problems == [] and "codec rans" in open_report.not_checked
