"""The options of sending and fetching, and their results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aeformat.net.client.events import Tell
from aeformat.net.client.pace import DEFAULT_TIMEOUTS, Timeouts
from aeformat.transport.transfer_limits import DEFAULT, TransferLimits

Progress = Callable[[str, int, int], None]  # "sending", "decoder" or "fetching"; bytes transferred; bytes in all
Notify = Callable[[str], None]  # called with a line for people: why a decoder is transferred or not


def ignore(*_: object) -> None:
    """Do nothing: the default of callbacks."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to reach a server, and when to transfer a decoder.

    token: the bearer token.  ca_file: file of the certificates to trust; None for the system's.  policy: when to transfer a
    missing decoder: "auto", "always" or "never".  image_bytes: size of one image in the format that it would be sent in
    otherwise; None for its raw pixels.  limits: of what is accepted when fetching.  limit_rate: the most bytes a second.
    tell: called with each request, each answer and each wait (events.py).
    """

    token: str | None = None
    ca_file: str | None = None
    policy: str = "auto"
    image_bytes: float | None = None
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    limits: TransferLimits = DEFAULT
    limit_rate: float | None = None
    tell: Tell = ignore


DEFAULTS: Final = Options()


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that was sent: the server has stored all of it and verified it.  was_there: it had the file before."""

    url: str
    sha256: bytes
    n_bytes: int
    was_there: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was fetched: it lies at `path`, complete and verified."""

    path: Path
    sha256: bytes
    n_bytes: int
