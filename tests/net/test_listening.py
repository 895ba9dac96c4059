"""Listening on a Unix socket."""

from __future__ import annotations

import json
import signal
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from aeformat.errors import UsageError
from aeformat.net.server.listening import listen_unix
from net.running import running

if not hasattr(socket, "AF_UNIX"):
    pytest.skip("this system has no Unix sockets", allow_module_level=True)


def ask(path, more: str = "") -> bytes:
    """The answer to GET /v1/ over a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(30)
        sock.connect(str(path))
        sock.sendall(f"GET /v1/ HTTP/1.1\r\nHost: localhost\r\n{more}Connection: close\r\n\r\n".encode())
        found = b""
        while piece := sock.recv(65536):
            found += piece
        return found


@pytest.fixture
def path():
    """Its name may have about 100 bytes, which a folder of pytest's can exceed."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "s"


def test_requests_over_a_unix_socket(tmp_path, path):
    """Owner and group may connect.  The socket is gone once the server has ended."""
    log = tmp_path / "log"
    with running(tmp_path / "root", unix_socket=path, trusted_proxies=("unix",), log=log) as server:
        assert server.url == f"unix:{path}"
        assert ask(path).startswith(b"HTTP/1.1 200 ")
        assert ask(path, "X-Forwarded-For: 192.0.2.7\r\n").startswith(b"HTTP/1.1 200 ")
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        server.stop(signal.SIGTERM)
    assert not path.exists()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["client"] for line in lines if "client" in line] == [None, "192.0.2.7"]


def test_a_socket_that_a_killed_server_left_is_replaced(tmp_path, path):
    with running(tmp_path / "root", unix_socket=path) as server:
        server.stop(signal.SIGKILL)
    assert path.exists()
    with running(tmp_path / "root", unix_socket=path):
        assert ask(path).startswith(b"HTTP/1.1 200 ")


def test_a_living_server_keeps_its_socket(path):
    with listen_unix(path), pytest.raises(UsageError, match="in use"):
        listen_unix(path)


def test_a_file_is_not_replaced(path):
    path.write_text("precious")
    with pytest.raises(UsageError, match="cannot listen"):
        listen_unix(path)
    assert path.read_text() == "precious"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        listen_unix(tmp_path / "nowhere" / "s")
