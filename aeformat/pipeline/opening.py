"""Files of latents opened for Python callers: as aeformat.reader has them, but rows of codec rans find their decoder.

Owns when a decoder is looked for: at the first rows that cannot be read without one.  Importing it loads neither NumPy nor any
network.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from aeformat.container.limits import DEFAULT, Limits
from aeformat.container.opened import OpenedFile, RandomFile
from aeformat.container.reader import CACHE_BYTES
from aeformat.errors import DecoderError
from aeformat.paths import is_url, named
from aeformat.reader import Latents, LatentStream, stream_latents

if TYPE_CHECKING:
    from aeformat.container.decoder_prior import DecoderPrior
    from aeformat.pipeline.models import AnyModel


def open_file(
    path: str | os.PathLike[str],
    *,
    decoder: AnyModel | None = None,
    limits: Limits = DEFAULT,
    cache_bytes: int = CACHE_BYTES,
    mmap: bool = False,
    incomplete: bool = False,
) -> Latents:
    """Random access to the rows of a latents file, at a path or a URL.  See Latents.

    decoder: for rows of codec rans: a Model, or what load_model takes; by default the one inside the file, else this
    machine's with the model id that the file names.  It is looked for when rows first need it.
    Raises FormatError, Truncated, UsageError, OSError; on the first rows what finding a decoder raises: DecoderMissing,
    DecoderMismatch, GoldenMismatch.
    """
    finder = PriorFinder(decoder)
    open_file: Callable[[str], RandomFile] = OpenedFile
    if is_url(path):
        from aeformat.remote import RemoteFile

        open_file = RemoteFile
    return Latents(
        path,
        limits=limits,
        cache_bytes=cache_bytes,
        mmap=mmap,
        incomplete=incomplete,
        find_prior=finder,
        open_file=open_file,
    )


def stream_file(
    source: BinaryIO | str | os.PathLike[str],
    *,
    decoder: AnyModel | None = None,
    recover: bool = False,
    limits: Limits = DEFAULT,
) -> LatentStream:
    """The blocks of a latents file, read forward: from a binary stream, from a path or a URL.  See LatentStream.

    decoder: as of `open`.  A file that is opened by its path is closed at the end of a `with`.  Raises OSError, FormatError,
    UsageError; on iteration what finding a decoder raises too.
    """
    finder = PriorFinder(decoder)
    if not is_url(source):
        return stream_latents(source, recover=recover, limits=limits, find_prior=finder)
    from aeformat.remote import open_forward

    name = str(source)
    file = open_forward(name)
    try:
        return LatentStream(file, recover=recover, limits=limits, closes=True, name=name, find_prior=finder)
    except BaseException:
        file.close()
        raise


@dataclass(frozen=True)
class PriorFinder:
    """Called with a reader of latents, it gives the prior of their decoder.  It can be pickled, if the decoder can.

    decoder: as of `open`.  Raises what finding a decoder raises.
    """

    decoder: AnyModel | None

    def __call__(self, latents: Latents | LatentStream) -> DecoderPrior:
        from aeformat.backends.numpy_passes import prior_of
        from aeformat.pipeline.decoders import own_decoder
        from aeformat.pipeline.models import as_model

        with named(latents.name, DecoderError):
            return prior_of(own_decoder(latents) if self.decoder is None else as_model(self.decoder).the_decoder)
