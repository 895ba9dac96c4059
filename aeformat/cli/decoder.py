"""Which decoder a command takes for a file: what --decoder gives, what the file carries, this machine's, or a server's.

Owns --decoder and --registry for all commands that read latents.  A URL in a file is never asked (T5-9).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from aeformat.cli import common
from aeformat.cli.remote import SERVER, add_server, refuse_server

if TYPE_CHECKING:
    from aeformat.model.package import ModelPackage
    from aeformat.net.client.remote_decoder import DecoderNeed
    from aeformat.reader import Latents, LatentStream


def add_decoder(parser: argparse.ArgumentParser, use: str = "") -> None:
    """--decoder, --registry and what goes with it.  use: what the decoder is for, if not for all that the command does."""
    parser.add_argument(
        "--decoder", metavar="PATH", help=f"the decoder's package{use}, if it is not one of this machine's"
    )
    parser.add_argument("--registry", metavar="URL", help="a server to fetch the decoder from, if it is nowhere else")
    add_server(parser, "fetch")


class DecoderOptions:
    """What --decoder and --registry say about the file of that name; called, it finds the decoder (pipeline.decoders).

    Raises UsageError where the options do not go together.
    """

    def __init__(self, options: argparse.Namespace, name: str) -> None:
        if options.registry is None:
            refuse_server(options, SERVER, "without --registry")
        elif options.decoder is not None:
            refuse_server(options, ("registry",), "beside --decoder")
        self._options, self._name = options, name
        self.is_given = options.decoder is not None

    def __call__(self, latents: LatentStream | Latents, /) -> ModelPackage:
        """The decoder that the file needs, once its golden set has come out right.

        The one that --decoder gives or none; else the one inside the file, one of this machine's, or the registry's.  Raises
        UsageError, DecoderMissing, DecoderMismatch, GoldenMismatch, FormatError; and what asking a server raises.
        """
        from aeformat.backends.golden_check import verified
        from aeformat.model.match import check_named
        from aeformat.pipeline.decoders import embedded_decoder, own_decoder

        check_named(latents.header)
        if self.is_given:
            return verified(given_decoder(self._options.decoder, latents.header.decoder))
        if self._options.registry is None:
            return own_decoder(latents)
        found = embedded_decoder(latents)
        return self._ask(latents) if found is None else found

    def _ask(self, latents: LatentStream | Latents) -> ModelPackage:
        """From the server that --registry names, after a look among this machine's models."""
        from aeformat.cli.remote import print_notice, server_options
        from aeformat.cli.serve import require_net

        require_net()
        from aeformat.net.client.remote_decoder import registry_decoder

        server = server_options(self._options)
        need = _need(self._name, server.image_bytes)
        return registry_decoder(self._options.registry, latents.header.decoder, server, need=need, notify=print_notice)

    def refuse(self, model_id: bytes, why: str) -> None:
        """Where no decoder is needed: one that is given is held against the file all the same, and then said to do nothing.

        Raises UsageError, DecoderMismatch, FormatError.
        """
        if self.is_given and model_id:
            given_decoder(self._options.decoder, model_id)
        refuse_server(self._options, ("decoder", "registry"), why)


def given_decoder(path: str, model_id: bytes) -> ModelPackage:
    """The package at `path`, if it is the decoder with that model id.  Raises UsageError, DecoderMismatch, FormatError."""
    from aeformat.model import store

    with common.error_source(common.ordinary(path)):
        return store.find_decoder(model_id, given=path)


def _need(name: str, image_bytes: float | None) -> DecoderNeed | None:
    """What the decoder is weighed against; None where nobody knows how many rows there are."""
    from aeformat.net.client.remote_decoder import DecoderNeed
    from aeformat.reader import open_latents

    n_rows = n_rows_of(name)
    if not n_rows:
        return None
    if image_bytes is None:
        with open_latents(name) as whole:
            image_bytes = whole.sizes().image_bytes / n_rows
    return DecoderNeed(n_rows, image_bytes, Path(name).stat().st_size)


def n_rows_of(name: str) -> int | None:
    """Rows in a complete file, from its trailer; None for a pipe and where the trailer cannot tell."""
    from aeformat.errors import FormatError
    from aeformat.reader import open_latents

    if not common.is_ordinary(name):
        return None
    try:
        with open_latents(name) as latents:
            return latents.n_rows
    except FormatError:
        return None  # whoever reads the file forward reports it
