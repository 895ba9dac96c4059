"""The server behind the page: loopback only, one page, byte ranges of the files that it shows.

Whoever has the URL may read; it holds a random token.  A name that was pointed at this address (DNS rebinding) is not answered.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import re
import secrets
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final

from aeformat.net.view.page import PAGE_FIELDS, page
from aeformat.net.view.shown import Exhibit

_HOST: Final = "127.0.0.1"
_IDLE_SECONDS: Final = 60
_COPY_BYTES: Final = 1 << 18
_RANGE: Final = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")
_FILE: Final = re.compile(r"(files|against)/(\d{1,6})")
_DECODER: Final = re.compile(r"decoders/([0-9a-f]{64})")


def host_names(port: int) -> set[str]:
    """What a browser calls this server; it leaves out the port of HTTP."""
    names = {_HOST, "localhost"}
    return {f"{name}:{port}" for name in names} | (names if port == http.client.HTTP_PORT else set())


class ViewServer(http.server.ThreadingHTTPServer):
    """Serves one exhibit.  url: where the page is, token and all."""

    daemon_threads = True

    def __init__(self, exhibit: Exhibit, port: int = 0) -> None:
        """port: 0 for any free one.  Raises UsageError (no page was built), OSError (the port is taken)."""
        self.page = page()
        super().__init__((_HOST, port), _Handler)
        self.exhibit = exhibit
        self.token = secrets.token_urlsafe(24)
        own_port = self.server_address[1]
        self.host_names = host_names(own_port)
        self.url = f"http://{_HOST}:{own_port}/{self.token}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A page that goes away in the middle of an answer is no error."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    server: ViewServer

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.host_names:
            self._send(HTTPStatus.MISDIRECTED_REQUEST)
            return
        token, _, place = self.path.partition("?")[0].lstrip("/").partition("/")
        if not secrets.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode()):
            self._send(HTTPStatus.NOT_FOUND)
        elif not place:
            self._send(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif place == "list.json":
            self._send(HTTPStatus.OK, json.dumps(self.server.exhibit.listing()).encode(), "application/json")
        elif match := _DECODER.fullmatch(place):
            self._send_file(self.server.exhibit.decoder_file(match[1]), HTTPStatus.NO_CONTENT)
        else:
            self._send_file(self._find(place), HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET  # noqa: N815 - http.server's names

    def _find(self, place: str) -> Path | None:
        """The file that a place stands for.  Nothing else of this machine has a place."""
        exhibit = self.server.exhibit
        match = _FILE.fullmatch(place)
        if match is None or int(match[2]) >= len(exhibit.files):
            return None
        shown = exhibit.files[int(match[2])]
        if match[1] == "files":
            return shown.path
        return None if shown.against is None else shown.against.path

    def _send_file(self, path: Path | None, missing: HTTPStatus) -> None:
        try:
            file = None if path is None else path.open("rb")
        except OSError:  # it was there when the page was made
            file = None
        if file is None:
            self._send(missing)
            return
        with file:
            status = os.fstat(file.fileno())
            self._send_range(file, status.st_size, f'"{status.st_size:x}-{status.st_mtime_ns:x}"')

    def _send_range(self, file: BinaryIO, size: int, etag: str) -> None:
        fields = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        first, stop = (int(match[1]), min(int(match[2] or size - 1) + 1, size)) if match else (0, size)
        if match and first >= stop:
            self._send_head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, {"Content-Range": f"bytes */{size}"})
            return
        if match:
            fields["Content-Range"] = f"bytes {first}-{stop - 1}/{size}"
        self._send_head(HTTPStatus.PARTIAL_CONTENT if match else HTTPStatus.OK, stop - first, fields)
        if self.command == "GET":
            file.seek(first)
            self._copy(file, stop - first)

    def _copy(self, file: BinaryIO, n_bytes: int) -> None:
        while n_bytes and (data := file.read(min(n_bytes, _COPY_BYTES))):
            self.wfile.write(data)
            n_bytes -= len(data)
        if n_bytes:  # the file became shorter: the page must not wait for the rest
            self.close_connection = True

    def _send(self, status: HTTPStatus, body: bytes = b"", kind: str = "text/plain") -> None:
        self._send_head(status, len(body), {"Content-Type": kind})
        if self.command == "GET":
            self.wfile.write(body)

    def _send_head(self, status: HTTPStatus, n_bytes: int, fields: dict[str, str]) -> None:
        self.send_response(status)
        length = {} if status == HTTPStatus.NO_CONTENT else {"Content-Length": str(n_bytes)}
        for name, value in (PAGE_FIELDS | fields | length).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the URL holds the token."""
