"""A page of another origin in a real browser: it reads and uploads where it may (T2-17), and gets nothing where it may not (T2-16).

Needs node, chromium, and the npm package `playwright-core` (AEFORMAT_BROWSER: its --prefix).  Skipped where one is missing;
AEFORMAT_REQUIRE_ALL=1 turns that into a failure.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

import aeformat
from aeformat.images import demo_digits
from aeformat.transport.http_fields import repr_digest
from net.running import needs, running, upload
from net.test_token_file import TENANT, write

DRIVER = Path(__file__).with_name("use_page.js")


class Blank(http.server.BaseHTTPRequestHandler):
    """A site with one empty page."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>a page</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def site():
    """The port of the site."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Blank) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def container(tmp_path_factory) -> bytes:
    """Latents with their decoder inside."""
    path = tmp_path_factory.mktemp("page") / "digits.aef"
    aeformat.pack(demo_digits(), path, embed_decoder=True, backend="numpy")
    return path.read_bytes()


def browse(**job: object) -> dict:
    """What a page found that a browser has loaded."""
    node, chromium, prefix = needs("node"), needs("chromium"), os.environ.get("AEFORMAT_BROWSER", "")
    if not (Path(prefix) / "node_modules" / "playwright-core").is_dir() or not prefix:
        reason = "missing: AEFORMAT_BROWSER, the folder of `npm install --prefix` with playwright-core"
        if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run(
        [node, DRIVER, prefix, chromium],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("has_tokens", [True, False], ids=["tokens", "no tokens"])
def test_a_page_uploads_resumes_and_reads(tmp_path, site, container, has_tokens):
    """Every field that it needs can be sent and read."""
    tokens = write(tmp_path / "tokens", ann=TENANT) if has_tokens else None
    token = "ann" if has_tokens else None
    sha256 = hashlib.sha256(container).digest()
    path = f"v1/containers/{sha256.hex()}"
    origin = f"http://app.example:{site}"
    with running(tmp_path / "root", tokens=tokens, cors_origins=(origin,)) as server:
        file = base64.b64encode(container).decode()
        found = browse(page=origin, server=server.url, token=token, file=file, isAllowed=True)["page"]
        assert server.request("HEAD", path, token=token).status == 404  # the page has deleted it
        assert upload(server, container, token).status == 201
        rows = server.request("GET", f"{path}?rows=0-3", {"Accept": "application/x-npy"}, token=token).body
    assert (found["created"], found["requestId"]) == (201, "from-a-page") and "max-size" in found["limit"]
    assert found["half"][0] == 204 and 0 < int(found["half"][1]) <= len(container) // 2
    assert found["broken"] == "AbortError" and found["resumedAt"] >= int(found["half"][1])
    assert found["last"][0] in (200, 201, 204) and found["last"][1:] == [
        "?1",
        repr_digest(sha256),
    ]  # of PATCH, or HEAD (T4-11)
    assert found["range"] == [206, f"bytes 8-15/{len(container)}", f'"sha256:{sha256.hex()}"', 8]
    assert found["rows"] == [200, base64.b64encode(rows).decode()]
    assert found["refused"] == [404, "urn:aeformat:problem:not-found"]
    assert found["deleted"] == 204


def test_a_page_of_another_origin_gets_nothing(tmp_path, site):
    """Not even what needs no token; and a name that is pointed here (DNS rebinding) is not answered."""
    with running(tmp_path / "root", cors_origins=(f"http://app.example:{site}",)) as server:
        rebound = f"http://evil.example:{server.port}/v1/"
        found = browse(page=f"http://evil.example:{site}", server=server.url, rebound=rebound, isAllowed=False)
        assert "aeformat_uploads_open 0" in server.request("GET", "metrics").body.decode()
    assert found["rebound"] == 421
    assert found["page"] == {"read": "TypeError", "create": "TypeError", "remove": "TypeError"}
