"""A client waits for a server as long as that takes something (spec/transport.md, section 7)."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from threading import Thread

import pytest

from aeformat.net.aio.line import AsyncLine
from aeformat.net.line import Line, Patience
from aeformat.net.wire import Base
from aeformat.transport.messages import Request, Response
from net.running import self_signed

SLOW_BYTES = 2 << 20
_connect, _open = socket.create_connection, asyncio.open_connection


def _small(*arguments: object) -> socket.socket:
    """A connection whose buffers are small, so that what is sent waits for the peer and not in them."""
    sock = _connect(*arguments)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
    return sock


async def _open_small(host: str, port: int, **options: object):
    named = {"server_hostname": host} if options.get("ssl") else {}
    return await _open(sock=_small((host, port)), **named, **options)


def _slow_server(listener: socket.socket, tls: ssl.SSLContext | None) -> None:
    """Takes a body of SLOW_BYTES at half a megabyte a second, then answers."""
    sock, _ = listener.accept()
    with sock if tls is None else tls.wrap_socket(sock, server_side=True) as peer:
        n_left = SLOW_BYTES
        while n_left > 0:
            n_bytes = len(peer.recv(1 << 15))
            n_left -= n_bytes
            time.sleep(n_bytes / 500_000)
        peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("kind", [Line, AsyncLine], ids=["blocking", "asyncio"])
def test_a_slow_peer_is_waited_for_as_long_as_it_takes_something(tmp_path, monkeypatch, kind, is_tls):
    """Section 7: what counts is the pause, not how long a piece of ours takes; and then the rate."""
    monkeypatch.setattr(socket, "create_connection", _small)
    monkeypatch.setattr(asyncio, "open_connection", _open_small)
    certificate = self_signed(tmp_path) if is_tls else None
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        Thread(target=_slow_server, args=(listener, tls), daemon=True).start()
        url = f"http{'s' * is_tls}://127.0.0.1:{listener.getsockname()[1]}/"
        base = Base.parse(url, ca_file=None if certificate is None else str(certificate[0]))
        line = kind(base, Patience(idle_seconds=1.5))
        asked = line.ask(Request("PATCH", "x", {}, (0, SLOW_BYTES)), lambda _at, n_bytes: bytes(n_bytes))
        found = asked if kind is Line else asyncio.run(asked)
    assert isinstance(found, Response) and found.status == 204, found
