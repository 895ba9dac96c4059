"""The token file of a running server: T10-8."""

from __future__ import annotations

import hashlib
import json
import os
import signal

import pytest
from transport.containers import latents

from aeformat.net.server.tokens import SCOPES, SERVER_METRICS, Tokens
from aeformat.transport.problems import Problem
from net.running import running, until, upload

FILE = latents(100, dims=8)
PATH = f"v1/containers/{hashlib.sha256(FILE).hexdigest()}"
TENANT = [scope for scope in SCOPES if scope != SERVER_METRICS]


def write(path, **scopes):
    """Put a token file in its place: tokens by name with their scopes, all of one tenant."""
    entries = [
        {"sha256": hashlib.sha256(token.encode()).hexdigest(), "tenant": "acme", "scopes": list(named)}
        for token, named in scopes.items()
    ]
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"tenants": {"acme": {}}, "tokens": entries}))
    new.replace(path)
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "tokens", ann=TENANT, bob=TENANT, watch=[SERVER_METRICS])


@pytest.fixture
def server(tmp_path, path):
    with running(tmp_path / "root", tokens=path, log=tmp_path / "log") as server:
        assert upload(server, FILE, "ann").status == 201
        yield server


def break_json(path):
    path.write_text(path.read_text().replace("ann", "")[:-1])  # `ann` is taken out, and a bracket with it


def unknown_scope(path):
    path.write_text(path.read_text().replace("uploads:write", "upload:write"))


def not_text(path):
    path.write_bytes(b"\xff\xfe\x00")


def deep(path):
    path.write_text("[" * 100_000)


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [break_json, unknown_scope, not_text, deep, a_folder])
def test_a_file_that_cannot_be_read_stops_all_and_is_loud(server, path, tmp_path, damage):
    """The report's M2: a token that was taken out went on working, without a word."""
    damage(path)

    for token in ("ann", "bob"):
        found = server.request("GET", PATH, token=token)
        assert (found.status, found.problem["type"]) == (503, "urn:aeformat:problem:tokens-unreadable")
        assert found.problem["retry"] == "after" and found.get("Retry-After")
    assert server.request("GET", PATH).status == 401
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    loud = [line for line in lines if "token file" in line.get("message", "")][-1]
    assert (loud["level"], loud["file"]) == ("error", str(path)) and loud["reason"]
    ready = server.request("GET", "readyz")
    assert (ready.status, json.loads(ready.body)["reasons"]) == (503, ["token-file"])
    text = server.request("GET", "metrics", token="watch").body.decode()
    assert "aeformat_token_file_unreadable 1" in text
    assert server.request("GET", "metrics", token="ann").status == 503


def test_it_is_loud_before_anybody_asks(server, path, tmp_path):
    """Within about a second, without a request."""
    path.write_text("{")
    until(lambda: "token file cannot be read" in (tmp_path / "log").read_text())


def test_a_file_that_is_removed_stops_all(server, path):
    path.unlink()
    for token in ("ann", "bob"):
        assert server.request("GET", PATH, token=token).status == 503
    assert server.request("GET", "metrics", token="watch").status == 503
    write(path, bob=TENANT)
    assert server.request("GET", PATH, token="bob").status == 200
    assert server.request("GET", PATH, token="ann").status == 401


def test_a_file_that_comes_back_as_it_was_is_read(tmp_path, monkeypatch):
    """Its folder was away, so the file has the times, the size and the inode that it had."""
    (tmp_path / "mounted").mkdir()
    path = write(tmp_path / "mounted" / "tokens", ann=TENANT)
    old = path.stat().st_mtime_ns + 3_000_000_000
    monkeypatch.setattr("aeformat.net.server.tokens.time.time_ns", lambda: old)
    tokens = Tokens(path)
    path.parent.rename(tmp_path / "away")
    with pytest.raises(Problem, match="token file"):
        tokens.caller("Bearer ann", "models:read", 0)
    (tmp_path / "away").rename(path.parent)
    assert tokens.caller("Bearer ann", "models:read", 0).tenant == "acme"


def test_what_the_new_file_does_not_name_is_refused_with_the_next_request(server, path):
    """Also where two changes come within one tick of the clock, and the file keeps its size and its time."""
    write(path, ann=TENANT)
    assert server.request("GET", PATH, token="bob").status == 401
    stat, text = path.stat(), path.read_text()
    other = text.replace(hashlib.sha256(b"ann").hexdigest(), hashlib.sha256(b"eve").hexdigest())
    with path.open("r+") as file:
        file.write(other)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert server.request("GET", PATH, token="ann").status == 401
    assert server.request("GET", PATH, token="eve").status == 200


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_sighup_reads_the_file_again(server, path, tmp_path):
    """It is read, the log says so, and the server goes on."""
    write(path, ann=TENANT)
    os.kill(server.pid, signal.SIGHUP)
    until(lambda: "the token file was read again" in (tmp_path / "log").read_text())
    assert server.request("GET", PATH, token="ann").status == 200


def test_an_upload_that_ends_meanwhile_can_be_resumed(server, path):
    """T10-4 with a broken file: not stored, and not lost."""
    where = server.request("POST", "v1/uploads", {"Upload-Complete": "?0"}, b"", "ann").get("Location")
    good = path.read_text()
    more = {"Upload-Offset": "0", "Upload-Complete": "?1", "Content-Type": "application/partial-upload"}
    path.write_text("{")
    assert server.request("PATCH", where, more, FILE, "ann").status == 503
    path.write_text(good)
    assert server.request("PATCH", where, more, FILE, "ann").status == 201


def test_a_file_that_is_no_longer_young_is_read_once(path, monkeypatch):
    """What did not change is not read for each request."""
    old = path.stat().st_mtime_ns + 3_000_000_000
    monkeypatch.setattr("aeformat.net.server.tokens.time.time_ns", lambda: old)
    tokens = Tokens(path)
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda _self: pytest.fail("it was read"))
    assert tokens.caller("Bearer ann", "models:read", 0).tenant == "acme"


def test_without_a_token_the_answer_is_401_also_while_the_file_is_broken(path):
    tokens = Tokens(path)
    path.write_text("{")
    with pytest.raises(Problem) as caught:
        tokens.caller(None, "models:read", 0)
    assert caught.value.type.status == 401


def test_the_log_says_it_once_and_not_with_each_request(path, caplog):
    """Whatever is asked meanwhile; a new reason is said."""
    tokens = Tokens(path)
    path.write_text("{")
    for _ in range(3):
        tokens.look()
    path.unlink()
    for _ in range(3):
        tokens.look()
    reasons = [record.fields["reason"] for record in caplog.records if record.levelname == "ERROR"]
    assert len(reasons) == 2 and "No such file" in reasons[1]
