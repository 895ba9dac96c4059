"""From two halves of a network to their packages, which name each other.

Owns the order.  The decoder's golden input is what the encoder makes of the golden images, and the encoder names the decoder by
its model id: so a draft of the encoder comes first, then the decoder, then the encoder.
"""

from __future__ import annotations

from collections.abc import Callable

from aeformat.container.prior import Prior
from aeformat.model.graph import Graph
from aeformat.model.manifest import DECODER, ENCODER, Endpoint
from aeformat.model.package import Array, ModelPackage
from aeformat.model.reference import golden_output

Pair = tuple[ModelPackage, ModelPackage]


def build_pair(
    encoder: Graph,
    decoder: Graph,
    golden: Array,
    *,
    latents: Endpoint,
    name: str | None,
    prior: Prior | None = None,
    run: Callable[[ModelPackage, Array], Array] = golden_output,
) -> Pair:
    """The encoder's and the decoder's package, with golden sets.

    golden: (k, h, w, c) u8 images, k from 1 to 64; they travel with both packages.  latents: what goes from one half to the
    other.  prior: the decoder's.  run: (package, rows) -> what the package makes of them.  Raises ManifestInvalid,
    LimitExceeded.
    """
    images = Endpoint(golden.shape[1:], "u8")
    draft = draft_encoder(encoder, golden, latents, run)
    codes = draft.golden_output
    second = decoder.build(DECODER, (latents, images), codes, lambda half: run(half, codes), name=name, prior=prior)
    first = encoder.build(ENCODER, (images, latents), golden, codes, name=name, decoder=second.model_id)
    return first, second


def draft_encoder(
    encoder: Graph, golden: Array, latents: Endpoint, run: Callable[[ModelPackage, Array], Array] = golden_output
) -> ModelPackage:
    """The encoder's package while there is no decoder that it could name: it names 32 zero bytes, and has no name itself.

    For what must be known of latents before a decoder can be made.  Raises ManifestInvalid, LimitExceeded.
    """
    ends = Endpoint(golden.shape[1:], "u8"), latents
    return encoder.build(ENCODER, ends, golden, lambda half: run(half, golden), name=None, decoder=bytes(32))
