"""Checks that a decoder is the one that a latents file names, and that it can verify receipts (C3-14, C3-16, C7-5)."""

from __future__ import annotations

from aeformat.container.decoder_prior import DecoderPrior, check_fit
from aeformat.container.header import LatentsHeader
from aeformat.container.receipts import Receipts
from aeformat.errors import DecoderMismatch, DecoderMissing, Hint, StructureInvalid
from aeformat.model.package import ModelPackage
from aeformat.model.values import EXACT


def check_named(header: LatentsHeader) -> None:
    """Check that a file names its decoder, and as a package.  Raises DecoderMissing."""
    if header.foreign_decoder:
        raise DecoderMissing(
            f"the decoder is no package of aeformat but network {header.foreign_decoder.hex()[:12]}: take the rows, and decode "
            "them with the program that runs it"
        )
    if not header.decoder:
        raise DecoderMissing(
            "the file does not say which decoder its latents are for, so they are not decoded as a file"
        )


def check_decoder(header: LatentsHeader, decoder: ModelPackage) -> None:
    """Check that this decoder is the one that the file names, and that it takes the file's latents.

    Raises DecoderMismatch (another model id, or an encoder), DecoderMissing (the file names none), HeaderInvalid (C3-14,
    C3-16).
    """
    check_named(header)
    if decoder.role != "decoder":
        raise DecoderMismatch(f"{decoder.model_id.hex()[:12]} is an encoder; a decoder is needed")
    if decoder.model_id != header.decoder:
        raise DecoderMismatch(
            f"the file names decoder {header.decoder.hex()[:12]}, this one is {decoder.model_id.hex()[:12]}",
            hint=Hint.GIVE_OTHER_DECODER,
        )
    check_fit(
        header,
        type=decoder.input.type,
        dims=decoder.input.shape,
        image=decoder.output.shape,
        has_prior=decoder.has_prior,
    )


def prior_of(decoder: ModelPackage) -> DecoderPrior:
    """The parts of a decoder that a reader of latents needs; passes take a backend (backends/numpy_passes.py)."""
    takes, has_passes = decoder.input, decoder.passes is not None
    return DecoderPrior(decoder.model_id, takes.type, takes.shape, decoder.output.shape, decoder.prior, has_passes)


def check_receipted(receipts: Receipts, decoder: ModelPackage) -> None:
    """Check that receipts can be verified with this decoder.  Raises StructureInvalid (C7-5)."""
    if decoder.profile != EXACT:
        what = f"receipts, but their decoder has profile {decoder.profile}, whose pixels differ from machine to machine"
        raise StructureInvalid("C7-5", receipts.at, what)
