"""Which names a server answers to (T2-16): a page whose name is pointed to 127.0.0.1 (DNS rebinding) gets nothing."""

from __future__ import annotations

import hashlib
import json
import socket

import pytest
from transport.containers import latents

from aeformat.errors import UsageError
from aeformat.net.server.hosts import host_name, served_names
from net.running import running, upload
from net.test_tenants import write_tokens

FILE = latents(100, dims=8)
PATH = f"/v1/containers/{hashlib.sha256(FILE).hexdigest()}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("hosts") / "root", host_names=("files.example",)) as server:
        assert upload(server, FILE).status == 201
        yield server


def ask(server, method: str, path: str, host: str | None, more: str = "") -> tuple[int, bytes]:
    """Status and body of a request with this Host, as it is written."""
    named = "" if host is None else f"Host: {host}\r\n"
    version = "1.0" if host is None else "1.1"
    found = server.raw(f"{method} {path} HTTP/{version}\r\n{named}{more}Connection: close\r\n\r\n".encode())
    head, _, body = found.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_rebound_name_neither_reads_nor_deletes(server, method):
    """The report's reproduction: evil.example resolves to 127.0.0.1, so its page is of the server's own origin."""
    status, body = ask(server, method, PATH, "evil.example", "Origin: http://evil.example\r\n")

    assert status == 421
    if method != "HEAD":
        found = json.loads(body)
        assert found["type"] == "urn:aeformat:problem:misdirected-request" and "evil.example" in found["detail"]
    assert ask(server, "GET", PATH, "localhost") == (200, FILE)


@pytest.mark.parametrize(
    "path", ["/v1/", "/v1/uploads", "/v1/models:missing", "/metrics", "/v1/openapi.json", "/nowhere"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "OPTIONS"])
def test_nothing_else_is_told_to_it_either(server, method, path):
    assert ask(server, method, path, "evil.example:80")[0] == 421


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:8023", 200), ("127.0.0.1", 200), ("127.0.0.1:1", 200), ("[::1]", 200),
        ("[::1]:8023", 200), ("localhost.", 200), ("files.example", 200), ("Files.Example:443", 200),
        ("files.example.evil.example", 421), ("evil-files.example", 421), ("127.0.0.1.evil.example", 421),
        ("127.0.0.2", 421), ("[::2]", 421), ("", 421), ("localhost@evil.example", 421), ("[::1", 421), (None, 421),
    ],
)  # fmt: skip
def test_names(server, host, status):
    """The loopback names and those that were given, with any port; None: HTTP/1.0 without Host."""
    assert ask(server, "GET", "/v1/", host)[0] == status


def test_with_tokens_a_token_is_what_counts(tmp_path):
    """A page has none, so every name is served, until the operator gives some."""
    tokens = write_tokens(tmp_path / "tokens")
    with running(tmp_path / "a", tokens=tokens) as server:
        assert ask(server, "GET", "/v1/", "evil.example")[0] == 200
        assert ask(server, "GET", PATH, "evil.example")[0] == 401
    with running(tmp_path / "b", tokens=tokens, host_names=("files.example",)) as server:
        assert ask(server, "GET", "/v1/", "evil.example")[0] == 421
        assert ask(server, "GET", "/v1/", "files.example")[0] == 200


def test_the_address_it_listens_on_is_a_name():
    assert {"127.0.0.3", "localhost"} <= served_names((), "127.0.0.3")
    assert "[fe80::1]" in served_names((), "fe80::1")


@pytest.mark.parametrize("name", ["", "http://files.example", "files.example:443", "files.example/", "::1", "a b", "*"])
def test_what_is_no_name_is_refused_at_the_start(name):
    with pytest.raises(UsageError, match="not a host name"):
        served_names((name,), "127.0.0.1")


@pytest.mark.parametrize(
    ("host", "name"), [("a:1:2", "a"), ("[::1]:9", "[::1]"), ("[", "["), (" A. ", "a"), ("[::1]x", "[::1]")]
)
def test_the_name_in_a_host_field(host, name):
    assert host_name(host) == name


def test_pages_change_nothing_without_a_preflight(server):
    """T2-17: what a browser sends across origins unasked (GET, HEAD, POST with three media types) stores and deletes nothing."""
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        more = f"Origin: http://evil.example\r\nContent-Type: {media}\r\nContent-Length: 0\r\n"
        status, body = ask(server, "POST", "/v1/uploads", "localhost", more)
        assert (status, json.loads(body)["type"]) == (400, "urn:aeformat:problem:bad-request")
    assert "aeformat_uploads_open 0" in ask(server, "GET", "/metrics", "localhost")[1].decode()
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(f"OPTIONS {PATH} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n".encode())
        sock.sendall(b"Access-Control-Request-Method: DELETE\r\n\r\n")
        assert b"access-control" not in sock.recv(65536).lower()
