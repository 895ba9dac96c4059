"""Unpacking: container -> decoder -> images.

Owns the one way through: the decoder is found, held against the file, loaded, and only then is a pixel computed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeGuard

from aeformat.backends.numpy_passes import prior_of
from aeformat.container.encodings import array_type
from aeformat.container.limits import RECEIPT_ROWS
from aeformat.container.names import RowNames
from aeformat.destination import can_rewrite
from aeformat.errors import DecoderError, FormatError, ReceiptMismatch, UsageError, ValueInvalid
from aeformat.model.match import check_decoder, check_receipted
from aeformat.paths import named
from aeformat.pipeline.ahead import computed_ahead
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.pipeline.sized import proved_images
from aeformat.reader import LatentStream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.backends.base import Network
    from aeformat.container.header import LatentsHeader
    from aeformat.container.payloads import Block
    from aeformat.container.receipts import Receipts
    from aeformat.images import ImageSink
    from aeformat.model.free_sizes import Size
    from aeformat.model.package import ModelPackage
    from aeformat.pipeline.decoders import FindDecoder, LoadNetwork
    from aeformat.reader import Latents

    Numbers = range | NDArray[np.int64]  # of rows, ascending, each once

_COPY_BYTES: Final = 1 << 20
_PROOF_BYTES: Final = 1 << 22  # of pixels that are decoded at a time to prove receipts


@dataclass(frozen=True, slots=True)
class Decoded:
    """Images of rows in the order of the file.  images: (n, h, w, c) uint8.  is_proved: they are what their receipts name.

    Where rows have sizes of their own, these n have the same.
    """

    images: NDArray[np.uint8]
    names: RowNames | None
    is_proved: bool = False


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was written: rows, and how many of them were held against receipts."""

    n_rows: int
    n_proved: int = 0


def unpack(
    latents: LatentStream | Latents,
    find: FindDecoder,
    load: LoadNetwork,
    rows: Numbers | None = None,
    *,
    ahead: bool = False,
) -> Iterator[Decoded]:
    """The images of a file, block by block; its decoder is found and checked at once, and loaded for the first image.

    rows: of a file that is open for random access; of the others only those are decoded that one digest of a receipt is also
    for, and none twice.  ahead: read and decode the next blocks while one is used; not for a pipe whose writer is waited for.
    Raises at once what `find` raises, and DecoderMismatch, HeaderInvalid (C3-14, C3-16) for a decoder
    that does not fit; then what `load` raises, FormatError as the file is read, IndexError for rows that are not there.
    """
    with named(latents.name, DecoderError):
        decoder = find(latents)
    fit(latents, decoder)
    return _decoded(latents, lambda: load(decoder), rows, ahead=ahead)


def n_computed(latents: Latents, rows: Numbers) -> int:
    """How many rows `unpack` computes to hand out these: with receipts, those too that one digest is also for.

    Raises FormatError.
    """
    return len(rows) if _is_run(rows) else len(latents.with_receipted(rows_array(rows)))


def rows_array(rows: Numbers) -> NDArray[np.int64]:
    """Numbers of rows as an array (n,) int64."""
    import numpy as np

    return np.arange(rows.start, rows.stop, rows.step) if isinstance(rows, range) else rows


def _is_run(rows: Numbers) -> TypeGuard[range]:
    return isinstance(rows, range) and rows.step == 1


def unpack_with(latents: LatentStream | Latents, network: Network, rows: Numbers | None = None) -> Iterator[Decoded]:
    """The same with a decoder that is ready to run.  Raises as `unpack` does."""
    fit(latents, network.package)
    return _decoded(latents, lambda: network, rows, ahead=False)


def fit(latents: LatentStream | Latents, decoder: ModelPackage) -> None:
    """The one place where a decoder is held against a file; rows of codec rans get its prior.

    Raises DecoderMismatch, HeaderInvalid (C3-14, C3-16).
    """
    with named(latents.name):
        check_decoder(latents.header, decoder)
        if latents.needs_prior:
            latents.give_prior(prior_of(decoder))


def _decoded(
    latents: LatentStream | Latents, ready: Callable[[], Network], rows: Numbers | None, *, ahead: bool
) -> Iterator[Decoded]:
    network = ready()
    try:
        yield from _decoded_by(network, latents, rows, ahead=ahead)
    except FormatError as error:
        error.source = error.source or latents.name
        raise


def _decoded_by(
    network: Network, latents: LatentStream | Latents, rows: Numbers | None, *, ahead: bool
) -> Iterator[Decoded]:
    if isinstance(latents, LatentStream):
        assert rows is None  # a stream has no random access
        if ahead and not latents.header.has_free_sizes:
            yield from _decoded_ahead(latents, network)
            return
        for block in latents:
            yield from decode_rows(block, network)
    elif latents.header.has_free_sizes:
        yield from _sized_picks(latents, network, rows_array(range(latents.n_rows) if rows is None else rows))
    elif rows is None or _is_run(rows):
        rows = range(latents.n_rows) if rows is None else rows
        for block in latents.blocks(rows.start, rows.stop):
            yield _cut(decode_block(block, network), block.first_row, rows)
    else:
        yield from _decoded_picks(latents, network, rows_array(rows))


def _decoded_ahead(latents: LatentStream, network: Network) -> Iterator[Decoded]:
    """All blocks of a file whose rows have one size; the next ones are read and decoded while one is used."""
    image_bytes = network.package.output.value.n_elements
    decode = partial(decode_block, decoder=network)
    ahead = computed_ahead(decode, latents, lambda block: block.values.nbytes + len(block.values) * image_bytes)
    return (images for _, images in ahead)


def _cut(whole: Decoded, first_row: int, rows: range) -> Decoded:
    """What a run of rows of the file has of a block: receipts make it longer than was asked for."""
    first, last = max(rows.start - first_row, 0), min(rows.stop - first_row, len(whole.images))
    names = None if whole.names is None else whole.names.slice(first, last)
    return Decoded(whole.images[first:last], names, whole.is_proved)


def _decoded_picks(latents: Latents, network: Network, rows: NDArray[np.int64]) -> Iterator[Decoded]:
    """Rows here and there: what they need of a chunk is gathered and decoded at once."""
    import numpy as np

    needed = latents.with_receipted(rows)
    while len(rows):
        block = latents.block_of(int(rows[0]))
        end = block.first_row + len(block.values)
        n_needed, n_wanted = np.searchsorted(needed, end), np.searchsorted(rows, end)
        here, wanted = needed[:n_needed] - block.first_row, rows[:n_wanted] - block.first_row
        whole = _decode_some(block, here, network)
        kept = np.searchsorted(here, wanted)
        names = None if whole.names is None else whole.names.pick(kept.tolist())
        yield Decoded(whole.images[kept], names, whole.is_proved)
        needed, rows = needed[n_needed:], rows[n_wanted:]


def _sized_picks(latents: Latents, network: Network, rows: NDArray[np.int64]) -> Iterator[Decoded]:
    """The same of rows that have sizes of their own: of a chunk, each run of rows that is needed is decoded by itself."""
    import numpy as np

    while len(rows):
        block = latents.block_of(int(rows[0]))
        n_wanted = np.searchsorted(rows, block.first_row + len(block.values))
        wanted, rows = rows[:n_wanted] - block.first_row, rows[n_wanted:]
        for start, stop in _runs_needed(block, wanted):
            for first, images in proved_images(block.slice(start, stop), network):
                first += start
                kept = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, first + len(images))]
                if len(kept):
                    names = None if block.names is None else block.names.pick(kept.tolist())
                    is_all = len(kept) == len(images)
                    yield Decoded(
                        images if is_all else images[kept - first], names, is_proved=block.receipts is not None
                    )
                del images


def _runs_needed(block: Block, wanted: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First row and the one behind the last of what has to be decoded together for the rows that are wanted, in order."""
    import numpy as np

    if block.receipts is None:
        runs = np.split(wanted, np.flatnonzero(np.diff(wanted) != 1) + 1)
        return [(int(run[0]), int(run[-1]) + 1) for run in runs]
    ends = np.asarray(block.receipts.ends)
    numbers = np.unique(np.searchsorted(ends, wanted, "right")).tolist()
    return [(int(ends[number - 1]) if number else 0, int(ends[number])) for number in numbers]


def _decode_some(block: Block, rows: NDArray[np.int64], network: Network) -> Decoded:
    """The images of some rows of a block, numbered in it; raises as decode_block does."""
    import numpy as np

    try:
        return decode_block(block.pick(rows), network)
    except (ValueInvalid, ReceiptMismatch):  # again by what follows one another, so that the error has its row and byte
        for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
            decode_block(block.slice(int(run[0]), int(run[-1]) + 1), network)
        raise


def give_prior(latents: LatentStream, find: FindDecoder) -> None:
    """For whoever wants the rows of codec rans and no images: their decoder's prior alone.

    Raises what `find` raises, DecoderMismatch, HeaderInvalid (C3-14, C3-16).
    """
    latents.give_prior(prior_of(find(latents)))


def decode_rows(block: Block, decoder: Network) -> Iterator[Decoded]:
    """The images of one block; where rows have sizes of their own, in parts of one size.

    Raises as decode_block does; ValueInvalid, LimitExceeded for sizes that do not go together (M3-12).
    """
    if not decoder.package.has_free_sizes:
        yield decode_block(block, decoder)
        return
    for first, images in proved_images(block, decoder):
        names = None if block.names is None else block.names.slice(first, first + len(images))
        yield Decoded(images, names, is_proved=block.receipts is not None)
        del images


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
    return Decoded(images, block.names, is_proved=block.receipts is not None)


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


def one_size(latents: Latents, rows: Numbers | None = None) -> Size | None:
    """Height and width of the images of these rows, by default of all, if they happen to be the same; no row is read.

    Raises IndexError, FormatError.
    """
    if not latents.header.form.has_free_image:
        return None
    if rows is None or _is_run(rows):
        span = range(latents.n_rows) if rows is None else rows
        runs = latents.sizes(span.start, span.stop).runs()
        found = {latents.header.form.image_of(run.sizes) for run in runs}
    else:
        sizes = latents.sizes()
        found = {sizes.image(int(row)) for row in rows}
    height, width, _ = found.pop()
    return None if found else (height, width)


def check_one_size(header: LatentsHeader) -> None:
    """That one array holds all rows of a file.  Raises UsageError."""
    if header.has_free_sizes:
        raise UsageError(
            "the rows of this file have sizes of their own, which no one array holds; aeformat.open gives each"
        )


def write_latents(latents: LatentStream, out: BinaryIO, n_rows: int | None) -> Unpacked:
    """Write the rows as one .npy array (n, *dims); nothing where a damaged stream has none.

    n_rows: how many will come; None for a pipe or a cut file.  The array's header comes first and counts them: then it is
    written once more in the end, where `out` allows that, else the rows wait in a temporary file.  Raises
    FormatError, OSError, UsageError where rows have sizes of their own.
    """
    check_one_size(latents.header)
    if n_rows is not None or can_rewrite(out):
        return write_array(latents.header, latents, out, n_rows)
    with tempfile.TemporaryFile() as waiting:
        done = write_array(latents.header, latents, waiting, None)
        waiting.seek(0)
        if done.n_rows:
            shutil.copyfileobj(waiting, out, _COPY_BYTES)
    return done


def write_array(header: LatentsHeader, blocks: Iterable[Block], out: BinaryIO, n_rows: int | None) -> Unpacked:
    """Write rows as one .npy array (n, *dims).  n_rows: how many will come; None where `out` can be rewritten in the end."""
    import numpy as np

    from aeformat.images.npy import encode_array_header

    descr = np.dtype(array_type(header.values)).str
    start, n_written = None if n_rows is not None else out.tell(), 0
    out.write(encode_array_header(descr, (n_rows or 0, *header.dims)))
    for block in blocks:
        out.write(np.ascontiguousarray(block.values).data)
        n_written += len(block.values)
    if start is not None:
        end = out.tell()
        out.seek(start)
        out.write(encode_array_header(descr, (n_written, *header.dims)))
        out.seek(end)
    return Unpacked(n_written)
