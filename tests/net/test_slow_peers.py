"""A client waits for a server as long as the server receives something (spec/transport.md, section 7)."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from threading import Thread

import pytest

from aeformat.net.client.aio.async_http_client import AsyncHttpClient
from aeformat.net.client.http_client import HttpClient
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.pace import Timeouts, n_unacknowledged
from aeformat.transport.messages import Lost, Request, Response
from net.running import self_signed

SLOW_BYTES = 2 << 20
_connect = socket.create_connection


def _buffered(monkeypatch, n_bytes: int) -> None:
    """Let the client's kernel buffer n_bytes of what is sent before the peer receives them."""

    def connect(*arguments: object) -> socket.socket:
        sock = _connect(*arguments)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, n_bytes)
        return sock

    monkeypatch.setattr(socket, "create_connection", connect)


def _slow_server(listener: socket.socket, tls: ssl.SSLContext | None, n_taken: int) -> None:
    """A server that receives a body of SLOW_BYTES at half a megabyte a second, then answers.

    n_taken: after so many bytes it receives no more and does not answer.
    """
    sock, _ = listener.accept()
    with sock if tls is None else tls.wrap_socket(sock, server_side=True) as peer:
        n_left = SLOW_BYTES
        while n_left > 0:
            if SLOW_BYTES - n_left >= n_taken:
                time.sleep(60)
                return
            n_bytes = len(peer.recv(1 << 15))
            n_left -= n_bytes
            time.sleep(n_bytes / 500_000)
        peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def _ask(tmp_path, kind, *, is_tls: bool, n_taken: int = SLOW_BYTES + 1):
    """The result of a request to that server, from a client that waits 3 seconds."""
    certificate = self_signed(tmp_path) if is_tls else None
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        Thread(target=_slow_server, args=(listener, tls, n_taken), daemon=True).start()
        url = f"http{'s' * is_tls}://127.0.0.1:{listener.getsockname()[1]}/"
        address = ServerAddress.parse(url, ca_file=None if certificate is None else str(certificate[0]))
        client = kind(address, Timeouts(idle_seconds=3))
        response = client.request(Request("PATCH", "x", {}, (0, SLOW_BYTES)), lambda _at, n_bytes: bytes(n_bytes))
        return response if kind is HttpClient else asyncio.run(response)


BOTH = pytest.mark.parametrize("kind", [HttpClient, AsyncHttpClient], ids=["blocking", "asyncio"])
TLS = pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])


@TLS
@BOTH
@pytest.mark.parametrize("n_buffered", [1 << 15, 2 * SLOW_BYTES], ids=["waits here", "waits in the kernel"])
def test_a_slow_peer_is_waited_for_as_long_as_it_receives_something(tmp_path, monkeypatch, kind, is_tls, n_buffered):
    """Section 7: the pause counts, not how long a piece takes, wherever it waits.  After that the rate counts."""
    _buffered(monkeypatch, n_buffered)
    found = _ask(tmp_path, kind, is_tls=is_tls)
    assert isinstance(found, Response) and found.status == 204, found


@TLS
@BOTH
def test_a_peer_that_receives_no_more_is_given_up(tmp_path, monkeypatch, kind, is_tls):
    """All of the body is in the kernel's buffers, and stays there."""
    _buffered(monkeypatch, 2 * SLOW_BYTES)
    began = time.monotonic()
    assert isinstance(_ask(tmp_path, kind, is_tls=is_tls, n_taken=SLOW_BYTES // 4), Lost)
    assert time.monotonic() - began < 45


def test_unacknowledged_bytes_are_counted():
    """A closed socket has none; asyncio may close it during the wait."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()) as sock:
            assert n_unacknowledged(sock) == 0
            sock.setblocking(False)
            sock.send(bytes(1 << 20))
            assert n_unacknowledged(sock) > 0
        assert n_unacknowledged(sock) == 0
