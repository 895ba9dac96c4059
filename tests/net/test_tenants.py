"""Tokens, scopes, tenants, quotas: section 10 of spec/transport.md."""

from __future__ import annotations

import hashlib
import json
import socket

import pytest
from transport.containers import latents

from aeformat.errors import Hint, UsageError
from aeformat.net.server.run import Settings, serve
from aeformat.net.server.tokens import SCOPES, Tokens
from net.running import running, until, upload

FILE = latents(400, dims=32)
PATH = f"v1/containers/{hashlib.sha256(FILE).hexdigest()}"
TOKENS = {
    "a": ("acme", list(SCOPES), None),
    "reader": ("acme", ["containers:read"], None),
    "b": ("beta", list(SCOPES), None),
    "late": ("acme", list(SCOPES), "2020-01-01T00:00:00Z"),
    "small": ("small", list(SCOPES), None),
}


def write_tokens(path, tokens=TOKENS):
    entries = []
    for token, (tenant, scopes, expires) in tokens.items():
        entry = {"sha256": hashlib.sha256(token.encode()).hexdigest(), "tenant": tenant, "scopes": scopes}
        entries.append(entry | ({"expires": expires} if expires else {}))
    tenants = {"acme": {}, "beta": {}, "small": {"quota_bytes": len(FILE) + 1000}}
    path.write_text(json.dumps({"tenants": tenants, "tokens": entries}))
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tenants")


@pytest.fixture(scope="module")
def server(place):
    with running(place / "root", tokens=write_tokens(place / "tokens.json"), log=place / "log") as server:
        assert upload(server, FILE, "a").status == 201
        yield server


@pytest.mark.parametrize(
    ("token", "method", "path", "status"),
    [
        ("a", "GET", PATH, 200),
        ("reader", "GET", PATH, 200),
        ("reader", "POST", "v1/uploads", 403),
        ("reader", "GET", "v1/models/" + "0" * 64, 403),
        ("reader", "GET", "metrics", 403),
        ("late", "GET", PATH, 401),
        ("unknown", "GET", PATH, 401),
        (None, "GET", PATH, 401),
        (None, "POST", "v1/models:missing", 401),
        (None, "GET", "metrics", 401),
        (None, "GET", "v1/", 200),
        ("b", "GET", PATH, 404),
        ("b", "HEAD", PATH, 404),
    ],
)
def test_who_may_do_what(server, token, method, path, status):
    """T10-1, T10-2."""
    found = server.request(method, path, token=token)
    assert found.status == status
    if status == 401:
        assert found.get("WWW-Authenticate").startswith("Bearer")


def test_what_another_tenant_has_looks_like_what_nobody_has(server):
    """T10-2: the two answers are identical, for blobs and for uploads."""
    same = {"X-Request-ID": "the-same"}
    theirs = server.request("GET", PATH, same, token="b")
    assert theirs.body == server.request("GET", f"v1/containers/{'0' * 64}", same, token="b").body
    where = server.request("POST", "v1/uploads", {"Upload-Complete": "?0"}, b"", "a").get("Location")
    for method in ("HEAD", "PATCH", "DELETE"):
        more = {**same, "Upload-Offset": "0", "Upload-Complete": "?0", "Content-Type": "application/partial-upload"}
        theirs = server.request(method, where, more, token="b")
        nobodys = server.request(method, f"v1/uploads/{'0' * 32}", more, token="b")
        assert (theirs.status, theirs.body) == (nobodys.status, nobodys.body) and theirs.status == 404


def test_the_same_bytes_are_stored_once_and_counted_twice(server, place):
    """T10-3."""
    assert upload(server, FILE, "b").status == 201
    assert len(list((place / "root").glob("objects/*/*"))) == 1
    assert server.request("GET", PATH, token="b").status == 200


def test_a_quota_is_not_exceeded(server):
    """507, whether the length is stated first or found while receiving.  Staged bytes count."""
    assert upload(server, FILE, "small").status == 201
    assert upload(server, latents(20, seed=9), "small").status == 507
    said = {"Upload-Complete": "?0", "Upload-Length": "5000"}
    assert server.request("POST", "v1/uploads", said, b"", "small").status == 507


def test_a_revoked_token_is_refused(server, place):
    """The token file is read again when it changes."""
    path = place / "tokens.json"
    write_tokens(path, {name: TOKENS[name] for name in TOKENS if name != "reader"})
    assert server.request("GET", PATH, token="reader").status == 401
    write_tokens(path)
    assert server.request("GET", PATH, token="reader").status == 200


def test_the_log_is_lines_of_json_without_tokens(server, place):
    """T10-5."""
    server.request("GET", PATH, token="late")
    lines = (place / "log").read_text().splitlines()
    names = {"time", "level", "request_id", "client", "tenant", "method", "route", "path", "status"}
    assert set(json.loads(lines[-1])) == names | {"bytes_in", "bytes_out", "ms"}
    secrets = [*TOKENS, *(hashlib.sha256(token.encode()).hexdigest() for token in TOKENS)]
    assert not any(f'"{secret}"' in line for secret in secrets if len(secret) > 5 for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"tenants": {}}',
        '{"tenants": {"../x": {}}, "tokens": [{"sha256": "", "tenant": "../x", "scopes": []}]}',
        '{"tenants": {"a": {}}, "tokens": [{"sha256": "", "tenant": "b", "scopes": []}]}',
        '{"tenants": {"a": {}}, "tokens": [{"sha256": "", "tenant": "a", "scopes": ["all"]}]}',
        '{"tenants": {"a": {}}, "tokens": [{"sha256": "", "tenant": "a", "scopes": [], "expires": "soon"}]}',
        '{"tenants": {"a": {}}, "tokens": [{"sha256": "", "tenant": "a", "scopes": [], "expire": "2026-01-01"}]}',
        '{"tenants": {"a": {"quota": 5}}, "tokens": []}',
        '{"tenants": {}, "tokens": [], "token": []}',
    ],
)
def test_a_bad_token_file_is_refused_at_the_start(tmp_path, text):
    """The error comes at the start, not at the first request."""
    (tmp_path / "tokens").write_text(text)
    with pytest.raises(UsageError, match="token file"):
        Tokens(tmp_path / "tokens")


def test_without_tokens_only_this_machine_is_served(tmp_path):
    """Section 10."""
    with pytest.raises(UsageError, match="without tokens") as caught:
        serve(Settings(tmp_path / "root", "0.0.0.0"))
    assert caught.value.hint is Hint.SET_TOKEN_FILE


def test_a_token_is_checked_again_at_the_end(tmp_path):
    """T10-4: it was revoked while the body arrived, so the blob is not stored."""
    path = write_tokens(tmp_path / "tokens")
    with running(tmp_path / "root", tokens=path) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            head = "POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nUpload-Complete: ?1\r\n"
            head += f"Content-Type: application/vnd.aeformat\r\nContent-Length: {len(FILE)}\r\n\r\n"
            sock.sendall(head.encode() + FILE[:-1])
            until(lambda: any((tmp_path / "root").glob("uploads/*/data")))
            write_tokens(path, {name: TOKENS[name] for name in TOKENS if name != "a"})
            sock.sendall(FILE[-1:])
            sock.settimeout(30)
            assert sock.recv(65536).split(b" ")[1] == b"401"
        assert not list((tmp_path / "root").glob("objects/*/*"))
        write_tokens(path)
        assert server.request("HEAD", PATH, token="a").status == 404
