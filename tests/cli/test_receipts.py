"""Receipts through the command line: recorded by pack, checked by whatever decodes, kept by convert."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.container.receipts import digests_of
from aeformat.container.writer import LatentsWriter
from aeformat.images import demo_digits
from aeformat.model import places, store
from aeformat.reader import open_latents, stream_latents

FLOAT = "mnist-128-64-128"
EXACT = "mnist-exact"


def with_wrong_receipt(source: Path, target: Path, row: int) -> int:
    """The file again, with the receipt of one row as if one of its pixels were another; byte of the digest."""
    decoder = NumpyBackend().load(store.find_pair(EXACT)[1])
    with open_latents(source) as latents, target.open("wb") as out, LatentsWriter(out, latents.header) as writer:
        for block in latents.blocks(0, latents.n_rows):
            images = decoder.run(block.values)
            images[row - block.first_row].flat[400] ^= 1
            writer.write(block.values, block.names, digests_of(images))
    with target.open("rb") as file:
        (block,) = stream_latents(file)
    return block.receipts.at + row // 64 * 32


@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
@pytest.mark.parametrize("out", ["o.npy", "o.npz", "o-idx3-ubyte.gz", "o/"])
def test_what_was_packed_with_receipts_is_proved_when_it_is_unpacked(aeformat, folder, request, backend, out):
    """The images are those of a file without receipts, and unpack says that they are the writer's."""
    if backend == "tensorflow":
        request.getfixturevalue("tensorflow")
    assert aeformat("pack", "digits.npy", "-o", "plain.aef").code == 0
    packed = aeformat("pack", "digits.npy", "-o", "r.aef", "--receipts", "--backend", backend)
    assert packed.code == 0, packed.err
    assert aeformat("unpack", "plain.aef", "-o", "plain.npy").code == 0

    unpacked = aeformat("unpack", "r.aef", "-o", out, "--backend", backend)

    assert unpacked.code == 0 and "receipts" in unpacked.err
    assert aeformat("eval", "r.aef", "--against", "plain.npy").out.count("identical") == 2


def test_receipts_are_shown(aeformat, folder):
    """info says whether there are any, validate how many there are and that they were proved."""
    aeformat("pack", "digits.npy", "-o", "plain.aef")
    aeformat("pack", "digits.npy", "-o", "r.aef", "--receipts")

    assert [json.loads(aeformat("info", name, "--json").out)["receipts"] for name in ("plain.aef", "r.aef")] == [
        False,
        True,
    ]
    assert "2 receipts proved" in aeformat("validate", "r.aef").out
    reports = json.loads(aeformat("validate", "r.aef", "plain.aef", "--json").out)["files"]
    assert [(report["receipts"], report["proved"]) for report in reports] == [(2, 2), (0, 0)]


def test_validate_says_that_it_could_not_prove(aeformat, folder, monkeypatch):
    """Where the decoder is not here the file is good, and its receipts are not called proved."""
    aeformat("pack", "digits.npy", "-o", "r.aef", "--receipts")
    monkeypatch.setattr(places, "shipped_folder", lambda: folder / "nothing-here")

    validated = aeformat("validate", "r.aef")

    assert validated.code == 0 and "2 receipts not proved: their decoder is not here" in validated.out


@pytest.mark.parametrize("n_rows", [1, 63, 64, 99, 200])
def test_the_batch_size_does_not_show_in_receipts(aeformat, folder, n_rows):
    """The same images give the same bytes, however many are encoded and decoded at once."""
    aeformat("pack", "digits.npy", "digits.npy", "-o", "a.aef", "--receipts", "--encoding", "text19")
    aeformat(
        "pack", "digits.npy", "digits.npy", "-o", "b.aef", "--receipts", "--encoding", "text19", "--batch-rows", n_rows
    )

    assert (folder / "a.aef").read_bytes() == (folder / "b.aef").read_bytes()


def test_convert_keeps_receipts_right(aeformat, folder):
    """1,000 rows in other chunks, and in the first ones again: always proved, and the same bytes in the end."""
    np.save("many.npy", np.tile(np.load("digits.npy"), (10, 1, 1)))
    aeformat("pack", "many.npy", "-o", "a.aef", "--receipts", "--codec", "none")
    chunks = set()
    for encoding in ("text19", "f64le", "u8"):
        source = "a.aef" if encoding == "text19" else "last.aef"
        assert aeformat("convert", source, "next.aef", "--encoding", encoding).code == 0
        (folder / "next.aef").rename("last.aef")
        chunks.add(json.loads(aeformat("info", "last.aef", "--json").out)["chunks"])
        assert "16 receipts proved" in aeformat("validate", "last.aef").out

    assert len(chunks) > 1
    assert (folder / "last.aef").read_bytes() == (folder / "a.aef").read_bytes()


OUTPUTS = ["o.npy", "o.npz", "o-idx3-ubyte", "o/"]


@pytest.mark.parametrize("more", [(), ("--recover",), ("--rows", "70:71")], ids=["", "recover", "rows"])
@pytest.mark.parametrize("out", OUTPUTS)
def test_a_pixel_that_is_not_the_writers_is_one_error_and_leaves_nothing(aeformat, folder, out, more):
    """Exit code 1, one line with rule and byte, and no output; --recover does not help, for the file is whole."""
    aeformat("pack", "digits.npy", "-o", "good.aef", "--receipts")
    at = with_wrong_receipt(folder / "good.aef", folder / "bad.aef", 70)
    before = sorted(folder.iterdir())

    ran = aeformat("unpack", "bad.aef", "-o", out, *more)

    assert ran.code == 1
    assert (
        ran.err.count("\n") == 1
        and f"rows 64 to 99 are not those that their receipt names (rule C7-6, byte {at})" in ran.err
    )
    assert sorted(folder.iterdir()) == before


def test_everything_that_decodes_checks(aeformat, folder):
    """eval refuses the file too, and validate names rule and byte; convert, which decodes nothing, keeps what is there."""
    aeformat("pack", "digits.npy", "-o", "good.aef", "--receipts")
    at = with_wrong_receipt(folder / "good.aef", folder / "bad.aef", 3)

    evaluated = aeformat("eval", "bad.aef", "--against", "digits.npy")
    validated = aeformat("validate", "bad.aef", "--json")

    assert evaluated.code == 1 and "C7-6" in evaluated.err
    (problem,) = json.loads(validated.out)["files"][0]["problems"]
    assert validated.code == 1 and (problem["code"], problem["rule"], problem["byte"]) == ("receipt", "C7-6", at)
    assert (
        aeformat("unpack", "bad.aef", "-o", "o.npy", "--rows", "64:100").code == 0
    )  # of those rows the receipt is right
    assert aeformat("convert", "bad.aef", "converted.aef", "--encoding", "f64le").code == 0
    assert aeformat("unpack", "converted.aef", "-o", "p.npy").code == 1


def test_a_cut_file_with_receipts_gives_the_rows_before_the_cut(aeformat, folder):
    """--recover proves what it hands out."""
    np.save("many.npy", np.tile(np.load("digits.npy"), (50, 1, 1)))
    aeformat("pack", "many.npy", "-o", "r.aef", "--receipts")
    data = (folder / "r.aef").read_bytes()
    (folder / "cut.aef").write_bytes(data[: len(data) - 2_000])

    ran = aeformat("unpack", "cut.aef", "-o", "o.npy", "--recover")

    assert ran.code == 3 and "recovered 4,096 rows" in ran.err
    assert len(np.load("o.npy")) == 4_096


@pytest.mark.parametrize("rows", ["0:1", "63:65", "99:100", "0:100"])
@pytest.mark.parametrize("receipts", [(), ("--receipts",)], ids=["plain", "receipts"])
def test_some_rows_are_those_of_the_whole(aeformat, folder, rows, receipts):
    """--rows START:STOP writes the very images, with or without receipts."""
    aeformat("pack", "digits.npy", "-o", "r.aef", *receipts)
    aeformat("unpack", "r.aef", "-o", "all.npy")

    ran = aeformat("unpack", "r.aef", "-o", "some.npy", "--rows", rows)

    start, stop = map(int, rows.split(":"))
    assert ran.code == 0 and ("receipts" in ran.err) == bool(receipts)
    assert np.array_equal(np.load("some.npy"), np.load("all.npy")[start:stop])


def test_some_rows_of_a_folder_keep_their_names(aeformat, folder):
    """Row 1 of three files is the second one, under its name."""
    from PIL import Image

    (folder / "in").mkdir()
    for name, image in zip(("a.png", "b.png", "c.png"), demo_digits(), strict=False):
        Image.fromarray(image[..., 0]).save(folder / "in" / name)
    aeformat("pack", "in", "-o", "n.aef", "--receipts")

    assert aeformat("unpack", "n.aef", "-o", "out/", "--rows", "1:2").code == 0
    assert [path.name for path in Path("out").iterdir()] == ["b.png"]


BAD_ROWS = [
    ("3:3",), ("5:2",), ("1",), ("-1:2",), ("a:b",), ("0:101",), ("0:1", "--latents"), ("0:1", "--recover"),
]  # fmt: skip


@pytest.mark.parametrize("rows", BAD_ROWS, ids=" ".join)
def test_rows_that_make_no_sense_are_a_usage_error(aeformat, folder, rows):
    """Exit code 2, one line, no output."""
    aeformat("pack", "digits.npy", "-o", "r.aef")

    ran = aeformat("unpack", "r.aef", "-o", "o.npy", f"--rows={rows[0]}", *rows[1:])

    assert ran.code == 2 and ran.err.count("\n") == 1
    assert not (folder / "o.npy").exists()


def test_receipts_need_an_exact_decoder(aeformat, folder):
    """With profile float32 no digest could hold on another machine: refused with the reason, and nothing is written."""
    ran = aeformat("pack", "digits.npy", "-o", "r.aef", "--receipts", "--model", FLOAT)

    assert ran.code == 2 and "float32" in ran.err and "grey level" in ran.err
    assert not (folder / "r.aef").exists()


def test_receipts_need_the_decoder(aeformat, folder, monkeypatch):
    """Where only the encoder is installed, packing ends with the exit code of a missing decoder."""
    encoder, _ = store.find_pair(EXACT)
    store.install(store.shipped_file(EXACT, "encoder"), lambda package: None)
    monkeypatch.setattr(places, "shipped_folder", lambda: folder / "nothing-here")

    ran = aeformat("pack", "digits.npy", "-o", "r.aef", "--receipts", "--model", encoder.model_id.hex())

    assert ran.code == 4 and not (folder / "r.aef").exists()


def test_one_image_with_a_receipt_costs_320_bytes_at_most(aeformat, folder):
    """Beyond its latent; and 10,000 rows two bytes a row at most, receipts included."""
    np.save("one.npy", np.load("digits.npy")[:1])
    aeformat("pack", "one.npy", "-o", "one.aef", "--receipts")
    np.save("many.npy", np.tile(np.load("digits.npy"), (100, 1, 1)))
    aeformat("pack", "many.npy", "-o", "many.aef", "--receipts", "--codec", "none")

    assert (folder / "one.aef").stat().st_size - 64 <= 320
    assert (folder / "many.aef").stat().st_size - 640_000 <= 20_000
