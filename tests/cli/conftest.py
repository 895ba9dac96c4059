"""What the command-line tests share: a folder to work in, digits to pack, and the command itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.cli.main import main
from aeformat.images import demo_digits
from aeformat.model.builder import PackageBuilder
from aeformat.model.file_io import write_package
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from aeformat.training.prior_fit import fit_prior


@dataclass(frozen=True)
class Ran:
    """What one run of the command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a cache of its own, holding digits.npy: 100 images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AEFORMAT_CACHE", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    np.save("digits.npy", demo_digits()[..., 0])
    return tmp_path


@pytest.fixture
def aeformat(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process: aeformat("pack", "digits.npy", ...) -> Ran."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        try:
            code = main([os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments])
        except SystemExit as stop:  # argparse's own way out
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


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
