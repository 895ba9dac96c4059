"""Photographs of any size: blocks of one size, orientation, colour profiles, transparency."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from aeformat.cli.advice import describe
from aeformat.errors import ImageError, UsageError
from aeformat.images import ImageFit, open_source
from aeformat.images import colours as colours_module
from aeformat.images import files as files_module
from aeformat.images import source as source_module
from aeformat.images.colours import named_colour

ANY = ImageFit((0, 0, 3))
RGB = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
GREY = np.arange(20, dtype=np.uint8).reshape(5, 4) * 12
WHITE = (255, 255, 255)


def save(path: Path, picture: Image.Image | np.ndarray, **options: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    (Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).save(path, **options)
    return str(path)


def load(path: str, fit: ImageFit = ANY) -> np.ndarray:
    (block,) = open_source([path], fit).blocks(10)
    return block.images[0]


def refusal(path: str, fit: ImageFit = ANY) -> str:
    """The one line that is said."""
    with pytest.raises(ImageError) as caught:
        load(path, fit)
    line = describe(caught.value)
    assert path in line and "\n" not in line
    return line


def photo(i: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)


SIZES = [(5, 7), (5, 7), (5, 7), (9, 2), (5, 7), (1, 1)]


def test_blocks_hold_images_of_one_size_in_order(tmp_path):
    """At most so many as were asked for, with their names."""
    photos = [photo(i, *size) for i, size in enumerate(SIZES)]
    for i, image in enumerate(photos):
        save(tmp_path / "in" / f"{i}.png", image)

    blocks = list(open_source([str(tmp_path / "in")], ANY).blocks(2))

    assert [block.images.shape for block in blocks] == [
        (2, 5, 7, 3), (1, 5, 7, 3), (1, 9, 2, 3), (1, 5, 7, 3), (1, 1, 1, 3)
    ]  # fmt: skip
    for image, expected in zip([image for block in blocks for image in block.images], photos, strict=True):
        np.testing.assert_array_equal(image, expected)
    assert [name for block in blocks for name in block.names] == [f"{i}.png" for i in range(6)]


def test_a_folder_and_an_array_go_together(tmp_path):
    """Rows of the array are named after its file."""
    save(tmp_path / "in" / "a.png", photo(0, 5, 7))
    np.save(tmp_path / "more.npy", np.stack([photo(1, 5, 7), photo(2, 5, 7)]))

    source = open_source([str(tmp_path / "in"), str(tmp_path / "more.npy")], ANY)
    (block,) = source.blocks(10)

    assert block.images.shape == (3, 5, 7, 3) and source.n_rows == 3
    assert block.names == ["a.png", "more/00000.png", "more/00001.png"]


def test_large_photographs_come_one_at_a_time(tmp_path, monkeypatch):
    """However many are asked for: what is in memory is one of them, or two while the next is read."""
    monkeypatch.setattr(source_module, "_JOINED_BYTES", 100_000)
    for i in range(8):
        save(tmp_path / f"{i}.png", photo(0, 200, 250), compress_level=0)
    source = open_source([str(tmp_path)], ANY)
    next(iter(source.blocks(8)))  # what is imported on first use
    tracemalloc.start()
    shapes = [block.images.shape for block in source.blocks(8)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert shapes == [(1, 200, 250, 3)] * 8
    assert peak < 5 * 150_000  # in NumPy and in the bytes that Pillow hands over


@pytest.mark.parametrize("shape", [(3, 5, 7, 3), (5, 7, 3)], ids=str)
def test_arrays_of_any_size_fit(tmp_path, shape):
    """Several images, or one."""
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)

    (block,) = open_source([str(tmp_path / "a.npy")], ANY).blocks(10)

    np.testing.assert_array_equal(block.images, array.reshape(-1, 5, 7, 3))


def test_grey_arrays_are_widened_on_request(tmp_path):
    np.save(tmp_path / "a.npy", np.stack([GREY, GREY[::-1]]).swapaxes(1, 2))
    with pytest.raises(ImageError) as caught:
        open_source([str(tmp_path / "a.npy")], ANY)
    assert "--rgb" in describe(caught.value) and "any size x3" in describe(caught.value)

    (block,) = open_source([str(tmp_path / "a.npy")], ImageFit((0, 0, 3), rgb=True)).blocks(10)

    assert block.images.shape == (2, 4, 5, 3)
    np.testing.assert_array_equal(block.images[0], np.stack([GREY.T] * 3, -1))


def test_an_archive_with_an_array_for_each_image_is_read(tmp_path):
    """As `unpack -o x.npz` writes it: the names of the arrays are those of the rows; any order of axes in memory."""
    np.savez(tmp_path / "x.npz", **{"a/one.png": photo(0, 5, 7), "b": np.asfortranarray(photo(1, 9, 2)), "c": GREY})
    source = open_source([str(tmp_path / "x.npz")], ImageFit((0, 0, 3), rgb=True))

    blocks = list(source.blocks(10))

    assert [name for block in blocks for name in block.names] == ["a/one.png", "b", "c"]
    expected = [photo(0, 5, 7), photo(1, 9, 2), np.stack([GREY] * 3, -1)]
    for block, image in zip(blocks, expected, strict=True):
        np.testing.assert_array_equal(block.images[0], image)


@pytest.mark.parametrize(("extra", "says"), [(np.zeros(3, np.uint8), "one image"), (np.zeros((4, 5, 3)), "uint8")])
def test_an_archive_that_holds_something_else_too_is_refused(tmp_path, extra, says):
    np.savez(tmp_path / "x.npz", a=photo(0, 5, 7), labels=extra)
    with pytest.raises(ImageError, match=says) as caught:
        open_source([str(tmp_path / "x.npz")], ANY)
    assert "x.npz:labels" in str(caught.value)
    (block,) = open_source([f"{tmp_path / 'x.npz'}:a"], ANY).blocks(1)
    assert block.images.shape == (1, 5, 7, 3)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"resize": True}, "any size"), ({"grayscale": True}, "takes 3"), ({"shape": (0, 0, 1), "rgb": True}, "takes 1")],
    ids=str,
)
def test_options_that_contradict_the_model_are_refused(tmp_path, options, says):
    with pytest.raises(UsageError, match=says):
        open_source([save(tmp_path / "a.png", RGB)], ImageFit(**({"shape": (0, 0, 3)} | options)))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_are_applied(tmp_path, suffix, orientation):
    """As EXIF defines them: which edge of the stored image is the top and which the left one."""
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    stored = np.zeros((48, 64, 3), np.uint8)  # each corner has its colour
    stored[:24, :32], stored[:24, 32:], stored[24:, :32] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    kept = {"png": {}, "tiff": {}, "webp": {"lossless": True}}.get(suffix, {"quality": 100})
    path = save(tmp_path / f"a.{suffix}", stored, exif=exif, **kept)

    upright = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1], 5: stored.swapaxes(0, 1),
        6: np.rot90(stored, -1), 7: stored[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(stored),
    }[orientation]  # fmt: skip
    found = load(path)
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright)[4:20, 4:20].max() < 40  # lossy kinds: inside a corner


def profile_of(kind: str) -> bytes:
    """sRGB; the same with red and blue exchanged, which Pillow cannot make itself: the tags change places; or damage."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    if kind == "exchanged":
        red, blue = data.index(b"rXYZ"), data.index(b"bXYZ")
        data[red : red + 4], data[blue : blue + 4] = b"bXYZ", b"rXYZ"
    if kind == "grey":  # a space that is none of RGB's
        data[16:20] = b"GRAY"
    return bytes(data[:100] if kind == "cut" else data)


def test_a_profile_of_srgb_changes_nothing(tmp_path):
    """Not even by the rounding of a conversion."""
    for picture in (RGB, GREY):
        path = save(tmp_path / "a.png", picture, icc_profile=profile_of("sRGB"))
        np.testing.assert_array_equal(
            load(path, ImageFit((0, 0, 3), rgb=True)).T, np.broadcast_to(picture.T, (3, 4, 5))
        )


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_another_profile_is_converted_to_srgb(tmp_path, suffix):
    """Here one whose red is blue."""
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[...] = (200, 100, 30)
    kept = {"png": {}, "tiff": {}, "webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}[suffix]
    path = save(tmp_path / f"a.{suffix}", picture, icc_profile=profile_of("exchanged"), **kept)

    found = load(path)

    assert np.abs(found.astype(int) - picture[..., ::-1]).max() <= 3


def test_transparency_stays_what_it_is_beside_a_profile(tmp_path):
    rgba = np.zeros((5, 4, 4), np.uint8)
    rgba[:, :2] = (200, 100, 30, 255)
    path = save(tmp_path / "a.png", rgba, icc_profile=profile_of("exchanged"))

    found = load(path, ImageFit((0, 0, 3), background=(1, 2, 3)))

    assert np.abs(found[:, :2].astype(int) - (30, 100, 200)).max() <= 1
    assert (found[:, 2:] == (1, 2, 3)).all()


@pytest.mark.parametrize(("kind", "picture"), [("cut", RGB), ("grey", RGB), ("cut", GREY)])
def test_a_profile_that_cannot_be_applied_is_refused(tmp_path, kind, picture):
    """The colours are not known then."""
    path = save(tmp_path / "a.png", picture, icc_profile=profile_of(kind))
    assert "colour profile cannot be applied" in refusal(path, ImageFit((0, 0, 3), rgb=True))


def test_without_littlecms_a_profile_is_refused(tmp_path, monkeypatch):
    colours_module._change_of.cache_clear()
    monkeypatch.setattr(features, "check", lambda name: False)
    path = save(tmp_path / "a.png", RGB, icc_profile=profile_of("sRGB"))
    assert "LittleCMS" in refusal(path)
    colours_module._change_of.cache_clear()


def test_transparent_pixels_are_refused_or_flattened(tmp_path):
    """On a named colour, in proportion."""
    rgba = np.zeros((5, 4, 4), np.uint8)
    rgba[..., :3], rgba[..., 3] = RGB, np.array([0, 51, 102, 255])
    path = save(tmp_path / "a.png", rgba)
    assert "--background" in refusal(path)

    share = rgba[..., 3:] / 255
    for colour in ("white", "#102030"):
        background = named_colour(colour)
        found = load(path, ImageFit((0, 0, 3), background=background))
        assert np.abs(found - (RGB * share + np.array(background) * (1 - share))).max() <= 1
    opaque = save(tmp_path / "b.png", np.dstack([RGB, np.full_like(GREY, 255)]))
    np.testing.assert_array_equal(load(opaque), RGB)


def test_grey_on_a_grey_background_stays_grey(tmp_path):
    path = save(tmp_path / "a.png", np.dstack([GREY, np.full_like(GREY, 128)]))
    assert load(path, ImageFit((0, 0, 1), background=WHITE)).shape == (5, 4, 1)
    assert "--grayscale" in refusal(path, ImageFit((0, 0, 1), background=(255, 0, 0)))


def test_a_colour_that_is_none_is_refused():
    for text in ("", "whitish", "#ff", "#11223344"):
        with pytest.raises(UsageError, match=r"colour|transparency"):
            named_colour(text)
    assert named_colour("rgb(1, 2, 3)") == (1, 2, 3)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_is_read(tmp_path):
    picture = np.full((16, 16, 3), (30, 140, 220), np.uint8)
    assert np.abs(load(save(tmp_path / "a.avif", picture, quality=95)).astype(int) - picture).max() < 8


def test_what_this_pillow_does_not_read_is_no_image(tmp_path, monkeypatch):
    """AVIF came with Pillow 11.3."""
    monkeypatch.setattr(files_module, "find_spec", lambda name: None)
    (tmp_path / "a.avif").write_bytes(b"\0\0\0\x1cftypavif" + bytes(100))
    line = refusal(os.fspath(tmp_path / "a.avif"))
    assert "no image of a kind that is read here" in line and "AVIF" not in line


def test_a_side_that_no_file_of_latents_can_state_is_refused(tmp_path):
    path = save(tmp_path / "a.png", Image.new("RGB", (65_536, 1)))
    assert "65,535" in refusal(path)
