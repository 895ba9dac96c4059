"""What `fetch` does beside receiving: verifying a few pieces later, full disks, killed runs."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import h11
import pytest

from aeformat.net.client import http_messages, transfer
from aeformat.net.client.fetching import partial_path
from aeformat.net.client.http_messages import RequestCodec, ServerAddress
from aeformat.transport.fetch_client import FetchClient
from aeformat.transport.messages import Request
from net.running import running, until, upload
from net.test_api import BOTH, FILE, NEVER, SHA, call, command
from tools.loopback.proxy import Fault, Proxy

FEEDS = {
    "whole": lambda d: [d],
    "bytes": lambda d: [d[i : i + 1] for i in range(len(d))],
    "two": lambda d: [d[: len(d) // 2], d[len(d) // 2 :]],
}
BODY = bytes(range(200)) * 3
CHUNKED = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:7], BODY[7:400], BODY[400:]))
ANSWERS = {
    "of stated length": (b"Content-Length: 600\r\n\r\n" + BODY, BODY),
    "in chunks": (b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED + b"0\r\n\r\n", BODY),
    "in chunks, whatever its length": (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + CHUNKED + b"0\r\n\r\n", BODY),
    "empty": (b"Content-Length: 0\r\n\r\n", b""),
}  # fmt: skip
PIECES = 1 << 14


@pytest.fixture
def server(tmp_path):
    with running(tmp_path / "root") as server:
        upload(server, FILE)
        yield server


@pytest.fixture
def small_pieces(monkeypatch):
    """Small pieces, so that a small file has many; and short waits."""
    monkeypatch.setattr(http_messages, "PIECE_BYTES", PIECES)
    monkeypatch.setattr("aeformat.transport.retry.FIRST_SECONDS", 0.02)


def codec() -> RequestCodec:
    found = RequestCodec(ServerAddress.parse("http://x/"), Request("GET", "v1/"))
    found.head()
    found.finish()
    return found


@pytest.mark.parametrize("feed", FEEDS.values(), ids=FEEDS)
@pytest.mark.parametrize(("answer", "body"), ANSWERS.values(), ids=ANSWERS)
def test_a_body_is_the_same_however_it_arrives(answer, body, feed):
    """It takes no byte beyond its end; a body that ends too early is an error."""
    whole = b"HTTP/1.1 200 OK\r\n" + answer
    response, pieces = codec(), []
    for data in feed(whole):
        assert not response.is_over and len(data) <= response.receive_bytes
        pieces += response.received(data)
    assert response.is_over and b"".join(pieces) == body

    cut, pieces = codec(), []
    for data in feed(whole[:-1]):
        pieces += cut.received(data)
    assert not cut.is_over and body.startswith(b"".join(pieces))
    with pytest.raises(h11.RemoteProtocolError):
        cut.received(b"")


def test_no_more_than_the_body_is_received():
    """Bytes that a server sends after a body of stated length are not received as a part of it."""
    response = codec()
    response.received(b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n" + BODY[:100])
    assert response.receive_bytes == 500
    response.received(BODY[100:599])
    assert (response.receive_bytes, response.is_over) == (1, False)


@BOTH
def test_the_receiver_waits_for_the_verifier(server, tmp_path, twin, small_pieces, monkeypatch):
    """T7-1 for clients: pieces are received while others are verified, but only a bounded number."""
    received, data = RequestCodec.received, FetchClient.data
    n_received, n_verified, most = 0, 0, 0

    def counted(self, piece):
        nonlocal n_received
        found = received(self, piece)
        n_received += len(found)
        return found

    def slowly(self, piece):
        nonlocal n_verified, most
        time.sleep(0.005)
        most = max(most, n_received - n_verified)
        n_verified += 1
        return data(self, piece)

    monkeypatch.setattr(RequestCodec, "received", counted)
    monkeypatch.setattr(FetchClient, "data", slowly)
    told = []
    url = f"{server.url}v1/containers/{SHA}"
    call(twin, "fetch", url, tmp_path / "x", NEVER, progress=lambda *seen: told.append(seen))
    assert len(FILE) // PIECES <= n_verified == n_received
    assert 1 < most <= transfer._UNVERIFIED_PIECES + 2
    assert told[-1] == ("fetching", len(FILE), len(FILE))


@BOTH
def test_nothing_goes_on_after_an_error(server, tmp_path, twin, small_pieces, monkeypatch):
    """Ctrl-C, or an error of the progress callback: the file is closed after the thread that uses it has ended."""
    data, n_begun, n_ended = FetchClient.data, 0, 0

    def slowly(self, piece):
        nonlocal n_begun, n_ended
        n_begun += 1
        time.sleep(0.05)
        n_ended += 1
        return data(self, piece)

    def broken(*seen):
        raise KeyError

    monkeypatch.setattr(FetchClient, "data", slowly)
    with pytest.raises(KeyError):
        call(twin, "fetch", f"{server.url}v1/containers/{SHA}", tmp_path / "x", NEVER, progress=broken)
    assert n_begun == n_ended > 0
    time.sleep(0.2)
    assert n_begun == n_ended


@BOTH
def test_damage_that_is_seen_late_costs_a_chunk(server, tmp_path, twin, small_pieces):
    """T5-6: bytes that were received after the damaged chunk are truncated."""
    faults = [Fault("flip a bit", 0.5)]
    proxy = Proxy(server.port, lambda method, _range: faults.pop() if method == "GET" and faults else None)
    assert call(twin, "fetch", f"{proxy.url}v1/containers/{SHA}", tmp_path / "x", NEVER).path.read_bytes() == FILE
    assert not faults
    proxy.close()


@BOTH
def test_a_full_disk_is_not_an_error_of_the_connection(server, tmp_path, twin, small_pieces, monkeypatch):
    """It is raised at once, not after eight tries.  The verified bytes are kept."""
    append, n_left = transfer._append, [20]

    def full(partial, piece):
        if not n_left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        n_left[0] -= 1
        append(partial, piece)

    monkeypatch.setattr(transfer, "_append", full)
    with pytest.raises(OSError, match="No space left") as caught:
        call(twin, "fetch", f"{server.url}v1/containers/{SHA}", tmp_path / "x", NEVER)
    assert caught.value.errno == errno.ENOSPC
    assert not (tmp_path / "x").exists()
    assert partial_path(tmp_path / "x", "containers", SHA).stat().st_size > 10 * PIECES
    n_left[0] = 1000
    assert call(twin, "fetch", f"{server.url}v1/containers/{SHA}", tmp_path / "x", NEVER).path.read_bytes() == FILE


def test_a_killed_fetch_is_resumed(server, tmp_path):
    """kill -9 in the middle: the same command requests only the rest."""
    faults = [Fault("stall", 0.6)]
    proxy = Proxy(
        server.port, lambda method, _range: faults.pop() if method == "GET" and faults else None, stall_seconds=120
    )
    words = ("fetch", f"{proxy.url}v1/containers/{SHA}", "-o", tmp_path / "x", "--model-policy", "never")
    first, part = command(*words), partial_path(tmp_path / "x", "containers", SHA)
    until(lambda: part.exists() and part.stat().st_size > 0.55 * len(FILE))
    first.kill()
    first.wait()
    assert not (tmp_path / "x").exists()
    before = proxy.n_down
    _, errors = command(*words).communicate(timeout=120)
    assert (tmp_path / "x").read_bytes() == FILE, errors
    assert proxy.n_down - before < 0.6 * len(FILE)
    proxy.close()


@BOTH
@pytest.mark.skipif(os.name != "posix", reason="links and file modes")
def test_a_file_behind_a_link_is_replaced_and_keeps_its_mode(server, tmp_path, twin, small_pieces):
    """The link stays; the partial file lies beside the file, not beside the link."""
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "real").write_bytes(b"old")
    (tmp_path / "far" / "real").chmod(0o600)
    (tmp_path / "x").symlink_to("far/real")
    assert (
        call(twin, "fetch", f"{server.url}v1/containers/{SHA}", tmp_path / "x", NEVER, force=True).path
        == tmp_path / "x"
    )

    assert (tmp_path / "x").is_symlink() and (tmp_path / "far" / "real").read_bytes() == FILE
    assert (tmp_path / "far" / "real").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["real"]


def test_sending_and_fetching_import_neither_numpy_nor_the_server(server, tmp_path):
    """Importing them takes longer than a small file; also where a decoder is looked for, and nobody has it."""
    code = (
        "import sys\nfrom aeformat.cli.main import main\nfrom aeformat import net\n"
        f"assert main(['fetch', {server.url + 'v1/containers/' + SHA!r}, '-o', {str(tmp_path / 'x.aef')!r}]) == 0\n"
        f"assert main(['send', {str(tmp_path / 'x.aef')!r}, {server.url!r}]) == 0\n"
        "bad = {'numpy', 'starlette', 'uvicorn'} & set(sys.modules)\n"
        "assert set(net.__all__) <= set(dir(net)) and callable(net.registry_decoder)\nsys.exit(str(bad) if bad else 0)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
