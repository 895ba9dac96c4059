"""SIGTERM while requests are handled: T7-2 of spec/transport.md.  (A request that does not end: test_uploads.py.)"""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import socket
import time

import pytest
from transport.containers import latents

from net.running import accepts, running, until, upload
from net.test_uploads import create

FILE = latents(40_000, dims=64, chunk_rows=1000)
SHA = hashlib.sha256(FILE).hexdigest()


def stop(server):
    """Send SIGTERM, and wait until no new connection is accepted."""
    server.process.terminate()
    until(lambda: not accepts(server.port))


def receive(sock) -> bytes:
    sock.settimeout(30)
    found = b""
    while piece := sock.recv(1 << 20):
        found += piece
    return found


def test_an_upload_in_flight_is_finished(tmp_path):
    """The rest of the body comes after the signal: it is stored and answered, and the connection is closed."""
    with running(tmp_path / "root") as server:
        where = create(server)
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nUpload-Complete: ?1\r\n"
            head += f"Content-Type: application/partial-upload\r\nContent-Length: {len(FILE)}\r\n\r\n"
            sock.sendall(head.encode() + FILE[: len(FILE) // 2])
            stop(server)
            sock.sendall(FILE[len(FILE) // 2 :])
            found = receive(sock).lower()
        assert found.startswith(b"http/1.1 201 ") and b"\r\nconnection: close\r\n" in found
        server.process.join(30)
        assert server.process.exitcode == 0
    with running(tmp_path / "root") as again:
        assert again.request("HEAD", f"v1/containers/{SHA}").get("Content-Length") == str(len(FILE))


def test_a_download_in_flight_is_finished(tmp_path):
    """The client reads on after the signal, and gets every byte."""
    with running(tmp_path / "root") as server:
        assert upload(server, FILE).status == 201
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(f"GET /v1/containers/{SHA} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            begun = sock.recv(1000)
            stop(server)
            found = begun + receive(sock)
        assert found.split(b"\r\n\r\n", 1)[1] == FILE
        server.process.join(30)
        assert server.process.exitcode == 0


@pytest.mark.parametrize("begun", [b"", b"GET /v1/ HT", b"GET /v1/ HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_connections_without_a_request_are_closed_at_once(tmp_path, begun):
    """Idle ones, new or kept alive, and one with half a head: long before requests in flight would be cut off."""
    with running(tmp_path / "root", drain_seconds=600) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(5)]
        for sock in socks:
            sock.sendall(begun)
        if begun.endswith(b"\r\n\r\n"):
            assert all(sock.recv(65536).startswith(b"HTTP/1.1 200 ") for sock in socks)
        server.request("GET", "v1/")
        began = time.monotonic()
        server.process.terminate()
        server.process.join(120)
        assert not server.process.is_alive() and time.monotonic() - began < 60


def test_readiness_fails_before_connections_are_refused(tmp_path):
    """T7-9: for drain_delay seconds new connections are served, while /readyz is 503 and /healthz 200."""
    with running(tmp_path / "root", drain_delay=600) as server:
        assert server.request("GET", "readyz").status == 200
        server.process.terminate()
        until(lambda: server.request("GET", "readyz").status == 503)
        assert json.loads(server.request("GET", "readyz").body)["reasons"] == ["draining"]
        assert server.request("GET", "healthz").status == 200
        assert upload(server, FILE).status == 201
        assert "aeformat_draining 1" in server.request("GET", "metrics").body.decode()


def test_the_delay_ends(tmp_path):
    """Then no connection is accepted, and the process ends with 0."""
    with running(tmp_path / "root", drain_delay=0.5, log=tmp_path / "log") as server:
        server.process.terminate()
        server.process.join(60)
        assert server.process.exitcode == 0
    assert "told to stop" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(tmp_path, second):
    """With a request in flight that would have 600 s.  What was acknowledged is kept."""
    with running(tmp_path / "root", drain_seconds=600) as server:
        where = create(server)
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nUpload-Complete: ?1\r\n"
            head += f"Content-Type: application/partial-upload\r\nContent-Length: {len(FILE)}\r\n\r\n"
            sock.sendall(head.encode() + FILE[: len(FILE) // 2])
            stop(server)
            server.process.join(1)
            assert server.process.is_alive()
            server.stop(second)
            assert server.process.exitcode == -second
    with running(tmp_path / "root") as again:
        assert again.request("HEAD", where).status == 200


def test_sighup_ends_a_server_that_has_nothing_to_read_again(tmp_path):
    """As a terminal that is closed ends what runs in it."""
    with running(tmp_path / "root") as server:
        server.stop(signal.SIGHUP)
        assert server.process.exitcode == -signal.SIGHUP
