"""What rows say of their decoder and their preprocessing, against what is used now.

Owns which answers there are.  What a network is known by is exchange/network_id.py's.
"""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any, Final, NamedTuple

from aeformat.container.described import Described
from aeformat.container.header import LatentsHeader
from aeformat.errors import UsageError
from aeformat.exchange.network_id import NetworkId, identify

SAME: Final = "the same"
ANOTHER: Final = "another"
NOT_NAMED: Final = "not named"
NOT_COMPARED: Final = "not compared"

_MAY_BE_LEFT_OUT: Final = "software"  # it says who wrote the latents, not what they are


class Difference(NamedTuple):
    """One key of Described that is not the same.  said: in the file; now: as it was given; None: not said."""

    key: str
    said: Any
    now: Any

    def __str__(self) -> str:
        said, now = ("not said" if value is None else repr(_plain(value)) for value in (self.said, self.now))
        return f"{self.key}: {said}, now {now}"


def given_network(decoder: str | os.PathLike[str] | bytes | None) -> NetworkId | None:
    """What a decoder is known by that a caller gives: a file, or the 32 bytes of its id, of either kind.

    Raises UsageError, FormatError.
    """
    if decoder is None or not isinstance(decoder, (bytes, bytearray)):
        return None if decoder is None else identify(decoder)
    if len(decoder) != 32:
        raise UsageError(f"the id of a decoder has 32 bytes, and this one {len(decoder)}; aeformat.model_id gives it")
    return NetworkId(bytes(decoder), is_package=False)


def named_decoder(header: LatentsHeader) -> bytes:
    """The id of the decoder that a file names, of either kind; b"" if it names none."""
    return header.decoder or header.foreign_decoder


def decoder_state(header: LatentsHeader, network: NetworkId | None) -> str:
    """Whether the file's decoder is that one."""
    if network is None:
        return NOT_COMPARED
    named = named_decoder(header)
    if not named:
        return NOT_NAMED
    return SAME if named == network.id else ANOTHER


def differences(said: Described | None, now: Described | None) -> tuple[Difference, ...]:
    """Key by key.  now: all that is known of how images are prepared; None: nothing is compared.

    What only one of the two says is a difference.  `software` is compared only where `now` says it.
    """
    if now is None:
        return ()
    said = said or Described()
    pairs = ((field.name, getattr(said, field.name), getattr(now, field.name)) for field in fields(Described))
    return tuple(
        Difference(key, before, after)
        for key, before, after in pairs
        if before != after and not (key == _MAY_BE_LEFT_OUT and after is None)
    )


def _plain(value: Any) -> Any:
    """As a person reads it."""
    if isinstance(value, bytes):
        return value.hex()
    return list(value) if isinstance(value, tuple) else value
