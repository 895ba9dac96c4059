"""Codec rans from the command line: pack chooses it, every command reads it, and says what it lacks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.model.builder import PackageBuilder
from aeformat.model.file_io import write_package
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from aeformat.training.prior_fit import fit_prior

Run = Callable[..., Any]
LATENTS = Endpoint((8,), "i8", (-12, 12))
IMAGES = Endpoint((28, 28, 1), "u8")


def half(
    role: str, takes: Endpoint, makes: Endpoint, shift: int, table: np.ndarray, decoder: bytes | None, prior=None
) -> ModelPackage:
    """One dense layer in integers."""
    rng = np.random.default_rng(1)
    builder = PackageBuilder(role=role, profile="exact", input=takes, output=makes, decoder=decoder)
    n_in, n_out = (int(np.prod(end.shape)) for end in (takes, makes))
    if len(takes.shape) > 1:
        builder.layer("flatten")
    weights = builder.tensor(rng.integers(-9, 10, (n_in, n_out), dtype=np.int8))
    builder.layer("dense", weights=weights, bias=builder.tensor(np.zeros(n_out, np.int32)))
    builder.layer("lookup", multiplier=builder.tensor(np.ones(1, np.int32)), shift=shift, table=builder.tensor(table))
    if len(makes.shape) > 1:
        builder.layer("reshape", shape=makes.shape)
    if prior is not None:
        builder.prior(prior)
    golden = np.zeros((1, *takes.shape), np.int8 if takes.type == "i8" else np.uint8)
    return builder.build(golden_input=golden, golden_output=lambda draft: NumpyBackend().load(draft).run(golden))


@pytest.fixture
def model(folder: Path) -> Path:
    """m.encoder.aef and m.decoder.aef in the folder: a pair whose decoder has a prior fitted to the digits."""
    steps = np.arange(-12, 13, dtype=np.int8)
    table = np.concatenate([np.full(4, -12, np.int8), np.repeat(steps, 1), np.full(5, 12, np.int8)])
    shades = np.linspace(0, 255, 64).astype(np.uint8)
    bare = half("decoder", LATENTS, IMAGES, 5, shades, None)
    encoder = half("encoder", IMAGES, LATENTS, 12, table, bare.model_id)
    latents = NumpyBackend().load(encoder).run(np.load("digits.npy")[..., None])
    prior = fit_prior(latents.astype(np.int16), -12, 12, n_classes=4, n_tables=4, bits=12)
    decoder = half("decoder", LATENTS, IMAGES, 5, shades, None, prior)
    write_package(decoder, folder / "m.decoder.aef")
    write_package(half("encoder", IMAGES, LATENTS, 12, table, decoder.model_id), folder / "m.encoder.aef")
    return folder / "m"


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
