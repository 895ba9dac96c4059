"""Other clients: curl (the commands of the documentation as they stand), httpx, urllib3; and nginx in front of the server."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import math
import os
import re
import socket
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from urllib.parse import urljoin, urlsplit

import pytest
from transport.containers import latents

from aeformat import net
from aeformat.net.client.options import Options
from net.running import needs, running, until
from tools.loopback.front import nginx_in_front

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
    """A function that runs blocks of the documentation in a shell.  url: of a server or a proxy."""
    needs("curl")
    (tmp_path / "digits.aef").write_bytes(FILE)

    def paste(*names: str, url: str = server.url) -> str:
        script = "set -eu -o pipefail\n" + "".join(LINES[name] for name in names)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path, env={**os.environ, "URL": url.rstrip("/"), "FILE": "digits.aef"},
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
    assert "copy.aef: OK" in shell("fetch")  # which a finished file stands
    (tmp_path / "copy.aef").unlink()
    assert '{"missing":["000' in shell("fetch", "ask")
    (tmp_path / "copy.aef").unlink()
    assert "204 No Content" in shell("fetch", "delete")
    assert server.request("GET", PATH).status == 404
    assert set(LINES) == {"about", "send", "resume", "uploads", "fetch", "ask", "delete"}


@contextlib.contextmanager
def cutting(port: int, n_bytes: int):
    """A relay that passes connections on to the server on `port`; the first PATCH is cut off after n_bytes.

    Yields its port and the methods that it has passed.
    """
    methods: list[bytes] = []

    def copy(source: socket.socket, sink: socket.socket, most: float) -> None:
        with contextlib.suppress(OSError):
            while most > 0 and (data := source.recv(65536)):
                sink.sendall(data)
                most -= len(data)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it is closed at the end
            while True:
                client, _ = listener.accept()
                server, first = socket.create_connection(("127.0.0.1", port)), client.recv(65536)
                methods.append(first.split(b" ")[0])
                server.sendall(first)
                most = n_bytes if methods.count(b"PATCH") == 1 and methods[-1] == b"PATCH" else math.inf
                Thread(target=copy, args=(client, server, most), daemon=True).start()
                Thread(target=copy, args=(server, client, math.inf), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1], methods


def test_the_lines_that_resume_go_on_where_a_connection_broke(shell, server):
    """curl is cut off in its first request.  The second one begins at the offset that the server names."""
    with cutting(server.port, len(FILE) // 2) as (port, methods):
        assert "upload-complete: ?1" in shell("resume", url=f"http://127.0.0.1:{port}").lower()
    assert methods == [b"POST", b"PATCH", b"HEAD", b"PATCH"]
    assert server.request("GET", PATH).status == 200


def test_httpx(server):
    """T4-8: an upload by a client that knows nothing of chunks makes progress.  Also a range request."""
    httpx = needs_module("httpx")
    with httpx.Client(base_url=server.url, timeout=60) as client:
        created = client.post("v1/uploads", headers={"Upload-Complete": "?0"})
        where = created.url.join(created.headers["Location"])
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


@pytest.mark.parametrize("path", ["/", "/ae/"], ids=["root", "sub-path"])
def test_nginx_in_front(server, tmp_path, path):
    """The configuration of the documentation buffers nothing: bytes sent before a connection breaks are acknowledged.

    T4-29: places are right below a path of the proxy's too.
    """
    needs("nginx")
    with nginx_in_front(tmp_path / "nginx", server.port, path) as url:
        front = type(server).__new__(type(server))
        front.url, front.process = url, server.process
        front_port = urlsplit(url).port
        found = front.request("POST", "v1/uploads", {"Upload-Complete": "?0"}, b"")
        where = urljoin(f"{url}v1/uploads", found.get("Location"))
        assert where.startswith(f"{url}v1/uploads/")
        head = f"PATCH {urlsplit(where).path} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nUpload-Complete: ?1\r\n"
        head += f"Content-Type: application/partial-upload\r\nContent-Length: {len(FILE)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", front_port), 30) as sock:  # it is closed half-way
            sock.sendall(head.encode() + FILE[: len(FILE) // 2])
            staged = tmp_path / "root"  # a HEAD now would end the request (T4-9)
            until(lambda: any(path.stat().st_size > len(FILE) // 4 for path in staged.glob("uploads/*/data")))
        assert int(front.request("HEAD", where).get("Upload-Offset")) > 0
        (tmp_path / "x.aef").write_bytes(FILE)
        sent = net.send(tmp_path / "x.aef", url, Options(policy="never"))
        assert net.fetch(sent.url, tmp_path / "back.aef", Options(policy="never")).path.read_bytes() == FILE
        assert front.request("GET", PATH, {"Accept-Encoding": "gzip"}).get("Content-Encoding") is None
        named = {"Upload-Complete": "?1", "Content-Type": "application/vnd.aeformat"}
        http = HTTPConnection("127.0.0.1", front_port, timeout=60)
        http.request("POST", f"{path}v1/uploads", FILE, {**named, "Upload-Draft-Interop-Version": "8"})
        again = http.getresponse()
        assert again.status == 201  # nginx before 1.29 makes a final answer of the 104
        assert urljoin(f"{url}v1/uploads", again.headers["Content-Location"]) == f"{url}{PATH}"
        http.close()


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
