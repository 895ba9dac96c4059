"""An S3 service on loopback that can be full, slow down its clients, and lose its answers.

moto's, in a process of its own, on a free port of 127.0.0.1, one request at a time: moto looks and writes in two steps, and the
conditions of writes have to hold as a real service keeps them.  Needs boto3, moto[s3,server].  Imports nothing of aeformat.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

NAME = "aeformat-scale"
PLACES = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_CONTROL = "/unkind"
_ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>{}</Message></Error>'


class Bucket:
    """A service that runs.  environment: the variables that lead to it."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self.environment = PLACES | {"AWS_ENDPOINT_URL": self._url}

    def be(self, **how: int | None) -> None:
        """How it behaves from now on; kind without arguments.

        shards: it takes so many more objects *.aef, and is full then.  throttle: each request of so many is refused with SlowDown.
        lose: of so many writes of a mark or a manifest one is carried out, and answered with an error.
        """
        request = urllib.request.Request(self._url + _CONTROL, json.dumps(how).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()

    def counted(self) -> dict[str, int]:
        """Requests by method, bytes, and how often it was unkind, since it was started."""
        with urllib.request.urlopen(self._url + _CONTROL, timeout=60) as answer:
            found: dict[str, int] = json.loads(answer.read())
        return found


@contextlib.contextmanager
def unkind_bucket() -> Iterator[Bucket]:
    """Start a service with one empty bucket, NAME."""
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, str(Path(__file__))], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError("the service did not start")
            yield Bucket(int(port))
        finally:
            process.kill()


class _Unkind:
    """A WSGI application around another one."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app, self._lock = app, threading.Lock()
        self._how: dict[str, int | None] = {}
        self._count: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(data)
        with self._lock:
            if environ["PATH_INFO"] == _CONTROL:
                return self._control(environ["REQUEST_METHOD"], data, start)
            return self._answer(environ, len(data), start)

    def _control(self, method: str, data: bytes, start: Callable[..., Any]) -> list[bytes]:
        if method == "POST":
            self._how = json.loads(data)
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(self._count).encode()]

    def _answer(self, environ: dict[str, Any], n_bytes: int, start: Callable[..., Any]) -> list[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        is_list = "list-type" in environ.get("QUERY_STRING", "")
        self._count["LIST" if is_list else method] += 1
        self._count["requests"] += 1
        if (every := self._how.get("throttle")) and self._count["requests"] % every == 0:
            self._count["throttled"] += 1
            return _refused(start, "503 Slow Down", "SlowDown", "Please reduce your request rate.")
        if method == "PUT" and path.endswith(".aef") and (room := self._how.get("shards")) is not None:
            if not room:
                self._count["full"] += 1
                return _refused(start, "507 Insufficient Storage", "QuotaExceeded", "The bucket is full.")
            self._how["shards"] = room - 1
        self._count["shard writes"] += method == "PUT" and path.endswith(".aef")
        answer: list[Any] = []
        body = b"".join(self._app(environ, lambda status, headers, info=None: answer.append((status, headers))))
        self._count["bytes in"] += n_bytes
        self._count["bytes out"] += len(body)
        if method == "PUT" and path.endswith((".done", ".aefset")) and (every := self._how.get("lose")):
            self._count["small writes"] += 1
            if self._count["small writes"] % every == 0:
                self._count["lost answers"] += 1
                return _refused(
                    start, "500 Internal Server Error", "InternalError", "We encountered an internal error."
                )
        start(*answer[0])
        return [body]


def _refused(start: Callable[..., Any], status: str, code: str, text: str) -> list[bytes]:
    start(status, [("Content-Type", "application/xml")])
    return [_ERROR.format(code, text).encode()]


def _main() -> None:
    import logging

    import boto3
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, _Unkind(DomainDispatcherApplication(create_backend_app)), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= PLACES | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
    boto3.client("s3").create_bucket(Bucket=NAME)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    _main()
