"""A small exact pair whose decoder has a prior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.model.graph import Graph
from aeformat.model.manifest import Endpoint
from aeformat.model.pair import Pair, build_pair, draft_encoder
from aeformat.model.values import EXACT, Value
from aeformat.training.prior_fit import fit_prior

LATENTS = Endpoint((8,), "i8", (-12, 12))


def pair_with_prior(digits: NDArray[np.uint8]) -> Pair:
    """28 x 28 pixels, 8 latents from -12 to 12: one dense layer each, random, and a prior fitted to the digits (n, 28, 28, 1)."""
    steps = np.concatenate([np.full(4, -12), np.arange(-12, 13), np.full(5, 12)]).astype(np.int8)
    encoder, decoder = Graph(Value((28, 28, 1), "u8"), EXACT), Graph(LATENTS.value, EXACT)
    encoder.add("flatten")
    _one_layer(encoder, 8, 12, steps)
    _one_layer(decoder, 784, 5, np.linspace(0, 255, 64).astype(np.uint8))
    decoder.add("reshape", shape=(28, 28, 1))
    golden = np.zeros((1, 28, 28, 1), np.uint8)
    latents = NumpyBackend().load(draft_encoder(encoder, golden, LATENTS)).run(digits)
    prior = fit_prior(latents.astype(np.int16), -12, 12, n_classes=4, n_tables=4, bits=12)
    return build_pair(encoder, decoder, golden, latents=LATENTS, name=None, prior=prior)


def _one_layer(graph: Graph, n_made: int, shift: int, table: NDArray[np.generic]) -> None:
    weights = np.random.default_rng(1).integers(-9, 10, (*graph.shape(graph.last), n_made), np.int8)
    graph.add("dense", weights=weights, bias=np.zeros(n_made, np.int32))
    graph.add("lookup", multiplier=np.ones(1, np.int32), shift=shift, table=table)
