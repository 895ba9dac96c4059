"""GET /healthz and /readyz: T2-18."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from aeformat.net.server.health import Readiness
from net.running import running, until
from net.test_tenants import write_tokens


def readiness(root, reserve_bytes=0, **conditions):
    return Readiness(root, reserve_bytes, conditions)


@pytest.mark.parametrize("path", ["healthz", "readyz"])
def test_both_answer_without_token_and_under_every_name(tmp_path, path):
    """What a load balancer sends: no token, its own idea of a name."""
    with running(tmp_path / "root", tokens=write_tokens(tmp_path / "tokens"), host_names=("files.example",)) as server:
        found = server.request("GET", path)
        assert (found.status, json.loads(found.body), found.get("Cache-Control")) == (200, {"status": "ok"}, "no-store")
        assert server.request("HEAD", path).status == 200
        refused = server.request("POST", path, body=b"")
        assert (refused.status, refused.get("Allow")) == (405, "GET, HEAD")
        raw = server.raw(f"GET /{path} HTTP/1.0\r\n\r\n".encode())
        assert raw.startswith(b"HTTP/1.1 200 ")


def test_a_folder_that_is_gone_is_no_storage(tmp_path):
    """Nothing can be written: not ready, but alive.  No path is told."""
    root = tmp_path / "root"
    with running(root) as server:
        assert server.request("GET", "readyz").status == 200
        root.rename(tmp_path / "moved")
        until(lambda: server.request("GET", "readyz").status == 503)  # the look before is good for a second
        seen = server.request("GET", "readyz")
        assert json.loads(seen.body) == {"status": "not ready", "reasons": ["storage"]}
        assert str(tmp_path) not in seen.body.decode()
        assert server.request("GET", "healthz").status == 200


def test_the_probe_leaves_nothing(tmp_path):
    assert asyncio.run(readiness(tmp_path).reasons()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_disk_below_the_reserve(tmp_path, monkeypatch):
    monkeypatch.setattr("aeformat.net.server.health.shutil.disk_usage", lambda _path: SimpleNamespace(free=999))
    assert asyncio.run(readiness(tmp_path, 1000).reasons()) == ["disk-full"]
    assert asyncio.run(readiness(tmp_path, 999).reasons()) == []


def test_every_condition_has_its_word(tmp_path):
    ready = readiness(tmp_path, draining=lambda: False, token=lambda: True)
    assert asyncio.run(ready.reasons()) == ["draining"]


def test_a_disk_that_hangs_is_no_storage_and_is_asked_once(tmp_path, monkeypatch):
    """The answer comes all the same; a second look begins only when the first has ended."""
    release, begun = threading.Event(), []

    def hang(*_: object) -> int:
        begun.append(1)
        release.wait(60)
        raise OSError

    monkeypatch.setattr(os, "open", hang)
    monkeypatch.setattr("aeformat.net.server.health._WAIT_SECONDS", 0.05)
    monkeypatch.setattr("aeformat.net.server.health._KEPT_SECONDS", 0.0)

    async def asked() -> list[list[str]]:
        ready = readiness(Path(tmp_path))
        found = [await ready.reasons() for _ in range(3)]
        release.set()
        return found

    assert asyncio.run(asked()) == [["storage"]] * 3
    assert begun == [1]


def test_the_reserve_is_that_of_the_limits(tmp_path):
    """T7-6: where uploads are refused because the disk is below it, the server says that it is full."""
    with running(tmp_path / "root", reserve_bytes=1 << 60) as server:
        assert json.loads(server.request("GET", "readyz").body)["reasons"] == ["disk-full"]
