"""IDX, .npy, .npz and standard input: the same images out, or one line that says what is wrong."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest

from aeformat.cli.advice import describe
from aeformat.errors import AeformatError, ImageError, UsageError
from aeformat.images import ImageFit, open_source

FIT = ImageFit((4, 3, 1))
FEEDS = {"whole": 1 << 30, "bytes": 1, "sevens": 7}


def npz(save=np.savez_compressed, /, **arrays) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    length = 2 if version == b"\x01\x00" else 4
    return b"\x93NUMPY" + version + len(text).to_bytes(length, "little") + text.encode("latin-1")


GOOD = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4, 3), }"


SAVE = {  # every way to write (n, h, w, c) of one channel
    "a.npy": lambda make, x: make.npy(x[..., 0]),
    "four-axes.npy": lambda make, x: make.npy(x),
    "flat.npy": lambda make, x: make.npy(x.reshape(len(x), -1)),
    "fortran.npy": lambda make, x: make.npy(np.asfortranarray(x[..., 0])),
    "a.npz": lambda make, x: npz(images=x, labels=np.arange(len(x))),
    "only.npz": lambda make, x: npz(whatever=x[..., 0]),
    "keras.npz": lambda make, x: npz(y_train=np.arange(7), x_test=x[..., 0], y_test=np.arange(7, dtype=np.uint8)),
    "fortran.npz": lambda make, x: npz(images=np.asfortranarray(x[..., 0])),
    "stored.npz": lambda make, x: npz(np.savez, images=np.asfortranarray(x)),
    "python2.npy": lambda make, x: header(GOOD.replace("(2, 4, 3)", "(7L, 4L, 3L)")) + x.tobytes(),
    "version-3.npy": lambda make, x: header(GOOD.replace("(2, 4, 3)", "(7, 4, 3)"), b"\x03\x00") + x.tobytes(),
    "reordered.npy": lambda make, x: header("{'shape':(7,4,3),'descr':'>u1','fortran_order':False}") + x.tobytes(),
    "no-suffix-npy": lambda make, x: make.npy(x),
    "t10k-images-idx3-ubyte": lambda make, x: make.idx(x[..., 0]),
    "t10k-images-idx3-ubyte.gz": lambda make, x: gzip.compress(make.idx(x[..., 0])),
    "SUFFIX.NPY": lambda make, x: make.npy(x),
    "rank4.idx": lambda make, x: make.idx(x),
    "no-suffix": lambda make, x: make.idx(x[..., 0]),
}


@pytest.mark.parametrize("n_rows", [1, 2, 5, 7, 100])
@pytest.mark.parametrize("name", SAVE)
def test_every_kind_of_array_is_read(tmp_path, make, read, name, n_rows):
    """The images come out as they went in, in blocks of the size asked for, as often as one asks."""
    expected = make.pictures(7)
    (tmp_path / name).write_bytes(SAVE[name](make, expected))
    source = open_source([str(tmp_path / name)], FIT)

    for _ in range(2):
        images, names = read(source, n_rows)
        np.testing.assert_array_equal(images, expected)
        assert names is None
    assert (source.n_rows, source.label) == (7, str(tmp_path / name))


@pytest.mark.parametrize("step", FEEDS.values(), ids=FEEDS)
def test_standard_input_is_read_forward(make, stdin, read, step):
    """`-` takes an .npy stream, however it arrives."""
    expected = make.pictures(5)
    stdin(make.npy(expected), step)

    images, _ = read(open_source(["-"], FIT))

    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize(("shape", "channels"), [((4, 3), 1), ((4, 3, 1), 1), ((4, 3, 3), 3), ((2, 4, 3, 3), 3)])
@pytest.mark.parametrize("feed", ["file", "stdin"])
def test_shapes_that_mean_one_thing_only(tmp_path, make, stdin, read, shape, channels, feed):
    """A single image needs no axis in front."""
    array = make.pictures(1, 1, 1, int(np.prod(shape))).reshape(shape)
    path = tmp_path / "a.npy"
    path.write_bytes(make.npy(array))
    stdin(make.npy(array))

    images, _ = read(open_source(["-" if feed == "stdin" else str(path)], ImageFit((4, 3, channels))))

    np.testing.assert_array_equal(images, array.reshape(-1, 4, 3, channels))


X = np.zeros((2, 4, 3), np.uint8)
MISFITS = {  # what the array is, the model's shape, what the message must say
    "float": (X.astype(np.float32), (4, 3, 1), ["float32", "uint8", "(x * 255).round()"]),
    "bool": (X.astype(bool), (4, 3, 1), ["bool", "uint8"]),
    "int64": (X.astype(np.int64), (4, 3, 1), ["int64", "uint8"]),
    "big-endian": (X.astype(">u2"), (4, 3, 1), ["uint8"]),
    "structured": (np.zeros(2, "u1,u1"), (4, 3, 1), ["uint8"]),
    "size": (X, (28, 28, 1), ["4x3x1", "28x28x1", "--resize"]),
    "colour": (np.zeros((2, 4, 3, 3), np.uint8), (4, 3, 1), ["4x3x3", "4x3x1", "--grayscale"]),
    "both": (np.zeros((2, 5, 5, 3), np.uint8), (4, 3, 1), ["--resize --grayscale"]),
    "grey": (X, (4, 3, 3), ["4x3x1", "4x3x3", "--rgb"]),
    "alpha": (np.zeros((2, 4, 3, 4), np.uint8), (4, 3, 3), ["4x3x4", "4x3x3"]),
    "flat": (np.zeros((2, 13), np.uint8), (4, 3, 1), ["(2, 13)", "(n, 4, 3)"]),
    "one axis": (np.zeros(12, np.uint8), (4, 3, 1), ["(12,)"]),
    "five axes": (np.zeros((1, 1, 4, 3, 1), np.uint8), (4, 3, 1), ["(1, 1, 4, 3, 1)"]),
    "no axis": (np.uint8(3), (4, 3, 1), ["()"]),
    "empty": (X[:0], (4, 3, 1), ["no image"]),
    "no width": (np.zeros((2, 4, 0), np.uint8), (4, 3, 1), ["4x0x1"]),
}


@pytest.mark.parametrize("feed", ["file", "stdin"])
@pytest.mark.parametrize("case", MISFITS)
def test_a_misfit_names_what_was_found_and_what_was_expected(tmp_path, make, stdin, case, feed):
    """One line: what the array is, what the model takes, and the option that would help, if one would."""
    array, shape, says = MISFITS[case]
    data = make.npy(np.asarray(array))
    (tmp_path / "a.npy").write_bytes(data)
    stdin(data)
    with pytest.raises(ImageError) as caught:
        open_source(["-" if feed == "stdin" else str(tmp_path / "a.npy")], ImageFit(shape))

    message = describe(caught.value)
    assert all(part in message for part in says)
    assert ("standard input" if feed == "stdin" else "a.npy") in message
    assert "\n" not in message
    assert ("--" in message) == any("--" in part for part in says)


BAD_FILES = {  # name, bytes
    "empty.npy": b"",
    "magic.npy": b"\x93NUMP",
    "version.npy": header(GOOD, b"\x09\x00"),
    "long-in-name.npy": header(GOOD.replace("|u1", "8Lu")) + bytes(24),
    "pickle.npy": pickle.dumps([1, 2]),
    "object.npy": header(GOOD.replace("|u1", "|O")) + bytes(24),
    "short.npy": header(GOOD) + bytes(23),
    "long.npy": header(GOOD) + bytes(25),
    "no-header.npy": header(GOOD)[:40],
    "not-python.npy": header("{'descr': ") + bytes(24),
    "deep.npy": header("(" * 9000) + bytes(24),
    "huge-header.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + GOOD.encode(),
    "code.npy": header(GOOD.replace("False", "__import__('os')")) + bytes(24),
    "extra-key.npy": header(GOOD.replace("}", "'x': 1}")) + bytes(24),
    "negative.npy": header(GOOD.replace("2,", "-2,")) + bytes(24),
    "bool-shape.npy": header(GOOD.replace("2,", "True,")) + bytes(12),
    "huge.npy": header(GOOD.replace("2,", f"{2**62},")) + bytes(24),
    "no-type.npy": header(GOOD.replace("|u1", "|zz")) + bytes(24),
    "renamed-npz.npy": npz(images=X),
    "a.npz": b"PK\x03\x04 nothing more",
    "text.npz": b"hello",
    "none.npz": npz(),
    "which.npz": npz(a=X, b=X),
    "both.npz": npz(images=X, x=X),
    "float.npz": npz(images=X.astype(float)),
    "short-fortran.npy": header(GOOD.replace("False", "True")) + bytes(23),
    "labels-idx1-ubyte": b"\0\0\x08\x01\0\0\0\x02\1\2",
    "short-idx3-ubyte": b"\0\0\x08\x03\0\0\0\x02\0\0\0\x04\0\0\0\x03" + bytes(23),
    "long-idx3-ubyte": b"\0\0\x08\x03\0\0\0\x02\0\0\0\x04\0\0\0\x03" + bytes(25),
    "float.idx": b"\0\0\x0d\x03\0\0\0\x02\0\0\0\x04\0\0\0\x03" + bytes(96),
    "header.idx": b"\0\0\x08\x03\0\0\0\x02\0\0",
    "magic.idx": b"\0\0",
    "huge.idx": b"\0\0\x08\x03" + b"\xff" * 12,
    "huge.idx.gz": gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12),
    "cut.idx.gz": gzip.compress(b"\0\0\x08\x03\0\0\0\x02\0\0\0\x04\0\0\0\x03" + bytes(range(24)))[:-10],
    "short.idx.gz": gzip.compress(b"\0\0\x08\x03\0\0\0\x02\0\0\0\x04\0\0\0\x03" + bytes(23)),
    "long.idx.gz": gzip.compress(b"\0\0\x08\x03\0\0\0\x02\0\0\0\x04\0\0\0\x03" + bytes(25)),
    "not.idx.gz": gzip.compress(b"hello, world"),
    "junk.gz": b"\x1f\x8b" + bytes(20),
    "unknown.xyz": b"what is this",
    "empty": b"",
}


def flipped_npz() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # stored, so that the flip reaches the pixels
        archive.writestr("images.npy", header(GOOD) + bytes(24))
    data = bytearray(buffer.getvalue())
    data[data.index(GOOD.encode()) + len(GOOD) + 5] ^= 1
    return bytes(data)


def encrypted_npz() -> bytes:
    data = bytearray(npz(images=X))
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + flags] |= 1
    return bytes(data)


BAD_FILES |= {"flipped.npz": flipped_npz(), "encrypted.npz": encrypted_npz()}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, name):
    """Truncated, too long, lying about its size, not what it says it is: ImageError, naming the file."""
    path = tmp_path / name
    path.write_bytes(BAD_FILES[name])
    with pytest.raises(ImageError) as caught:
        list(open_source([str(path)], FIT).blocks(10))

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("step", FEEDS.values(), ids=FEEDS)
@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"x", lambda d: d + d, lambda d: d[:50]])
def test_a_stream_must_be_one_array_and_nothing_else(make, stdin, step, change):
    """Cut short, or followed by anything: refused, however it arrives."""
    stdin(change(make.npy(make.pictures(5))), step)
    with pytest.raises(ImageError, match="standard input"):
        list(open_source(["-"], FIT).blocks(2))


ARCHIVES = {  # what an archive holds -> what is said
    "two sets": ({"x_train": X, "x_test": X, "y_test": np.arange(2)}, ["x_train, x_test", "a.npz:x_train"]),
    "our name and another": ({"images": X, "masks": X}, ["images, masks", "a.npz:images"]),
    "nothing that fits": ({"cats": X.astype(float), "dogs": X[:, :3]}, ["cats, dogs", "none fits", "a.npz:cats"]),
    "many": ({f"a{n}": X for n in range(40)}, ["a0, a1", "30 more", "a.npz:a0"]),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_where_several_arrays_could_be_meant_none_is_taken(tmp_path, case):
    """The message lists what there is, and how one is named."""
    arrays, says = ARCHIVES[case]
    (tmp_path / "a.npz").write_bytes(npz(**arrays))
    with pytest.raises(ImageError) as caught:
        open_source([str(tmp_path / "a.npz")], FIT)

    assert all(part in str(caught.value) for part in says)


@pytest.mark.parametrize("key", ["x_train", "x_train.npy", "odd name:é/1", "0"])
def test_an_array_of_an_archive_can_be_named(tmp_path, make, read, key):
    """FILE.npz:ARRAY, whatever the array is called."""
    expected = make.pictures(3)
    arrays = {key.removesuffix(".npy"): expected[..., 0], "other": expected[:2]}
    with zipfile.ZipFile(tmp_path / "a.NPZ", "w") as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", make.npy(array))

    images, _ = read(open_source([f"{tmp_path}/a.NPZ:{key}"], FIT))
    np.testing.assert_array_equal(images, expected)

    with pytest.raises(ImageError, match="there is no 'z'"):
        open_source([f"{tmp_path}/a.NPZ:z"], FIT)
    (tmp_path / f"a.NPZ:{key}").mkdir(parents=True)  # a file with just that name comes first
    with pytest.raises(ImageError, match="no image file"):
        open_source([f"{tmp_path}/a.NPZ:{key}"], FIT)


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_a_named_pipe_is_read_as_standard_input_is(tmp_path, make, read):
    """Forward, once: .npy."""
    expected = make.pictures(3)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(make.npy(expected),))
    writer.start()
    images, _ = read(open_source([str(pipe)], FIT))
    writer.join()

    np.testing.assert_array_equal(images, expected)


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
@pytest.mark.parametrize("name", ["a.png", "b.TIF", "c.npz"])
def test_a_pipe_that_cannot_be_npy_is_refused_at_once(tmp_path, name):
    """Though nobody writes to it."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match=r"only \.npy"):
        open_source([str(tmp_path / name)], FIT)


@pytest.mark.parametrize("order", ["C", "F"])
def test_standard_input_may_be_in_either_order(make, stdin, read, order):
    """As a file may."""
    expected = make.pictures(5)
    stdin(make.npy(np.array(expected, order=order)), 7)
    images, _ = read(open_source(["-"], FIT))
    np.testing.assert_array_equal(images, expected)


def test_every_cut_of_an_idx_file_is_refused(tmp_path, make):
    """Plain or gzipped, no byte can be missing."""
    whole = make.idx(make.pictures(3)[..., 0])
    for data in (whole, gzip.compress(whole)):
        for end in range(len(data)):
            path = tmp_path / "cut.idx"
            path.write_bytes(data[:end])
            with pytest.raises(ImageError):
                list(open_source([str(path)], FIT).blocks(2))


def test_a_lying_header_costs_no_memory(tmp_path):
    """A gzipped header that claims 2^32 images of 9000 x 9000, with --resize: refused before anything is allocated."""
    claim = b"\0\0\x08\x03\xff\xff\xff\xff" + (9000).to_bytes(4, "big") * 2
    (tmp_path / "a.idx.gz").write_bytes(gzip.compress(claim + bytes(1000)))
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="ends after 0 of 4294967295"):
            list(open_source([str(tmp_path / "a.idx.gz")], ImageFit((4, 3, 1), resize=True)).blocks(4096))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.npy", "fortran.npy", "a.npz", "a.idx"])
def test_a_large_file_is_read_in_constant_memory(tmp_path, make, name):
    """32 MiB of images, blocks of 64 KiB: a few blocks are in memory, never the file."""
    array = np.zeros((512, 256, 256), np.uint8)
    save = {
        "a.npy": lambda: make.npy(array),
        "fortran.npy": lambda: make.npy(np.asfortranarray(array)),
        "a.npz": lambda: npz(images=array),
        "a.idx": lambda: make.idx(array),
    }
    (tmp_path / name).write_bytes(save[name]())
    tracemalloc.start()
    try:
        n_images = sum(len(b.images) for b in open_source([str(tmp_path / name)], ImageFit((256, 256, 1))).blocks(1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert n_images == 512
    assert peak < 4 << 20


def test_a_file_that_changes_in_between_is_noticed(tmp_path, make):
    """The shape is read again with the images."""
    for name in ("a.npy", "b.idx", "c.npz"):
        path = tmp_path / name
        save = {"a.npy": make.npy, "b.idx": lambda x: make.idx(x[..., 0]), "c.npz": lambda x: npz(x=x)}[name]
        path.write_bytes(save(make.pictures(3)))
        source = open_source([str(path)], FIT)
        path.write_bytes(save(make.pictures(4)))
        with pytest.raises(ImageError, match="changed"):
            list(source.blocks(2))


def test_conversion_happens_only_on_request(tmp_path, make, read):
    """--grayscale is ITU-R 601 luma, then --resize fits the image to the model's height and width."""
    rgb = make.pictures(3, 8, 6, 3)
    (tmp_path / "a.npy").write_bytes(make.npy(rgb))
    images, _ = read(open_source([str(tmp_path / "a.npy")], ImageFit((4, 3, 1), resize=True, grayscale=True)))
    luma, _ = read(open_source([str(tmp_path / "a.npy")], ImageFit((8, 6, 1), grayscale=True)))

    assert images.shape == (3, 4, 3, 1)
    np.testing.assert_allclose(luma[..., 0], rgb @ [0.299, 0.587, 0.114], atol=1)


def test_resize_knows_one_and_three_channels_and_has_a_limit(tmp_path, make):
    """Anything else would be a guess, or a bomb."""
    for shape, says in [((2, 8, 6, 2), "1 or 3 channels"), ((1, 9460, 9460, 1), "limit")]:
        claim = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}"
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("images.npy", header(claim) + bytes(192))
        with pytest.raises(ImageError, match=says):
            open_source([str(tmp_path / "a.npz")], ImageFit((4, 3, shape[3]), resize=True))


@pytest.mark.parametrize("shape", [(64, 64, 3), (64, 64), (100, 12 * 65)])
def test_resize_does_not_guess_what_an_axis_is(tmp_path, make, shape):
    """With --resize any size would do, so a shape that could mean two things is refused."""
    (tmp_path / "a.npy").write_bytes(make.npy(np.zeros(shape, np.uint8)))
    with pytest.raises(ImageError, match="first axis"):
        open_source([str(tmp_path / "a.npy")], ImageFit((4, 3, 1), resize=True))


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ([], UsageError),
        (["-", "-"], UsageError),
        (["missing.npy"], UsageError),
        (["mnist:validation"], UsageError),
    ],
)
def test_an_impossible_input_is_a_usage_error(tmp_path, monkeypatch, inputs, error):
    """Nothing there, nothing named, stdin twice: exit code 2, one line."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AeformatError) as caught:
        open_source(inputs, FIT)

    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


def test_grayscale_for_a_colour_model_is_a_contradiction():
    """The options are checked before any file is."""
    with pytest.raises(UsageError, match="grayscale"):
        open_source(["missing"], ImageFit((4, 3, 3), grayscale=True))


def test_a_block_of_nothing_is_a_mistake(tmp_path, make):
    """Blocks have at least one image."""
    (tmp_path / "a.npy").write_bytes(make.npy(make.pictures(3)))
    with pytest.raises(ValueError, match="at least 1"):
        list(open_source([str(tmp_path / "a.npy")], FIT).blocks(0))
