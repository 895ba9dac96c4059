"""What the tests of the JavaScript package run: Node, a browser, and a server of files that counts what it is asked for."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tools" / "js"
VECTORS = ROOT / "spec" / "vectors"
HERE = Path(__file__).parent
_SUFFIXES = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".json": "application/json"}
_DEADLINE = 600  # seconds; generous for a slow machine


def _missing(what: str) -> None:
    """Skip; with AEFORMAT_REQUIRE_ALL=1, fail."""
    if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1":
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


def program(name: str) -> str:
    """The path of a program."""
    found = shutil.which(name)
    if found is None:
        _missing(name)
    return str(found)


def npm(variable: str, package: str) -> Path:
    """The folder given to `npm install --prefix` that has a package: what an environment variable names."""
    prefix = os.environ.get(variable, "")
    if not prefix or not (Path(prefix) / "node_modules" / package).is_dir():
        _missing(f"{variable}, the folder of `npm install --prefix` with {package}")
    return Path(prefix)


def node(script: str, *args: str) -> Any:
    """What a script, the text of a module, prints as JSON.  It finds the package as `aeformat`."""
    executable = program("node")
    if not (PACKAGE / "node_modules" / "fzstd").is_dir():
        _missing("fzstd: run `npm ci --prefix tools/js`")
    done = subprocess.run(
        [executable, "--input-type=module", "-", *args],
        input=script,
        cwd=PACKAGE,
        capture_output=True,
        text=True,
        timeout=_DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def browse(url: str) -> Any:
    """What a page leaves in `window.found`, once it is there."""
    executable, chromium = program("node"), program("chromium")
    if not (PACKAGE / "node_modules" / "fzstd").is_dir():
        _missing("fzstd: run `npm ci --prefix tools/js`")
    prefix = npm("AEFORMAT_BROWSER", "playwright-core")
    command = [executable, str(ROOT / "tools" / "conformance" / "use_page.js"), str(prefix), chromium, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Site(http.server.ThreadingHTTPServer):
    """Files under names, with ranges; `asked` has the path and the bytes of each answer."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes | Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Files)
        self.files = files
        self.asked: list[tuple[str, int]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def find(self, name: str) -> bytes | None:
        """What a path leads to; a folder has all that is in it."""
        for prefix, what in self.files.items():
            if name == prefix:
                return what if isinstance(what, bytes) else what.read_bytes()
            if isinstance(what, Path) and name.startswith(f"{prefix}/"):
                path = (what / name[len(prefix) + 1 :]).resolve()
                return path.read_bytes() if path.is_relative_to(what.resolve()) and path.is_file() else None
        return None


class _Files(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].lstrip("/")
        body = self.server.find(name)
        if body is None:
            return self._answer(404, b"")
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not span:
            return self._answer(200, body)
        first, last = int(span[1]), min(int(span[2]), len(body) - 1)
        if first > last:
            return self._answer(416, b"")
        return self._answer(206, body[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(body)}"})

    def _answer(self, status: int, body: bytes, fields: dict[str, str] | None = None) -> None:
        self.server.asked.append((self.path, len(body)))
        self.send_response(status)
        self.send_header("Content-Type", _SUFFIXES.get(Path(self.path).suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(body)))
        for name, value in (fields or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving(files: dict[str, bytes | Path]) -> Iterator[Site]:
    """A site while it is needed."""
    with Site(files) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        try:
            yield site
        finally:
            site.shutdown()
