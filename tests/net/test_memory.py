"""Memory is bounded by the limits, not by the length of a blob or the speed of its readers (T7-1)."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from aeformat import net
from aeformat.net.client.options import Options
from net.running import running
from tools.bench_transport import make

NEVER = Options(policy="never")
MB = 1_000_000
pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")


def test_a_long_upload_and_fifty_slow_readers(tmp_path):
    """A gigabyte in chunks of 1 MiB, and fifty clients that read one packet of it: memory holds neither."""
    source = tmp_path / "long.aef"
    make(source, 1000)
    with running(tmp_path / "root") as server:
        server.request("GET", "v1/")
        at_rest = server.rss()
        sha256 = net.send(source, server.url, NEVER).sha256.hex()
        assert server.rss() - at_rest < 64 * MB  # four pieces of 4 MiB, a chunk, and what malloc keeps
    source.unlink()
    with running(tmp_path / "root") as server:
        at_rest = server.rss()
        socks = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
        for sock in socks:
            sock.sendall(f"GET /v1/containers/{sha256} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            sock.recv(1000)
        time.sleep(2)
        assert server.rss() - at_rest < 15 * MB
        assert server.request("GET", "v1/").status == 200
        for sock in socks:
            sock.close()
