"""Image files and folders: which pixels come out, which files are refused, what the rows are called."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aeformat.cli.advice import describe
from aeformat.errors import AeformatError, ImageError, UsageError
from aeformat.images import ImageFit, open_source
from aeformat.images import file_names as names_module
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


def tiff(path: Path, image: np.ndarray, *, big_endian=False, planar=False, sample_format: int | None = None) -> Path:
    """An uncompressed TIFF of (h, w, c) unsigned numbers, built here: Pillow cannot write most of these."""
    order = ">" if big_endian else "<"
    height, width, channels = image.shape
    planes = [image[..., c] for c in range(channels)] if planar else [image]
    data = [np.ascontiguousarray(plane, image.dtype.newbyteorder(order)).tobytes() for plane in planes]
    bits = [8 * image.dtype.itemsize] * channels
    tags: dict[int, list[int]] = {256: [width], 257: [height], 258: bits, 259: [1], 262: [1 if channels == 1 else 2]}
    tags |= {
        273: [0] * len(data),
        277: [channels],
        278: [height],
        279: [len(d) for d in data],
        284: [2 if planar else 1],
    }
    tags |= {} if channels < 4 else {338: [2] * (channels - 3)}
    tags |= {} if sample_format is None else {339: [sample_format] * channels}
    extra_at = 10 + 12 * len(tags) + 4
    pixels_at = extra_at + sum(4 * len(values) for values in tags.values())
    tags[273] = [pixels_at + sum(map(len, data[:n])) for n in range(len(data))]
    entries, extra = b"", b""
    for tag, values in tags.items():
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            packed, extra = struct.pack(f"{order}I", extra_at + len(extra)), extra + packed
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + packed
    head = (b"MM\0*" if big_endian else b"II*\0") + struct.pack(f"{order}IH", 8, len(tags))
    path.write_bytes((head + entries + bytes(4) + extra).ljust(pixels_at, b"\0") + b"".join(data))
    return path


def bmp16(path: Path, image: np.ndarray, masks: tuple[int, int, int], *, size: int = 40) -> Path:
    """A BMP with 16 bits a pixel, built here; (h, w, 3) of numbers that fit the masks."""
    shifts = [(mask & -mask).bit_length() - 1 for mask in masks]
    words = sum(image[..., c].astype(np.uint16) << shifts[c] for c in range(3)).astype("<u2")
    rows = b"".join(row.tobytes().ljust(-(-row.nbytes // 4) * 4, b"\0") for row in words[::-1])
    height, width, _ = image.shape
    head = struct.pack("<IiiHHIIiiII", size, width, height, 1, 16, 3, len(rows), 0, 0, 0, 0) + struct.pack(
        "<3I", *masks
    )
    at = 14 + len(head)
    path.write_bytes(b"BM" + struct.pack("<IHHI", at + len(rows), 0, 0, at) + head + rows)
    return path


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
def test_a_tiff_is_read_rightly_or_refused(tmp_path, channels, planar, big_endian, dtype):
    """However its channels lie and whichever byte order it has: 8 bits come out as they are, more are refused."""
    image = (
        np.concatenate([RGB, np.full((4, 3, 1), 255, np.uint8)], -1)[..., :channels]
        if channels > 1
        else GREY[..., None]
    )
    deep = image.astype(dtype) * {"u1": 1, "u2": 257, "u4": 1 << 24, "f4": 1}[dtype]
    kinds = {"f4": 3}
    path = tiff(tmp_path / "a.tif", deep, big_endian=big_endian, planar=planar, sample_format=kinds.get(dtype))
    if dtype == "u1":
        np.testing.assert_array_equal(load(path, min(channels, 3)), image[..., :3])
        return
    with pytest.raises(ImageError, match=r"more than 8 bits|is no"):
        load(path, min(channels, 3))


@pytest.mark.parametrize("masks", [(0x7C00, 0x3E0, 0x1F), (0xF800, 0x7E0, 0x1F)], ids=["555", "565"])
def test_a_bmp_with_16_bits_a_pixel_is_read(tmp_path, masks):
    """It has fewer than 8 bits a channel: each level becomes the nearest of 0 to 255."""
    most = [mask >> ((mask & -mask).bit_length() - 1) for mask in masks]
    levels = np.stack([np.arange(12).reshape(4, 3) * most[c] // 11 for c in range(3)], -1)
    path = bmp16(tmp_path / "a.bmp", levels, masks)

    exact = levels * 255 / np.array(most)
    assert np.abs(load(path, 3) - exact).max() < 1


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


def test_a_grey_file_is_widened_for_a_colour_model_on_request(tmp_path):
    """It is repeated into three channels, which loses nothing, but is not what everybody wants."""
    path = save(tmp_path / "a.png", Image.fromarray(GREY))
    with pytest.raises(ImageError) as caught:
        load(path, 3)
    assert "add --rgb" in describe(caught.value)
    np.testing.assert_array_equal(load(path, 3, rgb=True), np.stack([GREY] * 3, -1))


def test_a_photo_is_turned_as_its_camera_says(tmp_path):
    """EXIF orientation is applied."""
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    path = save(tmp_path / "a.png", Image.fromarray(GREY), exif=exif)

    np.testing.assert_array_equal(load(path)[..., 0], GREY[::-1, ::-1])


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
    "16-bit.tif": (lambda p: tiff(p, RGB.astype(np.uint16) * 257), "more than 8 bits"),
    "16-bit-planes.tif": (lambda p: tiff(p, RGB.astype(np.uint16) * 257, planar=True), "more than 8 bits"),
    "signed.tif": (lambda p: tiff(p, GREY[..., None], sample_format=2), "signed"),
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


def test_every_suffix_that_pillow_reads_with_these_formats_is_an_images():
    """Nothing that could be read is left out for its name.  PFM is always floating-point."""
    Image.init()
    formats = {*files_module._FORMATS, "MPO"}
    assert {s for s, f in Image.EXTENSION.items() if f in formats} - {".pfm"} == names_module.IMAGE_SUFFIXES


def left_out(folder: Path) -> str:
    """What is said of a folder, after its name."""
    said = open_source([str(folder)], ImageFit((4, 3, 1))).left_out
    return "".join(said).removeprefix(f"{folder}: ")


def test_what_is_left_out_of_a_folder_is_counted_and_said(tmp_path):
    """By reason, with an example of each; and nothing is said where nothing was left out."""
    save(tmp_path / "a" / "x.png", Image.new("L", (3, 4)))
    assert left_out(tmp_path) == ""
    for name in ["b.tga", "a/c.TGA", "notes.txt", "README", ".DS_Store", ".git/x.png"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")

    assert left_out(tmp_path) == (
        "left out 6: 2 hidden (.DS_Store), 2 of kind .tga, which is not read here (a/c.TGA), 1 of kind .txt, which is not "
        "read here (notes.txt), 1 without a suffix (README)"
    )
    for number in range(20):
        (tmp_path / f"x.k{number}").touch()
    assert left_out(tmp_path).count("of kind") < 10 and "others" in left_out(tmp_path)


@LINKS
def test_what_is_no_file_is_left_out_by_name(tmp_path):
    """A pipe, a socket, a link to nothing, one to a device: at once, without opening them."""
    save(tmp_path / "a.png", Image.new("L", (3, 4)))
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "broken.png").symlink_to("nowhere")
    (tmp_path / "circle.png").symlink_to("circle.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "to-pipe.jpg").symlink_to("pipe.png")

    assert left_out(tmp_path) == (
        "left out 5: 2 link to nothing (broken.png), 2 named pipe (pipe.png), 1 device (zero.png)"
    )


@LINKS
def test_linked_folders_are_followed_and_circles_cut(tmp_path):
    """Under the link's name, as often as there are links; one that leads back up is said."""
    save(tmp_path / "real" / "cat" / "1.png", Image.new("L", (3, 4), 1))
    save(tmp_path / "in" / "own.png", Image.new("L", (3, 4), 2))
    (tmp_path / "in" / "cat").symlink_to("../real/cat")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "real")
    (tmp_path / "in" / "file.png").symlink_to("../real/cat/1.png")
    (tmp_path / "real" / "cat" / "up").symlink_to("..")
    (tmp_path / "in" / "self").symlink_to(".")

    source = open_source([str(tmp_path / "in")], ImageFit((4, 3, 1)))
    names = [name for block in source.blocks(100) for name in block.names]

    assert names == ["again/cat/1.png", "cat/1.png", "file.png", "own.png"]
    assert "link back to a folder that it is in" in left_out(tmp_path / "in")


NOT_EVERYWHERE = {  # name -> what is said of it
    b"a\\b.png": "1 whose name holds a backslash (a\\b.png)",
    b"bell\x07.png": r"1 whose name holds a control character (bell\x07.png)",
    b"two\nlines.png": r"1 whose name holds a control character (two\nlines.png)",
    b"latin\xe9.png": r"1 whose name is not valid Unicode (latin\udce9.png)",
    b"nul.png": "1 whose name is a device on Windows (nul.png)",
    b"end.png /a.png": "1 whose name has a part that ends in a space or a dot, which Windows drops (end.png /a.png)",
}


def save_as(tmp_path: Path, name: bytes) -> str:
    """An image with that name in the folder "in"; skips where there can be none."""
    save(tmp_path / "x.png", Image.new("L", (3, 4)))
    try:
        path = Path(os.fsdecode(bytes(tmp_path / "in") + b"/" + name))
        path.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x.png").rename(path)
    except OSError:
        pytest.skip("this file system does not take the name either")
    return str(path)


@LINKS
@pytest.mark.parametrize("name", NOT_EVERYWHERE)
def test_a_name_that_could_not_be_unpacked_is_left_out_of_a_folder(tmp_path, read, name):
    """What cannot be a file everywhere does not become a row's name; the others are packed."""
    save_as(tmp_path, name)
    with pytest.raises(ImageError, match="holds no image file") as caught:
        open_source([str(tmp_path / "in")], ImageFit((4, 3, 1)))
    assert NOT_EVERYWHERE[name] in str(caught.value) and str(caught.value).isprintable()

    save(tmp_path / "in" / "plain.png", Image.new("L", (3, 4)))
    assert left_out(tmp_path / "in") == f"left out 1: {NOT_EVERYWHERE[name]}"
    assert read(open_source([str(tmp_path / "in")], ImageFit((4, 3, 1))))[1] == ["plain.png"]


@LINKS
@pytest.mark.parametrize("name", [name for name in NOT_EVERYWHERE if b"/" not in name])
def test_a_name_that_could_not_be_unpacked_is_refused_where_it_is_given(tmp_path, name):
    """Nobody has asked for the others alone."""
    with pytest.raises(ImageError, match="row name") as caught:
        open_source([save_as(tmp_path, name)], ImageFit((4, 3, 1)))
    assert str(caught.value).isascii() and str(caught.value).isprintable()


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


def test_two_images_of_one_name_are_refused(tmp_path):
    """With the name, and the place of each; they have no second name."""

    def said(*inputs: str) -> str:
        with pytest.raises(UsageError, match="two images have one name, ") as caught:
            open_source(inputs, ImageFit((4, 3, 1)))
        return str(caught.value).removeprefix("two images have one name, ").replace(str(tmp_path), "T")

    one, two = png(tmp_path / "a/pics/0.png"), png(tmp_path / "b/pics/0.png")
    for folder in ("a", "b"):
        png(tmp_path / folder / "pics/1.png")
    (tmp_path / "c").mkdir()
    array = npy(tmp_path / "c/pics.npy", 2)
    numbered = png(tmp_path / "d/pics/00001.png")

    assert said(one, one) == "pics/0.png: T/a/pics/0.png is given twice; give it once"
    assert said(str(tmp_path / "a/pics"), str(tmp_path / "a/pics")) == said(one, one)
    apart = "pics/0.png: T/a/pics/0.png and T/b/pics/0.png; rename one, or give the folder above them"
    assert said(one, two) == said(str(tmp_path / "a/pics"), str(tmp_path / "b/pics")) == apart
    twice = said(array, numbered, numbered)
    assert twice.startswith("pics/00001.png: row 1 of T/c/pics.npy and T/d/pics/00001.png;")


@pytest.mark.parametrize("names", [("a.png", "a.bmp"), ("\u00e9.png", "e\u0301.png"), ("A.png", "a.png")])
def test_names_are_kept_whole_however_alike_they_are(tmp_path, read, names):
    """What a file system makes of them is seen when they are unpacked."""
    for name in names:
        save(tmp_path / "in" / name, Image.new("L", (3, 4)))
    if len(list((tmp_path / "in").iterdir())) < 2:
        pytest.skip("this file system takes the two names for one")
    assert read(open_source([str(tmp_path / "in")], ImageFit((4, 3, 1))))[1] == sorted(names)


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
