"""Refining drawn digits gives the latents that the plain search gave, for every rate model."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyNetwork
from aeformat.images import demo_digits
from aeformat.model.file_io import read_package
from aeformat.pipeline import refine
from aeformat.pipeline.refine import Refinement

MODELS = Path(__file__).resolve().parents[2] / "models"
GIVEN = {  # model: price, rounds, images, SHA-256 of the latents
    "mnist-rd-22": (3.0, 2, 40, "2cb346c0364297c0c9c04c26de7c3b8ecc6355f1a6d228f9523c255730b8b6fb"),
    "mnist-rd-24": (6.771, 2, 200, "edebcf6c79d0c646842a68825655f69f5458101c912b93a67ebec8c3754f0273"),
    "mnist-rd-26": (20.0, 2, 40, "b6e9ded539d690d6368b1cfe0bb2a090246985f6db0394597dcbc7a64e82c069"),
    "mnist-rd-30": (153.2, 2, 8, "2aa96de1f3a73bde3c8f8280e00a4ddad83ff5afa08b0c75322fdf0329345d95"),
    "mnist-rd-tiny-22": (3.0, 2, 30, "b51d8e9b70b6fbe4e3ed6ea163a0851598729c25e0e7af3dc173a5d567fe08ab"),
    "mnist-rd-tiny-24": (6.771, 3, 200, "e0548119a739b6c3715db2b58da48507e957e4a79e1d0bfdcae9274f6f0d6df6"),
    "mnist-rd-tiny-26": (20.0, 2, 30, "1c3dded999cd39eab31dc7b553773c935b876df1bdd3ab32bfc3b2cfb3505ab3"),
    "mnist-rd-tiny-30": (100.0, 2, 8, "b272df25481a5e501143b59e2775b26453e8aee16d38d073e6d177f845b44b17"),
}


def latents_of(model: str, n: int) -> tuple[NumpyNetwork, np.ndarray, np.ndarray]:
    """The decoder; latents and images of n digits, the second hundred shifted by a pixel."""
    encoder, decoder = (NumpyNetwork(read_package(MODELS / f"{model}.{role}.aef")) for role in ("encoder", "decoder"))
    images = demo_digits().reshape(-1, 28, 28, 1)
    images = np.concatenate([images, np.roll(images, 1, axis=2)])[:n]
    return decoder, encoder.run(images), images


@pytest.mark.parametrize("model", GIVEN)
def test_latents_stay_what_they_were(model: str) -> None:
    price, n_rounds, n, digest = GIVEN[model]
    decoder, latents, images = latents_of(model, n)

    found = Refinement(decoder, price, n_rounds).refine(latents, images)

    assert (found != latents).any() and sha256(found.tobytes()).hexdigest() == digest


def test_sums_in_float64_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where differences are too large for float32."""
    price, n_rounds, _, _ = GIVEN["mnist-rd-tiny-24"]
    decoder, latents, images = latents_of("mnist-rd-tiny-24", 12)
    in_float32 = Refinement(decoder, price, n_rounds).refine(latents, images)
    monkeypatch.setattr(refine, "_FLOAT32_NORM", 0)

    np.testing.assert_array_equal(Refinement(decoder, price, n_rounds).refine(latents, images), in_float32)


def test_float32_is_taken_where_its_sums_are_exact_alone() -> None:
    """Below 2^24 whatever the order: by the norms of differences and errors."""
    one = np.zeros((1, 2, 784), np.float32)
    none = np.zeros((1, 784), np.int16)
    one[0, 1] = 145
    assert refine._in_float32(one, none) and not refine._in_float32(one + 1, none)
    assert not refine._in_float32(one, none + 147)
