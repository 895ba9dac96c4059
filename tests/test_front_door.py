"""`import aeformat`: the public names, what each costs to import, and each of them at work on a small file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aeformat
from aeformat.images import demo_digits

PUBLIC = [
    "SOURCE_FIELDS", "AeformatError", "BackendUnavailable", "Batch", "Batches", "Block", "Checked", "DecoderError", "DecoderMismatch",
    "DecoderMissing", "Described", "Encoded", "FormatError", "GoldenMismatch", "Hint", "ImageError", "LatentStream",
    "Latents", "LatentsFile", "LatentsSet", "Model", "Packed", "PackedSet", "Problem", "RaggedRows", "Report", "RowSizes",
    "SetWriter", "Truncated", "Unpacked", "Unsupported", "Updated", "UsageError", "__version__",
    "batches", "check", "create", "create_set", "decode", "encode", "find_model", "load_model", "model_id", "open",
    "pack", "pack_set", "source_fields", "stream", "unpack", "update", "validate",
]  # fmt: skip
_PRELUDE = f"""
import sys, json
sys.path.insert(0, {str(Path(aeformat.__file__).parents[1])!r})
before = set(sys.modules)
"""
_TELL = "\nprint(json.dumps(sorted(set(sys.modules) - before)))"


def loaded(code: str) -> set[str]:
    """The modules that a fresh process has loaded after running the code."""
    ran = subprocess.run(
        [sys.executable, "-I", "-c", _PRELUDE + code + _TELL], capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def images():
    """100 digits."""
    return demo_digits()[:100]


@pytest.fixture
def packed(tmp_path, images):
    """The digits, packed with the default model."""
    aeformat.pack(images, tmp_path / "digits.aef")
    return tmp_path / "digits.aef"


def test_the_public_names_are_these():
    """A name that goes or comes is a decision: it stands in CHANGELOG.md."""
    assert aeformat.__all__ == PUBLIC
    assert dir(aeformat) == sorted(PUBLIC)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_every_name_is_there_and_says_what_it_is(name):
    """Each has a docstring of its own."""
    found = getattr(aeformat, name)

    assert found.__doc__ and found.__doc__ != getattr(
        found.__mro__[1] if isinstance(found, type) else None, "__doc__", ""
    )


def test_another_name_is_not_there():
    """As of any module."""
    with pytest.raises(AttributeError, match="'aeformat' has no attribute 'opne'"):
        aeformat.opne  # noqa: B018


def test_the_import_loads_nothing_of_the_package():
    """Nor NumPy, msgpack or zstandard: each name brings what it takes."""
    modules = loaded("import aeformat; dir(aeformat)")

    assert {name for name in modules if name.startswith("aeformat")} == {"aeformat"}
    assert not modules & {"numpy", "msgpack", "zstandard", "tensorflow"}


def test_opening_a_file_is_as_cheap_as_with_the_reader_alone(packed):
    """No NumPy before the first array."""
    own = loaded(f"import aeformat\nwith aeformat.open({str(packed)!r}) as latents: latents.n_rows")
    reader = loaded(
        f"from aeformat.reader import open_latents\nwith open_latents({str(packed)!r}) as latents: latents.n_rows"
    )

    mine = {"aeformat.pipeline", "aeformat.pipeline.opening", "aeformat.sets", "aeformat.sets.opening"}
    assert own - reader == mine and reader <= own


def test_tensorflow_is_loaded_only_when_it_is_asked_for(packed):
    """A small file is decoded by NumPy."""
    modules = loaded(
        f"import aeformat; assert len(aeformat.decode({str(packed)!r})) == 100; aeformat.validate({str(packed)!r})"
    )

    assert "numpy" in modules
    assert not modules & {"tensorflow", "keras", "PIL"}


def test_an_image_is_decoded_in_three_lines(packed, images):
    """Whatever rows are picked, they are those of the whole file."""
    with aeformat.open(packed) as latents:
        some = aeformat.decode(latents, rows=range(0, 10))

    whole = aeformat.decode(packed)
    assert (some.shape, some.dtype) == ((10, 28, 28, 1), np.uint8)
    assert whole.shape == images.shape
    np.testing.assert_array_equal(some, whole[:10])
    for rows in (slice(90, 200), [7, 3, 3, 99, -1, 4], np.arange(100) % 9 == 0, 5, range(0)):
        expected = whole[
            [rows] if isinstance(rows, int) else np.arange(100)[rows] if not isinstance(rows, range) else []
        ]
        np.testing.assert_array_equal(aeformat.decode(packed, rows=rows), expected)


def test_decoded_rows_are_held_against_receipts(tmp_path, images):
    """Also where rows are picked that one digest is for, together with others."""
    aeformat.pack(images, tmp_path / "r.aef", receipts=True)
    good = aeformat.decode(tmp_path / "r.aef")

    np.testing.assert_array_equal(aeformat.decode(tmp_path / "r.aef", rows=[70, 2, 99]), good[[70, 2, 99]])
    assert aeformat.unpack(tmp_path / "r.aef", tmp_path / "r.npy") == aeformat.Unpacked(100, n_proved=100)


def test_a_stream_is_decoded_from_a_path_and_from_a_file(packed):
    """To the end, so that every byte is checked."""
    whole = aeformat.decode(packed)
    with aeformat.stream(packed) as blocks:
        np.testing.assert_array_equal(aeformat.decode(blocks), whole)
    with packed.open("rb") as file:
        np.testing.assert_array_equal(aeformat.decode(aeformat.stream(file)), whole)
    with aeformat.stream(packed) as blocks, pytest.raises(aeformat.UsageError, match="stream"):
        aeformat.decode(blocks, rows=[1])


def test_a_stream_closes_the_file_that_it_opened(packed):
    """And none that it was given."""
    with aeformat.stream(packed) as blocks:
        assert sum(len(block.values) for block in blocks) == 100
    with packed.open("rb") as file:
        with aeformat.stream(file):
            pass
        assert not file.closed


def test_a_model_encodes_and_decodes_arrays(packed, images):
    """The latents are those that `pack` writes, the pixels those that `unpack` makes."""
    model = aeformat.load_model("mnist-exact")
    latents = aeformat.encode(images, model)

    assert (model.dims, model.image) == ((64,), (28, 28, 1))
    with aeformat.open(packed) as file:
        np.testing.assert_array_equal(latents, file[:])
        assert aeformat.find_model(file.header.decoder).decoder.model_id == model.decoder.model_id
        assert aeformat.find_model(file.header.decoder.hex()).encoder is None
    np.testing.assert_array_equal(aeformat.encode(images[..., 0]), latents)
    np.testing.assert_array_equal(model.decode(latents), aeformat.decode(packed))
    np.testing.assert_array_equal(
        aeformat.decode(latents, "mnist-exact", rows=slice(3, 5)), aeformat.decode(packed)[3:5]
    )


def test_one_half_of_a_model_does_its_half(tmp_path, images):
    """A package given by its path is that package alone; what the other would do is refused in words."""
    aeformat.pack(images, tmp_path / "e.aef", embed_decoder=True)
    with aeformat.open(tmp_path / "e.aef") as latents:
        (tmp_path / "m.decoder.aef").write_bytes(latents.embedded_decoder)
        values = latents[:]
    half = aeformat.load_model(tmp_path / "m.decoder.aef")

    np.testing.assert_array_equal(half.decode(values), aeformat.decode(tmp_path / "e.aef"))
    with pytest.raises(aeformat.UsageError, match="encoding takes its encoder"):
        half.encode(images)


@pytest.mark.parametrize(
    ("latents", "error", "words"),
    [
        (np.zeros((2, 64), np.int64), TypeError, "int64, the decoder takes uint8"),
        (np.zeros((2, 63), np.uint8), ValueError, r"shape \[63\]"),
        (np.zeros(64, np.uint8), ValueError, "shape"),
    ],
    ids=["type", "shape", "no rows"],
)
def test_an_array_that_is_no_latents_is_refused(latents, error, words):
    """By what is wrong with it; and one without a decoder, too."""
    with pytest.raises(error, match=words):
        aeformat.decode(latents, "mnist-exact")
    with pytest.raises(aeformat.UsageError, match="give one"):
        aeformat.decode(latents)


def test_a_file_is_created_whole_or_not_at_all(tmp_path, packed, images):
    """The same content as `pack` writes; after an error there is no file, old or new."""
    latents = aeformat.encode(images)
    with aeformat.create(tmp_path / "new.aef", decoder="mnist-exact") as file:
        file.append(latents[:60], names=[f"{row}.png" for row in range(60)])
        assert not (tmp_path / "new.aef").exists()
        file.append(latents[60:], names=[f"{row}.png" for row in range(60, 100)])
    assert file.n_rows == 100

    with aeformat.open(tmp_path / "new.aef") as new, aeformat.open(packed) as old:
        assert new.trailer.content_id == old.trailer.content_id == file.content_id
        assert new.names(7).names == ("7.png",)
    with pytest.raises(aeformat.UsageError, match="exists"):
        aeformat.create(tmp_path / "new.aef", decoder="mnist-exact")
    with pytest.raises(ZeroDivisionError), aeformat.create(tmp_path / "not.aef", decoder="mnist-exact") as file:
        file.append(latents)
        1 / 0  # noqa: B018
    with (
        pytest.raises(aeformat.FormatError, match="no rows"),
        aeformat.create(tmp_path / "not.aef", decoder="mnist-exact"),
    ):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.aef", "new.aef"]


def test_a_file_can_be_for_a_decoder_that_is_not_here(tmp_path):
    """Then the caller says what the decoder takes, and DecoderMissing which one is missing."""
    values = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    shape = {"dims": (3,), "image": (4, 5, 3)}
    with aeformat.create(tmp_path / "x.aef", decoder=bytes(32), encoding="f32le", **shape) as file:
        file.append(values)

    with aeformat.open(tmp_path / "x.aef") as latents:
        np.testing.assert_array_equal(latents[:], values)
        with pytest.raises(aeformat.DecoderMissing, match="00000000"):
            aeformat.decode(latents)
        with pytest.raises(aeformat.DecoderMismatch):
            aeformat.decode(latents, "mnist-exact")
    with pytest.raises(aeformat.DecoderMissing, match="00000000"):
        aeformat.find_model(bytes(32))
    with pytest.raises(aeformat.UsageError, match="no model id"):
        aeformat.find_model("mnist-exact")
    for wrong, words in (
        ({}, "give dims, image and encoding"),
        ({**shape, "encoding": "f31le"}, "unknown encoding 'f31le'"),
        ({**shape, "encoding": "u8", "codec": "rans"}, "prior"),
        ({**shape, "encoding": "u8", "embed_decoder": True}, "no decoder that could travel"),
        ({"dims": (3,), "image": (4, 5), "encoding": "u8"}, "height, width and channels"),
    ):
        with pytest.raises(aeformat.UsageError, match=words):
            aeformat.create(tmp_path / "y.aef", decoder=bytes(32), **wrong)
    with pytest.raises(aeformat.UsageError, match=r"dims are \[3\], those of the decoder \[64\]"):
        aeformat.create(tmp_path / "y.aef", decoder="mnist-exact", dims=(3,))
    assert not (tmp_path / "y.aef").exists()


def test_float_latents_are_rounded_where_the_encoding_says_so(tmp_path, images):
    """As `pack` rounds them."""
    model = aeformat.load_model("mnist-128-64-128")
    aeformat.pack(images[:5], tmp_path / "p.aef", model=model, encoding="f16le")
    with aeformat.create(tmp_path / "c.aef", decoder=model, encoding="f16le") as file:
        file.append(model.encode(images[:5]))

    with aeformat.open(tmp_path / "p.aef") as one, aeformat.open(tmp_path / "c.aef") as other:
        assert one.header.values == "f16"
        assert one.trailer.content_id == other.trailer.content_id


def test_files_are_packed_and_unpacked_as_the_command_line_does(tmp_path, packed, images):
    """From a path or several, to what the name of the output says; a part of the rows in the order of the file."""
    np.save(tmp_path / "a.npy", images[:60])
    np.save(tmp_path / "b.npy", images[60:])
    made = aeformat.pack([tmp_path / "a.npy", str(tmp_path / "b.npy")], tmp_path / "again.aef")

    assert (made.n_rows, made.n_bytes) == (100, (tmp_path / "again.aef").stat().st_size)
    assert (tmp_path / "again.aef").read_bytes() == packed.read_bytes()
    assert aeformat.unpack(packed, tmp_path / "all.npy").n_rows == 100
    assert aeformat.unpack(packed, tmp_path / "some.npy", rows=range(1, 100, 2)).n_rows == 50
    whole = np.load(tmp_path / "all.npy")
    np.testing.assert_array_equal(whole, aeformat.decode(packed)[..., 0])
    np.testing.assert_array_equal(np.load(tmp_path / "some.npy"), whole[1::2])
    for rows in ([5, 3], [2, 2], []):
        with pytest.raises(aeformat.UsageError, match="rows"):
            aeformat.unpack(packed, tmp_path / "none.npy", rows=rows)
    with pytest.raises(aeformat.UsageError, match="exists"):
        aeformat.unpack(packed, tmp_path / "all.npy")
    assert not (tmp_path / "none.npy").exists()


def test_an_input_is_not_replaced_and_what_is_left_out_is_logged(tmp_path, packed, images, caplog):
    """As the command line does it."""
    from PIL import Image

    np.save(tmp_path / "x.npy", images)
    for call in (
        lambda: aeformat.pack(tmp_path / "x.npy", tmp_path / "x.npy", force=True),
        lambda: aeformat.unpack(packed, packed, force=True),
    ):
        with pytest.raises(aeformat.UsageError, match="would be lost"):
            call()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "notes.txt").touch()
    Image.fromarray(images[0, ..., 0]).save(tmp_path / "set" / "a.png")
    assert aeformat.pack(tmp_path / "set", tmp_path / "set.aef").n_rows == 1
    assert "left out 1: 1 of kind .txt" in caplog.text


def test_refined_latents_take_the_decoders_prior(tmp_path, images):
    """`pack` picks codec rans for a decoder that has one, and `validate` decodes what it wrote."""
    aeformat.pack(images[:3], tmp_path / "r.aef", model="mnist-rd-24", refine=6.771, refine_rounds=1)
    report = aeformat.validate(tmp_path / "r.aef")

    with aeformat.open(tmp_path / "r.aef") as latents:
        assert latents.header.codec == "rans"
    assert (report.problems, report.not_checked, report.n_rows) == ([], "", 3)


def test_validate_reports_every_problem(packed):
    """In order, with rule and byte; nothing is raised."""
    data = bytearray(packed.read_bytes())
    data[-1] ^= 1
    packed.write_bytes(data)
    report = aeformat.validate(packed)

    assert isinstance(report, aeformat.Report)
    assert [(problem.rule, type(problem)) for problem in report.problems] == [("C9-2", aeformat.Problem)]
    with pytest.raises(aeformat.FormatError, match="C9-2"):
        aeformat.decode(aeformat.stream(packed))
    packed.write_bytes(data[:-1])
    with pytest.raises(aeformat.Truncated):
        aeformat.open(packed)


def test_images_that_do_not_fit_are_refused():
    """By their shape or type."""
    with pytest.raises(aeformat.ImageError, match="27x28x1"):
        aeformat.encode(np.zeros((2, 27, 28, 1), np.uint8))
    with pytest.raises(aeformat.ImageError, match="float32"):
        aeformat.encode(np.zeros((2, 28, 28, 1), np.float32))
    with pytest.raises(aeformat.UsageError, match="no model 'mnist-exakt'"):
        aeformat.encode(np.zeros((2, 28, 28, 1), np.uint8), "mnist-exakt")
