"""Unpacking: container -> decoder -> images.

Whether the decoder is the right one is settled before any pixel is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from aeformat.container.encodings import array_type
from aeformat.container.limits import RECEIPT_ROWS
from aeformat.container.names import RowNames
from aeformat.errors import ValueInvalid
from aeformat.model.match import check_decoder, check_receipted, prior_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.backends.base import Network
    from aeformat.container.payloads import Block
    from aeformat.container.receipts import Receipts
    from aeformat.reader import Latents, LatentStream

_PROOF_BYTES: Final = 1 << 22  # of pixels that are decoded at a time to prove receipts


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
    if block.receipts is not None:
        check_receipted(block.receipts, decoder.package)
    try:
        images = decoder.run(values)
    except ValueInvalid as error:
        number = error.at // values.itemsize
        if block.receipts is not None:
            _check_before(block.receipts, values, number, decoder)
        raise _outside(block, values, number, decoder) from None
    if block.receipts is not None:
        block.receipts.check(images)
    return Decoded(block.first_row, images, block.names, is_proved=block.receipts is not None)


def _check_before(receipts: Receipts, values: NDArray[Any], number: int, decoder: Network) -> None:
    """C7-6 of the runs before that of value `number`: they are checked before it (container.md, section 7)."""
    row = number * len(values) // values.size
    n_rows = row // RECEIPT_ROWS * RECEIPT_ROWS
    if n_rows:
        receipts.slice(0, n_rows).check(decoder.run(values[:n_rows]))


def _outside(block: Block, values: NDArray[Any], number: int, decoder: Network) -> ValueInvalid:
    """M4-7 by the row and the byte in the file."""
    row = block.first_row + number * len(values) // values.size
    allowed = decoder.package.input.interval
    return ValueInvalid(
        "M4-7", block.byte_of(number), f"row {row} holds {values.flat[number]}, the model takes {allowed}"
    )


def run_digest(run: Block, decoder: Network) -> bytes:
    """The digest of the pixels of one run (container.md, section 7), of which only a few are in memory at a time.

    Raises ValueInvalid for a latent outside the decoder's range, before anything is decoded (M4-7).
    """
    from aeformat.backends.base import checked_rows

    values = run.values.astype(array_type(decoder.package.input.type), copy=False)
    try:
        checked_rows(decoder.package.input, values)
    except ValueInvalid as error:
        raise _outside(run, values, error.at // values.itemsize, decoder) from None
    step = max(1, _PROOF_BYTES // decoder.package.output.value.n_elements)
    made = sha256()
    for start in range(0, len(values), step):
        made.update(decoder.run(values[start : start + step]).tobytes())
    return made.digest()
