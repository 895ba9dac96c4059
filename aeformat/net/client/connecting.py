"""Connections to a server: directly, or through a proxy; with TLS where the URL says so.

Owns what comes before the first request on a connection.  The asyncio client takes the sockets from here too, in a thread.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from typing import Final

from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.pace import CONNECT_SECONDS
from aeformat.net.client.proxies import Proxy, authority
from aeformat.transport.problems import TransferFailed

_MOST_HEAD_BYTES: Final = 1 << 14
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")


def connect(address: ServerAddress, tls: ssl.SSLContext | None) -> socket.socket:
    """A connection that takes requests.  Raises OSError; TransferFailed if the proxy refuses."""
    sock = open_socket(address)
    if tls is None:
        return sock
    try:
        return tls.wrap_socket(sock, server_hostname=address.host)
    except BaseException:
        sock.close()
        raise


def open_socket(address: ServerAddress) -> socket.socket:
    """A connection to the server, or through a proxy, without TLS.  Raises as `connect` does."""
    proxy = address.proxy
    place = (address.host, address.port) if proxy is None else (proxy.host, proxy.port)
    sock = socket.create_connection(place, CONNECT_SECONDS)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # T5-16
        if proxy is not None and address.scheme == "https":
            _open_tunnel(sock, address, proxy)
    except BaseException:
        sock.close()
        raise
    return sock


def _open_tunnel(sock: socket.socket, address: ServerAddress, proxy: Proxy) -> None:
    """Have a proxy connect to the server (CONNECT), so that TLS is with the server itself."""
    target = authority(address.host, address.port)
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    status = _tunnel_status(sock)
    if 200 <= status < 300:
        return
    what = f"the proxy {proxy.name} does not connect to {target}: it says {status}"
    if status >= 500:
        raise ConnectionError(what)
    if status == 407:
        what += "; put a user and a password into https_proxy (http://USER:PASSWORD@HOST:PORT)"
    raise TransferFailed(what, status)


def _tunnel_status(sock: socket.socket) -> int:
    """The status of the answer to CONNECT.  Raises OSError if it is none, or does not come in time."""
    until, head = time.monotonic() + CONNECT_SECONDS, b""
    while b"\r\n\r\n" not in head:
        left = until - time.monotonic()
        if left <= 0 or len(head) > _MOST_HEAD_BYTES:
            raise TimeoutError("no answer of the proxy to CONNECT")
        sock.settimeout(left)
        data = sock.recv(1024)
        if not data:
            raise ConnectionError("the proxy closed the connection")
        head += data
    match = _STATUS.match(head)
    if match is None or not head.endswith(b"\r\n\r\n"):
        raise ConnectionError("the proxy's answer to CONNECT is none")
    sock.settimeout(CONNECT_SECONDS)
    return int(match[1])
