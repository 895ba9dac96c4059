"""What the command-line tests share: a folder to work in, digits to pack, and the command itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from model.with_prior import pair_with_prior

from aeformat.cli.main import main
from aeformat.images import demo_digits
from aeformat.model.file_io import write_package


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


@pytest.fixture
def model(folder: Path) -> Path:
    """m.encoder.aef and m.decoder.aef in the folder: a pair whose decoder has a prior fitted to the digits."""
    for half in pair_with_prior(np.load("digits.npy")[..., None]):
        write_package(half, folder / f"m.{half.role}.aef")
    return folder / "m"
