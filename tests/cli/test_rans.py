"""Codec rans from the command line: pack chooses it, every command reads it, and says what it lacks."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aeformat.container.chunk_writer import ContainerWriter
from aeformat.container.header import LatentsHeader
from aeformat.container.writer import LatentsWriter
from aeformat.model import store
from aeformat.reader import stream_latents

Run = Callable[..., Any]


def size(name: str) -> int:
    return Path(name).stat().st_size


def test_pack_takes_rans_where_the_decoder_has_a_prior(aeformat: Run, model: Path):
    """And the file is smaller than with zstd; --codec still decides."""
    assert aeformat("pack", "digits.npy", "-o", "r.aef", "--model", model).code == 0
    assert aeformat("pack", "digits.npy", "-o", "z.aef", "--model", model, "--codec", "zstd").code == 0
    assert aeformat("pack", "digits.npy", "-o", "f.aef", "--model", model, "--encoding", "f32le").code == 0

    assert [json.loads(aeformat("info", name, "--json").out)["codec"] for name in ("r.aef", "z.aef", "f.aef")] == [
        "rans",
        "zstd",
        "zstd",
    ]
    assert size("r.aef") < size("z.aef")
    ids = {json.loads(aeformat("info", name, "--json").out)["content_id"] for name in ("r.aef", "z.aef")}
    assert len(ids) == 1


def test_every_command_reads_it(aeformat: Run, model: Path):
    """unpack, its --latents and --rows, eval and convert give what the zstd twin gives."""
    aeformat("pack", "digits.npy", "-o", "r.aef", "--model", model)
    decoder = ("--decoder", f"{model}.decoder.aef")
    assert aeformat("convert", "r.aef", "z.aef", "--codec", "zstd", *decoder).code == 0
    assert aeformat("convert", "z.aef", "again.aef", "--codec", "rans", *decoder).code == 0
    assert Path("again.aef").read_bytes() == Path("r.aef").read_bytes()

    for name in ("r", "z"):
        assert aeformat("unpack", f"{name}.aef", "-o", f"{name}.npy", *decoder).code == 0
        assert aeformat("unpack", f"{name}.aef", "-o", f"{name}-some.npy", "--rows", "3:9", *decoder).code == 0
        assert (
            aeformat(
                "unpack", f"{name}.aef", "-o", f"{name}-latents.npy", "--latents", *(decoder if name == "r" else ())
            ).code
            == 0
        )
        assert aeformat("eval", f"{name}.aef", "--against", "digits.npy", *decoder).code == 0
    for kind in ("", "-some", "-latents"):
        np.testing.assert_array_equal(np.load(f"r{kind}.npy"), np.load(f"z{kind}.npy"))


def test_an_embedded_decoder_is_enough(aeformat: Run, model: Path):
    """No --decoder anywhere; receipts are proved by it too."""
    assert aeformat("pack", "digits.npy", "-o", "r.aef", "--model", model, "--embed-decoder", "--receipts").code == 0

    ran = aeformat("validate", "r.aef", "--json")
    (report,) = json.loads(ran.out)["files"]
    assert (ran.code, report["valid"], report["not_checked"], report["proved"]) == (0, True, "", 2)
    assert aeformat("convert", "r.aef", "z.aef", "--codec", "zstd").code == 0
    assert aeformat("unpack", "r.aef", "-o", "r.npy").code == 0


def test_without_the_decoder_the_exit_code_is_4(aeformat: Run, model: Path):
    """And the message has the model id and what to do."""
    aeformat("pack", "digits.npy", "-o", "r.aef", "--model", model)
    named = json.loads(aeformat("info", "r.aef", "--json").out)["decoder"]

    for command in (
        ["unpack", "r.aef", "-o", "x.npy"],
        ["unpack", "r.aef", "-o", "x.npy", "--latents"],
        ["convert", "r.aef", "x.aef"],
    ):
        ran = aeformat(*command)
        assert ran.code == 4 and named in ran.err and "--decoder" in ran.err
    assert not Path("x.npy").exists() and not Path("x.aef").exists()


def test_validate_says_what_it_could_not_check(aeformat: Run, model: Path):
    """Exit code 0 without the decoder, all checked with it; a wrong one is refused, and one for nothing too."""
    aeformat("pack", "digits.npy", "-o", "r.aef", "--model", model)
    aeformat("pack", "digits.npy", "-o", "z.aef", "--model", model, "--codec", "zstd")

    ran = aeformat("validate", "r.aef")
    assert ran.code == 0 and "not checked: the values of 100 rows" in ran.err
    ran = aeformat("validate", "r.aef", "--decoder", f"{model}.decoder.aef")
    assert (ran.code, "not checked" in ran.err) == (0, False)
    wrong = next((Path(__file__).parents[2] / "models").glob("*.decoder.aef"))
    assert aeformat("validate", "r.aef", "--decoder", wrong).code == 4
    assert aeformat("validate", "z.aef", "--decoder", f"{model}.decoder.aef").code == 2


def test_a_decoder_says_what_prior_it_has(aeformat: Run, model: Path):
    """In info and in model show; one without says nothing."""
    text = "4 classes, 4 tables of 12 bits"

    assert json.loads(aeformat("info", f"{model}.decoder.aef", "--json").out)["prior"] == text
    assert json.loads(aeformat("info", f"{model}.encoder.aef", "--json").out)["prior"] is None
    assert aeformat("model", "show", model).out.count(text) == 1


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["pack", "digits.npy", "-o", "x.aef", "--codec", "rans", "--model", "mnist-128-64-128"], "u8 or i8"),
        (
            ["pack", "digits.npy", "-o", "x.aef", "--codec", "rans", "--model", "MODEL", "--encoding", "f32le"],
            "u8 or i8",
        ),
        (["pack", "digits.npy", "-o", "x.aef", "--model", "MODEL", "--level", "3"], "codec rans"),
        (["convert", "r.aef", "x.aef", "--encoding", "f64le", "--decoder", "MODEL.decoder.aef"], "--codec zstd"),
        (
            ["convert", "z.aef", "x.aef", "--encoding", "f64le", "--decoder", "MODEL.decoder.aef"],
            "--decoder does nothing",
        ),
    ],
)
def test_what_does_not_go_together_is_said_so(aeformat: Run, model: Path, arguments: list[str], words: str):
    """A mistake in the options, not a broken file."""
    aeformat("pack", "digits.npy", "-o", "r.aef", "--model", model)
    aeformat("pack", "digits.npy", "-o", "z.aef", "--model", model, "--codec", "zstd")

    ran = aeformat(*(argument.replace("MODEL", str(model)) for argument in arguments))

    assert ran.code == 2 and words in ran.err


def test_validate_takes_the_decoder_that_it_was_given_or_none(aeformat: Run, model: Path):
    """Another decoder is exit 4 although the right one is here too; what is no package is its own fault, not the file's."""
    assert aeformat("pack", "digits.npy", "-o", "r.aef", "--model", model).code == 0
    assert aeformat("pack", "digits.npy", "-o", "e.aef", "--model", model, "--embed-decoder").code == 0
    other = next((Path(__file__).parents[2] / "models").glob("mnist-exact.decoder.aef"))
    assert aeformat("validate", "r.aef", "--decoder", "m.decoder.aef").code == 0
    assert aeformat("model", "install", "m.decoder.aef").code == 0
    assert aeformat("validate", "r.aef", "--decoder", other).code == 4

    bad = aeformat("validate", "r.aef", "--decoder", "digits.npy")
    assert (bad.code, bad.out) == (1, "")
    assert "digits.npy" in bad.err
    idle = aeformat("validate", "e.aef", "--decoder", "m.decoder.aef")
    assert idle.code == 2
    assert "carry their decoder" in idle.err


@pytest.mark.parametrize("codec", [["--codec", "none"], ["--codec", "rans"], []], ids=" ".join)
@pytest.mark.parametrize("place", ["embedded", "given", "here"])
def test_a_file_whose_decoder_has_no_prior_is_bad(aeformat: Run, model: Path, place: str, codec: list[str]):
    """C3-16 is the file's fault, not that of who converts it: exit 1 wherever the decoder is, and the advice says so."""
    bare = store.shipped_file("mnist-exact", "decoder")
    end = store.find_pair("mnist-exact")[1].input
    header = LatentsHeader(store.find_pair("mnist-exact")[1].model_id, end.shape, (28, 28, 1), end.type, "rans")
    sink = io.BytesIO()
    out = ContainerWriter(sink, header)
    if place == "embedded":
        out.chunk(b"dECo", bare.read_bytes())
    row = bytes(header.row_bytes)
    out.chunk(b"ROWS", row, n_rows=1, first_row=0)
    out.trailer(hashlib.sha256(header.content_head + row).digest())
    Path("x.aef").write_bytes(sink.getvalue())

    for command in (["convert", "x.aef", "o.aef", *codec], ["unpack", "x.aef", "-o", "o.npy"]):
        ran = aeformat(*command, *(["--decoder", bare] if place == "given" else []))
        assert ran.code == 1 and ran.err.count("\n") == 1, ran.err
        assert (
            "x.aef: codec rans, but the decoder has no prior (rule C3-16, byte 24); the program that wrote it"
            in ran.err
        )
    assert not Path("o.aef").exists()


def test_convert_names_the_number_that_the_decoder_does_not_take(aeformat: Run, model: Path):
    """M4-7: the input, the row, and the byte in its rows."""
    aeformat("pack", "digits.npy", "-o", "z.aef", "--model", model, "--codec", "zstd")
    stream = stream_latents(io.BytesIO(Path("z.aef").read_bytes()))
    values = np.concatenate([block.values for block in stream])
    values[40, 3] = 100
    with Path("bad.aef").open("wb") as file, LatentsWriter(file, stream.header) as writer:
        writer.write(values)

    ran = aeformat("convert", "bad.aef", "o.aef", "--codec", "rans", "--decoder", f"{model}.decoder.aef")

    assert ran.code == 1 and "bad.aef: row 40 holds 100, the decoder takes -12 to 12 (rule M4-7, byte 323)" in ran.err
