"""How to reach a server, and what sending and fetching come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aeformat.net.client.http_client import PATIENT, Patience
from aeformat.transport.transfer_limits import DEFAULT, TransferLimits

Progress = Callable[[str, int, int], None]  # what, bytes there, bytes in all
Say = Callable[[str], None]  # for people: why a decoder moves or does not


@dataclass(frozen=True, slots=True)
class Options:
    """How to reach a server.  policy: for decoders, "auto", "always" or "never".  image_bytes: of one image sent
    otherwise, for the sum; its raw pixels if None.
    """

    token: str | None = None
    ca_file: str | None = None
    policy: str = "auto"
    image_bytes: float | None = None
    patience: Patience = PATIENT
    limits: TransferLimits = DEFAULT


DEFAULTS: Final = Options()


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that the server has, whole and verified."""

    url: str
    sha256: bytes
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is here, whole and verified."""

    path: Path
    sha256: bytes
    n_bytes: int


def quiet(*_: object) -> None:
    pass
