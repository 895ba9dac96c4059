"""Unpacking: container -> decoder -> images.

Owns the one way through: the decoder is found, held against the file, loaded, and only then is a pixel computed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from aeformat.container.encodings import array_type
from aeformat.container.limits import RECEIPT_ROWS
from aeformat.container.names import RowNames
from aeformat.destination import can_rewrite
from aeformat.errors import ValueInvalid
from aeformat.model.match import check_decoder, check_receipted, prior_of
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.reader import LatentStream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.backends.base import Network
    from aeformat.container.payloads import Block
    from aeformat.container.receipts import Receipts
    from aeformat.images import ImageSink
    from aeformat.model.package import ModelPackage
    from aeformat.pipeline.decoders import FindDecoder, LoadNetwork
    from aeformat.reader import Latents

_COPY_BYTES: Final = 1 << 20
Runs = Sequence[tuple[int, int]]  # (start, stop) of rows that follow one another

_PROOF_BYTES: Final = 1 << 22  # of pixels that are decoded at a time to prove receipts


@dataclass(frozen=True, slots=True)
class Decoded:
    """Images of consecutive rows.  images: (n, h, w, c) uint8.  is_proved: they are what their receipts name."""

    first_row: int
    images: NDArray[np.uint8]
    names: RowNames | None
    is_proved: bool = False


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was written: rows, and how many of them were held against receipts."""

    n_rows: int
    n_proved: int = 0


def unpack(
    latents: LatentStream | Latents, find: FindDecoder, load: LoadNetwork, rows: Runs | None = None
) -> Iterator[Decoded]:
    """The images of a file, block by block; its decoder is found and checked at once, and loaded for the first image.

    rows: runs of rows of a file that is open for random access; of the others only those are decoded that one digest of a
    receipt is also for.  Raises at once what `find` raises, and DecoderMismatch, HeaderInvalid (C3-14, C3-16) for a decoder
    that does not fit; then what `load` raises, FormatError as the file is read, IndexError for rows that are not there.
    """
    decoder = find(latents)
    fit(latents, decoder)
    return _decoded(latents, lambda: load(decoder), rows)


def runs_of(rows: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending numbers of rows as runs."""
    runs: list[tuple[int, int]] = []
    for row in rows:
        if runs and runs[-1][1] == row:
            runs[-1] = (runs[-1][0], row + 1)
        else:
            runs.append((row, row + 1))
    return runs


def unpack_with(latents: LatentStream | Latents, network: Network, rows: Runs | None = None) -> Iterator[Decoded]:
    """The same with a decoder that is ready to run.  Raises as `unpack` does."""
    fit(latents, network.package)
    return _decoded(latents, lambda: network, rows)


def fit(latents: LatentStream | Latents, decoder: ModelPackage) -> None:
    """The one place where a decoder is held against a file; rows of codec rans get its prior.

    Raises DecoderMismatch, HeaderInvalid (C3-14, C3-16).
    """
    check_decoder(latents.header, decoder)
    if latents.needs_prior:
        latents.give_prior(prior_of(decoder))


def _decoded(latents: LatentStream | Latents, ready: Callable[[], Network], rows: Runs | None) -> Iterator[Decoded]:
    network = ready()
    if isinstance(latents, LatentStream):
        assert rows is None  # a stream has no random access
        for block in latents:
            yield decode_block(block, network)
    else:
        for start, stop in [(0, latents.n_rows)] if rows is None else rows:
            for block in latents.blocks(start, stop):
                yield _cut(decode_block(block, network), start, stop)


def _cut(whole: Decoded, start: int, stop: int) -> Decoded:
    """What rows start to stop - 1 of the file have of a block: receipts make it longer than was asked for."""
    first, last = max(start - whole.first_row, 0), min(stop - whole.first_row, len(whole.images))
    names = None if whole.names is None else whole.names.slice(first, last)
    return Decoded(whole.first_row + first, whole.images[first:last], names, whole.is_proved)


def give_prior(latents: LatentStream, find: FindDecoder) -> None:
    """For whoever wants the rows of codec rans and no images: their decoder's prior alone.

    Raises what `find` raises, DecoderMismatch, HeaderInvalid (C3-14, C3-16).
    """
    latents.give_prior(prior_of(find(latents)))


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


def write_images(blocks: Iterable[Decoded], sink: ImageSink, progress: Progress = SILENT) -> Unpacked:
    """Write all blocks to the sink, under their rows' names.  Raises what reading and decoding them and the sink raise."""
    done = Unpacked(0)
    for decoded in blocks:
        names = None if decoded.names is None else decoded.names.names
        sink.write(decoded.images, None if names is None else list(names))
        n_new = len(decoded.images)
        done = Unpacked(done.n_rows + n_new, done.n_proved + n_new * decoded.is_proved)
        progress.update(n_new)
    return done


def write_latents(latents: LatentStream, out: BinaryIO, n_rows: int | None) -> Unpacked:
    """Write the rows as one .npy array (n, *dims); nothing where a damaged stream has none.

    n_rows: how many will come; None for a pipe or a cut file.  The array's header comes first and counts them: then it is
    written once more in the end, where `out` allows that, else the rows wait in a temporary file.  Raises
    FormatError, OSError.
    """
    if n_rows is not None or can_rewrite(out):
        return _write_array(latents, out, n_rows)
    with tempfile.TemporaryFile() as waiting:
        done = _write_array(latents, waiting, None)
        waiting.seek(0)
        if done.n_rows:
            shutil.copyfileobj(waiting, out, _COPY_BYTES)
    return done


def _write_array(latents: LatentStream, out: BinaryIO, n_rows: int | None) -> Unpacked:
    import numpy as np

    from aeformat.images.npy import encode_array_header

    header = latents.header
    descr = np.dtype(array_type(header.values)).str
    start, n_written = None if n_rows is not None else out.tell(), 0
    out.write(encode_array_header(descr, (n_rows or 0, *header.dims)))
    for block in latents:
        out.write(np.ascontiguousarray(block.values).data)
        n_written += len(block.values)
    if start is not None:
        end = out.tell()
        out.seek(start)
        out.write(encode_array_header(descr, (n_written, *header.dims)))
        out.seek(end)
    return Unpacked(n_written)
