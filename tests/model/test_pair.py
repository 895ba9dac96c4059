"""Two halves become two packages that belong together."""

from __future__ import annotations

import numpy as np
import pytest

from aeformat.container.prior import Prior
from aeformat.errors import ManifestInvalid, UsageError
from aeformat.model.graph import Graph
from aeformat.model.manifest import Endpoint
from aeformat.model.pair import build_pair, draft_encoder
from aeformat.model.reference import golden_output
from aeformat.model.values import EXACT, Value

IMAGES = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
LATENTS = Endpoint((2,), "u8")
TABLE = np.arange(256, dtype=np.uint8)


def half(start: Value, n_made: int, *shape: int) -> Graph:
    """Sums of all inputs, and a little more for each output, clipped to 8 bits; then reshaped."""
    graph = Graph(start, EXACT)
    if len(start.shape) > 1:
        graph.add("flatten")
    n_inputs = start.n_elements
    graph.add("dense", weights=np.ones((n_inputs, n_made), np.int8), bias=np.arange(-128, n_made - 128, dtype=np.int32))
    graph.add("lookup", multiplier=np.ones(1, np.int32), shift=0, table=TABLE)
    if shape:
        graph.add("reshape", shape=shape)
    return graph


def halves() -> tuple[Graph, Graph]:
    return half(Value((2, 2, 1), "u8"), 2), half(LATENTS.value, 4, 2, 2, 1)


def test_the_encoder_names_the_decoder_and_their_golden_sets_join() -> None:
    encoder, decoder = build_pair(*halves(), IMAGES, latents=LATENTS, name="pair")

    assert (encoder.role, decoder.role) == ("encoder", "decoder")
    assert encoder.manifest.decoder == decoder.model_id
    assert encoder.name == decoder.name == "pair"
    assert np.array_equal(encoder.golden_input, IMAGES)
    assert np.array_equal(encoder.golden_output, decoder.golden_input)
    assert np.array_equal(decoder.golden_output, golden_output(decoder, golden_output(encoder, IMAGES)))
    assert len(np.unique(decoder.golden_output)) > 1


def test_what_runs_the_halves_makes_the_golden_sets() -> None:
    """Both of them, on the images and on what came out for them."""
    seen = []

    def run(package, rows):
        seen.append((package.role, rows))
        return np.full((len(rows), *package.output.shape), 7, np.uint8)

    encoder, decoder = build_pair(*halves(), IMAGES, latents=LATENTS, name="pair", run=run)

    assert [role for role, _ in seen] == ["encoder", "decoder"]
    assert np.array_equal(seen[0][1], IMAGES) and (seen[1][1] == 7).all()
    assert (encoder.golden_output == 7).all() and (decoder.golden_output == 7).all()


def test_a_prior_goes_into_the_decoder() -> None:
    frequencies = np.full((1, 256), 1, np.int32)
    prior = Prior(
        bits=8, lo=0, hi=255, classes=np.array([256], np.int32), tables=frequencies,
        means=np.zeros((1, 2), np.uint8), picks=np.zeros((1, 2), np.uint8),
    )  # fmt: skip
    encoder, decoder = build_pair(*halves(), IMAGES, latents=LATENTS, name=None, prior=prior)
    assert decoder.prior is not None and encoder.prior is None
    assert encoder.manifest.decoder == decoder.model_id


def test_a_draft_names_no_decoder() -> None:
    draft = draft_encoder(halves()[0], IMAGES, LATENTS)
    encoder, _ = build_pair(*halves(), IMAGES, latents=LATENTS, name="pair")
    assert draft.manifest.decoder == bytes(32) and draft.name is None
    assert np.array_equal(draft.golden_output, encoder.golden_output)


def test_halves_that_do_not_meet_are_refused() -> None:
    """By the rules that a file is checked by."""
    with pytest.raises(ManifestInvalid):
        build_pair(*halves(), IMAGES, latents=Endpoint((3,), "u8"), name="pair")


SIZES = [(1, 1), (5, 7)]
FREE_LATENTS = Endpoint((0, 0, 2), "i8")


def free_halves(stride: int = 2) -> tuple[Graph, Graph]:
    """Down by a stride and up again, for images of any size."""
    signed = np.arange(-128, 128).astype(np.int8)
    encoder = Graph(Value((2, 2, 3), "u8"), EXACT)
    weights = np.arange(-27, 27, dtype=np.int8).reshape(3, 3, 3, 2)
    encoder.add("conv2d", weights=weights, bias=np.zeros(2, np.int32), strides=(2, 2), padding=(1, 1, 1, 1))
    encoder.add("lookup", multiplier=np.ones(1, np.int32), shift=5, table=signed)
    decoder = Graph(Value((1, 1, 2), "i8"), EXACT)
    kernel = np.arange(-12, 12, dtype=np.int8)[: stride * stride * 6].reshape(stride, stride, 3, 2)
    decoder.add(
        "conv2d_transpose", weights=kernel, bias=np.zeros(3, np.int32), strides=(stride, stride), crop=(0, 0, 0, 0)
    )
    decoder.add("lookup", multiplier=np.ones(1, np.int32), shift=3, table=TABLE)
    return encoder, decoder


def test_halves_of_any_size_join_at_each_golden_size() -> None:
    images = [np.arange(2 * h * w * 3, dtype=np.uint8).reshape(2, h, w, 3) for h, w in SIZES]

    encoder, decoder = build_pair(*free_halves(), images, latents=FREE_LATENTS, name="any")

    assert encoder.manifest.decoder == decoder.model_id
    assert encoder.input.shape == decoder.output.shape == (0, 0, 3)
    for (pixels, codes), (taken, made), image in zip(encoder.golden, decoder.golden, images, strict=True):
        assert np.array_equal(pixels, image) and np.array_equal(codes, taken)
        assert made.shape == image.shape
        assert np.array_equal(made, golden_output(decoder, codes, image.shape[1:3]))


def test_halves_of_two_scales_are_no_pair() -> None:
    images = [np.zeros((1, h, w, 3), np.uint8) for h, w in SIZES]

    with pytest.raises((UsageError, ManifestInvalid)):
        build_pair(*free_halves(1), images, latents=FREE_LATENTS, name="any")
