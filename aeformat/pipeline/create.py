"""Writing latents that a caller has as arrays.

Owns `create`: a file that appears under its name when all its rows are written, or not at all.
"""

from __future__ import annotations

import operator
import os
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from aeformat.atomic import AtomicFile
from aeformat.backends.numpy_passes import prior_of
from aeformat.container import canonical
from aeformat.container.assigned import ENCODINGS
from aeformat.container.described import Described, DescribedInvalid, parse_described
from aeformat.container.encodings import round_to
from aeformat.container.header import LatentsHeader
from aeformat.container.names import RowNames
from aeformat.container.ragged import RaggedRows
from aeformat.container.sizes import BadSizes
from aeformat.container.writer import LatentsWriter
from aeformat.errors import UsageError
from aeformat.model.file_io import package_bytes
from aeformat.paths import checked_path
from aeformat.pipeline.models import as_model, checked_model_id
from aeformat.pipeline.pack import (
    check_codec,
    checked_level,
    encoding_for,
    fitting_filter,
    usual_codec,
    writer_for,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aeformat.model.package import ModelPackage
    from aeformat.pipeline.models import AnyModel


_SAYS_TOO_LITTLE: Final = "a model id does not say what the decoder takes; give dims, image and encoding too"


class LatentsFile:
    """A file of latents that is being written; `create` makes one.

    As a context manager it appears under its name on a clean exit, and leaves nothing behind after an exception.
    """

    def __init__(self, file: AtomicFile, writer: LatentsWriter, header: LatentsHeader, *, is_rounded: bool) -> None:
        self._file, self._writer, self._is_rounded = file, writer, is_rounded
        self._is_open = True
        self._failure: BaseException | None = None
        self._forgotten = weakref.finalize(self, _remove_forgotten, file)
        self.header = header

    @property
    def n_rows(self) -> int:
        """Rows so far."""
        return self._writer.n_rows + self._writer.n_waiting

    @property
    def content_id(self) -> bytes | None:
        """What the content of the file is known by, once it is closed."""
        return self._writer.content_id

    def append(
        self,
        latents: NDArray[Any] | Sequence[NDArray[Any]],
        names: Iterable[str | os.PathLike[str]] | RowNames | None = None,
        *,
        images: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        """Add rows.

        latents: (n, *dims) in the header's value type; float32 where encoding f16le or bf16le rounds a decoder's latents.
        Where dims has free sizes: n arrays, each of its own shape.
        names: of the same n rows, relative POSIX paths: str or pathlib.Path.
        images: (height, width) of the image of each row, if and only if the header leaves these free.

        Raises ValueError, TypeError (another shape or type), ValueInvalid (NaN, infinity, a value outside the decoder's
        range), NamesInvalid, OSError; after an error while rows were written, and after `close` and `abort`, UsageError.
        """
        import numpy as np

        self._check_open()
        if self.header.has_free_sizes:
            values: Any = self._ragged(latents, images)
        elif images is not None:
            raise UsageError("the images of this file have one size, which the header says; leave images out")
        else:
            values = np.asarray(latents)
        if self._is_rounded and values.dtype.newbyteorder("=") == np.float32:
            values = self._rounded(values)
        of_rows = names if names is None or isinstance(names, RowNames) else RowNames(names=_row_names(names))
        try:
            self._writer.write(values, of_rows)
        except BaseException as error:
            self._failure = None if self._writer.is_open else error
            raise

    def _ragged(
        self, latents: NDArray[Any] | Sequence[NDArray[Any]], images: Sequence[tuple[int, int]] | None
    ) -> RaggedRows:
        """Raises UsageError for sizes that the header does not allow."""
        if isinstance(latents, RaggedRows) and images is None:
            return latents
        try:
            return RaggedRows.of(self.header.form, latents, images)
        except BadSizes as error:
            raise UsageError(f"these rows cannot be stored: {error.what}") from None

    def _rounded(self, values: NDArray[Any] | RaggedRows) -> NDArray[Any] | RaggedRows:
        import numpy as np

        if isinstance(values, RaggedRows):
            return RaggedRows(round_to(values.flat.astype(np.float32, copy=False), self.header.values), values.sizes)
        return round_to(values.astype(np.float32, copy=False), self.header.values)

    def _check_open(self) -> None:
        if not self._is_open:
            raise UsageError("this file is closed; aeformat.create begins another one")
        if self._failure is not None:
            raise UsageError(f"rows before could not be written: {self._failure}") from self._failure

    def close(self) -> None:
        """Finish the file and put it under its name.

        Raises StructureInvalid where there are no rows, UsageError after an error while rows were written, OSError.
        """
        if not self._is_open:
            return
        try:
            self._check_open()
            self._writer.close()
            self._file.commit()
        except BaseException:
            self.abort()
            raise
        self._is_open = False
        self._forgotten.detach()

    def abort(self) -> None:
        """Remove what was written.  Does nothing after `close`."""
        self._is_open = False
        self._forgotten.detach()
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


def _remove_forgotten(file: AtomicFile) -> None:
    """What becomes of a file that is neither closed nor aborted."""
    warnings.warn(f"{file.path} was never closed, so it is not there", ResourceWarning, stacklevel=2)
    file.abort()


def _row_names(names: Iterable[str | os.PathLike[str]]) -> tuple[str, ...]:
    if isinstance(names, (str, bytes)):
        raise UsageError("names are a list of one for each row, not one text")
    return tuple(name.as_posix() if isinstance(name, PurePath) else checked_path(name) for name in names)


def create(
    path: str | os.PathLike[str],
    *,
    decoder: AnyModel | None = None,
    foreign_decoder: bytes | None = None,
    dims: Sequence[int | None] | int | None = None,
    image: Sequence[int | None] | None = None,
    encoding: str | None = None,
    codec: str | None = None,
    level: int | None = None,
    embed_decoder: bool = False,
    encoder: AnyModel | None = None,
    described: Described | None = None,
    ext: Mapping[str, Any] | None = None,
    force: bool = False,
) -> LatentsFile:
    """A new file of latents, to be filled with `append`; it appears when it is closed, whole or not at all.

    decoder: a Model, what load_model takes, or the 32 bytes of a model id: then dims, image and encoding must be given.  None
    if it is no model of this package, or not known: then dims and encoding must be given, and image may be.
    foreign_decoder: the network id of a decoder that is no model of this package: what `model_id` gives for its file.
    dims: the shape of one latent.  image: (height, width, channels) of what the decoder makes of it.  None in dims, and for
    both height and width, leaves a size free: `append` then takes arrays of many shapes, and the sizes of their images.
    encoding: a name of spec/container.md; by default the decoder's own type.
    codec: "none", "zstd" or "rans"; by default the one that makes the smaller file.  level: zstd's, 1 to 22.
    embed_decoder: let the decoder travel in the file.
    encoder: the encoder, for the record: as `decoder` is given.  described: what the latents are.
    ext: what else the header shall say: a map of str, bytes, bool, integers, lists and maps.
    force: replace a file of that name.

    Raises UsageError (what does not go together, a file that exists), HeaderInvalid, FormatError.  Source: spec/container.md.
    """
    path = checked_path(path, instead="; to write into something else take aeformat.pack, or a temporary file")
    shape, pixels = _shape("dims", dims), _shape("image", image)
    package = None
    if decoder is None:
        header = _header_of_id(b"", shape, pixels or (), encoding, codec or "zstd")
    elif not isinstance(decoder, (bytes, bytearray)):
        package = as_model(decoder).the_decoder
        header = _header_of_decoder(package, shape, pixels, encoding, codec)
    elif pixels is not None:
        header = _header_of_id(checked_model_id(decoder), shape, pixels, encoding, codec or "zstd")
    else:
        raise UsageError(_SAYS_TOO_LITTLE)
    if foreign_decoder is not None:
        header = header._replace(foreign_decoder=_foreign_id(foreign_decoder, header))
    if embed_decoder and package is None:
        raise UsageError("there is no decoder that could travel in the file; give the decoder, not its model id")
    header = header._replace(encoder=_encoder_id(encoder), ext=_checked_ext(ext))
    header = header._replace(described=_checked_description(described, header))
    checked_level(level, header.codec)
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


def _shape(name: str, given: Sequence[int | None] | int | None) -> tuple[int, ...] | None:
    """As NumPy reads a shape: of one number too.  What is None there is 0 in a header.  Raises UsageError."""
    if given is None:
        return None
    try:
        one: int | None = operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        one = None
    try:
        sizes = (one,) if one is not None else tuple(n if n is None else operator.index(n) for n in given)  # type: ignore[union-attr]
    except TypeError:
        raise UsageError(
            f"{name} is {given!r}, and must be a list of integers, or None for a size that is free"
        ) from None
    if 0 in sizes:
        raise UsageError(f"{name} is {given!r}; a size is 1 or more, or None if each row has its own")
    return tuple(size or 0 for size in sizes)


def _encoder_id(encoder: AnyModel | None) -> bytes | None:
    if encoder is None or isinstance(encoder, (bytes, bytearray)):
        return None if encoder is None else checked_model_id(encoder)
    return as_model(encoder).the_encoder.model_id


def _foreign_id(given: object, header: LatentsHeader) -> bytes:
    """Raises UsageError."""
    if header.decoder:
        raise UsageError("a file has one decoder: give decoder if it is a model of this package, else foreign_decoder")
    if not isinstance(given, (bytes, bytearray)) or len(given) != 32:
        raise UsageError("foreign_decoder is the 32 bytes of a network id; aeformat.model_id gives that of a file")
    return bytes(given)


def _checked_description(described: Described | None, header: LatentsHeader) -> Described | None:
    """What goes with the rest of the header; None where nothing is said.  Raises UsageError."""
    if described is None:
        return None
    if not isinstance(described, Described):
        raise UsageError(f"described is an aeformat.Described, and this is of type {type(described).__name__}")
    said, has_encoder = described.to_map(), header.encoder is not None
    try:
        return (
            parse_described(said, header.dims, is_foreign=not header.decoder, has_encoder=has_encoder) if said else None
        )
    except DescribedInvalid as error:
        raise UsageError(f"described: {error.what}") from None


def _checked_ext(ext: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What the header can hold; NumPy's integers become Python's.  Raises UsageError."""
    plain = {} if ext is None else _plain(ext)
    if not isinstance(plain, dict):
        raise UsageError(f"ext is a map, and this is of type {type(ext).__name__}")
    try:
        canonical.pack(plain)
    except (TypeError, ValueError) as error:
        raise UsageError(f"ext: {error}") from None
    return plain


def _plain(value: Any) -> Any:
    import numpy as np

    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, (np.integer, np.bool_)) else value


def _header_of_decoder(
    decoder: ModelPackage,
    dims: tuple[int, ...] | None,
    image: tuple[int, ...] | None,
    encoding: str | None,
    codec: str | None,
) -> LatentsHeader:
    for name, given, own in (("dims", dims, decoder.input.shape), ("image", image, decoder.output.shape)):
        if given is not None and given != own:
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
    decoder: bytes, dims: tuple[int, ...] | None, image: tuple[int, ...], encoding: str | None, codec: str
) -> LatentsHeader:
    if dims is None or encoding is None:
        raise UsageError(_SAYS_TOO_LITTLE if decoder else "without a decoder dims and encoding must be given")
    if encoding not in ENCODINGS:
        raise UsageError(f"unknown encoding {encoding!r}; there are {', '.join(ENCODINGS)}")
    check_codec(encoding, codec, None)
    if len(image) != 3 and (image or decoder):
        raise UsageError(f"image is {list(image)}, not height, width and channels")
    return LatentsHeader(decoder, dims, image, encoding, codec, fitting_filter(encoding, codec))
