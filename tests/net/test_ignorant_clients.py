"""Clients that know only HTTP: T4-8 and T4-12 of spec/transport.md."""

from __future__ import annotations

import hashlib
import re
import socket

import pytest
from transport.containers import latents

from aeformat.transport.upload_limit import parse_limit
from net.running import running
from net.test_uploads import PARTIAL, create, patch

CHUNK = 64 * 8 * 128  # 128 rows of 64 float64: the largest chunk that the server below takes


@pytest.mark.parametrize("chunk_rows", [128, 127, 3])
def test_requests_of_the_advertised_size_always_make_progress(tmp_path, chunk_rows):
    """T4-8: with chunks of the largest size, each request of min-append-size moves the offset, wherever it begins."""
    file = latents(1000, dims=64, chunk_rows=chunk_rows)
    with running(tmp_path / "root", chunk_bytes=CHUNK) as server:
        found = server.request("POST", "v1/uploads", {"Upload-Complete": "?0"}, b"")
        where, size = found.get("Location"), parse_limit(found.get("Upload-Limit"))["min-append-size"]
        assert parse_limit(server.request("GET", "v1/").get("Upload-Limit"))["min-append-size"] == size > CHUNK
        at = 0
        while True:
            data = file[at : at + size]
            is_last = at + len(data) == len(file)
            found = patch(server, where, at, data, last=is_last)
            if is_last:
                break
            assert found.status == 204 and int(found.get("Upload-Offset")) > at
            at = int(found.get("Upload-Offset"))
        assert found.status == 201
        assert server.request("HEAD", f"v1/containers/{hashlib.sha256(file).hexdigest()}").status == 200


FILE = latents(2000, dims=64, chunk_rows=40)


@pytest.mark.parametrize(
    "interop", ["", "7", "9", "x", "8"], ids=["plain", "draft 7", "draft 9", "nonsense", "draft 8"]
)
@pytest.mark.parametrize("expects", [True, False], ids=["expects 100", "does not"])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_no_interim_answer_but_100_and_that_only_where_it_is_expected(tmp_path, method, expects, interop):
    """T4-12: all status lines of a response, although the body is long and arrives slowly.

    A POST that names our version of the draft gets one 104, with the place of its upload (T4-28).  Other versions are plain
    uploads (T4-14).
    """
    with running(tmp_path / "root") as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        path = "/v1/uploads" if method == "POST" else create(server)
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nUpload-Complete: ?1\r\nConnection: close\r\n"
        media = "application/vnd.aeformat" if method == "POST" else PARTIAL
        head += f"Content-Type: {media}\r\nUpload-Offset: 0\r\nContent-Length: {len(FILE)}\r\n"
        head += f"Upload-Draft-Interop-Version: {interop}\r\n" if interop else ""
        sock.sendall((head + ("Expect: 100-continue\r\n" if expects else "") + "\r\n").encode())
        sock.settimeout(30)
        found = b""
        while expects and not found.endswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
            found += sock.recv(65536)
        for at in range(0, len(FILE), 100_000):
            sock.sendall(FILE[at : at + 100_000])
        while piece := sock.recv(65536):
            found += piece
    is_told = method == "POST" and interop == "8"
    expected = [*([b"104"] if is_told else []), *([b"100"] if expects else []), b"201"]
    assert re.findall(rb"HTTP/1\.1 (\d+)", found) == expected
    if is_told:
        first, *_, last = found.split(b"\r\n\r\n")[:-1]
        where = re.findall(rb"(?i)\r\nlocation: (.*)", first + b"\r\n" + last)
        assert len(where) == 2 and where[0].strip() == where[1].strip()  # it is the same one
        assert b"Upload-Draft-Interop-Version: 8" in first and b"Upload-Limit: max-size=" in first


def test_a_refusal_comes_instead_of_100(tmp_path):
    """A client need not send a body that the server refuses."""
    with running(tmp_path / "root") as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        head = "POST /v1/uploads HTTP/1.1\r\nHost: x\r\nUpload-Complete: ?1\r\nContent-Type: text/plain\r\n"
        sock.sendall(f"{head}Content-Length: {len(FILE)}\r\nExpect: 100-continue\r\n\r\n".encode())
        sock.settimeout(60)
        assert sock.recv(65536).startswith(b"HTTP/1.1 415 ")
