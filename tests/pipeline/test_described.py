"""Latents of a network that is no package: made, opened, converted, checked, shown; what they are is kept all the way."""

from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pytest

import aeformat
from aeformat.cli.main import main
from aeformat.container.header import LatentsHeader
from aeformat.container.writer import LatentsWriter

NETWORK = bytes(range(32))
DESCRIBED = aeformat.Described(
    kind="sample", seed=42, scale=0.18215, resize="cover", resize_filter="bicubic", crop="center", size=(256, 256), colour="srgb",
    value_range="-1..1", foreign_encoder=bytes(32), software="a trainer",
)  # fmt: skip
ROWS = np.linspace(-1, 1, 3 * 32, dtype=np.float32).reshape(3, 4, 2, 4)


def made(path, **more):
    fields = {"dims": (4, 2, 4), "encoding": "f32le", "foreign_decoder": NETWORK, "described": DESCRIBED} | more
    with aeformat.create(path, **fields) as file:
        file.append(ROWS, [f"{row}.png" for row in range(3)])
    return path


def test_what_was_said_comes_back(tmp_path):
    """By random access and forward; rows without any decoder; and through a pickle of the description."""
    path = made(tmp_path / "vae.aef")

    with aeformat.open(path) as latents:
        assert (latents.described, latents.header.foreign_decoder) == (DESCRIBED, NETWORK)
        assert pickle.loads(pickle.dumps(latents.described)) == DESCRIBED
        np.testing.assert_array_equal(latents[:], ROWS)
    with aeformat.stream(path) as blocks:
        assert blocks.described == DESCRIBED
        np.testing.assert_array_equal(np.concatenate([block.values for block in blocks]), ROWS)
    assert aeformat.validate(path).problems == []


def test_nothing_said_is_a_file_without_it(tmp_path):
    """An empty description changes no byte."""
    first, second = (
        made(tmp_path / name, described=given) for name, given in (("a", None), ("b", aeformat.Described()))
    )

    assert first.read_bytes() == second.read_bytes()
    with aeformat.open(first) as latents:
        assert latents.described is None


@pytest.mark.parametrize("image", [None, (16, 32, 3)], ids=str)
@pytest.mark.parametrize("dims", [(4, 2, 4), (4, None, None)], ids=str)
@pytest.mark.parametrize("foreign", [None, NETWORK], ids=["unknown", "foreign"])
@pytest.mark.parametrize("said", [None, DESCRIBED], ids=["nothing-said", "described"])
def test_every_combination_is_a_good_file(tmp_path, image, dims, foreign, said):
    """The decoder foreign or not known, images known or not, sizes free or not, described or not."""
    path = made(tmp_path / "x.aef", dims=dims, image=image, foreign_decoder=foreign, described=said)

    assert aeformat.validate(path).problems == []
    with aeformat.open(path) as latents:
        assert (latents.described, latents.header.foreign_decoder) == (said, foreign or b"")
        assert all(np.array_equal(row, wanted) for row, wanted in zip(latents[:], ROWS, strict=True))


@pytest.mark.parametrize("flags", [range(1), range(1, 2)], ids=["nothing", "described"])
def test_a_package_can_be_described_too(tmp_path, flags):
    """Its values are what it takes, so there is neither scale nor shift; a file without a description is of version 1.0."""
    described = aeformat.Described(kind="mean", value_range="0..255") if 1 in flags else None
    model = aeformat.load_model("mnist-exact")
    with aeformat.create(tmp_path / "x.aef", decoder=model, described=described) as file:
        file.append(model.encode(np.zeros((1, 28, 28, 1), np.uint8)))

    data = (tmp_path / "x.aef").read_bytes()

    assert data[9:12] == (b"\1\x10\0" if described else b"\0\0\0")
    assert aeformat.decode(tmp_path / "x.aef").shape == (1, 28, 28, 1)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"foreign_decoder": b"x"}, "32 bytes of a network id"), ({"foreign_decoder": "vae.safetensors"}, "aeformat.model_id"),
        ({"decoder": NETWORK, "image": (1, 1, 1)}, "one decoder"), ({"described": {"kind": "mean"}}, "aeformat.Described"),
        ({"described": aeformat.Described(scale=[1, 2], axis=0)}, "axis 0 the size 4"), ({"encoder": bytes(32)}, "foreign_encoder"),
        ({"described": aeformat.Described(resize_filter="box")}, "nothing is resized"), ({"codec": "rans"}, "rans"),
        ({"decoder": NETWORK, "image": (1, 1, 1), "foreign_decoder": None}, "described: scale and shift"),
    ],
    ids=str,
)  # fmt: skip
def test_mistakes_are_one_clear_error_and_no_file(tmp_path, more, what):
    with pytest.raises(aeformat.UsageError, match=what):
        made(tmp_path / "x.aef", **more)

    assert list(tmp_path.iterdir()) == []


def test_convert_keeps_it(tmp_path):
    """And so does the content id."""
    path = made(tmp_path / "vae.aef")

    assert main(["convert", str(path), str(tmp_path / "text.aef"), "--encoding", "text19", "--codec", "none"]) == 0

    with aeformat.open(path) as was, aeformat.open(tmp_path / "text.aef") as latents:
        assert latents.header._replace(encoding="f32le", codec="zstd", filter=was.header.filter) == was.header
        assert latents.trailer.content_id == was.trailer.content_id


def test_info_prints_it(tmp_path, capsys):
    path = made(
        tmp_path / "vae.aef", described=aeformat.Described(kind="mean", scale=(1, 2, 3, 4), axis=0, size=(8, 9))
    )

    assert main(["info", str(path)]) == 0
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    printed = {key.strip(): value.strip() for key, value in lines.items()}
    assert printed["foreign decoder"] == NETWORK.hex()
    assert (printed["kind"], printed["described kind"], printed["described scale"]) == (
        "latents",
        "mean",
        "1.0, 2.0, 3.0, 4.0",
    )

    assert main(["info", "--json", str(path)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["foreign_decoder"] == NETWORK.hex()
    assert facts["described"] == {"kind": "mean", "scale": [1.0, 2.0, 3.0, 4.0], "axis": 0, "size": [8, 9]}


def test_info_cuts_long_lists(tmp_path, capsys):
    header = LatentsHeader(b"", (2000,), (), "u8", described=aeformat.Described(step=np.arange(1, 2001), axis=0))
    sink = io.BytesIO()
    with LatentsWriter(sink, header) as writer:
        writer.write(np.zeros((1, 2000), np.uint8))
    (tmp_path / "x.aef").write_bytes(sink.getvalue())

    assert main(["info", str(tmp_path / "x.aef")]) == 0
    assert "15.0, 16.0, ... (2,000 numbers)" in capsys.readouterr().out


def test_decoding_says_whose_latents_they_are(tmp_path, capsys):
    """Exit code 4, one line with the network id, and no output."""
    path = made(tmp_path / "vae.aef", image=(16, 32, 3))

    assert main(["unpack", str(path), "-o", str(tmp_path / "out")]) == 4
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and NETWORK.hex()[:12] in printed
    assert not (tmp_path / "out").exists()
    with pytest.raises(aeformat.DecoderMissing, match="take the rows"):
        aeformat.decode(path, "mnist-exact")


def test_the_rows_come_out_as_an_array(tmp_path):
    """unpack --latents needs no decoder."""
    path = made(tmp_path / "vae.aef")

    assert main(["unpack", str(path), "--latents", "-o", str(tmp_path / "rows.npy")]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), ROWS)
