"""Writing latents that a caller has as arrays.

Owns `create`, and what the header of a new file says.  The file itself is latents_file.py's, or appending.py's.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from aeformat.atomic import AtomicFile
from aeformat.backends.numpy_passes import prior_of
from aeformat.container import canonical
from aeformat.container.assigned import ENCODINGS
from aeformat.container.described import Described, DescribedInvalid, parse_described
from aeformat.container.header import LatentsHeader
from aeformat.errors import UsageError
from aeformat.model.file_io import package_bytes
from aeformat.paths import checked_path
from aeformat.pipeline.appending import Wanted, appended
from aeformat.pipeline.given_fields import given_types
from aeformat.pipeline.latents_file import LatentsFile
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
    from aeformat.model.package import ModelPackage
    from aeformat.pipeline.models import AnyModel


_SAYS_TOO_LITTLE: Final = "a model id does not say what the decoder takes; give dims, image and encoding too"


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
    fields: Mapping[str, Any] | None = None,
    force: bool = False,
    append: bool = False,
    recover: bool = False,
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
    fields: what each row has beside its latent: {"caption": str, "label": int, "crop": ("int32", (4,))}; a type is str, bytes,
    bool, int, float, a NumPy type, or (type, sizes of one row's array).
    force: replace a file of that name.
    append: write into the file of that name, which is there at once: begin it, or go on with it where it is whole, be it
    complete or cut.  Going on reads it once.  What is given must then be what the file says, and may be left out.
    recover: with append, drop what stands behind damage that is no mere cut.

    Raises UsageError (what does not go together, a file that exists), HeaderInvalid, FormatError.  Source: spec/container.md.
    """
    path = checked_path(path, instead="; to write into something else take aeformat.pack, or a temporary file")
    if recover and not append:
        raise UsageError("recover goes with append=True")
    package = None if decoder is None or isinstance(decoder, (bytes, bytearray)) else as_model(decoder).the_decoder
    if embed_decoder and package is None:
        raise UsageError("there is no decoder that could travel in the file; give the decoder, not its model id")
    header = None
    if not append or decoder is not None or dims is not None or encoding is not None:
        header = _header(decoder, package, _shape("dims", dims), _shape("image", image), encoding, codec)
        if foreign_decoder is not None:
            header = header._replace(foreign_decoder=_foreign_id(foreign_decoder, header))
        header = header._replace(encoder=_encoder_id(encoder), ext=_checked_ext(ext))
        header = header._replace(described=checked_description(described, header))
        checked_level(level, header.codec)
    types = given_types(fields)
    embedded = package_bytes(package) if package is not None and embed_decoder else None
    prior = None if package is None else prior_of(package)
    rounds_to = ("f16", "bf16") if package is not None and package.input.type == "f32" else ()
    if append:
        left_out: dict[str, object] = {
            "codec": codec, "filter": codec, "encoder": encoder, "ext": ext, "image": image or decoder,
            "described": described, "foreign_decoder": foreign_decoder,
        }  # fmt: skip
        kept = tuple(key for key, given in left_out.items() if given is None)
        wanted = Wanted(header, kept, types, level, prior, embedded)
        return appended(os.fspath(path), wanted, recover=recover, rounds_to=rounds_to)
    assert header is not None
    file = AtomicFile(path, force=force)
    try:
        writer = writer_for(file.file, header, level, embedded, prior)
    except BaseException:
        file.abort()
        raise
    return LatentsFile(file, writer, header, is_rounded=header.values in rounds_to, field_types=types)


def _header(
    decoder: AnyModel | None,
    package: ModelPackage | None,
    dims: tuple[int, ...] | None,
    image: tuple[int, ...] | None,
    encoding: str | None,
    codec: str | None,
) -> LatentsHeader:
    if package is not None:
        return _header_of_decoder(package, dims, image, encoding, codec)
    if decoder is None:
        return _header_of_id(b"", dims, image or (), encoding, codec or "zstd")
    if image is None:
        raise UsageError(_SAYS_TOO_LITTLE)
    assert isinstance(decoder, (bytes, bytearray))  # else it is a package
    return _header_of_id(checked_model_id(decoder), dims, image, encoding, codec or "zstd")


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


def checked_description(described: Described | None, header: LatentsHeader) -> Described | None:
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
