"""Promise: what a Python caller gives by mistake is one UsageError that says what to give, or it works as NumPy users expect."""

from __future__ import annotations

import gc
import io
import os
import pathlib

import numpy as np
import pytest

import aeformat
from aeformat.images import demo_digits

IMAGES = demo_digits()[:6]


@pytest.fixture(scope="module")
def model():
    """The default one."""
    return aeformat.load_model("mnist-exact")


@pytest.fixture(scope="module")
def path(tmp_path_factory, model):
    """Six digits."""
    path = tmp_path_factory.mktemp("mistakes") / "a.aef"
    aeformat.pack(IMAGES, path, model=model)
    return path


@pytest.fixture
def latents(path):
    """The file, opened."""
    with aeformat.open(path) as latents:
        yield latents


@pytest.fixture
def new(tmp_path):
    """Where a file may be written."""
    return tmp_path / "new.aef"


ID = {"dims": (64,), "image": (28, 28, 1), "encoding": "u8"}
MISTAKES = {  # what is called, and words of the error
    "open None": (lambda of: aeformat.open(None), "a path is a str .* NoneType"),
    "open a number": (lambda of: aeformat.open(3), "a path is a str .* int"),
    "open bytes": (lambda of: aeformat.open(b"a.aef"), "a path is a str .* bytes"),
    "open a file": (lambda of: aeformat.open(io.BytesIO()), "aeformat.stream"),
    "stream None": (lambda of: aeformat.stream(None), "a stream is a path or a file"),
    "stream bytes": (lambda of: aeformat.stream(b"a.aef"), "io.BytesIO"),
    "stream text": (lambda of: aeformat.stream(io.StringIO()), "open as text"),
    "stream what is closed": (lambda of: aeformat.stream(_closed()), "the file is closed"),
    "decode None": (lambda of: aeformat.decode(None), "latents are an array"),
    "decode bytes": (lambda of: aeformat.decode(b"a.aef", of.model), "latents are an array"),
    "decode a file": (lambda of: aeformat.decode(io.BytesIO(), of.model), "aeformat.stream"),
    "decode a number": (lambda of: aeformat.decode(np.uint8(3), of.model), "one number"),
    "decode with 123": (lambda of: aeformat.decode(of.path, 123), "a model is a Model, .* int"),
    "encode with None": (lambda of: aeformat.encode(IMAGES, None), "a model is a Model, .* NoneType"),
    "encode with few bytes": (lambda of: aeformat.encode(IMAGES, b"x"), "no model id"),
    "load None": (lambda of: aeformat.load_model(None), "a path is"),
    "load bytes": (lambda of: aeformat.load_model(b"mnist-exact"), "a path is"),
    "find 32": (lambda of: aeformat.find_model(32), "a model id is bytes or a str, .* int"),
    "find a list": (lambda of: aeformat.find_model([1] * 32), "a model id is bytes or a str, .* list"),
    "pack None": (lambda of: aeformat.pack(None, of.new), "a path is .* NoneType"),
    "pack bytes": (lambda of: aeformat.pack(b"i.npy", of.new), "a path is .* bytes"),
    "pack arrays": (lambda of: aeformat.pack([IMAGES, IMAGES], of.new), "np.concatenate"),
    "pack a file": (lambda of: aeformat.pack(io.BytesIO(), of.new), "a path is .* BytesIO"),
    "pack to bytes": (lambda of: aeformat.pack(IMAGES, b"n.aef"), "a path is"),
    "unpack bytes": (lambda of: aeformat.unpack(b"n.aef", of.new), "a path is"),
    "unpack to bytes": (lambda of: aeformat.unpack(of.path, b"n.npy"), "a path is"),
    "unpack what is open": (lambda of: aeformat.unpack(of.latents, of.new), "a path is .* Latents"),
    "validate None": (lambda of: aeformat.validate(None), "a path is"),
    "create for None": (lambda of: aeformat.create(of.new, decoder=None), "without a decoder dims and encoding"),
    "create at None": (lambda of: aeformat.create(None, decoder=of.model), "a path is"),
    "create in memory": (lambda of: aeformat.create(io.BytesIO(), decoder=of.model), "a path is .* BytesIO"),
    "dims of fractions": (
        lambda of: aeformat.create(of.new, decoder=bytes(32), **{**ID, "dims": [6.4]}),
        r"dims is \[6.4\]",
    ),
    "an image of one number": (
        lambda of: aeformat.create(of.new, decoder=bytes(32), **{**ID, "image": 28}),
        "height, width and channels",
    ),
    "an encoder of two letters": (lambda of: aeformat.create(of.new, decoder=of.model, encoder=b"ab"), "no model id"),
    "ext of a set": (lambda of: aeformat.create(of.new, decoder=of.model, ext={"a": {1}}), "ext: set"),
    "ext as a list": (lambda of: aeformat.create(of.new, decoder=of.model, ext=[1]), "ext is a map"),
    "codec of create": (
        lambda of: aeformat.create(of.new, decoder=bytes(32), codec="gzip", **ID),
        "unknown codec 'gzip'",
    ),
    "level of create": (lambda of: aeformat.create(of.new, decoder=of.model, level=99), "level is 99"),
    "level of no number": (lambda of: aeformat.create(of.new, decoder=of.model, level="x"), "level is 'x'"),
    "no rows at once": (lambda of: aeformat.pack(IMAGES, of.new, batch_rows=0), "batch_rows is 0"),
    "fewer rows at once": (lambda of: aeformat.pack(IMAGES, of.new, batch_rows=-1), "batch_rows is -1"),
    "level": (lambda of: aeformat.pack(IMAGES, of.new, level=99), "level is 99"),
    "level of codec none": (lambda of: aeformat.pack(IMAGES, of.new, codec="none", level=3), "level does nothing"),
    "level of codec rans": (
        lambda of: aeformat.pack(IMAGES, of.new, model="mnist-rd-24", level=3),
        "level does nothing with codec rans",
    ),
    "codec": (lambda of: aeformat.pack(IMAGES, of.new, codec="gzip"), "unknown codec 'gzip'"),
    "rounds of nothing": (lambda of: aeformat.pack(IMAGES, of.new, refine_rounds=2), "give refine too"),
    **{
        f"{n} rounds": (
            lambda of, n=n: aeformat.pack(IMAGES, of.new, model="mnist-rd-24", refine=6.0, refine_rounds=n),
            f"1 to 16 rounds, not {n}",
        )
        for n in (-1, 0, 17)
    },
}


class Given:
    """What a mistake is made with."""

    def __init__(self, model, path, latents, new) -> None:
        self.model, self.path, self.latents, self.new = model, path, latents, new


def _closed():
    file = io.BytesIO()
    file.close()
    return file


@pytest.mark.parametrize(("call", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_a_usage_error_that_says_what_to_give(model, path, latents, new, call, words):
    """And nothing is written."""
    with pytest.raises(aeformat.UsageError, match=words) as caught:
        call(Given(model, path, latents, new))

    assert type(caught.value) is aeformat.UsageError
    assert list(new.parent.iterdir()) == []


def test_a_model_id_stands_for_its_model_wherever_a_model_goes(path, latents, model):
    """As `find_model` takes it: of the decoder to decode, of the encoder to encode."""
    whole = aeformat.decode(path)

    np.testing.assert_array_equal(aeformat.decode(latents, latents.header.decoder), whole)
    np.testing.assert_array_equal(aeformat.decode(latents, bytearray(latents.header.decoder)), whole)
    np.testing.assert_array_equal(aeformat.encode(IMAGES, model.encoder.model_id), latents[:])


@pytest.mark.parametrize("rows", [3, -1, [1, 4], range(2, 5), slice(None, None, 2), [True, False] * 3, ...], ids=repr)
def test_rows_of_an_array_are_picked_as_those_of_a_file(path, latents, model, rows):
    """One number is one image, as for a file."""
    np.testing.assert_array_equal(aeformat.decode(latents[:], model, rows=rows), aeformat.decode(path, rows=rows))


@pytest.mark.parametrize(
    ("rows", "error"), [(True, TypeError), ((1, 2), TypeError), (6, IndexError), (range(4, 7), IndexError)]
)
def test_what_picks_no_rows_of_a_file_picks_none_of_an_array(path, latents, model, rows, error):
    """By the same error."""
    for given, decoder in ((path, None), (latents[:], model)):
        with pytest.raises(error, match="row"):
            aeformat.decode(given, decoder, rows=rows)


@pytest.mark.parametrize("recover", [False, True])
def test_a_stream_is_read_once(path, recover):
    """Also where it was read in part; a second reading would find nothing and not say so."""
    with aeformat.stream(path, recover=recover) as stream:
        aeformat.decode(stream)
        for again in (list, aeformat.decode):
            with pytest.raises(aeformat.UsageError, match="read already"):
                again(stream)
    with aeformat.stream(path, recover=recover) as stream:
        next(iter(stream))
        with pytest.raises(aeformat.UsageError, match="read already"):
            list(stream)
    with aeformat.stream(path) as stream:
        pass
    with pytest.raises(aeformat.UsageError, match="is closed"):
        list(stream)
    with aeformat.open(path) as latents:
        pass
    with pytest.raises(aeformat.UsageError, match="is closed"):
        latents[0]


def test_a_file_is_created_from_what_numpy_and_pathlib_have(new, model):
    """Shapes as arrays or one number, numbers of NumPy, paths as names, a Model as encoder."""
    values = model.encode(IMAGES)
    shape = {"dims": np.array([64]), "image": np.array([28, 28, 1]), "encoding": "u8"}
    ext = {"run": np.int64(3), "done": np.bool_(True), "of": [np.uint8(1)]}
    with aeformat.create(new, decoder=bytearray(model.decoder.model_id), encoder=model, ext=ext, **shape) as file:
        file.append(values, names=[pathlib.PurePath("a", f"{row}.png") for row in range(6)])
    with aeformat.create(new, decoder=bytes(32), force=True, **{**ID, "dims": 64}) as file:
        file.append(values, names=np.array(list("abcdef")))
    with aeformat.create(new, decoder=model, encoder=model, ext=ext, force=True) as file:
        file.append(values, names=[pathlib.PurePath("a", f"{row}.png") for row in range(6)])

    with aeformat.open(new) as latents:
        assert latents.header.encoder == model.encoder.model_id
        assert latents.header.ext == {"run": 3, "done": True, "of": [1]}
        assert latents.names(2).names == ("a/2.png",)


@pytest.mark.parametrize(
    ("names", "words"), [("abc", "not one text"), ([1, 2, 3], "int"), ([b"a", b"b", b"c"], "bytes")]
)
def test_names_are_texts_and_one_for_each_row(new, model, names, words):
    """A text alone would be taken letter by letter."""
    with pytest.raises(aeformat.UsageError, match=words), aeformat.create(new, decoder=model) as file:
        file.append(model.encode(IMAGES[:3]), names=names)


def test_nothing_is_added_to_a_file_that_is_finished_or_given_up(new, model):
    """As the error says."""
    values = model.encode(IMAGES)
    file = aeformat.create(new, decoder=model)
    file.append(values)
    file.abort()
    with pytest.raises(aeformat.UsageError, match="closed"):
        file.append(values)
    with aeformat.create(new, decoder=model) as file:
        file.append(values)
    with pytest.raises(aeformat.UsageError, match="closed"):
        file.append(values)
    assert file.n_rows == 6


def test_an_error_that_the_caller_passed_over_is_the_cause_of_the_next(new):
    """Half a chunk cannot be gone on from: the file does not appear, and the first error is not lost."""
    model = aeformat.load_model("mnist-128-64-128")
    for go_on in (lambda file: file.append(np.zeros((1, 64), np.float32)), lambda file: None):
        with (
            pytest.raises(aeformat.UsageError, match="rows before could not be written") as caught,
            aeformat.create(new, decoder=model) as file,
        ):
            with pytest.raises(aeformat.FormatError):
                file.append(np.full((9000, 64), np.nan, np.float32))
            go_on(file)
        assert isinstance(caught.value.__cause__, aeformat.FormatError)
        assert list(new.parent.iterdir()) == []


def test_a_forgotten_file_leaves_nothing_behind_and_is_told_of(new, model):
    """Neither closed nor aborted: as a warning, and without its temporary file."""
    file = aeformat.create(new, decoder=model)
    file.append(model.encode(IMAGES))
    assert len(list(new.parent.iterdir())) == 1
    with pytest.warns(ResourceWarning, match=r"new.aef was never closed"):
        del file
        gc.collect()

    assert list(new.parent.iterdir()) == []


@pytest.mark.parametrize("encoding", ["f32le", "f16le", "bf16le"])
def test_the_byte_order_of_an_array_does_not_matter(new, encoding):
    """Nor where the encoding rounds."""
    model = aeformat.load_model("mnist-128-64-128")
    values = model.encode(IMAGES)
    found = []
    for dtype in ("<f4", ">f4"):
        with aeformat.create(new, decoder=model, encoding=encoding, force=True) as file:
            file.append(values.astype(dtype))
        found.append(new.read_bytes())

    assert found[0] == found[1]


def test_a_path_is_any_that_the_system_takes(path):
    """A str, a Path, and what says that it is one."""

    class Named:
        def __fspath__(self):
            return os.fspath(path)

    for name in (str(path), path, Named()):
        with aeformat.open(name) as latents:
            assert latents.n_rows == 6
        assert aeformat.validate(name).n_rows == 6
