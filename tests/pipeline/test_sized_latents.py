"""Latents of many shapes from Python and the command line: created, read, converted, validated, described."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

import aeformat
from aeformat.cli.main import main
from aeformat.container.ragged import RaggedRows
from aeformat.errors import FormatError, UsageError
from aeformat.net.client.learned import Learned
from aeformat.net.client.options import Options
from aeformat.net.client.scan import scan_file
from aeformat.net.client.sending import decoder_to_send, needs_decoder_probe
from aeformat.pipeline.unpack import write_latents
from aeformat.reader import stream_latents

DECODER = bytes(range(32))
SHAPES = [(4, 8, 12), (4, 8, 12), (4, 12, 8), (4, 1, 1), (4, 9, 10)]
IMAGES = [(64, 96), (61, 90), (96, 64), (1, 7), (72, 80)]
ROWS = [np.random.default_rng(i).normal(size=shape).astype(np.float16) for i, shape in enumerate(SHAPES)]
NAMES = [f"{i}.png" for i in range(5)]


@pytest.fixture
def path(tmp_path):
    """A cache of latents in buckets of many shapes."""
    path = tmp_path / "cache.aef"
    with aeformat.create(path, **fields()) as file:
        file.append(ROWS[:2], NAMES[:2], images=IMAGES[:2])
        file.append(ROWS[2:], NAMES[2:], images=IMAGES[2:])
    assert (file.n_rows, file.header.dims, file.header.image) == (5, (4, 0, 0), (0, 0, 3))
    return path


def fields(**changes):
    return {"decoder": DECODER, "dims": (4, None, None), "image": (None, None, 3), "encoding": "f16le"} | changes


def same(rows) -> bool:
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(rows, ROWS, strict=True))


def test_rows_come_back_in_their_shapes(path):
    """By number, all at once, forward, with names and the sizes of images."""
    with aeformat.open(path) as latents:
        assert same([latents[i] for i in range(5)]) and same(latents[:])
        assert isinstance(latents[1:3], RaggedRows) and isinstance(latents[0:2], RaggedRows)
        assert latents[[4, 0]].image_sizes == [IMAGES[4], IMAGES[0]]
        assert latents.sizes().image(1) == (61, 90, 3)
        assert latents.names(3).names == ("3.png",)
    with aeformat.stream(path) as blocks:
        assert same([row for block in blocks for row in block.values])
    assert aeformat.validate(path).problems == []


def test_rows_of_one_shape_may_come_as_one_array(tmp_path):
    """They are stored as rows of their own size all the same."""
    rows = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    with aeformat.create(tmp_path / "a.aef", **fields(dims=(None, 4), image=(28, 28, 1), encoding="u8")) as file:
        file.append(rows)
        file.append(RaggedRows.of(file.header.form, list(rows)))

    with aeformat.open(tmp_path / "a.aef") as latents:
        assert np.array_equal(np.stack(latents[:]), np.concatenate([rows, rows]))
        assert (latents.header.form.n_free, latents.sizes().image(3)) == (1, (28, 28, 1))


@pytest.mark.parametrize(
    ("append", "what"),
    [
        (lambda file: file.append(ROWS), "sizes of their own"), (lambda file: file.append(ROWS, images=IMAGES[:3]), "3 images"),
        (lambda file: file.append([ROWS[0][:3]], images=IMAGES[:1]), "shape"),
        (lambda file: file.append([ROWS[0]], images=[(0, 5)]), "a size of 0"),
        (lambda file: file.append([ROWS[0]], images=[(5, 65_536)]), "65536"),
        (lambda file: file.append([ROWS[0][:, :0]], images=[(5, 5)]), "a size of 0"),
        (lambda file: file.append([], images=[]), "no rows"),
        (lambda file: file.append([ROWS[0].astype(np.float32)], images=IMAGES[:1]), "float32"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused_and_others_may_follow(tmp_path, append, what):
    """The file goes on as if they had not been tried."""
    with aeformat.create(tmp_path / "a.aef", **fields()) as file:
        with pytest.raises((ValueError, TypeError), match=what):
            append(file)
        file.append(ROWS, images=IMAGES)

    with aeformat.open(tmp_path / "a.aef") as latents:
        assert same(latents[:])


def test_images_of_one_size_are_not_given(tmp_path):
    """Whether sizes of latents are free or not."""
    for dims in ((4, None, None), (4, 8, 12)):
        with (
            pytest.raises(ValueError, match="size"),
            aeformat.create(tmp_path / "a.aef", **fields(dims=dims, image=(8, 8, 3))) as f,
        ):
            f.append(ROWS[:2], images=IMAGES[:2])


@pytest.mark.parametrize(
    ("changes", "error", "what"),
    [
        ({"dims": (4, 0, 0)}, UsageError, "None if each row"), ({"image": (0, 0, 3)}, UsageError, "None if each row"),
        ({"dims": (4, "x")}, UsageError, "list of integers, or None"), ({"image": (None, 5, 3)}, FormatError, "C3-17"),
        ({"dims": (4, 8, 8)}, FormatError, "C3-17"), ({"codec": "rans", "encoding": "u8"}, UsageError, "rans"),
        ({"image": (None, None, None)}, FormatError, "C3-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_free_is_refused(tmp_path, changes, error, what):
    """Before anything is written."""
    with pytest.raises(error, match=what):
        aeformat.create(tmp_path / "a.aef", **fields(**changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options", [["--encoding", "text19"], ["--encoding", "f64le", "--codec", "zstd"], ["--codec", "none"]]
)
def test_converting_keeps_rows_sizes_and_content_id(path, tmp_path, options):
    """And names."""
    out = tmp_path / "out.aef"

    assert main(["convert", str(path), str(out), *options]) == 0

    with aeformat.open(path) as before, aeformat.open(out) as after:
        assert same(after[:]) and after[:].image_sizes == IMAGES
        assert after.trailer.content_id == before.trailer.content_id
        assert [after.names(i).names for i in range(5)] == [(name,) for name in NAMES]


def test_what_takes_rows_of_one_size_says_so(path, tmp_path, capsys):
    """One array, codec rans: exit code 2, one line, nothing written."""
    for arguments in (["unpack", str(path), "--latents", "-o"], ["convert", "--codec", "rans", str(path)]):
        assert main([*arguments, str(tmp_path / "x.npy")]) == 2
        assert "size" in capsys.readouterr().err
    with path.open("rb") as file, pytest.raises(UsageError, match="sizes of their own"):
        write_latents(stream_latents(file), io.BytesIO(), None)
    assert [left.name for left in tmp_path.iterdir()] == ["cache.aef"]


def test_no_decoder_takes_them_yet(path, capsys):
    """A decoder with fixed sizes is no decoder for them: exit code 4 where it is missing."""
    assert main(["unpack", str(path), "-o", "-"]) == 4
    assert "decoder" in capsys.readouterr().err


def test_info_says_what_is_free(path, capsys):
    """0 as JSON, as the header has it."""
    assert main(["info", str(path)]) == 0
    text = capsys.readouterr().out
    assert "4, free, free" in text and "free, free, 3, u8" in text
    assert main(["info", str(path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["dims"], facts["image"], facts["rows"]) == ([4, 0, 0], [0, 0, 3, "u8"], 5)


def test_a_scan_before_sending_counts_the_pixels_of_all_rows(path, tmp_path):
    """What the images would take decides whether their decoder is sent."""
    with path.open("rb") as file:
        assert scan_file(file).image_bytes == 3 * sum(height * width for height, width in IMAGES)
    with aeformat.create(tmp_path / "b.aef", **fields(dims=(2,), image=(5, 6, 1), encoding="u8")) as file:
        file.append(np.zeros((7, 2), np.uint8))
    with (tmp_path / "b.aef").open("rb") as file:
        assert scan_file(file).image_bytes == 7 * 30


class TestUnknownDecoder:
    """Latents of a network that is no model of ours, or that nobody has named."""

    @pytest.fixture
    def nameless(self, tmp_path):
        path = tmp_path / "nameless.aef"
        with aeformat.create(path, dims=(4, None, None), encoding="f16le") as file:
            file.append(ROWS, NAMES)
        return path

    def test_rows_are_read(self, nameless):
        with aeformat.open(nameless) as latents:
            assert same(latents[:]) and (latents.header.decoder, latents.header.image) == (b"", ())
        assert aeformat.validate(nameless).problems == []

    def test_images_may_be_known(self, tmp_path):
        with aeformat.create(tmp_path / "a.aef", dims=(2,), image=(4, 4, 1), encoding="u8") as file:
            file.append(np.zeros((3, 2), np.uint8))
        with aeformat.open(tmp_path / "a.aef") as latents:
            assert (latents.header.image, latents[:].shape) == ((4, 4, 1), (3, 2))

    @pytest.mark.parametrize(
        "changes",
        [{"dims": None}, {"encoding": None}, {"image": (1, 2)}, {"codec": "rans"}, {"embed_decoder": True}],
        ids=str,
    )
    def test_what_nobody_says_is_missing(self, tmp_path, changes):
        with pytest.raises(UsageError):
            aeformat.create(tmp_path / "a.aef", **{"dims": (2,), "encoding": "u8"} | changes)
        assert not list(tmp_path.iterdir())

    def test_nothing_decodes_it(self, nameless, capsys):
        """Exit code 4, whoever's decoder is given."""
        for more in ([], ["--decoder", "models/mnist-exact.decoder.aef"], ["--registry", "http://127.0.0.1:9"]):
            assert main(["unpack", str(nameless), "-o", "-", *more]) == 4
            assert "does not say which decoder" in capsys.readouterr().err
        with pytest.raises(aeformat.DecoderMissing):
            aeformat.decode(nameless)
        with pytest.raises(aeformat.DecoderMissing):
            aeformat.decode(nameless, "mnist-exact")

    def test_info_says_that_nobody_knows(self, nameless, capsys):
        assert main(["info", str(nameless), "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["decoder"], facts["image"], facts["rows"]) == (None, None, 5)
        assert main(["info", str(nameless)]) == 0
        assert "4, free, free" in capsys.readouterr().out

    def test_it_converts_to_itself(self, nameless, tmp_path):
        assert main(["convert", str(nameless), str(tmp_path / "b.aef"), "--encoding", "text19"]) == 0
        with aeformat.open(nameless) as before, aeformat.open(tmp_path / "b.aef") as after:
            assert before.trailer.content_id == after.trailer.content_id

    def test_no_decoder_is_asked_for_or_sent(self, nameless):
        with nameless.open("rb") as file:
            scan = scan_file(file)
        assert scan.image_bytes == 0
        assert not needs_decoder_probe(scan, Options(policy="always"), Learned())
        assert decoder_to_send(scan, None, Options(policy="always"), b"a decoder", print, Learned()) is None
