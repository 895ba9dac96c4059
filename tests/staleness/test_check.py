"""Promise: a row is called current only where its image, the decoder and the preprocessing are what they were."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

import aeformat
from aeformat.cli.main import main
from aeformat.errors import Truncated, UsageError
from aeformat.images import demo_digits
from aeformat.pipeline import sources
from aeformat.staleness import folder as folder_module
from aeformat.staleness.check import Checked
from aeformat.staleness.compare import Row

from .latents import DIMS, WRITE, draw, encode, images_in, write_file, write_set

ROOT = Path(__file__).resolve().parents[2]
VAE = ROOT / "spec" / "vectors" / "network" / "valid" / "001-by-hand.safetensors"


@pytest.fixture(params=WRITE.values(), ids=WRITE)
def written(request, tmp_path):
    """Twelve images, and their latents in a file or a set."""
    return request.param(tmp_path, images_in(tmp_path)), tmp_path / "images"


def test_each_row_has_its_state(written):
    """All kinds at once, in a file and across shards."""
    path, images = written
    assert aeformat.check(path, images).is_current
    draw(images / "01.png", 100)
    (images / "below" / "05.png").rename(images / "moved.png")
    (images / "07.png").unlink()
    draw(images / "added.png", 101)

    found = aeformat.check(path, images)

    assert (found.numbers("changed"), found.numbers("renamed"), found.numbers("gone")) == ([1], [5], [7])
    assert (found.renamed, found.new, found.images) == ({5: "moved.png"}, ("added.png",), 12)
    assert len(found.numbers("current")) == 9 and not found.is_current
    assert (found.decoder, found.is_described_compared) == ("not compared", False)


def test_the_digest_is_in_the_row_names(written):
    """SHA-256 of the bytes of the file, as any reader of format 1.0 has it."""
    path, images = written
    with aeformat.open(path) as latents:
        said = latents.names(5)
        stamps = latents.field("source_bytes")[5], latents.field("source_mtime_ns")[5]

    image = images / "below" / "05.png"
    assert said.names == ("below/05.png",)
    assert said.sources == (hashlib.sha256(image.read_bytes()).digest(),)
    assert stamps == (image.stat().st_size, image.stat().st_mtime_ns)


def test_a_decoder_that_is_another_leaves_no_row_current(tmp_path):
    """By a file, or by the id."""
    path = write_file(tmp_path, images_in(tmp_path), foreign_decoder=b"\1" * 32)

    same = aeformat.check(path, tmp_path / "images", decoder=b"\1" * 32)
    other = aeformat.check(path, tmp_path / "images", decoder=b"\2" * 32)

    assert (same.decoder, same.is_current) == ("the same", True)
    assert (other.decoder, other.decoder_ids) == ("another", (b"\1" * 32, b"\2" * 32))
    assert len(other.numbers("outdated")) == 12 and not other.is_current


def test_a_package_is_compared_by_its_model_id(tmp_path, capsys):
    """What `pack --sources` wrote, with the decoder that it was packed for, and with another."""
    (tmp_path / "images").mkdir()
    aeformat.pack(demo_digits()[:5], tmp_path / "first.aef")
    aeformat.unpack(tmp_path / "first.aef", tmp_path / "images")
    path, images = str(tmp_path / "packed.aef"), str(tmp_path / "images")
    assert main(["pack", images, "-o", path, "--sources"]) == 0
    capsys.readouterr()
    packages = [str(ROOT / "models" / f"{name}.decoder.aef") for name in ("mnist-exact", "mnist-rd-22")]

    codes = [main(["check", path, "--images", images, "--decoder", package]) for package in packages]

    assert codes == [0, 4]
    assert "current  5" in capsys.readouterr().out


def test_an_image_of_the_same_stamp_is_not_read_when_fast_is_asked_for(written, monkeypatch):
    """Others are, and a file that keeps no stamps is refused."""
    path, images = written
    draw(images / "01.png", 100)
    os.utime(images / "01.png", ns=(0, 1))
    read = []
    plain = folder_module.read_source
    monkeypatch.setattr(folder_module, "read_source", lambda place: read.append(place.name) or plain(place))

    found = aeformat.check(path, images, fast=True)

    assert (found.numbers("changed"), read) == ([1], ["01.png"])


def test_without_stamps_fast_is_refused(tmp_path):
    """It would read every image after all, without a word."""
    paths = images_in(tmp_path, 2)
    own = {"source_bytes": str, "source_mtime_ns": float}  # which are something else
    with aeformat.create(tmp_path / "plain.aef", dims=DIMS, encoding="f32le", fields=own) as file:
        file.write(
            encode(paths), ["00.png", "01.png"], sources=paths, source_bytes=["a", "b"], source_mtime_ns=[0.5, 1]
        )

    assert aeformat.check(tmp_path / "plain.aef", tmp_path / "images").is_current
    with pytest.raises(UsageError, match="check without fast"):
        aeformat.check(tmp_path / "plain.aef", tmp_path / "images", fast=True)


def test_rows_without_names_are_known_by_their_content(tmp_path):
    """A row with neither name nor digest is unknown; images may come as a map."""
    paths = images_in(tmp_path, 3)
    with aeformat.create(tmp_path / "bare.aef", dims=DIMS, encoding="f32le") as file:
        file.append(encode(paths[:2]), sources=paths[:2])
        file.append(encode(paths[2:]))
    paths[0].unlink()

    found = aeformat.check(tmp_path / "bare.aef", {"x": paths[1], "y": paths[2]})

    assert (found.states, found.new) == (("gone", "current", "unknown"), ("y",))
    assert found.rows[2] == Row(None, None)


def test_rows_of_one_image_stay_together(tmp_path):
    """Mirrored and plain, say: both are current, and both are renamed with it."""
    paths = images_in(tmp_path, 2)
    with aeformat.create(tmp_path / "two.aef", dims=DIMS, encoding="f32le") as file:
        for _ in range(2):
            file.append(encode(paths), ["00.png", "01.png"], sources=paths)
    assert aeformat.check(tmp_path / "two.aef", tmp_path / "images").is_current
    paths[0].rename(tmp_path / "images" / "moved.png")

    found = aeformat.check(tmp_path / "two.aef", tmp_path / "images")

    assert (found.renamed, found.new) == ({0: "moved.png", 2: "moved.png"}, ())


def described_keys(found: Checked) -> list[str]:
    return [difference.key for difference in found.described]


def test_what_only_one_side_says_is_a_difference(tmp_path):
    """But `software` left out is none."""
    said = aeformat.Described(kind="mean", resize="cover", software="one")
    path = write_file(tmp_path, images_in(tmp_path, 2), described=said, foreign_decoder=b"\1" * 32)

    def compared(**now: object) -> list[str]:
        return described_keys(aeformat.check(path, tmp_path / "images", described=aeformat.Described(**now)))

    assert compared(kind="mean", resize="cover") == []
    assert compared(kind="mean") == ["resize"]
    assert compared(kind="mean", resize="cover", colour="bgr") == ["colour"]
    assert compared(kind="mean", resize="cover", software="two") == ["software"]


@pytest.mark.parametrize(
    ("said", "code", "what"),
    [
        ("{", 2, "is no JSON"), ("[1]", 2, "is no map"), ('{"sise": 1}', 2, "unknown keys sise"),
        ('{"foreign_encoder": "xy"}', 2, "not hexadecimal"), ('{"kind": "average"}', 2, "kind is 'average'"), (None, 2, "cannot be read"),
    ],
    ids=["cut", "list", "key", "hex", "value", "absent"],
)  # fmt: skip
def test_a_bad_description_is_one_line(tmp_path, capsys, said, code, what):
    """With nothing on stdout."""
    path = write_file(tmp_path, images_in(tmp_path, 1))
    if said is not None:
        (tmp_path / "now.json").write_text(said)
    capsys.readouterr()

    ran = main(["check", str(path), "--images", str(tmp_path / "images"), "--described", str(tmp_path / "now.json")])

    out, err = capsys.readouterr()
    assert (ran, out, err.count("\n")) == (code, "", 1) and what in err


@pytest.mark.parametrize(
    ("name", "images", "code", "what"),
    [
        ("none.aef", "images", 2, "no such file"), ("images", "images", 2, "is a folder"), ("latents.aef", "none", 2, "no folder of images"),
        ("cut.aef", "images", 3, "cut.aef"), ("cut.aef", "images", 3, "rule C"), ("images/00.png", "images", 1, "aef"),
    ],
    ids=["no file", "folder", "no images", "cut named", "cut", "no aef"],
)  # fmt: skip
def test_a_bad_file_is_one_line(tmp_path, capsys, name, images, code, what):
    """With its own exit code."""
    path = write_file(tmp_path, images_in(tmp_path, 1))
    (tmp_path / "cut.aef").write_bytes(path.read_bytes()[:-9])

    ran = main(["check", str(tmp_path / name), "--images", str(tmp_path / images)])

    out, err = capsys.readouterr()
    assert (ran, out, err.count("\n")) == (code, "", 1) and what in err


def test_bad_arguments_are_refused(tmp_path):
    """In words."""
    path = write_file(tmp_path, images_in(tmp_path, 1))
    for arguments, what in (
        ({"images": tmp_path / "nowhere"}, "no folder of images"), ({"images": {"../x": path}}, "not a safe relative path"),
        ({"decoder": b"short"}, "has 32 bytes"), ({"described": {"kind": "mean"}}, "is an aeformat.Described"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=what):
            aeformat.check(path, **({"images": tmp_path / "images"} | arguments))
    with pytest.raises(UsageError, match="no state of a row"):
        aeformat.check(path, tmp_path / "images").numbers("stale")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(Truncated):
        aeformat.check(path, tmp_path / "images")


def test_bad_sources_are_refused(tmp_path):
    """One for each row, a path or 32 bytes."""
    paths = images_in(tmp_path, 2)
    with (
        pytest.raises(UsageError, match="never"),
        aeformat.create(tmp_path / "x.aef", dims=DIMS, encoding="f32le") as file,
    ):
        for sources, what in (
            (paths[0], "a list"),
            ([b"1", b"2"], "has 1 bytes"),
            ([3, 4], "a path is"),
            (paths[:1], "1 sources"),
        ):
            with pytest.raises(UsageError, match=what):
                file.append(encode(paths), ["a", "b"], sources=sources)
        raise UsageError("never")
    with pytest.raises(UsageError, match="in no file of their own"):
        aeformat.pack(np.zeros((2, 28, 28), np.uint8), tmp_path / "packed.aef", sources=True)
    assert not (tmp_path / "packed.aef").exists()


def test_text_names_what_is_stale(tmp_path, capsys):
    """Ten names of a kind, and how many more."""
    path = write_file(tmp_path, images_in(tmp_path, 13))
    for image in (tmp_path / "images").rglob("*.png"):
        image.unlink()
    (tmp_path / "images" / "notes.txt").write_text("no image")
    capsys.readouterr()

    assert main(["check", str(path), "--images", str(tmp_path / "images")]) == 1

    out, err = capsys.readouterr()
    assert "1 of kind .txt" in err
    assert "gone     13  (00.png, 01.png" in out and ", and 3 more)" in out and "decoder: not compared" in out


def test_text_names_the_decoder_and_each_key(tmp_path, capsys):
    """Ids in short; what is new; what an update of a set leaves behind."""
    said = aeformat.Described(kind="mean", size=(4, 4), foreign_encoder=b"\1" * 32)
    path = write_set(tmp_path, images_in(tmp_path, 3), described=said, foreign_decoder=b"\1" * 32)
    (tmp_path / "now.json").write_text(json.dumps({"kind": "mean", "size": [8, 4], "foreign_encoder": "02" * 32}))
    draw(tmp_path / "images" / "added.png", 9)
    images = ["--images", str(tmp_path / "images")]
    capsys.readouterr()

    codes = [
        main(["check", str(path), *images, "--decoder", str(VAE), "--described", str(tmp_path / "now.json")]),
        main(["check", str(path), *images]),
    ]

    out = capsys.readouterr().out
    assert codes == [4, 3]
    assert "decoder: another (010101010101 in the file, 2389c97e9395 given)" in out and "new      1  (added.png)" in out
    assert (
        "preprocessing: size: [4, 4], now [8, 4]" in out and f"foreign_encoder: '{'01' * 32}', now '{'02' * 32}'" in out
    )
    assert "outdated 3" in out and "preprocessing: not compared" in out
    (tmp_path / "same.json").write_text(json.dumps({"kind": "mean", "size": [4, 4], "foreign_encoder": "01" * 32}))
    (tmp_path / "images" / "added.png").unlink()
    draw(tmp_path / "images" / "00.png", 10)
    update = ["--update", "tests.staleness.latents:encode", "--described", str(tmp_path / "same.json")]
    assert main(["check", str(path), *images, *update]) == 0
    out = capsys.readouterr().out
    assert "no longer in the set: " in out and "preprocessing: the same" in out


def test_digests_are_taken_as_sources_too(tmp_path):
    """The stamps of such rows are for the caller to give: source_fields."""
    paths = images_in(tmp_path, 2)
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in paths]
    with aeformat.create(tmp_path / "d.aef", dims=DIMS, encoding="f32le", fields=aeformat.SOURCE_FIELDS) as file:
        with pytest.raises(UsageError, match="source_bytes"):
            file.append(encode(paths), ["00.png", "01.png"], sources=digests)
        file.append(encode(paths), ["00.png", "01.png"], sources=digests, fields=aeformat.source_fields(paths))

    assert aeformat.check(tmp_path / "d.aef", tmp_path / "images").is_current
    assert aeformat.check(tmp_path / "d.aef", tmp_path / "images", fast=True).is_current


def test_a_file_that_grows_while_it_is_read_has_no_digest(tmp_path, monkeypatch):
    """Half of one content and half of another is none."""
    (path,) = images_in(tmp_path, 1)
    plain = sources.file_digest

    def growing(place: Path) -> bytes:
        digest = plain(place)
        path.write_bytes(path.read_bytes() + b"more")
        return digest

    monkeypatch.setattr(sources, "file_digest", growing)
    with pytest.raises(UsageError, match="was changed while it was read"):
        sources.read_source(path)
