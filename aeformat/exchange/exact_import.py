"""Both halves of an imported network in integers, and what that costs (spec/model.md, section 4).

Owns the order: look at the samples, quantise the encoder, then the decoder on what the encoder gives, build, measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.exchange.calibrate import Quantiser, look
from aeformat.exchange.exact import PIXELS, quantise, starts_with_zero
from aeformat.exchange.samples import free_golden_images, golden_images
from aeformat.model.free_sizes import Size
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


def make_exact(halves: tuple[Graph, Graph], samples: Images, name: str, scale: Size | None = None) -> Pair:
    """The exact packages of two float halves.

    samples: (n, h, w, c).  scale: of a network with free sizes, whose graphs are those of a latent of 1 x 1; the samples have a
    whole number of latents.  Raises UsageError, ManifestInvalid.
    """
    encoder, decoder = halves
    any_size = scale is not None
    seen, latents = look(encoder, samples)
    first, q = quantise(
        encoder, seen, PIXELS, keep_zero=starts_with_zero(decoder, any_size=any_size), any_size=any_size
    )
    seen, _ = look(decoder, q.real(q.of(latents)))
    second, _ = quantise(decoder, seen, q, any_size=any_size)
    if scale is None:
        end, golden = _endpoint(decoder.shape(0), q), golden_images(samples.shape[1:])
        return build_pair(first, second, golden, latents=end, name=name)
    end = _endpoint((0, 0, decoder.shape(0)[2]), q)
    return build_pair(first, second, free_golden_images(scale, samples.shape[3]), latents=end, name=name)


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
