"""Unpacking: container -> decoder -> images.

Whether the decoder is the right one is settled before any pixel is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aeformat.encodings import array_type
from aeformat.model.match import check_decoder
from aeformat.names import RowNames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.backends.base import Network
    from aeformat.payloads import Block
    from aeformat.reader import LatentStream


@dataclass(frozen=True, slots=True)
class Decoded:
    """Images of consecutive rows.  images: (n, h, w, c) uint8."""

    first_row: int
    images: NDArray[np.uint8]
    names: RowNames | None


def unpack(latents: LatentStream, decoder: Network) -> Iterator[Decoded]:
    """The images of a file, block by block.  Raises DecoderMismatch at once, FormatError as the file is read."""
    check_decoder(latents.header, decoder.package)
    return _decode(latents, decoder)


def _decode(latents: LatentStream, decoder: Network) -> Iterator[Decoded]:
    for block in latents:
        yield decode_block(block, decoder)


def decode_block(block: Block, decoder: Network) -> Decoded:
    """The images of one block.  Raises ValueInvalid for a latent outside the decoder's range (M4-7)."""
    values: NDArray[Any] = block.values
    wanted = array_type(decoder.package.manifest.input.type)
    if values.dtype != wanted:
        values = values.astype(wanted)
    return Decoded(block.first_row, decoder.run(values), block.names)
