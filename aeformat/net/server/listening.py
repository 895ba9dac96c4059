"""The socket that a server listens on: an address and port, or a Unix socket."""

from __future__ import annotations

import ipaddress
import socket
import stat
import sys
from pathlib import Path
from typing import Final

from aeformat.errors import UsageError

_BACKLOG: Final = (
    1024  # connections that the system holds until they are accepted: a burst of them is not put off for a second
)
_SOCKET_MODE: Final = 0o660  # owner and group may connect


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address.  Raises UsageError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def listen_unix(path: Path) -> socket.socket:
    """Listen on a Unix socket.  One that a dead server has left there is replaced.  Raises UsageError."""
    if sys.platform == "win32":
        raise UsageError("this system has no Unix sockets")
    try:
        if _is_left_over(path):
            path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(path))
            path.chmod(_SOCKET_MODE)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise UsageError(f"cannot listen on {path}: {error.strerror or error}") from error
    return listener


def _is_left_over(path: Path) -> bool:
    """Whether there is a Unix socket there that nobody listens on.  Raises OSError."""
    if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False


def url_of(listener: socket.socket, *, is_tls: bool) -> str:
    """The URL of what is served there; for a Unix socket, "unix:" and its path."""
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{name}"
    host, port = name[:2]
    return f"{'https' if is_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
