"""Writing latents that a caller has as arrays.

Owns `create`: a file that appears under its name when all its rows are written, or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aeformat.atomic import AtomicFile
from aeformat.container.assigned import ENCODINGS
from aeformat.container.compression import DEFAULT_LEVEL
from aeformat.container.encodings import round_to
from aeformat.container.header import LatentsHeader
from aeformat.container.names import RowNames
from aeformat.container.writer import LatentsWriter
from aeformat.errors import UsageError
from aeformat.model.file_io import package_bytes
from aeformat.model.match import prior_of
from aeformat.pipeline.models import as_model
from aeformat.pipeline.pack import check_codec, encoding_for, fitting_filter, usual_codec, writer_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aeformat.model.package import ModelPackage
    from aeformat.pipeline.arrays import AnyModel


class LatentsFile:
    """A file of latents that is being written; `create` makes one.

    As a context manager it appears under its name on a clean exit, and leaves nothing behind after an exception.
    """

    def __init__(self, file: AtomicFile, writer: LatentsWriter, header: LatentsHeader, *, is_rounded: bool) -> None:
        self._file, self._writer, self._is_rounded = file, writer, is_rounded
        self._is_open = True
        self.header = header

    @property
    def n_rows(self) -> int:
        """Rows so far."""
        return self._writer.n_rows + self._writer.n_waiting

    @property
    def content_id(self) -> bytes | None:
        """What the content of the file is known by, once it is closed."""
        return self._writer.content_id

    def append(self, latents: NDArray[Any], names: Sequence[str] | RowNames | None = None) -> None:
        """Add rows.

        latents: (n, *dims) in the header's value type; float32 where encoding f16le or bf16le rounds a decoder's latents.
        names: of the same n rows, relative POSIX paths.

        Raises ValueError, TypeError (another shape or type), ValueInvalid (NaN, infinity, a value outside the decoder's
        range), NamesInvalid, OSError.
        """
        import numpy as np

        values = np.asarray(latents)
        if self._is_rounded and values.dtype == np.float32:
            values = round_to(values, self.header.values)
        of_rows = names if names is None or isinstance(names, RowNames) else RowNames(names=tuple(names))
        self._writer.write(values, of_rows)

    def close(self) -> None:
        """Finish the file and put it under its name.  Raises StructureInvalid where there are no rows, OSError."""
        if not self._is_open:
            return
        try:
            self._writer.close()
            self._file.commit()
        except BaseException:
            self.abort()
            raise
        self._is_open = False

    def abort(self) -> None:
        """Remove what was written.  Does nothing after `close`."""
        self._is_open = False
        self._file.abort()

    def __enter__(self) -> LatentsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def create(
    path: str | os.PathLike[str],
    *,
    decoder: AnyModel | bytes,
    dims: Sequence[int] | None = None,
    image: Sequence[int] | None = None,
    encoding: str | None = None,
    codec: str | None = None,
    level: int = DEFAULT_LEVEL,
    embed_decoder: bool = False,
    encoder: bytes | None = None,
    ext: Mapping[str, Any] | None = None,
    force: bool = False,
) -> LatentsFile:
    """A new file of latents, to be filled with `append`; it appears when it is closed, whole or not at all.

    decoder: a Model, what load_model takes, or the 32 bytes of a model id: then dims, image and encoding must be given.
    dims: the shape of one latent.  image: (height, width, channels) of what the decoder makes of it.
    encoding: a name of spec/container.md; by default the decoder's own type.
    codec: "none", "zstd" or "rans"; by default the one that makes the smaller file.  level: zstd's.
    embed_decoder: let the decoder travel in the file.
    encoder: the encoder's model id, for the record.  ext: what else the header shall say.
    force: replace a file of that name.

    Raises UsageError (what does not go together, a file that exists), HeaderInvalid, FormatError.  Source: spec/container.md.
    """
    package = None if isinstance(decoder, bytes) else as_model(decoder).the_decoder
    if package is not None:
        header = _header_of_decoder(package, dims, image, encoding, codec)
    elif isinstance(decoder, bytes) and dims is not None and image is not None and encoding is not None:
        header = _header_of_id(decoder, dims, image, encoding, codec or "zstd")
    else:
        raise UsageError("a model id does not say what the decoder takes; give dims, image and encoding too")
    if embed_decoder and package is None:
        raise UsageError("a model id is no decoder that could travel in the file; give the decoder")
    header = header._replace(encoder=encoder, ext={} if ext is None else ext)
    file = AtomicFile(path, force=force)
    try:
        embedded = package_bytes(package) if package is not None and embed_decoder else None
        prior = None if package is None else prior_of(package)
        writer = writer_for(file.file, header, level, embedded, prior)
    except BaseException:
        file.abort()
        raise
    is_rounded = package is not None and package.input.type == "f32" and header.values in ("f16", "bf16")
    return LatentsFile(file, writer, header, is_rounded=is_rounded)


def _header_of_decoder(
    decoder: ModelPackage,
    dims: Sequence[int] | None,
    image: Sequence[int] | None,
    encoding: str | None,
    codec: str | None,
) -> LatentsHeader:
    for name, given, own in (("dims", dims, decoder.input.shape), ("image", image, decoder.output.shape)):
        if given is not None and tuple(given) != own:
            raise UsageError(f"{name} are {list(given)}, those of the decoder {list(own)}; leave them out")
    chosen, values = encoding_for(decoder.input, encoding)
    codec = codec or usual_codec(chosen, decoder)
    check_codec(chosen, codec, prior_of(decoder))
    height, width, channels = decoder.output.shape
    shape = (height, width, channels)
    return LatentsHeader(
        decoder.model_id, decoder.input.shape, shape, chosen, codec, fitting_filter(chosen, codec), values
    )


def _header_of_id(
    decoder: bytes, dims: Sequence[int], image: Sequence[int], encoding: str, codec: str
) -> LatentsHeader:
    if encoding not in ENCODINGS:
        raise UsageError(f"unknown encoding {encoding!r}; there are {', '.join(ENCODINGS)}")
    check_codec(encoding, codec, None)
    if len(image) != 3:
        raise UsageError(f"image is {list(image)}, not height, width and channels")
    height, width, channels = image
    return LatentsHeader(
        decoder, tuple(dims), (height, width, channels), encoding, codec, fitting_filter(encoding, codec)
    )
