"""Whether a decoder is the one that a latents file names, and may prove it (spec/container.md, C3-14, C7-5)."""

from __future__ import annotations

from aeformat.errors import DecoderMismatch, HeaderInvalid, StructureInvalid
from aeformat.header import LatentsHeader
from aeformat.model.package import ModelPackage
from aeformat.model.values import EXACT
from aeformat.receipts import Receipts
from aeformat.registry import VALUE_TYPES
from aeformat.wire import PREAMBLE_BYTES


def check_decoder(header: LatentsHeader, decoder: ModelPackage) -> None:
    """That this decoder is the one the file names, and takes what the file holds.

    Raises DecoderMismatch (another model id, or an encoder), HeaderInvalid (C3-14).
    """
    if decoder.role != "decoder":
        raise DecoderMismatch(f"{decoder.model_id.hex()[:12]} is an encoder; a decoder is needed")
    if decoder.model_id != header.decoder:
        raise DecoderMismatch(
            f"the file names decoder {header.decoder.hex()[:12]}, this one is {decoder.model_id.hex()[:12]}; "
            "give the right one with --decoder"
        )
    takes = decoder.input
    fits = VALUE_TYPES[header.values].is_float if takes.type == "f32" else header.values == takes.type
    if header.dims != takes.shape or header.image != decoder.output.shape or not fits:
        raise HeaderInvalid(
            "C3-14",
            PREAMBLE_BYTES,
            f"rows of {header.values} {list(header.dims)} for images {list(header.image)} do not go with their decoder, "
            f"which turns {takes.type} {list(takes.shape)} into {list(decoder.output.shape)}",
        )


def check_receipted(receipts: Receipts, decoder: ModelPackage) -> None:
    """That this decoder's pixels can be held against receipts.  Raises StructureInvalid (C7-5)."""
    if decoder.profile != EXACT:
        what = f"receipts, but their decoder has profile {decoder.profile}, whose pixels differ from machine to machine"
        raise StructureInvalid("C7-5", receipts.at, what)
