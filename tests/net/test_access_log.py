"""The log: one line of JSON for each request and for all else, with the request's id (T2-19, T10-5, T10-9)."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from transport.containers import latents

from net.running import running, until, upload

FILE = latents(2000, dims=64, chunk_rows=100)
PATH = f"v1/containers/{hashlib.sha256(FILE).hexdigest()}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def server(place):
    with running(place / "root", log=place / "log", trusted_proxies=("127.0.0.1",), log_level="debug") as server:
        assert upload(server, FILE).status == 201
        yield server


def lines(place: Path) -> list[dict]:
    return [json.loads(line) for line in (place / "log").read_text().splitlines()]


def line_of(place: Path, request: str) -> dict:
    """The line of one request, by its id."""
    until(lambda: any(line.get("request_id") == request for line in lines(place)))
    (found,) = [line for line in lines(place) if line.get("request_id") == request]
    return found


def test_the_line_of_a_download(server, place):
    """All members, with the bytes that the kernel sent."""
    server.request("GET", f"{PATH}?secret=1", {"X-Request-ID": "download-1", "Range": "bytes=10-109"})
    found = line_of(place, "download-1")
    assert found.pop("time") > 1e9 and found.pop("ms") >= 0
    assert found == {
        "level": "info", "request_id": "download-1", "client": "127.0.0.1", "tenant": "local", "method": "GET",
        "route": "/v1/containers/{name}", "path": f"/{PATH}", "status": 206, "bytes_in": 0, "bytes_out": 100,
    }  # fmt: skip
    assert "secret" not in (place / "log").read_text()


def test_the_line_of_an_upload(server, place):
    fields = {"Upload-Complete": "?1", "Content-Type": "application/vnd.aeformat", "X-Request-ID": "upload-1"}
    server.request("POST", "v1/uploads", fields, FILE)
    found = line_of(place, "upload-1")
    assert (found["method"], found["status"], found["bytes_in"], found["bytes_out"]) == ("POST", 201, len(FILE), 0)


def test_head_sends_no_bytes(server, place):
    server.request("HEAD", PATH, {"X-Request-ID": "head-1"})
    assert line_of(place, "head-1")["bytes_out"] == 0


@pytest.mark.parametrize("sent", ["a", "7d4f:~/+=@-._Z", "x" * 128])
def test_an_id_that_is_sane_is_kept(server, sent):
    """In the answer, and in the problem document."""
    found = server.request("GET", f"v1/containers/{'0' * 64}", {"X-Request-ID": sent})
    assert (found.get("X-Request-ID"), found.problem["request_id"]) == (sent, sent)


@pytest.mark.parametrize("sent", [None, "", "x" * 129, "a b", 'a"b', "a,b", "{}"])
def test_any_other_is_replaced(server, sent):
    found = server.request("GET", f"v1/containers/{'0' * 64}", {} if sent is None else {"X-Request-ID": sent})
    assert re.fullmatch("[0-9a-f]{32}", found.get("X-Request-ID"))
    assert found.problem["request_id"] == found.get("X-Request-ID")


def test_two_ids_differ(server):
    assert server.request("GET", "v1/").get("X-Request-ID") != server.request("GET", "v1/").get("X-Request-ID")


def test_the_client_behind_a_proxy(server, place):
    server.request("GET", "v1/", {"X-Request-ID": "proxied", "X-Forwarded-For": "198.51.100.9, 192.0.2.7"})
    assert line_of(place, "proxied")["client"] == "192.0.2.7"


def test_hostile_paths_stay_inside_their_line(server, place):
    """Line ends and quotes are escaped; a long path is cut."""
    server.raw(
        b"GET /%0a%22\x7f" + b"a" * 2000 + b" HTTP/1.1\r\nHost: x\r\nX-Request-ID: hostile\r\nConnection: close\r\n\r\n"
    )
    server.raw(
        b'GET /"\\{}' + b"a" * 2000 + b" HTTP/1.1\r\nHost: x\r\nX-Request-ID: quoted\r\nConnection: close\r\n\r\n"
    )
    found = line_of(place, "quoted")
    assert found["path"].startswith('/"\\{}a') and len(found["path"]) == 256
    assert all(isinstance(line, dict) for line in lines(place))


def test_probes_are_logged_at_level_debug(server, place):
    server.request("GET", "healthz", {"X-Request-ID": "probe-1"})
    found = line_of(place, "probe-1")
    assert (found["level"], found["route"]) == ("debug", "/healthz")


def test_a_traceback_is_a_member_of_its_line(tmp_path, monkeypatch):
    """A fault of ours: 500 with the id, which the line with the traceback has too."""
    monkeypatch.setattr("aeformat.net.server.storage.Storage.find", lambda *_: 1 // 0)
    with running(tmp_path / "root", log=tmp_path / "log") as server:
        found = server.request("GET", PATH, {"X-Request-ID": "fault-1"})
        assert (found.status, found.problem["request_id"]) == (500, "fault-1")
        assert found.problem["type"] == "urn:aeformat:problem:server-error"
        until(lambda: len(lines(tmp_path)) > 1)
    traced = [line for line in lines(tmp_path) if "traceback" in line]
    assert [(line["request_id"], line["level"]) for line in traced] == [("fault-1", "error")]
    assert "ZeroDivisionError" in traced[0]["traceback"] and "\n" in traced[0]["traceback"]


def test_a_disk_that_fails_is_a_traceback_in_its_line(tmp_path, monkeypatch):
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("aeformat.net.server.storage.Storage.find", broken)
    with running(tmp_path / "root", log=tmp_path / "log") as server:
        assert server.request("GET", PATH, {"X-Request-ID": "disk-1"}).status >= 500
        until(lambda: len(lines(tmp_path)) > 1)
    (traced,) = [line for line in lines(tmp_path) if "traceback" in line]
    assert traced["request_id"] == "disk-1"


@pytest.mark.parametrize(("level", "n_lines"), [("debug", 2), ("info", 1), ("warning", 0), ("error", 0)])
def test_levels(tmp_path, level, n_lines):
    """A request is info, a probe is debug."""
    with running(tmp_path / "root", log=tmp_path / "log", log_level=level) as server:
        server.request("GET", "v1/")
        server.request("GET", "healthz")
        server.stop(15)
    assert len([line for line in lines(tmp_path) if "method" in line]) == n_lines
