"""Unpacking: container -> decoder -> images.

Whether the decoder is the right one is settled before any pixel is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aeformat.container.encodings import array_type
from aeformat.container.names import RowNames
from aeformat.model.match import check_decoder, check_receipted, prior_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.backends.base import Network
    from aeformat.container.payloads import Block
    from aeformat.reader import Latents, LatentStream


@dataclass(frozen=True, slots=True)
class Decoded:
    """Images of consecutive rows.  images: (n, h, w, c) uint8.  is_proved: they are what their receipts name."""

    first_row: int
    images: NDArray[np.uint8]
    names: RowNames | None
    is_proved: bool = False


def unpack(latents: LatentStream, decoder: Network) -> Iterator[Decoded]:
    """The images of a file, block by block.  Raises DecoderMismatch at once, FormatError as the file is read."""
    _check(latents, decoder)
    return _decode(latents, decoder)


def unpack_rows(latents: Latents, decoder: Network, start: int, stop: int) -> Iterator[Decoded]:
    """The images of rows start to stop - 1.  Of the others only those are decoded that one digest of a receipt is also for.

    Raises DecoderMismatch at once, FormatError as the file is read, IndexError for rows that are not there.
    """
    _check(latents, decoder)
    for block in latents.blocks(start, stop):
        whole = decode_block(block, decoder)
        first, last = max(start - block.first_row, 0), min(stop - block.first_row, len(block.values))
        names = None if whole.names is None else whole.names.slice(first, last)
        yield Decoded(block.first_row + first, whole.images[first:last], names, whole.is_proved)


def _check(latents: LatentStream | Latents, decoder: Network) -> None:
    check_decoder(latents.header, decoder.package)
    if latents.needs_prior:
        latents.give_prior(prior_of(decoder.package))


def _decode(latents: LatentStream, decoder: Network) -> Iterator[Decoded]:
    for block in latents:
        yield decode_block(block, decoder)


def decode_block(block: Block, decoder: Network) -> Decoded:
    """The images of one block, checked against its receipts.

    Raises ValueInvalid for a latent outside the decoder's range (M4-7), ReceiptMismatch (C7-6), StructureInvalid (C7-5).
    """
    values: NDArray[Any] = block.values
    wanted = array_type(decoder.package.manifest.input.type)
    if values.dtype != wanted:
        values = values.astype(wanted)
    if block.receipts is None:
        return Decoded(block.first_row, decoder.run(values), block.names)
    check_receipted(block.receipts, decoder.package)
    images = decoder.run(values)
    block.receipts.check(images)
    return Decoded(block.first_row, images, block.names, is_proved=True)
