"""nginx in front of a server, with the configuration that the documentation gives: for tests and for benchmarks."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tools.loopback.server import free_port, program_path

CONF = Path(__file__).resolve().parents[2] / "spec" / "transport" / "nginx.conf"
_ROOT = re.compile(r"location / \{(.*\n) *proxy_pass http://aeformat;")


@contextlib.contextmanager
def nginx_in_front(folder: Path, port: int, path: str = "/") -> Iterator[str]:
    """Run nginx in front of the server on `port`, and yield the base URL to use; its path is `path`.

    folder: for nginx's files; it is made.  Raises FileNotFoundError if nginx is not installed, OSError if it does not start.
    """
    program, front = program_path("nginx"), free_port()
    if program is None:
        raise FileNotFoundError("nginx is not installed")
    text = CONF.read_text(encoding="utf-8")
    text = text.replace("127.0.0.1:8443", f"127.0.0.1:{front}").replace("127.0.0.1:8023", f"127.0.0.1:{port}")
    if path != "/":
        text, n_found = _ROOT.subn(rf"location {path} {{\1proxy_pass http://aeformat/;", text)
        assert n_found == 1
    (folder / "tmp").mkdir(parents=True)
    (folder / "nginx.conf").write_text(("user root;\n" if os.geteuid() == 0 else "") + text, encoding="utf-8")
    process = subprocess.Popen([program, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.PIPE)
    try:
        _wait_for(process, front)
        yield f"http://127.0.0.1:{front}{path}"
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 30).close()
            return
        time.sleep(0.02)
    assert process.stderr is not None
    process.terminate()
    raise OSError(f"nginx did not start: {process.stderr.read().decode()}")
