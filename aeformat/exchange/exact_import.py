"""Both halves of an imported network in integers, and what that costs (spec/model.md, section 4).

Owns the order: look at the samples, quantise the encoder, then the decoder on what the encoder gives, build, measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.exchange.calibrate import Quantiser, look
from aeformat.exchange.exact import PIXELS, quantise, starts_with_transpose
from aeformat.exchange.samples import golden_images
from aeformat.model.graph import Graph
from aeformat.model.manifest import Endpoint
from aeformat.model.pair import Pair, build_pair
from aeformat.pipeline.evaluate import compare

Images = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Loss:
    """PSNR in dB on n images: originals against the float network, against the exact one, and these two against each other."""

    n_images: int
    float32: float
    exact: float
    between: float


def make_exact(halves: tuple[Graph, Graph], samples: Images, name: str) -> Pair:
    """The exact packages of two float halves.  samples: (n, h, w, c).  Raises UsageError, ManifestInvalid."""
    encoder, decoder = halves
    seen, latents = look(encoder, samples)
    first, q = quantise(encoder, seen, PIXELS, keep_zero=starts_with_transpose(decoder))
    seen, _ = look(decoder, q.real(q.of(latents)))
    second, _ = quantise(decoder, seen, q)
    golden = golden_images(samples.shape[1:])
    return build_pair(first, second, golden, latents=_endpoint(decoder.shape(0), q), name=name)


def loss(float32: Pair, exact: Pair, images: Images) -> Loss:
    """What the images lose."""
    made = [_through(pair, images) for pair in (float32, exact)]
    pairs = ((images, made[0]), (images, made[1]), (made[0], made[1]))
    return Loss(len(images), *(compare([a], [b]).psnr for a, b in pairs))


def _through(pair: Pair, images: Images) -> Images:
    codes = NumpyBackend().load(pair[0]).run(images)
    return NumpyBackend().load(pair[1]).run(codes)


def _endpoint(shape: tuple[int, ...], q: Quantiser) -> Endpoint:
    whole = {"u8": (0, 255), "i8": (-128, 127)}[q.type]
    return Endpoint(shape, q.type, None if (q.lo, q.hi) == whole else (q.lo, q.hi))
