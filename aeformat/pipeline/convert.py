"""Conversion of a file to another encoding or codec.  The values stay the same, and so does the content id.

The type of the values, the row names, fields, receipts, the encoder's id and an embedded decoder are kept too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeformat.backends.numpy_passes import prior_of
from aeformat.container.assigned import ENCODINGS
from aeformat.container.chunk_writer import Sink
from aeformat.errors import Hint, UsageError
from aeformat.pipeline.decoders import own_decoder
from aeformat.pipeline.pack import Packed, check_codec, fitting_filter, writer_for
from aeformat.pipeline.progress import SILENT, Progress

if TYPE_CHECKING:
    from aeformat.pipeline.decoders import FindDecoder
    from aeformat.reader import LatentStream


def convert(
    latents: LatentStream,
    sink: Sink,
    *,
    encoding: str | None,
    codec: str | None,
    level: int | None = None,
    find: FindDecoder = own_decoder,
    progress: Progress = SILENT,
) -> Packed:
    """Write the same latents in another encoding and codec; None keeps the file's own.

    find: asked for the file's decoder where codec rans is read or written, and nowhere else.
    Raises UsageError if encoding or codec do not go with the values, what `find` raises, FormatError as the file is read.
    """
    header = latents.header
    encoding = header.encoding if encoding is None else encoding
    codec = header.codec if codec is None else codec
    if codec == "rans" and header.has_free_sizes and not header.takes_passes:
        raise UsageError(
            f"codec rans takes rows [0, 0, n] of images of any size, and these have dims {list(header.dims)}",
            hint=Hint.USE_ZSTD,
        )
    prior = prior_of(find(latents)) if "rans" in (codec, header.codec) else None
    if encoding not in ENCODINGS:
        raise UsageError(f"unknown encoding {encoding!r}; there are {', '.join(ENCODINGS)}")
    if header.values not in ENCODINGS[encoding].holds:
        fitting = [name for name, spec in ENCODINGS.items() if header.values in spec.holds]
        raise UsageError(
            f"encoding {encoding} cannot hold {header.values} values without loss; these can: {', '.join(fitting)}"
        )
    new = header._replace(encoding=encoding, codec=codec, filter=fitting_filter(encoding, codec))
    if prior is not None and latents.needs_prior:
        latents.give_prior(prior)
    check_codec(encoding, codec, prior)
    with writer_for(sink, new, level, latents.embedded_decoder, prior) as writer:
        for block in latents:
            receipts = None if block.receipts is None else block.receipts.digests
            writer.write(block.values, block.names, receipts, block.fields)
            progress.update(len(block.values))
    assert writer.content_id is not None and latents.trailer is not None
    return Packed(writer.n_rows, writer.n_bytes, writer.content_id)
