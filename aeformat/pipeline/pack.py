"""Packing: images -> encoder -> container.

Owns the choice of the header for a model and an encoding.  The bytes depend on the images, the encoder and the options, but
not on how many rows are encoded at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aeformat.container import compression, receipts
from aeformat.container.assigned import CODECS, ENCODINGS, RANS_ENCODINGS
from aeformat.container.chunk_writer import Sink
from aeformat.container.encodings import round_to
from aeformat.container.header import LatentsHeader
from aeformat.container.limits import RECEIPT_ROWS
from aeformat.container.names import RowNames
from aeformat.container.writer import LatentsWriter
from aeformat.errors import Hint, ImageError, UsageError
from aeformat.model.values import EXACT
from aeformat.pipeline import BATCH_ROWS
from aeformat.pipeline.ahead import computed_ahead
from aeformat.pipeline.pack_sized import SizedRows
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.pipeline.sources import Source, read_source, with_sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from aeformat.backends.base import Network
    from aeformat.container.decoder_prior import DecoderPrior
    from aeformat.images import ImageBlock, ImageSource
    from aeformat.model.manifest import Endpoint
    from aeformat.model.package import ModelPackage
    from aeformat.pipeline.refinement import Refiner

_MOST_BATCH_ROWS: Final = 1 << 20
_OWN_ENCODING: Final = {"f32": "f32le", "u8": "u8", "i8": "i8"}
_ROUNDED: Final = {"f16le": "f16", "bf16le": "bf16"}  # what float latents may be rounded to on request


@dataclass(frozen=True, slots=True)
class PackOptions:
    """How to store latents.

    encoding: a name of spec/container.md, or None for the latents' own.  codec: "none", "zstd" or "rans".  level: zstd's.
    prior: the decoder's, for codec rans.
    embed: the decoder's whole container, to travel in the file.  record_encoder: write the encoder's model id into the header.
    batch_rows: rows encoded at once, 1 to 2^20; no effect on the bytes.
    refine: how to look for better latents than the encoder's.
    receipts_by: the decoder whose pixels receipts are recorded of; None for no receipts.
    sources: record the SHA-256 of each image file.

    Raises UsageError for a codec that there is none of, a level that it does not take, and for batches out of range.
    """

    encoding: str | None = None
    codec: str = "zstd"
    level: int | None = None
    prior: DecoderPrior | None = None
    embed: bytes | None = None
    record_encoder: bool = False
    batch_rows: int = BATCH_ROWS
    refine: Refiner | None = None
    receipts_by: Network | None = None
    sources: bool = False

    def __post_init__(self) -> None:
        checked_level(self.level, self.codec)
        check_number("batch_rows", self.batch_rows, 1, _MOST_BATCH_ROWS)


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written.  n_bytes: the whole file."""

    n_rows: int
    n_bytes: int
    content_id: bytes


def latents_header(encoder: Network, options: PackOptions) -> LatentsHeader:
    """The header for latents of this encoder.  Raises UsageError if encoding or codec do not fit them."""
    manifest = encoder.package.manifest
    assert manifest.decoder is not None  # M2-3
    encoding, values = encoding_for(manifest.output, options.encoding)
    check_codec(encoding, options.codec, options.prior)
    height, width, channels = manifest.input.shape
    return LatentsHeader(
        decoder=manifest.decoder,
        encoder=encoder.package.model_id if options.record_encoder else None,
        dims=manifest.output.shape,
        image=(height, width, channels),
        encoding=encoding,
        codec=options.codec,
        filter=fitting_filter(encoding, options.codec),
        values=values,
    )


def fitting_filter(encoding: str, codec: str) -> str:
    """The filter for an encoding and a codec: "shuffle" where zstd compresses values of several bytes, else "none"."""
    spec = ENCODINGS[encoding]
    return "none" if codec != "zstd" or spec.is_text or spec.n_bytes == 1 else "shuffle"


def usual_codec(encoding: str | None, decoder: ModelPackage) -> str:
    """The codec that gives the smaller file: "rans" where the decoder has a prior and the encoding allows it, else "zstd"."""
    own = _OWN_ENCODING[decoder.input.type] if encoding is None else encoding
    return "rans" if decoder.has_prior and own in RANS_ENCODINGS else "zstd"


def checked_level(level: int | None, codec: str) -> int | None:
    """The level for zstd; None: the usual one.

    Raises UsageError for a codec that there is none of, a level out of range, or one for another codec than zstd.
    """
    if codec not in CODECS:
        raise UsageError(f"unknown codec {codec!r}; there are {', '.join(CODECS)}")
    if level is None:
        return None
    check_number("level", level, 1, compression.MAX_LEVEL)
    if codec != "zstd":
        raise UsageError(f"a level does nothing with codec {codec}; leave it out, or take codec zstd")
    return level


def check_number(name: str, number: int, least: int, most: int) -> None:
    """Raises UsageError unless it is an integer from least to most.  name: the option's."""
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
        raise UsageError(f"{name} is {number!r}, and must be an integer from {least:,} to {most:,}")


def check_codec(encoding: str, codec: str, prior: DecoderPrior | None) -> None:
    """Raises UsageError where codec rans has no prior, or another encoding than its own (C3-15, C3-16)."""
    if codec != "rans":
        return
    if encoding not in RANS_ENCODINGS:
        raise UsageError(f"codec rans goes with encoding u8 or i8 only, not with {encoding}", hint=Hint.USE_ZSTD)
    if prior is None or prior.prior is None:
        raise UsageError("codec rans takes a decoder with a prior, and this one has none", hint=Hint.USE_ZSTD)


def encoding_for(latents: Endpoint, wanted: str | None) -> tuple[str, str]:
    """(encoding, value type) for latents of this type; wanted None: their own.  Raises UsageError."""
    if wanted is None:
        return _OWN_ENCODING[latents.type], latents.type
    if wanted not in ENCODINGS:
        raise UsageError(f"unknown encoding {wanted!r}; there are {', '.join(ENCODINGS)}")
    if latents.type in ENCODINGS[wanted].holds:
        return wanted, latents.type
    if latents.type == "f32" and wanted in _ROUNDED:
        return wanted, _ROUNDED[wanted]
    fitting = [name for name, spec in ENCODINGS.items() if latents.type in spec.holds]
    if latents.type == "f32":
        fitting += [f"{name} (rounds them)" for name in _ROUNDED]
    raise UsageError(f"encoding {wanted} cannot hold {latents.type} latents; these can: {', '.join(fitting)}")


def pack(
    source: ImageSource, encoder: Network, sink: Sink, options: PackOptions, progress: Progress = SILENT
) -> Packed:
    """Encode all images of `source` and write the file to `sink`.

    Raises ImageError (unreadable or no images), UsageError (encoding, a latent too large for it, receipts of a float32 decoder,
    refining without codec rans), FormatError (latents that cannot be stored), OSError.
    """
    header = latents_header(encoder, options)
    if options.receipts_by is not None:
        _check_makes_receipts(options.receipts_by)
    if options.refine is not None and options.codec != "rans":
        raise UsageError(
            f"refining weighs errors against the bits of codec rans, and codec {options.codec} writes others",
            hint=Hint.USE_RANS,
        )
    if options.sources:
        _check_has_paths(source)
    with writer_for(sink, header, options.level, options.embed, options.prior) as writer:
        if header.has_free_sizes:
            n_rows = _pack_sized(source, encoder, writer, header, options, progress)
        else:
            n_rows = _pack_rows(source, encoder, writer, header, options, progress)
        if not n_rows:
            raise ImageError(f"{source.label}: there are no images in it")
    assert writer.content_id is not None
    return Packed(writer.n_rows, writer.n_bytes, writer.content_id)


def _pack_rows(
    source: ImageSource,
    encoder: Network,
    writer: LatentsWriter,
    header: LatentsHeader,
    options: PackOptions,
    progress: Progress,
) -> int:
    """Write rows of one size; how many."""
    latents_type = encoder.package.manifest.output.type
    batch_rows = (
        options.batch_rows if options.receipts_by is None else _whole_runs(options.batch_rows, writer.chunk_rows)
    )
    for block, (values, digests) in _encoded(source, encoder, batch_rows, options, progress):
        if header.values != latents_type:
            values = _rounded(values, header, writer.n_rows + writer.n_waiting)
        writer.write(values, _row_names(block, sources=options.sources), digests)
        if options.refine is None:
            progress.update(len(values))
    return writer.n_rows + writer.n_waiting


def _encoded(
    source: ImageSource, encoder: Network, batch_rows: int, options: PackOptions, progress: Progress
) -> Iterator[tuple[ImageBlock, tuple[NDArray[Any], bytes | None]]]:
    """Each block, its latents, and the digests of what a decoder makes of them; computed ahead, unless they are refined."""

    def encoded(block: ImageBlock) -> tuple[NDArray[Any], bytes | None]:
        values = encoder.run(block.images)
        if options.refine is not None:
            values = options.refine.refine(values, block.images, progress)
        by = options.receipts_by
        return values, None if by is None else receipts.digests_of(by.run(values))

    blocks = source.blocks(batch_rows)
    if options.refine is not None:  # it says how far it is, and has threads of its own
        return ((block, encoded(block)) for block in blocks)
    return computed_ahead(encoded, blocks, lambda block: block.images.nbytes)


def _pack_sized(
    source: ImageSource,
    encoder: Network,
    writer: LatentsWriter,
    header: LatentsHeader,
    options: PackOptions,
    progress: Progress,
) -> int:
    """Write rows of their own size; how many."""
    latents_type = encoder.package.manifest.output.type
    rows = SizedRows(writer, header)
    for block in source.blocks(options.batch_rows):
        size = block.images.shape[1], block.images.shape[2]
        names = _row_names(block, sources=options.sources)
        values = encoder.run(block.images)
        if options.refine is not None:
            values = options.refine.refine(values, block.images, progress)
        del block  # a photograph takes much memory, and the next one is read while this name still stands
        decoded = None if options.receipts_by is None else options.receipts_by.run(values, size)
        if header.values != latents_type:
            values = _rounded(values, header, rows.n_rows)
        rows.add(values, size, names, decoded)
        del decoded
        if options.refine is None:
            progress.update(len(values))
    rows.flush()
    return rows.n_rows


def _row_names(block: ImageBlock, *, sources: bool) -> RowNames | None:
    """sources: whether the digests of the files are recorded."""
    of_rows = None if block.names is None else RowNames(names=tuple(block.names))
    if not sources:
        return of_rows
    if block.digests is not None:
        return with_sources(of_rows, [Source(digest) for digest in block.digests])
    return of_rows if block.paths is None else with_sources(of_rows, [read_source(path) for path in block.paths])


def _check_has_paths(source: ImageSource) -> None:
    if not source.has_paths:
        raise UsageError(
            f"{source.label}: sources are recorded of image files, and some of these images are in no file of their own"
        )


def _rounded(values: NDArray[Any], header: LatentsHeader, first_row: int) -> NDArray[Any]:
    """Latents in the narrower type that was asked for.  Raises UsageError for one that is too large for it."""
    import numpy as np

    rounded = round_to(values, header.values)
    too_large = np.argwhere(np.isinf(rounded) & np.isfinite(values))
    if len(too_large):
        at = tuple(too_large[0])
        row, others = first_row + int(at[0]), "bf16le or f32le hold" if header.values == "f16" else "f32le holds"
        raise UsageError(f"row {row:,}: the latent {values[at]:.6g} is too large for {header.encoding}; {others} it")
    return rounded


def writer_for(
    sink: Sink, header: LatentsHeader, level: int | None, decoder: bytes | None, prior: DecoderPrior | None
) -> LatentsWriter:
    """A writer, with the prior where the codec needs one.  Raises UsageError for a level that the codec does not take."""
    level = checked_level(level, header.codec)
    return LatentsWriter(sink, header, level=level, decoder=decoder, prior=prior if header.codec == "rans" else None)


def _check_makes_receipts(decoder: Network) -> None:
    """Refuse a decoder whose pixels differ between machines: receipts of them would not hold (C7-5)."""
    profile = decoder.package.profile
    if profile != EXACT:
        raise UsageError(
            f"receipts need a decoder of profile exact; this one has profile {profile}, and two machines may differ by a grey "
            "level in what they make of it"
        )


def _whole_runs(batch_rows: int, chunk_rows: int) -> int:
    """batch_rows rounded to whole runs of receipts, so that receipts and chunks do not depend on it."""
    return chunk_rows if chunk_rows < RECEIPT_ROWS else max(batch_rows // RECEIPT_ROWS, 1) * RECEIPT_ROWS
