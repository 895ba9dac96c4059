"""Other clients: curl (the commands of the documentation as they stand), httpx, urllib3; and nginx in front of the server."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import subprocess
from pathlib import Path

import pytest
from transport.containers import latents

from aeformat import net
from aeformat.net.client.options import Options
from net.running import accepts, free_port, needs, running, until

DOCS = Path(__file__).resolve().parents[2] / "spec" / "transport"
LINES = dict(re.findall(r"<!-- curl: (\w+) -->\n```sh\n(.*?)```", (DOCS / "README.md").read_text(), re.S))
FILE = latents(2000, dims=64, chunk_rows=40)
SHA = hashlib.sha256(FILE).hexdigest()
PATH = f"v1/containers/{SHA}"


def needs_module(name: str):
    """Import a module.  If it is not installed the test is skipped; with AEFORMAT_REQUIRE_ALL=1 it fails."""
    return importlib.import_module(name) if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1" else pytest.importorskip(name)


@pytest.fixture
def server(tmp_path):
    with running(tmp_path / "root") as server:
        yield server


@pytest.fixture
def shell(server, tmp_path):
    """A function that runs blocks of the documentation in a shell."""
    needs("curl")
    (tmp_path / "digits.aef").write_bytes(FILE)

    def paste(*names: str) -> str:
        script = "set -eu -o pipefail\n" + "".join(LINES[name] for name in names)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path, env={**os.environ, "URL": server.url.rstrip("/"), "FILE": "digits.aef"},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return paste


def test_the_commands_of_the_documentation_work_as_they_stand(shell, server, tmp_path):
    """curl sends, resumes, lists, fetches, asks, deletes."""
    assert '"versions":["v1"]' in shell("about")
    assert PATH in shell("send")
    found = shell("resume").lower()
    assert "201 created" in found and "upload-complete: ?1" in found
    listed = shell("uploads")
    assert '"offset":0' in listed and "204 No Content" in listed
    assert server.request("GET", "v1/uploads").body == b'{"uploads":[]}'
    assert "copy.aef: OK" in shell("fetch")
    (tmp_path / "copy.aef").write_bytes(FILE[:70_001])
    assert "copy.aef: OK" in shell("fetch")
    (tmp_path / "copy.aef").unlink()
    assert '{"missing":["000' in shell("fetch", "ask")
    (tmp_path / "copy.aef").unlink()
    assert "204 No Content" in shell("fetch", "delete")
    assert server.request("GET", PATH).status == 404
    assert set(LINES) == {"about", "send", "resume", "uploads", "fetch", "ask", "delete"}


def test_httpx(server):
    """T4-8: an upload by a client that knows nothing of chunks makes progress.  Also a range request."""
    httpx = needs_module("httpx")
    with httpx.Client(base_url=server.url, timeout=60) as client:
        where = client.post("v1/uploads", headers={"Upload-Complete": "?0"}).headers["Location"]
        at = 0
        while True:
            data = FILE[at : at + 300_000]
            is_last = at + len(data) == len(FILE)
            named = {"Upload-Offset": str(at), "Upload-Complete": f"?{int(is_last)}"}
            found = client.patch(where, content=data, headers={**named, "Content-Type": "application/partial-upload"})
            at = int(found.headers["Upload-Offset"])
            if found.status_code == 201:
                break
            assert found.status_code == 204
        whole = client.get(PATH)
        assert (whole.content, whole.headers["ETag"]) == (FILE, f'"sha256:{SHA}"')
        assert client.get(PATH, headers={"Range": "bytes=100-199"}).content == FILE[100:200]


def test_urllib3(server):
    """T4-12: a chunked body of unknown length.  The answer is the final one, not 104."""
    urllib3 = needs_module("urllib3")
    pool = urllib3.PoolManager()
    pieces = (FILE[at : at + 10_000] for at in range(0, len(FILE), 10_000))
    named = {"Upload-Complete": "?1", "Content-Type": "application/vnd.aeformat"}
    found = pool.request("POST", f"{server.url}v1/uploads", body=pieces, headers=named)
    assert (found.status, found.headers["Upload-Complete"]) == (201, "?1")
    assert pool.request("GET", f"{server.url}{PATH}").data == FILE


def test_nginx_in_front(server, tmp_path):
    """The configuration of the documentation buffers nothing: bytes sent before a connection breaks are acknowledged."""
    nginx, port = needs("nginx"), free_port()
    text = (DOCS / "nginx.conf").read_text()
    text = text.replace("127.0.0.1:8443", f"127.0.0.1:{port}").replace("127.0.0.1:8023", f"127.0.0.1:{server.port}")
    (tmp_path / "nginx").mkdir()
    (tmp_path / "nginx" / "tmp").mkdir()
    (tmp_path / "nginx" / "nginx.conf").write_text(("user root;\n" if os.geteuid() == 0 else "") + text)
    process = subprocess.Popen(
        [nginx, "-p", tmp_path / "nginx", "-c", tmp_path / "nginx" / "nginx.conf"], stderr=subprocess.PIPE
    )
    try:
        url = f"http://127.0.0.1:{port}/"
        front = type(server).__new__(type(server))
        front.url, front.process = url, server.process
        until(lambda: accepts(port) or process.poll() is not None)
        assert process.poll() is None, process.stderr.read()
        where = front.request("POST", "v1/uploads", {"Upload-Complete": "?0"}, b"").get("Location")
        head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nUpload-Complete: ?1\r\n"
        head += f"Content-Type: application/partial-upload\r\nContent-Length: {len(FILE)}\r\n\r\n"
        front.raw(head.encode() + FILE[: len(FILE) // 2], seconds=2)  # then the connection is closed
        until(lambda: int(front.request("HEAD", where).get("Upload-Offset")) > 0)
        (tmp_path / "x.aef").write_bytes(FILE)
        sent = net.send(tmp_path / "x.aef", url, Options(policy="never"))
        assert net.fetch(sent.url, tmp_path / "back.aef", Options(policy="never")).path.read_bytes() == FILE
        assert front.request("GET", PATH, {"Accept-Encoding": "gzip"}).get("Content-Encoding") is None
    finally:
        process.terminate()
        process.wait(10)


def test_the_published_routes_hold(server, tmp_path):
    """schemathesis against v1/openapi.json: no answer that the document does not list, no 5xx."""
    program = needs("schemathesis")
    done = subprocess.run(
        [program, "run", f"{server.url}v1/openapi.json", "--max-examples", "25", "--seed", "1", "--workers", "1",
         "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parent)},
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
