"""Which decoder a file gets: what unpacking asks, and what this machine answers by itself.

Owns the Protocol FindDecoder, which whoever has a say in the matter (a command's options, a caller's model) implements.
Whether what was found fits the file is checked by whoever asked (unpack.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from aeformat.backends.golden_check import verified
from aeformat.backends.select import select_backend
from aeformat.errors import FormatError
from aeformat.model import store
from aeformat.model.file_io import read_package
from aeformat.model.match import check_named

if TYPE_CHECKING:
    from aeformat.backends.base import Network
    from aeformat.model.package import ModelPackage
    from aeformat.reader import Latents, LatentStream

LoadNetwork = Callable[["ModelPackage"], "Network"]


class FindDecoder(Protocol):
    """Finds the decoder that a file needs.  Asked once for each file, before anything is decoded."""

    def __call__(self, latents: LatentStream | Latents, /) -> ModelPackage:
        """A decoder for this file.  One that is not this machine's own has passed its golden set.

        Raises DecoderMissing, DecoderMismatch, GoldenMismatch, FormatError, UsageError.
        """
        ...


def own_decoder(latents: LatentStream | Latents) -> ModelPackage:
    """The decoder inside the file, else one of this machine's.  Raises as FindDecoder does."""
    check_named(latents.header)
    found = embedded_decoder(latents)
    return store.find_decoder(latents.header.decoder) if found is None else found


def embedded_decoder(latents: LatentStream | Latents) -> ModelPackage | None:
    """The decoder inside the file, once its golden set has come out right; None where there is none.

    Raises FormatError, GoldenMismatch.
    """
    data = latents.embedded_decoder
    if data is None:
        return None
    try:
        return verified(read_package(data))
    except FormatError as error:
        error.source = error.source or "the embedded decoder"
        raise


def loader(backend: str, n_rows: int | None) -> LoadNetwork:
    """What makes a package ready to run n_rows (None: not known) on the backend of that name.

    Raises, when it is called, UsageError and BackendUnavailable.
    """
    return lambda package: select_backend(backend, n_rows=n_rows, package=package).load(package)
