"""aeformat serve."""

from __future__ import annotations

import argparse
import dataclasses
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from aeformat.cli import common
from aeformat.errors import UsageError

_LARGEST: Final = 1 << 50
LEVELS: Final = ("debug", "info", "warning", "error")  # as json_log.py has them; that import takes time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `aeformat serve`."""
    parser.add_argument(
        "root",
        metavar="FOLDER",
        help="where containers and models are kept; made if it is not there; or s3://BUCKET/PREFIX",
    )
    parser.add_argument(
        "--staging", type=Path, metavar="FOLDER", help="with s3://: where uploads are kept until they are complete"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=common.bounded_int(0, 65_535), default=8023, help="port, 0 for any free one (default: 8023)"
    )
    parser.add_argument("--unix-socket", type=Path, metavar="PATH", help="listen on a Unix socket, not on a port")
    parser.add_argument("--tokens", type=Path, metavar="FILE", help="tenants and tokens; needed beyond this machine")
    parser.add_argument("--certfile", type=Path, metavar="FILE", help="TLS: certificate chain")
    parser.add_argument("--keyfile", type=Path, metavar="FILE", help="TLS: its key")
    _add_names(parser)
    for option, default, what in (
        ("--drain-delay", 0, "after SIGTERM, before connections are refused: so long /readyz says 503"),
        ("--drain-seconds", 10, "then, for requests to end"),
    ):
        parser.add_argument(
            option, type=common.bounded_int(0, 3600), default=default, metavar="S", help=f"{what} (default: {default})"
        )
    parser.add_argument("--log-level", choices=LEVELS, default="info", help="least that is logged (default: info)")
    for option, what in (
        ("--max-size", "of a container"),
        ("--max-chunk", "of a chunk, raw"),
        ("--max-append", "of one request"),
    ):
        parser.add_argument(option, type=common.bounded_int(1, _LARGEST), metavar="BYTES", help=f"largest size {what}")


def _add_names(parser: argparse.ArgumentParser) -> None:
    """Add the options that name others; each can be given more than once."""
    for option, metavar, what in (
        ("--host-name", "NAME", "a name that this server answers to, beside localhost; without tokens to no other"),
        ("--cors-origin", "ORIGIN", "pages that may use it from a browser, such as https://app.example"),
        ("--trusted-proxy", "ADDRESS", "address or network whose X-Forwarded-For is believed; unix: the Unix socket"),
    ):
        parser.add_argument(option, action="append", default=[], metavar=metavar, help=f"{what}; repeatable")


def run(options: argparse.Namespace) -> int:
    """Serve until the process is told to stop."""
    require_net()
    from aeformat.net.server.run import Settings, serve
    from aeformat.transport.transfer_limits import DEFAULT

    if (options.certfile is None) != (options.keyfile is None):
        raise UsageError("--certfile and --keyfile go together")
    given = {"max_size": options.max_size, "chunk_bytes": options.max_chunk, "max_append_size": options.max_append}
    limits = dataclasses.replace(DEFAULT, **{name: value for name, value in given.items() if value is not None})
    certificate = None if options.certfile is None else (options.certfile, options.keyfile)
    root, bucket = _places(options)
    settings = Settings(
        root=root,
        host=options.host,
        port=options.port,
        tokens=options.tokens,
        certificate=certificate,
        limits=limits,
        unix_socket=options.unix_socket,
        host_names=tuple(options.host_name),
        cors_origins=tuple(options.cors_origin),
        trusted_proxies=tuple(options.trusted_proxy),
        drain_delay=options.drain_delay,
        drain_seconds=options.drain_seconds,
        log_level=options.log_level,
        bucket=bucket,
    )
    serve(settings, ready=lambda url: print(f"serving {options.root} at {url}", flush=True))
    return 0


def is_bucket(name: str) -> bool:
    """Whether this names a bucket, not a folder."""
    return name.startswith("s3://")


def _places(options: argparse.Namespace) -> tuple[Path, str | None]:
    """The folder of this machine, and the bucket, if blobs are kept in one.  Raises UsageError."""
    if not is_bucket(options.root):
        if options.staging is not None:
            raise UsageError("--staging goes with s3://BUCKET/PREFIX; a folder keeps its uploads itself")
        return Path(options.root), None
    if options.staging is None:
        raise UsageError("with s3:// give --staging FOLDER, on a disk of this machine")
    return options.staging, options.root


def require_net() -> None:
    """Check that the extra [net] is installed, without importing it, which takes time.  Raises UsageError if it is not."""
    for name in ("h11", "starlette", "uvicorn"):
        if find_spec(name) is None:
            raise UsageError(f"{name} is not installed: pip install 'aeformat[net]'")
