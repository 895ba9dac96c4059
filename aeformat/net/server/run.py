"""Running the server: one process with uvicorn.

When the process is told to stop, uvicorn lets requests end for _STOP_SECONDS (T7-2).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import uvicorn

from aeformat.errors import Hint, UsageError
from aeformat.net.server.app import HEADER_BYTES, Server
from aeformat.net.server.disk import Disk
from aeformat.net.server.open_storage import open_storage
from aeformat.net.server.protocol import connections
from aeformat.net.server.tokens import Tokens
from aeformat.transport.transfer_limits import DEFAULT, TransferLimits

_STOP_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a server.

    root: its folder.  bucket: s3://bucket/prefix, where blobs are kept there; then the folder is for staging.  port: 0
    for any free one.  tokens: the token file.  certificate: for TLS, the files of the certificate chain and of its key.
    """

    root: Path
    host: str = "127.0.0.1"
    port: int = 8023
    tokens: Path | None = None
    certificate: tuple[Path, Path] | None = None
    limits: TransferLimits = DEFAULT
    bucket: str | None = None


def serve(settings: Settings, *, ready: Callable[[str], None] = lambda url: None, disk: Disk | None = None) -> None:
    """Serve until SIGTERM or SIGINT.

    ready: called with the URL once connections are accepted.  disk: a replacement for tests.  Raises UsageError, OSError.
    """
    if settings.tokens is None and not _is_loopback(settings.host):
        raise UsageError(f"without tokens anybody could write to {settings.host}", hint=Hint.SET_TOKEN_FILE)
    _log_to_stderr()
    storage = open_storage(settings.root, settings.bucket, disk)
    app = Server(storage, Tokens(settings.tokens), settings.limits).app()
    certificate, key = settings.certificate or (None, None)
    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", connections(settings.limits, HEADER_BYTES)),
        loop="asyncio",  # which sends files by the kernel
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    with _listen(settings) as listener:
        host, port = listener.getsockname()[:2]
        ready(f"{'https' if certificate else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/")
        uvicorn.Server(config).run(sockets=[listener])


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=256)
    except OSError as error:
        raise UsageError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name, level in (("aeformat.server", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False
