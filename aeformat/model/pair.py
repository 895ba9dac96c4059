"""From two halves of a network to their packages, which name each other.

Owns the order.  The decoder's golden input is what the encoder makes of the golden images, and the encoder names the decoder by
its model id: so a draft of the encoder comes first, then the decoder, then the encoder.
"""

from __future__ import annotations

from collections.abc import Callable

from aeformat.container.prior import Prior
from aeformat.errors import UsageError
from aeformat.model.builder import Rows, as_list
from aeformat.model.free_sizes import is_free
from aeformat.model.graph import Graph, PriorMaker
from aeformat.model.manifest import DECODER, ENCODER, Endpoint
from aeformat.model.package import Array, ModelPackage
from aeformat.model.reference import golden_output

Pair = tuple[ModelPackage, ModelPackage]


def build_pair(
    encoder: Graph,
    decoder: Graph,
    golden: Rows,
    *,
    latents: Endpoint,
    name: str | None,
    prior: Prior | PriorMaker | None = None,
    run: Callable[[ModelPackage, Array], Array] = golden_output,
) -> Pair:
    """The encoder's and the decoder's package, with golden sets.

    golden: (k, h, w, c) u8 images, k from 1 to 64, or where latents have free sizes 2 to 8 such arrays, each of a size of its
    own; they travel with both packages.  latents: what goes from one half to the other.  prior: the decoder's, or what gives
    it one.  run: (package, rows) -> what the package makes of them.  Raises ManifestInvalid, LimitExceeded; UsageError where
    the two halves have different scales.
    """
    batches = as_list(golden)
    images = _images(batches[0], latents)
    draft = draft_encoder(encoder, golden, latents, run)
    codes = [made for _, made in draft.golden]

    def pixels(half: ModelPackage) -> list[Array]:
        pairs = zip(codes, batches, strict=True)
        return [run(half, rows)[:, : image.shape[1], : image.shape[2]] for rows, image in pairs]

    second = decoder.build(DECODER, (latents, images), codes, pixels, name=name, prior=prior)
    if draft.manifest.scale != second.manifest.scale:
        what = f"{draft.manifest.scale} pixels to one of the latent, the decoder {second.manifest.scale}"
        raise UsageError(f"the two halves do not belong together: the encoder takes {what}")
    first = encoder.build(ENCODER, (images, latents), batches, codes, name=name, decoder=second.model_id)
    return first, second


def draft_encoder(
    encoder: Graph, golden: Rows, latents: Endpoint, run: Callable[[ModelPackage, Array], Array] = golden_output
) -> ModelPackage:
    """The encoder's package while there is no decoder that it could name: it names 32 zero bytes, and has no name itself.

    For what must be known of latents before a decoder can be made.  Raises ManifestInvalid, LimitExceeded.
    """
    batches = as_list(golden)
    ends = _images(batches[0], latents), latents

    def codes(half: ModelPackage) -> list[Array]:
        return [run(half, images) for images in batches]

    return encoder.build(ENCODER, ends, batches, codes, name=None, decoder=bytes(32))


def _images(golden: Array, latents: Endpoint) -> Endpoint:
    return Endpoint((0, 0, golden.shape[3]) if is_free(latents.shape) else golden.shape[1:], "u8")
