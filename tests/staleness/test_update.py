"""Promise: an update encodes what is not current and nothing else, keeps the rest bit for bit, and is there wholly or not at all."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

import aeformat
from aeformat.atomic import TEMP_PREFIX
from aeformat.cli.main import main
from aeformat.errors import ImageError, UsageError
from aeformat.images import demo_digits
from aeformat.images.files import load_pixels
from aeformat.sets.manifest import parse_manifest
from aeformat.staleness import update as update_module

from .latents import (
    DIMS,
    FIELDS,
    WRITE,
    add,
    bytes_below,
    draw,
    encode,
    encode_arrays,
    facts,
    images_in,
    write_file,
    write_set,
)

VAE, OTHER = b"\1" * 32, b"\2" * 32


@pytest.fixture(params=WRITE.values(), ids=WRITE)
def stale(request, tmp_path):
    """A file or a set of twelve rows: one image is changed, one renamed, one gone, two are new."""
    images = tmp_path / "images"
    path = request.param(tmp_path, images_in(tmp_path))
    make_stale(images)
    return path, images


def make_stale(images: Path) -> None:
    draw(images / "01.png", 100)
    (images / "00.png").rename(images / "moved.png")
    (images / "07.png").unlink()
    for number in (1, 2):
        draw(images / f"new{number}.png", 100 + number)


class Recording:
    """`encode`, and what it was given."""

    def __init__(self) -> None:
        self.names: list[list[str]] = []

    def __call__(self, paths: list[Path]) -> aeformat.Encoded:
        self.names.append([path.name for path in paths])
        return aeformat.Encoded(encode(paths), fields={"label": np.arange(len(paths)) - 10})


def test_only_what_is_stale_is_encoded(stale):
    """All other rows have every bit, name, source and field that they had."""
    path, images = stale
    before, recording = facts(path), Recording()

    done = aeformat.update(path, images, recording)

    after = facts(path)
    assert recording.names == [["01.png", "new1.png", "new2.png"]]
    assert after[2:12] == before[2:]
    assert after[0][0] == before[0][0] and after[0][2:] == before[0][2:]
    assert after[0][1][0] == ("moved.png",) and after[0][1][1] == before[0][1][1]
    assert (done.encoded, done.new, done.kept, done.renamed, done.pruned) == (3, 2, 11, 1, 0)
    assert done.checked.numbers("gone") == [7] and not done.checked.new
    with aeformat.open(path) as latents:
        assert (
            latents[[1, 12, 13]].tobytes() == encode([images / n for n in ("01.png", "new1.png", "new2.png")]).tobytes()
        )
        assert latents.field("label", [1, 12, 13]).tolist() == [-10, -9, -8]
        assert latents.field("caption", [1, 12]) == ["no. 1", None]
        assert latents.names(12).names == ("new1.png",)
        stamp = (images / "01.png").stat()
        assert latents.field("source_bytes")[1] == stamp.st_size
        assert latents.field("source_mtime_ns")[1] == stamp.st_mtime_ns
    assert aeformat.validate(path).problems == []
    assert aeformat.check(path, images, fast=True).numbers("current") == [row for row in range(14) if row != 7]


def test_pruned_rows_go_and_then_all_is_current(stale):
    """A second update has nothing to do, and writes nothing."""
    path, images = stale

    done = aeformat.update(path, images, Recording(), prune=True, batch_rows=1)

    assert (done.pruned, done.encoded, done.checked.is_current) == (1, 3, True)
    written = bytes_below(path)
    again = aeformat.update(path, images, Recording(), prune=True)
    assert (again.encoded, again.kept, again.checked.is_current) == (0, 13, True)
    assert bytes_below(path) == written


def test_a_name_may_be_taken_that_a_row_which_is_gone_still_has(tmp_path):
    """Two rows of one chunk must not have one name: a chunk ends between them."""
    paths = images_in(tmp_path)
    path = write_file(tmp_path, paths)
    paths[0].rename(tmp_path / "images" / "07.png")

    done = aeformat.update(path, tmp_path / "images", Recording())

    assert (done.encoded, done.renamed, done.checked.numbers("gone")) == (0, 1, [7])
    assert aeformat.validate(path).problems == []
    with aeformat.open(path) as latents:
        assert [latents.names(row).names for row in (0, 7)] == [("07.png",)] * 2


def test_of_a_set_only_shards_that_change_are_written(tmp_path):
    """The others are the same files; the old ones are named, and stay for whoever still reads them."""
    paths = images_in(tmp_path)
    path = write_set(tmp_path, paths)
    draw(paths[0], 100)
    with aeformat.open(path) as before:
        old = before.shards
        inodes = [(path / shard.name).stat().st_ino for shard in old]
        done = aeformat.update(path, tmp_path / "images", Recording())

        with aeformat.open(path) as after:
            assert after.shards[1:] == old[1:] and after.shards[0] != old[0]
            assert [(path / shard.name).stat().st_ino for shard in old] == inodes
            assert (after.manifest.generation, after.manifest.n_rows) == (before.manifest.generation + 1, 12)
        assert done.left_behind == (path / old[0].name,)
        assert len(before[:]) == 12


def test_a_shard_of_which_no_row_is_left_is_left_out(tmp_path):
    """And a set or a file of which none is left is refused."""
    paths = images_in(tmp_path, 8)
    path = write_set(tmp_path, paths)
    for image in paths[:4]:
        image.unlink()

    aeformat.update(path, tmp_path / "images", Recording(), prune=True)

    with aeformat.open(path) as latents:
        assert (len(latents), len(latents.shards)) == (4, 1)
    for image in paths[4:]:
        image.unlink()
    with pytest.raises(UsageError, match="no row would be left"):
        aeformat.update(path, tmp_path / "images", Recording(), prune=True)


@pytest.mark.parametrize("write", WRITE.values(), ids=WRITE)
def test_another_vae_or_preprocessing_encodes_all_and_is_named(tmp_path, write):
    """Afterwards the header says what was given; rows without an image cannot be taken along."""
    paths = images_in(tmp_path)
    path = write(tmp_path, paths, foreign_decoder=VAE, described=aeformat.Described(kind="sample", seed=1))
    now = aeformat.Described(kind="sample", seed=2, scale=0.5)
    paths[3].unlink()
    before = bytes_below(path)
    with pytest.raises(UsageError, match=r"row 3 \(03.png\) has no image.*prune drops it"):
        aeformat.update(path, tmp_path / "images", Recording(), decoder=OTHER)
    assert bytes_below(path) == before

    done = aeformat.update(path, tmp_path / "images", Recording(), decoder=OTHER, described=now, prune=True)

    assert (done.encoded, done.kept, done.pruned, done.checked.is_current) == (11, 0, 1, True)
    with aeformat.open(path) as latents:
        assert (latents.header.foreign_decoder, latents.header.described) == (OTHER, now)
    assert aeformat.validate(path).problems == []


def test_a_header_never_says_what_is_not_so(tmp_path):
    """An encoder that is named goes with the decoder; what is said must fit the file."""
    paths = images_in(tmp_path, 2)
    path = write_file(tmp_path, paths, foreign_decoder=VAE, described=aeformat.Described(foreign_encoder=VAE))
    before = path.read_bytes()

    with pytest.raises(UsageError, match="names the encoder as well"):
        aeformat.update(path, tmp_path / "images", Recording(), decoder=OTHER)
    with pytest.raises(UsageError, match="axis 1 the size 1"):
        said = aeformat.Described(scale=[1, 2, 3], axis=1)
        aeformat.update(path, tmp_path / "images", Recording(), described=said)
    assert path.read_bytes() == before
    now = aeformat.Described(foreign_encoder=OTHER)
    assert aeformat.update(path, tmp_path / "images", Recording(), decoder=OTHER, described=now).checked.is_current


def test_unknown_rows_are_kept_or_encoded_as_is_asked(tmp_path):
    """They stay unknown until they are encoded."""
    paths = images_in(tmp_path, 4)
    with aeformat.create(tmp_path / "u.aef", dims=DIMS, encoding="f32le", fields=FIELDS) as file:
        add(file, tmp_path, paths[:3], sources=False)
        add(file, tmp_path, paths[3:])
    before = facts(tmp_path / "u.aef")
    draw(paths[3], 100)

    kept = aeformat.update(tmp_path / "u.aef", tmp_path / "images", Recording())
    assert (kept.encoded, kept.checked.numbers("unknown")) == (1, [0, 1, 2])
    assert facts(tmp_path / "u.aef")[:3] == before[:3]
    done = aeformat.update(tmp_path / "u.aef", tmp_path / "images", Recording(), encode_unknown=True)

    assert (done.encoded, done.checked.is_current) == (3, True)


def test_rows_of_their_own_size(tmp_path):
    """Kept rows keep their shapes, and encode returns a list."""
    paths = images_in(tmp_path, 6)

    def sized(images: list[Path]) -> list[np.ndarray]:
        return [np.full((2, 1 + int(path.stem) % 3, 4), int(path.stem), np.float16) for path in images]

    with aeformat.create(tmp_path / "s.aef", dims=(2, None, None), encoding="f16le") as file:
        file.append(sized(paths), [path.relative_to(tmp_path / "images") for path in paths], sources=paths)
    before = facts(tmp_path / "s.aef")
    draw(paths[4], 100)
    draw(tmp_path / "images" / "08.png", 108)

    done = aeformat.update(tmp_path / "s.aef", tmp_path / "images", sized)

    after = facts(tmp_path / "s.aef")
    assert (done.encoded, done.checked.is_current) == (2, True)
    assert after[:4] + after[5:6] == before[:4] + before[5:6] and after[4][0] == before[4][0]
    with aeformat.open(tmp_path / "s.aef") as latents:
        assert latents[6].shape == (2, 3, 4) and latents[6][0, 0, 0] == 8


def test_packed_digits_are_updated_with_their_model(tmp_path):
    """Codec rans, whose decoder is found; the function takes arrays."""
    aeformat.pack(demo_digits()[:6], tmp_path / "first.aef")
    aeformat.unpack(tmp_path / "first.aef", tmp_path / "images")
    path, model = tmp_path / "packed.aef", aeformat.load_model("mnist-rd-22")
    aeformat.pack(tmp_path / "images", path, model=model, sources=True)
    first = sorted((tmp_path / "images").iterdir())[0]
    first.write_bytes(sorted((tmp_path / "images").iterdir())[1].read_bytes())

    done = aeformat.update(path, tmp_path / "images", lambda images: model.encode(np.stack(images)), arrays=True)

    assert (done.encoded, done.kept, done.checked.is_current) == (1, 5, True)
    with aeformat.open(path) as latents:
        assert latents.header.codec == "rans"
        assert latents[0].tolist() == latents[1].tolist()


def test_a_set_of_codec_rans_gets_new_rows(tmp_path):
    """A shard of new rows is coded as the others are."""
    aeformat.pack(demo_digits()[:4], tmp_path / "first.aef")
    aeformat.unpack(tmp_path / "first.aef", tmp_path / "images")
    paths, model = sorted((tmp_path / "images").iterdir()), aeformat.load_model("mnist-rd-22")

    def by_model(images: list[np.ndarray]) -> np.ndarray:
        return model.encode(np.stack(images))

    writing = aeformat.create_set(tmp_path / "set", decoder=model)
    with writing.writer() as file:
        file.append(
            by_model([load_pixels(path) for path in paths[:3]]), [path.name for path in paths[:3]], sources=paths[:3]
        )
    writing.commit()

    done = aeformat.update(tmp_path / "set", tmp_path / "images", by_model, arrays=True)

    assert (done.new, done.checked.is_current) == (1, True)
    with aeformat.open(tmp_path / "set") as latents:
        assert latents.header.codec == "rans"
        np.testing.assert_array_equal(latents[3], by_model([load_pixels(paths[3])])[0])


def test_arrays_are_given_where_they_are_asked_for(stale):
    """(h, w, c) uint8; what comes of it is the same."""
    path, images = stale

    aeformat.update(
        path,
        images,
        lambda arrays: aeformat.Encoded(encode_arrays(arrays), fields={"label": [0] * len(arrays)}),
        arrays=True,
    )

    with aeformat.open(path) as latents:
        assert latents[1].tobytes() == encode([images / "01.png"]).tobytes()


def bad_count(paths: list[Path]) -> np.ndarray:
    return encode(paths)[:-1]


def bad_field(paths: list[Path]) -> aeformat.Encoded:
    return aeformat.Encoded(encode(paths), fields={"lable": [1] * len(paths)})


def bad_shape(paths: list[Path]) -> aeformat.Encoded:
    return aeformat.Encoded(encode(paths)[..., 0], fields={"label": [1] * len(paths)})


def edits(paths: list[Path]) -> aeformat.Encoded:
    draw(paths[0], 999)
    return aeformat.Encoded(encode(paths), fields={"label": [1] * len(paths)})


def fails(paths: list[Path]) -> np.ndarray:
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("function", "error", "what"),
    [
        (bad_count, UsageError, "given 3 images, and returned 2 as latents"), (bad_field, UsageError, "does not have: lable"),
        (bad_shape, ValueError, "shape"), (edits, ImageError, "was changed while it was encoded"), (fails, RuntimeError, "out of memory"),
        (encode, UsageError, "need a value of field label"), (lambda paths: None, UsageError, "returned NoneType"), (3, UsageError, "is a int"),
    ],
    ids=["count", "field", "shape", "edited", "raises", "field missing", "nothing", "no function"],
)  # fmt: skip
def test_after_an_error_all_is_as_it_was(stale, function, error, what):
    """Whatever the function does, and no temporary file is left."""
    path, images = stale
    before, rows = bytes_below(path), facts(path)

    with pytest.raises(error, match=what):
        aeformat.update(path, images, function)

    now = bytes_below(path)
    assert {name: now[name] for name in before} == before and facts(path) == rows
    folder = path if path.is_dir() else path.parent
    assert not [each for each in folder.iterdir() if each.name.startswith(TEMP_PREFIX)]


def killed(path: Path, images: Path, when: str) -> None:
    """In a child process: an update that ends at a moment."""

    def end(*_arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    recording = Recording()

    def function(paths: list[Path]) -> aeformat.Encoded:
        if when == "half encoded" and len(recording.names) == 2:
            end()
        return recording(paths)

    if when == "all written" and path.is_dir():
        update_module.commit_replaced = end
    elif when != "half encoded":
        os.replace = end
    aeformat.update(path, images, function, batch_rows=1)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("when", ["half encoded", "first file written", "all written"])
def test_a_killed_update_leaves_the_old_whole(stale, when):
    """Half encoded, and with all new rows on disk; the next update does it all."""
    path, images = stale
    for image in (images / "below").iterdir():  # in every shard of a set
        draw(image, 200 + int(image.stem))
    before, rows = bytes_below(path), facts(path)
    child = multiprocessing.get_context("spawn").Process(target=killed, args=(path, images, when))
    child.start()
    child.join()

    assert child.exitcode == -signal.SIGKILL
    now = bytes_below(path)
    assert {name: now[name] for name in before} == before
    assert facts(path) == rows and aeformat.validate(path).problems == []
    done = aeformat.update(path, images, Recording(), prune=True)
    assert (done.encoded, done.checked.is_current) == (7, True)


def test_shards_that_are_committed_meanwhile_stay(tmp_path):
    """And of two updates of the same rows the second is refused, without a trace in the set."""
    paths = images_in(tmp_path)
    path = write_set(tmp_path, paths)
    draw(paths[0], 100)
    more = draw(tmp_path / "more.png", 300)

    def meanwhile(images: list[Path]) -> np.ndarray:
        writing = aeformat.create_set(path, dims=DIMS, encoding="f32le", fields=FIELDS)
        with writing.writer() as file:
            file.write(encode([more]), ["more.png"], sources=[more], caption=[None], label=[0])
        writing.commit()
        return encode(images)

    aeformat.update(path, tmp_path / "images", meanwhile)
    with aeformat.open(path) as latents:
        assert len(latents) == 13 and latents.index_of("more.png") == 12
        assert latents[0].tobytes() == encode(paths[:1])[0].tobytes()
    draw(paths[0], 101)

    def twice(images: list[Path]) -> np.ndarray:
        aeformat.update(path, tmp_path / "images", encode)
        return encode(images)

    with pytest.raises(UsageError, match="by another writer meanwhile; nothing was committed"):
        aeformat.update(path, tmp_path / "images", twice)
    manifest = parse_manifest((path / "manifest.aefset").read_bytes())
    assert (manifest.generation, manifest.n_rows) == (6, 13)


def test_what_cannot_be_updated_is_refused(tmp_path):
    """Receipts, another package, several rows of one image, a manifest of another name."""
    paths = images_in(tmp_path, 2)
    with aeformat.create(tmp_path / "two.aef", dims=DIMS, encoding="f32le") as file:
        for _ in range(2):
            file.append(encode(paths), ["00.png", "01.png"], sources=paths)
    draw(paths[0], 100)
    with pytest.raises(UsageError, match=r"2 rows are of the image 00\.png"):
        aeformat.update(tmp_path / "two.aef", tmp_path / "images", encode)
    with pytest.raises(UsageError, match="batch_rows is 0"):
        aeformat.update(tmp_path / "two.aef", tmp_path / "images", encode, batch_rows=0)

    aeformat.pack(demo_digits()[:3], tmp_path / "first.aef")
    aeformat.unpack(tmp_path / "first.aef", tmp_path / "digits")
    aeformat.pack(tmp_path / "digits", tmp_path / "proved.aef", receipts=True, sources=True)
    next((tmp_path / "digits").iterdir()).unlink()
    with pytest.raises(UsageError, match="has receipts"):
        aeformat.update(tmp_path / "proved.aef", tmp_path / "digits", encode, prune=True)
    with pytest.raises(UsageError, match="a package is among the two"):
        aeformat.update(tmp_path / "proved.aef", tmp_path / "digits", encode, decoder=OTHER)

    draw(tmp_path / "images" / "02.png", 5)
    (tmp_path / "set").mkdir()
    written = write_set(tmp_path, paths)
    (written / "manifest.aefset").rename(written / "other.aefset")
    with pytest.raises(UsageError, match=r"is not called manifest\.aefset"):
        aeformat.update(written / "other.aefset", tmp_path / "images", encode)


def test_the_command_updates(tmp_path, capsys, monkeypatch):
    """With a function of a module in the current folder; what it did is said."""
    path = write_file(tmp_path, images_in(tmp_path))
    make_stale(tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_encoder.py").write_text("import tests.staleness.test_update as t\nencode = t.Recording()\n")
    arguments = ["check", str(path), "--images", "images", "--update"]

    for name, what in (
        ("my_encoder", "MODULE:FUNCTION"),
        ("no_such:encode", "No module"),
        ("my_encoder:x", "has no x"),
    ):
        assert main([*arguments, name]) == 2
        assert what in capsys.readouterr().err
    assert main([*arguments[:-1], "--prune"]) == 2
    assert "give --update" in capsys.readouterr().err
    assert main([*arguments, "my_encoder:encode"]) == 1
    assert "3 encoded, 2 new, 11 kept, 1 renamed, 0 pruned" in capsys.readouterr().out
    assert main([*arguments, "my_encoder:encode", "--prune", "--json"]) == 0
    assert '"pruned": 1' in capsys.readouterr().out
