"""Files that the tests of the page show."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from model.test_pair import FREE_LATENTS, SIZES, free_halves
from PIL import Image

import aeformat
from aeformat.images import demo_digits
from aeformat.model.file_io import write_package
from aeformat.model.pair import build_pair


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Path:
    """A hundred digits with receipts and their decoder; beside it originals.npy."""
    folder = tmp_path_factory.mktemp("view")
    np.save(folder / "originals.npy", demo_digits())
    aeformat.pack(demo_digits(), folder / "digits.aef", embed_decoder=True, receipts=True, backend="numpy")
    return folder / "digits.aef"


@pytest.fixture(scope="session")
def many(digits) -> Path:
    """Ten thousand digits, no two of them next to each other alike."""
    path = digits.with_name("many.aef")
    images = np.concatenate([np.roll(demo_digits(), shift, axis=0) for shift in range(100)])
    aeformat.pack(images, path, embed_decoder=True, receipts=True, backend="numpy")
    return path


@pytest.fixture(scope="session")
def pair(tmp_path_factory) -> str:
    """A tiny model of any size, of no use but to make pixels."""
    folder = tmp_path_factory.mktemp("pair")
    golden = [np.arange(2 * h * w * 3, dtype=np.uint8).reshape(2, h, w, 3) for h, w in SIZES]
    for half in build_pair(*free_halves(), golden, latents=FREE_LATENTS, name="any"):
        write_package(half, folder / f"any.{half.role}.aef")
    return str(folder / "any")


@pytest.fixture(scope="session")
def five(tmp_path_factory) -> Path:
    """Five pieces of the demo's photograph, each of its own size, by photo-3, with receipts and their decoder."""
    path = tmp_path_factory.mktemp("five") / "five.aef"
    with resources.files("aeformat").joinpath("data/demo-photograph.webp").open("rb") as file:
        whole = np.asarray(Image.open(file).convert("RGB"))
    pieces = [whole[40 * i : 40 * i + 100 - 12 * i, 90 * i : 90 * i + 120 + 10 * i] for i in range(5)]
    aeformat.pack(pieces, path, model="photo-3", embed_decoder=True, receipts=True, backend="numpy")
    return path


@pytest.fixture(scope="session")
def photographs(pair, tmp_path_factory) -> Path:
    """Five images, each of its own size, under names; without their decoder."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(7)
    images = {
        f"{name}.png": random.integers(0, 256, (90 + 30 * i, 200 - 25 * i, 3)).astype(np.uint8)
        for i, name in enumerate("abcde")
    }
    np.savez(folder / "images.npz", **images)
    aeformat.pack(folder / "images.npz", folder / "five.aef", model=pair, receipts=True, backend="numpy")
    return folder / "five.aef"
