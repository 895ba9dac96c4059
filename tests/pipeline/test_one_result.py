"""Promise: one machine, one file, one result: a float32 model gives the same pixels in all encodings, cuts and kernels (M5-3)."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aeformat
from aeformat.images import demo_digits

TOP = Path(__file__).parents[2]
MODEL = "mnist-128-64-128"
CORES = ("Haswell", "SkylakeX", "Zen", "Sandybridge")
_RUN = "from pipeline.test_one_result import pixels; print(pixels(__import__('sys').argv[1]))"


def many_digits() -> np.ndarray:
    """(1500, 28, 28, 1) uint8: the demo's digits, each with noise of its own."""
    digits = np.tile(demo_digits()[:100], (15, 1, 1, 1)).astype(int)
    noise = np.random.default_rng(5).integers(-40, 41, digits.shape)
    return np.clip(digits + noise, 0, 255).astype(np.uint8)


def pixels(folder: str) -> str:
    """SHA-256 of the decoded pixels and of the latents, after they were seen to be the same in every encoding and cut."""
    images = many_digits()
    latents = aeformat.encode(images, MODEL, backend="numpy")
    parts = [
        aeformat.encode(images[start:stop], MODEL, backend="numpy") for start, stop in ((0, 1), (1, 700), (700, 1500))
    ]
    assert np.concatenate(parts).tobytes() == latents.tobytes()
    whole = None
    for encoding in ("text19", "f64le", "f32le"):
        for codec in ("none", "zstd"):
            path = Path(folder) / f"{encoding}-{codec}.aef"
            aeformat.pack(images, path, model=MODEL, encoding=encoding, codec=codec, backend="numpy", force=True)
            made = aeformat.decode(path, backend="numpy")
            whole = made if whole is None else whole
            assert made.tobytes() == whole.tobytes(), path.name
            for rows in (range(100, 900), range(7, 8), range(1499, 1500), [3, 1200, 511, 512]):
                assert aeformat.decode(path, rows=rows, backend="numpy").tobytes() == whole[np.array(rows)].tobytes()
    assert whole is not None
    return hashlib.sha256(latents.tobytes() + whole.tobytes()).hexdigest()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> str:
    return pixels(str(tmp_path_factory.mktemp("here")))


@pytest.mark.parametrize("core", CORES)
def test_all_kernels_make_the_same_pixels(core: str, here: str, tmp_path: Path) -> None:
    """The variable makes OpenBLAS take another CPU's kernels, where this CPU can run them."""
    paths = os.pathsep.join([str(TOP), str(TOP / "tests")])
    environment = os.environ | {"OPENBLAS_CORETYPE": core, "PYTHONPATH": paths}

    done = subprocess.run([sys.executable, "-c", _RUN, tmp_path], env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == here


def test_rows_asked_of_a_stream_are_those_of_the_whole(here: str, tmp_path: Path) -> None:
    """Forward from a pipe, as by random access."""
    pixels(str(tmp_path))
    data = (tmp_path / "text19-zstd.aef").read_bytes()

    streamed = aeformat.decode(aeformat.stream(io.BytesIO(data)), backend="numpy")

    assert streamed.tobytes() == aeformat.decode(tmp_path / "f32le-none.aef", backend="numpy").tobytes()
