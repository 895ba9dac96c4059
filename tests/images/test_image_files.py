"""Image files and folders: which pixels come out, which files are refused, what the rows are called."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aeformat.cli.advice import describe
from aeformat.errors import AeformatError, ImageError, UsageError
from aeformat.images import ImageFit, open_source
from aeformat.images import files as files_module

GREY = np.arange(12, dtype=np.uint8).reshape(4, 3) * 20
RGB = np.stack([GREY, GREY + 1, 255 - GREY], axis=-1)
LINKS = pytest.mark.skipif(os.name != "posix", reason="symbolic links and odd file names")


def save(path: Path, picture: Image.Image, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path


def load(path: Path, channels: int = 1, **options) -> np.ndarray:
    (block,) = open_source([str(path)], ImageFit((4, 3, channels), **options)).blocks(10)
    return block.images[0]


def palette(array: np.ndarray) -> Image.Image:
    return Image.fromarray(array).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)


EXACT = {  # file name, picture, how it is saved -> expected pixels
    "grey.png": (Image.fromarray(GREY), {}, GREY[..., None]),
    "grey.bmp": (Image.fromarray(GREY), {}, GREY[..., None]),
    "grey.tif": (Image.fromarray(GREY), {}, GREY[..., None]),
    "grey.pgm": (Image.fromarray(GREY), {}, GREY[..., None]),
    "grey.GIF": (Image.fromarray(GREY), {}, GREY[..., None]),
    "colour.png": (Image.fromarray(RGB), {}, RGB),
    "colour.ppm": (Image.fromarray(RGB), {}, RGB),
    "colour.webp": (Image.fromarray(RGB), {"lossless": True}, RGB),
    "one-bit.png": (Image.fromarray(GREY > 100), {}, np.where(GREY > 100, 255, 0)[..., None]),
    "palette.png": (palette(RGB), {}, RGB),
    "grey-palette.png": (palette(np.stack([GREY] * 3, -1)), {}, GREY[..., None]),
    "opaque.png": (Image.fromarray(RGB).convert("RGBA"), {}, RGB),
    "opaque-grey.png": (Image.fromarray(GREY).convert("LA"), {}, GREY[..., None]),
    "equal-channels.png": (Image.fromarray(np.stack([GREY] * 3, -1)), {}, np.stack([GREY] * 3, -1)),
}


@pytest.mark.parametrize("name", EXACT)
def test_pixels_arrive_without_loss(tmp_path, name):
    """Grey, RGB, 1-bit, palette and opaque alpha are the same picture as uint8."""
    picture, options, expected = EXACT[name]
    path = save(tmp_path / name, picture, **options)

    np.testing.assert_array_equal(load(path, expected.shape[2]), expected)


def test_a_grey_file_fits_a_colour_model(tmp_path):
    """It is repeated into three channels, which loses nothing."""
    path = save(tmp_path / "a.png", Image.fromarray(GREY))
    np.testing.assert_array_equal(load(path, 3), np.stack([GREY] * 3, -1))


def test_a_photo_is_turned_as_its_camera_says(tmp_path):
    """EXIF orientation is applied."""
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    path = save(tmp_path / "a.png", Image.fromarray(GREY), exif=exif)

    np.testing.assert_array_equal(load(path)[..., 0], GREY[::-1, ::-1])


def deep_tiff(path: Path) -> Path:
    """A 16-bit RGB TIFF, which Pillow reads as 8-bit without a word and cannot write."""
    tags = [(256, 3), (257, 4), (258, 16), (259, 1), (262, 2), (273, 200), (277, 3), (278, 4), (279, 72)]
    entries = b"".join(t.to_bytes(2, "little") + b"\3\0\1\0\0\0" + v.to_bytes(4, "little") for t, v in tags)
    data = b"II*\0\x08\0\0\0" + len(tags).to_bytes(2, "little") + entries + bytes(4)
    data = data.replace(b"\x02\x01\3\0\1\0\0\0\x10\0\0\0", b"\x02\x01\3\0\3\0\0\0\x96\0\0\0")  # three times 16
    path.write_bytes(data.ljust(150, b"\0") + b"\x10\0" * 3 + bytes(44) + bytes(72))
    return path


def frames(path: Path) -> Path:
    return save(path, Image.fromarray(GREY), save_all=True, append_images=[Image.fromarray(GREY[::-1])])


def half_transparent(path: Path) -> Path:
    picture = Image.fromarray(RGB).convert("RGBA")
    picture.putpixel((0, 0), (1, 2, 3, 254))
    return save(path, picture)


def cut(path: Path) -> Path:
    save(path, Image.fromarray(RGB))
    path.write_bytes(path.read_bytes()[:-30])
    return path


def text(path: Path) -> Path:
    path.write_text("this is no image")
    return path


def disguised(path: Path) -> Path:
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 3 4\n")
    return path


REFUSED = {  # file name -> how it is made, what is said
    "transparent.png": (half_transparent, "transparent"),
    "key-colour.png": (lambda p: save(p, Image.fromarray(GREY), transparency=20), "transparent"),
    "16-bit.png": (lambda p: save(p, Image.fromarray(GREY.astype(np.uint16) * 257)), "more than 8 bits"),
    "16-bit.tif": (deep_tiff, "more than 8 bits"),
    "float.tif": (lambda p: save(p, Image.fromarray(GREY.astype(np.float32))), "more than 8 bits"),
    "16-bit.ppm": (lambda p: (p.write_bytes(b"P6 3 4 65535\n" + bytes(72)), p)[1], "more than 8 bits"),
    "cmyk.jpg": (lambda p: save(p, Image.fromarray(RGB).convert("CMYK")), "CMYK"),
    "moving.gif": (frames, "2 frames"),
    "moving.png": (frames, "2 frames"),
    "pages.tif": (frames, "2 frames"),
    "cut.png": (cut, "no readable image"),
    "cut.bmp": (cut, "no readable image"),
    "text.png": (text, "no image"),
    "empty.jpg": (lambda p: (p.write_bytes(b""), p)[1], "no image"),
    "postscript.png": (disguised, "no image"),
    "colour.png": (lambda p: save(p, Image.fromarray(RGB)), "--grayscale"),
    "large.png": (lambda p: save(p, Image.new("L", (28, 28))), "--resize"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_lose_something_is_refused(tmp_path, name):
    """Alpha, 16 bits, CMYK, animations, damage: one line that names the file."""
    build, says = REFUSED[name]
    path = build(tmp_path / name)
    with pytest.raises(ImageError) as caught:
        load(path)

    assert says in describe(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limit", ["ours", "pillow's"])
def test_a_decompression_bomb_is_not_decoded(tmp_path, monkeypatch, limit):
    """Too many pixels are refused from the header alone."""
    path = save(tmp_path / "bomb.png", Image.new("L", (100, 100)))
    if limit == "ours":
        monkeypatch.setattr(files_module, "MAX_PIXELS", 9999)
    else:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(Image.Image, "convert", None)  # decoding would fail loudly
    with pytest.raises(ImageError, match=r"limit|exceeds"):
        load(path, resize=True)


def test_conversion_is_by_the_documented_filters(tmp_path):
    """--grayscale is Pillow's "L", --resize is LANCZOS to h x w, the aspect ratio not kept."""
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 20, 3), dtype=np.uint8))
    path = save(tmp_path / "a.png", large)
    expected = large.convert("L").resize((3, 4), Image.Resampling.LANCZOS)

    np.testing.assert_array_equal(load(path, resize=True, grayscale=True)[..., 0], np.asarray(expected))


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path, read):
    """Recursive, sorted, hidden files and everything that is no image left out; names are relative to the folder."""
    for shade, name in enumerate(["b.png", "a/z.jpg", "a/b/c.bmp", "a.tiff", "a/Y.PNG"]):
        save(tmp_path / "in" / name, Image.new("L", (3, 4), shade))
    for name in [".hidden.png", ".git/x.png", "notes.txt", "a/.b/x.png"]:
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"junk")

    source = open_source([str(tmp_path / "in")], ImageFit((4, 3, 1)))
    images, names = read(source)

    assert names == ["a.tiff", "a/Y.PNG", "a/b/c.bmp", "a/z.jpg", "b.png"]
    assert images[:, 0, 0, 0].tolist() == [3, 4, 2, 1, 0]
    assert source.n_rows == 5


@pytest.mark.parametrize("content", [[], ["notes.txt"], [".hidden.png"]])
def test_a_folder_without_an_image_is_refused(tmp_path, content):
    """An empty result would only be noticed much later."""
    for name in content:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ImageError, match="no image"):
        open_source([str(tmp_path)], ImageFit((4, 3, 1)))


@LINKS
def test_a_link_that_leads_nowhere_is_named(tmp_path):
    """And one to a folder is not followed: that could run in circles."""
    save(tmp_path / "a.png", Image.fromarray(GREY))
    (tmp_path / "loop").symlink_to(tmp_path)
    assert open_source([str(tmp_path)], ImageFit((4, 3, 1))).n_rows == 1

    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ImageError, match=r"b\.png"):
        list(open_source([str(tmp_path)], ImageFit((4, 3, 1))).blocks(5))


@LINKS
@pytest.mark.parametrize("name", [b"a\\b.png", b"bell\x07.png", b"latin\xe9.png", b"nul.png", b"end.png /a.png"])
def test_a_name_that_could_not_be_unpacked_is_refused_at_once(tmp_path, name):
    """What cannot be a file everywhere does not become a row's name."""
    save(tmp_path / "x.png", Image.fromarray(GREY))
    try:
        path = Path(os.fsdecode(bytes(tmp_path / "in") + b"/" + name))
        path.parent.mkdir(parents=True)
        (tmp_path / "x.png").rename(path)
    except OSError:
        pytest.skip("this file system does not take the name either")
    with pytest.raises(ImageError, match="row name") as caught:
        open_source([str(tmp_path / "in")], ImageFit((4, 3, 1)))

    assert str(caught.value).isascii()


def png(path: Path, shade: int = 0) -> str:
    return str(save(path, Image.new("L", (3, 4), shade)))


def npy(path: Path, n: int) -> str:
    np.save(path, np.zeros((n, 4, 3), np.uint8))
    return str(path)


MIXTURES = {  # -> names
    "one file": (lambda t: [png(t / "d/x.png")], ["x.png"]),
    "two files": (lambda t: [png(t / "d/y.png"), png(t / "d/x.png")], ["y.png", "x.png"]),
    "same name in two folders": (lambda t: [png(t / "d/x.png"), png(t / "e/x.png")], ["d/x.png", "e/x.png"]),
    "two folders": (lambda t: [png(t / "d/x.png")[:-6], png(t / "e/y.png")[:-6]], ["x.png", "y.png"]),
    "two folders alike": (lambda t: [png(t / "d/x.png")[:-6], png(t / "e/x.png")[:-6]], ["d/x.png", "e/x.png"]),
    "array first": (lambda t: [npy(t / "set.npy", 2), png(t / "x.png")], ["set/00000.png", "set/00001.png", "x.png"]),
    "arrays only": (lambda t: [npy(t / "a.npy", 2), npy(t / "b.npy", 3)], None),
}


@pytest.mark.parametrize("n_rows", [1, 2, 10])
@pytest.mark.parametrize("case", MIXTURES)
def test_names_are_all_or_nothing(tmp_path, read, case, n_rows):
    """Several inputs are one sequence; if any has names, every row gets one, and no two are the same."""
    build, expected = MIXTURES[case]
    images, names = read(open_source(build(tmp_path), ImageFit((4, 3, 1))), n_rows)

    assert names == expected
    assert expected is None or len(images) == len(expected)


def test_a_pipe_among_files_has_names_too(tmp_path, make, stdin, read):
    """Standard input has no name of its own."""
    stdin(make.npy(make.pictures(2)))
    _, names = read(open_source([png(tmp_path / "x.png"), "-"], ImageFit((4, 3, 1))))
    assert names == ["x.png", "stdin/00000.png", "stdin/00001.png"]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    """Not silently left out."""

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UsageError, match="Permission denied"):
        open_source([str(tmp_path)], ImageFit((4, 3, 1)))


def test_the_same_image_twice_is_refused(tmp_path):
    """There is no second name for it."""
    path = png(tmp_path / "x.png")
    with pytest.raises(UsageError, match=r"would come back as one file: .*/x\.png"):
        open_source([path, path], ImageFit((4, 3, 1)))


@pytest.mark.parametrize("names", [("a.png", "a.bmp"), ("\u00e9.png", "e\u0301.png"), ("A.png", "a.png")])
def test_images_that_would_come_back_as_one_file_are_refused_when_packed(tmp_path, names):
    """What unpacking to a folder would refuse is refused while the originals are still there."""
    for name in names:
        save(tmp_path / "in" / name, Image.new("L", (3, 4)))
    if len(list((tmp_path / "in").iterdir())) < 2:
        pytest.skip("this file system takes the two names for one")
    with pytest.raises(UsageError, match="come back as one file"):
        open_source([str(tmp_path / "in")], ImageFit((4, 3, 1)))


def test_an_empty_input_is_not_the_current_folder(tmp_path, monkeypatch):
    """An unset shell variable must not pack whatever lies around."""
    png(tmp_path / "x.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no name"):
        open_source([""], ImageFit((4, 3, 1)))


@pytest.mark.parametrize("what", ["image", "resize", "folder"])
def test_without_pillow_the_message_says_what_to_install(tmp_path, monkeypatch, what):
    """Arrays work without Pillow; the rest says how to get it."""
    image, array = png(tmp_path / "d/x.png"), npy(tmp_path / "a.npy", 2)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert open_source([array], ImageFit((4, 3, 1))).n_rows == 2
    inputs = {"image": image, "resize": array, "folder": str(tmp_path / "d")}
    with pytest.raises(UsageError, match=r'pip install "aeformat\[images\]"'):
        open_source([inputs[what]], ImageFit((4, 3, 1), resize=what == "resize"))


def test_pillow_is_not_imported_for_nothing():
    """`import aeformat.images` is for arrays too, and Pillow takes time."""
    code = "import sys, aeformat.images; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tif", "ppm"])
def test_damage_anywhere_is_an_image_error(tmp_path, suffix):
    """300 damaged copies of a file of each kind: each is read or refused, and nothing else happens."""
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()))
    whole, dice = buffer.getvalue(), np.random.default_rng(1)
    path = tmp_path / f"a.{suffix}"
    n_refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for at in dice.integers(0, len(data), 3):
            data[at] = dice.choice([0, 1, 127, 255])
        path.write_bytes(data[: dice.integers(len(data) // 2, 2 * len(data))])
        try:
            load(path, 3, resize=True)
        except AeformatError:
            n_refused += 1
    assert n_refused > 10
