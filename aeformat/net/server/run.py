"""Running the server: one process with uvicorn, and the layers around its application.

Owns the settings, and the order of the layers: log, health, names, CORS, application.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from aeformat.errors import Hint, UsageError
from aeformat.net.server.access_log import AccessLog
from aeformat.net.server.app import HEADER_BYTES, Server
from aeformat.net.server.certificate import Certificate
from aeformat.net.server.client_address import TrustedProxies
from aeformat.net.server.connection_table import ConnectionTable
from aeformat.net.server.cors import Cors, checked_origins
from aeformat.net.server.disk import Disk
from aeformat.net.server.file_handles import connections_possible
from aeformat.net.server.health import Health, Readiness
from aeformat.net.server.hosts import HostCheck, served_names
from aeformat.net.server.json_log import log_to_stderr
from aeformat.net.server.listening import is_loopback, listen, listen_unix, url_of
from aeformat.net.server.open_storage import open_storage
from aeformat.net.server.protocol import connections
from aeformat.net.server.stopping import DrainingServer
from aeformat.net.server.tokens import Tokens
from aeformat.transport.transfer_limits import DEFAULT, TransferLimits


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a server.

    root: its folder.  bucket: s3://bucket/prefix, where blobs are kept there; then the folder is for staging.  port: 0
    for any free one.  tokens: the token file.  certificate: for TLS, the files of the certificate chain and of its key.
    unix_socket: to listen there, not on host and port.  host_names: further names that it answers to (T2-16).
    cors_origins: pages that may use it (T2-17).  trusted_proxies: whose word about a client's address is taken (T10-9).
    drain_delay, drain_seconds: T7-9.  log_level: "debug", "info", "warning" or "error".
    """

    root: Path
    host: str = "127.0.0.1"
    port: int = 8023
    tokens: Path | None = None
    certificate: tuple[Path, Path] | None = None
    limits: TransferLimits = DEFAULT
    unix_socket: Path | None = None
    host_names: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    drain_delay: float = 0.0
    drain_seconds: float = 10.0
    log_level: str = "info"
    bucket: str | None = None


def serve(settings: Settings, *, ready: Callable[[str], None] = lambda url: None, disk: Disk | None = None) -> None:
    """Serve until SIGTERM or SIGINT.

    ready: called with the URL once connections are accepted.  disk: a replacement for tests.  Raises UsageError, OSError.
    """
    if settings.tokens is None and settings.unix_socket is None and not is_loopback(settings.host):
        raise UsageError(f"without tokens anybody could write to {settings.host}", hint=Hint.SET_TOKEN_FILE)
    outer = _outer_settings(settings)
    tokens = Tokens(settings.tokens)
    certificate = Certificate(*settings.certificate) if settings.certificate else None
    log_to_stderr(settings.log_level)
    limits = replace(settings.limits, connections=connections_possible(settings.limits.connections))
    storage = open_storage(settings.root, settings.bucket, disk)
    with contextlib.closing(storage):  # a start that fails gives its lock back
        _run(settings, Server(storage, tokens, limits), outer, certificate, ready)


def _run(
    settings: Settings, server: Server, outer: _Outer, certificate: Certificate | None, ready: Callable[[str], None]
) -> None:
    tokens, limits = server.shared.tokens, server.shared.limits
    table = ConnectionTable(limits.connections)
    process: DrainingServer  # the layers ask it whether it is draining
    conditions = {"draining": lambda: not process.is_draining, "token-file": lambda: tokens.unreadable is None}
    app = _layers(server, outer, Readiness(settings.root, limits.reserve_bytes, conditions))
    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", connections(limits, HEADER_BYTES, table)),
        loop="asyncio",  # which sends files by the kernel
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=cast("int", settings.drain_seconds),
    )
    config.load()
    config.ssl = None if certificate is None else certificate.context
    process = DrainingServer(
        config, table, limits.header_seconds, settings.drain_delay, *_watchers(tokens, certificate)
    )
    server.shared.metrics.gauges |= process.gauges
    server.shared.metrics.gauges |= {
        "aeformat_token_file_unreadable": lambda: tokens.unreadable is not None,
        "aeformat_certificate_unreadable": lambda: certificate is not None and certificate.is_unreadable,
        "aeformat_draining": lambda: process.is_draining,
    }
    path = settings.unix_socket
    listener = listen(settings.host, settings.port) if path is None else listen_unix(path)
    with listener, process.signals():
        ready(url_of(listener, is_tls=certificate is not None))
        process.run(sockets=[listener])
    if path is not None:
        path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Outer:
    """What the layers go by, checked.  names: None where every name is served."""

    names: frozenset[str] | None
    origins: tuple[str, ...]
    proxies: TrustedProxies


def _outer_settings(settings: Settings) -> _Outer:
    """Check the settings that name others, before the folder is touched.  Raises UsageError."""
    has_tokens = settings.tokens is not None
    names = served_names(settings.host_names, settings.host)
    return _Outer(
        # With tokens there is nothing that a page of another name could do: it has none.
        names if settings.host_names or not has_tokens else None,
        checked_origins(settings.cors_origins, has_tokens=has_tokens),
        TrustedProxies(settings.trusted_proxies),
    )


def _layers(server: Server, outer: _Outer, readiness: Readiness) -> ASGIApp:
    """The application with what stands around it."""
    app: ASGIApp = Cors(server.app(), outer.origins)
    if outer.names is not None:
        app = HostCheck(app, outer.names)
    return AccessLog(Health(app, readiness), server.shared.metrics, outer.proxies, HEADER_BYTES)


def _watchers(tokens: Tokens, certificate: Certificate | None) -> tuple[Callable[[], None], Callable[[], None] | None]:
    """What looks at the files every second, and what reads them again on demand; None if there is nothing to read."""

    def look() -> None:
        tokens.look()
        if certificate is not None:
            certificate.look()

    def reload() -> None:
        tokens.reload()
        if certificate is not None:
            certificate.reload()

    return look, reload if tokens.path is not None or certificate is not None else None
